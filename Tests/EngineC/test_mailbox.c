// SPDX-License-Identifier: MIT
// Posts from many threads at once: each thread's arrive in its order, none is lost, none comes after the loop has ended.
// It is for ThreadSanitizer too: the posts and the drain share nothing but the mailbox.
#include "check.h"

enum { THREADS = 4, POSTS = 20000 };

typedef struct poster {
    cuv_loop *loop;
    int next;       // the number that must come next
    latch *done;
} poster;

typedef struct letter {
    poster *from;
    int number;
} letter;

static letter letters[THREADS][POSTS];

static void receive(void *ctx) {
    letter *l = ctx;
    CHECK(cuv_loop_is_current(l->from->loop));
    CHECK(cuv_loop_current() == l->from->loop);
    CHECK_EQUAL(l->number, l->from->next);
    l->from->next++;
    if (l->from->next == POSTS) latch_down(l->from->done);
}

static void *post_all(void *ctx) {
    letter *mine = ctx;
    for (int i = 0; i < POSTS; i++) CHECK_EQUAL(cuv_loop_post(mine[i].from->loop, receive, &mine[i]), 0);
    return NULL;
}

// A post from the loop itself keeps its place and does not run inside the call.
typedef struct self {
    cuv_loop *loop;
    int seen;
    latch done;
} self;

static void second(void *ctx) {
    self *s = ctx;
    CHECK_EQUAL(s->seen, 1);
    latch_down(&s->done);
}

static void first(void *ctx) {
    self *s = ctx;
    CHECK_EQUAL(cuv_loop_post(s->loop, second, s), 0);
    s->seen = 1;
}

int main(void) {
    cuv_loop *loop = loop_up("mailbox");
    CHECK(!cuv_loop_is_current(loop));
    latch done = LATCH(THREADS);
    poster posters[THREADS];
    pthread_t threads[THREADS];
    for (int t = 0; t < THREADS; t++) {
        posters[t] = (poster){loop, 0, &done};
        for (int i = 0; i < POSTS; i++) letters[t][i] = (letter){&posters[t], i};
    }
    for (int t = 0; t < THREADS; t++) pthread_create(&threads[t], NULL, post_all, letters[t]);
    for (int t = 0; t < THREADS; t++) pthread_join(threads[t], NULL);
    latch_wait(&done);
    self s = {loop, 0, LATCH(1)};
    on_loop(loop, first, &s);
    latch_wait(&s.done);
    loop_down(loop);

    cuv_loop *unstarted = cuv_loop_new();
    cuv_loop_join(unstarted, NULL);
    return 0;
}
