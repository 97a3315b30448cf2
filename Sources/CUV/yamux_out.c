// SPDX-License-Identifier: MIT
// Frames out. All that is said in a turn gathers in one batch, and a batch is one write of the carrier; large payloads go along uncopied,
// behind the batch so far. On the loop's thread. It decides nothing about whose turn it is (yamux_schedule.c).
#include <string.h>

#include "yamux_parts.h"

enum { SLICES = 24, FRAMES = 4 };   // of one write
enum { NO_TAIL = UINT32_MAX };

// A place in the payload spans that are being sent.
typedef struct cursor {
    const cuv_span *spans;
    int count;
    size_t skip;   // bytes of the first span that were sent
} cursor;

static void look_at_carrier(cuv_yamux *session) {
    size_t queued = cuv_stream_queued(session->carrier);
    bool waited = session->congested && !yamux_list_is_empty(&session->ready);
    if (queued >= YAMUX_CARRIER_FULL) session->congested = true;
    else if (queued <= YAMUX_CARRIER_ROOM) session->congested = false;
    if (waited && !session->congested) cuv_loop_flush(session->loop, &session->flush);
    if (queued < YAMUX_CARRIER_MAX) return;
    cuv_stream *carrier = session->carrier;
    yamux_lose(session, CUV_E_LIMIT);
    cuv_stream_abort(carrier);
}

static void write_out(cuv_yamux *session, const cuv_span *spans, int count) {
    cuv_stream *carrier = session->carrier;
    int error = cuv_stream_write_spans(carrier, spans, count, false);
    if (!error) {
        look_at_carrier(session);
        return;
    }
    yamux_lose(session, error);
    cuv_stream_abort(carrier);
}

// Takes the batch off the session; it stays readable until it is given back.
static cuv_buf *take_batch(cuv_yamux *session) {
    cuv_buf *batch = session->batch;
    session->batch = NULL;
    session->tail_header = NO_TAIL;
    session->urgent = false;
    session->lazy_count = 0;
    session->lazy_at_ms = 0;
    return batch;
}

void yamux_write_batch(cuv_yamux *session) {
    cuv_buf *batch = take_batch(session);
    if (!batch) return;
    if (!session->over) write_out(session, &(cuv_span){batch->bytes, batch->end}, 1);
    cuv_buf_give(session->loop, batch);
}

// A batch begins small: a thousand sessions may each have a ping to send in one turn. Returns false without memory.
static bool widen_batch(cuv_yamux *session, size_t count) {
    cuv_buf *old = session->batch;
    size_t used = old ? old->end : 0, wanted = used + count;
    cuv_buf *batch = cuv_buf_take(session->loop, wanted > YAMUX_BATCH ? wanted : old ? YAMUX_BATCH : wanted);
    if (!batch) return false;
    if (old) memcpy(batch->bytes, old->bytes, used);
    batch->end = (uint32_t)used;
    cuv_buf_give(session->loop, old);
    session->batch = batch;
    return true;
}

// Room for `count` bytes at the end of the batch, or NULL: the session is over.
static uint8_t *batch_room(cuv_yamux *session, size_t count) {
    if (session->batch && session->batch->end + count > YAMUX_BATCH) yamux_write_batch(session);
    if (session->over) return NULL;
    bool fits = session->batch && session->batch->capacity - session->batch->end >= count;
    if (!fits && !widen_batch(session, count)) {
        cuv_stream *carrier = session->carrier;
        yamux_lose(session, CUV_E_NO_MEMORY);
        cuv_stream_abort(carrier);
        return NULL;
    }
    uint8_t *room = session->batch->bytes + session->batch->end;
    session->batch->end += (uint32_t)count;
    return room;
}

static bool put_frame(cuv_yamux *session, const cw_yamux_header *header) {
    uint8_t *room = batch_room(session, CW_YAMUX_HEADER_SIZE);
    if (!room) return false;
    cw_yamux_header_write(room, header);
    session->tail_header = NO_TAIL;
    return true;
}

void yamux_leave_soon(cuv_yamux *session) {
    session->urgent = true;
    cuv_loop_flush(session->loop, &session->flush);
}

void yamux_put(cuv_yamux *session, uint8_t type, uint16_t flags, uint32_t id, uint32_t length) {
    if (put_frame(session, &(cw_yamux_header){type, flags, id, length})) yamux_leave_soon(session);
}

void yamux_put_lazily(cuv_yamux *session, uint8_t type, uint16_t flags, uint32_t id, uint32_t length) {
    if (!put_frame(session, &(cw_yamux_header){type, flags, id, length})) return;
    if (session->urgent) return;
    if (++session->lazy_count >= YAMUX_LAZY_MAX) yamux_leave_soon(session);
    if (session->lazy_at_ms) return;
    session->lazy_at_ms = cuv_loop_now_ms(session->loop) + YAMUX_LAZY_MS;
    yamux_need_timer(session, session->lazy_at_ms);
}

