// SPDX-License-Identifier: MIT
// The shared half of the engine's C tests (check.h).
// Test only; a check that does not hold ends the process.
#include "check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_S = 10 };

void latch_down(latch *latch) {
    pthread_mutex_lock(&latch->lock);
    latch->left--;
    pthread_cond_broadcast(&latch->changed);
    pthread_mutex_unlock(&latch->lock);
}

void latch_wait(latch *latch) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&latch->lock);
    while (latch->left > 0) CHECK(pthread_cond_timedwait(&latch->changed, &latch->lock, &until) == 0);
    pthread_mutex_unlock(&latch->lock);
}

cuv_loop *loop_up(const char *name) {
    cuv_loop *loop = cuv_loop_new();
    CHECK(loop != NULL);
    CHECK_EQUAL(cuv_loop_start(loop, name), 0);
    return loop;
}

typedef struct call {
    void (*fn)(void *ctx);
    void *ctx;
    latch done;
} call;

static void run_call(void *ctx) {
    call *c = ctx;
    c->fn(c->ctx);
    latch_down(&c->done);
}

void on_loop(cuv_loop *loop, void (*fn)(void *ctx), void *ctx) {
    call c = {fn, ctx, LATCH(1)};
    CHECK_EQUAL(cuv_loop_post(loop, run_call, &c), 0);
    latch_wait(&c.done);
}

void loop_down(cuv_loop *loop) {
    cuv_counts last, none = {0};
    cuv_loop_stop(loop);
    cuv_loop_join(loop, &last);
    CHECK(memcmp(&last, &none, sizeof last) == 0);
}

typedef struct counting {
    cuv_loop *loop;
    cuv_counts counts;
} counting;

static void read_counts(void *ctx) {
    counting *c = ctx;
    c->counts = cuv_loop_counts(c->loop);
}

cuv_counts loop_counts(cuv_loop *loop) {
    counting c = {.loop = loop};
    on_loop(loop, read_counts, &c);
    return c.counts;
}

void loop_quiet(cuv_loop *loop) {
    time_t until = time(NULL) + PATIENCE_S;
    for (;;) {
        cuv_counts counts = loop_counts(loop);
        if (counts.connections == 0 && counts.flows == 0) return;
        if (time(NULL) >= until) {
            fprintf(stderr, "still there: %lld connections, %lld flows, %lld streams, %lld sessions\n", (long long)counts.connections,
                    (long long)counts.flows, (long long)counts.streams, (long long)counts.sessions);
            _exit(1);
        }
        usleep(1000);
    }
}

typedef struct listening {
    cuv_loop *loop;
    int family;
    cuv_on_accept on_accept;
    void *ctx;
    cuv_address *at;
    cuv_listener *listener;
} listening;

static void start_listening(void *ctx) {
    listening *l = ctx;
    cuv_address any;
    int error;
    CHECK_EQUAL(cuv_address_parse(&any, l->family == 4 ? "127.0.0.1" : "::1", 0), 0);
    l->listener = cuv_listen(l->loop, &any, 128, false, l->on_accept, l->ctx, &error);
    CHECK(l->listener != NULL);
    CHECK_EQUAL(cuv_listener_address(l->listener, l->at), 0);
}

cuv_listener *listen_on(cuv_loop *loop, int family, cuv_on_accept on_accept, void *ctx, cuv_address *at) {
    listening l = {loop, family, on_accept, ctx, at, NULL};
    on_loop(loop, start_listening, &l);
    return l.listener;
}

static void stop_listening(void *ctx) {
    cuv_listener_close(ctx, NULL);
}

void listener_down(cuv_loop *loop, cuv_listener *listener) {
    on_loop(loop, stop_listening, listener);
}

