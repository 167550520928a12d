/*
 * Reachability runs: one event asks every agent to try a cache's origin, each
 * answers with calls, stage by stage. What is known so far is in the store
 * at any time, so that `psctl cache test` can show it live. An agent that
 * has not finished in time gets request_timeout.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/tls.h"
#include "controlplane/fleet/fleet_private.h"

#include <stdlib.h>

enum {
    STAGES_MAX = 16,
    STAGES_BYTES = 32768
};

static const char late_advice[] =
    "the agent did not answer within 20 seconds; is it connected? see `psctl "
    "agent list` and the agent's log";

struct stage {
    char name[33];
    char code[33];
    char detail[513];
    uint64_t time_us;
};

struct target {
    char agent_id[37];
    bool done;
    struct stage stages[STAGES_MAX];
    size_t n_stages;
};

struct run {
    struct ps_link link;
    struct ps_fleet *fleet;
    struct ps_timer timer;
    char id[37];
    char cache_id[37];
    struct target *targets;
    size_t n_targets, n_open;
};

static void
free_run(struct run *run)
{
    ps_timer_stop(&run->timer);
    if (ps_link_linked(&run->link))
        ps_list_remove(&run->fleet->runs, &run->link);
    free(run->targets);
    free(run);
}

static void
finish(struct run *run)
{
    struct ps_err err;
    if (ps_db_run_finish(run->fleet->conf.db, run->id, ps_wall_ms(),
                         ps_err_info(PS_REQUEST_TIMEOUT)->code, late_advice,
                         &err) != PS_OK)
        ps_error("fleet", "cannot end reachability run %s: %s", run->id,
                 err.message);
    free_run(run);
}

static void
on_timeout(void *arg)
{
    finish(arg);
}

void
fleet_drop_runs(struct ps_fleet *fleet)
{
    struct ps_link *link;
    while ((link = ps_list_first(&fleet->runs)))
        free_run(PS_CONTAINER_OF(link, struct run, link));
}

/* --------------------------------------------------------------- start */

static size_t
count_connected(struct ps_fleet *fleet)
{
    struct ps_fleet_status status;
    ps_fleet_status(fleet, &status);
    return status.connected;
}

static struct run *
make_run(struct ps_fleet *fleet, const char *cache_id)
{
    struct run *run = calloc(1, sizeof(*run));
    if (!run)
        return NULL;
    run->fleet = fleet;
    ps_timer_init(&run->timer, fleet->conf.loop, on_timeout, run);
    ps_uuid_make(run->id);
    memcpy(run->cache_id, cache_id, sizeof(run->cache_id));
    size_t count = count_connected(fleet);
    run->targets = calloc(count ? count : 1, sizeof(*run->targets));
    if (!run->targets) {
        free(run);
        return NULL;
    }
    return run;
}

static enum ps_rc
add_targets(struct run *run, struct ps_err *err)
{
    size_t at = 0;
    const struct ps_member *member;
    while ((member = ps_sessions_next(run->fleet->sessions, &at))) {
        if (!member->connected || member->agent.revoked_ms)
            continue;
        struct ps_run_result blank = {.stages = "[]"};
        fleet_text(blank.agent_id, sizeof(blank.agent_id), member->agent.id);
        fleet_text(blank.agent_name, sizeof(blank.agent_name),
                   member->agent.name);
        fleet_text(blank.region, sizeof(blank.region), member->agent.region);
        enum ps_rc rc =
            ps_db_run_result_put(run->fleet->conf.db, run->id, &blank, err);
        if (rc != PS_OK)
            return rc;
        memcpy(run->targets[run->n_targets++].agent_id, member->agent.id,
               sizeof(member->agent.id));
    }
    run->n_open = run->n_targets;
    return PS_OK;
}

static void
ask(struct run *run, const struct ps_cache_def *def)
{
    Portside__CacheConfig config;
    fleet_cache_config(def, &config);
    Portside__ProbeRequest probe = PORTSIDE__PROBE_REQUEST__INIT;
    probe.run_id = run->id;
    probe.cache_id = run->cache_id;
    probe.cache = &config;
    Portside__Event event = PORTSIDE__EVENT__INIT;
    event.epoch = run->fleet->epoch;
    event.body_case = PORTSIDE__EVENT__BODY_PROBE;
    event.probe = &probe;
    fleet_send_event(run->fleet, &event);
}

enum ps_rc
ps_fleet_probe(struct ps_fleet *fleet, const struct ps_cache_def *def,
               char run_id[37], struct ps_err *err)
{
    PS_CHECK_OBJ(fleet, FLEET_MAGIC);
    struct run *run = make_run(fleet, def->id);
    if (!run)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    struct ps_run row = {.started_ms = ps_wall_ms()};
    memcpy(row.id, run->id, sizeof(row.id));
    memcpy(row.cache_id, run->cache_id, sizeof(row.cache_id));
    enum ps_rc rc = ps_db_run_insert(fleet->conf.db, &row, err);
    if (rc == PS_OK) {
        memcpy(run_id, run->id, sizeof(run->id));
        ps_list_push_back(&fleet->runs, &run->link);
        rc = add_targets(run, err);
    }
    if (rc != PS_OK) {
        free_run(run);
        return rc;
    }
    if (run->n_open == 0) {
        finish(run);
        return PS_OK;
    }
    ask(run, def);
    ps_timer_start_ms(&run->timer, PS_FLEET_PROBE_TIMEOUT_MS);
    return PS_OK;
}

