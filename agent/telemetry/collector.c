/* See collector.h. Who comes during a round waits for the next one. */
#include "agent/telemetry/collector.h"

#include "common/check.h"

#include <stdlib.h>

enum {
    COLLECTOR_MAGIC = 0x70636f6c
};

struct post {
    struct ps_collector *collector;
    unsigned index;
    struct ps_task task;
    struct ps_tally_bag bag;
};

struct ps_collector {
    unsigned magic;
    struct ps_tally *tally;
    struct ps_loop *loop, **loops;
    unsigned n_loops, away; /* posts under way */
    void (*on_loop)(void *arg, unsigned index);
    void *on_loop_arg;
    struct post *posts;
    struct ps_list now, next; /* who waits for this round, for the next */
};

static void begin(struct ps_collector *c);

static void
on_back(struct ps_task *task)
{
    struct post *post = PS_CONTAINER_OF(task, struct post, task);
    struct ps_collector *c = post->collector;
    struct ps_link *link;
    ps_tally_merge(c->tally, &post->bag);
    if (--c->away > 0)
        return;
    ps_tally_merged(c->tally);
    while ((link = ps_list_pop_front(&c->now))) {
        struct ps_collect_wait *wait =
            PS_CONTAINER_OF(link, struct ps_collect_wait, link);
        wait->fn(wait);
    }
    if (c->next.count > 0)
        begin(c);
}

/* On the loop that has counted. */
static void
on_loop(struct ps_task *task)
{
    struct post *post = PS_CONTAINER_OF(task, struct post, task);
    struct ps_collector *c = post->collector;
    ps_tally_collect(ps_tally_loop(c->tally, post->index), &post->bag);
    if (c->on_loop)
        c->on_loop(c->on_loop_arg, post->index);
    task->fn = on_back;
    ps_loop_post(c->loop, task);
}

static void
begin(struct ps_collector *c)
{
    struct ps_link *link;
    while ((link = ps_list_pop_front(&c->next)))
        ps_list_push_back(&c->now, link);
    c->away = c->n_loops;
    for (unsigned i = 0; i < c->n_loops; i++) {
        c->posts[i].task.fn = on_loop;
        ps_loop_post(c->loops[i], &c->posts[i].task);
    }
}

struct ps_collector *
ps_collector_new(struct ps_tally *tally, struct ps_loop *loop,
                 struct ps_loop **loops, unsigned n_loops)
{
    struct ps_collector *c = calloc(1, sizeof(*c));
    struct post *posts = calloc(n_loops, sizeof(*posts));
    if (!c || !posts) {
        free(c);
        free(posts);
        return NULL;
    }
    *c = (struct ps_collector){.magic = COLLECTOR_MAGIC,
                               .tally = tally,
                               .loop = loop,
                               .loops = loops,
                               .n_loops = n_loops,
                               .posts = posts};
    for (unsigned i = 0; i < n_loops; i++)
        posts[i] = (struct post){.collector = c, .index = i};
    ps_list_init(&c->now);
    ps_list_init(&c->next);
    return c;
}

void
ps_collector_free(struct ps_collector **collector)
{
    struct ps_collector *c = *collector;
    if (!c)
        return;
    PS_CHECK_OBJ(c, COLLECTOR_MAGIC);
    *collector = NULL;
    for (unsigned i = 0; i < c->n_loops; i++) {
        if (c->posts[i].task.fn == on_back)
            ps_loop_unpost(c->loop, &c->posts[i].task);
        ps_tally_merge(c->tally, &c->posts[i].bag);
    }
    free(c->posts);
    c->magic = 0;
    free(c);
}

struct ps_tally *
ps_collector_tally(struct ps_collector *c)
{
    return c->tally;
}

void
ps_collector_on_loop(struct ps_collector *c,
                     void (*fn)(void *arg, unsigned index), void *arg)
{
    c->on_loop = fn;
    c->on_loop_arg = arg;
}

void
ps_collector_collect(struct ps_collector *c, struct ps_collect_wait *wait)
{
    PS_CHECK_OBJ(c, COLLECTOR_MAGIC);
    ps_link_init(&wait->link);
    ps_list_push_back(&c->next, &wait->link);
    if (c->away == 0)
        begin(c);
}

void
ps_collector_cancel(struct ps_collector *c, struct ps_collect_wait *wait)
{
    if (!ps_link_linked(&wait->link))
        return;
    /* A list counts its members, so it has to be the right one. */
    PS_LIST_FOREACH_SAFE(&c->now, it, tmp) {
        if (it == &wait->link) {
            ps_list_remove(&c->now, it);
            return;
        }
    }
    ps_list_remove(&c->next, &wait->link);
}
