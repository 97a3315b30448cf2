// SPDX-License-Identifier: MIT
// The parts of a WebSocket stream, shared by ws.c (life), ws_read.c (frames in) and ws_write.c (messages out).
// On the loop's thread. No queue and no buffer of its own: an idle one is this struct.
#ifndef WS_STREAM_H
#define WS_STREAM_H

#include "cuv_error.h"
#include "cuv_timer.h"
#include "cw_ws_frame.h"
#include "stream_core.h"

enum { WS_NORMAL = 1000, WS_PROTOCOL_ERROR = 1002, WS_UNACCEPTABLE = 1003, WS_NO_STATUS = 1005, WS_INTERNAL_ERROR = 1011 };  // RFC 6455 7.4.1
enum { WS_CONTROL_MAX = 125, WS_CLOSE_MS = 5000 };

typedef struct ws_stream {
    cuv_stream base;
    cuv_stream *carrier;       // owned until its on_closed; then NULL
    cuv_timer *patience;       // how long the peer may take to answer our close frame; else NULL
    uint64_t left;             // payload bytes of the frame under way that did not come yet
    uint64_t phase;            // those that came
    cw_ws_header frame;        // the frame under way
    uint8_t head[CW_WS_HEADER_MAX];
    uint8_t head_count;        // bytes of a header that is not complete
    bool in_frame;             // `frame` is set and not over
    bool in_message;           // a fragment came, its last did not
    bool message_empty;        // no payload byte in this message so far
    bool client;
    bool half_close;
    bool close_sent;           // RFC 6455 5.5.1: nothing is sent behind it
    bool close_taken;          // nothing that comes behind it counts
    bool end_sent;             // our half close went out as an empty message
    bool dead;                 // broken or closed: what still comes is thrown away
} ws_stream;

/// What the carrier's reader is; in ws_read.c. ctx is the ws_stream.
extern const cuv_reader ws_carrier_reader;

/// Breaks the stream for what the peer did: a close frame with `code`, then the carrier closes. In ws.c.
void ws_fail(ws_stream *ws, int error, uint16_t code);

/// The cuv_stream_ops of a WebSocket that moves bytes; in ws_write.c.
int ws_write(cuv_stream *stream, const cuv_span *spans, int count, bool more);
/// Sends a control frame, or with CW_WS_BINARY and nothing in it the end of our direction. 0 or the carrier's error.
int ws_send_frame(ws_stream *ws, uint8_t opcode, const uint8_t *payload, size_t count);
/// Sends a close frame, once. WS_NO_STATUS sends an empty one.
int ws_send_close(ws_stream *ws, uint16_t code);

/// A mask key nobody can predict (RFC 6455 10.3); in ws_key.c.
void ws_next_key(uint8_t key[4]);

#endif
