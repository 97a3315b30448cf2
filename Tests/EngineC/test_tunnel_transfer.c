// SPDX-License-Identifier: MIT
// Two sessions with each other, over pipes in memory and over TCP and WebSocket: contents, order, back-pressure, ends, a long way.
// Both ends live on one loop, turned by the test.
#include "tunnel_support.h"

#include "yamux_types.h"

// One end of a stream under test: sends a pattern of `total` bytes in random pieces, checks the one that comes.
typedef struct side {
    cuv_stream *stream;
    uint64_t random, out_seed, in_seed;
    size_t total, sent, received;
    size_t piece;               // bytes a write at most
    bool ended, shut, paused, partial, manual;
    int broken, closed, status;
    uint32_t window;            // the largest its receive window was
    size_t stop_at;             // bytes, then it reads no more; 0: all
} side;

typedef struct world {
    cuv_loop *loop;
    cuv_stream *carriers[2];
    cuv_yamux *sessions[2];     // client, server
    side *sides;                // opened by the server; accepted ones follow
    int streams, accepted, sessions_closed;
    uint8_t *scratch;
} world;

enum { SCRATCH = 1 << 18 };

static world *here;   // tests run one at a time on one thread

static void pump(side *s) {
    while (s->stream && s->sent < s->total && cuv_stream_queued(s->stream) < CUV_QUEUE_HIGH) {
        size_t part = 1 + next_random(&s->random) % s->piece;
        if (part > s->total - s->sent) part = s->total - s->sent;
        pattern_fill(here->scratch, part, s->out_seed, s->sent);
        s->sent += part;
        if (cuv_stream_write(s->stream, here->scratch, part, next_random(&s->random) & 1)) return;
    }
    if (s->stream && s->sent == s->total && !s->shut) {
        s->shut = true;
        cuv_stream_shut(s->stream);
    }
}

static size_t on_read(void *ctx, cuv_stream *stream, const uint8_t *bytes, size_t count) {
    side *s = ctx;
    if (s->partial && next_random(&s->random) % 4 == 0) {
        cuv_stream_resume(stream);
        count = next_random(&s->random) % (count + 1);
    }
    CHECK(pattern_holds(bytes, count, s->in_seed, s->received));
    s->received += count;
    const yamux_window *window = &((yamux_stream *)stream)->window;
    if (window->size > s->window) s->window = window->size;
    if (s->manual) cuv_stream_grant(stream, count);
    if (s->stop_at && s->received >= s->stop_at) cuv_stream_read_stop(stream);
    return count;
}
static void on_end(void *ctx, cuv_stream *stream) { (void)stream; ((side *)ctx)->ended = true; }
static void on_broken(void *ctx, cuv_stream *stream, int error) { (void)stream; (void)error; ((side *)ctx)->broken++; }
static void on_drain(void *ctx, cuv_stream *stream) {
    (void)stream;
    if (cuv_stream_queued(stream) <= CUV_QUEUE_LOW) pump(ctx);
}
static void on_closed(void *ctx, cuv_stream *stream, int status) {
    (void)stream;
    side *s = ctx;
    s->closed++;
    s->status = status;
    s->stream = NULL;
}
static const cuv_reader reader = {on_read, on_end, on_broken};
static const cuv_writer writer = {on_drain, NULL};
static const cuv_owner owner = {NULL, on_closed};

static void begin_side(side *s, cuv_stream *stream, uint64_t out_seed, uint64_t in_seed) {
    s->stream = stream;
    s->random = s->out_seed = out_seed;
    s->in_seed = in_seed;
    stream->manual_grant = s->manual;
    cuv_stream_set_reader(stream, &reader, s);
    cuv_stream_set_writer(stream, &writer, s);
    if (!s->paused) cuv_stream_read_start(stream);
    pump(s);
}

