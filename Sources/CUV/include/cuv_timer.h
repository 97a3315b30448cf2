// SPDX-License-Identifier: MIT
// One-shot timer of a loop. Cheap to arm again and again (connections keep one for all their deadlines).
// Loop thread only.
#ifndef CUV_TIMER_H
#define CUV_TIMER_H

#include "cuv_loop.h"

typedef struct cuv_timer cuv_timer;

/// Makes an unarmed timer. Owned by the caller until cuv_timer_free.
cuv_timer *cuv_timer_new(cuv_loop *loop, void (*on_fire)(void *ctx), void *ctx);

/// Arms, or arms anew, to fire once after `milliseconds` (0: in the next turn).
void cuv_timer_arm(cuv_timer *timer, uint64_t milliseconds);

void cuv_timer_disarm(cuv_timer *timer);

bool cuv_timer_is_armed(const cuv_timer *timer);

/// Ends it. Never fires afterwards, ctx is not used again. Allowed inside on_fire.
void cuv_timer_free(cuv_timer *timer);

#endif
