/*
 * See origin.h. One lock per origin, held for a few instructions, and taken
 * when a connection is opened or closed, not when one is used.
 *
 *   hungry ---> bare (has none)      served first, in order of arrival
 *         `---> more (has some)      then the one with the fewest
 *
 * What is given back is not up for grabs: it becomes a right of the principal
 * whose turn it is, or one with many waiters would always be faster.
 */
#include "agent/pool/origin.h"

#include "common/check.h"
#include "common/log.h"
#include "common/map.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    OPEN_DOUBLINGS_MAX = 5, /* a rest is at most 32 times the first */
    HALF_OPEN_RETRY_MS = 1000
};

struct ps_origin {
    struct ps_origins *origins;
    char id[37];
    unsigned refs; /* under the table's lock; 0: kept for what is known of it */
    _Atomic bool pressed;
    pthread_mutex_t lock;       /* of what follows */
    struct ps_cache_conf *conf; /* a reference; the newest */
    size_t total;               /* held by all shares */
    struct ps_list holders, bare, more;
    /* Written under the lock. */
    _Atomic enum ps_breaker breaker;
    unsigned failures; /* in a row */
    unsigned opened;   /* rests in a row */
    uint64_t until_ms; /* PS_BREAKER_OPEN */
    bool slow;         /* since slow_since_ms */
    uint64_t slow_since_ms;
    uint64_t random;
};

struct ps_origins {
    pthread_mutex_t lock;
    struct ps_map *map;
    uint64_t seed;
};

static void
lock(pthread_mutex_t *mutex)
{
    PS_CHECK(pthread_mutex_lock(mutex) == 0);
}

static void
unlock(pthread_mutex_t *mutex)
{
    PS_CHECK(pthread_mutex_unlock(mutex) == 0);
}

/* ------------------------------------------------------------- the table */

struct ps_origins *
ps_origins_new(uint64_t seed)
{
    struct ps_origins *origins = calloc(1, sizeof(*origins));
    if (!origins)
        return NULL;
    origins->map = ps_map_new();
    if (!origins->map) {
        free(origins);
        return NULL;
    }
    PS_CHECK(pthread_mutex_init(&origins->lock, NULL) == 0);
    origins->seed = seed;
    return origins;
}

/* Nobody holds it. */
static void
free_origin(void *value)
{
    struct ps_origin *old = value;
    PS_CHECK(old->refs == 0 && old->total == 0 && old->holders.count == 0);
    PS_CHECK(old->bare.count == 0 && old->more.count == 0);
    pthread_mutex_destroy(&old->lock);
    ps_cache_conf_unref(&old->conf);
    free(old);
}

void
ps_origins_free(struct ps_origins **origins)
{
    struct ps_origins *old = *origins;
    *origins = NULL;
    if (!old)
        return;
    ps_map_free(&old->map, free_origin);
    pthread_mutex_destroy(&old->lock);
    free(old);
}

/* The table's lock is held. */
static struct ps_origin *
add(struct ps_origins *origins, struct ps_str id)
{
    struct ps_origin *origin = calloc(1, sizeof(*origin));
    if (!origin)
        return NULL;
    PS_CHECK(id.len < sizeof(origin->id));
    memcpy(origin->id, id.ptr, id.len);
    if (ps_map_put(origins->map, id, origin, NULL) != PS_OK) {
        free(origin);
        return NULL;
    }
    PS_CHECK(pthread_mutex_init(&origin->lock, NULL) == 0);
    origin->origins = origins;
    origin->random = origins->seed++;
    ps_list_init(&origin->holders);
    ps_list_init(&origin->bare);
    ps_list_init(&origin->more);
    return origin;
}

struct ps_origin *
ps_origins_get(struct ps_origins *origins, struct ps_str id)
{
    lock(&origins->lock);
    struct ps_origin *origin = ps_map_find(origins->map, id);
    if (!origin)
        origin = add(origins, id);
    if (origin)
        origin->refs++;
    unlock(&origins->lock);
    return origin;
}

