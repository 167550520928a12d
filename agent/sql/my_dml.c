/*
 * INSERT, REPLACE, UPDATE and DELETE of MySQL and MariaDB: the relations they
 * write and what is known of the rows before and after.
 *
 * Known after the statement are integers and strings as they are written, of
 * a session in strict mode (the canonical one): there the column holds what is
 * assigned, or the statement fails. Not so with IGNORE, and not for NULL and 0
 * in INSERT, which draw the next number of an AUTO_INCREMENT column (disjoint.c
 * minds those that are bound).
 */
#include "agent/sql/my.h"

enum {
    MAX_ROWS = 64,
    MAX_COLUMNS = 64
};

struct assignments {
    struct ps_str columns[MAX_COLUMNS]; /* keys, see ps_sql_column_key */
    struct ps_sql_source *targets[MAX_COLUMNS];
    struct ps_sql_value *values[MAX_COLUMNS]; /* NULL: not known */
    size_t n;
    bool known; /* these are all */
};

/* What may stand behind the verb. True: IGNORE was there. */
static bool
modifiers(struct ps_sql_parser *p)
{
    bool ignore = false;
    for (;;) {
        if (ps_sql_accept(p, PS_W_IGNORE))
            ignore = true;
        else if (!ps_sql_accept(p, PS_W_LOW_PRIORITY) &&
                 !ps_sql_accept(p, PS_W_HIGH_PRIORITY) &&
                 !ps_sql_accept(p, PS_W_DELAYED) &&
                 !ps_sql_accept(p, PS_W_QUICK))
            return ignore;
    }
}

static void
returning(struct ps_sql_parser *p)
{
    if (ps_sql_accept(p, PS_W_RETURNING))
        ps_sql_targets(p);
}

/* DEFAULT or an expression. */
static void
written_expr(struct ps_sql_parser *p, struct ps_sql_expr *e)
{
    const struct ps_sql_token *next = ps_sql_peek_at(p, 1);
    *e = (struct ps_sql_expr){.kind = PS_EXPR_OTHER};
    if (ps_sql_at(p, PS_W_DEFAULT) && !ps_sql_punct_is(next, '('))
        p->pos++;
    else
        ps_sql_expr(p, e);
}

static bool
is_plain(const struct ps_sql_expr *e, bool insert)
{
    if (e->kind != PS_EXPR_VALUE)
        return false;
    switch (e->value.kind) {
    case PS_SQL_VALUE_INT:
        return !insert || e->value.integer != 0;
    case PS_SQL_VALUE_STRING:
    case PS_SQL_VALUE_PARAM: /* what is bound is the caller's to look at */
        return true;
    default:
        return false;
    }
}

static struct ps_sql_value *
copy_value(struct ps_sql_parser *p, const struct ps_sql_expr *e)
{
    struct ps_sql_value *value = ps_sql_new(p, sizeof(*value));
    if (value)
        *value = e->value;
    return value;
}

/* One more assignment; the last one of a column counts. */
static void
assigned(struct assignments *a, struct ps_str key, struct ps_sql_source *target,
         struct ps_sql_value *value)
{
    for (size_t i = 0; i < a->n; i++)
        if (ps_str_eq(a->columns[i], key) && a->targets[i] == target) {
            a->values[i] = NULL;
            return;
        }
    if (!key.ptr || a->n == MAX_COLUMNS) {
        a->known = false;
        return;
    }
    a->columns[a->n] = key;
    a->targets[a->n] = target;
    a->values[a->n++] = value;
}

/* c, t.c, d.t.c = x, ...; scope: where t is looked up, or NULL. */
static void
assignment_list(struct ps_sql_parser *p, struct assignments *a,
                const struct ps_sql_scope *scope, bool insert)
{
    a->known = true;
    do {
        struct ps_sql_name name;
        struct ps_sql_expr e;
        if (ps_sql_at_punct(p, '@')) { /* LOAD DATA .. SET @v = x */
            ps_sql_my_other_expr(p, &e);
            name.n = 0;
        } else if (!ps_sql_qualified(p, &name)) {
            return;
        }
        if (!ps_sql_accept_op(p, '=') && !ps_sql_accept_punct(p, PS_TOK_ASSIGN))
            ps_sql_fail(p, ps_sql_peek(p));
        written_expr(p, &e);
        if (p->failed || name.n == 0)
            continue;
        struct ps_sql_column column = {.name = name.part[name.n - 1]};
        if (name.n > 1)
            column.qualifier = name.part[name.n - 2];
        assigned(a, ps_sql_column_key(p, column.name),
                 scope ? ps_sql_scope_find(p, scope, &column, 0) : NULL,
                 is_plain(&e, insert) ? copy_value(p, &e) : NULL);
    } while (ps_sql_accept_punct(p, ','));
}

