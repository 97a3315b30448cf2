// SPDX-License-Identifier: MIT
// Names to addresses, by the system's resolver, off the loop's thread.
// Asked and answered on the loop's thread; keeps no cache.
#ifndef CUV_RESOLVE_H
#define CUV_RESOLVE_H

#include "cuv_tcp.h"

/// status 0 and at least one address (in the system's order of preference), or an error and none. Addresses are valid during the call.
typedef void (*cuv_on_resolved)(void *ctx, int status, const cuv_address *addresses, size_t count);

/// Resolves a host name; a numeric address answers itself. on_resolved is called exactly once, in a later turn. Cannot be cancelled: keep ctx until then.
int cuv_resolve(cuv_loop *loop, const char *host, uint16_t port, cuv_on_resolved on_resolved, void *ctx);

#endif
