/*
 * psctl advise: of the templates that cost most at the database, what would let
 * memory answer more of them. Made of the statistics alone: for each reason why
 * queries were not hits there is one piece of advice, and the time that it
 * could save at most is how often the reason was given, times the mean time
 * that the template takes at the database.
 */
#include "cli/ctl.h"
#include "common/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LIMIT_DEFAULT = 10,
    ADVICE_MAX = 1024,
    TEMPLATES = 100 /* looked at, of each cache */
};

/* What the command of a piece of advice is about. */
enum act {
    EXPLAIN, /* psctl explain CACHE "template" */
    RULE,    /* psctl rule set CACHE --template "template" ... */
    RULES,   /* psctl rule list CACHE */
    CACHE,   /* psctl cache update CACHE ... */
    AGENTS,  /* psctl agent list */
};

/* clang-format off */
static const struct {
    const char *reason;
    enum act act;
    const char *words; /* at the end of the command */
    const char *text;
} known[] = {
    {"volatile_function", EXPLAIN, "",
     "It asks for what changes from call to call, like the clock. Send that as "
     "a parameter, rounded (the time to the minute, say), so that equal "
     "questions are equal."},
    {"text_to_time", EXPLAIN, "",
     "A text that is cast to a date or time may mean the clock. Bind a date "
     "itself, or write the type before the literal."},
    {"unknown_function", EXPLAIN, "",
     "It calls a function that is not known to give the same answer each time. "
     "If it does, declare it so in the database: alter function ... immutable."},
    {"session_state", EXPLAIN, "",
     "Its answer depends on the session. Send what it asks of the session as "
     "a parameter."},
    {"locking_read", EXPLAIN, "",
     "It locks rows. Where it need not, leave FOR UPDATE (FOR SHARE) out."},
    {"transaction", EXPLAIN, "",
     "It runs within transactions, in which nothing is answered from memory. "
     "Send reads that need not be in one on their own."},
    {"multiple_statements", EXPLAIN, "",
     "It is several statements in one text. Send the reads on their own."},
    {"writes_inside", EXPLAIN, "",
     "It changes data while it reads, or calls what may. If a function only "
     "reads, declare it so in the database."},
    {"system_catalog", EXPLAIN, "",
     "It reads system tables, which change without a write that could be seen. "
     "Keep what it finds in the client."},
    {"not_understood", EXPLAIN, "",
     "A part of it is not understood, so it is not dared to keep it. Write "
     "that part another way."},
    {"no_catalog", EXPLAIN, "",
     "The structure of the database could not be read with the client's "
     "credentials: the user needs to see its catalogue."},
    {"unknown_relation", EXPLAIN, "",
     "The catalogue does not have one of its tables for this user. Name it "
     "with its schema."},
    {"row_security", EXPLAIN, "",
     "A table has row-level security, and answers are not shared then. Nothing "
     "to do, unless the policies are not needed."},
    {"caching_off", RULE, "--auto",
     "Caching is not on for it. A rule turns it on for this template."},
    {"rule_never", RULES, "",
     "A rule forbids it. If its cause is gone, delete the rule, or set another "
     "one for this template."},
    {"ttl_too_short", RULE, "--ttl 5s",
     "It changes too often with no write that Portside sees. Send the writes "
     "through Portside, too; or, where answers that are some seconds old will "
     "do, give it a time to live."},
    {"expired", RULE, "--auto --stale-while-revalidate 1m",
     "Its answers run out before they are asked for again. Let an old one be "
     "served while a new one is fetched."},
    {"invalidated", EXPLAIN, "",
     "Writes to its tables end its answers. Pin its rows by an integer, uuid "
     "or boolean column (where id = ?), and the writes too: then only those "
     "to the same rows count."},
    {"changed_meanwhile", EXPLAIN, "",
     "Writes to its tables come while it runs. Pin its rows by an integer, "
     "uuid or boolean column, or make it faster."},
    {"client_no_cache", EXPLAIN, "",
     "The clients ask for a fresh answer. Leave no-cache (no-store) out where "
     "it is not needed: writes through Portside are seen anyway."},
    {"client_max_age", EXPLAIN, "",
     "The clients want younger answers than there are. Ask for less with "
     "max-age: writes through Portside are seen anyway."},
    {"too_big", CACHE, "--max-entry-bytes 16M",
     "Its answers are larger than what is kept. Raise the limit, or ask for "
     "fewer rows."},
    {"store_full", AGENTS, "",
     "There was no room in memory. Give the agents more (--memory)."},
    {"no_lease", AGENTS, "",
     "Agents could not reach the control plane and served nothing from memory. "
     "See whether they are connected, and `psctl events`."},
    {"restricted", AGENTS, "",
     "An agent was lost, and the others served no old answers. Bring it back, "
     "or revoke it; see `psctl events`."},
};
/* clang-format on */

struct advice {
    char cache[65], template_id[20];
    const char *reason, *text, *words;
    enum act act;
    char *sql; /* owned */
    char *cache_id;
    int64_t count;
    double saves_ms;
};

struct list {
    struct advice at[ADVICE_MAX];
    size_t n;
    int64_t queries;
};

