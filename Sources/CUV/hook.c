// SPDX-License-Identifier: MIT
// Hooks: work for later in the loop's turn, in two circular lists with the loop as their head. Loop thread only.
// Runs hooks; decides nothing about when (loop.c does).
#include "hook.h"

#include "loop_core.h"

void cuv_hooks_init(cuv_hook *list) {
    list->next = list->previous = list;
}

bool cuv_hooks_empty(const cuv_hook *list) {
    return list->next == list;
}

void cuv_hooks_add(cuv_hook *list, cuv_hook *hook) {
    if (cuv_hook_is_set(hook)) return;
    hook->previous = list->previous;
    hook->next = list;
    list->previous->next = hook;
    list->previous = hook;
}

void cuv_hook_cancel(cuv_hook *hook) {
    if (!cuv_hook_is_set(hook)) return;
    hook->previous->next = hook->next;
    hook->next->previous = hook->previous;
    hook->next = hook->previous = NULL;
}

// Moves the whole list to another head, so that hooks set meanwhile wait for the next round and hooks may be cancelled meanwhile.
static void move(cuv_hook *from, cuv_hook *to) {
    cuv_hooks_init(to);
    if (cuv_hooks_empty(from)) return;
    *to = *from;
    to->next->previous = to;
    to->previous->next = to;
    cuv_hooks_init(from);
}

void cuv_hooks_run(cuv_hook *list) {
    cuv_hook round = {0};
    move(list, &round);
    while (!cuv_hooks_empty(&round)) {
        cuv_hook *hook = round.next;
        cuv_hook_cancel(hook);
        hook->run(hook);
    }
}
