/*
 * INSERT, UPDATE, DELETE, MERGE: the relations they write and what is known of
 * the rows before and after.
 */
#include "agent/sql/parser.h"

enum {
    MAX_ROWS = 64,
    MAX_COLUMNS = 64
};

static void
returning(struct ps_sql_parser *p)
{
    if (ps_sql_accept(p, PS_W_RETURNING))
        ps_sql_targets(p);
}

/* A written value whose text is what the column will hold: no number that
 * an assignment would round. */
static bool
is_plain(const struct ps_sql_expr *e)
{
    return e->kind == PS_EXPR_VALUE && e->value.kind != PS_SQL_VALUE_NUMBER;
}

/* A column that is written: name, then perhaps .field or [index]. False:
 * only a part of it is written. */
static bool
written_column(struct ps_sql_parser *p, struct ps_str *name)
{
    bool whole = true;
    *name = ps_sql_name_of(p, ps_sql_take(p));
    for (;;) {
        if (ps_sql_accept_punct(p, '.')) {
            ps_sql_label_of(p, ps_sql_take(p));
        } else if (ps_sql_at_punct(p, '[')) {
            ps_sql_subscript(p);
        } else {
            return whole;
        }
        whole = false;
    }
}

/* ---- assignments ---- */

/* Lives on the stack; what is worth keeping is copied (write_updated). */
struct assignments {
    struct ps_str columns[MAX_COLUMNS];
    struct ps_sql_predicate after[MAX_COLUMNS];
    size_t n, n_after;
    bool known; /* columns holds all of them */
};

static void
assigned(struct assignments *a, struct ps_str column)
{
    if (a->n == MAX_COLUMNS)
        a->known = false;
    else
        a->columns[a->n++] = column;
}

static void
assigned_value(struct ps_sql_parser *p, struct assignments *a,
               struct ps_str column, const struct ps_sql_expr *e)
{
    if (!is_plain(e) || a->n_after == MAX_COLUMNS)
        return;
    struct ps_sql_value *value = ps_sql_new(p, sizeof(*value));
    if (!value)
        return;
    *value = e->value;
    a->after[a->n_after++] = (struct ps_sql_predicate){
        .column = column, .values = value, .n_values = 1};
}

/* DEFAULT or an expression. */
static void
assigned_expr(struct ps_sql_parser *p, struct ps_sql_expr *e)
{
    *e = (struct ps_sql_expr){.kind = PS_EXPR_OTHER};
    if (!ps_sql_accept(p, PS_W_DEFAULT))
        ps_sql_expr(p, e);
}

/* (a, b) = (1, 2) or ROW(1, 2) or (SELECT ...) */
static void
assign_row(struct ps_sql_parser *p, struct assignments *a)
{
    struct ps_str name;
    ps_sql_expect_punct(p, '(');
    do {
        written_column(p, &name);
        assigned(a, name);
    } while (ps_sql_accept_punct(p, ','));
    ps_sql_expect_punct(p, ')');
    if (!ps_sql_accept_op(p, '='))
        ps_sql_fail(p, ps_sql_peek(p));
    if (ps_sql_at_subquery(p)) {
        ps_sql_subquery(p, p->scope);
        return;
    }
    if (ps_sql_at(p, PS_W_ROW) || ps_sql_at_punct(p, '(')) {
        struct ps_sql_expr e;
        ps_sql_accept(p, PS_W_ROW);
        ps_sql_expect_punct(p, '(');
        do {
            assigned_expr(p, &e);
        } while (ps_sql_accept_punct(p, ','));
        ps_sql_expect_punct(p, ')');
        return;
    }
    ps_sql_skip_expr(p);
}

/* a = 1, b = DEFAULT, (c, d) = (...) */
static void
assignment_list(struct ps_sql_parser *p, struct assignments *a)
{
    a->n = a->n_after = 0;
    a->known = true;
    do {
        struct ps_str name;
        struct ps_sql_expr e;
        if (ps_sql_at_punct(p, '(')) {
            assign_row(p, a);
            continue;
        }
        bool whole = written_column(p, &name);
        assigned(a, name);
        if (!ps_sql_accept_op(p, '='))
            ps_sql_fail(p, ps_sql_peek(p));
        assigned_expr(p, &e);
        if (whole)
            assigned_value(p, a, name, &e);
    } while (ps_sql_accept_punct(p, ','));
}

