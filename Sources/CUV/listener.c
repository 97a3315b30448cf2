// SPDX-License-Identifier: MIT
// Listening sockets. We accept ourselves on a readiness watcher, so that running out of descriptors is counted, never spins, and does not
// depend on libuv's one spare descriptor per loop, which another thread may take. Loop thread only.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1   // accept4
#endif
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "cuv_listener.h"
#include "tcp.h"

enum {
    ACCEPTS = 64,      // connections of one turn; the rest comes in the next
    LAST = 4096,       // connections taken at the end at most
    PAUSE_MS = 100,    // without a spare descriptor
};

struct cuv_listener {
    cuv_loop *loop;
    uv_poll_t poll;
    uv_timer_t pause;
    int fd;
    int most;          // a connection whose descriptor is this or above is refused
    int spare;         // a descriptor to give up when there is no other, to take a connection and close it
    int handles;       // still to be closed
    bool ending;       // takes the last connections
    bool closing;
    uint64_t refused;
    cuv_on_accept on_accept;
    void (*on_closed)(void *ctx);
    void *ctx;
};

static void on_readable(uv_poll_t *poll, int status, int events);

static int take_spare(void) {
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

// The last descriptors are for what must go on: dials, moves between loops, other loops' spare ones. The lowest free number is given out
// first, so a number says how many are in use.
static int most_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > 1 << 30) return 1 << 30;
    int all = (int)limit.rlim_cur, left = all / 16;
    return all - (left < 8 ? 8 : left > 256 ? 256 : left);
}

static int accept_one(int fd) {
#ifdef SOCK_CLOEXEC
    return accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
#else
    int taken = accept(fd, NULL, NULL);
    if (taken >= 0) {
        fcntl(taken, F_SETFD, FD_CLOEXEC);
        cuv_tcp_set_options(taken);
    }
    return taken;
#endif
}

static void on_pause_over(uv_timer_t *timer) {
    cuv_listener *listener = timer->data;
    if (listener->spare < 0) listener->spare = take_spare();
    uv_poll_start(&listener->poll, UV_READABLE, on_readable);
}

static void pause_accepting(cuv_listener *listener) {
    uv_poll_stop(&listener->poll);
    uv_timer_start(&listener->pause, on_pause_over, PAUSE_MS, 0);
}

// No descriptor is left: refuses one waiting connection with the spare one's place. False when even that fails.
static bool refuse_one(cuv_listener *listener) {
    if (listener->spare < 0) return false;
    close(listener->spare);
    int fd = accept_one(listener->fd);
    if (fd >= 0) {
        listener->refused++;
        close(fd);
    }
    listener->spare = take_spare();
    return fd >= 0 && listener->spare >= 0;
}

static void hand_over(cuv_listener *listener, int fd) {
    int error;
    cuv_tcp *tcp = fd < listener->most ? cuv_tcp_new(listener->loop, fd, NULL, NULL, &error) : NULL;
    if (!tcp) {
        listener->refused++;
        close(fd);
        return;
    }
    cuv_stream_mark_open(&tcp->stream);
    listener->on_accept(listener->ctx, listener, &tcp->stream);
    if (!tcp->stream.owner) cuv_stream_close(&tcp->stream);
}

static bool is_passing(int error) {
    return error == ECONNABORTED || error == EINTR || error == EPROTO;
}