void
ps_sql_my_skip_assignments(struct ps_sql_parser *p)
{
    struct assignments *a = ps_sql_new(p, sizeof(*a));
    if (a)
        assignment_list(p, a, NULL, false);
}

/* What a holds of the rows of target (NULL: of all) after the statement. */
static size_t
known_after(struct ps_sql_parser *p, const struct assignments *a,
            struct ps_sql_predicate *after)
{
    size_t n = 0;
    for (size_t i = 0; !p->failed && i < a->n; i++)
        if (a->values[i])
            after[n++] = (struct ps_sql_predicate){
                .column = a->columns[i],
                .values = a->values[i],
                .n_values = 1,
                .draws = a->values[i]->kind == PS_SQL_VALUE_PARAM};
    return n;
}

/* ---- INSERT, REPLACE ---- */

struct inserted {
    struct ps_str columns[MAX_COLUMNS];       /* absent: cannot be told */
    struct ps_sql_value *values[MAX_COLUMNS]; /* NULL: not known */
    size_t n, rows;
};

/* (a, t.b, ...) or () */
static void
insert_columns(struct ps_sql_parser *p, struct inserted *in)
{
    ps_sql_expect_punct(p, '(');
    if (ps_sql_accept_punct(p, ')'))
        return;
    do {
        struct ps_sql_name name;
        if (!ps_sql_qualified(p, &name))
            return;
        if (in->n < MAX_COLUMNS)
            in->columns[in->n++] = ps_sql_column_key(p, name.part[name.n - 1]);
    } while (ps_sql_accept_punct(p, ','));
    ps_sql_expect_punct(p, ')');
}

/* Rows of VALUES ahead, by their parentheses. */
static size_t
count_rows(const struct ps_sql_parser *p)
{
    size_t rows = 0, at = p->pos;
    for (;;) {
        if (at < p->end && p->tokens[at].word == PS_W_ROW)
            at++;
        if (at >= p->end || !ps_sql_punct_is(&p->tokens[at], '(') ||
            p->tokens[at].info >= p->end)
            return rows;
        rows++;
        at = p->tokens[at].info + 1;
        if (at >= p->end || !ps_sql_punct_is(&p->tokens[at], ','))
            return rows;
        at++;
    }
}

/* One row of VALUES; values that are not plain make their column unknown. */
static void
insert_row(struct ps_sql_parser *p, struct inserted *in, size_t rows)
{
    size_t at = 0;

    ps_sql_accept(p, PS_W_ROW);
    ps_sql_expect_punct(p, '(');
    if (!ps_sql_at_punct(p, ')'))
        do {
            struct ps_sql_expr e;
            written_expr(p, &e);
            if (at < in->n && in->values[at]) {
                if (is_plain(&e, true) && in->rows < rows)
                    in->values[at][in->rows] = e.value;
                else
                    in->values[at] = NULL;
            }
            at++;
        } while (ps_sql_accept_punct(p, ','));
    for (; at < in->n; at++)
        in->values[at] = NULL;
    in->rows++;
    ps_sql_expect_punct(p, ')');
}

static void
insert_values(struct ps_sql_parser *p, struct inserted *in)
{
    p->pos++; /* VALUES, VALUE */
    size_t rows = count_rows(p);
    for (size_t i = 0; rows > 0 && rows <= MAX_ROWS && i < in->n; i++)
        if (in->columns[i].ptr)
            in->values[i] = ps_sql_new(p, rows * sizeof(*in->values[i]));
    do {
        insert_row(p, in, rows);
    } while (ps_sql_accept_punct(p, ','));
}

/* SET a = 1, b = 2 */
static void
insert_set(struct ps_sql_parser *p, struct inserted *in)
{
    struct assignments *a = ps_sql_new(p, sizeof(*a));

    ps_sql_expect(p, PS_W_SET);
    if (!a)
        return;
    assignment_list(p, a, NULL, true);
    in->n = a->n;
    in->rows = 1;
    memcpy(in->columns, a->columns, sizeof(in->columns));
    memcpy(in->values, a->values, sizeof(in->values));
}

