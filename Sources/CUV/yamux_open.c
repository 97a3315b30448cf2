// SPDX-License-Identifier: MIT
// How streams begin, ours and the peer's, and the limits on both. On the loop's thread.
// At a limit ours fail with a reason or wait their turn, the peer's are refused with RST.
#include "yamux_parts.h"

static int may_open(cuv_yamux *session) {
    if (session->over) return CUV_E_CLOSED;
    if (session->no_more_opens) return CUV_E_GOING_AWAY;
    if (session->alive >= session->max_streams) return CUV_E_LIMIT;
    if (session->next_id <= YAMUX_LAST_ID) return 0;
    cuv_yamux_go_away(session, CW_YAMUX_NORMAL);
    return CUV_E_GOING_AWAY;
}

cuv_stream *cuv_yamux_open(cuv_yamux *session, const cuv_owner *owner, void *ctx, int *error) {
    *error = may_open(session);
    if (*error) return NULL;
    yamux_stream *stream = yamux_stream_new(session, session->next_id, owner, ctx);
    *error = stream ? 0 : CUV_E_NO_MEMORY;
    if (!stream) return NULL;
    session->next_id += 2;
    if (session->unacknowledged >= session->max_unacknowledged || !yamux_list_is_empty(&session->waiting)) {
        stream->state |= YAMUX_WAITING;
        yamux_list_add(&session->waiting, &stream->turn);
        return &stream->base;
    }
    session->unacknowledged += 1;
    stream->state |= YAMUX_UNACKED;
    yamux_due(stream, YAMUX_SYN_DUE);
    return &stream->base;
}

static void refuse(cuv_yamux *session, uint32_t id) {
    yamux_put(session, CW_YAMUX_WINDOW, CW_YAMUX_RST, id, 0);
    session->late += CW_YAMUX_INITIAL_WINDOW;
    yamux_tell_fault(session);
}

yamux_stream *yamux_accept(cuv_yamux *session, uint32_t id, bool bare) {
    if (id > session->peer_last_id) session->peer_last_id = id;
    // After our go away too: the peer cannot have read it yet.
    bool room = session->alive < session->max_streams;
    yamux_stream *stream = room ? yamux_stream_new(session, id, NULL, NULL) : NULL;
    if (!stream) {
        refuse(session, id);
        return NULL;
    }
    cuv_stream_mark_open(&stream->base);
    session->events->on_stream(session->ctx, session, &stream->base);
    if (session->over || (stream->state & YAMUX_GONE)) return NULL;
    if (!stream->base.owner) {
        yamux_reset(stream, 0);
        return NULL;
    }
    // Who has nothing to say yet may wait for the ACK. Else it only frees one of the peer's places, and may go along with the answer.
    (bare ? yamux_put : yamux_put_lazily)(session, CW_YAMUX_WINDOW, CW_YAMUX_ACK, id, 0);
    return stream;
}
