// SPDX-License-Identifier: MIT
// UDP sockets. Packets are received into the loop's one scratch buffer and sent at once or never: nothing is queued, so nothing ages.
// Loop thread only.
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "cuv_udp.h"
#include "tcp.h"

struct cuv_udp {
    uv_udp_t handle;
    cuv_loop *loop;
    const cuv_udp_events *events;
    void *ctx;
    uint64_t lost;
    uint8_t family;
    bool closing;
};

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    cuv_udp *udp = handle->data;
    (void)suggested;
    *buf = uv_buf_init((char *)udp->loop->scratch, CUV_SCRATCH);
}

// No address: nothing was left to read. An error is one of a single packet, or passes.
static void on_received(uv_udp_t *handle, ssize_t count, const uv_buf_t *buf, const struct sockaddr *from, unsigned flags) {
    cuv_udp *udp = handle->data;
    cuv_address address;
    if (udp->closing || (count == 0 && !from)) return;
    if (count < 0 || (flags & UV_UDP_PARTIAL) || !from || cuv_address_from_socket(&address, from) < 0) {
        udp->lost++;
        return;
    }
    udp->events->on_packet(udp->ctx, udp, (const uint8_t *)buf->base, (size_t)count, &address);
}

static int set_up(int fd, const cuv_address *at) {
    struct sockaddr_storage address;
    socklen_t length = cuv_address_to_socket(at, &address);
    int off = 0;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (at->family == 6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    return bind(fd, (struct sockaddr *)&address, length) < 0 ? -errno : 0;
}

static int bound_socket(const cuv_address *at, int *error) {
    *error = UV_EAFNOSUPPORT;
    if (at->family != 4 && at->family != 6) return -1;
    int fd = socket(at->family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
    *error = fd < 0 ? -errno : 0;
    if (fd < 0) return -1;
    *error = set_up(fd, at);
    if (*error == 0) return fd;
    close(fd);
    return -1;
}

static void on_unused_closed(uv_handle_t *handle) {
    cuv_udp *udp = handle->data;
    udp->loop->counts.datagrams--;
    cuv_object_give(udp->loop, udp, sizeof *udp);
}

// Takes the descriptor in any case.
static int open_handle(cuv_udp *udp, int fd) {
    uv_udp_init(&udp->loop->uv, &udp->handle);
    udp->handle.data = udp;
    udp->loop->counts.datagrams++;
    int error = uv_udp_open(&udp->handle, fd);
    if (error < 0) close(fd);
    else error = uv_udp_recv_start(&udp->handle, on_alloc, on_received);
    if (error < 0) uv_close((uv_handle_t *)&udp->handle, on_unused_closed);
    return error;
}

cuv_udp *cuv_udp_bind(cuv_loop *loop, const cuv_address *at, const cuv_udp_events *events, void *ctx, int *error) {
    int fd = bound_socket(at, error);
    if (fd < 0) return NULL;
    cuv_udp *udp = cuv_object_take(loop, sizeof *udp);
    if (!udp) {
        close(fd);
        *error = CUV_E_NO_MEMORY;
        return NULL;
    }
    udp->loop = loop;
    udp->events = events;
    udp->ctx = ctx;
    udp->family = at->family;
    *error = open_handle(udp, fd);
    return *error < 0 ? NULL : udp;
}

int cuv_udp_address(const cuv_udp *udp, cuv_address *out) {
    struct sockaddr_storage address;
    int length = sizeof address;
    int error = uv_udp_getsockname(&udp->handle, (struct sockaddr *)&address, &length);
    return error < 0 ? error : cuv_address_from_socket(out, (struct sockaddr *)&address);
}

// A socket of IPv6 names hosts of IPv4 by mapped addresses.
static cuv_address in_family(const cuv_udp *udp, const cuv_address *to) {
    if (udp->family != 6 || to->family != 4) return *to;
    cuv_address mapped = {.port = to->port, .family = 6, .bytes = {[10] = 0xff, [11] = 0xff}};
    memcpy(mapped.bytes + 12, to->bytes, 4);
    return mapped;
}

static int try_send(cuv_udp *udp, const cuv_address *to, const uint8_t *bytes, size_t count) {
    struct sockaddr_storage address;
    cuv_address target = in_family(udp, to);
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)count);
    if (count > UINT16_MAX || target.family != udp->family) return UV_EINVAL;
    cuv_address_to_socket(&target, &address);
    return uv_udp_try_send(&udp->handle, &buf, 1, (struct sockaddr *)&address);
}

bool cuv_udp_send(cuv_udp *udp, const cuv_address *to, const uint8_t *bytes, size_t count) {
    if (!udp->closing && try_send(udp, to, bytes, count) >= 0) return true;
    udp->lost++;
    return false;
}

uint64_t cuv_udp_lost(const cuv_udp *udp) {
    return udp->lost;
}

static void on_closed(uv_handle_t *handle) {
    cuv_udp *udp = handle->data;
    udp->loop->counts.datagrams--;
    udp->events->on_closed(udp->ctx, udp);
    cuv_object_give(udp->loop, udp, sizeof *udp);
}

void cuv_udp_close(cuv_udp *udp) {
    if (udp->closing) return;
    udp->closing = true;
    uv_close((uv_handle_t *)&udp->handle, on_closed);
}
