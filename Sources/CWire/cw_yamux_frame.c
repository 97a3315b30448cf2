// SPDX-License-Identifier: MIT
// Reads and writes the header of one yamux frame (hashicorp yamux spec, "Framing").
// Pure, callable from any thread. Checks run in the order of the bytes, so a shorter prefix never gives another error.
// Whether a flag makes sense on its stream is the session's business, not this file's.
#include "cw_yamux_frame.h"

#include <stdbool.h>

#include "cw_error.h"

enum { FLAGS_KNOWN = CW_YAMUX_SYN | CW_YAMUX_ACK | CW_YAMUX_FIN | CW_YAMUX_RST };

static uint32_t read_u32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void write_u32(uint8_t *out, uint32_t value) {
    out[0] = (uint8_t)(value >> 24);
    out[1] = (uint8_t)(value >> 16);
    out[2] = (uint8_t)(value >> 8);
    out[3] = (uint8_t)value;
}

/// Ping and go away speak of the session, stream 0; data and windows of any stream but that one.
static int check_stream(uint8_t type, uint32_t stream) {
    bool session = type == CW_YAMUX_PING || type == CW_YAMUX_GO_AWAY;
    return session == (stream == 0) ? 0 : CW_E_YAMUX_STREAM;
}

/// The error that the first bytes of a header already show, or 0. Looks at nothing behind `count`.
static int check_part(const uint8_t *bytes, size_t count) {
    if (count > 0 && bytes[0] != 0) return CW_E_YAMUX_VERSION;
    if (count > 1 && bytes[1] > CW_YAMUX_GO_AWAY) return CW_E_YAMUX_TYPE;
    if (count > 2 && bytes[2] != 0) return CW_E_YAMUX_FLAGS;
    if (count > 3 && (bytes[3] & ~FLAGS_KNOWN)) return CW_E_YAMUX_FLAGS;
    if (count >= 8) return check_stream(bytes[1], read_u32(bytes + 4));
    if (count < 5 || bytes[1] < CW_YAMUX_PING) return 0;
    for (size_t i = 4; i < count; i++) {
        if (bytes[i] != 0) return CW_E_YAMUX_STREAM;
    }
    return 0;
}

int cw_yamux_header_read(cw_yamux_header *out, const uint8_t *bytes, size_t count) {
    int error = check_part(bytes, count);
    if (error) return error;
    if (count < CW_YAMUX_HEADER_SIZE) return 0;
    *out = (cw_yamux_header){
        .type = bytes[1],
        .flags = bytes[3],
        .stream = read_u32(bytes + 4),
        .length = read_u32(bytes + 8),
    };
    return CW_YAMUX_HEADER_SIZE;
}

void cw_yamux_header_write(uint8_t out[CW_YAMUX_HEADER_SIZE], const cw_yamux_header *header) {
    out[0] = 0;
    out[1] = header->type;
    out[2] = (uint8_t)(header->flags >> 8);
    out[3] = (uint8_t)header->flags;
    write_u32(out + 4, header->stream);
    write_u32(out + 8, header->length);
}
