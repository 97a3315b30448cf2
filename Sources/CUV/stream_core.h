// SPDX-License-Identifier: MIT
// The half of cuv_stream.h that carriers see: they bring bytes, ends and breaks in and hear of reads, writes and closes through
// their ops. The core keeps what readers do not take, defers what may not come inside a call, and calls on_closed once.
// Loop thread only. A carrier's struct begins with its cuv_stream (zeroed memory) and is freed in ops->release, nowhere else.
#ifndef CUV_STREAM_CORE_H
#define CUV_STREAM_CORE_H

#include "cuv_stream.h"
#include "loop_core.h"
#include "buf.h"

enum {
    CUV_S_OPEN = 1 << 0,         // carries bytes
    CUV_S_READING = 1 << 1,      // the user wants on_read
    CUV_S_FLOWING = 1 << 2,      // ops->read_start was called last, not ops->read_stop
    CUV_S_OFFERING = 1 << 3,     // inside on_read
    CUV_S_ENDED = 1 << 4,        // the peer sends no more
    CUV_S_END_TOLD = 1 << 5,     // on_end was called
    CUV_S_SHUT = 1 << 6,         // cuv_stream_shut was called
    CUV_S_CLOSING = 1 << 7,      // closed, aborted or broken: only on_closed is to come
    CUV_S_BROKEN = 1 << 8,       // status says why
    CUV_S_TELL_BREAK = 1 << 9,   // on_broken is still to be called
    CUV_S_TELL_WRITER = 1 << 10, // the writer's on_broken is still to be called (writing broke, reading goes on)
    CUV_S_OFFER_DUE = 1 << 11,   // kept bytes or the end are to be offered
    CUV_S_DRAIN_DUE = 1 << 12,   // on_drain is to be called
    CUV_S_FINISH_DUE = 1 << 13,  // on_closed is to be called
    CUV_S_WRITE_BROKEN = 1 << 14, // nothing more can be written; status says why
};

/// Fills in a stream in zeroed memory. The owner may be NULL until cuv_stream_set_owner. Not counted: carriers count what they are.
void cuv_stream_init(cuv_stream *stream, cuv_loop *loop, const cuv_stream_ops *ops, const cuv_owner *owner, void *ctx);

/// The stream carries bytes now; calls the owner's on_open (so not inside a call of the user). Nothing when it is closing.
void cuv_stream_opened(cuv_stream *stream);
/// The same for a stream that is open when it is handed over: on_open is not called.
void cuv_stream_mark_open(cuv_stream *stream);

/// Bytes came from the peer. Allowed while reading is off (then they are kept, without bound: the carrier's window or its read_stop is
/// the bound). Calls on_read, inside which anything may happen but the stream's memory stays. What is not taken is kept (copied).
/// Grants through ops->grant what the reader took, unless manual_grant. 0 or CUV_E_NO_MEMORY (then the carrier breaks the stream).
int cuv_stream_deliver(cuv_stream *stream, const uint8_t *bytes, size_t count);

/// The peer's half close came. on_end is called now or when reading is on and the bytes before it were offered. When both directions
/// have ended and nothing is kept, the core calls ops->close by itself. Twice is once.
void cuv_stream_deliver_end(cuv_stream *stream);

/// The stream is over with `error` (< 0): nothing is offered any more, kept bytes are dropped, on_broken is told in this turn (never inside).
/// The carrier goes on to take itself apart and to call cuv_stream_finish. Nothing when it broke before. After a polite close the
/// error still becomes the status. `queued` stays what it is.
/// The core calls ops->close at most once and ops->abort at most once (abort may follow close), neither after a break by the carrier.
void cuv_stream_break(cuv_stream *stream, int error);

/// Only writing broke; what the peer sent before may still be read. Tells the writer in this turn; the carrier breaks the stream at
/// the end of its reading, the core ends it by ops->abort as soon as it has no reader.
void cuv_stream_break_writing(cuv_stream *stream, int error);

/// The last step: tells what is still to be told, then on_closed (the break's error, else `status`), then ops->release frees the memory.
/// Never inside a call of the user: from a loop callback (a closed handle) only.
void cuv_stream_finish(cuv_stream *stream, int status);
/// The same from the loop's `soon` hooks: for carriers without a handle of their own.
void cuv_stream_finish_soon(cuv_stream *stream, int status);

/// Accounting of what write accepted and the carrier holds. `left` calls on_drain at once, so not inside a call of the user;
/// `left_soon` calls it in this turn; `left_quietly` not at all (bytes that leave inside the write that follows them).
void cuv_stream_queue(cuv_stream *stream, size_t bytes);
void cuv_stream_left(cuv_stream *stream, size_t bytes);
void cuv_stream_left_soon(cuv_stream *stream, size_t bytes);
void cuv_stream_left_quietly(cuv_stream *stream, size_t bytes);
/// For a carrier that keeps no queue of its own: `queued` becomes `bytes`; on_drain at once when that is less.
void cuv_stream_set_queued(cuv_stream *stream, size_t bytes);

/// True while bytes delivered would be offered to a reader at once (reading on, nothing in the way).
static inline bool cuv_stream_wants(const cuv_stream *stream) {
    return (stream->flags & (CUV_S_READING | CUV_S_CLOSING)) == CUV_S_READING && stream->reader != NULL;
}

#endif
