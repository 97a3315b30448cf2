// SPDX-License-Identifier: MIT
// Everything that carries bytes is a stream: TCP, TLS over TCP, WebSocket over either, a yamux stream over WebSocket. This is
// their one interface; the fields of struct cuv_stream are for carriers (Sources/CUV) only.
//
// A stream has three parties: the reader (gets its bytes), the writer (hears that queued bytes left) and the owner (hears that it is
// open, and once, last of all, that it is closed). Reader and writer may be replaced at any time (a flow takes over from the head parser).
#ifndef CUV_STREAM_H
#define CUV_STREAM_H

#include "cuv_loop.h"

typedef struct cuv_stream cuv_stream;

/// A piece of memory that is read from, valid during the call it is passed to.
typedef struct cuv_span {
    const uint8_t *bytes;
    size_t count;
} cuv_span;

typedef struct cuv_reader {
    /// Bytes came, valid during the call. Returns how many were taken, 0 to count. What is not taken is kept by the stream and is
    /// offered again, in one piece, in front of the next bytes, or after the reader was replaced or cuv_stream_resume was called.
    /// After a call that took something, or replaced the reader, the rest is offered again at once while reading is on.
    size_t (*on_read)(void *ctx, cuv_stream *stream, const uint8_t *bytes, size_t count);
    /// The peer sends no more (half close). Once; only while reading is on; after all bytes were offered at least once.
    /// Bytes not taken stay kept.
    void (*on_end)(void *ctx, cuv_stream *stream);
    /// The stream broke or was aborted: no more on_read or on_end. Before the owner's on_closed. May be NULL.
    void (*on_broken)(void *ctx, cuv_stream *stream, int error);
} cuv_reader;

typedef struct cuv_writer {
    /// Some queued bytes left: `cuv_stream_queued` is smaller than it was. May be NULL.
    void (*on_drain)(void *ctx, cuv_stream *stream);
    /// As in cuv_reader. May be NULL.
    void (*on_broken)(void *ctx, cuv_stream *stream, int error);
} cuv_writer;

typedef struct cuv_owner {
    /// A dial or accept finished: the stream carries bytes from now on. Never called for a stream that is handed over open.
    void (*on_open)(void *ctx, cuv_stream *stream);
    /// Exactly once, the last call about this stream: status 0 (both directions ended, or cuv_stream_close) or the error that
    /// ended it. The stream's memory is gone when this returns.
    void (*on_closed)(void *ctx, cuv_stream *stream, int status);
} cuv_owner;

/// What a carrier implements. Nobody else calls these.
typedef struct cuv_stream_ops {
    const char *name;                                                    ///< "tcp", "tls", "ws", "yamux"
    void (*read_start)(cuv_stream *stream);
    void (*read_stop)(cuv_stream *stream);
    int (*write)(cuv_stream *stream, const cuv_span *spans, int count, bool more);  ///< all or queued: takes everything or fails
    int (*shut)(cuv_stream *stream);                                     ///< half close, behind the queue
    void (*close)(cuv_stream *stream);                                   ///< end behind the queue
    void (*abort)(cuv_stream *stream, int error);                        ///< end now, the peer is to notice (RST)
    void (*grant)(cuv_stream *stream, size_t bytes);                     ///< NULL where the carrier has no window
    void (*release)(cuv_stream *stream);                                 ///< after on_closed: frees the carrier's memory
    cuv_stream *(*below)(const cuv_stream *stream);                      ///< the stream that it owns and runs on; NULL where there is none
} cuv_stream_ops;

/// Work of the loop for later in its turn (loop_core.h). For carriers only.
typedef struct cuv_hook {
    struct cuv_hook *next;   ///< NULL: not set
    struct cuv_hook *previous;
    void (*run)(struct cuv_hook *hook);
} cuv_hook;

struct cuv_stream {
    const cuv_stream_ops *ops;
    cuv_loop *loop;
    const cuv_reader *reader;
    void *reader_ctx;
    const cuv_writer *writer;
    void *writer_ctx;
    const cuv_owner *owner;
    void *owner_ctx;
    size_t queued;         ///< bytes accepted by write that have not left towards the peer
    struct cuv_buf *kept;  ///< bytes read but not taken (pooled), or NULL
    uint32_t kept_limit;   ///< reading pauses by itself while this many bytes are kept (0: 64 KiB)
    uint32_t flags;        ///< CUV_S_..., stream_core.h
    uint32_t reader_epoch; ///< counts the changes of the reader
    int status;            ///< why it broke or what on_closed will say
    bool manual_grant;
    cuv_hook hook;         ///< what is to be told later in this turn
    uint64_t bytes_read;
    uint64_t bytes_written;
};

