// SPDX-License-Identifier: MIT
// A TCP connection's part of a move: its descriptor is duplicated, the old handle closes, the new loop opens the duplicate.
// detach on the old loop's thread, attach on the new one's.
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <uv.h>

#include "moving.h"
#include "tcp.h"

static int check(const cuv_stream *stream, const cuv_tcp *tcp) {
    if (stream->flags & (CUV_S_CLOSING | CUV_S_WRITE_BROKEN)) return CUV_E_CLOSED;
    if (!(stream->flags & CUV_S_OPEN)) return UV_ENOTCONN;
    return tcp->writing || tcp->queue.count > 0 || stream->queued > 0 ? UV_EBUSY : 0;
}

int cuv_tcp_detach(cuv_stream *stream, cuv_moving *moving, size_t skip, const uint8_t *extra, size_t extra_count) {
    cuv_tcp *tcp = cuv_tcp_of(stream);
    // Corked bytes need not wait for the end of the turn: they only would keep the connection here.
    if (!tcp->destroyed) cuv_tcp_uncork(tcp);
    int error = check(stream, tcp);
    if (error < 0) return error;
    moving->tcp = cuv_luggage_pack(stream, skip, extra, extra_count);
    if (!moving->tcp) return CUV_E_NO_MEMORY;
    moving->fd = fcntl(cuv_tcp_fd(tcp), F_DUPFD_CLOEXEC, 0);
    if (moving->fd < 0) return -errno;
    tcp->moving = true;
    cuv_stream_close(stream);
    return 0;
}

cuv_stream *cuv_tcp_attach(cuv_loop *loop, cuv_moving *moving, const cuv_owner *owner, void *ctx, int *error) {
    cuv_tcp *tcp = cuv_tcp_new(loop, moving->fd, owner, ctx, error);
    if (!tcp) return NULL;
    moving->fd = -1;
    tcp->eof = moving->tcp->flags & CUV_S_ENDED;
    tcp->shut_done = moving->tcp->flags & CUV_S_SHUT;
    int failed = cuv_luggage_unpack(&tcp->stream, moving->tcp);
    if (failed < 0) cuv_tcp_fail(tcp, failed);
    return &tcp->stream;
}
