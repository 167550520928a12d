/*
 * Automatic mode: which answers are kept, and for how long (formulas in
 * README.md).
 *
 *   miss --ps_policy_ask--> first execution of an unknown query: no
 *                           second one, or known template: yes, with a TTL
 *   refetch of an expired answer --ps_policy_learn--> TTL of the template
 *                           grows (same bytes) or shrinks (changed, and no
 *                           write was seen); below the minimum: not kept for
 *                           a while, then tried again
 *
 * Bounded tables with a fixed size: what is forgotten is learned again. Any
 * thread (one mutex, taken on misses only); time is passed in.
 */
#ifndef PS_AGENT_CACHE_POLICY_H
#define PS_AGENT_CACHE_POLICY_H

#include "agent/cache/key.h"
#include "agent/cache/store.h"
#include "common/base.h"

struct ps_policy;

/* Rounded up to powers of two; 8 and 64 bytes each. stale_permille: the budget,
 * the share of answers that may be stale while writes go past Portside. NULL
 * without memory. */
struct ps_policy *ps_policy_new(size_t max_queries, size_t max_templates,
                                unsigned stale_permille);
void ps_policy_free(struct ps_policy **policy);

struct ps_policy_ask {
    const struct ps_key *key;
    uint64_t space_id;    /* ps_space_id: templates are learned per space */
    uint64_t fingerprint; /* of the template */
    bool caching_enabled; /* of the cache's definition */
    bool auto_cached;
    bool ttl_given; /* a rule or the client says how long, not this */
    uint64_t ttl_min_ms, ttl_max_ms;
    uint64_t now_us;
};
enum ps_policy_verdict {
    PS_POLICY_STORE,
    PS_POLICY_OFF,        /* caching is off, or only by rules */
    PS_POLICY_FIRST_SEEN, /* not repeated yet */
    PS_POLICY_TTL_SHORT   /* changes too often to be kept, for now */
};
/*
 * Once per execution at the origin of a cacheable read (it counts
 * executions), before it is sent. *ttl_ms is set with PS_POLICY_STORE.
 */
PS_MUST_USE enum ps_policy_verdict ps_policy_ask(struct ps_policy *policy,
                                                 const struct ps_policy_ask *a,
                                                 uint64_t *ttl_ms);
/* The same with all that is known of the query; ttl_ms is set with
 * PS_POLICY_STORE, the others always. Of queries that are not kept (OFF) it is
 * remembered apart that they were executed: that says nothing to automatic
 * mode. */
struct ps_policy_answer {
    uint64_t ttl_ms;
    uint64_t auto_ttl_ms; /* what its template has learned; 0: nothing yet */
    bool repeated;        /* executed before */
};
PS_MUST_USE enum ps_policy_verdict
ps_policy_ask_all(struct ps_policy *policy, const struct ps_policy_ask *a,
                  struct ps_policy_answer *out);
/* What automatic mode would give now, counting nothing; key and now_us do not
 * matter. 0: the template is not known. */
uint64_t ps_policy_peek(struct ps_policy *policy,
                        const struct ps_policy_ask *a);
/*
 * When the answer dies: born + ttl, less up to 10 % by the key's hash, so that
 * answers that were kept together do not expire together.
 */
uint64_t ps_policy_expires_us(const struct ps_key *key, uint64_t born_us,
                              uint64_t ttl_ms);
/*
 * An expired answer (PS_ENTRY_EXPIRED when it was looked up) has been fetched
 * again: body is the new answer. Call before the put. Learns nothing when a
 * write was seen meanwhile (old is not valid any more). True: the template
 * fell, nothing of it is kept for a while.
 */
bool ps_policy_learn(struct ps_policy *policy, const struct ps_policy_ask *a,
                     const struct ps_entry *old, struct ps_str body);

/*
 * A served answer has been checked: body is the origin's now. False: a write
 * was seen meanwhile, so nothing can be said. Templates of which far more
 * than the budget is stale are switched off as by a fall, but for those whose
 * time is given: of them that is only said. Call before ps_policy_learn.
 */
struct ps_policy_verified {
    bool stale;
    bool over_budget; /* far more than it was stale; counted anew from here */
    bool switched_off;
    uint32_t n_stale, n_verified; /* of the template, lately */
};
bool ps_policy_verify(struct ps_policy *policy, const struct ps_policy_ask *a,
                      const struct ps_entry *served, struct ps_str body,
                      struct ps_policy_verified *out);

struct ps_policy_stats {
    uint64_t same, changed; /* refetched answers */
    uint64_t switched_off;  /* times a template fell below the minimum */
};
void ps_policy_stats(struct ps_policy *policy, struct ps_policy_stats *out);

#endif
