// SPDX-License-Identifier: MIT
// The loop's free lists: small objects in steps of 64 bytes, and buffers in four sizes. Each list is bounded, what is beyond
// goes back to malloc. Loop thread only.
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "loop_uv.h"

static const uint32_t buf_sizes[CUV_BUF_CLASSES] = {1024, 4096, 16384, CUV_BUF_MAX};
static const uint32_t buf_keep[CUV_BUF_CLASSES] = {512, 256, 64, 64};
enum { OBJECT_KEEP = 1024 };

static int buf_class(size_t capacity) {
    for (int i = 0; i < CUV_BUF_CLASSES; i++) {
        if (capacity <= buf_sizes[i]) return i;
    }
    return -1;
}

static size_t rounded(size_t capacity) {
    size_t size = CUV_BUF_MAX;
    while (size < capacity) size *= 2;
    return size;
}

static cuv_buf *buf_new(size_t capacity) {
    if (capacity > UINT32_MAX / 2) return NULL;
    cuv_buf *buf = malloc(sizeof *buf + capacity);
    if (buf) buf->capacity = (uint32_t)capacity;
    return buf;
}

cuv_buf *cuv_buf_take(cuv_loop *loop, size_t capacity) {
    int class = buf_class(capacity);
    cuv_buf *buf = class >= 0 ? loop->pool.bufs[class] : NULL;
    if (buf) {
        loop->pool.bufs[class] = buf->next;
        loop->pool.buf_count[class]--;
    } else {
        buf = buf_new(class >= 0 ? buf_sizes[class] : rounded(capacity));
        if (!buf) return NULL;
    }
    buf->next = NULL;
    buf->start = buf->end = 0;
    loop->counts.buffers++;
    loop->counts.buffer_bytes += buf->capacity;
    return buf;
}

void cuv_buf_give(cuv_loop *loop, cuv_buf *buf) {
    if (!buf) return;
    loop->counts.buffers--;
    loop->counts.buffer_bytes -= buf->capacity;
    int class = buf_class(buf->capacity);
    if (CUV_NO_POOL || class < 0 || loop->pool.buf_count[class] >= buf_keep[class]) {
        free(buf);
        return;
    }
    buf->next = loop->pool.bufs[class];
    loop->pool.bufs[class] = buf;
    loop->pool.buf_count[class]++;
}

void *cuv_object_take(cuv_loop *loop, size_t size) {
    size_t class = (size + CUV_OBJECT_STEP - 1) / CUV_OBJECT_STEP - 1;
    if (class >= CUV_OBJECT_CLASSES) return NULL;
    struct cuv_free_object *object = loop->pool.objects[class];
    if (!object) return calloc(1, CUV_NO_POOL ? size : (class + 1) * CUV_OBJECT_STEP);
    loop->pool.objects[class] = object->next;
    loop->pool.object_count[class]--;
    return memset(object, 0, size);
}

void cuv_object_give(cuv_loop *loop, void *memory, size_t size) {
    size_t class = (size + CUV_OBJECT_STEP - 1) / CUV_OBJECT_STEP - 1;
    if (CUV_NO_POOL || loop->pool.object_count[class] >= OBJECT_KEEP) {
        free(memory);
        return;
    }
    struct cuv_free_object *object = memory;
    object->next = loop->pool.objects[class];
    loop->pool.objects[class] = object;
    loop->pool.object_count[class]++;
}

void cuv_pool_clear(cuv_pool *pool) {
    for (int i = 0; i < CUV_BUF_CLASSES; i++) {
        for (cuv_buf *buf = pool->bufs[i], *next; buf; buf = next) {
            next = buf->next;
            free(buf);
        }
    }
    for (int i = 0; i < CUV_OBJECT_CLASSES; i++) {
        for (struct cuv_free_object *object = pool->objects[i], *next; object; object = next) {
            next = object->next;
            free(object);
        }
    }
}
