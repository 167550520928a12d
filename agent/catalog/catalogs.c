/*
 * The catalogues of the process: one place per space, at most one load at a
 * time for each.
 *
 *   [place] catalog, when it was last seen to be right
 *           load ------ whose connection, on whose loop
 *           waits ----- requests of any loop; each with its own credentials
 *
 * A load takes the space's catalog_gen before its query is sent. When that has
 * moved by the time the rows are there, it reads again. When rows differ from
 * those of the catalogue it replaces, under the same gen, somebody changed the
 * structure behind Portside's back: the gen is moved, all answers of the
 * database go, and it reads again under the new gen.
 *
 * One mutex for everything, held shortly; a load's own members belong to its
 * loop. Callbacks of waits run from their task, without the mutex.
 */
#include "agent/catalog/catalog_private.h"
#include "common/check.h"
#include "common/list.h"
#include "common/log.h"
#include "common/map.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    DEFAULT_REFRESH_MS = 60000,
    DEFAULT_TIMEOUT_MS = 10000,
    DEFAULT_MAX = 256,
    FAILED_FOR_MS = 5000,
    ATTEMPTS = 4
};

struct load;

struct place {
    char key[sizeof(uint64_t)]; /* id of the space */
    struct ps_link link;        /* least recently loaded first */
    struct ps_catalog *catalog;
    uint64_t checked_us;
    uint64_t tried_us; /* the last load, whatever came of it */
    uint64_t failed_until_us;
    struct ps_err failure;
    bool busy; /* a load runs, or one waiter is about to start one */
    struct ps_list waits;
};

struct ps_catalogs {
    struct ps_catalogs_conf conf;
    pthread_mutex_t lock;
    struct ps_map *places;
    struct ps_list order;
    struct ps_list loads;
    struct ps_list ended; /* waits whose task is to tell them the result */
};

/* Copies of what a source borrows. */
struct source {
    struct ps_loop *loop;
    struct ps_pool *pool;
    struct ps_principal *principal;
    struct ps_cache_conf *conf;
    char *password;
    size_t password_len;
};

struct load {
    struct ps_link link;
    struct ps_catalogs *catalogs;
    struct place *place;
    struct ps_space *space; /* a reference */
    struct source source;
    const struct ps_catalog_origin *origin;
    struct ps_catalog_wait *owner; /* whose credentials; NULL: nobody's */
    uint64_t deadline_ms, gen;
    unsigned attempts;
    struct ps_pool_wait pool_wait;
    struct ps_conn *conn;
    struct ps_statement statement;
    struct ps_catalog_builder *builder;
    struct ps_catalog_reader reader;
};

/* What a wait keeps: wait->opaque. */
enum waiter_state {
    WAITER_WAITS,  /* in place->waits */
    WAITER_STARTS, /* likewise, and its task begins a load */
    WAITER_ENDS    /* in catalogs->ended */
};
struct waiter {
    enum waiter_state state;
    struct ps_catalogs *catalogs;
    struct place *place;
    struct ps_space *space;
    struct source source;
    struct ps_catalog *catalog;
    enum ps_rc rc;
    struct ps_err err;
};

static void
lock(struct ps_catalogs *catalogs)
{
    PS_CHECK(pthread_mutex_lock(&catalogs->lock) == 0);
}

static void
unlock(struct ps_catalogs *catalogs)
{
    PS_CHECK(pthread_mutex_unlock(&catalogs->lock) == 0);
}

/* ---- sources ---- */

static bool
source_copy(struct source *to, const struct ps_catalog_source *from)
{
    *to = (struct source){.loop = from->loop,
                          .pool = from->pool,
                          .password_len = from->password.len};
    to->password = malloc(from->password.len + 1);
    if (!to->password)
        return false;
    if (from->password.len)
        memcpy(to->password, from->password.ptr, from->password.len);
    to->principal = ps_principal_ref(from->principal);
    to->conf = ps_cache_conf_ref(from->conf);
    return true;
}

static void
source_done(struct source *source)
{
    if (source->password) {
        explicit_bzero(source->password, source->password_len);
        free(source->password);
    }
    source->password = NULL;
    ps_principal_unref(&source->principal);
    ps_cache_conf_unref(&source->conf);
}

