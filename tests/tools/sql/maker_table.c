/* Dice, values, tables. */
#include "tests/tools/sql/maker_private.h"

#include <stdarg.h>
#include <stdio.h>

unsigned
maker_roll(struct maker *m, unsigned n)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return (unsigned)((m->random >> 20) % n);
}

void
maker_put(struct maker_text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(t->sql + t->len, sizeof(t->sql) - t->len, fmt, ap);
    va_end(ap);
    t->len = PS_MIN(t->len + (size_t)n, sizeof(t->sql) - 1);
}

void
maker_begin(struct maker *m, struct maker_text *t)
{
    t->len = t->n_params = 0;
    t->sql[0] = '\0';
    m->aliases = 0;
}

/* ---- values: few, so that rows often match; some are equal, not the same */

bool
maker_is_integer(enum maker_kind kind)
{
    return kind == MAKER_SMALLINT || kind == MAKER_INTEGER ||
           kind == MAKER_BIGINT || kind == MAKER_GENERATED;
}

bool
maker_is_number(enum maker_kind kind)
{
    return maker_is_integer(kind) || kind == MAKER_NUMERIC ||
           kind == MAKER_FLOAT;
}

bool
maker_is_text(enum maker_kind kind)
{
    return kind == MAKER_TEXT || kind == MAKER_NOCASE || kind == MAKER_CHAR;
}

static const char *
one_of(struct maker *m, const char *const *list, size_t n)
{
    return list[maker_roll(m, (unsigned)n)];
}

/* As the server would read it, no quotes: for parameters. */
static void
plain_value(struct maker *m, enum maker_kind kind, char *out, size_t size)
{
    static const char *const uuids[] = {
        "6f1de1d0-0000-4000-8000-000000000001",
        "6f1de1d0-0000-4000-8000-000000000002",
        "6f1de1d0-0000-4000-8000-000000000003",
    };
    static const char *const spelled[] = {
        "6F1DE1D0-0000-4000-8000-000000000001",
        "{6f1de1d0-0000-4000-8000-000000000002}",
        "6f1de1d0000040008000000000000003",
        "6f1d-e1d0-0000-4000-8000-0000-0000-0003",
    };
    static const char *const booleans[] = {
        "true", "f", "t", "TRUE", "yes", "0", "on", "false", "n", "off"};
    static const char *const texts[] = {"a",  "b",  "A", "B", "1",
                                        "a ", "ab", "",  "aB"};
    static const char *const floats[] = {"9007199254740992", "NaN", "-0", "0",
                                         "Infinity",         "1e0", "2.5"};
    static const char *const dates[] = {"2024-01-01", "2024-01-02", "20240101",
                                        "2024-1-2"};
    switch (kind) {
    case MAKER_UUID:
        snprintf(out, size, "%s",
                 maker_roll(m, 4) ? one_of(m, uuids, PS_ARRAY_LEN(uuids))
                                  : one_of(m, spelled, PS_ARRAY_LEN(spelled)));
        break;
    case MAKER_BOOLEAN:
        snprintf(out, size, "%s",
                 m->traits->boolean_literals
                     ? one_of(m, booleans, PS_ARRAY_LEN(booleans))
                 : maker_roll(m, 2) ? "1"
                                    : "0");
        break;
    case MAKER_TEXT:
    case MAKER_NOCASE:
    case MAKER_CHAR:
        snprintf(out, size, "%s", one_of(m, texts, PS_ARRAY_LEN(texts)));
        break;
    case MAKER_DATE:
        snprintf(out, size, "%s", one_of(m, dates, PS_ARRAY_LEN(dates)));
        break;
    case MAKER_NUMERIC:
    case MAKER_FLOAT:
        if (kind == MAKER_FLOAT && m->traits->nan && maker_roll(m, 3) == 0)
            snprintf(out, size, "%s", one_of(m, floats, PS_ARRAY_LEN(floats)));
        else
            snprintf(out, size, maker_roll(m, 6) ? "%u" : "%u.5",
                     maker_roll(m, 4));
        break;
    default:
        if (kind == MAKER_BIGINT && maker_roll(m, 4) == 0)
            snprintf(out, size, "900719925474099%u", 1 + maker_roll(m, 4));
        else
            snprintf(out, size, maker_roll(m, 8) ? "%u" : " 0%u",
                     maker_roll(m, 4));
        break;
    }
}

void
maker_put_param(struct maker *m, struct maker_text *t, const char *text,
                enum maker_kind kind)
{
    size_t at = t->n_params++;
    snprintf(t->params[at], sizeof(t->params[0]), "%s", text);
    t->bindings[at] = MAKER_BIND_UNTYPED;
    if (maker_is_number(kind) && maker_roll(m, 3) == 0)
        t->bindings[at] = (enum maker_binding)maker_roll(m, 5);
    if (m->traits->numbered_params)
        maker_put(t, "$%zu", t->n_params);
    else
        maker_put(t, "?");
}

static void
put_number(struct maker *m, struct maker_text *t, const char *text)
{
    const char *form =
        one_of(m, m->traits->number_forms, m->traits->n_number_forms);
    bool odd = (text[0] < '0' || text[0] > '9') && text[0] != ' ';
    if (odd || (strchr(text, 'e') && strstr(form, ".0")))
        form = "'%s'";
    if (text[0] == '9' && strstr(form, "int"))
        form = "%s"; /* it would not fit */
    const char *hole = strstr(form, "%s");
    maker_put(t, "%.*s%s%s", (int)(hole - form), form, text, hole + 2);
}

