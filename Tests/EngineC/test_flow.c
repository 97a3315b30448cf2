// SPDX-License-Identifier: MIT
// Flows on carriers without a network: framings at every split, pipelined bytes, truncation, back-pressure, grants, ends.
// No network; the streams are the tests' own (fake.h).
#include "fake.h"
#include "flow.h"

static cuv_loop *loop;
static fake *source, *sink;
static int dones;
static cuv_flow_result result;
static cuv_flow *flow;
static taker intruder;

static void on_done(void *ctx, cuv_flow *which, cuv_flow_result r) {
    (void)ctx;
    CHECK(which == flow || flow == NULL);
    dones++;
    result = r;
    CHECK(source->stream.reader != &cuv_flow_reader);
    CHECK(sink->stream.writer == NULL);
    CHECK_EQUAL(r.bytes, cuv_flow_bytes(which));
}

static void start(cuv_framing framing, uint64_t length, uint64_t patience_ms) {
    source = fake_new(loop);
    sink = fake_new(loop);
    dones = 0;
    flow = NULL;
    cuv_flow_config config = {.source = &source->stream, .sink = &sink->stream, .framing = framing, .length = length,
                              .patience_ms = patience_ms, .on_done = on_done};
    flow = cuv_flow_start(&config);
    CHECK(flow != NULL);
}

static void close_both(void) {
    cuv_stream_close(&source->stream);
    cuv_stream_close(&sink->stream);
}

static void say(const char *text, size_t count) { CHECK_EQUAL(cuv_stream_deliver(&source->stream, (const uint8_t *)text, count), 0); }

static void expect(cuv_flow_end end, int error, const char *passed, const char *kept) {
    CHECK_EQUAL(dones, 1);
    CHECK_EQUAL(result.end, end);
    CHECK_EQUAL(result.error, error);
    CHECK_EQUAL(sink->written_count, strlen(passed));
    CHECK(memcmp(sink->written, passed, strlen(passed)) == 0);
    cuv_span rest = cuv_stream_kept(&source->stream);
    CHECK_EQUAL(rest.count, strlen(kept));
    CHECK(rest.count == 0 || memcmp(rest.bytes, kept, rest.count) == 0);
}

// The message, then bytes of the next one, in two pieces split anywhere, and byte by byte.
static void every_split(cuv_framing framing, uint64_t length, const char *message, const char *passed) {
    char all[256];
    snprintf(all, sizeof all, "%sNEXT", message);
    size_t count = strlen(all);
    for (size_t split = 0; split <= count; split++) {
        start(framing, length, 0);
        say(all, split);
        say(all + split, count - split);
        expect(CUV_FLOW_MESSAGE_END, 0, passed, "NEXT");
        CHECK_EQUAL(source->granted, strlen(message));
        close_both();
    }
    start(framing, length, 0);
    for (size_t i = 0; i < count; i++) say(all + i, 1);
    expect(CUV_FLOW_MESSAGE_END, 0, passed, "NEXT");
    close_both();
}

static const char chunked[] = "5\r\nhello\r\n0b;a=1\r\n, chunked w\r\n0\r\nA: b\r\n\r\n";

static void framings(void *ctx) {
    (void)ctx;
    every_split(CUV_FLOW_LENGTH, 11, "hello world", "hello world");
    every_split(CUV_FLOW_CHUNKED, 0, chunked, chunked);
    every_split(CUV_FLOW_DECHUNK, 0, chunked, "hello, chunked w");
}

static void truncations(void *ctx) {
    (void)ctx;
    for (size_t cut = 0; cut < sizeof chunked - 1; cut++) {
        start(CUV_FLOW_CHUNKED, 0, 0);
        say(chunked, cut);
        cuv_stream_deliver_end(&source->stream);
        CHECK_EQUAL(dones, 1);
        CHECK_EQUAL(result.end, CUV_FLOW_SOURCE_BROKE);
        CHECK_EQUAL(result.error, CUV_E_TRUNCATED);
        CHECK_EQUAL(result.bytes, cut);
        CHECK_EQUAL(sink->shuts, 0);
        close_both();
    }
    start(CUV_FLOW_LENGTH, 6, 0);
    say("hello", 5);
    cuv_stream_deliver_end(&source->stream);
    expect(CUV_FLOW_SOURCE_BROKE, CUV_E_TRUNCATED, "hello", "");
    close_both();
    start(CUV_FLOW_CHUNKED, 0, 0);
    say("3\r\nabcX", 7);
    CHECK_EQUAL(dones, 1);
    CHECK_EQUAL(result.end, CUV_FLOW_BAD_BODY);
    CHECK(result.error <= -2000);
    close_both();
}

