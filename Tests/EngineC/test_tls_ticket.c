// SPDX-License-Identifier: MIT
// Where clients' certificates are required: how long a session is resumed without one. In memory, on the test's one thread.
// Tickets are judged by a clock of the test's, the certificates themselves by the system's.
#include "tls_support.h"

#include <openssl/x509_vfy.h>

static cuv_loop *loop;
static const tls_files *files;
static int64_t shown;

static int64_t show(void) { return shown; }

typedef struct meeting {
    bool opened, resumed;
    int status;              // the server's
} meeting;

static meeting meet(cuv_tls_context *client, cuv_tls_context *server) {
    couple c;
    cuv_tls_state state;
    couple_make(&c, loop, client, server, "localhost");
    couple_run(&c, 0);
    meeting now = {.opened = c.parties[1].opened == 1, .status = c.parties[1].status};
    if (now.opened) CHECK_EQUAL(cuv_tls_describe(c.parties[1].stream, &state), 0);
    now.resumed = now.opened && state.resumed;
    couple_end(&c);
    return now;
}

static bool resumes(cuv_tls_context *client, cuv_tls_context *server) {
    meeting now = meet(client, server);
    CHECK(now.opened);
    return now.resumed;
}

static void at_clock(bool old, const char *identity, void (*walk)(cuv_tls_context *client, cuv_tls_context *server)) {
    cuv_tls_context *ours = tls_client(files->ca, identity), *theirs = tls_server(files->server, files->ca);
    if (old) tls_only_12(ours);
    theirs->now = show;
    shown = time(NULL);
    walk(ours, theirs);
    cuv_tls_context_free(ours);
    cuv_tls_context_free(theirs);
}

// Each resumption gives the client another ticket.
static void resumptions_end_five_minutes_after_the_full_handshake(cuv_tls_context *ours, cuv_tls_context *theirs) {
    for (int round = 0; round < 2; round++) {
        CHECK(!resumes(ours, theirs));
        for (int i = 0; i < 3; i++) {
            shown += 100;
            CHECK(resumes(ours, theirs));
        }
        shown += 1;
    }
    CHECK(!resumes(ours, theirs));
}

static void resumptions_end_with_the_certificate(cuv_tls_context *ours, cuv_tls_context *theirs) {
    CHECK(!resumes(ours, theirs));
    shown += 50;
    CHECK(resumes(ours, theirs));
    shown += 12;
    CHECK(!resumes(ours, theirs));
}

// Comes again and again, with whatever ticket it was given last, until it is refused.
static void an_expired_certificate_opens_nothing(bool old) {
    cuv_tls_context *ours = tls_client(files->ca, tls_make_brief(4)), *theirs = tls_server(files->server, files->ca);
    if (old) tls_only_12(ours);
    uint64_t deadline = cuv_now_ns() + 10000000000;
    CHECK(!resumes(ours, theirs));
    CHECK(resumes(ours, theirs));
    meeting last;
    do last = meet(ours, theirs);
    while (last.opened && cuv_now_ns() < deadline);
    CHECK(!last.opened);
    CHECK_EQUAL(last.status, CUV_E_CERTIFICATE - X509_V_ERR_CERT_HAS_EXPIRED);
    cuv_tls_context_free(ours);
    cuv_tls_context_free(theirs);
}

int main(void) {
    loop = cuv_loop_new();
    files = tls_make_files();
    for (int old = 0; old < 2; old++) {
        at_clock(old, files->client, resumptions_end_five_minutes_after_the_full_handshake);
        at_clock(old, tls_make_brief(60), resumptions_end_with_the_certificate);
        an_expired_certificate_opens_nothing(old);
    }
    end_loop(loop);
    return 0;
}