void
maker_put_value(struct maker *m, struct maker_text *t, enum maker_kind kind)
{
    char text[MAKER_PARAM_BYTES];
    plain_value(m, kind, text, sizeof(text));
    if (!m->no_params && t->n_params < MAKER_PARAMS && maker_roll(m, 5) == 0)
        maker_put_param(m, t, text, kind);
    else if (maker_roll(m, 25) == 0)
        maker_put(t, "NULL");
    else if (maker_is_number(kind))
        put_number(m, t, text);
    else if (kind == MAKER_BOOLEAN && maker_roll(m, 3))
        maker_put(t, "%s", strchr("tT1yo", text[0]) ? "TRUE" : "FALSE");
    else
        maker_put(t, "'%s'%s", text,
                  kind == MAKER_UUID && m->traits->uuid_casts &&
                          maker_roll(m, 3) == 0
                      ? "::uuid"
                      : "");
}

/* ---- tables ---- */

static enum maker_kind
choose_kind(struct maker *m, size_t column)
{
    if (column == 0)
        return MAKER_INTEGER;
    if (column == 1)
        return maker_roll(m, 2) ? MAKER_INTEGER : MAKER_BIGINT;
    if (column == 2 && maker_roll(m, 2))
        return MAKER_FLOAT;
    for (;;) {
        enum maker_kind kind = (enum maker_kind)maker_roll(m, MAKER_GENERATED);
        if (m->traits->kinds[kind].declared)
            return kind;
    }
}

static void
declare_column(struct maker *m, struct maker_table *table, size_t at,
               struct maker_text *t)
{
    struct maker_column *c = &table->columns[at];
    bool last = at + 1 == table->n_columns;

    snprintf(c->name, sizeof(c->name), "c%zu", at);
    c->kind = at > 1 && last && !table->draws && maker_roll(m, 2)
                  ? MAKER_GENERATED
                  : choose_kind(m, at);
    maker_put(t, "%s%s %s", at ? ", " : "", c->name,
              m->traits->kinds[c->kind].declared);
    if (at == 0 && table->draws)
        maker_put(t, "%s", m->traits->drawn);
    else if (c->kind != MAKER_GENERATED && maker_is_integer(c->kind) &&
             maker_roll(m, 4) == 0)
        maker_put(t, " DEFAULT %u", maker_roll(m, 4));
}

static void
make_row(struct maker *m, const struct maker_table *table, struct maker_text *t)
{
    bool comma = false;
    maker_put(t, "%s INTO %s (", m->traits->insert_new[0], table->name);
    for (size_t i = 0; i < table->n_columns; i++)
        if (table->columns[i].kind != MAKER_GENERATED)
            maker_put(t, "%s%s", i ? ", " : "", table->columns[i].name);
    maker_put(t, ") VALUES (");
    for (size_t i = 0; i < table->n_columns; i++) {
        char value[MAKER_PARAM_BYTES];
        if (table->columns[i].kind == MAKER_GENERATED)
            continue;
        plain_value(m, table->columns[i].kind, value, sizeof(value));
        if (maker_roll(m, 10) == 0)
            maker_put(t, "%sNULL", comma ? ", " : "");
        else
            maker_put(t, "%s'%s'", comma ? ", " : "", value);
        comma = true;
    }
    maker_put(t, ")%s; ", m->traits->insert_new[1]);
}

static void
make_table(struct maker *m, struct maker_table *table, size_t index,
           struct maker_text *t)
{
    snprintf(table->name, sizeof(table->name), "t%zu", index);
    table->n_columns = 4 + maker_roll(m, MAKER_COLUMNS - 3);
    maker_put(t, "DROP TABLE IF EXISTS %s; CREATE TABLE %s (", table->name,
              table->name);
    table->draws = m->traits->drawn && maker_roll(m, 3) == 0;
    for (size_t i = 0; i < table->n_columns; i++)
        declare_column(m, table, i, t);
    maker_put(t, "); ");
    /* A third of them: rows collide when they are inserted. */
    if (maker_roll(m, 3) == 0)
        maker_put(t, "CREATE UNIQUE INDEX u%zu ON %s (c0, c1); ", index,
                  table->name);
    for (unsigned row = 8 + maker_roll(m, 8); row > 0; row--)
        make_row(m, table, t);
}

void
maker_init(struct maker *m, const struct maker_traits *traits, uint64_t seed)
{
    static struct maker_text t;
    *m = (struct maker){.traits = traits,
                        .random = seed * 0x9e3779b97f4a7c15u + 1};
    for (int i = 0; i < 8; i++)
        maker_roll(m, 2);
    for (size_t i = 0; i < MAKER_TABLES; i++) {
        t.len = 0;
        make_table(m, &m->tables[i], i, &t);
        size_t used = strlen(m->setup);
        snprintf(m->setup + used, sizeof(m->setup) - used, "%s\n", t.sql);
    }
}

const struct maker_table *
maker_find(const struct maker *m, struct ps_str name)
{
    for (size_t i = 0; i < MAKER_TABLES; i++)
        if (ps_str_eq(name, ps_str_of(m->tables[i].name)))
            return &m->tables[i];
    return NULL;
}

const struct maker_table *
maker_any_table(struct maker *m)
{
    return &m->tables[maker_roll(m, MAKER_TABLES)];
}

const struct maker_column *
maker_column_of(const struct maker_table *table, enum maker_kind kind)
{
    for (size_t i = 0; i < table->n_columns; i++)
        if (table->columns[i].kind == kind)
            return &table->columns[i];
    return &table->columns[0];
}
