// SPDX-License-Identifier: MIT
// A yamux session against peers that break the rules, flood, fall silent or do not read: each is ended or borne, in bounded memory.
// Limits and the session's own ends are here too.
#include "yamux_fixture.h"

// What must end the session: go away with code 1 and CUV_E_PROTOCOL.
typedef struct crime {
    const char *name;
    uint8_t type;
    uint16_t flags;
    uint32_t id, length;
} crime;

static void crimes_end_the_session(void) {
    static const crime crimes[] = {
        {"unknown type", 4, 0, 2, 0},
        {"unknown flags", DATA, 16, 2, 0},
        {"a ping on a stream", PING, SYN, 2, 0},
        {"go away on a stream", GO_AWAY, 0, 2, 0},
        {"data on the session", DATA, 0, 0, 0},
        {"a window of the session", WINDOW, 0, 0, 0},
        {"a stream that is open", WINDOW, SYN, 2, 0},
        {"a stream with our parity", WINDOW, SYN, 1, 0},
        {"a stream nobody opened", DATA, 0, 8, 0},
        {"a stream of ours that nobody opened", WINDOW, ACK, 7, 0},
        {"more than the window", DATA, 0, 2, FIRST + 1},
        {"a sum of windows past 2^32", WINDOW, 0, 2, 0xffffffff},
        {"4 GiB", DATA, 0, 2, 0xffffffff},
    };
    for (size_t i = 0; i < sizeof crimes / sizeof *crimes; i++) {
        for (size_t step = 0; step < 2; step++) {
            fixture *f = begin(true);
            uint8_t wire[12];
            feed(f, WINDOW, SYN, 2, 0);
            await_frames(f);
            tap_forget(f->t);
            cw_yamux_header_write(wire, &(cw_yamux_header){crimes[i].type, crimes[i].flags, crimes[i].id, crimes[i].length});
            for (size_t b = 0; b < 12 && !f->t->closed; b += step ? 1 : 12) {
                uint8_t copy[12];
                memcpy(copy, wire + b, 12 - b);
                cuv_stream_deliver(&f->t->base, copy, step ? 1 : 12);
            }
            size_t at = 0;
            if (!f->t->closed) fprintf(stderr, "%s\n", crimes[i].name);
            CHECK(f->t->closed);
            expect(f, &at, GO_AWAY, 0, 0, 1);
            turn(f->loop);
            turn(f->loop);
            CHECK(f->closed == 1 && f->status == CUV_E_PROTOCOL);
            CHECK(f->h[0]->broken == 1 && f->h[0]->closed == 1 && f->h[0]->status == CUV_E_SESSION_LOST);
            end(f);
        }
    }
}

static void a_wrong_version_ends_the_session(void) {
    fixture *f = begin(true);
    tap_feed(f->t, "\x01", 1, 0);
    turn(f->loop);
    CHECK(f->closed == 1 && f->status == CUV_E_PROTOCOL);
    end(f);
}

static void oddities_are_borne_but_not_for_ever(void) {
    fixture *f = begin(true);
    feed(f, WINDOW, SYN, 2, 0);
    feed(f, WINDOW, FIN, 2, 0);
    feed(f, WINDOW, FIN, 2, 0);              // twice
    feed_frame(f, DATA, 0, 2, 3, "abc", 3);  // behind the end
    feed(f, PING, 0, 0, 1);                  // neither asked nor answered
    feed(f, PING, ACK, 0, 9);                // the answer to nothing
    CHECK(f->session && f->session->oddities == 4 && f->faults == 4);
    CHECK(f->h[0]->count == 0 && f->h[0]->ends == 1);
    uint8_t ping[12];
    cw_yamux_header_write(ping, &(cw_yamux_header){PING, 0, 0, 1});
    for (int i = 0; i < 9900; i++) tap_feed(f->t, ping, 12, 0);
    CHECK(f->session != NULL);
    for (int i = 0; i < 200 && f->session; i++) tap_feed(f->t, ping, 12, 0);
    turn(f->loop);
    CHECK(f->closed == 1 && f->status == CUV_E_PROTOCOL);
    end(f);
}

