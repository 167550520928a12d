/*
 * Session and lease. See uplink.h for the states; log.c, publish.c, config.c
 * and probes.c for what a session is good for.
 *
 * The lease: a heartbeat is answered with the number of the newest entry. The
 * lease runs from when the heartbeat was SENT, and only once everything up to
 * that number has been applied; so it holds on any clock and any delay
 * (contract C3, hazard 29).
 */
#include "agent/link/codec.h"
#include "agent/link/uplink_private.h"
#include "common/log.h"
#include "common/tls.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    HELLO_DELAY_MIN_MS = 100,
    HELLO_DELAY_MAX_MS = 2000,
    SILENCE_MS = 4000, /* ticks come every 250 ms */
    TELL_MS = 1000,
    UNSETTLED_MORE_MS = 1000,
    RENEW_BEFORE_S = 30 * 24 * 3600,
    RESTING_MAX = 64, /* origins that a heartbeat tells of */
    FABRIC_PROTOCOL = 1
};

static uint64_t
now_us(struct ps_uplink *u)
{
    return ps_clock_now_us(ps_loop_clock(u->conf.loop));
}

static enum ps_uplink_state
state_of(struct ps_uplink *u)
{
    return (enum ps_uplink_state)atomic_load(&u->state);
}

/* ---------------------------------------------------------------- calls */

static void
end_revoked(struct ps_uplink *u)
{
    if (state_of(u) == PS_UPLINK_REVOKED)
        return;
    atomic_store(&u->state, PS_UPLINK_REVOKED);
    u->generation++;
    ps_lease_drop(u->conf.lease);
    ps_timer_stop(&u->heartbeat_timer);
    ps_timer_stop(&u->hello_timer);
    ps_error("link", "this agent was revoked by the control plane");
    u->conf.revoked(u->conf.arg);
}

static void
on_reply(void *arg, enum ps_rc rc, struct ps_str body)
{
    struct ps_uplink_call *call = arg;
    struct ps_uplink *u = call->uplink;
    Portside__Reply *reply = NULL;
    bool current = call->generation == u->generation;
    if (rc == PS_OK)
        reply =
            portside__reply__unpack(NULL, body.len, (const uint8_t *)body.ptr);
    bool ok = reply && current && strcmp(reply->code, "ok") == 0;
    bool unauthorized = reply && strcmp(reply->code, "unauthorized") == 0;
    bool forbidden = reply && strcmp(reply->code, "forbidden") == 0;
    if (reply && !ok && current && !unauthorized)
        ps_warn("link", "the control plane says %s: %s", reply->code,
                reply->message);
    call->fn(call, ok ? reply : NULL);
    if (current && forbidden)
        end_revoked(u);
    else if (current && unauthorized && state_of(u) == PS_UPLINK_LIVE)
        ps_uplink_say_hello(u, 0);
    if (reply)
        portside__reply__free_unpacked(reply, NULL);
    free(call);
}

void
ps_uplink_call(struct ps_uplink *u, Portside__Call *body, unsigned timeout_ms,
               struct ps_outbox_batch *batch,
               void (*fn)(struct ps_uplink_call *, const Portside__Reply *))
{
    struct ps_uplink_call *call = calloc(1, sizeof(*call));
    char *data = NULL;
    size_t len = 0;
    PS_CHECK(call != NULL); /* a few bytes; without them nothing goes on */
    *call = (struct ps_uplink_call){.uplink = u,
                                    .generation = u->generation,
                                    .sent_us = now_us(u),
                                    .batch = batch,
                                    .fn = fn};
    if (u->session_id) {
        body->session_id = u->session_id;
        body->session_secret = u->session_secret;
    }
    enum ps_rc rc = ps_codec_pack(&body->base, &data, &len);
    PS_CHECK(rc == PS_OK);
    ps_bus_call(u->bus, (struct ps_str){data, len}, timeout_ms, on_reply, call);
    free(data);
}

/* ---------------------------------------------------------------- lease */

void
ps_uplink_try_lease(struct ps_uplink *u)
{
    if (!u->pending.valid || u->order.applied < u->pending.newest ||
        state_of(u) != PS_UPLINK_LIVE)
        return;
    u->pending.valid = false;
    u->renewed_from_us = u->pending.sent_us;
    ps_lease_renew(u->conf.lease, u->pending.sent_us + u->pending.lease_us,
                   u->pending.max_age_us);
}

