/*
 * The calls of agents: who it is, what it wants, one reply each. A call that
 * cannot be read gets bad_request; one without a session, unauthorized.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/tls.h"
#include "controlplane/fleet/fleet_private.h"

#include <stdlib.h>

enum {
    PROTOCOL = 1,
    DRAINED = 2, /* of Heartbeat.drain */
    DAY_MS = 86400000
};

void
fleet_reply(struct ps_fleet *fleet, void *call, Portside__Reply *reply)
{
    if (!reply->code[0])
        reply->code = fleet_lend(ps_err_info(PS_OK)->code);
    ps_buf_clear(&fleet->out);
    size_t len = portside__reply__get_packed_size(reply);
    char *to = ps_buf_reserve(&fleet->out, len);
    if (to)
        portside__reply__pack(reply, (uint8_t *)to);
    else
        ps_error("fleet", "no memory for a reply of %zu bytes", len);
    /* An empty reply cannot be read as one with a code: the agent takes it
     * for a failed call. */
    fleet->conf.reply(fleet->conf.arg, call,
                      (struct ps_str){.ptr = to, .len = to ? len : 0});
}

void
fleet_reply_error(struct ps_fleet *fleet, void *call, enum ps_rc rc,
                  const char *message)
{
    const struct ps_err_info *info = ps_err_info(rc);
    Portside__Reply reply = PORTSIDE__REPLY__INIT;
    reply.code = fleet_lend(info->code);
    reply.message = fleet_lend(message ? message : info->sentence);
    fleet_reply(fleet, call, &reply);
}

/* --------------------------------------------------------------- hello */

static bool
renewal_due(const struct ps_member *member)
{
    int64_t left = member->agent.certificate_expires_ms - ps_wall_ms();
    return left < (int64_t)PS_CA_RENEW_DAYS * DAY_MS;
}

/* The agent that says so, or NULL; the same answer for unknown, wrong and
 * revoked, so that ids cannot be tried out. */
static struct ps_member *
authenticate_hello(struct ps_fleet *fleet, const Portside__Hello *body)
{
    static const unsigned char nobody[32];
    unsigned char hash[32];
    struct ps_member *member =
        ps_sessions_find(fleet->sessions, body->agent_id);
    ps_sha256(ps_str_of(body->agent_secret), hash);
    bool same = ps_equal_const_time(
        hash, member ? member->agent.secret_hash : nobody, sizeof(hash));
    return member && same && !member->agent.revoked_ms ? member : NULL;
}

/* Written down before the session exists: an agent of which the store does
 * not know that it runs would not be missed after a restart. */
static enum ps_rc
note_hello(struct ps_fleet *fleet, struct ps_member *member,
           const Portside__Hello *body, struct ps_err *err)
{
    struct ps_agent row = member->agent;
    fleet_text(row.endpoint, sizeof(row.endpoint), body->endpoint);
    fleet_text(row.hostname, sizeof(row.hostname), body->hostname);
    fleet_text(row.version, sizeof(row.version), body->version);
    row.last_seen_ms = ps_wall_ms();
    bool was_open = row.open;
    if (ps_sessions_died(member, body->instance)) {
        int64_t ms = (int64_t)fleet_write_ms(fleet);
        row.unsettled_ms = PS_MAX(row.unsettled_ms, ms);
        ps_warn("fleet",
                "agent %s (%s) is another process than before: what that one "
                "had sent may take effect within %lld ms, so long nothing "
                "older than %llu ms is served",
                row.id, row.name, (long long)ms,
                (unsigned long long)fleet->conf.lease_ms);
    }
    if (strcmp(row.instance, body->instance) != 0)
        member->noticed = 0;
    fleet_text(row.instance, sizeof(row.instance), body->instance);
    row.open = true;
    enum ps_rc rc = ps_db_agent_update(fleet->conf.db, &row, err);
    if (rc == PS_OK) {
        row.open = was_open; /* sessions.c opens it */
        member->agent = row;
    }
    return rc;
}

