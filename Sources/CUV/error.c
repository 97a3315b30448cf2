// SPDX-License-Identifier: MIT
// The words for errors: ours here, CWire's from CWire, everything else from libuv.
// Any thread.
#include <uv.h>

#include "cuv_error.h"
#include "cw_error.h"
#include "tls_error.h"

static const char *own_words(int error) {
    switch (error) {
    case 0: return "no error";
    case CUV_E_TIMEOUT: return "timed out";
    case CUV_E_TRUNCATED: return "ended before the end of the message";
    case CUV_E_PROTOCOL: return "the peer broke the protocol";
    case CUV_E_RESET: return "reset by the peer";
    case CUV_E_ABORTED: return "aborted";
    case CUV_E_LIMIT: return "a limit was reached";
    case CUV_E_GOING_AWAY: return "the session takes no new streams";
    case CUV_E_CLOSED: return "closed";
    case CUV_E_REFUSED: return "the peer refused the stream";
    case CUV_E_SESSION_LOST: return "the session was lost";
    case CUV_E_NO_MEMORY: return "out of memory";
    case CUV_E_HANDSHAKE_ENDED: return "the peer ended in the middle of the TLS handshake";
    case CUV_E_NOT_TLS: return "the peer does not speak TLS";
    default: return NULL;
    }
}

// CWire's errors are -2000 to -2999; uv_strerror would leak memory for numbers it does not know.
const char *cuv_strerror(int error) {
    static _Thread_local char words[160];
    const char *own = own_words(error);
    if (own) return own;
    if (error <= -2000 && error > -3000) return cw_strerror(error);
    if (cuv_error_is_tls(error)) return cuv_tls_words(error, words, sizeof words);
    return uv_strerror_r(error, words, sizeof words);
}

bool cuv_error_is_exhaustion(int error) {
    return error == UV_EMFILE || error == UV_ENFILE;
}

bool cuv_error_is_no_such_name(int error) { return error == UV_EAI_NONAME || error == UV_EAI_NODATA; }
