// SPDX-License-Identifier: MIT
// The streams of one yamux session by id: open addressing with linear probing that starts with nothing allocated and shrinks.
// Ids are a peer's choice, so the hash is multiplied by a random odd number of the session: nobody can aim at collisions.
// On the loop's thread. It owns its slots, never the streams.
#ifndef YAMUX_TABLE_H
#define YAMUX_TABLE_H

#include <stdint.h>

struct yamux_stream;

typedef struct yamux_table {
    struct yamux_stream **slots;
    uint32_t count;
    uint32_t seed;   ///< odd
    uint8_t bits;    ///< 2^bits slots; nothing while slots is NULL
} yamux_table;

void yamux_table_init(yamux_table *table, uint32_t random);
void yamux_table_free(yamux_table *table);

/// The stream with this id, or NULL.
struct yamux_stream *yamux_table_find(const yamux_table *table, uint32_t id);

/// Adds a stream whose id is not in the table. 0 or CUV_E_NO_MEMORY.
int yamux_table_add(yamux_table *table, struct yamux_stream *stream);

/// Takes out a stream that is in the table.
void yamux_table_remove(yamux_table *table, const struct yamux_stream *stream);

/// Gives back slots that are not needed any more. For a quiet moment: it moves every entry.
void yamux_table_shrink(yamux_table *table);

/// Walks: the next stream at or after *slot, which moves on; NULL at the end. Nothing may be added or removed meanwhile.
struct yamux_stream *yamux_table_next(const yamux_table *table, uint32_t *slot);

#endif
