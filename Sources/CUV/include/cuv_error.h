// SPDX-License-Identifier: MIT
// What the engine's functions return below zero.
// libuv's codes (UV_ECONNREFUSED …, negated errno) pass through unchanged.
#ifndef CUV_ERROR_H
#define CUV_ERROR_H

#include <stdbool.h>

enum {
    CUV_E_TIMEOUT = -3001,       ///< a deadline passed
    CUV_E_TRUNCATED = -3002,     ///< the stream ended before the framed end of the message
    CUV_E_PROTOCOL = -3003,      ///< the peer broke the protocol of this carrier
    CUV_E_RESET = -3004,         ///< the peer reset the stream
    CUV_E_ABORTED = -3005,       ///< ended by cuv_stream_abort on this side
    CUV_E_LIMIT = -3006,         ///< a bound was reached (streams a session, queue, window)
    CUV_E_GOING_AWAY = -3007,    ///< the session takes no new streams
    CUV_E_CLOSED = -3008,        ///< the object is closed or closing
    CUV_E_REFUSED = -3009,       ///< the peer refused to open the stream
    CUV_E_SESSION_LOST = -3010,  ///< the session below this stream ended
    CUV_E_NO_MEMORY = -3011,
    CUV_E_HANDSHAKE_ENDED = -3012,  ///< the peer ended in the middle of the TLS handshake
    CUV_E_NOT_TLS = -3013,          ///< the peer does not speak TLS
    CUV_E_TLS = -10000,             ///< TLS failed; OpenSSL's reason (SSL_R_…) is subtracted, so down to -12999
    CUV_E_CERTIFICATE = -20000,     ///< the peer's certificate is not accepted; why (X509_V_ERR_…) is subtracted, so down to -20999
};

/// The words for an error of ours, CWire's or libuv's, for one log line. Static storage or a per-thread buffer; never NULL. Any thread.
const char *cuv_strerror(int error);

/// True for what went wrong in TLS: its handshake, its records, the peer's certificate. Any thread.
bool cuv_error_is_tls(int error);

/// True for "no descriptors left" (EMFILE, ENFILE). Any thread.
bool cuv_error_is_exhaustion(int error);
/// Whether a look-up failed because nobody has the name (UV_EAI_NONAME, UV_EAI_NODATA), not because the resolver could not say. Any thread.
bool cuv_error_is_no_such_name(int error);

#endif