/* ---- finding ---- */

static double
real(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static void
add(struct list *list, const json_t *stats, const json_t *row, size_t which,
    int64_t count, double saves_ms)
{
    if (list->n == ADVICE_MAX)
        return;
    struct advice *a = &list->at[list->n++];
    *a = (struct advice){.reason = known[which].reason,
                         .text = known[which].text,
                         .words = known[which].words,
                         .act = known[which].act,
                         .count = count,
                         .saves_ms = saves_ms};
    snprintf(a->cache, sizeof(a->cache), "%s",
             ps_json_text(stats, "cacheName"));
    snprintf(a->template_id, sizeof(a->template_id), "%s",
             ps_json_text(row, "template"));
    a->sql = strdup(ps_json_text(row, "text"));
    a->cache_id = strdup(ps_json_text(stats, "cacheId"));
    PS_CHECK(a->sql && a->cache_id);
}

/* One template, without text those that agents have not told apart. */
static void
look_at(struct list *list, const json_t *stats, const json_t *row)
{
    const json_t *reasons = json_object_get(row, "reasons");
    int64_t misses = ps_json_int(row, "queries") - ps_json_int(row, "hits");
    double mean_ms =
        misses > 0 ? real(row, "originTimeMs") / (double)misses : 0;
    list->queries += ps_json_int(row, "queries");
    if (!*ps_json_text(row, "text"))
        return;
    for (size_t i = 0; i < PS_ARRAY_LEN(known); i++) {
        int64_t count = ps_json_int(reasons, known[i].reason);
        if (count > 0)
            add(list, stats, row, i, count, (double)count * mean_ms);
    }
}

static enum ps_exit
look_at_cache(struct ps_ctl *ctl, const char *id, const char *since,
              struct list *list)
{
    json_auto_t *stats = NULL;
    char *path = NULL;
    char *where = ps_ctl_path("/v1/caches/", id, "/stats");
    PS_CHECK(asprintf(&path, "%s?by=template&order=origin&limit=%d&since=%s",
                      where, TEMPLATES, since) >= 0);
    free(where);
    enum ps_exit rc = ps_ctl_call(ctl, "GET", path, NULL, &stats);
    free(path);
    if (rc != PS_EXIT_OK)
        return rc;
    const json_t *rows = json_object_get(stats, "templates");
    for (size_t i = 0; i < json_array_size(rows); i++)
        look_at(list, stats, json_array_get(rows, i));
    return PS_EXIT_OK;
}

static enum ps_exit
look(struct ps_ctl *ctl, const char *since, struct list *list)
{
    json_auto_t *caches = NULL;
    if (ctl->args.n_operands > 0) {
        enum ps_exit rc =
            ps_ctl_find_cache(ctl, ps_ctl_operand(ctl, 0), &caches);
        return rc == PS_EXIT_OK
                   ? look_at_cache(ctl, ps_json_text(caches, "id"), since, list)
                   : rc;
    }
    enum ps_exit rc = ps_ctl_list(ctl, "/v1/caches", &caches);
    for (size_t i = 0; i < json_array_size(caches) && rc == PS_EXIT_OK; i++)
        rc = look_at_cache(ctl, ps_json_text(json_array_get(caches, i), "id"),
                           since, list);
    return rc;
}

static int
by_saving(const void *a, const void *b)
{
    const struct advice *x = a, *y = b;
    if (x->saves_ms != y->saves_ms)
        return x->saves_ms < y->saves_ms ? 1 : -1;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    int order = strcmp(x->template_id, y->template_id);
    return order ? order : strcmp(x->reason, y->reason);
}

/* ---- showing ---- */

/* A word for a shell. */
static void
put_word(struct ps_buf *out, const char *word)
{
    static const char safe[] = "-_.:/@%+=,abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    if (*word && strspn(word, safe) == strlen(word)) {
        ps_buf_append_c(out, word);
        return;
    }
    ps_buf_append_char(out, '\'');
    for (; *word; word++) {
        if (*word == '\'')
            ps_buf_append_c(out, "'\\''");
        else
            ps_buf_append_char(out, *word);
    }
    ps_buf_append_char(out, '\'');
}

/* NUL at the end. */
static void
put_command(struct ps_buf *out, const struct advice *a)
{
    static const char *const starts[] = {
        [EXPLAIN] = "psctl explain ",  [RULE] = "psctl rule set ",
        [RULES] = "psctl rule list ",  [CACHE] = "psctl cache update ",
        [AGENTS] = "psctl agent list",
    };
    ps_buf_append_c(out, starts[a->act]);
    if (a->act != AGENTS)
        put_word(out, a->cache);
    if (a->act == RULE)
        ps_buf_append_c(out, " --template");
    if (a->act == RULE || a->act == EXPLAIN) {
        ps_buf_append_char(out, ' ');
        put_word(out, a->sql);
    }
    if (*a->words) {
        ps_buf_append_char(out, ' ');
        ps_buf_append_c(out, a->words);
    }
    ps_buf_append_char(out, '\0');
    PS_CHECK(ps_buf_rc(out) == PS_OK);
}

