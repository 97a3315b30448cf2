// SPDX-License-Identifier: MIT
// One timer a session for all that has a time: silence and pings, frames that wait for company, half closed and closed streams.
// On the loop's thread. The timer fires at the earliest of these or before; what is not due yet arms it again.
#include "yamux_parts.h"

enum {
    MEASURE_NS = 1000000000,   // no two measurements closer than this
    STOOD_STILL_MS = 1000,     // a timer that fires so late says more of us than of the peer
    LAST_LOOK_MS = 50,         // before a verdict: what has come already is read
    TIDY_MS = 30000,           // between two quiet moments
};

void yamux_need_timer(cuv_yamux *session, uint64_t at_ms) {
    if (session->over || (session->timer_at_ms && session->timer_at_ms <= at_ms)) return;
    uint64_t now = cuv_loop_now_ms(session->loop);
    session->timer_at_ms = at_ms;
    cuv_timer_arm(session->timer, at_ms > now ? at_ms - now : 0);
}

static void ping(cuv_yamux *session) {
    session->pinging = true;
    session->looked_once = false;
    session->ping_id += 1;
    session->ping_sent_ns = cuv_now_ns();
    session->asked_ms = cuv_loop_now_ms(session->loop);
    session->lost_at_ms = session->asked_ms + session->ping_timeout_ms;
    yamux_put(session, CW_YAMUX_PING, CW_YAMUX_SYN, 0, session->ping_id);
    yamux_need_timer(session, session->lost_at_ms);
}

void yamux_ask_whether_heeded(cuv_yamux *session) {
    ping(session);
    session->last_question = session->ping_id;
}

void yamux_measure(cuv_yamux *session) {
    if (!session->pinging && cuv_now_ns() - session->ping_sent_ns >= MEASURE_NS) ping(session);
}

static void measured(cuv_yamux *session) {
    session->pinging = false;
    session->round_trip_ns = cuv_now_ns() - session->ping_sent_ns;
    yamux_growth_learn(&session->growth, session->round_trip_ns);
    if (session->events->on_round_trip) session->events->on_round_trip(session->ctx, session, session->round_trip_ns);
}

// An answer may be late: other bytes kept the session alive meanwhile, and another ping was sent after the next silence, or behind a go away.
// Each ping has one, in their order.
static bool is_answer(const cuv_yamux *session, uint32_t opaque) {
    uint32_t ahead = opaque - session->ping_answered;
    return ahead > 0 && ahead <= session->ping_id - session->ping_answered;
}

static bool heeds(const cuv_yamux *session, uint32_t opaque) {
    return session->said_go_away && !session->heeded && opaque - session->last_question <= session->ping_id - session->last_question;
}

void yamux_take_pong(cuv_yamux *session, uint32_t opaque) {
    if (!is_answer(session, opaque)) return yamux_oddity(session);
    session->ping_answered = opaque;
    if (session->pinging && opaque == session->ping_id) measured(session);
    if (!heeds(session, opaque)) return;
    session->heeded = true;
    yamux_tell_served(session);
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

static void quiet_moment(cuv_yamux *session, uint64_t now) {
    session->tidied_ms = now;
    session->oddities_before = session->oddities;
    yamux_table_shrink(&session->table);
}

// Whatever the peer says is a sign of life, its own ping too; the answer itself is awaited by nobody.
static bool is_in_doubt(const cuv_yamux *session) { return session->pinging && session->heard_ms <= session->asked_ms; }

// When the next ping is due, or the verdict on one that nothing came after.
static uint64_t next_look(const cuv_yamux *session) {
    return is_in_doubt(session) ? session->lost_at_ms : session->heard_ms + session->ping_interval_ms;
}

static void judge(cuv_yamux *session, uint64_t now) {
    if (!session->looked_once) {
        // A process that stood still itself has the answer waiting in its socket. Once: on a machine that is always late it would never end.
        bool stood_still = now - session->lost_at_ms >= STOOD_STILL_MS;
        session->looked_once = true;
        session->lost_at_ms = now + (stood_still ? STOOD_STILL_MS : LAST_LOOK_MS);
        return;
    }
    cuv_stream *carrier = session->carrier;
    yamux_lose(session, CUV_E_TIMEOUT);
    cuv_stream_abort(carrier);
}

static void keep_alive(cuv_yamux *session, uint64_t now) {
    if (session->over) return;
    if (now - session->tidied_ms >= TIDY_MS) quiet_moment(session, now);
    if (now < next_look(session)) return;
    if (is_in_doubt(session)) judge(session, now);
    else ping(session);
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
    if (!session->over) yamux_need_timer(session, smaller(next, next_look(session)));
}
