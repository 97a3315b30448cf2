// SPDX-License-Identifier: MIT
// OpenSSL's buffers for records and handshakes: slots of two sizes in regions of their own, told by their address. Any thread; a lock for each
// region, held for a few instructions. A few free slots keep their memory, the others give it back to the system; all else is the heap's.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1   // MAP_NORESERVE
#endif
#include "tls_memory.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { SLOTS = 64 * 1024, KEEP = 64 };   // of a region; free ones that keep their memory

typedef struct slot_region {
    size_t least;        // what is smaller is the heap's
    size_t size;         // of a slot: whole pages
    pthread_mutex_t lock;
    uint8_t *bytes;      // NULL: there is none
    uint32_t *free;      // a stack; those below `cold` have given their memory back
    uint32_t count;
    uint32_t cold;
    uint32_t used;       // slots that were ever taken
} slot_region;

// What a handshake writes through, until it is done; and a record with its overhead, or a handshake's messages.
static slot_region regions[] = {
    {.least = 2049, .size = 4 * 1024, .lock = PTHREAD_MUTEX_INITIALIZER},
    {.least = 16 * 1024, .size = 24 * 1024, .lock = PTHREAD_MUTEX_INITIALIZER},
};
enum { REGIONS = sizeof regions / sizeof *regions };

static slot_region *region_of(const void *memory) {
    const uint8_t *at = memory;
    for (int i = 0; i < REGIONS; i++) {
        slot_region *region = &regions[i];
        if (region->bytes && at >= region->bytes && at < region->bytes + region->size * SLOTS) return region;
    }
    return NULL;
}

static slot_region *region_for(size_t size) {
    for (int i = 0; i < REGIONS; i++) {
        if (size >= regions[i].least && size <= regions[i].size) return regions[i].bytes ? &regions[i] : NULL;
    }
    return NULL;
}

// NULL: all are taken.
static void *take_slot(slot_region *region) {
    pthread_mutex_lock(&region->lock);
    uint32_t index = SLOTS;
    if (region->count > 0) index = region->free[--region->count];
    else if (region->used < SLOTS) index = region->used++;
    if (region->cold > region->count) region->cold = region->count;
    pthread_mutex_unlock(&region->lock);
    return index < SLOTS ? region->bytes + index * region->size : NULL;
}

// The coldest of the warm ones gives its memory back, under the lock: it is not given out meanwhile.
static void give_slot(slot_region *region, void *memory) {
    pthread_mutex_lock(&region->lock);
    region->free[region->count++] = (uint32_t)((size_t)((uint8_t *)memory - region->bytes) / region->size);
    if (region->count - region->cold > KEEP)
        madvise(region->bytes + region->free[region->cold++] * region->size, region->size, MADV_DONTNEED);
    pthread_mutex_unlock(&region->lock);
}

static void *take(size_t size, const char *file, int line) {
    (void)file, (void)line;
    slot_region *region = region_for(size);
    void *memory = region ? take_slot(region) : NULL;
    return memory ? memory : malloc(size);
}

static void give(void *memory, const char *file, int line) {
    (void)file, (void)line;
    slot_region *region = region_of(memory);
    if (region) give_slot(region, memory);
    else free(memory);
}

// As realloc: from nothing, and to nothing, too.
static void *resize(void *memory, size_t size, const char *file, int line) {
    if (!memory) return take(size, file, line);
    if (size == 0) {
        give(memory, file, line);
        return NULL;
    }
    slot_region *region = region_of(memory);
    if (!region) return realloc(memory, size);
    if (size <= region->size) return memory;
    void *larger = take(size, file, line);
    if (!larger) return NULL;
    memcpy(larger, memory, region->size);
    give_slot(region, memory);
    return larger;
}

static void *reserve(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

// Address space alone: 1.75 GiB of it. Where there is none the heap serves.
static void set_up(void) {
    if (CRYPTO_set_mem_functions(take, resize, give) != 1) return;
    for (int i = 0; i < REGIONS; i++) {
        slot_region *region = &regions[i];
        region->free = reserve(SLOTS * sizeof *region->free);
        if (region->free) region->bytes = reserve(region->size * SLOTS);
    }
}

void cuv_tls_memory_prepare(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_up);
}
