// SPDX-License-Identifier: MIT
// Fuzzes the chunked scanner: the input as a body, and as the payload of a body we make.
// Holds: whole, cut anywhere and byte by byte give the same payload, end and fault; passed on or decoded is the same;
// consumed <= given, spans lie inside what was consumed; a fault stays; after the end nothing is taken; a made body gives
// its payload back and ends exactly.
// fuzz-seeds: chunked.hex http1-bodies
#include "CWire.h"
#include "fuzz.h"

enum { CHUNKS_MOST = 64 };

struct outcome {
    uint8_t *payload;       // owned; free_outcome
    size_t payload_count, consumed;
    int error;
    bool done;
};

static void free_outcome(struct outcome *outcome) {
    free(outcome->payload);
}

/// One call; checks what every call promises.
static size_t scan_once(cw_chunked *state, const uint8_t *bytes, size_t count, bool decode, struct outcome *out) {
    size_t span = SIZE_MAX, span_count = SIZE_MAX;
    int64_t result = cw_chunked_scan(state, bytes, count, decode ? &span : NULL, decode ? &span_count : NULL);
    out->done = cw_chunked_done(state);
    if (result < 0) {
        CHECK(!out->done && result == state->error);
        CHECK(!decode || span_count == 0);
        out->error = (int)result;
        return 0;
    }
    CHECK(result > 0 && (size_t)result <= count);
    out->consumed += (size_t)result;
    if (!decode) {
        CHECK(out->done || (size_t)result == count);
        return (size_t)result;
    }
    CHECK(span <= (size_t)result && span_count <= (size_t)result - span);
    CHECK(span_count == 0 || span + span_count == (size_t)result);
    CHECK(span_count > 0 || out->done || (size_t)result == count);
    if (span_count > 0) memcpy(out->payload + out->payload_count, bytes + span, span_count);
    out->payload_count += span_count;
    return (size_t)result;
}

static void scan_piece(cw_chunked *state, const uint8_t *bytes, size_t count, bool decode, struct outcome *out) {
    uint8_t *copy = exact(bytes, count);
    for (size_t at = 0; at < count && !out->done && !out->error;) {
        at += scan_once(state, copy + at, count - at, decode, out);
    }
    free(copy);
}

/// Nothing more may happen behind an end or a fault.
static void check_stays(cw_chunked *state, const struct outcome *out) {
    static const uint8_t more[] = "0\r\n\r\n";
    if (!out->done && !out->error) return;
    size_t span, span_count = 1;
    CHECK(cw_chunked_scan(state, more, 5, NULL, NULL) == out->error);
    CHECK(cw_chunked_scan(state, more, 5, &span, &span_count) == out->error && span_count == 0);
    CHECK(cw_chunked_done(state) == out->done);
}

/// Pieces of 1 to `most` bytes.
static struct outcome scan_all(const uint8_t *data, size_t size, size_t most, bool decode) {
    cw_chunked state = {0};
    struct outcome out = {.payload = malloc(size + 1)};
    if (!out.payload) abort();
    dice dice = dice_of(data, size);
    for (size_t at = 0; at < size && !out.done && !out.error;) {
        size_t piece = most >= size ? size : 1 + roll(&dice, most - 1);
        if (piece > size - at) piece = size - at;
        scan_piece(&state, data + at, piece, decode, &out);
        at += piece;
    }
    check_stays(&state, &out);
    return out;
}

static void check_same(const struct outcome *whole, struct outcome other, bool decode) {
    CHECK(other.error == whole->error && other.done == whole->done);
    CHECK(whole->error || other.consumed == whole->consumed);
    CHECK(!decode || other.payload_count == whole->payload_count);
    CHECK(!decode || memcmp(other.payload, whole->payload, whole->payload_count) == 0);
    free_outcome(&other);
}

static void check_body(const uint8_t *data, size_t size) {
    struct outcome whole = scan_all(data, size, SIZE_MAX, true);
    CHECK(whole.consumed <= size && whole.payload_count <= whole.consumed);
    check_same(&whole, scan_all(data, size, SIZE_MAX, false), false);
    for (int decode = 0; decode < 2; decode++) {
        // Byte by byte costs most, and a fault that it shows is shown by a short input too.
        if (size <= 300) check_same(&whole, scan_all(data, size, 1, decode), decode);
        check_same(&whole, scan_all(data, size, 7, decode), decode);
        check_same(&whole, scan_all(data, size, size / 2 + 2, decode), decode);
    }
    free_outcome(&whole);
}

/// The input as payload, in chunks of sizes that follow from it.
static void check_made(const uint8_t *data, size_t size) {
    uint8_t *body = malloc(size + (CHUNKS_MOST + 2) * 32);
    if (!body) abort();
    size_t made = 0;
    dice dice = dice_of(data, size);
    for (size_t at = 0, chunks = 0; at < size; chunks++) {
        size_t chunk = chunks < CHUNKS_MOST ? 1 + roll(&dice, size - at - 1) : size - at;
        made += (size_t)sprintf((char *)body + made, roll(&dice, 1) ? "%zx\r\n" : "%04zX;e=\"\t\"\r\n", chunk);
        memcpy(body + made, data + at, chunk);
        made += chunk;
        memcpy(body + made, "\r\n", 2);
        made += 2;
        at += chunk;
    }
    made += (size_t)sprintf((char *)body + made, roll(&dice, 1) ? "0\r\n\r\n" : "00;x\r\nA: b\r\nC:\r\n\r\n");
    memcpy(body + made, "GET", 3);
    struct outcome out = scan_all(body, made + 3, 1 + roll(&dice, made + 3), true);
    CHECK(out.done && !out.error && out.consumed == made);
    CHECK(out.payload_count == size && (size == 0 || memcmp(out.payload, data, size) == 0));
    free_outcome(&out);
    free(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    check_body(data, size);
    check_made(data, size);
    return 0;
}
