// SPDX-License-Identifier: MIT
// What the tests of TLS share: certificates made on the spot, contexts of them, and parties that note what they hear of a stream.
// Certificates: any thread, once. Parties: on their stream's loop.
#ifndef TLS_SUPPORT_H
#define TLS_SUPPORT_H

#include "tunnel_support.h"

#include "tls_context.h"

/// PEM files in a directory of the test's own, which goes with the process. Each certificate's key is in the same file.
typedef struct tls_files {
    char directory[64];
    char ca[96], other_ca[96];       ///< roots
    char server[96];                 ///< for localhost, *.piko.test, 127.0.0.1 and ::1, by ca
    char expired[96];                ///< the same, until yesterday
    char foreign[96];                ///< the same, by other_ca
    char client[96], foreign_client[96];
    char encrypted[96];              ///< a key with a passphrase
    char garbage[96];
} tls_files;

const tls_files *tls_make_files(void);
/// After that: a client's, by ca, that lives for so many seconds. One file, which the next call writes again.
const char *tls_make_brief(long seconds);

/// A server's context of one file; `clients`: who signs its clients' certificates, or NULL.
cuv_tls_context *tls_server(const char *identity, const char *clients);
/// A client's context; `identity` may be NULL.
cuv_tls_context *tls_client(const char *roots, const char *identity);
/// Allows TLS 1.2 alone.
void tls_only_12(cuv_tls_context *context);

/// Hears all of a stream.
typedef struct party {
    cuv_stream *stream;      ///< NULL after on_closed
    uint8_t *bytes;
    size_t count, capacity;
    size_t take;             ///< of one offer at most; 0: all
    bool stop_after;         ///< reading goes off inside each on_read
    bool shut_at_end;
    int opened, offers, ends, broken, closed, drains, status;
    uint64_t seed;           ///< with check: bytes are compared with the pattern and not kept
    bool check;
    latch *gone;             ///< counts down with on_closed; may be NULL
} party;

/// Wraps a carrier; reads from the start.
void party_wrap(party *p, cuv_stream *carrier, cuv_tls_context *context, const char *name, uint64_t timeout_ms);
void party_free(party *p);
extern const cuv_reader party_reader;
extern const cuv_owner party_owner;

/// OpenSSL itself as a blocking client of the main thread, which trusts tls_make_files()->ca and asks for localhost.
struct ssl_st *tls_peer_connect(const cuv_address *to, int *fd);
void tls_peer_send(struct ssl_st *ssl, const void *bytes, size_t count);
void tls_peer_expect(struct ssl_st *ssl, const void *bytes, size_t count);
/// True: the next read is a close_notify. False: the end or a reset without one.
bool tls_peer_read_end(struct ssl_st *ssl);
void tls_peer_free(struct ssl_st *ssl, int fd);

/// A client and a server on two ends that pass their bytes in pieces of `step` (0: whole) until nothing more comes.
typedef struct couple {
    cuv_loop *loop;
    tap *ends[2];            ///< client's and server's, until they are gone
    tap_rest rests[2];
    size_t passed[2];        ///< of what each wrote
    party parties[2];
} couple;

void couple_make(couple *c, cuv_loop *loop, cuv_tls_context *client, cuv_tls_context *server, const char *name);
void couple_run(couple *c, size_t step);
/// Aborts what is left and turns until both are gone.
void couple_end(couple *c);

#endif
