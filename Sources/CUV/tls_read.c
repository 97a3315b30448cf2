// SPDX-License-Identifier: MIT
// Records in: the handshake, then payload, decrypted into a pooled buffer for the length of the carrier's call and offered from there.
// Loop thread only. When the reader above takes no more this stops, and the carrier with it: what was not decrypted stays the carrier's.
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "tls_error.h"
#include "tls_stream.h"

/// Answers of TLS's own that a peer may leave unread.
enum { ANSWERS_MAX = 64 * 1024 };

typedef enum tls_step {
    TLS_ON,         // all there was is decrypted, or the buffer is full
    TLS_END,        // the peer's close_notify
    TLS_BAD,        // error
} tls_step;

static int error_of(tls_stream *tls) {
    int error = cuv_tls_take_error(tls->ssl);
    return tls->carrier_error < 0 ? tls->carrier_error : error;
}

// A letter cannot begin a record, and is what HTTP begins with.
static bool speaks_plain_text(const tls_stream *tls) {
    uint8_t first = tls->in.bytes[0];
    return tls->fresh && tls->context->server && ((first >= 'A' && first <= 'Z') || (first >= 'a' && first <= 'z'));
}

static void refuse_plain_text(tls_stream *tls) {
    const char *answer = tls->context->plain_answer;
    size_t length = 0;
    while (answer && answer[length]) length++;
    if (length > 0) cuv_stream_write(tls->carrier, (const uint8_t *)answer, length, false);
    tls_fail(tls, CUV_E_NOT_TLS);
}

void tls_shake_hands(tls_stream *tls) {
    ERR_clear_error();
    int done = SSL_do_handshake(tls->ssl);
    bool waits = done != 1 && SSL_get_error(tls->ssl, done) == SSL_ERROR_WANT_READ;
    int error = done == 1 || waits ? 0 : error_of(tls);
    if (error < 0) {
        tls_fail(tls, error);
        return;
    }
    int failed = tls_leave(tls, false);
    if (failed < 0) tls_fail(tls, failed);
    else if (done == 1) tls_opened(tls);
}

static bool goes_on(const tls_stream *tls) {
    return !tls->dead && !tls->peer_ended && tls->in.count > 0 && cuv_stream_wants(tls->carrier);
}

// A record's payload always fits whole, so OpenSSL never keeps a rest of one.
static tls_step decrypt(tls_stream *tls, cuv_buf *to, int *error) {
    while (tls->in.count > 0 && to->capacity - to->end >= TLS_RECORD) {
        size_t got = 0;
        ERR_clear_error();
        int done = SSL_read_ex(tls->ssl, to->bytes + to->end, to->capacity - to->end, &got);
        to->end += (uint32_t)got;
        if (done == 1) continue;
        int why = SSL_get_error(tls->ssl, done);
        if (why == SSL_ERROR_WANT_READ) return TLS_ON;
        if (why == SSL_ERROR_ZERO_RETURN) return TLS_END;
        *error = error_of(tls);
        return TLS_BAD;
    }
    return TLS_ON;
}

// What came before an end or a bad record is offered before it is told.
static void read_some(tls_stream *tls, cuv_buf *buf) {
    int error = 0;
    buf->end = 0;
    uint64_t said = BIO_number_written(SSL_get_wbio(tls->ssl));
    tls_step step = decrypt(tls, buf, &error);
    tls->answers += BIO_number_written(SSL_get_wbio(tls->ssl)) - said;
    if (step == TLS_END) tls->peer_ended = true;
    int failed = cuv_stream_deliver(&tls->base, buf->bytes, buf->end);
    if (tls->dead) return;
    if (failed < 0) tls_fail(tls, failed);
    else if (step == TLS_BAD) tls_fail(tls, error);
    else if (step == TLS_END) cuv_stream_deliver_end(&tls->base);
}

// OpenSSL makes a buffer for writing ready when it reads a ticket, and would keep it until something is written: an idle tunnel writes nothing.
static void give_back_buffers(tls_stream *tls) {
    if (!tls->ticketed || !tls->ssl) return;
    tls->ticketed = false;
    SSL_free_buffers(tls->ssl);
}

static void read_records(tls_stream *tls) {
    if (!goes_on(tls)) return;
    cuv_loop *loop = tls->base.loop;
    cuv_buf *buf = cuv_buf_take(loop, tls->in.count > TLS_RECORD ? CUV_BUF_MAX : TLS_RECORD);
    if (!buf) {
        tls_fail(tls, CUV_E_NO_MEMORY);
        return;
    }
    if (cuv_stream_queued(tls->carrier) == 0) tls->answers = 0;
    while (goes_on(tls)) read_some(tls, buf);
    cuv_buf_give(loop, buf);
    give_back_buffers(tls);
    int failed = tls->dead ? 0 : tls_leave(tls, false);
    if (failed < 0) tls_fail(tls, failed);
    // Each request for new keys is answered with a record, and a peer may ask for ever.
    else if (!tls->dead && tls->answers > ANSWERS_MAX) tls_give_up(tls, CUV_E_LIMIT);
}

static size_t on_read(void *ctx, cuv_stream *carrier, const uint8_t *bytes, size_t count) {
    (void)carrier;
    tls_stream *tls = ctx;
    if (tls->dead || tls->peer_ended) return count;
    tls->in = (cuv_span){bytes, count};
    if (speaks_plain_text(tls)) refuse_plain_text(tls);
    tls->fresh = false;
    if (!tls->dead && tls->handshaking) tls_shake_hands(tls);
    if (!tls->dead && !tls->handshaking) read_records(tls);
    size_t left = tls->in.count;
    tls->in = (cuv_span){NULL, 0};
    return tls->dead || tls->peer_ended ? count : count - left;
}

// RFC 8446 6.1: an end without close_notify may be anybody's doing.
static void on_end(void *ctx, cuv_stream *carrier) {
    (void)carrier;
    tls_stream *tls = ctx;
    if (!tls->dead && !tls->peer_ended) tls_fail(tls, tls->handshaking ? CUV_E_HANDSHAKE_ENDED : CUV_E_TRUNCATED);
}

static void on_broken(void *ctx, cuv_stream *carrier, int error) {
    (void)carrier;
    tls_stream *tls = ctx;
    tls->dead = true;
    cuv_stream_break(&tls->base, error);
}

const cuv_reader tls_carrier_reader = {on_read, on_end, on_broken};
