// SPDX-License-Identifier: MIT
// The loop by hand, streams in memory, and patterns; see tunnel_support.h.
// On the test's one thread. Nothing here checks what a carrier does.
#include "tunnel_support.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tcp.h"

void turn(cuv_loop *loop) { uv_run(&loop->uv, UV_RUN_NOWAIT); }

// A turn that waits, but not past the time of a test.
static void on_nudge(uv_timer_t *timer) { (void)timer; }

static void waiting_turn(cuv_loop *loop) {
    uv_timer_t *nudge = malloc(sizeof *nudge);
    uv_timer_init(&loop->uv, nudge);
    uv_timer_start(nudge, on_nudge, 1, 1);   // again: a late first one fires before the poll, which would then wait without it
    uv_run(&loop->uv, UV_RUN_ONCE);
    uv_close((uv_handle_t *)nudge, (uv_close_cb)free);
}

void turn_until(cuv_loop *loop, bool (*done)(void *), void *ctx, double seconds) {
    uint64_t end = cuv_now_ns() + (uint64_t)(seconds * 1e9);
    while (!done(ctx)) {
        CHECK(cuv_now_ns() < end);
        waiting_turn(loop);
    }
}

void turn_for(cuv_loop *loop, double seconds) {
    uint64_t end = cuv_now_ns() + (uint64_t)(seconds * 1e9);
    while (cuv_now_ns() < end) waiting_turn(loop);
}

void end_loop(cuv_loop *loop) {
    cuv_counts last;
    cuv_loop_join(loop, &last);
    CHECK(last.connections == 0 && last.tls == 0 && last.websockets == 0 && last.sessions == 0 && last.streams == 0);
    CHECK(last.timers == 0 && last.buffers == 0 && last.buffer_bytes == 0);
}

// The tap.

static void nothing(cuv_stream *stream) { (void)stream; }

static int tap_write(cuv_stream *stream, const cuv_span *spans, int count, bool more) {
    (void)more;
    tap *t = (tap *)stream;
    t->writes += 1;
    for (int i = 0; i < count; i++) {
        if (t->out_count + spans[i].count > t->out_capacity) {
            t->out_capacity = (t->out_count + spans[i].count) * 2;
            t->out = realloc(t->out, t->out_capacity);
        }
        memcpy(t->out + t->out_count, spans[i].bytes, spans[i].count);
        t->out_count += spans[i].count;
        if (t->blocked) cuv_stream_queue(stream, spans[i].count);
    }
    return 0;
}

static int tap_shut(cuv_stream *stream) {
    ((tap *)stream)->shut = true;
    return 0;
}

static void tap_close(cuv_stream *stream) {
    ((tap *)stream)->closed = true;
    cuv_stream_finish_soon(stream, 0);
}

static void tap_abort(cuv_stream *stream, int error) {
    bool first = !((tap *)stream)->closed && !((tap *)stream)->aborted;
    ((tap *)stream)->aborted = true;
    if (first) cuv_stream_finish_soon(stream, error);
}

static void tap_release(cuv_stream *stream) {
    tap *t = (tap *)stream;
    if (t->rest) *t->rest = (tap_rest){true, t->out, t->out_count};
    else free(t->out);
    if (t->gone) *t->gone = true;
    free(t);
}

static const cuv_stream_ops tap_ops = {
    "tap", nothing, nothing, tap_write, tap_shut, tap_close, tap_abort, NULL, tap_release, NULL,
};

tap *tap_new(cuv_loop *loop) {
    tap *t = calloc(1, sizeof *t);
    cuv_stream_init(&t->base, loop, &tap_ops, NULL, NULL);
    cuv_stream_mark_open(&t->base);
    return t;
}

