// SPDX-License-Identifier: MIT
// One-shot timers. Arming later than before costs nothing: the libuv timer stays where it is and is put off when it fires early.
// Loop thread only.
#include <uv.h>

#include "cuv_timer.h"
#include "loop_uv.h"

struct cuv_timer {
    uv_timer_t handle;
    cuv_loop *loop;
    void (*on_fire)(void *ctx);
    void *ctx;
    uint64_t deadline;   // of the loop's clock
    bool armed;
};

cuv_timer *cuv_timer_new(cuv_loop *loop, void (*on_fire)(void *ctx), void *ctx) {
    cuv_timer *timer = cuv_object_take(loop, sizeof *timer);
    if (!timer) return NULL;
    uv_timer_init(&loop->uv, &timer->handle);
    timer->handle.data = timer;
    timer->loop = loop;
    timer->on_fire = on_fire;
    timer->ctx = ctx;
    loop->counts.timers++;
    return timer;
}

static void on_due(uv_timer_t *handle) {
    cuv_timer *timer = handle->data;
    uint64_t now = uv_now(&timer->loop->uv);
    if (!timer->armed) return;
    if (now < timer->deadline) {
        uv_timer_start(handle, on_due, timer->deadline - now, 0);
        return;
    }
    timer->armed = false;
    timer->on_fire(timer->ctx);
}

void cuv_timer_arm(cuv_timer *timer, uint64_t milliseconds) {
    uint64_t now = uv_now(&timer->loop->uv);
    timer->deadline = now + milliseconds < now ? UINT64_MAX : now + milliseconds;
    timer->armed = true;
    uv_handle_t *handle = (uv_handle_t *)&timer->handle;
    if (uv_is_active(handle) && now + uv_timer_get_due_in(&timer->handle) <= timer->deadline) return;
    uv_timer_start(&timer->handle, on_due, milliseconds, 0);
}

void cuv_timer_disarm(cuv_timer *timer) {
    timer->armed = false;
}

bool cuv_timer_is_armed(const cuv_timer *timer) {
    return timer->armed;
}

static void on_closed(uv_handle_t *handle) {
    cuv_timer *timer = handle->data;
    timer->loop->counts.timers--;
    cuv_object_give(timer->loop, timer, sizeof *timer);
}

void cuv_timer_free(cuv_timer *timer) {
    if (!timer) return;
    timer->armed = false;
    uv_close((uv_handle_t *)&timer->handle, on_closed);
}
