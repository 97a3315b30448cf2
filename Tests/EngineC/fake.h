// SPDX-License-Identifier: MIT
// A carrier without a network, so that the stream core and flows can be tested piece by piece. It remembers what was written and
// asked of it. Loop thread only; what the core defers happens between two on_loop calls.
#ifndef ENGINE_FAKE_H
#define ENGINE_FAKE_H

#include "check.h"
#include "stream_core.h"

enum { FAKE_ROOM = 4 * 1024 * 1024 };

typedef struct fake {
    cuv_stream stream;
    uint8_t *written;      // FAKE_ROOM bytes
    size_t written_count;
    size_t accepted;       // by the "network": the rest of written counts as queued
    bool stuck;            // writes are queued until fake_drain
    int write_error;
    int starts, stops, shuts, closes, aborts, writes;
    size_t granted;
    ears heard;            // as owner
    int *releases;
} fake;

/// An open stream with `heard` as owner.
fake *fake_new(cuv_loop *loop);
/// Up to `bytes` of the queue leave.
void fake_drain(fake *fake, size_t bytes);

/// A reader that keeps what it was offered; `take` says how many bytes it takes of each offer.
typedef struct taker {
    size_t take;
    uint8_t last[256];
    size_t last_count;
    int offers, ends, breaks, error;
} taker;
extern const cuv_reader taker_reader;

#endif
