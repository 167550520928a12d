/*
 * Intrusive doubly linked list. A node is in at most one list; unlinked
 * nodes have next == NULL (ps_link_init, or zeroed memory).
 */
#ifndef PS_COMMON_LIST_H
#define PS_COMMON_LIST_H

#include "common/base.h"
#include "common/check.h"

struct ps_link {
    struct ps_link *prev, *next;
};

struct ps_list {
    struct ps_link head;
    size_t count;
};

static inline void
ps_list_init(struct ps_list *list)
{
    list->head.prev = list->head.next = &list->head;
    list->count = 0;
}

static inline void
ps_link_init(struct ps_link *link)
{
    link->prev = link->next = NULL;
}

static inline bool
ps_link_linked(const struct ps_link *link)
{
    return link->next != NULL;
}

static inline void
ps_list_insert_after(struct ps_list *list, struct ps_link *at,
                     struct ps_link *link)
{
    PS_CHECK(!ps_link_linked(link));
    link->prev = at;
    link->next = at->next;
    at->next->prev = link;
    at->next = link;
    list->count++;
}

static inline void
ps_list_push_back(struct ps_list *list, struct ps_link *link)
{
    ps_list_insert_after(list, list->head.prev, link);
}

static inline void
ps_list_push_front(struct ps_list *list, struct ps_link *link)
{
    ps_list_insert_after(list, &list->head, link);
}

static inline void
ps_list_remove(struct ps_list *list, struct ps_link *link)
{
    PS_CHECK(ps_link_linked(link) && list->count > 0);
    link->prev->next = link->next;
    link->next->prev = link->prev;
    ps_link_init(link);
    list->count--;
}

/* The first link or NULL. */
static inline struct ps_link *
ps_list_first(const struct ps_list *list)
{
    return list->count ? list->head.next : NULL;
}

/* The last link or NULL. */
static inline struct ps_link *
ps_list_last(const struct ps_list *list)
{
    return list->count ? list->head.prev : NULL;
}

/* Takes the first link out and returns it, or NULL. */
static inline struct ps_link *
ps_list_pop_front(struct ps_list *list)
{
    struct ps_link *link = ps_list_first(list);
    if (link)
        ps_list_remove(list, link);
    return link;
}

/* The body may remove `it` itself, nothing else. */
#define PS_LIST_FOREACH_SAFE(list, it, tmp)                       \
    for (struct ps_link *it = (list)->head.next, *tmp = it->next; \
         it != &(list)->head; it = tmp, tmp = tmp->next)

#endif
