/*
 * T-SQL's INSERT, UPDATE, DELETE, MERGE: the relations they write and what is
 * known of the rows before and after.
 *
 * What is written may be named by an alias of FROM, by the name of a common
 * table expression, or through a derived table. An alias that is surely meant
 * (byte for byte) is followed; where it is one under some collations only,
 * both readings count; and where the target is a query, everything that the
 * statement has named so far counts as written.
 */
#include "agent/sql/ts.h"

enum {
    MAX_ROWS = 64,
    MAX_COLUMNS = 64
};

struct target {
    struct ps_sql_name name; /* n 0: a table variable */
    bool is_query; /* surely a common table expression's, unless FROM has it */
    const struct ps_sql_token *at;
    struct ps_str alias;
    size_t relation;
};

/* What is assigned; `known`: these are all columns. */
struct changes {
    struct ps_str columns[MAX_COLUMNS];
    struct ps_sql_predicate after[MAX_COLUMNS];
    size_t n, n_after;
    bool known;
};

/* ---- targets ---- */

/* The rows of everything that was named may change. */
static void
all_written(struct ps_sql_parser *p)
{
    for (size_t i = 0; i < p->n_relations; i++) {
        struct ps_sql_relation *rel = &p->relations[i];
        rel->use |= PS_SQL_REL_WRITE;
        rel->rows_known = rel->insert_only = rel->delete_only = false;
        rel->assigned_known = false;
        rel->predicates = rel->before = rel->after = NULL;
        rel->n_predicates = rel->n_before = rel->n_after = 0;
        rel->assigned = NULL;
        rel->n_assigned = 0;
    }
}

static void
read_target(struct ps_sql_parser *p, struct target *t)
{
    *t = (struct target){.at = ps_sql_peek(p), .relation = PS_SQL_NO_RELATION};
    if (t->at->kind == PS_TOK_PARAM) { /* @table: gone with the batch */
        p->pos++;
        t->alias = ps_sql_token_text(p, t->at);
    } else if (ps_sql_qualified(p, &t->name)) {
        t->alias = t->name.part[t->name.n - 1];
    }
    for (const struct ps_sql_cte *c = p->ctes; c && t->name.n == 1;
         c = c->outer)
        if (ps_sql_ts_maybe_same(c->name, t->alias)) {
            all_written(p);
            if (ps_sql_ts_surely_same(c->name, t->alias)) {
                t->is_query = true;
                break;
            }
        }
    ps_sql_ts_table_hints(p);
}

static void
write_target(struct ps_sql_parser *p, struct target *t)
{
    if (t->name.n == 0 || t->is_query)
        return;
    t->relation = ps_sql_add_relation(p, &t->name, PS_SQL_REL_WRITE, t->at);
}

/* Behind FROM: the alias that the target names, if it does. False: the rows of
 * t->relation are not those of one item of FROM. */
static bool
find_target(struct ps_sql_parser *p, struct ps_sql_scope *scope,
            struct target *t)
{
    bool maybe = false, surely = false;
    size_t found = 0;

    for (struct ps_sql_source *s = scope->sources; s && t->name.n == 1;
         s = s->next) {
        if (!ps_sql_ts_maybe_same(s->alias, t->alias))
            continue;
        found++;
        if (ps_sql_ts_surely_same(s->alias, t->alias))
            surely = true;
        else
            maybe = true;
        if (s->relation == PS_SQL_NO_RELATION || s->hidden) {
            all_written(p);
        } else {
            p->relations[s->relation].use |= PS_SQL_REL_WRITE;
            t->relation = s->relation;
        }
    }
    if (surely && !maybe)
        return found == 1 && !t->is_query && t->relation != PS_SQL_NO_RELATION;
    write_target(p, t);
    t->relation = PS_SQL_NO_RELATION;
    return false;
}

/* OUTPUT ... [INTO table [(columns)]], once or twice. */
static void
output(struct ps_sql_parser *p)
{
    while (ps_sql_accept(p, PS_W_OUTPUT)) {
        struct target t;
        struct ps_str *columns;
        ps_sql_targets(p);
        if (!ps_sql_accept(p, PS_W_INTO))
            continue;
        read_target(p, &t);
        write_target(p, &t);
        if (t.relation != PS_SQL_NO_RELATION) {
            p->relations[t.relation].insert_only = true;
            p->relations[t.relation].rows_known = true;
        }
        if (ps_sql_at_punct(p, '('))
            ps_sql_name_list(p, &columns);
    }
}

/* ---- columns and values ---- */

/* A written value whose text is what the column will hold: no number that an
 * assignment would round. */
static bool
is_exact(const struct ps_sql_expr *e)
{
    return e->kind == PS_EXPR_VALUE && e->value.kind != PS_SQL_VALUE_NUMBER;
}

