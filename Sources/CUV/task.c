// SPDX-License-Identifier: MIT
// Threads for work that blocks: started as they are needed, gone when they were idle for a while, never joined, so that neither a loop nor
// the process waits for one that hangs. One lock for the queue and the states. (libuv's threads are joined when the process ends.)
#include "task.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "cuv_error.h"

enum { MOST_THREADS = 8, IDLE_S = 10 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t came;
    cuv_task *first;   // waiting
    cuv_task *last;
    int waiting;
    int threads;
    int idle;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER};

static void enqueue(cuv_task *task) {
    task->state = CUV_TASK_WAITING;
    task->next = NULL;
    task->previous = pool.last;
    if (pool.last) pool.last->next = task;
    else pool.first = task;
    pool.last = task;
    pool.waiting++;
}

static void dequeue(cuv_task *task) {
    if (task->previous) task->previous->next = task->next;
    else pool.first = task->next;
    if (task->next) task->next->previous = task->previous;
    else pool.last = task->previous;
    task->next = task->previous = NULL;
    pool.waiting--;
}

// On the loop.
static void deliver(void *ctx) {
    cuv_task *task = ctx;
    pthread_mutex_lock(&pool.lock);
    bool given_up = !task->loop;
    task->state = CUV_TASK_IDLE;
    pthread_mutex_unlock(&pool.lock);
    if (given_up) task->drop(task);
    else task->done(task);
}

// With the lock held, which is given back meanwhile.
static void run_first(void) {
    cuv_task *task = pool.first;
    dequeue(task);
    task->state = CUV_TASK_WORKING;
    pthread_mutex_unlock(&pool.lock);
    task->work(task);
    pthread_mutex_lock(&pool.lock);
    // Under the lock the loop cannot give it up, and so not end, meanwhile.
    if (task->loop) task->state = cuv_loop_post(task->loop, deliver, task) == 0 ? CUV_TASK_POSTED : CUV_TASK_IDLE;
    else task->drop(task);
}

// With the lock held. False: nothing came for a long time.
static bool await_task(void) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += IDLE_S;
    pool.idle++;
    int error = 0;
    while (!pool.first && error == 0) error = pthread_cond_timedwait(&pool.came, &pool.lock, &until);
    pool.idle--;
    return pool.first != NULL;
}

static void *run_thread(void *argument) {
    pthread_mutex_lock(&pool.lock);
    while (pool.first || await_task()) run_first();
    pool.threads--;
    pthread_mutex_unlock(&pool.lock);
    return argument;
}

// With the lock held. An error matters only where there is no thread at all.
static int add_thread(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    int error = pthread_create(&thread, &attributes, run_thread, NULL);
    pthread_attr_destroy(&attributes);
    if (error == 0) pool.threads++;
    return pool.threads > 0 ? 0 : -error;
}

int cuv_task_start(cuv_task *task, cuv_loop *loop) {
    int error = 0;
    pthread_mutex_lock(&pool.lock);
    task->loop = loop;
    enqueue(task);
    pthread_cond_signal(&pool.came);
    if (pool.waiting > pool.idle && pool.threads < MOST_THREADS) error = add_thread();
    if (error < 0) dequeue(task);
    pthread_mutex_unlock(&pool.lock);
    return error;
}

bool cuv_task_give_up(cuv_task *task) {
    pthread_mutex_lock(&pool.lock);
    bool held = task->state == CUV_TASK_WORKING || task->state == CUV_TASK_POSTED;
    if (task->state == CUV_TASK_WAITING) dequeue(task);
    if (held) task->loop = NULL;
    else task->state = CUV_TASK_IDLE;
    pthread_mutex_unlock(&pool.lock);
    return !held;
}
