// SPDX-License-Identifier: MIT
// The WebSocket carrier against bytes: what RFC 6455 asks for, in every split, and what hostile peers send.
// The carrier is a tap (tunnel_support.h); no sockets.
#include "tunnel_support.h"

#include "cw_ws_frame.h"
#include "cw_ws_mask.h"
#include "ws_stream.h"

typedef struct heard {
    uint8_t bytes[1 << 18];
    size_t count;
    size_t take;        // bytes taken a call at most
    int ends, broken, closed, status, drains;
    cuv_stream *stream; // NULL after on_closed
} heard;

static size_t on_read(void *ctx, cuv_stream *stream, const uint8_t *bytes, size_t count) {
    (void)stream;
    heard *h = ctx;
    if (count > h->take) count = h->take;
    memcpy(h->bytes + h->count, bytes, count);
    h->count += count;
    return count;
}

static void on_end(void *ctx, cuv_stream *stream) {
    (void)stream;
    ((heard *)ctx)->ends += 1;
}

static void on_broken(void *ctx, cuv_stream *stream, int error) {
    (void)stream;
    (void)error;
    ((heard *)ctx)->broken += 1;
}

static void on_drain(void *ctx, cuv_stream *stream) {
    (void)stream;
    ((heard *)ctx)->drains += 1;
}

static void on_closed(void *ctx, cuv_stream *stream, int status) {
    (void)stream;
    heard *h = ctx;
    h->closed += 1;
    h->status = status;
    h->stream = NULL;
}

static const cuv_reader reader = {on_read, on_end, on_broken};
static const cuv_writer writer = {on_drain, NULL};
static const cuv_owner owner = {NULL, on_closed};

typedef struct fixture {
    cuv_loop *loop;
    tap *t;
    heard h;
} fixture;

static fixture *begin(bool client, bool half_close) {
    fixture *f = calloc(1, sizeof *f);
    f->loop = cuv_loop_new();
    f->t = tap_new(f->loop);
    f->h.take = SIZE_MAX;
    cuv_ws_config config = {client, half_close};
    f->h.stream = cuv_ws_wrap(&f->t->base, &config, &owner, &f->h);
    CHECK(f->h.stream && cuv_stream_bottom(f->h.stream) == &f->t->base);
    CHECK(cuv_stream_bottom(&f->t->base) == &f->t->base);
    cuv_stream_set_reader(f->h.stream, &reader, &f->h);
    cuv_stream_set_writer(f->h.stream, &writer, &f->h);
    cuv_stream_read_start(f->h.stream);
    return f;
}

static void end(fixture *f) {
    if (f->h.stream) cuv_stream_abort(f->h.stream);
    for (int i = 0; i < 4; i++) turn(f->loop);
    CHECK_EQUAL(f->h.closed, 1);
    end_loop(f->loop);
    free(f);
}

static size_t frame(uint8_t *to, uint8_t opcode, bool fin, bool masked, const void *payload, size_t count) {
    cw_ws_header header = {.length = count, .opcode = opcode, .fin = fin, .masked = masked, .mask = {0, 0, 0, 0}};
    if (masked) memcpy(header.mask, "\x12\x34\x56\x78", 4);
    size_t head = cw_ws_header_write(to, &header);
    if (count) memcpy(to + head, payload, count);
    if (masked) cw_ws_mask(to + head, count, header.mask, 0);
    return head + count;
}

// A mixture of sizes, fragments, pings and a pong, in steps of every length.
static void payloads_arrive_whole_in_every_split(void) {
    static uint8_t wire[400000], payload[90000];
    for (size_t step = 0; step <= 4097; step = step < 70 ? step + 1 : step * 4 + 1) {
        fixture *f = begin(false, false);
        size_t at = 0, place = 0;
        for (size_t size = 1; size < 90000; size = size * 3 + 1) {
            pattern_fill(payload, size, 7, place);
            size_t first = size / 2;
            at += frame(wire + at, CW_WS_BINARY, false, true, payload, first);
            at += frame(wire + at, CW_WS_PING, true, true, "hello", 5);
            at += frame(wire + at, CW_WS_CONTINUATION, true, true, payload + first, size - first);
            at += frame(wire + at, CW_WS_PONG, true, true, "x", 1);
            place += size;
        }
        tap_feed(f->t, wire, at, step);
        CHECK_EQUAL(f->h.count, place);
        CHECK(pattern_holds(f->h.bytes, place, 7, 0));
        CHECK(f->t->out_count >= 7 && memcmp(f->t->out, "\x8a\x05hello", 7) == 0);
        end(f);
    }
}

