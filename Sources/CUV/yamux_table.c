// SPDX-License-Identifier: MIT
// Linear probing, at most three quarters full; removal shifts the run back, so there are no tombstones and a long-lived session
// never slows down. On the loop's thread.
#include "yamux_table.h"

#include <stdlib.h>

#include "cuv_error.h"
#include "yamux_types.h"

enum { TABLE_MIN_BITS = 3 };

static uint32_t slot_count(const yamux_table *table) { return table->slots ? 1U << table->bits : 0; }

// The top bits of a product are its well mixed ones.
static uint32_t home(const yamux_table *table, uint32_t id) { return (id * table->seed) >> (32 - table->bits); }

void yamux_table_init(yamux_table *table, uint32_t random) {
    *table = (yamux_table){.seed = random | 1};
}

void yamux_table_free(yamux_table *table) {
    free(table->slots);
    table->slots = NULL;
    table->count = 0;
}

yamux_stream *yamux_table_find(const yamux_table *table, uint32_t id) {
    if (table->count == 0) return NULL;
    uint32_t mask = slot_count(table) - 1;
    for (uint32_t at = home(table, id);; at = (at + 1) & mask) {
        yamux_stream *stream = table->slots[at];
        if (!stream || stream->id == id) return stream;
    }
}

static void place(yamux_table *table, yamux_stream *stream) {
    uint32_t mask = slot_count(table) - 1, at = home(table, stream->id);
    while (table->slots[at]) at = (at + 1) & mask;
    table->slots[at] = stream;
}

static int resize(yamux_table *table, uint8_t bits) {
    yamux_stream **slots = calloc((size_t)1 << bits, sizeof *slots);
    if (!slots) return CUV_E_NO_MEMORY;
    yamux_stream **old = table->slots;
    uint32_t old_count = slot_count(table);
    table->slots = slots;
    table->bits = bits;
    for (uint32_t i = 0; i < old_count; i++)
        if (old[i]) place(table, old[i]);
    free(old);
    return 0;
}

int yamux_table_add(yamux_table *table, yamux_stream *stream) {
    uint32_t slots = slot_count(table);
    if (table->count >= slots - slots / 4) {
        int error = resize(table, slots ? (uint8_t)(table->bits + 1) : TABLE_MIN_BITS);
        if (error) return error;
    }
    place(table, stream);
    table->count += 1;
    return 0;
}

// Moves back what probed past the hole, until the run ends.
static void close_hole(yamux_table *table, uint32_t hole) {
    uint32_t mask = slot_count(table) - 1;
    for (uint32_t at = (hole + 1) & mask; table->slots[at]; at = (at + 1) & mask) {
        uint32_t reach = (at - home(table, table->slots[at]->id)) & mask;
        if (reach < ((at - hole) & mask)) continue;
        table->slots[hole] = table->slots[at];
        hole = at;
    }
    table->slots[hole] = NULL;
}

void yamux_table_remove(yamux_table *table, const yamux_stream *stream) {
    uint32_t mask = slot_count(table) - 1, at = home(table, stream->id);
    while (table->slots[at] != stream) at = (at + 1) & mask;
    close_hole(table, at);
    table->count -= 1;
}

void yamux_table_shrink(yamux_table *table) {
    if (table->count == 0) {
        yamux_table_free(table);
        return;
    }
    uint8_t bits = table->bits;
    while (bits > TABLE_MIN_BITS && table->count < (1U << bits) / 4) bits -= 1;
    if (bits < table->bits) resize(table, bits);   // without memory it stays as large as it is
}

yamux_stream *yamux_table_next(const yamux_table *table, uint32_t *slot) {
    uint32_t slots = slot_count(table);
    while (*slot < slots) {
        yamux_stream *stream = table->slots[(*slot)++];
        if (stream) return stream;
    }
    return NULL;
}
