// SPDX-License-Identifier: MIT
// A loop's mailbox: messages from any thread, in order, taken out whole. The one thing of a loop that other threads touch.
// It wakes nobody: cuv_mailbox_post says when the loop must be woken.
#ifndef CUV_MAILBOX_H
#define CUV_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct cuv_message {
    void (*fn)(void *ctx);
    void *ctx;
} cuv_message;

typedef struct cuv_letters {
    cuv_message *messages;
    size_t count;
    size_t capacity;
} cuv_letters;

typedef struct cuv_mailbox {
    pthread_mutex_t lock;
    cuv_letters in;       // under the lock
    bool closed;          // under the lock
    cuv_letters out;      // the loop's: what is being run
} cuv_mailbox;

enum { CUV_POST_QUIET = 0, CUV_POST_WAKE = 1 };

int cuv_mailbox_init(cuv_mailbox *mailbox);
void cuv_mailbox_free(cuv_mailbox *mailbox);

/// Appends. CUV_POST_WAKE when it was empty, CUV_POST_QUIET when someone woke the loop before, or CUV_E_CLOSED, CUV_E_NO_MEMORY. Any thread.
/// With CUV_POST_WAKE the caller still holds the lock (so that the loop cannot end before it was woken): cuv_mailbox_unlock.
int cuv_mailbox_post(cuv_mailbox *mailbox, void (*fn)(void *ctx), void *ctx);
void cuv_mailbox_unlock(cuv_mailbox *mailbox);

/// Runs all that was posted before this call, in order. Loop thread.
void cuv_mailbox_run(cuv_mailbox *mailbox);

/// Closes it for ever if it is empty; false if it is not. Loop thread.
bool cuv_mailbox_close(cuv_mailbox *mailbox);

#endif
