// SPDX-License-Identifier: MIT
// A yamux stream's life: its cuv_stream_ops, its queue, its ends. On the loop's thread.
// Two ends of it come apart: it leaves the session's table when no frame can come for it any more (gone), and its memory goes when its
// owner has heard on_closed (finished). Bytes that came before the end may still be read in between.
#include "yamux_parts.h"

static yamux_stream *of(cuv_stream *stream) { return (yamux_stream *)stream; }

// What the peer may still send to a stream that it does not know to be gone is no broken rule.
static void detach(yamux_stream *stream) {
    cuv_yamux *session = stream->session;
    if (stream->state & YAMUX_GONE) return;
    stream->state |= YAMUX_GONE;
    yamux_acknowledged(stream);
    yamux_table_remove(&session->table, stream);
    if (!(stream->state & (YAMUX_PEER_FIN | YAMUX_WAITING | YAMUX_SYN_DUE))) session->late += stream->window.open;
    yamux_link_remove(&stream->due);
    yamux_link_remove(&stream->turn);
    yamux_link_remove(&stream->deadline);
    cuv_queue_clear(session->loop, &stream->queue);
    if (session->sink == stream) session->sink = NULL;
}

static void finish(yamux_stream *stream, int status) {
    if (stream->state & YAMUX_FINISHING) return;
    stream->state |= YAMUX_FINISHING;
    cuv_stream_finish_soon(&stream->base, status);
}

static void settle(yamux_stream *stream) {
    uint32_t both = YAMUX_FIN_SENT | YAMUX_PEER_FIN;
    if ((stream->state & both) == both) detach(stream);
    if ((stream->state & YAMUX_GONE) && (stream->state & YAMUX_CLOSED)) finish(stream, 0);
}

// SYN is a frame of its own here: some take FIN on it for a stream that never was.
static void put_last(yamux_stream *stream, uint16_t flag, bool lazily) {
    cuv_yamux *session = stream->session;
    if (stream->state & YAMUX_SYN_DUE) yamux_put(session, CW_YAMUX_WINDOW, CW_YAMUX_SYN, stream->id, 0);
    stream->state &= ~(uint32_t)YAMUX_SYN_DUE;
    (lazily ? yamux_put_lazily : yamux_put)(session, CW_YAMUX_WINDOW, flag, stream->id, 0);
}

void yamux_try_fin(yamux_stream *stream) {
    uint32_t blocking = YAMUX_FIN_SENT | YAMUX_WAITING | YAMUX_GONE;
    if (!(stream->state & YAMUX_FIN_WANTED) || (stream->state & blocking) || stream->queue.count > 0) return;
    // Who closes has mostly seen the message's end, and the peer's FIN is behind it in the bytes of this turn.
    if ((stream->state & (YAMUX_CLOSED | YAMUX_PEER_FIN | YAMUX_FIN_DUE)) == YAMUX_CLOSED) {
        yamux_due(stream, YAMUX_FIN_DUE);
        return;
    }
    // The peer has ended already, so nobody there waits for this.
    put_last(stream, CW_YAMUX_FIN, stream->state & YAMUX_PEER_FIN);
    stream->state |= YAMUX_FIN_SENT;
    if ((stream->state & (YAMUX_CLOSED | YAMUX_PEER_FIN)) == YAMUX_CLOSED) yamux_watch_lingering(stream);
    settle(stream);
}

void yamux_take_fin(yamux_stream *stream) {
    if (stream->state & YAMUX_PEER_FIN) {
        yamux_oddity(stream->session);
        return;
    }
    stream->state |= YAMUX_PEER_FIN;
    if (!(stream->state & YAMUX_FIN_SENT)) yamux_watch_half(stream);
    cuv_stream_deliver_end(&stream->base);
    settle(stream);
}

void yamux_take_reset(yamux_stream *stream) {
    bool refused = stream->state & YAMUX_UNACKED;
    detach(stream);
    // What came whole before the reset may still be read: it ended by itself.
    bool unread = (stream->state & YAMUX_PEER_FIN) && !(stream->base.flags & (CUV_S_END_TOLD | CUV_S_CLOSING));
    if (unread) {
        cuv_stream_break_writing(&stream->base, CUV_E_RESET);
        return;
    }
    bool had_closed = (stream->state & YAMUX_CLOSED) && (stream->state & YAMUX_FIN_SENT);
    if (!had_closed) cuv_stream_break(&stream->base, refused ? CUV_E_REFUSED : CUV_E_RESET);
    finish(stream, 0);
}

void yamux_reset(yamux_stream *stream, int error) {
    if (!(stream->state & (YAMUX_GONE | YAMUX_WAITING | YAMUX_SYN_DUE)))
        yamux_put(stream->session, CW_YAMUX_WINDOW, CW_YAMUX_RST, stream->id, 0);
    detach(stream);
    if (error) cuv_stream_break(&stream->base, error);
    finish(stream, error);
}

// One that was not even asked cannot have taken it. An original peer that said go away answers only what it had taken before that.
static bool is_untaken(const yamux_stream *stream) {
    const cuv_yamux *session = stream->session;
    if (stream->state & (YAMUX_WAITING | YAMUX_SYN_DUE)) return true;
    return session->no_more_opens && !session->peer_serves_late && (stream->state & YAMUX_UNACKED);
}

void yamux_refuse_unsent(cuv_yamux *session) {
    for (yamux_link *at = session->streams.next; at != &session->streams; at = at->next) {
        yamux_stream *stream = CUV_CONTAINER(at, yamux_stream, all);
        if (stream->state & (YAMUX_WAITING | YAMUX_SYN_DUE)) yamux_reset(stream, CUV_E_REFUSED);
    }
}

