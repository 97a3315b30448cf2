// SPDX-License-Identifier: MIT
// Certificates made on the spot, contexts, parties and couples; see tls_support.h.
// Test only; a check that does not hold ends the process.
#include "tls_support.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

static tls_files files;
static char brief[96];

typedef struct maker {
    EVP_PKEY *key;
    X509 *certificate;
} maker;

static void add_extension(X509 *certificate, int nid, const char *value) {
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, NULL, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    CHECK(extension != NULL);
    CHECK(X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

enum { DAY = 86400 };

// A certificate by `by` (itself: NULL), valid for so many seconds from now.
static maker make(const char *name, const maker *by, const char *alternatives, long seconds) {
    static long serial;
    maker m = {EVP_EC_gen("P-256"), X509_new()};
    X509_set_version(m.certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(m.certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(m.certificate), -10 * DAY);
    X509_gmtime_adj(X509_getm_notAfter(m.certificate), seconds);
    X509_NAME *subject = X509_get_subject_name(m.certificate);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(m.certificate, by ? X509_get_subject_name(by->certificate) : subject);
    X509_set_pubkey(m.certificate, m.key);
    add_extension(m.certificate, NID_basic_constraints, by ? "critical,CA:FALSE" : "critical,CA:TRUE");
    if (alternatives) add_extension(m.certificate, NID_subject_alt_name, alternatives);
    CHECK(X509_sign(m.certificate, by ? by->key : m.key, EVP_sha256()) > 0);
    return m;
}

static maker cas[2];   // of the process

static FILE *create(char path[96], const char *name) {
    snprintf(path, 96, "%s/%s.pem", files.directory, name);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    return file;
}

static void save(char path[96], const char *name, maker m, bool with_key) {
    FILE *file = create(path, name);
    CHECK(PEM_write_X509(file, m.certificate) == 1);
    if (with_key) CHECK(PEM_write_PKCS8PrivateKey(file, m.key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(file);
}

static void save_leaf(char path[96], const char *name, const maker *by, const char *alternatives, long seconds) {
    maker leaf = make(name, by, alternatives, seconds);
    save(path, name, leaf, true);
    X509_free(leaf.certificate);
    EVP_PKEY_free(leaf.key);
}

static void save_broken(const maker *ca) {
    FILE *file = create(files.encrypted, "encrypted");
    CHECK(PEM_write_PKCS8PrivateKey(file, ca->key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL) == 1);
    fclose(file);
    file = create(files.garbage, "garbage");
    fputs("no certificate", file);
    fclose(file);
}

static void remove_files(void) {
    const char *all[] = {files.ca, files.other_ca, files.server, files.expired, files.foreign, files.client, files.foreign_client, files.encrypted, files.garbage, brief};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) unlink(all[i]);
    rmdir(files.directory);
}

static void make_files(void) {
    static const char names[] = "DNS:localhost,DNS:*.piko.test,IP:127.0.0.1,IP:::1";
    strcpy(files.directory, "/tmp/engine-tls-XXXXXX");
    CHECK(mkdtemp(files.directory) != NULL);
    atexit(remove_files);
    cas[0] = make("ca", NULL, NULL, 30 * DAY);
    cas[1] = make("other_ca", NULL, NULL, 30 * DAY);
    save(files.ca, "ca", cas[0], false);
    save(files.other_ca, "other_ca", cas[1], false);
    save_leaf(files.server, "server", &cas[0], names, 30 * DAY);
    save_leaf(files.expired, "expired", &cas[0], names, -DAY);
    save_leaf(files.foreign, "foreign", &cas[1], names, 30 * DAY);
    save_leaf(files.client, "client", &cas[0], NULL, 30 * DAY);
    save_leaf(files.foreign_client, "foreign_client", &cas[1], NULL, 30 * DAY);
    save_broken(&cas[0]);
}

const char *tls_make_brief(long seconds) {
    save_leaf(brief, "brief", &cas[0], NULL, seconds);
    return brief;
}

const tls_files *tls_make_files(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_files);
    return &files;
}

static cuv_tls_context *context_of(const cuv_tls_config *config) {
    cuv_tls_fault fault;
    cuv_tls_context *context = cuv_tls_context_new(config, &fault);
    if (!context) fprintf(stderr, "part %d: %s\n", fault.part, fault.words);
    CHECK(context != NULL);
    return context;
}

cuv_tls_context *tls_server(const char *identity, const char *clients) {
    return context_of(&(cuv_tls_config){.server = true, .certificate = identity, .key = identity, .authorities = clients, .plain_answer = "plain text\n"});
}

cuv_tls_context *tls_client(const char *roots, const char *identity) {
    return context_of(&(cuv_tls_config){.certificate = identity, .key = identity, .authorities = roots});
}

void tls_only_12(cuv_tls_context *context) {
    CHECK(SSL_CTX_set_max_proto_version(context->raw, TLS1_2_VERSION) == 1);
}

static void keep(party *p, const uint8_t *bytes, size_t count) {
    if (p->check) {
        CHECK(pattern_holds(bytes, count, p->seed, p->count));
        p->count += count;
        return;
    }
    if (p->count + count > p->capacity) {
        p->capacity = (p->count + count) * 2;
        p->bytes = realloc(p->bytes, p->capacity);
    }
    memcpy(p->bytes + p->count, bytes, count);
    p->count += count;
}

static size_t on_read(void *ctx, cuv_stream *stream, const uint8_t *bytes, size_t count) {
    party *p = ctx;
    CHECK(p->closed == 0 && p->broken == 0 && p->ends == 0);
    p->offers++;
    if (p->take && count > p->take) count = p->take;
    keep(p, bytes, count);
    if (p->stop_after) cuv_stream_read_stop(stream);
    return count;
}

static void on_end(void *ctx, cuv_stream *stream) {
    party *p = ctx;
    p->ends++;
    if (p->shut_at_end) cuv_stream_shut(stream);
}

static void on_broken(void *ctx, cuv_stream *stream, int error) {
    (void)stream, (void)error;
    ((party *)ctx)->broken++;
}

static void on_open(void *ctx, cuv_stream *stream) {
    (void)stream;
    ((party *)ctx)->opened++;
}

static void on_closed(void *ctx, cuv_stream *stream, int status) {
    party *p = ctx;
    (void)stream;
    p->closed++;
    p->status = status;
    p->stream = NULL;
    if (p->gone) latch_down(p->gone);
}

const cuv_reader party_reader = {on_read, on_end, on_broken};
const cuv_owner party_owner = {on_open, on_closed};

void party_wrap(party *p, cuv_stream *carrier, cuv_tls_context *context, const char *name, uint64_t timeout_ms) {
    p->stream = cuv_tls_wrap(carrier, context, name, timeout_ms, &party_owner, p);
    CHECK(p->stream != NULL);
    cuv_stream_set_reader(p->stream, &party_reader, p);
    cuv_stream_read_start(p->stream);
}

void party_free(party *p) {
    free(p->bytes);
    p->bytes = NULL;
}

void couple_make(couple *c, cuv_loop *loop, cuv_tls_context *client, cuv_tls_context *server, const char *name) {
    *c = (couple){.loop = loop};
    for (int i = 0; i < 2; i++) {
        c->ends[i] = tap_new(loop);
        c->ends[i]->rest = &c->rests[i];
        party_wrap(&c->parties[i], &c->ends[i]->base, i ? server : client, i ? NULL : name, 0);
    }
}

// True when there was something to pass from end `from` to the other.
static bool pass(couple *c, int from, size_t step) {
    const tap_rest *rest = &c->rests[from];
    tap_rest now = rest->gone ? *rest : (tap_rest){.out = c->ends[from]->out, .out_count = c->ends[from]->out_count};
    size_t count = now.out_count - c->passed[from];
    if (count == 0) return false;
    uint8_t *bytes = malloc(count);
    memcpy(bytes, now.out + c->passed[from], count);
    c->passed[from] = now.out_count;
    if (!c->rests[!from].gone) tap_feed(c->ends[!from], bytes, count, step);
    free(bytes);
    return true;
}

void couple_run(couple *c, size_t step) {
    for (bool moved = true; moved;) {
        turn(c->loop);
        bool up = pass(c, 0, step);
        moved = pass(c, 1, step) || up;
    }
    turn(c->loop);
}

void couple_end(couple *c) {
    for (int i = 0; i < 2; i++)
        if (c->parties[i].stream) cuv_stream_abort(c->parties[i].stream);
    while (!c->rests[0].gone || !c->rests[1].gone) turn(c->loop);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(c->parties[i].closed, 1);
        party_free(&c->parties[i]);
        free(c->rests[i].out);
    }
}

SSL *tls_peer_connect(const cuv_address *to, int *fd) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    CHECK(SSL_CTX_load_verify_locations(context, tls_make_files()->ca, NULL) == 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL *ssl = SSL_new(context);
    SSL_CTX_free(context);
    CHECK(SSL_set1_host(ssl, "localhost") == 1);
    *fd = peer_connect(to);
    SSL_set_fd(ssl, *fd);
    CHECK_EQUAL(SSL_connect(ssl), 1);
    return ssl;
}

void tls_peer_send(SSL *ssl, const void *bytes, size_t count) {
    size_t sent = 0;
    CHECK(SSL_write_ex(ssl, bytes, count, &sent) == 1 && sent == count);
}

void tls_peer_expect(SSL *ssl, const void *bytes, size_t count) {
    const uint8_t *at = bytes;
    static uint8_t got[65536];
    while (count > 0) {
        size_t part = 0;
        CHECK(SSL_read_ex(ssl, got, count < sizeof got ? count : sizeof got, &part) == 1);
        CHECK(memcmp(got, at, part) == 0);
        at += part;
        count -= part;
    }
}

bool tls_peer_read_end(SSL *ssl) {
    uint8_t byte;
    int count = SSL_read(ssl, &byte, 1);
    CHECK(count <= 0);
    return SSL_get_error(ssl, count) == SSL_ERROR_ZERO_RETURN;
}

void tls_peer_free(SSL *ssl, int fd) {
    SSL_free(ssl);
    close(fd);
}