// Accepts one. False when the turn's accepting is over.
static bool accept_next(cuv_listener *listener) {
    int fd = accept_one(listener->fd);
    if (fd >= 0) {
        hand_over(listener, fd);
        return !listener->closing;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
    if (is_passing(errno)) return true;
    bool exhausted = errno == EMFILE || errno == ENFILE;
    if (exhausted && refuse_one(listener)) return true;
    pause_accepting(listener);
    return false;
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    cuv_listener *listener = poll->data;
    for (int i = 0; i < ACCEPTS && accept_next(listener); i++) {}
}

// Connections that the system has accepted in our name would be reset with the socket.
static void take_last(cuv_listener *listener) {
    for (int i = 0; i < LAST && accept_next(listener); i++) {}
}

static int set_up(int fd, const cuv_address *at, bool shared) {
    struct sockaddr_storage address;
    socklen_t length = cuv_address_to_socket(at, &address);
    int on = 1, off = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (shared) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (at->family == 6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    cuv_tcp_set_options(fd);
    return bind(fd, (struct sockaddr *)&address, length) < 0 ? -errno : 0;
}

static int bound_socket(const cuv_address *at, bool shared, int *error) {
    *error = UV_EAFNOSUPPORT;
    if (at->family != 4 && at->family != 6) return -1;
    int fd = socket(at->family == 4 ? AF_INET : AF_INET6, SOCK_STREAM, 0);
    *error = fd < 0 ? -errno : 0;
    if (fd < 0) return -1;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    *error = set_up(fd, at, shared);
    if (*error == 0) return fd;
    close(fd);
    return -1;
}

static int listening_socket(const cuv_address *at, int backlog, bool shared, int *error) {
    int fd = bound_socket(at, shared, error);
    if (fd < 0 || listen(fd, backlog) == 0) return fd;
    *error = -errno;
    close(fd);
    return -1;
}

static int address_of(int fd, cuv_address *out) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0) return -errno;
    return cuv_address_from_socket(out, (struct sockaddr *)&address);
}

int cuv_listen_probe(const cuv_address *at, cuv_address *bound) {
    int error;
    int fd = bound_socket(at, false, &error);
    if (fd < 0) return error;
    error = address_of(fd, bound);
    close(fd);
    return error;
}

static void on_handle_closed(uv_handle_t *handle) {
    cuv_listener *listener = handle->data;
    if (--listener->handles > 0) return;
    cuv_loop *loop = listener->loop;
    cuv_loop_tally(loop)->listeners--;
    if (listener->on_closed) listener->on_closed(listener->ctx);
    cuv_object_give(loop, listener, sizeof *listener);
}

static void close_handles(cuv_listener *listener) {
    listener->closing = true;
    if (listener->handles == 2) uv_close((uv_handle_t *)&listener->poll, on_handle_closed);
    uv_close((uv_handle_t *)&listener->pause, on_handle_closed);
    close(listener->fd);
    if (listener->spare >= 0) close(listener->spare);
}

cuv_listener *cuv_listen(cuv_loop *loop, const cuv_address *at, int backlog, bool shared, cuv_on_accept on_accept, void *ctx, int *error) {
    int fd = listening_socket(at, backlog, shared, error);
    if (fd < 0) return NULL;
    cuv_listener *listener = cuv_object_take(loop, sizeof *listener);
    if (!listener) {
        close(fd);
        *error = CUV_E_NO_MEMORY;
        return NULL;
    }
    *listener = (cuv_listener){.loop = loop, .fd = fd, .most = most_descriptors(), .spare = take_spare(), .handles = 1,
        .on_accept = on_accept, .ctx = ctx};
    cuv_loop_tally(loop)->listeners++;
    uv_timer_init(&loop->uv, &listener->pause);
    listener->pause.data = listener->poll.data = listener;
    *error = uv_poll_init(&loop->uv, &listener->poll, fd);
    if (*error < 0) {
        close_handles(listener);
        return NULL;
    }
    listener->handles = 2;
    uv_poll_start(&listener->poll, UV_READABLE, on_readable);
    return listener;
}

int cuv_listener_address(const cuv_listener *listener, cuv_address *out) {
    return address_of(listener->fd, out);
}

uint64_t cuv_listener_refused(const cuv_listener *listener) {
    return listener->refused;
}

void cuv_listener_close(cuv_listener *listener, void (*on_closed)(void *ctx)) {
    if (listener->ending || listener->closing) return;
    listener->ending = true;
    listener->on_closed = on_closed;
    take_last(listener);
    close_handles(listener);
}
