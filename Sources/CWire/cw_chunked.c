// SPDX-License-Identifier: MIT
// Follows a chunked body (RFC 9112 7.1): sizes and lines byte by byte, payload in spans.
// Pure, callable from any thread; the place is kept in the caller's cw_chunked.
// Strict on purpose: a body that two parsers could cut differently is an error (white space behind a size, bare LF, ...).
#include "cw_chunked.h"

#include "cw_error.h"

/// SIZE is 0, so that a zeroed cw_chunked stands in front of the first chunk.
enum state { SIZE, EXT, SIZE_LF, DATA, DATA_CR, DATA_LF, LINE, NAME, VALUE, VALUE_LF, END_LF, DONE };
enum { SIZE_DIGITS_MAX = 16 };

static bool is_text(uint8_t byte) {
    return (byte >= 0x20 && byte != 0x7F) || byte == '\t';
}

/// RFC 9110 5.6.2 tchar.
static bool is_token(uint8_t byte) {
    if ((byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z')) return true;
    switch (byte) {
    case '!': case '#': case '$': case '%': case '&': case '\'': case '*': case '+':
    case '-': case '.': case '^': case '_': case '`': case '|': case '~': return true;
    default: return false;
    }
}

static int hex_value(uint8_t byte) {
    if (byte >= '0' && byte <= '9') return byte - '0';
    uint8_t lower = byte | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// Each step below takes one byte in one state; it returns the next state, or an error.
static int step_size(cw_chunked *chunked, uint8_t byte) {
    int value = hex_value(byte);
    if (value >= 0) {
        if (++chunked->digits > SIZE_DIGITS_MAX) return CW_E_CHUNK_SIZE;
        chunked->remaining = chunked->remaining << 4 | (uint64_t)value;
        return chunked->remaining > INT64_MAX ? CW_E_CHUNK_SIZE : SIZE;
    }
    if (chunked->digits == 0) return CW_E_CHUNK_SIZE;
    if (byte == '\r') return SIZE_LF;
    if (byte == '\n') return CW_E_CHUNK_END;
    return byte == ';' ? EXT : CW_E_CHUNK_SIZE;
}

static int step_ext(uint8_t byte) {
    if (byte == '\r') return SIZE_LF;
    if (byte == '\n') return CW_E_CHUNK_END;
    return is_text(byte) ? EXT : CW_E_CHUNK_EXT;
}

static int step_size_lf(cw_chunked *chunked, uint8_t byte) {
    if (byte != '\n') return CW_E_CHUNK_END;
    chunked->line = 0;
    chunked->digits = 0;
    return chunked->remaining > 0 ? DATA : LINE;
}

static int step_data_lf(cw_chunked *chunked, uint8_t byte) {
    chunked->line = 0;
    return byte == '\n' ? SIZE : CW_E_CHUNK_END;
}

static int step_name(cw_chunked *chunked, uint8_t byte) {
    if (byte == ':') return cw_trailer_barred(&chunked->name) ? CW_E_TRAILER_FIELD : VALUE;
    if (!is_token(byte)) return CW_E_TRAILER;
    cw_trailer_take(&chunked->name, byte);
    return NAME;
}

static int step_line(cw_chunked *chunked, uint8_t byte) {
    if (byte == '\r') return END_LF;
    if (!is_token(byte)) return CW_E_TRAILER;
    cw_trailer_begin(&chunked->name);
    return step_name(chunked, byte);
}

static int step_value(uint8_t byte) {
    if (byte == '\r') return VALUE_LF;
    return is_text(byte) ? VALUE : CW_E_TRAILER;
}

static int step_state(cw_chunked *chunked, uint8_t byte) {
    switch ((enum state)chunked->state) {
    case SIZE: return step_size(chunked, byte);
    case EXT: return step_ext(byte);
    case SIZE_LF: return step_size_lf(chunked, byte);
    case DATA_CR: return byte == '\r' ? DATA_LF : CW_E_CHUNK_END;
    case DATA_LF: return step_data_lf(chunked, byte);
    case LINE: return step_line(chunked, byte);
    case NAME: return step_name(chunked, byte);
    case VALUE: return step_value(byte);
    case VALUE_LF: return byte == '\n' ? LINE : CW_E_TRAILER;
    case END_LF: return byte == '\n' ? DONE : CW_E_TRAILER;
    case DATA: case DONE: break;
    }
    return chunked->state;
}

/// Takes one byte that is not payload. Returns 0 or an error, which it also keeps.
static int step(cw_chunked *chunked, uint8_t byte) {
    bool trailer = chunked->state >= LINE;
    chunked->line++;
    int next = step_state(chunked, byte);
    if (trailer && chunked->line > CW_TRAILER_MAX) next = CW_E_TRAILER;
    if (!trailer && chunked->line > CW_CHUNK_LINE_MAX) next = CW_E_CHUNK_EXT;
    if (next < 0) return chunked->error = next;
    chunked->state = (uint8_t)next;
    return 0;
}

/// Takes as much payload as there is; returns how many bytes.
static size_t take_payload(cw_chunked *chunked, size_t count) {
    size_t span = chunked->remaining < count ? (size_t)chunked->remaining : count;
    chunked->remaining -= span;
    if (chunked->remaining == 0) chunked->state = DATA_CR;
    return span;
}

int64_t cw_chunked_scan(cw_chunked *chunked, const uint8_t *bytes, size_t count, size_t *payload, size_t *payload_count) {
    if (payload) *payload = *payload_count = 0;
    if (chunked->error) return chunked->error;
    size_t at = 0;
    while (at < count && chunked->state != DONE) {
        if (chunked->state != DATA) {
            if (step(chunked, bytes[at++])) return chunked->error;
            continue;
        }
        size_t span = take_payload(chunked, count - at);
        if (payload) {
            *payload = at;
            *payload_count = span;
            return (int64_t)(at + span);
        }
        at += span;
    }
    return (int64_t)at;
}

bool cw_chunked_done(const cw_chunked *chunked) {
    return chunked->state == DONE && chunked->error == 0;
}
