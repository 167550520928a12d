/*
 * Open addressing with linear probing over a power of two of slots, at most
 * 3/4 full. Removal shifts the followers back instead of leaving tombstones,
 * so that a map which lives for ever does not decay. Each entry is one
 * allocation: header and key.
 */
#include "common/map.h"

#include "common/check.h"
#include "common/hash.h"

#include <stdlib.h>

enum {
    MAP_MAGIC = 0x6d617021,
    FIRST_SLOTS = 16
};

struct entry {
    void *value;
    size_t len;
    char key[];
};

struct slot {
    uint64_t hash;
    struct entry *entry; /* NULL: free */
};

struct ps_map {
    unsigned magic;
    size_t count, cap; /* cap is a power of two, or 0 */
    struct slot *slots;
};

static uint64_t
hash_of(struct ps_str key)
{
    return ps_hash64_keyed(key.ptr, key.len, ps_hash_process_secret());
}

struct ps_map *
ps_map_new(void)
{
    struct ps_map *map = calloc(1, sizeof(*map));
    if (map)
        map->magic = MAP_MAGIC;
    return map;
}

void
ps_map_free(struct ps_map **map, void (*free_value)(void *value))
{
    struct ps_map *m = *map;
    if (!m)
        return;
    PS_CHECK_OBJ(m, MAP_MAGIC);
    for (size_t i = 0; i < m->cap; i++) {
        struct entry *entry = m->slots[i].entry;
        if (entry && free_value)
            free_value(entry->value);
        free(entry);
    }
    free(m->slots);
    m->magic = 0;
    free(m);
    *map = NULL;
}

size_t
ps_map_count(const struct ps_map *map)
{
    PS_CHECK_OBJ(map, MAP_MAGIC);
    return map->count;
}

/* The slot that holds key or the free one where it would go; cap > 0. */
static size_t
probe(const struct ps_map *map, uint64_t hash, struct ps_str key)
{
    size_t mask = map->cap - 1, at = (size_t)hash & mask;
    for (;; at = (at + 1) & mask) {
        const struct slot *slot = &map->slots[at];
        if (!slot->entry)
            return at;
        if (slot->hash == hash &&
            ps_str_eq((struct ps_str){slot->entry->key, slot->entry->len}, key))
            return at;
    }
}

void *
ps_map_find(const struct ps_map *map, struct ps_str key)
{
    PS_CHECK_OBJ(map, MAP_MAGIC);
    if (map->count == 0)
        return NULL;
    const struct slot *slot = &map->slots[probe(map, hash_of(key), key)];
    return slot->entry ? slot->entry->value : NULL;
}

static bool
grow(struct ps_map *map)
{
    size_t cap = map->cap ? map->cap * 2 : FIRST_SLOTS;
    struct slot *slots = calloc(cap, sizeof(*slots));
    if (!slots)
        return false;
    for (size_t i = 0; i < map->cap; i++) {
        if (!map->slots[i].entry)
            continue;
        size_t at = (size_t)map->slots[i].hash & (cap - 1);
        while (slots[at].entry)
            at = (at + 1) & (cap - 1);
        slots[at] = map->slots[i];
    }
    free(map->slots);
    map->slots = slots;
    map->cap = cap;
    return true;
}

enum ps_rc
ps_map_put(struct ps_map *map, struct ps_str key, void *value, void **old)
{
    PS_CHECK_OBJ(map, MAP_MAGIC);
    if (map->count + 1 > map->cap / 4 * 3 && !grow(map))
        return PS_NO_MEMORY;
    uint64_t hash = hash_of(key);
    struct slot *slot = &map->slots[probe(map, hash, key)];
    if (slot->entry) {
        if (old)
            *old = slot->entry->value;
        slot->entry->value = value;
        return PS_OK;
    }
    struct entry *entry = malloc(sizeof(*entry) + key.len);
    if (!entry)
        return PS_NO_MEMORY;
    entry->value = value;
    entry->len = key.len;
    if (key.len)
        memcpy(entry->key, key.ptr, key.len);
    *slot = (struct slot){hash, entry};
    map->count++;
    if (old)
        *old = NULL;
    return PS_OK;
}

/* Moves back those behind the hole whose home is not behind it too. */
static void
close_hole(struct ps_map *map, size_t hole)
{
    size_t mask = map->cap - 1;
    for (size_t at = (hole + 1) & mask; map->slots[at].entry;
         at = (at + 1) & mask) {
        size_t home = (size_t)map->slots[at].hash & mask;
        if (((at - home) & mask) < ((at - hole) & mask))
            continue;
        map->slots[hole] = map->slots[at];
        hole = at;
    }
    map->slots[hole] = (struct slot){0};
}

void *
ps_map_remove(struct ps_map *map, struct ps_str key)
{
    PS_CHECK_OBJ(map, MAP_MAGIC);
    if (map->count == 0)
        return NULL;
    size_t at = probe(map, hash_of(key), key);
    struct entry *entry = map->slots[at].entry;
    if (!entry)
        return NULL;
    void *value = entry->value;
    close_hole(map, at);
    free(entry);
    map->count--;
    return value;
}

bool
ps_map_next(const struct ps_map *map, size_t *at, struct ps_str *key,
            void **value)
{
    PS_CHECK_OBJ(map, MAP_MAGIC);
    for (; *at < map->cap; (*at)++) {
        const struct entry *entry = map->slots[*at].entry;
        if (!entry)
            continue;
        if (key)
            *key = (struct ps_str){entry->key, entry->len};
        if (value)
            *value = entry->value;
        (*at)++;
        return true;
    }
    return false;
}