static void limits_refuse(void) {
    fixture *f = begin_with((cuv_yamux_config){.client = false, .max_streams = 2, .max_unacknowledged = 1});
    size_t at = 0;
    int error = 0;
    heard *a = open_one(f), *b = open_one(f);
    CHECK(cuv_yamux_open(f->session, &owner, a, &error) == NULL && error == CUV_E_LIMIT);
    CHECK_EQUAL(cuv_stream_write(b->stream, (const uint8_t *)"waits", 5, false), 0);
    CHECK_EQUAL(cuv_stream_queued(b->stream), 5);
    turn(f->loop);
    expect(f, &at, WINDOW, SYN, 2, 0);
    expect_nothing(f, &at);
    feed(f, WINDOW, SYN, 1, 0);
    expect(f, &at, WINDOW, RST, 1, 0);
    CHECK_EQUAL(f->faults, 1);
    feed(f, WINDOW, ACK, 2, 0);
    turn(f->loop);
    expect(f, &at, DATA, SYN, 4, 5);
    expect_nothing(f, &at);
    CHECK(b->drains == 1 && f->accepted == 0);
    end(f);
}

// Its client does not read, and the peer has said all: the window is still full of it.
static void what_nobody_has_read_counts_until_it_is_read(void) {
    fixture *f = begin(true);
    uint64_t all = f->session->growth.left;
    feed(f, WINDOW, SYN, 2, 0);
    heard *h = f->h[0];
    f->session->growth.round_trip_ns = 400000000;
    feed_zeroes(f, 2, FIRST);
    turn(f->loop);
    CHECK_EQUAL(f->session->growth.left, all - FIRST);   // as large again
    cuv_stream_read_stop(h->stream);
    feed_zeroes(f, 2, 2 * FIRST);
    feed(f, WINDOW, FIN, 2, 0);
    CHECK_EQUAL(cuv_stream_shut(h->stream), 0);
    turn(f->loop);
    CHECK(h->ends == 0 && cuv_stream_kept(h->stream).count == 2 * FIRST);
    CHECK_EQUAL(f->session->growth.left, all - FIRST);
    cuv_stream_read_start(h->stream);
    turn(f->loop);
    turn(f->loop);
    CHECK(h->ends == 1 && h->closed == 1 && h->count == 3 * FIRST);
    CHECK_EQUAL(f->session->growth.left, all);
    end(f);
}

static void a_waiting_stream_leaves_without_a_trace(void) {
    fixture *f = begin_with((cuv_yamux_config){.max_unacknowledged = 1});
    size_t at = 0;
    open_one(f);
    heard *b = open_one(f), *c = open_one(f), *d = open_one(f);
    cuv_stream_close(b->stream);
    CHECK_EQUAL(cuv_stream_write(c->stream, (const uint8_t *)"c", 1, false), 0);
    cuv_stream_abort(c->stream);
    CHECK_EQUAL(cuv_stream_write(d->stream, (const uint8_t *)"d", 1, false), 0);
    cuv_stream_close(d->stream);
    turn(f->loop);
    CHECK(b->closed == 1 && b->status == 0 && c->closed == 1 && c->status == CUV_E_ABORTED && d->closed == 0);
    expect(f, &at, WINDOW, SYN, 2, 0);
    expect_nothing(f, &at);
    feed(f, WINDOW, ACK, 2, 0);
    turn(f->loop);
    expect(f, &at, DATA, SYN, 8, 1);
    expect(f, &at, WINDOW, FIN, 8, 0);
    end(f);
}

static void a_peer_that_goes_away_takes_no_more(void) {
    fixture *f = begin_with((cuv_yamux_config){.max_unacknowledged = 1});
    int error = 0;
    heard *a = open_one(f), *waiting = open_one(f);
    turn(f->loop);
    CHECK_EQUAL(cuv_stream_write(waiting->stream, (const uint8_t *)"POST", 4, false), 0);
    tap_forget(f->t);
    feed(f, GO_AWAY, 0, 0, 0);
    turn(f->loop);
    CHECK(f->go_aways == 1 && f->code == 0 && waiting->closed == 1 && waiting->status == CUV_E_REFUSED);
    CHECK(cuv_yamux_open(f->session, &owner, a, &error) == NULL && error == CUV_E_GOING_AWAY);
    feed_frame(f, DATA, ACK, 2, 2, "on", 2);
    CHECK(a->count == 2 && a->closed == 0);
    CHECK_EQUAL(f->t->out_count, 0);   // the one that waited left no trace
    end(f);
}

