/*
 * The service over a clock moved by hand and a bus of two functions: calls go
 * in packed, replies and events are caught. The store and the CA are real.
 */
#include "common/buf.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/tls.h"
#include "controlplane/fleet/fleet.h"
#include "proto/portside.pb-c.h"
#include "tests/unit.h"

#include <stdio.h>
#include <unistd.h>

enum {
    LEASE = 2000,
    HEARTBEAT = 400,
    TICK = 250,
    STEP = 10,
    EVENTS_MAX = 4096,
    RING = 64
};

struct pending {
    Portside__Reply *reply;
    int count;
};

struct world {
    char dir[64];
    struct ps_clock *clock;
    struct ps_loop *loop;
    struct ps_db *db;
    struct ps_ca *ca;
    struct ps_fleet *fleet;
    Portside__Event *events[EVENTS_MAX];
    size_t n_events;
};

/* An agent as the fabric sees it. */
struct peer {
    char id[37];
    char secret[16];
    char session_id[64], session_secret[80];
    char epoch[64];
    char instance[8]; /* of its process */
};

static void
on_publish(void *arg, struct ps_str event)
{
    struct world *w = arg;
    PS_CHECK(w->n_events < EVENTS_MAX);
    w->events[w->n_events] =
        portside__event__unpack(NULL, event.len, (const uint8_t *)event.ptr);
    assert_non_null(w->events[w->n_events++]);
}

static void
on_reply(void *arg, void *call, struct ps_str body)
{
    (void)arg;
    struct pending *p = call;
    p->count++;
    p->reply =
        portside__reply__unpack(NULL, body.len, (const uint8_t *)body.ptr);
    assert_non_null(p->reply);
}

static void
open_fleet(struct world *w)
{
    struct ps_fleet_conf conf = {
        .loop = w->loop,
        .db = w->db,
        .ca = w->ca,
        .lease_ms = LEASE,
        .heartbeat_ms = HEARTBEAT,
        .tick_ms = TICK,
        .log_entries = RING,
        .log_bytes = 1 << 20,
        .publish = on_publish,
        .reply = on_reply,
        .arg = w,
    };
    assert_int_equal(ps_fleet_new(&w->fleet, &conf, NULL), PS_OK);
}

static void
forget_events(struct world *w)
{
    while (w->n_events > 0)
        portside__event__free_unpacked(w->events[--w->n_events], NULL);
}

