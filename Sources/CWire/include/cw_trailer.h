// SPDX-License-Identifier: MIT
// The names that may not stand in a trailer section: those that frame a message, route it, say who sends it, or are the word of
// a proxy (RFC 9110 6.5.1). A name is watched byte by byte as it passes.
#ifndef CW_TRAILER_H
#define CW_TRAILER_H

#include <stdbool.h>
#include <stdint.h>

/// Where a name is. Zero-initialise, cw_trailer_begin before each name; the fields are the watcher's own.
typedef struct cw_trailer_name {
    uint8_t suspects;     ///< a bit for each barred name that this one may still be
    uint8_t length;       ///< bytes so far, 255 for more
} cw_trailer_name;

void cw_trailer_begin(cw_trailer_name *name);

/// Takes the next byte of the name, which is a tchar (RFC 9110 5.6.2); letters in either case.
void cw_trailer_take(cw_trailer_name *name, uint8_t byte);

/// True where the name, which ends here, may not stand in a trailer section.
bool cw_trailer_barred(const cw_trailer_name *name);

#endif
