// SPDX-License-Identifier: MIT
// Knows the names that may not stand in a trailer section. A head is rewritten, a trailer is passed on as it came: what a node
// answers for, takes out or takes for the truth must not come in by that door.
// Pure, callable from any thread; keeps no bytes.
#include "cw_trailer.h"

#define WHOLE(text) {text, sizeof text - 1, false}
#define BEGINS(text) {text, sizeof text - 1, true}

static const struct {
    const char *text;     // in small letters
    uint8_t count;
    bool begins;          // a name that goes on behind it is barred, too
} barred[] = {
    WHOLE("authorization"), WHOLE("content-length"), WHOLE("host"), WHOLE("transfer-encoding"), BEGINS("x-forwarded-"), BEGINS("x-piko-"),
};
enum { BARRED = sizeof barred / sizeof *barred };

void cw_trailer_begin(cw_trailer_name *name) {
    name->suspects = (1u << BARRED) - 1;
    name->length = 0;
}

static bool goes_with(int i, uint8_t at, char byte) {
    return at < barred[i].count ? barred[i].text[at] == byte : barred[i].begins;
}

void cw_trailer_take(cw_trailer_name *name, uint8_t byte) {
    char lower = (char)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
    for (int i = 0; i < BARRED; i++) {
        if (!goes_with(i, name->length, lower)) name->suspects &= (uint8_t)~(1u << i);
    }
    if (name->length < UINT8_MAX) name->length++;
}

bool cw_trailer_barred(const cw_trailer_name *name) {
    for (int i = 0; i < BARRED; i++) {
        if (name->suspects >> i & 1 && name->length >= barred[i].count) return true;
    }
    return false;
}