/* Nothing to be remembered of it; the table's lock is held, nobody has it. */
static bool
is_blank(const struct ps_origin *origin)
{
    return origin->breaker == PS_BREAKER_CLOSED && origin->failures == 0 &&
           !origin->slow;
}

static void
drop(struct ps_origins *origins, struct ps_origin *origin)
{
    PS_CHECK(ps_map_remove(origins->map, ps_str_of(origin->id)) == origin);
    free_origin(origin);
}

void
ps_origin_unref(struct ps_origin **origin)
{
    struct ps_origin *old = *origin;
    *origin = NULL;
    if (!old)
        return;
    struct ps_origins *origins = old->origins;
    lock(&origins->lock);
    if (--old->refs == 0 && is_blank(old))
        drop(origins, old);
    unlock(&origins->lock);
}

void
ps_origins_forget(struct ps_origins *origins, struct ps_str id)
{
    lock(&origins->lock);
    struct ps_origin *origin = ps_map_find(origins->map, id);
    if (origin && origin->refs == 0)
        drop(origins, origin);
    unlock(&origins->lock);
}

size_t
ps_origins_breakers(struct ps_origins *origins, bool closed,
                    struct ps_breaker_state *out, size_t room)
{
    size_t at = 0, n = 0;
    struct ps_str id;
    void *value;
    lock(&origins->lock);
    while (ps_map_next(origins->map, &at, &id, &value)) {
        const struct ps_origin *origin = value;
        enum ps_breaker breaker = atomic_load(&origin->breaker);
        if (breaker == PS_BREAKER_CLOSED && !closed)
            continue;
        if (n < room) {
            memcpy(out[n].cache_id, origin->id, sizeof(out[n].cache_id));
            out[n].breaker = breaker;
        }
        n++;
    }
    unlock(&origins->lock);
    return n;
}

/* ------------------------------------------------------------- the bound */

