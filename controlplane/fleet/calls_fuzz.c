/*
 * A call as it comes from the fabric, from anybody who has a certificate: one
 * reply to each, whatever it is. The clock stands, the store and the CA are
 * real.
 *
 * Input: a byte of modes, then a packed call. Mode 1: it comes within an
 * agent's session (the ids in the call are replaced), and agents have been
 * asked something: to purge, or with 2 to explain.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/tls.h"
#include "controlplane/fleet/fleet_private.h"
#include "tests/fuzz/fuzz.h"

#include <unistd.h>

enum {
    IN_SESSION = 1,
    EXPLAINS = 2
};

static char dir[64], session_id[64], session_secret[80], ask_id[64];
static const char agent_id[] = "c0a80101-0000-4000-8000-000000000001";
static struct ps_clock *clock_by_hand;
static struct ps_loop *loop;
static struct ps_db *db;
static struct ps_ca *ca;
static struct ps_fleet *fleet;
static int replies;

static void
on_publish(void *arg, struct ps_str event)
{
    (void)arg;
    Portside__Event *e =
        portside__event__unpack(NULL, event.len, (const uint8_t *)event.ptr);
    FUZZ_CHECK(e);
    if (e->body_case == PORTSIDE__EVENT__BODY_ENTRY && e->entry->purge)
        snprintf(ask_id, sizeof(ask_id), "%s", e->entry->purge->ask_id);
    if (e->body_case == PORTSIDE__EVENT__BODY_ASK)
        snprintf(ask_id, sizeof(ask_id), "%s", e->ask->ask_id);
    portside__event__free_unpacked(e, NULL);
}

static void
on_reply(void *arg, void *call, struct ps_str body)
{
    (void)arg;
    Portside__Reply *reply =
        portside__reply__unpack(NULL, body.len, (const uint8_t *)body.ptr);
    FUZZ_CHECK(call == &replies && reply && reply->code[0]);
    replies++;
    if (reply->body_case == PORTSIDE__REPLY__BODY_HELLO) {
        snprintf(session_id, sizeof(session_id), "%s",
                 reply->hello->session_id);
        snprintf(session_secret, sizeof(session_secret), "%s",
                 reply->hello->session_secret);
    }
    portside__reply__free_unpacked(reply, NULL);
}

static void
clean(void)
{
    static const char *const names[] = {"portside.db", "portside.db-wal",
                                        "portside.db-shm", "ca.key", "ca.crt"};
    char path[128];
    ps_fleet_free(&fleet);
    ps_db_close(&db);
    ps_ca_close(&ca);
    ps_loop_free(&loop);
    ps_clock_virtual_free(&clock_by_hand);
    for (size_t i = 0; i < PS_ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

static void
prepare(void)
{
    char path[128];
    const char *base = getenv("TMPDIR");
    struct ps_agent agent = {.name = "one", .region = "eu"};
    struct ps_err err;
    ps_log_set_level(PS_LOG_OFF);
    snprintf(dir, sizeof(dir), "%.32s/portside-calls-XXXXXX",
             base ? base : "/tmp");
    FUZZ_CHECK(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/portside.db", dir);
    clock_by_hand = ps_clock_virtual_new();
    loop = ps_loop_new(clock_by_hand, "fuzz");
    FUZZ_CHECK(ps_db_open(&db, path, &err) == PS_OK);
    FUZZ_CHECK(ps_ca_open(&ca, dir, &err) == PS_OK);
    struct ps_fleet_conf conf = {.loop = loop,
                                 .db = db,
                                 .ca = ca,
                                 .lease_ms = 2000,
                                 .heartbeat_ms = 400,
                                 .tick_ms = 250,
                                 .log_entries = 64,
                                 .log_bytes = 1 << 16,
                                 .publish = on_publish,
                                 .reply = on_reply};
    FUZZ_CHECK(ps_fleet_new(&fleet, &conf, &err) == PS_OK);
    struct ps_join_token join = {.id = "c0a80101-0000-4000-8000-000000000002",
                                 .region = "eu",
                                 .created_ms = 1,
                                 .expires_ms = INT64_MAX};
    memcpy(agent.id, agent_id, sizeof(agent_id));
    ps_sha256(PS_STR("secret"), agent.secret_hash);
    agent.enrolled_ms = 1;
    agent.certificate_expires_ms = INT64_MAX / 2;
    FUZZ_CHECK(ps_db_join_insert(db, &join, &err) == PS_OK);
    FUZZ_CHECK(ps_db_enroll(db, join.id, &agent, &err) == PS_OK);
    FUZZ_CHECK(ps_fleet_agent_added(fleet, &agent, &err) == PS_OK);
    atexit(clean);
}

static void
say_hello(void)
{
    Portside__Hello hello = PORTSIDE__HELLO__INIT;
    Portside__Call call = PORTSIDE__CALL__INIT;
    uint8_t packed[512];
    hello.agent_id = fleet_lend(agent_id);
    hello.agent_secret = fleet_lend("secret");
    hello.protocol = 1;
    call.body_case = PORTSIDE__CALL__BODY_HELLO;
    call.hello = &hello;
    size_t len = portside__call__pack(&call, packed);
    session_id[0] = '\0';
    ps_fleet_call(fleet, &replies, (struct ps_str){(char *)packed, len});
    FUZZ_CHECK(session_id[0]);
}

static int asked, ended;

static void
on_asked(void *arg, const struct ps_ask_end *end)
{
    (void)arg;
    FUZZ_CHECK(end->n <= 1);
    ended++;
}

/* So that an answer may find what it answers, whatever id it says. */
static void
ask_something(Portside__Call *in, bool explain)
{
    static const struct ps_fleet_explain text = {.cache_id = agent_id,
                                                 .sql = "select 1"};
    static const struct ps_fleet_purge what = {.cache_id = agent_id,
                                               .kind = PS_FLEET_PURGE_CACHE};
    struct ps_ask *ask;
    struct ps_err err;
    FUZZ_CHECK((explain ? ps_fleet_explain_ask(fleet, &text, on_asked, NULL,
                                               &ask, &err)
                        : ps_fleet_purge_ask(fleet, &what, on_asked, NULL, &ask,
                                             &err)) == PS_OK);
    asked++;
    if (in->body_case != PORTSIDE__CALL__BODY_ANSWER)
        return;
    free(in->answer->ask_id == protobuf_c_empty_string ? NULL
                                                       : in->answer->ask_id);
    in->answer->ask_id = strdup(ask_id);
    FUZZ_CHECK(in->answer->ask_id);
}

