// SPDX-License-Identifier: MIT
// Names to addresses: a task asks the system's resolver, which cannot be interrupted, so that a query can be given up all the same; numeric
// addresses answer themselves in this turn's hooks. Loop thread only, but for `ask` and `drop`.
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "cuv_resolve.h"
#include "hook.h"
#include "loop_uv.h"
#include "task.h"
#include "tcp.h"

enum { MOST = 64 };   // addresses of one name

struct cuv_query {
    cuv_task task;
    cuv_hook answer;         // a numeric address's, due in this turn
    cuv_hook stop;           // the loop is asked to stop
    cuv_loop *loop;
    cuv_on_resolved on_resolved;
    void *ctx;
    bool is_numeric;
    uint16_t port;
    int status;              // from here on the task's, until it is done
    size_t count;
    cuv_address *addresses;
    char host[];
};

static void free_query(cuv_query *query) {
    free(query->addresses);
    free(query);
}

static void leave(cuv_query *query) {
    cuv_hook_cancel(&query->answer);
    cuv_hook_cancel(&query->stop);
    cuv_loop_tally(query->loop)->requests--;
}

static void finish(cuv_query *query) {
    leave(query);
    query->on_resolved(query->ctx, query->status, query->addresses, query->count);
    free_query(query);
}

static void on_answer(cuv_hook *hook) { finish(CUV_CONTAINER(hook, cuv_query, answer)); }
static void on_done(cuv_task *task) { finish(CUV_CONTAINER(task, cuv_query, task)); }

// A thread of the tasks, or the loop's.
static void drop(cuv_task *task) { free_query(CUV_CONTAINER(task, cuv_query, task)); }

static void on_stop(cuv_hook *hook) {
    cuv_query *query = CUV_CONTAINER(hook, cuv_query, stop);
    cuv_on_resolved on_resolved = query->on_resolved;
    void *ctx = query->ctx;
    cuv_resolve_cancel(query);
    on_resolved(ctx, CUV_E_CLOSED, NULL, 0);
}

static int error_of(int status) {
    switch (status) {
    case 0: return 0;
    case EAI_AGAIN: return UV_EAI_AGAIN;
    case EAI_MEMORY: return UV_EAI_MEMORY;
    case EAI_NONAME: return UV_EAI_NONAME;
    case EAI_FAMILY: return UV_EAI_FAMILY;
    case EAI_SYSTEM: return errno ? -errno : UV_EAI_FAIL;
#ifdef EAI_NODATA
    case EAI_NODATA: return UV_EAI_NODATA;
#endif
    default: return UV_EAI_FAIL;
    }
}

static void collect(cuv_query *query, const struct addrinfo *list) {
    query->addresses = calloc(MOST, sizeof *query->addresses);
    if (!query->addresses) {
        query->status = CUV_E_NO_MEMORY;
        return;
    }
    for (const struct addrinfo *entry = list; entry && query->count < MOST; entry = entry->ai_next) {
        cuv_address *out = &query->addresses[query->count];
        if (cuv_address_from_socket(out, entry->ai_addr) < 0) continue;
        out->port = query->port;
        query->count++;
    }
    if (query->count == 0) query->status = UV_EAI_NODATA;
}

// On a thread of the tasks.
static void ask(cuv_task *task) {
    cuv_query *query = CUV_CONTAINER(task, cuv_query, task);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
    errno = 0;
    query->status = error_of(getaddrinfo(query->host, NULL, &hints, &list));
    if (query->status == 0) collect(query, list);
    if (list) freeaddrinfo(list);
}

static cuv_query *new_query(cuv_loop *loop, const char *host, uint16_t port) {
    size_t length = strlen(host) + 1;
    cuv_query *query = calloc(1, sizeof *query + length);
    cuv_address numeric;
    if (!query) return NULL;
    memcpy(query->host, host, length);
    query->loop = loop;
    query->port = port;
    query->answer.run = on_answer;
    query->stop.run = on_stop;
    query->task.work = ask;
    query->task.done = on_done;
    query->task.drop = drop;
    query->is_numeric = cuv_address_parse(&numeric, host, port) == 0;
    if (!query->is_numeric) return query;
    query->addresses = malloc(sizeof numeric);
    if (query->addresses) *query->addresses = numeric;
    query->count = query->addresses ? 1 : 0;
    query->status = query->addresses ? 0 : CUV_E_NO_MEMORY;
    return query;
}

cuv_query *cuv_resolve(cuv_loop *loop, const char *host, uint16_t port, cuv_on_resolved on_resolved, void *ctx, int *error) {
    *error = CUV_E_CLOSED;
    if (cuv_loop_is_stopping(loop)) return NULL;
    cuv_query *query = new_query(loop, host, port);
    *error = CUV_E_NO_MEMORY;
    if (!query) return NULL;
    query->on_resolved = on_resolved;
    query->ctx = ctx;
    *error = query->is_numeric ? 0 : cuv_task_start(&query->task, loop);
    if (*error < 0) {
        free_query(query);
        return NULL;
    }
    if (query->is_numeric) cuv_loop_soon(loop, &query->answer);
    cuv_hooks_add(&loop->at_stop, &query->stop);
    cuv_loop_tally(loop)->requests++;
    return query;
}

void cuv_resolve_cancel(cuv_query *query) {
    leave(query);
    if (query->is_numeric || cuv_task_give_up(&query->task)) free_query(query);
}
