// SPDX-License-Identifier: MIT
// Contexts: what TLS is allowed to be, and the files of one identity. Any thread; reading files blocks.
// TLS 1.2 and 1.3, no renegotiation, no compression; sessions are resumed by tickets, whose keys live and die with the context.
#include "tls_context.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls_error.h"
#include "tls_memory.h"

/// Ephemeral keys and authenticated encryption only (RFC 9325 4.2). TLS 1.3 has no others.
static const char server_ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
static const unsigned char http11[] = "\x08http/1.1";
enum { TICKET_S = 3600 };

static bool fail(cuv_tls_fault *fault, cuv_tls_part part, const char *words) {
    fault->part = part;
    snprintf(fault->words, sizeof fault->words, "%s", words);
    ERR_clear_error();
    return false;
}

// What OpenSSL says about a file, in words for one who wrote its path.
static bool fail_file(cuv_tls_fault *fault, cuv_tls_part part, const char *wanted) {
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_REASON(code);
    const char *words = code ? ERR_reason_error_string(code) : NULL;
    bool pem = ERR_GET_LIB(code) == ERR_LIB_PEM;
    char text[160];
    if (ERR_GET_LIB(code) == ERR_LIB_X509 && reason == X509_R_KEY_VALUES_MISMATCH) return fail(fault, part, "does not belong to the certificate");
    if (!words || (pem && reason == PEM_R_NO_START_LINE)) snprintf(text, sizeof text, "expected %s in PEM form", wanted);
    else snprintf(text, sizeof text, "%s; expected %s in PEM form", words, wanted);
    return fail(fault, part, text);
}

static bool is_readable(const char *path, cuv_tls_fault *fault, cuv_tls_part part) {
    char byte;
    FILE *file = fopen(path, "re");
    bool readable = file && (fread(&byte, 1, 1, file) == 1 || !ferror(file));
    int error = errno;
    if (file) fclose(file);
    return readable || fail(fault, part, strerror(error));
}

// Nobody is asked for a passphrase.
static int no_passphrase(char *out, int size, int writing, void *ctx) {
    (void)out, (void)size, (void)writing;
    *(bool *)ctx = true;
    return -1;
}

