// SPDX-License-Identifier: MIT
// How long a client that showed a certificate may come back without it. A ticket says so itself, since each resumption gives another one, whose own
// time begins afresh (RFC 8446 4.6.1): what the full handshake noted is carried from ticket to ticket.
// On the threads of the streams; the context is not changed.
#include <openssl/ssl.h>
#include <string.h>
#include <time.h>

#include "tls_context.h"

enum { CHECKED_S = 300 };   // since a certificate may be withdrawn

int64_t cuv_tls_not_after(const X509 *certificate) {
    struct tm until;
    return ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &until) == 1 ? timegm(&until) : 0;
}

int64_t cuv_tls_now(void) { return time(NULL); }

// The last second in which it may be used; 0 where none was noted.
static int64_t noted(SSL_SESSION *session) {
    int64_t until = 0;
    void *bytes;
    size_t count;
    if (SSL_SESSION_get0_ticket_appdata(session, &bytes, &count) == 1 && count == sizeof until) memcpy(&until, bytes, sizeof until);
    return until;
}

// What was verified just now is good for so long: nothing in it expires, and it is not old.
static int64_t time_allowed(const SSL *ssl, int64_t now) {
    int64_t until = now + CHECKED_S;
    STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
    for (int i = 0; i < sk_X509_num(chain); i++) {
        int64_t end = cuv_tls_not_after(sk_X509_value(chain, i));
        if (end < until) until = end;
    }
    return until;
}

static int note(SSL *ssl, void *ctx) {
    const cuv_tls_context *context = ctx;
    SSL_SESSION *session = SSL_get_session(ssl);
    if (noted(session) != 0) return 1;
    int64_t until = time_allowed(ssl, context->now());
    return SSL_SESSION_set1_ticket_appdata(session, &until, sizeof until);
}

static SSL_TICKET_RETURN judge(SSL *ssl, SSL_SESSION *session, const unsigned char *key, size_t key_length, SSL_TICKET_STATUS status, void *ctx) {
    (void)ssl, (void)key, (void)key_length;
    const cuv_tls_context *context = ctx;
    bool is_ours = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;
    if (!is_ours || context->now() > noted(session)) return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

void cuv_tls_limit_tickets(cuv_tls_context *context) {
    SSL_CTX_set_timeout(context->raw, CHECKED_S);   // what clients are told (RFC 8446 4.6.1)
    SSL_CTX_set_session_ticket_cb(context->raw, note, judge, context);
}
