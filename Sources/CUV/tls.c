// SPDX-License-Identifier: MIT
// The life of a TLS stream: it owns its carrier from cuv_tls_wrap to the carrier's on_closed, with which its own comes.
// Loop thread only. The bytes are in tls_read.c and tls_write.c.
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "cuv_tcp.h"
#include "tls_stream.h"

static void read_start(cuv_stream *stream) { cuv_stream_read_start(tls_of(stream)->carrier); }

// The handshake is read whether or not anybody wants what follows; after the peer's end there may still come a reset.
static void read_stop(cuv_stream *stream) {
    tls_stream *tls = tls_of(stream);
    bool needed = tls->handshaking || tls->peer_ended;
    if (tls->carrier && (tls->dead || !needed)) cuv_stream_read_stop(tls->carrier);
}

static int shut(cuv_stream *stream) {
    tls_stream *tls = tls_of(stream);
    tls->shut_due = true;
    if (tls->handshaking) return 0;
    int error = tls_notify_end(tls);
    return error < 0 ? error : cuv_stream_shut(tls->carrier);
}

// What still comes in is the carrier's to throw away.
static void close_carrier(tls_stream *tls) {
    tls->dead = true;
    if (tls->carrier) cuv_stream_close(tls->carrier);
}

static void close_politely(cuv_stream *stream) {
    tls_stream *tls = tls_of(stream);
    // What was written goes first, so a refusal is heard; the handshake's deadline bounds that.
    tls->close_due = tls->handshaking && tls->pending.count > 0;
    if (tls->close_due) return;
    if (!tls->dead && !tls->handshaking) tls_notify_end(tls);
    close_carrier(tls);
}

static void abort_now(cuv_stream *stream, int error) {
    (void)error;
    tls_stream *tls = tls_of(stream);
    tls->dead = true;
    if (tls->carrier) cuv_stream_abort(tls->carrier);
}

void tls_fail(tls_stream *tls, int error) {
    if (tls->dead) return;
    cuv_stream_break(&tls->base, error);
    if (tls->handshaking && tls->name) cuv_tls_session_forget(tls->context, tls->name);
    tls_leave(tls, false);
    close_carrier(tls);
}

void tls_give_up(tls_stream *tls, int error) {
    cuv_stream_break(&tls->base, error);
    abort_now(&tls->base, error);
}

// Without this OpenSSL forgets the session of a connection that ended by an abort.
static void free_ssl(tls_stream *tls) {
    if (!tls->ssl) return;
    SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(tls->ssl);
    tls->ssl = NULL;
}

static void release(cuv_stream *stream) {
    tls_stream *tls = tls_of(stream);
    free_ssl(tls);
    free(tls->name);
    cuv_tls_context_free(tls->context);
    cuv_loop_tally(stream->loop)->tls -= 1;
    cuv_object_give(stream->loop, tls, sizeof *tls);
}

static cuv_stream *below(const cuv_stream *stream) { return tls_of(stream)->carrier; }

const cuv_stream_ops cuv_tls_ops = {
    .name = "tls",
    .read_start = read_start,
    .read_stop = read_stop,
    .write = tls_write,
    .shut = shut,
    .close = close_politely,
    .abort = abort_now,
    .release = release,
    .below = below,
};

static void carrier_drained(void *ctx, cuv_stream *carrier) {
    tls_stream *tls = ctx;
    if (!tls->dead) cuv_stream_set_queued(&tls->base, tls->pending.count + cuv_stream_queued(carrier));
}

static void carrier_write_broke(void *ctx, cuv_stream *carrier, int error) {
    (void)carrier;
    tls_stream *tls = ctx;
    if (!tls->dead) cuv_stream_break_writing(&tls->base, error);
}

static void carrier_closed(void *ctx, cuv_stream *carrier, int status) {
    (void)carrier;
    tls_stream *tls = ctx;
    tls->dead = true;
    tls->carrier = NULL;
    cuv_hook_cancel(&tls->flush);
    cuv_queue_clear(tls->base.loop, &tls->pending);
    cuv_timer_free(tls->deadline);
    tls->deadline = NULL;
    cuv_stream_finish(&tls->base, status);
}

static const cuv_writer carrier_writer = {carrier_drained, carrier_write_broke};
static const cuv_owner carrier_owner = {.on_closed = carrier_closed};

void tls_take_carrier(tls_stream *tls) {
    cuv_stream *carrier = tls->carrier;
    cuv_stream_read_stop(carrier);
    cuv_stream_set_owner(carrier, &carrier_owner, tls);
    cuv_stream_set_reader(carrier, &tls_carrier_reader, tls);
    cuv_stream_set_writer(carrier, &carrier_writer, tls);
}

void tls_opened(tls_stream *tls) {
    tls->handshaking = false;
    cuv_timer_free(tls->deadline);
    tls->deadline = NULL;
    int error = tls_send_pending(tls);
    if (error == 0 && tls->shut_due) error = shut(&tls->base);
    if (error < 0) tls_fail(tls, error);
    if (!tls->dead && tls->close_due) close_politely(&tls->base);
    if (tls->dead) return;
    cuv_stream_opened(&tls->base);
    if (!tls->dead && !(tls->base.flags & CUV_S_FLOWING)) read_stop(&tls->base);
}

