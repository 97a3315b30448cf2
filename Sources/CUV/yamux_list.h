// SPDX-License-Identifier: MIT
// A ring of links that are embedded in what they connect; its head is a link too. A link that is in no list points at nothing.
// On the loop's thread. Owns nothing.
#ifndef YAMUX_LIST_H
#define YAMUX_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct yamux_link {
    struct yamux_link *next;
    struct yamux_link *previous;
} yamux_link;

static inline void yamux_list_init(yamux_link *head) { head->next = head->previous = head; }
static inline bool yamux_list_is_empty(const yamux_link *head) { return head->next == head; }
static inline bool yamux_link_is_set(const yamux_link *link) { return link->next != NULL; }

/// Adds at the end; nothing when the link is in a list already.
static inline void yamux_list_add(yamux_link *head, yamux_link *link) {
    if (link->next) return;
    link->next = head;
    link->previous = head->previous;
    head->previous->next = link;
    head->previous = link;
}

/// Takes the link out of its list; nothing when it is in none.
static inline void yamux_link_remove(yamux_link *link) {
    if (!link->next) return;
    link->next->previous = link->previous;
    link->previous->next = link->next;
    link->next = link->previous = NULL;
}

#endif