// Opened in the very turn in which the go away came: its SYN would follow the answer to the ping behind that.
static void a_syn_does_not_leave_behind_the_peers_go_away(void) {
    fixture *f = begin(false);
    uint8_t wire[24];
    size_t at = 0;
    cw_yamux_header_write(wire, &(cw_yamux_header){GO_AWAY, 0, 0, 0});
    cw_yamux_header_write(wire + 12, &(cw_yamux_header){PING, SYN, 0, 9});
    heard *a = open_one(f);
    CHECK_EQUAL(cuv_stream_write(a->stream, (const uint8_t *)"x", 1, false), 0);
    heard *b = open_one(f);
    CHECK_EQUAL(cuv_stream_deliver(&f->t->base, wire, 24), 0);
    turn(f->loop);
    // Data takes the SYN along at once, so the first has left.
    expect(f, &at, DATA, SYN, 2, 1);
    expect(f, &at, PING, ACK, 0, 9);
    expect_nothing(f, &at);
    CHECK(a->closed == 0 && b->closed == 1 && b->status == CUV_E_REFUSED);
    end(f);
}

// The peer opened it before it read our go away: it is served, and only then nothing more can come.
static void what_comes_behind_our_go_away_is_served(void) {
    fixture *f = begin(true);
    size_t at = 0;
    cuv_yamux_go_away(f->session, 0);
    turn(f->loop);
    expect(f, &at, GO_AWAY, 0, 0, 0);
    expect(f, &at, PING, SYN, 0, 1);
    expect_nothing(f, &at);
    feed_frame(f, DATA, SYN | FIN, 2, 3, "GET", 3);
    CHECK(f->accepted == 1 && f->h[0]->count == 3 && f->served == 0);
    feed(f, PING, ACK, 0, 1);
    turn(f->loop);
    CHECK(f->served == 0);
    cuv_stream_close(f->h[0]->stream);
    for (int i = 0; i < 3; i++) turn(f->loop);
    CHECK(f->h[0]->closed == 1 && f->h[0]->status == 0 && f->served == 1);
    end(f);
}

static void an_idle_session_is_served_at_the_answer_to_its_go_away(void) {
    fixture *f = begin_with((cuv_yamux_config){.client = true, .ping_interval_ms = 5, .ping_timeout_ms = 500});
    size_t at = 0;
    await_frames(f);
    expect(f, &at, PING, SYN, 0, 1);
    cuv_yamux_go_away(f->session, 0);
    cuv_yamux_go_away(f->session, 0);   // twice is once
    turn(f->loop);
    expect(f, &at, GO_AWAY, 0, 0, 0);
    expect(f, &at, PING, SYN, 0, 2);
    expect_nothing(f, &at);
    turn_for(f->loop, 0.005);   // the clock has moved on from the ping
    feed(f, PING, ACK, 0, 1);
    CHECK(f->served == 0);
    // Bytes came, then silence: another ping. The answer to the one behind the go away still counts.
    await_frames(f);
    expect(f, &at, PING, SYN, 0, 3);
    feed(f, PING, ACK, 0, 2);
    CHECK(f->served == 1 && f->session->oddities == 0 && f->faults == 0);
    feed(f, PING, ACK, 0, 2);           // twice
    feed(f, PING, ACK, 0, 4);           // before it was asked
    CHECK_EQUAL(f->faults, 2);
    cuv_yamux_close(f->session);
    end(f);
}

static void ids_run_out(void) {
    fixture *f = begin(true);
    int error = 0;
    f->session->next_id = YAMUX_LAST_ID;
    heard *a = open_one(f);
    CHECK(cuv_yamux_stream_id(a->stream) == 0x7fffffff);
    CHECK(cuv_yamux_open(f->session, &owner, a, &error) == NULL && error == CUV_E_GOING_AWAY);
    end(f);
}

static void closing_is_polite_and_breaks_what_is_open(void) {
    fixture *f = begin(true);
    heard *a = open_one(f);
    turn(f->loop);
    tap_forget(f->t);
    cuv_yamux_close(f->session);
    size_t at = 0;
    expect(f, &at, GO_AWAY, 0, 0, 0);
    CHECK(f->t->closed && !f->t->aborted && f->closed == 0 && a->closed == 0);
    turn(f->loop);
    turn(f->loop);
    CHECK(f->closed == 1 && f->status == 0 && a->closed == 1 && a->status == CUV_E_SESSION_LOST && a->broken == 1);
    end(f);
}

