// SPDX-License-Identifier: MIT
// A yamux session on a tap: frames are fed as a peer would send them, what the session writes is read back frame by frame.
// For the tests of frames; everything is static, each test program has its own. On the test's one thread.
#ifndef YAMUX_FIXTURE_H
#define YAMUX_FIXTURE_H

#include "tunnel_support.h"

#include "yamux_parts.h"

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
    int closed, status, go_aways, round_trips, served, faults;
    uint32_t code;
} fixture;

static inline size_t on_read(void *ctx, cuv_stream *stream, const uint8_t *bytes, size_t count) {
    (void)stream;
    heard *h = ctx;
    size_t room = sizeof h->bytes - h->count;
    memcpy(h->bytes + h->count, bytes, count < room ? count : room);
    h->count += count < room ? count : room;
    return count;
}
static inline void on_end(void *ctx, cuv_stream *stream) { (void)stream; ((heard *)ctx)->ends++; }
static inline void on_broken(void *ctx, cuv_stream *stream, int error) { (void)stream; (void)error; ((heard *)ctx)->broken++; }
static inline void on_drain(void *ctx, cuv_stream *stream) { (void)stream; ((heard *)ctx)->drains++; }
static inline void on_open(void *ctx, cuv_stream *stream) { (void)stream; ((heard *)ctx)->opened++; }
static inline void on_closed(void *ctx, cuv_stream *stream, int status) {
    (void)stream;
    heard *h = ctx;
    h->closed++;
    h->status = status;
    h->stream = NULL;
}
static const cuv_reader reader = {on_read, on_end, on_broken};
static const cuv_writer writer = {on_drain, NULL};
static const cuv_owner owner = {on_open, on_closed};

static inline void adopt(heard *h, cuv_stream *stream, bool reads) {
    h->stream = stream;
    cuv_stream_set_reader(stream, &reader, h);
    cuv_stream_set_writer(stream, &writer, h);
    if (reads) cuv_stream_read_start(stream);
}

static inline void on_stream(void *ctx, cuv_yamux *session, cuv_stream *stream) {
    (void)session;
    fixture *f = ctx;
    if (f->refuses) return;
    heard *h = calloc(1, sizeof *h);
    if (f->accepted < MANY) f->h[f->accepted] = h;
    f->accepted++;
    cuv_stream_set_owner(stream, &owner, h);
    adopt(h, stream, f->reads);
}
static inline void on_go_away(void *ctx, cuv_yamux *session, uint32_t code) {
    (void)session;
    ((fixture *)ctx)->go_aways++;
    ((fixture *)ctx)->code = code;
}
static inline void on_round_trip(void *ctx, cuv_yamux *session, uint64_t ns) { (void)session; (void)ns; ((fixture *)ctx)->round_trips++; }
static inline void on_served(void *ctx, cuv_yamux *session) { (void)session; ((fixture *)ctx)->served++; }
static inline void on_fault(void *ctx, cuv_yamux *session) { (void)session; ((fixture *)ctx)->faults++; }
static inline void on_session_closed(void *ctx, cuv_yamux *session, int status) {
    (void)session;
    fixture *f = ctx;
    f->closed++;
    f->status = status;
    f->session = NULL;
}
static const cuv_yamux_events events = {on_stream, on_go_away, on_round_trip, on_served, on_session_closed, on_fault};

static inline fixture *begin_with(cuv_yamux_config config) {
    fixture *f = calloc(1, sizeof *f);
    f->loop = cuv_loop_new();
    f->t = tap_new(f->loop);
    f->reads = true;
    f->session = cuv_yamux_new(&f->t->base, &config, &events, f);
    CHECK(f->session && cuv_yamux_carrier(f->session) == &f->t->base);
    return f;
}

static inline fixture *begin(bool client) { return begin_with((cuv_yamux_config){.client = client}); }

static inline bool has_written(void *ctx) { return ((fixture *)ctx)->t->out_count > 0; }
static inline bool is_closed(void *ctx) { return ((fixture *)ctx)->closed > 0; }

// Frames that wait for company leave by themselves.
static inline void await_frames(fixture *f) { turn_until(f->loop, has_written, f, 5); }

static inline void end(fixture *f) {
    if (f->session) cuv_yamux_abort(f->session);
    for (int i = 0; i < 4; i++) turn(f->loop);
    CHECK_EQUAL(f->closed, 1);
    for (int i = 0; i < MANY; i++) free(f->h[i]);
    end_loop(f->loop);
    free(f);
}

static inline heard *open_one(fixture *f) {
    int error = 1, at = 0;
    while (f->h[at]) at++;
    heard *h = f->h[at] = calloc(1, sizeof *h);
    cuv_stream *stream = cuv_yamux_open(f->session, &owner, h, &error);
    CHECK(stream && error == 0 && cuv_yamux_session(stream) == f->session);
    adopt(h, stream, true);
    return h;
}

static inline void feed_frame(fixture *f, uint8_t type, uint16_t flags, uint32_t id, uint32_t length, const void *payload, size_t count) {
    uint8_t *wire = malloc(12 + count);
    cw_yamux_header_write(wire, &(cw_yamux_header){type, flags, id, length});
    if (count) memcpy(wire + 12, payload, count);
    tap_feed(f->t, wire, 12 + count, 0);
    free(wire);
}

static inline void feed(fixture *f, uint8_t type, uint16_t flags, uint32_t id, uint32_t length) {
    feed_frame(f, type, flags, id, length, NULL, 0);
}

// Without a turn of the loop: what waits for company has no time to leave alone.
static inline void feed_at_once(fixture *f, uint16_t flags, uint32_t id, const char *payload) {
    uint8_t wire[64];
    size_t count = strlen(payload);
    cw_yamux_header_write(wire, &(cw_yamux_header){DATA, flags, id, (uint32_t)count});
    memcpy(wire + 12, payload, count);
    CHECK_EQUAL(cuv_stream_deliver(&f->t->base, wire, 12 + count), 0);
}

static inline void feed_zeroes(fixture *f, uint32_t id, size_t count) {
    uint8_t *zeroes = calloc(1, count);
    feed_frame(f, DATA, 0, id, (uint32_t)count, zeroes, count);
    free(zeroes);
}

// Takes the next frame off what the session wrote; its payload is skipped. False: nothing is left.
static inline bool next_frame(fixture *f, size_t *at, cw_yamux_header *out) {
    if (*at >= f->t->out_count) return false;
    CHECK(cw_yamux_header_read(out, f->t->out + *at, f->t->out_count - *at) == 12);
    *at += 12 + (out->type == DATA ? out->length : 0);
    CHECK(*at <= f->t->out_count);
    return true;
}

static inline void expect(fixture *f, size_t *at, uint8_t type, uint16_t flags, uint32_t id, uint32_t length) {
    cw_yamux_header got;
    CHECK(next_frame(f, at, &got));
    CHECK_EQUAL(got.type, type);
    CHECK_EQUAL(got.flags, flags);
    CHECK_EQUAL(got.stream, id);
    CHECK_EQUAL(got.length, length);
}

static inline void expect_nothing(fixture *f, size_t *at) {
    CHECK_EQUAL(*at, f->t->out_count);
    tap_forget(f->t);
    *at = 0;
}

#endif
