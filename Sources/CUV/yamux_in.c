// SPDX-License-Identifier: MIT
// Frames in: headers in any pieces, payloads straight from the carrier's bytes to their stream. Everything is taken, always: a
// stream that does not read keeps its bytes, within its window, and no other waits for it.
// On the loop's thread. Every field is a peer's word; what breaks the specification ends the session, what a race explains does not.
#include <string.h>

#include "yamux_parts.h"

static bool is_ours(const cuv_yamux *session, uint32_t id) { return (id & 1) == (session->client ? 1 : 0); }

static bool was_opened(const cuv_yamux *session, uint32_t id) {
    return is_ours(session, id) ? id < session->next_id : id <= session->peer_last_id;
}

static void break_rules(cuv_yamux *session) { yamux_fail(session, CUV_E_PROTOCOL, CW_YAMUX_PROTOCOL_ERROR); }

// Frames behind our RST may have been under way before it arrived; so may window updates behind the last FIN.
static void take_stray(cuv_yamux *session, const cw_yamux_header *header) {
    if (!was_opened(session, header->stream)) {
        break_rules(session);
        return;
    }
    if (header->type != CW_YAMUX_DATA) return;
    if (header->length > session->late) yamux_oddity(session);
    else session->late -= header->length;
}

static void take_window(yamux_stream *stream, uint32_t delta) {
    if (delta > UINT32_MAX - stream->send_window) {
        break_rules(stream->session);
        return;
    }
    stream->send_window += delta;
    yamux_enlist(stream);
}

static void take_end(yamux_stream *stream, uint16_t flags) {
    if (flags & CW_YAMUX_RST) yamux_take_reset(stream);
    else if (flags & CW_YAMUX_FIN) yamux_take_fin(stream);
}

// The first frame of the peer that is not a refusal says that it accepted.
static void take_acceptance(yamux_stream *stream, uint16_t flags) {
    if (!(stream->state & YAMUX_UNACKED) || (flags & CW_YAMUX_RST)) return;
    yamux_acknowledged(stream);
    cuv_stream_opened(&stream->base);
}

// Whose the payload is, by its header. Bytes behind the peer's own FIN are nobody's.
static void begin_payload(cuv_yamux *session, yamux_stream *stream, uint32_t length) {
    if (!yamux_window_receive(&stream->window, length)) {
        break_rules(session);
        return;
    }
    if (stream->state & YAMUX_PEER_FIN) yamux_oddity(session);
    else if (!(stream->state & YAMUX_GONE)) session->sink = stream;
}

static void take_stream_frame(cuv_yamux *session, yamux_stream *stream, const cw_yamux_header *header) {
    take_acceptance(stream, header->flags);
    if (header->type == CW_YAMUX_WINDOW) take_window(stream, header->length);
    else begin_payload(session, stream, header->length);
    if (session->over) return;
    if (session->payload_left > 0) session->end_flags = header->flags;
    else if (!(stream->state & YAMUX_GONE)) take_end(stream, header->flags);
}

static yamux_stream *find_or_accept(cuv_yamux *session, const cw_yamux_header *header) {
    yamux_stream *stream = yamux_table_find(&session->table, header->stream);
    bool opens = header->flags & CW_YAMUX_SYN;
    // No answer can come before our own SYN left.
    bool too_early = stream && (stream->state & (YAMUX_WAITING | YAMUX_SYN_DUE));
    if (too_early || (opens && (stream || is_ours(session, header->stream)))) {
        break_rules(session);
        return NULL;
    }
    if (opens) return yamux_accept(session, header->stream, header->type == CW_YAMUX_WINDOW);
    if (!stream) take_stray(session, header);
    return stream;
}

static void take_ping(cuv_yamux *session, const cw_yamux_header *header) {
    if (header->flags & CW_YAMUX_SYN) yamux_put(session, CW_YAMUX_PING, CW_YAMUX_ACK, 0, header->length);
    else if (header->flags & CW_YAMUX_ACK) yamux_take_pong(session, header->length);
    else yamux_oddity(session);
}

static void take_go_away(cuv_yamux *session, uint32_t code) {
    session->no_more_opens = true;
    yamux_refuse_unsent(session);
    if (session->events->on_go_away) session->events->on_go_away(session->ctx, session, code);
}

static void take_frame(cuv_yamux *session, const cw_yamux_header *header) {
    session->sink = NULL;
    session->end_flags = 0;
    session->payload_left = header->type == CW_YAMUX_DATA ? header->length : 0;
    if (header->type == CW_YAMUX_PING) {
        take_ping(session, header);
    } else if (header->type == CW_YAMUX_GO_AWAY) {
        take_go_away(session, header->length);
    } else {
        yamux_stream *stream = find_or_accept(session, header);
        if (stream && !session->over) take_stream_frame(session, stream, header);
    }
}

static size_t take_header(cuv_yamux *session, const uint8_t *bytes, size_t count) {
    size_t had = session->head_count, part = CW_YAMUX_HEADER_SIZE - had;
    const uint8_t *from = bytes;
    if (part > count) part = count;
    if (had || part < CW_YAMUX_HEADER_SIZE) {
        memcpy(session->head + had, bytes, part);
        from = session->head;
    }
    cw_yamux_header header;
    int used = cw_yamux_header_read(&header, from, had + part);
    session->head_count = used == 0 ? (uint8_t)(had + part) : 0;
    if (used < 0) break_rules(session);
    else if (used > 0) take_frame(session, &header);
    return part;
}

static size_t take_payload(cuv_yamux *session, const uint8_t *bytes, size_t count) {
    if (count > session->payload_left) count = session->payload_left;
    session->payload_left -= (uint32_t)count;
    yamux_stream *stream = session->sink;
    if (!stream) return count;
    // Delivering to a closed stream throws the bytes away, and grants nothing.
    if (cuv_stream_deliver(&stream->base, bytes, count)) yamux_reset(stream, CUV_E_NO_MEMORY);
    // The stream may have gone meanwhile; whoever takes it out of the table takes it from here too.
    if (session->sink && session->payload_left == 0) take_end(session->sink, session->end_flags);
    return count;
}

size_t yamux_on_read(void *ctx, cuv_stream *carrier, const uint8_t *bytes, size_t count) {
    (void)carrier;
    cuv_yamux *session = ctx;
    session->heard_ms = cuv_loop_now_ms(session->loop);
    size_t taken = 0;
    while (taken < count && !session->over) {
        bool in_payload = session->payload_left > 0;
        taken += (in_payload ? take_payload : take_header)(session, bytes + taken, count - taken);
    }
    return count;
}
