// SPDX-License-Identifier: MIT
// Lists of hooks, for the loop.
// Loop thread only.
#ifndef CUV_HOOK_H
#define CUV_HOOK_H

#include "cuv_stream.h"

/// Makes an empty list; its head may not move in memory.
void cuv_hooks_init(cuv_hook *list);
bool cuv_hooks_empty(const cuv_hook *list);
/// Adds at the end; nothing when it is in a list.
void cuv_hooks_add(cuv_hook *list, cuv_hook *hook);
/// Runs what the list holds now, in order; what is added meanwhile stays for the next call.
void cuv_hooks_run(cuv_hook *list);

#endif
