// SPDX-License-Identifier: MIT
// A yamux session against bytes: what it says and when, how streams open, end, refuse and wait, and what windows do.
// No clock but the loop's; see yamux_fixture.h.
#include "yamux_fixture.h"

static void frames_of_a_turn_are_one_write(void) {
    fixture *f = begin(false);
    size_t at = 0;
    heard *a = open_one(f), *b = open_one(f), *c = open_one(f);
    CHECK_EQUAL(cuv_yamux_stream_id(a->stream), 2);
    CHECK_EQUAL(cuv_stream_write(a->stream, (const uint8_t *)"head", 4, true), 0);
    CHECK_EQUAL(cuv_stream_write(a->stream, (const uint8_t *)"body", 4, false), 0);
    CHECK_EQUAL(cuv_stream_write(b->stream, (const uint8_t *)"b", 1, false), 0);
    CHECK_EQUAL(f->t->writes, 0);
    turn(f->loop);
    CHECK_EQUAL(f->t->writes, 1);
    expect(f, &at, DATA, SYN, 2, 8);
    CHECK(memcmp(f->t->out + 12, "headbody", 8) == 0);
    expect(f, &at, DATA, SYN, 4, 1);
    expect(f, &at, WINDOW, SYN, 6, 0);
    expect_nothing(f, &at);
    CHECK(c->opened == 0 && cuv_stream_queued(a->stream) == 0);
    feed(f, WINDOW, ACK, 2, 0);
    CHECK(a->opened == 1 && b->opened == 0);
    feed_frame(f, DATA, ACK, 4, 2, "hi", 2);
    CHECK(b->opened == 1 && b->count == 2);
    end(f);
}

static void large_payloads_go_along_in_frames_of_64_kib(void) {
    static uint8_t payload[200000];
    fixture *f = begin(true);
    size_t at = 0;
    heard *a = open_one(f);
    pattern_fill(payload, sizeof payload, 1, 0);
    CHECK_EQUAL(cuv_stream_write(a->stream, (const uint8_t *)"x", 1, true), 0);
    CHECK_EQUAL(cuv_stream_write(a->stream, payload, sizeof payload, false), 0);
    turn(f->loop);
    CHECK_EQUAL(f->t->writes, 1);
    expect(f, &at, DATA, SYN, 1, 1);
    for (int i = 0; i < 3; i++) expect(f, &at, DATA, 0, 1, 65536);
    expect(f, &at, DATA, 0, 1, sizeof payload - 3 * 65536);
    CHECK(pattern_holds(f->t->out + 25, 65536, 1, 0));
    expect_nothing(f, &at);
    end(f);
}

static void what_the_window_holds_back_is_queued(void) {
    static uint8_t payload[FIRST + 100000];
    fixture *f = begin(false);
    size_t at = 0;
    heard *a = open_one(f);
    CHECK_EQUAL(cuv_stream_write(a->stream, payload, sizeof payload, false), 0);
    CHECK_EQUAL(cuv_stream_queued(a->stream), 100000);
    CHECK_EQUAL(cuv_stream_shut(a->stream), 0);
    turn(f->loop);
    expect(f, &at, DATA, SYN, 2, 65536);
    for (int i = 0; i < 3; i++) expect(f, &at, DATA, 0, 2, 65536);
    expect_nothing(f, &at);
    feed(f, WINDOW, ACK, 2, 40000);
    expect(f, &at, DATA, 0, 2, 40000);
    expect_nothing(f, &at);
    CHECK(cuv_stream_queued(a->stream) == 60000 && a->drains == 1);
    feed(f, WINDOW, 0, 2, 1000000);
    expect(f, &at, DATA, 0, 2, 60000);
    expect(f, &at, WINDOW, FIN, 2, 0);
    expect_nothing(f, &at);
    CHECK(cuv_stream_queued(a->stream) == 0 && a->drains == 2);
    feed(f, WINDOW, FIN, 2, 0);
    turn(f->loop);
    CHECK(a->ends == 1 && a->closed == 1 && a->status == 0 && cuv_yamux_stream_count(f->session) == 0);
    end(f);
}

