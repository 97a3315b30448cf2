// SPDX-License-Identifier: MIT
// A stream that is held back by its window moves one window a round trip, however the bytes are spread over it: a window may well come in
// one burst. A window of twice the bandwidth-delay product is never the limit: what leaves in a round trip is half of it, and there the
// growth ends by itself.
#include "yamux_window.h"

#include "cw_yamux_frame.h"

void yamux_window_init(yamux_window *window, uint64_t now_ns) {
    *window = (yamux_window){.size = CW_YAMUX_INITIAL_WINDOW, .open = CW_YAMUX_INITIAL_WINDOW, .since_ns = now_ns};
}

bool yamux_window_receive(yamux_window *window, uint32_t count) {
    if (count > window->open) return false;
    window->open -= count;
    return true;
}

void yamux_window_consume(yamux_window *window, uint64_t count) {
    uint32_t unread = window->size - window->open - window->owed;
    window->owed += count < unread ? (uint32_t)count : unread;
}

bool yamux_window_is_due(const yamux_window *window) { return window->owed >= window->size / 2; }

// Whether what is owed left faster than half a window a round trip. No product overflows: the time was found to be two round trips at most.
static bool holds_the_peer_back(const yamux_window *window, const yamux_growth *growth, uint64_t now_ns) {
    uint64_t taken_ns = now_ns - window->since_ns;
    if (!yamux_window_is_due(window) || taken_ns / 2 >= growth->round_trip_ns) return false;
    return taken_ns * window->size < 2 * growth->round_trip_ns * window->owed;
}

static uint32_t growth_due(const yamux_window *window, const yamux_growth *growth, uint64_t now_ns) {
    if (!holds_the_peer_back(window, growth, now_ns)) return 0;
    if (window->size >= growth->largest) return 0;
    uint64_t by = window->size;
    if (by > growth->largest - window->size) by = growth->largest - window->size;
    if (by > growth->left) by = growth->left;
    return (uint32_t)by;
}

uint32_t yamux_window_announce(yamux_window *window, yamux_growth *growth, uint64_t now_ns) {
    uint32_t by = growth_due(window, growth, now_ns);
    growth->left -= by;
    uint32_t delta = window->owed + by;
    window->size += by;
    window->open += delta;
    window->owed = 0;
    window->since_ns = now_ns;
    return delta;
}

void yamux_window_end(yamux_window *window, yamux_growth *growth) {
    growth->left += window->size - CW_YAMUX_INITIAL_WINDOW;
    window->size = window->open = CW_YAMUX_INITIAL_WINDOW;
    window->owed = 0;
}
