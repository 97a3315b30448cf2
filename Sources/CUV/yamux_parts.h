// SPDX-License-Identifier: MIT
// What the yamux_*.c ask of each other. Not for anyone else. Loop thread only.
// None of these calls the user back unless it says so, so a stream or session passed in is still there afterwards.
#ifndef YAMUX_PARTS_H
#define YAMUX_PARTS_H

#include "yamux_types.h"

// yamux_out.c: frames into the batch, batches to the carrier.
/// Appends a frame without payload; it leaves at the end of this turn.
void yamux_put(cuv_yamux *session, uint8_t type, uint16_t flags, uint32_t id, uint32_t length);
/// Has the batch leave at the end of this turn.
void yamux_leave_soon(cuv_yamux *session);
/// As yamux_put, for a frame that nobody waits for: it leaves with the next others, or by itself shortly.
void yamux_put_lazily(cuv_yamux *session, uint8_t type, uint16_t flags, uint32_t id, uint32_t length);
/// Sends up to `wanted` bytes of the spans as data frames, SYN on the first where it is due, until the carrier is full. The send window
/// must allow them. Returns how many were sent.
size_t yamux_send(yamux_stream *stream, const cuv_span *spans, int spans_count, size_t wanted);
/// Writes the batch to the carrier.
void yamux_write_batch(cuv_yamux *session);

// yamux_schedule.c: who says what, and when.
/// Has the stream speak at the end of this turn (`what`: YAMUX_SYN_DUE, YAMUX_GRANT_DUE or YAMUX_FIN_DUE).
void yamux_due(yamux_stream *stream, uint32_t what);
/// Has them all speak now.
void yamux_speak(cuv_yamux *session);
/// Lets the stream send from its queue, in turn with others, when it has one and a window.
void yamux_enlist(yamux_stream *stream);
/// Sends from the queues while the carrier has room. Calls on_drain.
void yamux_pump(cuv_yamux *session);
/// The session's flush hook.
void yamux_run_flush(cuv_hook *hook);
/// One fewer waits for its ACK: another may open.
void yamux_acknowledged(yamux_stream *stream);

// yamux_in.c
/// The carrier's on_read; ctx is the session. Calls the user.
size_t yamux_on_read(void *ctx, cuv_stream *carrier, const uint8_t *bytes, size_t count);

// yamux_stream.c: a stream's life.
/// A stream in the table, or NULL without memory.
yamux_stream *yamux_stream_new(cuv_yamux *session, uint32_t id, const cuv_owner *owner, void *ctx);
/// Sends FIN when it is wanted and nothing is in front of it.
void yamux_try_fin(yamux_stream *stream);
/// The peer's FIN. Calls the user.
void yamux_take_fin(yamux_stream *stream);
/// The peer's RST.
void yamux_take_reset(yamux_stream *stream);
/// Sends RST where the peer knows the stream, breaks it with `error` (0: it was closed politely already) and ends it.
void yamux_reset(yamux_stream *stream, int error);
/// Ends it without a frame: the session is over.
void yamux_stream_lose(yamux_stream *stream);
/// Refuses all whose SYN has not left: the peer takes no more.
void yamux_refuse_unsent(cuv_yamux *session);

// yamux_open.c
/// A SYN of the peer. The stream, or NULL: it was refused, or the session is over. `bare`: no data came with it. Calls the user.
yamux_stream *yamux_accept(cuv_yamux *session, uint32_t id, bool bare);

// yamux_time.c
/// Makes sure that the session's timer fires by then.
void yamux_need_timer(cuv_yamux *session, uint64_t at_ms);
void yamux_on_timer(void *ctx);
/// A window is busy: the distance to the peer should be known by the time it is to be announced.
void yamux_measure(cuv_yamux *session);
/// Calls the user.
void yamux_take_pong(cuv_yamux *session, uint32_t opaque);
/// Asks behind our go away whether the peer has read it.
void yamux_ask_whether_heeded(cuv_yamux *session);
/// Starts the clock of a half closed stream, or that of one that was closed.
void yamux_watch_half(yamux_stream *stream);
void yamux_watch_lingering(yamux_stream *stream);

// yamux.c: the session's life.
/// The peer broke the protocol, or the system has no memory: go away with `code`, then the end.
void yamux_fail(cuv_yamux *session, int error, uint32_t code);
/// The session is over: streams break, on_closed follows when the carrier is closed (its ending is the caller's).
void yamux_lose(cuv_yamux *session, int status);
/// Calls on_served when we said go away, the peer has read it and no stream is left. The session may be over afterwards, never gone.
void yamux_tell_served(cuv_yamux *session);
/// Calls on_closed in this turn when nothing is left of the session.
void yamux_finish_when_empty(cuv_yamux *session);
/// Counts a broken rule that does no harm; endless ones end the session. Tells the user.
void yamux_oddity(cuv_yamux *session);
/// Tells the user, for whom the session is out of bounds meanwhile.
void yamux_tell_fault(cuv_yamux *session);

#endif
