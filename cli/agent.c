/* psctl agent join-token | list | drain | undrain | revoke | remove. */
#include "cli/ctl.h"
#include "common/clock.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    DRAIN_POLL_MS = 200
};

/* ---- join tokens ---- */

static enum ps_exit
token_create(struct ps_ctl *ctl)
{
    char time[PS_VALUE_MAX];
    int64_t ms;
    json_auto_t *made = NULL, *body = json_object();
    const char *ttl = ps_ctl_value(ctl, "ttl");
    const char *name = ps_ctl_value(ctl, "name");
    json_object_set_new(body, "region",
                        json_string(ps_ctl_value(ctl, "region")));
    if (name)
        json_object_set_new(body, "name", json_string(name));
    if (ttl) {
        if (!ps_value_duration_ms(ttl, &ms) || ms < 1000)
            return ps_ctl_bad_value(ctl, "ttl",
                                    "a duration of 1s or more, like 1h");
        json_object_set_new(body, "ttlSeconds", json_integer(ms / 1000));
    }
    enum ps_exit rc = ps_ctl_call(ctl, "POST", "/v1/join-tokens", body, &made);
    if (rc != PS_EXIT_OK)
        return rc;
    if (ctl->json) {
        ps_ctl_print_json(ctl, made);
        return PS_EXIT_OK;
    }
    puts(ps_json_text(made, "token"));
    ps_value_format_time(ps_json_text(made, "expiresAt"), time);
    ps_ctl_note(ctl, "It works once, until %s UTC. On the new node:", time);
    ps_ctl_note(ctl, "  portside-agent enroll TOKEN --dir DIR");
    return PS_EXIT_OK;
}

static const char *
token_state(const json_t *token, enum ps_tint *tint)
{
    char now[32];
    *tint = PS_TINT_DIM;
    if (json_is_string(json_object_get(token, "usedAt")))
        return "used";
    ps_wall_format(ps_wall_ms(), now);
    /* Both are RFC 3339 in UTC with milliseconds: text order is time order. */
    if (strcmp(ps_json_text(token, "expiresAt"), now) < 0)
        return "expired";
    *tint = PS_TINT_GOOD;
    return "open";
}

static enum ps_exit
token_list(struct ps_ctl *ctl)
{
    static const struct ps_column columns[] = {
        PS_LEFT("REGION"),  PS_LEFT("NAME"),    PS_LEFT("STATE"),
        PS_LEFT("CREATED"), PS_LEFT("EXPIRES"), PS_LEFT("ID")};
    char time[PS_VALUE_MAX];
    enum ps_tint tint;
    json_auto_t *items = NULL;
    enum ps_exit rc = ps_ctl_list(ctl, "/v1/join-tokens", &items);
    if (rc != PS_EXIT_OK || ps_ctl_print_list(ctl, items, "id"))
        return rc;
    struct ps_table *table = ps_table_new(columns, PS_ARRAY_LEN(columns));
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *t = json_array_get(items, i);
        const char *name = ps_json_text(t, "name");
        ps_table_add(table, PS_TINT_NONE, ps_json_text(t, "region"));
        ps_table_add(table, PS_TINT_NONE, *name ? name : NULL);
        const char *state = token_state(t, &tint);
        ps_table_add(table, tint, state);
        ps_value_format_time(ps_json_text(t, "createdAt"), time);
        ps_table_add(table, PS_TINT_NONE, time);
        ps_value_format_time(ps_json_text(t, "expiresAt"), time);
        ps_table_add(table, PS_TINT_NONE, time);
        ps_table_add(table, PS_TINT_DIM, ps_json_text(t, "id"));
    }
    ps_ctl_print_table(table);
    ps_table_free(&table);
    return PS_EXIT_OK;
}

