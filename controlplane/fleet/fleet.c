/*
 * Life cycle, timers and events of the fleet service, and what the REST API
 * asks of it. The calls of agents are in calls.c, publishes in publish.c,
 * reachability runs in runs.c, snapshots in config.c.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/tls.h"
#include "common/utf8.h"
#include "controlplane/fleet/fleet_private.h"

#include <stdlib.h>

uint64_t
fleet_now(struct ps_fleet *fleet)
{
    return ps_clock_now_ms(ps_loop_clock(fleet->conf.loop));
}

void
fleet_text(char *out, size_t size, const char *text)
{
    size_t len = PS_MIN(strlen(text), size - 1);
    len = ps_utf8_check((struct ps_str){.ptr = text, .len = len});
    memcpy(out, text, len);
    out[len] = '\0';
}

/* -------------------------------------------------------------- events */

void
fleet_send_event(struct ps_fleet *fleet, const Portside__Event *event)
{
    ps_buf_clear(&fleet->out);
    size_t len = portside__event__get_packed_size(event);
    char *to = ps_buf_reserve(&fleet->out, len);
    if (!to) {
        /* As if lost on the way: agents notice by the numbers. */
        ps_error("fleet", "no memory for an event of %zu bytes", len);
        return;
    }
    portside__event__pack(event, (uint8_t *)to);
    fleet->conf.publish(fleet->conf.arg,
                        (struct ps_str){.ptr = to, .len = len});
}

void
fleet_send_tick(struct ps_fleet *fleet)
{
    Portside__Tick tick = PORTSIDE__TICK__INIT;
    tick.newest = ps_ilog_newest(fleet->log);
    tick.config_version = ps_db_config_version(fleet->conf.db);
    Portside__Event event = PORTSIDE__EVENT__INIT;
    event.epoch = fleet->epoch;
    event.body_case = PORTSIDE__EVENT__BODY_TICK;
    event.tick = &tick;
    fleet_send_event(fleet, &event);
}

static void
on_tick(void *arg)
{
    struct ps_fleet *fleet = arg;
    fleet_send_tick(fleet);
    ps_timer_start_ms(&fleet->tick, fleet->conf.tick_ms);
}

static void
send_entry(struct ps_fleet *fleet, uint64_t number)
{
    struct ps_str packed = ps_ilog_get(fleet->log, number);
    /* A batch larger than the ring has pushed its own first entries out;
     * agents see the gap and fetch. */
    if (!packed.ptr)
        return;
    Portside__LogEntry *entry = portside__log_entry__unpack(
        NULL, packed.len, (const uint8_t *)packed.ptr);
    if (!entry) {
        ps_error("fleet", "no memory to announce entry %llu",
                 (unsigned long long)number);
        return;
    }
    Portside__Event event = PORTSIDE__EVENT__INIT;
    event.epoch = fleet->epoch;
    event.body_case = PORTSIDE__EVENT__BODY_ENTRY;
    event.entry = entry;
    fleet_send_event(fleet, &event);
    portside__log_entry__free_unpacked(entry, NULL);
}

enum ps_rc
fleet_append(struct ps_fleet *fleet, const struct ps_ilog_batch *batch,
             uint64_t *first)
{
    enum ps_rc rc = ps_ilog_append(fleet->log, batch, first);
    if (rc != PS_OK)
        return rc;
    for (size_t i = 0; i < batch->count; i++)
        send_entry(fleet, *first + i);
    return PS_OK;
}

void
fleet_flush(struct ps_fleet *fleet, enum ps_flush flush)
{
    if (flush != PS_FLUSH)
        return;
    uint64_t number;
    Portside__Invalidation all = PORTSIDE__INVALIDATION__INIT;
    Portside__Invalidation *items[] = {&all};
    /* With an early heartbeat agents also learn early that the fleet is
     * restricted. */
    struct ps_ilog_batch batch = {
        .agent_id = "", .items = items, .count = 1, .ack_wanted = true};
    PS_CHECK(fleet_append(fleet, &batch, &number) == PS_OK);
    ps_info("fleet", "invalidated everything (entry %llu)",
            (unsigned long long)number);
}

/* --------------------------------------------------------- lost agents */

