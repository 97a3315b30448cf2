// SPDX-License-Identifier: MIT
// The header of one yamux frame, version 0 (hashicorp yamux spec, "Framing"): 12 bytes, big endian.
// Value functions, callable from any thread. Whether a frame fits its session is the caller's to judge.
#ifndef CW_YAMUX_FRAME_H
#define CW_YAMUX_FRAME_H

#include <stddef.h>
#include <stdint.h>

enum { CW_YAMUX_DATA = 0, CW_YAMUX_WINDOW = 1, CW_YAMUX_PING = 2, CW_YAMUX_GO_AWAY = 3 };
enum { CW_YAMUX_SYN = 1, CW_YAMUX_ACK = 2, CW_YAMUX_FIN = 4, CW_YAMUX_RST = 8 };
enum { CW_YAMUX_NORMAL = 0, CW_YAMUX_PROTOCOL_ERROR = 1, CW_YAMUX_INTERNAL_ERROR = 2 };
enum { CW_YAMUX_HEADER_SIZE = 12, CW_YAMUX_INITIAL_WINDOW = 256 * 1024 };

typedef struct cw_yamux_header {
    uint8_t type;
    uint16_t flags;
    uint32_t stream;
    uint32_t length;   ///< data: bytes that follow; window: delta; ping: opaque; go away: code
} cw_yamux_header;

/// > 0: 12 consumed, *out is set. 0: need more, *out untouched. < 0: CW_E_YAMUX_...
/// An error is reported as soon as the bytes that show it are there.
int cw_yamux_header_read(cw_yamux_header *out, const uint8_t *bytes, size_t count);

void cw_yamux_header_write(uint8_t out[CW_YAMUX_HEADER_SIZE], const cw_yamux_header *header);

#endif
