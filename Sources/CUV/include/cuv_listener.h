// SPDX-License-Identifier: MIT
// A listening TCP socket of one loop. Several loops listen on one address, each with a socket of its own (SO_REUSEPORT).
// Loop thread only.
#ifndef CUV_LISTENER_H
#define CUV_LISTENER_H

#include "cuv_tcp.h"

typedef struct cuv_listener cuv_listener;

/// A connection came. The stream has no owner yet: set one inside the call, or it is closed. Reading is off.
typedef void (*cuv_on_accept)(void *ctx, cuv_listener *listener, cuv_stream *stream);

/// Listens. family 6 with the unspecified address takes IPv4 too (dual stack). port 0: any free one (see cuv_listener_address).
/// `shared`: SO_REUSEPORT, so that other loops can listen on the same address. NULL with *error set.
/// When the process runs out of descriptors, waiting connections are closed, and accepting goes on by itself; it does not spin.
cuv_listener *cuv_listen(cuv_loop *loop, const cuv_address *at, int backlog, bool shared, cuv_on_accept on_accept, void *ctx, int *error);

/// Whether an address can be listened at, without listening: nobody who connects meanwhile is taken in and lost. Not shared, so that
/// another process's listener is noticed. 0, and *bound (port 0: a free one), or an error. Any thread.
int cuv_listen_probe(const cuv_address *at, cuv_address *bound);

int cuv_listener_address(const cuv_listener *listener, cuv_address *out);

/// Connections that were refused because no descriptor was left.
uint64_t cuv_listener_refused(const cuv_listener *listener);

/// Stops listening. Connections that wait already are handed over first, inside the call. ctx is not used again after on_closed (may be NULL),
/// which follows in a later turn.
void cuv_listener_close(cuv_listener *listener, void (*on_closed)(void *ctx));

#endif