static int
setup(void **state)
{
    char path[128];
    struct world *w = calloc(1, sizeof(*w));
    ps_log_set_level(PS_LOG_OFF);
    snprintf(w->dir, sizeof(w->dir), "/tmp/portside-fleet-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(path, sizeof(path), "%s/portside.db", w->dir);
    w->clock = ps_clock_virtual_new();
    w->loop = ps_loop_new(w->clock, "test");
    assert_int_equal(ps_db_open(&w->db, path, NULL), PS_OK);
    assert_int_equal(ps_ca_open(&w->ca, w->dir, NULL), PS_OK);
    open_fleet(w);
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    static const char *const files[] = {"portside.db", "portside.db-wal",
                                        "portside.db-shm", "ca.key", "ca.crt"};
    struct world *w = *state;
    char path[128];
    ps_fleet_free(&w->fleet);
    forget_events(w);
    ps_db_close(&w->db);
    ps_ca_close(&w->ca);
    ps_loop_free(&w->loop);
    ps_clock_virtual_free(&w->clock);
    for (size_t i = 0; i < PS_ARRAY_LEN(files); i++) {
        snprintf(path, sizeof(path), "%s/%s", w->dir, files[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(w->dir), 0);
    free(w);
    return 0;
}

/* A new process on the same store. */
static void
restart(struct world *w)
{
    ps_fleet_free(&w->fleet);
    forget_events(w);
    open_fleet(w);
}

static void
advance(struct world *w, uint64_t ms)
{
    for (uint64_t passed = 0; passed < ms; passed += STEP) {
        ps_clock_virtual_advance_us(w->clock, STEP * 1000);
        while (ps_loop_turn(w->loop) > 0)
            continue;
    }
}

static void
send(struct world *w, const struct peer *peer, Portside__Call *call,
     struct pending *pending)
{
    uint8_t bytes[8192];
    char id[64], secret[80];
    snprintf(id, sizeof(id), "%s", peer->session_id);
    snprintf(secret, sizeof(secret), "%s", peer->session_secret);
    call->session_id = id;
    call->session_secret = secret;
    size_t len = portside__call__get_packed_size(call);
    assert_in_range(len, 0, sizeof(bytes));
    portside__call__pack(call, bytes);
    *pending = (struct pending){NULL, 0};
    ps_fleet_call(w->fleet, pending,
                  (struct ps_str){.ptr = (const char *)bytes, .len = len});
}

/* A call that is answered at once. */
static Portside__Reply *
ask(struct world *w, const struct peer *peer, Portside__Call *call)
{
    struct pending pending;
    send(w, peer, call, &pending);
    assert_int_equal(pending.count, 1);
    return pending.reply;
}

static void
done(Portside__Reply *reply)
{
    portside__reply__free_unpacked(reply, NULL);
}

static void
assert_code(Portside__Reply *reply, const char *code)
{
    assert_string_equal(reply->code, code);
    done(reply);
}

/* ------------------------------------------------------------- helpers */

static struct peer
enroll(struct world *w, const char *name)
{
    struct peer peer = {.secret = "s3cret", .instance = "one"};
    struct ps_join_token join = {.region = "eu", .expires_ms = INT64_MAX};
    struct ps_agent agent = {.region = "eu"};
    ps_uuid_make(join.id);
    ps_random_bytes(join.secret_hash, sizeof(join.secret_hash));
    join.created_ms = 1;
    assert_int_equal(ps_db_join_insert(w->db, &join, NULL), PS_OK);
    ps_uuid_make(agent.id);
    snprintf(agent.name, sizeof(agent.name), "%s", name);
    ps_sha256(ps_str_of(peer.secret), agent.secret_hash);
    agent.enrolled_ms = 1;
    agent.certificate_expires_ms = ps_wall_ms() + 80LL * 86400000;
    assert_int_equal(ps_db_enroll(w->db, join.id, &agent, NULL), PS_OK);
    assert_int_equal(ps_fleet_agent_added(w->fleet, &agent, NULL), PS_OK);
    memcpy(peer.id, agent.id, sizeof(peer.id));
    return peer;
}

static Portside__Reply *
say_hello(struct world *w, struct peer *peer, char *secret)
{
    char version[] = "1.0", endpoint[] = "http://x";
    Portside__Hello body = PORTSIDE__HELLO__INIT;
    body.agent_id = peer->id;
    body.agent_secret = secret;
    body.protocol = 1;
    body.version = version;
    body.endpoint = endpoint;
    body.instance = peer->instance;
    Portside__Call call = PORTSIDE__CALL__INIT;
    call.body_case = PORTSIDE__CALL__BODY_HELLO;
    call.hello = &body;
    return ask(w, peer, &call);
}

static void
hello(struct world *w, struct peer *peer)
{
    Portside__Reply *reply = say_hello(w, peer, peer->secret);
    assert_string_equal(reply->code, "ok");
    snprintf(peer->session_id, sizeof(peer->session_id), "%s",
             reply->hello->session_id);
    snprintf(peer->session_secret, sizeof(peer->session_secret), "%s",
             reply->hello->session_secret);
    snprintf(peer->epoch, sizeof(peer->epoch), "%s", reply->hello->epoch);
    assert_int_equal(reply->hello->lease_ms, LEASE);
    assert_string_equal(reply->hello->region, "eu");
    done(reply);
}

static Portside__Reply *
beat(struct world *w, struct peer *peer, uint64_t applied)
{
    Portside__Heartbeat body = PORTSIDE__HEARTBEAT__INIT;
    body.epoch = peer->epoch;
    body.applied = applied;
    Portside__Call call = PORTSIDE__CALL__INIT;
    call.body_case = PORTSIDE__CALL__BODY_HEARTBEAT;
    call.heartbeat = &body;
    return ask(w, peer, &call);
}

static bool
restricted(struct world *w, struct peer *peer)
{
    Portside__Reply *reply = beat(w, peer, 0);
    assert_string_equal(reply->code, "ok");
    bool is = reply->heartbeat->restricted;
    assert_int_equal(reply->heartbeat->restricted_max_age_ms, is ? LEASE : 0);
    done(reply);
    return is;
}

static void
publish(struct world *w, struct peer *peer, const char *request_id,
        bool wait_all, struct pending *pending)
{
    char id[64], cache_id[] = "c1";
    Portside__Invalidation item = PORTSIDE__INVALIDATION__INIT;
    Portside__Invalidation *items[] = {&item};
    Portside__Publish body = PORTSIDE__PUBLISH__INIT;
    snprintf(id, sizeof(id), "%s", request_id);
    item.cache_id = cache_id;
    body.request_id = id;
    body.n_invalidations = 1;
    body.invalidations = items;
    body.wait_all = wait_all;
    Portside__Call call = PORTSIDE__CALL__INIT;
    call.body_case = PORTSIDE__CALL__BODY_PUBLISH;
    call.publish = &body;
    send(w, peer, &call, pending);
}

static uint64_t
publish_now(struct world *w, struct peer *peer, const char *request_id)
{
    struct pending pending;
    publish(w, peer, request_id, false, &pending);
    assert_int_equal(pending.count, 1);
    assert_string_equal(pending.reply->code, "ok");
    uint64_t number = pending.reply->publish->last;
    done(pending.reply);
    return number;
}

static Portside__Reply *
fetch(struct world *w, struct peer *peer, uint64_t after)
{
    Portside__Fetch body = PORTSIDE__FETCH__INIT;
    body.epoch = peer->epoch;
    body.after = after;
    Portside__Call call = PORTSIDE__CALL__INIT;
    call.body_case = PORTSIDE__CALL__BODY_FETCH;
    call.fetch = &body;
    return ask(w, peer, &call);
}

static void
goodbye_leaving(struct world *w, struct peer *peer, bool clean,
                uint64_t unsettled_ms)
{
    Portside__Goodbye body = PORTSIDE__GOODBYE__INIT;
    body.clean = clean;
    body.unsettled_ms = unsettled_ms;
    Portside__Call call = PORTSIDE__CALL__INIT;
    call.body_case = PORTSIDE__CALL__BODY_GOODBYE;
    call.goodbye = &body;
    assert_code(ask(w, peer, &call), "ok");
}

static void
goodbye(struct world *w, struct peer *peer, bool clean)
{
    goodbye_leaving(w, peer, clean, 0);
}

/* Restricted now, for so long, and not longer. */
static bool
restricted_for(struct world *w, struct peer *peer, uint64_t ms)
{
    for (uint64_t passed = 0; passed < ms; passed += 100) {
        if (!restricted(w, peer))
            return false;
        advance(w, 100);
    }
    return !restricted(w, peer);
}

static uint64_t
newest(struct world *w)
{
    struct ps_fleet_status status;
    ps_fleet_status(w->fleet, &status);
    return status.newest;
}

/* The last event of this kind; there must be one. */
static Portside__Event *
last_event(struct world *w, Portside__Event__BodyCase kind)
{
    size_t i = w->n_events;
    while (i > 0 && w->events[i - 1]->body_case != kind)
        i--;
    PS_CHECK(i > 0);
    return w->events[i - 1];
}

/* The newest entry invalidates everything. */
static void
assert_flushed(struct world *w, uint64_t number)
{
    Portside__Event *event = last_event(w, PORTSIDE__EVENT__BODY_ENTRY);
    assert_int_equal(event->entry->number, number);
    assert_string_equal(event->entry->agent_id, "");
    assert_string_equal(event->entry->invalidation->cache_id, "");
    assert_true(event->entry->ack_wanted);
    assert_int_equal(newest(w), number);
}

/* --------------------------------------------------------------- calls */

static void
a_wrong_secret_says_no_more_than_an_unknown_agent(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a"), nobody = {.id = "nobody"};
    char wrong[] = "wrong";
    Portside__Reply *one = say_hello(w, &a, wrong);
    Portside__Reply *two = say_hello(w, &nobody, wrong);
    assert_string_equal(one->code, "forbidden");
    assert_string_equal(one->code, two->code);
    assert_string_equal(one->message, two->message);
    done(one);
    done(two);
}

static void
calls_without_a_session_are_refused(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a");
    struct pending pending = {NULL, 0};
    assert_code(beat(w, &a, 0), "unauthorized");
    hello(w, &a);
    assert_code(beat(w, &a, 0), "ok");
    a.session_secret[3] ^= 1;
    assert_code(beat(w, &a, 0), "unauthorized");
    ps_fleet_call(w->fleet, &pending, PS_STR("\xff\xff\xff"));
    assert_int_equal(pending.count, 1);
    assert_code(pending.reply, "bad_request");
}

static void
another_protocol_is_refused(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a");
    Portside__Hello body = PORTSIDE__HELLO__INIT;
    body.agent_id = a.id;
    body.agent_secret = a.secret;
    body.protocol = 2;
    Portside__Call call = PORTSIDE__CALL__INIT;
    call.body_case = PORTSIDE__CALL__BODY_HELLO;
    call.hello = &body;
    assert_code(ask(w, &a, &call), "unsupported");
}

static void
publishes_are_numbered_and_announced_in_order(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a");
    hello(w, &a);
    forget_events(w);
    assert_int_equal(publish_now(w, &a, "r1"), 1);
    assert_int_equal(publish_now(w, &a, "r2"), 2);
    /* Sent again: the same number, nothing new. */
    assert_int_equal(publish_now(w, &a, "r1"), 1);
    assert_int_equal(newest(w), 2);
    assert_int_equal(w->n_events, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(w->events[i]->entry->number, i + 1);
        assert_string_equal(w->events[i]->entry->agent_id, a.id);
        assert_string_equal(w->events[i]->epoch, a.epoch);
    }
}

static void
a_publish_without_anything_is_refused(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a");
    struct pending pending;
    hello(w, &a);
    publish(w, &a, "", false, &pending);
    assert_code(pending.reply, "bad_field");
    assert_int_equal(newest(w), 0);
}

static void
fetch_gives_what_is_missing_or_says_too_old(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a");
    char id[16];
    hello(w, &a);
    for (int i = 1; i <= RING + 10; i++) {
        snprintf(id, sizeof(id), "r%d", i);
        publish_now(w, &a, id);
    }
    Portside__Reply *reply = fetch(w, &a, RING);
    assert_false(reply->fetch->too_old);
    assert_int_equal(reply->fetch->n_entries, 10);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(reply->fetch->entries[i]->number, RING + 1 + i);
    done(reply);
    reply = fetch(w, &a, 10); /* 11 is the oldest held */
    assert_false(reply->fetch->too_old);
    assert_int_equal(reply->fetch->n_entries, RING);
    done(reply);
    reply = fetch(w, &a, 9);
    assert_true(reply->fetch->too_old);
    assert_int_equal(reply->fetch->n_entries, 0);
    assert_int_equal(reply->fetch->newest, RING + 10);
    done(reply);
    reply = fetch(w, &a, RING + 10);
    assert_false(reply->fetch->too_old);
    assert_int_equal(reply->fetch->n_entries, 0);
    done(reply);
    reply = fetch(w, &a, RING + 11);
    assert_true(reply->fetch->too_old);
    done(reply);
    a.epoch[0] ^= 1;
    reply = fetch(w, &a, RING);
    assert_true(reply->fetch->too_old);
    done(reply);
}

static void
a_snapshot_has_every_cache(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a");
    struct ps_cache_def def;
    hello(w, &a);
    Portside__SnapshotCall body = PORTSIDE__SNAPSHOT_CALL__INIT;
    Portside__Call call = PORTSIDE__CALL__INIT;
    call.body_case = PORTSIDE__CALL__BODY_SNAPSHOT;
    call.snapshot = &body;
    Portside__Reply *reply = ask(w, &a, &call);
    assert_string_equal(reply->code, "ok");
    assert_int_equal(reply->snapshot->n_caches, 0);
    done(reply);
    ps_def_init(&def);
    ps_uuid_make(def.id);
    snprintf(def.name, sizeof(def.name), "shop");
    snprintf(def.host, sizeof(def.host), "db.example.com");
    def.type = PS_DEF_MARIADB;
    def.port = 3306;
    def.write_ack = PORTSIDE__WRITE_ACK__ACK_GLOBAL;
    def.tls_mode = PORTSIDE__TLS_MODE__TLS_VERIFY_FULL;
    assert_int_equal(ps_db_cache_insert(w->db, &def, NULL), PS_OK);
    ps_fleet_config_changed(w->fleet);
    Portside__Event *tick = last_event(w, PORTSIDE__EVENT__BODY_TICK);
    assert_int_equal(tick->tick->config_version, 1);
    reply = ask(w, &a, &call);
    assert_int_equal(reply->snapshot->version, 1);
    assert_int_equal(reply->snapshot->n_caches, 1);
    assert_int_equal(reply->snapshot->heartbeat_ms, HEARTBEAT);
    const Portside__CacheConfig *cache = reply->snapshot->caches[0];
    assert_string_equal(cache->id, def.id);
    assert_string_equal(cache->host, "db.example.com");
    assert_int_equal(cache->provider, PORTSIDE__PROVIDER__MARIADB);
    assert_int_equal(cache->write_ack, PORTSIDE__WRITE_ACK__ACK_GLOBAL);
    assert_int_equal(cache->tls_mode, PORTSIDE__TLS_MODE__TLS_VERIFY_FULL);
    assert_true(cache->auto_cached);
    assert_true(cache->enabled);
    assert_int_equal(cache->ttl_max_ms, 3600000);
    done(reply);
}

static void
ticks_come_on_time(void **state)
{
    struct world *w = *state;
    forget_events(w);
    advance(w, 10 * TICK);
    assert_in_range(w->n_events, 9, 10);
    assert_int_equal(w->events[0]->body_case, PORTSIDE__EVENT__BODY_TICK);
}

static void
certificates_are_renewed(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a");
    char *key, *csr;
    int64_t left;
    hello(w, &a);
    assert_int_equal(ps_tls_make_key(&key, NULL), PS_OK);
    assert_int_equal(ps_tls_make_csr(key, "x", &csr, NULL), PS_OK);
    Portside__RenewCertificate body = PORTSIDE__RENEW_CERTIFICATE__INIT;
    body.csr_pem = csr;
    Portside__Call call = PORTSIDE__CALL__INIT;
    call.body_case = PORTSIDE__CALL__BODY_RENEW;
    call.renew = &body;
    Portside__Reply *reply = ask(w, &a, &call);
    assert_string_equal(reply->code, "ok");
    assert_int_equal(ps_tls_expires_in_s(reply->renew->cert_pem, &left, NULL),
                     PS_OK);
    assert_in_range(left, 89 * 86400, 90 * 86400);
    done(reply);
    char garbage[] = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n";
    body.csr_pem = garbage;
    assert_code(ask(w, &a, &call), "bad_field");
    free(csr);
    free(key);
}

/* --------------------------------------------------- restricted (C3) */

static void
a_lost_agent_restricts_the_others_in_time(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a"), b = enroll(w, "b");
    hello(w, &a);
    hello(w, &b);
    done(beat(w, &a, 0));
    assert_false(restricted(w, &b));
    /* b goes on, a is cut off. */
    uint64_t passed = 0;
    while (!restricted(w, &b)) {
        advance(w, HEARTBEAT);
        passed += HEARTBEAT;
        assert_true(passed <= LEASE);
    }
    assert_flushed(w, 1);
    assert_true(restricted(w, &b));
    struct ps_fleet_agent agent;
    assert_true(ps_fleet_agent(w->fleet, a.id, &agent));
    assert_string_equal(agent.state, "lost");
    /* It does not wear off. */
    for (int i = 0; i < 20; i++) {
        advance(w, HEARTBEAT);
        assert_true(restricted(w, &b));
    }
    /* a is told to say hello, does, and all is well after one more flush. */
    assert_code(beat(w, &a, 0), "unauthorized");
    hello(w, &a);
    assert_flushed(w, 2);
    assert_false(restricted(w, &b));
}

struct resters {
    char text[256];
};

static void
note_rester(void *arg, const struct ps_agent *agent, bool trying)
{
    struct resters *told_of = arg;
    size_t at = strlen(told_of->text);
    snprintf(told_of->text + at, sizeof(told_of->text) - at, "%s %d;",
             agent->name, trying);
}

/* Each heartbeat says all of it, and the end of a session that it is not
 * known any more. */
static void
origins_that_rest_are_told(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a"), b = enroll(w, "b");
    char one[] = "0b0e5f2a-0000-4000-8000-00000000000a", other[] = "elsewhere";
    char longer[] = "0b0e5f2a-0000-4000-8000-00000000000a-and-more";
    Portside__OriginResting told[200], *list[200];
    for (size_t i = 0; i < PS_ARRAY_LEN(list); i++) {
        portside__origin_resting__init(&told[i]);
        told[i].cache_id = i == 0 ? longer : i == 1 ? one : other;
        list[i] = &told[i];
    }
    Portside__Heartbeat body = PORTSIDE__HEARTBEAT__INIT;
    Portside__Call call = PORTSIDE__CALL__INIT;
    call.body_case = PORTSIDE__CALL__BODY_HEARTBEAT;
    call.heartbeat = &body;
    body.resting = list;
    struct peer *peers[] = {&a, &b};
    for (size_t i = 0; i < 2; i++) {
        hello(w, peers[i]);
        body.epoch = peers[i]->epoch;
        body.n_resting = i == 0 ? 2 : PS_ARRAY_LEN(list);
        told[1].trying = i == 1;
        done(ask(w, peers[i], &call));
    }
    struct resters told_of = {""};
    ps_fleet_each_resting(w->fleet, one, note_rester, &told_of);
    assert_true(strcmp(told_of.text, "a 0;b 1;") == 0 ||
                strcmp(told_of.text, "b 1;a 0;") == 0);
    done(beat(w, &a, 0));
    told_of = (struct resters){""};
    ps_fleet_each_resting(w->fleet, one, note_rester, &told_of);
    assert_string_equal(told_of.text, "b 1;");
    goodbye(w, &b, true);
    told_of = (struct resters){""};
    ps_fleet_each_resting(w->fleet, one, note_rester, &told_of);
    ps_fleet_each_resting(w->fleet, other, note_rester, &told_of);
    assert_string_equal(told_of.text, "");
}

static void
a_goodbye_restricts_nobody(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a"), b = enroll(w, "b");
    hello(w, &a);
    hello(w, &b);
    done(beat(w, &a, 0));
    goodbye(w, &a, true);
    for (int i = 0; i < 10; i++) {
        assert_false(restricted(w, &b));
        advance(w, HEARTBEAT);
    }
    assert_int_equal(newest(w), 0);
    /* Nor after a restart: the store knows. */
    restart(w);
    hello(w, &b);
    for (int i = 0; i < 10; i++) {
        assert_false(restricted(w, &b));
        advance(w, HEARTBEAT);
    }
}

static void
an_unclean_goodbye_restricts(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a"), b = enroll(w, "b");
    hello(w, &a);
    hello(w, &b);
    goodbye(w, &a, false);
    assert_flushed(w, 1);
    assert_true(restricted(w, &b));
}

static void
after_a_restart_silent_agents_are_lost(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a"), b = enroll(w, "b");
    hello(w, &a);
    hello(w, &b);
    char before[64];
    memcpy(before, a.epoch, sizeof(before));
    restart(w);
    assert_code(beat(w, &b, 0), "unauthorized");
    hello(w, &b);
    assert_string_not_equal(b.epoch, before);
    assert_false(restricted(w, &b));
    uint64_t passed = 0;
    while (!restricted(w, &b)) {
        advance(w, HEARTBEAT);
        passed += HEARTBEAT;
        assert_true(passed <= LEASE);
    }
    /* Revoked, until nothing that it sent can take effect any more. */
    assert_int_equal(ps_fleet_revoke(w->fleet, a.id, NULL), PS_OK);
    assert_true(restricted_for(
        w, &b, LEASE + PS_FLEET_MARGIN_MS + PS_FLEET_WRITE_MARGIN_MS));
}

/* A cache whose statements may run for so long. */
static void
add_cache(struct world *w, int64_t query_timeout_ms)
{
    struct ps_cache_def def;
    ps_def_init(&def);
    ps_uuid_make(def.id);
    snprintf(def.name, sizeof(def.name), "main");
    snprintf(def.host, sizeof(def.host), "db");
    def.type = PS_DEF_POSTGRES;
    def.port = 5432;
    def.query_timeout_ms = query_timeout_ms;
    assert_int_equal(ps_db_cache_insert(w->db, &def, NULL), PS_OK);
}

static void
what_a_dead_process_left_restricts_until_it_is_over(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a"), b = enroll(w, "b");
    add_cache(w, 7000);
    hello(w, &a);
    hello(w, &b);
    assert_false(restricted(w, &b));
    /* The same process again: it knows itself. */
    hello(w, &a);
    assert_flushed(w, 1);
    assert_false(restricted(w, &b));
    snprintf(a.instance, sizeof(a.instance), "two");
    hello(w, &a);
    assert_flushed(w, 2);
    goodbye(w, &a, true);
    assert_true(restricted_for(w, &b, 7000 + PS_FLEET_WRITE_MARGIN_MS));
    assert_flushed(w, 3);
    /* Over for good, and written down. */
    restart(w);
    hello(w, &b);
    assert_false(restricted(w, &b));
}

static void
a_restart_does_not_forget_what_was_left(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a"), b = enroll(w, "b");
    add_cache(w, 7000);
    hello(w, &a);
    hello(w, &b);
    snprintf(a.instance, sizeof(a.instance), "two");
    hello(w, &a);
    goodbye(w, &a, true);
    restart(w);
    hello(w, &b);
    assert_true(restricted_for(w, &b, 7000 + PS_FLEET_WRITE_MARGIN_MS));
    /* And it knows b's process. */
    hello(w, &b);
    assert_false(restricted(w, &b));
}

static void
a_goodbye_says_what_it_leaves(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a"), b = enroll(w, "b");
    hello(w, &a);
    hello(w, &b);
    goodbye_leaving(w, &a, true, 3000);
    assert_flushed(w, 1);
    assert_true(restricted_for(w, &b, 3000));
    assert_flushed(w, 2);
}

static void
revoked_agents_are_told_and_their_writes_flushed(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a"), b = enroll(w, "b");
    hello(w, &a);
    hello(w, &b);
    done(beat(w, &a, 0));
    assert_int_equal(ps_fleet_revoke(w->fleet, a.id, NULL), PS_OK);
    Portside__Event *event =
        last_event(w, PORTSIDE__EVENT__BODY_REVOKED_AGENT_ID);
    assert_string_equal(event->revoked_agent_id, a.id);
    assert_flushed(w, 1);
    assert_code(beat(w, &a, 0), "forbidden");
    assert_code(say_hello(w, &a, a.secret), "forbidden");
    /* Twice is harmless; deleting needs it. */
    assert_int_equal(ps_fleet_revoke(w->fleet, a.id, NULL), PS_OK);
    assert_int_equal(newest(w), 1);
    assert_int_equal(ps_fleet_forget(w->fleet, b.id, NULL), PS_CONFLICT);
    assert_int_equal(ps_fleet_forget(w->fleet, a.id, NULL), PS_OK);
    assert_int_equal(ps_fleet_forget(w->fleet, a.id, NULL), PS_NOT_FOUND);
    for (int i = 0; i < 6; i++) {
        assert_true(restricted(w, &b));
        advance(w, HEARTBEAT);
    }
    assert_flushed(w, 2);
    assert_code(beat(w, &a, 0), "unauthorized");
}

/* -------------------------------------------------- global writes (C4) */

static void
a_global_write_waits_for_everybody(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a"), b = enroll(w, "b"), c = enroll(w, "c");
    struct pending pending;
    hello(w, &a);
    hello(w, &b);
    hello(w, &c);
    done(beat(w, &a, 0));
    done(beat(w, &b, 0));
    done(beat(w, &c, 0));
    publish(w, &a, "r1", true, &pending);
    assert_int_equal(pending.count, 0);
    assert_true(last_event(w, PORTSIDE__EVENT__BODY_ENTRY)->entry->ack_wanted);
    done(beat(w, &b, 1));
    assert_int_equal(pending.count, 0);
    done(beat(w, &c, 0));
    assert_int_equal(pending.count, 0);
    done(beat(w, &c, 1));
    assert_int_equal(pending.count, 1);
    assert_int_equal(pending.reply->publish->first, 1);
    done(pending.reply);
}

static void
a_global_write_outlasts_a_dead_agent_by_its_lease(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a"), b = enroll(w, "b");
    struct pending pending, again;
    hello(w, &a);
    hello(w, &b);
    done(beat(w, &b, 0));
    publish(w, &a, "r1", true, &pending);
    /* Sent again while it is held: the same numbers, and held as well. */
    publish(w, &a, "r1", true, &again);
    for (int i = 0; i < LEASE / HEARTBEAT; i++) {
        done(beat(w, &a, 1));
        assert_int_equal(pending.count, 0);
        advance(w, HEARTBEAT);
    }
    assert_int_equal(pending.count, 0);
    advance(w, PS_FLEET_MARGIN_MS + STEP);
    assert_int_equal(pending.count, 1);
    assert_int_equal(again.count, 1);
    assert_int_equal(pending.reply->publish->last, 1);
    assert_int_equal(again.reply->publish->last, 1);
    done(pending.reply);
    done(again.reply);
}

static void
a_global_write_alone_is_answered_at_once(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a"), b = enroll(w, "b");
    struct pending pending;
    hello(w, &a);
    hello(w, &b); /* no heartbeat: no lease, nothing to wait for */
    publish(w, &a, "r1", true, &pending);
    assert_int_equal(pending.count, 1);
    done(pending.reply);
}

static void
held_replies_are_bounded_and_answered_at_the_end(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a"), b = enroll(w, "b");
    static struct pending held[PS_FLEET_HELD_MAX + 1];
    char id[16];
    hello(w, &a);
    hello(w, &b);
    done(beat(w, &b, 0));
    for (size_t i = 0; i <= PS_FLEET_HELD_MAX; i++) {
        snprintf(id, sizeof(id), "r%zu", i);
        publish(w, &a, id, true, &held[i]);
    }
    /* The last one is refused, but its invalidation is out. */
    assert_int_equal(held[PS_FLEET_HELD_MAX].count, 1);
    assert_code(held[PS_FLEET_HELD_MAX].reply, "too_many_requests");
    assert_int_equal(newest(w), PS_FLEET_HELD_MAX + 1);
    ps_fleet_free(&w->fleet);
    for (size_t i = 0; i < PS_FLEET_HELD_MAX; i++) {
        assert_int_equal(held[i].count, 1);
        assert_code(held[i].reply, "shutting_down");
    }
    open_fleet(w);
}

/* -------------------------------------------------------- reachability */

struct seen {
    int done, late, ok;
    char stages[512];
};

static enum ps_rc
see(void *arg, const struct ps_run_result *r)
{
    struct seen *seen = arg;
    seen->done += r->done;
    seen->ok += r->ok;
    seen->late += strcmp(r->code, "request_timeout") == 0;
    if (strcmp(r->stages, "[]") != 0)
        snprintf(seen->stages, sizeof(seen->stages), "%s", r->stages);
    return PS_OK;
}

static struct seen
look(struct world *w, const char *run_id)
{
    struct seen seen = {.done = 0};
    assert_int_equal(ps_db_run_result_each(w->db, run_id, see, &seen, NULL),
                     PS_OK);
    return seen;
}

static void
report(struct world *w, struct peer *peer, char *run_id, const char *name,
       bool done_now, const char *expect)
{
    char stage_name[16], ok[] = "ok", detail[] = "say \"hi\"\xff!";
    snprintf(stage_name, sizeof(stage_name), "%s", name);
    Portside__ProbeStage stage = PORTSIDE__PROBE_STAGE__INIT;
    Portside__ProbeStage *stages[] = {&stage};
    Portside__ProbeResult body = PORTSIDE__PROBE_RESULT__INIT;
    stage.stage = stage_name;
    stage.code = ok;
    stage.time_us = 5;
    stage.detail = detail;
    body.run_id = run_id;
    body.n_stages = 1;
    body.stages = stages;
    body.ok = done_now;
    body.code = ok;
    body.done = done_now;
    Portside__Call call = PORTSIDE__CALL__INIT;
    call.body_case = PORTSIDE__CALL__BODY_PROBE_RESULT;
    call.probe_result = &body;
    assert_code(ask(w, peer, &call), expect);
}

static void
a_run_collects_stages_and_times_out(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a"), b = enroll(w, "b"), c = enroll(w, "c");
    struct ps_cache_def def;
    struct ps_run run;
    char run_id[37];
    hello(w, &a);
    hello(w, &b);
    ps_def_init(&def);
    ps_uuid_make(def.id);
    snprintf(def.name, sizeof(def.name), "x");
    def.type = PS_DEF_POSTGRES;
    assert_int_equal(ps_fleet_probe(w->fleet, &def, run_id, NULL),
                     PS_CACHE_NOT_FOUND);
    assert_int_equal(ps_db_cache_insert(w->db, &def, NULL), PS_OK);
    assert_int_equal(ps_fleet_probe(w->fleet, &def, run_id, NULL), PS_OK);
    Portside__Event *event = last_event(w, PORTSIDE__EVENT__BODY_PROBE);
    assert_string_equal(event->probe->run_id, run_id);
    assert_string_equal(event->probe->cache->id, def.id);
    report(w, &a, run_id, "resolve", false, "ok");
    report(w, &a, run_id, "connect", false, "ok");
    report(w, &a, run_id, "connect", true, "ok");
    struct seen seen = look(w, run_id);
    assert_int_equal(seen.done, 1);
    assert_int_equal(seen.ok, 1);
    assert_string_equal(
        seen.stages,
        "[{\"stage\":\"resolve\",\"code\":\"ok\",\"timeUs\":5,\"detail\":"
        "\"say \\\"hi\\\"\"},{\"stage\":\"connect\",\"code\":\"ok\","
        "\"timeUs\":5,\"detail\":\"say \\\"hi\\\"\"}]");
    hello(w, &c); /* came later: not asked */
    report(w, &c, run_id, "resolve", true, "not_found");
    advance(w, PS_FLEET_PROBE_TIMEOUT_MS);
    seen = look(w, run_id);
    assert_int_equal(seen.done, 2);
    assert_int_equal(seen.late, 1);
    assert_int_equal(ps_db_run_get(w->db, def.id, NULL, &run, NULL), PS_OK);
    assert_true(run.finished_ms > 0);
    assert_int_equal(ps_db_cache_delete(w->db, def.id, NULL), PS_OK);
}

static void
a_run_without_agents_is_over_at_once(void **state)
{
    struct world *w = *state;
    struct ps_cache_def def;
    struct ps_run run;
    char run_id[37];
    ps_def_init(&def);
    ps_uuid_make(def.id);
    def.type = PS_DEF_POSTGRES;
    assert_int_equal(ps_db_cache_insert(w->db, &def, NULL), PS_OK);
    assert_int_equal(ps_fleet_probe(w->fleet, &def, run_id, NULL), PS_OK);
    assert_int_equal(ps_db_run_get(w->db, def.id, run_id, &run, NULL), PS_OK);
    assert_true(run.finished_ms > 0);
}

/* -------------------------------------------------------------- purges */

struct purged {
    int ends;
    uint64_t number;
    struct ps_ask_result results[4];
    size_t n;
};

static void
on_purged(void *arg, const struct ps_ask_end *end)
{
    struct purged *p = arg;
    p->ends++;
    p->number = end->number;
    p->n = end->n;
    assert_in_range(end->n, 0, PS_ARRAY_LEN(p->results));
    memcpy(p->results, end->results, end->n * sizeof(p->results[0]));
}

static const struct ps_ask_result *
purged_by(const struct purged *p, const struct peer *peer)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->results[i].agent_id, peer->id) == 0)
            return &p->results[i];
    static const struct ps_ask_result none;
    fail();
    return &none;
}

