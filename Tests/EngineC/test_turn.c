// SPDX-License-Identifier: MIT
// A loop's turn: a connection that has more to read than its share leaves the turn to others; bytes corked with `more` leave at the end of
// the turn as one piece; what is due never waits while the loop blocks.
#include "check.h"
#include "loop_core.h"

enum { TOTAL = 16 * 1024 * 1024, SHARE = 4 * CUV_SCRATCH };

typedef struct reading {
    cuv_hook hook;
    size_t of_turn, most, total;
    latch done;
} reading;

static void on_turn_end(cuv_hook *hook) {
    reading *r = CUV_CONTAINER(hook, reading, hook);
    if (r->of_turn > r->most) r->most = r->of_turn;
    r->of_turn = 0;
}

static size_t on_read(void *ctx, cuv_stream *stream, const uint8_t *bytes, size_t count) {
    reading *r = ctx;
    (void)bytes;
    cuv_loop_flush(cuv_stream_loop(stream), &r->hook);
    r->of_turn += count;
    r->total += count;
    return count;
}

static void on_end(void *ctx, cuv_stream *stream) {
    cuv_stream_close(stream);
    latch_down(&((reading *)ctx)->done);
}

static ears owner;

static void accept_bulk(void *ctx, cuv_listener *listener, cuv_stream *stream) {
    static const cuv_reader reader = {on_read, on_end, NULL};
    (void)listener;
    cuv_stream_set_owner(stream, &ears_owner, &owner);
    cuv_stream_set_reader(stream, &reader, ctx);
    cuv_stream_read_start(stream);
}

static void bulk(cuv_loop *loop) {
    static uint8_t bytes[TOTAL];
    reading r = {.hook.run = on_turn_end, .done = LATCH(1)};
    cuv_address at;
    cuv_listener *listener = listen_on(loop, 4, accept_bulk, &r, &at);
    int fd = peer_connect(&at);
    peer_set_buffers(fd, 4 * 1024 * 1024);
    peer_send(fd, bytes, TOTAL);
    close(fd);
    latch_wait(&r.done);
    CHECK_EQUAL(r.total, TOTAL);
    CHECK(r.most <= SHARE + CUV_SCRATCH);
    loop_quiet(loop);
    listener_down(loop, listener);
}

static cuv_stream *corked;
static latch accepted = LATCH(1);

static void accept_quiet(void *ctx, cuv_listener *listener, cuv_stream *stream) {
    (void)ctx, (void)listener;
    cuv_stream_set_owner(stream, &ears_owner, &owner);
    corked = stream;
    latch_down(&accepted);
}

static void write_in_pieces(void *ctx) {
    (void)ctx;
    for (int i = 0; i < 100; i++) CHECK_EQUAL(cuv_stream_write(corked, (const uint8_t *)"0123456789", 10, true), 0);
    CHECK_EQUAL(cuv_stream_queued(corked), 1000);
    CHECK_EQUAL(cuv_loop_counts(cuv_stream_loop(corked)).buffers > 0, 1);
}

static void close_it(void *ctx) {
    (void)ctx;
    CHECK_EQUAL(cuv_stream_queued(corked), 0);
    cuv_stream_close(corked);
}

static void cork(cuv_loop *loop) {
    cuv_address at;
    cuv_listener *listener = listen_on(loop, 4, accept_quiet, NULL, &at);
    int fd = peer_connect(&at);
    char got[2000];
    latch_wait(&accepted);
    on_loop(loop, write_in_pieces, NULL);
    CHECK_EQUAL(recv(fd, got, sizeof got, 0), 1000);   // nobody writes again: the turn's end sent it
    on_loop(loop, close_it, NULL);
    CHECK_EQUAL(peer_read_end(fd), 0);
    close(fd);
    loop_quiet(loop);
    listener_down(loop, listener);
}

int main(void) {
    cuv_loop *loop = loop_up("turn");
    bulk(loop);
    cork(loop);
    loop_down(loop);
    return 0;
}