/* [table.]column, as the key of its last part; *method: .WRITE(...) or another
 * method follows. False: a name that does not tell the column ($identity). */
static bool
written_column(struct ps_sql_parser *p, struct ps_str *name, bool *method)
{
    struct ps_str before = PS_STR("");
    const struct ps_sql_token *at = ps_sql_take(p);

    *method = false;
    if (at->word == PS_W_IDENTITYCOL || at->word == PS_W_ROWGUIDCOL) {
        *name = ps_sql_token_text(p, at);
        return false;
    }
    *name = ps_sql_name_of(p, at);
    while (ps_sql_accept_punct(p, '.')) {
        before = *name;
        at = ps_sql_take(p);
        if (at->kind == PS_TOK_PUNCT && at->ch == '.')
            at = ps_sql_take(p); /* db..t.c */
        if (at->word == PS_W_IDENTITYCOL || at->word == PS_W_ROWGUIDCOL)
            return false;
        *name = ps_sql_label_of(p, at);
    }
    if (ps_sql_at_punct(p, '(') && before.len) {
        *name = before;
        *method = true;
    }
    bool own = name->len > 0 && name->ptr[0] != '$';
    *name = ps_sql_column_key(p, *name);
    return own && name->ptr;
}

static void
value_expr(struct ps_sql_parser *p, struct ps_sql_expr *e)
{
    *e = (struct ps_sql_expr){.kind = PS_EXPR_OTHER};
    if (!ps_sql_accept(p, PS_W_DEFAULT))
        ps_sql_expr(p, e);
}

/* = += -= *= /= %= &= ^= |= */
static bool
assign_operator(struct ps_sql_parser *p, bool *plain)
{
    const struct ps_sql_token *t = ps_sql_peek(p);
    struct ps_str text = ps_sql_token_text(p, t);

    *plain = t->kind == PS_TOK_OP && t->ch == '=';
    if (!*plain && (t->kind != PS_TOK_OP ||
                    !ps_sql_ts_on_list(text, " += -= *= /= %= &= ^= |= ")))
        return false;
    p->pos++;
    return true;
}

/* column = value, column += value, column.WRITE(...), @v = value,
 * @v = column = value */
static void
assignment(struct ps_sql_parser *p, struct changes *c)
{
    struct ps_sql_expr e;
    struct ps_str name;
    bool method, plain;

    if (ps_sql_peek(p)->kind == PS_TOK_PARAM) {
        p->pos++;
        if (!assign_operator(p, &plain)) {
            ps_sql_fail(p, ps_sql_peek(p));
            return;
        }
        /* A column follows if it is assigned itself. */
        size_t at = 0;
        while (ps_sql_is_name(p, ps_sql_peek_at(p, at)) &&
               ps_sql_punct_is(ps_sql_peek_at(p, at + 1), '.'))
            at += 2;
        const struct ps_sql_token *op = ps_sql_peek_at(p, at + 1);
        if (!ps_sql_is_name(p, ps_sql_peek_at(p, at)) ||
            op->kind != PS_TOK_OP ||
            !ps_sql_ts_on_list(ps_sql_token_text(p, op),
                               " = += -= *= /= %= &= ^= |= ")) {
            ps_sql_skip_expr(p);
            return;
        }
    }
    if (!written_column(p, &name, &method))
        c->known = false;
    if (c->n == MAX_COLUMNS)
        c->known = false;
    else
        c->columns[c->n++] = name;
    if (method) {
        ps_sql_arguments(p, &e);
        return;
    }
    if (!assign_operator(p, &plain)) {
        ps_sql_fail(p, ps_sql_peek(p));
        return;
    }
    value_expr(p, &e);
    struct ps_sql_value *value;
    if (!plain || !is_exact(&e) || c->n_after == MAX_COLUMNS ||
        !(value = ps_sql_new(p, sizeof(*value))))
        return;
    *value = e.value;
    c->after[c->n_after++] = (struct ps_sql_predicate){
        .column = name, .values = value, .n_values = 1};
}

static void
assignments(struct ps_sql_parser *p, struct changes *c)
{
    c->n = c->n_after = 0;
    c->known = true;
    ps_sql_expect(p, PS_W_SET);
    do {
        assignment(p, c);
    } while (ps_sql_accept_punct(p, ','));
}

/* ---- INSERT ---- */

struct inserted {
    struct ps_str columns[MAX_COLUMNS];
    struct ps_sql_value *values[MAX_COLUMNS]; /* NULL: not known */
    size_t n, rows;
    bool known; /* the columns are all named by their own names */
};

