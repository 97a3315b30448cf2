// SPDX-License-Identifier: MIT
// The stream's face to its carrier: bytes, ends and breaks come in here and reach the reader, the writer and the owner.
// Loop thread only. Anything may be called inside a callback; the memory stays, since only cuv_stream_finish ends it.
#include <string.h>

#include "stream_core.h"
#include "stream_parts.h"

void cuv_stream_opened(cuv_stream *stream) {
    if (stream->flags & CUV_S_CLOSING) return;
    stream->flags |= CUV_S_OPEN;
    if (stream->owner && stream->owner->on_open) stream->owner->on_open(stream->owner_ctx, stream);
}

// The same bytes with room for `more` behind them. Takes buf (may be NULL); NULL without memory (then buf is unchanged).
// A byte that waits moves once or twice, however slowly a large backlog is taken: it grows to twice its size or is moved only when half
// of what it was is gone.
static cuv_buf *with_room(cuv_loop *loop, cuv_buf *buf, size_t more) {
    if (!buf) return cuv_buf_take(loop, more);
    size_t count = cuv_buf_count(buf);
    if (buf->capacity - buf->end >= more) return buf;
    bool compact = buf->capacity - count >= more && buf->start >= count / 2;
    cuv_buf *to = compact ? buf : cuv_buf_take(loop, 2 * count + more);
    if (!to) return NULL;
    memmove(to->bytes, buf->bytes + buf->start, count);
    if (to != buf) cuv_buf_give(loop, buf);
    to->start = 0;
    to->end = (uint32_t)count;
    return to;
}

static int keep(cuv_stream *stream, const uint8_t *bytes, size_t count) {
    cuv_buf *buf = with_room(stream->loop, stream->kept, count);
    if (!buf) return CUV_E_NO_MEMORY;
    memcpy(buf->bytes + buf->end, bytes, count);
    buf->end += (uint32_t)count;
    stream->kept = buf;
    return 0;
}

// What was being offered and was not taken goes in front of what came meanwhile.
static int put_back(cuv_stream *stream, cuv_buf *front) {
    cuv_buf *behind = stream->kept;
    stream->kept = front;
    if (!behind) return 0;
    int error = keep(stream, behind->bytes + behind->start, cuv_buf_count(behind));
    cuv_buf_give(stream->loop, behind);
    return error;
}

static size_t offer_once(cuv_stream *stream, const uint8_t *bytes, size_t count) {
    bool manual = stream->manual_grant;
    stream->flags = (stream->flags | CUV_S_OFFERING) & ~(uint32_t)CUV_S_OFFER_DUE;
    size_t taken = stream->reader->on_read(stream->reader_ctx, stream, bytes, count);
    stream->flags &= ~(uint32_t)CUV_S_OFFERING;
    if (taken > count) taken = count;
    if (!manual) cuv_stream_grant(stream, taken);
    return taken;
}

// Offers until all is taken, the reader takes nothing, or reading is off. Returns how many bytes were taken.
static size_t offer(cuv_stream *stream, const uint8_t *bytes, size_t count) {
    size_t taken = 0;
    while (taken < count && cuv_stream_wants(stream)) {
        uint32_t epoch = stream->reader_epoch;
        size_t part = offer_once(stream, bytes + taken, count - taken);
        taken += part;
        if (part == 0 && epoch == stream->reader_epoch) break;
    }
    return taken;
}

// The kept bytes are taken out of the stream while they are offered, so that nothing moves them under the reader.
static int offer_kept(cuv_stream *stream) {
    cuv_buf *buf = stream->kept;
    stream->kept = NULL;
    buf->start += (uint32_t)offer(stream, buf->bytes + buf->start, cuv_buf_count(buf));
    if (cuv_buf_count(buf) > 0 && !(stream->flags & CUV_S_CLOSING)) return put_back(stream, buf);
    cuv_buf_give(stream->loop, buf);
    return 0;
}

static int offer_fresh(cuv_stream *stream, const uint8_t *bytes, size_t count) {
    size_t taken = offer(stream, bytes, count);
    if (taken == count || (stream->flags & CUV_S_CLOSING)) return 0;
    cuv_buf *rest = cuv_buf_take(stream->loop, count - taken);
    if (!rest) return CUV_E_NO_MEMORY;
    memcpy(rest->bytes, bytes + taken, count - taken);
    rest->end = (uint32_t)(count - taken);
    return put_back(stream, rest);
}

int cuv_stream_deliver(cuv_stream *stream, const uint8_t *bytes, size_t count) {
    if (count == 0 || (stream->flags & CUV_S_CLOSING)) return 0;
    stream->bytes_read += count;
    bool now = cuv_stream_wants(stream) && !(stream->flags & CUV_S_OFFERING);
    int error = 0;
    if (now && !stream->kept) {
        error = offer_fresh(stream, bytes, count);
    } else {
        error = keep(stream, bytes, count);
        if (error == 0 && now) error = offer_kept(stream);
    }
    cuv_stream_steer(stream);
    return error;
}

static void tell_end(cuv_stream *stream) {
    bool waits = (stream->flags & (CUV_S_ENDED | CUV_S_END_TOLD)) == CUV_S_ENDED;
    if (!waits || !cuv_stream_wants(stream)) return;
    stream->flags |= CUV_S_END_TOLD;
    if (stream->reader->on_end) stream->reader->on_end(stream->reader_ctx, stream);
}

