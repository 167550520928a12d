/*
 * From rows to a reply, and perhaps into memory. An answer is kept only if
 *   the policy found it worth it before the query was sent,
 *   it is complete and a success (hazard 26: an error never gets here),
 *   the lease is held now too                               (C3),
 *   no write it depends on has begun since the snapshot     (C1, hazard 1):
 *     ps_store_put looks under its lock.
 * Those who waited for it get it in any case: they were admitted by the
 * snapshot, and asked before it came.
 */
#include "agent/cache/broken.h"
#include "agent/req/req_private.h"
#include "agent/req/stream.h"

#include <stdlib.h>

enum {
    COMMAND_MAX = 32
};

/* MySQL and SQL Server name no command: the statement's first word is one. */
static struct ps_str
command_of(const struct ps_run *run)
{
    struct ps_str text = run->analysis->template_text;
    size_t n = 0;
    if (run->outcome.command[0])
        return ps_str_of(run->outcome.command);
    while (text.len > 0 && (text.ptr[0] == '(' || text.ptr[0] == ' ')) {
        text.ptr++;
        text.len--;
    }
    while (n < text.len && n < COMMAND_MAX &&
           ((text.ptr[n] | 0x20) >= 'a' && (text.ptr[n] | 0x20) <= 'z'))
        n++;
    char *out = ps_arena_alloc(run->req->arena, n);
    for (size_t i = 0; out && i < n; i++)
        out[i] = (char)(text.ptr[i] & ~0x20);
    return (struct ps_str){out, out ? n : 0};
}

enum ps_next
ps_step_build(struct ps_run *run)
{
    struct ps_reply *reply = &run->req->reply;
    size_t len = 0;
    uint64_t from_us = ps_clock_now_us(run->engine->conf.clock);
    if (run->req->protocol->style) {
        const struct ps_result_end end = {.command = command_of(run),
                                          .rows = run->outcome.rows,
                                          .insert_id = run->outcome.insert_id,
                                          .fingerprint =
                                              run->analysis->fingerprint};
        ps_rows_json_set_end(run->encoder, &end);
    }
    enum ps_rc rc = ps_rows_json_take(run->encoder, &run->body, &len);
    if (rc != PS_OK)
        return ps_run_fail(run, rc == PS_TOO_BIG ? PS_RESULT_TOO_BIG : rc,
                           NULL);
    reply->rc = PS_OK;
    reply->body = (struct ps_str){run->body, len};
    ps_stream_sent(run, &reply->given_bytes, &reply->gone_bytes);
    run->n_rows = ps_rows_json_count(run->encoder);
    reply->encode_us = ps_clock_now_us(run->engine->conf.clock) - from_us;
    return ps_go(&run->step, run->cacheable ? PS_STEP_STORE : PS_STEP_LEAVE);
}

struct ps_policy_ask
ps_run_policy_ask(const struct ps_run *run)
{
    const struct ps_cache_conf *conf = run->conf;
    const struct ps_rule_choice *rule = &run->rule;
    bool by_rule = rule->found && rule->mode == PS_RULE_AUTO;
    uint64_t cap = by_rule ? rule->ttl_ms : UINT64_MAX;
    return (struct ps_policy_ask){
        .key = &run->key,
        .space_id = ps_space_id(run->space),
        .fingerprint = run->analysis->fingerprint,
        .caching_enabled = conf->caching_enabled,
        .auto_cached = conf->auto_cached || by_rule,
        .ttl_given = rule->found ? !by_rule : run->req->has_ttl,
        .ttl_min_ms = PS_MIN(conf->ttl_min_ms, cap),
        .ttl_max_ms = PS_MIN(conf->ttl_max_ms, cap),
        .now_us = run->born_us,
    };
}

/* What a refetched answer teaches about its time to live. */
static void
learn(struct ps_run *run)
{
    if (!run->old || !run->snapshot_taken || !ps_stream_whole(run) ||
        (run->rule.found && run->rule.mode != PS_RULE_AUTO))
        return;
    const struct ps_policy_ask ask = ps_run_policy_ask(run);
    const struct ps_engine_conf *conf = &run->engine->conf;
    if (ps_policy_learn(run->engine->policy, &ask, run->old,
                        run->req->reply.body) &&
        conf->switched_off)
        conf->switched_off(conf->arg, run->conf->id, ask.fingerprint, 0, 0);
}