/* The call with the session's ids in it. */
static void
call_in_session(Portside__Call *in)
{
    char *id = in->session_id, *secret = in->session_secret;
    in->session_id = session_id;
    in->session_secret = session_secret;
    size_t len = portside__call__get_packed_size(in);
    uint8_t *packed = malloc(len ? len : 1);
    FUZZ_CHECK(packed);
    portside__call__pack(in, packed);
    in->session_id = id;
    in->session_secret = secret;
    ps_fleet_call(fleet, &replies, (struct ps_str){(char *)packed, len});
    free(packed);
}

static void
advance_ms(uint64_t ms)
{
    ps_clock_virtual_advance_us(clock_by_hand, ms * 1000);
    while (ps_loop_turn(loop) > 0)
        ;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, data + size};
    if (!fleet)
        prepare();
    unsigned mode = fuzz_byte(&in);
    struct ps_str body = fuzz_rest(&in);
    replies = 0;
    int expected = 1;
    if (mode & IN_SESSION) {
        Portside__Call *call =
            portside__call__unpack(NULL, body.len, (const uint8_t *)body.ptr);
        if (!call)
            return 0;
        say_hello();
        expected++;
        ask_something(call, mode & EXPLAINS);
        call_in_session(call);
        portside__call__free_unpacked(call, NULL);
    } else {
        ps_fleet_call(fleet, &replies, body);
    }
    /* A publish that waits for everybody is answered in time. */
    advance_ms(10000);
    FUZZ_CHECK(replies == expected && ended == asked);
    return 0;
}
