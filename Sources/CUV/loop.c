// SPDX-License-Identifier: MIT
// The loop: its thread, its turn, its end. Creation and join happen on the caller's thread, all else on the loop's own.
// Must not know what lives on it: it counts, and ends when asked and nothing is left.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1   // pthread_setname_np
#endif
#include <signal.h>
#include <sys/resource.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "cuv_error.h"
#include "hook.h"
#include "loop_uv.h"

static _Thread_local cuv_loop *current;

/// Rounds of hooks in one place of the turn; what still waits then goes on after a poll that does not block.
enum { HOOK_ROUNDS = 8 };

static bool is_empty(const cuv_loop *loop) {
    const cuv_counts *c = &loop->counts;
    int64_t sockets = c->connections + c->listeners + c->datagrams;
    return sockets + c->tls + c->websockets + c->sessions + c->streams + c->flows + c->timers + c->requests + loop->signals == 0;
}

// The loop's own handles go when it was asked to stop, nothing lives on it and the mailbox is empty for good.
static void end_if_done(cuv_loop *loop) {
    if (loop->ended || !atomic_load_explicit(&loop->stopping, memory_order_acquire)) return;
    if (!is_empty(loop) || !cuv_hooks_empty(&loop->soon) || !cuv_hooks_empty(&loop->flush)) return;
    if (!cuv_mailbox_close(&loop->mailbox)) return;
    loop->ended = true;
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->check, NULL);
    uv_close((uv_handle_t *)&loop->idle, NULL);
    uv_close((uv_handle_t *)&loop->closing_timer, NULL);
}

static void on_idle(uv_idle_t *idle) {
    (void)idle;
}

static void run_hooks(cuv_loop *loop) {
    bool waiting = true;
    for (int round = 0; waiting && round < HOOK_ROUNDS; round++) {
        cuv_hooks_run(&loop->soon);
        bool last = round == HOOK_ROUNDS - 1;
        if (last || cuv_hooks_empty(&loop->soon)) cuv_hooks_run(&loop->flush);
        waiting = !cuv_hooks_empty(&loop->soon) || !cuv_hooks_empty(&loop->flush);
    }
    if (loop->ended) return;
    if (waiting) uv_idle_start(&loop->idle, on_idle);
    else uv_idle_stop(&loop->idle);
    end_if_done(loop);
}

static void on_prepare(uv_prepare_t *prepare) {
    cuv_loop *loop = prepare->data;
    run_hooks(loop);
    loop->turn++;
}

static void on_check(uv_check_t *check) { run_hooks(check->data); }

static void on_wake(uv_async_t *wake) {
    cuv_loop *loop = wake->data;
    cuv_mailbox_run(&loop->mailbox);
}

static void on_drain_mailbox(cuv_hook *hook) {
    cuv_mailbox_run(&CUV_CONTAINER(hook, cuv_loop, drain_mailbox)->mailbox);
}

// A write to a connection whose peer is gone is an error code, not the end of the process.
static void ignore_sigpipe(void) {
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL) signal(SIGPIPE, SIG_IGN);
}

// As many descriptors as the system allows us, since the default was made for select() and is a hundredth of that.
static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void prepare_process(void) {
    ignore_sigpipe();
    raise_descriptor_limit();
}

static int init_handles(cuv_loop *loop) {
    uv_prepare_init(&loop->uv, &loop->prepare);
    uv_check_init(&loop->uv, &loop->check);
    uv_idle_init(&loop->uv, &loop->idle);
    uv_timer_init(&loop->uv, &loop->closing_timer);
    loop->prepare.data = loop->check.data = loop->wake.data = loop->uv.data = loop;
    loop->closing_timer.data = loop;
    uv_prepare_start(&loop->prepare, on_prepare);
    uv_check_start(&loop->check, on_check);
    uv_unref((uv_handle_t *)&loop->prepare);
    uv_unref((uv_handle_t *)&loop->check);
    return 0;
}

