// SPDX-License-Identifier: MIT
// Pooled buffers of a loop, and queues of them. A buffer belongs to whoever took it and goes back to the same loop's pool.
// Loop thread only. Everything handed out is counted (cuv_counts.buffers, .buffer_bytes).
#ifndef CUV_BUF_H
#define CUV_BUF_H

#include "cuv_error.h"
#include "cuv_stream.h"

typedef struct cuv_buf {
    struct cuv_buf *next;
    uint32_t capacity;
    uint32_t start;        // first byte in use
    uint32_t end;          // behind the last byte in use
    uint8_t bytes[];
} cuv_buf;

/// The size of the largest buffer that is pooled; larger ones come from malloc and go back to it.
enum { CUV_BUF_MAX = 64 * 1024 };

/// An empty buffer of at least `capacity` bytes (rounded up to 1, 4, 16 or 64 KiB, above to a power of two). NULL only without memory.
cuv_buf *cuv_buf_take(cuv_loop *loop, size_t capacity);
/// Gives it back. NULL is allowed.
void cuv_buf_give(cuv_loop *loop, cuv_buf *buf);
static inline size_t cuv_buf_count(const cuv_buf *buf) { return buf->end - buf->start; }

/// Bytes in order, in pooled buffers. Zero-initialise.
typedef struct cuv_queue {
    cuv_buf *first;
    cuv_buf *last;
    size_t count;          // bytes
} cuv_queue;

/// Copies bytes to the end. 0 or CUV_E_NO_MEMORY (then nothing was added).
int cuv_queue_append(cuv_loop *loop, cuv_queue *queue, const uint8_t *bytes, size_t count);
/// Adds a buffer (not empty) to the end without copying. Takes it.
void cuv_queue_push(cuv_queue *queue, cuv_buf *buf);
/// Takes the first buffer off; NULL when empty.
cuv_buf *cuv_queue_pop(cuv_queue *queue);
/// Describes the queue from its start in at most `max` spans. Returns how many.
int cuv_queue_spans(const cuv_queue *queue, cuv_span *spans, int max);
/// Drops `count` bytes (at most what is there) from the start.
void cuv_queue_drop(cuv_loop *loop, cuv_queue *queue, size_t count);
void cuv_queue_clear(cuv_loop *loop, cuv_queue *queue);

#endif
