// SPDX-License-Identifier: MIT
// Names to addresses, by the system's resolver, off the loop's thread.
// Asked and answered on the loop's thread; keeps no cache.
#ifndef CUV_RESOLVE_H
#define CUV_RESOLVE_H

#include "cuv_tcp.h"

/// status 0 and at least one address (in the system's order of preference), or an error and none. Addresses are valid during the call.
typedef void (*cuv_on_resolved)(void *ctx, int status, const cuv_address *addresses, size_t count);

/// A question under way.
typedef struct cuv_query cuv_query;

/// Resolves a host name; a numeric address answers itself. on_resolved is called exactly once, in a later turn, unless cancelled; with
/// CUV_E_CLOSED when the loop is asked to stop first. The query is dead once on_resolved was called. NULL with *error set on failure.
/// The system's resolver cannot be interrupted: a question given up goes on without us, and neither loop nor process waits for it.
cuv_query *cuv_resolve(cuv_loop *loop, const char *host, uint16_t port, cuv_on_resolved on_resolved, void *ctx, int *error);

/// Gives up a question that was not answered yet: on_resolved is not called, ctx not used again.
void cuv_resolve_cancel(cuv_query *query);

#endif
