// SPDX-License-Identifier: MIT
// Writing of TCP streams: at once if the system takes it, else copied to pooled buffers and written by libuv, one write under way
// at a time. Loop thread only. Nothing here calls a user back inside a user's call.
#include <uv.h>

#include "tcp.h"

enum {
    CORK = 16 * 1024,   // corked bytes beyond this leave at once
    BATCH = 64,         // spans of one writev
    WRITE_BUFS = 4,     // buffers of one uv_write: as many as it takes without malloc
};

typedef struct cuv_tcp_request {
    uv_write_t request;
    cuv_queue bytes;
    cuv_loop *loop;
} cuv_tcp_request;

static bool is_busy(const cuv_tcp *tcp) {
    return tcp->connecting || tcp->writing;
}

// What the peer sent before may still be read (an early answer), where somebody reads.
static void write_failed(cuv_tcp *tcp, int error) {
    cuv_stream *stream = &tcp->stream;
    cuv_stream_left_quietly(stream, tcp->queue.count);
    cuv_queue_clear(stream->loop, &tcp->queue);
    bool may_read = stream->reader && !tcp->eof && !tcp->close_due;
    if (!may_read) {
        cuv_tcp_fail(tcp, error);
        return;
    }
    cuv_stream_break_writing(stream, error);
    cuv_tcp_read_on(tcp);
}

static void on_written(uv_write_t *request, int status);

// Hands the front of the queue to libuv.
static void start_write(cuv_tcp *tcp) {
    cuv_loop *loop = tcp->stream.loop;
    cuv_tcp_request *write = cuv_object_take(loop, sizeof *write);
    if (!write) {
        write_failed(tcp, CUV_E_NO_MEMORY);
        return;
    }
    uv_buf_t bufs[WRITE_BUFS];
    unsigned count = 0;
    while (tcp->queue.first && count < WRITE_BUFS) {
        cuv_buf *buf = cuv_queue_pop(&tcp->queue);
        bufs[count++] = uv_buf_init((char *)buf->bytes + buf->start, (unsigned)cuv_buf_count(buf));
        cuv_queue_push(&write->bytes, buf);
    }
    write->loop = loop;
    write->request.data = tcp;
    tcp->writing = write;
    int error = uv_write(&write->request, (uv_stream_t *)&tcp->handle, bufs, count, on_written);
    if (error < 0) on_written(&write->request, error);
}

static void on_written(uv_write_t *request, int status) {
    cuv_tcp *tcp = request->data;
    cuv_tcp_request *write = CUV_CONTAINER(request, cuv_tcp_request, request);
    size_t count = write->bytes.count;
    cuv_queue_clear(write->loop, &write->bytes);
    cuv_object_give(write->loop, write, sizeof *write);
    tcp->writing = NULL;
    if (tcp->destroyed) return;
    if (status < 0) {
        cuv_stream_left_quietly(&tcp->stream, count);
        write_failed(tcp, cuv_tcp_error(status));
        return;
    }
    cuv_tcp_progress(tcp);
    if (tcp->queue.count > 0) start_write(tcp);
    cuv_stream_left(&tcp->stream, count);
    cuv_tcp_settle(tcp);
}

// Tries the queue and then the spans in one system call. How many bytes went, or an error.
static ssize_t try_write(cuv_tcp *tcp, const cuv_span *spans, int count) {
    cuv_span all[BATCH];
    uv_buf_t bufs[BATCH];
    int used = cuv_queue_spans(&tcp->queue, all, BATCH - count);
    for (int i = 0; i < used; i++) bufs[i] = uv_buf_init((char *)(uintptr_t)all[i].bytes, (unsigned)all[i].count);
    for (int i = 0; i < count; i++) bufs[used + i] = uv_buf_init((char *)(uintptr_t)spans[i].bytes, (unsigned)spans[i].count);
    int sent = uv_try_write((uv_stream_t *)&tcp->handle, bufs, (unsigned)(used + count));
    return sent == UV_EAGAIN ? 0 : sent;
}

// Copies the spans behind the first `skip` bytes to the queue.
static int enqueue(cuv_tcp *tcp, const cuv_span *spans, int count, size_t skip) {
    cuv_stream *stream = &tcp->stream;
    for (int i = 0; i < count; i++) {
        size_t gone = skip < spans[i].count ? skip : spans[i].count;
        skip -= gone;
        int error = cuv_queue_append(stream->loop, &tcp->queue, spans[i].bytes + gone, spans[i].count - gone);
        if (error < 0) {
            write_failed(tcp, error);
            return error;
        }
        cuv_stream_queue(stream, spans[i].count - gone);
    }
    return 0;
}

// Sends the queue, then the spans; queues what is refused. `left` notes the bytes of the queue that went.
static int send_all(cuv_tcp *tcp, const cuv_span *spans, int count, void (*left)(cuv_stream *stream, size_t bytes)) {
    size_t queued = tcp->queue.count;
    ssize_t sent = try_write(tcp, spans, count);
    if (sent < 0) {
        int error = cuv_tcp_error((int)sent);
        write_failed(tcp, error);
        return error;
    }
    size_t of_queue = (size_t)sent < queued ? (size_t)sent : queued;
    cuv_queue_drop(tcp->stream.loop, &tcp->queue, of_queue);
    left(&tcp->stream, of_queue);
    int error = enqueue(tcp, spans, count, (size_t)sent - of_queue);
    if (error == 0 && tcp->queue.count > 0) start_write(tcp);
    return error;
}

int cuv_tcp_write(cuv_stream *stream, const cuv_span *spans, int count, bool more) {
    cuv_tcp *tcp = cuv_tcp_of(stream);
    cuv_tcp_widen_sending(tcp);
    size_t total = tcp->queue.count;
    for (int i = 0; i < count; i++) total += spans[i].count;
    bool wait = is_busy(tcp) || (more && total <= CORK);
    // Too many pieces for one system call: what does not fit waits behind the rest.
    bool fits = count <= BATCH / 2 && tcp->queue.count <= CORK;
    if (!wait && fits) return send_all(tcp, spans, count, cuv_stream_left_quietly);
    int error = enqueue(tcp, spans, count, 0);
    if (error < 0) return error;
    if (!wait) cuv_tcp_uncork(tcp);
    else if (!is_busy(tcp)) cuv_loop_flush(stream->loop, &tcp->flush);
    return 0;
}

void cuv_tcp_uncork(cuv_tcp *tcp) {
    if (is_busy(tcp) || tcp->queue.count == 0) return;
    send_all(tcp, NULL, 0, cuv_stream_left_soon);
}

void cuv_tcp_on_flush(cuv_hook *hook) {
    cuv_tcp *tcp = CUV_CONTAINER(hook, cuv_tcp, flush);
    if (tcp->destroyed) return;
    cuv_tcp_uncork(tcp);
    cuv_tcp_settle(tcp);
}

static void shut_now(cuv_tcp *tcp) {
    tcp->shut_done = true;
    shutdown(cuv_tcp_fd(tcp), SHUT_WR);
}

void cuv_tcp_settle(cuv_tcp *tcp) {
    if (tcp->destroyed || is_busy(tcp) || tcp->queue.count > 0) return;
    if ((tcp->stream.flags & CUV_S_SHUT) && !tcp->shut_done && !tcp->moving) shut_now(tcp);
    if (tcp->close_due && !tcp->lingering) cuv_tcp_linger(tcp);
}

int cuv_tcp_shut(cuv_stream *stream) {
    cuv_tcp *tcp = cuv_tcp_of(stream);
    cuv_tcp_uncork(tcp);
    cuv_tcp_settle(tcp);
    return 0;
}
