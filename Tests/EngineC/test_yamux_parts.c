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
static void run(yamux_window *w, yamux_growth *growth, uint64_t trip, uint64_t rate, uint64_t since) {
    for (uint64_t now = since; now < since + 5000; now++) {
        // What the window lets through in a millisecond: a window a round trip.
        uint64_t flow = w->size / trip < rate ? w->size / trip : rate;
        if (flow > w->open) flow = w->open;
        CHECK(yamux_window_receive(w, (uint32_t)flow));
        yamux_window_consume(w, flow);
        uint32_t open = w->open, delta = yamux_window_is_due(w) ? yamux_window_announce(w, growth, (now + 1) * ms) : 0;
        CHECK_EQUAL(w->open, open + delta);
        CHECK(w->size == w->open + w->owed && w->size <= growth->largest && w->size >= CW_YAMUX_INITIAL_WINDOW);
    }
}

static const uint64_t plenty = 1 << 30;

static uint32_t grown(uint64_t trip, uint64_t rate, uint32_t largest, uint64_t left) {
    yamux_window w;
    yamux_budget budget = {plenty};
    yamux_growth growth = {.budget = &budget, .left = left, .round_trip_ns = trip * ms, .largest = largest};
    yamux_window_init(&w, 0);
    run(&w, &growth, trip, rate, 0);
    CHECK_EQUAL(growth.left, left - (w.size - CW_YAMUX_INITIAL_WINDOW));
    CHECK(growth.taken == left - growth.left && budget.left == plenty - growth.taken);
    uint32_t size = w.size;
    yamux_window_end(&w, &growth);
    CHECK(growth.left == left && growth.taken == 0 && budget.left == plenty);
    return size;
}

static void the_window_meets_the_bandwidth_delay_product(void) {
    CHECK(grown(50, 100000, 16 << 20, 64 << 20) >= 10000000);            // 100 MB/s at 50 ms
    CHECK_EQUAL(grown(50, 2000, 16 << 20, 64 << 20), 256 * 1024);        // 2 MB/s needs no more than the first
    CHECK_EQUAL(grown(1, 100000, 16 << 20, 64 << 20), 256 * 1024);       // nor do 100 MB/s at 1 ms
    CHECK_EQUAL(grown(200, 1000000, 16 << 20, 64 << 20), 16 << 20);      // the bound of one
    CHECK_EQUAL(grown(200, 1000000, 16 << 20, 1 << 20), 512 * 1024);     // a quarter of what all have
}

// Each of them as fast as its window allows, then not a byte more is read.
static void those_that_stand_still_leave_room_for_others(void) {
    enum { STREAMS = 9 };
    yamux_window w[STREAMS];
    yamux_budget budget = {512 << 20};
    yamux_growth growth = {.budget = &budget, .left = 64 << 20, .round_trip_ns = 50 * ms, .largest = 16 << 20};
    for (int i = 0; i < STREAMS; i++) {
        yamux_window_init(&w[i], 0);
        run(&w[i], &growth, 50, 1000000, 0);
        CHECK(yamux_window_receive(&w[i], w[i].open));
    }
    CHECK_EQUAL(w[0].size, 16 << 20);
    CHECK(w[4].size > 5 << 20);   // 100 MB/s
    CHECK(w[8].size > 1 << 20);
    for (int i = 0; i < STREAMS; i++) yamux_window_end(&w[i], &growth);
    CHECK(growth.left == 64 << 20 && budget.left == 512 << 20);
}

static void sessions_share_what_the_process_has(void) {
    enum { SESSIONS = 250 };
    static yamux_window w[SESSIONS][4];
    static yamux_growth growth[SESSIONS];
    yamux_budget budget = {512 << 20};
    for (int i = 0; i < SESSIONS; i++) {
        growth[i] = (yamux_growth){.budget = &budget, .left = 64 << 20, .round_trip_ns = 500 * ms, .largest = 16 << 20};
        for (int k = 0; k < 4; k++) {
            yamux_window_init(&w[i][k], 0);
            run(&w[i][k], &growth[i], 500, 1000000, 0);
        }
    }
    uint64_t all = 0;
    for (int i = 0; i < SESSIONS; i++) all += growth[i].taken;
    CHECK(all <= 512 << 20 && budget.left == (512 << 20) - all);
    CHECK_EQUAL(w[9][0].size, 16 << 20);   // behind nine that took all they could
    CHECK(growth[15].taken >= 4 << 20);
    for (int i = 0; i < SESSIONS; i++)
        for (int k = 0; k < 4; k++) yamux_window_end(&w[i][k], &growth[i]);
    CHECK_EQUAL(budget.left, 512 << 20);
}