/* ------------------------------------------------------------- results */

static struct target *
find_target(struct ps_fleet *fleet, const Portside__ProbeResult *body,
            const char *agent_id, struct run **out)
{
    PS_LIST_FOREACH_SAFE(&fleet->runs, it, tmp) {
        struct run *run = PS_CONTAINER_OF(it, struct run, link);
        if (strcmp(run->id, body->run_id) != 0)
            continue;
        *out = run;
        for (size_t i = 0; i < run->n_targets; i++)
            if (strcmp(run->targets[i].agent_id, agent_id) == 0)
                return &run->targets[i];
    }
    return NULL;
}

/* A stage that is known is replaced, another one added: agents may send all
 * stages each time or only what is new. */
static void
merge_stage(struct target *target, const Portside__ProbeStage *in)
{
    char name[sizeof(target->stages[0].name)];
    size_t at = 0;
    fleet_text(name, sizeof(name), in->stage);
    while (at < target->n_stages && strcmp(target->stages[at].name, name) != 0)
        at++;
    if (at == STAGES_MAX)
        return;
    struct stage *stage = &target->stages[at];
    if (at == target->n_stages)
        target->n_stages++;
    memcpy(stage->name, name, sizeof(name));
    fleet_text(stage->code, sizeof(stage->code), in->code);
    fleet_text(stage->detail, sizeof(stage->detail), in->detail);
    stage->time_us = PS_MIN(in->time_us, (uint64_t)INT64_MAX);
}

static void
write_stages(const struct target *target, struct ps_buf *json)
{
    ps_buf_append_char(json, '[');
    for (size_t i = 0; i < target->n_stages; i++) {
        const struct stage *stage = &target->stages[i];
        ps_buf_append_c(json, i ? ",{\"stage\":" : "{\"stage\":");
        ps_buf_append_json(json, ps_str_of(stage->name));
        ps_buf_append_c(json, ",\"code\":");
        ps_buf_append_json(json, ps_str_of(stage->code));
        ps_buf_append_c(json, ",\"timeUs\":");
        ps_buf_append_u64(json, stage->time_us);
        ps_buf_append_c(json, ",\"detail\":");
        ps_buf_append_json(json, ps_str_of(stage->detail));
        ps_buf_append_char(json, '}');
    }
    ps_buf_append(json, "]", 2); /* with its NUL */
}

static enum ps_rc
store_result(struct run *run, const struct ps_member *member,
             const struct target *target, const Portside__ProbeResult *body,
             struct ps_err *err)
{
    struct ps_buf json;
    ps_buf_init(&json, STAGES_BYTES);
    write_stages(target, &json);
    enum ps_rc rc = ps_buf_rc(&json);
    if (rc == PS_OK) {
        struct ps_run_result r = {.done = body->done,
                                  .ok = body->done && body->ok};
        r.stages = json.data;
        fleet_text(r.agent_id, sizeof(r.agent_id), member->agent.id);
        fleet_text(r.agent_name, sizeof(r.agent_name), member->agent.name);
        fleet_text(r.region, sizeof(r.region), member->agent.region);
        fleet_text(r.code, sizeof(r.code), body->code);
        fleet_text(r.source_address, sizeof(r.source_address),
                   body->source_address);
        fleet_text(r.target_address, sizeof(r.target_address),
                   body->target_address);
        fleet_text(r.server_version, sizeof(r.server_version),
                   body->server_version);
        fleet_text(r.advice, sizeof(r.advice), body->advice);
        rc = ps_db_run_result_put(run->fleet->conf.db, run->id, &r, err);
    } else {
        ps_err_set(err, rc, "the stages are too long");
    }
    ps_buf_done(&json);
    return rc;
}

/* When it is not what it was, or nobody knew. */
static void
note_reachability(const struct run *run, const struct ps_member *member,
                  const Portside__ProbeResult *body)
{
    const struct ps_event_about about = {.agent = &member->agent,
                                         .cache_id = run->cache_id};
    struct ps_run_outcome before;
    struct ps_err err;
    if (ps_db_run_last_result(run->fleet->conf.db, run->cache_id,
                              member->agent.id, run->id, &before,
                              &err) != PS_OK ||
        (before.known && before.ok == body->ok &&
         (body->ok || strcmp(before.code, body->code) == 0)))
        return;
    if (body->ok)
        ps_fleet_note(run->fleet, PS_EVENT_REACHABILITY, &about,
                      "its database is reachable");
    else
        ps_fleet_note(run->fleet, PS_EVENT_REACHABILITY, &about,
                      "its database is not reachable: %.32s", body->code);
}

enum ps_rc
fleet_run_result(struct ps_fleet *fleet, struct ps_member *member,
                 const Portside__ProbeResult *body, struct ps_err *err)
{
    struct run *run = NULL;
    struct target *target = find_target(fleet, body, member->agent.id, &run);
    if (!target)
        return ps_err_set(err, PS_NOT_FOUND,
                          "this run is over or is not for this agent");
    if (target->done)
        return PS_OK;
    for (size_t i = 0; i < body->n_stages; i++)
        merge_stage(target, body->stages[i]);
    enum ps_rc rc = store_result(run, member, target, body, err);
    if (rc == PS_NOT_FOUND) { /* the cache is gone, and its runs with it */
        free_run(run);
        return rc;
    }
    if (rc != PS_OK || !body->done)
        return rc;
    target->done = true;
    note_reachability(run, member, body);
    if (--run->n_open == 0)
        finish(run);
    return PS_OK;
}