static struct ps_catalog_source
source_view(const struct source *source)
{
    return (struct ps_catalog_source){
        .loop = source->loop,
        .pool = source->pool,
        .principal = source->principal,
        .conf = source->conf,
        .password = {source->password, source->password_len}
    };
}

/* ---- waits ---- */

static struct ps_catalog_wait *
wait_of(struct ps_link *link)
{
    return PS_CONTAINER_OF(link, struct ps_catalog_wait, link);
}

static void
waiter_free(struct ps_catalog_wait *wait)
{
    struct waiter *waiter = wait->opaque;
    wait->opaque = NULL;
    source_done(&waiter->source);
    ps_catalog_unref(&waiter->catalog);
    ps_space_unref(&waiter->space);
    free(waiter);
}

static void
waiter_tell(struct ps_catalog_wait *wait)
{
    struct waiter *waiter = wait->opaque;
    struct ps_catalog *catalog = waiter->catalog;
    struct ps_err err = waiter->err;
    enum ps_rc rc = waiter->rc;
    waiter->catalog = NULL;
    waiter_free(wait);
    wait->fn(wait, catalog, rc, rc == PS_OK ? NULL : &err);
    ps_catalog_unref(&catalog);
}

/* Out of its list, with a result; lock held. Its task tells it, unless it is
 * posted already. */
static void
waiter_end(struct place *place, struct ps_catalog_wait *wait,
           struct ps_catalog *catalog, const struct ps_err *err)
{
    struct waiter *waiter = wait->opaque;
    bool posted = waiter->state == WAITER_STARTS;
    if (ps_link_linked(&wait->link))
        ps_list_remove(&place->waits, &wait->link);
    ps_list_push_back(&waiter->catalogs->ended, &wait->link);
    waiter->state = WAITER_ENDS;
    waiter->catalog = catalog ? ps_catalog_ref(catalog) : NULL;
    waiter->rc = catalog ? PS_OK : err->rc;
    if (!catalog)
        waiter->err = *err;
    if (!posted)
        ps_loop_post(wait->loop, &wait->task);
}

/* The next one tries with its own credentials; lock held. */
static void
start_next(struct place *place)
{
    struct ps_link *link = ps_list_first(&place->waits);
    place->busy = link != NULL;
    if (!link)
        return;
    struct ps_catalog_wait *wait = wait_of(link);
    struct waiter *waiter = wait->opaque;
    waiter->state = WAITER_STARTS;
    ps_loop_post(wait->loop, &wait->task);
}

/* ---- places ---- */

static struct ps_str
key_of(const char key[sizeof(uint64_t)])
{
    return (struct ps_str){key, sizeof(uint64_t)};
}

static void
place_free(void *value)
{
    struct place *place = value;
    ps_catalog_unref(&place->catalog);
    free(place);
}

/* Forgets the one that was loaded longest ago; lock held. */
static void
make_room(struct ps_catalogs *catalogs)
{
    if (ps_map_count(catalogs->places) < catalogs->conf.max)
        return;
    PS_LIST_FOREACH_SAFE(&catalogs->order, it, next) {
        struct place *place = PS_CONTAINER_OF(it, struct place, link);
        if (place->busy || place->waits.count > 0)
            continue;
        ps_list_remove(&catalogs->order, it);
        ps_map_remove(catalogs->places, key_of(place->key));
        place_free(place);
        return;
    }
}

/* Lock held; NULL without memory. */
static struct place *
place_get(struct ps_catalogs *catalogs, struct ps_space *space)
{
    uint64_t id = ps_space_id(space);
    char key[sizeof(id)];
    memcpy(key, &id, sizeof(id));
    struct place *place = ps_map_find(catalogs->places, key_of(key));
    if (place)
        return place;
    make_room(catalogs);
    place = calloc(1, sizeof(*place));
    if (!place)
        return NULL;
    memcpy(place->key, key, sizeof(key));
    ps_list_init(&place->waits);
    if (ps_map_put(catalogs->places, key_of(key), place, NULL) != PS_OK) {
        free(place);
        return NULL;
    }
    ps_list_push_back(&catalogs->order, &place->link);
    return place;
}

