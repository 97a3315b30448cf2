// SPDX-License-Identifier: MIT
// TLS 1.2 and 1.3 over another stream, by OpenSSL, as a stream; and the contexts that hold certificates, keys and roots.
// Streams: loop thread only. Contexts: any thread.
#ifndef CUV_TLS_H
#define CUV_TLS_H

#include "cuv_stream.h"

/// Certificate, key and roots, read once. Never changes: to use new files make another one. Any number of loops share it.
typedef struct cuv_tls_context cuv_tls_context;

/// Paths are of PEM files; NULL where there is none.
typedef struct cuv_tls_config {
    bool server;
    const char *certificate;   ///< our certificate, then what leads to its root; a server needs one
    const char *key;           ///< its private key, not encrypted
    const char *authorities;   ///< server: who signs the clients' certificates, which are required then. client: the roots instead of the system's
    bool unchecked;            ///< client: any certificate of any name will do
    const char *plain_answer;  ///< server: sent as it is to a peer that speaks plain text instead of TLS
} cuv_tls_config;

/// Which of the files a context could not be made of.
typedef enum cuv_tls_part {
    CUV_TLS_CERTIFICATE,
    CUV_TLS_KEY,
    CUV_TLS_AUTHORITIES,
    CUV_TLS_LIBRARY,   ///< none: OpenSSL itself failed
} cuv_tls_part;

typedef struct cuv_tls_fault {
    cuv_tls_part part;
    char words[160];   ///< what is wrong with it, without its path
} cuv_tls_fault;

/// Reads the files (so it blocks for them). NULL with *fault filled in. The roots of the system are OpenSSL's (SSL_CERT_FILE and SSL_CERT_DIR
/// in the environment change them).
cuv_tls_context *cuv_tls_context_new(const cuv_tls_config *config, cuv_tls_fault *fault);
/// Lets go of it; streams that were made with it keep it.
void cuv_tls_context_free(cuv_tls_context *context);
/// When our certificate expires, in seconds since 1970; 0 where there is none.
int64_t cuv_tls_context_expiry(const cuv_tls_context *context);

/// Makes a TLS stream that owns `carrier` (open; bytes kept there are the peer's first). Takes over its reader, writer and owner; closing the one
/// closes the other. The owner's on_open comes when the handshake is done and the peer is whom we want; writes before are queued. What fails
/// is on_closed: a code of cuv_error_is_tls, or CUV_E_TIMEOUT after timeout_ms (0: no deadline).
/// `name`: for a client whom it talks to, a host name or a numeric address: it is sent (RFC 6066 3, names only) and must be in the certificate
/// (RFC 6125), both without a dot at its end; sessions are resumed by it. NULL for a server.
/// An end without close_notify is CUV_E_TRUNCATED. cuv_stream_shut sends a close_notify and ends the carrier's direction. It keeps no queue of its own
/// once open, but for what waits for the end of the turn to become one record. A peer that has TLS itself
/// answer (RFC 8446 4.6.3) and does not read is CUV_E_LIMIT. NULL only without memory (the carrier stays the caller's).
cuv_stream *cuv_tls_wrap(cuv_stream *carrier, cuv_tls_context *context, const char *name, uint64_t timeout_ms, const cuv_owner *owner, void *ctx);

/// Whether a stream's bytes are protected: TLS, or a stream that runs on it.
bool cuv_stream_is_secure(const cuv_stream *stream);

/// What a handshake agreed on. Static strings.
typedef struct cuv_tls_state {
    const char *version;   ///< "TLSv1.3"
    const char *cipher;    ///< OpenSSL's name of it
    bool resumed;
    bool http;             ///< ALPN chose http/1.1
} cuv_tls_state;

/// 0, or CUV_E_CLOSED where it runs on no TLS stream that is open.
int cuv_tls_describe(const cuv_stream *stream, cuv_tls_state *out);

#endif
