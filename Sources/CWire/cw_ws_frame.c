// SPDX-License-Identifier: MIT
// Reads and writes the header of one WebSocket frame (RFC 6455 5.2).
// Pure, callable from any thread. Checks run in the order of the bytes, so a shorter prefix never gives another error.
// Whether a frame must be masked, and what it may carry, is the session's business, not this file's.
#include "cw_ws_frame.h"

#include <string.h>

#include "cw_error.h"

enum { FIN = 0x80, RESERVED = 0x70, OPCODE = 0x0F, MASKED = 0x80, LENGTH = 0x7F };
enum { SHORT_MAX = 125, LENGTH_16 = 126, LENGTH_64 = 127 };

static int check_first(uint8_t first) {
    uint8_t opcode = first & OPCODE;
    bool known = opcode <= CW_WS_BINARY || (opcode >= CW_WS_CLOSE && opcode <= CW_WS_PONG);
    if ((first & RESERVED) || !known) return CW_E_WS_RESERVED;
    if (opcode >= CW_WS_CLOSE && !(first & FIN)) return CW_E_WS_CONTROL;
    return 0;
}

static uint64_t read_be(const uint8_t *bytes, size_t count) {
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++) value = value << 8 | bytes[i];
    return value;
}

static void write_be(uint8_t *out, size_t count, uint64_t value) {
    for (size_t i = count; i-- > 0; value >>= 8) out[i] = (uint8_t)value;
}

/// How many bytes of extended length follow the second byte of a header.
static size_t extended(uint8_t length7) {
    return length7 == LENGTH_16 ? 2 : length7 == LENGTH_64 ? 8 : 0;
}

static int check_length(uint64_t length, uint8_t length7) {
    if (length7 == LENGTH_16 && length <= SHORT_MAX) return CW_E_WS_LENGTH;
    if (length7 == LENGTH_64 && (length <= UINT16_MAX || length > INT64_MAX)) return CW_E_WS_LENGTH;
    return 0;
}

int cw_ws_header_read(cw_ws_header *out, const uint8_t *bytes, size_t count) {
    if (count < 1) return 0;
    int error = check_first(bytes[0]);
    if (error) return error;
    if (count < 2) return 0;
    uint8_t opcode = bytes[0] & OPCODE, length7 = bytes[1] & LENGTH;
    if (opcode >= CW_WS_CLOSE && length7 > SHORT_MAX) return CW_E_WS_CONTROL;
    size_t at = 2 + extended(length7);
    if (count < at) return 0;
    uint64_t length = at == 2 ? length7 : read_be(bytes + 2, at - 2);
    if ((error = check_length(length, length7))) return error;
    bool masked = bytes[1] & MASKED;
    if (masked && count < at + 4) return 0;
    *out = (cw_ws_header){.length = length, .opcode = opcode, .fin = bytes[0] & FIN, .masked = masked};
    if (!masked) return (int)at;
    memcpy(out->mask, bytes + at, 4);
    return (int)at + 4;
}

size_t cw_ws_header_write(uint8_t out[CW_WS_HEADER_MAX], const cw_ws_header *header) {
    uint64_t length = header->length;
    uint8_t length7 = length <= SHORT_MAX ? (uint8_t)length : length <= UINT16_MAX ? LENGTH_16 : LENGTH_64;
    size_t at = 2 + extended(length7);
    out[0] = (uint8_t)((header->fin ? FIN : 0) | (header->opcode & OPCODE));
    out[1] = (uint8_t)((header->masked ? MASKED : 0) | length7);
    write_be(out + 2, at - 2, length);
    if (!header->masked) return at;
    memcpy(out + at, header->mask, 4);
    return at + 4;
}