static void a_reader_that_takes_little_gets_all_of_it(void) {
    static uint8_t wire[100000], payload[50000];
    fixture *f = begin(true, false);
    f->h.take = 1000;
    pattern_fill(payload, sizeof payload, 3, 0);
    size_t count = frame(wire, CW_WS_BINARY, true, false, payload, sizeof payload);
    count += frame(wire + count, CW_WS_BINARY, true, false, "behind", 6);
    tap_feed(f->t, wire, count, 777);
    for (int i = 0; i < 100; i++) {
        cuv_stream_resume(f->h.stream);
        turn(f->loop);
    }
    CHECK_EQUAL(f->h.count, sizeof payload + 6);
    CHECK(pattern_holds(f->h.bytes, sizeof payload, 3, 0));
    end(f);
}

static void stopped_reading_stops_the_carrier(void) {
    uint8_t wire[64];
    fixture *f = begin(false, false);
    cuv_stream_read_stop(f->h.stream);
    CHECK(!(f->t->base.flags & CUV_S_READING));
    size_t count = frame(wire, CW_WS_BINARY, true, true, "later", 5);
    tap_feed(f->t, wire, count, 0);
    CHECK_EQUAL(f->h.count, 0);
    cuv_stream_read_start(f->h.stream);
    turn(f->loop);
    CHECK(f->h.count == 5 && memcmp(f->h.bytes, "later", 5) == 0);
    end(f);
}

// Reads back what a stream wrote; returns the payloads' length.
static size_t unwrap(const tap *t, bool masked, uint8_t *to, int *messages) {
    size_t at = 0, total = 0;
    *messages = 0;
    while (at < t->out_count) {
        cw_ws_header header;
        int used = cw_ws_header_read(&header, t->out + at, t->out_count - at);
        CHECK(used > 0 && header.masked == masked && header.opcode == CW_WS_BINARY && header.fin);
        at += (size_t)used;
        memcpy(to + total, t->out + at, header.length);
        cw_ws_mask(to + total, header.length, header.mask, 0);
        at += header.length;
        total += header.length;
        *messages += 1;
    }
    return total;
}

static void one_write_is_one_message(bool client) {
    static uint8_t payload[3 << 20], back[3 << 20];
    static const size_t sizes[] = {1, 125, 126, 65535, 65536, 65536 + 12, 200000, 3 << 20};
    pattern_fill(payload, sizeof payload, 5, 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        fixture *f = begin(client, false);
        size_t size = sizes[i], third = size / 3;
        cuv_span spans[] = {{payload, third}, {payload + third, 0}, {payload + third, size - third}};
        CHECK_EQUAL(cuv_stream_write_spans(f->h.stream, spans, 3, false), 0);
        int messages;
        CHECK_EQUAL(unwrap(f->t, client, back, &messages), size);
        CHECK(messages == 1 && memcmp(back, payload, size) == 0);
        if (size <= 200000) CHECK_EQUAL(f->t->writes, 1);
        end(f);
    }
}

static void many_spans_are_one_message_too(bool client) {
    uint8_t payload[300], back[300];
    cuv_span spans[100];
    pattern_fill(payload, sizeof payload, 6, 0);
    for (int i = 0; i < 100; i++) spans[i] = (cuv_span){payload + 3 * i, 3};
    fixture *f = begin(client, false);
    CHECK_EQUAL(cuv_stream_write_spans(f->h.stream, spans, 100, false), 0);
    int messages;
    CHECK_EQUAL(unwrap(f->t, client, back, &messages), 300);
    CHECK(messages == 1 && memcmp(back, payload, 300) == 0);
    end(f);
}

static void mask_keys_differ(void) {
    fixture *f = begin(true, false);
    uint64_t seen[1000];
    for (int i = 0; i < 1000; i++) {
        tap_forget(f->t);
        CHECK_EQUAL(cuv_stream_write(f->h.stream, (const uint8_t *)"x", 1, false), 0);
        memcpy(&seen[i], f->t->out, 6);
        seen[i] &= 0xffffffff0000;
    }
    int same = 0;
    for (int i = 1; i < 1000; i++) same += seen[i] == seen[0];
    CHECK(same < 3);
    end(f);
}

