// SPDX-License-Identifier: MIT
// Work that blocks, on a few threads of its own, for a loop that does not wait for it: a task given up ends by itself later.
// What a thread cannot be talked out of (the system's resolver) is done here.
#ifndef CUV_TASK_H
#define CUV_TASK_H

#include "cuv_loop.h"

typedef struct cuv_task cuv_task;

/// Embedded in what it is about.
struct cuv_task {
    /// The work, on another thread; may block. Whoever started the task touches nothing that it touches until `done`.
    void (*work)(cuv_task *task);
    /// On the loop, once, when the work is done and was not given up. The task is its starter's again.
    void (*done)(cuv_task *task);
    /// Frees a task that was given up. Any thread.
    void (*drop)(cuv_task *task);
    // The rest is task.c's, under its lock.
    cuv_task *next;
    cuv_task *previous;
    cuv_loop *loop;   // NULL once given up
    enum { CUV_TASK_IDLE, CUV_TASK_WAITING, CUV_TASK_WORKING, CUV_TASK_POSTED } state;
};

/// Starts it; the three functions are set. Its starter sees to it that the loop lives until it is done or given up. 0 or an error.
int cuv_task_start(cuv_task *task, cuv_loop *loop);

/// Gives it up, on its loop: `done` is not called. True: it is the caller's to free; false: it is freed with `drop`, some time.
bool cuv_task_give_up(cuv_task *task);

#endif
