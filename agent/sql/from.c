/*
 * FROM: tables, subqueries, functions and their joins.
 */
#include "agent/sql/parser.h"

static void join_chain(struct ps_sql_parser *p, size_t left_from);

/* [AS] alias; false when there is none. */
static bool
alias_name(struct ps_sql_parser *p, struct ps_str *name)
{
    bool as = ps_sql_accept(p, PS_W_AS);
    /* UPDATE t SET: PostgreSQL does not reserve SET, but no alias it is. */
    if (!as && (ps_sql_at(p, PS_W_SET) || !ps_sql_is_name(p, ps_sql_peek(p))))
        return false;
    *name = ps_sql_name_of(p, ps_sql_take(p));
    return true;
}

bool
ps_sql_alias(struct ps_sql_parser *p, struct ps_str *name, bool *renamed)
{
    *renamed = false;
    if (!alias_name(p, name))
        return false;
    if (ps_sql_at_punct(p, '(')) {
        struct ps_str *columns;
        ps_sql_name_list(p, &columns);
        *renamed = true;
    }
    return true;
}

static void
tail(struct ps_sql_parser *p, struct ps_sql_source *source)
{
    if (p->dialect->table_tail)
        p->dialect->table_tail(p, source);
}

/* TABLESAMPLE method (args) [REPEATABLE (seed)] */
static void
table_sample(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_peek(p);
    if (!ps_sql_accept(p, PS_W_TABLESAMPLE))
        return;
    struct ps_sql_name method;
    struct ps_sql_expr first;
    ps_sql_deny(p, PS_SQL_REASON_SAMPLED, at);
    ps_sql_qualified(p, &method);
    ps_sql_arguments(p, &first);
    if (ps_sql_accept(p, PS_W_REPEATABLE))
        ps_sql_arguments(p, &first);
}

static bool
is_cte(const struct ps_sql_parser *p, const struct ps_sql_name *name)
{
    if (name->n != 1)
        return false;
    /* Byte for byte: if the server is less strict, a relation too many is
     * noted, never one too few. */
    for (const struct ps_sql_cte *c = p->ctes; c; c = c->outer)
        if (ps_str_eq(c->name, name->part[0]))
            return true;
    return false;
}

struct ps_sql_source *
ps_sql_target(struct ps_sql_parser *p, unsigned use,
              enum ps_sql_alias_rule rule)
{
    const struct ps_sql_token *at = ps_sql_peek(p);
    /* Where it is not reserved it is a table's name. */
    bool only = (ps_sql_word_flags(PS_W_ONLY) & p->dialect->reserved_name) &&
                ps_sql_accept(p, PS_W_ONLY);
    bool wrapped = only && ps_sql_accept_punct(p, '(');
    struct ps_sql_name name;

    if (!ps_sql_qualified(p, &name))
        return NULL;
    if (wrapped)
        ps_sql_expect_punct(p, ')');
    else if (!only)
        ps_sql_accept_op(p, '*');
    size_t relation = PS_SQL_NO_RELATION;
    if (use != PS_SQL_REL_READ || !is_cte(p, &name))
        relation = ps_sql_add_relation(p, &name, use, at);
    if (p->dialect->table_suffix)
        p->dialect->table_suffix(p);
    struct ps_str as = name.part[name.n - 1];
    bool renamed = false;
    if (rule == PS_SQL_ALIAS_ANY ||
        (rule == PS_SQL_ALIAS_WITH_AS && ps_sql_at(p, PS_W_AS))) {
        if (p->dialect->bare_alias)
            alias_name(p, &as);
        else
            ps_sql_alias(p, &as, &renamed);
    }
    struct ps_sql_source *source = ps_sql_scope_add(p, as, relation);
    if (source)
        source->renamed = renamed;
    tail(p, source);
    if (use == PS_SQL_REL_READ)
        table_sample(p);
    return source;
}

/* (a, b) or (a integer, b text COLLATE "C"): what a function's rows are called
 * and read as. */