// 4 MB/s over a way of 10 ms, whose other end answers pings after 5 s.
static void who_answers_pings_late_has_no_larger_window_for_it(void) {
    yamux_window w;
    yamux_budget budget = {plenty};
    yamux_growth growth = {.budget = &budget, .left = 64 << 20, .largest = 16 << 20};
    for (int i = 0; i < 100; i++) yamux_growth_learn(&growth, 5000 * ms);
    CHECK_EQUAL(growth.round_trip_ns, 1000 * ms);
    yamux_window_init(&w, 0);
    run(&w, &growth, 10, 4000, 0);
    CHECK(w.size <= 8 << 20);
    yamux_growth_learn(&growth, 10 * ms);
    CHECK(growth.round_trip_ns < 10 * ms);
}

// What was announced is never taken back; less is announced than was read.
static void a_slow_reader_gives_back_what_its_window_grew_by(void) {
    yamux_window w;
    yamux_budget budget = {plenty};
    yamux_growth growth = {.budget = &budget, .left = 64 << 20, .round_trip_ns = 50 * ms, .largest = 16 << 20};
    yamux_window_init(&w, 0);
    run(&w, &growth, 50, 1000000, 0);
    CHECK_EQUAL(w.size, 16 << 20);
    uint64_t now = 5000;
    for (int i = 0; i < 60; i++, now += 5000) run(&w, &growth, 50, 200, now);
    CHECK(w.size < 512 * 1024);
    CHECK(growth.taken == w.size - CW_YAMUX_INITIAL_WINDOW && budget.left == plenty - growth.taken);
    run(&w, &growth, 50, 1000000, now);
    CHECK_EQUAL(w.size, 16 << 20);   // and has it again when it is fast
}

// From the full stop: nothing may wait for what will not come.
static void a_reader_that_goes_on_after_a_stop_gets_all(void) {
    yamux_window w;
    yamux_budget budget = {plenty};
    yamux_growth growth = {.budget = &budget, .left = 64 << 20, .round_trip_ns = 50 * ms, .largest = 16 << 20};
    yamux_window_init(&w, 0);
    run(&w, &growth, 50, 1000000, 0);
    CHECK(yamux_window_receive(&w, w.open));
    uint64_t now = 60000 * ms;
    for (int i = 0; i < 4000; i++, now += 1000 * ms) {
        yamux_window_consume(&w, 64 * 1024);
        if (yamux_window_is_due(&w)) CHECK(yamux_window_announce(&w, &growth, now) > 0);
        CHECK(yamux_window_receive(&w, w.open));
    }
    CHECK_EQUAL(w.size, CW_YAMUX_INITIAL_WINDOW);
    CHECK(growth.taken == 0 && growth.left == 64 << 20 && budget.left == plenty);
}

// A fast way delivers a whole window at once, a little later than the shortest round trip that was measured.
static void a_window_that_comes_in_one_burst_grows(void) {
    yamux_window w;
    yamux_budget budget = {plenty};
    yamux_growth growth = {.budget = &budget, .left = 64 << 20, .round_trip_ns = 50 * ms, .largest = 16 << 20};
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
    yamux_budget budget = {plenty};
    yamux_growth growth = {.budget = &budget, .left = 64 << 20, .largest = 16 << 20};
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
    those_that_stand_still_leave_room_for_others();
    sessions_share_what_the_process_has();
    who_answers_pings_late_has_no_larger_window_for_it();
    a_slow_reader_gives_back_what_its_window_grew_by();
    a_reader_that_goes_on_after_a_stop_gets_all();
    return 0;
}