static void
insert_columns(struct ps_sql_parser *p, struct inserted *in)
{
    ps_sql_expect_punct(p, '(');
    do {
        struct ps_str name;
        bool method;
        if (!written_column(p, &name, &method) || method ||
            in->n == MAX_COLUMNS)
            in->known = false;
        else
            in->columns[in->n++] = name;
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
insert_row(struct ps_sql_parser *p, struct inserted *in, size_t rows)
{
    size_t at = 0;

    ps_sql_expect_punct(p, '(');
    do {
        struct ps_sql_expr e;
        value_expr(p, &e);
        if (at < in->n && in->values[at]) {
            if (is_exact(&e) && in->rows < rows)
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
    ps_sql_expect(p, PS_W_VALUES);
    size_t rows = count_rows(p);
    for (size_t i = 0; in->known && rows <= MAX_ROWS && i < in->n; i++)
        in->values[i] = ps_sql_new(p, rows * sizeof(*in->values[i]));
    do {
        insert_row(p, in, rows);
    } while (ps_sql_accept_punct(p, ','));
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

/* INSERT [TOP (n)] [INTO] target [(columns)] [OUTPUT ...]
 * VALUES | query | EXEC ... | DEFAULT VALUES */
static void
insert(struct ps_sql_parser *p)
{
    struct ps_sql_scope scope;
    struct target t;
    struct inserted in = {.known = true};

    p->pos++;
    ps_sql_ts_top(p);
    ps_sql_accept(p, PS_W_INTO);
    ps_sql_scope_push(p, &scope, p->scope);
    read_target(p, &t);
    write_target(p, &t);
    if (ps_sql_at_punct(p, '(') && !ps_sql_at_subquery(p))
        insert_columns(p, &in);
    output(p);
    if (ps_sql_accept(p, PS_W_DEFAULT)) {
        ps_sql_expect(p, PS_W_VALUES);
    } else if (ps_sql_at(p, PS_W_VALUES)) {
        insert_values(p, &in);
    } else if (ps_sql_at(p, PS_W_EXEC) || ps_sql_at(p, PS_W_EXECUTE)) {
        p->out->changes_catalog = true;
        ps_sql_writes_all(p);
        p->pos++;
        ps_sql_ts_skip(p);
    } else {
        p->scope = scope.outer;
        ps_sql_query(p, false);
        p->scope = &scope;
    }
    ps_sql_ts_option(p);
    if (!p->failed && t.relation != PS_SQL_NO_RELATION)
        write_inserted(p, &p->relations[t.relation], &in);
    p->scope = scope.outer;
}

/* ---- UPDATE, DELETE ---- */

static void
where_rows(struct ps_sql_parser *p, struct ps_sql_scope *scope)
{
    if (!ps_sql_accept(p, PS_W_WHERE))
        return;
    if (ps_sql_accept2(p, PS_W_CURRENT, PS_W_OF)) {
        ps_sql_accept(p, PS_W_GLOBAL);
        if (ps_sql_peek(p)->kind == PS_TOK_PARAM)
            p->pos++;
        else
            ps_sql_name_of(p, ps_sql_take(p));
        return;
    }
    ps_sql_scope_bind(p, scope, ps_sql_condition(p),
                      (struct ps_sql_reach){.to = SIZE_MAX});
}

/* FROM, and which of its items the target is. True: the rows of t->relation
 * are those of one item of the scope. */
static bool
from_rows(struct ps_sql_parser *p, struct ps_sql_scope *scope, struct target *t)
{
    if (ps_sql_accept(p, PS_W_FROM)) {
        ps_sql_from_list(p);
        if (p->failed || find_target(p, scope, t))
            return !p->failed;
        /* It can be named in the condition all the same. */
        ps_sql_scope_add(p, t->alias, PS_SQL_NO_RELATION);
        return false;
    }
    write_target(p, t);
    ps_sql_scope_add(p, t->alias, t->relation);
    return t->relation != PS_SQL_NO_RELATION;
}

static bool
is_assigned(const struct changes *c, struct ps_str column)
{
    for (size_t i = 0; i < c->n; i++)
        if (ps_str_eq(c->columns[i], column))
            return true;
    return false;
}

/* What is known of the updated rows; the scope is finished. A column that is
 * not assigned keeps the value it is known to have. */
static void
write_updated(struct ps_sql_parser *p, struct ps_sql_relation *rel,
              const struct changes *c)
{
    size_t n = c->n_after;
    struct ps_sql_predicate *after =
        ps_sql_new(p, (n + rel->n_before + 1) * sizeof(*after));
    struct ps_str *columns = ps_sql_new(p, (c->n + 1) * sizeof(*columns));
    if (!after || !columns || !c->known)
        return;
    if (c->n)
        memcpy(columns, c->columns, c->n * sizeof(*columns));
    if (n)
        memcpy(after, c->after, n * sizeof(*after));
    for (size_t i = 0; i < rel->n_before; i++)
        if (!is_assigned(c, rel->before[i].column))
            after[n++] = rel->before[i];
    rel->after = after;
    rel->n_after = n;
    rel->assigned = columns;
    rel->n_assigned = c->n;
    rel->assigned_known = true;
    rel->rows_known = true;
}

/* UPDATE [TOP (n)] target SET ... [OUTPUT ...] [FROM ...] [WHERE ...] */
static void
update(struct ps_sql_parser *p)
{
    struct ps_sql_scope scope;
    struct target t;
    struct changes c;

    p->pos++;
    ps_sql_ts_top(p);
    ps_sql_scope_push(p, &scope, p->scope);
    read_target(p, &t);
    assignments(p, &c);
    output(p);
    bool known = from_rows(p, &scope, &t);
    where_rows(p, &scope);
    ps_sql_ts_option(p);
    ps_sql_scope_finish(p, &scope);
    if (known && !p->failed)
        write_updated(p, &p->relations[t.relation], &c);
}

/* DELETE [TOP (n)] [FROM] target [OUTPUT ...] [FROM ...] [WHERE ...] */
static void
delete_rows(struct ps_sql_parser *p)
{
    struct ps_sql_scope scope;
    struct target t;

    p->pos++;
    ps_sql_ts_top(p);
    ps_sql_accept(p, PS_W_FROM);
    ps_sql_scope_push(p, &scope, p->scope);
    read_target(p, &t);
    output(p);
    bool known = from_rows(p, &scope, &t);
    where_rows(p, &scope);
    ps_sql_ts_option(p);
    ps_sql_scope_finish(p, &scope);
    if (known && !p->failed) {
        p->relations[t.relation].delete_only = true;
        p->relations[t.relation].rows_known = true;
    }
}

/* ---- MERGE ---- */

static void
merge_action(struct ps_sql_parser *p)
{
    struct changes c;
    struct inserted in = {.n = 0};

    if (ps_sql_accept(p, PS_W_UPDATE)) {
        assignments(p, &c);
    } else if (ps_sql_accept(p, PS_W_INSERT)) {
        if (ps_sql_at_punct(p, '('))
            insert_columns(p, &in);
        if (ps_sql_accept2(p, PS_W_DEFAULT, PS_W_VALUES))
            return;
        ps_sql_expect(p, PS_W_VALUES);
        insert_row(p, &in, 0);
    } else {
        ps_sql_expect(p, PS_W_DELETE);
    }
}

/* WHEN [NOT] MATCHED [BY TARGET | BY SOURCE] [AND ...] THEN ... */
static void
merge_clause(struct ps_sql_parser *p)
{
    ps_sql_expect(p, PS_W_WHEN);
    ps_sql_accept(p, PS_W_NOT);
    ps_sql_expect(p, PS_W_MATCHED);
    if (ps_sql_accept(p, PS_W_BY) && !ps_sql_accept(p, PS_W_SOURCE))
        ps_sql_expect(p, PS_W_TARGET);
    if (ps_sql_accept(p, PS_W_AND))
        ps_sql_skip_expr(p);
    ps_sql_expect(p, PS_W_THEN);
    merge_action(p);
}

static void
merge(struct ps_sql_parser *p)
{
    struct ps_sql_scope scope;
    struct target t;

    p->pos++;
    ps_sql_ts_top(p);
    ps_sql_accept(p, PS_W_INTO);
    ps_sql_scope_push(p, &scope, p->scope);
    read_target(p, &t);
    write_target(p, &t);
    if (ps_sql_accept(p, PS_W_AS) || !ps_sql_at(p, PS_W_USING))
        t.alias = ps_sql_name_of(p, ps_sql_take(p));
    ps_sql_ts_table_hints(p);
    ps_sql_scope_add(p, t.alias, t.relation);
    ps_sql_expect(p, PS_W_USING);
    ps_sql_from_list(p);
    ps_sql_expect(p, PS_W_ON);
    ps_sql_skip_expr(p);
    do {
        merge_clause(p);
    } while (ps_sql_at(p, PS_W_WHEN));
    output(p);
    ps_sql_ts_option(p);
    p->scope = scope.outer;
}

void
ps_sql_ts_dml(struct ps_sql_parser *p, enum ps_sql_word verb)
{
    switch (verb) {
    case PS_W_INSERT:
        insert(p);
        break;
    case PS_W_UPDATE:
        update(p);
        break;
    case PS_W_DELETE:
        delete_rows(p);
        break;
    default:
        merge(p);
        break;
    }
}
