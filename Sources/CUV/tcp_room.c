// SPDX-License-Identifier: MIT
// How much of a TCP connection the system may hold for us: little, until so much has passed in that direction that the other end surely keeps
// pace. The system's TCP memory is one for the whole machine (net.ipv4.tcp_mem): thousands of peers that ask for much and read nothing would
// fill it, and everybody would be slow. What is held unsent bounds no path's speed; the receive buffer bounds that of a long one, so it is bounded only
// where the caller asks for it.
// Loop thread only. Systems without these options hold what they like.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <uv.h>

#include "tcp.h"

enum {
    PROVEN = 1024 * 1024,       // more than all queues between two connections hold for a reader that stands still
    UNSENT_FIRST = 32 * 1024,   // bytes held that were never sent, before and after; many small pieces cost the system 2.4 times as much
    UNSENT = 128 * 1024,        // more would only age there: what a tunnel's streams say in turn must not wait behind them
    LOCK_NONE = 0,
    LOCK_RECEIVING = 2,         // SOCK_RCVBUF_LOCK, of <linux/socket.h>: the buffer keeps its size
};

static void bound_unsent(int fd, int bytes) {
#ifdef TCP_NOTSENT_LOWAT
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes);
#endif
}

static void lock_receiving(int fd, int lock) {
#ifdef SO_BUF_LOCK
    setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &lock, sizeof lock);
#endif
}

void cuv_tcp_bound_sending(int fd) {
    bound_unsent(fd, UNSENT_FIRST);
}

// Not before the handshake: the size of a locked buffer would bound the window for ever (its scale is agreed there).
void cuv_tcp_bound_receiving(cuv_stream *stream) {
    stream = cuv_stream_bottom(stream);
    if (stream->ops != &cuv_tcp_ops || stream->flags & CUV_S_CLOSING || stream->bytes_read >= PROVEN) return;
    lock_receiving(cuv_tcp_fd(cuv_tcp_of(stream)), LOCK_RECEIVING);
}

void cuv_tcp_widen_sending(cuv_tcp *tcp) {
    if (tcp->sends_much || tcp->stream.bytes_written < PROVEN) return;
    tcp->sends_much = true;
    bound_unsent(cuv_tcp_fd(tcp), UNSENT);
}

// Whether it was bounded is not asked: the connection may have come from another loop.
void cuv_tcp_widen_receiving(cuv_tcp *tcp) {
    if (tcp->receives_much || tcp->stream.bytes_read < PROVEN) return;
    tcp->receives_much = true;
    lock_receiving(cuv_tcp_fd(tcp), LOCK_NONE);
}