static enum ps_exit
token_revoke(struct ps_ctl *ctl)
{
    json_auto_t *token = NULL;
    enum ps_exit rc = ps_ctl_find(ctl, "/v1/join-tokens", "join token",
                                  ps_ctl_operand(ctl, 0), &token);
    if (rc != PS_EXIT_OK)
        return rc;
    const char *id = ps_json_text(token, "id");
    char *path = ps_ctl_path("/v1/join-tokens/", id, "");
    rc = ps_ctl_call(ctl, "DELETE", path, NULL, NULL);
    free(path);
    if (rc != PS_EXIT_OK)
        return rc;
    if (ctl->json) {
        json_auto_t *done = json_pack("{s:s,s:b}", "id", id, "deleted", 1);
        ps_ctl_print_json(ctl, done);
    }
    ps_ctl_note(ctl, "The join token is withdrawn.");
    return PS_EXIT_OK;
}

/* ---- agents ---- */

static enum ps_tint
state_tint(const char *state)
{
    if (strcmp(state, "connected") == 0)
        return PS_TINT_GOOD;
    if (strcmp(state, "drained") == 0)
        return PS_TINT_DIM;
    return strcmp(state, "lost") == 0 ? PS_TINT_BAD : PS_TINT_WARN;
}

static void
add_agent(struct ps_table *table, const json_t *a)
{
    char time[PS_VALUE_MAX];
    const char *state = ps_json_text(a, "state");
    const char *endpoint = ps_json_text(a, "endpoint");
    ps_table_add(table, PS_TINT_NONE, ps_json_text(a, "region"));
    ps_table_add(table, PS_TINT_NONE, ps_json_text(a, "name"));
    if (ps_json_int(a, "busy") > 0)
        ps_table_addf(table, state_tint(state), "%s (%" PRId64 " open)", state,
                      ps_json_int(a, "busy"));
    else
        ps_table_add(table, state_tint(state), state);
    ps_table_add(table, PS_TINT_NONE, *endpoint ? endpoint : NULL);
    ps_table_add(table, PS_TINT_NONE, ps_json_text(a, "version"));
    ps_value_format_time(ps_json_text(a, "lastSeenAt"), time);
    ps_table_add(table, PS_TINT_NONE, time);
    ps_table_addf(table, PS_TINT_NONE, "%" PRId64,
                  ps_json_int(a, "appliedNumber"));
    ps_table_addf(table, PS_TINT_NONE, "%" PRId64, ps_json_int(a, "leaseMs"));
    ps_table_add(table, PS_TINT_DIM, ps_json_text(a, "id"));
}

static enum ps_exit
agent_list(struct ps_ctl *ctl)
{
    static const struct ps_column columns[] = {
        PS_LEFT("REGION"),   PS_LEFT("NAME"),      PS_LEFT("STATE"),
        PS_LEFT("ENDPOINT"), PS_LEFT("VERSION"),   PS_LEFT("LAST SEEN"),
        PS_RIGHT("APPLIED"), PS_RIGHT("LEASE MS"), PS_LEFT("ID")};
    json_auto_t *items = NULL;
    enum ps_exit rc = ps_ctl_list(ctl, "/v1/agents", &items);
    if (rc != PS_EXIT_OK || ps_ctl_print_list(ctl, items, "id"))
        return rc;
    struct ps_table *table = ps_table_new(columns, PS_ARRAY_LEN(columns));
    for (size_t i = 0; i < json_array_size(items); i++)
        add_agent(table, json_array_get(items, i));
    ps_ctl_print_table(table);
    if (ps_table_rows(table) == 0)
        ps_ctl_note(ctl, "There is no agent yet; add one with `psctl agent "
                         "join-token --region REGION`.");
    ps_table_free(&table);
    return PS_EXIT_OK;
}

