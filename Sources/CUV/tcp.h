// SPDX-License-Identifier: MIT
// A TCP stream's insides, shared by the tcp_*.c files. Include <uv.h> first. Loop thread only.
// Its libuv handle is closed in one place (cuv_tcp_destroy), its memory freed in one (ops->release, after on_closed).
#ifndef CUV_TCP_INTERNAL_H
#define CUV_TCP_INTERNAL_H

#include <sys/socket.h>

#include "cuv_tcp.h"
#include "cuv_timer.h"
#include "loop_uv.h"
#include "stream_core.h"

typedef struct cuv_tcp {
    cuv_stream stream;
    uv_tcp_t handle;
    cuv_queue queue;               // accepted, not handed to libuv: corked, before the open, or behind the write under way
    struct cuv_tcp_request *writing; // the one write under way
    cuv_hook flush;                // corked bytes leave at the end of the turn
    cuv_timer *dial_timer;
    bool connecting;
    bool reading;                  // libuv reads
    bool eof;                      // libuv saw the end
    bool shut_done;                // shutdown(2) was called
    bool close_due;                // closes politely once the queue is empty
    bool lingering;                // shut, throws away what comes until the peer ends
    bool moving;                   // the connection lives on under another descriptor
    bool destroyed;                // the handle is closing
    bool sends_much;               // the system may hold more of it (tcp_room.c)
    bool receives_much;
    uint32_t turn;                 // of the loop, when it read last
    uint32_t turn_bytes;           // read in that turn
    uint64_t deadline;             // of a polite close, the loop's clock
    struct cuv_tcp *closing_next;  // the loop's list of polite closes
    struct cuv_tcp *closing_previous;
} cuv_tcp;

extern const cuv_stream_ops cuv_tcp_ops;

static inline cuv_tcp *cuv_tcp_of(const cuv_stream *stream) { return (cuv_tcp *)(uintptr_t)stream; }

/// Makes a stream of a connected (or fresh) socket. Takes the descriptor only when it succeeds.
cuv_tcp *cuv_tcp_new(cuv_loop *loop, int fd, const cuv_owner *owner, void *ctx, int *error);
/// TCP_NODELAY, keep-alive, a bound of what is held unsent. On a listening socket they are inherited by what it accepts (Linux).
void cuv_tcp_set_options(int fd);
int cuv_tcp_fd(const cuv_tcp *tcp);
/// A reset is one error, whatever call found it.
int cuv_tcp_error(int error);

// tcp_room.c
/// Bounds what the system holds unsent; a listening socket hands it on.
void cuv_tcp_bound_sending(int fd);
/// Lets the system hold more once enough has passed; call them as bytes pass.
void cuv_tcp_widen_sending(cuv_tcp *tcp);
void cuv_tcp_widen_receiving(cuv_tcp *tcp);

// tcp_read.c
void cuv_tcp_read_start(cuv_stream *stream);
void cuv_tcp_read_stop(cuv_stream *stream);
/// Has libuv read, whatever the stream wants (to find the end of a lingering or half broken connection).
void cuv_tcp_read_on(cuv_tcp *tcp);

// tcp_write.c
int cuv_tcp_write(cuv_stream *stream, const cuv_span *spans, int count, bool more);
int cuv_tcp_shut(cuv_stream *stream);
void cuv_tcp_on_flush(cuv_hook *hook);
/// Sends what is corked now; on_drain does not come inside.
void cuv_tcp_uncork(cuv_tcp *tcp);
/// Does what waited for the queue to be empty.
void cuv_tcp_settle(cuv_tcp *tcp);

// tcp_close.c
void cuv_tcp_close(cuv_stream *stream);
void cuv_tcp_abort(cuv_stream *stream, int error);
/// The queue is empty and a polite close waits: shuts and lingers.
void cuv_tcp_linger(cuv_tcp *tcp);
/// Bytes left: a polite close has its time anew.
void cuv_tcp_progress(cuv_tcp *tcp);
/// Closes the handle; on_closed follows. Twice is once.
void cuv_tcp_destroy(cuv_tcp *tcp);
/// The stream breaks and goes; the peer gets what the kernel still holds.
void cuv_tcp_fail(cuv_tcp *tcp, int error);

// address.c
/// The socket address of an address; returns its length, 0 for no family.
socklen_t cuv_address_to_socket(const cuv_address *address, struct sockaddr_storage *out);
/// 0 or UV_EAFNOSUPPORT.
int cuv_address_from_socket(cuv_address *out, const struct sockaddr *address);

#endif
