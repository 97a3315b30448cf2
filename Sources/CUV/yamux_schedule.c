// SPDX-License-Identifier: MIT
// Who says what, and when. What has no payload (windows, SYN, FIN, RST, pings) leaves at the end of each turn, however full the carrier
// is; data waits in its stream's queue while the carrier is full, and leaves in turn. On the loop's thread.
#include "yamux_parts.h"

enum { PUMP_SPANS = 20 };

void yamux_due(yamux_stream *stream, uint32_t what) {
    stream->state |= what;
    yamux_list_add(&stream->session->due, &stream->due);
    cuv_loop_flush(stream->session->loop, &stream->session->flush);
}

static void speak(yamux_stream *stream) {
    cuv_yamux *session = stream->session;
    uint32_t due = stream->state & (YAMUX_SYN_DUE | YAMUX_GRANT_DUE), delta = 0;
    bool ends = stream->state & YAMUX_FIN_DUE;
    yamux_link_remove(&stream->due);
    stream->state &= ~due;
    if (due & YAMUX_GRANT_DUE) delta = yamux_window_announce(&stream->window, &session->growth, cuv_now_ns());
    if (due) yamux_put(session, CW_YAMUX_WINDOW, due & YAMUX_SYN_DUE ? CW_YAMUX_SYN : 0, stream->id, delta);
    if (ends && !session->over) yamux_try_fin(stream);
}

void yamux_speak(cuv_yamux *session) {
    while (!session->over && !yamux_list_is_empty(&session->due))
        speak(CUV_CONTAINER(session->due.next, yamux_stream, due));
}

void yamux_enlist(yamux_stream *stream) {
    cuv_yamux *session = stream->session;
    if (stream->queue.count == 0 || stream->send_window == 0 || (stream->state & (YAMUX_WAITING | YAMUX_GONE))) return;
    yamux_list_add(&session->ready, &stream->turn);
    if (!session->congested) cuv_loop_flush(session->loop, &session->flush);
}

// One frame of one stream. The last thing it does is to tell the stream's writer.
static void take_turn(yamux_stream *stream) {
    cuv_span spans[PUMP_SPANS];
    size_t count = stream->queue.count, described = 0;
    if (count > YAMUX_FRAME_MAX) count = YAMUX_FRAME_MAX;
    if (count > stream->send_window) count = stream->send_window;
    int used = cuv_queue_spans(&stream->queue, spans, PUMP_SPANS);
    for (int i = 0; i < used; i++) described += spans[i].count;
    if (count > described) count = described;
    yamux_link_remove(&stream->turn);
    count = yamux_send(stream, spans, used, count);
    if (stream->session->over) return;
    cuv_queue_drop(stream->session->loop, &stream->queue, count);
    yamux_enlist(stream);
    yamux_try_fin(stream);
    cuv_stream_left(&stream->base, count);
}

void yamux_pump(cuv_yamux *session) {
    while (!session->over && !session->congested && !yamux_list_is_empty(&session->ready))
        take_turn(CUV_CONTAINER(session->ready.next, yamux_stream, turn));
}

static void open_waiting(cuv_yamux *session) {
    while (session->unacknowledged < session->max_unacknowledged && !yamux_list_is_empty(&session->waiting)) {
        yamux_stream *stream = CUV_CONTAINER(session->waiting.next, yamux_stream, turn);
        yamux_link_remove(&stream->turn);
        session->unacknowledged += 1;
        stream->state &= ~(uint32_t)YAMUX_WAITING;
        stream->state |= YAMUX_UNACKED;
        yamux_due(stream, YAMUX_SYN_DUE);
        yamux_enlist(stream);
        yamux_try_fin(stream);
    }
}

void yamux_acknowledged(yamux_stream *stream) {
    cuv_yamux *session = stream->session;
    if (!(stream->state & YAMUX_UNACKED)) return;
    stream->state &= ~(uint32_t)YAMUX_UNACKED;
    session->unacknowledged -= 1;
    if (!yamux_list_is_empty(&session->waiting)) cuv_loop_flush(session->loop, &session->flush);
}

// Data may come along with the SYN of its stream, so the queues go first. What on_drain makes of it leaves in this turn too.
void yamux_run_flush(cuv_hook *hook) {
    cuv_yamux *session = CUV_CONTAINER(hook, cuv_yamux, flush);
    open_waiting(session);
    yamux_pump(session);
    yamux_speak(session);
    if (session->urgent) yamux_write_batch(session);
}
