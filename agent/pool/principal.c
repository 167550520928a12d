/*
 * The table of principals: shards of a map from (cache, provider, database,
 * user) to the object, each under its own lock, with the order of last use
 * for dropping what nobody needs.
 *
 * The table holds one reference. A principal whose only reference is the
 * table's can be dropped under the shard's lock: nobody else can get at it
 * then. Its id is never used again, so nothing kept under it is ever found by
 * a later principal of the same name.
 */
#include "agent/pool/principal.h"

#include "agent/pool/principal_private.h"
#include "common/check.h"
#include "common/hash.h"
#include "common/list.h"
#include "common/map.h"
#include "common/tls.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    PRINCIPAL_MAGIC = 0x70726e63,
    N_SHARDS = 16,
    KEY_MAX = 4096, /* bytes of cache id, database and user together */
    SECRET_BYTES = 32
};

struct entry {
    struct ps_principal pub; /* first */
    struct ps_link link;     /* in the shard's order of use */
    char *key;               /* owns the texts of pub, too */
    size_t key_len;
    const struct ps_principals *table;
    pthread_mutex_t lock; /* of what follows */
    bool has_digest;
    unsigned char digest[PS_DIGEST_BYTES];
    uint64_t since_ms;
    bool has_last; /* what logged in last, whenever; proves nothing */
    unsigned char last[PS_DIGEST_BYTES];
};

struct shard {
    pthread_mutex_t lock;
    struct ps_map *map;
    struct ps_list used; /* least recently used first */
};

struct ps_principals {
    unsigned n_homes;
    size_t max;
    uint64_t verified_ms;
    unsigned char secret[SECRET_BYTES];
    _Atomic uint64_t next_id;
    _Atomic size_t count;
    struct shard shards[N_SHARDS];
};

static struct entry *
entry_of(const struct ps_principal *principal)
{
    PS_CHECK_OBJ(principal, PRINCIPAL_MAGIC);
    return principal->opaque;
}

struct ps_principals *
ps_principals_new(unsigned n_homes, size_t max, uint64_t verified_ms)
{
    PS_CHECK(n_homes > 0);
    struct ps_principals *table = calloc(1, sizeof(*table));
    if (!table)
        return NULL;
    table->n_homes = n_homes;
    table->max = max;
    table->verified_ms = verified_ms;
    table->next_id = 1;
    ps_random_bytes(table->secret, sizeof(table->secret));
    bool good = true;
    for (size_t i = 0; i < N_SHARDS; i++) {
        struct shard *shard = &table->shards[i];
        PS_CHECK(pthread_mutex_init(&shard->lock, NULL) == 0);
        ps_list_init(&shard->used);
        shard->map = ps_map_new();
        good = good && shard->map;
    }
    if (!good)
        ps_principals_free(&table);
    return table;
}

static void
free_entry(struct entry *entry)
{
    PS_CHECK(!entry->pub.pool_slot);
    entry->pub.magic = 0;
    explicit_bzero(entry->digest, sizeof(entry->digest));
    explicit_bzero(entry->last, sizeof(entry->last));
    pthread_mutex_destroy(&entry->lock);
    free(entry->key);
    free(entry);
}

void
ps_principals_free(struct ps_principals **table)
{
    struct ps_principals *old = *table;
    *table = NULL;
    if (!old)
        return;
    for (size_t i = 0; i < N_SHARDS; i++) {
        struct shard *shard = &old->shards[i];
        struct ps_link *link;
        while ((link = ps_list_pop_front(&shard->used))) {
            struct entry *entry = PS_CONTAINER_OF(link, struct entry, link);
            PS_CHECK(entry->pub.refs == 1);
            free_entry(entry);
        }
        ps_map_free(&shard->map, NULL);
        pthread_mutex_destroy(&shard->lock);
    }
    explicit_bzero(old->secret, sizeof(old->secret));
    free(old);
}

/* --------------------------------------------------------------- finding */

/* Every part with its length before it: no two sets of parts are alike. */
static size_t
put_part(char *to, struct ps_str part)
{
    uint32_t len = (uint32_t)part.len;
    memcpy(to, &len, sizeof(len));
    if (part.len)
        memcpy(to + sizeof(len), part.ptr, part.len);
    return sizeof(len) + part.len;
}

struct key {
    size_t len;
    size_t database_at, user_at; /* of their bytes */
    char bytes[KEY_MAX + 16];
};

static bool
make_key(const struct ps_cache_conf *conf, struct ps_str database,
         struct ps_str user, struct key *key)
{
    struct ps_str id = ps_str_of(conf->id);
    if (database.len > KEY_MAX || user.len > KEY_MAX ||
        id.len + database.len + user.len > KEY_MAX)
        return false;
    key->bytes[0] = (char)conf->provider;
    size_t at = 1 + put_part(key->bytes + 1, id);
    key->database_at = at + sizeof(uint32_t);
    at += put_part(key->bytes + at, database);
    key->user_at = at + sizeof(uint32_t);
    at += put_part(key->bytes + at, user);
    key->len = at;
    return true;
}

