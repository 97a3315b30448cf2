// SPDX-License-Identifier: MIT
// The bytes that the original's processes really sent (Tests/vectors/tunnel.json), played to our tunnel ends: our server's end
// serves the recorded agent, our agent's end answers the recorded server.
#include "tunnel_support.h"
#include "yamux_types.h"

typedef struct conversation {
    uint8_t bytes[2][16384];   // by sender, client and server, behind the HTTP head
    size_t count[2];
} conversation;

static char *read_whole(const char *path) {
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    char *text = calloc(1, 1 << 16);
    CHECK(fread(text, 1, (1 << 16) - 1, file) > 0);
    fclose(file);
    return text;
}

// Enough of JSON for this one file: events are objects of "from" and "hex", in order.
static void read_conversation(conversation *out, const char *name) {
    char *text = read_whole("Tests/vectors/tunnel.json"), key[64];
    snprintf(key, sizeof key, "\"%s\": [", name);
    char *at = strstr(text, key), *end;
    CHECK(at != NULL);
    end = strchr(at, ']');
    memset(out, 0, sizeof *out);
    while ((at = strstr(at, "\"from\": \"")) && at < end) {
        int who = at[9] == 's';
        char *hex = strstr(at, "\"hex\": \""), *next = strstr(at + 9, "\"from\"");
        at += 9;
        if (!hex || (next && hex > next)) continue;
        for (hex += 8; *hex != '"'; hex += 2) sscanf(hex, "%2hhx", &out->bytes[who][out->count[who]++]);
    }
    for (int who = 0; who < 2; who++) {
        uint8_t *head_end = memmem(out->bytes[who], out->count[who], "\r\n\r\n", 4);
        CHECK(head_end != NULL);
        size_t head = (size_t)(head_end + 4 - out->bytes[who]);
        memmove(out->bytes[who], out->bytes[who] + head, out->count[who] -= head);
    }
    free(text);
}

typedef struct heard {
    char text[4096];
    size_t count;
    int ends, closed, status, session_closed, session_status, go_aways;
    cuv_stream *stream;
} heard;

static size_t on_read(void *ctx, cuv_stream *stream, const uint8_t *bytes, size_t count) {
    (void)stream;
    heard *h = ctx;
    memcpy(h->text + h->count, bytes, count);
    h->count += count;
    return count;
}
static void on_end(void *ctx, cuv_stream *stream) { (void)stream; ((heard *)ctx)->ends++; }
static void on_closed(void *ctx, cuv_stream *stream, int status) {
    (void)stream;
    heard *h = ctx;
    h->closed++;
    h->status = status;
    h->stream = NULL;
}
static const cuv_reader reader = {on_read, on_end, NULL};
static const cuv_owner owner = {NULL, on_closed};

static void adopt(heard *h, cuv_stream *stream) {
    h->stream = stream;
    cuv_stream_set_reader(stream, &reader, h);
    cuv_stream_read_start(stream);
}
static void on_stream(void *ctx, cuv_yamux *session, cuv_stream *stream) {
    (void)session;
    cuv_stream_set_owner(stream, &owner, ctx);
    adopt(ctx, stream);
}
static void on_go_away(void *ctx, cuv_yamux *session, uint32_t code) { (void)session; (void)code; ((heard *)ctx)->go_aways++; }
static void on_session_closed(void *ctx, cuv_yamux *session, int status) {
    (void)session;
    ((heard *)ctx)->session_closed++;
    ((heard *)ctx)->session_status = status;
}
static const cuv_yamux_events events = {on_stream, on_go_away, NULL, NULL, on_session_closed, NULL};

static cuv_yamux *session_on(tap *t, bool client, heard *h) {
    cuv_stream *ws = cuv_ws_wrap(&t->base, &(cuv_ws_config){.client = client}, NULL, NULL);
    return cuv_yamux_new(ws, &(cuv_yamux_config){.client = client}, &events, h);
}

