// SPDX-License-Identifier: MIT
// How many processors this process may use.
// Any thread; keeps no state. It starts nothing: how many loops there are is Swift's decision.
#include "CUV.h"

#include <uv.h>

int cuv_processor_count(void) {
    unsigned int count = uv_available_parallelism();
    return count > 0 ? (int)count : 1;
}
