// SPDX-License-Identifier: MIT
// What carriers need of a loop: hooks that run later in the turn, pooled objects, the counters. Knows nothing of libuv.
// Loop thread only.
#ifndef CUV_LOOP_CORE_H
#define CUV_LOOP_CORE_H

#include "cuv_error.h"
#include "cuv_stream.h"

// A hook (cuv_stream.h) is embedded in what it is about and runs once each time it is set. Zero-initialise, set `run` once.
//
// Each turn, after the poll and again before the next one, the loop first runs the `soon` hooks (callbacks that may not
// come inside a call: offers of kept bytes, breaks, closes), then the `flush` hooks (batched frames, corked bytes); hooks set meanwhile
// run in the same turn too. So what is set never waits while the loop blocks.

/// Sets it to run in this turn, before the flush. Nothing when it is set already.
void cuv_loop_soon(cuv_loop *loop, cuv_hook *hook);
/// Sets it to run at the end of this turn, when nothing more will be written in it. Nothing when it is set already.
void cuv_loop_flush(cuv_loop *loop, cuv_hook *hook);
/// Takes it back; nothing when it is not set. Before the memory goes.
void cuv_hook_cancel(cuv_hook *hook);
static inline bool cuv_hook_is_set(const cuv_hook *hook) { return hook->next != NULL; }
/// The object that a hook (or another member) is embedded in.
#define CUV_CONTAINER(pointer, type, member) ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

/// Zeroed memory of `size` bytes (at most 2 KiB) from the loop's free lists. NULL only without memory. (Under AddressSanitizer plain malloc.)
void *cuv_object_take(cuv_loop *loop, size_t size);
/// Gives it back; `size` as it was taken.
void cuv_object_give(cuv_loop *loop, void *object, size_t size);

/// The loop's counters, for adding and taking away.
cuv_counts *cuv_loop_tally(cuv_loop *loop);

/// True once cuv_loop_stop was asked: no lingering, no new periodic work.
bool cuv_loop_is_stopping(const cuv_loop *loop);

/// The most bytes one read of a TCP stream delivers (the size of the loop's scratch buffer).
/// Measured on a busy machine: a relayed GiB costs less CPU with 128 KiB than with 64 KiB, and about as much as with 256.
enum { CUV_SCRATCH = 128 * 1024 };

#endif
