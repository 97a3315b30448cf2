// SPDX-License-Identifier: MIT
// What can be wrong with bytes on the wire. All values are negative.
// A parser returns one of these instead of a count and keeps returning it; nothing here says what to do about it.
#ifndef CW_ERROR_H
#define CW_ERROR_H

enum {
    CW_E_WS_RESERVED = -2001,     ///< a reserved bit or opcode (RFC 6455 5.2)
    CW_E_WS_CONTROL = -2002,      ///< a control frame that is fragmented or longer than 125 bytes (RFC 6455 5.5)
    CW_E_WS_LENGTH = -2003,       ///< a length not in its shortest form, or with the top bit set (RFC 6455 5.2)
    CW_E_YAMUX_VERSION = -2011,   ///< a version other than 0 (yamux spec, "Framing")
    CW_E_YAMUX_TYPE = -2012,      ///< an unknown frame type
    CW_E_YAMUX_FLAGS = -2013,     ///< unknown flag bits
    CW_E_YAMUX_STREAM = -2014,    ///< a ping or go away not on stream 0, or data or window update on it
    CW_E_CHUNK_SIZE = -2021,      ///< a chunk size with anything but 1 to 16 hex digits (RFC 9112 7.1)
    CW_E_CHUNK_EXT = -2022,       ///< a chunk extension with control bytes, or too long
    CW_E_CHUNK_END = -2023,       ///< no CRLF where a chunk's line or data ends
    CW_E_TRAILER = -2024,         ///< a malformed or too long trailer section
    CW_E_TRAILER_FIELD = -2025,   ///< a trailer field that belongs in a head (RFC 9110 6.5.1)
    CW_E_HEAD_LF = -2031,         ///< a line that ends in LF without CR
    CW_E_HEAD_CR = -2032,         ///< a CR that no LF follows
    CW_E_HEAD_NUL = -2033,        ///< a NUL byte
    CW_E_HEAD_FOLD = -2034,       ///< a line that begins with space or tab (obsolete folding, or space before the first name)
};

/// The words for an error, for one log line; static storage, never NULL.
const char *cw_strerror(int error);

#endif