void
fleet_save(struct ps_fleet *fleet, struct ps_member *member)
{
    struct ps_err err;
    if (ps_db_agent_update(fleet->conf.db, &member->agent, &err) != PS_OK)
        ps_error("fleet", "cannot write down agent %s: %s", member->agent.id,
                 err.message);
}

static void
on_lost(void *arg, struct ps_member *member)
{
    struct ps_fleet *fleet = arg;
    ps_warn("fleet",
            "agent %s (%s, region %s) is lost: no heartbeat and no goodbye; "
            "until it is back or revoked the others serve nothing older than "
            "%llu ms",
            member->agent.id, member->agent.name, member->agent.region,
            (unsigned long long)fleet->conf.lease_ms);
    fleet_save(fleet, member);
    fleet_note_agent(fleet, PS_EVENT_AGENT_LOST, member,
                     "no heartbeat and no goodbye: it may still run");
}

void
fleet_arm(struct ps_fleet *fleet)
{
    uint64_t due = ps_sessions_next_due(fleet->sessions);
    fleet_note_restricted(fleet);
    uint64_t now = fleet_now(fleet);
    if (due == UINT64_MAX)
        ps_timer_stop(&fleet->expire);
    else
        ps_timer_start_ms(&fleet->expire, due > now ? due - now : 0);
}

static void
save_changed(struct ps_fleet *fleet)
{
    size_t at = 0;
    struct ps_member *member;
    while ((member = ps_sessions_next(fleet->sessions, &at))) {
        if (member->changed)
            fleet_save(fleet, member);
        member->changed = false;
    }
}

static void
on_expire(void *arg)
{
    struct ps_fleet *fleet = arg;
    fleet_flush(fleet, ps_sessions_expire(fleet->sessions, fleet_now(fleet),
                                          on_lost, fleet));
    save_changed(fleet);
    fleet_settle(fleet);
    fleet_arm(fleet);
}

static void
on_settle(void *arg)
{
    fleet_settle(arg);
}

/* ---------------------------------------------------------- life cycle */

static enum ps_rc
load_agent(void *arg, const struct ps_agent *agent)
{
    struct ps_fleet *fleet = arg;
    return ps_sessions_add(fleet->sessions, agent, fleet_now(fleet));
}

static enum ps_rc
load(struct ps_fleet *fleet, struct ps_err *err)
{
    enum ps_rc rc = ps_db_run_finish_all(
        fleet->conf.db, ps_wall_ms(), ps_err_info(PS_REQUEST_TIMEOUT)->code,
        "the control plane was restarted during this run; test again", err);
    if (rc == PS_OK)
        rc = ps_db_agent_each(fleet->conf.db, NULL, load_agent, fleet, err);
    return rc;
}

enum ps_rc
ps_fleet_new(struct ps_fleet **out, const struct ps_fleet_conf *conf,
             struct ps_err *err)
{
    PS_CHECK(conf->lease_ms >= PS_FLEET_LEASE_MIN_MS);
    struct ps_fleet *fleet = calloc(1, sizeof(*fleet));
    if (!fleet)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    fleet->magic = FLEET_MAGIC;
    fleet->conf = *conf;
    struct ps_sessions_conf sessions = {
        .lease_ms = conf->lease_ms,
        .lost_after_ms = conf->lease_ms - PS_FLEET_LOST_BEFORE_MS,
        .margin_ms = PS_FLEET_MARGIN_MS,
    };
    ps_uuid_make(fleet->epoch);
    ps_list_init(&fleet->waiters);
    ps_list_init(&fleet->runs);
    ps_list_init(&fleet->asks);
    ps_buf_init(&fleet->snapshot, FLEET_MESSAGE_MAX);
    ps_buf_init(&fleet->out, FLEET_MESSAGE_MAX);
    ps_timer_init(&fleet->tick, conf->loop, on_tick, fleet);
    ps_timer_init(&fleet->expire, conf->loop, on_expire, fleet);
    ps_timer_init(&fleet->settle, conf->loop, on_settle, fleet);
    fleet->log = ps_ilog_new(conf->log_entries, conf->log_bytes);
    fleet->sessions = ps_sessions_new(&sessions);
    enum ps_rc rc = PS_OK;
    if (!fleet->log || !fleet->sessions)
        rc = ps_err_set(err, PS_NO_MEMORY, NULL);
    if (rc == PS_OK)
        rc = load(fleet, err);
    if (rc != PS_OK) {
        ps_fleet_free(&fleet);
        return rc;
    }
    ps_timer_start_ms(&fleet->tick, conf->tick_ms);
    fleet_arm(fleet);
    *out = fleet;
    return PS_OK;
}