static void
on_hello(struct ps_fleet *fleet, void *call, const Portside__Hello *body)
{
    char secret[PS_SESSION_SECRET_HEX];
    enum ps_flush flush = PS_NO_FLUSH;
    struct ps_err err;
    struct ps_member *member = authenticate_hello(fleet, body);
    if (!member) {
        ps_warn("fleet", "an agent was refused: not enrolled here, or "
                         "revoked");
        fleet_reply_error(fleet, call, PS_FORBIDDEN,
                          "this agent is not enrolled here or was revoked; "
                          "enrol it with a new join token");
        return;
    }
    if (body->protocol != PROTOCOL) {
        fleet_reply_error(fleet, call, PS_UNSUPPORTED,
                          "agent and control plane do not speak the same "
                          "protocol; install neighbouring versions");
        return;
    }
    enum ps_rc rc = note_hello(fleet, member, body, &err);
    if (rc == PS_OK) {
        err.message[0] = '\0';
        rc = ps_sessions_hello(fleet->sessions, member, fleet_now(fleet),
                               secret, &flush);
    }
    if (rc != PS_OK) {
        fleet_reply_error(fleet, call, rc, err.message[0] ? err.message : NULL);
        return;
    }
    fleet_flush(fleet, flush);
    fleet_arm(fleet);
    ps_info("fleet", "agent %s (%s, region %s) is connected", member->agent.id,
            member->agent.name, member->agent.region);
    const struct ps_event_about about = {.agent = &member->agent};
    ps_fleet_note(fleet, PS_EVENT_AGENT_CONNECTED, &about, "version %s at %s",
                  member->agent.version, member->agent.endpoint);
    Portside__HelloReply hello = PORTSIDE__HELLO_REPLY__INIT;
    hello.session_id = member->session_id;
    hello.session_secret = secret;
    hello.epoch = fleet->epoch;
    hello.newest = ps_ilog_newest(fleet->log);
    hello.region = member->agent.region;
    hello.agent_name = member->agent.name;
    hello.lease_ms = fleet->conf.lease_ms;
    hello.tick_ms = fleet->conf.tick_ms;
    hello.heartbeat_ms = fleet->conf.heartbeat_ms;
    hello.renew_certificate = renewal_due(member);
    hello.draining = member->agent.draining;
    member->drained = false;
    member->busy = 0;
    Portside__Reply reply = PORTSIDE__REPLY__INIT;
    reply.body_case = PORTSIDE__REPLY__BODY_HELLO;
    reply.hello = &hello;
    fleet_reply(fleet, call, &reply);
    explicit_bzero(secret, sizeof(secret));
}

/* ---------------------------------------------------------- heartbeats */

/* What it says before it has been told counts for nothing. */
static void
note_drain(struct ps_fleet *fleet, struct ps_member *member,
           const Portside__Heartbeat *body)
{
    bool drained = member->agent.draining && body->drain == DRAINED;
    if (drained && !member->drained) {
        ps_info("fleet", "agent %s (%s) is drained", member->agent.id,
                member->agent.name);
        fleet_note_agent(fleet, PS_EVENT_AGENT_DRAINED, member,
                         "nothing is under way any more");
    }
    member->drained = drained;
    member->busy = member->agent.draining ? body->busy : 0;
}

static void
note_resting(struct ps_fleet *fleet, struct ps_member *member,
             const Portside__Heartbeat *body)
{
    struct ps_resting resting[PS_RESTING_MAX];
    size_t n = 0;
    for (size_t i = 0; i < body->n_resting && n < PS_RESTING_MAX; i++) {
        const Portside__OriginResting *told = body->resting[i];
        struct ps_resting *one = &resting[n];
        size_t len = strlen(told->cache_id);
        if (len >= sizeof(one->cache_id))
            continue;
        memcpy(one->cache_id, told->cache_id, len + 1);
        one->trying = told->trying;
        n++;
    }
    fleet_note_resting(fleet, member, resting, n);
    ps_sessions_note_resting(member, resting, n);
}

static void
on_heartbeat(struct ps_fleet *fleet, struct ps_member *member, void *call,
             const Portside__Heartbeat *body)
{
    uint64_t newest = ps_ilog_newest(fleet->log);
    /* Numbers of another epoch mean nothing here. */
    bool ours = strcmp(body->epoch, fleet->epoch) == 0;
    uint64_t applied = ours ? PS_MIN(body->applied, newest) : 0;
    ps_sessions_heartbeat(fleet->sessions, member, applied,
                          body->config_version, fleet_now(fleet));
    note_resting(fleet, member, body);
    member->agent.last_seen_ms = ps_wall_ms();
    note_drain(fleet, member, body);
    Portside__HeartbeatReply beat = PORTSIDE__HEARTBEAT_REPLY__INIT;
    beat.epoch = fleet->epoch;
    beat.newest = newest;
    beat.config_version = ps_db_config_version(fleet->conf.db);
    beat.lease_ms = fleet->conf.lease_ms;
    beat.restricted = ps_sessions_restricted(fleet->sessions);
    beat.restricted_max_age_ms = beat.restricted ? fleet->conf.lease_ms : 0;
    beat.renew_certificate = renewal_due(member);
    beat.draining = member->agent.draining;
    beat.noticed = fleet_take_notices(fleet, member, body);
    Portside__Reply reply = PORTSIDE__REPLY__INIT;
    reply.body_case = PORTSIDE__REPLY__BODY_HEARTBEAT;
    reply.heartbeat = &beat;
    fleet_reply(fleet, call, &reply);
    fleet_settle(fleet);
}