static struct ps_ask *
purge(struct world *w, struct purged *p)
{
    const struct ps_fleet_purge what = {
        .cache_id = "c0a80101-0000-4000-8000-000000000009",
        .kind = PS_FLEET_PURGE_TABLE,
        .text = "items"};
    struct ps_ask *ask = NULL;
    *p = (struct purged){.ends = 0};
    assert_int_equal(
        ps_fleet_purge_ask(w->fleet, &what, on_purged, p, &ask, NULL), PS_OK);
    assert_non_null(ask);
    return ask;
}

/* What the last entry of the log asks for. */
static const Portside__Purge *
last_purge(struct world *w)
{
    for (size_t i = w->n_events; i > 0; i--) {
        const Portside__Event *e = w->events[i - 1];
        if (e->body_case == PORTSIDE__EVENT__BODY_ENTRY && e->entry->purge)
            return e->entry->purge;
    }
    static const Portside__Purge none = PORTSIDE__PURGE__INIT;
    fail();
    return &none;
}

static void
answer_purge(struct world *w, struct peer *peer, const char *ask_id,
             uint64_t entries)
{
    char id[64];
    Portside__PurgeDone body = PORTSIDE__PURGE_DONE__INIT;
    Portside__Answer answer = PORTSIDE__ANSWER__INIT;
    Portside__Call call = PORTSIDE__CALL__INIT;
    snprintf(id, sizeof(id), "%s", ask_id);
    body.entries = entries;
    body.known = true;
    answer.ask_id = id;
    answer.body_case = PORTSIDE__ANSWER__BODY_PURGE;
    answer.purge = &body;
    call.body_case = PORTSIDE__CALL__BODY_ANSWER;
    call.answer = &answer;
    assert_code(ask(w, peer, &call), "ok");
}