void
ps_fleet_free(struct ps_fleet **fleetp)
{
    struct ps_fleet *fleet = *fleetp;
    if (!fleet)
        return;
    PS_CHECK_OBJ(fleet, FLEET_MAGIC);
    fleet_drop_waiters(fleet);
    fleet_drop_runs(fleet);
    fleet_end_asks(fleet);
    ps_timer_stop(&fleet->tick);
    ps_timer_stop(&fleet->expire);
    ps_timer_stop(&fleet->settle);
    size_t at = 0;
    struct ps_member *member;
    while (fleet->sessions && (member = ps_sessions_next(fleet->sessions, &at)))
        if (member->connected && !member->agent.revoked_ms)
            fleet_save(fleet, member);
    ps_sessions_free(&fleet->sessions);
    ps_ilog_free(&fleet->log);
    ps_buf_done(&fleet->snapshot);
    ps_buf_done(&fleet->out);
    fleet->magic = 0;
    free(fleet);
    *fleetp = NULL;
}

/* ------------------------------------------------------------- the API */

void
ps_fleet_config_changed(struct ps_fleet *fleet)
{
    PS_CHECK_OBJ(fleet, FLEET_MAGIC);
    fleet_send_tick(fleet);
}

enum ps_rc
ps_fleet_purge(struct ps_fleet *fleet, const char *cache_id, uint64_t *number,
               struct ps_err *err)
{
    PS_CHECK_OBJ(fleet, FLEET_MAGIC);
    char id[37];
    fleet_text(id, sizeof(id), cache_id);
    Portside__Invalidation item = PORTSIDE__INVALIDATION__INIT;
    item.cache_id = id;
    Portside__Invalidation *items[] = {&item};
    struct ps_ilog_batch batch = {.agent_id = "", .items = items, .count = 1};
    enum ps_rc rc = fleet_append(fleet, &batch, number);
    return rc == PS_OK ? PS_OK : ps_err_set(err, rc, NULL);
}

enum ps_rc
ps_fleet_agent_added(struct ps_fleet *fleet, const struct ps_agent *agent,
                     struct ps_err *err)
{
    PS_CHECK_OBJ(fleet, FLEET_MAGIC);
    enum ps_rc rc = ps_sessions_add(fleet->sessions, agent, fleet_now(fleet));
    return rc == PS_OK ? PS_OK : ps_err_set(err, rc, NULL);
}

enum ps_rc
ps_fleet_drain(struct ps_fleet *fleet, const char *id, bool draining,
               struct ps_err *err)
{
    PS_CHECK_OBJ(fleet, FLEET_MAGIC);
    struct ps_member *member = ps_sessions_find(fleet->sessions, id);
    if (member && member->agent.revoked_ms)
        return ps_err_set(err, PS_CONFLICT, "agent %s is revoked",
                          member->agent.name);
    enum ps_rc rc = ps_db_agent_drain(fleet->conf.db, id, draining, err);
    if (rc != PS_OK || !member)
        return rc;
    member->agent.draining = draining;
    member->drained = false;
    ps_info("fleet", "agent %s (%s) %s", id, member->agent.name,
            draining ? "is to be drained" : "is to serve again");
    fleet_note_agent(
        fleet, draining ? PS_EVENT_AGENT_DRAINING : PS_EVENT_AGENT_SERVING,
        member,
        draining ? "it is being taken out of service"
                 : "it is taken back into service");
    return PS_OK;
}

