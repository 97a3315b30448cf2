// SPDX-License-Identifier: MIT
// What stream.c and stream_offer.c share.
// Not for carriers. Loop thread only.
#ifndef CUV_STREAM_PARTS_H
#define CUV_STREAM_PARTS_H

#include "stream_core.h"

/// Notes what is to be told in this turn.
void cuv_stream_due(cuv_stream *stream, uint32_t what);
/// The hook's work: tells all that is due.
void cuv_stream_run_due(cuv_hook *hook);
/// Turns the carrier's reading on or off, as the user, the reader and the kept bytes allow.
void cuv_stream_steer(cuv_stream *stream);
/// Closes the stream when both directions have ended and everything was taken.
void cuv_stream_settle(cuv_stream *stream);
void cuv_stream_drop_kept(cuv_stream *stream);

#endif
