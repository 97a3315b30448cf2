// SPDX-License-Identifier: MIT
// Names: a resolver that hangs delays neither a cancelled question, nor other questions, nor the end of a loop. This program's own getaddrinfo
// stands before the system's: what ends in ".hung" waits until the test lets it go.
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <netdb.h>

#include "check.h"

static latch hanging = LATCH(1);
static latch released = LATCH(1);

typedef int (*resolver)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out) {
    size_t length = strlen(name);
    if (length > 5 && strcmp(name + length - 5, ".hung") == 0) {
        latch_down(&hanging);
        latch_wait(&released);
        return EAI_AGAIN;
    }
    return ((resolver)dlsym(RTLD_NEXT, "getaddrinfo"))(name, service, hints, out);
}

static cuv_loop *loop;

typedef struct question {
    const char *host;
    cuv_query *query;
    latch *answered;
    int answers;
    int status;
} question;

static void on_resolved(void *ctx, int status, const cuv_address *addresses, size_t count) {
    question *q = ctx;
    q->answers++;
    q->status = status;
    if (status == 0) CHECK(count > 0 && addresses[0].port == 80);
    if (q->answered) latch_down(q->answered);
}

static void ask(void *ctx) {
    question *q = ctx;
    int error;
    q->query = cuv_resolve(loop, q->host, 80, on_resolved, q, &error);
    CHECK(q->query != NULL);
}

static void give_up(void *ctx) {
    cuv_resolve_cancel(((question *)ctx)->query);
    CHECK_EQUAL(cuv_loop_counts(loop).requests, 0);
}

static void ask_and_give_up(void *ctx) {
    ask(ctx);
    give_up(ctx);
}

static void answer_of(const char *host, bool is_found) {
    latch answered = LATCH(1);
    question q = {.host = host, .answered = &answered};
    on_loop(loop, ask, &q);
    latch_wait(&answered);
    CHECK_EQUAL(q.answers, 1);
    CHECK_EQUAL(q.status == 0, is_found);
}

static void refused(void *ctx) {
    question *q = ctx;
    int error = 0;
    CHECK(cuv_resolve(loop, "localhost", 80, on_resolved, q, &error) == NULL);
    CHECK_EQUAL(error, CUV_E_CLOSED);
    latch_down(q->answered);
}

static void refuse_later(void *ctx, int status, const cuv_address *addresses, size_t count) {
    CHECK_EQUAL(status, CUV_E_CLOSED);
    CHECK(addresses == NULL && count == 0);
    refused(ctx);
}

static void ask_until_stop(void *ctx) {
    int error;
    CHECK(cuv_resolve(loop, "at.stop.hung", 80, refuse_later, ctx, &error) != NULL);
}

int main(void) {
    loop = loop_up("resolve");
    answer_of("127.0.0.1", true);
    answer_of("localhost", true);
    answer_of("no.such.name.invalid", false);
    question given_up[] = {{.host = "127.0.0.1"}, {.host = "localhost"}, {.host = "one.hung"}};
    for (int i = 0; i < 3; i++) on_loop(loop, ask_and_give_up, &given_up[i]);
    question hung = {.host = "two.hung"};
    on_loop(loop, ask, &hung);
    latch_wait(&hanging);
    answer_of("localhost", true);
    on_loop(loop, give_up, &hung);
    latch answered = LATCH(2);
    question asked = {.host = "three.hung", .answered = &answered};
    on_loop(loop, ask, &asked);
    question late = {.answered = &answered};
    on_loop(loop, ask_until_stop, &late);
    loop_down(loop);
    latch_wait(&answered);
    CHECK_EQUAL(asked.status, CUV_E_CLOSED);
    latch_down(&released);   // the answers find nobody
    for (int i = 0; i < 3; i++) CHECK_EQUAL(given_up[i].answers, 0);
    CHECK_EQUAL(hung.answers, 0);
    return 0;
}