enum ps_rc
ps_fleet_revoke(struct ps_fleet *fleet, const char *id, struct ps_err *err)
{
    PS_CHECK_OBJ(fleet, FLEET_MAGIC);
    int64_t now_ms = ps_wall_ms();
    enum ps_rc rc = ps_db_agent_revoke(fleet->conf.db, id, now_ms, err);
    if (rc != PS_OK)
        return rc;
    struct ps_member *member = ps_sessions_find(fleet->sessions, id);
    if (!member || member->agent.revoked_ms)
        return PS_OK;
    member->agent.revoked_ms = now_ms;
    ps_warn("fleet", "agent %s (%s) is revoked", id, member->agent.name);
    fleet_note_agent(fleet, PS_EVENT_AGENT_REVOKED, member, "for good");
    enum ps_flush flush = ps_sessions_revoke(
        fleet->sessions, member, fleet_write_ms(fleet), fleet_now(fleet));
    fleet_save(fleet, member);
    Portside__Event event = PORTSIDE__EVENT__INIT;
    event.epoch = fleet->epoch;
    event.body_case = PORTSIDE__EVENT__BODY_REVOKED_AGENT_ID;
    event.revoked_agent_id = member->agent.id;
    fleet_send_event(fleet, &event);
    fleet_flush(fleet, flush);
    fleet_settle(fleet);
    fleet_arm(fleet);
    return PS_OK;
}

enum ps_rc
ps_fleet_forget(struct ps_fleet *fleet, const char *id, struct ps_err *err)
{
    PS_CHECK_OBJ(fleet, FLEET_MAGIC);
    enum ps_rc rc = ps_db_agent_delete(fleet->conf.db, id, err);
    if (rc != PS_OK)
        return rc;
    struct ps_member *member = ps_sessions_find(fleet->sessions, id);
    if (member)
        ps_sessions_forget(fleet->sessions, member);
    fleet_arm(fleet);
    return PS_OK;
}

static const char *
state_of(const struct ps_member *member)
{
    if (member->agent.revoked_ms)
        return "revoked";
    if (member->lost)
        return "lost";
    if (!member->connected)
        return "disconnected";
    if (member->agent.draining)
        return member->drained ? "drained" : "draining";
    return "connected";
}

bool
ps_fleet_agent(struct ps_fleet *fleet, const char *id,
               struct ps_fleet_agent *out)
{
    PS_CHECK_OBJ(fleet, FLEET_MAGIC);
    const struct ps_member *member = ps_sessions_find(fleet->sessions, id);
    if (!member)
        return false;
    uint64_t now = fleet_now(fleet), until = member->lease_until_ms;
    /* What the agent itself may count on is without our margin. */
    uint64_t end = now + PS_FLEET_MARGIN_MS;
    *out = (struct ps_fleet_agent){
        .state = state_of(member),
        .connected = member->connected && !member->agent.revoked_ms,
        .draining = member->agent.draining && !member->agent.revoked_ms,
        .busy = member->connected ? member->busy : 0,
        .applied = member->applied,
        .config_version = member->config_version,
        .lease_left_ms = until > end ? until - end : 0,
        .last_seen_ms = member->agent.last_seen_ms,
    };
    return true;
}

void
ps_fleet_each_resting(struct ps_fleet *fleet, const char *cache_id,
                      void (*fn)(void *arg, const struct ps_agent *agent,
                                 bool trying),
                      void *arg)
{
    PS_CHECK_OBJ(fleet, FLEET_MAGIC);
    size_t at = 0;
    struct ps_member *member;
    while ((member = ps_sessions_next(fleet->sessions, &at))) {
        for (size_t i = 0; i < member->n_resting; i++)
            if (strcmp(member->resting[i].cache_id, cache_id) == 0)
                fn(arg, &member->agent, member->resting[i].trying);
    }
}

size_t
ps_fleet_connected_in(struct ps_fleet *fleet, const char *region)
{
    PS_CHECK_OBJ(fleet, FLEET_MAGIC);
    size_t at = 0, count = 0;
    const struct ps_member *member;
    while ((member = ps_sessions_next(fleet->sessions, &at)))
        count += member->connected && !member->agent.revoked_ms &&
                 strcmp(member->agent.region, region) == 0;
    return count;
}

void
ps_fleet_status(struct ps_fleet *fleet, struct ps_fleet_status *out)
{
    PS_CHECK_OBJ(fleet, FLEET_MAGIC);
    struct ps_fleet_status status = {
        .epoch = fleet->epoch,
        .newest = ps_ilog_newest(fleet->log),
        .restricted = ps_sessions_restricted(fleet->sessions),
    };
    size_t at = 0;
    const struct ps_member *member;
    while ((member = ps_sessions_next(fleet->sessions, &at))) {
        if (member->agent.revoked_ms)
            continue;
        status.total++;
        status.connected += member->connected;
        status.lost += member->lost;
    }
    *out = status;
}