static void set_patience(int fd) {
    struct timeval patience = {.tv_sec = PATIENCE_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

static socklen_t to_socket(const cuv_address *address, struct sockaddr_storage *out) {
    memset(out, 0, sizeof *out);
    struct sockaddr_in *four = (struct sockaddr_in *)out;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
    out->ss_family = address->family == 4 ? AF_INET : AF_INET6;
    if (address->family == 4) memcpy(&four->sin_addr, address->bytes, 4);
    else memcpy(&six->sin6_addr, address->bytes, 16);
    four->sin_port = htons(address->port);
    return address->family == 4 ? sizeof *four : sizeof *six;
}

int peer_connect(const cuv_address *to) {
    struct sockaddr_storage address;
    socklen_t length = to_socket(to, &address);
    int fd = socket(address.ss_family, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    set_patience(fd);
    CHECK(connect(fd, (struct sockaddr *)&address, length) == 0);
    return fd;
}

int peer_listen(cuv_address *at) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    set_patience(fd);
    CHECK(bind(fd, (struct sockaddr *)&address, length) == 0);
    CHECK(listen(fd, 128) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &length) == 0);
    CHECK_EQUAL(cuv_address_parse(at, "127.0.0.1", ntohs(address.sin_port)), 0);
    return fd;
}

int peer_accept(int listening_fd) {
    int fd = accept(listening_fd, NULL, NULL);
    CHECK(fd >= 0);
    set_patience(fd);
    return fd;
}

void peer_send(int fd, const void *bytes, size_t count) {
    const char *at = bytes;
    while (count > 0) {
        ssize_t sent = send(fd, at, count, MSG_NOSIGNAL);
        CHECK(sent > 0);
        at += sent;
        count -= (size_t)sent;
    }
}

void peer_expect(int fd, const void *bytes, size_t count) {
    const char *at = bytes;
    char got[65536];
    while (count > 0) {
        ssize_t read_count = recv(fd, got, count < sizeof got ? count : sizeof got, 0);
        CHECK(read_count > 0);
        CHECK(memcmp(got, at, (size_t)read_count) == 0);
        at += read_count;
        count -= (size_t)read_count;
    }
}

int peer_read_end(int fd) {
    char byte;
    ssize_t count = recv(fd, &byte, 1, 0);
    CHECK(count <= 0);
    CHECK(count == 0 || errno == ECONNRESET);
    return (int)count;
}

void peer_set_buffers(int fd, int bytes) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

void pattern(uint8_t *out, size_t offset, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = (uint8_t)((offset + i) * 2654435761u >> 13);
}

static void ears_open(void *ctx, cuv_stream *stream) {
    ears *e = ctx;
    (void)stream;
    e->opened++;
}

static void ears_closed(void *ctx, cuv_stream *stream, int status) {
    ears *e = ctx;
    (void)stream;
    e->closes++;
    e->status = status;
    if (e->closed) latch_down(e->closed);
}

const cuv_owner ears_owner = {ears_open, ears_closed};

static void relay_closed(void *ctx, cuv_stream *stream, int status) {
    relay *r = ctx;
    (void)status;
    if (r->client == stream) r->client = NULL;
    if (r->service == stream) r->service = NULL;
}

static const cuv_owner relay_owner = {NULL, relay_closed};

// An end is passed on by the flow; a break ends both sides at once.
static void relay_done(relay *r, int direction, cuv_flow_result result) {
    r->results[direction] = result;
    if (result.end != CUV_FLOW_STREAM_END) {
        if (r->client) cuv_stream_abort(r->client);
        if (r->service) cuv_stream_abort(r->service);
    }
    if (r->done) latch_down(r->done);
}

static void relay_up_done(void *ctx, cuv_flow *flow, cuv_flow_result result) {
    (void)flow;
    relay_done(ctx, 0, result);
}

static void relay_down_done(void *ctx, cuv_flow *flow, cuv_flow_result result) {
    (void)flow;
    relay_done(ctx, 1, result);
}

void relay_accept(void *ctx, cuv_listener *listener, cuv_stream *stream) {
    relay *r = ctx;
    int error;
    (void)listener;
    r->client = stream;
    cuv_stream_set_owner(stream, &relay_owner, r);
    r->service = cuv_tcp_dial(cuv_stream_loop(stream), &r->to, 5000, &relay_owner, r, &error);
    CHECK(r->service != NULL);
    cuv_flow_config up = {.source = r->client, .sink = r->service, .on_done = relay_up_done, .ctx = r};
    cuv_flow_config down = {.source = r->service, .sink = r->client, .on_done = relay_down_done, .ctx = r};
    CHECK(cuv_flow_start(&up) && cuv_flow_start(&down));
}