static void
on_goodbye(struct ps_fleet *fleet, struct ps_member *member, void *call,
           const Portside__Goodbye *body)
{
    member->agent.last_seen_ms = ps_wall_ms();
    fleet_flush(fleet,
                ps_sessions_goodbye(fleet->sessions, member, body->clean,
                                    body->unsettled_ms, fleet_now(fleet)));
    fleet_save(fleet, member);
    fleet_arm(fleet);
    fleet_note_agent(fleet, PS_EVENT_AGENT_STOPPED, member,
                     body->clean ? "it said goodbye"
                                 : "it stopped with a write of unknown outcome "
                                   "and counts as lost");
    if (body->clean && body->unsettled_ms)
        ps_warn("fleet",
                "agent %s (%s) said goodbye; a write of unknown outcome may "
                "take effect within %llu ms",
                member->agent.id, member->agent.name,
                (unsigned long long)body->unsettled_ms);
    else if (body->clean)
        ps_info("fleet", "agent %s (%s) said goodbye", member->agent.id,
                member->agent.name);
    else
        ps_warn("fleet",
                "agent %s (%s) stopped with a write of unknown outcome and "
                "counts as lost until it is back or revoked",
                member->agent.id, member->agent.name);
    Portside__Reply reply = PORTSIDE__REPLY__INIT;
    fleet_reply(fleet, call, &reply);
    fleet_settle(fleet);
    fleet_arm(fleet);
}

/* --------------------------------------------------------------- fetch */

/* How many entries from number on fit one reply; at least one. */
static size_t
fetch_count(const struct ps_fleet *fleet, uint64_t number)
{
    size_t count = 0, bytes = 0;
    while (count < FLEET_FETCH_ENTRIES) {
        struct ps_str packed = ps_ilog_get(fleet->log, number + count);
        bytes += packed.len;
        if (!packed.ptr || (count && bytes > FLEET_FETCH_BYTES))
            break;
        count++;
    }
    return count;
}

static void
fetch_entries(struct ps_fleet *fleet, uint64_t number, size_t count,
              Portside__FetchReply *body)
{
    body->entries = count ? calloc(count, sizeof(Portside__LogEntry *)) : NULL;
    for (size_t i = 0; body->entries && i < count; i++) {
        struct ps_str packed = ps_ilog_get(fleet->log, number + i);
        Portside__LogEntry *entry = portside__log_entry__unpack(
            NULL, packed.len, (const uint8_t *)packed.ptr);
        if (!entry) /* a part is a valid answer */
            return;
        body->entries[body->n_entries++] = entry;
    }
}

static void
on_fetch(struct ps_fleet *fleet, void *call, const Portside__Fetch *body)
{
    uint64_t newest = ps_ilog_newest(fleet->log);
    Portside__FetchReply fetch = PORTSIDE__FETCH_REPLY__INIT;
    fetch.epoch = fleet->epoch;
    fetch.newest = newest;
    fetch.too_old = strcmp(body->epoch, fleet->epoch) != 0 ||
                    body->after > newest ||
                    body->after + 1 < ps_ilog_oldest(fleet->log);
    if (!fetch.too_old && body->after < newest)
        fetch_entries(fleet, body->after + 1,
                      fetch_count(fleet, body->after + 1), &fetch);
    if (!fetch.too_old && body->after < newest && fetch.n_entries == 0) {
        free(fetch.entries);
        fleet_reply_error(fleet, call, PS_NO_MEMORY, NULL);
        return;
    }
    Portside__Reply reply = PORTSIDE__REPLY__INIT;
    reply.body_case = PORTSIDE__REPLY__BODY_FETCH;
    reply.fetch = &fetch;
    fleet_reply(fleet, call, &reply);
    for (size_t i = 0; i < fetch.n_entries; i++)
        portside__log_entry__free_unpacked(fetch.entries[i], NULL);
    free(fetch.entries);
}