void yamux_stream_lose(yamux_stream *stream) {
    bool had_closed = (stream->state & YAMUX_CLOSED) && (stream->state & YAMUX_FIN_SENT);
    int error = is_untaken(stream) ? CUV_E_REFUSED : CUV_E_SESSION_LOST;
    detach(stream);
    if (!had_closed) cuv_stream_break(&stream->base, error);
    finish(stream, 0);
}

// Reading off keeps bytes within the window; the session goes on.
static void read_switched(cuv_stream *stream) { (void)stream; }

static int enqueue(yamux_stream *stream, const cuv_span *spans, int count, size_t skip) {
    for (int i = 0; i < count; i++) {
        size_t part = skip < spans[i].count ? skip : spans[i].count;
        skip -= part;
        size_t rest = spans[i].count - part;
        if (cuv_queue_append(stream->session->loop, &stream->queue, spans[i].bytes + part, rest)) return CUV_E_NO_MEMORY;
        cuv_stream_queue(&stream->base, rest);
    }
    yamux_enlist(stream);
    return 0;
}

static size_t sendable(const yamux_stream *stream, size_t total) {
    if (stream->session->congested || stream->queue.count > 0 || (stream->state & YAMUX_WAITING)) return 0;
    return total < stream->send_window ? total : stream->send_window;
}

static int write_spans(cuv_stream *base, const cuv_span *spans, int count, bool more) {
    (void)more;   // a batch waits for the end of the turn anyway
    yamux_stream *stream = of(base);
    if (stream->state & YAMUX_GONE) return CUV_E_CLOSED;
    size_t total = 0;
    for (int i = 0; i < count; i++) total += spans[i].count;
    size_t now = sendable(stream, total);
    size_t sent = now ? yamux_send(stream, spans, count, now) : 0;
    if (sent == total || (stream->state & YAMUX_GONE)) return 0;
    int error = enqueue(stream, spans, count, sent);
    if (error) yamux_reset(stream, error);
    return error;
}

static int shut(cuv_stream *base) {
    yamux_stream *stream = of(base);
    stream->state |= YAMUX_FIN_WANTED;
    if (!(stream->state & (YAMUX_PEER_FIN | YAMUX_GONE))) yamux_watch_half(stream);
    yamux_try_fin(stream);
    return 0;
}

static bool never_opened(const yamux_stream *stream) {
    return (stream->state & YAMUX_WAITING) && stream->queue.count == 0;
}

static void close_politely(cuv_stream *base) {
    yamux_stream *stream = of(base);
    stream->state |= YAMUX_CLOSED | YAMUX_FIN_WANTED;
    if (never_opened(stream)) detach(stream);
    if (!(stream->state & YAMUX_GONE)) (stream->state & YAMUX_FIN_SENT ? yamux_watch_lingering : yamux_watch_half)(stream);
    yamux_try_fin(stream);
    settle(stream);
}

static void abort_now(cuv_stream *base, int error) {
    (void)error;
    yamux_reset(of(base), 0);
}

static void grant(cuv_stream *base, size_t bytes) {
    yamux_stream *stream = of(base);
    if (stream->state & (YAMUX_GONE | YAMUX_PEER_FIN)) return;
    yamux_window_consume(&stream->window, bytes);
    if (!yamux_window_is_due(&stream->window)) return;
    yamux_measure(stream->session);
    yamux_due(stream, YAMUX_GRANT_DUE);
}

static void release(cuv_stream *base) {
    yamux_stream *stream = of(base);
    cuv_yamux *session = stream->session;
    yamux_link_remove(&stream->all);
    // Not before: of a stream that is gone there may be a whole window that nobody has read yet.
    yamux_window_end(&stream->window, &session->growth);
    session->alive -= 1;
    cuv_loop_tally(base->loop)->streams -= 1;
    cuv_object_give(base->loop, stream, sizeof *stream);
    yamux_tell_served(session);
    yamux_finish_when_empty(session);
}

static const cuv_stream_ops yamux_ops = {
    .name = "yamux",
    .read_start = read_switched,
    .read_stop = read_switched,
    .write = write_spans,
    .shut = shut,
    .close = close_politely,
    .abort = abort_now,
    .grant = grant,
    .release = release,
};

yamux_stream *yamux_stream_new(cuv_yamux *session, uint32_t id, const cuv_owner *owner, void *ctx) {
    yamux_stream *stream = cuv_object_take(session->loop, sizeof *stream);
    if (!stream) return NULL;
    cuv_stream_init(&stream->base, session->loop, &yamux_ops, owner, ctx);
    stream->session = session;
    stream->id = id;
    stream->send_window = CW_YAMUX_INITIAL_WINDOW;
    yamux_window_init(&stream->window, cuv_loop_now_ms(session->loop) * 1000000);
    if (yamux_table_add(&session->table, stream)) {
        cuv_object_give(session->loop, stream, sizeof *stream);
        return NULL;
    }
    yamux_list_add(&session->streams, &stream->all);
    session->alive += 1;
    cuv_loop_tally(session->loop)->streams += 1;
    return stream;
}

cuv_yamux *cuv_yamux_session(const cuv_stream *stream) {
    return stream->ops == &yamux_ops ? ((const yamux_stream *)stream)->session : NULL;
}

uint32_t cuv_yamux_stream_id(const cuv_stream *stream) {
    return stream->ops == &yamux_ops ? ((const yamux_stream *)stream)->id : 0;
}
