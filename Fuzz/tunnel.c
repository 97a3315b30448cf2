// SPDX-License-Identifier: MIT
// Fuzzes a tunnel's end: the input is a row of acts of a peer (frames, bytes, ends, time) and of a user (open, write, shut, close, abort,
// read on and off), also from inside every callback. Over WebSocket or straight on the carrier, as client or server.
// Holds: each stream and the session hear on_closed once, the session last; nothing is left on the loop.
// fuzz-sources: Sources/CUV/*.c Tests/EngineC/tunnel_support.c Tests/EngineC/check.c
// fuzz-libraries: uv crypto ssl
#include "tunnel_support.h"

#include "cw_ws_frame.h"
#include "yamux_parts.h"

enum { STREAMS = 24, BODY_MAX = 280000 };

typedef struct player {
    cuv_stream *stream;   // NULL: never opened, or closed
    int closed;
} player;

static struct {
    const uint8_t *input;
    size_t left;
    uint64_t dice;
    player players[STREAMS];
    int count;
    cuv_yamux *session;
    int closed;
    bool ws, client;
} game;

static uint8_t payload[400000];

static uint8_t next(void) {
    if (game.left == 0) return 0;
    game.left -= 1;
    return *game.input++;
}

static void demand(bool condition) {
    if (!condition) abort();
}

static void end_somehow(uint32_t how) {
    if (!game.session) return;
    switch (how % 8) {
        case 0: cuv_yamux_close(game.session); break;
        case 1: cuv_yamux_abort(game.session); break;
        case 2: cuv_yamux_go_away(game.session, how >> 8 & 3); break;
        default: break;
    }
}

static const cuv_reader reader;

static void act(player *p, uint32_t what) {
    cuv_stream *stream = p->stream;
    if (!stream) return;
    uint32_t rest = what >> 8;
    switch (what % 12) {
        case 0: cuv_stream_abort(stream); break;
        case 1: cuv_stream_close(stream); break;
        case 2: cuv_stream_shut(stream); break;
        case 3: cuv_stream_read_stop(stream); break;
        case 4: cuv_stream_read_start(stream); break;
        case 5: cuv_stream_write(stream, payload, 1 + rest % 300, rest & 1024); break;
        case 6: cuv_stream_write(stream, payload, 1 + (size_t)rest * 7919 % sizeof payload, false); break;
        case 7: cuv_stream_set_reader(stream, rest & 16 ? NULL : &reader, p); break;
        case 8: stream->manual_grant = !stream->manual_grant; break;
        case 9: cuv_stream_grant(stream, rest); break;
        case 10: cuv_stream_resume(stream); break;
        default: end_somehow(rest);
    }
}

// In one of `odds` times.
static void act_by_chance(player *p, uint64_t odds) {
    uint64_t roll = next_random(&game.dice);
    if (roll % odds == 0) act(p, (uint32_t)(roll >> 8));
}

static size_t on_read(void *ctx, cuv_stream *stream, const uint8_t *bytes, size_t count) {
    (void)stream;
    (void)bytes;
    act_by_chance(ctx, 16);
    uint64_t roll = next_random(&game.dice);
    return roll % 5 ? count : (roll >> 8) % (count + 1);
}
static void on_end(void *ctx, cuv_stream *stream) { (void)stream; act_by_chance(ctx, 2); }
static void on_broken(void *ctx, cuv_stream *stream, int error) { (void)stream; (void)error; act_by_chance(ctx, 2); }
static void on_drain(void *ctx, cuv_stream *stream) { (void)stream; act_by_chance(ctx, 2); }
static void on_open(void *ctx, cuv_stream *stream) { (void)stream; act_by_chance(ctx, 4); }
static void on_closed(void *ctx, cuv_stream *stream, int status) {
    (void)stream;
    (void)status;
    player *p = ctx;
    demand(p->closed++ == 0);
    p->stream = NULL;
}
static const cuv_reader reader = {on_read, on_end, on_broken};
static const cuv_writer writer = {on_drain, on_broken};
static const cuv_owner owner = {on_open, on_closed};

static void join_in(player *p, cuv_stream *stream) {
    p->stream = stream;
    cuv_stream_set_reader(stream, &reader, p);
    cuv_stream_set_writer(stream, &writer, p);
    if (next_random(&game.dice) & 1) cuv_stream_read_start(stream);
}

static void on_stream(void *ctx, cuv_yamux *session, cuv_stream *stream) {
    (void)ctx;
    (void)session;
    if (game.count == STREAMS || next_random(&game.dice) % 8 == 0) return;   // refused
    player *p = &game.players[game.count++];
    cuv_stream_set_owner(stream, &owner, p);
    join_in(p, stream);
    act_by_chance(p, 7);
}
static void on_session_closed(void *ctx, cuv_yamux *session, int status) {
    (void)ctx;
    (void)session;
    (void)status;
    demand(game.closed++ == 0);
    for (int i = 0; i < game.count; i++) demand(game.players[i].stream == NULL);
    game.session = NULL;
}
static const cuv_yamux_events events = {on_stream, NULL, NULL, NULL, on_session_closed, NULL};