/* ---- INSERT ---- */

struct inserted {
    struct ps_str columns[MAX_COLUMNS];
    struct ps_sql_value *values[MAX_COLUMNS]; /* NULL: not known */
    bool partial[MAX_COLUMNS];
    size_t n, rows;
};

static void
insert_columns(struct ps_sql_parser *p, struct inserted *in)
{
    ps_sql_expect_punct(p, '(');
    do {
        struct ps_str name;
        bool whole = written_column(p, &name);
        if (in->n < MAX_COLUMNS) {
            in->partial[in->n] = !whole;
            in->columns[in->n++] = name;
        }
    } while (ps_sql_accept_punct(p, ','));
    ps_sql_expect_punct(p, ')');
}

/* Rows of VALUES ahead, by their parentheses. */
static size_t
count_rows(const struct ps_sql_parser *p)
{
    size_t rows = 0, at = p->pos;
    while (at < p->end && ps_sql_punct_is(&p->tokens[at], '(') &&
           p->tokens[at].info < p->end) {
        rows++;
        at = p->tokens[at].info + 1;
        if (at >= p->end || !ps_sql_punct_is(&p->tokens[at], ','))
            break;
        at++;
    }
    return rows;
}

static void
insert_values(struct ps_sql_parser *p, struct inserted *in)
{
    ps_sql_expect(p, PS_W_VALUES);
    size_t rows = count_rows(p);
    for (size_t i = 0; rows <= MAX_ROWS && i < in->n; i++)
        if (!in->partial[i])
            in->values[i] = ps_sql_new(p, rows * sizeof(*in->values[i]));
    do {
        size_t at = 0;
        ps_sql_expect_punct(p, '(');
        do {
            struct ps_sql_expr e;
            assigned_expr(p, &e);
            if (at < in->n && in->values[at]) {
                if (is_plain(&e) && in->rows < rows)
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
    } while (ps_sql_accept_punct(p, ','));
}

/* DO NOTHING or DO UPDATE; true when rows may be updated. */
static bool
on_conflict(struct ps_sql_parser *p)
{
    struct assignments a;

    if (!ps_sql_accept2(p, PS_W_ON, PS_W_CONFLICT))
        return false;
    if (ps_sql_accept2(p, PS_W_ON, PS_W_CONSTRAINT)) {
        ps_sql_name_of(p, ps_sql_take(p));
    } else if (ps_sql_accept_punct(p, '(')) {
        do {
            struct ps_sql_name class;
            ps_sql_skip_expr(p);
            if (ps_sql_is_name(p, ps_sql_peek(p)))
                ps_sql_qualified(p, &class); /* an operator class */
        } while (ps_sql_accept_punct(p, ','));
        ps_sql_expect_punct(p, ')');
        if (ps_sql_accept(p, PS_W_WHERE))
            ps_sql_skip_expr(p);
    }
    ps_sql_expect(p, PS_W_DO);
    if (ps_sql_accept(p, PS_W_NOTHING))
        return false;
    ps_sql_expect(p, PS_W_UPDATE);
    ps_sql_expect(p, PS_W_SET);
    assignment_list(p, &a);
    if (ps_sql_accept(p, PS_W_WHERE))
        ps_sql_skip_expr(p);
    return true;
}

static void
write_inserted(struct ps_sql_parser *p, struct ps_sql_relation *rel,
               const struct inserted *in)
{
    size_t n = 0;
    struct ps_sql_predicate *after =
        ps_sql_new(p, (in->n + 1) * sizeof(*after));
    for (size_t i = 0; after && in->rows && i < in->n; i++)
        if (in->values[i])
            after[n++] = (struct ps_sql_predicate){.column = in->columns[i],
                                                   .values = in->values[i],
                                                   .n_values = in->rows};
    rel->after = after;
    rel->n_after = after ? n : 0;
    rel->insert_only = true;
    rel->rows_known = true;
}

static void
insert(struct ps_sql_parser *p)
{
    struct ps_sql_scope scope;
    struct inserted in = {.n = 0};

    ps_sql_expect(p, PS_W_INSERT);
    ps_sql_expect(p, PS_W_INTO);
    ps_sql_scope_push(p, &scope, p->scope);
    struct ps_sql_source *target =
        ps_sql_target(p, PS_SQL_REL_WRITE, PS_SQL_ALIAS_WITH_AS);
    if (!target)
        return;
    if (ps_sql_at_punct(p, '(') && !ps_sql_at_subquery(p))
        insert_columns(p, &in);
    if (ps_sql_accept(p, PS_W_OVERRIDING)) {
        if (!ps_sql_accept(p, PS_W_SYSTEM))
            ps_sql_expect(p, PS_W_USER);
        ps_sql_expect(p, PS_W_VALUE);
    }
    if (ps_sql_accept(p, PS_W_DEFAULT)) {
        ps_sql_expect(p, PS_W_VALUES);
    } else if (ps_sql_at(p, PS_W_VALUES)) {
        insert_values(p, &in);
    } else {
        p->scope = scope.outer;
        ps_sql_query(p, false);
        p->scope = &scope;
    }
    bool updates = on_conflict(p);
    returning(p);
    if (!p->failed && !updates && target->relation != PS_SQL_NO_RELATION)
        write_inserted(p, &p->relations[target->relation], &in);
    ps_sql_scope_finish(p, &scope);
}

/* ---- UPDATE, DELETE ---- */

static void
where_rows(struct ps_sql_parser *p, struct ps_sql_scope *scope)
{
    if (!ps_sql_accept(p, PS_W_WHERE))
        return;
    if (ps_sql_accept2(p, PS_W_CURRENT, PS_W_OF)) {
        ps_sql_name_of(p, ps_sql_take(p));
        return;
    }
    ps_sql_scope_bind(p, scope, ps_sql_condition(p),
                      (struct ps_sql_reach){.to = SIZE_MAX});
}

static bool
is_assigned(const struct assignments *a, struct ps_str column)
{
    for (size_t i = 0; i < a->n; i++)
        if (ps_str_eq(a->columns[i], column))
            return true;
    return false;
}

/* What is known of the updated rows; the scope is finished. A column that
 * is not assigned keeps the value it is known to have. */
static void
write_updated(struct ps_sql_parser *p, struct ps_sql_relation *rel,
              const struct assignments *a)
{
    size_t n = a->n_after;
    struct ps_sql_predicate *after =
        ps_sql_new(p, (n + rel->n_before + 1) * sizeof(*after));
    struct ps_str *columns = ps_sql_new(p, (a->n + 1) * sizeof(*columns));
    if (!after || !columns || !a->known)
        return;
    if (a->n)
        memcpy(columns, a->columns, a->n * sizeof(*columns));
    if (n)
        memcpy(after, a->after, n * sizeof(*after));
    for (size_t i = 0; i < rel->n_before; i++)
        if (!is_assigned(a, rel->before[i].column))
            after[n++] = rel->before[i];
    rel->after = after;
    rel->n_after = n;
    rel->assigned = columns;
    rel->n_assigned = a->n;
    rel->assigned_known = true;
    rel->rows_known = true;
}

static void
update(struct ps_sql_parser *p)
{
    struct ps_sql_scope scope;
    struct assignments a;

    ps_sql_expect(p, PS_W_UPDATE);
    ps_sql_scope_push(p, &scope, p->scope);
    struct ps_sql_source *target =
        ps_sql_target(p, PS_SQL_REL_WRITE, PS_SQL_ALIAS_ANY);
    ps_sql_expect(p, PS_W_SET);
    assignment_list(p, &a);
    if (ps_sql_accept(p, PS_W_FROM))
        ps_sql_from_list(p);
    where_rows(p, &scope);
    returning(p);
    ps_sql_scope_finish(p, &scope);
    if (!p->failed && target && target->relation != PS_SQL_NO_RELATION)
        write_updated(p, &p->relations[target->relation], &a);
}

static void
delete_from(struct ps_sql_parser *p)
{
    struct ps_sql_scope scope;

    ps_sql_expect(p, PS_W_DELETE);
    ps_sql_expect(p, PS_W_FROM);
    ps_sql_scope_push(p, &scope, p->scope);
    struct ps_sql_source *target =
        ps_sql_target(p, PS_SQL_REL_WRITE, PS_SQL_ALIAS_ANY);
    if (ps_sql_accept(p, PS_W_USING))
        ps_sql_from_list(p);
    where_rows(p, &scope);
    returning(p);
    ps_sql_scope_finish(p, &scope);
    if (!p->failed && target && target->relation != PS_SQL_NO_RELATION) {
        p->relations[target->relation].delete_only = true;
        p->relations[target->relation].rows_known = true;
    }
}

/* ---- MERGE ---- */

static void
merge_action(struct ps_sql_parser *p)
{
    struct assignments a;
    struct ps_str name;

    if (ps_sql_accept(p, PS_W_UPDATE)) {
        ps_sql_expect(p, PS_W_SET);
        assignment_list(p, &a);
    } else if (ps_sql_accept(p, PS_W_INSERT)) {
        if (ps_sql_accept_punct(p, '(')) {
            do {
                written_column(p, &name);
            } while (ps_sql_accept_punct(p, ','));
            ps_sql_expect_punct(p, ')');
        }
        if (ps_sql_accept(p, PS_W_OVERRIDING)) {
            if (!ps_sql_accept(p, PS_W_SYSTEM))
                ps_sql_expect(p, PS_W_USER);
            ps_sql_expect(p, PS_W_VALUE);
        }
        if (ps_sql_accept2(p, PS_W_DEFAULT, PS_W_VALUES))
            return;
        ps_sql_expect(p, PS_W_VALUES);
        ps_sql_expect_punct(p, '(');
        do {
            struct ps_sql_expr e;
            assigned_expr(p, &e);
        } while (ps_sql_accept_punct(p, ','));
        ps_sql_expect_punct(p, ')');
    } else if (ps_sql_accept(p, PS_W_DO)) {
        ps_sql_expect(p, PS_W_NOTHING);
    } else {
        ps_sql_expect(p, PS_W_DELETE);
    }
}

static void
merge(struct ps_sql_parser *p)
{
    struct ps_sql_scope scope;

    ps_sql_expect(p, PS_W_MERGE);
    ps_sql_expect(p, PS_W_INTO);
    ps_sql_scope_push(p, &scope, p->scope);
    ps_sql_target(p, PS_SQL_REL_WRITE, PS_SQL_ALIAS_ANY);
    ps_sql_expect(p, PS_W_USING);
    ps_sql_from_list(p);
    ps_sql_expect(p, PS_W_ON);
    ps_sql_skip_expr(p);
    do {
        ps_sql_expect(p, PS_W_WHEN);
        ps_sql_accept(p, PS_W_NOT);
        ps_sql_expect(p, PS_W_MATCHED);
        if (ps_sql_accept(p, PS_W_BY) && !ps_sql_accept(p, PS_W_SOURCE))
            ps_sql_expect(p, PS_W_TARGET);
        if (ps_sql_accept(p, PS_W_AND))
            ps_sql_skip_expr(p);
        ps_sql_expect(p, PS_W_THEN);
        merge_action(p);
    } while (ps_sql_at(p, PS_W_WHEN));
    returning(p);
    p->scope = scope.outer;
}

bool
ps_sql_dml(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_peek(p);
    struct ps_sql_scope *outer = p->scope;
    void (*parse)(struct ps_sql_parser *) = NULL;

    switch (at->word) {
    case PS_W_INSERT:
        parse = insert;
        break;
    case PS_W_UPDATE:
        parse = update;
        break;
    case PS_W_DELETE:
        parse = delete_from;
        break;
    case PS_W_MERGE:
        parse = merge;
        break;
    default:
        return false;
    }
    p->writes = true;
    p->out->may_write = true;
    if (ps_sql_enter(p)) {
        if (p->dialect->dml)
            p->dialect->dml(p, (enum ps_sql_word)at->word);
        else
            parse(p);
        ps_sql_leave(p);
    }
    p->scope = outer;
    return true;
}
