// SPDX-License-Identifier: MIT
// The ends of TCP streams. A polite close writes the queue, shuts, and throws away what still comes until the peer ends too: closing
// with unread bytes would make the system reset the connection and destroy what we wrote last. Both steps have a deadline.
// Loop thread only.
#include <string.h>
#include <uv.h>

#include "tcp.h"

enum {
    FLUSH_MS = 30000,    // a peer that takes nothing for so long loses the rest
    LINGER_MS = 2000,    // a peer that does not end is left
    TICK_MS = 250,
};

static void list_add(cuv_tcp *tcp) {
    cuv_loop *loop = tcp->stream.loop;
    tcp->closing_next = loop->closing;
    if (loop->closing) loop->closing->closing_previous = tcp;
    loop->closing = tcp;
}

static void list_remove(cuv_tcp *tcp) {
    cuv_loop *loop = tcp->stream.loop;
    if (tcp->closing_previous) tcp->closing_previous->closing_next = tcp->closing_next;
    else if (loop->closing == tcp) loop->closing = tcp->closing_next;
    if (tcp->closing_next) tcp->closing_next->closing_previous = tcp->closing_previous;
    tcp->closing_next = tcp->closing_previous = NULL;
    if (!loop->closing) uv_timer_stop(&loop->closing_timer);
}

static void on_handle_closed(uv_handle_t *handle) {
    cuv_tcp *tcp = handle->data;
    cuv_queue_clear(tcp->stream.loop, &tcp->queue);
    cuv_loop_tally(tcp->stream.loop)->connections--;
    cuv_stream_finish(&tcp->stream, tcp->stream.status);
}

void cuv_tcp_destroy(cuv_tcp *tcp) {
    if (tcp->destroyed) return;
    tcp->destroyed = true;
    tcp->reading = false;
    list_remove(tcp);
    cuv_hook_cancel(&tcp->flush);
    cuv_timer_free(tcp->dial_timer);
    tcp->dial_timer = NULL;
    uv_close((uv_handle_t *)&tcp->handle, on_handle_closed);
}

void cuv_tcp_fail(cuv_tcp *tcp, int error) {
    cuv_stream_break(&tcp->stream, error);
    cuv_tcp_destroy(tcp);
}

void cuv_tcp_set_reset_on_close(cuv_stream *stream) {
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    stream = cuv_stream_bottom(stream);
    if (stream->ops != &cuv_tcp_ops || cuv_tcp_of(stream)->destroyed) return;
    setsockopt(cuv_tcp_fd(cuv_tcp_of(stream)), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void cuv_tcp_abort(cuv_stream *stream, int error) {
    (void)error;
    cuv_tcp_set_reset_on_close(stream);
    cuv_tcp_destroy(cuv_tcp_of(stream));
}

void cuv_tcp_let_go(cuv_stream *stream) {
    cuv_stream *bottom = cuv_stream_bottom(stream);
    cuv_tcp *tcp = cuv_tcp_of(bottom);
    if (bottom->ops == &cuv_tcp_ops && tcp->lingering) cuv_tcp_destroy(tcp);
    else cuv_stream_abort(stream);
}

// A loop that is stopping does not linger, and waits for a peer that takes nothing no longer than it would have lingered.
static void check(cuv_tcp *tcp) {
    cuv_loop *loop = tcp->stream.loop;
    bool stopping = cuv_loop_is_stopping(loop);
    bool late = uv_now(&loop->uv) + (stopping ? FLUSH_MS - LINGER_MS : 0) >= tcp->deadline;
    if (tcp->lingering && (late || stopping)) {
        cuv_tcp_destroy(tcp);
    } else if (late) {
        cuv_stream_break(&tcp->stream, CUV_E_TIMEOUT);
        cuv_tcp_abort(&tcp->stream, CUV_E_TIMEOUT);
    }
}

static void on_tick(uv_timer_t *timer) {
    cuv_loop *loop = timer->data;
    for (cuv_tcp *tcp = loop->closing, *next; tcp; tcp = next) {
        next = tcp->closing_next;
        check(tcp);
    }
}

void cuv_tcp_progress(cuv_tcp *tcp) {
    tcp->deadline = uv_now(&tcp->stream.loop->uv) + FLUSH_MS;
}

void cuv_tcp_close(cuv_stream *stream) {
    cuv_tcp *tcp = cuv_tcp_of(stream);
    cuv_loop *loop = stream->loop;
    bool useless = tcp->connecting && tcp->queue.count == 0;
    if (tcp->moving || useless || (stream->flags & CUV_S_WRITE_BROKEN)) {
        cuv_tcp_destroy(tcp);
        return;
    }
    if (!loop->closing) uv_timer_start(&loop->closing_timer, on_tick, TICK_MS, TICK_MS);
    tcp->close_due = true;
    cuv_tcp_progress(tcp);
    list_add(tcp);
    cuv_tcp_uncork(tcp);
    cuv_tcp_settle(tcp);
}

void cuv_tcp_linger(cuv_tcp *tcp) {
    if (!tcp->shut_done) shutdown(cuv_tcp_fd(tcp), SHUT_WR);
    tcp->shut_done = true;
    tcp->lingering = true;
    tcp->deadline = uv_now(&tcp->stream.loop->uv) + LINGER_MS;
    cuv_tcp_read_on(tcp);
    if (!tcp->reading || cuv_loop_is_stopping(tcp->stream.loop)) cuv_tcp_destroy(tcp);
}
