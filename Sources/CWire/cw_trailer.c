// SPDX-License-Identifier: MIT
// Knows the names that may not stand in a trailer section. A head is rewritten, a trailer is passed on as it came: what a node
// answers for, takes out or takes for the truth must not come in by that door.
// Pure, callable from any thread; keeps no bytes.
#include "cw_trailer.h"

static const char *const barred[] = {
    "authorization", "content-length", "host", "transfer-encoding",
    "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
    "x-piko-authorization", "x-piko-endpoint", "x-piko-forward",
};
enum { BARRED = sizeof barred / sizeof *barred };

void cw_trailer_begin(cw_trailer_name *name) {
    name->suspects = (1u << BARRED) - 1;
    name->length = 0;
}

void cw_trailer_take(cw_trailer_name *name, uint8_t byte) {
    if (name->suspects == 0) return;
    char lower = (char)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
    for (int i = 0; i < BARRED; i++) {
        // A suspect is at least as long as the name; its NUL is no tchar.
        if (name->suspects >> i & 1 && barred[i][name->length] != lower) name->suspects &= (uint16_t)~(1u << i);
    }
    name->length++;
}

bool cw_trailer_barred(const cw_trailer_name *name) {
    for (int i = 0; i < BARRED; i++) {
        if (name->suspects >> i & 1 && barred[i][name->length] == 0) return true;
    }
    return false;
}
