/*
 * Automatic mode. Queries that were executed once are remembered in a ps_ghost;
 * templates in sets of four, the least recently used makes room.
 *
 * A template's TTL is the stale budget's part of the time that its answers have
 * been watched per change seen, where half a change is assumed before
 * the first one (README.md has the reasons and what a simulation makes of
 * it). Falling below the floor switches the template off; each further fall
 * without a recovery between doubles the pause, up to an hour.
 */
#include "agent/cache/policy.h"

#include "agent/cache/entry.h"
#include "agent/cache/ghost.h"
#include "common/check.h"
#include "common/hash.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    POLICY_MAGIC = 0x57ace505,
    WAYS = 4,
    FIRST_TTL_MS = 30 * 1000,
    FIRST_PAUSE_MS = 60 * 1000,
    MAX_DOUBLINGS = 6, /* of the pause: about an hour */
    RECENT = 0xff,     /* the last refetches in which two changes are news */
    WINDOW = 1024,     /* refetches, then half of what was seen is forgotten */
    STALE_MIN = 3,     /* checked answers that were stale ... */
    STALE_TIMES = 5,   /* ... and so many times the budget of them: off */
    RECOVERED = 4      /* times the floor: a fall is forgiven */
};

/* Changes assumed before one was seen: how much the start counts. */
static const double PRIOR = 0.5;

struct template
{
    uint64_t id;       /* 0: free */
    double watched_ms; /* summed age of refetched answers, and the start's */
    double changes;    /* and how often they had changed */
    uint32_t seen;     /* refetches in there */
    uint32_t recent;   /* of the last ones: 1 for each that had changed */
    uint64_t retry_us; /* not kept before; 0: kept */
    uint64_t used;     /* tick */
    uint64_t fell_us;  /* when it last fell below the floor; 0: never */
    uint32_t falls;    /* below the floor since it recovered */
    uint32_t n_verified, n_stale;
};

struct ps_policy {
    uint32_t magic;
    pthread_mutex_t mutex;
    struct ps_ghost queries;
    struct ps_ghost unkept; /* executed while caching was off for them */
    struct template *templates;
    uint64_t mask; /* sets - 1 */
    uint64_t tick;
    double budget; /* share of answers that may be stale */
    struct ps_policy_stats stats;
};

struct ps_policy *
ps_policy_new(size_t max_queries, size_t max_templates, unsigned stale_permille)
{
    size_t sets = 1;
    while (sets * WAYS < max_templates)
        sets *= 2;
    struct ps_policy *policy = calloc(1, sizeof(*policy));
    if (!policy)
        return NULL;
    policy->magic = POLICY_MAGIC;
    pthread_mutex_init(&policy->mutex, NULL);
    policy->mask = sets - 1;
    policy->budget = stale_permille / 1000.0;
    policy->templates = calloc(sets * WAYS, sizeof(*policy->templates));
    if (!ps_ghost_init(&policy->queries, max_queries) ||
        !ps_ghost_init(&policy->unkept, max_queries / 4 + 1) ||
        !policy->templates)
        ps_policy_free(&policy);
    return policy;
}

void
ps_policy_free(struct ps_policy **policyp)
{
    struct ps_policy *policy = *policyp;
    if (!policy)
        return;
    PS_CHECK_OBJ(policy, POLICY_MAGIC);
    *policyp = NULL;
    ps_ghost_done(&policy->queries);
    ps_ghost_done(&policy->unkept);
    free(policy->templates);
    pthread_mutex_destroy(&policy->mutex);
    policy->magic = 0;
    free(policy);
}

static uint64_t
template_id(const struct ps_policy_ask *a)
{
    uint64_t id =
        ps_hash64(&a->fingerprint, sizeof(a->fingerprint), a->space_id);
    return id ? id : 1;
}

/* The template's set; the template, or where it would go. */
static struct template *
template_place(struct ps_policy *policy, uint64_t id)
{
    struct template *set = &policy->templates[(id & policy->mask) * WAYS];
    struct template *oldest = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].id == id)
            return &set[i];
        if (set[i].used < oldest->used)
            oldest = &set[i];
    }
    return oldest;
}

/* NULL: not known. */
static struct template *
template_find(struct ps_policy *policy, uint64_t id)
{
    struct template *t = template_place(policy, id);
    return t->id == id ? t : NULL;
}

static uint64_t
floor_ms(const struct ps_policy_ask *a)
{
    return PS_MAX(a->ttl_min_ms, (uint64_t)1);
}