static void
on_heartbeat(struct ps_uplink_call *call, const Portside__Reply *reply)
{
    struct ps_uplink *u = call->uplink;
    if (!reply || reply->body_case != PORTSIDE__REPLY__BODY_HEARTBEAT)
        return;
    const Portside__HeartbeatReply *h = reply->heartbeat;
    struct ps_str epoch = ps_str_of(h->epoch);
    if (!ps_str_eq(epoch, ps_str_of(u->order.epoch))) {
        ps_uplink_say_hello(u, 0);
        return;
    }
    /* An answer to an older heartbeat that comes late says nothing new. */
    if (call->sent_us >= u->renewed_from_us &&
        (!u->pending.valid || call->sent_us >= u->pending.sent_us)) {
        u->pending.valid = true;
        u->pending.sent_us = call->sent_us;
        u->pending.newest = h->newest;
        u->pending.lease_us = (h->lease_ms ? h->lease_ms : u->lease_ms) * 1000;
        u->pending.max_age_us =
            h->restricted ? h->restricted_max_age_ms * 1000 : UINT64_MAX;
    }
    ps_uplink_try_lease(u);
    ps_notices_lease(u);
    ps_notices_known(u, h->noticed);
    u->conf.drain(u->conf.arg, h->draining);
    ps_uplink_on_newest(u, epoch, h->newest);
    ps_uplink_want_config(u, h->config_version);
    ps_uplink_publish(u);
}

/* What a heartbeat says of origins; borrows from itself. */
struct resting {
    struct ps_breaker_state states[RESTING_MAX];
    Portside__OriginResting told[RESTING_MAX];
    Portside__OriginResting *list[RESTING_MAX];
};

static void
tell_resting(const struct ps_uplink *u, struct resting *r,
             Portside__Heartbeat *beat)
{
    size_t n = 0;
    if (u->conf.breakers)
        n = u->conf.breakers(u->conf.arg, r->states, RESTING_MAX);
    n = PS_MIN(n, (size_t)RESTING_MAX);
    for (size_t i = 0; i < n; i++) {
        portside__origin_resting__init(&r->told[i]);
        r->told[i].cache_id = r->states[i].cache_id;
        r->told[i].trying = r->states[i].breaker == PS_BREAKER_HALF_OPEN;
        r->list[i] = &r->told[i];
    }
    beat->n_resting = n;
    beat->resting = r->list;
}

void
ps_uplink_heartbeat(struct ps_uplink *u)
{
    struct resting resting;
    struct ps_told_notices told;
    Portside__Heartbeat beat;
    portside__heartbeat__init(&beat);
    Portside__Call call;
    portside__call__init(&call);
    if (state_of(u) != PS_UPLINK_LIVE)
        return;
    beat.epoch = u->order.epoch;
    beat.applied = u->order.applied;
    beat.config_version = u->config_version;
    tell_resting(u, &resting, &beat);
    beat.drain = u->conf.drained(u->conf.arg, &beat.busy);
    ps_notices_tell(u, &told, &beat);
    call.body_case = PORTSIDE__CALL__BODY_HEARTBEAT;
    call.heartbeat = &beat;
    ps_uplink_call(u, &call, (unsigned)u->lease_ms, NULL, on_heartbeat);
}

static void
on_heartbeat_timer(void *arg)
{
    struct ps_uplink *u = arg;
    ps_notices_lease(u);
    ps_uplink_heartbeat(u);
    ps_timer_start_ms(&u->heartbeat_timer, u->heartbeat_ms);
}

/* -------------------------------------------------------------- session */

static bool
take_session(struct ps_uplink *u, const Portside__HelloReply *h)
{
    char *id = strdup(h->session_id), *secret = strdup(h->session_secret);
    if (!id || !secret || !id[0] || !h->epoch[0]) {
        free(id);
        free(secret);
        return false;
    }
    free(u->session_id);
    free(u->session_secret);
    u->session_id = id;
    u->session_secret = secret;
    if (h->lease_ms >= 100 && h->lease_ms <= 600000)
        u->lease_ms = h->lease_ms;
    if (h->heartbeat_ms >= 10 && h->heartbeat_ms < u->lease_ms)
        u->heartbeat_ms = h->heartbeat_ms;
    return true;
}

static void
on_renewed(struct ps_uplink_call *call, const Portside__Reply *reply)
{
    struct ps_uplink *u = call->uplink;
    struct ps_err err = {0};
    u->renewing = false;
    if (!reply || reply->body_case != PORTSIDE__REPLY__BODY_RENEW)
        return;
    if (ps_agent_state_save_cert(u->conf.state, reply->renew->cert_pem,
                                 reply->renew->ca_pem, &err) != PS_OK)
        ps_warn("link", "the renewed certificate was not kept: %s",
                err.message);
    else
        ps_info("link", "certificate renewed; used from the next start on");
}

