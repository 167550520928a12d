/* Compares what is there with what a file wants. See plan.h. */
#include "cli/plan.h"

#include "cli/cache_fields.h"
#include "common/check.h"
#include "common/tls.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- parts ---- */

/* Takes both texts; NULL: there is none. */
static void
add_part(json_t *parts, char *what, char *from, char *to)
{
    const char *change = !from ? "add" : !to ? "remove" : "change";
    json_t *part = json_pack("{s:s,s:s,s:s?,s:s?}", "change", change, "what",
                             what, "from", from, "to", to);
    PS_CHECK(part);
    json_array_append_new(parts, part);
    free(what);
    free(from);
    free(to);
}

static char *
copy(const char *text)
{
    char *out = strdup(text);
    PS_CHECK(out);
    return out;
}

/* Certificates are told by their fingerprint and size. */
static char *
part_text(const struct ps_cache_field *field, const json_t *value)
{
    char fingerprint[65], *out;
    const char *pem = json_string_value(value);
    if (field->kind != PS_FIELD_FILE)
        return ps_cache_field_text(field, value);
    if (pem == NULL || *pem == '\0')
        return copy("the system's bundle");
    if (ps_tls_fingerprint(pem, fingerprint, NULL) != PS_OK)
        fingerprint[0] = '\0';
    PS_CHECK(asprintf(&out, "SHA-256 %.16s..., %zu bytes", fingerprint,
                      strlen(pem)) >= 0);
    return out;
}

static void
compare_field(const struct ps_cache_field *field, const json_t *wanted,
              const json_t *is, struct ps_change *change)
{
    json_t *to = json_object_get(wanted, field->field);
    const json_t *from = json_object_get(is, field->field);
    if (to == NULL || (from && json_equal(to, from)))
        return;
    json_object_set(change->body, field->field, to);
    add_part(change->parts, copy(field->option),
             from ? part_text(field, from) : NULL, part_text(field, to));
}

/* ---- rules ---- */

static const char *const rule_members[] = {"mode", "ttlMs", "staleIfErrorMs",
                                           "staleWhileRevalidateMs", "name"};

static bool
same_rule(const json_t *a, const json_t *b)
{
    for (size_t i = 0; i < PS_ARRAY_LEN(rule_members); i++)
        if (!json_equal(json_object_get(a, rule_members[i]),
                        json_object_get(b, rule_members[i])))
            return false;
    return true;
}

static char *
rule_name(const json_t *rule)
{
    char *out;
    PS_CHECK(asprintf(&out, "rule %s %s", ps_json_text(rule, "type"),
                      ps_json_text(rule, "key")) >= 0);
    return out;
}

/* {name: rule}, borrowed rules. */
static json_t *
rules_by_name(const json_t *rules)
{
    json_t *out = json_object();
    for (size_t i = 0; i < json_array_size(rules); i++) {
        char *name = rule_name(json_array_get(rules, i));
        json_object_set(out, name, json_array_get(rules, i));
        free(name);
    }
    return out;
}

static void
compare_rules(const json_t *wanted, const json_t *is, struct ps_change *change)
{
    json_auto_t *there = rules_by_name(is), *named = rules_by_name(wanted);
    size_t before = json_array_size(change->parts);
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        const json_t *to = json_array_get(wanted, i);
        char *name = rule_name(to);
        const json_t *from = json_object_get(there, name);
        if (from && same_rule(from, to))
            free(name);
        else
            add_part(change->parts, name, from ? ps_rule_text(from) : NULL,
                     ps_rule_text(to));
    }
    for (size_t i = 0; i < json_array_size(is); i++) {
        const json_t *from = json_array_get(is, i);
        char *name = rule_name(from);
        if (json_object_get(named, name))
            free(name);
        else
            add_part(change->parts, name, ps_rule_text(from), NULL);
    }
    if (json_array_size(change->parts) > before)
        json_object_set_new(change->body, "rules",
                            json_copy((json_t *)(uintptr_t)wanted));
}

/* ---- changes ---- */

static struct ps_change *
add_change(struct ps_plan *plan, const char *name, size_t line)
{
    struct ps_change *list =
        realloc(plan->changes, (plan->count + 1) * sizeof(*plan->changes));
    PS_CHECK(list);
    plan->changes = list;
    struct ps_change *change = &list[plan->count++];
    *change = (struct ps_change){
        .name = copy(name), .line = line, .parts = json_array()};
    return change;
}

static void
compare(const struct ps_wanted *wanted, const json_t *is,
        struct ps_change *change)
{
    change->body = json_object();
    if (is == NULL)
        json_object_set_new(change->body, "name", json_string(wanted->name));
    compare_field(&ps_cache_type_field, wanted->fields, is, change);
    for (size_t i = 0; i < ps_cache_field_count; i++)
        compare_field(&ps_cache_fields[i], wanted->fields, is, change);
    if (wanted->rules)
        compare_rules(wanted->rules, json_object_get(is, "rules"), change);
}

