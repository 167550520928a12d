/* See outbox.h. */
#include "agent/link/outbox.h"

#include "agent/link/codec.h"
#include "common/log.h"
#include "common/tls.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct item {
    struct ps_link link;
    Portside__Invalidation *change;
    struct ps_publish_wait *wait;
};

struct lane {
    struct ps_list items;    /* struct item */
    struct ps_list returned; /* struct ps_outbox_batch */
    /* Memory ran out or the lane was full: tell "everything" next. */
    bool everything;
};

struct ps_outbox {
    pthread_mutex_t lock;
    struct lane lanes[2];
};

struct ps_outbox *
ps_outbox_new(void)
{
    struct ps_outbox *outbox = calloc(1, sizeof(*outbox));
    if (!outbox)
        return NULL;
    pthread_mutex_init(&outbox->lock, NULL);
    for (int i = 0; i < 2; i++) {
        ps_list_init(&outbox->lanes[i].items);
        ps_list_init(&outbox->lanes[i].returned);
    }
    return outbox;
}

static void
tell(struct ps_publish_wait *wait, enum ps_rc rc)
{
    if (wait)
        wait->fn(wait, rc);
}

static void
item_free(struct item *item)
{
    portside__invalidation__free_unpacked(item->change, NULL);
    free(item);
}

void
ps_outbox_free(struct ps_outbox **outbox)
{
    if (!*outbox)
        return;
    for (int i = 0; i < 2; i++) {
        struct lane *lane = &(*outbox)->lanes[i];
        struct ps_link *link;
        while ((link = ps_list_pop_front(&lane->items)) != NULL) {
            struct item *item = PS_CONTAINER_OF(link, struct item, link);
            tell(item->wait, PS_SHUTTING_DOWN);
            item_free(item);
        }
        while ((link = ps_list_pop_front(&lane->returned)) != NULL) {
            struct ps_outbox_batch *batch =
                PS_CONTAINER_OF(link, struct ps_outbox_batch, link);
            ps_outbox_settle(batch, PS_SHUTTING_DOWN);
            ps_outbox_batch_free(&batch);
        }
    }
    pthread_mutex_destroy(&(*outbox)->lock);
    free(*outbox);
    *outbox = NULL;
}

/* One change that covers all others of the lane; the waits stay. */
static void
collapse(struct lane *lane)
{
    PS_LIST_FOREACH_SAFE(&lane->items, it, tmp) {
        struct item *item = PS_CONTAINER_OF(it, struct item, link);
        if (item->wait)
            continue;
        ps_list_remove(&lane->items, it);
        item_free(item);
    }
    lane->everything = true;
}

void
ps_outbox_put(struct ps_outbox *outbox, const struct ps_change *change,
              struct ps_publish_wait *wait)
{
    struct lane *lane =
        &outbox->lanes[wait && !wait->logged ? PS_LANE_GLOBAL : PS_LANE_LOCAL];
    struct item *item = calloc(1, sizeof(*item));
    if (item)
        item->change = ps_codec_invalidation(change);
    bool whole = item && item->change;
    pthread_mutex_lock(&outbox->lock);
    if (whole) {
        item->wait = wait;
        if (lane->items.count >= PS_OUTBOX_LANE_MAX)
            collapse(lane);
        ps_list_push_back(&lane->items, &item->link);
    } else {
        lane->everything = true;
    }
    pthread_mutex_unlock(&outbox->lock);
    if (whole)
        return;
    ps_error("link", "no memory for an invalidation: all caches are dropped");
    free(item);
    tell(wait, PS_NO_MEMORY);
}

static bool
add_everything(struct ps_outbox_batch *batch)
{
    const struct ps_change all = {.catalog = true};
    Portside__Invalidation *m = ps_codec_invalidation(&all);
    if (m)
        batch->changes[batch->count++] = m;
    return m != NULL;
}

static struct ps_outbox_batch *
fill(struct lane *lane, struct ps_outbox_batch *batch)
{
    if (lane->everything && add_everything(batch))
        lane->everything = false;
    while (batch->count < PS_OUTBOX_BATCH_MAX) {
        struct ps_link *link = ps_list_pop_front(&lane->items);
        if (!link)
            break;
        struct item *item = PS_CONTAINER_OF(link, struct item, link);
        batch->waits[batch->count] = item->wait;
        batch->changes[batch->count++] = item->change;
        free(item);
    }
    return batch;
}

struct ps_outbox_batch *
ps_outbox_take(struct ps_outbox *outbox, enum ps_lane which)
{
    struct lane *lane = &outbox->lanes[which];
    struct ps_outbox_batch *batch = NULL;
    pthread_mutex_lock(&outbox->lock);
    struct ps_link *link = ps_list_pop_front(&lane->returned);
    if (link) {
        batch = PS_CONTAINER_OF(link, struct ps_outbox_batch, link);
    } else if (lane->items.count > 0 || lane->everything) {
        batch = calloc(1, sizeof(*batch));
        if (batch)
            fill(lane, batch);
    }
    pthread_mutex_unlock(&outbox->lock);
    if (batch && batch->count == 0)
        ps_outbox_batch_free(&batch);
    if (batch && batch->request_id[0] == '\0') {
        batch->lane = which;
        ps_uuid_make(batch->request_id);
    }
    return batch;
}

void
ps_outbox_put_back(struct ps_outbox *outbox, struct ps_outbox_batch *batch)
{
    pthread_mutex_lock(&outbox->lock);
    ps_list_push_back(&outbox->lanes[batch->lane].returned, &batch->link);
    pthread_mutex_unlock(&outbox->lock);
}

void
ps_outbox_settle(struct ps_outbox_batch *batch, enum ps_rc rc)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct ps_publish_wait *wait = batch->waits[i];
        batch->waits[i] = NULL;
        tell(wait, rc);
    }
}

void
ps_outbox_settle_at(struct ps_outbox_batch *batch, const char *epoch,
                    uint64_t number)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct ps_publish_wait *wait = batch->waits[i];
        if (!wait)
            continue;
        snprintf(wait->position.epoch, sizeof(wait->position.epoch), "%s",
                 epoch);
        wait->position.number = number;
    }
    ps_outbox_settle(batch, PS_OK);
}

/* A wait's fn only posts to a loop, which may be done under a lock. */
void
ps_outbox_give_up_waits(struct ps_outbox *outbox, enum ps_lane which)
{
    struct lane *lane = &outbox->lanes[which];
    pthread_mutex_lock(&outbox->lock);
    PS_LIST_FOREACH_SAFE(&lane->items, it, tmp) {
        struct item *item = PS_CONTAINER_OF(it, struct item, link);
        struct ps_publish_wait *wait = item->wait;
        item->wait = NULL;
        tell(wait, PS_FABRIC);
    }
    pthread_mutex_unlock(&outbox->lock);
}

void
ps_outbox_batch_free(struct ps_outbox_batch **batch)
{
    if (!*batch)
        return;
    for (size_t i = 0; i < (*batch)->count; i++)
        portside__invalidation__free_unpacked((*batch)->changes[i], NULL);
    free(*batch);
    *batch = NULL;
}

bool
ps_outbox_empty(struct ps_outbox *outbox)
{
    bool empty = true;
    pthread_mutex_lock(&outbox->lock);
    for (int i = 0; i < 2; i++)
        empty = empty && outbox->lanes[i].items.count == 0 &&
                outbox->lanes[i].returned.count == 0 &&
                !outbox->lanes[i].everything;
    pthread_mutex_unlock(&outbox->lock);
    return empty;
}
