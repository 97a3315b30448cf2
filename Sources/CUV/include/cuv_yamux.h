// SPDX-License-Identifier: MIT
// A yamux session (hashicorp yamux spec, version 0) on a carrier stream, and its streams.
// Frames of one loop turn leave as one write of the carrier: one WebSocket message a batch. Data frames carry at most 64 KiB and
// interleave in turn, so no stream starves another; one slow stream never stops the session.
#ifndef CUV_YAMUX_H
#define CUV_YAMUX_H

#include "cuv_stream.h"

typedef struct cuv_yamux cuv_yamux;

typedef struct cuv_yamux_events {
    /// The peer opened a stream: set an owner inside the call (then it counts as accepted), or it is refused with RST. Its reading is off.
    void (*on_stream)(void *ctx, cuv_yamux *session, cuv_stream *stream);
    /// The peer takes no new streams (its code: 0 normal, 1 protocol error, 2 internal error); those open go on.
    void (*on_go_away)(void *ctx, cuv_yamux *session, uint32_t code);
    /// A ping was answered; nanoseconds. May be NULL.
    void (*on_round_trip)(void *ctx, cuv_yamux *session, uint64_t nanoseconds);
    /// After cuv_yamux_go_away: the peer has read it and all that it had opened has ended; nothing more comes. May be NULL.
    void (*on_served)(void *ctx, cuv_yamux *session);
    /// Exactly once, last: the session and its carrier are gone, all its streams were closed before (CUV_E_SESSION_LOST).
    /// 0: a clean end. CUV_E_TIMEOUT: the peer was silent, behind a ping too.
    void (*on_closed)(void *ctx, cuv_yamux *session, int status);
    /// The peer broke a rule that does no harm, or opened more streams than max_streams; the session goes on, or is about to end. For a counter:
    /// the session must not be called from here. May be NULL.
    void (*on_fault)(void *ctx, cuv_yamux *session);
} cuv_yamux_events;

typedef struct cuv_yamux_config {
    bool client;                 ///< odd stream ids when opening; the end that dialled. The other end opens even ids from 2.
    uint32_t max_streams;        ///< open at once; beyond: the peer's are refused with RST, ours fail with CUV_E_LIMIT. 0: 65,536
    uint32_t max_unacknowledged; ///< streams of ours waiting for ACK; beyond they wait their turn. 0: 256, what the original allows
    uint32_t max_window;         ///< bytes a stream's receive window may grow to. 0: 16 MiB
    uint64_t session_window;     ///< bytes all receive windows together may grow by. 0: 64 MiB. All of a process: 512 MiB; who asks gets a quarter of what is left at most
    uint64_t ping_interval_ms;   ///< without a byte from the peer, then a ping. 0: 2.4 s at the server's end, which so is the one that asks, 2.8 s at the other
    uint64_t ping_timeout_ms;    ///< without a byte after a ping, then the session is lost. 0: 2.4 s, 2 s at the other end
    bool peer_serves_late;       ///< the peer serves what was opened before its go away was read (ours do); else that counts as not taken when the session is lost
} cuv_yamux_config;

/// Makes a session that owns `carrier`. NULL only without memory (the carrier stays the caller's).
cuv_yamux *cuv_yamux_new(cuv_stream *carrier, const cuv_yamux_config *config, const cuv_yamux_events *events, void *ctx);

/// Opens a stream; it may be written to at once (its SYN leaves with the first data of this turn). The owner hears on_open at the peer's ACK, or on_closed:
/// CUV_E_REFUSED when the peer answers with RST before anything else, or surely never took it when the session was lost or the peer went away. NULL with *error: CUV_E_GOING_AWAY, CUV_E_LIMIT, CUV_E_CLOSED.
cuv_stream *cuv_yamux_open(cuv_yamux *session, const cuv_owner *owner, void *ctx, int *error);

/// Tells the peer to open no new streams (code 0, 1, 2). Streams that are open go on; those it opens before it reads this are accepted; then on_served.
void cuv_yamux_go_away(cuv_yamux *session, uint32_t code);

/// Ends the session politely: go away, close the carrier behind its queue; streams still open break with CUV_E_SESSION_LOST.
void cuv_yamux_close(cuv_yamux *session);

/// Ends it now; the carrier is reset.
void cuv_yamux_abort(cuv_yamux *session);

uint32_t cuv_yamux_stream_count(const cuv_yamux *session);
/// The last measured round trip in nanoseconds, 0 before the first.
uint64_t cuv_yamux_round_trip(const cuv_yamux *session);
cuv_stream *cuv_yamux_carrier(const cuv_yamux *session);

/// The session of a yamux stream; NULL for any other stream. And its id.
cuv_yamux *cuv_yamux_session(const cuv_stream *stream);
uint32_t cuv_yamux_stream_id(const cuv_stream *stream);

#endif