static void an_end_of_the_carrier_is_a_clean_end(void) {
    fixture *f = begin(true);
    heard *a = open_one(f);
    turn(f->loop);
    cuv_stream_deliver_end(&f->t->base);
    turn(f->loop);
    turn(f->loop);
    CHECK(f->closed == 1 && f->status == 0 && a->status == CUV_E_SESSION_LOST);
    end(f);
}

static void an_unanswered_ping_ends_the_session(void) {
    fixture *f = begin_with((cuv_yamux_config){.ping_interval_ms = 5, .ping_timeout_ms = 500});
    size_t at = 0;
    await_frames(f);
    expect(f, &at, PING, SYN, 0, 1);
    feed(f, PING, ACK, 0, 1);
    CHECK(f->round_trips == 1 && cuv_yamux_round_trip(f->session) > 0);
    turn_until(f->loop, is_closed, f, 5);
    CHECK(f->closed == 1 && f->status == CUV_E_TIMEOUT);
    end(f);
}

static bool has_asked_again(void *ctx) { return ((fixture *)ctx)->session->ping_id > 1; }

// A peer that never answers a ping but says something now and then is there; the next silence has a ping of its own.
static void whatever_the_peer_says_is_a_sign_of_life(void) {
    fixture *f = begin_with((cuv_yamux_config){.ping_interval_ms = 20, .ping_timeout_ms = 500});
    size_t at = 0;
    await_frames(f);
    expect(f, &at, PING, SYN, 0, 1);
    turn_for(f->loop, 0.005);   // the clock has moved on from the ping
    feed(f, PING, SYN, 0, 77);
    expect(f, &at, PING, ACK, 0, 77);
    turn_until(f->loop, has_asked_again, f, 5);
    CHECK(f->closed == 0);
    end(f);
}

// Its own pings keep the peer's clock quiet: who hears something asks nothing.
static void who_hears_something_asks_nothing(void) {
    fixture *f = begin_with((cuv_yamux_config){.client = true, .ping_interval_ms = 2000});
    size_t at = 0;
    for (int i = 0; i < 30; i++) {
        turn_for(f->loop, 0.1);
        feed(f, PING, SYN, 0, (uint32_t)i);
        expect(f, &at, PING, ACK, 0, (uint32_t)i);
        expect_nothing(f, &at);
    }
    end(f);
}

// The process stood still, the verdict was due long ago: what came meanwhile is read first.
static void who_stood_still_does_not_blame_the_peer(void) {
    fixture *f = begin_with((cuv_yamux_config){.ping_interval_ms = 5, .ping_timeout_ms = 20});
    size_t at = 0;
    await_frames(f);
    expect(f, &at, PING, SYN, 0, 1);
    f->session->lost_at_ms -= 30000;
    yamux_on_timer(f->session);
    CHECK(f->closed == 0 && f->session && f->session->lost_at_ms >= cuv_loop_now_ms(f->loop) + 1000);
    feed(f, PING, ACK, 0, 1);
    CHECK(f->round_trips == 1);
    turn_until(f->loop, is_closed, f, 5);
    CHECK(f->status == CUV_E_TIMEOUT);
    end(f);
}

// On a machine where every timer is late, a peer that is gone is given up all the same.
static void who_is_always_late_gives_a_silent_peer_up(void) {
    fixture *f = begin_with((cuv_yamux_config){.ping_interval_ms = 5, .ping_timeout_ms = 20});
    size_t at = 0;
    await_frames(f);
    expect(f, &at, PING, SYN, 0, 1);
    for (int i = 0; i < 2; i++) {
        CHECK(f->closed == 0 && f->session);
        f->session->lost_at_ms -= 30000;
        yamux_on_timer(f->session);
    }
    turn(f->loop);   // no second wait
    CHECK(f->closed == 1 && f->status == CUV_E_TIMEOUT);
    end(f);
}