// Streams are accepted in the order they were opened, so the n-th accepted answers the n-th opened.
static void on_stream(void *ctx, cuv_yamux *session, cuv_stream *stream) {
    (void)ctx;
    (void)session;
    int n = here->accepted++;
    side *s = &here->sides[here->streams + n];
    cuv_stream_set_owner(stream, &owner, s);
    begin_side(s, stream, 2000 + (uint64_t)n, 1000 + (uint64_t)n);
}
static void on_session_closed(void *ctx, cuv_yamux *session, int status) {
    (void)ctx;
    (void)status;
    here->sessions_closed++;
    here->sessions[session == here->sessions[0] ? 0 : 1] = NULL;
}
static const cuv_yamux_events events = {on_stream, NULL, NULL, NULL, on_session_closed, NULL};

static world *begin(cuv_loop *loop, cuv_stream *a, cuv_stream *b, int streams) {
    world *w = here = calloc(1, sizeof *w);
    w->loop = loop;
    w->carriers[0] = a;
    w->carriers[1] = b;
    w->streams = streams;
    w->sides = calloc((size_t)streams * 2, sizeof *w->sides);
    w->scratch = malloc(SCRATCH);
    for (int i = 0; i < 2; i++) {
        cuv_yamux_config config = {.client = i == 0};
        w->sessions[i] = cuv_yamux_new(w->carriers[i], &config, &events, w);
    }
    for (int i = 0; i < 2 * streams; i++) w->sides[i].piece = 1;
    return w;
}

static void open_all(world *w) {
    for (int i = 0; i < w->streams; i++) {
        int error;
        cuv_stream *stream = cuv_yamux_open(w->sessions[1], &owner, &w->sides[i], &error);
        CHECK(stream);
        begin_side(&w->sides[i], stream, 1000 + (uint64_t)i, 2000 + (uint64_t)i);
    }
}

static bool is_over(const side *s) { return s->closed == 1; }

static bool all_over(void *ctx) {
    world *w = ctx;
    for (int i = 0; i < 2 * w->streams; i++)
        if (!is_over(&w->sides[i])) return false;
    return true;
}

static bool sessions_over(void *ctx) { return ((world *)ctx)->sessions_closed == 2; }

static void end(world *w) {
    if (w->sessions[0]) cuv_yamux_close(w->sessions[0]);
    turn_until(w->loop, sessions_over, w, 5);
    end_loop(w->loop);
    free(w->scratch);
    free(w->sides);
    free(w);
}

static void check_whole(const side *s, size_t expected) {
    CHECK(s->ended && s->closed == 1 && s->status == 0 && s->broken == 0);
    CHECK_EQUAL(s->received, expected);
}

static void transfer(world *w, size_t piece, size_t total, bool partial) {
    uint64_t random = piece;
    for (int i = 0; i < 2 * w->streams; i++) {
        w->sides[i].piece = piece;
        w->sides[i].total = next_random(&random) % total;
        w->sides[i].partial = partial;
        w->sides[i].manual = i & 1;
    }
    open_all(w);
    turn_until(w->loop, all_over, w, 15);
    for (int i = 0; i < w->streams; i++) {
        check_whole(&w->sides[i], w->sides[w->streams + i].total);
        check_whole(&w->sides[w->streams + i], w->sides[i].total);
    }
    CHECK(cuv_yamux_stream_count(w->sessions[0]) == 0 && w->sessions[0]->oddities == 0);
    CHECK(cuv_yamux_stream_count(w->sessions[1]) == 0 && w->sessions[1]->oddities == 0);
    end(w);
}

static void over_pipe(int streams, size_t piece, size_t total, size_t capacity, bool partial) {
    cuv_loop *loop = cuv_loop_new();
    cuv_stream *a, *b;
    pipe_new(loop, 0, capacity, &a, &b);
    transfer(begin(loop, a, b, streams), piece, total, partial);
}

