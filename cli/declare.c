/*
 * psctl export | plan | apply: caches as a file says.
 *
 * An apply goes through the plan's changes one after another. Each is one call
 * and one transaction of the control plane, so that whatever interrupts it,
 * each cache is as it was or as the file wants; the next apply does what is
 * left.
 */
#include "cli/manifest.h"
#include "cli/plan.h"
#include "cli/prompt.h"
#include "common/check.h"
#include "common/file.h"

#include <stdlib.h>

/* ---- export ---- */

static enum ps_exit
add_definition(struct ps_ctl *ctl, const char *id, json_t *definitions)
{
    json_t *one = NULL;
    char *path = ps_ctl_path("/v1/caches/", id, "/definition");
    enum ps_exit rc = ps_ctl_call(ctl, "GET", path, NULL, &one);
    free(path);
    if (rc == PS_EXIT_OK)
        json_array_append_new(definitions, one);
    return rc;
}

static enum ps_exit
export_all(struct ps_ctl *ctl, json_t *definitions)
{
    json_auto_t *caches = NULL;
    enum ps_exit rc = ps_ctl_list(ctl, "/v1/caches", &caches);
    for (size_t i = 0; i < json_array_size(caches) && rc == PS_EXIT_OK; i++)
        rc = add_definition(ctl, ps_json_text(json_array_get(caches, i), "id"),
                            definitions);
    return rc;
}

static enum ps_exit
export_named(struct ps_ctl *ctl, json_t *definitions)
{
    enum ps_exit rc = PS_EXIT_OK;
    for (int i = 0; i < ctl->args.n_operands && rc == PS_EXIT_OK; i++) {
        json_auto_t *cache = NULL;
        rc = ps_ctl_find_cache(ctl, ps_ctl_operand(ctl, i), &cache);
        if (rc == PS_EXIT_OK)
            rc = add_definition(ctl, ps_json_text(cache, "id"), definitions);
    }
    return rc;
}

static enum ps_exit export(struct ps_ctl *ctl) {
    json_auto_t *definitions = json_array();
        enum ps_exit rc = ctl->args.n_operands ? export_named(ctl, definitions)
                                               : export_all(ctl, definitions);
        if (rc != PS_EXIT_OK) return rc;
        json_auto_t *content = ps_manifest_of(definitions);
        if (ctl->json){ps_ctl_print_json(ctl, content); return PS_EXIT_OK;
}
struct ps_buf out;
ps_buf_init(&out, PS_OUT_MAX);
ps_manifest_yaml(content, &out);
PS_CHECK(ps_buf_rc(&out) == PS_OK);
ps_out_print(&out);
ps_buf_done(&out);
return PS_EXIT_OK;
}

/* ---- plan ---- */

static enum ps_exit
read_input(struct ps_ctl *ctl, const char *path, struct ps_buf *out)
{
    struct ps_err err;
    char *text, part[65536];
    size_t n;
    ps_buf_init(out, PS_MANIFEST_MAX);
    if (strcmp(path, "-") != 0) {
        if (ps_file_read(path, PS_MANIFEST_MAX, &text, &n, &err) != PS_OK)
            return ps_ctl_fail(ctl, PS_EXIT_FAILED, ps_err_info(err.rc)->code,
                               "%s", err.message);
        ps_buf_append(out, text, n);
        free(text);
        return PS_EXIT_OK;
    }
    while ((n = fread(part, 1, sizeof(part), stdin)) > 0)
        ps_buf_append(out, part, n);
    return ferror(stdin) || ps_buf_rc(out) != PS_OK
               ? ps_ctl_fail(ctl, PS_EXIT_FAILED, "io_error",
                             "standard input cannot be read, or it is larger "
                             "than %d MiB",
                             PS_MANIFEST_MAX >> 20)
               : PS_EXIT_OK;
}

