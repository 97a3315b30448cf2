// SPDX-License-Identifier: MIT
// Who is let in: names, dates, roots, clients' certificates, resumed sessions; what is no TLS; which files make no context.
// In memory, on the test's one thread.
#include "tls_support.h"

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "tls_stream.h"

static cuv_loop *loop;
static const tls_files *files;

static void meet(couple *c, cuv_tls_context *client, cuv_tls_context *server, const char *name) {
    couple_make(c, loop, client, server, name);
    couple_run(c, 0);
}

static bool both_open(const couple *c) {
    return c->parties[0].opened == 1 && c->parties[1].opened == 1 && c->parties[0].closed + c->parties[1].closed == 0;
}

static void a_name_is_accepted(const char *name, bool accepted) {
    couple c;
    cuv_tls_context *ours = tls_client(files->ca, NULL), *theirs = tls_server(files->server, NULL);
    meet(&c, ours, theirs, name);
    if (both_open(&c) != accepted) fprintf(stderr, "%s: %s\n", name, cuv_strerror(c.parties[0].status));
    CHECK_EQUAL(both_open(&c), accepted);
    int verdict = strchr(name, ':') || name[0] == '1' ? X509_V_ERR_IP_ADDRESS_MISMATCH : X509_V_ERR_HOSTNAME_MISMATCH;
    if (!accepted) CHECK_EQUAL(c.parties[0].status, CUV_E_CERTIFICATE - verdict);
    couple_end(&c);
    cuv_tls_context_free(ours);
    cuv_tls_context_free(theirs);
}

static void a_server_is_refused(const char *identity, int verdict, int alert, const char *words) {
    for (int old = 0; old < 2; old++) {
        couple c;
        cuv_tls_context *ours = tls_client(files->ca, NULL), *theirs = tls_server(identity, NULL);
        if (old) tls_only_12(ours);
        meet(&c, ours, theirs, "localhost");
        CHECK_EQUAL(c.parties[0].opened, 0);
        CHECK_EQUAL(c.parties[0].status, CUV_E_CERTIFICATE - verdict);
        CHECK(strstr(cuv_strerror(c.parties[0].status), words) != NULL);
        CHECK(cuv_error_is_tls(c.parties[0].status));
        CHECK_EQUAL(c.parties[1].status, CUV_E_TLS - alert);   // it was told why
        couple_end(&c);
        cuv_tls_context_free(ours);
        cuv_tls_context_free(theirs);
    }
}

static void a_name_is_sent_without_the_dot_at_its_end(void) {
    couple c;
    cuv_tls_context *ours = tls_client(files->ca, NULL), *theirs = tls_server(files->server, NULL);
    meet(&c, ours, theirs, "localhost.");
    const char *sent = SSL_get_servername(tls_of(c.parties[1].stream)->ssl, TLSEXT_NAMETYPE_host_name);
    CHECK(sent && strcmp(sent, "localhost") == 0);
    couple_end(&c);
    cuv_tls_context_free(ours);
    cuv_tls_context_free(theirs);
}

static void unchecked_takes_anyone(void) {
    couple c;
    cuv_tls_fault fault;
    cuv_tls_context *ours = cuv_tls_context_new(&(cuv_tls_config){.unchecked = true}, &fault);
    cuv_tls_context *theirs = tls_server(files->expired, NULL);
    CHECK(ours != NULL);
    meet(&c, ours, theirs, "elsewhere.example");
    CHECK(both_open(&c));
    couple_end(&c);
    cuv_tls_context_free(ours);
    cuv_tls_context_free(theirs);
}

static void a_client_shows_its_certificate(const char *identity, bool old, int refusal) {
    couple c;
    cuv_tls_context *ours = tls_client(files->ca, identity), *theirs = tls_server(files->server, files->ca);
    if (old) tls_only_12(ours);
    meet(&c, ours, theirs, "localhost");
    CHECK_EQUAL(c.parties[1].opened, refusal == 0);
    CHECK_EQUAL(c.parties[1].status, refusal);
    if (refusal) CHECK(cuv_error_is_tls(c.parties[0].status));
    couple_end(&c);
    cuv_tls_context_free(ours);
    cuv_tls_context_free(theirs);
}

static bool meets_resumed(cuv_tls_context *client, cuv_tls_context *server, const char *name) {
    couple c;
    cuv_tls_state states[2];
    meet(&c, client, server, name);
    CHECK(both_open(&c));
    for (int i = 0; i < 2; i++) CHECK_EQUAL(cuv_tls_describe(c.parties[i].stream, &states[i]), 0);
    CHECK_EQUAL(states[0].resumed, states[1].resumed);
    couple_end(&c);   // by abort, which must not cost the session
    return states[0].resumed;
}

