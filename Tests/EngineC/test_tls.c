// SPDX-License-Identifier: MIT
// TLS streams of ours against each other, in memory: both versions, every way to cut the bytes, ends, order, one record a turn.
// On the test's one thread; who is refused and why is in test_tls_trust.c.
#include "tls_support.h"

#include <openssl/ssl.h>

#include "tls_stream.h"

static cuv_loop *loop;

static cuv_tls_context *client_of(bool old) {
    cuv_tls_context *context = tls_client(tls_make_files()->ca, NULL);
    if (old) tls_only_12(context);
    return context;
}

static cuv_tls_context *server(void) { return tls_server(tls_make_files()->server, NULL); }

static void open_couple(couple *c, bool old, size_t step) {
    cuv_tls_context *ours = client_of(old), *theirs = server();
    couple_make(c, loop, ours, theirs, "localhost");
    cuv_tls_context_free(ours);
    cuv_tls_context_free(theirs);
    couple_run(c, step);
    CHECK_EQUAL(c->parties[0].opened, 1);
    CHECK_EQUAL(c->parties[1].opened, 1);
}

static void say(party *p, const char *text, bool more) {
    CHECK_EQUAL(cuv_stream_write(p->stream, (const uint8_t *)text, strlen(text), more), 0);
}

static void expect(const party *p, const char *text) {
    CHECK_EQUAL(p->count, strlen(text));
    CHECK(memcmp(p->bytes, text, p->count) == 0);
}

static void check_agreed(const cuv_stream *stream, bool old) {
    cuv_tls_state state;
    CHECK_EQUAL(cuv_tls_describe(stream, &state), 0);
    CHECK(strcmp(state.version, old ? "TLSv1.2" : "TLSv1.3") == 0);
    CHECK(state.http && !state.resumed);
    CHECK(cuv_stream_is_secure(stream));
}

static void bytes_arrive_however_they_are_cut(bool old, size_t step) {
    enum { MOST = 100000 };
    static uint8_t bytes[2][MOST];
    const size_t total = step == 0 || step > 64 ? MOST : 20000;
    couple c;
    open_couple(&c, old, step);
    for (int i = 0; i < 2; i++) {
        check_agreed(c.parties[i].stream, old);
        pattern_fill(bytes[i], total, (uint64_t)i, 0);
        CHECK_EQUAL(cuv_stream_write(c.parties[i].stream, bytes[i], total, false), 0);
    }
    couple_run(&c, step);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(c.parties[i].count, total);
        CHECK(memcmp(c.parties[i].bytes, bytes[!i], total) == 0);
        CHECK_EQUAL(cuv_stream_bytes_read(c.parties[i].stream), total);
    }
    couple_end(&c);
}

static void one_end_at_a_time(bool old, int first) {
    couple c;
    open_couple(&c, old, 0);
    CHECK_EQUAL(cuv_stream_shut(c.parties[first].stream), 0);
    CHECK_EQUAL(cuv_stream_write(c.parties[first].stream, (const uint8_t *)"x", 1, false), CUV_E_CLOSED);
    couple_run(&c, 0);
    CHECK_EQUAL(c.parties[!first].ends, 1);
    CHECK(c.ends[first]->shut);
    say(&c.parties[!first], "still here", false);
    couple_run(&c, 0);
    expect(&c.parties[first], "still here");
    CHECK_EQUAL(c.parties[first].closed, 0);
    CHECK_EQUAL(cuv_stream_shut(c.parties[!first].stream), 0);
    couple_run(&c, 0);
    CHECK_EQUAL(c.parties[first].ends, 1);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(c.parties[i].closed, 1);
        CHECK_EQUAL(c.parties[i].status, 0);
        CHECK_EQUAL(c.parties[i].broken, 0);
    }
    couple_end(&c);
}

