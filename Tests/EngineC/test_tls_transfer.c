// SPDX-License-Identifier: MIT
// Large transfers through TLS on loopback, between ours and OpenSSL's own: every byte in order, a slow reader slows the sender and costs no memory,
// ends arrive as ends. The engine runs on its loop's thread; the main thread plays the peer.
#include <fcntl.h>
#include <openssl/ssl.h>
#include <poll.h>

#include "tls_support.h"

enum { TOTAL = 24 * 1024 * 1024 };

static uint8_t bytes[TOTAL];

typedef struct stage {
    cuv_loop *loop;
    cuv_tls_context *context;
    cuv_stream *stream;
    cuv_stream *service;
    cuv_address to;
    latch done;           // flows and closes
    cuv_flow_result results[2];
    size_t most_queued;
} stage;

static void on_closed(void *ctx, cuv_stream *stream, int status) {
    stage *s = ctx;
    (void)stream;
    CHECK_EQUAL(status, 0);
    latch_down(&s->done);
}

static const cuv_owner owner = {NULL, on_closed};

static void echo_done(void *ctx, cuv_flow *flow, cuv_flow_result result) {
    stage *s = ctx;
    (void)flow;
    CHECK_EQUAL(result.end, CUV_FLOW_STREAM_END);
    CHECK_EQUAL(result.bytes, TOTAL);
    latch_down(&s->done);
}

static void echo(void *ctx, cuv_listener *listener, cuv_stream *stream) {
    stage *s = ctx;
    (void)listener;
    s->stream = cuv_tls_wrap(stream, s->context, NULL, 5000, &owner, s);
    CHECK(s->stream != NULL);
    cuv_flow_config config = {.source = s->stream, .sink = s->stream, .framing = CUV_FLOW_RAW, .on_done = echo_done, .ctx = s};
    CHECK(cuv_flow_start(&config) != NULL);
}

static void note_queue(void *ctx) {
    stage *s = ctx;
    cuv_counts counts = cuv_loop_counts(s->loop);
    CHECK(counts.buffer_bytes < 4 * 1024 * 1024);
    if (s->stream && cuv_stream_queued(s->stream) > s->most_queued) s->most_queued = cuv_stream_queued(s->stream);
}

// Writes what the echo takes and reads nothing until it takes no more; then reads while it writes.
static void exchange(SSL *ssl, int fd, stage *s) {
    static uint8_t got[65536];
    size_t sent = 0, received = 0;
    bool slow = true;
    SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (received < TOTAL) {
        size_t part = 0;
        if (sent < TOTAL && SSL_write_ex(ssl, bytes + sent, TOTAL - sent, &part) == 1) {
            sent += part;
            if (sent == TOTAL) SSL_shutdown(ssl);
            continue;
        }
        if (slow) {
            slow = poll(&(struct pollfd){fd, POLLOUT, 0}, 1, 300) == 1;
            on_loop(s->loop, note_queue, s);
            continue;
        }
        if (SSL_read_ex(ssl, got, sizeof got, &part) == 1) {
            CHECK(memcmp(got, bytes + received, part) == 0);
            received += part;
        } else {
            short events = sent < TOTAL ? POLLIN | POLLOUT : POLLIN;
            CHECK(poll(&(struct pollfd){fd, events, 0}, 1, 10000) == 1);
        }
    }
    fcntl(fd, F_SETFL, 0);
    CHECK(tls_peer_read_end(ssl));
}

static void a_slow_reader_slows_its_sender(void) {
    stage s = {.loop = loop_up("echo"), .context = tls_server(tls_make_files()->server, NULL), .done = LATCH(2)};
    cuv_address at;
    cuv_listener *listener = listen_on(s.loop, 4, echo, &s, &at);
    int fd;
    SSL *ssl = tls_peer_connect(&at, &fd);
    peer_set_buffers(fd, 64 * 1024);
    exchange(ssl, fd, &s);
    CHECK(s.most_queued > 100 * 1024 && s.most_queued < 512 * 1024);
    latch_wait(&s.done);
    tls_peer_free(ssl, fd);
    listener_down(s.loop, listener);
    loop_down(s.loop);
    cuv_tls_context_free(s.context);
}

