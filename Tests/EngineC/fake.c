// SPDX-License-Identifier: MIT
// The carrier without a network (fake.h).
// A close or abort finishes in the loop's hooks.
#include "fake.h"

static fake *of(cuv_stream *stream) { return (fake *)stream; }

static void start(cuv_stream *stream) { of(stream)->starts++; }
static void stop(cuv_stream *stream) { of(stream)->stops++; }

static int put(cuv_stream *stream, const cuv_span *spans, int count, bool more) {
    fake *f = of(stream);
    (void)more;
    if (f->write_error) return f->write_error;
    f->writes++;
    for (int i = 0; i < count; i++) {
        CHECK(f->written_count + spans[i].count <= FAKE_ROOM);
        memcpy(f->written + f->written_count, spans[i].bytes, spans[i].count);
        f->written_count += spans[i].count;
        if (f->stuck) cuv_stream_queue(stream, spans[i].count);
    }
    return 0;
}

void fake_drain(fake *f, size_t bytes) { cuv_stream_left(&f->stream, bytes); }

static int shut(cuv_stream *stream) {
    of(stream)->shuts++;
    return 0;
}

static void end(cuv_stream *stream) {
    of(stream)->closes++;
    cuv_stream_finish_soon(stream, 0);
}

static void end_now(cuv_stream *stream, int error) {
    of(stream)->aborts++;
    cuv_stream_finish_soon(stream, error);
}

static void grant(cuv_stream *stream, size_t bytes) { of(stream)->granted += bytes; }

static void release(cuv_stream *stream) {
    fake *f = of(stream);
    cuv_loop_tally(stream->loop)->streams--;
    if (f->releases) ++*f->releases;
    free(f->written);
    free(f);
}

static const cuv_stream_ops ops = {"fake", start, stop, put, shut, end, end_now, grant, release, NULL};

fake *fake_new(cuv_loop *loop) {
    fake *f = calloc(1, sizeof *f);
    f->written = malloc(FAKE_ROOM);
    cuv_stream_init(&f->stream, loop, &ops, &ears_owner, &f->heard);
    cuv_stream_mark_open(&f->stream);
    cuv_loop_tally(loop)->streams++;
    return f;
}

static size_t take(void *ctx, cuv_stream *stream, const uint8_t *bytes, size_t count) {
    taker *t = ctx;
    (void)stream;
    t->offers++;
    t->last_count = count < sizeof t->last ? count : sizeof t->last;
    memcpy(t->last, bytes, t->last_count);
    return t->take < count ? t->take : count;
}

static void take_end(void *ctx, cuv_stream *stream) {
    (void)stream;
    ((taker *)ctx)->ends++;
}

static void take_break(void *ctx, cuv_stream *stream, int error) {
    taker *t = ctx;
    (void)stream;
    t->breaks++;
    t->error = error;
}

const cuv_reader taker_reader = {take, take_end, take_break};
