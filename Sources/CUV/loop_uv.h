// SPDX-License-Identifier: MIT
// A loop's insides, for the files of the engine that call libuv. Include <uv.h> first: this header may not.
// Everything but the mailbox belongs to the loop's thread.
#ifndef CUV_LOOP_UV_H
#define CUV_LOOP_UV_H

#include <pthread.h>
#include <stdatomic.h>

#include "buf.h"
#include "loop_core.h"
#include "mailbox.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CUV_NO_POOL 1   // so that the sanitizer sees every use after free
#endif
#endif
#ifndef CUV_NO_POOL
#define CUV_NO_POOL 0
#endif

enum { CUV_BUF_CLASSES = 4, CUV_OBJECT_CLASSES = 32, CUV_OBJECT_STEP = 64 };

typedef struct cuv_pool {
    cuv_buf *bufs[CUV_BUF_CLASSES];
    uint32_t buf_count[CUV_BUF_CLASSES];
    struct cuv_free_object { struct cuv_free_object *next; } *objects[CUV_OBJECT_CLASSES];
    uint32_t object_count[CUV_OBJECT_CLASSES];
} cuv_pool;

/// Frees what the pool holds.
void cuv_pool_clear(cuv_pool *pool);

struct cuv_loop {
    uv_loop_t uv;
    uv_async_t wake;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;             // active while hooks wait: the poll may not block
    cuv_hook soon;              // list heads
    cuv_hook flush;
    cuv_hook at_stop;           // who wants to hear that the loop is asked to end
    cuv_counts counts;
    uint32_t turn;              // counts the turns
    int64_t signals;            // what lives but is not in the counts
    cuv_pool pool;
    struct cuv_tcp *closing;    // streams that close politely, each with a deadline (tcp_close.c)
    uv_timer_t closing_timer;
    cuv_mailbox mailbox;
    cuv_hook drain_mailbox;     // posts from the loop's own thread need no wake-up
    atomic_bool stopping;
    bool started;
    bool ended;                 // the loop's own handles are closing
    pthread_t thread;
    char name[16];
    uint8_t *scratch;
};


#endif