static void a_full_carrier_lets_control_pass_and_streams_take_turns(void) {
    static uint8_t payload[150000];
    fixture *f = begin(false);
    size_t at = 0;
    heard *a = open_one(f), *b = open_one(f);
    f->t->blocked = true;
    CHECK_EQUAL(cuv_stream_write(a->stream, payload, 100000, false), 0);
    turn(f->loop);
    tap_forget(f->t);
    CHECK_EQUAL(cuv_stream_write(a->stream, payload, 150000, false), 0);
    CHECK_EQUAL(cuv_stream_write(b->stream, payload, 150000, false), 0);
    feed(f, PING, SYN, 0, 77);
    expect(f, &at, PING, ACK, 0, 77);
    expect_nothing(f, &at);
    tap_unblock(f->t);
    turn(f->loop);
    cw_yamux_header got;
    uint32_t order = 0, frames = 0;
    while (next_frame(f, &at, &got)) {
        order = order << 4 | got.stream;
        frames++;
        CHECK(got.type == DATA && got.length <= 65536);
    }
    CHECK(frames >= 6 && (order >> (4 * (frames - 4)) == 0x2424 || order >> (4 * (frames - 4)) == 0x4242));
    CHECK(cuv_stream_queued(a->stream) == 0 && cuv_stream_queued(b->stream) == 0);
    end(f);
}

static void accepting_acknowledges(void) {
    fixture *f = begin(true);
    size_t at = 0;
    feed_at_once(f, SYN, 2, "hello");
    CHECK(f->accepted == 1 && f->h[0]->count == 5 && f->h[0]->opened == 0);
    CHECK_EQUAL(cuv_stream_write(f->h[0]->stream, (const uint8_t *)"answer", 6, false), 0);
    turn(f->loop);
    CHECK_EQUAL(f->t->writes, 1);
    expect(f, &at, WINDOW, ACK, 2, 0);
    expect(f, &at, DATA, 0, 2, 6);
    expect_nothing(f, &at);
    feed(f, WINDOW, SYN, 4, 0);
    CHECK_EQUAL(f->t->writes, 2);
    expect(f, &at, WINDOW, ACK, 4, 0);
    expect_nothing(f, &at);
    feed_at_once(f, SYN, 6, "x");
    CHECK_EQUAL(f->t->writes, 2);
    await_frames(f);
    expect(f, &at, WINDOW, ACK, 6, 0);
    expect_nothing(f, &at);
    end(f);
}

static void without_an_owner_it_is_refused(void) {
    fixture *f = begin(true);
    size_t at = 0;
    f->refuses = true;
    feed_frame(f, DATA, SYN, 2, 5, "hello", 5);
    expect(f, &at, WINDOW, RST, 2, 0);
    expect_nothing(f, &at);
    CHECK_EQUAL(cuv_yamux_stream_count(f->session), 0);
    feed_zeroes(f, 2, 1000);   // was under way: nothing odd
    CHECK(f->session && f->session->oddities == 0);
    end(f);
}

static void a_refusal_is_told_from_a_reset(void) {
    fixture *f = begin(false);
    heard *a = open_one(f), *b = open_one(f);
    turn(f->loop);
    feed(f, WINDOW, RST, 2, 0);
    feed(f, WINDOW, ACK, 4, 0);
    feed(f, DATA, RST, 4, 0);
    turn(f->loop);
    CHECK(a->broken == 1 && a->closed == 1 && a->status == CUV_E_REFUSED);
    CHECK(b->broken == 1 && b->closed == 1 && b->status == CUV_E_RESET);
    end(f);
}

static void a_lost_session_refused_what_its_peer_cannot_have_taken(void) {
    for (int round = 0; round < 3; round++) {
        bool said_go_away = round > 0, serves_late = round > 1;
        fixture *f = begin_with((cuv_yamux_config){.max_unacknowledged = 1, .peer_serves_late = serves_late});
        heard *asked = open_one(f), *waiting = open_one(f);
        turn(f->loop);
        if (said_go_away) feed(f, GO_AWAY, 0, 0, 0);
        cuv_stream_break(&f->t->base, CUV_E_RESET);
        cuv_stream_finish_soon(&f->t->base, 0);
        for (int i = 0; i < 3; i++) turn(f->loop);
        CHECK_EQUAL(asked->status, said_go_away && !serves_late ? CUV_E_REFUSED : CUV_E_SESSION_LOST);
        CHECK_EQUAL(waiting->status, CUV_E_REFUSED);
        end(f);
    }
}

