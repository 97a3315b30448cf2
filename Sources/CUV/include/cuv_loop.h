// SPDX-License-Identifier: MIT
// A loop: one pthread, one libuv loop, one mailbox, one scratch buffer, and the counters of everything that lives on it.
// Loop thread only, but for what says "Any thread".
#ifndef CUV_LOOP_H
#define CUV_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cuv_loop cuv_loop;

/// How many of each are alive. After shutdown all are zero (that is a test).
typedef struct cuv_counts {
    int64_t connections;   ///< TCP streams, connecting ones included
    int64_t listeners;
    int64_t datagrams;     ///< UDP sockets
    int64_t tls;           ///< TLS streams, handshaking ones included
    int64_t websockets;
    int64_t sessions;
    int64_t streams;       ///< yamux streams
    int64_t flows;
    int64_t timers;        ///< timers that exist, armed or not
    int64_t requests;      ///< resolves and other one-shot requests under way
    int64_t buffers;       ///< pooled buffers handed out (queued or kept bytes)
    int64_t buffer_bytes;
} cuv_counts;

/// Makes a loop that does not run yet. Any thread. The first one prepares the process: SIGPIPE is ignored where nobody handles it, and the
/// limit of descriptors is raised as far as the system allows. NULL only when the system has no descriptors or memory left.
cuv_loop *cuv_loop_new(void);

/// Starts the loop's thread, named `name` (at most 15 bytes). Any thread, once. 0 or an error.
int cuv_loop_start(cuv_loop *loop, const char *name);

/// Asks the loop to end once nothing lives on it any more: the thread ends when all handles are closed. Any thread.
/// Closing what lives on it is its owners' work.
void cuv_loop_stop(cuv_loop *loop);

/// Waits for the thread to end and frees the loop. Not on the loop's own thread. Afterwards the pointer is dead.
/// `last` (may be NULL) gets the counters as they were at the end.
void cuv_loop_join(cuv_loop *loop, cuv_counts *last);

/// Runs `fn(ctx)` on the loop, in order of posting, never inside this call. Any thread. The mailbox is drained whole.
/// Returns CUV_E_CLOSED when the loop has stopped: then fn will not run and ctx stays the caller's.
int cuv_loop_post(cuv_loop *loop, void (*fn)(void *ctx), void *ctx);

/// True on the loop's own thread. Any thread.
bool cuv_loop_is_current(const cuv_loop *loop);

/// The loop whose thread this is, or NULL. Any thread.
cuv_loop *cuv_loop_current(void);

/// Milliseconds of a monotonic clock, as read at the start of this loop turn.
uint64_t cuv_loop_now_ms(const cuv_loop *loop);

/// Nanoseconds of a monotonic clock, read now. Any thread.
uint64_t cuv_now_ns(void);

/// Processors the scheduler lets this process use, at least 1. Any thread.
int cuv_processor_count(void);

/// The counters. On the loop's thread.
cuv_counts cuv_loop_counts(const cuv_loop *loop);

#endif
