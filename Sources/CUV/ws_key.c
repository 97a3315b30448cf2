// SPDX-License-Identifier: MIT
// Mask keys: the system's random bytes, fetched many at a time, a stock a thread. A key costs a few nanoseconds and is as
// unpredictable as the system can make it; there is no generator of ours to get wrong.
#include "cuv_handshake.h"
#include "ws_stream.h"

#include <string.h>

enum { KEY_STOCK = 1024 };

typedef struct key_stock {
    uint8_t bytes[KEY_STOCK];
    uint32_t left;
} key_stock;

static _Thread_local key_stock stock;

void ws_next_key(uint8_t key[4]) {
    // Without randomness the key stays what the stock held: masking protects third parties' proxies, not the bytes.
    if (stock.left < 4) {
        cuv_random(stock.bytes, sizeof stock.bytes);
        stock.left = sizeof stock.bytes;
    }
    stock.left -= 4;
    memcpy(key, stock.bytes + stock.left, 4);
}
