// SPDX-License-Identifier: MIT
// Messages out. A server's payload goes to the carrier as it is, behind a header; a client's is masked on its one way into pooled buffers.
// On the loop's thread. It keeps nothing: what the carrier does not send the carrier queues.
#include <string.h>

#include "cw_ws_mask.h"
#include "ws_stream.h"

enum { WS_SPANS = 40 };

static size_t total_of(const cuv_span *spans, int count) {
    size_t total = 0;
    for (int i = 0; i < count; i++) total += spans[i].count;
    return total;
}

// `queued` follows the carrier's at once, on_drain only from the carrier's own.
static int pass_down(ws_stream *ws, const cuv_span *spans, int count, bool more) {
    int error = cuv_stream_write_spans(ws->carrier, spans, count, more);
    ws->base.queued = cuv_stream_queued(ws->carrier);
    return error;
}

static int write_plain(ws_stream *ws, cw_ws_header *header, const cuv_span *spans, int count, bool more) {
    uint8_t head[CW_WS_HEADER_MAX];
    cuv_span parts[WS_SPANS + 1] = {{head, cw_ws_header_write(head, header)}};
    int used = 1, error = 0;
    for (int i = 0; i < count && !error; i++) {
        parts[used++] = spans[i];
        bool last = i == count - 1;
        if (!last && used <= WS_SPANS) continue;
        error = pass_down(ws, parts, used, more || !last);
        used = 0;
    }
    return error;
}

// Where masked bytes go: as many buffers as it takes, each `room` long, written by one call.
typedef struct masked {
    cuv_buf *bufs[WS_SPANS];
    int count;
} masked;

static cuv_buf *room_of(cuv_loop *loop, masked *out, size_t wanted) {
    cuv_buf *last = out->count ? out->bufs[out->count - 1] : NULL;
    if (last && last->end < last->capacity) return last;
    if (out->count == WS_SPANS) return NULL;
    last = cuv_buf_take(loop, wanted < CUV_BUF_MAX ? wanted : CUV_BUF_MAX);
    if (last) out->bufs[out->count++] = last;
    return last;
}

// Masks as much of the span as there is room for; returns how much.
static size_t mask_some(cuv_buf *to, cuv_span from, const uint8_t mask[4], size_t phase) {
    size_t room = to->capacity - to->end, count = from.count < room ? from.count : room;
    cw_ws_mask_copy(to->bytes + to->end, from.bytes, count, mask, phase);
    to->end += (uint32_t)count;
    return count;
}

static int flush_masked(ws_stream *ws, masked *out, bool more) {
    cuv_span parts[WS_SPANS];
    for (int i = 0; i < out->count; i++)
        parts[i] = (cuv_span){out->bufs[i]->bytes, out->bufs[i]->end};
    int error = out->count ? pass_down(ws, parts, out->count, more) : 0;
    for (int i = 0; i < out->count; i++) cuv_buf_give(ws->base.loop, out->bufs[i]);
    out->count = 0;
    return error;
}

// A message longer than all the buffers together leaves in several calls.
static cuv_buf *room_or_flush(ws_stream *ws, masked *out, size_t wanted, int *error) {
    cuv_buf *buf = room_of(ws->base.loop, out, wanted);
    if (buf || out->count < WS_SPANS) return buf;
    *error = flush_masked(ws, out, true);
    return *error ? NULL : room_of(ws->base.loop, out, wanted);
}

static int mask_span(ws_stream *ws, masked *out, const cw_ws_header *header, cuv_span from, size_t *phase) {
    while (from.count > 0) {
        int error = CUV_E_NO_MEMORY;
        cuv_buf *buf = room_or_flush(ws, out, header->length - *phase, &error);
        if (!buf) return error;
        size_t done = mask_some(buf, from, header->mask, *phase);
        *phase += done;
        from = (cuv_span){from.bytes + done, from.count - done};
    }
    return 0;
}

static int write_masked(ws_stream *ws, cw_ws_header *header, const cuv_span *spans, int count, bool more) {
    ws_next_key(header->mask);
    masked out = {.count = 0};
    size_t phase = 0;
    cuv_buf *buf = room_of(ws->base.loop, &out, header->length + CW_WS_HEADER_MAX);
    if (!buf) return CUV_E_NO_MEMORY;
    buf->end = (uint32_t)cw_ws_header_write(buf->bytes, header);
    int error = 0;
    for (int i = 0; i < count && !error; i++) error = mask_span(ws, &out, header, spans[i], &phase);
    int flushed = flush_masked(ws, &out, more);
    return error ? error : flushed;
}

int ws_write(cuv_stream *stream, const cuv_span *spans, int count, bool more) {
    ws_stream *ws = (ws_stream *)stream;
    if (ws->dead || ws->close_sent || ws->end_sent) return CUV_E_CLOSED;
    size_t total = total_of(spans, count);
    if (total == 0) return 0;   // an empty message would mean an end
    cw_ws_header header = {.length = total, .opcode = CW_WS_BINARY, .fin = true, .masked = ws->client};
    return ws->client ? write_masked(ws, &header, spans, count, more) : write_plain(ws, &header, spans, count, more);
}

int ws_send_frame(ws_stream *ws, uint8_t opcode, const uint8_t *payload, size_t count) {
    if (ws->close_sent || !ws->carrier) return 0;
    uint8_t bytes[CW_WS_HEADER_MAX + WS_CONTROL_MAX];
    cw_ws_header header = {.length = count, .opcode = opcode, .fin = true, .masked = ws->client};
    if (ws->client) ws_next_key(header.mask);
    size_t head = cw_ws_header_write(bytes, &header);
    if (count) cw_ws_mask_copy(bytes + head, payload, count, header.mask, 0);
    return pass_down(ws, &(cuv_span){bytes, head + count}, 1, false);
}

int ws_send_close(ws_stream *ws, uint16_t code) {
    uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
    int error = ws_send_frame(ws, CW_WS_CLOSE, payload, code == WS_NO_STATUS ? 0 : 2);
    ws->close_sent = true;
    return error;
}