struct ps_catalog *
ps_catalog_find(struct ps_catalogs *catalogs, struct ps_space *space,
                uint64_t now_us, bool *due)
{
    struct ps_catalog *found = NULL;
    uint64_t id = ps_space_id(space);
    char key[sizeof(id)];
    memcpy(key, &id, sizeof(id));
    if (due)
        *due = false;
    lock(catalogs);
    struct place *place = ps_map_find(catalogs->places, key_of(key));
    if (place && place->catalog &&
        place->catalog->gen == ps_space_catalog_gen(space)) {
        uint64_t refresh_us = catalogs->conf.refresh_ms * 1000;
        found = ps_catalog_ref(place->catalog);
        if (due)
            *due = !place->busy && now_us >= place->failed_until_us &&
                   now_us - place->checked_us >= refresh_us;
    }
    unlock(catalogs);
    return found;
}

/* ---- loads ---- */

static uint64_t
load_now_us(const struct load *load)
{
    return ps_clock_now_us(ps_loop_clock(load->source.loop));
}

static void
load_free(struct load *load)
{
    ps_catalog_builder_free(&load->builder);
    source_done(&load->source);
    ps_space_unref(&load->space);
    free(load);
}

/*
 * The load is over, with a catalogue (ownership goes) or an error. A refused
 * login, or a principal at its limits, is its owner's affair: the next
 * waiter tries with its own connection.
 */
static void
load_finish(struct load *load, struct ps_catalog *catalog,
            const struct ps_err *err)
{
    struct ps_catalogs *catalogs = load->catalogs;
    struct place *place = load->place;
    uint64_t now_us = load_now_us(load);
    bool personal =
        err && (err->rc == PS_LOGIN_FAILED || err->rc == PS_POOL_FULL ||
                err->rc == PS_POOL_TIMEOUT || err->rc == PS_SHUTTING_DOWN);
    if (err)
        ps_warn("catalog", "cache %s: structure not read: %s",
                load->source.conf->id, ps_err_info(err->rc)->code);
    lock(catalogs);
    ps_list_remove(&catalogs->loads, &load->link);
    if (catalog) {
        ps_catalog_unref(&place->catalog);
        place->catalog = ps_catalog_ref(catalog);
        place->checked_us = now_us;
        place->failed_until_us = 0;
    } else if (personal) {
        if (load->owner)
            waiter_end(place, load->owner, NULL, err);
    } else {
        place->failure = *err;
        place->failed_until_us = now_us + FAILED_FOR_MS * 1000ULL;
    }
    ps_list_remove(&catalogs->order, &place->link);
    ps_list_push_back(&catalogs->order, &place->link);
    while (!personal && place->waits.count > 0)
        waiter_end(place, wait_of(ps_list_first(&place->waits)), catalog, err);
    start_next(place);
    unlock(catalogs);
    ps_catalog_unref(&catalog);
    load_free(load);
}

static void
load_fail(struct load *load, enum ps_rc rc)
{
    struct ps_err err;
    ps_err_set(&err, rc, NULL);
    load_finish(load, NULL, &err);
}

static void load_attempt(struct load *load);

/* The catalogue that this one takes the place of had other rows, and no
 * change of structure was seen. */
static bool
changed_unseen(struct load *load, const struct ps_catalog *catalog)
{
    lock(load->catalogs);
    const struct ps_catalog *old = load->place->catalog;
    bool changed = old && old->gen == catalog->gen &&
                   old->viewer == catalog->viewer && old->hash != catalog->hash;
    unlock(load->catalogs);
    return changed;
}

static void
load_built(struct load *load)
{
    struct ps_catalog *catalog = NULL;
    enum ps_rc rc =
        ps_catalog_builder_finish(load->builder, load->gen, &catalog);
    if (rc != PS_OK) {
        load_fail(load, rc);
        return;
    }
    if (changed_unseen(load, catalog)) {
        ps_info("catalog", "cache %s: structure changed at the origin",
                load->source.conf->id);
        ps_space_structure_changed(load->space);
    }
    if (ps_space_catalog_gen(load->space) != load->gen) {
        ps_catalog_unref(&catalog);
        load_attempt(load);
        return;
    }
    load_finish(load, catalog, NULL);
}