/* splitmix64 */
static uint64_t
next_random(struct ps_origin *origin)
{
    uint64_t z = origin->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* The cache's own; SIZE_MAX: none. */
static size_t
whole_bound(const struct ps_origin *origin)
{
    size_t max = origin->conf->pool_cache_max;
    return max ? max : SIZE_MAX;
}

/* How many connections there may be now, and after how long there may be one
 * more, 0: never by itself. */
static size_t
bound_of(struct ps_origin *origin, uint64_t now_ms, uint64_t *grows_ms)
{
    const struct ps_cache_conf *conf = origin->conf;
    size_t whole = whole_bound(origin);
    *grows_ms = 0;
    if (!origin->slow)
        return whole;
    size_t usual = conf->pool_cache_max ? conf->pool_cache_max : conf->pool_max;
    uint64_t passed = now_ms - PS_MIN(now_ms, origin->slow_since_ms);
    if (passed >= conf->slow_start_ms || usual <= 1) {
        origin->slow = false;
        return whole;
    }
    uint64_t allowed = 1 + (usual - 1) * passed / conf->slow_start_ms;
    uint64_t next = (allowed * conf->slow_start_ms + usual - 2) / (usual - 1);
    *grows_ms = PS_MAX(next > passed ? next - passed : 0, 1u);
    return (size_t)allowed;
}

static void
note_pressure(struct ps_origin *origin)
{
    bool pressed = origin->bare.count + origin->more.count > 0 ||
                   origin->total > whole_bound(origin);
    atomic_store_explicit(&origin->pressed, pressed, memory_order_relaxed);
}

static void
post(struct ps_origin_share *share)
{
    if (share->posted)
        return;
    share->posted = true;
    ps_loop_post(share->loop, &share->task);
}

static void
dequeue(struct ps_origin_share *share)
{
    if (share->queue)
        ps_list_remove(share->queue, &share->hungry);
    share->queue = NULL;
}

static void
enqueue(struct ps_origin *origin, struct ps_origin_share *share)
{
    struct ps_list *queue = share->held ? &origin->more : &origin->bare;
    if (share->queue == queue)
        return;
    dequeue(share);
    share->queue = queue;
    ps_list_push_back(queue, &share->hungry);
}

/* Its number of connections changed; its place in line may follow. */
static void
set_held(struct ps_origin *origin, struct ps_origin_share *share, size_t held)
{
    if (held && !share->held)
        ps_list_push_back(&origin->holders, &share->holder);
    else if (!held && share->held)
        ps_list_remove(&origin->holders, &share->holder);
    origin->total += held - share->held;
    share->held = held;
    if (share->queue)
        enqueue(origin, share);
}

static void
grant(struct ps_origin *origin, struct ps_origin_share *share)
{
    dequeue(share);
    set_held(origin, share, share->held + 1);
    share->granted++;
}

/* Whose turn it is, but for this one; NULL: nobody's. */
static struct ps_origin_share *
whose_turn(struct ps_origin *origin, const struct ps_origin_share *but)
{
    struct ps_origin_share *best = NULL;
    PS_LIST_FOREACH_SAFE(&origin->bare, it, next) {
        struct ps_origin_share *share =
            PS_CONTAINER_OF(it, struct ps_origin_share, hungry);
        if (share != but)
            return share;
    }
    PS_LIST_FOREACH_SAFE(&origin->more, it, next) {
        struct ps_origin_share *share =
            PS_CONTAINER_OF(it, struct ps_origin_share, hungry);
        if (share != but && (!best || share->held < best->held))
            best = share;
    }
    return best;
}

/* Gives what there is to those who wait for it. */
static void
distribute(struct ps_origin *origin, size_t bound,
           const struct ps_origin_share *caller)
{
    struct ps_origin_share *share;
    while (origin->total < bound && (share = whose_turn(origin, NULL))) {
        grant(origin, share);
        if (share != caller)
            post(share);
    }
    note_pressure(origin);
}

void
ps_origin_set_conf(struct ps_origin *origin, struct ps_cache_conf *conf)
{
    struct ps_cache_conf *old = conf;
    lock(&origin->lock);
    if (origin->conf != conf &&
        (!origin->conf || conf->revision >= origin->conf->revision)) {
        old = origin->conf;
        origin->conf = ps_cache_conf_ref(conf);
        if (old && !ps_cache_conf_same_origin(old, conf)) {
            origin->breaker = PS_BREAKER_CLOSED;
            origin->failures = origin->opened = 0;
            origin->slow = false;
        }
        if (conf->breaker_failures == 0)
            origin->breaker = PS_BREAKER_CLOSED;
        /* The bound may be another: they will ask again. */
        PS_LIST_FOREACH_SAFE(&origin->holders, it, next) {
            post(PS_CONTAINER_OF(it, struct ps_origin_share, holder));
        }
        PS_LIST_FOREACH_SAFE(&origin->bare, it, next) {
            post(PS_CONTAINER_OF(it, struct ps_origin_share, hungry));
        }
        atomic_store_explicit(&origin->pressed, true, memory_order_relaxed);
    } else {
        old = NULL;
    }
    unlock(&origin->lock);
    ps_cache_conf_unref(&old);
}

/* ---------------------------------------------------------------- shares */

static void
on_wake(struct ps_task *task)
{
    struct ps_origin_share *share =
        PS_CONTAINER_OF(task, struct ps_origin_share, task);
    lock(&share->origin->lock);
    share->posted = false;
    unlock(&share->origin->lock);
    share->wake(share);
}

void
ps_origin_share_init(struct ps_origin_share *share, struct ps_origin *origin,
                     struct ps_loop *loop,
                     void (*wake)(struct ps_origin_share *share))
{
    memset(share, 0, sizeof(*share));
    share->origin = origin;
    share->loop = loop;
    share->wake = wake;
    share->task.fn = on_wake;
}

void
ps_origin_share_done(struct ps_origin_share *share)
{
    struct ps_origin *origin = share->origin;
    lock(&origin->lock);
    PS_CHECK(share->held == 0 && share->granted == 0 && !share->queue);
    bool posted = share->posted;
    share->posted = true; /* nobody posts it any more */
    unlock(&origin->lock);
    if (posted)
        ps_loop_unpost(share->loop, &share->task);
    ps_origin_unref(&share->origin);
}

/* What the breaker says; NOT_NOW or GRANTED. */
static enum ps_origin_answer
ask_breaker(struct ps_origin *origin, uint64_t now_ms,
            struct ps_origin_permit *permit, uint64_t *retry_ms)
{
    switch (origin->breaker) {
    case PS_BREAKER_CLOSED:
        break;
    case PS_BREAKER_OPEN:
        if (now_ms < origin->until_ms) {
            *retry_ms = origin->until_ms - now_ms;
            return PS_ORIGIN_NOT_NOW;
        }
        permit->probe = true;
        break;
    case PS_BREAKER_HALF_OPEN:
        *retry_ms = HALF_OPEN_RETRY_MS;
        return PS_ORIGIN_NOT_NOW;
    }
    return PS_ORIGIN_GRANTED;
}

/* Those who have connections look whether they can spare one. */
static void
press_holders(struct ps_origin *origin, const struct ps_origin_share *but)
{
    PS_LIST_FOREACH_SAFE(&origin->holders, it, next) {
        struct ps_origin_share *share =
            PS_CONTAINER_OF(it, struct ps_origin_share, holder);
        if (share != but && share->held > share->granted)
            post(share);
    }
}

static enum ps_origin_answer
ask_bound(struct ps_origin *origin, struct ps_origin_share *share,
          uint64_t now_ms, bool queue, uint64_t *retry_ms)
{
    size_t bound = bound_of(origin, now_ms, retry_ms);
    if (share->granted == 0 && queue) {
        bool newly = !share->queue;
        enqueue(origin, share);
        distribute(origin, bound, share);
        if (share->granted == 0 && newly)
            press_holders(origin, share);
    } else if (share->granted == 0) {
        distribute(origin, bound, share);
        if (origin->total < bound)
            grant(origin, share);
    }
    note_pressure(origin);
    if (share->granted == 0)
        return PS_ORIGIN_LATER;
    share->granted--;
    *retry_ms = 0;
    return PS_ORIGIN_GRANTED;
}

enum ps_origin_answer
ps_origin_take(struct ps_origin_share *share, uint64_t now_ms, bool queue,
               struct ps_origin_permit *permit, uint64_t *retry_ms)
{
    struct ps_origin *origin = share->origin;
    *permit = (struct ps_origin_permit){.probe = false};
    *retry_ms = 0;
    lock(&origin->lock);
    PS_CHECK(origin->conf);
    enum ps_origin_answer answer =
        ask_breaker(origin, now_ms, permit, retry_ms);
    if (answer == PS_ORIGIN_GRANTED)
        answer = ask_bound(origin, share, now_ms, queue, retry_ms);
    if (answer == PS_ORIGIN_GRANTED) {
        if (permit->probe)
            origin->breaker = PS_BREAKER_HALF_OPEN;
        permit->jitter = next_random(origin) & 1023;
    }
    unlock(&origin->lock);
    return answer;
}

void
ps_origin_leave(struct ps_origin_share *share, uint64_t now_ms)
{
    struct ps_origin *origin = share->origin;
    uint64_t grows_ms;
    lock(&origin->lock);
    if (share->queue || share->granted) {
        dequeue(share);
        set_held(origin, share, share->held - share->granted);
        share->granted = 0;
        distribute(origin, bound_of(origin, now_ms, &grows_ms), NULL);
    }
    unlock(&origin->lock);
}

void
ps_origin_give(struct ps_origin_share *share, uint64_t now_ms)
{
    struct ps_origin *origin = share->origin;
    uint64_t grows_ms;
    lock(&origin->lock);
    PS_CHECK(share->held > share->granted);
    set_held(origin, share, share->held - 1);
    distribute(origin, bound_of(origin, now_ms, &grows_ms), share);
    if (share->granted)
        post(share);
    unlock(&origin->lock);
}

bool
ps_origin_pressed(const struct ps_origin *origin)
{
    return atomic_load_explicit(&origin->pressed, memory_order_relaxed);
}

bool
ps_origin_must_yield(struct ps_origin_share *share, uint64_t now_ms, bool idle,
                     bool had_turn)
{
    struct ps_origin *origin = share->origin;
    uint64_t grows_ms;
    bool yield = false;
    if (!ps_origin_pressed(origin))
        return false;
    lock(&origin->lock);
    size_t bound = bound_of(origin, now_ms, &grows_ms);
    distribute(origin, bound, NULL);
    const struct ps_origin_share *other = whose_turn(origin, share);
    if (origin->total > whole_bound(origin))
        yield = true; /* the bound was lowered */
    else if (other && origin->total >= bound)
        yield = idle || share->held > other->held + 1 ||
                (other->held == 0 && had_turn);
    unlock(&origin->lock);
    return yield;
}

/* --------------------------------------------------------------- breaker */

static bool
is_current(const struct ps_origin *origin, const struct ps_cache_conf *conf)
{
    return origin->conf == conf ||
           ps_cache_conf_same_origin(origin->conf, conf);
}

void
ps_origin_worked(struct ps_origin *origin, const struct ps_cache_conf *conf,
                 uint64_t now_ms)
{
    lock(&origin->lock);
    if (is_current(origin, conf)) {
        origin->failures = origin->opened = 0;
        if (origin->breaker != PS_BREAKER_CLOSED) {
            origin->breaker = PS_BREAKER_CLOSED;
            origin->slow = origin->conf->slow_start_ms > 0;
            origin->slow_since_ms = now_ms;
            ps_info("pool", "cache %s: the database is back", origin->id);
        }
    }
    unlock(&origin->lock);
}

/* Was it the origin that answered? */
static bool
is_up(enum ps_rc rc)
{
    return rc == PS_LOGIN_FAILED || rc == PS_ORIGIN_TOO_MANY ||
           rc == PS_UNSUPPORTED;
}

/* Does this failure say that it is of no use to try? */
static bool
is_down(enum ps_rc rc)
{
    switch (rc) {
    case PS_ORIGIN_HOST:
    case PS_ORIGIN_REFUSED:
    case PS_ORIGIN_UNREACHABLE:
    case PS_ORIGIN_TIMEOUT:
    case PS_ORIGIN_TLS:
    case PS_ORIGIN_CERT:
    case PS_ORIGIN_PROTOCOL:
    case PS_ORIGIN_UNAVAILABLE:
    case PS_ORIGIN_LOST:
        return true;
    default:
        return false;
    }
}

/* The rest is shortened by up to a fifth by chance, so that agents do not
 * all come back at once. */
static void
open_breaker(struct ps_origin *origin, uint64_t now_ms)
{
    uint64_t rest = origin->conf->breaker_open_ms
                    << PS_MIN(origin->opened, (unsigned)OPEN_DOUBLINGS_MAX);
    rest -= rest / 5 * (next_random(origin) & 1023) / 1023;
    origin->opened++;
    origin->breaker = PS_BREAKER_OPEN;
    origin->until_ms = now_ms + rest;
    ps_warn("pool",
            "cache %s: %u failed connects in a row; the next one in %u ms",
            origin->id, origin->failures, (unsigned)rest);
}

bool
ps_origin_failed(struct ps_origin *origin, const struct ps_cache_conf *conf,
                 enum ps_rc rc, uint64_t now_ms)
{
    if (is_up(rc)) {
        ps_origin_worked(origin, conf, now_ms);
        return false;
    }
    if (!is_down(rc)) { /* our own trouble */
        ps_origin_probe_lost(origin, now_ms);
        return false;
    }
    bool opens = false;
    lock(&origin->lock);
    if (is_current(origin, conf)) {
        unsigned most = origin->conf->breaker_failures;
        origin->failures++;
        opens = origin->breaker == PS_BREAKER_HALF_OPEN ||
                (origin->breaker == PS_BREAKER_CLOSED && most &&
                 origin->failures >= most);
        if (opens)
            open_breaker(origin, now_ms);
    }
    unlock(&origin->lock);
    return opens;
}

void
ps_origin_probe_lost(struct ps_origin *origin, uint64_t now_ms)
{
    lock(&origin->lock);
    if (origin->breaker == PS_BREAKER_HALF_OPEN) {
        origin->breaker = PS_BREAKER_OPEN;
        origin->until_ms = now_ms;
    }
    unlock(&origin->lock);
}
