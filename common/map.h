/*
 * Hash map from byte strings to pointers: open addressing, keyed hash (so
 * that clients cannot aim collisions). Keys are copied. Not thread safe.
 */
#ifndef PS_COMMON_MAP_H
#define PS_COMMON_MAP_H

#include "common/base.h"
#include "common/err.h"

struct ps_map;

struct ps_map *ps_map_new(void);
/* free_value may be NULL. */
void ps_map_free(struct ps_map **map, void (*free_value)(void *value));
size_t ps_map_count(const struct ps_map *map);
/* NULL when absent. */
void *ps_map_find(const struct ps_map *map, struct ps_str key);
/* Adds or replaces; *old (may be NULL) gets the replaced value or NULL. */
PS_MUST_USE enum ps_rc ps_map_put(struct ps_map *map, struct ps_str key,
                                  void *value, void **old);
/* The removed value or NULL. */
void *ps_map_remove(struct ps_map *map, struct ps_str key);
/* Iterate: *at starts at 0; false at the end. No put or remove meanwhile. */
bool ps_map_next(const struct ps_map *map, size_t *at, struct ps_str *key,
                 void **value);

#endif
