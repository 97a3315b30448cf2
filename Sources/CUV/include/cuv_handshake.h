// SPDX-License-Identifier: MIT
// The two values of a WebSocket opening handshake (RFC 6455 4.1, 4.2.2).
// Pure but for the system's randomness; any thread.
#ifndef CUV_HANDSHAKE_H
#define CUV_HANDSHAKE_H

#include <stddef.h>
#include <stdint.h>

enum { CUV_WS_KEY_SIZE = 24, CUV_WS_ACCEPT_SIZE = 28 };

/// Writes a fresh Sec-WebSocket-Key: 24 characters and a NUL. 0 or an error when the system has no randomness.
int cuv_ws_make_key(char out[CUV_WS_KEY_SIZE + 1]);

/// Writes the Sec-WebSocket-Accept that answers `key`: 28 characters and a NUL. 0, or an error when OpenSSL fails.
int cuv_ws_accept_for(const uint8_t *key, size_t count, char out[CUV_WS_ACCEPT_SIZE + 1]);

/// Fills `out` with unpredictable bytes. 0 or an error.
int cuv_random(void *out, size_t count);

#endif