static void a_peer_that_pings_and_does_not_read_ends_the_session(void) {
    static uint8_t wire[12 * 10000];
    for (int i = 0; i < 10000; i++) cw_yamux_header_write(wire + 12 * i, &(cw_yamux_header){PING, SYN, 0, (uint32_t)i});
    fixture *f = begin(true);
    f->t->blocked = true;
    for (int i = 0; i < 25 && f->session; i++) tap_feed(f->t, wire, sizeof wire, 0);
    turn(f->loop);
    CHECK(f->closed == 1 && f->status == CUV_E_LIMIT);
    end(f);
}

// Ten thousand streams, each with a byte, in a flood; the loop's memory is bounded by what the peer opened, and comes back.
static void ten_thousand_streams(void) {
    enum { COUNT = 10000 };
    fixture *f = begin(true);
    uint8_t *wire = malloc(COUNT * 13);
    for (int i = 0; i < COUNT; i++) {
        cw_yamux_header_write(wire + 13 * i, &(cw_yamux_header){DATA, SYN | FIN, (uint32_t)i * 2 + 2, 1});
        wire[13 * i + 12] = 'x';
    }
    f->refuses = true;   // first: all refused
    tap_feed(f->t, wire, COUNT * 13, 65536);
    turn(f->loop);
    CHECK(cuv_yamux_stream_count(f->session) == 0 && f->session->table.count == 0);
    f->refuses = false;
    free(wire);
    int error;
    heard h = {0};
    for (int i = 0; i < COUNT; i++) CHECK(cuv_yamux_open(f->session, &owner, &h, &error));
    turn(f->loop);
    CHECK(f->session->unacknowledged == 256 && cuv_yamux_stream_count(f->session) == COUNT);
    cuv_yamux_abort(f->session);
    turn(f->loop);
    turn(f->loop);
    CHECK_EQUAL(h.closed, COUNT);
    end(f);
}

// Any bytes: no crash, no leak, and consumed to the last. A little fuzzing for every run; Fuzz/ has the long ones.
static void anything_may_come(void) {
    uint64_t random = 42;
    for (int round = 0; round < 3000; round++) {
        fixture *f = begin(round & 1);
        f->refuses = round & 2;
        f->reads = round & 4;
        for (int i = 0; i < 40 && f->session && !f->session->over && f->accepted < MANY - 1; i++) {
            uint8_t wire[12 + 64];
            uint64_t r = next_random(&random);
            if (r % 16 == 0 && !f->session->no_more_opens && !f->h[MANY - 1]) {
                int error;
                f->h[MANY - 1] = calloc(1, sizeof(heard));
                cuv_stream *s = cuv_yamux_open(f->session, &owner, f->h[MANY - 1], &error);
                if (s) adopt(f->h[MANY - 1], s, true);
                if (s && r & 4096) cuv_stream_shut(s);
            }
            cw_yamux_header header = {r >> 4 & 1, (uint16_t)(r >> 8 & 15), (uint32_t)(r >> 16 & 7), (uint32_t)(r >> 24 & 63)};
            if (r % 11 == 0) header.type = (uint8_t)(r >> 5 & 3);
            cw_yamux_header_write(wire, &header);
            memset(wire + 12, 'x', 64);
            tap_feed(f->t, wire, 12 + (header.type == DATA ? header.length : 0), r >> 40 & 31);
        }
        end(f);
    }
}

int main(void) {
    crimes_end_the_session();
    a_wrong_version_ends_the_session();
    oddities_are_borne_but_not_for_ever();
    limits_refuse();
    a_waiting_stream_leaves_without_a_trace();
    a_peer_that_goes_away_takes_no_more();
    a_syn_does_not_leave_behind_the_peers_go_away();
    what_comes_behind_our_go_away_is_served();
    an_idle_session_is_served_at_the_answer_to_its_go_away();
    ids_run_out();
    closing_is_polite_and_breaks_what_is_open();
    an_end_of_the_carrier_is_a_clean_end();
    an_unanswered_ping_ends_the_session();
    whatever_the_peer_says_is_a_sign_of_life();
    who_hears_something_asks_nothing();
    who_stood_still_does_not_blame_the_peer();
    who_is_always_late_gives_a_silent_peer_up();
    a_peer_that_pings_and_does_not_read_ends_the_session();
    what_nobody_has_read_counts_until_it_is_read();
    ten_thousand_streams();
    anything_may_come();
    return 0;
}
