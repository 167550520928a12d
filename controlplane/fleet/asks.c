/*
 * What all agents are asked or told, and answer: who was asked, what each said,
 * and when it is over.
 *
 *   api --purge----> log (an entry, in order) --> every agent
 *       --explain--> event -------------------->
 *   done <-- all answered, or time is over <----- answer (call)
 *
 * A purge rides in the log, so that an agent that missed the event fetches it;
 * its answer only says how much there was. Where that did not come (an agent of
 * an older version), what it has applied says that the purge is done.
 */
#include "common/log.h"
#include "common/tls.h"
#include "controlplane/fleet/fleet_private.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    EXPLAINED_MAX = 512 << 10 /* bytes of one agent's */
};

struct ps_ask {
    struct ps_link link;
    struct ps_fleet *fleet;
    struct ps_timer timer;
    char id[37];
    bool explains; /* else it purges */
    char cache_id[37];
    const char *what; /* of a purge: static text */
    uint64_t number;  /* of the log; 0: none */
    struct ps_ask_result *results;
    char **json; /* of each, owned; NULL: none */
    size_t n, n_open;
    ps_ask_fn *fn; /* NULL: cancelled */
    void *arg;
};

static void
ask_free(struct ps_ask *ask)
{
    ps_timer_stop(&ask->timer);
    if (ps_link_linked(&ask->link))
        ps_list_remove(&ask->fleet->asks, &ask->link);
    for (size_t i = 0; i < ask->n; i++)
        free(ask->json[i]);
    free(ask->json);
    free(ask->results);
    free(ask);
}

/* Did it do what it has not told? */
static void
look_at_applied(struct ps_ask *ask)
{
    for (size_t i = 0; ask->number && i < ask->n; i++) {
        struct ps_ask_result *r = &ask->results[i];
        const struct ps_member *member =
            ps_sessions_find(ask->fleet->sessions, r->agent_id);
        if (r->state == PS_ASK_OPEN && member && member->connected &&
            member->applied >= ask->number)
            r->state = PS_ASK_DONE;
    }
}

static void
note_purge(const struct ps_ask *ask)
{
    const struct ps_event_about about = {.cache_id = ask->cache_id};
    size_t done = 0;
    uint64_t entries = 0;
    for (size_t i = 0; i < ask->n; i++) {
        done += ask->results[i].state == PS_ASK_DONE;
        entries += ask->results[i].purge.entries;
    }
    ps_fleet_note(ask->fleet, PS_EVENT_PURGE, &about,
                  "%s, on %zu of %zu agents, %" PRIu64 " entries dropped",
                  ask->what, done, ask->n, entries);
}

static void
finish(void *arg)
{
    struct ps_ask *ask = arg;
    look_at_applied(ask);
    if (!ask->explains)
        note_purge(ask);
    const struct ps_ask_end end = {
        .number = ask->number, .results = ask->results, .n = ask->n};
    if (ask->fn)
        ask->fn(ask->arg, &end);
    ask_free(ask);
}

void
fleet_end_asks(struct ps_fleet *fleet)
{
    struct ps_link *link;
    while ((link = ps_list_first(&fleet->asks)))
        finish(PS_CONTAINER_OF(link, struct ps_ask, link));
}

void
ps_fleet_ask_cancel(struct ps_ask **askp)
{
    if (*askp)
        ask_free(*askp);
    *askp = NULL;
}

/* --------------------------------------------------------------- start */

static bool
concerns(const struct ps_member *member)
{
    return !member->agent.revoked_ms && (member->connected || member->lost);
}

static bool
add_results(struct ps_ask *ask)
{
    size_t at = 0, n = 0;
    const struct ps_member *member;
    while ((member = ps_sessions_next(ask->fleet->sessions, &at)))
        n += concerns(member);
    ask->results = calloc(n + 1, sizeof(*ask->results));
    ask->json = calloc(n + 1, sizeof(*ask->json));
    at = 0;
    while (ask->results && ask->json &&
           (member = ps_sessions_next(ask->fleet->sessions, &at))) {
        if (!concerns(member))
            continue;
        struct ps_ask_result *r = &ask->results[ask->n++];
        fleet_text(r->agent_id, sizeof(r->agent_id), member->agent.id);
        fleet_text(r->agent_name, sizeof(r->agent_name), member->agent.name);
        fleet_text(r->region, sizeof(r->region), member->agent.region);
        r->state = member->lost ? PS_ASK_LOST : PS_ASK_OPEN;
        ask->n_open += r->state == PS_ASK_OPEN;
    }
    return ask->results && ask->json;
}

/* Linked, with its time limit; nothing is sent yet. NULL: err says why. */
static struct ps_ask *
ask_new(struct ps_fleet *fleet, ps_ask_fn *fn, void *arg, struct ps_err *err)
{
    if (fleet->asks.count >= PS_FLEET_ASKS_MAX) {
        (void)ps_err_set(err, PS_TOO_MANY_REQUESTS,
                         "too much of this is under way; try again shortly");
        return NULL;
    }
    struct ps_ask *ask = calloc(1, sizeof(*ask));
    if (ask) {
        ask->fleet = fleet;
        ask->fn = fn;
        ask->arg = arg;
        ps_uuid_make(ask->id);
        ps_timer_init(&ask->timer, fleet->conf.loop, finish, ask);
        ps_list_push_back(&fleet->asks, &ask->link);
    }
    if (!ask || !add_results(ask)) {
        if (ask)
            ask_free(ask);
        (void)ps_err_set(err, PS_NO_MEMORY, NULL);
        return NULL;
    }
    ps_timer_start_ms(&ask->timer, ask->n_open ? PS_FLEET_ASK_TIMEOUT_MS : 0);
    return ask;
}