static void what_ended_before_a_reset_may_still_be_read(void) {
    fixture *f = begin(true);
    f->reads = false;
    feed_frame(f, DATA, SYN, 2, 5, "hello", 5);
    feed(f, WINDOW, FIN, 2, 0);
    feed(f, WINDOW, RST, 2, 0);
    turn(f->loop);
    heard *h = f->h[0];
    CHECK(h->closed == 0 && cuv_stream_write(h->stream, (const uint8_t *)"x", 1, false) < 0);
    cuv_stream_read_start(h->stream);
    turn(f->loop);
    CHECK(h->count == 5 && h->ends == 1);
    cuv_stream_close(h->stream);
    turn(f->loop);
    CHECK(h->closed == 1 && h->status == 0);
    end(f);
}

static void an_abort_is_a_reset_unless_the_syn_never_left(void) {
    fixture *f = begin(false);
    size_t at = 0;
    heard *a = open_one(f), *b = open_one(f);
    cuv_stream_abort(a->stream);
    turn(f->loop);
    turn(f->loop);
    expect(f, &at, WINDOW, SYN, 4, 0);
    CHECK(a->closed == 1 && a->status == CUV_E_ABORTED && a->broken == 1);
    cuv_stream_abort(b->stream);
    cuv_stream_abort(b->stream);
    CHECK_EQUAL(b->closed, 0);
    turn(f->loop);
    turn(f->loop);
    expect(f, &at, WINDOW, RST, 4, 0);
    expect_nothing(f, &at);
    CHECK_EQUAL(b->closed, 1);
    feed(f, WINDOW, ACK, 4, 0);
    feed_zeroes(f, 4, FIRST);
    CHECK_EQUAL(f->session->oddities, 0);
    feed_zeroes(f, 4, 1);
    CHECK_EQUAL(f->session->oddities, 1);
    end(f);
}

// No sleep: the first of the list is due now.
static void patience_ends(fixture *f, yamux_link *list) {
    CHECK(!yamux_list_is_empty(list));
    CUV_CONTAINER(list->next, yamux_stream, deadline)->until_ms = 0;
    yamux_on_timer(f->session);
}

static void a_half_closed_stream_stays_while_bytes_move(void) {
    fixture *f = begin(true);
    size_t at = 0;
    feed(f, WINDOW, SYN, 2, 0);
    feed(f, WINDOW, FIN, 2, 0);
    await_frames(f);
    CHECK_EQUAL(cuv_stream_write(f->h[0]->stream, (const uint8_t *)"more", 4, false), 0);
    patience_ends(f, &f->session->half);
    turn(f->loop);
    CHECK_EQUAL(f->h[0]->closed, 0);
    tap_forget(f->t);
    patience_ends(f, &f->session->half);
    turn(f->loop);
    turn(f->loop);
    expect(f, &at, WINDOW, RST, 2, 0);
    CHECK(f->h[0]->broken == 1 && f->h[0]->closed == 1 && f->h[0]->status == CUV_E_TIMEOUT);
    end(f);
}

static void a_close_waits_for_the_peers_end_but_not_for_ever(void) {
    fixture *f = begin(true);
    size_t at = 0;
    feed(f, WINDOW, SYN, 2, 0);
    feed(f, WINDOW, SYN, 4, 0);
    cuv_stream_close(f->h[0]->stream);
    cuv_stream_close(f->h[1]->stream);
    turn(f->loop);
    expect(f, &at, WINDOW, ACK, 2, 0);
    expect(f, &at, WINDOW, ACK, 4, 0);
    expect(f, &at, WINDOW, FIN, 2, 0);
    expect(f, &at, WINDOW, FIN, 4, 0);
    expect_nothing(f, &at);
    feed_frame(f, DATA, 0, 2, 4, "late", 4);
    feed(f, WINDOW, FIN, 2, 0);
    turn(f->loop);
    CHECK(f->h[0]->closed == 1 && f->h[0]->status == 0 && f->h[0]->count == 0);
    CHECK_EQUAL(f->h[1]->closed, 0);
    patience_ends(f, &f->session->lingering);
    turn(f->loop);
    turn(f->loop);
    expect(f, &at, WINDOW, RST, 4, 0);
    CHECK(f->h[1]->closed == 1 && f->h[1]->status == 0);
    end(f);
}

static size_t close_at_the_message(void *ctx, cuv_stream *stream, const uint8_t *bytes, size_t count) {
    (void)ctx;
    (void)bytes;
    cuv_stream_close(stream);
    return count;
}

