// SPDX-License-Identifier: MIT
// A TLS context's insides: OpenSSL's context, and a client's sessions by the peer's name. Immutable but for the sessions, behind a lock.
// Any thread. Streams hold a reference each.
#ifndef CUV_TLS_CONTEXT_H
#define CUV_TLS_CONTEXT_H

#include <pthread.h>
#include <stdatomic.h>

#include "cuv_tls.h"

struct ssl_ctx_st;
struct ssl_session_st;
struct ssl_st;
struct x509_st;

/// Peers whose session is remembered; the one not used for longest makes room.
enum { CUV_TLS_SESSIONS = 128 };

typedef struct cuv_tls_session {
    char *name;                      // NULL: free
    struct ssl_session_st *session;
    uint64_t used;                   // the context's clock
} cuv_tls_session;

struct cuv_tls_context {
    atomic_int references;
    struct ssl_ctx_st *raw;
    bool server;
    bool unchecked;
    char *plain_answer;
    int64_t expiry;
    int64_t (*now)(void);            // seconds since 1970, as tickets are judged by
    pthread_mutex_t lock;            // of what follows
    cuv_tls_session *sessions;       // CUV_TLS_SESSIONS of them; NULL until the first
    uint64_t clock;
};

/// Another holder.
void cuv_tls_context_hold(cuv_tls_context *context);

/// What the peer of this name gave us last; the caller frees it. NULL: none. In tls_session.c, like the next three.
struct ssl_session_st *cuv_tls_session_take(cuv_tls_context *context, const char *name);
/// Remembers it (in place of an older one). Takes the reference.
void cuv_tls_session_keep(cuv_tls_context *context, const char *name, struct ssl_session_st *session);
/// It did not work out: the next handshake is a full one.
void cuv_tls_session_forget(cuv_tls_context *context, const char *name);
void cuv_tls_sessions_free(cuv_tls_context *context);

/// Has a server's tickets end with the certificates that were shown, and five minutes after the handshake that saw them. In tls_ticket.c, like the next two.
void cuv_tls_limit_tickets(cuv_tls_context *context);
/// The last second of a certificate's life, since 1970; 0 where it says none.
int64_t cuv_tls_not_after(const struct x509_st *certificate);
/// The system's time in seconds since 1970.
int64_t cuv_tls_now(void);

/// The client's contexts call it for each session the peer offers; in tls.c. 1: the reference was taken.
int cuv_tls_on_session(struct ssl_st *ssl, struct ssl_session_st *session);

#endif