static enum ps_exit
plan_create(struct ps_ctl *ctl, const char *where,
            const struct ps_wanted *wanted, struct ps_change *change)
{
    static const char *const needed[][2] = {
        {"database", "type"},
        {"host",     "host"}
    };
    change->kind = PS_CHANGE_CREATE;
    for (size_t i = 0; i < PS_ARRAY_LEN(needed); i++)
        if (json_object_get(wanted->fields, needed[i][0]) == NULL)
            return ps_ctl_fail(ctl, PS_EXIT_FAILED, "bad_file",
                               "%s:%zu: there is no cache `%s`, and a new one "
                               "needs `%s`",
                               where, wanted->line, wanted->name, needed[i][1]);
    compare(wanted, NULL, change);
    return PS_EXIT_OK;
}

static enum ps_exit
plan_update(struct ps_ctl *ctl, const char *where,
            const struct ps_wanted *wanted, struct ps_change *change)
{
    json_auto_t *is = NULL;
    char *path = ps_ctl_path("/v1/caches/", change->id, "/definition");
    enum ps_exit rc = ps_ctl_read(ctl, path, &is, change->etag);
    free(path);
    if (rc != PS_EXIT_OK)
        return rc;
    compare(wanted, is, change);
    if (json_object_get(change->body, "database"))
        return ps_ctl_fail(ctl, PS_EXIT_FAILED, "bad_file",
                           "%s:%zu: `%s` is a cache of the type %s and cannot "
                           "become %s; delete it first, or give the new one "
                           "another name",
                           where, wanted->line, wanted->name,
                           ps_json_text(is, "database"),
                           ps_json_text(change->body, "database"));
    if (json_object_size(change->body) > 0)
        change->kind = PS_CHANGE_UPDATE;
    return PS_EXIT_OK;
}

static const json_t *
find_named(const json_t *caches, const char *name)
{
    for (size_t i = 0; i < json_array_size(caches); i++)
        if (strcmp(ps_json_text(json_array_get(caches, i), "name"), name) == 0)
            return json_array_get(caches, i);
    return NULL;
}

static enum ps_exit
plan_one(struct ps_ctl *ctl, const char *where, const struct ps_wanted *wanted,
         const json_t *caches, struct ps_plan *plan)
{
    struct ps_change *change = add_change(plan, wanted->name, wanted->line);
    const json_t *is = find_named(caches, wanted->name);
    if (is)
        snprintf(change->id, sizeof(change->id), "%s", ps_json_text(is, "id"));
    if (wanted->absent) {
        change->kind = is ? PS_CHANGE_DELETE : PS_CHANGE_NONE;
        return PS_EXIT_OK;
    }
    return is ? plan_update(ctl, where, wanted, change)
              : plan_create(ctl, where, wanted, change);
}

/* Those that the file does not name. */
static void
plan_others(const struct ps_manifest *manifest, const json_t *caches,
            bool prune, struct ps_plan *plan)
{
    for (size_t i = 0; i < json_array_size(caches); i++) {
        const json_t *cache = json_array_get(caches, i);
        const char *name = ps_json_text(cache, "name");
        size_t at = 0;
        while (at < manifest->count &&
               strcmp(manifest->caches[at].name, name) != 0)
            at++;
        if (at < manifest->count)
            continue;
        if (!prune) {
            json_array_append_new(plan->kept, json_string(name));
            continue;
        }
        struct ps_change *change = add_change(plan, name, 0);
        change->kind = PS_CHANGE_DELETE;
        snprintf(change->id, sizeof(change->id), "%s",
                 ps_json_text(cache, "id"));
    }
}

enum ps_exit
ps_plan_make(struct ps_ctl *ctl, const char *where,
             const struct ps_manifest *manifest, bool prune,
             struct ps_plan *plan)
{
    json_auto_t *caches = NULL;
    *plan = (struct ps_plan){.kept = json_array()};
    enum ps_exit rc = ps_ctl_list(ctl, "/v1/caches", &caches);
    for (size_t i = 0; i < manifest->count && rc == PS_EXIT_OK; i++)
        rc = plan_one(ctl, where, &manifest->caches[i], caches, plan);
    if (rc == PS_EXIT_OK)
        plan_others(manifest, caches, prune, plan);
    else
        ps_plan_done(plan);
    return rc;
}

void
ps_plan_done(struct ps_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        free(plan->changes[i].name);
        json_decref(plan->changes[i].body);
        json_decref(plan->changes[i].parts);
    }
    free(plan->changes);
    json_decref(plan->kept);
    *plan = (struct ps_plan){.changes = NULL};
}

size_t
ps_plan_work(const struct ps_plan *plan)
{
    size_t n = 0;
    for (size_t i = 0; i < plan->count; i++)
        n += plan->changes[i].kind != PS_CHANGE_NONE;
    return n;
}

const char *
ps_change_word(enum ps_change_kind kind)
{
    static const char *const words[] = {
        [PS_CHANGE_NONE] = "none",
        [PS_CHANGE_CREATE] = "create",
        [PS_CHANGE_UPDATE] = "change",
        [PS_CHANGE_DELETE] = "delete",
    };
    return words[kind];
}

/* ---- showing ---- */

