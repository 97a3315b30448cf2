// SPDX-License-Identifier: MIT
// What a connection takes along from loop to loop: the descriptor, each of its streams' state, TLS's object. Shared by move.c, tcp_move.c and
// tls_move.c. Owned by whoever holds it; any thread.
#ifndef CUV_MOVING_H
#define CUV_MOVING_H

#include "cuv_move.h"

struct cuv_tls_context;
struct ssl_st;

/// One stream's part: the bytes it read and nobody took, and what it had come to.
typedef struct cuv_luggage {
    uint32_t flags;
    uint32_t kept_limit;
    uint64_t bytes_read;
    uint64_t bytes_written;
    size_t count;
    uint8_t bytes[];
} cuv_luggage;

struct cuv_moving {
    int fd;
    cuv_luggage *tcp;
    cuv_luggage *tls;                 // NULL: a plain connection; then the rest is unset
    struct ssl_st *ssl;
    struct cuv_tls_context *context;  // held
    char *name;
    bool notified;
    bool peer_ended;
};

/// The bytes in the order in which they came: first what on_read was just offered, then what the stream keeps. NULL without memory. In move.c.
cuv_luggage *cuv_luggage_pack(const cuv_stream *stream, size_t skip, const uint8_t *extra, size_t extra_count);
/// The stream is open and as it was. 0 or CUV_E_NO_MEMORY.
int cuv_luggage_unpack(cuv_stream *stream, const cuv_luggage *luggage);

/// Takes a TCP stream off its loop into `moving`. 0 or why not. In tcp_move.c.
int cuv_tcp_detach(cuv_stream *stream, cuv_moving *moving, size_t skip, const uint8_t *extra, size_t extra_count);
/// Makes a stream of what is in `moving`, which keeps none of it. NULL with *error set.
cuv_stream *cuv_tcp_attach(cuv_loop *loop, cuv_moving *moving, const cuv_owner *owner, void *ctx, int *error);

/// The same for TLS over TCP; in tls_move.c.
int cuv_tls_detach(cuv_stream *stream, cuv_moving *moving, size_t skip, const uint8_t *extra, size_t extra_count);
cuv_stream *cuv_tls_attach(cuv_loop *loop, cuv_moving *moving, const cuv_owner *owner, void *ctx, int *error);
void cuv_tls_moving_free(cuv_moving *moving);

#endif