static void
a_purge_ends_when_all_have_answered(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a"), b = enroll(w, "b");
    struct purged p;
    hello(w, &a);
    hello(w, &b);
    purge(w, &p);
    const Portside__Purge *message = last_purge(w);
    assert_int_equal(message->kind, PORTSIDE__PURGE_KIND__PURGE_TABLE);
    assert_string_equal(message->text, "items");
    /* Who does not know the message drops all of the cache. */
    const Portside__Event *e = w->events[w->n_events - 1];
    assert_string_equal(e->entry->invalidation->cache_id, message->cache_id);
    assert_int_equal(e->entry->invalidation->n_tables, 0);
    answer_purge(w, &a, message->ask_id, 3);
    answer_purge(w, &a, message->ask_id, 9); /* once */
    answer_purge(w, &b, "another", 5);
    advance(w, STEP);
    assert_int_equal(p.ends, 0);
    answer_purge(w, &b, message->ask_id, 4);
    advance(w, STEP);
    assert_int_equal(p.ends, 1);
    assert_int_equal(p.number, e->entry->number);
    assert_int_equal(purged_by(&p, &a)->purge.entries, 3);
    assert_int_equal(purged_by(&p, &b)->purge.entries, 4);
    assert_int_equal(purged_by(&p, &b)->state, PS_ASK_DONE);
    answer_purge(w, &b, message->ask_id, 4); /* too late: no harm */
}

