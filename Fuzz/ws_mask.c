// SPDX-License-Identifier: MIT
// Fuzzes the WebSocket mask: 4 bytes of mask, one of phase, one of alignment, then payload.
// Holds: in place, copied and cut anywhere give what the definition gives, byte by byte; masking twice gives the payload
// back; the source of a copy and the bytes beside stay as they are.
// fuzz-seeds: ws_mask.hex
#include "CWire.h"
#include "fuzz.h"

enum { MASK = 4, FRONT = MASK + 2 };

struct input {
    const uint8_t *mask, *payload;
    size_t phase, offset, count;
};

/// The bytes in front of the payload shift its alignment; AddressSanitizer watches the end, the check the front.
static void check_front(const uint8_t *memory, size_t offset) {
    for (size_t i = 0; i < offset; i++) CHECK(memory[i] == 0xEE);
}

static uint8_t *shifted(size_t offset, const uint8_t *payload, size_t count) {
    uint8_t *memory = malloc(offset + count + 1);
    if (!memory) abort();
    memory = realloc(memory, offset + count > 0 ? offset + count : 1);
    if (!memory) abort();
    memset(memory, 0xEE, offset);
    if (count > 0) memcpy(memory + offset, payload, count);
    return memory;
}

static void check_in_place(const struct input *in, const uint8_t *expected, size_t cut) {
    uint8_t *memory = shifted(in->offset, in->payload, in->count), *bytes = memory + in->offset;
    cw_ws_mask(bytes, cut, in->mask, in->phase);
    cw_ws_mask(bytes + cut, in->count - cut, in->mask, in->phase + cut);
    CHECK(memcmp(bytes, expected, in->count) == 0);
    cw_ws_mask(bytes, in->count, in->mask, in->phase);
    CHECK(in->count == 0 || memcmp(bytes, in->payload, in->count) == 0);
    check_front(memory, in->offset);
    free(memory);
}

static void check_copy(const struct input *in, const uint8_t *expected, size_t cut) {
    uint8_t *from = exact(in->payload, in->count), *memory = shifted(in->offset, expected, in->count);
    uint8_t *to = memory + in->offset;
    memset(to, 0xEE, in->count);
    cw_ws_mask_copy(to, from, cut, in->mask, in->phase);
    cw_ws_mask_copy(to + cut, from + cut, in->count - cut, in->mask, in->phase + cut);
    CHECK(memcmp(to, expected, in->count) == 0);
    CHECK(in->count == 0 || memcmp(from, in->payload, in->count) == 0);
    check_front(memory, in->offset);
    free(memory);
    free(from);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < FRONT) return 0;
    struct input in = {.mask = data, .payload = data + FRONT, .count = size - FRONT};
    in.phase = data[MASK];
    in.offset = data[MASK + 1] % 64;
    uint8_t *expected = exact(in.payload, in.count);
    for (size_t i = 0; i < in.count; i++) expected[i] ^= in.mask[(in.phase + i) % MASK];
    dice dice = dice_of(data, size);
    size_t cuts[] = {0, in.count, roll(&dice, in.count), roll(&dice, in.count)};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        check_in_place(&in, expected, cuts[i]);
        check_copy(&in, expected, cuts[i]);
    }
    free(expected);
    return 0;
}
