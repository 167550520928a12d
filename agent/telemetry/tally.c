/*
 * See tally.h. The lock guards the table of places and what is pending; loops
 * take it for a query that memory did not answer, and for the first hit of a
 * template on a loop.
 */
#include "agent/telemetry/tally.h"

#include "common/check.h"
#include "common/map.h"
#include "common/utf8.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    TALLY_MAGIC = 0x7074616c,
    INDEX_BITS = 16,
    KEY_MAX = PS_TALLY_CACHE_ID_MAX + sizeof(uint64_t),
    CACHE_LINE = 64
};

/* How much a new mean of durations weighs against what is known. */
static const double MEAN_WEIGHT = 0.25;

struct place {
    uint32_t id; /* 0: free and never used */
    bool used, told;
    uint32_t idle; /* collects since it has counted anything */
    uint64_t fingerprint;
    char cache_id[PS_TALLY_CACHE_ID_MAX + 1];
    char *text;
    struct ps_usage *fresh;   /* of this collect */
    struct ps_usage *pending; /* of those before that, to be sent */
    double mean_origin_us;    /* 0: not known */
};

struct ps_tally {
    uint32_t magic;
    unsigned n_loops;
    uint32_t n_places; /* a power of two */
    pthread_mutex_t lock;
    struct place *places;
    struct ps_map *by_key;
    uint32_t n_used, hand;
    _Atomic uint64_t lost;
    struct ps_map *totals; /* cache id -> struct ps_usage, since the start */
    struct ps_tally_loop *loops;
};

static void
lock(struct ps_tally *tally)
{
    PS_CHECK(pthread_mutex_lock(&tally->lock) == 0);
}

static void
unlock(struct ps_tally *tally)
{
    PS_CHECK(pthread_mutex_unlock(&tally->lock) == 0);
}

/* ---- life ---- */

static bool
make(struct ps_tally *tally)
{
    tally->places = calloc(tally->n_places, sizeof(*tally->places));
    tally->by_key = ps_map_new();
    tally->totals = ps_map_new();
    tally->loops = aligned_alloc(
        CACHE_LINE,
        (tally->n_loops * sizeof(*tally->loops) / CACHE_LINE + 1) * CACHE_LINE);
    if (!tally->places || !tally->by_key || !tally->totals || !tally->loops)
        return false;
    memset(tally->loops, 0, tally->n_loops * sizeof(*tally->loops));
    for (unsigned i = 0; i < tally->n_loops; i++) {
        struct ps_tally_loop *loop = &tally->loops[i];
        loop->tally = tally;
        loop->mask = tally->n_places - 1;
        loop->cells = calloc(tally->n_places, sizeof(struct ps_tally_cell *));
        loop->listed = calloc(tally->n_places, sizeof(*loop->listed));
        if (!loop->cells || !loop->listed)
            return false;
    }
    return true;
}

struct ps_tally *
ps_tally_new(size_t max_templates, unsigned n_loops)
{
    struct ps_tally *tally = calloc(1, sizeof(*tally));
    if (!tally)
        return NULL;
    tally->magic = TALLY_MAGIC;
    tally->n_loops = n_loops;
    tally->n_places = 2;
    while (tally->n_places < max_templates && tally->n_places < PS_TALLY_MAX)
        tally->n_places *= 2;
    PS_CHECK(pthread_mutex_init(&tally->lock, NULL) == 0);
    if (!make(tally))
        ps_tally_free(&tally);
    return tally;
}

static void
loop_done(struct ps_tally *tally, struct ps_tally_loop *loop)
{
    for (uint32_t i = 0; loop->cells && i < tally->n_places; i++) {
        if (loop->cells[i])
            free(loop->cells[i]->more);
        free(loop->cells[i]);
    }
    free(loop->cells);
    free(loop->listed);
}

void
ps_tally_free(struct ps_tally **tallyp)
{
    struct ps_tally *tally = *tallyp;
    if (!tally)
        return;
    PS_CHECK_OBJ(tally, TALLY_MAGIC);
    *tallyp = NULL;
    for (unsigned i = 0; tally->loops && i < tally->n_loops; i++)
        loop_done(tally, &tally->loops[i]);
    for (uint32_t i = 0; tally->places && i < tally->n_places; i++) {
        free(tally->places[i].text);
        free(tally->places[i].fresh);
        free(tally->places[i].pending);
    }
    free(tally->loops);
    free(tally->places);
    ps_map_free(&tally->by_key, NULL);
    ps_map_free(&tally->totals, free);
    pthread_mutex_destroy(&tally->lock);
    tally->magic = 0;
    free(tally);
}