static void free_loop(cuv_loop *loop) {
    cuv_pool_clear(&loop->pool);
    free(loop->scratch);
    free(loop);
}

// The async handle comes first: it is the one that can fail, and closing the libuv loop needs no other then.
static int init_loop(cuv_loop *loop) {
    int error = uv_loop_init(&loop->uv);
    if (error < 0) return error;
    error = cuv_mailbox_init(&loop->mailbox);
    if (error == 0) {
        error = uv_async_init(&loop->uv, &loop->wake, on_wake);
        if (error == 0) return init_handles(loop);
        cuv_mailbox_free(&loop->mailbox);
    }
    uv_loop_close(&loop->uv);
    return error;
}

cuv_loop *cuv_loop_new(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare_process);
    cuv_loop *loop = calloc(1, sizeof *loop);
    if (!loop) return NULL;
    cuv_hooks_init(&loop->soon);
    cuv_hooks_init(&loop->flush);
    cuv_hooks_init(&loop->at_stop);
    loop->drain_mailbox.run = on_drain_mailbox;
    loop->scratch = malloc(CUV_SCRATCH);
    if (loop->scratch && init_loop(loop) == 0) return loop;
    free_loop(loop);
    return NULL;
}

static void run(cuv_loop *loop) {
    current = loop;
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    current = NULL;
}

static void *run_thread(void *argument) {
    cuv_loop *loop = argument;
#ifdef __APPLE__
    pthread_setname_np(loop->name);
#else
    pthread_setname_np(pthread_self(), loop->name);
#endif
    run(loop);
    return NULL;
}

int cuv_loop_start(cuv_loop *loop, const char *name) {
    strncpy(loop->name, name, sizeof loop->name - 1);
    int error = pthread_create(&loop->thread, NULL, run_thread, loop);
    loop->started = error == 0;
    return -error;
}

static void on_stop(void *ctx) {
    cuv_loop *loop = ctx;
    cuv_hooks_run(&loop->at_stop);
}

void cuv_loop_stop(cuv_loop *loop) {
    atomic_store_explicit(&loop->stopping, true, memory_order_release);
    cuv_loop_post(loop, on_stop, loop);
}

void cuv_loop_join(cuv_loop *loop, cuv_counts *last) {
    if (loop->started) {
        pthread_join(loop->thread, NULL);
    } else {
        cuv_loop_stop(loop);
        run(loop);
    }
    if (last) *last = loop->counts;
    uv_loop_close(&loop->uv);
    cuv_mailbox_free(&loop->mailbox);
    free_loop(loop);
}

int cuv_loop_post(cuv_loop *loop, void (*fn)(void *ctx), void *ctx) {
    int answer = cuv_mailbox_post(&loop->mailbox, fn, ctx);
    if (answer != CUV_POST_WAKE) return answer;
    if (current == loop) cuv_loop_soon(loop, &loop->drain_mailbox);
    else uv_async_send(&loop->wake);
    cuv_mailbox_unlock(&loop->mailbox);
    return 0;
}

void cuv_loop_soon(cuv_loop *loop, cuv_hook *hook) { cuv_hooks_add(&loop->soon, hook); }
void cuv_loop_flush(cuv_loop *loop, cuv_hook *hook) { cuv_hooks_add(&loop->flush, hook); }

bool cuv_loop_is_current(const cuv_loop *loop) { return current == loop; }
cuv_loop *cuv_loop_current(void) { return current; }
bool cuv_loop_is_stopping(const cuv_loop *loop) { return atomic_load_explicit(&loop->stopping, memory_order_relaxed); }
uint64_t cuv_loop_now_ms(const cuv_loop *loop) { return uv_now(&loop->uv); }
uint64_t cuv_now_ns(void) { return uv_hrtime(); }
cuv_counts cuv_loop_counts(const cuv_loop *loop) { return loop->counts; }
cuv_counts *cuv_loop_tally(cuv_loop *loop) { return &loop->counts; }