static void
on_executed(void *arg, const struct ps_outcome *outcome)
{
    struct load *load = arg;
    enum ps_pool_verdict verdict = PS_POOL_CLEAN;
    struct ps_err err = outcome->err;
    enum ps_rc rc = outcome->rc;
    if (outcome->state == PS_CONN_BROKEN)
        verdict = PS_POOL_DISCARD;
    else if (rc != PS_OK || outcome->state != PS_CONN_IDLE)
        verdict = PS_POOL_RESET;
    ps_pool_release(load->source.pool, load->conn, verdict);
    load->conn = NULL;
    /* An idle connection that had died says nothing of the origin. */
    if (rc == PS_ORIGIN_LOST && load->attempts < ATTEMPTS)
        load_attempt(load);
    else if (rc != PS_OK)
        load_finish(load, NULL, &err);
    else
        load_built(load);
}

static void
on_connection(struct ps_pool_wait *wait, struct ps_conn *conn, enum ps_rc rc,
              const struct ps_err *err)
{
    struct load *load = PS_CONTAINER_OF(wait, struct load, pool_wait);
    if (rc != PS_OK) {
        load_finish(load, NULL, err);
        return;
    }
    uint64_t now = ps_loop_now_ms(load->source.loop);
    load->conn = conn;
    load->gen = ps_space_catalog_gen(load->space);
    load->statement = (struct ps_statement){
        .sql = load->origin->query(),
        .timeout_ms = load->deadline_ms > now ? load->deadline_ms - now : 1};
    ps_conn_execute(conn, &load->statement, &load->reader.sink, on_executed,
                    load);
}

static void
load_attempt(struct load *load)
{
    uint64_t now = ps_loop_now_ms(load->source.loop);
    ps_catalog_builder_free(&load->builder);
    if (load->attempts++ == ATTEMPTS || now >= load->deadline_ms) {
        load_fail(load, PS_ORIGIN_TIMEOUT);
        return;
    }
    load->builder = ps_catalog_builder_new(load->origin->dialect);
    if (!load->builder) {
        load_fail(load, PS_NO_MEMORY);
        return;
    }
    ps_catalog_reader_init(&load->reader, load->builder);
    struct ps_catalog_source source = source_view(&load->source);
    load->pool_wait = (struct ps_pool_wait){.principal = source.principal,
                                            .conf = source.conf,
                                            .password = source.password,
                                            .deadline_ms = load->deadline_ms,
                                            .fn = on_connection};
    ps_pool_acquire(source.pool, &load->pool_wait);
}

/* Lock held, place->busy set; source is taken over. NULL: no memory. */
static struct load *
load_new(struct ps_catalogs *catalogs, struct place *place,
         struct ps_space *space, struct source *source)
{
    struct load *load = calloc(1, sizeof(*load));
    if (!load)
        return NULL;
    load->catalogs = catalogs;
    load->place = place;
    load->space = ps_space_ref(space);
    load->origin = ps_catalog_origin_find(source->conf->provider);
    load->source = *source;
    *source = (struct source){.loop = source->loop};
    load->deadline_ms =
        ps_loop_now_ms(load->source.loop) + catalogs->conf.timeout_ms;
    place->tried_us = load_now_us(load);
    ps_list_push_back(&catalogs->loads, &load->link);
    return load;
}

/* A waiter's turn to read it with its own credentials. */
static void
waiter_start(struct ps_catalog_wait *wait)
{
    struct waiter *waiter = wait->opaque;
    struct ps_catalogs *catalogs = waiter->catalogs;
    struct place *place = waiter->place;
    struct ps_err err;
    lock(catalogs);
    waiter->state = WAITER_WAITS;
    struct load *load = NULL;
    if (!ps_catalog_origin_find(waiter->source.conf->provider))
        ps_err_set(&err, PS_UNSUPPORTED, NULL);
    else if (!(load =
                   load_new(catalogs, place, waiter->space, &waiter->source)))
        ps_err_set(&err, PS_NO_MEMORY, NULL);
    if (load) {
        load->owner = wait;
    } else {
        waiter_end(place, wait, NULL, &err);
        start_next(place);
    }
    unlock(catalogs);
    if (load)
        load_attempt(load);
}

static void
on_wait_task(struct ps_task *task)
{
    struct ps_catalog_wait *wait =
        PS_CONTAINER_OF(task, struct ps_catalog_wait, task);
    struct waiter *waiter = wait->opaque;
    lock(waiter->catalogs);
    bool starts = waiter->state == WAITER_STARTS;
    if (!starts)
        ps_list_remove(&waiter->catalogs->ended, &wait->link);
    unlock(waiter->catalogs);
    if (starts)
        waiter_start(wait);
    else
        waiter_tell(wait);
}