// The bytes are copied: a carrier's reader may write to what it is given.
void tap_feed(tap *t, const void *bytes, size_t count, size_t step) {
    cuv_loop *loop = t->base.loop;
    bool gone = false;
    t->gone = &gone;
    for (size_t at = 0; at < count && !gone;) {
        size_t part = step && step < count - at ? step : count - at;
        uint8_t *copy = malloc(part);
        memcpy(copy, (const uint8_t *)bytes + at, part);
        CHECK(cuv_stream_deliver(&t->base, copy, part) == 0);
        free(copy);
        at += part;
    }
    if (!gone) t->gone = NULL;
    turn(loop);
}

void tap_unblock(tap *t) {
    t->blocked = false;
    cuv_stream_left(&t->base, t->base.queued);
}

void tap_forget(tap *t) { t->out_count = 0; }

// The pipe.

typedef struct packet {
    struct packet *next;
    uint64_t due_ms;
    size_t count;
    uint8_t bytes[];
} packet;

typedef struct pipe_end {
    cuv_stream base;
    struct pipe_end *peer;
    cuv_timer *timer;
    packet *first, *last;     // on their way to this end
    uint32_t delay_ms;
    size_t capacity, under_way;   // of what this end sent
    bool reading, ended, end_due, over;
} pipe_end;

static void arm(pipe_end *end) {
    if (!end->timer || (!end->first && !end->end_due)) return;
    uint64_t now = cuv_loop_now_ms(end->base.loop);
    uint64_t due = end->first ? end->first->due_ms : now;
    cuv_timer_arm(end->timer, due > now ? due - now : 0);
}

static void arrived(pipe_end *sender, size_t count) {
    sender->under_way -= count;
    size_t queued = sender->under_way > sender->capacity ? sender->under_way - sender->capacity : 0;
    if (!sender->over) cuv_stream_set_queued(&sender->base, queued);
}

static void pipe_fire(void *ctx) {
    pipe_end *end = ctx;
    uint64_t now = cuv_loop_now_ms(end->base.loop);
    while (end->first && end->first->due_ms <= now && end->reading && !end->over) {
        packet *p = end->first;
        end->first = p->next;
        if (!end->first) end->last = NULL;
        CHECK(cuv_stream_deliver(&end->base, p->bytes, p->count) == 0);
        if (end->peer) arrived(end->peer, p->count);
        free(p);
    }
    if (!end->first && end->end_due && !end->over) {
        end->end_due = false;
        cuv_stream_deliver_end(&end->base);
    }
    if (end->reading) arm(end);
}

static void pipe_read_start(cuv_stream *stream) {
    ((pipe_end *)stream)->reading = true;
    arm((pipe_end *)stream);
}

static void pipe_read_stop(cuv_stream *stream) { ((pipe_end *)stream)->reading = false; }

static void send_piece(pipe_end *to, const uint8_t *bytes, size_t count, uint32_t delay_ms) {
    packet *p = malloc(sizeof *p + count);
    *p = (packet){.due_ms = cuv_loop_now_ms(to->base.loop) + delay_ms, .count = count};
    memcpy(p->bytes, bytes, count);
    if (to->last) to->last->next = p;
    else to->first = p;
    to->last = p;
}

static int pipe_write(cuv_stream *stream, const cuv_span *spans, int count, bool more) {
    (void)more;
    pipe_end *end = (pipe_end *)stream;
    if (!end->peer) return CUV_E_RESET;
    for (int i = 0; i < count; i++) {
        send_piece(end->peer, spans[i].bytes, spans[i].count, end->delay_ms);
        end->under_way += spans[i].count;
    }
    stream->queued = end->under_way > end->capacity ? end->under_way - end->capacity : 0;
    if (end->peer->reading) arm(end->peer);
    return 0;
}

static int pipe_shut(cuv_stream *stream) {
    pipe_end *end = (pipe_end *)stream;
    if (!end->peer) return 0;
    end->peer->end_due = true;
    if (end->peer->reading) arm(end->peer);
    return 0;
}

// What was sent arrives all the same.
static void pipe_end_now(pipe_end *end, int status) {
    if (end->over) return;
    end->over = true;
    cuv_timer_free(end->timer);
    end->timer = NULL;
    if (end->peer) end->peer->peer = NULL;
    cuv_stream_finish_soon(&end->base, status);
}