/* AS new [(a, b)] (MySQL 8) and ON DUPLICATE KEY UPDATE; true: rows that are
 * there may change. */
static bool
on_duplicate(struct ps_sql_parser *p)
{
    struct ps_str *columns;

    if (ps_sql_accept(p, PS_W_AS)) {
        struct ps_str as = ps_sql_name_of(p, ps_sql_take(p));
        ps_sql_scope_add(p, as, PS_SQL_NO_RELATION);
        if (ps_sql_at_punct(p, '('))
            ps_sql_name_list(p, &columns);
    }
    if (!ps_sql_accept(p, PS_W_ON))
        return false;
    struct ps_str duplicate = ps_sql_token_text(p, ps_sql_take(p));
    if (!ps_str_eq_nocase(duplicate, PS_STR("duplicate")))
        ps_sql_fail(p, ps_sql_peek(p));
    ps_sql_expect(p, PS_W_KEY);
    ps_sql_expect(p, PS_W_UPDATE);
    ps_sql_my_skip_assignments(p);
    return true;
}

static void
write_inserted(struct ps_sql_parser *p, struct ps_sql_relation *rel,
               const struct inserted *in, bool plain)
{
    size_t n = 0;
    struct ps_sql_predicate *after =
        ps_sql_new(p, (in->n + 1) * sizeof(*after));
    for (size_t i = 0; after && plain && in->rows && i < in->n; i++)
        if (in->values[i] && in->columns[i].ptr)
            after[n++] = (struct ps_sql_predicate){.column = in->columns[i],
                                                   .values = in->values[i],
                                                   .n_values = in->rows,
                                                   .draws = true};
    rel->after = after;
    rel->n_after = after ? n : 0;
    rel->insert_only = true;
    rel->rows_known = true;
}

static void
insert(struct ps_sql_parser *p, bool replace)
{
    struct ps_sql_scope scope;
    struct inserted *in = ps_sql_new(p, sizeof(*in));

    p->pos++;
    bool ignore = modifiers(p), updates = false;
    ps_sql_accept(p, PS_W_INTO);
    ps_sql_scope_push(p, &scope, p->scope);
    struct ps_sql_source *target =
        ps_sql_target(p, PS_SQL_REL_WRITE, PS_SQL_ALIAS_NONE);
    if (!in || !target)
        return;
    if (ps_sql_at_punct(p, '(') && !ps_sql_at_subquery(p))
        insert_columns(p, in);
    if (ps_sql_at(p, PS_W_SET)) {
        insert_set(p, in);
    } else if (ps_sql_at(p, PS_W_VALUE) || ps_sql_at(p, PS_W_VALUES)) {
        insert_values(p, in);
    } else {
        p->scope = scope.outer;
        ps_sql_query(p, false);
        p->scope = &scope;
    }
    updates = on_duplicate(p);
    returning(p);
    /* REPLACE deletes the rows whose keys it takes. */
    if (!p->failed && !updates && !replace &&
        target->relation != PS_SQL_NO_RELATION)
        write_inserted(p, &p->relations[target->relation], in, !ignore);
    ps_sql_scope_finish(p, &scope);
}

/* ---- UPDATE ---- */

/* FOR PORTION OF period FROM x TO y (MariaDB): cuts rows in pieces. */
static bool
portion(struct ps_sql_parser *p)
{
    if (!ps_sql_accept2(p, PS_W_FOR, PS_W_PORTION))
        return false;
    ps_sql_expect(p, PS_W_OF);
    ps_sql_name_of(p, ps_sql_take(p));
    ps_sql_expect(p, PS_W_FROM);
    ps_sql_skip_expr(p);
    ps_sql_expect(p, PS_W_TO);
    ps_sql_skip_expr(p);
    return true;
}

static void
where_rows(struct ps_sql_parser *p, struct ps_sql_scope *scope)
{
    if (ps_sql_accept(p, PS_W_WHERE))
        ps_sql_scope_bind(p, scope, ps_sql_condition(p),
                          (struct ps_sql_reach){.to = SIZE_MAX});
    if (ps_sql_at(p, PS_W_ORDER))
        ps_sql_order_by(p);
    ps_sql_my_limit(p);
}