static void
format_saved(double ms, char out[PS_VALUE_MAX])
{
    if (ms >= 60000)
        ps_value_format_duration((int64_t)(ms / 1000) * 1000, out);
    else
        snprintf(out, PS_VALUE_MAX, "%.1f s", ms / 1000);
}

static void
print_one(const struct advice *a, size_t number)
{
    char saved[PS_VALUE_MAX];
    struct ps_buf out, command;
    ps_buf_init(&out, PS_OUT_MAX);
    ps_buf_init(&command, PS_OUT_MAX);
    put_command(&command, a);
    format_saved(a->saves_ms, saved);
    ps_buf_printf(&out, "%s%zu. ", number > 1 ? "\n" : "", number);
    ps_tint_begin(&out, PS_TINT_GOOD, ps_out_colour());
    ps_buf_printf(&out, "up to %s", saved);
    ps_tint_end(&out, PS_TINT_GOOD, ps_out_colour());
    ps_buf_append_c(&out, "  ");
    ps_text_clean(&out, ps_str_of(a->cache));
    if (a->count > 1)
        ps_buf_printf(&out, "  %" PRId64 " times", a->count);
    else
        ps_buf_append_c(&out, "  once");
    ps_buf_printf(&out, " %s\n   ", a->reason);
    ps_tint_begin(&out, PS_TINT_DIM, ps_out_colour());
    ps_text_clean(&out, ps_str_of(a->sql));
    ps_tint_end(&out, PS_TINT_DIM, ps_out_colour());
    ps_buf_printf(&out, "\n   %s\n   $ ", a->text);
    ps_text_clean(&out, ps_str_of(command.data));
    ps_buf_append_char(&out, '\n');
    ps_out_print(&out);
    ps_buf_done(&out);
    ps_buf_done(&command);
}

static json_t *
to_json(const struct advice *a)
{
    struct ps_buf command;
    ps_buf_init(&command, PS_OUT_MAX);
    put_command(&command, a);
    json_t *json = json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:I,s:f,s:s,s:s}", "cacheId", a->cache_id,
        "cacheName", a->cache, "template", a->template_id, "text", a->sql,
        "reason", a->reason, "count", (json_int_t)a->count, "savesMs",
        a->saves_ms, "advice", a->text, "command", command.data);
    PS_CHECK(json);
    ps_buf_done(&command);
    return json;
}

static void
print(struct ps_ctl *ctl, const struct list *list, size_t limit)
{
    size_t n = PS_MIN(list->n, limit);
    json_auto_t *items = json_array();
    for (size_t i = 0; i < n; i++) {
        if (ctl->json)
            json_array_append_new(items, to_json(&list->at[i]));
        else if (ctl->quiet)
            puts(list->at[i].template_id);
        else
            print_one(&list->at[i], i + 1);
    }
    if (ctl->json)
        ps_ctl_print_json(ctl, items);
    if (n == 0)
        ps_ctl_note(ctl, list->queries
                             ? "Nothing to advise: what can be answered from "
                               "memory is."
                             : "No query has been counted in this time.");
    else if (n < list->n)
        ps_ctl_note(ctl, "%zu more; see --limit.", list->n - n);
}

static enum ps_exit
advise(struct ps_ctl *ctl)
{
    const char *since = ps_ctl_value(ctl, "since");
    const char *limit = ps_ctl_value(ctl, "limit");
    int64_t n = LIMIT_DEFAULT;
    if (limit && (!ps_value_int(limit, &n) || n < 1 || n > ADVICE_MAX))
        return ps_ctl_bad_value(ctl, "limit", "a number from 1 to 1024");
    if (since && strspn(since, "0123456789smhd") != strlen(since))
        return ps_ctl_bad_value(ctl, "since", "a duration like 2h or 7d");
    struct list *list = calloc(1, sizeof(*list));
    PS_CHECK(list);
    enum ps_exit rc = look(ctl, since ? since : "1d", list);
    qsort(list->at, list->n, sizeof(list->at[0]), by_saving);
    if (rc == PS_EXIT_OK)
        print(ctl, list, (size_t)n);
    for (size_t i = 0; i < list->n; i++) {
        free(list->at[i].sql);
        free(list->at[i].cache_id);
    }
    free(list);
    return rc;
}

/* clang-format off */
static const struct ps_option options[] = {
    {.name = "since", .value = "DURATION",
     .help = "by what was asked since so long ago; default 1d"},
    {.name = "limit", .value = "N", .help = "so many at most; default 10"},
    {.name = NULL},
};

const struct ps_command ps_advise_commands[] = {
    {
        .name = "advise",
        .synopsis = "[CACHE] [--since DURATION] [--limit N]",
        .summary = "say what would let memory answer more, by time saved",
        .details =
            "Looks at the templates that took most time at the database, and "
            "at the reasons why they were not answered from memory. For each "
            "that something can be done about: what, the command to type, and "
            "how much time it could save at most: as often as the reason was "
            "given, times the template's mean time at the database.",
        .options = options,
        .max_operands = 1,
        .run = advise,
    },
    {.name = NULL},
};
/* clang-format on */
