// SPDX-License-Identifier: MIT
// What the C fuzz targets share: a check that stays in optimised builds, memory of exactly the size a parser is told (so
// that AddressSanitizer sees a read one byte too far), and cuts that follow from the input, so that seeds are plain input.
// Not thread safe: libFuzzer calls a target from one thread.
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition) \
    ((condition) ? (void)0 : (fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition), abort()))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/// A copy in memory of exactly this size; the caller frees it.
static inline uint8_t *exact(const uint8_t *bytes, size_t count) {
    uint8_t *copy = malloc(count > 0 ? count : 1);
    if (!copy) abort();
    if (count > 0) memcpy(copy, bytes, count);
    return copy;
}

/// Numbers that follow from the input alone, so that a finding is found again.
typedef struct dice {
    uint64_t state;
} dice;

static inline dice dice_of(const uint8_t *data, size_t size) {
    dice dice = {0xCBF29CE484222325};
    for (size_t i = 0; i < size; i++) dice.state = (dice.state ^ data[i]) * 0x100000001B3;
    return dice;
}

/// 0 to limit, both included.
static inline size_t roll(dice *dice, size_t limit) {
    dice->state = dice->state * 6364136223846793005 + 1442695040888963407;
    return (size_t)(dice->state >> 33) % (limit + 1);
}

#endif