/* Revokes or removes the agent that the operand names. */
static enum ps_exit
end_agent(struct ps_ctl *ctl, const char *method, const char *after,
          const char *question, const char *done_key)
{
    json_auto_t *agent = NULL;
    enum ps_exit rc =
        ps_ctl_find(ctl, "/v1/agents", "agent", ps_ctl_operand(ctl, 0), &agent);
    if (rc != PS_EXIT_OK)
        return rc;
    const char *id = ps_json_text(agent, "id");
    const char *name = ps_json_text(agent, "name");
    if (!ps_ctl_confirm(ctl, "%s the agent `%s` in %s?", question, name,
                        ps_json_text(agent, "region")))
        return PS_EXIT_FAILED;
    char *path = ps_ctl_path("/v1/agents/", id, after);
    rc = ps_ctl_call(ctl, method, path, NULL, NULL);
    free(path);
    if (rc != PS_EXIT_OK)
        return rc;
    if (ctl->json) {
        json_auto_t *done = json_pack("{s:s,s:b}", "id", id, done_key, 1);
        ps_ctl_print_json(ctl, done);
    }
    ps_ctl_note(ctl, "Agent `%s` is %s.", name, done_key);
    return PS_EXIT_OK;
}

static enum ps_exit
agent_revoke(struct ps_ctl *ctl)
{
    return end_agent(ctl, "POST", "/revoke", "End for good", "revoked");
}

static enum ps_exit
agent_remove(struct ps_ctl *ctl)
{
    return end_agent(ctl, "DELETE", "", "Forget", "removed");
}

/* ---- draining ---- */

/* Until the agent says that it has nothing to do any more. */
static enum ps_exit
wait_drained(struct ps_ctl *ctl, const char *id, int64_t wait_ms)
{
    uint64_t until = ps_clock_now_ms(ps_clock_real()) + (uint64_t)wait_ms;
    for (;;) {
        json_auto_t *agent = NULL;
        enum ps_exit rc = ps_ctl_find(ctl, "/v1/agents", "agent", id, &agent);
        if (rc != PS_EXIT_OK)
            return rc;
        const char *state = ps_json_text(agent, "state");
        if (strcmp(state, "drained") == 0)
            return PS_EXIT_OK;
        if (!ps_json_bool(agent, "draining"))
            return ps_ctl_fail(ctl, PS_EXIT_FAILED, "not_draining",
                               "somebody has taken it back into service");
        if (ps_clock_now_ms(ps_clock_real()) >= until)
            return ps_ctl_fail(ctl, PS_EXIT_FAILED, "not_drained",
                               "it is %s, with %" PRId64 " requests, "
                               "connections or transactions open; it goes on "
                               "draining",
                               state, ps_json_int(agent, "busy"));
        poll(NULL, 0, DRAIN_POLL_MS);
    }
}

static enum ps_exit
set_drain(struct ps_ctl *ctl, const char *after, int64_t wait_ms)
{
    json_auto_t *agent = NULL;
    bool drain = strcmp(after, "/drain") == 0;
    enum ps_exit rc =
        ps_ctl_find(ctl, "/v1/agents", "agent", ps_ctl_operand(ctl, 0), &agent);
    if (rc != PS_EXIT_OK)
        return rc;
    const char *id = ps_json_text(agent, "id");
    const char *name = ps_json_text(agent, "name");
    char *path = ps_ctl_path("/v1/agents/", id, after);
    rc = ps_ctl_call(ctl, "POST", path, NULL, NULL);
    free(path);
    if (rc == PS_EXIT_OK && wait_ms > 0)
        rc = wait_drained(ctl, id, wait_ms);
    if (rc != PS_EXIT_OK)
        return rc;
    if (ctl->json) {
        json_auto_t *done =
            json_pack("{s:s,s:b,s:b}", "id", id, "draining", (int)drain,
                      "drained", (int)(wait_ms > 0));
        ps_ctl_print_json(ctl, done);
    }
    if (!drain)
        ps_ctl_note(ctl, "Agent `%s` serves again.", name);
    else if (wait_ms > 0)
        ps_ctl_note(ctl, "Agent `%s` is drained: it may be stopped.", name);
    else
        ps_ctl_note(ctl,
                    "Agent `%s` drains; `psctl agent list` shows when it "
                    "is drained.",
                    name);
    return PS_EXIT_OK;
}

