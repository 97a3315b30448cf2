// SPDX-License-Identifier: MIT
// The system's OpenSSL 3, found by pkg-config.
// Only Sources/CUV/*.c may include <openssl/...>.
#include <openssl/evp.h>
