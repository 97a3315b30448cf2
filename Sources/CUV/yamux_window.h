// SPDX-License-Identifier: MIT
// The receive window of one yamux stream, and how it grows with the bandwidth-delay product it meets. Pure: times are passed in.
// Always: open + (received, not given back) + owed = size. On the loop's thread.
#ifndef YAMUX_WINDOW_H
#define YAMUX_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

typedef struct yamux_window {
    uint32_t size;       ///< bytes the peer may have under way or unread here
    uint32_t open;       ///< bytes the peer may still send
    uint32_t owed;       ///< bytes that left here and were not announced to the peer yet
    uint64_t since_ns;   ///< when the last announcement was made
} yamux_window;

/// What all the windows of a session may grow by, and how far away its peer is.
typedef struct yamux_growth {
    uint64_t left;            ///< bytes that windows may still grow by, all together
    uint64_t round_trip_ns;   ///< the shortest one lately; 0: not known, nothing grows
    uint32_t largest;         ///< one window's bound
} yamux_growth;

void yamux_window_init(yamux_window *window, uint64_t now_ns);

/// The peer sent so many bytes. False: more than it was allowed to (yamux spec, "Flow Control").
bool yamux_window_receive(yamux_window *window, uint32_t count);

/// So many bytes left here.
void yamux_window_consume(yamux_window *window, uint64_t count);

/// Half a window is owed: time to announce.
bool yamux_window_is_due(const yamux_window *window);

/// Takes what to announce. When more than half a window a round trip left, the window, not the reader, is what holds the peer back:
/// then it doubles, out of `growth`.
uint32_t yamux_window_announce(yamux_window *window, yamux_growth *growth, uint64_t now_ns);

/// Gives what the window had grown by back to the session.
void yamux_window_end(yamux_window *window, yamux_growth *growth);

#endif
