/* psctl events: what happened in the fleet, and what happens now. */
#include "cli/ctl.h"
#include "common/check.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FOLLOW_MS = 1000
};

static const struct {
    const char *type;
    enum ps_tint tint;
} tints[] = {
    {"agent_lost",   PS_TINT_BAD },
    {"lease_lost",   PS_TINT_BAD },
    {"restricted",   PS_TINT_BAD },
    {"breaker_open", PS_TINT_BAD },
    {"template_off", PS_TINT_WARN},
};

static enum ps_tint
tint_of(const char *type)
{
    for (size_t i = 0; i < PS_ARRAY_LEN(tints); i++)
        if (strcmp(tints[i].type, type) == 0)
            return tints[i].tint;
    return PS_TINT_NONE;
}

/* "2026-11-28 22:30:01  agent_lost       eu-west one  shop  no heartbeat ..."
 */
static void
print_event(const json_t *event)
{
    char time[PS_VALUE_MAX];
    const char *type = ps_json_text(event, "type");
    const char *agent = ps_json_text(event, "agentName");
    const char *cache = ps_json_text(event, "cacheName");
    struct ps_buf out;
    ps_buf_init(&out, 16384);
    ps_value_format_time(ps_json_text(event, "at"), time);
    ps_buf_printf(&out, "%s  ", time);
    ps_tint_begin(&out, tint_of(type), ps_out_colour());
    ps_buf_printf(&out, "%-16s", type);
    ps_tint_end(&out, tint_of(type), ps_out_colour());
    if (*agent) {
        ps_buf_append_c(&out, "  ");
        ps_text_clean(&out, ps_str_of(ps_json_text(event, "region")));
        ps_buf_append_char(&out, ' ');
        ps_text_clean(&out, ps_str_of(agent));
    }
    if (*cache) {
        ps_buf_append_c(&out, "  ");
        ps_text_clean(&out, ps_str_of(cache));
    }
    ps_buf_append_c(&out, "  ");
    ps_text_clean(&out, ps_str_of(ps_json_text(event, "message")));
    ps_buf_append_char(&out, '\n');
    ps_out_print(&out);
    ps_buf_done(&out);
}

/* With --follow there is no end: one object in each line. */
static void
print_line(const json_t *event)
{
    struct ps_buf out;
    ps_buf_init(&out, PS_OUT_MAX);
    ps_json_render(event, -1, &out);
    ps_buf_append_char(&out, '\n');
    PS_CHECK(ps_buf_rc(&out) == PS_OK);
    ps_out_print(&out);
    ps_buf_done(&out);
}

static void
print_items(struct ps_ctl *ctl, const json_t *items, bool follow)
{
    if (ctl->json && !follow) {
        ps_ctl_print_json(ctl, items);
        return;
    }
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *event = json_array_get(items, i);
        if (ctl->json)
            print_line(event);
        else if (ctl->quiet)
            printf("%" PRId64 "\n", ps_json_int(event, "number"));
        else
            print_event(event);
    }
    ctl->answered |= ctl->json;
    fflush(stdout);
}

/* after < 0: the newest. */
static enum ps_exit
ask(struct ps_ctl *ctl, int64_t after, json_t **reply)
{
    const char *type = ps_ctl_value(ctl, "type");
    const char *since = ps_ctl_value(ctl, "since");
    char *path = NULL, *typed = ps_ctl_path("", type ? type : "", "");
    char *long_ago = ps_ctl_path("", since ? since : "", "");
    char from[32] = "";
    if (after >= 0)
        snprintf(from, sizeof(from), "&after=%" PRId64, after);
    else if (since)
        snprintf(from, sizeof(from), "&after=0");
    PS_CHECK(asprintf(&path, "/v1/events?limit=500%s%s%s%s%s", from,
                      type ? "&type=" : "", typed,
                      since && after < 0 ? "&since=" : "",
                      since && after < 0 ? long_ago : "") >= 0);
    free(typed);
    free(long_ago);
    enum ps_exit rc = ps_ctl_call(ctl, "GET", path, NULL, reply);
    free(path);
    return rc;
}

static enum ps_exit
follow(struct ps_ctl *ctl, int64_t after)
{
    for (;;) {
        json_auto_t *reply = NULL;
        enum ps_exit rc = ask(ctl, after, &reply);
        if (rc != PS_EXIT_OK)
            return rc;
        const json_t *items = json_object_get(reply, "items");
        print_items(ctl, items, true);
        after = ps_json_int(reply, "last");
        if (ferror(stdout))
            return PS_EXIT_FAILED;
        if (json_array_size(items) == 0)
            poll(NULL, 0, FOLLOW_MS);
    }
}

static enum ps_exit
events(struct ps_ctl *ctl)
{
    json_auto_t *reply = NULL;
    bool following = ps_ctl_value(ctl, "follow") != NULL;
    enum ps_exit rc = ask(ctl, -1, &reply);
    if (rc != PS_EXIT_OK)
        return rc;
    const json_t *items = json_object_get(reply, "items");
    print_items(ctl, items, following);
    if (following)
        return follow(ctl, ps_json_int(reply, "last"));
    if (json_array_size(items) == 0)
        ps_ctl_note(ctl, "Nothing has happened.");
    else if (json_array_size(items) == 500)
        ps_ctl_note(ctl, "There may be more; --follow goes on, a shorter "
                         "--since shows the end.");
    return PS_EXIT_OK;
}

/* clang-format off */
static const struct ps_option options[] = {
    {.name = "since", .value = "DURATION",
     .help = "from so long ago, like 2h; default: the newest 500"},
    {.name = "type", .value = "TYPE", .help = "only events of this type"},
    {.name = "follow", .help = "go on with what happens, until Ctrl-C"},
    {.name = NULL},
};

const struct ps_command ps_events_commands[] = {
    {
        .name = "events",
        .synopsis = "[--since DURATION] [--type TYPE] [--follow]",
        .summary = "list what happened in the fleet, and follow it",
        .details =
            "Types: agent_connected, agent_stopped, agent_lost, "
            "agent_draining, agent_drained, agent_serving, agent_revoked, "
            "lease_lost, restricted, unrestricted, cache_created, "
            "cache_changed, cache_deleted, reachability, breaker_open, "
            "breaker_closed, template_off, purge.\n"
            "\n"
            "The oldest comes first. The control plane keeps the newest 10,000, "
            "for 30 days. A token for some caches sees those of its caches and "
            "those that are of no cache. With --json --follow each line is one "
            "object.",
        .options = options,
        .run = events,
    },
    {.name = NULL},
};
/* clang-format on */
