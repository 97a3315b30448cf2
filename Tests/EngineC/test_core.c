// SPDX-License-Identifier: MIT
// The rules of cuv_stream.h, on a carrier without a network: what is kept and offered again, when an end is told, how a stream ends.
// No network; the streams are the tests' own (fake.h).
#include "fake.h"

static cuv_loop *loop;
static fake *f;
static taker t;
static taker other;
static ears heard;
static int releases;

static void say(const char *text) { CHECK_EQUAL(cuv_stream_deliver(&f->stream, (const uint8_t *)text, strlen(text)), 0); }
static void expect_offer(const taker *who, const char *text) {
    CHECK_EQUAL(who->last_count, strlen(text));
    CHECK(memcmp(who->last, text, strlen(text)) == 0);
}

static void fresh(size_t take) {
    f = fake_new(loop);
    t = (taker){.take = take};
    other = (taker){.take = SIZE_MAX};
    heard = (ears){0};
    cuv_stream_set_owner(&f->stream, &ears_owner, &heard);
    f->releases = &releases;
    cuv_stream_set_reader(&f->stream, &taker_reader, &t);
}

static void keeps_what_is_left(void *ctx) {
    (void)ctx;
    fresh(0);
    cuv_stream_read_start(&f->stream);
    CHECK_EQUAL(f->starts, 1);
    say("abc");
    expect_offer(&t, "abc");
    say("def");
    expect_offer(&t, "abcdef");
    CHECK_EQUAL(t.offers, 2);
    t.take = 4;
    say("g");
    expect_offer(&t, "efg");    // abcdefg: four taken, the rest offered at once, three taken
    CHECK_EQUAL(t.offers, 4);
    CHECK_EQUAL(cuv_stream_kept(&f->stream).count, 0);
    CHECK_EQUAL(f->granted, 7);
    CHECK_EQUAL(cuv_stream_bytes_read(&f->stream), 7);
}

static void off_keeps(void *ctx) {
    (void)ctx;
    t = (taker){.take = SIZE_MAX};
    cuv_stream_read_stop(&f->stream);
    CHECK_EQUAL(f->stops, 1);
    say("hij");
    cuv_stream_deliver_end(&f->stream);
    CHECK(cuv_stream_has_ended(&f->stream));
    CHECK_EQUAL(t.offers + t.ends, 0);
    cuv_stream_read_start(&f->stream);
    CHECK_EQUAL(t.offers + t.ends, 0);   // not inside the call
}

static void on_tells(void *ctx) {
    (void)ctx;
    expect_offer(&t, "hij");
    CHECK_EQUAL(t.ends, 1);
    CHECK_EQUAL(f->starts, 1);           // ended: the carrier does not read again
    CHECK_EQUAL(heard.closes, 0);
    CHECK_EQUAL(cuv_stream_shut(&f->stream), 0);
    CHECK_EQUAL(cuv_stream_shut(&f->stream), 0);
    CHECK_EQUAL(f->shuts, 1);
    CHECK_EQUAL(cuv_stream_write(&f->stream, (const uint8_t *)"x", 1, false), CUV_E_CLOSED);
    CHECK_EQUAL(f->closes, 1);           // both directions ended
    CHECK_EQUAL(heard.closes, 0);
}

static void is_closed(void *ctx) {
    (void)ctx;
    CHECK_EQUAL(heard.closes, 1);
    CHECK_EQUAL(heard.status, 0);
    CHECK_EQUAL(releases, 1);
}

static void limit_pauses(void *ctx) {
    (void)ctx;
    fresh(0);
    cuv_stream_set_kept_limit(&f->stream, 4);
    cuv_stream_read_start(&f->stream);
    say("abc");
    CHECK_EQUAL(f->stops, 0);
    say("de");
    CHECK_EQUAL(f->stops, 1);
    cuv_stream_resume(&f->stream);
    CHECK_EQUAL(t.offers, 2);
    t.take = 2;
}

static void taking_goes_on(void *ctx) {
    (void)ctx;
    CHECK_EQUAL(t.offers, 5);            // abcde, cde, e
    expect_offer(&t, "e");
    CHECK_EQUAL(f->starts, 2);
    cuv_stream_abort(&f->stream);
    cuv_stream_abort(&f->stream);
    CHECK_EQUAL(t.breaks, 0);
    CHECK(cuv_stream_is_closing(&f->stream));
    say("lost");
}

static void is_aborted(void *ctx) {
    (void)ctx;
    CHECK_EQUAL(t.offers, 5);
    CHECK_EQUAL(t.breaks, 1);
    CHECK_EQUAL(t.error, CUV_E_ABORTED);
    CHECK_EQUAL(heard.closes, 1);
    CHECK_EQUAL(heard.status, CUV_E_ABORTED);
}

static size_t hand_over(void *ctx, cuv_stream *stream, const uint8_t *bytes, size_t count) {
    (void)ctx, (void)bytes, (void)count;
    cuv_stream_set_reader(stream, &taker_reader, &other);
    return 2;
}