static struct entry *
new_entry(struct ps_principals *table, const struct ps_cache_conf *conf,
          const struct key *key, uint64_t hash)
{
    struct entry *entry = calloc(1, sizeof(*entry));
    char *copy = malloc(key->len);
    if (!entry || !copy) {
        free(entry);
        free(copy);
        return NULL;
    }
    memcpy(copy, key->bytes, key->len);
    entry->key = copy;
    entry->key_len = key->len;
    entry->table = table;
    PS_CHECK(pthread_mutex_init(&entry->lock, NULL) == 0);
    struct ps_principal *pub = &entry->pub;
    pub->magic = PRINCIPAL_MAGIC;
    pub->refs = 1;
    pub->id = atomic_fetch_add(&table->next_id, 1);
    pub->home = (unsigned)(hash % table->n_homes);
    pub->provider = conf->provider;
    pub->cache_id =
        (struct ps_str){copy + 1 + sizeof(uint32_t), strlen(conf->id)};
    pub->database =
        (struct ps_str){copy + key->database_at,
                        key->user_at - sizeof(uint32_t) - key->database_at};
    pub->user = (struct ps_str){copy + key->user_at, key->len - key->user_at};
    pub->opaque = entry;
    return entry;
}

/* Drops the principal that has not been used for the longest among those
 * that nobody holds; lock held. */
static bool
drop_unused(struct ps_principals *table, struct shard *shard)
{
    PS_LIST_FOREACH_SAFE(&shard->used, it, next) {
        struct entry *entry = PS_CONTAINER_OF(it, struct entry, link);
        if (atomic_load(&entry->pub.refs) != 1)
            continue;
        struct ps_str key = {entry->key, entry->key_len};
        PS_CHECK(ps_map_remove(shard->map, key) == entry);
        ps_list_remove(&shard->used, it);
        free_entry(entry);
        atomic_fetch_sub(&table->count, 1);
        return true;
    }
    return false;
}

/* Room for one more; begins where the new one will live. No lock held. */
static bool
make_room(struct ps_principals *table, size_t first)
{
    if (atomic_load(&table->count) < table->max)
        return true;
    for (size_t i = 0; i < N_SHARDS; i++) {
        struct shard *shard = &table->shards[(first + i) % N_SHARDS];
        PS_CHECK(pthread_mutex_lock(&shard->lock) == 0);
        bool dropped = drop_unused(table, shard);
        pthread_mutex_unlock(&shard->lock);
        if (dropped)
            return true;
    }
    return false;
}

/* A reference to the entry with this key, or NULL; lock held. */
static struct ps_principal *
find(struct shard *shard, const struct key *key)
{
    struct entry *entry =
        ps_map_find(shard->map, (struct ps_str){key->bytes, key->len});
    if (!entry)
        return NULL;
    ps_list_remove(&shard->used, &entry->link);
    ps_list_push_back(&shard->used, &entry->link);
    return ps_principal_ref(&entry->pub);
}

/* Lock held; another thread may have been faster. */
static enum ps_rc
find_or_add(struct ps_principals *table, struct shard *shard,
            const struct ps_cache_conf *conf, const struct key *key,
            uint64_t hash, struct ps_principal **out)
{
    struct ps_principal *found = find(shard, key);
    if (found) {
        *out = found;
        return PS_OK;
    }
    struct entry *entry = new_entry(table, conf, key, hash);
    if (!entry)
        return PS_NO_MEMORY;
    struct ps_str name = {entry->key, entry->key_len};
    enum ps_rc rc = ps_map_put(shard->map, name, entry, NULL);
    if (rc != PS_OK) {
        free_entry(entry);
        return rc;
    }
    ps_list_push_back(&shard->used, &entry->link);
    atomic_fetch_add(&table->count, 1);
    *out = ps_principal_ref(&entry->pub);
    return PS_OK;
}

enum ps_rc
ps_principals_get(struct ps_principals *table, const struct ps_cache_conf *conf,
                  struct ps_str database, struct ps_str user,
                  struct ps_principal **out)
{
    struct key key;
    if (!make_key(conf, database, user, &key))
        return PS_BAD_FIELD;
    uint64_t hash =
        ps_hash64_keyed(key.bytes, key.len, ps_hash_process_secret());
    size_t n = (size_t)(hash >> 32) % N_SHARDS;
    struct shard *shard = &table->shards[n];
    PS_CHECK(pthread_mutex_lock(&shard->lock) == 0);
    struct ps_principal *found = find(shard, &key);
    pthread_mutex_unlock(&shard->lock);
    if (found) {
        *out = found;
        return PS_OK;
    }
    if (!make_room(table, n))
        return PS_TOO_MANY_REQUESTS;
    PS_CHECK(pthread_mutex_lock(&shard->lock) == 0);
    enum ps_rc rc = find_or_add(table, shard, conf, &key, hash, out);
    pthread_mutex_unlock(&shard->lock);
    return rc;
}

