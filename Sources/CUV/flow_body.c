// SPDX-License-Identifier: MIT
// What a flow passes on, framing by framing. Writes to the sink; changes nothing else but the flow's place in its message.
// Loop thread only.
#include "flow.h"

#include "stream_core.h"

/// Small pieces wait for the end of the turn where one turn may bring several (frames of a batch); a TCP read brings all there is.
enum { SMALL = 4096, SPANS = 16 };

static bool may_wait(const cuv_flow *flow, size_t count) {
    bool last = flow->framing == CUV_FLOW_LENGTH && count == flow->remaining;
    return count < SMALL && !last && flow->source->ops->grant != NULL;
}

static cuv_flow_step put(cuv_flow *flow, const cuv_span *spans, int count, size_t bytes, int *error) {
    *error = cuv_stream_write_spans(flow->sink, spans, count, may_wait(flow, bytes));
    if (*error < 0) return CUV_STEP_SINK;
    flow->bytes += bytes;
    return CUV_STEP_ON;
}

static cuv_flow_step put_one(cuv_flow *flow, const uint8_t *bytes, size_t count, int *error) {
    cuv_span span = {bytes, count};
    return put(flow, &span, 1, count, error);
}

static cuv_flow_step pass_length(cuv_flow *flow, const uint8_t *bytes, size_t count, size_t *taken, int *error) {
    if (count > flow->remaining) count = (size_t)flow->remaining;
    cuv_flow_step step = put_one(flow, bytes, count, error);
    if (step != CUV_STEP_ON) return step;
    *taken = count;
    flow->remaining -= count;
    return flow->remaining == 0 ? CUV_STEP_END : CUV_STEP_ON;
}

static cuv_flow_step after_scan(const cuv_flow *flow, int64_t scanned, int *error) {
    *error = scanned < 0 ? (int)scanned : flow->chunked.error;
    if (*error < 0) return CUV_STEP_BAD;
    return cw_chunked_done(&flow->chunked) ? CUV_STEP_END : CUV_STEP_ON;
}

static cuv_flow_step pass_chunked(cuv_flow *flow, const uint8_t *bytes, size_t count, size_t *taken, int *error) {
    cuv_flow_step step = CUV_STEP_ON;
    while (step == CUV_STEP_ON && *taken < count) {
        int64_t scanned = cw_chunked_scan(&flow->chunked, bytes + *taken, count - *taken, NULL, NULL);
        step = after_scan(flow, scanned, error);
        if (scanned <= 0) break;
        int refused;
        if (put_one(flow, bytes + *taken, (size_t)scanned, &refused) != CUV_STEP_ON) {
            *error = refused;
            return CUV_STEP_SINK;
        }
        *taken += (size_t)scanned;
    }
    return step;
}

// Scans for payload until the bytes, the body or the spans end.
static cuv_flow_step collect(cuv_flow *flow, const uint8_t *bytes, size_t count, size_t *taken, cuv_span *spans, int *used, int *error) {
    cuv_flow_step step = CUV_STEP_ON;
    while (step == CUV_STEP_ON && *taken < count && *used < SPANS) {
        size_t payload = 0, payload_count = 0;
        const uint8_t *at = bytes + *taken;
        int64_t scanned = cw_chunked_scan(&flow->chunked, at, count - *taken, &payload, &payload_count);
        step = after_scan(flow, scanned, error);
        if (scanned <= 0) break;
        if (payload_count > 0) spans[(*used)++] = (cuv_span){at + payload, payload_count};
        *taken += (size_t)scanned;
    }
    return step;
}

static cuv_flow_step pass_payload(cuv_flow *flow, const uint8_t *bytes, size_t count, size_t *taken, int *error) {
    cuv_flow_step step = CUV_STEP_ON;
    while (step == CUV_STEP_ON && *taken < count) {
        cuv_span spans[SPANS];
        int used = 0, refused = 0;
        size_t before = *taken, total = 0;
        step = collect(flow, bytes, count, taken, spans, &used, error);
        for (int i = 0; i < used; i++) total += spans[i].count;
        if (put(flow, spans, used, total, &refused) != CUV_STEP_ON) {
            *error = refused;
            return CUV_STEP_SINK;
        }
        if (*taken == before) break;
    }
    return step;
}

cuv_flow_step cuv_flow_pass(cuv_flow *flow, const uint8_t *bytes, size_t count, size_t *taken, int *error) {
    *taken = 0;
    *error = 0;
    switch (flow->framing) {
    case CUV_FLOW_LENGTH: return pass_length(flow, bytes, count, taken, error);
    case CUV_FLOW_CHUNKED: return pass_chunked(flow, bytes, count, taken, error);
    case CUV_FLOW_DECHUNK: return pass_payload(flow, bytes, count, taken, error);
    case CUV_FLOW_EMPTY: return CUV_STEP_END;
    case CUV_FLOW_RAW: break;
    }
    cuv_flow_step step = put_one(flow, bytes, count, error);
    if (step == CUV_STEP_ON) *taken = count;
    return step;
}