static const char *const purge_names[] = {
    [PS_FLEET_PURGE_CACHE] = "the whole cache",
    [PS_FLEET_PURGE_TABLE] = "a table",
    [PS_FLEET_PURGE_TEMPLATE] = "a template",
    [PS_FLEET_PURGE_QUERY] = "a query",
};

enum ps_rc
ps_fleet_purge_ask(struct ps_fleet *fleet, const struct ps_fleet_purge *purge,
                   ps_ask_fn *fn, void *arg, struct ps_ask **out,
                   struct ps_err *err)
{
    PS_CHECK_OBJ(fleet, FLEET_MAGIC);
    struct ps_ask *ask = ask_new(fleet, fn, arg, err);
    if (!ask)
        return err->rc;
    Portside__Invalidation item = PORTSIDE__INVALIDATION__INIT;
    Portside__Invalidation *items[] = {&item};
    Portside__Purge message = PORTSIDE__PURGE__INIT;
    fleet_text(ask->cache_id, sizeof(ask->cache_id), purge->cache_id);
    ask->what = purge_names[purge->kind];
    item.cache_id = message.cache_id = fleet_lend(purge->cache_id);
    message.ask_id = ask->id;
    message.kind = (Portside__PurgeKind)purge->kind;
    message.text = fleet_lend(purge->text);
    message.id = purge->id;
    struct ps_ilog_batch batch = {
        .agent_id = "", .items = items, .count = 1, .purge = &message};
    enum ps_rc rc = fleet_append(fleet, &batch, &ask->number);
    if (rc != PS_OK) {
        ask_free(ask);
        return ps_err_set(err, rc, NULL);
    }
    ps_info("fleet", "purge of cache %s (entry %llu)", purge->cache_id,
            (unsigned long long)ask->number);
    *out = ask;
    return PS_OK;
}

static size_t
count_explains(const struct ps_fleet *fleet)
{
    size_t n = 0;
    PS_LIST_FOREACH_SAFE(&fleet->asks, it, next)
        n += PS_CONTAINER_OF(it, struct ps_ask, link)->explains;
    return n;
}

enum ps_rc
ps_fleet_explain_ask(struct ps_fleet *fleet,
                     const struct ps_fleet_explain *what, ps_ask_fn *fn,
                     void *arg, struct ps_ask **out, struct ps_err *err)
{
    PS_CHECK_OBJ(fleet, FLEET_MAGIC);
    if (count_explains(fleet) >= PS_FLEET_EXPLAINS_MAX)
        return ps_err_set(err, PS_TOO_MANY_REQUESTS,
                          "too many statements are being explained; try again "
                          "shortly");
    struct ps_ask *ask = ask_new(fleet, fn, arg, err);
    if (!ask)
        return err->rc;
    ask->explains = true;
    Portside__Explain explain = PORTSIDE__EXPLAIN__INIT;
    Portside__Ask message = PORTSIDE__ASK__INIT;
    Portside__Event event = PORTSIDE__EVENT__INIT;
    explain.cache_id = fleet_lend(what->cache_id);
    explain.database = fleet_lend(what->database);
    explain.sql = fleet_lend(what->sql);
    explain.bindings = fleet_lend(what->bindings);
    message.ask_id = ask->id;
    message.body_case = PORTSIDE__ASK__BODY_EXPLAIN;
    message.explain = &explain;
    event.epoch = fleet->epoch;
    event.body_case = PORTSIDE__EVENT__BODY_ASK;
    event.ask = &message;
    fleet_send_event(fleet, &event);
    *out = ask;
    return PS_OK;
}

/* ------------------------------------------------------------- answers */

static struct ps_ask *
find_ask(struct ps_fleet *fleet, const char *id)
{
    PS_LIST_FOREACH_SAFE(&fleet->asks, it, next) {
        struct ps_ask *ask = PS_CONTAINER_OF(it, struct ps_ask, link);
        if (strcmp(ask->id, id) == 0)
            return ask;
    }
    return NULL;
}

static struct ps_ask_result *
find_result(struct ps_ask *ask, const char *agent_id)
{
    for (size_t i = 0; i < ask->n; i++)
        if (strcmp(ask->results[i].agent_id, agent_id) == 0)
            return &ask->results[i];
    return NULL;
}

static void
take_purge(struct ps_ask_result *r, const Portside__PurgeDone *body)
{
    r->purge.entries = PS_MIN(body->entries, (uint64_t)INT64_MAX);
    r->purge.id = body->id;
    r->purge.known = body->known;
    r->purge.wider = body->wider;
}

/* Too long, or no memory: answered, with nothing. */
static void
take_json(struct ps_ask *ask, struct ps_ask_result *r, const char *json)
{
    char **to = &ask->json[r - ask->results];
    if (json[0] && strlen(json) <= EXPLAINED_MAX)
        *to = strdup(json);
    r->json = ps_str_of(*to);
}

void
fleet_answered(struct ps_fleet *fleet, const char *agent_id,
               const Portside__Answer *body)
{
    struct ps_ask *ask = find_ask(fleet, body->ask_id);
    struct ps_ask_result *r = ask ? find_result(ask, agent_id) : NULL;
    Portside__Answer__BodyCase wanted = ask && ask->explains
                                            ? PORTSIDE__ANSWER__BODY_EXPLAIN
                                            : PORTSIDE__ANSWER__BODY_PURGE;
    if (!r || r->state == PS_ASK_DONE || body->body_case != wanted)
        return;
    bool was_open = r->state == PS_ASK_OPEN;
    r->state = PS_ASK_DONE;
    r->answered = true;
    if (ask->explains)
        take_json(ask, r, body->explain->json);
    else
        take_purge(r, body->purge);
    if (was_open && --ask->n_open == 0)
        ps_timer_start_ms(&ask->timer, 0);
}
