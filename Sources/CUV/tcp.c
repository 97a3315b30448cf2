// SPDX-License-Identifier: MIT
// TCP streams: the carrier's table, making one of a socket, dialling.
// Loop thread only.
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>
#include <uv.h>

#include "tcp.h"

enum { PROBE_IDLE_S = 60, PROBE_INTERVAL_S = 10, PROBES = 6 };
/// The system repeats what is not acknowledged, and asks a closed window, at least this often. As it gives up after so many in vain
/// (net.ipv4.tcp_retries2, 15), a peer that has vanished is let go after two minutes, as by the probes, instead of fifteen. TCP_USER_TIMEOUT would
/// not do: it ends a peer too that answers and takes nothing.
enum { REPEAT_MS = 10000 };
#if defined(__linux__) && !defined(TCP_RTO_MAX_MS)
#define TCP_RTO_MAX_MS 44   // since Linux 6.15, and younger than many a header; older systems refuse it
#endif

static void release(cuv_stream *stream) {
    cuv_object_give(stream->loop, cuv_tcp_of(stream), sizeof(cuv_tcp));
}

const cuv_stream_ops cuv_tcp_ops = {
    .name = "tcp",
    .read_start = cuv_tcp_read_start,
    .read_stop = cuv_tcp_read_stop,
    .write = cuv_tcp_write,
    .shut = cuv_tcp_shut,
    .close = cuv_tcp_close,
    .abort = cuv_tcp_abort,
    .grant = NULL,
    .release = release,
};

int cuv_tcp_fd(const cuv_tcp *tcp) {
    uv_os_fd_t fd = -1;
    uv_fileno((const uv_handle_t *)&tcp->handle, &fd);
    return fd;
}

int cuv_tcp_error(int error) {
    return error == UV_ECONNRESET || error == UV_EPIPE ? CUV_E_RESET : error;
}

static void set_option(int fd, int level, int name, int value) {
    setsockopt(fd, level, name, &value, sizeof value);
}

static void set_probe_idle(int fd, int seconds) {
#ifdef __APPLE__
    set_option(fd, IPPROTO_TCP, TCP_KEEPALIVE, seconds);
#else
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
#endif
}

void cuv_tcp_set_probe_idle(cuv_stream *stream, uint32_t seconds) {
    stream = cuv_stream_bottom(stream);
    if (stream->ops != &cuv_tcp_ops || stream->flags & CUV_S_CLOSING) return;
    set_probe_idle(cuv_tcp_fd(cuv_tcp_of(stream)), seconds < 1 ? 1 : seconds > 32767 ? 32767 : (int)seconds);
}

bool cuv_tcp_is_silent(const cuv_stream *stream) {
    if (stream->ops != &cuv_tcp_ops) return true;
    if (stream->flags & CUV_S_CLOSING) return false;
    char byte;
    ssize_t count = recv(cuv_tcp_fd(cuv_tcp_of(stream)), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return count < 0 && (errno == EAGAIN || errno == EINTR);
}

void cuv_tcp_set_options(int fd) {
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
#ifdef TCP_THIN_LINEAR_TIMEOUTS
    // A request into a network that fails for two seconds would be repeated after 3 s next; this way a little after the network is back.
    set_option(fd, IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1);
#endif
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    cuv_tcp_bound_sending(fd);
#ifdef __APPLE__
    set_option(fd, SOL_SOCKET, SO_NOSIGPIPE, 1);
#endif
    set_probe_idle(fd, PROBE_IDLE_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, PROBE_INTERVAL_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, PROBES);
#ifdef TCP_RTO_MAX_MS
    set_option(fd, IPPROTO_TCP, TCP_RTO_MAX_MS, REPEAT_MS);
#endif
}

static void on_unused_closed(uv_handle_t *handle) {
    cuv_tcp *tcp = handle->data;
    cuv_object_give(tcp->stream.loop, tcp, sizeof *tcp);
}

cuv_tcp *cuv_tcp_new(cuv_loop *loop, int fd, const cuv_owner *owner, void *ctx, int *error) {
    cuv_tcp *tcp = cuv_object_take(loop, sizeof *tcp);
    *error = CUV_E_NO_MEMORY;
    if (!tcp) return NULL;
    cuv_stream_init(&tcp->stream, loop, &cuv_tcp_ops, owner, ctx);
    tcp->flush.run = cuv_tcp_on_flush;
    uv_tcp_init(&loop->uv, &tcp->handle);
    tcp->handle.data = tcp;
    *error = uv_tcp_open(&tcp->handle, fd);
    if (*error < 0) {
        uv_close((uv_handle_t *)&tcp->handle, on_unused_closed);
        return NULL;
    }
    cuv_loop_tally(loop)->connections++;
    return tcp;
}

static int new_socket(const cuv_address *to, int *error) {
    int family = to->family == 4 ? AF_INET : AF_INET6;
#ifdef SOCK_CLOEXEC
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
#else
    int fd = socket(family, SOCK_STREAM, 0);
    if (fd >= 0) fcntl(fd, F_SETFD, FD_CLOEXEC);
#endif
    if (fd < 0) *error = -errno;
    else cuv_tcp_set_options(fd);
    return fd;
}

static void on_connected(uv_connect_t *request, int status) {
    cuv_tcp *tcp = request->data;
    cuv_stream *stream = &tcp->stream;
    cuv_object_give(stream->loop, request, sizeof *request);
    if (tcp->destroyed) return;
    tcp->connecting = false;
    cuv_timer_free(tcp->dial_timer);
    tcp->dial_timer = NULL;
    if (status < 0) {
        cuv_tcp_fail(tcp, status);
        return;
    }
    if (stream->flags & CUV_S_FLOWING) cuv_tcp_read_on(tcp);
    cuv_loop_flush(stream->loop, &tcp->flush);
    cuv_stream_opened(stream);
}

static void on_dial_timeout(void *ctx) {
    cuv_tcp_fail(ctx, CUV_E_TIMEOUT);
}

static int start_dial(cuv_tcp *tcp, const cuv_address *to, uint64_t timeout_ms) {
    cuv_loop *loop = tcp->stream.loop;
    struct sockaddr_storage address;
    cuv_address_to_socket(to, &address);
    uv_connect_t *request = cuv_object_take(loop, sizeof *request);
    if (!request) return CUV_E_NO_MEMORY;
    request->data = tcp;
    int error = uv_tcp_connect(request, &tcp->handle, (struct sockaddr *)&address, on_connected);
    if (error < 0) {
        cuv_object_give(loop, request, sizeof *request);
        return error;
    }
    tcp->connecting = true;
    if (timeout_ms == 0) return 0;
    tcp->dial_timer = cuv_timer_new(loop, on_dial_timeout, tcp);
    if (!tcp->dial_timer) return CUV_E_NO_MEMORY;
    cuv_timer_arm(tcp->dial_timer, timeout_ms);
    return 0;
}

cuv_stream *cuv_tcp_dial(cuv_loop *loop, const cuv_address *to, uint64_t timeout_ms, const cuv_owner *owner, void *ctx, int *error) {
    *error = UV_EAFNOSUPPORT;
    if (to->family != 4 && to->family != 6) return NULL;
    int fd = new_socket(to, error);
    if (fd < 0) return NULL;
    cuv_tcp *tcp = cuv_tcp_new(loop, fd, owner, ctx, error);
    if (!tcp) {
        close(fd);
        return NULL;
    }
    int failed = start_dial(tcp, to, timeout_ms);
    if (failed < 0) cuv_tcp_fail(tcp, failed);
    return &tcp->stream;
}
