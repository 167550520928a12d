/*
 * Failed logins per source. The first few within a minute are free (people
 * mistype, deployments roll); each further one doubles the wait. A success
 * forgives one failure, not all: one good account must not buy unlimited
 * guesses at others. The table is bounded; when it is full the source whose
 * last failure is the oldest is forgotten.
 */
#include "agent/pool/logins.h"

#include "common/check.h"
#include "common/list.h"
#include "common/map.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    WINDOW_MS = 60000,
    FIRST_WAIT_MS = 250,
    WAIT_MAX_MS = 60000,
    DOUBLINGS_MAX = 8 /* 250 ms << 8 is above the maximum */
};

struct source {
    struct ps_link link; /* oldest last failure first */
    char *name;
    size_t name_len;
    unsigned failures;
    uint64_t last_ms;
    uint64_t until_ms;
};

struct ps_logins {
    pthread_mutex_t lock;
    struct ps_map *map;
    struct ps_list order;
    size_t max;
    unsigned free_failures;
};

struct ps_logins *
ps_logins_new(size_t max_sources, unsigned free_failures)
{
    PS_CHECK(max_sources > 0);
    struct ps_logins *logins = calloc(1, sizeof(*logins));
    if (!logins)
        return NULL;
    logins->map = ps_map_new();
    if (!logins->map) {
        free(logins);
        return NULL;
    }
    PS_CHECK(pthread_mutex_init(&logins->lock, NULL) == 0);
    ps_list_init(&logins->order);
    logins->max = max_sources;
    logins->free_failures = free_failures;
    return logins;
}

static void
forget(struct ps_logins *logins, struct source *source)
{
    struct ps_str name = {source->name, source->name_len};
    PS_CHECK(ps_map_remove(logins->map, name) == source);
    ps_list_remove(&logins->order, &source->link);
    free(source->name);
    free(source);
}

void
ps_logins_free(struct ps_logins **logins)
{
    struct ps_logins *old = *logins;
    *logins = NULL;
    if (!old)
        return;
    struct ps_link *link;
    while ((link = ps_list_first(&old->order)))
        forget(old, PS_CONTAINER_OF(link, struct source, link));
    ps_map_free(&old->map, NULL);
    pthread_mutex_destroy(&old->lock);
    free(old);
}

uint64_t
ps_logins_wait_ms(struct ps_logins *logins, struct ps_str name, uint64_t now_ms)
{
    PS_CHECK(pthread_mutex_lock(&logins->lock) == 0);
    struct source *source = ps_map_find(logins->map, name);
    uint64_t wait =
        source && source->until_ms > now_ms ? source->until_ms - now_ms : 0;
    pthread_mutex_unlock(&logins->lock);
    return wait;
}

/* Without memory it stays unknown: its failures are free. Lock held. */
static struct source *
add(struct ps_logins *logins, struct ps_str name)
{
    if (ps_map_count(logins->map) >= logins->max)
        forget(logins, PS_CONTAINER_OF(ps_list_first(&logins->order),
                                       struct source, link));
    struct source *source = calloc(1, sizeof(*source));
    char *copy = malloc(name.len + 1);
    if (source && copy) {
        if (name.len)
            memcpy(copy, name.ptr, name.len);
        copy[name.len] = '\0';
        source->name = copy;
        source->name_len = name.len;
        if (ps_map_put(logins->map, name, source, NULL) == PS_OK) {
            ps_list_push_back(&logins->order, &source->link);
            return source;
        }
    }
    free(copy);
    free(source);
    return NULL;
}

void
ps_logins_failed(struct ps_logins *logins, struct ps_str name, uint64_t now_ms)
{
    PS_CHECK(pthread_mutex_lock(&logins->lock) == 0);
    struct source *source = ps_map_find(logins->map, name);
    if (!source)
        source = add(logins, name);
    if (source) {
        uint64_t quiet_since = PS_MAX(source->last_ms, source->until_ms);
        if (now_ms > quiet_since && now_ms - quiet_since >= WINDOW_MS)
            source->failures = 0;
        source->failures++;
        source->last_ms = now_ms;
        if (source->failures > logins->free_failures) {
            unsigned over = source->failures - logins->free_failures - 1;
            uint64_t wait = (uint64_t)FIRST_WAIT_MS
                            << PS_MIN(over, (unsigned)DOUBLINGS_MAX);
            source->until_ms = now_ms + PS_MIN(wait, (uint64_t)WAIT_MAX_MS);
        }
        ps_list_remove(&logins->order, &source->link);
        ps_list_push_back(&logins->order, &source->link);
    }
    pthread_mutex_unlock(&logins->lock);
}

void
ps_logins_succeeded(struct ps_logins *logins, struct ps_str name)
{
    PS_CHECK(pthread_mutex_lock(&logins->lock) == 0);
    struct source *source = ps_map_find(logins->map, name);
    if (source && --source->failures == 0)
        forget(logins, source);
    pthread_mutex_unlock(&logins->lock);
}