// A response and the end behind it come together; who closes at the response's end answers with a FIN that nobody waits for.
static void a_close_in_front_of_the_peers_end_writes_nothing_by_itself(void) {
    static const cuv_reader closes = {close_at_the_message, on_end, on_broken};
    fixture *f = begin(false);
    size_t at = 0;
    heard *h = open_one(f);
    turn(f->loop);
    expect(f, &at, WINDOW, SYN, 2, 0);
    expect_nothing(f, &at);
    int writes = f->t->writes;
    cuv_stream_set_reader(h->stream, &closes, h);
    uint8_t wire[12 + 2 + 12] = {[12] = 'o', [13] = 'k'};
    cw_yamux_header_write(wire, &(cw_yamux_header){DATA, ACK, 2, 2});
    cw_yamux_header_write(wire + 14, &(cw_yamux_header){WINDOW, FIN, 2, 0});
    tap_feed(f->t, wire, sizeof wire, 0);
    turn(f->loop);
    CHECK(f->t->writes == writes && h->closed == 1 && h->status == 0);
    await_frames(f);
    expect(f, &at, WINDOW, FIN, 2, 0);
    expect_nothing(f, &at);
    end(f);
}

// The FIN of a stream that was closed in this turn is not lost with its session.
static void a_session_that_ends_says_what_is_due(void) {
    fixture *f = begin(false);
    size_t at = 0;
    heard *h = open_one(f);
    turn(f->loop);
    expect(f, &at, WINDOW, SYN, 2, 0);
    cuv_stream_close(h->stream);
    cuv_yamux_close(f->session);
    expect(f, &at, WINDOW, FIN, 2, 0);
    expect(f, &at, GO_AWAY, 0, 0, 0);
    end(f);
}

static void windows_are_given_back_as_bytes_are_taken(void) {
    fixture *f = begin(true);
    size_t at = 0;
    feed(f, WINDOW, SYN, 2, 0);
    await_frames(f);
    tap_forget(f->t);
    feed_zeroes(f, 2, FIRST / 2 - 1);
    CHECK_EQUAL(f->t->out_count, 0);
    feed_zeroes(f, 2, 1);
    expect(f, &at, PING, SYN, 0, 1);
    expect(f, &at, WINDOW, 0, 2, FIRST / 2);
    expect_nothing(f, &at);
    // By hand: nothing until it is said, and then what is said.
    f->h[0]->stream->manual_grant = true;
    feed_zeroes(f, 2, FIRST);
    CHECK_EQUAL(f->t->out_count, 0);
    cuv_stream_grant(f->h[0]->stream, FIRST);
    turn(f->loop);
    expect(f, &at, WINDOW, 0, 2, FIRST);
    expect_nothing(f, &at);
    end(f);
}

static void a_stream_that_does_not_read_stops_no_other(void) {
    fixture *f = begin(true);
    f->reads = false;
    feed(f, WINDOW, SYN, 2, 0);
    f->reads = true;
    feed(f, WINDOW, SYN, 4, 0);
    feed_zeroes(f, 2, FIRST);
    feed_zeroes(f, 4, 1000);
    CHECK(f->h[0]->count == 0 && f->h[1]->count == 1000);
    CHECK_EQUAL(cuv_stream_kept(f->h[0]->stream).count, FIRST);
    cuv_stream_read_start(f->h[0]->stream);
    turn(f->loop);
    CHECK_EQUAL(f->h[0]->count, FIRST);
    end(f);
}

int main(void) {
    frames_of_a_turn_are_one_write();
    large_payloads_go_along_in_frames_of_64_kib();
    what_the_window_holds_back_is_queued();
    a_full_carrier_lets_control_pass_and_streams_take_turns();
    accepting_acknowledges();
    without_an_owner_it_is_refused();
    a_refusal_is_told_from_a_reset();
    a_lost_session_refused_what_its_peer_cannot_have_taken();
    what_ended_before_a_reset_may_still_be_read();
    an_abort_is_a_reset_unless_the_syn_never_left();
    a_close_waits_for_the_peers_end_but_not_for_ever();
    a_half_closed_stream_stays_while_bytes_move();
    a_close_in_front_of_the_peers_end_writes_nothing_by_itself();
    a_session_that_ends_says_what_is_due();
    windows_are_given_back_as_bytes_are_taken();
    a_stream_that_does_not_read_stops_no_other();
    return 0;
}
