// SPDX-License-Identifier: MIT
// Without descriptors new connections are closed and counted, the process does not spin, and accepting goes on when there are some again.
// Lowers this process's limit of descriptors; real sockets on loopback.
#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

enum { CLIENTS = 8, MOST = 256 };

static int accepted;
static cuv_listener *listener;
static uint64_t refused;

static void on_end(void *ctx, cuv_stream *stream) {
    (void)ctx;
    cuv_stream_close(stream);
}

static size_t on_read(void *ctx, cuv_stream *stream, const uint8_t *bytes, size_t count) {
    (void)ctx;
    cuv_stream_write(stream, bytes, count, false);
    return count;
}

static void on_accept(void *ctx, cuv_listener *which, cuv_stream *stream) {
    static const cuv_reader reader = {on_read, on_end, NULL};
    (void)which;
    accepted++;
    cuv_stream_set_owner(stream, &ears_owner, ctx);
    cuv_stream_set_reader(stream, &reader, NULL);
    cuv_stream_read_start(stream);
}

static void read_refused(void *ctx) {
    (void)ctx;
    refused = cuv_listener_refused(listener);
}

static void echo_works(int fd) {
    peer_send(fd, "ping", 4);
    peer_expect(fd, "ping", 4);
}

static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(void) {
    struct rlimit limit = {MOST, MOST};
    setrlimit(RLIMIT_NOFILE, &limit);
    cuv_loop *loop = loop_up("exhaust");
    ears heard = {0};
    cuv_address at;
    listener = listen_on(loop, 4, on_accept, &heard, &at);
    int first = peer_connect(&at);
    echo_works(first);

    // The clients' sockets exist before the descriptors go; connecting needs none.
    int clients[CLIENTS], fillers[MOST], filled = 0;
    for (int i = 0; i < CLIENTS; i++) clients[i] = socket(AF_INET, SOCK_STREAM, 0);
    while ((fillers[filled] = open("/dev/null", O_RDONLY)) >= 0) filled++;
    struct timeval patience = {.tv_sec = 10};
    uint8_t to[16] = {AF_INET, 0, (uint8_t)(at.port >> 8), (uint8_t)at.port, 127, 0, 0, 1};
    for (int i = 0; i < CLIENTS; i++) {
        setsockopt(clients[i], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        CHECK(connect(clients[i], (struct sockaddr *)to, sizeof to) == 0);
    }
    // A descriptor that goes before all are refused would be one that the listener can accept with.
    for (int i = 0; i < CLIENTS; i++) peer_read_end(clients[i]);
    for (int i = 0; i < CLIENTS; i++) close(clients[i]);
    while ((fillers[filled] = open("/dev/null", O_RDONLY)) >= 0) filled++;
    on_loop(loop, read_refused, NULL);
    CHECK_EQUAL(refused, CLIENTS);
    CHECK_EQUAL(accepted, 1);
    echo_works(first);

    // Nothing can be refused either when somebody takes the spare descriptor: it pauses and does not spin.
    double before = cpu_seconds();
    usleep(200000);
    CHECK(cpu_seconds() - before < 0.1);

    for (int i = 0; i < filled; i++) close(fillers[i]);
    int again = peer_connect(&at);
    echo_works(again);
    CHECK_EQUAL(accepted, 2);
    close(again);
    close(first);
    loop_quiet(loop);
    listener_down(loop, listener);
    loop_down(loop);
    return 0;
}
