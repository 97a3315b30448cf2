// SPDX-License-Identifier: MIT
// A flow's life: start, back-pressure, grants, patience, end. Loop thread only. It is the reader of its source and the writer of its
// sink; it never closes or aborts either. After finish() the flow is gone: nothing of it may be touched.
#include "flow.h"

#include "stream_core.h"

// Grants what has left the sink. What others queued there counts as ours: too late rather than too early.
static void grant_left(cuv_flow *flow) {
    uint64_t waiting = cuv_stream_queued(flow->sink);
    if (flow->ungranted <= waiting) return;
    uint64_t bytes = flow->ungranted - waiting;
    flow->ungranted -= bytes;
    cuv_stream_grant(flow->source, (size_t)bytes);
}

static void moved(cuv_flow *flow) {
    if (flow->patience_ms) flow->moved_at = cuv_loop_now_ms(flow->loop);
}

// `source` and `sink` are cleared first: a stream tells a flow that it loses its place only while that flow still has one.
static void let_go(cuv_flow *flow) {
    cuv_stream *source = flow->source, *sink = flow->sink;
    uint64_t ungranted = flow->ungranted;
    flow->source = flow->sink = NULL;
    flow->ungranted = 0;
    if (source && source->reader == &cuv_flow_reader && source->reader_ctx == flow) {
        cuv_stream_grant(source, (size_t)ungranted);
        source->manual_grant = flow->had_manual_grant;
        cuv_stream_set_reader(source, NULL, NULL);
    }
    if (sink && sink->writer == &cuv_flow_writer && sink->writer_ctx == flow) cuv_stream_set_writer(sink, NULL, NULL);
    cuv_timer_free(flow->timer);
    flow->timer = NULL;
    cuv_hook_cancel(&flow->hook);
}

static void release(cuv_flow *flow) {
    cuv_loop_tally(flow->loop)->flows--;
    cuv_object_give(flow->loop, flow, sizeof *flow);
}

static void tell(cuv_flow *flow) {
    flow->result.bytes = flow->bytes;
    flow->on_done(flow->ctx, flow, flow->result);
    release(flow);
}

static void finish(cuv_flow *flow, cuv_flow_end end, int error) {
    let_go(flow);
    flow->result = (cuv_flow_result){.end = end, .error = error};
    tell(flow);
}

static void on_hook(cuv_hook *hook) {
    tell(CUV_CONTAINER(hook, cuv_flow, hook));
}

static void finish_soon(cuv_flow *flow, cuv_flow_end end, int error) {
    let_go(flow);
    flow->result = (cuv_flow_result){.end = end, .error = error};
    cuv_loop_soon(flow->loop, &flow->hook);
}

void cuv_flow_lose(void *ctx, cuv_stream *stream) {
    cuv_flow *flow = ctx;
    if (!flow->source) return;
    cuv_flow_end end = flow->source == stream ? CUV_FLOW_SOURCE_BROKE : CUV_FLOW_SINK_BROKE;
    finish_soon(flow, end, CUV_E_CLOSED);
}

static void pause_source(cuv_flow *flow) {
    flow->paused = true;
    cuv_stream_read_stop(flow->source);
}

// At most a scratch buffer above the high mark, so that a whole read is taken without a copy.
static size_t room(const cuv_flow *flow) {
    size_t most = CUV_QUEUE_HIGH + CUV_SCRATCH, queued = cuv_stream_queued(flow->sink);
    return queued < most ? most - queued : 0;
}

static size_t on_read(void *ctx, cuv_stream *source, const uint8_t *bytes, size_t count) {
    cuv_flow *flow = ctx;
    (void)source;
    size_t taken, space = room(flow);
    int error;
    cuv_flow_step step = cuv_flow_pass(flow, bytes, count < space ? count : space, &taken, &error);
    flow->ungranted += taken;
    switch (step) {
    case CUV_STEP_END: finish(flow, CUV_FLOW_MESSAGE_END, 0); return taken;
    case CUV_STEP_BAD: finish(flow, CUV_FLOW_BAD_BODY, error); return taken;
    case CUV_STEP_SINK: finish(flow, CUV_FLOW_SINK_BROKE, error); return taken;
    case CUV_STEP_ON: break;
    }
    moved(flow);
    grant_left(flow);
    if (cuv_stream_queued(flow->sink) >= CUV_QUEUE_HIGH) pause_source(flow);
    return taken;
}

static void on_end(void *ctx, cuv_stream *source) {
    cuv_flow *flow = ctx;
    (void)source;
    if (flow->framing != CUV_FLOW_RAW) {
        finish(flow, CUV_FLOW_SOURCE_BROKE, CUV_E_TRUNCATED);
        return;
    }
    int error = flow->keep_open ? 0 : cuv_stream_shut(flow->sink);
    finish(flow, error < 0 ? CUV_FLOW_SINK_BROKE : CUV_FLOW_STREAM_END, error);
}

