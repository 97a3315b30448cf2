// SPDX-License-Identifier: MIT
// The receive window of one yamux stream, and how it grows with the bandwidth-delay product it meets and shrinks where its reader is slow.
// Pure: times are passed in. Always: open + (received, not given back) + owed = size. On the loop's thread; a budget is of all threads.
#ifndef YAMUX_WINDOW_H
#define YAMUX_WINDOW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct yamux_window {
    uint32_t size;       ///< bytes the peer may have under way or unread here
    uint32_t open;       ///< bytes the peer may still send
    uint32_t owed;       ///< bytes that left here and were not announced to the peer yet
    uint64_t since_ns;   ///< when the last announcement was made
} yamux_window;

/// What the windows of many sessions may grow by. Any thread.
typedef struct yamux_budget {
    _Atomic uint64_t left;    ///< bytes that may still be taken
} yamux_budget;

/// What all the windows of a session may grow by, and how far away its peer is.
typedef struct yamux_growth {
    yamux_budget *budget;     ///< what it takes from, which others take from too
    uint64_t left;            ///< bytes that windows may still grow by, all together
    uint64_t taken;           ///< bytes they have grown by
    uint64_t round_trip_ns;   ///< the shortest one lately, as far as a peer is believed; 0: not known, nothing grows
    uint32_t largest;         ///< one window's bound
} yamux_growth;

void yamux_window_init(yamux_window *window, uint64_t now_ns);

/// The peer sent so many bytes. False: more than it was allowed to (yamux spec, "Flow Control").
bool yamux_window_receive(yamux_window *window, uint32_t count);

/// So many bytes left here.
void yamux_window_consume(yamux_window *window, uint64_t count);

/// Half a window is owed: time to announce.
bool yamux_window_is_due(const yamux_window *window);

/// A ping took so long.
void yamux_growth_learn(yamux_growth *growth, uint64_t nanoseconds);

/// Takes what to announce. When more than half a window a round trip left, the window, not the reader, is what holds the peer back:
/// then it doubles, out of `growth`, as far as its share goes. When the reader is much slower than that, less is announced than left, and
/// what it had grown by goes back bit by bit: what was announced once stays the peer's.
uint32_t yamux_window_announce(yamux_window *window, yamux_growth *growth, uint64_t now_ns);

/// Gives what the window had grown by back to the session. For when nothing that came is kept any more.
void yamux_window_end(yamux_window *window, yamux_growth *growth);

#endif
