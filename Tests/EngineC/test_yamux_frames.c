// SPDX-License-Identifier: MIT
// A yamux session against bytes: every frame that may come and those that may not, in one piece and byte by byte.
#include "tunnel_support.h"

#include "yamux_types.h"

enum { DATA = CW_YAMUX_DATA, WINDOW = CW_YAMUX_WINDOW, PING = CW_YAMUX_PING, GO_AWAY = CW_YAMUX_GO_AWAY };
enum { SYN = CW_YAMUX_SYN, ACK = CW_YAMUX_ACK, FIN = CW_YAMUX_FIN, RST = CW_YAMUX_RST };
enum { FIRST = CW_YAMUX_INITIAL_WINDOW, MANY = 32 };

typedef struct heard {
    cuv_stream *stream;
    uint8_t bytes[1 << 20];
    size_t count;
    int opened, ends, broken, closed, status, drains;
} heard;

typedef struct fixture {
    cuv_loop *loop;
    tap *t;
    cuv_yamux *session;
    heard *h[MANY];
    int accepted;
    bool refuses, reads;
    int closed, status, go_aways, round_trips;
    uint32_t code;
} fixture;

static size_t on_read(void *ctx, cuv_stream *stream, const uint8_t *bytes, size_t count) {
    (void)stream;
    heard *h = ctx;
    size_t room = sizeof h->bytes - h->count;
    memcpy(h->bytes + h->count, bytes, count < room ? count : room);
    h->count += count < room ? count : room;
    return count;
}
static void on_end(void *ctx, cuv_stream *stream) { (void)stream; ((heard *)ctx)->ends++; }
static void on_broken(void *ctx, cuv_stream *stream, int error) { (void)stream; (void)error; ((heard *)ctx)->broken++; }
static void on_drain(void *ctx, cuv_stream *stream) { (void)stream; ((heard *)ctx)->drains++; }
static void on_open(void *ctx, cuv_stream *stream) { (void)stream; ((heard *)ctx)->opened++; }
static void on_closed(void *ctx, cuv_stream *stream, int status) {
    (void)stream;
    heard *h = ctx;
    h->closed++;
    h->status = status;
    h->stream = NULL;
}
static const cuv_reader reader = {on_read, on_end, on_broken};
static const cuv_writer writer = {on_drain, NULL};
static const cuv_owner owner = {on_open, on_closed};

static void adopt(heard *h, cuv_stream *stream, bool reads) {
    h->stream = stream;
    cuv_stream_set_reader(stream, &reader, h);
    cuv_stream_set_writer(stream, &writer, h);
    if (reads) cuv_stream_read_start(stream);
}

static void on_stream(void *ctx, cuv_yamux *session, cuv_stream *stream) {
    (void)session;
    fixture *f = ctx;
    if (f->refuses) return;
    heard *h = calloc(1, sizeof *h);
    if (f->accepted < MANY) f->h[f->accepted] = h;
    f->accepted++;
    cuv_stream_set_owner(stream, &owner, h);
    adopt(h, stream, f->reads);
}
static void on_go_away(void *ctx, cuv_yamux *session, uint32_t code) {
    (void)session;
    ((fixture *)ctx)->go_aways++;
    ((fixture *)ctx)->code = code;
}
static void on_round_trip(void *ctx, cuv_yamux *session, uint64_t ns) { (void)session; (void)ns; ((fixture *)ctx)->round_trips++; }
static void on_session_closed(void *ctx, cuv_yamux *session, int status) {
    (void)session;
    fixture *f = ctx;
    f->closed++;
    f->status = status;
    f->session = NULL;
}
static const cuv_yamux_events events = {on_stream, on_go_away, on_round_trip, on_session_closed};

static fixture *begin_with(cuv_yamux_config config) {
    fixture *f = calloc(1, sizeof *f);
    f->loop = cuv_loop_new();
    f->t = tap_new(f->loop);
    f->reads = true;
    f->session = cuv_yamux_new(&f->t->base, &config, &events, f);
    CHECK(f->session && cuv_yamux_carrier(f->session) == &f->t->base);
    return f;
}

