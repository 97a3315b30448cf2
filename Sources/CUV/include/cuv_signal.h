// SPDX-License-Identifier: MIT
// Signals, delivered on a loop.
// SIGPIPE is ignored process-wide from the first loop on.
#ifndef CUV_SIGNAL_H
#define CUV_SIGNAL_H

#include "cuv_loop.h"

typedef struct cuv_signal cuv_signal;

/// Calls on_signal on the loop for each delivery of `number`. NULL with *error set.
cuv_signal *cuv_signal_watch(cuv_loop *loop, int number, void (*on_signal)(void *ctx, int number), void *ctx, int *error);

/// Ends it; the signal has its default effect again when nobody else watches it.
void cuv_signal_free(cuv_signal *signal);

#endif
