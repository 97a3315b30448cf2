// SPDX-License-Identifier: MIT
// Moving a connection from loop to loop: which carriers can, and what every stream takes along.
// detach on the old loop's thread, attach on the new one's, cuv_moving_free on any.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "moving.h"
#include "tcp.h"
#include "tls_stream.h"

cuv_luggage *cuv_luggage_pack(const cuv_stream *stream, size_t skip, const uint8_t *extra, size_t extra_count) {
    cuv_span kept = cuv_stream_kept(stream);
    if (skip > kept.count) skip = kept.count;
    size_t rest = kept.count - skip;
    cuv_luggage *luggage = malloc(sizeof *luggage + extra_count + rest);
    if (!luggage) return NULL;
    if (extra_count > 0) memcpy(luggage->bytes, extra, extra_count);
    if (rest > 0) memcpy(luggage->bytes + extra_count, kept.bytes + skip, rest);
    luggage->count = extra_count + rest;
    luggage->flags = stream->flags & (CUV_S_ENDED | CUV_S_SHUT);
    luggage->kept_limit = stream->kept_limit;
    luggage->bytes_read = stream->bytes_read;
    luggage->bytes_written = stream->bytes_written;
    return luggage;
}

int cuv_luggage_unpack(cuv_stream *stream, const cuv_luggage *luggage) {
    stream->flags |= luggage->flags;
    stream->kept_limit = luggage->kept_limit;
    stream->bytes_read = luggage->bytes_read;
    stream->bytes_written = luggage->bytes_written;
    cuv_stream_mark_open(stream);
    if (luggage->count == 0) return 0;
    stream->kept = cuv_buf_take(stream->loop, luggage->count);
    if (!stream->kept) return CUV_E_NO_MEMORY;
    memcpy(stream->kept->bytes, luggage->bytes, luggage->count);
    stream->kept->end = (uint32_t)luggage->count;
    return 0;
}

cuv_moving *cuv_detach(cuv_stream *stream, size_t skip, const uint8_t *extra, size_t extra_count, int *error) {
    cuv_moving *moving = calloc(1, sizeof *moving);
    *error = CUV_E_NO_MEMORY;
    if (!moving) return NULL;
    moving->fd = -1;
    if (stream->ops == &cuv_tcp_ops) *error = cuv_tcp_detach(stream, moving, skip, extra, extra_count);
    else if (stream->ops == &cuv_tls_ops) *error = cuv_tls_detach(stream, moving, skip, extra, extra_count);
    else *error = UV_EINVAL;
    if (*error == 0) return moving;
    cuv_moving_free(moving);
    return NULL;
}

cuv_stream *cuv_attach(cuv_loop *loop, cuv_moving *moving, const cuv_owner *owner, void *ctx, int *error) {
    cuv_stream *stream = moving->tls ? cuv_tls_attach(loop, moving, owner, ctx, error) : cuv_tcp_attach(loop, moving, owner, ctx, error);
    cuv_moving_free(moving);
    return stream;
}

void cuv_moving_free(cuv_moving *moving) {
    if (moving->fd >= 0) close(moving->fd);
    cuv_tls_moving_free(moving);
    free(moving->tcp);
    free(moving->tls);
    free(moving->name);
    free(moving);
}
