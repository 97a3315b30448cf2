// SPDX-License-Identifier: MIT
// What the system is told of connections whose peer may vanish without a word: when it probes a silent one, how often it repeats what is not
// acknowledged. The engine runs on its loop's thread; the main thread plays the peers on loopback. How long it all takes is in Integration/.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <uv.h>

#include "check.h"
#include "tcp.h"

static int option(int fd, int level, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    return getsockopt(fd, level, name, &value, &length) < 0 ? -1 : value;
}

static void check_options(const cuv_stream *stream) {
    int fd = cuv_tcp_fd(cuv_tcp_of(stream));
    CHECK_EQUAL(option(fd, SOL_SOCKET, SO_KEEPALIVE) != 0, true);
    CHECK_EQUAL(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 10);
    CHECK_EQUAL(option(fd, IPPROTO_TCP, TCP_KEEPCNT), 6);
#ifdef __linux__
    enum { RTO_MAX_MS = 44 };
    CHECK_EQUAL(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 60);
    // A peer that answers and takes nothing is to stay.
    CHECK_EQUAL(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
    int fresh = socket(AF_INET, SOCK_STREAM, 0);
    int own = option(fresh, IPPROTO_TCP, RTO_MAX_MS);  // -1 before Linux 6.15: there is nothing to ask for
    close(fresh);
    CHECK_EQUAL(option(fd, IPPROTO_TCP, RTO_MAX_MS), own < 0 ? -1 : 10000);
#endif
}

static void check_both(void *ctx) {
    relay *r = ctx;
    check_options(r->client);
    check_options(r->service);
}

static void stop(void *ctx) {
    relay *r = ctx;
    cuv_stream_abort(r->client);
    cuv_stream_abort(r->service);
}

int main(void) {
    cuv_loop *loop = loop_up("vanish");
    relay r = {0};
    cuv_address at;
    int service = peer_listen(&r.to);
    cuv_listener *listener = listen_on(loop, 4, relay_accept, &r, &at);
    int client = peer_connect(&at), dialled = peer_accept(service);
    on_loop(loop, check_both, &r);
    on_loop(loop, stop, &r);
    loop_quiet(loop);
    listener_down(loop, listener);
    close(client);
    close(dialled);
    close(service);
    loop_down(loop);
    return 0;
}
