// SPDX-License-Identifier: MIT
// The whole stack at once, on five loops: clients that send, half close, abort, close and stall at random, accepted on one loop, moved to
// another, through a WebSocket with yamux to an agent and an echo service; sessions that are lost in the middle. What clients read is what they
// sent, every stream ends once, and every counter is zero at the end. Seeded, bounded.
#include "check.h"

enum { CLIENTS = 300, AT_ONCE = 24, SESSIONS = 4, MOST = 600 * 1024 };

static cuv_loop *clients_loop, *front_loop, *server_loop, *agent_loop, *service_loop;
static cuv_address front_at, tunnel_at, service_at;
static latch all_clients = LATCH(CLIENTS);
static latch sessions_gone = LATCH(2 * SESSIONS);
static uint8_t bytes[MOST];

static uint32_t next_random(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

// --- two streams joined, on the server's and on the agent's loop ---

typedef struct joint {
    cuv_stream *sides[2];
    cuv_flow *flows[2];
} joint;

static void joint_closed(void *ctx, cuv_stream *stream, int status) {
    joint *j = ctx;
    (void)status;
    for (int i = 0; i < 2; i++) {
        if (j->sides[i] == stream) j->sides[i] = NULL;
        else if (j->sides[i] && status < 0) cuv_stream_abort(j->sides[i]);
    }
    if (!j->sides[0] && !j->sides[1] && !j->flows[0] && !j->flows[1]) free(j);
}

static const cuv_owner joint_owner = {NULL, joint_closed};

static void joint_flow_done(void *ctx, cuv_flow *flow, cuv_flow_result result) {
    joint *j = ctx;
    for (int i = 0; i < 2; i++) {
        if (j->flows[i] == flow) j->flows[i] = NULL;
        if (j->sides[i] && result.end != CUV_FLOW_STREAM_END) cuv_stream_abort(j->sides[i]);
    }
    if (!j->sides[0] && !j->sides[1] && !j->flows[0] && !j->flows[1]) free(j);
}

static void join(joint *j) {
    for (int i = 0; i < 2; i++) {
        cuv_flow_config config = {.source = j->sides[i], .sink = j->sides[!i], .on_done = joint_flow_done, .ctx = j};
        j->flows[i] = cuv_flow_start(&config);
        CHECK(j->flows[i] != NULL);
    }
}

// --- the tunnel ---

static cuv_yamux *server_session;   // server loop
static cuv_yamux *agent_session;    // agent loop
static bool over;                   // agent loop
static void dial_tunnel(void);

static void session_ignores(void *ctx, cuv_yamux *session, uint32_t code) { (void)ctx, (void)session, (void)code; }

static void on_agent_stream(void *ctx, cuv_yamux *session, cuv_stream *stream) {
    int error;
    (void)ctx, (void)session;
    joint *j = calloc(1, sizeof *j);
    cuv_stream_set_owner(stream, &joint_owner, j);
    j->sides[0] = stream;
    j->sides[1] = cuv_tcp_dial(agent_loop, &service_at, 5000, &joint_owner, j, &error);
    CHECK(j->sides[1] != NULL);
    join(j);
}

static void on_server_stream(void *ctx, cuv_yamux *session, cuv_stream *stream) { (void)ctx, (void)session, (void)stream; }

static void on_agent_session_closed(void *ctx, cuv_yamux *session, int status) {
    (void)ctx, (void)session, (void)status;
    agent_session = NULL;
    latch_down(&sessions_gone);
    if (!over) dial_tunnel();
}

static void on_server_session_closed(void *ctx, cuv_yamux *session, int status) {
    (void)ctx, (void)status;
    if (server_session == session) server_session = NULL;
    latch_down(&sessions_gone);
}

static cuv_yamux *make_session(cuv_stream *carrier, bool client) {
    static const cuv_yamux_events agent = {on_agent_stream, session_ignores, NULL, NULL, on_agent_session_closed, NULL};
    static const cuv_yamux_events server = {on_server_stream, session_ignores, NULL, NULL, on_server_session_closed, NULL};
    cuv_ws_config web = {.client = client, .half_close = true};
    cuv_yamux_config config = {.client = client};
    cuv_stream *socket = cuv_ws_wrap(carrier, &web, NULL, NULL);
    CHECK(socket != NULL);
    return cuv_yamux_new(socket, &config, client ? &agent : &server, NULL);
}

static void on_tunnel(void *ctx, cuv_listener *listener, cuv_stream *stream) {
    (void)ctx, (void)listener;
    server_session = make_session(stream, false);
}

static void on_tunnel_open(void *ctx, cuv_stream *stream) {
    (void)ctx;
    agent_session = make_session(stream, true);
}

static void dial_tunnel(void) {
    static const cuv_owner owner = {on_tunnel_open, NULL};
    int error;
    CHECK(cuv_tcp_dial(agent_loop, &tunnel_at, 5000, &owner, NULL, &error) != NULL);
}

static void dial_first(void *ctx) {
    (void)ctx;
    dial_tunnel();
}

static void lose_session(void *ctx) {
    if (!agent_session) return;
    if (*(int *)ctx % 2) cuv_yamux_abort(agent_session);
    else cuv_yamux_close(agent_session);
}

static void end_sessions(void *ctx) {
    (void)ctx;
    over = true;
    if (agent_session) cuv_yamux_close(agent_session);
}

// --- the front: accepts, reads a little, moves to the server's loop ---

static const cuv_owner nobody = {NULL, NULL};

static void arrive(void *ctx) {
    int error;
    joint *j = calloc(1, sizeof *j);
    j->sides[0] = cuv_attach(server_loop, ctx, &joint_owner, j, &error);
    CHECK(j->sides[0] != NULL);
    j->sides[1] = server_session ? cuv_yamux_open(server_session, &joint_owner, j, &error) : NULL;
    if (j->sides[1]) join(j);
    else cuv_stream_abort(j->sides[0]);
}

static size_t front_read(void *ctx, cuv_stream *stream, const uint8_t *got, size_t count) {
    int error;
    (void)ctx;
    cuv_moving *moving = cuv_detach(stream, 0, got, count, &error);
    CHECK(moving != NULL);
    CHECK_EQUAL(cuv_loop_post(server_loop, arrive, moving), 0);
    return count;
}

static void front_end(void *ctx, cuv_stream *stream) {
    (void)ctx;
    cuv_stream_close(stream);
}

static void on_front(void *ctx, cuv_listener *listener, cuv_stream *stream) {
    static const cuv_reader reader = {front_read, front_end, NULL};
    (void)ctx, (void)listener;
    cuv_stream_set_owner(stream, &nobody, NULL);
    cuv_stream_set_reader(stream, &reader, NULL);
    cuv_stream_read_start(stream);
}

// --- the service: an echo that sometimes ends early ---

static void echo_done(void *ctx, cuv_flow *flow, cuv_flow_result result) { (void)ctx, (void)flow, (void)result; }

static void on_service(void *ctx, cuv_listener *listener, cuv_stream *stream) {
    static uint32_t served;
    (void)ctx, (void)listener;
    cuv_stream_set_owner(stream, &nobody, NULL);
    cuv_flow_config config = {.source = stream, .sink = stream, .on_done = echo_done};
    CHECK(cuv_flow_start(&config) != NULL);
    if (++served % 17 == 0) cuv_stream_close(stream);
    else if (served % 19 == 0) cuv_stream_abort(stream);
}

// --- the clients ---

typedef enum habit { COMPLETE, ABORTS, CLOSES, STALLS, HABITS } habit;

typedef struct client {
    cuv_stream *stream;
    cuv_timer *timer;
    uint32_t random;
    habit habit;
    size_t total, sent, received;
    bool ended;
} client;

static int started, completed;
static uint32_t seed;   // the first argument, 0 without
static void start_client(void);

static void write_on(client *c) {
    while (c->sent < c->total && cuv_stream_queued(c->stream) < CUV_QUEUE_LOW) {
        size_t piece = next_random(&c->random) % 40000 + 1;
        if (piece > c->total - c->sent) piece = c->total - c->sent;
        if (cuv_stream_write(c->stream, bytes + c->sent, piece, piece % 3 == 0) < 0) return;
        c->sent += piece;
    }
    if (c->sent == c->total && c->habit == COMPLETE) cuv_stream_shut(c->stream);
}

static size_t client_read(void *ctx, cuv_stream *stream, const uint8_t *got, size_t count) {
    client *c = ctx;
    CHECK(c->received + count <= c->sent);
    size_t taken = count > 7 && next_random(&c->random) % 4 == 0 ? count / 2 : count;
    CHECK(memcmp(got, bytes + c->received, taken) == 0);
    c->received += taken;
    if (c->habit == STALLS && c->received > c->total / 2) cuv_stream_read_stop(stream);
    return taken;
}

static void client_end(void *ctx, cuv_stream *stream) {
    client *c = ctx;
    c->ended = true;
    if (c->received == c->total) completed++;
    cuv_stream_close(stream);
}

static void client_drain(void *ctx, cuv_stream *stream) {
    (void)stream;
    write_on(ctx);
}

static void client_open(void *ctx, cuv_stream *stream) {
    (void)stream;
    write_on(ctx);
}

static void client_timeout(void *ctx) {
    client *c = ctx;
    if (c->habit == CLOSES) cuv_stream_close(c->stream);
    else cuv_stream_abort(c->stream);
}

static void client_closed(void *ctx, cuv_stream *stream, int status) {
    client *c = ctx;
    (void)stream, (void)status;
    cuv_timer_free(c->timer);
    free(c);
    start_client();
    latch_down(&all_clients);
}

static void start_client(void) {
    static const cuv_owner owner = {client_open, client_closed};
    static const cuv_reader reader = {client_read, client_end, NULL};
    static const cuv_writer writer = {client_drain, NULL};
    int error;
    if (started >= CLIENTS) return;
    client *c = calloc(1, sizeof *c);
    c->random = (uint32_t)++started * 2654435761u + seed;
    c->habit = next_random(&c->random) % 2 ? COMPLETE : next_random(&c->random) % HABITS;
    c->total = next_random(&c->random) % (next_random(&c->random) % 3 ? 20000 : MOST) + 1;
    c->timer = cuv_timer_new(clients_loop, client_timeout, c);
    c->stream = cuv_tcp_dial(clients_loop, &front_at, 5000, &owner, c, &error);
    CHECK(c->timer && c->stream);
    cuv_stream_set_reader(c->stream, &reader, c);
    cuv_stream_set_writer(c->stream, &writer, c);
    cuv_stream_read_start(c->stream);
    cuv_timer_arm(c->timer, c->habit == COMPLETE ? 4000 : next_random(&c->random) % 40);
}

static void start_clients(void *ctx) {
    (void)ctx;
    for (int i = 0; i < AT_ONCE; i++) start_client();
}

static void sessions_wait(int left) {
    for (;;) {
        pthread_mutex_lock(&sessions_gone.lock);
        int now = sessions_gone.left;
        pthread_mutex_unlock(&sessions_gone.lock);
        if (now <= left) return;
        usleep(1000);
    }
}

static void clients_wait(int left) {
    for (;;) {
        pthread_mutex_lock(&all_clients.lock);
        int now = all_clients.left;
        pthread_mutex_unlock(&all_clients.lock);
        if (now <= left) return;
        usleep(1000);
    }
}

int main(int count, char **arguments) {
    if (count > 1) seed = (uint32_t)strtoul(arguments[1], NULL, 10);
    pattern(bytes, 0, MOST);
    cuv_loop **loops[] = {&clients_loop, &front_loop, &server_loop, &agent_loop, &service_loop};
    static const char *const names[] = {"clients", "front", "server", "agent", "service"};
    for (int i = 0; i < 5; i++) *loops[i] = loop_up(names[i]);
    cuv_listener *service = listen_on(service_loop, 4, on_service, NULL, &service_at);
    cuv_listener *tunnel = listen_on(server_loop, 4, on_tunnel, NULL, &tunnel_at);
    cuv_listener *front = listen_on(front_loop, 4, on_front, NULL, &front_at);
    on_loop(agent_loop, dial_first, NULL);
    on_loop(clients_loop, start_clients, NULL);
    for (int i = 1; i < SESSIONS; i++) {
        clients_wait(CLIENTS - CLIENTS * i / SESSIONS);
        on_loop(agent_loop, lose_session, &i);
        sessions_wait(2 * SESSIONS - 2 * i);
    }
    latch_wait(&all_clients);
    CHECK(completed > CLIENTS / 10);
    on_loop(agent_loop, end_sessions, NULL);
    latch_wait(&sessions_gone);
    listener_down(service_loop, service);
    listener_down(server_loop, tunnel);
    listener_down(front_loop, front);
    for (int i = 0; i < 5; i++) loop_quiet(*loops[i]);
    for (int i = 0; i < 5; i++) loop_down(*loops[i]);
    return 0;
}