static void
renew_certificate(struct ps_uplink *u, bool asked)
{
    int64_t left_s = 0;
    char *csr = NULL;
    if (ps_tls_expires_in_s(u->conf.state->cert_pem, &left_s, NULL) != PS_OK)
        left_s = 0;
    if (u->renewing || (!asked && left_s > RENEW_BEFORE_S))
        return;
    if (ps_tls_make_csr(u->conf.state->key_pem, u->conf.state->agent_name, &csr,
                        NULL) != PS_OK)
        return;
    Portside__RenewCertificate renew;
    portside__renew_certificate__init(&renew);
    Portside__Call call;
    portside__call__init(&call);
    renew.csr_pem = csr;
    call.body_case = PORTSIDE__CALL__BODY_RENEW;
    call.renew = &renew;
    u->renewing = true;
    ps_uplink_call(u, &call, PS_UPLINK_CALL_TIMEOUT_MS, NULL, on_renewed);
    free(csr);
}

static void
on_hello(struct ps_uplink_call *call, const Portside__Reply *reply)
{
    struct ps_uplink *u = call->uplink;
    if (call->generation != u->generation)
        return;
    const Portside__HelloReply *h =
        reply && reply->body_case == PORTSIDE__REPLY__BODY_HELLO ? reply->hello
                                                                 : NULL;
    if (!h || !take_session(u, h)) {
        u->hello_delay_ms =
            PS_MIN(u->hello_delay_ms * 2, (uint64_t)HELLO_DELAY_MAX_MS);
        ps_uplink_say_hello(u, u->hello_delay_ms);
        return;
    }
    u->hello_delay_ms = HELLO_DELAY_MIN_MS;
    /* Before anybody sees it ready. */
    u->conf.drain(u->conf.arg, h->draining);
    atomic_store(&u->state, PS_UPLINK_LIVE);
    ps_info("link", "session with the control plane, region %s, log at %llu",
            h->region, (unsigned long long)h->newest);
    if (ps_order_hello(&u->order, ps_str_of(h->epoch), h->newest))
        ps_uplink_drop_all(u);
    else
        ps_uplink_on_newest(u, ps_str_of(h->epoch), h->newest);
    ps_uplink_show_position(u);
    u->snapshot_under_way = false;
    ps_uplink_want_config(u, UINT64_MAX);
    on_heartbeat_timer(u);
    ps_uplink_publish(u);
    renew_certificate(u, h->renew_certificate);
}

static void
send_hello(void *arg)
{
    struct ps_uplink *u = arg;
    Portside__Hello hello;
    portside__hello__init(&hello);
    Portside__Call call;
    portside__call__init(&call);
    char host[256] = "", version[] = PS_VERSION;
    gethostname(host, sizeof(host) - 1);
    atomic_store(&u->state, PS_UPLINK_HELLO);
    hello.agent_id = u->conf.state->agent_id;
    hello.agent_secret = u->conf.state->agent_secret;
    hello.version = version;
    hello.protocol = FABRIC_PROTOCOL;
    hello.hostname = host;
    hello.endpoint = u->endpoint;
    hello.instance = u->instance;
    call.body_case = PORTSIDE__CALL__BODY_HELLO;
    call.hello = &hello;
    ps_uplink_call(u, &call, PS_UPLINK_CALL_TIMEOUT_MS, NULL, on_hello);
}

void
ps_uplink_say_hello(struct ps_uplink *u, uint64_t delay_ms)
{
    if (state_of(u) == PS_UPLINK_REVOKED)
        return;
    /* Whatever is under way belongs to the session before. */
    u->generation++;
    atomic_store(&u->state, PS_UPLINK_OFFLINE);
    u->pending.valid = false;
    u->snapshot_under_way = false;
    ps_timer_stop(&u->heartbeat_timer);
    free(u->session_id);
    free(u->session_secret);
    u->session_id = u->session_secret = NULL;
    ps_timer_start_ms(&u->hello_timer, delay_ms);
}

/* --------------------------------------------------------------- events */

