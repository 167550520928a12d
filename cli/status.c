/* psctl status | version | help. */
#include "cli/complete.h"
#include "cli/ctl.h"
#include "cli/manual.h"

#include <inttypes.h>
#include <stdio.h>

static void
line(struct ps_table *table, const char *name, int64_t value)
{
    ps_table_add(table, PS_TINT_DIM, name);
    ps_table_addf(table, PS_TINT_NONE, "%" PRId64, value);
}

static void
print_warning(const struct ps_ctl *ctl, const json_t *status)
{
    struct ps_buf out;
    int64_t lost = ps_json_int(json_object_get(status, "agents"), "lost");
    if (!ps_json_bool(status, "restricted") || ctl->quiet)
        return;
    ps_buf_init(&out, 4096);
    ps_tint_begin(&out, PS_TINT_WARN, ps_out_colour());
    if (lost == 0)
        ps_buf_append_c(
            &out,
            "\nwarning: an agent that died or was revoked may have left a "
            "write that is still\nunder way in its database. Until it must "
            "be over, agents answer from memory only\nwhat is younger than "
            "the lease.");
    else
        ps_buf_printf(
            &out,
            "\nwarning: %" PRId64
            " %s lost without saying goodbye, so the others "
            "answer from\nmemory only what is younger than the lease. Bring it "
            "back, or, when it will not\ncome back: psctl agent revoke AGENT "
            "(see "
            "`psctl agent list`).",
            lost, lost == 1 ? "agent is" : "agents are");
    ps_tint_end(&out, PS_TINT_WARN, ps_out_colour());
    ps_buf_append_char(&out, '\n');
    ps_out_print(&out);
    ps_buf_done(&out);
}

static enum ps_exit
status(struct ps_ctl *ctl)
{
    char time[PS_VALUE_MAX];
    json_auto_t *reply = NULL;
    enum ps_exit rc = ps_ctl_call(ctl, "GET", "/v1/status", NULL, &reply);
    if (rc != PS_EXIT_OK)
        return rc;
    if (ctl->json) {
        ps_ctl_print_json(ctl, reply);
        return PS_EXIT_OK;
    }
    if (ctl->quiet)
        return PS_EXIT_OK;
    const json_t *agents = json_object_get(reply, "agents");
    int64_t lost = ps_json_int(agents, "lost");
    struct ps_table *table = ps_table_new(NULL, 2);
    ps_table_add(table, PS_TINT_DIM, "control plane");
    ps_table_addf(table, PS_TINT_NONE, "%s, version %s", ctl->settings.url,
                  ps_json_text(reply, "version"));
    ps_value_format_time(ps_json_text(reply, "startedAt"), time);
    ps_table_add(table, PS_TINT_DIM, "up since");
    ps_table_addf(table, PS_TINT_NONE, "%s UTC", time);
    ps_table_add(table, PS_TINT_DIM, "epoch");
    ps_table_add(table, PS_TINT_NONE, ps_json_text(reply, "epoch"));
    line(table, "config version", ps_json_int(reply, "configVersion"));
    line(table, "invalidations", ps_json_int(reply, "invalidationNumber"));
    line(table, "caches", ps_json_int(reply, "caches"));
    ps_table_add(table, PS_TINT_DIM, "agents");
    ps_table_addf(table, lost ? PS_TINT_WARN : PS_TINT_GOOD,
                  "%" PRId64 " connected, %" PRId64 " lost, %" PRId64 " in all",
                  ps_json_int(agents, "connected"), lost,
                  ps_json_int(agents, "total"));
    ps_ctl_print_table(table);
    ps_table_free(&table);
    print_warning(ctl, reply);
    return PS_EXIT_OK;
}

static enum ps_exit
version(struct ps_ctl *ctl)
{
    if (ctl->json) {
        json_auto_t *json = json_pack("{s:s}", "version", PS_VERSION);
        ps_ctl_print_json(ctl, json);
    } else {
        puts(ctl->quiet ? PS_VERSION : "psctl " PS_VERSION);
    }
    return PS_EXIT_OK;
}