static const char *
file_name(const struct ps_ctl *ctl)
{
    const char *path = ps_ctl_value(ctl, "file");
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

static enum ps_exit
make_plan(struct ps_ctl *ctl, struct ps_plan *plan)
{
    struct ps_buf text;
    struct ps_manifest manifest;
    *plan = (struct ps_plan){.changes = NULL};
    enum ps_exit rc = read_input(ctl, ps_ctl_value(ctl, "file"), &text);
    if (rc == PS_EXIT_OK)
        rc = ps_manifest_read(ps_buf_str(&text), file_name(ctl), &manifest,
                              &ctl->fault);
    ps_buf_done(&text);
    if (rc != PS_EXIT_OK)
        return rc;
    rc = ps_plan_make(ctl, file_name(ctl), &manifest,
                      ps_ctl_value(ctl, "prune") != NULL, plan);
    ps_manifest_done(&manifest);
    return rc;
}

static enum ps_exit
plan_command(struct ps_ctl *ctl)
{
    struct ps_plan plan;
    enum ps_exit rc = make_plan(ctl, &plan);
    if (rc != PS_EXIT_OK)
        return rc;
    if (ctl->json) {
        json_auto_t *json = ps_plan_json(&plan);
        ps_ctl_print_json(ctl, json);
    } else {
        ps_plan_print(ctl, &plan);
    }
    rc = ps_plan_work(&plan) ? PS_EXIT_CHANGES : PS_EXIT_OK;
    ps_plan_done(&plan);
    return rc;
}

/* ---- apply ---- */

static enum ps_exit
send(struct ps_ctl *ctl, const struct ps_change *change)
{
    enum ps_exit rc;
    json_auto_t *reply = NULL;
    char *path;
    switch (change->kind) {
    case PS_CHANGE_CREATE:
        return ps_ctl_call(ctl, "POST", "/v1/caches", change->body, &reply);
    case PS_CHANGE_UPDATE:
        path = ps_ctl_path("/v1/caches/", change->id, "/definition");
        rc = ps_ctl_change(ctl, "PATCH", path, change->body, change->etag,
                           "the cache", &reply);
        break;
    case PS_CHANGE_DELETE:
        path = ps_ctl_path("/v1/caches/", change->id, "");
        rc = ps_ctl_call(ctl, "DELETE", path, NULL, NULL);
        break;
    default:
        return PS_EXIT_OK;
    }
    free(path);
    return rc;
}

/* Says where in the file it stands, and what has been done before it. */
static enum ps_exit
explain(struct ps_ctl *ctl, enum ps_exit rc, const struct ps_change *change,
        size_t done)
{
    char why[sizeof(ctl->fault.message)];
    char place[320] = "";
    snprintf(why, sizeof(why), "%s", ctl->fault.message);
    if (change->line)
        snprintf(place, sizeof(place), "%.256s:%zu: ", file_name(ctl),
                 change->line);
    ps_fault_set(&ctl->fault, ctl->fault.code,
                 "%scache `%s` is not %sd: %s (%zu done before it; the next "
                 "apply goes on from here)",
                 place, change->name, ps_change_word(change->kind), why, done);
    return rc;
}

static enum ps_exit
carry_out(struct ps_ctl *ctl, const struct ps_plan *plan, json_t *done)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct ps_change *change = &plan->changes[i];
        if (change->kind == PS_CHANGE_NONE)
            continue;
        enum ps_exit rc = send(ctl, change);
        if (rc != PS_EXIT_OK)
            return explain(ctl, rc, change, json_array_size(done));
        json_t *one =
            json_pack("{s:s,s:s}", "action", ps_change_word(change->kind),
                      "cache", change->name);
        PS_CHECK(one);
        json_array_append_new(done, one);
        ps_ctl_note(ctl, "Cache `%s` is %sd.", change->name,
                    ps_change_word(change->kind));
    }
    return PS_EXIT_OK;
}

