// SPDX-License-Identifier: MIT
// Signals, delivered on a loop by libuv (which serves several loops and several watchers of one signal).
// Loop thread only.
#include <uv.h>

#include "cuv_error.h"
#include "cuv_signal.h"
#include "loop_uv.h"

typedef struct cuv_signal {
    uv_signal_t handle;
    cuv_loop *loop;
    void (*on_signal)(void *ctx, int number);
    void *ctx;
} watcher;

static void on_delivery(uv_signal_t *handle, int number) {
    watcher *signal = handle->data;
    signal->on_signal(signal->ctx, number);
}

static void on_closed(uv_handle_t *handle) {
    watcher *signal = handle->data;
    signal->loop->signals--;
    cuv_object_give(signal->loop, signal, sizeof *signal);
}

// Signals are no part of the counts, but a loop does not end under one.
cuv_signal *cuv_signal_watch(cuv_loop *loop, int number, void (*on_signal)(void *ctx, int number), void *ctx, int *error) {
    watcher *signal = cuv_object_take(loop, sizeof *signal);
    *error = CUV_E_NO_MEMORY;
    if (!signal) return NULL;
    signal->loop = loop;
    signal->on_signal = on_signal;
    signal->ctx = ctx;
    *error = uv_signal_init(&loop->uv, &signal->handle);
    if (*error < 0) {
        cuv_object_give(loop, signal, sizeof *signal);
        return NULL;
    }
    signal->handle.data = signal;
    loop->signals++;
    *error = uv_signal_start(&signal->handle, on_delivery, number);
    if (*error == 0) return signal;
    uv_close((uv_handle_t *)&signal->handle, on_closed);
    return NULL;
}

void cuv_signal_free(cuv_signal *signal) {
    uv_close((uv_handle_t *)&signal->handle, on_closed);
}
