// SPDX-License-Identifier: MIT
// Finds the end of an HTTP/1 head without a branch per byte or line: each block of 64 bytes becomes bit masks (bit i is byte
// i) of CR, LF, NUL and white space; faults and the end are then bit arithmetic, and the lowest bit is what came first.
// Pure, callable from any thread. A byte is judged by itself and the two bytes before it, so where input was split cannot
// matter and nothing is scanned twice.
#include "cw_head_scan.h"

#include <stdbool.h>
#include <string.h>

#include "cw_error.h"

enum { BLOCK = 64 };

typedef uint8_t block __attribute__((ext_vector_type(BLOCK)));
typedef bool lanes __attribute__((ext_vector_type(BLOCK)));
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "lane 0 is to be bit 0");

/// Bit i is set where byte i is `value`. (By pointer: a vector argument would have another ABI with AVX.)
static inline uint64_t mask_of(const block *bytes, uint8_t value) {
    lanes bits = __builtin_convertvector(*bytes == value, lanes);
    uint64_t mask;
    memcpy(&mask, &bits, sizeof mask);
    return mask;
}

/// What happens at which byte of a block. A bare CR is seen at the byte behind it, a fold at the white space.
struct events {
    uint64_t bare_cr, bare_lf, nul, fold, end;
};

/// The LFs one and two bytes before the block, as bits 1 and 0, and a CR one byte before it. A line break is imagined in
/// front of the head: it makes white space there a fold, and an empty line there an end.
struct before {
    uint64_t lfs, cr;
};

static inline struct before look_back(const uint8_t *bytes, size_t at) {
    if (at == 0) return (struct before){.lfs = 2};
    uint64_t lf2 = at == 1 || bytes[at - 2] == '\n', lf1 = bytes[at - 1] == '\n';
    return (struct before){.lfs = lf1 << 1 | lf2, .cr = bytes[at - 1] == '\r'};
}

static inline struct events find_events(const block *bytes, struct before before) {
    uint64_t cr = mask_of(bytes, '\r'), lf = mask_of(bytes, '\n');
    uint64_t space = mask_of(bytes, ' ') | mask_of(bytes, '\t');
    uint64_t behind_cr = cr << 1 | before.cr;
    return (struct events){
        .bare_cr = behind_cr & ~lf,
        .bare_lf = lf & ~behind_cr,
        .nul = mask_of(bytes, 0),
        .fold = space & (lf << 1 | before.lfs >> 1),
        .end = lf & (lf << 2 | before.lfs),
    };
}

/// The fault at the one bit that is set in `first`, or 0.
static int fault_at(const struct events *events, uint64_t first) {
    if (events->bare_cr & first) return CW_E_HEAD_CR;
    if (events->bare_lf & first) return CW_E_HEAD_LF;
    if (events->nul & first) return CW_E_HEAD_NUL;
    return events->fold & first ? CW_E_HEAD_FOLD : 0;
}

/// Scans one block of `count` bytes (1 to 64) at `at`. As cw_head_scan_next, but 0 is: nothing in this block.
static inline int64_t scan_block(const uint8_t *bytes, size_t at, size_t count) {
    block loaded = 0;
    if (count == BLOCK) {
        memcpy(&loaded, bytes + at, BLOCK);
    } else {
        memcpy(&loaded, bytes + at, count);
    }
    struct events events = find_events(&loaded, look_back(bytes, at));
    uint64_t all = events.bare_cr | events.bare_lf | events.nul | events.fold | events.end;
    all &= UINT64_MAX >> (BLOCK - count);
    if (all == 0) return 0;
    int error = fault_at(&events, all & -all);
    return error ? error : (int64_t)(at + (size_t)__builtin_ctzll(all) + 1);
}

int64_t cw_head_scan_next(cw_head_scan *scan, const uint8_t *bytes, size_t count) {
    if (scan->error) return scan->error;
    for (size_t at = scan->scanned; at < count;) {
        size_t part = count - at < BLOCK ? count - at : BLOCK;
        int64_t result = scan_block(bytes, at, part);
        if (result < 0) scan->error = (int)result;
        if (result != 0) return result;
        scan->scanned = at += part;
    }
    return 0;
}
