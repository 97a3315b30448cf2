// SPDX-License-Identifier: MIT
// Sealing of messages by a shared secret: AES-256-GCM (NIST SP 800-38D) with keys derived by HKDF-SHA256 (RFC 5869).
// Any thread, one at a time for each cuv_seal. Knows no message; who may use a nonce, and once only, is the caller's to see to.
#ifndef CUV_SEAL_H
#define CUV_SEAL_H

#include <stddef.h>
#include <stdint.h>

enum { CUV_SEAL_SECRET_SIZE = 32, CUV_SEAL_TAG_SIZE = 16 };

typedef struct cuv_seal cuv_seal;

/// Derives `count` bytes (at most 8160) for one purpose. Another salt or purpose gives bytes that have nothing to do with these.
/// 0, or an error when OpenSSL has no memory.
int cuv_derive(
    const uint8_t secret[CUV_SEAL_SECRET_SIZE], const uint8_t *salt, size_t salt_count, const char *purpose, uint8_t *out, size_t count);

/// A key to seal or open with, copied. NULL without memory. The caller frees it.
cuv_seal *cuv_seal_make(const uint8_t key[CUV_SEAL_SECRET_SIZE]);

/// Encrypts `count` bytes of `text` and authenticates them with `head`, which stays outside. Writes count + CUV_SEAL_TAG_SIZE bytes.
/// A nonce serves once in the life of a key: twice reveals both texts. 0 or an error.
int cuv_seal_close(
    cuv_seal *seal, uint64_t nonce, const uint8_t *head, size_t head_count, const uint8_t *text, size_t count, uint8_t *out);

/// Undoes cuv_seal_close; `count` includes the tag, and `out` takes count - CUV_SEAL_TAG_SIZE bytes. CUV_E_PROTOCOL when text, head, nonce or
/// key are not those that it was sealed with; what is in `out` then means nothing.
int cuv_seal_open(
    cuv_seal *seal, uint64_t nonce, const uint8_t *head, size_t head_count, const uint8_t *sealed, size_t count, uint8_t *out);

/// Wipes the key. NULL is none.
void cuv_seal_free(cuv_seal *seal);

#endif