static bool
is_assigned(const struct assignments *a, struct ps_str column)
{
    for (size_t i = 0; i < a->n; i++)
        if (ps_str_eq(a->columns[i], column))
            return true;
    return false;
}

/* An UPDATE of one table whose scope is finished. */
static void
write_updated(struct ps_sql_parser *p, struct ps_sql_relation *rel,
              const struct assignments *a, bool ignore)
{
    struct ps_sql_predicate *after =
        ps_sql_new(p, (a->n + rel->n_before + 1) * sizeof(*after));
    if (!after || !a->known)
        return;
    size_t n = ignore ? 0 : known_after(p, a, after);
    for (size_t i = 0; i < rel->n_before; i++)
        if (!is_assigned(a, rel->before[i].column))
            after[n++] = rel->before[i];
    rel->after = after;
    rel->n_after = n;
    rel->assigned = a->columns;
    rel->n_assigned = a->n;
    rel->assigned_known = true;
    rel->rows_known = true;
}

/* The relation of a source is written; any row of it. */
static void
written(struct ps_sql_parser *p, struct ps_sql_source *source)
{
    if (source->relation != PS_SQL_NO_RELATION)
        p->relations[source->relation].use = PS_SQL_REL_WRITE;
}

/* Of several tables those are written whose columns are assigned; a column
 * without a table may be of any of them. */
static void
write_joined(struct ps_sql_parser *p, struct ps_sql_scope *scope,
             const struct assignments *a)
{
    bool all = !a->known;
    for (size_t i = 0; i < a->n; i++)
        all = all || !a->targets[i];
    for (struct ps_sql_source *s = scope->sources; s; s = s->next) {
        bool hit = all;
        for (size_t i = 0; !hit && i < a->n; i++)
            hit = a->targets[i] == s;
        if (hit)
            written(p, s);
    }
}

static void
update(struct ps_sql_parser *p)
{
    struct ps_sql_scope scope;
    struct assignments *a = ps_sql_new(p, sizeof(*a));

    p->pos++;
    bool ignore = modifiers(p);
    ps_sql_scope_push(p, &scope, p->scope);
    ps_sql_from_list(p);
    size_t relations = p->n_relations;
    bool cut = portion(p);
    ps_sql_expect(p, PS_W_SET);
    if (!a)
        return;
    assignment_list(p, a, &scope, false);
    if (p->failed)
        return;
    bool single = scope.n_sources == 1 &&
                  scope.sources->relation != PS_SQL_NO_RELATION &&
                  scope.sources->relation + 1 == relations;
    if (single)
        written(p, scope.sources);
    else
        write_joined(p, &scope, a);
    where_rows(p, &scope);
    returning(p);
    if (cut || !single)
        scope.any_row = true;
    ps_sql_scope_finish(p, &scope);
    if (!p->failed && single && !cut)
        write_updated(p, &p->relations[scope.sources->relation], a, ignore);
}

/* ---- DELETE ---- */

enum {
    MAX_TARGETS = 64
};

struct targets {
    struct ps_sql_name names[MAX_TARGETS];
    const struct ps_sql_token *at[MAX_TARGETS];
    size_t n;
};

/* t1, d.t2.*, ... */
static void
delete_targets(struct ps_sql_parser *p, struct targets *targets)
{
    do {
        struct ps_sql_name name = {.n = 0};
        const struct ps_sql_token *at = ps_sql_peek(p);
        name.part[name.n++] = ps_sql_name_of(p, ps_sql_take(p));
        while (ps_sql_accept_punct(p, '.') && !ps_sql_accept_op(p, '*')) {
            if (name.n == PS_ARRAY_LEN(name.part)) {
                ps_sql_fail(p, ps_sql_peek(p));
                return;
            }
            name.part[name.n++] = ps_sql_label_of(p, ps_sql_take(p));
        }
        if (targets->n == MAX_TARGETS) {
            ps_sql_fail(p, at);
            return;
        }
        targets->at[targets->n] = at;
        targets->names[targets->n++] = name;
    } while (ps_sql_accept_punct(p, ','));
}

/* The sources with this alias or of this table are written, in doubt more
 * than one. */