/* ---------------------------------------------------------- the others */

static void
on_snapshot(struct ps_fleet *fleet, void *call)
{
    struct ps_str packed;
    struct ps_err err;
    enum ps_rc rc = fleet_snapshot(fleet, &packed, &err);
    if (rc == PS_OK)
        fleet->conf.reply(fleet->conf.arg, call, packed);
    else
        fleet_reply_error(fleet, call, rc, err.message);
}

static void
on_probe_result(struct ps_fleet *fleet, struct ps_member *member, void *call,
                const Portside__ProbeResult *body)
{
    struct ps_err err;
    enum ps_rc rc = fleet_run_result(fleet, member, body, &err);
    if (rc != PS_OK) {
        fleet_reply_error(fleet, call, rc, err.message);
        return;
    }
    Portside__Reply reply = PORTSIDE__REPLY__INIT;
    fleet_reply(fleet, call, &reply);
}

static void
on_renew(struct ps_fleet *fleet, struct ps_member *member, void *call,
         const Portside__RenewCertificate *body)
{
    struct ps_err err;
    char *cert = NULL;
    int64_t expires_ms;
    enum ps_rc rc =
        ps_ca_issue_agent(fleet->conf.ca, body->csr_pem, member->agent.id,
                          &cert, &expires_ms, &err);
    if (rc != PS_OK) {
        fleet_reply_error(fleet, call, rc, err.message);
        return;
    }
    member->agent.certificate_expires_ms = expires_ms;
    fleet_save(fleet, member);
    ps_info("fleet", "renewed the certificate of agent %s (%s)",
            member->agent.id, member->agent.name);
    Portside__RenewCertificateReply renew =
        PORTSIDE__RENEW_CERTIFICATE_REPLY__INIT;
    renew.cert_pem = cert;
    renew.ca_pem = fleet_lend(ps_ca_certificate(fleet->conf.ca));
    Portside__Reply reply = PORTSIDE__REPLY__INIT;
    reply.body_case = PORTSIDE__REPLY__BODY_RENEW;
    reply.renew = &renew;
    fleet_reply(fleet, call, &reply);
    free(cert);
}

/* ---------------------------------------------------------- telemetry */

/* Is it a cache of ours? known: the one of the last item, most often. */
static bool
cache_exists(struct ps_fleet *fleet, const char *id, char known[37])
{
    struct ps_cache_def def;
    struct ps_err err;
    if (strcmp(id, known) == 0)
        return true;
    if (strlen(id) != 36 ||
        ps_db_cache_get(fleet->conf.db, id, &def, &err) != PS_OK)
        return false;
    ps_def_done(&def);
    memcpy(known, id, 37);
    return true;
}

/* Of caches that were deleted meanwhile nothing is kept. Returns how many are;
 * index gets where they were. */
static size_t
usable_items(struct ps_fleet *fleet, const Portside__Telemetry *body,
             struct ps_rollup_item *items, uint32_t *index)
{
    char known[37] = "";
    size_t n = 0;
    for (size_t i = 0; i < body->n_usages; i++) {
        const Portside__TemplateUsage *u = body->usages[i];
        if (!cache_exists(fleet, u->cache_id, known))
            continue;
        index[n] = (uint32_t)i;
        items[n++] = (struct ps_rollup_item){
            .cache_id = u->cache_id,
            .fingerprint = u->fingerprint,
            .text = u->text,
            .usage = {.ptr = (const char *)u->usage.data, .len = u->usage.len}
        };
    }
    return n;
}

static void
reply_telemetry(struct ps_fleet *fleet, void *call,
                const struct ps_rollup_item *items, uint32_t *index, size_t n)
{
    Portside__TelemetryReply telemetry = PORTSIDE__TELEMETRY_REPLY__INIT;
    telemetry.unknown = index;
    for (size_t i = 0; i < n; i++)
        if (items[i].unknown)
            telemetry.unknown[telemetry.n_unknown++] = index[i];
    Portside__Reply reply = PORTSIDE__REPLY__INIT;
    reply.body_case = PORTSIDE__REPLY__BODY_TELEMETRY;
    reply.telemetry = &telemetry;
    fleet_reply(fleet, call, &reply);
}