static bool is_over(const tap *t) { return t->base.flags & CUV_S_CLOSING; }

static void deliver(tap *t, const uint8_t *bytes, size_t count) {
    uint8_t *copy = malloc(count + 1);
    memcpy(copy, bytes, count);
    if (!is_over(t)) cuv_stream_deliver(&t->base, copy, count);
    free(copy);
}

// A frame whose fields are mostly plausible; now and then its body is cut short, and the next frame is taken for the rest.
static void send_frame(tap *t, uint8_t kind) {
    static uint8_t wire[CW_WS_HEADER_MAX + CW_YAMUX_HEADER_SIZE + BODY_MAX];
    cw_yamux_header header = {kind >> 3 & 3, next() & 15, next() & 15, next()};
    if (kind & 128) header.length <<= next() & 31;
    if (header.type >= CW_YAMUX_PING) header.stream = 0;
    size_t body = header.type == CW_YAMUX_DATA && header.length < BODY_MAX ? header.length : 0, head = 0;
    if (kind & 64) body /= 2;
    cw_ws_header frame = {.length = CW_YAMUX_HEADER_SIZE + body, .opcode = CW_WS_BINARY, .fin = true, .masked = !game.client};
    if (game.ws) head = cw_ws_header_write(wire, &frame);
    cw_yamux_header_write(wire + head, &header);
    deliver(t, wire, head + CW_YAMUX_HEADER_SIZE + body);
}

static void send_bytes(tap *t) {
    uint8_t bytes[16];
    size_t count = next() & 15;
    for (size_t i = 0; i < count; i++) bytes[i] = next();
    deliver(t, bytes, count);
}

static void end_carrier(tap *t) {
    if (is_over(t)) return;
    if (next() & 1) {
        cuv_stream_deliver_end(&t->base);
        return;
    }
    cuv_stream_break(&t->base, CUV_E_RESET);
    t->aborted = true;
    cuv_stream_finish_soon(&t->base, 0);
}

static void open_stream(void) {
    if (!game.session || game.count == STREAMS) return;
    player *p = &game.players[game.count++];
    int error;
    cuv_stream *stream = cuv_yamux_open(game.session, &owner, p, &error);
    if (stream) join_in(p, stream);
}

static void let_time_pass(void) {
    cuv_yamux *s = game.session;
    if (!s || s->over) return;
    if (!yamux_list_is_empty(&s->half)) CUV_CONTAINER(s->half.next, yamux_stream, deadline)->until_ms = 0;
    if (!yamux_list_is_empty(&s->lingering)) CUV_CONTAINER(s->lingering.next, yamux_stream, deadline)->until_ms = 0;
    yamux_on_timer(s);
}

static void change_room(tap *t) {
    if (next() & 1) t->blocked = true;
    else if (t->blocked && !is_over(t)) tap_unblock(t);
}

static void play(tap *t) {
    uint8_t kind = next();
    switch (kind % 8) {
        case 4: open_stream(); break;
        case 5: if (game.count) act(&game.players[next() % game.count], (uint32_t)(next() | next() << 8 | next() << 16)); break;
        case 6: kind & 64 ? let_time_pass() : change_room(t); break;
        case 7: next() % 8 ? send_bytes(t) : end_carrier(t); break;
        default: send_frame(t, kind);
    }
    if (kind & 32) turn(t->base.loop);
}

static tap *begin(cuv_loop *loop) {
    uint8_t mode = next();
    game.dice = (uint64_t)(next() | next() << 8);
    game.ws = mode & 1;
    game.client = mode & 2;
    tap *t = tap_new(loop);
    cuv_ws_config ws = {.client = game.client, .half_close = mode & 4};
    cuv_stream *carrier = game.ws ? cuv_ws_wrap(&t->base, &ws, NULL, NULL) : &t->base;
    cuv_yamux_config config = {.client = game.client, .max_unacknowledged = mode & 8 ? 2 : 0, .max_streams = mode & 16 ? 4 : 0};
    game.session = cuv_yamux_new(carrier, &config, &events, NULL);
    return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    memset(&game, 0, sizeof game);
    game.input = data;
    game.left = size;
    cuv_loop *loop = cuv_loop_new();
    bool gone = false;
    tap *t = begin(loop);
    t->gone = &gone;
    while (game.left > 0 && !gone) play(t);
    if (game.session) cuv_yamux_abort(game.session);
    for (int i = 0; i < 6; i++) turn(loop);
    demand(game.closed == 1);
    end_loop(loop);
    return 0;
}