void cuv_stream_deliver_end(cuv_stream *stream) {
    if (stream->flags & (CUV_S_CLOSING | CUV_S_ENDED)) return;
    stream->flags |= CUV_S_ENDED;
    cuv_stream_steer(stream);
    if (stream->flags & CUV_S_OFFERING) cuv_stream_due(stream, CUV_S_OFFER_DUE);
    if (stream->flags & CUV_S_OFFER_DUE) return;
    tell_end(stream);
    cuv_stream_settle(stream);
}

// The tables are read anew after each call: a callback may have replaced them.
static void tell_break(cuv_stream *stream) {
    stream->flags &= ~(uint32_t)CUV_S_TELL_BREAK;
    const cuv_reader *reader = stream->reader;
    if (reader && reader->on_broken) reader->on_broken(stream->reader_ctx, stream, stream->status);
    const cuv_writer *writer = stream->writer;
    if (writer && writer->on_broken) writer->on_broken(stream->writer_ctx, stream, stream->status);
}

// The writer is let go first, so that it does not hear of the break again.
static void tell_writer(cuv_stream *stream) {
    const cuv_writer *writer = stream->writer;
    void *ctx = stream->writer_ctx;
    stream->flags &= ~(uint32_t)CUV_S_TELL_WRITER;
    stream->writer = NULL;
    if (writer && writer->on_broken) writer->on_broken(ctx, stream, stream->status);
}

static void tell_drain(cuv_stream *stream) {
    stream->flags &= ~(uint32_t)CUV_S_DRAIN_DUE;
    if (stream->flags & CUV_S_CLOSING) return;
    if (stream->writer && stream->writer->on_drain) stream->writer->on_drain(stream->writer_ctx, stream);
}

static void tell_offer(cuv_stream *stream) {
    stream->flags &= ~(uint32_t)CUV_S_OFFER_DUE;
    int error = stream->kept && cuv_stream_wants(stream) ? offer_kept(stream) : 0;
    if (error < 0) {
        cuv_stream_abort(stream);
        return;
    }
    // What the offer set as due (another reader, reading on again) comes before the end.
    if (!(stream->flags & CUV_S_OFFER_DUE)) tell_end(stream);
    cuv_stream_steer(stream);
    cuv_stream_settle(stream);
}

// Writing broke and nobody reads: nothing can come of this stream.
static void end_if_useless(cuv_stream *stream) {
    bool useless = (stream->flags & (CUV_S_WRITE_BROKEN | CUV_S_CLOSING)) == CUV_S_WRITE_BROKEN && !stream->reader;
    if (!useless) return;
    int error = stream->status;
    cuv_stream_break(stream, error);
    stream->ops->abort(stream, error);
}

void cuv_stream_run_due(cuv_hook *hook) {
    cuv_stream *stream = CUV_CONTAINER(hook, cuv_stream, hook);
    if (stream->flags & CUV_S_TELL_BREAK) tell_break(stream);
    if (stream->flags & CUV_S_TELL_WRITER) tell_writer(stream);
    if (stream->flags & CUV_S_DRAIN_DUE) tell_drain(stream);
    if (stream->flags & CUV_S_OFFER_DUE) tell_offer(stream);
    end_if_useless(stream);
    if (stream->flags & CUV_S_FINISH_DUE) cuv_stream_finish(stream, stream->status);
}

void cuv_stream_finish(cuv_stream *stream, int status) {
    if (stream->flags & CUV_S_TELL_BREAK) tell_break(stream);
    stream->flags |= CUV_S_CLOSING;
    cuv_hook_cancel(&stream->hook);
    cuv_buf_give(stream->loop, stream->kept);
    stream->kept = NULL;
    if (stream->flags & CUV_S_BROKEN) status = stream->status;
    if (stream->owner && stream->owner->on_closed) stream->owner->on_closed(stream->owner_ctx, stream, status);
    stream->ops->release(stream);
}

void cuv_stream_finish_soon(cuv_stream *stream, int status) {
    if (!(stream->flags & CUV_S_BROKEN)) stream->status = status;
    stream->flags |= CUV_S_CLOSING;
    cuv_stream_due(stream, CUV_S_FINISH_DUE);
}

void cuv_stream_queue(cuv_stream *stream, size_t bytes) {
    stream->queued += bytes;
}

void cuv_stream_left_quietly(cuv_stream *stream, size_t bytes) {
    stream->queued -= bytes < stream->queued ? bytes : stream->queued;
}

void cuv_stream_left(cuv_stream *stream, size_t bytes) {
    if (bytes == 0) return;
    cuv_stream_left_quietly(stream, bytes);
    tell_drain(stream);
}

void cuv_stream_left_soon(cuv_stream *stream, size_t bytes) {
    if (bytes == 0) return;
    cuv_stream_left_quietly(stream, bytes);
    cuv_stream_due(stream, CUV_S_DRAIN_DUE);
}

void cuv_stream_set_queued(cuv_stream *stream, size_t bytes) {
    bool less = bytes < stream->queued;
    stream->queued = bytes;
    if (less) tell_drain(stream);
}