/* A change needs somebody who wants it. */
static enum ps_exit
confirm(struct ps_ctl *ctl, const struct ps_plan *plan)
{
    if (ps_plan_work(plan) == 0 || ps_ctl_value(ctl, "yes"))
        return PS_EXIT_OK;
    if (!ps_prompt_possible())
        return ps_ctl_fail(ctl, PS_EXIT_USAGE, "usage",
                           "nobody can be asked here: give --yes to apply "
                           "this, or look at it with `psctl plan`");
    return ps_ctl_confirm(ctl, "Apply this?") ? PS_EXIT_OK : PS_EXIT_FAILED;
}

static enum ps_exit
apply(struct ps_ctl *ctl)
{
    struct ps_plan plan;
    enum ps_exit rc = make_plan(ctl, &plan);
    if (rc != PS_EXIT_OK)
        return rc;
    json_auto_t *done = json_array();
    if (!ctl->json)
        ps_plan_print(ctl, &plan);
    rc = confirm(ctl, &plan);
    if (rc == PS_EXIT_OK)
        rc = carry_out(ctl, &plan, done);
    if (ctl->json && rc == PS_EXIT_OK) {
        json_auto_t *json = json_pack("{s:O}", "applied", done);
        ps_ctl_print_json(ctl, json);
    }
    ps_plan_done(&plan);
    return rc;
}

/* clang-format off */
#define FILE_OPTION                                                          \
    {.name = "file", .value = "FILE", .required = true,                      \
     .help = "caches in YAML or JSON; - is standard input; short: -f FILE"},                 \
    {.name = "prune", .help = "delete caches that are not in the file"}

static const struct ps_option plan_options[] = {
    FILE_OPTION,
    {.name = NULL},
};
static const struct ps_option apply_options[] = {
    FILE_OPTION,
    {.name = "yes", .help = "do not ask; needed where nobody can be asked"},
    {.name = NULL},
};

#define FORM                                                                 \
    "The file, YAML or JSON:\n"                                              \
    "  version: 1\n"                                                         \
    "  caches:\n"                                                            \
    "    - name: shop\n"                                                     \
    "      type: postgres\n"                                                 \
    "      host: db.example.com\n"                                           \
    "      ttl-max: 5m\n"                                                    \
    "      rules:\n"                                                         \
    "        - {table: public.orders, ttl: 30s}\n"                           \
    "        - {template: \"SELECT * FROM t WHERE id = 1\", mode: never}\n"  \
    "    - {name: old, absent: true}\n\n"                                    \
    "Settings have the names and units of `psctl cache create`; tls-ca holds " \
    "the certificate itself. What an entry does not name stays as it is, or " \
    "has its default where the cache is new; `rules` says all rules of the " \
    "cache. A cache is known by its name: another name is another cache. " \
    "Caches that the file does not name are left alone, unless --prune is " \
    "given; `absent: true` deletes one. Unknown names are refused with " \
    "their line."

const struct ps_command ps_declare_commands[] = {
    {
        .name = "export",
        .synopsis = "[CACHE...]",
        .summary = "print caches with their settings and rules as a file",
        .details =
            "All caches without operands. `psctl plan --file` and `apply` read "
            "what it prints, YAML or, with --json, JSON. There is no secret in "
            "it.\n\nExample:\n  psctl export shop > shop.yaml",
        .max_operands = -1,
        .run = export,
    },
    {
        .name = "plan",
        .synopsis = "--file FILE [--prune]",
        .summary = "show what differs from a file; changes nothing",
        .details =
            "The exit status is 6 when there is a difference, 0 when there is "
            "none. + is new, - goes, ~ changes.\n\n" FORM,
        .options = plan_options,
        .run = plan_command,
    },
    {
        .name = "apply",
        .synopsis = "--file FILE [--prune] [--yes]",
        .summary = "make the caches as a file says",
        .details =
            "Shows the plan, asks, and carries it out cache by cache. A cache "
            "with its rules is one object and one transaction: whatever "
            "interrupts this, each is as it was or as the file says, and the "
            "next apply does the rest.\n\n" FORM,
        .options = apply_options,
        .run = apply,
    },
    {.name = NULL},
};
/* clang-format on */
