// SPDX-License-Identifier: MIT
// A half close goes through a relay in either direction, while the other direction goes on; when both have ended all is gone.
// The engine runs on its loops' threads; the main thread plays the peers on loopback.
#include <unistd.h>

#include "check.h"

enum { TOTAL = 3 * 1024 * 1024 };

static uint8_t bytes[TOTAL];

static void *send_bytes(void *ctx) {
    int fd = *(int *)ctx;
    peer_send(fd, bytes, TOTAL);
    shutdown(fd, SHUT_WR);
    return NULL;
}

static void one_way_at_a_time(int first, int second) {
    pthread_t sender;
    pthread_create(&sender, NULL, send_bytes, &first);
    peer_expect(second, bytes, TOTAL);
    CHECK_EQUAL(peer_read_end(second), 0);
    pthread_join(sender, NULL);
    pthread_create(&sender, NULL, send_bytes, &second);
    peer_expect(first, bytes, TOTAL);
    CHECK_EQUAL(peer_read_end(first), 0);
    pthread_join(sender, NULL);
}

int main(void) {
    pattern(bytes, 0, TOTAL);
    cuv_loop *loop = loop_up("half");
    for (int turn = 0; turn < 2; turn++) {
        latch done = LATCH(2);
        relay r = {.done = &done};
        cuv_address at;
        int listening = peer_listen(&r.to);
        cuv_listener *listener = listen_on(loop, 4, relay_accept, &r, &at);
        int client = peer_connect(&at), service = peer_accept(listening);
        one_way_at_a_time(turn ? client : service, turn ? service : client);
        latch_wait(&done);
        for (int i = 0; i < 2; i++) {
            CHECK_EQUAL(r.results[i].end, CUV_FLOW_STREAM_END);
            CHECK_EQUAL(r.results[i].bytes, TOTAL);
        }
        loop_quiet(loop);
        close(client);
        close(service);
        close(listening);
        listener_down(loop, listener);
    }
    loop_down(loop);
    return 0;
}