static void queued_is_the_carriers(void) {
    fixture *f = begin(false, false);
    f->t->blocked = true;
    CHECK_EQUAL(cuv_stream_write(f->h.stream, (const uint8_t *)"abc", 3, false), 0);
    CHECK_EQUAL(cuv_stream_queued(f->h.stream), 5);
    tap_unblock(f->t);
    CHECK(cuv_stream_queued(f->h.stream) == 0 && f->h.drains == 1);
    end(f);
}

static void a_close_frame_is_answered_and_an_end(void) {
    uint8_t wire[64];
    fixture *f = begin(false, false);
    size_t count = frame(wire, CW_WS_BINARY, true, true, "bye", 3);
    count += frame(wire + count, CW_WS_CLOSE, true, true, "\x03\xe8", 2);
    count += frame(wire + count, CW_WS_TEXT, true, true, "ignored", 7);
    tap_feed(f->t, wire, count, 0);
    CHECK(f->h.count == 3 && f->h.ends == 1 && f->h.broken == 0);
    CHECK(f->t->out_count == 4 && memcmp(f->t->out, "\x88\x02\x03\xe8", 4) == 0);
    CHECK(cuv_stream_write(f->h.stream, (const uint8_t *)"x", 1, false) < 0);
    cuv_stream_close(f->h.stream);
    turn(f->loop);
    CHECK(f->h.closed == 1 && f->h.status == 0 && f->h.broken == 0);
    end(f);
}

static void an_end_of_the_carrier_is_an_end(void) {
    fixture *f = begin(true, false);
    cuv_stream_deliver_end(&f->t->base);
    CHECK(f->h.ends == 1 && f->h.closed == 0);
    CHECK_EQUAL(cuv_stream_write(f->h.stream, (const uint8_t *)"x", 1, false), 0);
    end(f);
}

static void a_broken_carrier_breaks_the_stream(void) {
    fixture *f = begin(true, false);
    cuv_stream_break(&f->t->base, CUV_E_RESET);
    cuv_stream_finish_soon(&f->t->base, 0);
    f->t->aborted = true;
    turn(f->loop);
    turn(f->loop);
    CHECK(f->h.broken == 1 && f->h.closed == 1 && f->h.status == CUV_E_RESET);
    end(f);
}

static void half_close_is_an_empty_message(void) {
    uint8_t wire[64];
    fixture *f = begin(false, true);
    CHECK_EQUAL(cuv_stream_shut(f->h.stream), 0);
    CHECK(f->t->out_count == 2 && memcmp(f->t->out, "\x82\x00", 2) == 0);
    size_t count = frame(wire, CW_WS_BINARY, true, true, "still", 5);
    tap_feed(f->t, wire, count, 0);
    CHECK(f->h.count == 5 && f->h.ends == 0);
    count = frame(wire, CW_WS_BINARY, false, true, "", 0);
    count += frame(wire + count, CW_WS_CONTINUATION, true, true, "", 0);
    tap_feed(f->t, wire, count, 0);
    turn(f->loop);
    CHECK(f->h.ends == 1 && f->h.closed == 1 && f->h.status == 0);
    end(f);
}

static void without_half_close_shut_sends_a_close_frame(void) {
    uint8_t wire[64];
    fixture *f = begin(false, false);
    CHECK_EQUAL(cuv_stream_shut(f->h.stream), 0);
    CHECK(f->t->out_count == 4 && memcmp(f->t->out, "\x88\x02\x03\xe8", 4) == 0 && f->t->shut);
    size_t count = frame(wire, CW_WS_BINARY, true, true, "", 0);   // means nothing here
    count += frame(wire + count, CW_WS_BINARY, true, true, "late", 4);
    tap_feed(f->t, wire, count, 0);
    CHECK(f->h.count == 4 && f->h.ends == 0);
    count = frame(wire, CW_WS_CLOSE, true, true, "\x03\xe8", 2);
    tap_feed(f->t, wire, count, 0);
    turn(f->loop);
    CHECK(f->h.ends == 1 && f->h.closed == 1 && f->h.status == 0);
    end(f);
}

