// SPDX-License-Identifier: MIT
// What a tunnel costs by itself: both ends on one loop, over TCP on loopback and WebSocket; no HTTP, no other process. Prints
// requests a second and CPU a request (300 bytes there, 200 back, a stream each), or GB/s and CPU a GiB of one stream. CPU is of both ends.
//     clang -O2 -ISources/CUV/include -ISources/CUV -ISources/CWire/include -ITests/EngineC Benchmarks/tunnel.c Sources/CUV/*.c \
//         Sources/CWire/*.c Tests/EngineC/tunnel_support.c Tests/EngineC/check.c -luv -lcrypto -lpthread -o .build/tunnel-cost
//     .build/tunnel-cost requests 32 400000        .build/tunnel-cost down 4096        .build/tunnel-cost up 4096
#include <time.h>

#include "tunnel_support.h"

static struct {
    cuv_loop *loop;
    cuv_yamux *ends[2];       // agent, server
    long wanted, done, running;
    size_t bulk_left;
    bool bulk, up, bulk_over;
} cost;

static uint8_t bytes_out[CUV_SCRATCH];

static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static size_t take_all(void *ctx, cuv_stream *stream, const uint8_t *bytes, size_t count) {
    (void)ctx;
    (void)bytes;
    cuv_stream_grant(stream, cost.bulk ? count : 0);
    return count;
}

static void nothing_closed(void *ctx, cuv_stream *stream, int status) { (void)ctx; (void)stream; (void)status; }
static const cuv_owner nobody = {NULL, nothing_closed};

// Requests.

static void response_ended(void *ctx, cuv_stream *stream) {
    (void)ctx;
    cuv_stream_close(stream);
}
static void request_closed(void *ctx, cuv_stream *stream, int status) {
    nothing_closed(ctx, stream, status);
    cost.done++;
    cost.running--;
}
static size_t answer(void *ctx, cuv_stream *stream, const uint8_t *bytes, size_t count) {
    (void)ctx;
    (void)bytes;
    cuv_stream_write(stream, bytes_out, 200, true);
    cuv_stream_shut(stream);
    return count;
}
static const cuv_reader client_reader = {take_all, response_ended, NULL};
static const cuv_reader service_reader = {answer, NULL, NULL};
static const cuv_owner client_owner = {NULL, request_closed};

static void ask(void) {
    int error;
    cuv_stream *stream = cuv_yamux_open(cost.ends[1], &client_owner, NULL, &error);
    CHECK(stream);
    cost.running++;
    cuv_stream_set_reader(stream, &client_reader, NULL);
    cuv_stream_read_start(stream);
    cuv_stream_write(stream, bytes_out, 300, false);
}

// Bulk.

static void send_more(void *ctx, cuv_stream *stream) {
    (void)ctx;
    while (cost.bulk_left > 0 && cuv_stream_queued(stream) < CUV_QUEUE_HIGH) {
        size_t part = cost.bulk_left < sizeof bytes_out ? cost.bulk_left : sizeof bytes_out;
        cost.bulk_left -= part;
        cuv_stream_write(stream, bytes_out, part, false);
    }
    if (cost.bulk_left == 0) cuv_stream_shut(stream);
}
static void bulk_ended(void *ctx, cuv_stream *stream) {
    (void)ctx;
    (void)stream;
    cost.bulk_over = true;
}
static const cuv_reader bulk_reader = {take_all, bulk_ended, NULL};
static const cuv_writer bulk_writer = {send_more, NULL};

static void take_part(cuv_stream *stream, bool sends) {
    stream->manual_grant = true;
    cuv_stream_set_reader(stream, &bulk_reader, NULL);
    cuv_stream_read_start(stream);
    if (!sends) return;
    cuv_stream_set_writer(stream, &bulk_writer, NULL);
    send_more(NULL, stream);
}

static void on_stream(void *ctx, cuv_yamux *session, cuv_stream *stream) {
    (void)ctx;
    (void)session;
    cuv_stream_set_owner(stream, &nobody, NULL);
    if (cost.bulk) {
        take_part(stream, cost.up);
        return;
    }
    cuv_stream_set_reader(stream, &service_reader, NULL);
    cuv_stream_read_start(stream);
}
static void on_session_closed(void *ctx, cuv_yamux *session, int status) { (void)ctx; (void)session; (void)status; }
static const cuv_yamux_events events = {on_stream, NULL, NULL, NULL, on_session_closed, NULL};

static void connect_ends(void) {
    cuv_stream *ends[2];
    cost.loop = cuv_loop_new();
    tcp_pair(cost.loop, &ends[0], &ends[1]);
    for (int i = 0; i < 2; i++) {
        cuv_stream *ws = cuv_ws_wrap(ends[i], &(cuv_ws_config){.client = i == 0}, NULL, NULL);
        cost.ends[i] = cuv_yamux_new(ws, &(cuv_yamux_config){.client = i == 0}, &events, NULL);
    }
}

static void measure_requests(long at_once) {
    uint64_t start = cuv_now_ns();
    double before = cpu_seconds();
    while (cost.done < cost.wanted) {
        while (cost.running < at_once) ask();
        uv_run(&cost.loop->uv, UV_RUN_ONCE);
    }
    double seconds = (double)(cuv_now_ns() - start) / 1e9, cpu = cpu_seconds() - before;
    printf("%ld at once: %.0f requests/s, CPU %.2f us a request\n", at_once, (double)cost.done / seconds, cpu / (double)cost.done * 1e6);
}

static void measure_bulk(size_t mebibytes) {
    int error;
    cost.bulk_left = mebibytes << 20;
    uint64_t start = cuv_now_ns();
    double before = cpu_seconds();
    cuv_stream *stream = cuv_yamux_open(cost.ends[1], &nobody, NULL, &error);
    take_part(stream, !cost.up);
    while (!cost.bulk_over) uv_run(&cost.loop->uv, UV_RUN_ONCE);
    double seconds = (double)(cuv_now_ns() - start) / 1e9, cpu = cpu_seconds() - before, mega = (double)mebibytes * 1.048576;
    printf("%s: %.2f GB/s, CPU %.3f s a GiB\n", cost.up ? "agent to server" : "server to agent", mega / 1e3 / seconds, cpu / (double)mebibytes * 1024);
}

int main(int count, char **words) {
    bool requests = count == 4 && strcmp(words[1], "requests") == 0;
    cost.up = count == 3 && strcmp(words[1], "up") == 0;
    cost.bulk = cost.up || (count == 3 && strcmp(words[1], "down") == 0);
    if (!requests && !cost.bulk) {
        fprintf(stderr, "usage: %s requests AT_ONCE COUNT | up MIB | down MIB\n", words[0]);
        return 2;
    }
    connect_ends();
    cost.wanted = requests ? atol(words[3]) : 0;
    if (requests) measure_requests(atol(words[2]));
    else measure_bulk(strtoul(words[2], NULL, 10));
    return 0;
}