/* Silent ones are named; who applied the entry without a word has done it. */
static void
a_purge_does_not_wait_for_ever(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a"), b = enroll(w, "b"), c = enroll(w, "c");
    struct purged p;
    hello(w, &a);
    hello(w, &c);
    advance(w, LEASE + 200);
    hello(w, &a);
    hello(w, &b);
    forget_events(w);
    purge(w, &p);
    for (int i = 0; i < 11; i++) {
        advance(w, HEARTBEAT);
        done(beat(w, &a, 0));
        done(beat(w, &b, UINT64_MAX));
    }
    assert_int_equal(p.ends, 0);
    advance(w, HEARTBEAT * 3);
    assert_int_equal(p.ends, 1);
    assert_int_equal(p.n, 3);
    assert_int_equal(purged_by(&p, &a)->state, PS_ASK_OPEN);
    assert_int_equal(purged_by(&p, &b)->state, PS_ASK_DONE);
    assert_false(purged_by(&p, &b)->answered);
    assert_int_equal(purged_by(&p, &c)->state, PS_ASK_LOST);
}

static void
a_purge_of_nobody_is_over_at_once(void **state)
{
    struct world *w = *state;
    struct purged p, cancelled;
    struct ps_ask *ask = purge(w, &cancelled);
    ps_fleet_ask_cancel(&ask);
    assert_null(ask);
    purge(w, &p);
    advance(w, STEP);
    assert_int_equal(p.ends, 1);
    assert_int_equal(p.n, 0);
    assert_int_equal(cancelled.ends, 0);
    /* Whoever waits at the end is told. */
    struct peer a = enroll(w, "a");
    hello(w, &a);
    purge(w, &p);
    restart(w);
    assert_int_equal(p.ends, 1);
    assert_int_equal(purged_by(&p, &a)->state, PS_ASK_OPEN);
}