static void
delete_named(struct ps_sql_parser *p, struct ps_sql_scope *scope,
             const struct ps_sql_name *name, const struct ps_sql_token *at)
{
    struct ps_str last = name->part[name->n - 1];
    bool found = false;

    for (struct ps_sql_source *s = scope->sources; s; s = s->next) {
        bool hit = ps_str_eq_nocase(s->alias, last);
        if (!hit && s->relation != PS_SQL_NO_RELATION)
            hit = ps_str_eq_nocase(p->relations[s->relation].name, last);
        if (hit)
            written(p, s);
        found = found || (hit && s->relation != PS_SQL_NO_RELATION);
    }
    if (!found)
        ps_sql_add_relation(p, name, PS_SQL_REL_WRITE, at);
}

/* DELETE t1, t2 FROM refs | DELETE FROM t1, t2 USING refs; behind FROM of the
 * second form. */
static void
delete_joined(struct ps_sql_parser *p, enum ps_sql_word before_refs)
{
    struct ps_sql_scope scope;
    struct targets *targets = ps_sql_new(p, sizeof(*targets));

    if (!targets)
        return;
    delete_targets(p, targets);
    ps_sql_expect(p, before_refs);
    ps_sql_scope_push(p, &scope, p->scope);
    ps_sql_from_list(p);
    for (size_t i = 0; !p->failed && i < targets->n; i++)
        delete_named(p, &scope, &targets->names[i], targets->at[i]);
    where_rows(p, &scope);
    returning(p);
    scope.any_row = true;
    ps_sql_scope_finish(p, &scope);
}

/* At the first name behind FROM: DELETE FROM t1, t2 USING is it. */
static bool
at_using(const struct ps_sql_parser *p)
{
    for (size_t i = 0;; i++) {
        const struct ps_sql_token *t = ps_sql_peek_at(p, i);
        if (t->word == PS_W_USING)
            return true;
        bool part = t->kind == PS_TOK_WORD || t->kind == PS_TOK_QUOTED ||
                    (t->kind == PS_TOK_OP && t->ch == '*') ||
                    ps_sql_punct_is(t, '.') || ps_sql_punct_is(t, ',');
        if (!part || t->word == PS_W_WHERE)
            return false;
    }
}

/* DELETE HISTORY FROM t [BEFORE SYSTEM_TIME x] (MariaDB) */
static void
delete_history(struct ps_sql_parser *p)
{
    ps_sql_expect(p, PS_W_FROM);
    ps_sql_target(p, PS_SQL_REL_WRITE, PS_SQL_ALIAS_NONE);
    if (ps_sql_accept2(p, PS_W_BEFORE, PS_W_SYSTEM_TIME)) {
        if (ps_sql_peek_at(p, 1)->kind != PS_TOK_STRING &&
            !ps_sql_accept(p, PS_W_TIMESTAMP))
            ps_sql_accept(p, PS_W_TRANSACTION);
        ps_sql_skip_expr(p);
    }
}

static void
delete_from(struct ps_sql_parser *p)
{
    struct ps_sql_scope scope;

    p->pos++;
    modifiers(p);
    if (ps_sql_at(p, PS_W_HISTORY) && ps_sql_peek_at(p, 1)->word == PS_W_FROM) {
        p->pos++;
        ps_sql_scope_push(p, &scope, p->scope);
        delete_history(p);
        return;
    }
    if (!ps_sql_accept(p, PS_W_FROM)) {
        delete_joined(p, PS_W_FROM);
        return;
    }
    if (at_using(p)) {
        delete_joined(p, PS_W_USING);
        return;
    }
    ps_sql_scope_push(p, &scope, p->scope);
    struct ps_sql_source *target =
        ps_sql_target(p, PS_SQL_REL_WRITE, PS_SQL_ALIAS_ANY);
    bool cut = portion(p);
    where_rows(p, &scope);
    returning(p);
    scope.any_row = cut;
    ps_sql_scope_finish(p, &scope);
    if (!p->failed && !cut && target &&
        target->relation != PS_SQL_NO_RELATION) {
        p->relations[target->relation].delete_only = true;
        p->relations[target->relation].rows_known = true;
    }
}

void
ps_sql_my_dml(struct ps_sql_parser *p, enum ps_sql_word verb)
{
    switch (verb) {
    case PS_W_INSERT:
        insert(p, false);
        break;
    case PS_W_REPLACE:
        insert(p, true);
        break;
    case PS_W_UPDATE:
        update(p);
        break;
    case PS_W_DELETE:
        delete_from(p);
        break;
    default: /* MERGE: no statement here */
        ps_sql_fail(p, ps_sql_peek(p));
        break;
    }
}
