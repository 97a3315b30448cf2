// SPDX-License-Identifier: MIT
// A stream that is held back by its window moves one window a round trip, however the bytes are spread over it: a window may well come in
// one burst. A window of twice the bandwidth-delay product is never the limit: what leaves in a round trip is half of it, and there the
// growth ends by itself.
// The peer has a say in all of it: it sends, and answers pings as late as it likes. So nobody gets more than a quarter of what there is, and
// who comes behind any number of streams that stand still finds some.
#include "yamux_window.h"

#include "cw_yamux_frame.h"

enum {
    NEARBY_NS = 500000,     // what a busy machine alone may take; a peer no further needs no larger windows
    FAR_NS = 1000000000,    // further away than by way of a satellite: somebody answers late
    SLOW = 8,               // round trips for half a window: it is four times as large as it needs to be, or more
};

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

static uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

// What one that has taken so much may still take: up to a quarter of what there would be without it.
static uint64_t share(uint64_t left, uint64_t taken) {
    uint64_t most = (left + taken) / 4;
    return most > taken ? most - taken : 0;
}

static uint64_t grown_by(const yamux_window *window) { return window->size - CW_YAMUX_INITIAL_WINDOW; }

// Takes from the budget, then from the session. Returns how much there was for it, `wanted` at most.
static uint32_t take(yamux_growth *growth, uint64_t wanted) {
    uint64_t left = atomic_load_explicit(&growth->budget->left, memory_order_relaxed), by;
    do {
        by = smaller(wanted, share(left, growth->taken));
    } while (by > 0 && !atomic_compare_exchange_weak_explicit(&growth->budget->left, &left, left - by, memory_order_relaxed, memory_order_relaxed));
    growth->left -= by;
    growth->taken += by;
    return (uint32_t)by;
}

static void give_back(yamux_growth *growth, uint64_t count) {
    growth->left += count;
    growth->taken -= count;
    atomic_fetch_add_explicit(&growth->budget->left, count, memory_order_relaxed);
}

static uint32_t grow(const yamux_window *window, yamux_growth *growth, uint64_t now_ns) {
    if (!holds_the_peer_back(window, growth, now_ns) || window->size >= growth->largest) return 0;
    uint64_t by = smaller(window->size, growth->largest - window->size);
    return take(growth, smaller(by, share(growth->left, grown_by(window))));
}

// Half of what is owed at most, so that something is announced.
static uint32_t shrink(const yamux_window *window, yamux_growth *growth, uint64_t now_ns) {
    if ((now_ns - window->since_ns) / SLOW <= growth->round_trip_ns) return 0;
    uint64_t by = smaller(window->owed / 2, grown_by(window));
    give_back(growth, by);
    return (uint32_t)by;
}

// Queues on the way only ever lengthen a measurement, so a shorter one counts at once and a longer one little by little.
void yamux_growth_learn(yamux_growth *growth, uint64_t nanoseconds) {
    uint64_t *known = &growth->round_trip_ns;
    nanoseconds = nanoseconds > NEARBY_NS ? smaller(nanoseconds - NEARBY_NS, FAR_NS) : 1;
    if (*known == 0 || nanoseconds < *known) *known = nanoseconds;
    else *known += (nanoseconds - *known) / 8;
}

uint32_t yamux_window_announce(yamux_window *window, yamux_growth *growth, uint64_t now_ns) {
    uint32_t more = grow(window, growth, now_ns), less = more ? 0 : shrink(window, growth, now_ns);
    uint32_t delta = window->owed + more - less;
    window->size += more - less;
    window->open += delta;
    window->owed = 0;
    window->since_ns = now_ns;
    return delta;
}

void yamux_window_end(yamux_window *window, yamux_growth *growth) {
    give_back(growth, grown_by(window));
    window->size = window->open = CW_YAMUX_INITIAL_WINDOW;
    window->owed = 0;
}