static void a_close_is_an_end_for_the_peer(void) {
    couple c;
    open_couple(&c, false, 0);
    say(&c.parties[0], "last", false);
    cuv_stream_close(c.parties[0].stream);
    CHECK(c.ends[0]->closed);
    couple_run(&c, 0);
    expect(&c.parties[1], "last");
    CHECK_EQUAL(c.parties[1].ends, 1);
    couple_end(&c);
    CHECK_EQUAL(c.parties[0].status, 0);
}

static void an_end_without_close_notify_is_a_truncation(void) {
    couple c;
    open_couple(&c, false, 0);
    say(&c.parties[0], "whole", false);
    couple_run(&c, 0);
    cuv_stream_deliver_end(&c.ends[1]->base);
    turn(loop);
    expect(&c.parties[1], "whole");
    CHECK_EQUAL(c.parties[1].ends, 0);
    CHECK_EQUAL(c.parties[1].broken, 1);
    turn(loop);
    CHECK_EQUAL(c.parties[1].status, CUV_E_TRUNCATED);
    couple_end(&c);
}

static void the_carriers_end_behind_close_notify_is_none(void) {
    couple c;
    open_couple(&c, false, 0);
    cuv_stream_shut(c.parties[0].stream);
    couple_run(&c, 0);
    cuv_stream_deliver_end(&c.ends[1]->base);
    turn(loop);
    CHECK_EQUAL(c.parties[1].ends, 1);
    CHECK_EQUAL(c.parties[1].broken, 0);
    say(&c.parties[1], "answer", false);
    couple_run(&c, 0);
    expect(&c.parties[0], "answer");
    couple_end(&c);
}

// Records begin with 23, their length is in bytes 3 and 4.
static int count_records(const uint8_t *bytes, size_t count) {
    int records = 0;
    for (size_t at = 0; at + 5 <= count; at += 5u + (size_t)(bytes[at + 3] << 8 | bytes[at + 4])) {
        CHECK_EQUAL(bytes[at], 23);
        records++;
    }
    return records;
}

static void small_writes_of_a_turn_are_one_record_and_one_write(bool ends_with_more) {
    couple c;
    open_couple(&c, false, 0);
    tap *end = c.ends[0];
    int writes = end->writes;
    size_t before = end->out_count;
    say(&c.parties[0], "head, ", true);
    say(&c.parties[0], "more head, ", true);
    CHECK_EQUAL(cuv_stream_queued(c.parties[0].stream), 17);
    say(&c.parties[0], "body", ends_with_more);
    turn(loop);
    CHECK_EQUAL(end->writes - writes, 1);
    CHECK_EQUAL(count_records(end->out + before, end->out_count - before), 1);
    CHECK_EQUAL(cuv_stream_queued(c.parties[0].stream), 0);
    couple_run(&c, 0);
    expect(&c.parties[1], "head, more head, body");
    couple_end(&c);
}

static void many_spans_fill_whole_records(void) {
    enum { SPAN = 1000, SPANS = 50 };
    static uint8_t bytes[SPAN * SPANS];
    cuv_span spans[SPANS];
    couple c;
    open_couple(&c, false, 0);
    pattern_fill(bytes, sizeof bytes, 3, 0);
    for (int i = 0; i < SPANS; i++) spans[i] = (cuv_span){bytes + i * SPAN, SPAN};
    size_t before = c.ends[0]->out_count;
    int writes = c.ends[0]->writes;
    CHECK_EQUAL(cuv_stream_write_spans(c.parties[0].stream, spans, SPANS, false), 0);
    CHECK_EQUAL(count_records(c.ends[0]->out + before, c.ends[0]->out_count - before), 4);
    CHECK_EQUAL(c.ends[0]->writes - writes, 1);
    couple_run(&c, 0);
    CHECK_EQUAL(c.parties[1].count, sizeof bytes);
    CHECK(memcmp(c.parties[1].bytes, bytes, sizeof bytes) == 0);
    couple_end(&c);
}

