// SPDX-License-Identifier: MIT
// Sealing: keys and sealed bytes are those that other implementations make of the same input, and nothing else opens.
// No loop; single-threaded.
#include <string.h>

#include "CUV.h"
#include "check.h"

static size_t unhex(const char *text, uint8_t *out) {
    size_t count = 0;
    for (unsigned value; sscanf(text, "%2x", &value) == 1; text += 2) out[count++] = (uint8_t)value;
    return count;
}

// The steps of RFC 5869, done with Python's hmac.
static void derives(void) {
    uint8_t secret[32], salt[13], out[42], wanted[42];
    for (uint8_t i = 0; i < 32; i++) secret[i] = i;
    for (uint8_t i = 0; i < 13; i++) salt[i] = i;
    unhex("76901f0d18254dbcc5151b275ab6823fa4ae2c1484a15648936f5e4eb6ed5c6ced618a9c12dd5e63f514", wanted);
    CHECK(cuv_derive(secret, salt, sizeof salt, "piko", out, sizeof out) == 0);
    CHECK(memcmp(out, wanted, sizeof out) == 0);
    CHECK(cuv_derive(secret, salt, sizeof salt, "other", out, sizeof out) == 0);
    CHECK(memcmp(out, wanted, sizeof out) != 0);
    CHECK(cuv_derive(secret, NULL, 0, "piko", out, sizeof out) == 0);
}

// The nonce is four zero bytes and a counter; done with Python's cryptography.
static void seals(void) {
    uint8_t key[32], sealed[64], wanted[64], text[64];
    for (uint8_t i = 0; i < 32; i++) key[i] = (uint8_t)(0xA0 + i);
    cuv_seal *seal = cuv_seal_make(key);
    CHECK(seal);
    const uint8_t head[] = "head", plain[] = "what nodes say";
    const size_t count = sizeof plain - 1;
    CHECK(cuv_seal_close(seal, 0x0102030405060708, head, 4, plain, count, sealed) == 0);
    CHECK(unhex("8dd11262936bfb1c297057a6ff64ddf7d296541847f765af18aaccc00fe7", wanted) == count + CUV_SEAL_TAG_SIZE);
    CHECK(memcmp(sealed, wanted, count + CUV_SEAL_TAG_SIZE) == 0);
    CHECK(cuv_seal_open(seal, 0x0102030405060708, head, 4, sealed, count + CUV_SEAL_TAG_SIZE, text) == 0);
    CHECK(memcmp(text, plain, count) == 0);
    cuv_seal_free(seal);
}

static void opens_nothing_else(void) {
    uint8_t key[32] = {1}, other[32] = {2}, sealed[64], text[64];
    cuv_seal *seal = cuv_seal_make(key), *stranger = cuv_seal_make(other);
    const uint8_t head[] = "head", plain[] = "text";
    const size_t count = 4 + CUV_SEAL_TAG_SIZE;
    CHECK(cuv_seal_close(seal, 7, head, 4, plain, 4, sealed) == 0);
    for (size_t bit = 0; bit < 8 * count; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK(cuv_seal_open(seal, 7, head, 4, sealed, count, text) == CUV_E_PROTOCOL);
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t less = 0; less < count; less++) CHECK(cuv_seal_open(seal, 7, head, 4, sealed, less, text) == CUV_E_PROTOCOL);
    CHECK(cuv_seal_open(seal, 8, head, 4, sealed, count, text) == CUV_E_PROTOCOL);
    CHECK(cuv_seal_open(seal, 7, head, 3, sealed, count, text) == CUV_E_PROTOCOL);
    CHECK(cuv_seal_open(stranger, 7, head, 4, sealed, count, text) == CUV_E_PROTOCOL);
    CHECK(cuv_seal_open(seal, 7, head, 4, sealed, count, text) == 0);
    // An empty text and an empty head have a tag still.
    CHECK(cuv_seal_close(seal, 9, NULL, 0, NULL, 0, sealed) == 0);
    CHECK(cuv_seal_open(seal, 9, NULL, 0, sealed, CUV_SEAL_TAG_SIZE, text) == 0);
    CHECK(cuv_seal_open(seal, 10, NULL, 0, sealed, CUV_SEAL_TAG_SIZE, text) == CUV_E_PROTOCOL);
    cuv_seal_free(seal);
    cuv_seal_free(stranger);
    cuv_seal_free(NULL);
}

int main(void) {
    derives();
    seals();
    opens_nothing_else();
    return 0;
}
