// SPDX-License-Identifier: MIT
// A TLS stream's insides, shared by tls.c (its life), tls_read.c (records in), tls_write.c (records out), tls_bio.c (OpenSSL's view of both)
// and tls_move.c. Loop thread only. OpenSSL reads straight from what the carrier's reader is given and writes into a pooled buffer that leaves with the
// call, so an idle stream owns no buffer.
#ifndef CUV_TLS_STREAM_H
#define CUV_TLS_STREAM_H

#include "buf.h"
#include "cuv_timer.h"
#include "stream_core.h"
#include "tls_context.h"

/// The most payload of one record (RFC 8446 5.1).
enum { TLS_RECORD = 16 * 1024 };

typedef struct tls_stream {
    cuv_stream base;
    cuv_stream *carrier;       // owned until its on_closed; then NULL
    cuv_tls_context *context;  // held
    struct ssl_st *ssl;        // NULL once it has moved away
    char *name;                // of the peer, a client's; else NULL
    cuv_timer *deadline;       // of the handshake; else NULL
    cuv_span in;               // what the carrier's on_read brought and OpenSSL has not read
    cuv_buf *out;              // records of the call under way
    size_t expected;           // bytes of payload that are still to become records in this call
    cuv_queue pending;         // payload that waits for the handshake or for the end of the turn
    cuv_hook flush;
    uint64_t answers;          // bytes that the peer's records had OpenSSL say since the carrier had sent all
    int carrier_error;         // of a write below, to be told instead of OpenSSL's
    bool handshaking;
    bool fresh;                // no byte of the peer was seen
    bool ticketed;             // a ticket came since buffers were given back
    bool shut_due;             // behind the handshake
    bool close_due;            // behind it too
    bool notified;             // our close_notify is out
    bool peer_ended;           // the peer's close_notify came
    bool dead;                 // broken, closed or moved: what still comes is thrown away
} tls_stream;

extern const cuv_stream_ops cuv_tls_ops;

static inline tls_stream *tls_of(const cuv_stream *stream) { return (tls_stream *)(uintptr_t)stream; }

/// A stream above `carrier` without OpenSSL's object: its flags, counts and places. NULL without memory. In tls.c.
tls_stream *tls_new(cuv_stream *carrier, cuv_tls_context *context, const cuv_owner *owner, void *ctx);
/// Becomes the carrier's reader, writer and owner. In tls.c.
void tls_take_carrier(tls_stream *tls);
/// Breaks the stream for `error`: what OpenSSL has to say (an alert) leaves, then the carrier closes. In tls.c.
void tls_fail(tls_stream *tls, int error);
/// Breaks it for `error` and resets the carrier: the peer does not listen. In tls.c.
void tls_give_up(tls_stream *tls, int error);
/// What waited for the handshake. In tls.c.
void tls_opened(tls_stream *tls);

/// Goes on with the handshake as far as the bytes there are allow. In tls_read.c.
void tls_shake_hands(tls_stream *tls);
/// What the carrier's reader is; ctx is the tls_stream. In tls_read.c.
extern const cuv_reader tls_carrier_reader;

/// The ops of a TLS stream that move bytes; in tls_write.c.
int tls_write(cuv_stream *stream, const cuv_span *spans, int count, bool more);
void tls_on_flush(cuv_hook *hook);
/// Makes records of all that waits and sends them. 0 or an error. Calls nobody back.
int tls_send_pending(tls_stream *tls);
/// Sends our close_notify, once, behind what waits. 0 or an error.
int tls_notify_end(tls_stream *tls);
/// Hands the records of the call to the carrier. 0 or its error.
int tls_leave(tls_stream *tls, bool more);

/// Gives `tls->ssl` its way to the carrier; again after a move. False without memory. In tls_bio.c.
bool tls_connect_bio(tls_stream *tls);

#endif