struct ps_principal *
ps_principal_ref(struct ps_principal *principal)
{
    PS_CHECK_OBJ(principal, PRINCIPAL_MAGIC);
    atomic_fetch_add_explicit(&principal->refs, 1, memory_order_relaxed);
    return principal;
}

/* The table's own reference goes with the entry, so it is never the last
 * one that is given back here. */
void
ps_principal_unref(struct ps_principal **principal)
{
    struct ps_principal *old = *principal;
    *principal = NULL;
    if (!old)
        return;
    PS_CHECK_OBJ(old, PRINCIPAL_MAGIC);
    PS_CHECK(atomic_fetch_sub_explicit(&old->refs, 1, memory_order_acq_rel) >
             1);
}

/* ------------------------------------------------------------- passwords */

void
ps_principal_digest(const struct ps_principal *principal,
                    struct ps_str password, unsigned char out[PS_DIGEST_BYTES])
{
    const struct ps_principals *table = entry_of(principal)->table;
    enum {
        HEAD = SECRET_BYTES + sizeof(uint64_t)
    };
    char small[HEAD + 256];
    size_t len = HEAD + password.len;
    char *bytes = len <= sizeof(small) ? small : malloc(len);
    PS_CHECK(bytes);
    memcpy(bytes, table->secret, SECRET_BYTES);
    memcpy(bytes + SECRET_BYTES, &principal->id, sizeof(uint64_t));
    if (password.len)
        memcpy(bytes + HEAD, password.ptr, password.len);
    ps_sha256((struct ps_str){bytes, len}, out);
    explicit_bzero(bytes, len);
    if (bytes != small)
        free(bytes);
}

bool
ps_principal_current(const struct ps_principal *principal, uint64_t now_ms,
                     unsigned char out[PS_DIGEST_BYTES])
{
    struct entry *entry = entry_of(principal);
    PS_CHECK(pthread_mutex_lock(&entry->lock) == 0);
    bool good = entry->has_digest && now_ms >= entry->since_ms &&
                now_ms - entry->since_ms < entry->table->verified_ms;
    memcpy(out, entry->digest, PS_DIGEST_BYTES);
    pthread_mutex_unlock(&entry->lock);
    return good;
}

bool
ps_principal_verified(const struct ps_principal *principal,
                      struct ps_str password, uint64_t now_ms)
{
    unsigned char now[PS_DIGEST_BYTES], theirs[PS_DIGEST_BYTES];
    bool good = ps_principal_current(principal, now_ms, now);
    ps_principal_digest(principal, password, theirs);
    return ps_equal_const_time(now, theirs, sizeof(now)) && good;
}

bool
ps_principal_known(const struct ps_principal *principal, struct ps_str password)
{
    struct entry *entry = entry_of(principal);
    unsigned char last[PS_DIGEST_BYTES], theirs[PS_DIGEST_BYTES];
    PS_CHECK(pthread_mutex_lock(&entry->lock) == 0);
    bool any = entry->has_last;
    memcpy(last, entry->last, PS_DIGEST_BYTES);
    pthread_mutex_unlock(&entry->lock);
    ps_principal_digest(principal, password, theirs);
    return ps_equal_const_time(last, theirs, sizeof(last)) && any;
}

void
ps_principal_set_digest(struct ps_principal *principal,
                        const unsigned char digest[PS_DIGEST_BYTES],
                        uint64_t since_ms)
{
    struct entry *entry = entry_of(principal);
    PS_CHECK(pthread_mutex_lock(&entry->lock) == 0);
    memcpy(entry->digest, digest, PS_DIGEST_BYTES);
    entry->since_ms = since_ms;
    entry->has_digest = true;
    memcpy(entry->last, digest, PS_DIGEST_BYTES);
    entry->has_last = true;
    pthread_mutex_unlock(&entry->lock);
}

void
ps_principal_set_verified(struct ps_principal *principal,
                          struct ps_str password, uint64_t since_ms)
{
    unsigned char digest[PS_DIGEST_BYTES];
    ps_principal_digest(principal, password, digest);
    ps_principal_set_digest(principal, digest, since_ms);
}

void
ps_principal_drop_verified(struct ps_principal *principal)
{
    struct entry *entry = entry_of(principal);
    PS_CHECK(pthread_mutex_lock(&entry->lock) == 0);
    entry->has_digest = false;
    explicit_bzero(entry->digest, sizeof(entry->digest));
    pthread_mutex_unlock(&entry->lock);
}