static bool use_key(SSL_CTX *raw, const char *path, cuv_tls_fault *fault) {
    bool encrypted = false;
    SSL_CTX_set_default_passwd_cb(raw, no_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(raw, &encrypted);
    bool used = SSL_CTX_use_PrivateKey_file(raw, path, SSL_FILETYPE_PEM) == 1 && SSL_CTX_check_private_key(raw) == 1;
    SSL_CTX_set_default_passwd_cb(raw, NULL);
    SSL_CTX_set_default_passwd_cb_userdata(raw, NULL);
    if (encrypted) return fail(fault, CUV_TLS_KEY, "is encrypted; expected a key without a passphrase");
    return used || fail_file(fault, CUV_TLS_KEY, "a private key");
}

static bool use_identity(cuv_tls_context *context, const cuv_tls_config *config, cuv_tls_fault *fault) {
    SSL_CTX *raw = context->raw;
    if (!config->certificate && !config->key && !config->server) return true;
    if (!config->certificate) return fail(fault, CUV_TLS_CERTIFICATE, "is missing");
    if (!config->key) return fail(fault, CUV_TLS_KEY, "is missing");
    if (!is_readable(config->certificate, fault, CUV_TLS_CERTIFICATE) || !is_readable(config->key, fault, CUV_TLS_KEY)) return false;
    if (SSL_CTX_use_certificate_chain_file(raw, config->certificate) != 1) return fail_file(fault, CUV_TLS_CERTIFICATE, "a certificate");
    if (!use_key(raw, config->key, fault)) return false;
    context->expiry = cuv_tls_not_after(SSL_CTX_get0_certificate(raw));
    return true;
}

static bool use_authorities(SSL_CTX *raw, const char *path, cuv_tls_fault *fault) {
    if (!is_readable(path, fault, CUV_TLS_AUTHORITIES)) return false;
    return SSL_CTX_load_verify_locations(raw, path, NULL) == 1 || fail_file(fault, CUV_TLS_AUTHORITIES, "certificates");
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *length, const unsigned char *in, unsigned int count, void *ctx) {
    (void)ssl, (void)ctx;
    unsigned char *chosen;
    int found = SSL_select_next_proto(&chosen, length, http11, sizeof http11 - 1, in, count);
    *out = chosen;
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;   // RFC 7301 3.2
}

// A session counts only with the kind of server that gave it; one that took a certificate along ends soon after the handshake that saw it.
static bool set_server(cuv_tls_context *context, const cuv_tls_config *config, cuv_tls_fault *fault) {
    SSL_CTX *raw = context->raw;
    SSL_CTX_set_options(raw, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_cipher_list(raw, server_ciphers);
    SSL_CTX_set_alpn_select_cb(raw, choose_protocol, NULL);
    SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(raw, (const unsigned char *)"piko", 4);
    SSL_CTX_set_num_tickets(raw, 1);
    SSL_CTX_set_timeout(raw, TICKET_S);
    if (!config->authorities) return true;
    cuv_tls_limit_tickets(context);
    if (!use_authorities(raw, config->authorities, fault)) return false;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(config->authorities);
    if (!names) return fail_file(fault, CUV_TLS_AUTHORITIES, "certificates");
    SSL_CTX_set_client_CA_list(raw, names);
    SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return true;
}

static bool set_client(cuv_tls_context *context, const cuv_tls_config *config, cuv_tls_fault *fault) {
    SSL_CTX *raw = context->raw;
    SSL_CTX_set_alpn_protos(raw, http11, sizeof http11 - 1);
    SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(raw, cuv_tls_on_session);
    SSL_CTX_set_verify(raw, config->unchecked ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    if (config->authorities) return use_authorities(raw, config->authorities, fault);
    return SSL_CTX_set_default_verify_paths(raw) == 1 || fail(fault, CUV_TLS_LIBRARY, "the system's roots cannot be used");
}

static bool set_up(cuv_tls_context *context, const cuv_tls_config *config, cuv_tls_fault *fault) {
    ERR_clear_error();
    context->raw = SSL_CTX_new(config->server ? TLS_server_method() : TLS_client_method());
    if (!context->raw) return fail(fault, CUV_TLS_LIBRARY, "OpenSSL makes no context");
    SSL_CTX_set_min_proto_version(context->raw, TLS1_2_VERSION);
    SSL_CTX_set_options(context->raw, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(context->raw, SSL_MODE_RELEASE_BUFFERS);
    if (config->plain_answer && !(context->plain_answer = strdup(config->plain_answer))) return fail(fault, CUV_TLS_LIBRARY, "out of memory");
    if (!use_identity(context, config, fault)) return false;
    return config->server ? set_server(context, config, fault) : set_client(context, config, fault);
}

cuv_tls_context *cuv_tls_context_new(const cuv_tls_config *config, cuv_tls_fault *fault) {
    cuv_tls_memory_prepare();
    cuv_tls_context *context = calloc(1, sizeof *context);
    if (!context) {
        fail(fault, CUV_TLS_LIBRARY, "out of memory");
        return NULL;
    }
    pthread_mutex_init(&context->lock, NULL);
    atomic_init(&context->references, 1);
    context->server = config->server;
    context->now = cuv_tls_now;
    context->unchecked = config->unchecked;
    if (set_up(context, config, fault)) return context;
    cuv_tls_context_free(context);
    return NULL;
}

void cuv_tls_context_hold(cuv_tls_context *context) {
    atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
}

void cuv_tls_context_free(cuv_tls_context *context) {
    if (atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) > 1) return;
    cuv_tls_sessions_free(context);
    SSL_CTX_free(context->raw);
    pthread_mutex_destroy(&context->lock);
    free(context->plain_answer);
    free(context);
}

int64_t cuv_tls_context_expiry(const cuv_tls_context *context) {
    return context->expiry;
}
