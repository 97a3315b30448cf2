// SPDX-License-Identifier: MIT
// What the system holds of a connection for a side that stands still: little at the beginning, as much as it likes once 1 MiB has passed.
// The peers are plain sockets of the main thread; a side "stands still" when nothing moved for 200 ms, which bounds the test, not its result.
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <uv.h>

#include "check.h"
#include "tcp.h"

enum { TAKEN = 512 * 1024, TOTAL = 16 * 1024 * 1024, SMALL_BUFFERS = 32 * 1024 };

typedef struct side {
    cuv_loop *loop;
    cuv_stream *stream;
    cuv_address to;
    int listening, peer;
    bool bounded;
    size_t limit;   // takes so many bytes, then stands still
    size_t read;
    latch opened, all, closed;
} side;

static void on_open(void *ctx, cuv_stream *stream) {
    side *s = ctx;
    if (s->bounded) cuv_tcp_bound_receiving(stream);
    latch_down(&s->opened);
}

static void on_closed(void *ctx, cuv_stream *stream, int status) {
    (void)stream, (void)status;
    latch_down(&((side *)ctx)->closed);
}

static size_t on_read(void *ctx, cuv_stream *stream, const uint8_t *bytes, size_t count) {
    side *s = ctx;
    (void)stream, (void)bytes;
    size_t taken = count < s->limit - s->read ? count : s->limit - s->read;
    s->read += taken;
    if (taken > 0 && s->read == TOTAL) latch_down(&s->all);
    return taken;
}

static void on_end(void *ctx, cuv_stream *stream) {
    (void)ctx, (void)stream;
}

static const cuv_owner owner = {on_open, on_closed};
static const cuv_reader reader = {on_read, on_end, NULL};

static void dial(void *ctx) {
    side *s = ctx;
    int error;
    s->stream = cuv_tcp_dial(s->loop, &s->to, 5000, &owner, s, &error);
    CHECK(s->stream != NULL);
    cuv_stream_set_reader(s->stream, &reader, s);
    cuv_stream_read_start(s->stream);
}

// The stream and its peer, connected.
static void begin(side *s) {
    s->loop = loop_up("room");
    s->opened = s->all = s->closed = (latch)LATCH(1);
    s->listening = peer_listen(&s->to);
    on_loop(s->loop, dial, s);
    s->peer = peer_accept(s->listening);
    peer_set_buffers(s->peer, SMALL_BUFFERS);
    latch_wait(&s->opened);
}

static void stop(void *ctx) {
    cuv_stream_abort(((side *)ctx)->stream);
}

static void end(side *s) {
    on_loop(s->loop, stop, s);
    latch_wait(&s->closed);
    close(s->peer);
    close(s->listening);
    loop_down(s->loop);
}

static void take_all(void *ctx) {
    side *s = ctx;
    s->limit = TOTAL;
    cuv_stream_resume(s->stream);
}

// Sends until nothing goes for 200 ms, or all has gone. Returns the bytes that went.
static size_t send_while_it_goes(int fd, size_t most) {
    static uint8_t bytes[64 * 1024];
    size_t sent = 0;
    while (sent < most) {
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        if (poll(&ready, 1, 200) == 0) break;
        ssize_t count = send(fd, bytes, sizeof bytes < most - sent ? sizeof bytes : most - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        CHECK(count > 0 || errno == EAGAIN);
        if (count > 0) sent += (size_t)count;
    }
    return sent;
}

// Bytes that left the peer and were not read, when a stream has read 512 KiB and stands still. It reads all of them afterwards.
static size_t held(bool bounded) {
    side s = {.bounded = bounded, .limit = TAKEN};
    begin(&s);
    size_t sent = send_while_it_goes(s.peer, TOTAL), held = sent - TAKEN;
    on_loop(s.loop, take_all, &s);
    while (sent < TOTAL) sent += send_while_it_goes(s.peer, TOTAL - sent);
    latch_wait(&s.all);
    end(&s);
    return held;
}

static void reads_little_that_nobody_takes(void) {
    size_t little = held(true), much = held(false);
    // The first size of the buffer, 64 KiB that the stream keeps itself, and what the sender's small buffer holds.
    CHECK(little <= 512 * 1024);
    CHECK(much > little);
}

static void write_much(void *ctx) {
    static const uint8_t bytes[512 * 1024];
    CHECK_EQUAL(cuv_stream_write(((side *)ctx)->stream, bytes, sizeof bytes, false), 0);
}

typedef struct look {
    side *side;
    size_t queued;
    int unsent;   // of what the system holds
} look;

static void look_at(void *ctx) {
    look *l = ctx;
    l->queued = cuv_stream_queued(l->side->stream);
    CHECK_EQUAL(ioctl(cuv_tcp_fd((const cuv_tcp *)l->side->stream), SIOCOUTQNSD, &l->unsent), 0);
}

// Writes what the peer does not read, and looks when it stands still.
static look write_until_full(side *s) {
    look l = {.side = s};
    size_t before;
    on_loop(s->loop, write_much, s);
    do {
        before = l.queued;
        usleep(200000);
        on_loop(s->loop, look_at, &l);
    } while (l.queued != before);
    CHECK(l.queued > 0);
    return l;
}

static void holds_little_that_nobody_reads(void) {
    side s = {.limit = TOTAL};
    begin(&s);
    look l = write_until_full(&s);
    CHECK(l.unsent < 100 * 1024);
    end(&s);
}

int main(void) {
    reads_little_that_nobody_takes();
    holds_little_that_nobody_reads();
    return 0;
}
