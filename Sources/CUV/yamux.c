// SPDX-License-Identifier: MIT
// A yamux session's life: it owns its carrier from cuv_yamux_new to the carrier's on_closed, and its memory goes in its own on_closed, when the
// carrier and all its streams are gone. On the loop's thread.
#include "cuv_yamux.h"

#include "cuv_handshake.h"
#include "yamux_parts.h"

enum { DEFAULT_STREAMS = 65536, DEFAULT_UNACKNOWLEDGED = 256 };
enum { DEFAULT_WINDOW = 16 << 20, DEFAULT_SESSION_WINDOW = 64 << 20, PROCESS_WINDOW = 512 << 20 };
// A dead peer is noticed within 5 s at both ends, and not much sooner: one that lacks a processor for seconds is not dead. Either end's
// ping is a sign of life to the other, so one that asks is enough.
enum { SERVER_PING_MS = 2400, SERVER_TIMEOUT_MS = 2400, CLIENT_PING_MS = 2800, CLIENT_TIMEOUT_MS = 2000 };

/// Of all sessions, on whichever loop.
static yamux_budget budget = {PROCESS_WINDOW};

static void carrier_ended(void *ctx, cuv_stream *carrier) {
    yamux_lose(ctx, 0);
    cuv_stream_close(carrier);
}

static void carrier_broken(void *ctx, cuv_stream *carrier, int error) {
    (void)carrier;
    yamux_lose(ctx, error);
}

static void carrier_drained(void *ctx, cuv_stream *carrier) {
    cuv_yamux *session = ctx;
    if (session->over || cuv_stream_queued(carrier) > YAMUX_CARRIER_ROOM) return;
    session->congested = false;
    yamux_pump(session);
}

// A tunnel of one direction is none.
static void carrier_write_broke(void *ctx, cuv_stream *carrier, int error) {
    yamux_lose(ctx, error);
    cuv_stream_abort(carrier);
}

static void carrier_closed(void *ctx, cuv_stream *carrier, int status) {
    (void)carrier;
    cuv_yamux *session = ctx;
    yamux_lose(session, status);
    session->carrier = NULL;
    yamux_finish_when_empty(session);
}

static const cuv_reader carrier_reader = {yamux_on_read, carrier_ended, carrier_broken};
static const cuv_writer carrier_writer = {carrier_drained, carrier_write_broke};
static const cuv_owner carrier_owner = {.on_closed = carrier_closed};

static void finish(cuv_hook *hook) {
    cuv_yamux *session = CUV_CONTAINER(hook, cuv_yamux, finish);
    session->events->on_closed(session->ctx, session, session->status);
    cuv_loop_tally(session->loop)->sessions -= 1;
    cuv_object_give(session->loop, session, sizeof *session);
}

static uint64_t or_default(uint64_t value, uint64_t standard) { return value ? value : standard; }

static void configure(cuv_yamux *session, const cuv_yamux_config *config) {
    session->client = config->client;
    session->next_id = config->client ? 1 : 2;
    session->max_streams = (uint32_t)or_default(config->max_streams, DEFAULT_STREAMS);
    session->max_unacknowledged = (uint32_t)or_default(config->max_unacknowledged, DEFAULT_UNACKNOWLEDGED);
    session->growth.budget = &budget;
    session->growth.largest = (uint32_t)or_default(config->max_window, DEFAULT_WINDOW);
    session->growth.left = or_default(config->session_window, DEFAULT_SESSION_WINDOW);
    session->ping_interval_ms = or_default(config->ping_interval_ms, config->client ? CLIENT_PING_MS : SERVER_PING_MS);
    session->ping_timeout_ms = or_default(config->ping_timeout_ms, config->client ? CLIENT_TIMEOUT_MS : SERVER_TIMEOUT_MS);
    session->peer_serves_late = config->peer_serves_late;
}

static void prepare(cuv_yamux *session) {
    yamux_link *lists[] = {&session->due, &session->ready, &session->waiting, &session->streams, &session->half, &session->lingering};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) yamux_list_init(lists[i]);
    session->flush.run = yamux_run_flush;
    session->finish.run = finish;
    session->tail_header = UINT32_MAX;
    uint32_t seed = 0;
    if (cuv_random(&seed, sizeof seed) < 0) seed = (uint32_t)cuv_now_ns();
    yamux_table_init(&session->table, seed);
}

