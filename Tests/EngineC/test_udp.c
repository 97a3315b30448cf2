// SPDX-License-Identifier: MIT
// UDP sockets: packets of both families, dual stack, ports that are taken, losses that are counted, closing inside of a packet.
// The sockets live on a loop; the main thread plays the peers with plain sockets.
#include <arpa/inet.h>
#include <netinet/in.h>

#include "check.h"

static cuv_loop *loop;

typedef struct box {
    cuv_address at;       // where it is bound; before, where to
    cuv_udp *udp;
    latch packets, closed;
    int received, closes;
    size_t count;
    uint8_t last[70000];
    cuv_address from;
    bool close_inside, echo;
} box;

static void on_packet(void *ctx, cuv_udp *udp, const uint8_t *bytes, size_t count, const cuv_address *from) {
    box *b = ctx;
    CHECK(udp == b->udp && b->closes == 0 && count <= sizeof b->last);
    b->received++;
    b->count = count;
    memcpy(b->last, bytes, count);
    b->from = *from;
    if (b->echo) CHECK(cuv_udp_send(udp, from, bytes, count));
    if (b->close_inside) cuv_udp_close(udp);
    latch_down(&b->packets);
}

static void on_closed(void *ctx, cuv_udp *udp) {
    box *b = ctx;
    CHECK(udp == b->udp);
    b->closes++;
    latch_down(&b->closed);
}

static const cuv_udp_events events = {on_packet, on_closed};

static void bind_box(void *ctx) {
    box *b = ctx;
    int error;
    b->udp = cuv_udp_bind(loop, &b->at, &events, b, &error);
    CHECK(b->udp != NULL);
    CHECK_EQUAL(cuv_udp_address(b->udp, &b->at), 0);
    CHECK(b->at.port != 0);
}

static void open_box(box *b, const char *host, int packets) {
    memset(b, 0, sizeof *b);
    b->packets = (latch)LATCH(packets);
    b->closed = (latch)LATCH(1);
    CHECK_EQUAL(cuv_address_parse(&b->at, host, 0), 0);
    on_loop(loop, bind_box, b);
}

static void close_udp(void *ctx) {
    cuv_udp_close(((box *)ctx)->udp);
    cuv_udp_close(((box *)ctx)->udp);
}

static void close_box(box *b) {
    on_loop(loop, close_udp, b);
    latch_wait(&b->closed);
    CHECK_EQUAL(b->closes, 1);
}

typedef struct sending {
    box *from;
    cuv_address to;
    const void *bytes;
    size_t count;
    bool sent;
    uint64_t lost;
} sending;

static void run_send(void *ctx) {
    sending *s = ctx;
    s->sent = cuv_udp_send(s->from->udp, &s->to, s->bytes, s->count);
    s->lost = cuv_udp_lost(s->from->udp);
}

static sending send_from(box *from, cuv_address to, const void *bytes, size_t count) {
    sending s = {.from = from, .to = to, .bytes = bytes, .count = count};
    on_loop(loop, run_send, &s);
    return s;
}

static box one, two;

static void between(const char *host, int family) {
    open_box(&one, host, 1);
    open_box(&two, host, 3);
    CHECK(send_from(&one, two.at, "hello", 5).sent);
    CHECK(send_from(&one, two.at, "", 0).sent);
    CHECK(send_from(&one, two.at, "again", 5).sent);
    latch_wait(&two.packets);
    CHECK(two.count == 5 && memcmp(two.last, "again", 5) == 0);
    CHECK_EQUAL(two.from.family, family);
    CHECK_EQUAL(two.from.port, one.at.port);
    CHECK(send_from(&two, two.from, "back", 4).sent);
    latch_wait(&one.packets);
    close_box(&one);
    close_box(&two);
}

// A dual-stack socket hears a plain socket of IPv4, and answers where it heard it.
static void dual_stack(void) {
    open_box(&one, "::", 1);
    one.echo = true;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(one.at.port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval patience = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    CHECK_EQUAL(sendto(fd, "four", 4, 0, (struct sockaddr *)&to, sizeof to), 4);
    peer_expect(fd, "four", 4);
    char text[64];
    cuv_address_print(&one.from, text);
    CHECK(strcmp(text, "127.0.0.1") == 0);
    close(fd);
    open_box(&two, "127.0.0.1", 1);
    CHECK(send_from(&one, two.at, "mapped", 6).sent);
    latch_wait(&two.packets);
    CHECK_EQUAL(two.count, 6);
    close_box(&one);
    close_box(&two);
}

static void bind_taken(void *ctx) {
    box *b = ctx;
    int error = 0;
    cuv_address none = {0};
    CHECK(cuv_udp_bind(loop, &b->at, &events, b, &error) == NULL);
    CHECK_EQUAL(error, -98 /* EADDRINUSE */);
    CHECK(cuv_udp_bind(loop, &none, &events, b, &error) == NULL);
    CHECK(error < 0);
    CHECK_EQUAL(cuv_loop_counts(loop).datagrams, 1);
}

static void losses(void) {
    static uint8_t large[70000];
    open_box(&one, "127.0.0.1", 1);
    on_loop(loop, bind_taken, &one);
    cuv_address six;
    CHECK_EQUAL(cuv_address_parse(&six, "::1", 9), 0);
    CHECK(!send_from(&one, six, "x", 1).sent);
    CHECK(!send_from(&one, one.at, large, sizeof large).sent);
    CHECK_EQUAL(send_from(&one, one.at, large, 65507).lost, 2);
    latch_wait(&one.packets);
    CHECK_EQUAL(one.count, 65507);
    // Nobody listens there: not even a later packet hears of it.
    cuv_address nobody = one.at;
    nobody.port = 1;
    CHECK(send_from(&one, nobody, "x", 1).sent);
    close_box(&one);
}

static void close_inside(void) {
    open_box(&one, "127.0.0.1", 1);
    one.close_inside = true;
    open_box(&two, "127.0.0.1", 1);
    for (int i = 0; i < 20; i++) send_from(&two, one.at, "end", 3);
    latch_wait(&one.closed);
    CHECK_EQUAL(one.received, 1);
    CHECK_EQUAL(one.closes, 1);
    close_box(&two);
}

int main(void) {
    loop = loop_up("udp");
    between("127.0.0.1", 4);
    between("::1", 6);
    dual_stack();
    losses();
    close_inside();
    loop_down(loop);
    return 0;
}
