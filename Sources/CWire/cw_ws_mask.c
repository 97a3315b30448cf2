// SPDX-License-Identifier: MIT
// Applies the WebSocket mask (RFC 6455 5.3), 64 bytes at a time, then 8, then the rest.
// Pure, callable from any thread. Loads and stores go through memcpy: the bytes may have any alignment.
// A block is loaded whole before it is stored, so that to == from is masking in place.
#include "cw_ws_mask.h"

#include <string.h>

typedef uint8_t block __attribute__((vector_size(64)));
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first mask byte is to be the lowest");
typedef uint64_t words __attribute__((vector_size(64)));

/// The mask as the 8 bytes that meet payload bytes phase, phase + 1, ... in memory order.
static inline uint64_t mask_word(uint32_t mask, size_t phase) {
    unsigned turn = (phase & 3) * 8;
    uint32_t turned = mask >> turn | mask << (-turn & 31);
    return (uint64_t)turned << 32 | turned;
}

static inline uint64_t load_word(const uint8_t *from) {
    uint64_t word;
    memcpy(&word, from, 8);
    return word;
}

static inline void store_word(uint8_t *to, uint64_t word) {
    memcpy(to, &word, 8);
}

/// Up to 7 bytes.
static inline void xor_few(uint8_t *to, const uint8_t *from, size_t count, uint64_t mask) {
    uint8_t turned[8];
    memcpy(turned, &mask, 8);
    for (size_t i = 0; i < count; i++) to[i] = from[i] ^ turned[i];
}

/// 8 bytes and more. The last word overlaps the one before it; it is loaded first, since masking twice would unmask.
static inline void xor_many(uint8_t *to, const uint8_t *from, size_t count, uint64_t mask, uint64_t last_mask) {
    const words wide = {mask, mask, mask, mask, mask, mask, mask, mask};
    uint64_t last = load_word(from + count - 8) ^ last_mask;
    size_t at = 0;
    for (; count - at >= sizeof(block); at += sizeof(block)) {
        block bytes;
        memcpy(&bytes, from + at, sizeof bytes);
        bytes ^= (block)wide;
        memcpy(to + at, &bytes, sizeof bytes);
    }
    for (; count - at > 8; at += 8) store_word(to + at, load_word(from + at) ^ mask);
    store_word(to + count - 8, last);
}

static inline void xor_all(uint8_t *to, const uint8_t *from, size_t count, uint32_t mask, size_t phase) {
    uint64_t word = mask_word(mask, phase);
    if (count < 8) {
        xor_few(to, from, count, word);
    } else {
        xor_many(to, from, count, word, mask_word(mask, phase + count));
    }
}

static inline uint32_t load_mask(const uint8_t mask[4]) {
    uint32_t loaded;
    memcpy(&loaded, mask, sizeof loaded);
    return loaded;
}

void cw_ws_mask(uint8_t *bytes, size_t count, const uint8_t mask[4], size_t phase) {
    uint32_t loaded = load_mask(mask);
    if (loaded != 0) xor_all(bytes, bytes, count, loaded, phase);
}

void cw_ws_mask_copy(uint8_t *to, const uint8_t *from, size_t count, const uint8_t mask[4], size_t phase) {
    uint32_t loaded = load_mask(mask);
    if (loaded != 0) {
        xor_all(to, from, count, loaded, phase);
    } else if (count > 0) {
        memcpy(to, from, count);
    }
}
