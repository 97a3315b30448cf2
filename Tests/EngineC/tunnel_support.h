// SPDX-License-Identifier: MIT
// What the tests of the tunnel's carriers share: a loop that the test turns by hand, streams in memory, peers that count and check what
// they get. Everything runs on the test's one thread.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1   // memmem
#endif
#ifndef TUNNEL_SUPPORT_H
#define TUNNEL_SUPPORT_H

#include <uv.h>

#include "check.h"
#include "loop_uv.h"
#include "stream_core.h"

/// Turns the loop once, without waiting.
void turn(cuv_loop *loop);
/// Turns it until `done(ctx)`; fails the test after `seconds`.
void turn_until(cuv_loop *loop, bool (*done)(void *), void *ctx, double seconds);
/// Turns it for so long.
void turn_for(cuv_loop *loop, double seconds);
/// Stops the loop, waits for its end, and checks that nothing lived on.
void end_loop(cuv_loop *loop);

/// What a tap leaves behind.
typedef struct tap_rest {
    bool gone;
    uint8_t *out;          ///< the test frees it
    size_t out_count;
} tap_rest;

/// One end of nothing: what is written to it is captured, what is fed comes out as its bytes.
typedef struct tap {
    cuv_stream base;
    uint8_t *out;          ///< what was written
    size_t out_count, out_capacity;
    int writes;
    bool blocked;          ///< writes count as queued until tap_unblock
    bool shut, closed, aborted;
    bool *gone;            ///< set when the memory goes
    tap_rest *rest;        ///< filled in then; NULL: nobody wants it
} tap;

tap *tap_new(cuv_loop *loop);
/// Bytes come from the peer. In pieces of `step` bytes (0: at once).
void tap_feed(tap *t, const void *bytes, size_t count, size_t step);
void tap_unblock(tap *t);
void tap_forget(tap *t);

/// Two streams, each the other's peer. Bytes arrive `delay_ms` later (0: next turn); at most `capacity` are under way, the rest is queued.
void pipe_new(cuv_loop *loop, uint32_t delay_ms, size_t capacity, cuv_stream **a, cuv_stream **b);

/// Two ends of a TCP connection over loopback.
void tcp_pair(cuv_loop *loop, cuv_stream **a, cuv_stream **b);

/// A pseudo random byte for each place of a stream, so that a reader can check any piece.
void pattern_fill(uint8_t *to, size_t count, uint64_t seed, uint64_t place);
bool pattern_holds(const uint8_t *bytes, size_t count, uint64_t seed, uint64_t place);

/// Small and repeatable.
uint64_t next_random(uint64_t *state);

#endif
