// SPDX-License-Identifier: MIT
// The WebSocket mask (RFC 6455 5.3): payload byte i is xored with mask byte i mod 4.
// Value functions, callable from any thread; they touch the bytes they are given and no others.
#ifndef CW_WS_MASK_H
#define CW_WS_MASK_H

#include <stddef.h>
#include <stdint.h>

/// Masks or unmasks in place. `phase` is how many payload bytes of the frame came before these (only its value mod 4 counts).
/// A zero mask returns at once.
void cw_ws_mask(uint8_t *bytes, size_t count, const uint8_t mask[4], size_t phase);

/// The same while copying: one pass over the memory. `to` and `from` do not overlap.
void cw_ws_mask_copy(uint8_t *to, const uint8_t *from, size_t count, const uint8_t mask[4], size_t phase);

#endif
