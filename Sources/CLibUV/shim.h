// SPDX-License-Identifier: MIT
// The system's libuv, found by pkg-config.
// Only Sources/CUV/*.c may include <uv.h>.
#include <uv.h>