// Our client to our server: a chain of two relays, plain at both outer ends.
typedef struct chain {
    cuv_tls_context *client, *server;
    cuv_address inner, service;
    cuv_stream *ends[4];
    latch done;
} chain;

static void chain_closed(void *ctx, cuv_stream *stream, int status) {
    (void)stream;
    CHECK_EQUAL(status, 0);
    latch_down(&((chain *)ctx)->done);
}

static const cuv_owner chain_owner = {NULL, chain_closed};

static void chain_flow_done(void *ctx, cuv_flow *flow, cuv_flow_result result) {
    (void)flow, (void)ctx;
    CHECK_EQUAL(result.end, CUV_FLOW_STREAM_END);
    CHECK_EQUAL(result.bytes, TOTAL);
}

static void join(chain *c, cuv_stream *a, cuv_stream *b) {
    cuv_flow_config up = {.source = a, .sink = b, .on_done = chain_flow_done, .ctx = c}, down = {.source = b, .sink = a, .on_done = chain_flow_done, .ctx = c};
    CHECK(cuv_flow_start(&up) && cuv_flow_start(&down));
}

static void accept_plain(void *ctx, cuv_listener *listener, cuv_stream *stream) {
    chain *c = ctx;
    int error;
    (void)listener;
    cuv_stream_set_owner(stream, &chain_owner, c);
    c->ends[1] = cuv_tcp_dial(cuv_stream_loop(stream), &c->inner, 5000, NULL, NULL, &error);
    CHECK(c->ends[1] != NULL);
    c->ends[1] = cuv_tls_wrap(c->ends[1], c->client, "localhost", 5000, &chain_owner, c);
    join(c, stream, c->ends[1]);
}

static void accept_secure(void *ctx, cuv_listener *listener, cuv_stream *stream) {
    chain *c = ctx;
    int error;
    (void)listener;
    cuv_stream *secure = cuv_tls_wrap(stream, c->server, NULL, 5000, &chain_owner, c);
    cuv_stream *plain = cuv_tcp_dial(cuv_stream_loop(stream), &c->service, 5000, &chain_owner, c, &error);
    CHECK(secure && plain);
    join(c, secure, plain);
}

static void *send_all(void *ctx) {
    int fd = *(int *)ctx;
    peer_send(fd, bytes, TOTAL);
    shutdown(fd, SHUT_WR);
    return NULL;
}

static void ends_and_bytes_pass_two_relays(void) {
    cuv_loop *loop = loop_up("chain");
    chain c = {.client = tls_client(tls_make_files()->ca, NULL), .server = tls_server(tls_make_files()->server, NULL), .done = LATCH(4)};
    cuv_address outer;
    int listening = peer_listen(&c.service);
    cuv_listener *inner = listen_on(loop, 4, accept_secure, &c, &c.inner), *first = listen_on(loop, 4, accept_plain, &c, &outer);
    int client = peer_connect(&outer), service = peer_accept(listening);
    int sides[2] = {client, service};
    for (int i = 0; i < 2; i++) {
        pthread_t sender;
        pthread_create(&sender, NULL, send_all, &sides[i]);
        peer_expect(sides[!i], bytes, TOTAL);
        CHECK_EQUAL(peer_read_end(sides[!i]), 0);
        pthread_join(sender, NULL);
    }
    latch_wait(&c.done);
    close(client);
    close(service);
    close(listening);
    listener_down(loop, inner);
    listener_down(loop, first);
    loop_down(loop);
    cuv_tls_context_free(c.client);
    cuv_tls_context_free(c.server);
}

int main(void) {
    pattern(bytes, 0, TOTAL);
    ends_and_bytes_pass_two_relays();
    a_slow_reader_slows_its_sender();
    return 0;
}
