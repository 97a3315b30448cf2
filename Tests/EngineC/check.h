// SPDX-License-Identifier: MIT
// What the engine's C tests share: checks, waiting, loops that must be empty at the end, and blocking peers on the main thread.
// The engine runs on its own loop threads; the main thread plays the other side with plain sockets. No sleeps as synchronisation.
#ifndef ENGINE_CHECK_H
#define ENGINE_CHECK_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "CUV.h"

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1); \
        } \
    } while (0)
#define CHECK_EQUAL(a, b) \
    do { \
        long long check_a = (long long)(a), check_b = (long long)(b); \
        if (check_a != check_b) { \
            fprintf(stderr, "%s:%d: %s is %lld, expected %s = %lld\n", __FILE__, __LINE__, #a, check_a, #b, check_b); \
            _exit(1); \
        } \
    } while (0)

/// Counts down to zero; any thread. Waiting is bounded: the test fails after 10 s.
typedef struct latch {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int left;
} latch;

#define LATCH(count) {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, count}
void latch_down(latch *latch);
void latch_wait(latch *latch);

/// A running loop.
cuv_loop *loop_up(const char *name);
/// Runs fn(ctx) on the loop and waits until it has returned.
void on_loop(cuv_loop *loop, void (*fn)(void *ctx), void *ctx);
/// Stops and joins; every counter must be zero.
void loop_down(cuv_loop *loop);
/// Waits until the loop holds no connection and no flow.
void loop_quiet(cuv_loop *loop);
cuv_counts loop_counts(cuv_loop *loop);

/// Listens on a loop on a free port of 127.0.0.1 (family 4) or ::1 (6).
cuv_listener *listen_on(cuv_loop *loop, int family, cuv_on_accept on_accept, void *ctx, cuv_address *at);
void listener_down(cuv_loop *loop, cuv_listener *listener);

/// Blocking peers of the main thread, with timeouts of 10 s.
int peer_connect(const cuv_address *to);
int peer_listen(cuv_address *at);
int peer_accept(int listening);
void peer_send(int fd, const void *bytes, size_t count);
/// Reads exactly `count` bytes.
void peer_expect(int fd, const void *bytes, size_t count);
/// The next read is the end (0), or a reset (-1).
int peer_read_end(int fd);
void peer_set_buffers(int fd, int bytes);
/// The same pseudo-random bytes for the same offset.
void pattern(uint8_t *out, size_t offset, size_t count);

/// An owner that closes nothing and counts what it hears; zero-initialise.
typedef struct ears {
    latch *closed;
    int opened;
    int closes;
    int status;
} ears;
extern const cuv_owner ears_owner;

/// A relay: what is accepted is copied both ways to a dialled address; each side's end closes nothing by itself.
typedef struct relay {
    cuv_address to;
    cuv_stream *client;
    cuv_stream *service;
    cuv_flow_result results[2];
    latch *done;          // counts down for each flow that is done (may be NULL)
    size_t most_queued;   // towards the client, as seen when the flow drains
} relay;
void relay_accept(void *ctx, cuv_listener *listener, cuv_stream *stream);

#endif