static void take_over(cuv_yamux *session, cuv_stream *carrier) {
    session->carrier = carrier;
    cuv_stream_set_owner(carrier, &carrier_owner, session);
    cuv_stream_set_writer(carrier, &carrier_writer, session);
    cuv_stream_set_reader(carrier, &carrier_reader, session);
    cuv_stream_read_start(carrier);
}

cuv_yamux *cuv_yamux_new(cuv_stream *carrier, const cuv_yamux_config *config, const cuv_yamux_events *events, void *ctx) {
    cuv_loop *loop = cuv_stream_loop(carrier);
    cuv_yamux *session = cuv_object_take(loop, sizeof *session);
    if (!session) return NULL;
    session->timer = cuv_timer_new(loop, yamux_on_timer, session);
    if (!session->timer) {
        cuv_object_give(loop, session, sizeof *session);
        return NULL;
    }
    session->loop = loop;
    session->events = events;
    session->ctx = ctx;
    cuv_loop_tally(loop)->sessions += 1;
    configure(session, config);
    prepare(session);
    // Sessions that came at once are not to ping at once for ever.
    uint64_t early = session->table.seed % (session->ping_interval_ms / 4 + 1);
    session->tidied_ms = cuv_loop_now_ms(loop);
    session->heard_ms = session->tidied_ms - early;
    yamux_need_timer(session, session->heard_ms + session->ping_interval_ms);
    take_over(session, carrier);
    return session;
}

void yamux_tell_served(cuv_yamux *session) {
    if (session->over || !session->heeded || session->alive > 0) return;
    if (session->events->on_served) session->events->on_served(session->ctx, session);
}

void yamux_finish_when_empty(cuv_yamux *session) {
    if (session->over && !session->carrier && session->alive == 0) cuv_loop_soon(session->loop, &session->finish);
}

void yamux_lose(cuv_yamux *session, int status) {
    if (session->over) return;
    session->over = true;
    session->status = status;
    for (yamux_link *at = session->streams.next; at != &session->streams; at = at->next)
        yamux_stream_lose(CUV_CONTAINER(at, yamux_stream, all));
    yamux_table_free(&session->table);
    cuv_buf_give(session->loop, session->batch);
    session->batch = NULL;
    cuv_hook_cancel(&session->flush);
    cuv_timer_free(session->timer);
    session->timer = NULL;
}

void yamux_fail(cuv_yamux *session, int error, uint32_t code) {
    if (session->over) return;
    cuv_stream *carrier = session->carrier;
    yamux_put(session, CW_YAMUX_GO_AWAY, 0, 0, code);
    yamux_write_batch(session);
    // Whoever does not even read gets no more than this.
    bool reads = !session->over && cuv_stream_queued(carrier) < YAMUX_CARRIER_FULL;
    yamux_lose(session, error);
    (reads ? cuv_stream_close : cuv_stream_abort)(carrier);
}

void yamux_tell_fault(cuv_yamux *session) {
    if (session->events->on_fault) session->events->on_fault(session->ctx, session);
}

void yamux_oddity(cuv_yamux *session) {
    session->oddities += 1;
    yamux_tell_fault(session);
    if (session->oddities - session->oddities_before > YAMUX_ODDITIES) yamux_fail(session, CUV_E_PROTOCOL, CW_YAMUX_PROTOCOL_ERROR);
}

static void say_go_away(cuv_yamux *session, uint32_t code) {
    if (session->said_go_away) return;
    session->said_go_away = true;
    yamux_put(session, CW_YAMUX_GO_AWAY, 0, 0, code);
}

void cuv_yamux_go_away(cuv_yamux *session, uint32_t code) {
    if (session->over || session->said_go_away) return;
    say_go_away(session, code);
    if (!session->over) yamux_ask_whether_heeded(session);
}

void cuv_yamux_close(cuv_yamux *session) {
    if (session->over) return;
    cuv_stream *carrier = session->carrier;
    yamux_speak(session);
    say_go_away(session, CW_YAMUX_NORMAL);
    yamux_write_batch(session);
    yamux_lose(session, 0);
    cuv_stream_close(carrier);
}

void cuv_yamux_abort(cuv_yamux *session) {
    if (!session->carrier) return;
    cuv_stream *carrier = session->carrier;
    yamux_lose(session, CUV_E_ABORTED);
    cuv_stream_abort(carrier);
}

uint32_t cuv_yamux_stream_count(const cuv_yamux *session) { return session->alive; }
uint64_t cuv_yamux_round_trip(const cuv_yamux *session) { return session->round_trip_ns; }
cuv_stream *cuv_yamux_carrier(const cuv_yamux *session) { return session->carrier; }