/* ------------------------------------------------------- explanations */

struct explained {
    int ends;
    char json[64];
    bool answered;
};

static void
on_explained(void *arg, const struct ps_ask_end *end)
{
    struct explained *x = arg;
    x->ends++;
    assert_int_equal(end->n, 1);
    x->answered = end->results[0].answered;
    snprintf(x->json, sizeof(x->json), "%.*s",
             PS_STR_ARG(end->results[0].json));
}

static void
a_question_reaches_agents_and_comes_back(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a");
    struct explained x[PS_FLEET_EXPLAINS_MAX + 1] = {0};
    struct ps_ask *asks[PS_FLEET_EXPLAINS_MAX + 1];
    const struct ps_fleet_explain what = {
        .cache_id = "c0a80101-0000-4000-8000-000000000009", .sql = "select 1"};
    char json[] = "{\"class\":\"read\"}", id[64];
    hello(w, &a);
    for (size_t i = 0; i < PS_FLEET_EXPLAINS_MAX; i++)
        assert_int_equal(ps_fleet_explain_ask(w->fleet, &what, on_explained,
                                              &x[i], &asks[i], NULL),
                         PS_OK);
    struct ps_err err;
    assert_int_equal(ps_fleet_explain_ask(w->fleet, &what, on_explained, &x[0],
                                          &asks[0], &err),
                     PS_TOO_MANY_REQUESTS);
    const Portside__Event *e = w->events[w->n_events - 1];
    assert_int_equal(e->body_case, PORTSIDE__EVENT__BODY_ASK);
    assert_string_equal(e->ask->explain->sql, "select 1");
    snprintf(id, sizeof(id), "%s", e->ask->ask_id);
    answer_purge(w, &a, id, 1); /* is no answer to that */
    Portside__Explained body = PORTSIDE__EXPLAINED__INIT;
    Portside__Answer answer = PORTSIDE__ANSWER__INIT;
    Portside__Call call = PORTSIDE__CALL__INIT;
    body.json = json;
    answer.ask_id = id;
    answer.body_case = PORTSIDE__ANSWER__BODY_EXPLAIN;
    answer.explain = &body;
    call.body_case = PORTSIDE__CALL__BODY_ANSWER;
    call.answer = &answer;
    assert_code(ask(w, &a, &call), "ok");
    advance(w, STEP);
    const struct explained *last = &x[PS_FLEET_EXPLAINS_MAX - 1];
    assert_int_equal(last->ends, 1);
    assert_string_equal(last->json, json);
    assert_int_equal(x[0].ends, 0);
    advance(w, PS_FLEET_ASK_TIMEOUT_MS);
    assert_int_equal(x[0].ends, 1);
    assert_false(x[0].answered);
    assert_string_equal(x[0].json, "");
}