static world *over_ws(cuv_loop *loop, int streams, bool tcp) {
    cuv_stream *a, *b;
    if (tcp) tcp_pair(loop, &a, &b);
    else pipe_new(loop, 0, 100000, &a, &b);
    a = cuv_ws_wrap(a, &(cuv_ws_config){.client = true}, NULL, NULL);
    b = cuv_ws_wrap(b, &(cuv_ws_config){.client = false}, NULL, NULL);
    return begin(loop, a, b, streams);
}

static void transfers_are_whole(void) {
    over_pipe(1, 10, 3000, 1 << 20, false);
    over_pipe(20, 100, 20000, 1000, true);
    over_pipe(20, 30000, 600000, 100000, true);
    over_pipe(3, SCRATCH, 3000000, 1 << 20, false);
    over_pipe(200, 5000, 30000, 50000, true);
    for (int tcp = 0; tcp < 2; tcp++) {
        transfer(over_ws(cuv_loop_new(), 10, tcp), 200, 20000, true);
        transfer(over_ws(cuv_loop_new(), 10, tcp), 70000, 1000000, true);
        transfer(over_ws(cuv_loop_new(), 2, tcp), SCRATCH, 5000000, false);
    }
}

static bool others_over(void *ctx) {
    world *w = ctx;
    for (int i = 1; i < w->streams; i++)
        if (!is_over(&w->sides[i]) || !is_over(&w->sides[w->streams + i])) return false;
    return true;
}

static void a_stream_that_stands_still_holds_up_no_other(void) {
    cuv_loop *loop = cuv_loop_new();
    world *w = over_ws(loop, 5, true);
    for (int i = 0; i < 10; i++) {
        w->sides[i].piece = 50000;
        w->sides[i].total = 1500000;
    }
    side *from = &w->sides[0], *to = &w->sides[5];
    to->paused = true;
    open_all(w);
    turn_until(loop, others_over, w, 10);
    for (int i = 1; i < 5; i++) check_whole(&w->sides[i], 1500000);
    // The one is held where its window ends, and its sender knows.
    CHECK(to->received == 0 && !from->shut);
    CHECK_EQUAL(cuv_stream_kept(to->stream).count, CW_YAMUX_INITIAL_WINDOW);
    CHECK(cuv_stream_queued(from->stream) > CUV_QUEUE_LOW && cuv_stream_queued(from->stream) < CUV_QUEUE_HIGH + 50000);
    cuv_stream_read_start(to->stream);
    turn_until(loop, all_over, w, 10);
    check_whole(to, 1500000);
    end(w);
}

static bool download_over(void *ctx) { return ((world *)ctx)->sides[0].ended; }

// One stream over a way of 50 ms there and back, each direction at once: the window must grow until the way is full.
static void a_long_way_is_filled(void) {
    cuv_loop *loop = cuv_loop_new();
    cuv_stream *a, *b;
    pipe_new(loop, 25, 64 << 20, &a, &b);
    world *w = begin(loop, a, b, 1);
    size_t total = getenv("BYTES") ? strtoul(getenv("BYTES"), NULL, 10) : 100000000;
    for (int i = 0; i < 2; i++) {
        w->sides[i].total = i ? total : 1000;
        w->sides[i].piece = SCRATCH;
        w->sides[i].manual = true;
    }
    uint64_t start = cuv_now_ns();
    open_all(w);
    turn_until(loop, download_over, w, 18);
    double seconds = (double)(cuv_now_ns() - start) / 1e9;
    printf("50 ms: %.0f MB/s, round trip %.1f ms\n", (double)total / 1e6 / seconds, (double)cuv_yamux_round_trip(w->sessions[1]) / 1e6);
    printf("window %u KiB\n", w->sides[0].window / 1024);
    CHECK(w->sides[0].window >= 1 << 20 && w->sides[1].window == CW_YAMUX_INITIAL_WINDOW);
    turn_until(loop, all_over, w, 5);
    CHECK_EQUAL(w->sessions[1]->growth.left, 64 << 20);
    end(w);
}