static void
add_sign(struct ps_table *table, char sign)
{
    enum ps_tint tint = sign == '+'   ? PS_TINT_GOOD
                        : sign == '-' ? PS_TINT_BAD
                                      : PS_TINT_WARN;
    ps_table_addf(table, tint, "    %c", sign);
}

static void
print_parts(const struct ps_change *change)
{
    struct ps_table *table = ps_table_new(NULL, 3);
    for (size_t i = 0; i < json_array_size(change->parts); i++) {
        const json_t *part = json_array_get(change->parts, i);
        const char *word = ps_json_text(part, "change");
        const char *from = ps_json_text(part, "from");
        const char *to = ps_json_text(part, "to");
        char sign = strcmp(word, "add") == 0      ? '+'
                    : strcmp(word, "remove") == 0 ? '-'
                                                  : '~';
        add_sign(table, sign);
        ps_table_add(table, PS_TINT_NONE, ps_json_text(part, "what"));
        if (sign == '~')
            ps_table_addf(table, PS_TINT_NONE, "%s -> %s",
                          *from ? from : "\"\"", *to ? to : "\"\"");
        else
            ps_table_add(table, PS_TINT_NONE, sign == '+' ? to : from);
    }
    ps_ctl_print_table(table);
    ps_table_free(&table);
}

static void
print_change(const struct ps_change *change)
{
    static const char signs[] = {[PS_CHANGE_CREATE] = '+',
                                 [PS_CHANGE_UPDATE] = '~',
                                 [PS_CHANGE_DELETE] = '-'};
    struct ps_buf out;
    char sign = signs[change->kind];
    enum ps_tint tint = sign == '+'   ? PS_TINT_GOOD
                        : sign == '-' ? PS_TINT_BAD
                                      : PS_TINT_WARN;
    ps_buf_init(&out, PS_OUT_MAX);
    ps_tint_begin(&out, tint, ps_out_colour());
    ps_buf_append_char(&out, sign);
    ps_tint_end(&out, tint, ps_out_colour());
    ps_buf_append_c(&out, " cache ");
    ps_text_clean(&out, ps_str_of(change->name));
    ps_buf_append_c(&out, sign == '+'                    ? " (new)"
                          : sign == '-' && !change->line ? " (not in the file)"
                          : sign == '-'                  ? " (absent)"
                                                         : "");
    ps_buf_append_char(&out, '\n');
    ps_out_print(&out);
    ps_buf_done(&out);
    if (json_array_size(change->parts) > 0)
        print_parts(change);
}

/* "the caches a, b" that stay although the file does not name them. */
static void
note_kept(const struct ps_ctl *ctl, const json_t *kept)
{
    struct ps_buf names;
    size_t n = json_array_size(kept);
    if (n == 0)
        return;
    ps_buf_init(&names, 1 << 20);
    for (size_t i = 0; i < n && i < 10; i++)
        ps_buf_printf(&names, "%s%s", i ? ", " : "",
                      json_string_value(json_array_get(kept, i)));
    ps_buf_append_c(&names, n > 10 ? ", ..." : "");
    ps_ctl_note(ctl, "Not in the file, and left alone without --prune: %.*s.",
                PS_STR_ARG(ps_buf_str(&names)));
    ps_buf_done(&names);
}

void
ps_plan_print(const struct ps_ctl *ctl, const struct ps_plan *plan)
{
    size_t counts[PS_CHANGE_DELETE + 1] = {0};
    for (size_t i = 0; i < plan->count; i++) {
        counts[plan->changes[i].kind]++;
        if (plan->changes[i].kind != PS_CHANGE_NONE && !ctl->quiet)
            print_change(&plan->changes[i]);
    }
    if (ps_plan_work(plan) == 0)
        ps_ctl_note(ctl, "Nothing to change: %zu as the file wants.",
                    counts[PS_CHANGE_NONE]);
    else
        ps_ctl_note(ctl,
                    "%zu to create, %zu to change, %zu to delete; %zu as the "
                    "file wants.",
                    counts[PS_CHANGE_CREATE], counts[PS_CHANGE_UPDATE],
                    counts[PS_CHANGE_DELETE], counts[PS_CHANGE_NONE]);
    note_kept(ctl, plan->kept);
}

json_t *
ps_plan_json(const struct ps_plan *plan)
{
    json_t *changes = json_array(), *unchanged = json_array();
    for (size_t i = 0; i < plan->count; i++) {
        const struct ps_change *c = &plan->changes[i];
        if (c->kind == PS_CHANGE_NONE) {
            json_array_append_new(unchanged, json_string(c->name));
            continue;
        }
        json_t *one = json_pack("{s:s,s:s,s:s*,s:O}", "action",
                                ps_change_word(c->kind), "cache", c->name, "id",
                                c->id[0] ? c->id : NULL, "parts", c->parts);
        PS_CHECK(one);
        json_array_append_new(changes, one);
    }
    json_t *out = json_pack("{s:o,s:o,s:O}", "changes", changes, "unchanged",
                            unchanged, "notInFile", plan->kept);
    PS_CHECK(out);
    return out;
}
