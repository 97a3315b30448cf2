// SPDX-License-Identifier: MIT
// A flow from a stream to itself is an echo: every byte comes back in order, then the end, over IPv4 and IPv6.
// The engine runs on its loops' threads; the main thread plays the peers on loopback.
#include <unistd.h>

#include "check.h"

enum { TOTAL = 8 * 1024 * 1024 };

static void on_done(void *ctx, cuv_flow *flow, cuv_flow_result result) {
    (void)ctx;
    CHECK_EQUAL(result.end, CUV_FLOW_STREAM_END);
    CHECK_EQUAL(result.bytes, TOTAL);
    CHECK_EQUAL(cuv_flow_bytes(flow), TOTAL);
}

static void on_accept(void *ctx, cuv_listener *listener, cuv_stream *stream) {
    (void)listener;
    cuv_stream_set_owner(stream, &ears_owner, ctx);
    CHECK_EQUAL(strcmp(cuv_stream_carrier(stream), "tcp"), 0);
    cuv_flow_config config = {.source = stream, .sink = stream, .framing = CUV_FLOW_RAW, .on_done = on_done};
    CHECK(cuv_flow_start(&config) != NULL);
}

static void *send_all(void *ctx) {
    static uint8_t bytes[65536];
    int fd = *(int *)ctx;
    for (size_t offset = 0; offset < TOTAL; offset += sizeof bytes) {
        pattern(bytes, offset, sizeof bytes);
        peer_send(fd, bytes, sizeof bytes);
    }
    shutdown(fd, SHUT_WR);
    return NULL;
}

static void echo(cuv_loop *loop, int family) {
    latch closed = LATCH(1);
    ears owner = {.closed = &closed};
    cuv_address at;
    cuv_listener *listener = listen_on(loop, family, on_accept, &owner, &at);
    int fd = peer_connect(&at);
    pthread_t sender;
    pthread_create(&sender, NULL, send_all, &fd);
    static uint8_t bytes[65536];
    for (size_t offset = 0; offset < TOTAL; offset += sizeof bytes) {
        pattern(bytes, offset, sizeof bytes);
        peer_expect(fd, bytes, sizeof bytes);
    }
    CHECK_EQUAL(peer_read_end(fd), 0);
    pthread_join(sender, NULL);
    latch_wait(&closed);
    CHECK_EQUAL(owner.closes, 1);
    CHECK_EQUAL(owner.status, 0);
    close(fd);
    listener_down(loop, listener);
}

int main(void) {
    cuv_loop *loop = loop_up("echo");
    echo(loop, 4);
    echo(loop, 6);
    loop_down(loop);
    return 0;
}
