// SPDX-License-Identifier: MIT
// A TLS connection moves between two loops, again and again, with decrypted bytes that nobody took and with records that nobody decrypted;
// nothing is lost or reordered, and the client (OpenSSL itself) notices nothing. The main thread plays the client.
#include <openssl/ssl.h>

#include "tls_support.h"

enum { MOVES = 200, TOTAL = 300 * 1024 };

typedef struct traveller {
    cuv_loop *loops[2];
    cuv_tls_context *context;
    int at;
    int moves;
    size_t received;
    cuv_stream *stream;
    cuv_moving *moving;
    bool ended;
    latch closed;
} traveller;

static void on_closed(void *ctx, cuv_stream *stream, int status) {
    (void)stream;
    CHECK_EQUAL(status, 0);
    latch_down(&((traveller *)ctx)->closed);
}

static void arrive(void *ctx);

static void set_off(traveller *t, cuv_moving *moving, int error) {
    if (!moving) fprintf(stderr, "after %d moves: %s\n", t->moves, cuv_strerror(error));
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
    cuv_moving *moving = cuv_detach(t->stream, 0, NULL, 0, &error);
    set_off(t, moving, error);
}

static void check_bytes(traveller *t, const uint8_t *bytes, size_t count) {
    static _Thread_local uint8_t expected[TOTAL];
    pattern(expected, t->received, count);
    CHECK(memcmp(bytes, expected, count) == 0);
    t->received += count;
}

// Takes one byte and answers with two; the rest travels as extra bytes (inside on_read) or as kept bytes (outside).
static size_t read_one(void *ctx, cuv_stream *stream, const uint8_t *bytes, size_t count) {
    traveller *t = ctx;
    int error;
    CHECK(cuv_loop_is_current(t->loops[t->at]));
    check_bytes(t, bytes, 1);
    CHECK_EQUAL(cuv_stream_write(stream, bytes, 1, true), 0);
    CHECK_EQUAL(cuv_stream_write(stream, bytes, 1, true), 0);
    CHECK_EQUAL(cuv_stream_queued(stream), 2);   // waits for the turn's end: leaves before the move
    if (t->moves % 2) {
        cuv_stream_read_stop(stream);
        CHECK_EQUAL(cuv_loop_post(t->loops[t->at], leave, t), 0);
        return 1;
    }
    cuv_moving *moving = cuv_detach(stream, 0, bytes + 1, count - 1, &error);
    set_off(t, moving, error);
    return count;
}

static size_t read_all(void *ctx, cuv_stream *stream, const uint8_t *bytes, size_t count) {
    (void)stream;
    check_bytes(ctx, bytes, count);
    return count;
}

static void on_end(void *ctx, cuv_stream *stream) {
    traveller *t = ctx;
    CHECK_EQUAL(t->received, TOTAL);
    CHECK_EQUAL(cuv_stream_bytes_read(stream), TOTAL);
    CHECK_EQUAL(cuv_stream_write(stream, (const uint8_t *)"bye", 3, false), 0);
    CHECK_EQUAL(cuv_stream_shut(stream), 0);
}

static const cuv_reader one = {read_one, NULL, NULL}, all = {read_all, on_end, NULL};

static void read_on(traveller *t) {
    cuv_stream_set_reader(t->stream, t->moves < MOVES ? &one : &all, t);
    cuv_stream_read_start(t->stream);
}

static void on_open(void *ctx, cuv_stream *stream) {
    (void)stream;
    leave(ctx);
}

static const cuv_owner owner = {on_open, on_closed};

static void arrive(void *ctx) {
    traveller *t = ctx;
    int error;
    t->stream = cuv_attach(t->loops[t->at], t->moving, &owner, t, &error);
    CHECK(t->stream != NULL);
    CHECK(cuv_stream_is_secure(t->stream));
    read_on(t);
}

static void on_accept(void *ctx, cuv_listener *listener, cuv_stream *stream) {
    traveller *t = ctx;
    int error;
    (void)listener;
    t->stream = cuv_tls_wrap(stream, t->context, NULL, 5000, &owner, t);
    CHECK(t->stream != NULL);
    CHECK(cuv_detach(t->stream, 0, NULL, 0, &error) == NULL);   // not in the middle of the handshake
    CHECK_EQUAL(error, UV_ENOTCONN);
}

static void *send_bytes(void *ctx) {
    static uint8_t bytes[TOTAL];
    pattern(bytes, 0, TOTAL);
    tls_peer_send(ctx, bytes, TOTAL);
    return NULL;
}

static void expect_answers(SSL *ssl) {
    static uint8_t bytes[MOVES];
    pattern(bytes, 0, MOVES);
    for (int i = 0; i < MOVES - 1; i++) {
        uint8_t twice[2] = {bytes[i], bytes[i]};
        tls_peer_expect(ssl, twice, 2);
    }
}

static void moves_and_nobody_notices(void) {
    traveller t = {.loops = {loop_up("one"), loop_up("two")}, .closed = LATCH(MOVES + 1)};
    t.context = tls_server(tls_make_files()->server, NULL);
    cuv_address at;
    cuv_listener *listener = listen_on(t.loops[0], 4, on_accept, &t, &at);
    int fd;
    SSL *ssl = tls_peer_connect(&at, &fd);
    send_bytes(ssl);
    expect_answers(ssl);
    CHECK(SSL_shutdown(ssl) >= 0);
    tls_peer_expect(ssl, "bye", 3);
    CHECK(tls_peer_read_end(ssl));
    tls_peer_free(ssl, fd);
    latch_wait(&t.closed);
    listener_down(t.loops[0], listener);
    loop_down(t.loops[0]);
    loop_down(t.loops[1]);
    cuv_tls_context_free(t.context);
}

// Dropped on its way: all it holds goes, the peer reads an end without close_notify.
static void drop(void *ctx, cuv_stream *stream) {
    traveller *t = ctx;
    int error;
    cuv_moving *moving = cuv_detach(stream, 0, NULL, 0, &error);
    CHECK(moving != NULL);
    cuv_moving_free(moving);
    t->moves++;
}

static const cuv_owner dropper = {drop, on_closed};

static void accept_to_drop(void *ctx, cuv_listener *listener, cuv_stream *stream) {
    traveller *t = ctx;
    (void)listener;
    CHECK(cuv_tls_wrap(stream, t->context, NULL, 5000, &dropper, t) != NULL);
}

static void may_find_no_new_loop(void) {
    traveller t = {.closed = LATCH(1), .context = tls_server(tls_make_files()->server, NULL)};
    cuv_loop *loop = loop_up("drop");
    cuv_address at;
    cuv_listener *listener = listen_on(loop, 4, accept_to_drop, &t, &at);
    int fd;
    SSL *ssl = tls_peer_connect(&at, &fd);
    CHECK(!tls_peer_read_end(ssl));
    tls_peer_free(ssl, fd);
    latch_wait(&t.closed);
    listener_down(loop, listener);
    loop_down(loop);
    cuv_tls_context_free(t.context);
}

int main(void) {
    moves_and_nobody_notices();
    may_find_no_new_loop();
    return 0;
}
