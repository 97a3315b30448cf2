// SPDX-License-Identifier: MIT
// Queues of pooled buffers: bytes copied in at the end, described as spans, dropped from the start.
// Loop thread only.
#include "buf.h"

#include <string.h>

static size_t tail_room(const cuv_queue *queue) {
    return queue->last ? queue->last->capacity - queue->last->end : 0;
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

// Takes the buffers that `count` more bytes need beyond the room at the tail. Sized by what the queue already holds, so that many small
// appends do not make a chain of small buffers.
static int take_chain(cuv_loop *loop, size_t held, size_t count, cuv_queue *chain) {
    while (count > 0) {
        cuv_buf *buf = cuv_buf_take(loop, smaller(held + count, CUV_BUF_MAX));
        if (!buf) {
            cuv_queue_clear(loop, chain);
            return CUV_E_NO_MEMORY;
        }
        cuv_queue_push(chain, buf);
        count -= smaller(count, buf->capacity);
    }
    return 0;
}

static const uint8_t *fill(cuv_buf *buf, const uint8_t *bytes, size_t *count) {
    size_t part = smaller(*count, buf->capacity - buf->end);
    memcpy(buf->bytes + buf->end, bytes, part);
    buf->end += (uint32_t)part;
    *count -= part;
    return bytes + part;
}

int cuv_queue_append(cuv_loop *loop, cuv_queue *queue, const uint8_t *bytes, size_t count) {
    if (count == 0) return 0;
    cuv_queue chain = {0};
    size_t room = tail_room(queue);
    if (count > room && take_chain(loop, queue->count, count - room, &chain) < 0) return CUV_E_NO_MEMORY;
    queue->count += count;
    if (room > 0) bytes = fill(queue->last, bytes, &count);
    for (cuv_buf *buf = chain.first; buf; buf = buf->next) bytes = fill(buf, bytes, &count);
    if (!chain.first) return 0;
    if (queue->last) queue->last->next = chain.first;
    else queue->first = chain.first;
    queue->last = chain.last;
    return 0;
}

void cuv_queue_push(cuv_queue *queue, cuv_buf *buf) {
    buf->next = NULL;
    if (queue->last) queue->last->next = buf;
    else queue->first = buf;
    queue->last = buf;
    queue->count += cuv_buf_count(buf);
}

cuv_buf *cuv_queue_pop(cuv_queue *queue) {
    cuv_buf *buf = queue->first;
    if (!buf) return NULL;
    queue->first = buf->next;
    if (!queue->first) queue->last = NULL;
    queue->count -= cuv_buf_count(buf);
    buf->next = NULL;
    return buf;
}

int cuv_queue_spans(const cuv_queue *queue, cuv_span *spans, int max) {
    int used = 0;
    for (const cuv_buf *buf = queue->first; buf && used < max; buf = buf->next) {
        if (cuv_buf_count(buf) == 0) continue;
        spans[used++] = (cuv_span){buf->bytes + buf->start, cuv_buf_count(buf)};
    }
    return used;
}

void cuv_queue_drop(cuv_loop *loop, cuv_queue *queue, size_t count) {
    count = smaller(count, queue->count);
    while (queue->first && count >= cuv_buf_count(queue->first)) {
        count -= cuv_buf_count(queue->first);
        cuv_buf_give(loop, cuv_queue_pop(queue));
    }
    if (count > 0) {
        queue->first->start += (uint32_t)count;
        queue->count -= count;
    }
}

void cuv_queue_clear(cuv_loop *loop, cuv_queue *queue) {
    while (queue->first) cuv_buf_give(loop, cuv_queue_pop(queue));
}