struct ps_tally_loop *
ps_tally_loop(struct ps_tally *tally, unsigned index)
{
    PS_CHECK(index < tally->n_loops);
    return &tally->loops[index];
}

/* ---- places ---- */

/* Cache and fingerprint as one key. */
static struct ps_str
key_of(char buf[KEY_MAX], struct ps_str cache_id, uint64_t fingerprint)
{
    size_t len = PS_MIN(cache_id.len, (size_t)PS_TALLY_CACHE_ID_MAX);
    memcpy(buf, cache_id.ptr, len);
    memcpy(buf + len, &fingerprint, sizeof(fingerprint));
    return (struct ps_str){buf, len + sizeof(fingerprint)};
}

static void
vacate(struct ps_tally *tally, struct place *place)
{
    char buf[KEY_MAX];
    ps_map_remove(tally->by_key,
                  key_of(buf, ps_str_of(place->cache_id), place->fingerprint));
    free(place->text);
    place->text = NULL;
    place->used = place->told = false;
    place->mean_origin_us = 0;
    tally->n_used--;
}

/* One that was never used, or has been idle for long; NULL: there is none. */
static struct place *
find_place(struct ps_tally *tally)
{
    for (uint32_t i = 0; i < tally->n_places; i++) {
        struct place *place = &tally->places[tally->hand];
        tally->hand = (tally->hand + 1) & (tally->n_places - 1);
        if (!place->used)
            return place;
        if (place->idle >= PS_TALLY_IDLE_COLLECTS && !place->pending &&
            !place->fresh) {
            vacate(tally, place);
            return place;
        }
        /* Full, and looked at a while ago: not all of it for each query. */
        if (i >= 64 && tally->n_used == tally->n_places)
            return NULL;
    }
    return NULL;
}

static uint32_t
next_id(const struct ps_tally *tally, const struct place *place)
{
    uint32_t index = (uint32_t)(place - tally->places);
    uint32_t generation = (place->id >> INDEX_BITS) + 1;
    if (generation >> (32 - INDEX_BITS))
        generation = 1; /* after 65,000 tenants */
    return generation << INDEX_BITS | index;
}

/* Not in the middle of a character. */
static struct ps_str
cut(struct ps_str text)
{
    if (text.len > PS_TALLY_TEXT_MAX)
        text.len = PS_TALLY_TEXT_MAX;
    text.len = ps_utf8_check(text);
    return text;
}

static uint32_t
occupy(struct ps_tally *tally, struct ps_str key, struct ps_str cache_id,
       uint64_t fingerprint, struct ps_str text)
{
    struct place *place = find_place(tally);
    char *copy = place ? ps_str_dup(cut(text)) : NULL;
    if (!copy)
        return PS_TALLY_NONE;
    if (ps_map_put(tally->by_key, key, place, NULL) != PS_OK) {
        free(copy);
        return PS_TALLY_NONE;
    }
    place->id = next_id(tally, place);
    place->used = true;
    place->told = false;
    place->idle = 0;
    place->fingerprint = fingerprint;
    memcpy(place->cache_id, cache_id.ptr, cache_id.len);
    place->cache_id[cache_id.len] = '\0';
    place->text = copy;
    tally->n_used++;
    return place->id;
}

static uint32_t
id_locked(struct ps_tally *tally, struct ps_str cache_id, uint64_t fingerprint,
          struct ps_str text)
{
    char buf[KEY_MAX];
    struct ps_str key = key_of(buf, cache_id, fingerprint);
    struct place *place = ps_map_find(tally->by_key, key);
    if (place) {
        place->idle = 0;
        return place->id;
    }
    return occupy(tally, key, cache_id, fingerprint, text);
}

uint32_t
ps_tally_id(struct ps_tally *tally, struct ps_str cache_id,
            uint64_t fingerprint, struct ps_str text)
{
    PS_CHECK_OBJ(tally, TALLY_MAGIC);
    if (cache_id.len > PS_TALLY_CACHE_ID_MAX)
        return PS_TALLY_NONE;
    lock(tally);
    uint32_t id = PS_TALLY_NONE;
    /* "other" has its place from a cache's first query on. */
    uint32_t other = id_locked(tally, cache_id, 0, PS_STR(""));
    if (fingerprint != 0)
        id = id_locked(tally, cache_id, fingerprint, text);
    if (id == PS_TALLY_NONE)
        id = other;
    unlock(tally);
    return id;
}

