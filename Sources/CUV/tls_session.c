// SPDX-License-Identifier: MIT
// A client's sessions, one for each peer's name, so that the next dial needs no certificates and no signatures (RFC 8446 2.2).
// Any thread; behind the context's lock. The name is the key since the name is what was checked.
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "tls_context.h"

static cuv_tls_session *find(const cuv_tls_context *context, const char *name) {
    for (int i = 0; context->sessions && i < CUV_TLS_SESSIONS; i++) {
        cuv_tls_session *at = &context->sessions[i];
        if (at->name && strcmp(at->name, name) == 0) return at;
    }
    return NULL;
}

static void clear(cuv_tls_session *at) {
    free(at->name);
    SSL_SESSION_free(at->session);
    *at = (cuv_tls_session){0};
}

// A free place, or that of the one not used for longest.
static cuv_tls_session *make_room(cuv_tls_context *context, const char *name) {
    if (!context->sessions) context->sessions = calloc(CUV_TLS_SESSIONS, sizeof *context->sessions);
    if (!context->sessions) return NULL;
    cuv_tls_session *oldest = context->sessions;
    for (int i = 0; i < CUV_TLS_SESSIONS; i++) {
        if (context->sessions[i].used < oldest->used) oldest = &context->sessions[i];
    }
    clear(oldest);
    oldest->name = strdup(name);
    return oldest->name ? oldest : NULL;
}

SSL_SESSION *cuv_tls_session_take(cuv_tls_context *context, const char *name) {
    SSL_SESSION *session = NULL;
    pthread_mutex_lock(&context->lock);
    cuv_tls_session *at = find(context, name);
    if (at && SSL_SESSION_is_resumable(at->session)) {
        session = at->session;
        SSL_SESSION_up_ref(session);
        at->used = ++context->clock;
    }
    pthread_mutex_unlock(&context->lock);
    return session;
}

void cuv_tls_session_keep(cuv_tls_context *context, const char *name, SSL_SESSION *session) {
    pthread_mutex_lock(&context->lock);
    cuv_tls_session *at = find(context, name);
    if (!at) at = make_room(context, name);
    if (at) {
        SSL_SESSION_free(at->session);
        at->session = session;
        at->used = ++context->clock;
    } else {
        SSL_SESSION_free(session);
    }
    pthread_mutex_unlock(&context->lock);
}

void cuv_tls_session_forget(cuv_tls_context *context, const char *name) {
    pthread_mutex_lock(&context->lock);
    cuv_tls_session *at = find(context, name);
    if (at) clear(at);
    pthread_mutex_unlock(&context->lock);
}

void cuv_tls_sessions_free(cuv_tls_context *context) {
    for (int i = 0; context->sessions && i < CUV_TLS_SESSIONS; i++) clear(&context->sessions[i]);
    free(context->sessions);
}