/* ---- asking for a load ---- */

/* wait->opaque, or NULL without memory. */
static struct waiter *
waiter_new(struct ps_catalogs *catalogs, struct ps_space *space,
           const struct ps_catalog_source *source, struct ps_catalog_wait *wait)
{
    struct waiter *waiter = calloc(1, sizeof(*waiter));
    if (!waiter || !source_copy(&waiter->source, source)) {
        free(waiter);
        return NULL;
    }
    waiter->catalogs = catalogs;
    waiter->space = ps_space_ref(space);
    ps_link_init(&wait->link);
    wait->loop = source->loop;
    wait->task.fn = on_wait_task;
    wait->opaque = waiter;
    return waiter;
}

void
ps_catalog_load(struct ps_catalogs *catalogs, struct ps_space *space,
                const struct ps_catalog_source *source,
                struct ps_catalog_wait *wait)
{
    struct waiter *waiter = waiter_new(catalogs, space, source, wait);
    PS_CHECK(waiter);
    lock(catalogs);
    struct place *place = place_get(catalogs, space);
    PS_CHECK(place);
    waiter->place = place;
    uint64_t now_us = ps_clock_now_us(ps_loop_clock(source->loop));
    struct ps_catalog *catalog = place->catalog;
    bool current = catalog && catalog->gen == ps_space_catalog_gen(space);
    if (current || now_us < place->failed_until_us) {
        waiter_end(place, wait, current ? catalog : NULL, &place->failure);
    } else {
        ps_list_push_back(&place->waits, &wait->link);
        if (!place->busy)
            start_next(place);
    }
    unlock(catalogs);
}

/* The load that this wait owns; lock held. */
static struct load *
load_owned_by(struct ps_catalogs *catalogs, const struct ps_catalog_wait *wait)
{
    PS_LIST_FOREACH_SAFE(&catalogs->loads, it, next) {
        struct load *load = PS_CONTAINER_OF(it, struct load, link);
        if (load->owner == wait)
            return load;
    }
    return NULL;
}

void
ps_catalog_cancel(struct ps_catalogs *catalogs, struct ps_catalog_wait *wait)
{
    struct waiter *waiter = wait->opaque;
    if (!waiter)
        return;
    lock(catalogs);
    enum waiter_state state = waiter->state;
    ps_list_remove(state == WAITER_ENDS ? &catalogs->ended
                                        : &waiter->place->waits,
                   &wait->link);
    if (state != WAITER_WAITS)
        ps_loop_unpost(wait->loop, &wait->task);
    if (state == WAITER_STARTS)
        start_next(waiter->place);
    struct load *load = load_owned_by(catalogs, wait);
    if (load) /* goes on for the others */
        load->owner = NULL;
    unlock(catalogs);
    waiter_free(wait);
}

void
ps_catalog_refresh(struct ps_catalogs *catalogs, struct ps_space *space,
                   const struct ps_catalog_source *source)
{
    struct load *load = NULL;
    struct source copy;
    if (!ps_catalog_origin_find(source->conf->provider))
        return;
    uint64_t now_us = ps_clock_now_us(ps_loop_clock(source->loop));
    lock(catalogs);
    struct place *place = place_get(catalogs, space);
    bool due = place && !place->busy && now_us >= place->failed_until_us &&
               now_us - place->checked_us >= catalogs->conf.refresh_ms * 1000;
    /* A principal that cannot read it must not try at every request. */
    if (due && place->tried_us > place->checked_us &&
        now_us - place->tried_us < FAILED_FOR_MS * 1000ULL)
        due = false;
    if (due && source_copy(&copy, source)) {
        load = load_new(catalogs, place, space, &copy);
        place->busy = load != NULL;
        if (!load)
            source_done(&copy);
    }
    unlock(catalogs);
    if (load)
        load_attempt(load);
}

/* ---- life ---- */