/* -------------------------------------------------------------- events */

struct noted {
    size_t n;
    char last[257], agent[65];
    int64_t at_ms;
};

static enum ps_rc
note(void *arg, const struct ps_event *event)
{
    struct noted *seen = arg;
    seen->n++;
    seen->at_ms = event->at_ms;
    memcpy(seen->last, event->message, sizeof(seen->last));
    memcpy(seen->agent, event->agent_name, sizeof(seen->agent));
    return PS_OK;
}

static struct noted
events_of(struct world *w, const char *type)
{
    struct noted seen = {.n = 0};
    const struct ps_event_ask ask = {.type = type, .caches = "", .limit = 100};
    assert_int_equal(ps_db_event_each(w->db, &ask, note, &seen, NULL), PS_OK);
    return seen;
}

/* A heartbeat with two notices; the number up to which they are known. */
static uint64_t
notice(struct world *w, struct peer *peer, uint64_t first)
{
    char cache_id[] = "c0a80101-0000-4000-8000-000000000009";
    Portside__Notice told[2], *list[] = {&told[0], &told[1]};
    for (size_t i = 0; i < PS_ARRAY_LEN(told); i++) {
        portside__notice__init(&told[i]);
        told[i].number = first + i;
        told[i].kind = PORTSIDE__NOTICE_KIND__NOTICE_TEMPLATE_OFF;
        told[i].cache_id = cache_id;
        told[i].template_id = 0xab;
        told[i].amount = first + i;
        told[i].of = 10;
        told[i].age_ms = 60000;
    }
    told[1].kind = (Portside__NoticeKind)99; /* of a newer agent */
    Portside__Heartbeat body = PORTSIDE__HEARTBEAT__INIT;
    body.epoch = peer->epoch;
    body.n_notices = PS_ARRAY_LEN(told);
    body.notices = list;
    Portside__Call call = PORTSIDE__CALL__INIT;
    call.body_case = PORTSIDE__CALL__BODY_HEARTBEAT;
    call.heartbeat = &body;
    Portside__Reply *reply = ask(w, peer, &call);
    assert_string_equal(reply->code, "ok");
    uint64_t noticed = reply->heartbeat->noticed;
    done(reply);
    return noticed;
}