void
ps_sql_column_types(struct ps_sql_parser *p)
{
    ps_sql_expect_punct(p, '(');
    do {
        struct ps_sql_expr e = {.kind = PS_EXPR_OTHER};
        struct ps_sql_name collation;
        ps_sql_name_of(p, ps_sql_take(p));
        if (!ps_sql_at_punct(p, ',') && !ps_sql_at_punct(p, ')'))
            p->dialect->cast(p, &e, ps_sql_peek(p));
        if (ps_sql_accept(p, PS_W_COLLATE))
            ps_sql_qualified(p, &collation);
    } while (ps_sql_accept_punct(p, ','));
    ps_sql_expect_punct(p, ')');
}

void
ps_sql_function_item(struct ps_sql_parser *p, struct ps_sql_name *name)
{
    const struct ps_sql_token *at = ps_sql_peek(p);
    struct ps_sql_expr first;

    if (!ps_sql_qualified(p, name))
        return;
    size_t n = ps_sql_arguments(p, &first);
    struct ps_sql_function_info info = ps_sql_call(p, name, n, at);
    if (info.kind != PS_FN_UNKNOWN && !info.set_returning)
        ps_sql_deny(p, PS_SQL_REASON_TABLE_FUNCTION, at);
}

void
ps_sql_function_alias(struct ps_sql_parser *p, struct ps_str name)
{
    if (ps_sql_at(p, PS_W_WITH) &&
        ps_sql_peek_at(p, 1)->word == PS_W_ORDINALITY)
        p->pos += 2;
    bool named = true;
    if (ps_sql_at(p, PS_W_AS) && ps_sql_punct_is(ps_sql_peek_at(p, 1), '('))
        p->pos++;
    else
        named = alias_name(p, &name);
    if (named && ps_sql_at_punct(p, '('))
        ps_sql_column_types(p);
    tail(p, ps_sql_scope_add(p, name, PS_SQL_NO_RELATION));
}

/* f(...) [WITH ORDINALITY] [alias] */
static void
table_function(struct ps_sql_parser *p)
{
    struct ps_sql_name name;

    ps_sql_function_item(p, &name);
    if (!p->failed)
        ps_sql_function_alias(p, name.part[name.n - 1]);
}

static void
derived_table(struct ps_sql_parser *p, bool lateral)
{
    struct ps_str as = PS_STR("");
    bool renamed;

    ps_sql_subquery(p, lateral ? p->scope : p->scope->outer);
    ps_sql_alias(p, &as, &renamed);
    tail(p, ps_sql_scope_add(p, as, PS_SQL_NO_RELATION));
}

static size_t
hide_since(struct ps_sql_parser *p, size_t from)
{
    size_t index = 0;
    for (struct ps_sql_source *s = p->scope->sources; s; s = s->next)
        if (index++ >= from)
            s->hidden = true;
    return index;
}

/* ( a JOIN b ON ... ) [alias] */
static void
joined_table(struct ps_sql_parser *p)
{
    size_t from = p->scope->n_sources;
    struct ps_str as;
    bool renamed;

    ps_sql_expect_punct(p, '(');
    do {
        join_chain(p, p->scope->n_sources);
    } while (ps_sql_accept_punct(p, ',')); /* MySQL */
    ps_sql_expect_punct(p, ')');
    if (ps_sql_alias(p, &as, &renamed)) {
        hide_since(p, from);
        ps_sql_scope_add(p, as, PS_SQL_NO_RELATION);
    }
}

/* A name in FROM with a parenthesis behind it is a function. */
static bool
at_function(const struct ps_sql_parser *p)
{
    size_t at = 0;
    if (!ps_sql_is_function_name(p, ps_sql_peek(p)))
        return false;
    while (ps_sql_punct_is(ps_sql_peek_at(p, at + 1), '.'))
        at += 2;
    return ps_sql_punct_is(ps_sql_peek_at(p, at + 1), '(');
}