/// Below this many queued bytes a stopped flow goes on; at this many it stops its source.
enum { CUV_QUEUE_LOW = 64 * 1024, CUV_QUEUE_HIGH = 256 * 1024 };

void cuv_stream_set_owner(cuv_stream *stream, const cuv_owner *owner, void *ctx);
/// Sets who reads; NULL: nobody, reading stops. The tables must outlive the stream (static).
void cuv_stream_set_reader(cuv_stream *stream, const cuv_reader *reader, void *ctx);
void cuv_stream_set_writer(cuv_stream *stream, const cuv_writer *writer, void *ctx);

/// Turns reading on. Kept bytes are offered in this loop turn, not inside the call.
void cuv_stream_read_start(cuv_stream *stream);
/// Turns reading off at once: no on_read and no on_end until read_start. Allowed inside on_read.
void cuv_stream_read_stop(cuv_stream *stream);
/// Has the kept bytes offered again in this loop turn, not inside the call.
void cuv_stream_resume(cuv_stream *stream);
/// At most this many bytes are kept before reading pauses by itself (a head's limit). More than 64 KiB where heads may be longer.
void cuv_stream_set_kept_limit(cuv_stream *stream, uint32_t bytes);
/// The bytes kept: read, not taken. Valid until the next call on this stream.
cuv_span cuv_stream_kept(const cuv_stream *stream);

/// Writes all or queues what the carrier does not take now (copied). 0, or an error: nothing was taken and the stream is ending. What the
/// peer sent before its end may still be read (an early answer): the reader goes on until there is no more, then it hears on_broken.
/// `more`: another write follows in this loop turn, so small bytes may wait for it (they leave at the end of the turn at the latest).
int cuv_stream_write(cuv_stream *stream, const uint8_t *bytes, size_t count, bool more);
int cuv_stream_write_spans(cuv_stream *stream, const cuv_span *spans, int count, bool more);
/// Bytes accepted that have not left towards the peer.
size_t cuv_stream_queued(const cuv_stream *stream);

/// Half close behind the queue: the peer reads an end. Writing afterwards is CUV_E_CLOSED. Twice is once.
int cuv_stream_shut(cuv_stream *stream);
/// Ends both directions behind the queue, politely; what still comes in is thrown away. on_closed follows, with status 0 unless the queue
/// could not be written. Reader and writer hear nothing more; a flow that still runs on it ends with CUV_E_CLOSED.
/// TCP: the queue has 30 s for each step forward, then the peer 2 s to end too, so that what was written last is not lost to a reset.
void cuv_stream_close(cuv_stream *stream);
/// Ends now; the queue is thrown away; the peer sees a reset wherever the carrier has one. on_broken and on_closed follow
/// with CUV_E_ABORTED, never inside the call. Twice is once.
void cuv_stream_abort(cuv_stream *stream);

/// Says that bytes taken earlier have left on the other side (only where manual_grant is set, as a flow does). Otherwise bytes are
/// granted back to the peer as on_read takes them. Only yamux streams have a window; elsewhere it does nothing.
void cuv_stream_grant(cuv_stream *stream, size_t bytes);

bool cuv_stream_has_ended(const cuv_stream *stream);   ///< the peer's half close was seen (whether or not on_end could be called yet)
bool cuv_stream_is_shut(const cuv_stream *stream);     ///< we half closed
bool cuv_stream_is_closing(const cuv_stream *stream);  ///< closed, aborted or broken: only on_closed is to come
cuv_loop *cuv_stream_loop(const cuv_stream *stream);
const char *cuv_stream_carrier(const cuv_stream *stream);   ///< ops->name
/// The lowest of the streams that it runs on (TCP below TLS below a WebSocket); itself where there is none.
cuv_stream *cuv_stream_bottom(const cuv_stream *stream);
uint64_t cuv_stream_bytes_read(const cuv_stream *stream);
uint64_t cuv_stream_bytes_written(const cuv_stream *stream);

#endif