static void what_is_written_before_the_handshake_follows_it(void) {
    couple c;
    cuv_tls_context *ours = client_of(false), *theirs = server();
    couple_make(&c, loop, ours, theirs, "localhost");
    say(&c.parties[0], "early ", false);
    say(&c.parties[0], "words", true);
    CHECK_EQUAL(cuv_stream_queued(c.parties[0].stream), 11);
    CHECK_EQUAL(cuv_stream_shut(c.parties[0].stream), 0);
    couple_run(&c, 0);
    expect(&c.parties[1], "early words");
    CHECK_EQUAL(c.parties[1].ends, 1);
    CHECK_EQUAL(c.parties[0].opened, 1);
    couple_end(&c);
    couple_make(&c, loop, ours, theirs, "localhost");
    say(&c.parties[1], "refused", false);
    cuv_stream_close(c.parties[1].stream);
    CHECK(!c.ends[1]->closed);
    couple_run(&c, 0);
    expect(&c.parties[0], "refused");
    CHECK_EQUAL(c.parties[0].ends, 1);
    CHECK_EQUAL(c.parties[1].opened, 0);
    CHECK_EQUAL(c.parties[1].status, 0);
    couple_end(&c);
    couple_make(&c, loop, ours, theirs, "localhost");
    cuv_stream_close(c.parties[1].stream);
    CHECK(c.ends[1]->closed);
    couple_end(&c);
    cuv_tls_context_free(ours);
    cuv_tls_context_free(theirs);
}

static void a_reader_that_stops_is_offered_nothing_more(void) {
    enum { TOTAL = 200000 };
    static uint8_t bytes[TOTAL];
    couple c;
    open_couple(&c, false, 0);
    pattern_fill(bytes, TOTAL, 5, 0);
    party *reader = &c.parties[1];
    reader->stop_after = true;
    reader->take = 1000;
    CHECK_EQUAL(cuv_stream_write(c.parties[0].stream, bytes, TOTAL, false), 0);
    couple_run(&c, 0);
    CHECK_EQUAL(reader->offers, 1);
    CHECK_EQUAL(reader->count, 1000);
    CHECK(cuv_stream_kept(reader->stream).count <= 64 * 1024);
    for (int i = 1; reader->count < TOTAL; i++) {
        cuv_stream_read_start(reader->stream);
        turn(loop);
        CHECK_EQUAL(reader->offers, i + 1);
    }
    CHECK(memcmp(reader->bytes, bytes, TOTAL) == 0);
    couple_end(&c);
}

static void an_end_waits_behind_what_was_not_read(void) {
    couple c;
    open_couple(&c, false, 0);
    cuv_stream_read_stop(c.parties[1].stream);
    say(&c.parties[0], "unread", false);
    cuv_stream_shut(c.parties[0].stream);
    couple_run(&c, 0);
    CHECK_EQUAL(c.parties[1].ends, 0);
    cuv_stream_read_start(c.parties[1].stream);
    turn(loop);
    expect(&c.parties[1], "unread");
    CHECK_EQUAL(c.parties[1].ends, 1);
    couple_end(&c);
}

static void an_idle_stream_owns_no_buffer(void) {
    couple c;
    open_couple(&c, false, 0);
    for (int i = 0; i < 3; i++) {
        say(&c.parties[i % 2], "some bytes", false);
        couple_run(&c, 0);
    }
    cuv_counts counts = cuv_loop_counts(loop);
    CHECK_EQUAL(counts.tls, 2);
    CHECK_EQUAL(counts.buffers, 0);
    CHECK_EQUAL(counts.timers, 0);
    couple_end(&c);
}

static void a_broken_carrier_breaks_it(void) {
    couple c;
    open_couple(&c, false, 0);
    cuv_stream_break(&c.ends[1]->base, CUV_E_RESET);
    cuv_stream_finish_soon(&c.ends[1]->base, CUV_E_RESET);
    turn(loop);
    CHECK_EQUAL(c.parties[1].broken, 1);
    CHECK_EQUAL(c.parties[1].status, CUV_E_RESET);
    cuv_stream_abort(c.parties[0].stream);
    CHECK(c.ends[0]->aborted);
    couple_end(&c);
    CHECK_EQUAL(c.parties[0].status, CUV_E_ABORTED);
}

