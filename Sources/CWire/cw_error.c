// SPDX-License-Identifier: MIT
// The words for what can be wrong with bytes on the wire.
// Pure, callable from any thread: the words are constants, nothing is formatted here.
#include "cw_error.h"

const char *cw_strerror(int error) {
    switch (error) {
    case CW_E_WS_RESERVED: return "websocket: reserved bit or opcode";
    case CW_E_WS_CONTROL: return "websocket: control frame is fragmented or too long";
    case CW_E_WS_LENGTH: return "websocket: length not in its shortest form";
    case CW_E_YAMUX_VERSION: return "yamux: unknown version";
    case CW_E_YAMUX_TYPE: return "yamux: unknown frame type";
    case CW_E_YAMUX_FLAGS: return "yamux: unknown flags";
    case CW_E_YAMUX_STREAM: return "yamux: frame type does not fit its stream id";
    case CW_E_CHUNK_SIZE: return "chunked: malformed chunk size";
    case CW_E_CHUNK_EXT: return "chunked: malformed or too long chunk extension";
    case CW_E_CHUNK_END: return "chunked: no CRLF behind a chunk";
    case CW_E_TRAILER: return "chunked: malformed or too long trailer section";
    case CW_E_TRAILER_FIELD: return "chunked: a field in the trailer that belongs in the head";
    case CW_E_HEAD_LF: return "head: line ends without CR";
    case CW_E_HEAD_CR: return "head: CR without LF";
    case CW_E_HEAD_NUL: return "head: NUL byte";
    case CW_E_HEAD_FOLD: return "head: line begins with white space";
    default: return "wire: unknown error";
    }
}