static void replaced_inside(void *ctx) {
    static const cuv_reader reader = {hand_over, NULL, NULL};
    (void)ctx;
    fresh(0);
    cuv_stream_set_reader(&f->stream, &reader, NULL);
    cuv_stream_read_start(&f->stream);
    say("hello");
    expect_offer(&other, "llo");
    CHECK_EQUAL(cuv_stream_kept(&f->stream).count, 0);
    cuv_stream_set_reader(&f->stream, NULL, NULL);
    CHECK_EQUAL(f->stops, 1);
    cuv_stream_close(&f->stream);
}

static size_t end_all(void *ctx, cuv_stream *stream, const uint8_t *bytes, size_t count) {
    (void)bytes, (void)count;
    ++*(int *)ctx;
    cuv_stream_read_stop(stream);
    cuv_stream_read_start(stream);
    cuv_stream_close(stream);
    cuv_stream_abort(stream);
    return 1;
}

static int calls;
static void ended_inside(void *ctx) {
    static const cuv_reader reader = {end_all, NULL, NULL};
    (void)ctx;
    fresh(0);
    cuv_stream_set_reader(&f->stream, &reader, &calls);
    cuv_stream_read_start(&f->stream);
    say("hello");
    CHECK_EQUAL(calls, 1);
    CHECK_EQUAL(f->closes + f->aborts, 2);
    CHECK_EQUAL(cuv_stream_kept(&f->stream).count, 0);
}

static void drain_and_break(void *ctx) {
    (void)ctx;
    fresh(0);
    f->stuck = true;
    CHECK_EQUAL(cuv_stream_write(&f->stream, (const uint8_t *)"12345", 5, false), 0);
    CHECK_EQUAL(cuv_stream_queued(&f->stream), 5);
    fake_drain(f, 2);
    CHECK_EQUAL(cuv_stream_queued(&f->stream), 3);
    cuv_stream_break_writing(&f->stream, CUV_E_RESET);
    CHECK_EQUAL(cuv_stream_write(&f->stream, (const uint8_t *)"6", 1, false), CUV_E_RESET);
    CHECK(!cuv_stream_is_closing(&f->stream));
    cuv_stream_read_start(&f->stream);
    t.take = SIZE_MAX;
    say("answer");
    expect_offer(&t, "answer");
    cuv_stream_break(&f->stream, CUV_E_RESET);
    cuv_stream_finish_soon(&f->stream, 0);
}

static void is_reset(void *ctx) {
    (void)ctx;
    CHECK_EQUAL(t.breaks, 1);
    CHECK_EQUAL(heard.status, CUV_E_RESET);
    CHECK_EQUAL(releases, 5);
}

static void writing_broke(void *ctx) {
    (void)ctx;
    fresh(SIZE_MAX);
    cuv_stream_break_writing(&f->stream, CUV_E_RESET);
    cuv_stream_set_reader(&f->stream, NULL, NULL);
    cuv_stream_set_reader(&f->stream, &taker_reader, &t);   // in the same turn: it lives on
}

static void nobody_reads(void *ctx) {
    (void)ctx;
    CHECK(!cuv_stream_is_closing(&f->stream));
    cuv_stream_set_reader(&f->stream, NULL, NULL);
    CHECK_EQUAL(heard.closes, 0);
}

static void is_useless(void *ctx) {
    (void)ctx;
    CHECK_EQUAL(t.breaks, 0);
    CHECK_EQUAL(heard.closes, 1);
    CHECK_EQUAL(heard.status, CUV_E_RESET);
    CHECK_EQUAL(releases, 6);
}

// A slow reader of a large window: what waits is not copied again for each piece that comes.
static void a_backlog_stays_put(void *ctx) {
    static const uint8_t piece[16 * 1024];
    (void)ctx;
    fresh(sizeof piece);
    for (int i = 0; i < 255; i++) CHECK_EQUAL(cuv_stream_deliver(&f->stream, piece, sizeof piece), 0);
    int moves = 0;
    for (int i = 0; i < 1000; i++) {
        const uint8_t *before = cuv_stream_kept(&f->stream).bytes;
        CHECK_EQUAL(cuv_stream_deliver(&f->stream, piece, sizeof piece), 0);
        moves += cuv_stream_kept(&f->stream).bytes != before;
        f->stream.kept->start += sizeof piece;   // as a reader that takes a piece and pauses
    }
    CHECK(moves <= 8);
    cuv_stream_close(&f->stream);
}

int main(void) {
    loop = loop_up("core");
    void (*steps[])(void *) = {keeps_what_is_left, off_keeps, on_tells, is_closed, limit_pauses, taking_goes_on, is_aborted,
                               replaced_inside, ended_inside, drain_and_break, is_reset, writing_broke, nobody_reads, is_useless, a_backlog_stays_put};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) on_loop(loop, steps[i], NULL);
    loop_down(loop);
    return 0;
}
