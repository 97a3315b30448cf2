// SPDX-License-Identifier: MIT
// A chunked body (RFC 9112 7.1), followed from its first byte to the end of its trailer section. The body may be passed on
// byte for byte (use what was consumed) or decoded (use the payload spans): the same scanner serves both.
#ifndef CW_CHUNKED_H
#define CW_CHUNKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cw_trailer.h"

/// Where a body is. Zero-initialise; the fields are the scanner's own. A plain value: copy it, throw it away.
typedef struct cw_chunked {
    uint64_t remaining;    ///< payload bytes still to come in the current chunk
    uint32_t line;         ///< bytes of the current size line or trailer section so far
    uint16_t digits;       ///< hex digits of the current size so far
    uint8_t state;
    cw_trailer_name name;  ///< of the trailer field that is being read
    int error;             ///< CW_E_... once broken; sticky
} cw_chunked;

enum { CW_CHUNK_LINE_MAX = 4096, CW_TRAILER_MAX = 65536 };

/// Scans on. Returns how many of the bytes belong to this body and are well formed (0 to count), or < 0: CW_E_CHUNK_..., CW_E_TRAILER...
/// Unlike the head parsers it keeps its place between calls: every byte is offered once, and count is always
/// consumed whole until the body ends. Stops behind the last byte of the body: then cw_chunked_done is true.
/// When the bytes hold payload, the call ends behind the first span of it: *payload and *payload_count say where (offset from bytes)
/// and how many; call again for the rest. Strict: sizes are 1 to 16 hex digits below 2^63, lines end in CRLF, trailer lines are
/// name ":" value with a token for a name, and not one that is barred from trailers (cw_trailer.h); no bare LF, no NUL, no folding.
/// `payload` may be NULL: then one call scans through all chunks it is given.
int64_t cw_chunked_scan(cw_chunked *chunked, const uint8_t *bytes, size_t count, size_t *payload, size_t *payload_count);

/// True once the final CRLF of the trailer section was consumed.
bool cw_chunked_done(const cw_chunked *chunked);

#endif