static void sessions_are_resumed_by_name(bool old, const char *clients) {
    cuv_tls_context *ours = tls_client(files->ca, clients ? files->client : NULL);
    cuv_tls_context *theirs = tls_server(files->server, clients), *renewed = tls_server(files->server, clients);
    if (old) tls_only_12(ours);
    CHECK(!meets_resumed(ours, theirs, "localhost"));
    CHECK(meets_resumed(ours, theirs, "localhost"));
    CHECK(meets_resumed(ours, theirs, "localhost"));
    CHECK(!meets_resumed(ours, theirs, "a.piko.test"));
    CHECK(!meets_resumed(ours, renewed, "localhost"));   // other keys for tickets
    CHECK(meets_resumed(ours, renewed, "localhost"));
    cuv_tls_context *others = tls_client(files->ca, clients ? files->client : NULL);
    CHECK(!meets_resumed(others, renewed, "localhost"));
    cuv_tls_context_free(others);
    cuv_tls_context_free(ours);
    cuv_tls_context_free(theirs);
    cuv_tls_context_free(renewed);
}

static void the_sessions_kept_are_bounded(void) {
    cuv_tls_context *ours = tls_client(files->ca, NULL), *theirs = tls_server(files->server, NULL);
    char name[32];
    for (int i = 0; i < CUV_TLS_SESSIONS + 2; i++) {
        snprintf(name, sizeof name, "n%d.piko.test", i);
        meets_resumed(ours, theirs, name);
    }
    CHECK(!meets_resumed(ours, theirs, "n0.piko.test"));
    CHECK(meets_resumed(ours, theirs, name));
    cuv_tls_context_free(ours);
    cuv_tls_context_free(theirs);
}

static cuv_tls_context *stranger;   // a server's, for what is no TLS

// Feeds a server bytes that are no handshake. Returns what it answered, in `out`.
static size_t feed_server(const void *bytes, size_t count, size_t step, int *status, uint8_t out[256]) {
    party p = {0};
    tap_rest rest = {0};
    tap *end = tap_new(loop);
    end->rest = &rest;
    party_wrap(&p, &end->base, stranger, NULL, 0);
    cuv_stream_deliver(&end->base, bytes, step ? step : count);
    if (step) cuv_stream_deliver(&end->base, (const uint8_t *)bytes + step, count - step);
    if (p.stream && !cuv_stream_is_closing(p.stream)) cuv_stream_deliver_end(&end->base);
    while (!rest.gone) turn(loop);
    *status = p.status;
    size_t answered = rest.out_count < 256 ? rest.out_count : 256;
    if (answered > 0) memcpy(out, rest.out, answered);
    free(rest.out);
    CHECK_EQUAL(p.opened, 0);
    return answered;
}

static void plain_text_gets_a_plain_answer(void) {
    static const char *requests[] = {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "options * HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"};
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        uint8_t answer[256];
        int status;
        size_t count = feed_server(requests[i], strlen(requests[i]), i == 0 ? 1 : 0, &status, answer);
        CHECK_EQUAL(status, CUV_E_NOT_TLS);
        CHECK_EQUAL(count, 11);
        CHECK(memcmp(answer, "plain text\n", 11) == 0);
    }
}

