// SPDX-License-Identifier: MIT
// One timer a session for all that has a time: pings and their answers, frames that wait for company, half closed and closed streams.
// On the loop's thread. The timer fires at the earliest of these or before; what is not due yet arms it again.
#include "yamux_parts.h"

enum {
    MEASURE_NS = 1000000000,   // no two measurements closer than this
    STOOD_STILL_MS = 1000,     // a timer that fires so late says more of us than of the peer
    NEARBY_NS = 500000,        // what a busy machine alone may take; a peer no further needs no larger windows
};

void yamux_need_timer(cuv_yamux *session, uint64_t at_ms) {
    if (session->over || (session->timer_at_ms && session->timer_at_ms <= at_ms)) return;
    uint64_t now = cuv_loop_now_ms(session->loop);
    session->timer_at_ms = at_ms;
    cuv_timer_arm(session->timer, at_ms > now ? at_ms - now : 0);
}

static void ping(cuv_yamux *session) {
    session->pinging = true;
    session->ping_id += 1;
    session->ping_sent_ns = cuv_now_ns();
    session->ping_at_ms = cuv_loop_now_ms(session->loop) + session->ping_timeout_ms;
    yamux_put(session, CW_YAMUX_PING, CW_YAMUX_SYN, 0, session->ping_id);
    yamux_need_timer(session, session->ping_at_ms);
}

void yamux_measure(cuv_yamux *session) {
    if (!session->pinging && cuv_now_ns() - session->ping_sent_ns >= MEASURE_NS) ping(session);
}

// Queues on the way only ever lengthen a measurement, so a shorter one counts at once and a longer one little by little.
static void learn(cuv_yamux *session, uint64_t nanoseconds) {
    uint64_t *known = &session->growth.round_trip_ns;
    nanoseconds = nanoseconds > NEARBY_NS ? nanoseconds - NEARBY_NS : 1;
    if (*known == 0 || nanoseconds < *known) *known = nanoseconds;
    else *known += (nanoseconds - *known) / 8;
}

void yamux_take_pong(cuv_yamux *session, uint32_t opaque) {
    if (!session->pinging || opaque != session->ping_id) {
        yamux_oddity(session);
        return;
    }
    session->pinging = false;
    session->ping_at_ms = cuv_loop_now_ms(session->loop) + session->ping_interval_ms;
    session->round_trip_ns = cuv_now_ns() - session->ping_sent_ns;
    learn(session, session->round_trip_ns);
    yamux_need_timer(session, session->ping_at_ms);
    if (session->events->on_round_trip) session->events->on_round_trip(session->ctx, session, session->round_trip_ns);
}

static void watch(yamux_stream *stream, yamux_link *list, uint64_t patience_ms) {
    cuv_yamux *session = stream->session;
    yamux_link_remove(&stream->deadline);
    stream->until_ms = cuv_loop_now_ms(session->loop) + patience_ms;
    stream->moved = stream->base.bytes_read + stream->base.bytes_written - stream->queue.count;
    yamux_list_add(list, &stream->deadline);
    yamux_need_timer(session, stream->until_ms);
}

void yamux_watch_half(yamux_stream *stream) { watch(stream, &stream->session->half, YAMUX_HALF_CLOSED_MS); }

// A loop that is stopping waits for nobody.
void yamux_watch_lingering(yamux_stream *stream) {
    bool stopping = cuv_loop_is_stopping(stream->session->loop);
    watch(stream, &stream->session->lingering, stopping ? 0 : YAMUX_LINGER_MS);
}

static void end_half_closed(yamux_stream *stream) {
    if (stream->moved != stream->base.bytes_read + stream->base.bytes_written - stream->queue.count) yamux_watch_half(stream);
    else yamux_reset(stream, CUV_E_TIMEOUT);
}

static void end_lingering(yamux_stream *stream) { yamux_reset(stream, 0); }

// Both lists are in the order of their times. Returns when the next one is due, or UINT64_MAX.
static uint64_t expire(yamux_link *list, uint64_t now, void (*end)(yamux_stream *)) {
    while (!yamux_list_is_empty(list)) {
        yamux_stream *stream = CUV_CONTAINER(list->next, yamux_stream, deadline);
        if (stream->until_ms > now) return stream->until_ms;
        end(stream);
    }
    return UINT64_MAX;
}

static void quiet_moment(cuv_yamux *session) {
    session->oddities_before = session->oddities;
    yamux_table_shrink(&session->table);
}

static void keep_alive(cuv_yamux *session, uint64_t now) {
    if (session->over || now < session->ping_at_ms) return;
    if (!session->pinging) {
        quiet_moment(session);
        ping(session);
        return;
    }
    // A process that stood still itself has the answer waiting in its socket.
    if (now - session->ping_at_ms >= STOOD_STILL_MS) {
        session->ping_at_ms = now + STOOD_STILL_MS;
        return;
    }
    cuv_stream *carrier = session->carrier;
    yamux_lose(session, CUV_E_TIMEOUT);
    cuv_stream_abort(carrier);
}

static uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

void yamux_on_timer(void *ctx) {
    cuv_yamux *session = ctx;
    uint64_t now = cuv_loop_now_ms(session->loop);
    session->timer_at_ms = 0;
    uint64_t next = smaller(expire(&session->half, now, end_half_closed), expire(&session->lingering, now, end_lingering));
    if (session->lazy_at_ms && session->lazy_at_ms <= now) yamux_leave_soon(session);
    else if (session->lazy_at_ms) next = smaller(next, session->lazy_at_ms);
    keep_alive(session, now);
    if (!session->over) yamux_need_timer(session, smaller(next, session->ping_at_ms));
}