static enum ps_exit
agent_drain(struct ps_ctl *ctl)
{
    int64_t wait_ms = 0;
    const char *wait = ps_ctl_value(ctl, "wait");
    if (wait && (!ps_value_duration_ms(wait, &wait_ms) || wait_ms < 1 ||
                 wait_ms > 86400000))
        return ps_ctl_bad_value(ctl, "wait", "a duration up to 1d, like 2m");
    return set_drain(ctl, "/drain", wait_ms);
}

static enum ps_exit
agent_undrain(struct ps_ctl *ctl)
{
    return set_drain(ctl, "/undrain", 0);
}

/* clang-format off */
static const struct ps_option token_options[] = {
    {.name = "region", .value = "REGION", .required = true,
     .help = "where the agent will be; made if missing"},
    {.name = "ttl", .value = "DURATION",
     .help = "how long the token works; default 1h"},
    {.name = "name", .value = "NAME",
     .help = "of the agent, unless it gives its own"},
    {.name = NULL},
};
static const struct ps_option drain_options[] = {
    {.name = "wait", .value = "DURATION",
     .help = "until it is drained, so long at most"},
    {.name = NULL},
};
static const struct ps_option end_options[] = {
    {.name = "yes", .help = "do not ask"},
    {.name = NULL},
};

const struct ps_command ps_agent_commands[] = {
    {
        .name = "agent join-token",
        .synopsis = "--region REGION [--ttl DURATION] [--name NAME]",
        .summary = "make a one-time token for a new agent",
        .details =
            "Prints the token, which also pins the control plane's CA. On the "
            "new node:\n  portside-agent enroll TOKEN --dir DIR",
        .options = token_options,
        .run = token_create,
    },
    {
        .name = "agent join-token list",
        .synopsis = "",
        .summary = "list the join tokens, without their secrets",
        .run = token_list,
    },
    {
        .name = "agent join-token revoke",
        .synopsis = "ID",
        .summary = "withdraw a join token",
        .min_operands = 1,
        .max_operands = 1,
        .run = token_revoke,
    },
    {
        .name = "agent list",
        .synopsis = "",
        .summary = "list the agents and their state",
        .details =
            "`lost` means: the agent's heartbeats stopped and it did not say "
            "goodbye. Until it is back or revoked, the others answer from "
            "memory only what is younger than the lease.",
        .run = agent_list,
    },
    {
        .name = "agent drain",
        .synopsis = "AGENT [--wait DURATION]",
        .summary = "take an agent out of service, without losing a request",
        .details =
            "AGENT is an id or a name. Its /readyz says no, so that a load "
            "balancer sends nothing more; after the agent's --drain-delay "
            "connections end with their reply; when nothing is open any more "
            "it is `drained`, and may be stopped. Who comes all the same is "
            "answered. It stays so, over a restart too, until `psctl agent "
            "undrain`.",
        .options = drain_options,
        .min_operands = 1,
        .max_operands = 1,
        .run = agent_drain,
    },
    {
        .name = "agent undrain",
        .synopsis = "AGENT",
        .summary = "take a drained agent back into service",
        .min_operands = 1,
        .max_operands = 1,
        .run = agent_undrain,
    },
    {
        .name = "agent revoke",
        .synopsis = "AGENT [--yes]",
        .summary = "end an agent's session and lease at once, for good",
        .details =
            "AGENT is an id or a name. Also for a lost agent that will not "
            "come back.",
        .options = end_options,
        .min_operands = 1,
        .max_operands = 1,
        .run = agent_revoke,
    },
    {
        .name = "agent remove",
        .synopsis = "AGENT [--yes]",
        .summary = "forget a revoked agent",
        .options = end_options,
        .min_operands = 1,
        .max_operands = 1,
        .run = agent_remove,
    },
    {.name = NULL},
};
/* clang-format on */
