// SPDX-License-Identifier: MIT
// Sealing by a shared secret: AES-256-GCM and HKDF, both OpenSSL's. Any thread, no state but the key's own.
// It invents no cryptography: which bytes are sealed, under which nonce, and what a failure means is said by its callers.
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cuv_error.h"
#include "cuv_seal.h"

struct cuv_seal {
    EVP_CIPHER_CTX *context;
    uint8_t key[CUV_SEAL_SECRET_SIZE];
};

int cuv_derive(
    const uint8_t secret[CUV_SEAL_SECRET_SIZE], const uint8_t *salt, size_t salt_count, const char *purpose, uint8_t *out, size_t count) {
    EVP_KDF *hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *context = hkdf ? EVP_KDF_CTX_new(hkdf) : NULL;
    EVP_KDF_free(hkdf);
    if (!context) return CUV_E_NO_MEMORY;
    // OpenSSL takes what it only reads through pointers that are not const.
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret, CUV_SEAL_SECRET_SIZE),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)purpose, strlen(purpose)),
        // OpenSSL takes no salt that is empty: without one there is none (RFC 5869 2.2).
        salt_count > 0 ? OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt, salt_count) : OSSL_PARAM_construct_end(),
        OSSL_PARAM_construct_end(),
    };
    int done = EVP_KDF_derive(context, out, count, params);
    EVP_KDF_CTX_free(context);
    return done == 1 ? 0 : CUV_E_NO_MEMORY;
}

cuv_seal *cuv_seal_make(const uint8_t key[CUV_SEAL_SECRET_SIZE]) {
    cuv_seal *seal = calloc(1, sizeof *seal);
    if (!seal) return NULL;
    seal->context = EVP_CIPHER_CTX_new();
    memcpy(seal->key, key, sizeof seal->key);
    if (seal->context && EVP_CipherInit_ex(seal->context, EVP_aes_256_gcm(), NULL, NULL, NULL, 1) == 1) return seal;
    cuv_seal_free(seal);
    return NULL;
}

// Key, nonce and head of one message. False: OpenSSL refuses, or it is longer than OpenSSL counts.
static bool begin(cuv_seal *seal, int encrypts, uint64_t nonce, const uint8_t *head, size_t head_count, size_t count) {
    if (head_count > INT_MAX || count > INT_MAX) return false;
    uint8_t iv[12] = {0};
    for (int i = 0; i < 8; i++) iv[4 + i] = (uint8_t)(nonce >> (56 - 8 * i));
    if (EVP_CipherInit_ex(seal->context, NULL, NULL, seal->key, iv, encrypts) != 1) return false;
    int length = 0;
    return head_count == 0 || EVP_CipherUpdate(seal->context, NULL, &length, head, (int)head_count) == 1;
}

int cuv_seal_close(
    cuv_seal *seal, uint64_t nonce, const uint8_t *head, size_t head_count, const uint8_t *text, size_t count, uint8_t *out) {
    if (!begin(seal, 1, nonce, head, head_count, count)) return CUV_E_NO_MEMORY;
    int length = 0;
    if (count > 0 && EVP_CipherUpdate(seal->context, out, &length, text, (int)count) != 1) return CUV_E_NO_MEMORY;
    uint8_t none[16];
    if (EVP_CipherFinal_ex(seal->context, none, &length) != 1) return CUV_E_NO_MEMORY;
    int tagged = EVP_CIPHER_CTX_ctrl(seal->context, EVP_CTRL_AEAD_GET_TAG, CUV_SEAL_TAG_SIZE, out + count);
    return tagged == 1 ? 0 : CUV_E_NO_MEMORY;
}

int cuv_seal_open(
    cuv_seal *seal, uint64_t nonce, const uint8_t *head, size_t head_count, const uint8_t *sealed, size_t count, uint8_t *out) {
    if (count < CUV_SEAL_TAG_SIZE) return CUV_E_PROTOCOL;
    const size_t text = count - CUV_SEAL_TAG_SIZE;
    if (!begin(seal, 0, nonce, head, head_count, count)) return CUV_E_PROTOCOL;
    int length = 0;
    if (text > 0 && EVP_CipherUpdate(seal->context, out, &length, sealed, (int)text) != 1) return CUV_E_PROTOCOL;
    if (EVP_CIPHER_CTX_ctrl(seal->context, EVP_CTRL_AEAD_SET_TAG, CUV_SEAL_TAG_SIZE, (void *)(sealed + text)) != 1) return CUV_E_PROTOCOL;
    uint8_t none[16];
    return EVP_CipherFinal_ex(seal->context, none, &length) == 1 ? 0 : CUV_E_PROTOCOL;
}

void cuv_seal_free(cuv_seal *seal) {
    if (!seal) return;
    EVP_CIPHER_CTX_free(seal->context);
    OPENSSL_cleanse(seal->key, sizeof seal->key);
    free(seal);
}
