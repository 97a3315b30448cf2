// SPDX-License-Identifier: MIT
// Streams that end at every stage: aborted or closed while idle, inside on_read, with bytes queued, under a flow, after a half close, by a
// peer's reset. on_closed comes once each time, the other side sees a reset or an end, and nothing is left.
#include <unistd.h>

#include "check.h"

typedef enum stage { IDLE, INSIDE_READ, QUEUED, UNDER_FLOW, AFTER_SHUT, UNREAD, STAGES } stage;

typedef struct victim {
    stage stage;
    bool polite;
    ears ears;
    cuv_stream *stream;
    int reads;
    int breaks;
    cuv_flow_result result;
    int dones;
    latch ready;
} victim;

static uint8_t big[4 * 1024 * 1024];

static void strike(victim *v) {
    if (v->polite) cuv_stream_close(v->stream);
    else cuv_stream_abort(v->stream);
    CHECK_EQUAL(v->ears.closes, 0);
    CHECK(cuv_stream_is_closing(v->stream));
}

static size_t on_read(void *ctx, cuv_stream *stream, const uint8_t *bytes, size_t count) {
    victim *v = ctx;
    (void)stream, (void)bytes;
    CHECK_EQUAL(v->reads++, 0);
    strike(v);
    return count / 2;
}

static void on_broken(void *ctx, cuv_stream *stream, int error) {
    victim *v = ctx;
    (void)stream;
    CHECK_EQUAL(v->ears.closes, 0);
    CHECK(error == CUV_E_ABORTED || error == CUV_E_RESET);
    v->breaks++;
}

static void on_done(void *ctx, cuv_flow *flow, cuv_flow_result result) {
    victim *v = ctx;
    (void)flow;
    v->result = result;
    v->dones++;
}

static const cuv_reader reader = {on_read, NULL, on_broken};

static void on_accept(void *ctx, cuv_listener *listener, cuv_stream *stream) {
    victim *v = ctx;
    (void)listener;
    v->stream = stream;
    cuv_stream_set_owner(stream, &ears_owner, &v->ears);
    cuv_stream_set_reader(stream, &reader, v);
    if (v->stage == INSIDE_READ) cuv_stream_read_start(stream);
    if (v->stage == QUEUED) CHECK_EQUAL(cuv_stream_write(stream, big, sizeof big, false), 0);
    if (v->stage == AFTER_SHUT) cuv_stream_shut(stream);
    cuv_flow_config echo = {.source = stream, .sink = stream, .on_done = on_done, .ctx = v};
    if (v->stage == UNDER_FLOW) CHECK(cuv_flow_start(&echo) != NULL);
    latch_down(&v->ready);
}

static void strike_now(void *ctx) { strike(ctx); }

static void play(cuv_loop *loop, stage stage, bool polite) {
    latch closed = LATCH(1);
    victim v = {.stage = stage, .polite = polite, .ears.closed = &closed, .ready = LATCH(1)};
    cuv_address at;
    cuv_listener *listener = listen_on(loop, 4, on_accept, &v, &at);
    int fd = peer_connect(&at);
    latch_wait(&v.ready);
    if (stage == UNREAD || stage == INSIDE_READ) peer_send(fd, "request", 7);
    if (stage != INSIDE_READ) on_loop(loop, strike_now, &v);
    if (polite && stage == QUEUED) peer_expect(fd, big, sizeof big);
    if (polite || stage == AFTER_SHUT) CHECK_EQUAL(peer_read_end(fd), 0);
    else if (stage != QUEUED) CHECK_EQUAL(peer_read_end(fd), -1);
    close(fd);
    latch_wait(&closed);
    CHECK_EQUAL(v.ears.closes, 1);
    CHECK_EQUAL(v.ears.status, polite ? 0 : CUV_E_ABORTED);
    loop_quiet(loop);
    CHECK_EQUAL(v.dones, stage == UNDER_FLOW);
    CHECK_EQUAL(v.breaks, !polite && stage != UNDER_FLOW);
    listener_down(loop, listener);
}

static void start_reading(void *ctx) { cuv_stream_read_start(((victim *)ctx)->stream); }

// The peer resets a connection whose nobody reads: found as soon as somebody does.
static void peer_resets(cuv_loop *loop) {
    latch closed = LATCH(1);
    victim v = {.stage = IDLE, .ears.closed = &closed, .ready = LATCH(1)};
    cuv_address at;
    cuv_listener *listener = listen_on(loop, 4, on_accept, &v, &at);
    int fd = peer_connect(&at);
    latch_wait(&v.ready);
    struct linger at_once = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
    on_loop(loop, start_reading, &v);
    latch_wait(&closed);
    CHECK_EQUAL(v.ears.status, CUV_E_RESET);
    CHECK_EQUAL(v.breaks, 1);
    listener_down(loop, listener);
}

// Nobody takes it: a stream without an owner after on_accept is closed.
static void refuse(void *ctx, cuv_listener *listener, cuv_stream *stream) { (void)ctx, (void)listener, (void)stream; }

static void nobody(cuv_loop *loop) {
    cuv_address at;
    cuv_listener *listener = listen_on(loop, 6, refuse, NULL, &at);
    int fd = peer_connect(&at);
    CHECK_EQUAL(peer_read_end(fd), 0);
    close(fd);
    loop_quiet(loop);
    listener_down(loop, listener);
}

int main(void) {
    pattern(big, 0, sizeof big);
    cuv_loop *loop = loop_up("abort");
    for (int stage = 0; stage < STAGES; stage++) {
        play(loop, stage, false);
        play(loop, stage, true);
    }
    peer_resets(loop);
    nobody(loop);
    loop_down(loop);
    return 0;
}