static fixture *begin(bool client) { return begin_with((cuv_yamux_config){.client = client}); }

static void end(fixture *f) {
    if (f->session) cuv_yamux_abort(f->session);
    for (int i = 0; i < 4; i++) turn(f->loop);
    CHECK_EQUAL(f->closed, 1);
    for (int i = 0; i < MANY; i++) free(f->h[i]);
    end_loop(f->loop);
    free(f);
}

static heard *open_one(fixture *f) {
    int error = 1, at = 0;
    while (f->h[at]) at++;
    heard *h = f->h[at] = calloc(1, sizeof *h);
    cuv_stream *stream = cuv_yamux_open(f->session, &owner, h, &error);
    CHECK(stream && error == 0 && cuv_yamux_session(stream) == f->session);
    adopt(h, stream, true);
    return h;
}

static void feed_frame(fixture *f, uint8_t type, uint16_t flags, uint32_t id, uint32_t length, const void *payload, size_t count) {
    uint8_t *wire = malloc(12 + count);
    cw_yamux_header_write(wire, &(cw_yamux_header){type, flags, id, length});
    if (count) memcpy(wire + 12, payload, count);
    tap_feed(f->t, wire, 12 + count, 0);
    free(wire);
}

static void feed(fixture *f, uint8_t type, uint16_t flags, uint32_t id, uint32_t length) {
    feed_frame(f, type, flags, id, length, NULL, 0);
}

static void feed_zeroes(fixture *f, uint32_t id, size_t count) {
    uint8_t *zeroes = calloc(1, count);
    feed_frame(f, DATA, 0, id, (uint32_t)count, zeroes, count);
    free(zeroes);
}

// Takes the next frame off what the session wrote; its payload is skipped. False: nothing is left.
static bool next_frame(fixture *f, size_t *at, cw_yamux_header *out) {
    if (*at >= f->t->out_count) return false;
    CHECK(cw_yamux_header_read(out, f->t->out + *at, f->t->out_count - *at) == 12);
    *at += 12 + (out->type == DATA ? out->length : 0);
    CHECK(*at <= f->t->out_count);
    return true;
}

static void expect(fixture *f, size_t *at, uint8_t type, uint16_t flags, uint32_t id, uint32_t length) {
    cw_yamux_header got;
    CHECK(next_frame(f, at, &got));
    CHECK_EQUAL(got.type, type);
    CHECK_EQUAL(got.flags, flags);
    CHECK_EQUAL(got.stream, id);
    CHECK_EQUAL(got.length, length);
}

static void expect_nothing(fixture *f, size_t *at) {
    CHECK_EQUAL(*at, f->t->out_count);
    tap_forget(f->t);
    *at = 0;
}

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
    CHECK_EQUAL(f->t->writes, 4);
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
    CHECK(cuv_stream_queued(a->stream) > 0);
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
    feed_frame(f, DATA, SYN, 2, 5, "hello", 5);
    CHECK(f->accepted == 1 && f->h[0]->count == 5 && f->h[0]->opened == 0);
    CHECK_EQUAL(cuv_stream_write(f->h[0]->stream, (const uint8_t *)"answer", 6, false), 0);
    turn(f->loop);
    CHECK_EQUAL(f->t->writes, 1);
    expect(f, &at, WINDOW, ACK, 2, 0);
    expect(f, &at, DATA, 0, 2, 6);
    expect_nothing(f, &at);
    feed(f, WINDOW, SYN, 4, 0);
    CHECK_EQUAL(f->t->writes, 1);
    turn_for(f->loop, 0.02);
    expect(f, &at, WINDOW, ACK, 4, 0);
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
    CHECK(cuv_yamux_oddities(f->session) == 0 && f->session);
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
    CHECK_EQUAL(cuv_yamux_oddities(f->session), 0);
    feed_zeroes(f, 4, 1);
    CHECK_EQUAL(cuv_yamux_oddities(f->session), 1);
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
    f->loop->uv.time += 6000;   // no sleep: the loop's clock is put on
    struct cuv_yamux *s = f->session;
    s->timer_at_ms = 0;
    yamux_stream *lingering = CUV_CONTAINER(s->lingering.next, yamux_stream, deadline);
    lingering->until_ms = 1;
    extern void yamux_on_timer(void *);
    yamux_on_timer(s);
    turn(f->loop);
    turn(f->loop);
    expect(f, &at, WINDOW, RST, 4, 0);
    CHECK(f->h[1]->closed == 1 && f->h[1]->status == 0);
    end(f);
}