static bool is_closed(void *ctx) { return ((fixture *)ctx)->h.closed > 0; }

static void a_close_frame_that_is_not_answered_is_an_end(void) {
    fixture *f = begin(false, false);
    CHECK_EQUAL(cuv_stream_shut(f->h.stream), 0);
    cuv_timer_arm(((ws_stream *)f->h.stream)->patience, 1);   // not 5 s
    turn_until(f->loop, is_closed, f, 5);
    CHECK(f->h.ends == 1 && f->h.broken == 0 && f->h.status == 0);
    end(f);
}

typedef struct bad {
    const char *bytes;
    size_t count;
    uint8_t code;   // the last byte of the close frame's code, 1000 + something
} bad;

static void hostile_frames_end_the_stream(void) {
    static const bad cases[] = {
        {"\x81\x81\0\0\0\0x", 7, 0xeb},                         // text
        {"\x82\x01x", 3, 0xea},                                 // not masked
        {"\x80\x81\0\0\0\0x", 7, 0xea},                         // a continuation of nothing
        {"\x02\x81\0\0\0\0x\x82\x81\0\0\0\0x", 14, 0xea},       // a message within a message
        {"\xc2\x81\0\0\0\0x", 7, 0xea},                         // a reserved bit
        {"\x83\x81\0\0\0\0x", 7, 0xea},                         // a reserved opcode
        {"\x09\x80\0\0\0\0", 6, 0xea},                          // a fragmented ping
        {"\x89\xfe\x00\x7e\0\0\0\0", 8, 0xea},                  // a ping of 126 bytes
        {"\x82\xfe\x00\x01\0\0\0\0", 8, 0xea},                  // a length that is not the shortest
        {"\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0", 14, 0xea},       // 2^63 bytes
        {"\x88\x81\0\0\0\0x", 7, 0xea},                         // half a close code
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t step = 0; step < 3; step++) {
            fixture *f = begin(false, false);
            tap_feed(f->t, cases[i].bytes, cases[i].count, step);
            turn(f->loop);
            CHECK(f->h.broken == 1 && f->h.closed == 1 && f->h.status == CUV_E_PROTOCOL);
            end(f);
        }
    }
    (void)cases[0].code;
}

static void failing_says_why(void) {
    fixture *f = begin(true, false);
    bool before = f->t->closed;
    uint8_t out[16];
    tap *t = f->t;
    // The tap's memory goes in the turn, so the answer is looked at before.
    uint8_t copy[] = {0x81, 0x01, 'x'};
    CHECK_EQUAL(cuv_stream_deliver(&t->base, copy, sizeof copy), 0);
    CHECK(!before && t->closed && t->out_count == 8 && t->out[0] == 0x88 && t->out[1] == 0x82);
    memcpy(out, t->out, 8);
    cw_ws_mask(out + 6, 2, out + 2, 0);
    CHECK(out[6] == 3 && out[7] == 0xeb);
    end(f);
}

static void a_ping_flood_is_not_queued(void) {
    static uint8_t wire[1 << 20];
    size_t count = 0;
    char payload[125] = {0};
    while (count + 200 < sizeof wire) count += frame(wire + count, CW_WS_PING, true, true, payload, sizeof payload);
    fixture *f = begin(false, false);
    f->t->blocked = true;
    tap_feed(f->t, wire, count, 0);
    CHECK(cuv_stream_queued(&f->t->base) <= CUV_QUEUE_HIGH + 200 && f->h.broken == 0);
    end(f);
}

int main(void) {
    payloads_arrive_whole_in_every_split();
    a_reader_that_takes_little_gets_all_of_it();
    stopped_reading_stops_the_carrier();
    one_write_is_one_message(false);
    one_write_is_one_message(true);
    many_spans_are_one_message_too(false);
    many_spans_are_one_message_too(true);
    mask_keys_differ();
    queued_is_the_carriers();
    a_close_frame_is_answered_and_an_end();
    an_end_of_the_carrier_is_an_end();
    a_broken_carrier_breaks_the_stream();
    half_close_is_an_empty_message();
    without_half_close_shut_sends_a_close_frame();
    a_close_frame_that_is_not_answered_is_an_end();
    hostile_frames_end_the_stream();
    failing_says_why();
    a_ping_flood_is_not_queued();
    return 0;
}