static void garbage_gets_an_alert(void) {
    uint64_t random = 7;
    for (int i = 0; i < 300; i++) {
        uint8_t bytes[700], answer[256];
        int status;
        for (size_t at = 0; at < sizeof bytes; at++) bytes[at] = (uint8_t)next_random(&random);
        if (i % 2) memcpy(bytes, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);   // as a handshake begins
        else if (bytes[0] >= 'A' && bytes[0] <= 'z') bytes[0] = 0;
        feed_server(bytes, sizeof bytes, 0, &status, answer);
        CHECK(cuv_error_is_tls(status));
    }
    uint8_t answer[256];
    int status;
    size_t count = feed_server("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10, 0, &status, answer);
    CHECK(count == 7 && answer[0] == 21);
}

static void a_corrupted_record_breaks_it(void) {
    couple c;
    cuv_tls_context *ours = tls_client(files->ca, NULL), *theirs = tls_server(files->server, NULL);
    meet(&c, ours, theirs, "localhost");
    size_t before = c.ends[0]->out_count;
    cuv_stream_write(c.parties[0].stream, (const uint8_t *)"hello", 5, false);
    c.ends[0]->out[before + 8] ^= 1;
    couple_run(&c, 0);
    CHECK_EQUAL(c.parties[1].status, CUV_E_TLS - SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC);
    CHECK_EQUAL(c.parties[1].count, 0);
    CHECK_EQUAL(c.parties[0].status, CUV_E_TLS - SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
    couple_end(&c);
    cuv_tls_context_free(ours);
    cuv_tls_context_free(theirs);
}

static void an_end_in_the_handshake_is_told(void) {
    uint8_t answer[256];
    int status;
    feed_server("\x16\x03\x01\x02", 4, 0, &status, answer);
    CHECK_EQUAL(status, CUV_E_HANDSHAKE_ENDED);
}

static bool is_over(void *ctx) { return ((party *)ctx)->closed > 0; }

static void a_handshake_has_a_deadline(void) {
    cuv_tls_context *context = tls_server(files->server, NULL);
    party p = {0};
    tap_rest rest = {0};
    tap *end = tap_new(loop);
    end->rest = &rest;
    party_wrap(&p, &end->base, context, NULL, 50);
    turn_until(loop, is_over, &p, 5);
    CHECK_EQUAL(p.status, CUV_E_TIMEOUT);
    CHECK_EQUAL(p.broken, 1);
    CHECK(rest.gone);
    free(rest.out);
    cuv_tls_context_free(context);
}

static void refuse_context(cuv_tls_config config, cuv_tls_part part, const char *words) {
    cuv_tls_fault fault;
    CHECK(cuv_tls_context_new(&config, &fault) == NULL);
    CHECK_EQUAL(fault.part, part);
    if (!strstr(fault.words, words)) fprintf(stderr, "said: %s\n", fault.words);
    CHECK(strstr(fault.words, words) != NULL);
}

static void files_that_make_no_context(void) {
    const char *good = files->server;
    refuse_context((cuv_tls_config){.server = true}, CUV_TLS_CERTIFICATE, "is missing");
    refuse_context((cuv_tls_config){.server = true, .certificate = good}, CUV_TLS_KEY, "is missing");
    refuse_context((cuv_tls_config){.key = good}, CUV_TLS_CERTIFICATE, "is missing");
    refuse_context((cuv_tls_config){.certificate = "/nowhere", .key = good}, CUV_TLS_CERTIFICATE, "No such file");
    refuse_context((cuv_tls_config){.certificate = good, .key = files->directory}, CUV_TLS_KEY, "directory");
    refuse_context((cuv_tls_config){.certificate = files->garbage, .key = good}, CUV_TLS_CERTIFICATE, "expected a certificate in PEM form");
    refuse_context((cuv_tls_config){.certificate = good, .key = files->ca}, CUV_TLS_KEY, "expected a private key in PEM form");
    refuse_context((cuv_tls_config){.certificate = good, .key = files->client}, CUV_TLS_KEY, "does not belong to the certificate");
    refuse_context((cuv_tls_config){.certificate = good, .key = files->encrypted}, CUV_TLS_KEY, "without a passphrase");
    refuse_context((cuv_tls_config){.authorities = files->garbage}, CUV_TLS_AUTHORITIES, "expected certificates in PEM form");
    refuse_context((cuv_tls_config){.server = true, .certificate = good, .key = good, .authorities = "/nowhere"}, CUV_TLS_AUTHORITIES, "No such file");
    cuv_tls_context *context = tls_server(files->server, NULL);
    CHECK(cuv_tls_context_expiry(context) > time(NULL) + 29 * 86400);
    cuv_tls_context_free(context);
}

int main(void) {
    loop = cuv_loop_new();
    files = tls_make_files();
    a_name_is_accepted("localhost", true);
    a_name_is_accepted("LOCALHOST", true);
    a_name_is_accepted("a.piko.test", true);
    a_name_is_accepted("localhost.", true);
    a_name_is_accepted("a.piko.test.", true);
    a_name_is_accepted("127.0.0.1", true);
    a_name_is_accepted("::1", true);
    a_name_is_sent_without_the_dot_at_its_end();
    a_name_is_accepted("localhost..", false);
    a_name_is_accepted(".", false);
    a_name_is_accepted("a.b.piko.test", false);
    a_name_is_accepted("server", false);   // the subject does not count
    a_name_is_accepted("127.0.0.2", false);
    a_name_is_accepted("::2", false);
    a_server_is_refused(files->expired, X509_V_ERR_CERT_HAS_EXPIRED, SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "certificate has expired");
    a_server_is_refused(files->foreign, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, SSL_R_TLSV1_ALERT_UNKNOWN_CA, "issuer certificate");
    unchecked_takes_anyone();
    for (int old = 0; old < 2; old++) {
        a_client_shows_its_certificate(files->client, old, 0);
        a_client_shows_its_certificate(NULL, old, CUV_E_TLS - SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE);
        a_client_shows_its_certificate(files->foreign_client, old, CUV_E_CERTIFICATE - X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
        sessions_are_resumed_by_name(old, NULL);
        sessions_are_resumed_by_name(old, files->ca);
    }
    the_sessions_kept_are_bounded();
    stranger = tls_server(files->server, NULL);
    plain_text_gets_a_plain_answer();
    garbage_gets_an_alert();
    an_end_in_the_handshake_is_told();
    cuv_tls_context_free(stranger);
    a_corrupted_record_breaks_it();
    a_handshake_has_a_deadline();
    files_that_make_no_context();
    end_loop(loop);
    return 0;
}
