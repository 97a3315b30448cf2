// SPDX-License-Identifier: MIT
// TLS's errors as codes: OpenSSL's reasons (SSL_R_…, alerts of the peer are among them) and verdicts on certificates (X509_V_ERR_…).
// Any thread; OpenSSL's queue of errors is the thread's own.
#include "tls_error.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>

enum { MOST_REASON = 2999, MOST_VERDICT = 999 };

bool cuv_error_is_tls(int error) {
    bool reason = error <= CUV_E_TLS && error >= CUV_E_TLS - MOST_REASON;
    bool verdict = error <= CUV_E_CERTIFICATE && error >= CUV_E_CERTIFICATE - MOST_VERDICT;
    return reason || verdict || error == CUV_E_HANDSHAKE_ENDED || error == CUV_E_NOT_TLS;
}

// The first of the library's own: what lies below it in other libraries says how, not what.
static int first_reason(void) {
    int reason = 0;
    for (unsigned long code; (code = ERR_get_error()) != 0;) {
        if (reason == 0 && ERR_GET_LIB(code) == ERR_LIB_SSL) reason = ERR_GET_REASON(code);
    }
    return reason <= MOST_REASON ? reason : 0;
}

int cuv_tls_take_error(const SSL *ssl) {
    int reason = first_reason();
    long verdict = SSL_get_verify_result(ssl);
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && verdict > 0 && verdict <= MOST_VERDICT) return CUV_E_CERTIFICATE - (int)verdict;
    return CUV_E_TLS - reason;
}

const char *cuv_tls_words(int error, char *out, size_t size) {
    if (error <= CUV_E_CERTIFICATE) {
        snprintf(out, size, "the peer's certificate: %s", X509_verify_cert_error_string(CUV_E_CERTIFICATE - error));
        return out;
    }
    const char *words = ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, CUV_E_TLS - error));
    if (error == CUV_E_TLS || !words) snprintf(out, size, "TLS failed");
    else snprintf(out, size, "TLS: %s", words);
    return out;
}
