// SPDX-License-Identifier: MIT
// Addresses: between text, the plain value and the system's socket addresses.
// No I/O, any thread.
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "tcp.h"

int cuv_address_parse(cuv_address *out, const char *text, uint16_t port) {
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    if (uv_ip4_addr(text, port, &four) == 0) return cuv_address_from_socket(out, (struct sockaddr *)&four);
    if (uv_ip6_addr(text, port, &six) == 0) return cuv_address_from_socket(out, (struct sockaddr *)&six);
    return UV_EINVAL;
}

static bool is_mapped(const cuv_address *address) {
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return address->family == 6 && memcmp(address->bytes, prefix, sizeof prefix) == 0;
}

size_t cuv_address_print(const cuv_address *address, char out[64]) {
    char name[IF_NAMESIZE];
    out[0] = 0;
    if (address->family == 4) uv_inet_ntop(AF_INET, address->bytes, out, 64);
    else if (is_mapped(address)) uv_inet_ntop(AF_INET, address->bytes + 12, out, 64);
    else if (address->family == 6) uv_inet_ntop(AF_INET6, address->bytes, out, 64);
    size_t length = strlen(out);
    if (address->family == 6 && address->scope && if_indextoname(address->scope, name)) {
        length += (size_t)snprintf(out + length, 64 - length, "%%%s", name);
    }
    return length < 64 ? length : 63;
}

socklen_t cuv_address_to_socket(const cuv_address *address, struct sockaddr_storage *out) {
    memset(out, 0, sizeof *out);
    if (address->family == 4) {
        struct sockaddr_in *four = (struct sockaddr_in *)out;
        four->sin_family = AF_INET;
        four->sin_port = htons(address->port);
        memcpy(&four->sin_addr, address->bytes, 4);
        return sizeof *four;
    }
    if (address->family != 6) return 0;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(address->port);
    six->sin6_scope_id = address->scope;
    memcpy(&six->sin6_addr, address->bytes, 16);
    return sizeof *six;
}

int cuv_address_from_socket(cuv_address *out, const struct sockaddr *address) {
    memset(out, 0, sizeof *out);
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)address;
        out->family = 4;
        out->port = ntohs(four->sin_port);
        memcpy(out->bytes, &four->sin_addr, 4);
        return 0;
    }
    if (address->sa_family != AF_INET6) return UV_EAFNOSUPPORT;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
    out->family = 6;
    out->port = ntohs(six->sin6_port);
    out->scope = six->sin6_scope_id;
    memcpy(out->bytes, &six->sin6_addr, 16);
    return 0;
}

int cuv_tcp_peer_address(const cuv_stream *stream, cuv_address *out) {
    struct sockaddr_storage address;
    int length = sizeof address;
    stream = cuv_stream_bottom(stream);
    if (stream->ops != &cuv_tcp_ops) return UV_EINVAL;
    int error = uv_tcp_getpeername(&cuv_tcp_of(stream)->handle, (struct sockaddr *)&address, &length);
    return error < 0 ? error : cuv_address_from_socket(out, (struct sockaddr *)&address);
}

int cuv_tcp_local_address(const cuv_stream *stream, cuv_address *out) {
    struct sockaddr_storage address;
    int length = sizeof address;
    stream = cuv_stream_bottom(stream);
    if (stream->ops != &cuv_tcp_ops) return UV_EINVAL;
    int error = uv_tcp_getsockname(&cuv_tcp_of(stream)->handle, (struct sockaddr *)&address, &length);
    return error < 0 ? error : cuv_address_from_socket(out, (struct sockaddr *)&address);
}