static void
what_agents_notice_is_an_event_once(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a");
    hello(w, &a);
    assert_int_equal(notice(w, &a, 1), 2);
    assert_int_equal(notice(w, &a, 1), 2); /* its reply was lost */
    struct noted off = events_of(w, "template_off");
    assert_int_equal(off.n, 1);
    assert_non_null(strstr(off.last, "00000000000000ab"));
    assert_non_null(strstr(off.last, "1 of 10"));
    assert_string_equal(off.agent, "a");
    assert_in_range(off.at_ms, ps_wall_ms() - 70000, ps_wall_ms() - 60000);
    assert_int_equal(notice(w, &a, 3), 4);
    assert_int_equal(events_of(w, "template_off").n, 2);
    /* The same process says hello again, then another one. */
    hello(w, &a);
    assert_int_equal(notice(w, &a, 3), 4);
    assert_int_equal(events_of(w, "template_off").n, 2);
    snprintf(a.instance, sizeof(a.instance), "two");
    hello(w, &a);
    assert_int_equal(notice(w, &a, 1), 2);
    assert_int_equal(events_of(w, "template_off").n, 3);
    assert_int_equal(events_of(w, "agent_connected").n, 3);
}

static void
what_happens_to_agents_is_written_down(void **state)
{
    struct world *w = *state;
    struct peer a = enroll(w, "a"), b = enroll(w, "b");
    hello(w, &a);
    hello(w, &b);
    assert_int_equal(ps_fleet_drain(w->fleet, a.id, true, NULL), PS_OK);
    assert_int_equal(events_of(w, "agent_draining").n, 1);
    for (int i = 0; i < 10; i++) {
        advance(w, HEARTBEAT);
        done(beat(w, &a, 0));
    }
    assert_string_equal(events_of(w, "agent_lost").agent, "b");
    assert_int_equal(events_of(w, "restricted").n, 1);
    assert_int_equal(events_of(w, "unrestricted").n, 0);
    hello(w, &b);
    assert_int_equal(events_of(w, "unrestricted").n, 1);
    goodbye_leaving(w, &b, true, 0);
    assert_int_equal(events_of(w, "agent_stopped").n, 1);
    assert_int_equal(ps_fleet_revoke(w->fleet, a.id, NULL), PS_OK);
    assert_int_equal(events_of(w, "agent_revoked").n, 1);
    struct ps_err err;
    assert_int_equal(ps_fleet_drain(w->fleet, a.id, false, &err), PS_CONFLICT);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_wrong_secret_says_no_more_than_an_unknown_agent),
        T(calls_without_a_session_are_refused),
        T(another_protocol_is_refused),
        T(publishes_are_numbered_and_announced_in_order),
        T(a_publish_without_anything_is_refused),
        T(fetch_gives_what_is_missing_or_says_too_old),
        T(a_snapshot_has_every_cache),
        T(ticks_come_on_time),
        T(certificates_are_renewed),
        T(a_lost_agent_restricts_the_others_in_time),
        T(a_goodbye_restricts_nobody),
        T(origins_that_rest_are_told),
        T(an_unclean_goodbye_restricts),
        T(after_a_restart_silent_agents_are_lost),
        T(what_a_dead_process_left_restricts_until_it_is_over),
        T(a_restart_does_not_forget_what_was_left),
        T(a_goodbye_says_what_it_leaves),
        T(revoked_agents_are_told_and_their_writes_flushed),
        T(a_global_write_waits_for_everybody),
        T(a_global_write_outlasts_a_dead_agent_by_its_lease),
        T(a_global_write_alone_is_answered_at_once),
        T(held_replies_are_bounded_and_answered_at_the_end),
        T(a_run_collects_stages_and_times_out),
        T(a_run_without_agents_is_over_at_once),
        T(a_purge_ends_when_all_have_answered),
        T(a_purge_does_not_wait_for_ever),
        T(a_purge_of_nobody_is_over_at_once),
        T(a_question_reaches_agents_and_comes_back),
        T(what_agents_notice_is_an_event_once),
        T(what_happens_to_agents_is_written_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
