// SPDX-License-Identifier: MIT
// The mailbox: two vectors, swapped under the lock, so that posting is an append and draining is one lock for all messages.
// The one part of a loop that other threads touch.
#include "mailbox.h"

#include <stdlib.h>

#include "cuv_error.h"

int cuv_mailbox_init(cuv_mailbox *mailbox) {
    return -pthread_mutex_init(&mailbox->lock, NULL);
}

void cuv_mailbox_free(cuv_mailbox *mailbox) {
    free(mailbox->in.messages);
    free(mailbox->out.messages);
    pthread_mutex_destroy(&mailbox->lock);
}

static int append(cuv_letters *letters, cuv_message message) {
    if (letters->count == letters->capacity) {
        size_t capacity = letters->capacity ? letters->capacity * 2 : 64;
        cuv_message *grown = realloc(letters->messages, capacity * sizeof *grown);
        if (!grown) return CUV_E_NO_MEMORY;
        letters->messages = grown;
        letters->capacity = capacity;
    }
    letters->messages[letters->count++] = message;
    return 0;
}

int cuv_mailbox_post(cuv_mailbox *mailbox, void (*fn)(void *ctx), void *ctx) {
    pthread_mutex_lock(&mailbox->lock);
    bool was_empty = mailbox->in.count == 0;
    int error = mailbox->closed ? CUV_E_CLOSED : append(&mailbox->in, (cuv_message){fn, ctx});
    if (error == 0 && was_empty) return CUV_POST_WAKE;
    pthread_mutex_unlock(&mailbox->lock);
    return error;
}

void cuv_mailbox_unlock(cuv_mailbox *mailbox) {
    pthread_mutex_unlock(&mailbox->lock);
}

void cuv_mailbox_run(cuv_mailbox *mailbox) {
    pthread_mutex_lock(&mailbox->lock);
    cuv_letters full = mailbox->in;
    mailbox->in = mailbox->out;
    mailbox->out = (cuv_letters){0};
    pthread_mutex_unlock(&mailbox->lock);
    for (size_t i = 0; i < full.count; i++) full.messages[i].fn(full.messages[i].ctx);
    full.count = 0;
    mailbox->out = full;
}

bool cuv_mailbox_close(cuv_mailbox *mailbox) {
    pthread_mutex_lock(&mailbox->lock);
    if (mailbox->in.count == 0) mailbox->closed = true;
    bool closed = mailbox->closed;
    pthread_mutex_unlock(&mailbox->lock);
    return closed;
}
