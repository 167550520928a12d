/*
 * Who asks: (cache, provider, database, user). One object per principal and
 * process; its pool, waiters and in-flight reads live on its home loop.
 *
 * Credentials: the origin itself checks a password by a login. A password that
 * logged in is remembered as a keyed hash for a short time (default 60 s);
 * answers from memory need it too. Any login failure of the principal drops
 * what was remembered (hazard 35).
 *
 * Any thread, except where noted.
 */
#ifndef PS_AGENT_POOL_PRINCIPAL_H
#define PS_AGENT_POOL_PRINCIPAL_H

#include "agent/config/config.h"
#include "common/base.h"
#include "common/err.h"

struct ps_principal {
    unsigned magic;
    _Atomic unsigned refs;
    uint64_t id;   /* unique in this process, never used again: the
                      principal's part of a cache key */
    unsigned home; /* index of its home loop */
    enum ps_provider provider;
    struct ps_str cache_id, database, user; /* owned */
    void *opaque;                           /* the table's */
    void *pool_slot;                        /* the home loop's pool */
};

struct ps_principals;

/* n_homes: number of loops; max: principals kept (idle ones are dropped
 * first, beyond it PS_TOO_MANY_REQUESTS). verified_ms: how long a login
 * counts. */
struct ps_principals *ps_principals_new(unsigned n_homes, size_t max,
                                        uint64_t verified_ms);
void ps_principals_free(struct ps_principals **table);

/* Finds or makes it; *out is a reference. */
PS_MUST_USE enum ps_rc ps_principals_get(struct ps_principals *table,
                                         const struct ps_cache_conf *conf,
                                         struct ps_str database,
                                         struct ps_str user,
                                         struct ps_principal **out);
struct ps_principal *ps_principal_ref(struct ps_principal *principal);
void ps_principal_unref(struct ps_principal **principal);

/* Did this password log in less than verified_ms ago? Constant time. */
bool ps_principal_verified(const struct ps_principal *principal,
                           struct ps_str password, uint64_t now_ms);
/* A login with this password, begun at since_ms, succeeded. */
void ps_principal_set_verified(struct ps_principal *principal,
                               struct ps_str password, uint64_t since_ms);
/* Is it the password that logged in last, however long ago? That proves
 * nothing; but it is no guess, and not slowed down as one. Constant time. */
bool ps_principal_known(const struct ps_principal *principal,
                        struct ps_str password);
void ps_principal_drop_verified(struct ps_principal *principal);

#endif
