// SPDX-License-Identifier: MIT
// The stream's face to its users: reading on and off, writing, ending, questions. Loop thread only.
// Calls nobody back: what users are to hear is set as due and told by stream_offer.c or the carrier.
#include "stream_core.h"

#include "flow.h"
#include "stream_parts.h"

enum { KEPT_LIMIT = 64 * 1024 };

void cuv_stream_init(cuv_stream *stream, cuv_loop *loop, const cuv_stream_ops *ops, const cuv_owner *owner, void *ctx) {
    stream->ops = ops;
    stream->loop = loop;
    stream->owner = owner;
    stream->owner_ctx = ctx;
    stream->kept_limit = KEPT_LIMIT;
    stream->hook.run = cuv_stream_run_due;
}

void cuv_stream_mark_open(cuv_stream *stream) {
    stream->flags |= CUV_S_OPEN;
}

void cuv_stream_due(cuv_stream *stream, uint32_t what) {
    stream->flags |= what;
    cuv_loop_soon(stream->loop, &stream->hook);
}

void cuv_stream_drop_kept(cuv_stream *stream) {
    cuv_buf_give(stream->loop, stream->kept);
    stream->kept = NULL;
}

void cuv_stream_steer(cuv_stream *stream) {
    bool want = cuv_stream_wants(stream) && !(stream->flags & CUV_S_ENDED) && cuv_stream_kept(stream).count < stream->kept_limit;
    if (want == ((stream->flags & CUV_S_FLOWING) != 0)) return;
    stream->flags ^= CUV_S_FLOWING;
    if (want) stream->ops->read_start(stream);
    else stream->ops->read_stop(stream);
}

void cuv_stream_set_owner(cuv_stream *stream, const cuv_owner *owner, void *ctx) {
    stream->owner = owner;
    stream->owner_ctx = ctx;
}

// Inside on_read the offers go on with the new reader anyway; this is for all other times.
static void offer_if_waiting(cuv_stream *stream) {
    bool end_waits = (stream->flags & (CUV_S_ENDED | CUV_S_END_TOLD)) == CUV_S_ENDED;
    if (!cuv_stream_wants(stream)) return;
    if (stream->kept || end_waits || (stream->flags & CUV_S_OFFERING)) cuv_stream_due(stream, CUV_S_OFFER_DUE);
}

// A flow that still runs on the stream ends in this turn, so that it never keeps a pointer to a stream that is gone.
static void displace_reader(cuv_stream *stream) {
    if (stream->reader == &cuv_flow_reader) cuv_flow_lose(stream->reader_ctx, stream);
}

static void displace_writer(cuv_stream *stream) {
    if (stream->writer == &cuv_flow_writer) cuv_flow_lose(stream->writer_ctx, stream);
}

void cuv_stream_set_reader(cuv_stream *stream, const cuv_reader *reader, void *ctx) {
    displace_reader(stream);
    stream->reader = reader;
    stream->reader_ctx = ctx;
    stream->reader_epoch++;
    if (!reader) stream->flags &= ~CUV_S_READING;
    // Neither written nor read any more: it ends, unless a new reader comes in this turn.
    if (!reader && (stream->flags & CUV_S_WRITE_BROKEN)) cuv_loop_soon(stream->loop, &stream->hook);
    offer_if_waiting(stream);
    cuv_stream_steer(stream);
}

void cuv_stream_set_writer(cuv_stream *stream, const cuv_writer *writer, void *ctx) {
    displace_writer(stream);
    stream->writer = writer;
    stream->writer_ctx = ctx;
}

void cuv_stream_read_start(cuv_stream *stream) {
    if (stream->flags & (CUV_S_CLOSING | CUV_S_READING)) return;
    stream->flags |= CUV_S_READING;
    offer_if_waiting(stream);
    cuv_stream_steer(stream);
}

void cuv_stream_read_stop(cuv_stream *stream) {
    stream->flags &= ~CUV_S_READING;
    cuv_stream_steer(stream);
}

void cuv_stream_resume(cuv_stream *stream) {
    offer_if_waiting(stream);
}

void cuv_stream_set_kept_limit(cuv_stream *stream, uint32_t bytes) {
    stream->kept_limit = bytes ? bytes : KEPT_LIMIT;
    cuv_stream_steer(stream);
}

cuv_span cuv_stream_kept(const cuv_stream *stream) {
    const cuv_buf *kept = stream->kept;
    return kept ? (cuv_span){kept->bytes + kept->start, cuv_buf_count(kept)} : (cuv_span){NULL, 0};
}

