// SPDX-License-Identifier: MIT
// Timers fire once, in the order of their deadlines; arming anew moves them either way; freeing inside the call is allowed.
// Signals reach their watcher on its loop.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <signal.h>

#include <unistd.h>

#include "check.h"

static cuv_loop *loop;
static cuv_timer *timers[4];
static int fired[4];
static int order[4], count;
static latch done = LATCH(3);

static void on_fire(void *ctx) {
    int which = (int)(intptr_t)ctx;
    fired[which]++;
    order[count++] = which;
    CHECK(!cuv_timer_is_armed(timers[which]));
    if (which == 2) cuv_timer_free(timers[2]);
    latch_down(&done);
}

static void arm(void *ctx) {
    (void)ctx;
    for (int i = 0; i < 4; i++) timers[i] = cuv_timer_new(loop, on_fire, (void *)(intptr_t)i);
    CHECK_EQUAL(cuv_loop_counts(loop).timers, 4);
    cuv_timer_arm(timers[0], 5);
    cuv_timer_arm(timers[0], 60);     // later
    cuv_timer_arm(timers[1], 100000);
    cuv_timer_arm(timers[1], 1);      // earlier
    cuv_timer_arm(timers[2], UINT64_MAX);
    cuv_timer_arm(timers[2], 30);
    cuv_timer_arm(timers[3], 10);     // never
    cuv_timer_disarm(timers[3]);
    CHECK(cuv_timer_is_armed(timers[0]));
    CHECK(!cuv_timer_is_armed(timers[3]));
}

static void end(void *ctx) {
    (void)ctx;
    cuv_timer_free(timers[0]);
    cuv_timer_free(timers[1]);
    cuv_timer_free(timers[3]);
}

static cuv_signal *watch;
static latch delivered = LATCH(1);

static void on_signal(void *ctx, int number) {
    CHECK(ctx == &delivered);
    CHECK_EQUAL(number, SIGUSR1);
    cuv_signal_free(watch);
    latch_down(&delivered);
}

static void start_watch(void *ctx) {
    int error;
    (void)ctx;
    watch = cuv_signal_watch(loop, SIGUSR1, on_signal, &delivered, &error);
    CHECK(watch != NULL);
    CHECK(cuv_signal_watch(loop, SIGKILL, on_signal, NULL, &error) == NULL);
    CHECK(error < 0);
}

int main(void) {
    loop = loop_up("timer");
    cuv_loop *other = loop_up("other");
    on_loop(loop, arm, NULL);
    latch_wait(&done);
    CHECK_EQUAL(fired[0] + fired[1] + fired[2], 3);
    CHECK_EQUAL(fired[3], 0);
    CHECK_EQUAL(order[0], 1);
    CHECK_EQUAL(order[1], 2);
    CHECK_EQUAL(order[2], 0);
    on_loop(loop, end, NULL);
    on_loop(loop, start_watch, NULL);
    kill(getpid(), SIGUSR1);
    latch_wait(&delivered);
    loop_down(other);
    loop_down(loop);
    CHECK_EQUAL(strcmp(cuv_strerror(CUV_E_TRUNCATED), "ended before the end of the message"), 0);
    CHECK(cuv_error_is_exhaustion(-24));
    return 0;
}
