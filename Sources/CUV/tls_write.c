// SPDX-License-Identifier: MIT
// Records out. Small writes of a turn become one record; large ones records of 16 KiB; what one call makes leaves as one write of the carrier.
// Loop thread only. It keeps nothing: what the carrier does not send the carrier queues. Only before the handshake is done payload waits here.
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

#include "tls_error.h"
#include "tls_stream.h"

static size_t total_of(const cuv_span *spans, int count) {
    size_t total = 0;
    for (int i = 0; i < count; i++) total += spans[i].count;
    return total;
}

// `queued` follows at once; on_drain comes from the carrier's or from the flush.
static void note_queued(tls_stream *tls) {
    tls->base.queued = tls->pending.count + (tls->carrier ? cuv_stream_queued(tls->carrier) : 0);
}

int tls_leave(tls_stream *tls, bool more) {
    cuv_buf *out = tls->out;
    if (!out) return 0;
    tls->out = NULL;
    int error = tls->carrier ? cuv_stream_write(tls->carrier, out->bytes, out->end, more) : CUV_E_CLOSED;
    if (error < 0) tls->carrier_error = error;
    cuv_buf_give(tls->base.loop, out);
    return error;
}

// Errors of OpenSSL's own end the stream; the carrier's end it by themselves.
static int failed(tls_stream *tls) {
    int error = cuv_tls_take_error(tls->ssl);
    if (tls->carrier_error < 0) return tls->carrier_error;
    tls_fail(tls, error);
    return error;
}

static int put_record(tls_stream *tls, const uint8_t *bytes, size_t count) {
    size_t written;
    ERR_clear_error();
    if (SSL_write_ex(tls->ssl, bytes, count, &written) != 1) return failed(tls);
    tls->expected -= count;
    return 0;
}

static int put_gathered(tls_stream *tls, cuv_buf *gathered) {
    int error = gathered->end > 0 ? put_record(tls, gathered->bytes, gathered->end) : 0;
    gathered->end = 0;
    return error;
}

static size_t gather(cuv_buf *to, cuv_span from) {
    size_t room = TLS_RECORD - to->end, count = from.count < room ? from.count : room;
    memcpy(to->bytes + to->end, from.bytes, count);
    to->end += (uint32_t)count;
    return count;
}

// One span's bytes, behind what is gathered: full records in place, the rest into the buffer unless nothing follows (`last`).
static int put_span(tls_stream *tls, cuv_buf **gathered, cuv_span at, bool last) {
    int error = 0;
    while (at.count > 0 && error == 0) {
        bool empty = !*gathered || (*gathered)->end == 0;
        bool in_place = empty && (last || at.count >= TLS_RECORD);
        size_t count = at.count < TLS_RECORD ? at.count : TLS_RECORD;
        if (in_place) {
            error = put_record(tls, at.bytes, count);
        } else {
            if (!*gathered) *gathered = cuv_buf_take(tls->base.loop, TLS_RECORD);
            if (!*gathered) return CUV_E_NO_MEMORY;
            count = gather(*gathered, at);
            if ((*gathered)->end == TLS_RECORD) error = put_gathered(tls, *gathered);
        }
        at = (cuv_span){at.bytes + count, at.count - count};
    }
    return error;
}

static int encrypt(tls_stream *tls, const cuv_span *spans, int count, bool more) {
    cuv_buf *gathered = NULL;
    int error = 0;
    tls->expected = total_of(spans, count);
    for (int i = 0; i < count && error == 0; i++) error = put_span(tls, &gathered, spans[i], i == count - 1);
    if (error == CUV_E_NO_MEMORY) tls_fail(tls, error);
    if (gathered && error == 0) error = put_gathered(tls, gathered);
    cuv_buf_give(tls->base.loop, gathered);
    tls->expected = 0;
    int left = tls->dead ? 0 : tls_leave(tls, more);
    return error < 0 ? error : left;
}

static int append(tls_stream *tls, const cuv_span *spans, int count) {
    for (int i = 0; i < count; i++) {
        int error = cuv_queue_append(tls->base.loop, &tls->pending, spans[i].bytes, spans[i].count);
        if (error == 0) continue;
        tls_fail(tls, error);
        return error;
    }
    return 0;
}

static int send_pending(tls_stream *tls, bool more) {
    enum { SPANS = 64 };
    int error = 0;
    while (tls->pending.count > 0 && error == 0) {
        cuv_span spans[SPANS];
        int count = cuv_queue_spans(&tls->pending, spans, SPANS);
        size_t total = total_of(spans, count);
        error = encrypt(tls, spans, count, more || total < tls->pending.count);
        cuv_queue_drop(tls->base.loop, &tls->pending, total);
    }
    note_queued(tls);
    return error;
}

int tls_send_pending(tls_stream *tls) {
    return send_pending(tls, false);
}

int tls_write(cuv_stream *stream, const cuv_span *spans, int count, bool more) {
    tls_stream *tls = tls_of(stream);
    if (tls->dead || tls->shut_due) return CUV_E_CLOSED;
    if (tls->carrier_error < 0) return tls->carrier_error;
    size_t total = tls->pending.count + total_of(spans, count);
    bool small = total <= TLS_RECORD, wait = tls->handshaking || (more && small);
    int error = 0;
    if (wait || (tls->pending.count > 0 && small)) {
        error = append(tls, spans, count);
        if (error == 0 && !wait) error = send_pending(tls, more);
        else if (!tls->handshaking) cuv_loop_flush(stream->loop, &tls->flush);
    } else {
        error = send_pending(tls, true);
        if (error == 0) error = encrypt(tls, spans, count, more);
    }
    note_queued(tls);
    return error;
}

void tls_on_flush(cuv_hook *hook) {
    tls_stream *tls = CUV_CONTAINER(hook, tls_stream, flush);
    if (tls->dead || tls->handshaking) return;
    size_t before = tls->base.queued;
    int error = tls_send_pending(tls);
    size_t now = tls->base.queued;
    tls->base.queued = before;
    if (error == 0) cuv_stream_set_queued(&tls->base, now);
}

int tls_notify_end(tls_stream *tls) {
    if (tls->notified || !tls->carrier) return 0;
    int error = tls_send_pending(tls);
    if (error < 0 || tls->dead) return error;
    tls->notified = true;
    ERR_clear_error();
    if (SSL_shutdown(tls->ssl) < 0) ERR_clear_error();
    return tls_leave(tls, false);
}
