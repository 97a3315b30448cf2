// SPDX-License-Identifier: MIT
// Names to addresses: libuv's thread pool asks the system's resolver; numeric addresses answer themselves in this turn's hooks.
// Loop thread only.
#include <stdlib.h>
#include <uv.h>

#include "cuv_resolve.h"
#include "tcp.h"

typedef struct cuv_resolving {
    uv_getaddrinfo_t request;
    cuv_hook hook;
    cuv_address numeric;
    cuv_loop *loop;
    uint16_t port;
    cuv_on_resolved on_resolved;
    void *ctx;
} cuv_resolving;

enum { MOST = 64 };   // addresses of one name

static void finish(cuv_resolving *resolving, int status, const cuv_address *addresses, size_t count) {
    cuv_loop *loop = resolving->loop;
    cuv_loop_tally(loop)->requests--;
    resolving->on_resolved(resolving->ctx, status, addresses, count);
    cuv_object_give(loop, resolving, sizeof *resolving);
}

static void on_numeric(cuv_hook *hook) {
    cuv_resolving *resolving = CUV_CONTAINER(hook, cuv_resolving, hook);
    finish(resolving, 0, &resolving->numeric, 1);
}

static size_t collect(const struct addrinfo *list, uint16_t port, cuv_address *out) {
    size_t count = 0;
    for (const struct addrinfo *entry = list; entry && count < MOST; entry = entry->ai_next) {
        if (cuv_address_from_socket(&out[count], entry->ai_addr) < 0) continue;
        out[count++].port = port;
    }
    return count;
}

static void on_answer(uv_getaddrinfo_t *request, int status, struct addrinfo *list) {
    cuv_resolving *resolving = request->data;
    cuv_address addresses[MOST];
    size_t count = status == 0 ? collect(list, resolving->port, addresses) : 0;
    uv_freeaddrinfo(list);
    if (status == 0 && count == 0) status = UV_EAI_NODATA;
    finish(resolving, status, addresses, count);
}

static int ask(cuv_resolving *resolving, const char *host) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    resolving->request.data = resolving;
    return uv_getaddrinfo(&resolving->loop->uv, &resolving->request, on_answer, host, NULL, &hints);
}

int cuv_resolve(cuv_loop *loop, const char *host, uint16_t port, cuv_on_resolved on_resolved, void *ctx) {
    cuv_resolving *resolving = cuv_object_take(loop, sizeof *resolving);
    if (!resolving) return CUV_E_NO_MEMORY;
    resolving->loop = loop;
    resolving->port = port;
    resolving->on_resolved = on_resolved;
    resolving->ctx = ctx;
    resolving->hook.run = on_numeric;
    int error = 0;
    if (cuv_address_parse(&resolving->numeric, host, port) == 0) cuv_loop_soon(loop, &resolving->hook);
    else error = ask(resolving, host);
    if (error == 0) cuv_loop_tally(loop)->requests++;
    else cuv_object_give(loop, resolving, sizeof *resolving);
    return error;
}
