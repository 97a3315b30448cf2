// SPDX-License-Identifier: MIT
// A yamux session and its streams as all yamux_*.c see them. On the loop's thread.
// A stream is in the session's table as long as frames may come for it; its memory lives until on_closed.
#ifndef YAMUX_TYPES_H
#define YAMUX_TYPES_H

#include "cuv_error.h"
#include "cuv_timer.h"
#include "cuv_yamux.h"
#include "cw_yamux_frame.h"
#include "stream_core.h"
#include "yamux_list.h"
#include "yamux_table.h"
#include "yamux_window.h"

enum {
    YAMUX_FRAME_MAX = 64 * 1024,       // payload of a data frame of ours, so that streams interleave
    YAMUX_COPY_MAX = 8 * 1024,         // payloads up to this are copied into the batch, larger ones go to the carrier as they are
    YAMUX_BATCH = 16 * 1024,           // bytes of a batch before it leaves in mid turn
    YAMUX_CARRIER_FULL = 64 * 1024,    // queued on the carrier: data waits in the streams' queues ...
    YAMUX_CARRIER_ROOM = 16 * 1024,    // ... until no more than this is left there
    YAMUX_CARRIER_MAX = 2 << 20,       // the answers to a peer that sends and does not read; beyond: the session ends
    YAMUX_LAZY_MAX = 32,               // frames that nobody waits for: so many leave without company,
    YAMUX_LAZY_MS = 2,                 // or when they waited so long for some
    YAMUX_LINGER_MS = 5000,            // after a close: how long the peer may take to end its direction
    YAMUX_HALF_CLOSED_MS = 300000,     // without a byte: how long a half closed stream stays
    YAMUX_ODDITIES = 10000,            // broken rules that are borne between two quiet moments
    YAMUX_LAST_ID = 0x7fffffff,        // then go away; ids never come round
};

// What a stream still has to say and what was said.
enum {
    YAMUX_WAITING = 1 << 0,       // too many unacknowledged: not even its SYN may leave
    YAMUX_SYN_DUE = 1 << 1,       // its next frame carries SYN
    YAMUX_UNACKED = 1 << 2,       // SYN left or is due, no answer yet
    YAMUX_GRANT_DUE = 1 << 3,     // the window is to be announced
    YAMUX_FIN_WANTED = 1 << 4,    // shut or closed: FIN follows the queue
    YAMUX_FIN_SENT = 1 << 5,
    YAMUX_PEER_FIN = 1 << 6,
    YAMUX_CLOSED = 1 << 7,        // ops->close: what comes is thrown away; finishes when it is gone
    YAMUX_GONE = 1 << 8,          // not in the table: no frame of it comes or leaves any more
    YAMUX_FINISHING = 1 << 9,     // on_closed is on its way
    YAMUX_FIN_DUE = 1 << 10,      // FIN at the end of this turn
};

typedef struct yamux_stream {
    cuv_stream base;
    cuv_yamux *session;
    uint32_t id;
    uint32_t state;               // YAMUX_...
    uint32_t send_window;         // what the peer still takes
    yamux_window window;          // what we still take
    cuv_queue queue;              // accepted, waiting for the window or for room on the carrier
    yamux_link due;               // session->due: says something at the next flush
    yamux_link turn;              // session->ready, ->waiting: wants to send
    yamux_link deadline;          // session->half or ->lingering, in order of `until_ms`
    yamux_link all;               // session->streams, until its memory goes
    uint64_t until_ms;
    uint64_t moved;               // bytes both ways when until_ms was set
} yamux_stream;

struct cuv_yamux {
    cuv_stream *carrier;          // NULL after its on_closed
    cuv_loop *loop;
    const cuv_yamux_events *events;
    void *ctx;
    int status;                   // what on_closed will say
    bool client;
    bool over;                    // no frame comes or leaves any more; streams are broken
    bool congested;               // the carrier is full: data waits
    bool no_more_opens;           // the peer's go away
    bool said_go_away;            // ours; what the peer opened before it read that is served
    bool heeded;                  // the peer has read it: it opens nothing more
    bool peer_serves_late;        // the peer, too, serves what was opened before its go away was read
    bool pinging;                 // a ping is not answered yet
    bool looked_once;             // the verdict on a silent peer was put off, so that its last words can be read

    // out
    cuv_hook flush;
    cuv_hook finish;
    cuv_buf *batch;               // frames of this turn, or NULL
    uint32_t tail_header;         // where in the batch the header of its last frame is, while that can grow; else UINT32_MAX
    uint32_t tail_stream;
    bool urgent;                  // the batch leaves at the next flush
    uint32_t lazy_count;          // frames in the batch that nobody waits for
    yamux_link due;
    yamux_link ready;             // a queue and a window: they send in turn
    yamux_link waiting;           // for the ACK of others before they open

    // in
    uint8_t head[CW_YAMUX_HEADER_SIZE];
    uint8_t head_count;
    uint16_t end_flags;           // FIN, RST of the data frame under way: they count behind its payload
    uint32_t payload_left;
    yamux_stream *sink;           // whose payload it is; NULL: thrown away

    // streams
    yamux_table table;
    yamux_link streams;
    uint32_t alive;               // in `streams`
    uint32_t next_id;
    uint32_t peer_last_id;        // the highest the peer opened
    uint32_t unacknowledged;
    uint32_t max_streams;
    uint32_t max_unacknowledged;
    yamux_growth growth;
    uint64_t late;                // bytes that may still come for streams we reset
    uint64_t oddities;
    uint64_t oddities_before;     // at the last quiet moment

    // time
    cuv_timer *timer;
    uint64_t timer_at_ms;         // 0: not armed
    uint64_t lazy_at_ms;          // 0: nothing lazy
    uint64_t heard_ms;            // when anything came last
    uint64_t asked_ms;            // when the ping under way was sent
    uint64_t lost_at_ms;          // when it is too late for anything to come after it
    uint64_t tidied_ms;
    uint64_t ping_interval_ms;    // of silence, then a ping
    uint64_t ping_timeout_ms;     // of silence after it, then the end
    uint64_t ping_sent_ns;
    uint64_t round_trip_ns;       // the last one
    uint32_t ping_id;
    uint32_t ping_answered;       // the latest that was
    uint32_t last_question;       // the ping behind our go away
    yamux_link half;
    yamux_link lingering;
};

#endif
