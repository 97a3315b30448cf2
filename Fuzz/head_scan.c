// SPDX-License-Identifier: MIT
// Fuzzes the head scan against a reference that reads byte by byte.
// Holds: the same end or fault as the reference for the whole and for every growing input cut anywhere; consumed <= given;
// a fault stays; an end found is found again; a head without its last byte is no head.
// fuzz-seeds: head_scan.hex http1
#include "CWire.h"
#include "fuzz.h"

/// What a scan must find, and the byte that shows it. Input that ends before that byte needs more.
struct expected {
    int64_t result;
    size_t at;
};

static int64_t expected_of(const struct expected *expected, size_t count) {
    return count > expected->at ? expected->result : 0;
}

/// What cw_head_scan.h promises, one byte after another.
static struct expected reference(const uint8_t *bytes, size_t count) {
    size_t line = 0, at = 0;
    for (; at < count; at++) {
        bool behind_cr = at > 0 && bytes[at - 1] == '\r';
        if (behind_cr && bytes[at] != '\n') return (struct expected){CW_E_HEAD_CR, at};
        if (!behind_cr && bytes[at] == '\n') return (struct expected){CW_E_HEAD_LF, at};
        if (bytes[at] == 0) return (struct expected){CW_E_HEAD_NUL, at};
        if (at == line && (bytes[at] == ' ' || bytes[at] == '\t')) return (struct expected){CW_E_HEAD_FOLD, at};
        if (bytes[at] != '\n') continue;
        if (at == line + 1) return (struct expected){(int64_t)at + 1, at};
        line = at + 1;
    }
    return (struct expected){0, at};
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
static void check_growing(const uint8_t *data, size_t size, size_t most, const struct expected *expected) {
    cw_head_scan scan = {0};
    dice dice = dice_of(data, size);
    int64_t result = 0;
    for (size_t count = 0;;) {
        result = scan_exact(&scan, data, count);
        CHECK(result == expected_of(expected, count));
        if (result != 0 || count == size) break;
        size_t more = most == 1 ? 1 : roll(&dice, most);
        count += more < size - count ? more : size - count;
    }
    CHECK(result == expected->result);
    if (result < 0) CHECK(cw_head_scan_next(&scan, (const uint8_t *)"\r\n", 2) == result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct expected expected = reference(data, size);
    cw_head_scan scan = {0}, shorter = {0};
    int64_t whole = scan_exact(&scan, data, size);
    CHECK(whole == expected.result);
    if (whole > 0) CHECK(scan_exact(&shorter, data, (size_t)whole - 1) == 0);
    // Behind what decides nothing is read: only as much of a long input as matters is offered in small pieces.
    if (size > expected.at + 70) size = expected.at + 70;
    check_growing(data, size, size, &expected);
    check_growing(data, size, 70, &expected);
    if (size <= 200) check_growing(data, size, 1, &expected);
    return 0;
}
