// SPDX-License-Identifier: MIT
// A TLS stream's part of a move: OpenSSL's object goes along as it is, with the bytes that it has not read and those that nobody has taken.
// detach on the old loop's thread, attach on the new one's; on the way whoever holds it frees it.
#include <openssl/ssl.h>
#include <uv.h>

#include "moving.h"
#include "tls_stream.h"

static int check(const tls_stream *tls) {
    if (tls->dead || (tls->base.flags & (CUV_S_CLOSING | CUV_S_WRITE_BROKEN))) return CUV_E_CLOSED;
    return tls->handshaking ? UV_ENOTCONN : 0;
}

static void hand_over(tls_stream *tls, cuv_moving *moving) {
    moving->ssl = tls->ssl;
    moving->context = tls->context;
    cuv_tls_context_hold(tls->context);
    moving->name = tls->name;
    moving->notified = tls->notified;
    moving->peer_ended = tls->peer_ended;
    if (tls->peer_ended) moving->tls->flags |= CUV_S_ENDED;   // it may be behind the bytes that are being offered
    tls->ssl = NULL;
    tls->name = NULL;
    tls->in = (cuv_span){NULL, 0};
    tls->dead = true;
}

// Inside on_read the carrier's bytes that were not decrypted yet go along as the carrier's.
int cuv_tls_detach(cuv_stream *stream, cuv_moving *moving, size_t skip, const uint8_t *extra, size_t extra_count) {
    tls_stream *tls = tls_of(stream);
    int error = check(tls);
    if (error == 0 && tls->out) error = tls_leave(tls, false);
    if (error == 0) error = tls_send_pending(tls);
    if (error == 0) error = tls->dead ? CUV_E_CLOSED : 0;
    if (error < 0) return error;
    moving->tls = cuv_luggage_pack(stream, skip, extra, extra_count);
    if (!moving->tls) return CUV_E_NO_MEMORY;
    if (tls->carrier->ops->below) return UV_EINVAL;   // TLS within TLS
    moving->tcp = NULL;
    error = cuv_tcp_detach(tls->carrier, moving, 0, tls->in.bytes, tls->in.count);
    if (error < 0) return error;
    hand_over(tls, moving);
    cuv_stream_close(stream);
    return 0;
}

static cuv_stream *open_on(cuv_stream *carrier, cuv_moving *moving, const cuv_owner *owner, void *ctx) {
    tls_stream *tls = tls_new(carrier, moving->context, owner, ctx);
    if (!tls) return NULL;
    tls->ssl = moving->ssl;
    tls->name = moving->name;
    tls->notified = tls->shut_due = moving->notified;
    tls->peer_ended = moving->peer_ended;
    moving->ssl = NULL;
    moving->name = NULL;
    tls_connect_bio(tls);
    tls_take_carrier(tls);
    int failed = cuv_luggage_unpack(&tls->base, moving->tls);
    if (failed < 0) tls_fail(tls, failed);
    return &tls->base;
}

cuv_stream *cuv_tls_attach(cuv_loop *loop, cuv_moving *moving, const cuv_owner *owner, void *ctx, int *error) {
    cuv_stream *carrier = cuv_tcp_attach(loop, moving, NULL, NULL, error);
    if (!carrier) return NULL;
    cuv_stream *stream = open_on(carrier, moving, owner, ctx);
    if (stream) return stream;
    *error = CUV_E_NO_MEMORY;
    cuv_stream_abort(carrier);
    return NULL;
}

void cuv_tls_moving_free(cuv_moving *moving) {
    if (moving->ssl) SSL_free(moving->ssl);
    if (moving->context) cuv_tls_context_free(moving->context);
}
