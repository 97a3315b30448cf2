// SPDX-License-Identifier: MIT
// Fuzzes the yamux frame header: the input as a row of frames, data bodies skipped.
// Holds: a prefix gives 0 or the whole's fault, and changes nothing; a fault, once seen in a prefix, stays; what was read
// and written again is the same bytes; streams and types fit.
// fuzz-seeds: yamux_frame.hex
#include "CWire.h"
#include "fuzz.h"

static int read_exact(cw_yamux_header *out, const uint8_t *bytes, size_t count) {
    uint8_t *copy = exact(bytes, count);
    int result = cw_yamux_header_read(out, copy, count);
    free(copy);
    return result;
}

/// Every prefix of a header; `whole` is what all of it gave.
static void check_prefixes(const uint8_t *bytes, size_t count, int whole) {
    bool faulty = false;
    for (size_t part = 0; part <= count && part <= CW_YAMUX_HEADER_SIZE; part++) {
        cw_yamux_header out, before;
        memset(&out, 0x5A, sizeof out);
        before = out;
        int result = read_exact(&out, bytes, part);
        CHECK(result == 0 || result == whole);
        CHECK(result > 0 || memcmp(&out, &before, sizeof out) == 0);
        CHECK(!faulty || result == whole);
        CHECK((result > 0) == (whole > 0 && part == CW_YAMUX_HEADER_SIZE));
        faulty |= result < 0;
    }
    CHECK(whole >= 0 || faulty);
}

static void check_header(const uint8_t *bytes, const cw_yamux_header *header) {
    uint8_t out[CW_YAMUX_HEADER_SIZE];
    cw_yamux_header_write(out, header);
    CHECK(memcmp(out, bytes, sizeof out) == 0);
    CHECK(header->type <= CW_YAMUX_GO_AWAY && header->flags <= 15);
    CHECK((header->stream == 0) == (header->type >= CW_YAMUX_PING));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    for (size_t at = 0; at < size;) {
        cw_yamux_header header;
        int result = read_exact(&header, data + at, size - at);
        check_prefixes(data + at, size - at, result);
        if (result <= 0) return 0;
        CHECK(result == CW_YAMUX_HEADER_SIZE && size - at >= CW_YAMUX_HEADER_SIZE);
        check_header(data + at, &header);
        at += CW_YAMUX_HEADER_SIZE;
        if (header.type == CW_YAMUX_DATA) at += header.length < size - at ? header.length : size - at;
    }
    return 0;
}
