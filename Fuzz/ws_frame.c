// SPDX-License-Identifier: MIT
// Fuzzes the WebSocket frame header: the input as a row of frames, and as the fields of a header to write.
// Holds: a prefix gives 0 or the whole's fault, and changes nothing; at most 14 bytes, all of them given; what was read
// and written again is the same bytes; what was written is read back.
// fuzz-seeds: ws_frame.hex
#include "CWire.h"
#include "fuzz.h"

static int read_exact(cw_ws_header *out, const uint8_t *bytes, size_t count) {
    uint8_t *copy = exact(bytes, count);
    int result = cw_ws_header_read(out, copy, count);
    free(copy);
    return result;
}

/// Every prefix of a header; `whole` is what all of it gave.
static void check_prefixes(const uint8_t *bytes, size_t count, int whole) {
    bool faulty = false;
    for (size_t part = 0; part <= count && part <= CW_WS_HEADER_MAX; part++) {
        cw_ws_header out, before;
        memset(&out, 0x5A, sizeof out);
        before = out;
        int result = read_exact(&out, bytes, part);
        CHECK(result == 0 || result == whole);
        CHECK(result > 0 || memcmp(&out, &before, sizeof out) == 0);
        CHECK(!faulty || result == whole);
        CHECK(result <= 0 || part >= (size_t)result);
        CHECK(whole <= 0 || part < (size_t)whole || result == whole);
        faulty |= result < 0;
    }
}

static void check_header(const uint8_t *bytes, const cw_ws_header *header, size_t size) {
    uint8_t out[CW_WS_HEADER_MAX];
    CHECK(cw_ws_header_write(out, header) == size);
    CHECK(memcmp(out, bytes, size) == 0);
    CHECK(header->length <= INT64_MAX);
    CHECK(header->opcode < CW_WS_CLOSE || (header->fin && header->length <= 125));
}

static void check_row(const uint8_t *data, size_t size) {
    for (size_t at = 0; at < size;) {
        cw_ws_header header;
        int result = read_exact(&header, data + at, size - at);
        check_prefixes(data + at, size - at, result);
        if (result <= 0) return;
        CHECK(result >= 2 && result <= CW_WS_HEADER_MAX && (size_t)result <= size - at);
        check_header(data + at, &header, (size_t)result);
        at += (size_t)result;
        at += header.length < size - at ? (size_t)header.length : size - at;
    }
}

static void check_written(const uint8_t *data, size_t size) {
    if (size < 14) return;
    static const uint8_t opcodes[] = {0, 1, 2, 8, 9, 10};
    cw_ws_header in = {.opcode = opcodes[data[0] % 6], .fin = data[1] & 1, .masked = data[1] & 2}, out;
    memcpy(&in.length, data + 2, 8);
    in.length >>= 1 + data[1] % 63;
    if (in.masked) memcpy(in.mask, data + 10, 4);
    if (in.opcode >= CW_WS_CLOSE) {
        in.fin = true;
        in.length %= 126;
    }
    uint8_t bytes[CW_WS_HEADER_MAX];
    size_t written = cw_ws_header_write(bytes, &in);
    CHECK(read_exact(&out, bytes, written) == (int)written);
    CHECK(out.length == in.length && out.opcode == in.opcode && out.fin == in.fin && out.masked == in.masked);
    CHECK(memcmp(out.mask, in.mask, 4) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    check_row(data, size);
    check_written(data, size);
    return 0;
}
