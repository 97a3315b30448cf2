// SPDX-License-Identifier: MIT
// The life of a WebSocket stream: it owns its carrier from cuv_ws_wrap to the carrier's on_closed, with which its own comes.
// On the loop's thread. The bytes are in ws_read.c and ws_write.c.
#include "cuv_ws.h"

#include "ws_stream.h"

static void read_start(cuv_stream *stream) { cuv_stream_read_start(((ws_stream *)stream)->carrier); }

// After the peer's half close there may still come a close frame or a reset.
static void read_stop(cuv_stream *stream) {
    ws_stream *ws = (ws_stream *)stream;
    bool half_closed = cuv_stream_has_ended(stream) && !ws->dead;
    if (!half_closed && ws->carrier) cuv_stream_read_stop(ws->carrier);
}

// The peer does not answer our close frame and goes on: for the reader that is its end.
static void patience_ended(void *ctx) {
    ws_stream *ws = ctx;
    ws->close_taken = true;
    cuv_stream_deliver_end(&ws->base);
}

// Behind a close frame nothing of ours follows (RFC 6455 5.5.1), so the carrier's direction ends with it: a peer that reads on sees that.
static int shut_for_good(ws_stream *ws) {
    int error = ws_send_close(ws, WS_NORMAL);
    if (!error) error = cuv_stream_shut(ws->carrier);
    ws->patience = cuv_timer_new(ws->base.loop, patience_ended, ws);
    if (ws->patience) cuv_timer_arm(ws->patience, WS_CLOSE_MS);
    return error;
}

static int shut(cuv_stream *stream) {
    ws_stream *ws = (ws_stream *)stream;
    if (!ws->half_close) return shut_for_good(ws);
    int error = ws_send_frame(ws, CW_WS_BINARY, NULL, 0);
    ws->end_sent = true;
    return error;
}

// What still comes in is the carrier's to throw away.
static void close_carrier(ws_stream *ws, uint16_t code) {
    ws->dead = true;
    if (!ws->carrier) return;
    ws_send_close(ws, code);
    cuv_stream_close(ws->carrier);
}

static void close_politely(cuv_stream *stream) { close_carrier((ws_stream *)stream, WS_NORMAL); }

static void abort_now(cuv_stream *stream, int error) {
    (void)error;
    ws_stream *ws = (ws_stream *)stream;
    ws->dead = true;
    if (ws->carrier) cuv_stream_abort(ws->carrier);
}

void ws_fail(ws_stream *ws, int error, uint16_t code) {
    cuv_stream_break(&ws->base, error);
    close_carrier(ws, code);
}

static void release(cuv_stream *stream) {
    cuv_loop_tally(stream->loop)->websockets -= 1;
    cuv_object_give(stream->loop, stream, sizeof(ws_stream));
}

static cuv_stream *below(const cuv_stream *stream) { return ((const ws_stream *)stream)->carrier; }

static const cuv_stream_ops ws_ops = {
    .name = "ws",
    .read_start = read_start,
    .read_stop = read_stop,
    .write = ws_write,
    .shut = shut,
    .close = close_politely,
    .abort = abort_now,
    .release = release,
    .below = below,
};

static void carrier_drained(void *ctx, cuv_stream *carrier) {
    ws_stream *ws = ctx;
    if (!ws->dead) cuv_stream_set_queued(&ws->base, cuv_stream_queued(carrier));
}

static void carrier_write_broke(void *ctx, cuv_stream *carrier, int error) {
    (void)carrier;
    ws_stream *ws = ctx;
    if (!ws->dead) cuv_stream_break_writing(&ws->base, error);
}

static void carrier_closed(void *ctx, cuv_stream *carrier, int status) {
    (void)carrier;
    ws_stream *ws = ctx;
    ws->dead = true;
    ws->carrier = NULL;
    cuv_timer_free(ws->patience);
    cuv_stream_finish(&ws->base, status);
}

static const cuv_writer carrier_writer = {carrier_drained, carrier_write_broke};
static const cuv_owner carrier_owner = {.on_closed = carrier_closed};

cuv_stream *cuv_ws_wrap(cuv_stream *carrier, const cuv_ws_config *config, const cuv_owner *owner, void *ctx) {
    cuv_loop *loop = cuv_stream_loop(carrier);
    ws_stream *ws = cuv_object_take(loop, sizeof *ws);
    if (!ws) return NULL;
    cuv_loop_tally(loop)->websockets += 1;
    cuv_stream_init(&ws->base, loop, &ws_ops, owner, ctx);
    cuv_stream_mark_open(&ws->base);
    ws->carrier = carrier;
    ws->client = config->client;
    ws->half_close = config->half_close;
    cuv_stream_read_stop(carrier);
    cuv_stream_set_owner(carrier, &carrier_owner, ws);
    cuv_stream_set_reader(carrier, &ws_carrier_reader, ws);
    cuv_stream_set_writer(carrier, &carrier_writer, ws);
    return &ws->base;
}
