// SPDX-License-Identifier: MIT
// A UDP socket of one loop: packets in, packets out. Loop thread only.
// A packet that cannot be sent is a lost packet, as one that the network loses: it is counted, and no error of the socket.
#ifndef CUV_UDP_H
#define CUV_UDP_H

#include "cuv_tcp.h"

typedef struct cuv_udp cuv_udp;

typedef struct cuv_udp_events {
    /// A whole packet came; bytes and address are valid during the call. One that the system had to cut is counted as lost instead.
    void (*on_packet)(void *ctx, cuv_udp *udp, const uint8_t *bytes, size_t count, const cuv_address *from);
    /// Exactly once, after cuv_udp_close, the last call. The memory is gone when this returns.
    void (*on_closed)(void *ctx, cuv_udp *udp);
} cuv_udp_events;

/// Binds and receives from now on. family 6 with the unspecified address takes IPv4 too (dual stack). port 0: any free one (see
/// cuv_udp_address). Nobody else may have the address. The table must outlive the socket (static). NULL with *error set.
cuv_udp *cuv_udp_bind(cuv_loop *loop, const cuv_address *at, const cuv_udp_events *events, void *ctx, int *error);

int cuv_udp_address(const cuv_udp *udp, cuv_address *out);

/// Sends one packet now or never. An address of IPv4 is reached through a dual-stack socket too. False: lost, and counted.
bool cuv_udp_send(cuv_udp *udp, const cuv_address *to, const uint8_t *bytes, size_t count);

/// Packets that could not be sent or were received cut.
uint64_t cuv_udp_lost(const cuv_udp *udp);

/// Receives and sends no more; on_closed follows in a later turn. Twice is once.
void cuv_udp_close(cuv_udp *udp);

#endif