static void
on_telemetry(struct ps_fleet *fleet, struct ps_member *member, void *call,
             const Portside__Telemetry *body)
{
    struct ps_err err;
    bool again;
    int64_t age_ms = (int64_t)PS_MIN(body->age_ms, (uint64_t)DAY_MS);
    struct ps_rollup_item *items = calloc(body->n_usages + 1, sizeof(*items));
    uint32_t *index = calloc(body->n_usages + 1, sizeof(*index));
    struct ps_rollup_batch batch = {.agent_id = member->agent.id,
                                    .region = member->agent.region,
                                    .stream = body->stream,
                                    .number = body->number,
                                    .wall_ms = ps_wall_ms() - age_ms,
                                    .items = items};
    enum ps_rc rc = items && index ? PS_OK : PS_NO_MEMORY;
    err.message[0] = '\0';
    if (!fleet->conf.rollup)
        rc = PS_UNSUPPORTED;
    if (rc == PS_OK) {
        batch.n = usable_items(fleet, body, items, index);
        rc = ps_rollup_add(fleet->conf.rollup, &batch, &again, &err);
    }
    if (rc == PS_OK)
        reply_telemetry(fleet, call, items, index, batch.n);
    else
        fleet_reply_error(fleet, call, rc, err.message[0] ? err.message : NULL);
    free(items);
    free(index);
}

/* One that comes too late is no fault of the agent. */
static void
on_answer(struct ps_fleet *fleet, struct ps_member *member, void *call,
          const Portside__Answer *body)
{
    Portside__Reply reply = PORTSIDE__REPLY__INIT;
    fleet_reply(fleet, call, &reply);
    fleet_answered(fleet, member->agent.id, body);
}

static void
dispatch(struct ps_fleet *fleet, struct ps_member *member, void *call,
         const Portside__Call *body)
{
    switch (body->body_case) {
    case PORTSIDE__CALL__BODY_SNAPSHOT:
        on_snapshot(fleet, call);
        return;
    case PORTSIDE__CALL__BODY_PUBLISH:
        fleet_publish(fleet, member, call, body->publish);
        return;
    case PORTSIDE__CALL__BODY_FETCH:
        on_fetch(fleet, call, body->fetch);
        return;
    case PORTSIDE__CALL__BODY_HEARTBEAT:
        on_heartbeat(fleet, member, call, body->heartbeat);
        return;
    case PORTSIDE__CALL__BODY_PROBE_RESULT:
        on_probe_result(fleet, member, call, body->probe_result);
        return;
    case PORTSIDE__CALL__BODY_RENEW:
        on_renew(fleet, member, call, body->renew);
        return;
    case PORTSIDE__CALL__BODY_GOODBYE:
        on_goodbye(fleet, member, call, body->goodbye);
        return;
    case PORTSIDE__CALL__BODY_TELEMETRY:
        on_telemetry(fleet, member, call, body->telemetry);
        return;
    case PORTSIDE__CALL__BODY_ANSWER:
        on_answer(fleet, member, call, body->answer);
        return;
    default: /* a call that a newer agent knows */
        fleet_reply_error(fleet, call, PS_UNSUPPORTED, NULL);
        return;
    }
}

void
ps_fleet_call(struct ps_fleet *fleet, void *call, struct ps_str body)
{
    PS_CHECK_OBJ(fleet, FLEET_MAGIC);
    Portside__Call *in =
        portside__call__unpack(NULL, body.len, (const uint8_t *)body.ptr);
    if (!in) {
        fleet_reply_error(fleet, call, PS_BAD_REQUEST,
                          "the call cannot be read");
        return;
    }
    struct ps_member *member;
    enum ps_rc rc = PS_OK;
    if (in->body_case == PORTSIDE__CALL__BODY_HELLO)
        on_hello(fleet, call, in->hello);
    else
        rc = ps_sessions_authenticate(fleet->sessions, in->session_id,
                                      in->session_secret, &member);
    if (rc != PS_OK)
        fleet_reply_error(fleet, call, rc,
                          rc == PS_FORBIDDEN
                              ? "this agent was revoked"
                              : "this session is over; say hello again");
    else if (in->body_case != PORTSIDE__CALL__BODY_HELLO)
        dispatch(fleet, member, call, in);
    portside__call__free_unpacked(in, NULL);
}
