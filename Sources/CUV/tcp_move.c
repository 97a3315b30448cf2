// SPDX-License-Identifier: MIT
// Moving a TCP connection from loop to loop: its descriptor is duplicated, the old handle closes, the new loop opens the duplicate with the
// bytes that were read and not taken. detach on the old loop's thread, attach on the new one's, cuv_moving_free on any.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "tcp.h"

struct cuv_moving {
    int fd;
    uint32_t flags;       // what of the stream's flags goes along
    uint32_t kept_limit;
    uint64_t bytes_read;
    uint64_t bytes_written;
    size_t count;
    uint8_t bytes[];
};

static int check(const cuv_stream *stream, const cuv_tcp *tcp) {
    if (stream->ops != &cuv_tcp_ops) return UV_EINVAL;
    if (stream->flags & (CUV_S_CLOSING | CUV_S_WRITE_BROKEN)) return CUV_E_CLOSED;
    if (!(stream->flags & CUV_S_OPEN)) return UV_ENOTCONN;
    return tcp->writing || tcp->queue.count > 0 || stream->queued > 0 ? UV_EBUSY : 0;
}

// The bytes in the order in which they came: first what on_read was just offered, then what the stream keeps.
static cuv_moving *pack(const cuv_stream *stream, size_t skip, const uint8_t *extra, size_t extra_count) {
    cuv_span kept = cuv_stream_kept(stream);
    if (skip > kept.count) skip = kept.count;
    size_t rest = kept.count - skip;
    cuv_moving *moving = malloc(sizeof *moving + extra_count + rest);
    if (!moving) return NULL;
    if (extra_count > 0) memcpy(moving->bytes, extra, extra_count);
    if (rest > 0) memcpy(moving->bytes + extra_count, kept.bytes + skip, rest);
    moving->count = extra_count + rest;
    moving->flags = stream->flags & (CUV_S_ENDED | CUV_S_SHUT);
    moving->kept_limit = stream->kept_limit;
    moving->bytes_read = stream->bytes_read;
    moving->bytes_written = stream->bytes_written;
    return moving;
}

cuv_moving *cuv_tcp_detach(cuv_stream *stream, size_t skip, const uint8_t *extra, size_t extra_count, int *error) {
    cuv_tcp *tcp = cuv_tcp_of(stream);
    // Corked bytes need not wait for the end of the turn: they only would keep the connection here.
    if (stream->ops == &cuv_tcp_ops && !tcp->destroyed) cuv_tcp_uncork(tcp);
    *error = check(stream, tcp);
    if (*error < 0) return NULL;
    int fd = fcntl(cuv_tcp_fd(tcp), F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        *error = -errno;
        return NULL;
    }
    cuv_moving *moving = pack(stream, skip, extra, extra_count);
    if (!moving) {
        close(fd);
        *error = CUV_E_NO_MEMORY;
        return NULL;
    }
    moving->fd = fd;
    tcp->moving = true;
    cuv_stream_close(stream);
    return moving;
}

static int unpack(cuv_tcp *tcp, const cuv_moving *moving) {
    cuv_stream *stream = &tcp->stream;
    stream->flags |= moving->flags;
    stream->kept_limit = moving->kept_limit;
    stream->bytes_read = moving->bytes_read;
    stream->bytes_written = moving->bytes_written;
    tcp->eof = moving->flags & CUV_S_ENDED;
    tcp->shut_done = moving->flags & CUV_S_SHUT;
    cuv_stream_mark_open(stream);
    if (moving->count == 0) return 0;
    stream->kept = cuv_buf_take(stream->loop, moving->count);
    if (!stream->kept) return CUV_E_NO_MEMORY;
    memcpy(stream->kept->bytes, moving->bytes, moving->count);
    stream->kept->end = (uint32_t)moving->count;
    return 0;
}

cuv_stream *cuv_tcp_attach(cuv_loop *loop, cuv_moving *moving, const cuv_owner *owner, void *ctx, int *error) {
    cuv_tcp *tcp = cuv_tcp_new(loop, moving->fd, owner, ctx, error);
    if (!tcp) {
        cuv_moving_free(moving);
        return NULL;
    }
    int failed = unpack(tcp, moving);
    if (failed < 0) cuv_tcp_fail(tcp, failed);
    free(moving);
    return &tcp->stream;
}

void cuv_moving_free(cuv_moving *moving) {
    close(moving->fd);
    free(moving);
}
