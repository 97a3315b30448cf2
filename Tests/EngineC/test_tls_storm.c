// SPDX-License-Identifier: MIT
// Many TLS connections at once whose ends do anything at any time: write, shut, close, abort, move to the other loop,
// give up in the handshake, send what is no TLS. Nothing is reported twice or lost, and at the end nothing is left. Two loops and the main thread.
#include "tls_support.h"

enum { ROUNDS = 4, PAIRS = 60, SIDES = 2 * PAIRS * ROUNDS };

typedef struct storm {
    cuv_loop *loops[2];
    cuv_tls_context *client, *server;
    cuv_address at;
    latch ends;          // closes to come
    uint64_t random[2];  // each loop's
} storm;

static storm s;

typedef struct side {
    cuv_stream *stream;
    cuv_moving *moving;
    int loop;            // where it lives
    bool client;
    int steps;
} side;

static void act(side *e);

static void on_open(void *ctx, cuv_stream *stream) {
    side *e = ctx;
    CHECK(e->stream == stream);
    act(e);
}

static void on_closed(void *ctx, cuv_stream *stream, int status) {
    side *e = ctx;
    (void)stream, (void)status;
    free(e);
    latch_down(&s.ends);
}

static const cuv_owner owner = {on_open, on_closed};

static size_t on_read(void *ctx, cuv_stream *stream, const uint8_t *bytes, size_t count) {
    (void)bytes;
    side *e = ctx;
    size_t taken = next_random(&s.random[e->loop]) % (count + 1);
    if (taken == 0) cuv_stream_resume(stream);
    if (e->steps-- > 0) act(e);
    else cuv_stream_close(stream);
    return cuv_stream_is_closing(stream) || e->steps <= 0 ? count : taken;
}

static void on_end(void *ctx, cuv_stream *stream) {
    side *e = ctx;
    if (next_random(&s.random[e->loop]) % 2) cuv_stream_shut(stream);
    else cuv_stream_close(stream);
}

static const cuv_reader reader = {on_read, on_end, NULL};

static void run(side *e) {
    cuv_stream_set_reader(e->stream, &reader, e);
    cuv_stream_read_start(e->stream);
}

static void land(void *ctx) {
    side *e = ctx;
    int error;
    cuv_moving *moving = e->moving;
    e->moving = NULL;
    e->stream = cuv_attach(s.loops[e->loop], moving, &owner, e, &error);
    CHECK(e->stream != NULL);
    run(e);
    cuv_stream_write(e->stream, (const uint8_t *)"landed", 6, false);
}

// It lands once the old stream has closed, so that only one loop at a time touches it.
typedef struct ticket {
    side *passenger;
    int to;
} ticket;

static void old_closed(void *ctx, cuv_stream *stream, int status) {
    ticket *t = ctx;
    (void)stream;
    CHECK_EQUAL(status, 0);
    t->passenger->loop = t->to;
    CHECK_EQUAL(cuv_loop_post(s.loops[t->to], land, t->passenger), 0);
    free(t);
}

static const cuv_owner leaving = {NULL, old_closed};

static bool move(side *e) {
    int error;
    cuv_moving *moving = cuv_detach(e->stream, 0, NULL, 0, &error);
    if (!moving) return false;
    ticket *t = malloc(sizeof *t);
    *t = (ticket){e, !e->loop};
    e->moving = moving;
    cuv_stream_set_owner(e->stream, &leaving, t);
    return true;
}

static void act(side *e) {
    static uint8_t bytes[100000];
    uint64_t choice = next_random(&s.random[e->loop]);
    size_t count = choice % 7 == 0 ? sizeof bytes : choice % 300 + 1;
    switch (choice / 16 % 16) {
    case 0: cuv_stream_abort(e->stream); return;
    case 1: cuv_stream_close(e->stream); return;
    case 2: cuv_stream_shut(e->stream); return;
    case 3: if (move(e)) return; break;
    case 4: cuv_stream_read_stop(e->stream); cuv_stream_read_start(e->stream); break;
    default: break;
    }
    cuv_stream_write(e->stream, bytes, count, choice % 2);
}

static void wrap(cuv_stream *carrier, int loop, bool client) {
    side *e = calloc(1, sizeof *e);
    *e = (side){.loop = loop, .client = client, .steps = 20};
    e->stream = cuv_tls_wrap(carrier, client ? s.client : s.server, client ? "localhost" : NULL, 3000, &owner, e);
    CHECK(e->stream != NULL);
    run(e);
}

static void on_accept(void *ctx, cuv_listener *listener, cuv_stream *stream) {
    (void)ctx, (void)listener;
    wrap(stream, 0, false);
}

static void dial(void *ctx) {
    (void)ctx;
    for (int i = 0; i < PAIRS; i++) {
        int error;
        cuv_stream *carrier = cuv_tcp_dial(s.loops[1], &s.at, 5000, NULL, NULL, &error);
        CHECK(carrier != NULL);
        wrap(carrier, 1, true);
    }
}

static void rude_peers(void) {
    for (int i = 0; i < PAIRS; i++) {
        int fd = peer_connect(&s.at);
        if (i % 3 == 0) peer_send(fd, "GET / HTTP/1.0\r\n\r\n", 18);
        if (i % 3 == 1) peer_send(fd, "\x16\x03\x01\x40\x00\x01", 6);
        close(fd);
    }
}

int main(void) {
    const tls_files *files = tls_make_files();
    s = (storm){.loops = {loop_up("one"), loop_up("two")}, .client = tls_client(files->ca, NULL), .server = tls_server(files->server, NULL),
                .ends = LATCH(SIDES + PAIRS), .random = {1, 2}};
    cuv_listener *listener = listen_on(s.loops[0], 4, on_accept, NULL, &s.at);
    for (int round = 0; round < ROUNDS; round++) on_loop(s.loops[1], dial, NULL);
    rude_peers();
    latch_wait(&s.ends);
    listener_down(s.loops[0], listener);
    loop_down(s.loops[0]);
    loop_down(s.loops[1]);
    cuv_tls_context_free(s.client);
    cuv_tls_context_free(s.server);
    return 0;
}
