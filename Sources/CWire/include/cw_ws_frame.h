// SPDX-License-Identifier: MIT
// The header of one WebSocket frame (RFC 6455 5.2), version 13.
// Value functions, callable from any thread. Whether a frame fits its connection is the caller's to judge.
#ifndef CW_WS_FRAME_H
#define CW_WS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CW_WS_CONTINUATION = 0, CW_WS_TEXT = 1, CW_WS_BINARY = 2, CW_WS_CLOSE = 8, CW_WS_PING = 9, CW_WS_PONG = 10 };
enum { CW_WS_HEADER_MAX = 14 };

typedef struct cw_ws_header {
    uint64_t length;   ///< payload bytes that follow the header
    uint8_t opcode;
    bool fin;
    bool masked;
    uint8_t mask[4];   ///< zero when not masked
} cw_ws_header;

/// Reads a header. > 0: bytes consumed (2 to 14), *out is set. 0: need more, *out untouched. < 0: CW_E_WS_...
int cw_ws_header_read(cw_ws_header *out, const uint8_t *bytes, size_t count);

/// Writes a header in its shortest form; returns its length, 2 to 14 bytes.
size_t cw_ws_header_write(uint8_t out[CW_WS_HEADER_MAX], const cw_ws_header *header);

#endif
