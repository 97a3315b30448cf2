// SPDX-License-Identifier: MIT
// Frames in (RFC 6455 5). Payloads go up from the carrier's own memory, unmasked in place; headers may come in any pieces; a control
// frame is taken when it is there whole, until then the carrier keeps its bytes. On the loop's thread.
// When the reader above takes no more, this stops, and the carrier with it.
#include <string.h>

#include "cw_ws_mask.h"
#include "ws_stream.h"

static bool is_control(const ws_stream *ws) { return ws->frame.opcode >= CW_WS_CLOSE; }

static bool is_deaf(const ws_stream *ws) { return ws->dead || ws->close_taken; }

static bool goes_on(const ws_stream *ws) { return !is_deaf(ws) && cuv_stream_wants(ws->carrier); }

// What the rules say of a frame by its header alone. 0, or the code to close with.
static uint16_t judge_frame(const ws_stream *ws) {
    const cw_ws_header *frame = &ws->frame;
    if (frame->masked == ws->client) return WS_PROTOCOL_ERROR;   // RFC 6455 5.1
    if (is_control(ws)) return 0;
    if (frame->opcode == CW_WS_TEXT) return WS_UNACCEPTABLE;
    if (cuv_stream_has_ended(&ws->base)) return WS_PROTOCOL_ERROR;
    bool continues = frame->opcode == CW_WS_CONTINUATION;
    return continues == ws->in_message ? 0 : WS_PROTOCOL_ERROR;
}

static void end_data_frame(ws_stream *ws) {
    ws->in_frame = false;
    ws->in_message = !ws->frame.fin;
    if (ws->frame.fin && ws->message_empty && ws->half_close) cuv_stream_deliver_end(&ws->base);
}

static void begin_frame(ws_stream *ws) {
    uint16_t code = judge_frame(ws);
    if (code) {
        ws_fail(ws, CUV_E_PROTOCOL, code);
        return;
    }
    ws->in_frame = true;
    ws->left = ws->frame.length;
    ws->phase = 0;
    if (is_control(ws)) return;
    if (ws->frame.opcode == CW_WS_BINARY) ws->message_empty = true;
    if (ws->left == 0) end_data_frame(ws);
}

// Reads a header from where it is, or gathers one that came in pieces.
static size_t take_header(ws_stream *ws, const uint8_t *bytes, size_t count) {
    size_t had = ws->head_count, taken;
    const uint8_t *from = bytes;
    if (had) {
        size_t room = CW_WS_HEADER_MAX - had;
        memcpy(ws->head + had, bytes, count < room ? count : room);
        from = ws->head;
        count = had + (count < room ? count : room);
    }
    int used = cw_ws_header_read(&ws->frame, from, count);
    if (used < 0) {
        ws_fail(ws, CUV_E_PROTOCOL, WS_PROTOCOL_ERROR);
        return count - had;
    }
    if (used == 0) {
        if (!had) memcpy(ws->head, bytes, count);
        ws->head_count = (uint8_t)count;
        return count - had;
    }
    ws->head_count = 0;
    taken = (size_t)used - had;
    begin_frame(ws);
    return taken;
}

static size_t take_payload(ws_stream *ws, const uint8_t *bytes, size_t count) {
    if (count > ws->left) count = (size_t)ws->left;
    // The one place that writes to what a reader is given: a carrier's bytes are its scratch or kept buffer, ours during the call,
    // and each is unmasked when it is taken, so once.
    if (ws->frame.masked) cw_ws_mask((uint8_t *)(uintptr_t)bytes, count, ws->frame.mask, ws->phase);
    ws->phase += count;
    ws->left -= count;
    ws->message_empty = false;
    int error = cuv_stream_deliver(&ws->base, bytes, count);
    if (error) ws_fail(ws, error, WS_INTERNAL_ERROR);
    else if (!ws->dead && ws->left == 0) end_data_frame(ws);
    return count;
}

static void take_close(ws_stream *ws, const uint8_t *payload, size_t count) {
    if (count == 1) {
        ws_fail(ws, CUV_E_PROTOCOL, WS_PROTOCOL_ERROR);
        return;
    }
    uint16_t code = count ? (uint16_t)(payload[0] << 8 | payload[1]) : WS_NO_STATUS;
    if (!ws->close_sent) {
        ws_send_close(ws, code);
        cuv_stream_break_writing(&ws->base, CUV_E_CLOSED);
    }
    ws->close_taken = true;
    cuv_stream_deliver_end(&ws->base);
}

// A peer that pings and does not read gets no more pongs than a queue holds (RFC 6455 5.5.3 asks for the last one only).
static void answer_ping(ws_stream *ws, const uint8_t *payload, size_t count) {
    if (cuv_stream_queued(ws->carrier) < CUV_QUEUE_HIGH) ws_send_frame(ws, CW_WS_PONG, payload, count);
}

// Takes a control frame's payload when it is whole. 0: not yet.
static size_t take_control(ws_stream *ws, const uint8_t *bytes, size_t count) {
    uint8_t payload[WS_CONTROL_MAX];
    size_t length = (size_t)ws->left;
    if (count < length) return 0;
    cw_ws_mask_copy(payload, bytes, length, ws->frame.mask, 0);
    ws->in_frame = false;
    ws->left = 0;
    if (ws->frame.opcode == CW_WS_PING) answer_ping(ws, payload, length);
    if (ws->frame.opcode == CW_WS_CLOSE) take_close(ws, payload, length);
    return length;
}

static size_t on_read(void *ctx, cuv_stream *carrier, const uint8_t *bytes, size_t count) {
    (void)carrier;
    ws_stream *ws = ctx;
    size_t taken = 0;
    while (goes_on(ws)) {
        size_t rest = count - taken;
        bool bare_control = ws->in_frame && is_control(ws) && ws->left == 0;
        if (rest == 0 && !bare_control) break;
        size_t step = !ws->in_frame ? take_header(ws, bytes + taken, rest)
                    : is_control(ws) ? take_control(ws, bytes + taken, rest)
                                     : take_payload(ws, bytes + taken, rest);
        if (step == 0 && !bare_control) break;
        taken += step;
    }
    return is_deaf(ws) ? count : taken;
}

static void on_end(void *ctx, cuv_stream *carrier) {
    (void)carrier;
    ws_stream *ws = ctx;
    if (!ws->dead) cuv_stream_deliver_end(&ws->base);
}

static void on_broken(void *ctx, cuv_stream *carrier, int error) {
    (void)carrier;
    ws_stream *ws = ctx;
    ws->dead = true;
    cuv_stream_break(&ws->base, error);
}

const cuv_reader ws_carrier_reader = {on_read, on_end, on_broken};
