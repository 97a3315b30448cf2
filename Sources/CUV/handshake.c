// SPDX-License-Identifier: MIT
// The WebSocket opening handshake's key and accept values, and random bytes. Runs on any thread, keeps no state.
// It parses no HTTP: the upgrade request and response are Swift's.
#include "CUV.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/random.h>

static const char accept_guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

int cuv_random(void *out, size_t count) {
    uint8_t *at = out;
    while (count > 0) {
        ssize_t got = getrandom(at, count, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -errno;
        at += got;
        count -= (size_t)got;
    }
    return 0;
}

int cuv_ws_make_key(char out[CUV_WS_KEY_SIZE + 1]) {
    uint8_t nonce[16];
    int status = cuv_random(nonce, sizeof nonce);
    if (status < 0) return status;
    EVP_EncodeBlock((unsigned char *)out, nonce, sizeof nonce);
    return 0;
}

int cuv_ws_accept_for(const uint8_t *key, size_t count, char out[CUV_WS_ACCEPT_SIZE + 1]) {
    uint8_t text[128];
    const size_t guid = sizeof accept_guid - 1;
    if (count > sizeof text - guid) return CUV_E_PROTOCOL;
    memcpy(text, key, count);
    memcpy(text + count, accept_guid, guid);
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    if (!EVP_Digest(text, count + guid, digest, &length, EVP_sha1(), NULL)) return CUV_E_PROTOCOL;
    EVP_EncodeBlock((unsigned char *)out, digest, (int)length);
    return 0;
}