static void the_queue_is_the_carriers(void) {
    static uint8_t bytes[50000];
    couple c;
    open_couple(&c, false, 0);
    c.ends[0]->blocked = true;
    CHECK_EQUAL(cuv_stream_write(c.parties[0].stream, bytes, sizeof bytes, false), 0);
    CHECK(cuv_stream_queued(c.parties[0].stream) == cuv_stream_queued(&c.ends[0]->base));
    CHECK(cuv_stream_queued(c.parties[0].stream) >= sizeof bytes);
    tap_unblock(c.ends[0]);
    CHECK_EQUAL(cuv_stream_queued(c.parties[0].stream), 0);
    couple_end(&c);
}

static void ask_for_new_keys(party *p) {
    tls_stream *tls = tls_of(p->stream);
    CHECK_EQUAL(SSL_key_update(tls->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    CHECK_EQUAL(SSL_do_handshake(tls->ssl), 1);
    CHECK_EQUAL(tls_leave(tls, false), 0);
}

// The server is given what the client has written; what it answers stays where it is.
static void pass_up(couple *c) {
    tap *from = c->ends[0];
    tap_feed(c->ends[1], from->out + c->passed[0], from->out_count - c->passed[0], 0);
    c->passed[0] = from->out_count;
}

// Whether it says something in between or not.
static void who_has_keys_renewed_and_does_not_read_is_ended(bool talks) {
    couple c;
    open_couple(&c, false, 0);
    size_t before = c.ends[1]->out_count;
    c.ends[1]->blocked = true;
    for (int i = 0; i < 20000 && !c.rests[1].gone; i++) {
        ask_for_new_keys(&c.parties[0]);
        if (talks) say(&c.parties[0], "x", false);
        pass_up(&c);
    }
    CHECK(c.rests[1].gone);
    CHECK_EQUAL(c.parties[1].status, CUV_E_LIMIT);
    CHECK(c.rests[1].out_count - before < 128 * 1024);
    couple_end(&c);
}

static void who_reads_may_have_keys_renewed_for_ever(void) {
    couple c;
    open_couple(&c, false, 0);
    for (int i = 1; i <= 6000; i++) {
        if (i % 1000 == 1) c.ends[1]->blocked = true;
        ask_for_new_keys(&c.parties[0]);
        pass_up(&c);
        if (i % 1000 == 0) tap_unblock(c.ends[1]);
    }
    couple_run(&c, 0);
    say(&c.parties[1], "still here", false);
    couple_run(&c, 0);
    expect(&c.parties[0], "still here");
    couple_end(&c);
}

int main(void) {
    static const size_t steps[] = {0, 1, 2, 3, 5, 7, 64, 1000, 16384, 16389};
    loop = cuv_loop_new();
    for (int old = 0; old < 2; old++) {
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) bytes_arrive_however_they_are_cut(old, steps[i]);
        one_end_at_a_time(old, 0);
        one_end_at_a_time(old, 1);
    }
    a_close_is_an_end_for_the_peer();
    an_end_without_close_notify_is_a_truncation();
    the_carriers_end_behind_close_notify_is_none();
    small_writes_of_a_turn_are_one_record_and_one_write(false);
    small_writes_of_a_turn_are_one_record_and_one_write(true);
    many_spans_fill_whole_records();
    what_is_written_before_the_handshake_follows_it();
    a_reader_that_stops_is_offered_nothing_more();
    an_end_waits_behind_what_was_not_read();
    an_idle_stream_owns_no_buffer();
    a_broken_carrier_breaks_it();
    the_queue_is_the_carriers();
    who_has_keys_renewed_and_does_not_read_is_ended(false);
    who_has_keys_renewed_and_does_not_read_is_ended(true);
    who_reads_may_have_keys_renewed_for_ever();
    end_loop(loop);
    return 0;
}
