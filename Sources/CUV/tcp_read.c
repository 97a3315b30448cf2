// SPDX-License-Identifier: MIT
// Reading of TCP streams, through the loop's one scratch buffer. Loop thread only.
// "Off" is lazy: libuv goes on reading until something comes while nobody wants it, which is kept, and then stops. So a connection
// that waits for its answer costs no system calls, and a peer that leaves meanwhile is noticed. Bulk (a full scratch buffer) stops at once.
#include <uv.h>

#include "tcp.h"

/// Read of one connection in one turn; libuv would go on for 32 scratch buffers while all others wait.
enum { TURN_BYTES = 4 * CUV_SCRATCH };

// No buffer: the connection had its share of this turn and is read on in the next.
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    cuv_tcp *tcp = handle->data;
    cuv_loop *loop = tcp->stream.loop;
    (void)suggested;
    if (tcp->turn != loop->turn) tcp->turn_bytes = 0;
    tcp->turn = loop->turn;
    if (tcp->turn_bytes < TURN_BYTES) *buf = uv_buf_init((char *)loop->scratch, CUV_SCRATCH);
    else *buf = uv_buf_init(NULL, 0);
}

static void read_off(cuv_tcp *tcp) {
    if (tcp->reading) uv_read_stop((uv_stream_t *)&tcp->handle);
    tcp->reading = false;
}

static bool wanted(const cuv_tcp *tcp) {
    return tcp->stream.flags & CUV_S_FLOWING;
}

static void on_bytes(cuv_tcp *tcp, const uint8_t *bytes, size_t count) {
    bool was_off = !wanted(tcp);
    cuv_tcp_widen_receiving(tcp);
    if (cuv_stream_deliver(&tcp->stream, bytes, count) < 0) {
        cuv_stream_abort(&tcp->stream);
        return;
    }
    if (!tcp->destroyed && !tcp->close_due && !wanted(tcp) && (was_off || count == CUV_SCRATCH)) read_off(tcp);
}

// After a failed write an end proves nothing: the error was reported to the write and the system says "end" from then on.
static void on_eof(cuv_tcp *tcp) {
    read_off(tcp);
    tcp->eof = true;
    if (tcp->lingering) cuv_tcp_destroy(tcp);
    else if (tcp->stream.flags & CUV_S_WRITE_BROKEN) cuv_tcp_fail(tcp, tcp->stream.status);
    else cuv_stream_deliver_end(&tcp->stream);
}

static void on_read(uv_stream_t *handle, ssize_t count, const uv_buf_t *buf) {
    cuv_tcp *tcp = handle->data;
    if (count == 0 || count == UV_ENOBUFS || tcp->destroyed) return;
    if (count > 0) {
        tcp->turn_bytes += (uint32_t)count;
        if (!tcp->close_due) on_bytes(tcp, (const uint8_t *)buf->base, (size_t)count);
        return;
    }
    if (count == UV_EOF) {
        on_eof(tcp);
        return;
    }
    read_off(tcp);
    if (tcp->lingering) cuv_tcp_destroy(tcp);
    else cuv_tcp_fail(tcp, cuv_tcp_error((int)count));
}

void cuv_tcp_read_on(cuv_tcp *tcp) {
    if (tcp->reading || tcp->connecting || tcp->eof || tcp->destroyed) return;
    int error = uv_read_start((uv_stream_t *)&tcp->handle, on_alloc, on_read);
    tcp->reading = error == 0;
}

void cuv_tcp_read_start(cuv_stream *stream) {
    cuv_tcp_read_on(cuv_tcp_of(stream));
}

void cuv_tcp_read_stop(cuv_stream *stream) {
    (void)stream;
}
