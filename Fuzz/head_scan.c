// SPDX-License-Identifier: MIT
// Fuzzes the head scan against a reference that reads byte by byte.
// Holds: the same end or fault as the reference for the whole and for every growing input cut anywhere; consumed <= given;
// a fault stays; an end found is found again; a head without its last byte is no head.
// fuzz-seeds: head_scan.hex http1
#include "CWire.h"
#include "fuzz.h"

/// What cw_head_scan.h promises, one byte after another.
static int64_t reference(const uint8_t *bytes, size_t count) {
    size_t line = 0;
    for (size_t at = 0; at < count; at++) {
        bool behind_cr = at > 0 && bytes[at - 1] == '\r';
        if (behind_cr && bytes[at] != '\n') return CW_E_HEAD_CR;
        if (!behind_cr && bytes[at] == '\n') return CW_E_HEAD_LF;
        if (bytes[at] == 0) return CW_E_HEAD_NUL;
        if (at == line && (bytes[at] == ' ' || bytes[at] == '\t')) return CW_E_HEAD_FOLD;
        if (bytes[at] != '\n') continue;
        if (at == line + 1) return (int64_t)at + 1;
        line = at + 1;
    }
    return 0;
}

static int64_t scan_exact(cw_head_scan *scan, const uint8_t *bytes, size_t count) {
    uint8_t *copy = exact(bytes, count);
    int64_t result = cw_head_scan_next(scan, copy, count);
    CHECK(scan->scanned <= count);
    CHECK(result != 0 || scan->scanned == count);
    CHECK(result <= (int64_t)count);
    CHECK((result < 0) == (scan->error != 0));
    CHECK(cw_head_scan_next(scan, copy, count) == result);
    free(copy);
    return result;
}

/// Input that grows by 0 to `most` bytes.
static void check_growing(const uint8_t *data, size_t size, size_t most, int64_t expected) {
    cw_head_scan scan = {0};
    dice dice = dice_of(data, size);
    for (size_t count = 0;;) {
        int64_t result = scan_exact(&scan, data, count);
        CHECK(result == reference(data, count));
        if (result != 0 || count == size) {
            CHECK(result == expected);
            break;
        }
        size_t more = most == 1 ? 1 : roll(&dice, most);
        count += more < size - count ? more : size - count;
    }
    if (expected < 0) CHECK(cw_head_scan_next(&scan, (const uint8_t *)"\r\n", 2) == expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cw_head_scan scan = {0};
    int64_t whole = scan_exact(&scan, data, size);
    CHECK(whole == reference(data, size));
    check_growing(data, size, size, whole);
    check_growing(data, size, 70, whole);
    if (size <= 400) check_growing(data, size, 1, whole);
    if (whole > 0) {
        cw_head_scan shorter = {0};
        CHECK(scan_exact(&shorter, data, (size_t)whole - 1) == 0);
    }
    return 0;
}