int cuv_stream_write_spans(cuv_stream *stream, const cuv_span *spans, int count, bool more) {
    if (stream->flags & (CUV_S_CLOSING | CUV_S_SHUT)) return CUV_E_CLOSED;
    if (stream->flags & CUV_S_WRITE_BROKEN) return stream->status;
    size_t total = 0;
    for (int i = 0; i < count; i++) total += spans[i].count;
    if (total == 0) return 0;
    int error = stream->ops->write(stream, spans, count, more);
    if (error == 0) stream->bytes_written += total;
    return error;
}

int cuv_stream_write(cuv_stream *stream, const uint8_t *bytes, size_t count, bool more) {
    cuv_span span = {bytes, count};
    return cuv_stream_write_spans(stream, &span, 1, more);
}

void cuv_stream_settle(cuv_stream *stream) {
    const uint32_t over = CUV_S_ENDED | CUV_S_END_TOLD | CUV_S_SHUT;
    uint32_t now = stream->flags & (over | CUV_S_OFFERING | CUV_S_CLOSING);
    if (now == over && !stream->kept) cuv_stream_close(stream);
}

int cuv_stream_shut(cuv_stream *stream) {
    if (stream->flags & CUV_S_SHUT) return 0;
    if (stream->flags & CUV_S_CLOSING) return CUV_E_CLOSED;
    if (stream->flags & CUV_S_WRITE_BROKEN) return stream->status;
    stream->flags |= CUV_S_SHUT;
    int error = stream->ops->shut(stream);
    if (error == 0) cuv_stream_settle(stream);
    return error;
}

static void let_go(cuv_stream *stream) {
    displace_reader(stream);
    displace_writer(stream);
    stream->reader = NULL;
    stream->writer = NULL;
    stream->reader_epoch++;
}

void cuv_stream_close(cuv_stream *stream) {
    if (stream->flags & CUV_S_CLOSING) return;
    stream->flags |= CUV_S_CLOSING;
    stream->flags &= ~(uint32_t)(CUV_S_READING | CUV_S_OFFER_DUE | CUV_S_DRAIN_DUE | CUV_S_TELL_WRITER);
    cuv_stream_drop_kept(stream);
    let_go(stream);
    cuv_stream_steer(stream);
    stream->ops->close(stream);
}

void cuv_stream_break(cuv_stream *stream, int error) {
    if (stream->flags & CUV_S_BROKEN) return;
    bool silent = stream->flags & CUV_S_CLOSING;
    stream->flags |= CUV_S_BROKEN | CUV_S_CLOSING;
    stream->flags &= ~(uint32_t)(CUV_S_READING | CUV_S_OFFER_DUE | CUV_S_DRAIN_DUE | CUV_S_TELL_WRITER);
    stream->status = error;
    cuv_stream_drop_kept(stream);
    cuv_stream_steer(stream);
    if (!silent) cuv_stream_due(stream, CUV_S_TELL_BREAK);
}

void cuv_stream_break_writing(cuv_stream *stream, int error) {
    if (stream->flags & (CUV_S_BROKEN | CUV_S_WRITE_BROKEN)) return;
    stream->flags |= CUV_S_WRITE_BROKEN;
    stream->status = error;
    cuv_stream_due(stream, CUV_S_TELL_WRITER);
}

void cuv_stream_abort(cuv_stream *stream) {
    if (stream->flags & CUV_S_BROKEN) return;
    cuv_stream_break(stream, CUV_E_ABORTED);
    stream->ops->abort(stream, CUV_E_ABORTED);
}

void cuv_stream_grant(cuv_stream *stream, size_t bytes) {
    if (bytes > 0 && stream->ops->grant && !(stream->flags & CUV_S_CLOSING)) stream->ops->grant(stream, bytes);
}

size_t cuv_stream_queued(const cuv_stream *stream) { return stream->queued; }
bool cuv_stream_has_ended(const cuv_stream *stream) { return stream->flags & CUV_S_ENDED; }
bool cuv_stream_is_shut(const cuv_stream *stream) { return stream->flags & CUV_S_SHUT; }
bool cuv_stream_is_closing(const cuv_stream *stream) { return stream->flags & CUV_S_CLOSING; }
cuv_loop *cuv_stream_loop(const cuv_stream *stream) { return stream->loop; }
const char *cuv_stream_carrier(const cuv_stream *stream) { return stream->ops->name; }

cuv_stream *cuv_stream_bottom(const cuv_stream *stream) {
    const cuv_stream *below = stream;
    while (below) {
        stream = below;
        below = stream->ops->below ? stream->ops->below(stream) : NULL;
    }
    return (cuv_stream *)(uintptr_t)stream;
}

uint64_t cuv_stream_bytes_read(const cuv_stream *stream) { return stream->bytes_read; }
uint64_t cuv_stream_bytes_written(const cuv_stream *stream) { return stream->bytes_written; }
