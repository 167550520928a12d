/*
 * Failed logins per source. The first few within a minute are free (people
 * mistype, deployments roll); each further one doubles the wait. A success
 * forgives one failure, not all: one good account must not buy unlimited
 * guesses at others. The table is bounded; when it is full the source whose
 * last failure is the oldest is forgotten, but none with a login under way:
 * rather a new one waits.
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
    DOUBLINGS_MAX = 8,     /* 250 ms << 8 is above any maximum */
    CROWDED_WAIT_MS = 1000 /* too many under way */
};

struct source {
    struct ps_link link; /* oldest last failure first */
    char *name;
    size_t name_len;
    unsigned failures;
    unsigned under_way;
    uint64_t last_ms;
    uint64_t until_ms;
};

struct ps_logins {
    pthread_mutex_t lock;
    struct ps_map *map;
    struct ps_list order;
    struct ps_logins_conf conf;
};

struct ps_logins *
ps_logins_new(const struct ps_logins_conf *conf)
{
    PS_CHECK(conf->max_sources > 0 && conf->under_way_max > 0);
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
    logins->conf = *conf;
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

/* Room for one more; lock held. */
static bool
make_room(struct ps_logins *logins)
{
    if (ps_map_count(logins->map) < logins->conf.max_sources)
        return true;
    PS_LIST_FOREACH_SAFE(&logins->order, it, next) {
        struct source *source = PS_CONTAINER_OF(it, struct source, link);
        if (source->under_way == 0) {
            forget(logins, source);
            return true;
        }
    }
    return false;
}

/* NULL without room or memory. Lock held. */
static struct source *
add(struct ps_logins *logins, struct ps_str name)
{
    if (!make_room(logins))
        return NULL;
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

static unsigned
under_way_max(const struct ps_logins *logins, const struct source *source)
{
    unsigned max = source->failures < 32
                       ? logins->conf.under_way_max >> source->failures
                       : 0;
    return PS_MAX(max, 1u);
}

/* A quiet minute forgives all. */
static void
forgive(struct source *source, uint64_t now_ms)
{
    uint64_t quiet_since = PS_MAX(source->last_ms, source->until_ms);
    if (now_ms > quiet_since && now_ms - quiet_since >= WINDOW_MS)
        source->failures = 0;
}

uint64_t
ps_logins_begin(struct ps_logins *logins, struct ps_str name, uint64_t now_ms)
{
    uint64_t wait = 0;
    PS_CHECK(pthread_mutex_lock(&logins->lock) == 0);
    struct source *source = ps_map_find(logins->map, name);
    if (!source)
        source = add(logins, name);
    if (source)
        forgive(source, now_ms);
    if (!source || source->under_way >= under_way_max(logins, source))
        wait = CROWDED_WAIT_MS;
    if (source && source->until_ms > now_ms)
        wait = source->until_ms - now_ms;
    if (wait == 0)
        source->under_way++;
    pthread_mutex_unlock(&logins->lock);
    return wait;
}

void
ps_logins_end(struct ps_logins *logins, struct ps_str name)
{
    PS_CHECK(pthread_mutex_lock(&logins->lock) == 0);
    struct source *source = ps_map_find(logins->map, name);
    PS_CHECK(source && source->under_way > 0);
    if (--source->under_way == 0 && source->failures == 0)
        forget(logins, source);
    pthread_mutex_unlock(&logins->lock);
}

void
ps_logins_failed(struct ps_logins *logins, struct ps_str name, uint64_t now_ms)
{
    PS_CHECK(pthread_mutex_lock(&logins->lock) == 0);
    struct source *source = ps_map_find(logins->map, name);
    if (!source)
        source = add(logins, name);
    if (source) {
        forgive(source, now_ms);
        source->failures++;
        source->last_ms = now_ms;
        if (source->failures > logins->conf.free_failures) {
            unsigned over = source->failures - logins->conf.free_failures - 1;
            uint64_t wait = (uint64_t)FIRST_WAIT_MS
                            << PS_MIN(over, (unsigned)DOUBLINGS_MAX);
            source->until_ms = now_ms + PS_MIN(wait, logins->conf.wait_max_ms);
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
    if (source && source->failures > 0 && --source->failures == 0 &&
        source->under_way == 0)
        forget(logins, source);
    pthread_mutex_unlock(&logins->lock);
}
