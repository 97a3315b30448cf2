// SPDX-License-Identifier: MIT
// A connection moves between two loops, again and again, with bytes that were read and not taken; nothing is lost or reordered and the
// client notices nothing. It does not move while bytes are queued.
#include <unistd.h>

#include "check.h"

enum { MOVES = 200, TOTAL = 64 * 1024 };

typedef struct traveller {
    cuv_loop *loops[2];
    int at;
    int moves;
    size_t received;
    cuv_stream *stream;
    cuv_moving *moving;
    latch closed;
} traveller;

static void on_closed(void *ctx, cuv_stream *stream, int status) {
    (void)stream;
    CHECK_EQUAL(status, 0);
    latch_down(&((traveller *)ctx)->closed);
}

static const cuv_owner owner = {NULL, on_closed};

static void arrive(void *ctx);

static void set_off(traveller *t, cuv_moving *moving) {
    CHECK(moving != NULL);
    CHECK(cuv_stream_is_closing(t->stream));
    t->moving = moving;
    t->at = !t->at;
    t->moves++;
    CHECK_EQUAL(cuv_loop_post(t->loops[t->at], arrive, t), 0);
}

static void leave(void *ctx) {
    traveller *t = ctx;
    int error;
    set_off(t, cuv_detach(t->stream, 0, NULL, 0, &error));
}

static void check_bytes(traveller *t, const uint8_t *bytes, size_t count) {
    static _Thread_local uint8_t expected[TOTAL];
    pattern(expected, t->received, count);
    CHECK(memcmp(bytes, expected, count) == 0);
    t->received += count;
}

// Takes one byte; the rest travels as extra bytes (inside on_read) or as kept bytes (outside).
static size_t read_one(void *ctx, cuv_stream *stream, const uint8_t *bytes, size_t count) {
    traveller *t = ctx;
    int error;
    CHECK(cuv_loop_is_current(t->loops[t->at]));
    check_bytes(t, bytes, 1);
    if (t->moves % 2) {
        cuv_stream_read_stop(stream);
        CHECK_EQUAL(cuv_loop_post(t->loops[t->at], leave, t), 0);
        return 1;
    }
    CHECK_EQUAL(cuv_stream_write(stream, bytes, 1, true), 0);
    CHECK_EQUAL(cuv_stream_write(stream, bytes, 1, true), 0);
    CHECK_EQUAL(cuv_stream_queued(stream), 2);   // corked: leaves before the move
    set_off(t, cuv_detach(stream, 0, bytes + 1, count - 1, &error));
    return count;
}

static size_t read_all(void *ctx, cuv_stream *stream, const uint8_t *bytes, size_t count) {
    (void)stream;
    check_bytes(ctx, bytes, count);
    return count;
}

static void on_end(void *ctx, cuv_stream *stream) {
    CHECK_EQUAL(((traveller *)ctx)->received, TOTAL);
    cuv_stream_shut(stream);
}

static void arrive(void *ctx) {
    static const cuv_reader one = {read_one, NULL, NULL}, all = {read_all, on_end, NULL};
    traveller *t = ctx;
    int error;
    t->stream = cuv_attach(t->loops[t->at], t->moving, &owner, t, &error);
    CHECK(t->stream != NULL);
    CHECK_EQUAL(cuv_stream_bytes_read(t->stream) >= t->received, 1);
    cuv_stream_set_reader(t->stream, t->moves < MOVES ? &one : &all, t);
    cuv_stream_read_start(t->stream);
}

static void on_accept(void *ctx, cuv_listener *listener, cuv_stream *stream) {
    traveller *t = ctx;
    (void)listener;
    cuv_stream_set_owner(stream, &owner, t);
    t->stream = stream;
    leave(t);
}

// More than the system takes at once keeps a connection where it is.
static void stay(void *ctx, cuv_listener *listener, cuv_stream *stream) {
    static const uint8_t much[16 * 1024 * 1024];
    traveller *t = ctx;
    int error = 0;
    (void)listener;
    cuv_stream_set_owner(stream, &owner, t);
    CHECK_EQUAL(cuv_stream_write(stream, much, sizeof much, false), 0);
    CHECK(cuv_detach(stream, 0, NULL, 0, &error) == NULL);
    CHECK(error < 0 && !cuv_stream_is_closing(stream));
    cuv_stream_close(stream);
}

static void drain(int fd) {
    static char got[65536];
    while (recv(fd, got, sizeof got, 0) > 0) {}
    close(fd);
}

static void does_not_move_while_bytes_are_queued(void) {
    traveller t = {.closed = LATCH(1)};
    cuv_address at;
    cuv_loop *loop = loop_up("stay");
    cuv_listener *listener = listen_on(loop, 4, stay, &t, &at);
    drain(peer_connect(&at));
    latch_wait(&t.closed);
    listener_down(loop, listener);
    loop_down(loop);
}

int main(void) {
    does_not_move_while_bytes_are_queued();
    static uint8_t bytes[TOTAL];
    pattern(bytes, 0, TOTAL);
    traveller t = {.loops = {loop_up("one"), loop_up("two")}, .closed = LATCH(MOVES + 1)};
    cuv_address at;
    cuv_listener *listener = listen_on(t.loops[0], 4, on_accept, &t, &at);
    int fd = peer_connect(&at);
    peer_send(fd, bytes, TOTAL / 2);
    for (int i = 0; i < MOVES / 2 - 1; i++) {
        uint8_t twice[2];
        CHECK(recv(fd, twice, 2, MSG_WAITALL) == 2);
        CHECK_EQUAL(twice[0], twice[1]);
    }
    peer_send(fd, bytes + TOTAL / 2, TOTAL / 2);
    shutdown(fd, SHUT_WR);
    latch_wait(&t.closed);
    CHECK_EQUAL(t.received, TOTAL);
    listener_down(t.loops[0], listener);
    loop_down(t.loops[0]);
    loop_down(t.loops[1]);
    close(fd);
    return 0;
}
