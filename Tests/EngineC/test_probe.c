// SPDX-License-Identifier: MIT
// Trying an address takes nobody in: a client that connects meanwhile is refused, never accepted and then reset.
// The probing runs on the main thread, the client on one of its own, for a bounded number of rounds.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>

#include "check.h"

enum { ROUNDS = 3000 };

static struct sockaddr_in to;
static atomic_bool over;

// A socket may get this very port for its own side, and meet itself.
static bool is_own(int fd) {
    struct sockaddr_in own;
    socklen_t length = sizeof own;
    return getsockname(fd, (struct sockaddr *)&own, &length) == 0 && own.sin_port == to.sin_port;
}

static void *connect_again_and_again(void *connected) {
    while (!over) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 && !is_own(fd)) *(bool *)connected = true;
        close(fd);
    }
    return NULL;
}

static void is_free_and_takes_nobody(void) {
    cuv_address any, place, again;
    CHECK_EQUAL(cuv_address_parse(&any, "127.0.0.1", 0), 0);
    CHECK_EQUAL(cuv_listen_probe(&any, &place), 0);
    CHECK(place.port != 0);
    to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(place.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool connected = false;
    pthread_t client;
    CHECK_EQUAL(pthread_create(&client, NULL, connect_again_and_again, &connected), 0);
    for (int round = 0; round < ROUNDS; round++) {
        int error = cuv_listen_probe(&place, &again);
        CHECK(error == 0 || error == -EADDRINUSE);
    }
    over = true;
    pthread_join(client, NULL);
    CHECK(!connected);
}

static void is_taken(void) {
    cuv_address place, bound;
    int listening = peer_listen(&place);
    CHECK_EQUAL(cuv_listen_probe(&place, &bound), -EADDRINUSE);
    close(listening);
    CHECK_EQUAL(cuv_listen_probe(&place, &bound), 0);
    CHECK_EQUAL(bound.port, place.port);
}

int main(void) {
    is_free_and_takes_nobody();
    is_taken();
    return 0;
}