enum { FAST = 4 };

// They read no more, and all that their windows allow has come.
static bool the_fast_stand_still(void *ctx) {
    world *w = ctx;
    for (int i = 0; i < FAST; i++)
        if (w->sides[i].received < w->sides[i].stop_at || ((yamux_stream *)w->sides[i].stream)->window.open > 0) return false;
    return true;
}

static bool the_last_is_over(void *ctx) { return ((world *)ctx)->sides[FAST].ended; }

// Four clients download fast over a way of 50 ms, then read no more. Their windows together could have been all that the tunnel has.
static void those_that_stand_still_leave_a_window_for_the_next(void) {
    enum { STOP = 6000000, ALL = 10000000, MIB = 1 << 20 };
    cuv_loop *loop = cuv_loop_new();
    cuv_stream *a, *b;
    pipe_new(loop, 25, 64 << 20, &a, &b);
    world *w = begin(loop, a, b, FAST + 1);
    yamux_growth *growth = &w->sessions[1]->growth;
    growth->left = FAST * (2 * MIB - CW_YAMUX_INITIAL_WINDOW);
    growth->largest = 2 * MIB;
    for (int i = 0; i <= FAST; i++) {
        w->sides[i].stop_at = i < FAST ? STOP : 0;
        w->sides[i].paused = i == FAST;
        w->sides[FAST + 1 + i].total = ALL;
        w->sides[FAST + 1 + i].piece = SCRATCH;
    }
    open_all(w);
    turn_until(loop, the_fast_stand_still, w, 10);
    cuv_stream_read_start(w->sides[FAST].stream);
    turn_until(loop, the_last_is_over, w, 10);
    CHECK(w->sides[FAST].window >= 512 * 1024);
    for (int i = 0; i < FAST; i++) {
        w->sides[i].stop_at = 0;
        cuv_stream_read_start(w->sides[i].stream);
    }
    turn_until(loop, all_over, w, 10);
    for (int i = 0; i <= FAST; i++) check_whole(&w->sides[i], ALL);
    CHECK_EQUAL(growth->left, FAST * (2 * MIB - CW_YAMUX_INITIAL_WINDOW));
    end(w);
}

// Streams that are aborted, closed and left at random places, for a while; nothing may stay.
static void streams_end_at_every_stage(void) {
    uint64_t random = 9;
    for (int round = 0; round < 20; round++) {
        cuv_loop *loop = cuv_loop_new();
        world *w = over_ws(loop, 40, round & 1);
        for (int i = 0; i < 80; i++) {
            w->sides[i].total = next_random(&random) % 400000;
            w->sides[i].piece = 1 + next_random(&random) % 40000;
            w->sides[i].paused = next_random(&random) % 5 == 0;
        }
        open_all(w);
        for (int i = 0; i < 60; i++) {
            side *s = &w->sides[next_random(&random) % 80];
            turn(loop);
            if (!s->stream) continue;
            switch (next_random(&random) % 5) {
                case 0: cuv_stream_abort(s->stream); break;
                case 1: cuv_stream_close(s->stream); break;
                case 2: cuv_stream_read_stop(s->stream); break;
                case 3: cuv_stream_read_start(s->stream); break;
                default: cuv_stream_set_reader(s->stream, NULL, NULL);
            }
        }
        if (round % 3 == 0) cuv_yamux_abort(w->sessions[1]);
        if (round % 3 == 1) cuv_stream_abort(w->sessions[0] ? cuv_yamux_carrier(w->sessions[0]) : NULL);
        end(w);
    }
}

int main(void) {
    transfers_are_whole();
    a_stream_that_stands_still_holds_up_no_other();
    a_long_way_is_filled();
    those_that_stand_still_leave_a_window_for_the_next();
    streams_end_at_every_stage();
    return 0;
}