static void
from_primary(struct ps_sql_parser *p, bool sees_left)
{
    if (!ps_sql_enter(p))
        return;
    bool lateral = ps_sql_accept(p, PS_W_LATERAL);
    if (ps_sql_at_subquery(p))
        derived_table(p, lateral || sees_left);
    else if (p->dialect->from_item && p->dialect->from_item(p))
        ; /* the dialect's own */
    else if (!lateral && ps_sql_at_punct(p, '('))
        joined_table(p);
    else if (at_function(p))
        table_function(p);
    else if (lateral)
        ps_sql_fail(p, ps_sql_peek(p));
    else
        ps_sql_target(p, PS_SQL_REL_READ, PS_SQL_ALIAS_ANY);
    ps_sql_leave(p);
}

/* [NATURAL] [INNER | LEFT | RIGHT | FULL [OUTER] | CROSS] JOIN */
static bool
join_word(struct ps_sql_parser *p, struct ps_sql_join *join)
{
    enum ps_sql_join_kind kind = PS_JOIN_INNER;
    size_t before = p->pos;

    *join = (struct ps_sql_join){.kind = PS_JOIN_NONE};
    if (p->dialect->join_word && p->dialect->join_word(p, join))
        return !p->failed;
    join->bare = ps_sql_accept(p, PS_W_NATURAL);
    if (join->bare && p->scope)
        p->scope->merged = true;
    if (ps_sql_accept(p, PS_W_CROSS))
        join->bare = true;
    else if (ps_sql_accept(p, PS_W_LEFT))
        kind = PS_JOIN_LEFT;
    else if (ps_sql_accept(p, PS_W_RIGHT))
        kind = PS_JOIN_RIGHT;
    else if (ps_sql_accept(p, PS_W_FULL))
        kind = PS_JOIN_FULL;
    else
        ps_sql_accept(p, PS_W_INNER);
    if (kind != PS_JOIN_INNER)
        ps_sql_accept(p, PS_W_OUTER);
    join->kind = kind;
    if (ps_sql_accept(p, PS_W_JOIN))
        return true;
    if (p->pos != before)
        ps_sql_fail(p, ps_sql_peek(p));
    return false;
}

/* Facts of ON count for both sides, or for the nullable one only. */
static void
bind_on(struct ps_sql_parser *p, struct ps_sql_fact *facts,
        enum ps_sql_join_kind kind, size_t left_from, size_t right_from)
{
    struct ps_sql_reach reach = {.visible = left_from, .to = SIZE_MAX};

    if (kind == PS_JOIN_FULL)
        return;
    if (kind == PS_JOIN_LEFT)
        reach.from = right_from;
    if (kind == PS_JOIN_RIGHT) {
        reach.from = left_from;
        reach.to = right_from;
    }
    ps_sql_scope_bind(p, p->scope, facts, reach);
}

/* Joins behind a first item; sources since left_from are the left side. */
static void
joins(struct ps_sql_parser *p, size_t left_from)
{
    struct ps_sql_join join;

    while (join_word(p, &join)) {
        size_t right_from = p->scope->n_sources;
        from_primary(p, join.lateral);
        if (join.bare)
            continue;
        /* a JOIN b JOIN c ON .. ON ..: the right side is a join itself. */
        if (!ps_sql_at(p, PS_W_ON) && !ps_sql_at(p, PS_W_USING)) {
            if (!ps_sql_enter(p))
                return;
            joins(p, right_from);
            ps_sql_leave(p);
        }
        if (ps_sql_accept(p, PS_W_ON)) {
            bind_on(p, ps_sql_condition(p), join.kind, left_from, right_from);
        } else if (!join.free_on || ps_sql_at(p, PS_W_USING)) {
            struct ps_str *columns, as;
            bool renamed;
            ps_sql_expect(p, PS_W_USING);
            if (p->scope)
                p->scope->merged = true;
            ps_sql_name_list(p, &columns);
            if (ps_sql_at(p, PS_W_AS))
                ps_sql_alias(p, &as, &renamed);
        }
        if (p->failed)
            return;
    }
}

static void
join_chain(struct ps_sql_parser *p, size_t left_from)
{
    from_primary(p, false);
    joins(p, left_from);
}

void
ps_sql_from_list(struct ps_sql_parser *p)
{
    do {
        join_chain(p, p->scope->n_sources);
    } while (ps_sql_accept_punct(p, ','));
}
