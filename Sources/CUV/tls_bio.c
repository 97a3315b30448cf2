// SPDX-License-Identifier: MIT
// OpenSSL's view of a TLS stream's carrier: it reads from the bytes that the carrier's reader was given, and writes into a buffer of this call.
// Loop thread only. It never waits and keeps nothing: an empty `in` is "read again later", and writes always fit.
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <string.h>

#include "tls_stream.h"

/// A record's header, nonce and tag, more than enough; and what a flight of the handshake fits in mostly.
enum { RECORD_OVERHEAD = 64, FLIGHT = 4096 };

static int bio_read(BIO *bio, char *out, size_t size, size_t *count) {
    tls_stream *tls = BIO_get_data(bio);
    *count = size < tls->in.count ? size : tls->in.count;
    BIO_clear_retry_flags(bio);
    if (*count == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(out, tls->in.bytes, *count);
    tls->in = (cuv_span){tls->in.bytes + *count, tls->in.count - *count};
    return 1;
}

// Room for all that this call will write, as far as a buffer goes.
static cuv_buf *take_out(tls_stream *tls, size_t count) {
    size_t wanted = tls->expected + (tls->expected / TLS_RECORD + 1) * RECORD_OVERHEAD;
    if (tls->handshaking) wanted = FLIGHT;
    if (wanted < count) wanted = count;
    return cuv_buf_take(tls->base.loop, wanted < CUV_BUF_MAX ? wanted : CUV_BUF_MAX);
}

static int bio_write(BIO *bio, const char *bytes, size_t count, size_t *written) {
    tls_stream *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *written = 0;
    if (tls->out && tls->out->capacity - tls->out->end < count && tls_leave(tls, true) < 0) return 0;
    if (!tls->out) tls->out = take_out(tls, count);
    if (!tls->out) {
        tls->carrier_error = CUV_E_NO_MEMORY;
        return 0;
    }
    memcpy(tls->out->bytes + tls->out->end, bytes, count);
    tls->out->end += (uint32_t)count;
    *written = count;
    return 1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;

static void make_method(void) {
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "carrier");
    if (!method) return;
    BIO_meth_set_read_ex(method, bio_read);
    BIO_meth_set_write_ex(method, bio_write);
    BIO_meth_set_ctrl(method, bio_control);
}

bool tls_connect_bio(tls_stream *tls) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_method);
    BIO *bio = SSL_get_rbio(tls->ssl);
    if (!bio) {
        bio = method ? BIO_new(method) : NULL;
        if (!bio) return false;
        BIO_set_init(bio, 1);
        SSL_set_bio(tls->ssl, bio, bio);
    }
    BIO_set_data(bio, tls);
    SSL_set_app_data(tls->ssl, tls);
    return true;
}
