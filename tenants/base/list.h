/* Intrusive doubly linked list with a sentinel head. Not thread-safe: its owner's lock is. */
#ifndef TENANTS_BASE_LIST_H
#define TENANTS_BASE_LIST_H

#include "tenants/base/macros.h"

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *list)
{
    list->next = list;
    list->prev = list;
}

static inline bool list_empty(const struct list *list)
{
    return list->next == list;
}

static inline void list_append(struct list *head, struct list *item)
{
    item->next = head;
    item->prev = head->prev;
    head->prev->next = item;
    head->prev = item;
}

static inline void list_prepend(struct list *head, struct list *item)
{
    list_append(head->next, item);
}

/* Leaves the item initialised, so that removing twice is harmless. */
static inline void list_remove(struct list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}

static inline bool list_linked(const struct list *item)
{
    return item->next != item;
}

/* Moves all of `from` to the end of `to`; `from` is empty after. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

/* Walks the list. */
static inline unsigned list_length(const struct list *head)
{
    unsigned count = 0;

    for (const struct list *at = head->next; at != head; at = at->next)
        count++;
    return count;
}

#define LIST_FIRST(head, type, member) CONTAINER_OF((head)->next, type, member)
#define LIST_ENTRY(item, type, member) CONTAINER_OF((item), type, member)
#define LIST_FOREACH(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
#define LIST_FOREACH_SAFE(it, tmp, head)                                                           \
    for (struct list *it = (head)->next, *tmp = it->next; it != (head); it = tmp, tmp = it->next)

#endif
