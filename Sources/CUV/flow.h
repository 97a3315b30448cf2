// SPDX-License-Identifier: MIT
// A flow's insides, shared by flow.c (its life) and flow_body.c (what is passed on), and what the stream core knows of it.
// Loop thread only.
#ifndef CUV_FLOW_INTERNAL_H
#define CUV_FLOW_INTERNAL_H

#include "cuv_flow.h"
#include "cuv_timer.h"
#include "cw_chunked.h"

struct cuv_flow {
    cuv_loop *loop;
    cuv_stream *source;      // NULL once let go
    cuv_stream *sink;        // NULL once let go
    cuv_framing framing;
    bool keep_open;
    bool paused;             // the source is off because the sink's queue is full
    bool had_manual_grant;   // as the source was before
    uint64_t remaining;      // LENGTH: bytes still to come
    uint64_t bytes;          // passed on
    uint64_t ungranted;      // taken from the source, not granted back yet
    uint64_t patience_ms;
    uint64_t moved_at;       // the loop's clock when bytes moved last
    cw_chunked chunked;
    cuv_timer *timer;        // only with patience
    cuv_hook hook;           // an end that may not be told inside the call
    cuv_flow_result result;
    void (*on_done)(void *ctx, cuv_flow *flow, cuv_flow_result result);
    void *ctx;
};

/// What taking a piece led to.
typedef enum cuv_flow_step {
    CUV_STEP_ON,         // more to come
    CUV_STEP_END,        // the message is complete
    CUV_STEP_BAD,        // the body broke its framing: error
    CUV_STEP_SINK,       // the sink does not take it: error
} cuv_flow_step;

/// Passes on what belongs to the message. *taken: how many bytes of the source that were; *error for the last two.
cuv_flow_step cuv_flow_pass(cuv_flow *flow, const uint8_t *bytes, size_t count, size_t *taken, int *error);

extern const cuv_reader cuv_flow_reader;
extern const cuv_writer cuv_flow_writer;

/// `stream` was closed under a running flow (the reader's or writer's context) or has another reader or writer now: the flow ends with
/// CUV_E_CLOSED in this turn.
void cuv_flow_lose(void *flow, cuv_stream *stream);

#endif