int cuv_tls_on_session(SSL *ssl, SSL_SESSION *session) {
    tls_stream *tls = SSL_get_app_data(ssl);
    if (!tls->name) return 0;
    tls->ticketed = true;
    cuv_tls_session_keep(tls->context, tls->name, session);
    return 1;
}

static bool is_address(const char *name) {
    cuv_address address;
    return cuv_address_parse(&address, name, 0) == 0;
}

// RFC 6125: the name must be an alternative name of the certificate, whose subject does not count. An address is not sent (RFC 6066 3).
static bool expect_name(tls_stream *tls) {
    X509_VERIFY_PARAM *checked = SSL_get0_param(tls->ssl);
    X509_VERIFY_PARAM_set_hostflags(checked, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (is_address(tls->name)) return X509_VERIFY_PARAM_set1_ip_asc(checked, tls->name) == 1;
    return X509_VERIFY_PARAM_set1_host(checked, tls->name, 0) == 1 && SSL_set_tlsext_host_name(tls->ssl, tls->name) == 1;
}

static bool set_up_client(tls_stream *tls, const char *name) {
    size_t length = strcspn(name, "%");   // an address's zone is of this machine, in no certificate
    if (length > 1 && name[length - 1] == '.') length -= 1;   // RFC 6066 3: without the dot of a name that is whole
    tls->name = strndup(name, length);
    if (!tls->name || !expect_name(tls)) return false;
    SSL_SESSION *session = cuv_tls_session_take(tls->context, tls->name);
    if (session) SSL_set_session(tls->ssl, session);
    SSL_SESSION_free(session);
    SSL_set_connect_state(tls->ssl);
    return true;
}

static bool set_up(tls_stream *tls, const char *name) {
    tls->ssl = SSL_new(tls->context->raw);
    if (!tls->ssl || !tls_connect_bio(tls)) return false;
    if (!tls->context->server) return set_up_client(tls, name);
    SSL_set_accept_state(tls->ssl);
    return true;
}

static void on_deadline(void *ctx) { tls_give_up(ctx, CUV_E_TIMEOUT); }

tls_stream *tls_new(cuv_stream *carrier, cuv_tls_context *context, const cuv_owner *owner, void *ctx) {
    cuv_loop *loop = cuv_stream_loop(carrier);
    tls_stream *tls = cuv_object_take(loop, sizeof *tls);
    if (!tls) return NULL;
    cuv_loop_tally(loop)->tls += 1;
    cuv_stream_init(&tls->base, loop, &cuv_tls_ops, owner, ctx);
    tls->flush.run = tls_on_flush;
    tls->carrier = carrier;
    tls->context = context;
    cuv_tls_context_hold(context);
    return tls;
}

static bool set_deadline(tls_stream *tls, uint64_t timeout_ms) {
    if (timeout_ms == 0) return true;
    tls->deadline = cuv_timer_new(tls->base.loop, on_deadline, tls);
    if (tls->deadline) cuv_timer_arm(tls->deadline, timeout_ms);
    return tls->deadline != NULL;
}

cuv_stream *cuv_tls_wrap(cuv_stream *carrier, cuv_tls_context *context, const char *name, uint64_t timeout_ms, const cuv_owner *owner, void *ctx) {
    tls_stream *tls = tls_new(carrier, context, owner, ctx);
    if (!tls) return NULL;
    tls->handshaking = tls->fresh = true;
    if (!set_up(tls, name) || !set_deadline(tls, timeout_ms)) {
        ERR_clear_error();
        release(&tls->base);
        return NULL;
    }
    tls_take_carrier(tls);
    if (!context->server) tls_shake_hands(tls);
    if (tls->carrier && !tls->dead) cuv_stream_read_start(tls->carrier);
    return &tls->base;
}

static const tls_stream *tls_below(const cuv_stream *stream) {
    while (stream && stream->ops != &cuv_tls_ops) stream = stream->ops->below ? stream->ops->below(stream) : NULL;
    return stream ? tls_of(stream) : NULL;
}

bool cuv_stream_is_secure(const cuv_stream *stream) {
    return tls_below(stream) != NULL;
}

int cuv_tls_describe(const cuv_stream *stream, cuv_tls_state *out) {
    const tls_stream *tls = tls_below(stream);
    if (!tls || !tls->ssl || tls->handshaking) return CUV_E_CLOSED;
    const unsigned char *protocol;
    unsigned int length;
    SSL_get0_alpn_selected(tls->ssl, &protocol, &length);
    out->version = SSL_get_version(tls->ssl);
    out->cipher = SSL_get_cipher_name(tls->ssl);
    out->resumed = SSL_session_reused(tls->ssl) == 1;
    out->http = length == 8 && memcmp(protocol, "http/1.1", 8) == 0;
    return 0;
}