static uint64_t
ceiling_ms(const struct ps_policy_ask *a)
{
    return PS_MAX(a->ttl_max_ms, floor_ms(a));
}

static uint64_t
clamp_ttl(const struct ps_policy_ask *a, uint64_t ttl_ms)
{
    return PS_MIN(PS_MAX(ttl_ms, floor_ms(a)), ceiling_ms(a));
}

/* Not clamped. */
static double
ttl_of(const struct ps_policy *policy, const struct template *t)
{
    return policy->budget * t->watched_ms / (PRIOR + t->changes);
}

/* As if just begun, with this TTL. */
static void
restart(const struct ps_policy *policy, struct template *t, double ttl_ms)
{
    t->watched_ms = ttl_ms * PRIOR / policy->budget;
    t->changes = 0;
    t->seen = t->recent = 0;
}

static struct template *
template_get(struct ps_policy *policy, const struct ps_policy_ask *a,
             uint64_t id)
{
    struct template *t = template_place(policy, id);
    if (t->id != id) {
        *t = (struct template){.id = id};
        restart(policy, t, (double)clamp_ttl(a, FIRST_TTL_MS));
    }
    t->used = ++policy->tick;
    return t;
}

static uint64_t
learned_ttl(const struct ps_policy *policy, const struct template *t,
            const struct ps_policy_ask *a)
{
    return clamp_ttl(a, (uint64_t)(ttl_of(policy, t) + 0.5));
}

static enum ps_policy_verdict
ask_locked(struct ps_policy *policy, const struct ps_policy_ask *a,
           struct ps_policy_answer *out)
{
    uint64_t id = template_id(a);
    struct template *t = template_find(policy, id);
    bool seen = ps_ghost_has(&policy->queries, a->key->hash.hi, UINT64_MAX);

    out->repeated = seen;
    out->auto_ttl_ms = t ? learned_ttl(policy, t, a) : 0;
    if (!a->caching_enabled || !a->auto_cached) {
        out->repeated |=
            ps_ghost_has(&policy->unkept, a->key->hash.hi, UINT64_MAX);
        ps_ghost_add(&policy->unkept, a->key->hash.hi);
        return PS_POLICY_OFF;
    }
    ps_ghost_add(&policy->queries, a->key->hash.hi);
    if (t && a->now_us < t->retry_us)
        return PS_POLICY_TTL_SHORT;
    if (!seen && !t)
        return PS_POLICY_FIRST_SEEN;
    t = template_get(policy, a, id);
    t->retry_us = 0;
    out->ttl_ms = out->auto_ttl_ms = learned_ttl(policy, t, a);
    return PS_POLICY_STORE;
}

enum ps_policy_verdict
ps_policy_ask_all(struct ps_policy *policy, const struct ps_policy_ask *a,
                  struct ps_policy_answer *out)
{
    PS_CHECK_OBJ(policy, POLICY_MAGIC);
    pthread_mutex_lock(&policy->mutex);
    enum ps_policy_verdict verdict = ask_locked(policy, a, out);
    pthread_mutex_unlock(&policy->mutex);
    return verdict;
}

uint64_t
ps_policy_peek(struct ps_policy *policy, const struct ps_policy_ask *a)
{
    PS_CHECK_OBJ(policy, POLICY_MAGIC);
    pthread_mutex_lock(&policy->mutex);
    const struct template *t = template_find(policy, template_id(a));
    uint64_t ttl_ms = t ? learned_ttl(policy, t, a) : 0;
    pthread_mutex_unlock(&policy->mutex);
    return ttl_ms;
}

enum ps_policy_verdict
ps_policy_ask(struct ps_policy *policy, const struct ps_policy_ask *a,
              uint64_t *ttl_ms)
{
    struct ps_policy_answer answer = {.ttl_ms = 0};
    enum ps_policy_verdict verdict = ps_policy_ask_all(policy, a, &answer);
    if (verdict == PS_POLICY_STORE)
        *ttl_ms = answer.ttl_ms;
    return verdict;
}

uint64_t
ps_policy_expires_us(const struct ps_key *key, uint64_t born_us,
                     uint64_t ttl_ms)
{
    uint64_t ttl_us = ttl_ms * 1000;
    uint64_t jitter_us = ttl_us / 10 * (key->hash.hi >> 54) / 1024;
    return born_us + ttl_us - jitter_us;
}