static void ends(void *ctx) {
    (void)ctx;
    start(CUV_FLOW_RAW, 0, 0);
    say("all", 3);
    cuv_stream_deliver_end(&source->stream);
    expect(CUV_FLOW_STREAM_END, 0, "all", "");
    CHECK_EQUAL(sink->shuts, 1);
    close_both();
    start(CUV_FLOW_RAW, 0, 0);
    sink->write_error = CUV_E_RESET;
    say("all", 3);
    CHECK_EQUAL(dones, 1);
    CHECK_EQUAL(result.end, CUV_FLOW_SINK_BROKE);
    CHECK_EQUAL(result.error, CUV_E_RESET);
    close_both();
    start(CUV_FLOW_RAW, 0, 0);
    cuv_flow_stop(flow);
    CHECK(source->stream.reader == NULL && sink->stream.writer == NULL);
    say("kept", 4);
    CHECK_EQUAL(cuv_stream_kept(&source->stream).count, 4);
    CHECK_EQUAL(dones, 0);
    close_both();
}

static void full_sink(void *ctx) {
    (void)ctx;
    static uint8_t bytes[64 * 1024];
    start(CUV_FLOW_LENGTH, 100 * sizeof bytes, 0);
    sink->stuck = true;
    for (int i = 0; i < 16; i++) CHECK_EQUAL(cuv_stream_deliver(&source->stream, bytes, sizeof bytes), 0);
    CHECK_EQUAL(cuv_stream_queued(&sink->stream), CUV_QUEUE_HIGH);     // four pieces; then it stops its source
    CHECK_EQUAL(source->stops, 1);
    CHECK_EQUAL(source->granted, 0);
    CHECK_EQUAL(cuv_stream_kept(&source->stream).count, 12 * sizeof bytes);
    fake_drain(sink, 64 * 1024);
    CHECK_EQUAL(source->granted, 64 * 1024);
    CHECK_EQUAL(source->starts, 1);
    fake_drain(sink, 128 * 1024);
    CHECK(cuv_stream_wants(&source->stream));                          // 64 KiB queued: on again, with what was kept first
    CHECK_EQUAL(source->granted, 192 * 1024);
}

static void full_again(void *ctx) {
    (void)ctx;
    size_t most = CUV_QUEUE_HIGH + CUV_SCRATCH;
    CHECK_EQUAL(cuv_stream_queued(&sink->stream), most);               // never more
    CHECK_EQUAL(cuv_stream_kept(&source->stream).count, 16 * 64 * 1024 - 192 * 1024 - most);
    cuv_stream_abort(&source->stream);
}

static void source_broke(void *ctx) {
    (void)ctx;
    CHECK_EQUAL(dones, 1);
    CHECK_EQUAL(result.end, CUV_FLOW_SOURCE_BROKE);
    CHECK_EQUAL(result.error, CUV_E_ABORTED);
    cuv_stream_close(&sink->stream);
    // The owner closes a stream under its flow.
    start(CUV_FLOW_RAW, 0, 0);
    cuv_stream_close(&sink->stream);
    CHECK_EQUAL(dones, 0);
}

static void lost(void *ctx) {
    (void)ctx;
    CHECK_EQUAL(dones, 1);
    CHECK_EQUAL(result.end, CUV_FLOW_SINK_BROKE);
    CHECK_EQUAL(result.error, CUV_E_CLOSED);
    cuv_stream_close(&source->stream);
    // Somebody else takes the reader's place.
    start(CUV_FLOW_RAW, 0, 0);
    cuv_stream_set_reader(&source->stream, &taker_reader, &intruder);
    CHECK_EQUAL(dones, 0);
}

static void displaced(void *ctx) {
    (void)ctx;
    CHECK_EQUAL(dones, 1);
    CHECK_EQUAL(result.end, CUV_FLOW_SOURCE_BROKE);
    CHECK_EQUAL(result.error, CUV_E_CLOSED);
    CHECK(source->stream.reader == &taker_reader && sink->stream.writer == NULL && !source->stream.manual_grant);
    close_both();
    // Nothing to copy: done, but not inside the call.
    start(CUV_FLOW_EMPTY, 0, 0);
    CHECK_EQUAL(dones, 0);
}

static void empty_is_done(void *ctx) {
    (void)ctx;
    expect(CUV_FLOW_MESSAGE_END, 0, "", "");
    close_both();
    start(CUV_FLOW_RAW, 0, 20);
}

static latch patience = LATCH(1);
static void out_of_patience(void *ctx, cuv_flow *which, cuv_flow_result r) {
    on_done(ctx, which, r);
    close_both();
    latch_down(&patience);
}

static void starts_patient(void *ctx) {
    (void)ctx;
    cuv_flow_stop(flow);
    cuv_flow_config config = {.source = &source->stream, .sink = &sink->stream, .patience_ms = 20, .on_done = out_of_patience};
    flow = cuv_flow_start(&config);
    say("x", 1);
}

int main(void) {
    loop = loop_up("flow");
    void (*steps[])(void *) = {framings, truncations, ends, full_sink, full_again, source_broke, lost, displaced, empty_is_done, starts_patient};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) on_loop(loop, steps[i], NULL);
    latch_wait(&patience);
    CHECK_EQUAL(result.end, CUV_FLOW_PATIENCE);
    CHECK_EQUAL(result.bytes, 1);
    loop_down(loop);
    return 0;
}
