// SPDX-License-Identifier: MIT
// A client that stops reading: the relay stops its source, holds at most the high mark and one scratch buffer, and goes on when the
// client reads again; nothing is lost. A client that never reads again does not keep the relay from ending.
#include <unistd.h>

#include "check.h"
#include "loop_core.h"

enum { TOTAL = 24 * 1024 * 1024, SMALL_BUFFERS = 64 * 1024 };

static uint8_t *bytes;

static void *send_bytes(void *ctx) {
    peer_send(*(int *)ctx, bytes, TOTAL);
    close(*(int *)ctx);
    return NULL;
}

typedef struct probe {
    relay *relay;
    size_t queued;
    uint64_t passed;
    int64_t buffer_bytes;
} probe;

static void look(void *ctx) {
    probe *p = ctx;
    p->queued = cuv_stream_queued(p->relay->client);
    p->passed = cuv_stream_bytes_written(p->relay->client);
    p->buffer_bytes = cuv_loop_counts(cuv_stream_loop(p->relay->client)).buffer_bytes;
}

// Waits until the relay stands still with a full queue.
static void stand_still(cuv_loop *loop, probe *p) {
    uint64_t before;
    do {
        before = p->passed;
        usleep(20000);
        on_loop(loop, look, p);
        CHECK(p->queued <= CUV_QUEUE_HIGH + CUV_SCRATCH);
    } while (p->passed != before || p->queued < CUV_QUEUE_HIGH);
    CHECK(p->passed < TOTAL);
    CHECK(p->buffer_bytes <= CUV_QUEUE_HIGH + 4 * CUV_SCRATCH);
}

int main(void) {
    bytes = malloc(TOTAL);
    pattern(bytes, 0, TOTAL);
    cuv_loop *loop = loop_up("slow");
    for (int turn = 0; turn < 2; turn++) {
        latch done = LATCH(1);
        relay r = {.done = &done};
        probe p = {.relay = &r, .passed = 1};
        cuv_address at;
        int listening = peer_listen(&r.to);
        cuv_listener *listener = listen_on(loop, 4, relay_accept, &r, &at);
        int client = peer_connect(&at);
        peer_set_buffers(client, SMALL_BUFFERS);
        int service = peer_accept(listening);
        pthread_t sender;
        if (turn == 0) {
            pthread_create(&sender, NULL, send_bytes, &service);
            stand_still(loop, &p);
            peer_expect(client, bytes, TOTAL);
            CHECK_EQUAL(peer_read_end(client), 0);
            pthread_join(sender, NULL);
            close(client);
        } else {
            peer_send(service, bytes, 1024 * 1024);
            struct linger at_once = {1, 0};
            setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
            close(client);                       // a reset while its bytes are queued
            CHECK_EQUAL(peer_read_end(service), -1);
            close(service);
        }
        latch_wait(&done);
        loop_quiet(loop);
        close(listening);
        listener_down(loop, listener);
    }
    loop_down(loop);
    free(bytes);
    return 0;
}
