// SPDX-License-Identifier: MIT
// Dials: refused, timed out, closed and aborted before they open, written to before they open; over both families.
// The engine runs on its loops' threads; the main thread plays the peers on loopback.
#include <unistd.h>

#include "check.h"

static cuv_loop *loop;
static cuv_address target;
static uint64_t timeout;

typedef struct dial {
    ears ears;
    cuv_stream *stream;
} dial;

static void start(void *ctx) {
    dial *d = ctx;
    int error;
    d->stream = cuv_tcp_dial(loop, &target, timeout, &ears_owner, &d->ears, &error);
    CHECK(d->stream != NULL);
}

static void expect(int status, int opened) {
    latch closed = LATCH(1);
    dial d = {.ears.closed = &closed};
    on_loop(loop, start, &d);
    latch_wait(&closed);
    CHECK_EQUAL(d.ears.status, status);
    CHECK_EQUAL(d.ears.opened, opened);
    CHECK_EQUAL(d.ears.closes, 1);
}

static void start_and_close(void *ctx) {
    start(ctx);
    cuv_stream_close(((dial *)ctx)->stream);
}

static void start_and_abort(void *ctx) {
    start(ctx);
    CHECK_EQUAL(cuv_stream_write(((dial *)ctx)->stream, (const uint8_t *)"lost", 4, false), 0);
    cuv_stream_abort(((dial *)ctx)->stream);
}

static void start_and_write(void *ctx) {
    dial *d = ctx;
    start(d);
    CHECK_EQUAL(cuv_stream_write(d->stream, (const uint8_t *)"he", 2, true), 0);
    CHECK_EQUAL(cuv_stream_write(d->stream, (const uint8_t *)"llo", 3, false), 0);
    CHECK_EQUAL(cuv_stream_queued(d->stream), 5);
    CHECK_EQUAL(cuv_stream_shut(d->stream), 0);
}

static void finish_by(void (*how)(void *), int status) {
    latch closed = LATCH(1);
    dial d = {.ears.closed = &closed};
    on_loop(loop, how, &d);
    latch_wait(&closed);
    CHECK_EQUAL(d.ears.status, status);
}

static void close_it(void *ctx) { cuv_stream_close(((dial *)ctx)->stream); }

static void write_before_open(void) {
    latch closed = LATCH(1);
    dial d = {.ears.closed = &closed};
    int listening = peer_listen(&target);
    on_loop(loop, start_and_write, &d);
    int fd = peer_accept(listening);
    peer_expect(fd, "hello", 5);
    CHECK_EQUAL(peer_read_end(fd), 0);
    close(fd);
    on_loop(loop, close_it, &d);
    latch_wait(&closed);
    CHECK_EQUAL(d.ears.opened, 1);
    CHECK_EQUAL(d.ears.status, 0);
    close(listening);
}

// A listening socket whose queue is full does not answer; that is as silent as loopback gets.
static void silent_peer(void) {
    int listening = peer_listen(&target), waiting[16];
    listen(listening, 0);
    for (int i = 0; i < 16; i++) {
        struct timeval soon = {.tv_usec = 20000};
        struct { uint16_t family, port; uint32_t address; uint8_t zero[8]; } to = {AF_INET, (uint16_t)(target.port >> 8 | target.port << 8), 0x0100007f, {0}};
        waiting[i] = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(waiting[i], SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon);
        if (connect(waiting[i], (struct sockaddr *)&to, sizeof to) < 0) {
            for (; i >= 0; i--) if (i < 15) waiting[i + 1] = waiting[i];
            break;
        }
    }
    timeout = 50;
    expect(CUV_E_TIMEOUT, 0);
    finish_by(start_and_abort, CUV_E_ABORTED);
    finish_by(start_and_close, 0);
    close(listening);
}

static void on_resolved(void *ctx, int status, const cuv_address *addresses, size_t count) {
    CHECK_EQUAL(status, 0);
    CHECK(count > 0);
    CHECK_EQUAL(addresses[0].port, 80);
    latch_down(ctx);
}

static void resolve(void *ctx) {
    int error;
    CHECK(cuv_resolve(loop, "127.0.0.1", 80, on_resolved, ctx, &error) != NULL);
    CHECK(cuv_resolve(loop, "localhost", 80, on_resolved, ctx, &error) != NULL);
    CHECK_EQUAL(cuv_loop_counts(loop).requests, 2);
}

static void addresses(void) {
    static const char *const texts[] = {"127.0.0.1", "::1", "fe80::1%lo", "2001:db8::2"};
    for (size_t i = 0; i < 4; i++) {
        char out[64];
        cuv_address a;
        CHECK_EQUAL(cuv_address_parse(&a, texts[i], 7), 0);
        CHECK_EQUAL(cuv_address_print(&a, out), strlen(texts[i]));
        CHECK(strcmp(out, texts[i]) == 0);
    }
    cuv_address a;
    char out[64];
    CHECK(cuv_address_parse(&a, "localhost", 1) < 0);
    CHECK(cuv_address_parse(&a, "1.2.3", 1) < 0);
    CHECK_EQUAL(cuv_address_parse(&a, "::ffff:10.0.0.1", 1), 0);
    cuv_address_print(&a, out);
    CHECK(strcmp(out, "10.0.0.1") == 0);
}

int main(void) {
    addresses();
    loop = loop_up("dial");
    int listening = peer_listen(&target);
    close(listening);
    expect(-111 /* ECONNREFUSED */, 0);
    uint16_t port = target.port;
    CHECK_EQUAL(cuv_address_parse(&target, "::1", port), 0);
    expect(-111, 0);
    write_before_open();
    silent_peer();
    latch resolved = LATCH(2);
    on_loop(loop, resolve, &resolved);
    latch_wait(&resolved);
    loop_down(loop);
    return 0;
}