static void
on_event(void *arg, struct ps_str body)
{
    struct ps_uplink *u = arg;
    if (state_of(u) != PS_UPLINK_LIVE)
        return; /* hello tells where the log stands */
    Portside__Event *e =
        portside__event__unpack(NULL, body.len, (const uint8_t *)body.ptr);
    if (!e) {
        ps_warn("link", "an event cannot be read");
        return;
    }
    struct ps_str epoch = ps_str_of(e->epoch);
    switch (e->body_case) {
    case PORTSIDE__EVENT__BODY_ENTRY:
        ps_uplink_on_entry(u, epoch, e->entry);
        break;
    case PORTSIDE__EVENT__BODY_TICK:
        ps_uplink_on_newest(u, epoch, e->tick->newest);
        if (state_of(u) == PS_UPLINK_LIVE)
            ps_uplink_want_config(u, e->tick->config_version);
        break;
    case PORTSIDE__EVENT__BODY_PROBE:
        if (e->probe->agent_id[0] == '\0' ||
            strcmp(e->probe->agent_id, u->conf.state->agent_id) == 0)
            ps_prober_request(u->prober, e->probe);
        break;
    case PORTSIDE__EVENT__BODY_ASK:
        ps_uplink_asked(u, e->ask);
        break;
    case PORTSIDE__EVENT__BODY_REVOKED_AGENT_ID:
        if (strcmp(e->revoked_agent_id, u->conf.state->agent_id) == 0)
            end_revoked(u);
        break;
    default: /* of a newer control plane */
        break;
    }
    portside__event__free_unpacked(e, NULL);
}

static void
on_link(void *arg, bool up)
{
    struct ps_uplink *u = arg;
    ps_info("link", "events from the control plane: %s",
            up ? "connected" : "disconnected");
    if (!up)
        return;
    if (state_of(u) == PS_UPLINK_OFFLINE)
        ps_uplink_say_hello(u, 0);
    else
        ps_uplink_heartbeat(u); /* its answer shows what was missed */
}

/* ------------------------------------------------------------ life cycle */

static enum ps_rc
start_bus(struct ps_uplink *u, struct ps_err *err)
{
    const struct ps_bus_tls tls = {.ca_pem = u->conf.state->ca_pem,
                                   .cert_pem = u->conf.state->cert_pem,
                                   .key_pem = u->conf.state->key_pem};
    const struct ps_bus_client_conf conf = {
        .loop = u->conf.loop,
        .tls = &tls,
        .call_address = u->conf.state->call_address,
        .event_address = u->conf.state->event_address,
        .on_event = on_event,
        .on_link = on_link,
        .silence_ms = SILENCE_MS,
        .arg = u};
    return ps_bus_client_start(&u->bus, &conf, err);
}

static void goodbye_task(struct ps_task *task);
static void goodbye_poll(void *arg);
static void goodbye_give_up(void *arg);

enum ps_rc
ps_uplink_new(struct ps_uplink **out, const struct ps_uplink_conf *conf,
              struct ps_err *err)
{
    struct ps_uplink *u = calloc(1, sizeof(*u));
    if (!u)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    u->magic = PS_UPLINK_MAGIC;
    u->conf = *conf;
    ps_uuid_make(u->instance);
    pthread_mutex_init(&u->notices.lock, NULL);
    u->lease_ms = 2000;
    u->heartbeat_ms = 400;
    u->hello_delay_ms = HELLO_DELAY_MIN_MS;
    ps_order_init(&u->order);
    ps_timer_init(&u->hello_timer, conf->loop, send_hello, u);
    ps_timer_init(&u->heartbeat_timer, conf->loop, on_heartbeat_timer, u);
    ps_timer_init(&u->goodbye.deadline, conf->loop, goodbye_give_up, u);
    ps_timer_init(&u->goodbye.poll, conf->loop, goodbye_poll, u);
    u->goodbye.task.fn = goodbye_task;
    ps_uplink_publish_init(u);
    u->outbox = ps_outbox_new();
    u->prober = ps_prober_new(u);
    if (conf->collector)
        u->teller = ps_teller_new(u);
    if (!u->outbox || !u->prober || (conf->collector && !u->teller)) {
        ps_uplink_free(&u);
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    }
    ps_uplink_load_config(u);
    *out = u;
    return PS_OK;
}

enum ps_rc
ps_uplink_start(struct ps_uplink *u, const char *endpoint, struct ps_err *err)
{
    u->endpoint = strdup(endpoint);
    if (!u->endpoint)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    enum ps_rc rc = start_bus(u, err);
    if (rc == PS_OK) {
        ps_uplink_say_hello(u, 0);
        ps_teller_start(u->teller);
    }
    return rc;
}

const struct ps_publisher *
ps_uplink_publisher(struct ps_uplink *u)
{
    return &u->publisher;
}