static uint16_t take_flags(yamux_stream *stream) {
    if (!(stream->state & YAMUX_SYN_DUE)) return 0;
    stream->state &= ~(uint32_t)YAMUX_SYN_DUE;
    return CW_YAMUX_SYN;
}

// Copies `count` bytes from the cursor, which moves on.
static void copy_out(cursor *at, uint8_t *to, size_t count) {
    while (count > 0) {
        size_t part = at->spans->count - at->skip;
        if (part > count) part = count;
        memcpy(to, at->spans->bytes + at->skip, part);
        to += part;
        count -= part;
        at->skip += part;
        if (at->skip < at->spans->count) continue;
        at->spans += 1;
        at->skip = 0;
    }
}

// The last frame of the batch takes more of the same stream: one header instead of two.
static bool grow_tail(yamux_stream *stream, cursor *at, size_t count) {
    cuv_yamux *session = stream->session;
    cuv_buf *batch = session->batch;
    if (session->tail_header == NO_TAIL || session->tail_stream != stream->id) return false;
    if (batch->capacity - batch->end < count) return false;
    copy_out(at, batch->bytes + batch->end, count);
    batch->end += (uint32_t)count;
    uint32_t length = batch->end - session->tail_header - CW_YAMUX_HEADER_SIZE;
    uint8_t *field = batch->bytes + session->tail_header + 8;
    for (int i = 0; i < 4; i++) field[i] = (uint8_t)(length >> (24 - 8 * i));
    return true;
}

static size_t send_copied(yamux_stream *stream, cursor *at, size_t count) {
    if (grow_tail(stream, at, count)) return count;
    cuv_yamux *session = stream->session;
    uint8_t *room = batch_room(session, CW_YAMUX_HEADER_SIZE + count);
    if (!room) return count;
    cw_yamux_header_write(room, &(cw_yamux_header){CW_YAMUX_DATA, take_flags(stream), stream->id, (uint32_t)count});
    copy_out(at, room + CW_YAMUX_HEADER_SIZE, count);
    session->tail_header = (uint32_t)(room - session->batch->bytes);
    session->tail_stream = stream->id;
    return count;
}

// Describes up to `count` bytes from the cursor, which moves on. Returns how many.
static size_t slice(cursor *at, size_t count, cuv_span *out, int *used, int max) {
    size_t sliced = 0;
    while (sliced < count && *used < max) {
        size_t part = at->spans->count - at->skip;
        if (part > count - sliced) part = count - sliced;
        if (part > 0) out[(*used)++] = (cuv_span){at->spans->bytes + at->skip, part};
        sliced += part;
        at->skip += part;
        if (at->skip < at->spans->count) continue;
        at->spans += 1;
        at->skip = 0;
    }
    return sliced;
}

// One frame of up to `wanted` bytes, described in `parts`. Returns its payload's length.
static size_t frame_in_place(yamux_stream *stream, cursor *at, size_t wanted, uint8_t *head, cuv_span *parts, int *used) {
    if (wanted > YAMUX_FRAME_MAX) wanted = YAMUX_FRAME_MAX;
    parts[(*used)++] = (cuv_span){head, CW_YAMUX_HEADER_SIZE};
    size_t length = slice(at, wanted, parts, used, SLICES);
    cw_yamux_header_write(head, &(cw_yamux_header){CW_YAMUX_DATA, take_flags(stream), stream->id, (uint32_t)length});
    return length;
}

static size_t send_in_place(yamux_stream *stream, cursor *at, size_t wanted) {
    cuv_yamux *session = stream->session;
    uint8_t heads[FRAMES][CW_YAMUX_HEADER_SIZE];
    cuv_span parts[SLICES];
    cuv_buf *batch = take_batch(session);
    int used = 0;
    size_t sent = 0;
    if (batch) parts[used++] = (cuv_span){batch->bytes, batch->end};
    for (int i = 0; i < FRAMES && sent < wanted && used + 2 <= SLICES; i++)
        sent += frame_in_place(stream, at, wanted - sent, heads[i], parts, &used);
    write_out(session, parts, used);
    cuv_buf_give(session->loop, batch);
    return sent;
}

size_t yamux_send(yamux_stream *stream, const cuv_span *spans, int spans_count, size_t wanted) {
    cuv_yamux *session = stream->session;
    cursor at = {spans, spans_count, 0};
    size_t sent = 0;
    while (sent < wanted && !session->congested && !session->over) {
        size_t rest = wanted - sent;
        sent += rest > YAMUX_COPY_MAX ? send_in_place(stream, &at, rest) : send_copied(stream, &at, rest);
    }
    stream->send_window -= (uint32_t)sent;
    if (session->batch) yamux_leave_soon(session);
    return sent;
}