static void pipe_close(cuv_stream *stream) {
    pipe_shut(stream);
    pipe_end_now((pipe_end *)stream, 0);
}

static void pipe_abort(cuv_stream *stream, int error) {
    pipe_end *end = (pipe_end *)stream, *peer = end->peer;
    pipe_end_now(end, error);
    if (!peer) return;
    cuv_stream_break(&peer->base, CUV_E_RESET);
    pipe_end_now(peer, CUV_E_RESET);
}

static void pipe_release(cuv_stream *stream) {
    pipe_end *end = (pipe_end *)stream;
    for (packet *p = end->first, *next; p; p = next) {
        next = p->next;
        free(p);
    }
    free(end);
}

static const cuv_stream_ops pipe_ops = {
    "pipe", pipe_read_start, pipe_read_stop, pipe_write, pipe_shut, pipe_close, pipe_abort, NULL, pipe_release, NULL,
};

static pipe_end *pipe_end_new(cuv_loop *loop, uint32_t delay_ms, size_t capacity) {
    pipe_end *end = calloc(1, sizeof *end);
    cuv_stream_init(&end->base, loop, &pipe_ops, NULL, NULL);
    cuv_stream_mark_open(&end->base);
    end->timer = cuv_timer_new(loop, pipe_fire, end);
    end->delay_ms = delay_ms;
    end->capacity = capacity;
    return end;
}

void pipe_new(cuv_loop *loop, uint32_t delay_ms, size_t capacity, cuv_stream **a, cuv_stream **b) {
    pipe_end *one = pipe_end_new(loop, delay_ms, capacity), *other = pipe_end_new(loop, delay_ms, capacity);
    one->peer = other;
    other->peer = one;
    *a = &one->base;
    *b = &other->base;
}

static cuv_stream *tcp_of(cuv_loop *loop, int fd) {
    int error = 0;
    cuv_tcp *tcp = cuv_tcp_new(loop, fd, NULL, NULL, &error);
    CHECK(tcp);
    cuv_tcp_set_options(fd);
    cuv_stream_mark_open(&tcp->stream);
    return &tcp->stream;
}

void tcp_pair(cuv_loop *loop, cuv_stream **a, cuv_stream **b) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 1) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
    CHECK(connect(one, (struct sockaddr *)&address, length) == 0);
    int other = accept(listener, NULL, NULL);
    close(listener);
    *a = tcp_of(loop, one);
    *b = tcp_of(loop, other);
}

// Patterns: eight bytes at a time from a place's own number, so any piece can be checked by itself.

static uint64_t mix(uint64_t x) {
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdULL;
    x ^= x >> 33;
    return x;
}

static uint64_t word_at(uint64_t seed, uint64_t place) { return mix(seed * 0x9e3779b97f4a7c15ULL + place / 8 + 1); }

static uint8_t byte_at(uint64_t seed, uint64_t place) { return (uint8_t)(word_at(seed, place) >> (place % 8 * 8)); }

void pattern_fill(uint8_t *to, size_t count, uint64_t seed, uint64_t place) {
    size_t i = 0;
    for (; i < count && (place + i) % 8; i++) to[i] = byte_at(seed, place + i);
    for (; i + 8 <= count; i += 8) memcpy(to + i, &(uint64_t){word_at(seed, place + i)}, 8);
    for (; i < count; i++) to[i] = byte_at(seed, place + i);
}

bool pattern_holds(const uint8_t *bytes, size_t count, uint64_t seed, uint64_t place) {
    uint8_t expected[4096];
    for (size_t i = 0; i < count; i += sizeof expected) {
        size_t part = count - i < sizeof expected ? count - i : sizeof expected;
        pattern_fill(expected, part, seed, place + i);
        if (memcmp(expected, bytes + i, part) != 0) return false;
    }
    return true;
}

uint64_t next_random(uint64_t *state) {
    *state += 0x9e3779b97f4a7c15ULL;
    return mix(*state);
}