/* One command as JSON, for programs that want to know them. */
static json_t *
describe(const struct ps_command *c)
{
    json_t *options = json_array();
    for (const struct ps_option *o = c->options; o && o->name; o++)
        json_array_append_new(options,
                              json_pack("{s:s,s:s?,s:s,s:b}", "name", o->name,
                                        "value", o->value, "help", o->help,
                                        "required", (int)o->required));
    return json_pack("{s:s,s:s,s:s,s:s?,s:o}", "name", c->name, "synopsis",
                     c->synopsis, "summary", c->summary, "details", c->details,
                     "options", options);
}

static enum ps_exit
help_json(struct ps_ctl *ctl)
{
    json_auto_t *list = json_array();
    const struct ps_command *c;
    for (size_t i = 0; (c = ps_command_at(i)) != NULL; i++)
        json_array_append_new(list, describe(c));
    ps_ctl_print_json(ctl, list);
    return PS_EXIT_OK;
}

static enum ps_exit
print_all(struct ps_buf *out)
{
    ps_out_print(out);
    ps_buf_done(out);
    return PS_EXIT_OK;
}

static enum ps_exit
completion(struct ps_ctl *ctl)
{
    struct ps_buf out;
    const char *what = ps_ctl_operand(ctl, 0);
    const char *script = ps_complete_script(what);
    bool words = strcmp(what, "words") == 0;
    if (!script && !(words && ctl->args.n_operands > 1))
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                           "there is a completion for bash, zsh and fish, not "
                           "for `%s`",
                           what);
    if (!words && ctl->args.n_operands > 1)
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                           "`%s` is one argument too many",
                           ps_ctl_operand(ctl, 1));
    ps_buf_init(&out, PS_OUT_MAX);
    if (words)
        ps_complete(ctl->args.operands + 1, ctl->args.n_operands - 1, &out);
    else
        ps_buf_append_c(&out, script);
    return print_all(&out);
}

static enum ps_exit
help(struct ps_ctl *ctl)
{
    char name[128] = "";
    size_t at = 0;
    struct ps_buf out;
    for (int i = 0; i < ctl->args.n_operands && at < sizeof(name); i++)
        at += (size_t)snprintf(name + at, sizeof(name) - at, i ? " %s" : "%s",
                               ps_ctl_operand(ctl, i));
    if (ctl->json)
        return help_json(ctl);
    if (ps_ctl_value(ctl, "man")) {
        ps_buf_init(&out, PS_OUT_MAX);
        ps_manual(&out);
        return print_all(&out);
    }
    const struct ps_command *c = ps_command_find(name);
    if (c == NULL && name[0] && !ps_group_exists(name)) {
        const char *best = ps_command_nearest(name);
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                           "there is no command `%s`; %s `psctl help%s%s`",
                           name, best ? "did you mean" : "see", best ? " " : "",
                           best ? best : "");
    }
    ps_buf_init(&out, PS_OUT_MAX);
    if (c)
        ps_help_command(c, &out);
    else
        ps_help_group(name, &out);
    return print_all(&out);
}

/* clang-format off */
static const struct ps_option help_options[] = {
    {.name = "man", .help = "the whole manual page, as troff"},
    {.name = NULL},
};

const struct ps_command ps_status_commands[] = {
    {
        .name = "status",
        .synopsis = "",
        .summary = "show how the control plane and its agents are",
        .run = status,
    },
    {
        .name = "version",
        .synopsis = "",
        .summary = "print the version of psctl",
        .run = version,
    },
    {
        .name = "completion",
        .synopsis = "bash|zsh|fish",
        .summary = "print a script by which a shell completes psctl's words",
        .details =
            "For one session:\n"
            "  eval \"$(psctl completion bash)\"\n"
            "  eval \"$(psctl completion zsh)\"\n"
            "  psctl completion fish | source\n"
            "The scripts ask `psctl completion words -- WORD...`, which prints "
            "what may stand for the last word.",
        .min_operands = 1,
        .max_operands = -1,
        .run = completion,
    },
    {
        .name = "help",
        .synopsis = "[COMMAND] [--man]",
        .summary = "explain a command; with --json the whole command table",
        .options = help_options,
        .max_operands = 3,
        .run = help,
    },
    {.name = NULL},
};
/* clang-format on */