/* The place of an id; NULL when it has been given to another. */
static struct place *
place_of(struct ps_tally *tally, uint32_t id)
{
    struct place *place = &tally->places[id & (tally->n_places - 1)];
    return id != PS_TALLY_NONE && place->used && place->id == id ? place : NULL;
}

/* ---- cells ---- */

static void
empty(struct ps_tally_cell *cell)
{
    cell->hits = cell->rows = cell->bytes = cell->us = 0;
    memset(cell->memory, 0, sizeof(cell->memory));
}

struct ps_tally_cell *
ps_tally_cell_make(struct ps_tally_loop *loop, uint32_t id)
{
    struct ps_tally *tally = loop->tally;
    PS_CHECK_OBJ(tally, TALLY_MAGIC);
    lock(tally);
    bool known = place_of(tally, id) != NULL;
    unlock(tally);
    if (!known)
        return NULL;
    struct ps_tally_cell **at = &loop->cells[id & loop->mask];
    if (!*at) {
        size_t size = (sizeof(**at) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
        *at = aligned_alloc(CACHE_LINE, size);
        if (!*at)
            return NULL;
        memset(*at, 0, sizeof(**at));
    } else {
        /* Of the place's last tenant, from after it was last collected. */
        loop->lost += (*at)->hits;
        if ((*at)->more)
            loop->lost += (*at)->more->n[PS_USAGE_QUERIES];
        free((*at)->more);
        (*at)->more = NULL;
        empty(*at);
    }
    (*at)->id = id;
    return *at;
}

void
ps_tally_cell_list(struct ps_tally_loop *loop, struct ps_tally_cell *cell)
{
    PS_CHECK(loop->n_listed <= loop->mask);
    loop->listed[loop->n_listed++] = cell->id & loop->mask;
    cell->listed = true;
}

struct ps_usage *
ps_tally_usage(struct ps_tally_loop *loop, uint32_t id)
{
    struct ps_tally_cell *cell =
        id == PS_TALLY_NONE ? NULL : ps_tally_cell(loop, id);
    if (cell && !cell->more)
        cell->more = calloc(1, sizeof(*cell->more));
    if (cell && cell->more)
        return cell->more;
    loop->lost++;
    return NULL;
}

/* ---- collecting ---- */

static void
add_hits(struct ps_usage *usage, const struct ps_tally_cell *cell)
{
    usage->n[PS_USAGE_QUERIES] += cell->hits;
    usage->n[PS_USAGE_HITS] += cell->hits;
    usage->n[PS_USAGE_ROWS] += cell->rows;
    usage->n[PS_USAGE_BYTES] += cell->bytes;
    usage->memory.count += cell->hits;
    usage->memory.sum_us += cell->us;
    for (size_t i = 0; i < PS_HIST_BUCKETS; i++)
        usage->memory.n[i] += cell->memory[i];
}

void
ps_tally_collect(struct ps_tally_loop *loop, struct ps_tally_bag *bag)
{
    uint32_t left = 0;
    *bag = (struct ps_tally_bag){.lost = loop->lost};
    loop->lost = 0;
    bag->items = calloc((size_t)loop->n_listed + 1, sizeof(*bag->items));
    for (uint32_t i = 0; i < loop->n_listed && bag->items; i++) {
        struct ps_tally_cell *cell = loop->cells[loop->listed[i]];
        struct ps_usage *usage =
            cell->more ? cell->more : calloc(1, sizeof(*usage));
        if (!usage) {
            loop->listed[left++] = loop->listed[i];
            continue;
        }
        add_hits(usage, cell);
        empty(cell);
        cell->more = NULL;
        cell->listed = false;
        bag->items[bag->n++] =
            (struct ps_tally_item){.id = cell->id, .usage = usage};
    }
    if (bag->items)
        loop->n_listed = left;
}

/* Takes from over. */
static void
add(struct ps_usage **into, struct ps_usage *from)
{
    if (!*into) {
        *into = from;
        return;
    }
    ps_usage_merge(*into, from);
    free(from);
}

void
ps_tally_merge(struct ps_tally *tally, struct ps_tally_bag *bag)
{
    uint64_t lost = bag->lost;
    for (size_t i = 0; i < bag->n; i++) {
        struct ps_tally_item *item = &bag->items[i];
        lock(tally);
        struct place *place = place_of(tally, item->id);
        if (place) {
            add(&place->fresh, item->usage);
            place->idle = 0;
        } else {
            lost += item->usage->n[PS_USAGE_QUERIES];
            free(item->usage);
        }
        unlock(tally);
    }
    tally->lost += lost;
    free(bag->items);
    *bag = (struct ps_tally_bag){.n = 0};
}

static void
add_total(struct ps_tally *tally, const struct place *place)
{
    struct ps_str id = ps_str_of(place->cache_id);
    struct ps_usage *total = ps_map_find(tally->totals, id);
    if (!total) {
        total = calloc(1, sizeof(*total));
        if (!total || ps_map_put(tally->totals, id, total, NULL) != PS_OK) {
            free(total);
            return;
        }
    }
    ps_usage_merge(total, place->fresh);
}

static void
settle(struct ps_tally *tally, struct place *place)
{
    struct ps_usage *fresh = place->fresh;
    if (!fresh) {
        if (place->idle < PS_TALLY_IDLE_COLLECTS)
            place->idle++;
        return;
    }
    if (fresh->origin.count > 0) {
        double mean = ps_hist_mean_us(&fresh->origin);
        double known = place->mean_origin_us;
        place->mean_origin_us =
            known > 0 ? known + MEAN_WEIGHT * (mean - known) : mean;
    }
    fresh->n[PS_USAGE_SAVED_US] +=
        ps_usage_saved_us(fresh, place->mean_origin_us);
    add_total(tally, place);
    place->fresh = NULL;
    add(&place->pending, fresh);
}

void
ps_tally_merged(struct ps_tally *tally)
{
    lock(tally);
    for (uint32_t i = 0; i < tally->n_places; i++)
        if (tally->places[i].used)
            settle(tally, &tally->places[i]);
    unlock(tally);
}

static void
describe(const struct place *place, struct ps_tally_template *out,
         struct ps_buf *text)
{
    *out = (struct ps_tally_template){.id = place->id,
                                      .fingerprint = place->fingerprint,
                                      .told = place->told};
    memcpy(out->cache_id, place->cache_id, sizeof(out->cache_id));
    ps_buf_clear(text);
    ps_buf_append_c(text, place->text);
}

struct ps_usage *
ps_tally_take(struct ps_tally *tally, size_t *at, struct ps_tally_template *out,
              struct ps_buf *text)
{
    struct ps_usage *usage = NULL;
    lock(tally);
    while (*at < tally->n_places && !usage) {
        struct place *place = &tally->places[(*at)++];
        if (!place->used || !place->pending)
            continue;
        usage = place->pending;
        place->pending = NULL;
        describe(place, out, text);
    }
    unlock(tally);
    return usage;
}

void
ps_tally_put_back(struct ps_tally *tally, uint32_t id, struct ps_usage *usage)
{
    lock(tally);
    struct place *place = place_of(tally, id);
    if (place)
        add(&place->pending, usage);
    else
        free(usage);
    unlock(tally);
}

void
ps_tally_told(struct ps_tally *tally, uint32_t id, bool told)
{
    lock(tally);
    struct place *place = place_of(tally, id);
    if (place)
        place->told = told;
    unlock(tally);
}

void
ps_tally_forget_told(struct ps_tally *tally)
{
    lock(tally);
    for (uint32_t i = 0; i < tally->n_places; i++)
        tally->places[i].told = false;
    unlock(tally);
}

bool
ps_tally_total(struct ps_tally *tally, size_t *at, struct ps_str *cache_id,
               const struct ps_usage **total)
{
    void *value = NULL;
    if (!ps_map_next(tally->totals, at, cache_id, &value))
        return false;
    *total = value;
    return true;
}

size_t
ps_tally_text(struct ps_tally *tally, uint32_t id, uint64_t *fingerprint,
              char *out, size_t size)
{
    struct ps_str text = {NULL, 0};
    lock(tally);
    struct place *place = place_of(tally, id);
    if (place) {
        text = ps_str_of(place->text);
        text.len = PS_MIN(text.len, size);
        text.len = ps_utf8_check(text);
        *fingerprint = place->fingerprint;
        if (text.len)
            memcpy(out, text.ptr, text.len);
    }
    unlock(tally);
    return text.len;
}

uint64_t
ps_tally_lost(const struct ps_tally *tally)
{
    return tally->lost;
}

size_t
ps_tally_used(struct ps_tally *tally)
{
    lock(tally);
    size_t n = tally->n_used;
    unlock(tally);
    return n;
}