const char *
ps_uplink_trouble(struct ps_uplink *u)
{
    switch (state_of(u)) {
    case PS_UPLINK_REVOKED:
        return "this agent was revoked";
    case PS_UPLINK_OFFLINE:
    case PS_UPLINK_HELLO:
        return "there is no session with the control plane";
    case PS_UPLINK_LIVE:
        break;
    }
    return NULL;
}

void
ps_uplink_free(struct ps_uplink **uplink)
{
    struct ps_uplink *u = *uplink;
    if (!u)
        return;
    PS_CHECK_OBJ(u, PS_UPLINK_MAGIC);
    ps_timer_stop(&u->hello_timer);
    ps_timer_stop(&u->heartbeat_timer);
    ps_timer_stop(&u->goodbye.deadline);
    ps_timer_stop(&u->goodbye.poll);
    u->generation++;
    if (u->bus)
        ps_bus_client_stop(&u->bus);
    ps_teller_free(&u->teller);
    if (u->outbox)
        ps_uplink_publish_done(u);
    ps_prober_abandon(&u->prober);
    free(u->endpoint);
    free(u->session_id);
    free(u->session_secret);
    pthread_mutex_destroy(&u->notices.lock);
    u->magic = 0;
    free(u);
    *uplink = NULL;
}

/* --------------------------------------------------------------- goodbye */

static void
goodbye_finish(struct ps_uplink *u)
{
    ps_timer_stop(&u->goodbye.deadline);
    ps_timer_stop(&u->goodbye.poll);
    if (u->goodbye.fn) {
        void (*fn)(void *) = u->goodbye.fn;
        u->goodbye.fn = NULL;
        fn(u->goodbye.arg);
    }
}

static void
on_goodbye(struct ps_uplink_call *call, const Portside__Reply *reply)
{
    (void)reply;
    goodbye_finish(call->uplink);
}

/* A little more than what is left, for a last telling that is late. */
static uint64_t
unsettled_ms(struct ps_uplink *u)
{
    uint64_t now = ps_clock_now_ms(ps_loop_clock(u->conf.loop));
    uint64_t until = atomic_load(&u->unsettled_until_ms);
    return until && until + UNSETTLED_MORE_MS > now
               ? until + UNSETTLED_MORE_MS - now
               : 0;
}

static void
goodbye_poll(void *arg)
{
    struct ps_uplink *u = arg;
    if (u->goodbye.sent)
        return;
    if (atomic_load(&u->writes_in_flight) > 0 || !ps_uplink_all_told(u) ||
        state_of(u) != PS_UPLINK_LIVE) {
        ps_timer_start_ms(&u->goodbye.poll, 20);
        return;
    }
    Portside__Goodbye goodbye;
    portside__goodbye__init(&goodbye);
    Portside__Call call;
    portside__call__init(&call);
    goodbye.clean = true;
    goodbye.unsettled_ms = unsettled_ms(u);
    call.body_case = PORTSIDE__CALL__BODY_GOODBYE;
    call.goodbye = &goodbye;
    u->goodbye.sent = true;
    ps_timer_stop(&u->heartbeat_timer);
    ps_lease_drop(u->conf.lease);
    ps_uplink_call(u, &call, 1000, NULL, on_goodbye);
}

/* No goodbye at all: the control plane counts this agent as lost, which is
 * right when something could not be told. */
static void
goodbye_give_up(void *arg)
{
    struct ps_uplink *u = arg;
    ps_warn("link", "leaving without goodbye");
    goodbye_finish(u);
}

static void
on_counted_told(struct ps_uplink *u)
{
    if (ps_timer_active(&u->goodbye.deadline))
        goodbye_poll(u);
}

static void
goodbye_task(struct ps_task *task)
{
    struct ps_uplink *u = PS_CONTAINER_OF(task, struct ps_uplink, goodbye.task);
    ps_timer_start_ms(&u->goodbye.deadline, u->goodbye.timeout_ms);
    if (!u->teller) {
        goodbye_poll(u);
        return;
    }
    /* Statistics first, but not for long. */
    ps_timer_start_ms(&u->goodbye.poll, TELL_MS);
    ps_teller_finish(u->teller, on_counted_told);
}

void
ps_uplink_goodbye(struct ps_uplink *u, uint64_t timeout_ms,
                  void (*fn)(void *arg), void *arg)
{
    if (atomic_exchange(&u->goodbye.asked, true))
        return;
    u->goodbye.timeout_ms = timeout_ms;
    u->goodbye.fn = fn;
    u->goodbye.arg = arg;
    ps_loop_post(u->conf.loop, &u->goodbye.task);
}