struct ps_catalogs *
ps_catalogs_new(const struct ps_catalogs_conf *conf)
{
    struct ps_catalogs *catalogs = calloc(1, sizeof(*catalogs));
    if (!catalogs)
        return NULL;
    catalogs->conf = *conf;
    if (!catalogs->conf.refresh_ms)
        catalogs->conf.refresh_ms = DEFAULT_REFRESH_MS;
    if (!catalogs->conf.timeout_ms)
        catalogs->conf.timeout_ms = DEFAULT_TIMEOUT_MS;
    if (!catalogs->conf.max)
        catalogs->conf.max = DEFAULT_MAX;
    PS_CHECK(pthread_mutex_init(&catalogs->lock, NULL) == 0);
    ps_list_init(&catalogs->order);
    ps_list_init(&catalogs->loads);
    ps_list_init(&catalogs->ended);
    catalogs->places = ps_map_new();
    if (!catalogs->places)
        ps_catalogs_free(&catalogs);
    return catalogs;
}

void
ps_catalogs_free(struct ps_catalogs **catalogs)
{
    struct ps_catalogs *old = *catalogs;
    *catalogs = NULL;
    if (!old)
        return;
    PS_CHECK(old->loads.count == 0 && old->ended.count == 0);
    ps_map_free(&old->places, place_free);
    pthread_mutex_destroy(&old->lock);
    free(old);
}

/* The first load of this loop, or NULL; lock held. */
static struct load *
load_on(struct ps_catalogs *catalogs, const struct ps_loop *loop)
{
    PS_LIST_FOREACH_SAFE(&catalogs->loads, it, next) {
        struct load *load = PS_CONTAINER_OF(it, struct load, link);
        if (load->source.loop == loop)
            return load;
    }
    return NULL;
}

static void
stop_load(struct load *load)
{
    if (load->conn) {
        /* Its pool closes it; the load must not hear of that. */
        ps_pool_release(load->source.pool, load->conn, PS_POOL_DISCARD);
        load->conn = NULL;
    } else {
        ps_pool_cancel(load->source.pool, &load->pool_wait);
    }
    load_fail(load, PS_SHUTTING_DOWN);
}

/* One of this loop that was not told yet, or NULL; lock held. */
static struct ps_catalog_wait *
take_ended_on(struct ps_catalogs *catalogs, const struct ps_loop *loop)
{
    PS_LIST_FOREACH_SAFE(&catalogs->ended, it, next) {
        struct ps_catalog_wait *wait = wait_of(it);
        if (wait->loop != loop)
            continue;
        ps_list_remove(&catalogs->ended, it);
        ps_loop_unpost(wait->loop, &wait->task);
        return wait;
    }
    return NULL;
}

/* One that waits on this loop, taken out of its list, or NULL; lock held. */
static struct ps_catalog_wait *
take_wait_on(struct ps_catalogs *catalogs, const struct ps_loop *loop)
{
    size_t at = 0;
    struct ps_str key;
    void *value;
    while (ps_map_next(catalogs->places, &at, &key, &value)) {
        struct place *place = value;
        PS_LIST_FOREACH_SAFE(&place->waits, it, next) {
            struct ps_catalog_wait *wait = wait_of(it);
            struct waiter *waiter = wait->opaque;
            if (wait->loop != loop)
                continue;
            ps_list_remove(&place->waits, it);
            if (waiter->state == WAITER_STARTS) {
                ps_loop_unpost(wait->loop, &wait->task);
                start_next(place);
            }
            return wait;
        }
    }
    return NULL;
}

void
ps_catalogs_stop(struct ps_catalogs *catalogs, struct ps_loop *loop)
{
    struct load *load;
    struct ps_catalog_wait *wait;
    for (;;) {
        lock(catalogs);
        load = load_on(catalogs, loop);
        if (load)
            load->owner = NULL; /* told below, with the others */
        unlock(catalogs);
        if (!load)
            break;
        stop_load(load);
    }
    for (;;) {
        lock(catalogs);
        wait = take_wait_on(catalogs, loop);
        if (!wait)
            wait = take_ended_on(catalogs, loop);
        unlock(catalogs);
        if (!wait)
            break;
        struct waiter *waiter = wait->opaque;
        ps_catalog_unref(&waiter->catalog);
        ps_err_set(&waiter->err, PS_SHUTTING_DOWN, NULL);
        waiter->rc = PS_SHUTTING_DOWN;
        waiter_tell(wait);
    }
}
