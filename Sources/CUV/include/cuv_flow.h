// SPDX-License-Identifier: MIT
// A flow copies one direction from a stream to another until the message, the stream or the patience ends. It is the reader of its
// source and the writer of its destination while it runs; Swift moves no payload byte.
#ifndef CUV_FLOW_H
#define CUV_FLOW_H

#include "cuv_stream.h"

typedef struct cuv_flow cuv_flow;

typedef enum cuv_framing {
    CUV_FLOW_RAW,       ///< until the source ends
    CUV_FLOW_EMPTY,     ///< nothing: done at once
    CUV_FLOW_LENGTH,    ///< `length` bytes
    CUV_FLOW_CHUNKED,   ///< a chunked body with its trailers, passed on byte for byte
    CUV_FLOW_DECHUNK,   ///< a chunked body, only its payload passed on (for an HTTP/1.0 peer)
} cuv_framing;

typedef enum cuv_flow_end {
    CUV_FLOW_MESSAGE_END,   ///< the framed end was reached; the destination has accepted every byte of it
    CUV_FLOW_STREAM_END,    ///< RAW: the source ended; the end was passed on (shut) unless keep_open
    CUV_FLOW_SOURCE_BROKE,  ///< error: what broke it; CUV_E_TRUNCATED for an end before the framed end
    CUV_FLOW_SINK_BROKE,    ///< error: what broke it
    CUV_FLOW_BAD_BODY,      ///< error: CW_E_CHUNK_...; what came before was passed on
    CUV_FLOW_PATIENCE,      ///< nothing moved for patience_ms
} cuv_flow_end;

typedef struct cuv_flow_result {
    cuv_flow_end end;
    int error;          ///< 0 for the first two
    uint64_t bytes;     ///< passed on by this flow
} cuv_flow_result;

typedef struct cuv_flow_config {
    cuv_stream *source;
    cuv_stream *sink;
    cuv_framing framing;
    uint64_t length;         ///< bytes, for LENGTH
    bool keep_open;          ///< RAW: do not shut the sink at the end
    uint64_t patience_ms;    ///< 0: for ever; else ends when no byte moved for so long
    void (*on_done)(void *ctx, cuv_flow *flow, cuv_flow_result result);
    void *ctx;
} cuv_flow_config;

/// Starts copying; turns the source's reading on. on_done comes exactly once, unless stopped; never inside this call; it may come inside the source's on_read
/// delivery. When it comes the flow has already let go of both streams (source: reading off, reader NULL; sink: writer NULL) and frees itself after.
/// Closing a stream under it, or setting another reader or writer, ends it too (CUV_E_CLOSED), later in the turn.
/// A flow never closes or aborts a stream: its owner decides what a truncation means for the other side.
/// Kept bytes of the source go first; started inside the source's on_read, what that call does not take goes straight on, uncopied.
/// NULL only without memory.
cuv_flow *cuv_flow_start(const cuv_flow_config *config);

/// Lets go of both streams; on_done does not come. Not after on_done.
void cuv_flow_stop(cuv_flow *flow);

uint64_t cuv_flow_bytes(const cuv_flow *flow);

#endif
