// SPDX-License-Identifier: MIT
// TCP streams: dialling and addresses. What asks about a connection may be given any stream that runs on it (TLS, a WebSocket).
// Loop thread only, but for what says "Any thread".
#ifndef CUV_TCP_H
#define CUV_TCP_H

#include "cuv_stream.h"

/// An address of IPv4 or IPv6, without a name. Plain value.
typedef struct cuv_address {
    uint8_t bytes[16];      ///< network order; IPv4 in the first four
    uint32_t scope;         ///< IPv6 zone index, 0 for none
    uint16_t port;
    uint8_t family;         ///< 4 or 6; 0: none
} cuv_address;

/// Reads a numeric address ("127.0.0.1", "::1", "fe80::1%eth0", no brackets, no port). 0 or UV_EINVAL. Any thread.
int cuv_address_parse(cuv_address *out, const char *text, uint16_t port);
/// Writes the host part, at most 63 bytes and a NUL; returns its length. Any thread. An IPv4-mapped IPv6 address prints as IPv4.
size_t cuv_address_print(const cuv_address *address, char out[64]);

/// Dials. The stream is the caller's at once: owner's on_open, or on_closed with the error. timeout_ms 0: the system's own patience.
/// Writes before on_open are queued. NULL with *error set when there is no descriptor.
/// TCP_NODELAY is on; keep-alive probes after 60 s find peers that vanished.
cuv_stream *cuv_tcp_dial(cuv_loop *loop, const cuv_address *to, uint64_t timeout_ms, const cuv_owner *owner, void *ctx, int *error);

/// Ends a stream that was closed, without waiting for the peer's end: the system still delivers what it has taken. Whatever does not run on a TCP
/// stream, or has bytes queued yet, is aborted.
void cuv_tcp_let_go(cuv_stream *stream);

/// Looks, without waiting, whether the system holds bytes, an end or an error of the peer that the loop has not come to read. False for those; true
/// while the peer has been silent, and for other carriers than TCP.
bool cuv_tcp_is_silent(const cuv_stream *stream);

int cuv_tcp_peer_address(const cuv_stream *stream, cuv_address *out);
int cuv_tcp_local_address(const cuv_stream *stream, cuv_address *out);

/// From now on the connection's end is a reset, also when the process is killed: for peers that take a clean end as final.
/// What the system has not sent by then is lost. Nothing happens to other streams than TCP.
void cuv_tcp_set_reset_on_close(cuv_stream *stream);
/// Has the system keep its receive buffer of an open connection at the first size (net.ipv4.tcp_rmem, 128 KiB) until 1 MiB was read: what is not
/// read of peers that send much is then held by them. For short paths: on a long one the first MiB would take longer. Linux; nothing elsewhere
/// and for other carriers.
void cuv_tcp_bound_receiving(cuv_stream *stream);
/// Has the system probe the peer once the connection was silent for so many seconds (1 to 32,767) instead of 60. Nothing for other carriers.
void cuv_tcp_set_probe_idle(cuv_stream *stream, uint32_t seconds);

#endif