static void windows_are_given_back_as_bytes_are_taken(void) {
    fixture *f = begin(true);
    size_t at = 0;
    feed(f, WINDOW, SYN, 2, 0);
    turn_for(f->loop, 0.01);
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
            turn_for(f->loop, 0.01);
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
    CHECK(f->session && cuv_yamux_oddities(f->session) == 4);
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
    feed(f, WINDOW, ACK, 2, 0);
    turn(f->loop);
    expect(f, &at, DATA, SYN, 4, 5);
    expect_nothing(f, &at);
    CHECK(b->drains == 1 && f->accepted == 0);
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

static void going_away(void) {
    fixture *f = begin(false);
    size_t at = 0;
    int error = 0;
    heard *a = open_one(f);
    turn(f->loop);
    feed(f, GO_AWAY, 0, 0, 0);
    CHECK(f->go_aways == 1 && f->code == 0);
    CHECK(cuv_yamux_open(f->session, &owner, a, &error) == NULL && error == CUV_E_GOING_AWAY);
    feed_frame(f, DATA, ACK, 2, 2, "on", 2);
    CHECK(a->count == 2);
    tap_forget(f->t);
    cuv_yamux_go_away(f->session, 0);
    feed(f, WINDOW, SYN, 1, 0);
    expect(f, &at, GO_AWAY, 0, 0, 0);
    expect(f, &at, WINDOW, RST, 1, 0);
    CHECK_EQUAL(f->accepted, 0);
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
    fixture *f = begin_with((cuv_yamux_config){.ping_interval_ms = 5, .ping_timeout_ms = 20});
    size_t at = 0;
    turn_for(f->loop, 0.015);
    expect(f, &at, PING, SYN, 0, 1);
    feed(f, PING, ACK, 0, 1);
    CHECK(f->round_trips == 1 && cuv_yamux_round_trip(f->session) > 0);
    turn_for(f->loop, 0.1);
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
    frames_of_a_turn_are_one_write();
    large_payloads_go_along_in_frames_of_64_kib();
    what_the_window_holds_back_is_queued();
    a_full_carrier_lets_control_pass_and_streams_take_turns();
    accepting_acknowledges();
    without_an_owner_it_is_refused();
    a_refusal_is_told_from_a_reset();
    what_ended_before_a_reset_may_still_be_read();
    an_abort_is_a_reset_unless_the_syn_never_left();
    a_close_waits_for_the_peers_end_but_not_for_ever();
    windows_are_given_back_as_bytes_are_taken();
    a_stream_that_does_not_read_stops_no_other();
    crimes_end_the_session();
    a_wrong_version_ends_the_session();
    oddities_are_borne_but_not_for_ever();
    limits_refuse();
    a_waiting_stream_leaves_without_a_trace();
    going_away();
    ids_run_out();
    closing_is_polite_and_breaks_what_is_open();
    an_end_of_the_carrier_is_a_clean_end();
    an_unanswered_ping_ends_the_session();
    a_peer_that_pings_and_does_not_read_ends_the_session();
    ten_thousand_streams();
    anything_may_come();
    return 0;
}