static void
watch(struct ps_policy *policy, struct template *t, double age_ms, bool changed)
{
    t->watched_ms += age_ms;
    t->changes += changed;
    t->recent = (t->recent << 1 | changed) & RECENT;
    /* At the pace that the TTL is made for, one refetch in a hundred finds a
     * change. Two in a few: it is another pace now. */
    if (changed && (t->recent & (t->recent - 1)) != 0)
        restart(policy, t, ttl_of(policy, t) / 2);
    if (++t->seen < WINDOW)
        return;
    t->watched_ms /= 2;
    t->changes /= 2;
    t->seen /= 2;
}

static void
fall(struct ps_policy *policy, struct template *t,
     const struct ps_policy_ask *a)
{
    restart(policy, t, (double)floor_ms(a));
    t->retry_us = a->now_us + ((uint64_t)FIRST_PAUSE_MS * 1000
                               << PS_MIN(t->falls, (uint32_t)MAX_DOUBLINGS));
    t->falls++;
    t->fell_us = a->now_us;
}

/* True: fell below the floor. */
static bool
learn_changed(struct ps_policy *policy, struct template *t,
              const struct ps_policy_ask *a)
{
    if (ttl_of(policy, t) >= (double)floor_ms(a))
        return false;
    fall(policy, t, a);
    return true;
}

static void
verify_locked(struct ps_policy *policy, struct template *t,
              const struct ps_policy_ask *a, struct ps_policy_verified *out)
{
    t->n_verified++;
    t->n_stale += out->stale;
    out->n_verified = t->n_verified;
    out->n_stale = t->n_stale;
    if (out->stale && t->n_stale >= STALE_MIN &&
        t->n_stale > STALE_TIMES * policy->budget * t->n_verified) {
        out->over_budget = true;
        out->switched_off = !a->ttl_given;
        t->n_verified = t->n_stale = 0;
        if (a->ttl_given)
            return;
        fall(policy, t, a);
        policy->stats.switched_off++;
    } else if (t->n_verified >= WINDOW) {
        t->n_verified /= 2;
        t->n_stale /= 2;
    }
}

bool
ps_policy_verify(struct ps_policy *policy, const struct ps_policy_ask *a,
                 const struct ps_entry *served, struct ps_str body,
                 struct ps_policy_verified *out)
{
    PS_CHECK_OBJ(policy, POLICY_MAGIC);
    if (!ps_entry_valid(served))
        return false;
    *out = (struct ps_policy_verified){
        .stale = !ps_str_eq(ps_entry_body(served), body)};
    pthread_mutex_lock(&policy->mutex);
    uint64_t id = template_id(a);
    struct template *t = template_find(policy, id);
    /* What automatic mode does not keep it need not know so far. */
    if (!t && a->ttl_given)
        t = template_get(policy, a, id);
    if (t && (a->ttl_given || ps_entry_born_us(served) > t->fell_us))
        verify_locked(policy, t, a, out);
    pthread_mutex_unlock(&policy->mutex);
    return true;
}

bool
ps_policy_learn(struct ps_policy *policy, const struct ps_policy_ask *a,
                const struct ps_entry *old, struct ps_str body)
{
    PS_CHECK_OBJ(policy, POLICY_MAGIC);
    if (!ps_entry_valid(old))
        return false;
    bool fell = false;
    bool same = ps_str_eq(ps_entry_body(old), body);
    uint64_t born_us = PS_MIN(ps_entry_born_us(old), a->now_us);
    pthread_mutex_lock(&policy->mutex);
    struct template *t = template_find(policy, template_id(a));
    /* What it fell for teaches nothing again: during the pause, and after it,
     * every refetch finds the answer from before, and would begin another. */
    if (t && born_us <= t->fell_us)
        t = NULL;
    if (t)
        watch(policy, t, (double)(a->now_us - born_us) / 1000, !same);
    if (t && same) {
        if (ttl_of(policy, t) >= (double)(RECOVERED * floor_ms(a)))
            t->falls = 0;
        policy->stats.same++;
    } else if (t) {
        fell = learn_changed(policy, t, a);
        policy->stats.switched_off += fell;
        policy->stats.changed++;
    }
    pthread_mutex_unlock(&policy->mutex);
    return fell;
}

void
ps_policy_stats(struct ps_policy *policy, struct ps_policy_stats *out)
{
    PS_CHECK_OBJ(policy, POLICY_MAGIC);
    pthread_mutex_lock(&policy->mutex);
    *out = policy->stats;
    pthread_mutex_unlock(&policy->mutex);
}
