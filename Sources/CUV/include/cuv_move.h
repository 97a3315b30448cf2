// SPDX-License-Identifier: MIT
// Moving a connection (TCP, or TLS over TCP with all its state) from one loop to another.
// Loop thread only, but for what says "Any thread".
#ifndef CUV_MOVE_H
#define CUV_MOVE_H

#include "cuv_stream.h"

/// A connection between two loops: its descriptor, its TLS state, and the bytes that were read but not taken. Owned by whoever holds it.
typedef struct cuv_moving cuv_moving;

/// Takes an open connection with nothing queued off its loop. The stream ends: owner's on_closed(0) follows as always.
/// Fails (NULL, *error set; the stream is as it was) when bytes are queued that the system does not take now (UV_EBUSY), no descriptor is
/// left, or the stream is neither TCP nor TLS over TCP (UV_EINVAL). `skip`: how many of the kept bytes are not to move (a head already parsed).
/// Inside on_read: the bytes that on_read then does not take do not move on their own; so call it outside of on_read, or take everything and
/// pass the rest as `extra` bytes: they come first.
cuv_moving *cuv_detach(cuv_stream *stream, size_t skip, const uint8_t *extra, size_t extra_count, int *error);
/// Opens it on this loop, its bytes kept first. Takes `moving` in any case; NULL with *error set on failure (the connection is closed).
cuv_stream *cuv_attach(cuv_loop *loop, cuv_moving *moving, const cuv_owner *owner, void *ctx, int *error);
/// Closes a connection that found no new loop. Any thread.
void cuv_moving_free(cuv_moving *moving);

#endif