static void finish(cuv_loop *loop, tap *t, heard *h, bool *gone) {
    t->gone = gone;
    cuv_stream_deliver_end(&t->base);
    for (int i = 0; i < 4; i++) turn(loop);
    CHECK(h->session_closed == 1 && h->session_status == 0 && *gone);
    end_loop(loop);
}

static void our_agent_answers_the_recorded_server(const char *name, const char *asked, const char *answer, size_t step) {
    conversation recorded;
    read_conversation(&recorded, name);
    cuv_loop *loop = cuv_loop_new();
    tap *t = tap_new(loop);
    heard h = {0};
    bool gone = false;
    cuv_yamux *session = session_on(t, true, &h);
    tap_feed(t, recorded.bytes[1], recorded.count[1], step);
    CHECK(strncmp(h.text, asked, strlen(asked)) == 0 && h.ends == 1 && h.closed == 0);
    CHECK_EQUAL(cuv_stream_write(h.stream, (const uint8_t *)answer, strlen(answer), false), 0);
    cuv_stream_shut(h.stream);
    for (int i = 0; i < 3; i++) turn(loop);
    CHECK(h.closed == 1 && h.status == 0 && session->oddities == 0);
    finish(loop, t, &h, &gone);
}

static void our_server_serves_the_recorded_agent(const char *name, const char *answer, size_t step) {
    conversation recorded;
    read_conversation(&recorded, name);
    cuv_loop *loop = cuv_loop_new();
    tap *t = tap_new(loop);
    heard h = {0};
    bool gone = false;
    int error;
    cuv_yamux *session = session_on(t, false, &h);
    adopt(&h, cuv_yamux_open(session, &owner, &h, &error));
    CHECK_EQUAL(cuv_stream_write(h.stream, (const uint8_t *)"PING\n", 5, false), 0);
    turn(loop);
    cuv_stream_shut(h.stream);
    tap_feed(t, recorded.bytes[0], recorded.count[0], step);
    for (int i = 0; i < 3; i++) turn(loop);
    CHECK(strncmp(h.text, answer, strlen(answer)) == 0 && h.ends == 1 && h.closed == 1 && h.status == 0);
    CHECK(session->oddities == 0 && h.go_aways <= 1);
    finish(loop, t, &h, &gone);
}

static void our_node_speaks_with_the_recorded_forward(size_t step) {
    conversation recorded;
    read_conversation(&recorded, "forward");
    cuv_loop *loop = cuv_loop_new();
    tap *t = tap_new(loop);
    heard h = {0};
    cuv_stream *ws = cuv_ws_wrap(&t->base, &(cuv_ws_config){.client = false}, &owner, &h);
    adopt(&h, ws);
    tap_feed(t, recorded.bytes[0], recorded.count[0], step);
    CHECK(h.count == 5 && memcmp(h.text, "PING\n", 5) == 0);
    CHECK_EQUAL(cuv_stream_write(ws, (const uint8_t *)"PONG\n", 5, false), 0);
    CHECK(t->out_count == recorded.count[1] && memcmp(t->out, recorded.bytes[1], t->out_count) == 0);
    cuv_stream_close(ws);
    for (int i = 0; i < 3; i++) turn(loop);
    CHECK_EQUAL(h.closed, 1);
    end_loop(loop);
}

int main(void) {
    for (size_t step = 0; step < 20; step++) {
        our_agent_answers_the_recorded_server("agent-http", "POST /a?b=c HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\n\r\n", step);
        our_agent_answers_the_recorded_server("agent-tcp", "PING\n", "PONG\n", step);
        our_server_serves_the_recorded_agent("agent-http", "HTTP/1.1 200 OK\r\n", step);
        our_server_serves_the_recorded_agent("agent-tcp", "PONG\n", step);
        our_node_speaks_with_the_recorded_forward(step);
    }
    return 0;
}