static void on_source_broken(void *ctx, cuv_stream *source, int error) {
    (void)source;
    finish(ctx, CUV_FLOW_SOURCE_BROKE, error);
}

static void on_sink_broken(void *ctx, cuv_stream *sink, int error) {
    (void)sink;
    finish(ctx, CUV_FLOW_SINK_BROKE, error);
}

static void on_drain(void *ctx, cuv_stream *sink) {
    cuv_flow *flow = ctx;
    moved(flow);
    grant_left(flow);
    if (!flow->paused || cuv_stream_queued(sink) > CUV_QUEUE_LOW) return;
    flow->paused = false;
    cuv_stream_read_start(flow->source);
}

const cuv_reader cuv_flow_reader = {on_read, on_end, on_source_broken};
const cuv_writer cuv_flow_writer = {on_drain, on_sink_broken};

static void on_patience(void *ctx) {
    cuv_flow *flow = ctx;
    uint64_t still = cuv_loop_now_ms(flow->loop) - flow->moved_at;
    if (still >= flow->patience_ms) finish(flow, CUV_FLOW_PATIENCE, CUV_E_TIMEOUT);
    else cuv_timer_arm(flow->timer, flow->patience_ms - still);
}

static int why_closed(const cuv_stream *stream) {
    return stream->status < 0 ? stream->status : CUV_E_CLOSED;
}

static bool end_at_once(cuv_flow *flow, cuv_flow_end end, int error) {
    cuv_stream_set_reader(flow->source, NULL, NULL);
    cuv_stream_set_writer(flow->sink, NULL, NULL);
    finish_soon(flow, end, error);
    return true;
}

// True when there is nothing to run for; the end is told in this turn.
static bool is_over(cuv_flow *flow) {
    bool empty = flow->framing == CUV_FLOW_EMPTY || (flow->framing == CUV_FLOW_LENGTH && flow->remaining == 0);
    const cuv_stream *source = flow->source, *sink = flow->sink;
    if (empty) return end_at_once(flow, CUV_FLOW_MESSAGE_END, 0);
    if (source->flags & CUV_S_CLOSING) return end_at_once(flow, CUV_FLOW_SOURCE_BROKE, why_closed(source));
    if (sink->flags & (CUV_S_CLOSING | CUV_S_WRITE_BROKEN)) return end_at_once(flow, CUV_FLOW_SINK_BROKE, why_closed(sink));
    return false;
}

// An end that the source's last reader heard is still the end of what this flow copies, so it is told again.
static void take_over(cuv_flow *flow) {
    cuv_stream *source = flow->source, *sink = flow->sink;
    flow->had_manual_grant = source->manual_grant;
    source->manual_grant = true;
    source->flags &= ~(uint32_t)CUV_S_END_TOLD;
    cuv_stream_set_writer(sink, &cuv_flow_writer, flow);
    cuv_stream_set_reader(source, &cuv_flow_reader, flow);
    if (cuv_stream_queued(sink) >= CUV_QUEUE_HIGH) pause_source(flow);
    else cuv_stream_read_start(source);
}

static void fill(cuv_flow *flow, const cuv_flow_config *config) {
    flow->loop = config->source->loop;
    flow->source = config->source;
    flow->sink = config->sink;
    flow->framing = config->framing;
    flow->remaining = config->length;
    flow->keep_open = config->keep_open;
    flow->patience_ms = config->patience_ms;
    flow->on_done = config->on_done;
    flow->ctx = config->ctx;
    flow->hook.run = on_hook;
}

cuv_flow *cuv_flow_start(const cuv_flow_config *config) {
    cuv_loop *loop = config->source->loop;
    cuv_flow *flow = cuv_object_take(loop, sizeof *flow);
    if (!flow) return NULL;
    fill(flow, config);
    if (flow->patience_ms) {
        flow->timer = cuv_timer_new(loop, on_patience, flow);
        if (!flow->timer) {
            cuv_object_give(loop, flow, sizeof *flow);
            return NULL;
        }
        flow->moved_at = cuv_loop_now_ms(loop);
        cuv_timer_arm(flow->timer, flow->patience_ms);
    }
    cuv_loop_tally(loop)->flows++;
    if (!is_over(flow)) take_over(flow);
    return flow;
}

void cuv_flow_stop(cuv_flow *flow) {
    let_go(flow);
    release(flow);
}

uint64_t cuv_flow_bytes(const cuv_flow *flow) {
    return flow->bytes;
}