static struct ps_entry *
make_entry(struct ps_run *run)
{
    const struct ps_entry_spec spec = {
        .key = &run->key,
        .snapshot = run->keep ? &run->snapshot : NULL,
        .body = run->req->reply.body,
        .born_us = run->born_us,
        .expires_us = run->keep ? ps_policy_expires_us(&run->key, run->born_us,
                                                       run->ttl_ms)
                                : run->born_us,
        .revision = run->conf->revision,
        .tally = run->tally,
        .rows = (uint32_t)PS_MIN(run->n_rows, (uint64_t)UINT32_MAX),
        .stale_while_revalidate_ms =
            run->rule.found ? run->rule.stale_while_revalidate_ms : 0,
    };
    return ps_entry_new(&spec);
}

static void
kept(struct ps_run *run, struct ps_entry *entry, uint64_t now_us)
{
    struct ps_reply *reply = &run->req->reply;
    uint64_t expires_us = ps_entry_expires_us(entry);
    reply->stored = true;
    reply->ttl_ms = (int64_t)((expires_us - PS_MIN(now_us, expires_us)) / 1000);
    ps_worker_count(run->at, PS_ENGINE_STORES);
    if (run->req->refreshes)
        ps_worker_count(run->at, PS_ENGINE_REFRESHED);
    if (reply->verdict == PS_VERDICT_MISS)
        run->why = ps_reason_code(PS_REASON_STORED);
}

static void
put(struct ps_run *run, struct ps_entry *entry)
{
    struct ps_engine *engine = run->engine;
    uint64_t now_us = ps_clock_now_us(engine->conf.clock);
    if (!ps_lease_held(engine->conf.lease, now_us)) {
        run->req->reply.verdict = PS_VERDICT_BYPASS;
        run->why = ps_reason_code(PS_REASON_NO_LEASE);
        return;
    }
    uint64_t evicted;
    const struct ps_put_bounds bounds = {
        .max_entry_bytes = run->conf->max_entry_bytes,
        .share_percent = run->conf->memory_share_percent};
    enum ps_put put_rc =
        ps_store_put_within(engine->store, entry, &bounds, now_us, &evicted);
    if (evicted)
        ps_cache_load_count_evicted(run->conf->load, evicted);
    switch (put_rc) {
    case PS_PUT_STORED:
        kept(run, entry, now_us);
        return;
    case PS_PUT_INVALID:
        run->why = ps_reason_code(PS_REASON_CHANGED_MEANWHILE);
        return;
    case PS_PUT_OLDER:
        run->why = ps_reason_code(PS_REASON_NEWER_KEPT);
        return;
    case PS_PUT_TOO_BIG:
        run->why = ps_reason_code(PS_REASON_TOO_BIG);
        return;
    }
}

enum ps_next
ps_step_store(struct ps_run *run)
{
    bool shared = ps_stream_whole(run) && run->flight &&
                  ps_flight_waiters(run->flight) > 0;
    struct ps_entry *entry = NULL;
    if (PS_BROKEN(late_stamps) && run->keep)
        run->keep = ps_snapshot_take(run->space, ps_catalog_gen(run->catalog),
                                     run->tables, run->n_tables, run->rows,
                                     &run->snapshot) == PS_SNAPSHOT_OK;
    if (run->req->verifies) {
        ps_run_verify(run);
        ps_entry_unref(&run->old);
        run->old = ps_entry_ref(run->req->verifies);
    }
    if (run->req->refreshes) {
        ps_entry_unref(&run->old);
        run->old = ps_entry_ref(run->req->refreshes);
    }
    learn(run);
    if (run->keep && run->req->reply.body.len > run->conf->max_entry_bytes) {
        run->keep = false;
        run->why = ps_reason_code(PS_REASON_TOO_BIG);
    }
    if (run->keep || shared)
        entry = make_entry(run);
    if (run->keep && entry)
        put(run, entry);
    else if (run->keep)
        run->why = ps_reason_code(PS_REASON_NO_MEMORY);
    /* Without a lease, too big, not wanted: whoever has this answer must not
     * get an older one from memory later. */
    if (!run->req->reply.stored)
        ps_store_supersede(run->engine->store, &run->key, run->born_us,
                           run->req->reply.body);
    /* entry NULL: no memory to share; they ask for themselves. */
    if (run->flight)
        ps_flight_finish(&run->flight, entry, PS_OK, NULL);
    ps_entry_unref(&entry);
    return ps_go(&run->step, PS_STEP_LEAVE);
}
