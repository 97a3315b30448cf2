// SPDX-License-Identifier: MIT
// The table of streams and the receive window by themselves: no loop, no clock, no sockets.
// The window meets simulated ways and readers.
#include "tunnel_support.h"

#include "yamux_types.h"

enum { IDS = 4000 };

static void the_table_is_a_set_of_ids(void) {
    static yamux_stream streams[IDS];
    static bool in[IDS];
    yamux_table table;
    uint64_t random = 1;
    uint32_t count = 0;
    yamux_table_init(&table, 0x1234567);
    for (uint32_t i = 0; i < IDS; i++) streams[i].id = i * 2 + 2;
    for (int step = 0; step < 200000; step++) {
        // Filling and emptying by turns, so that it grows, probes far and closes holes.
        uint32_t i = (uint32_t)(next_random(&random) % IDS);
        bool add = next_random(&random) % 8 < (step / 20000 % 2 ? 2U : 6U);
        CHECK(yamux_table_find(&table, streams[i].id) == (in[i] ? &streams[i] : NULL));
        if (add == in[i]) continue;
        if (add) CHECK_EQUAL(yamux_table_add(&table, &streams[i]), 0);
        else yamux_table_remove(&table, &streams[i]);
        in[i] = add;
        count += add ? 1 : -1U;
        CHECK_EQUAL(table.count, count);
        if (step % 5000 == 0) yamux_table_shrink(&table);
    }
    uint32_t slot = 0, walked = 0;
    for (yamux_stream *s; (s = yamux_table_next(&table, &slot)) != NULL; walked++) CHECK(in[(s->id - 2) / 2]);
    CHECK_EQUAL(walked, count);
    for (uint32_t i = 0; i < IDS; i++) if (in[i]) yamux_table_remove(&table, &streams[i]);
    yamux_table_shrink(&table);
    CHECK(table.slots == NULL);
}

static const uint64_t ms = 1000000;

// A peer that always fills the window, over a way of `trip`, from a reader that takes `rate` bytes a millisecond.
static uint32_t grown(uint64_t trip, uint64_t rate, uint32_t largest, uint64_t left) {
    yamux_window w;
    yamux_growth growth = {.left = left, .round_trip_ns = trip * ms, .largest = largest};
    yamux_window_init(&w, 0);
    for (uint64_t now = 0; now < 5000; now++) {
        // What the window lets through in a millisecond: a window a round trip.
        uint64_t flow = w.size / trip < rate ? w.size / trip : rate;
        if (flow > w.open) flow = w.open;
        CHECK(yamux_window_receive(&w, (uint32_t)flow));
        yamux_window_consume(&w, flow);
        if (yamux_window_is_due(&w)) yamux_window_announce(&w, &growth, (now + 1) * ms);
        CHECK(w.size == w.open + w.owed && w.size <= largest);
    }
    CHECK_EQUAL(growth.left, left - (w.size - CW_YAMUX_INITIAL_WINDOW));
    uint32_t size = w.size;
    yamux_window_end(&w, &growth);
    CHECK_EQUAL(growth.left, left);
    return size;
}

static void the_window_meets_the_bandwidth_delay_product(void) {
    CHECK(grown(50, 100000, 16 << 20, 64 << 20) >= 10000000);            // 100 MB/s at 50 ms
    CHECK_EQUAL(grown(50, 2000, 16 << 20, 64 << 20), 256 * 1024);        // 2 MB/s needs no more than the first
    CHECK_EQUAL(grown(1, 100000, 16 << 20, 64 << 20), 256 * 1024);       // nor do 100 MB/s at 1 ms
    CHECK_EQUAL(grown(200, 1000000, 16 << 20, 64 << 20), 16 << 20);      // the bound of one
    CHECK_EQUAL(grown(200, 1000000, 16 << 20, 1 << 20), (1 << 20) + 256 * 1024);   // the bound of all
}

// A fast way delivers a whole window at once, a little later than the shortest round trip that was measured.
static void a_window_that_comes_in_one_burst_grows(void) {
    yamux_window w;
    yamux_growth growth = {.left = 64 << 20, .round_trip_ns = 50 * ms, .largest = 16 << 20};
    yamux_window_init(&w, 0);
    for (uint64_t now = 1; now <= 7; now++) {
        uint32_t burst = w.open;
        CHECK(yamux_window_receive(&w, burst));
        yamux_window_consume(&w, burst);
        yamux_window_announce(&w, &growth, now * 52 * ms);
    }
    CHECK_EQUAL(w.size, 16 << 20);
}

static void without_a_round_trip_nothing_grows(void) {
    yamux_window w;
    yamux_growth growth = {.left = 64 << 20, .largest = 16 << 20};
    yamux_window_init(&w, 0);
    CHECK(yamux_window_receive(&w, CW_YAMUX_INITIAL_WINDOW));
    CHECK(!yamux_window_receive(&w, 1));
    yamux_window_consume(&w, CW_YAMUX_INITIAL_WINDOW);
    yamux_window_consume(&w, 1);   // more than came is nobody's
    CHECK_EQUAL(yamux_window_announce(&w, &growth, 1), CW_YAMUX_INITIAL_WINDOW);
    CHECK(w.size == CW_YAMUX_INITIAL_WINDOW && w.open == w.size);
}

int main(void) {
    the_table_is_a_set_of_ids();
    the_window_meets_the_bandwidth_delay_product();
    a_window_that_comes_in_one_burst_grows();
    without_a_round_trip_nothing_grows();
    return 0;
}
