/*
 * Queries: WITH, SELECT, VALUES, TABLE, set operations, and what stands behind
 * them (ORDER BY, LIMIT, locks).
 *
 * Names of common table expressions are visible in the query they belong to
 * and in those that follow in their list; with RECURSIVE in all of the list,
 * their own included. A qualified name never means one.
 */
#include "agent/sql/parser.h"

static const uint16_t set_words[] = {PS_W_UNION, PS_W_INTERSECT, PS_W_EXCEPT,
                                     PS_W_NO_WORD};
static const uint16_t tail_words[] = {
    PS_W_ORDER, PS_W_LIMIT,     PS_W_OFFSET, PS_W_FETCH,  PS_W_FOR,
    PS_W_UNION, PS_W_INTERSECT, PS_W_EXCEPT, PS_W_NO_WORD};

static bool
word_in(uint16_t word, const uint16_t *list)
{
    while (*list && *list != word)
        list++;
    return *list != PS_W_NO_WORD;
}

static bool
starts_query(const struct ps_sql_token *t)
{
    return t->word == PS_W_SELECT || t->word == PS_W_VALUES ||
           t->word == PS_W_WITH || t->word == PS_W_TABLE;
}

bool
ps_sql_at_subquery(const struct ps_sql_parser *p)
{
    size_t depth = 0;

    while (ps_sql_punct_is(ps_sql_peek_at(p, depth), '(')) {
        if (++depth > PS_SQL_MAX_DEPTH)
            return false;
    }
    if (depth == 0 || !starts_query(ps_sql_peek_at(p, depth)))
        return false;
    /* ((SELECT 1) + 2) is none: behind each inner parenthesis the query must
     * go on or end. */
    while (--depth > 0) {
        uint32_t close = ps_sql_peek_at(p, depth)->info;
        if (close == PS_TOK_NO_MATCH || close + 1 >= p->end)
            return false;
        const struct ps_sql_token *next = &p->tokens[close + 1];
        if (!ps_sql_punct_is(next, ')') && !word_in(next->word, tail_words))
            return false;
    }
    return true;
}

bool
ps_sql_at_query(const struct ps_sql_parser *p)
{
    return starts_query(ps_sql_peek(p)) || ps_sql_at_subquery(p);
}

/* ---- WITH ---- */

static struct ps_sql_cte *
add_cte(struct ps_sql_parser *p, struct ps_str name)
{
    if (p->n_ctes++ == PS_SQL_MAX_RELATIONS)
        ps_sql_fail_reason(p, PS_SQL_REASON_TOO_COMPLEX, ps_sql_peek(p));
    struct ps_sql_cte *cte = p->failed ? NULL : ps_sql_new(p, sizeof(*cte));
    if (cte) {
        cte->name = name;
        cte->outer = p->ctes;
        p->ctes = cte;
    }
    return cte;
}

/* WITH RECURSIVE: makes all names of the list visible before the first body
 * is read. The position is put back. */
static void
declare_all(struct ps_sql_parser *p)
{
    size_t start = p->pos;
    for (;;) {
        add_cte(p, ps_sql_name_of(p, ps_sql_take(p)));
        while (!ps_sql_at_end(p) && !ps_sql_at(p, PS_W_AS))
            p->pos++;
        while (!ps_sql_at_end(p) && !ps_sql_at_punct(p, '('))
            p->pos++;
        uint32_t close = ps_sql_peek(p)->info;
        if (ps_sql_at_end(p) || close >= p->end)
            break;
        p->pos = close + 1;
        /* SEARCH and CYCLE clauses hold names and commas, no parentheses. */
        while (!ps_sql_at_end(p) && !starts_query(ps_sql_peek(p)) &&
               !ps_sql_at(p, PS_W_INSERT) && !ps_sql_at(p, PS_W_UPDATE) &&
               !ps_sql_at(p, PS_W_DELETE) && !ps_sql_at(p, PS_W_MERGE) &&
               !ps_sql_at_punct(p, ',') && !ps_sql_at_punct(p, '('))
            p->pos++;
        if (!ps_sql_accept_punct(p, ','))
            break;
    }
    if (!p->failed)
        p->pos = start;
}

static void
cte_body(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_peek_at(p, 1);

    ps_sql_expect_punct(p, '(');
    struct ps_sql_scope *outer = p->scope;
    if (ps_sql_at_query(p)) {
        ps_sql_query(p, false);
    } else if (ps_sql_dml(p)) {
        ps_sql_deny(p, PS_SQL_REASON_WRITES, at);
    } else {
        ps_sql_fail(p, ps_sql_peek(p));
    }
    p->scope = outer;
    ps_sql_expect_punct(p, ')');
}

/* SEARCH DEPTH FIRST BY a SET b; CYCLE a SET b [TO v DEFAULT v] USING c */
static void
search_and_cycle(struct ps_sql_parser *p)
{
    if (ps_sql_accept(p, PS_W_SEARCH)) {
        if (!ps_sql_accept(p, PS_W_DEPTH))
            ps_sql_expect(p, PS_W_BREADTH);
        ps_sql_expect(p, PS_W_FIRST);
        ps_sql_expect(p, PS_W_BY);
        do {
            ps_sql_name_of(p, ps_sql_take(p));
        } while (ps_sql_accept_punct(p, ','));
        ps_sql_expect(p, PS_W_SET);
        ps_sql_name_of(p, ps_sql_take(p));
    }
    if (ps_sql_accept(p, PS_W_CYCLE)) {
        do {
            ps_sql_name_of(p, ps_sql_take(p));
        } while (ps_sql_accept_punct(p, ','));
        ps_sql_expect(p, PS_W_SET);
        ps_sql_name_of(p, ps_sql_take(p));
        if (ps_sql_accept(p, PS_W_TO)) {
            ps_sql_skip_expr(p);
            ps_sql_expect(p, PS_W_DEFAULT);
            ps_sql_skip_expr(p);
        }
        ps_sql_expect(p, PS_W_USING);
        ps_sql_name_of(p, ps_sql_take(p));
    }
}

struct ps_sql_cte *
ps_sql_with(struct ps_sql_parser *p)
{
    struct ps_sql_cte *before = p->ctes;
    struct ps_str *columns;

    ps_sql_expect(p, PS_W_WITH);
    bool recursive = ps_sql_accept(p, PS_W_RECURSIVE);
    if (recursive)
        declare_all(p);
    do {
        struct ps_str name = ps_sql_name_of(p, ps_sql_take(p));
        if (ps_sql_at_punct(p, '('))
            ps_sql_name_list(p, &columns);
        bool early = recursive || p->dialect->cte_sees_itself;
        if (early && !recursive)
            add_cte(p, name);
        ps_sql_expect(p, PS_W_AS);
        if (ps_sql_accept(p, PS_W_NOT))
            ps_sql_expect(p, PS_W_MATERIALIZED);
        else
            ps_sql_accept(p, PS_W_MATERIALIZED);
        cte_body(p);
        search_and_cycle(p);
        if (!early)
            add_cte(p, name);
    } while (ps_sql_accept_punct(p, ','));
    return before;
}

void
ps_sql_ctes_end(struct ps_sql_parser *p, struct ps_sql_cte *before)
{
    p->ctes = before;
}

/* ---- SELECT ---- */

void
ps_sql_order_by(struct ps_sql_parser *p)
{
    ps_sql_expect(p, PS_W_ORDER);
    ps_sql_expect(p, PS_W_BY);
    do {
        ps_sql_skip_expr(p);
        if (ps_sql_accept(p, PS_W_USING)) {
            const struct ps_sql_token *op = ps_sql_take(p);
            if (op->kind != PS_TOK_OP ||
                !p->dialect->known_operator(ps_sql_token_text(p, op)))
                ps_sql_fail(p, op);
        } else if (!ps_sql_accept(p, PS_W_ASC)) {
            ps_sql_accept(p, PS_W_DESC);
        }
        if (ps_sql_accept(p, PS_W_NULLS) && !ps_sql_accept(p, PS_W_FIRST))
            ps_sql_expect(p, PS_W_LAST);
    } while (ps_sql_accept_punct(p, ','));
}

/* UNBOUNDED PRECEDING, CURRENT ROW, n FOLLOWING */
static void
frame_bound(struct ps_sql_parser *p)
{
    if (ps_sql_accept2(p, PS_W_CURRENT, PS_W_ROW))
        return;
    const struct ps_sql_token *next = ps_sql_peek_at(p, 1);
    if (next->word != PS_W_PRECEDING && next->word != PS_W_FOLLOWING)
        ps_sql_skip_expr(p);
    else if (!ps_sql_accept(p, PS_W_UNBOUNDED))
        ps_sql_skip_expr(p);
    if (!ps_sql_accept(p, PS_W_PRECEDING))
        ps_sql_expect(p, PS_W_FOLLOWING);
}

static void
window_frame(struct ps_sql_parser *p)
{
    if (!ps_sql_accept(p, PS_W_ROWS) && !ps_sql_accept(p, PS_W_RANGE) &&
        !ps_sql_accept(p, PS_W_GROUPS))
        return;
    if (ps_sql_accept(p, PS_W_BETWEEN)) {
        frame_bound(p);
        ps_sql_expect(p, PS_W_AND);
    }
    frame_bound(p);
    if (!ps_sql_accept(p, PS_W_EXCLUDE))
        return;
    if (ps_sql_accept2(p, PS_W_CURRENT, PS_W_ROW) ||
        ps_sql_accept(p, PS_W_GROUP) || ps_sql_accept(p, PS_W_TIES))
        return;
    ps_sql_expect(p, PS_W_NO);
    ps_sql_expect(p, PS_W_OTHERS);
}

void
ps_sql_window(struct ps_sql_parser *p)
{
    ps_sql_expect_punct(p, '(');
    if (!ps_sql_at(p, PS_W_PARTITION) && !ps_sql_at(p, PS_W_RANGE) &&
        !ps_sql_at(p, PS_W_ROWS) && !ps_sql_at(p, PS_W_GROUPS) &&
        ps_sql_is_name(p, ps_sql_peek(p)))
        p->pos++;
    if (ps_sql_accept(p, PS_W_PARTITION)) {
        ps_sql_expect(p, PS_W_BY);
        ps_sql_expr_list(p);
    }
    if (ps_sql_at(p, PS_W_ORDER))
        ps_sql_order_by(p);
    window_frame(p);
    ps_sql_expect_punct(p, ')');
}

/* GROUP BY items; also inside ROLLUP, CUBE and GROUPING SETS. */
static void
group_items(struct ps_sql_parser *p)
{
    if (!ps_sql_enter(p))
        return;
    do {
        bool grouping = ps_sql_accept2(p, PS_W_GROUPING, PS_W_SETS);
        if (!grouping &&
            (ps_sql_at(p, PS_W_ROLLUP) || ps_sql_at(p, PS_W_CUBE)) &&
            ps_sql_punct_is(ps_sql_peek_at(p, 1), '(')) {
            grouping = true;
            p->pos++;
        }
        if (grouping) {
            ps_sql_expect_punct(p, '(');
            group_items(p);
            ps_sql_expect_punct(p, ')');
        } else if (ps_sql_at_punct(p, '(') &&
                   ps_sql_punct_is(ps_sql_peek_at(p, 1), ')')) {
            p->pos += 2;
        } else {
            ps_sql_skip_expr(p);
            if (!ps_sql_accept(p, PS_W_ASC)) /* MySQL, before 8 */
                ps_sql_accept(p, PS_W_DESC);
        }
    } while (ps_sql_accept_punct(p, ','));
    ps_sql_leave(p);
}

void
ps_sql_targets(struct ps_sql_parser *p)
{
    do {
        ps_sql_skip_expr(p);
        const struct ps_sql_token *t = ps_sql_peek(p);
        if (p->dialect->string_alias &&
            ps_sql_peek_at(p, t->word == PS_W_AS)->kind == PS_TOK_STRING)
            p->pos += t->word == PS_W_AS ? 2 : 1;
        else if (ps_sql_accept(p, PS_W_AS))
            ps_sql_label_of(p, ps_sql_take(p));
        else if (t->kind == PS_TOK_QUOTED ||
                 (t->kind == PS_TOK_WORD &&
                  !(ps_sql_word_flags((enum ps_sql_word)t->word) &
                    p->dialect->needs_as)))
            p->pos++;
    } while (ps_sql_accept_punct(p, ','));
}

static void
named_windows(struct ps_sql_parser *p)
{
    do {
        ps_sql_name_of(p, ps_sql_take(p));
        ps_sql_expect(p, PS_W_AS);
        ps_sql_window(p);
    } while (ps_sql_accept_punct(p, ','));
}

/* SELECT up to HAVING and WINDOW. The scope stays open for ORDER BY. */
static void
select_core(struct ps_sql_parser *p, struct ps_sql_scope *scope)
{
    static const uint16_t no_targets[] = {
        PS_W_FROM,   PS_W_WHERE, PS_W_GROUP, PS_W_HAVING,    PS_W_WINDOW,
        PS_W_ORDER,  PS_W_LIMIT, PS_W_UNION, PS_W_INTERSECT, PS_W_EXCEPT,
        PS_W_OFFSET, PS_W_FETCH, PS_W_FOR,   PS_W_INTO,      PS_W_NO_WORD};

    ps_sql_scope_push(p, scope, p->scope);
    ps_sql_expect(p, PS_W_SELECT);
    if (ps_sql_accept(p, PS_W_DISTINCT)) {
        if (ps_sql_accept(p, PS_W_ON)) {
            ps_sql_expect_punct(p, '(');
            ps_sql_expr_list(p);
            ps_sql_expect_punct(p, ')');
        }
    } else {
        ps_sql_accept(p, PS_W_ALL);
    }
    if (p->dialect->select_options)
        p->dialect->select_options(p);
    if (!ps_sql_at_end(p) && !ps_sql_at_any(p, no_targets) &&
        !ps_sql_at_punct(p, ')'))
        ps_sql_targets(p);
    if (ps_sql_at(p, PS_W_INTO))
        p->dialect->select_into(p);
    if (ps_sql_accept(p, PS_W_FROM))
        ps_sql_from_list(p);
    if (ps_sql_accept(p, PS_W_WHERE))
        ps_sql_scope_bind(p, scope, ps_sql_condition(p),
                          (struct ps_sql_reach){.to = SIZE_MAX});
    if (ps_sql_accept2(p, PS_W_GROUP, PS_W_BY)) {
        if (!ps_sql_accept(p, PS_W_ALL))
            ps_sql_accept(p, PS_W_DISTINCT);
        group_items(p);
        if (!ps_sql_accept2(p, PS_W_WITH, PS_W_ROLLUP))
            ps_sql_accept2(p, PS_W_WITH, PS_W_CUBE);
    }
    if (ps_sql_accept(p, PS_W_HAVING))
        ps_sql_skip_expr(p);
    if (ps_sql_accept(p, PS_W_WINDOW))
        named_windows(p);
}

static void
values_rows(struct ps_sql_parser *p)
{
    ps_sql_expect(p, PS_W_VALUES);
    do {
        ps_sql_accept(p, PS_W_ROW); /* MySQL 8 */
        ps_sql_expect_punct(p, '(');
        ps_sql_expr_list(p);
        ps_sql_expect_punct(p, ')');
    } while (ps_sql_accept_punct(p, ','));
}

/* FOR UPDATE and its kin. */
static void
locking(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_peek(p);
    struct ps_sql_name name;

    ps_sql_expect(p, PS_W_FOR);
    if (ps_sql_accept(p, PS_W_READ)) {
        ps_sql_expect(p, PS_W_ONLY);
        return;
    }
    ps_sql_deny(p, PS_SQL_REASON_LOCKING, at);
    p->out->may_write = true;
    if (ps_sql_accept2(p, PS_W_NO, PS_W_KEY))
        ps_sql_expect(p, PS_W_UPDATE);
    else if (ps_sql_accept(p, PS_W_KEY))
        ps_sql_expect(p, PS_W_SHARE);
    else if (!ps_sql_accept(p, PS_W_UPDATE))
        ps_sql_expect(p, PS_W_SHARE);
    if (ps_sql_accept(p, PS_W_OF))
        do {
            ps_sql_qualified(p, &name);
        } while (ps_sql_accept_punct(p, ','));
    if (!ps_sql_accept(p, PS_W_NOWAIT))
        ps_sql_accept2(p, PS_W_SKIP, PS_W_LOCKED);
}

/* FETCH {FIRST | NEXT} [n] {ROW | ROWS} {ONLY | WITH TIES} */
static void
fetch_first(struct ps_sql_parser *p)
{
    if (!ps_sql_accept(p, PS_W_FIRST))
        ps_sql_expect(p, PS_W_NEXT);
    if (!ps_sql_at(p, PS_W_ROW) && !ps_sql_at(p, PS_W_ROWS))
        ps_sql_skip_expr(p);
    if (!ps_sql_accept(p, PS_W_ROW))
        ps_sql_expect(p, PS_W_ROWS);
    if (!ps_sql_accept(p, PS_W_ONLY)) {
        ps_sql_expect(p, PS_W_WITH);
        ps_sql_expect(p, PS_W_TIES);
    }
}

static void
query_tail(struct ps_sql_parser *p)
{
    if (ps_sql_at(p, PS_W_ORDER))
        ps_sql_order_by(p);
    while (!p->failed) {
        if (p->dialect->query_tail && p->dialect->query_tail(p)) {
            continue;
        } else if (ps_sql_accept(p, PS_W_LIMIT)) {
            if (!ps_sql_accept(p, PS_W_ALL))
                ps_sql_skip_expr(p);
        } else if (ps_sql_accept(p, PS_W_OFFSET)) {
            ps_sql_skip_expr(p);
            if (!ps_sql_accept(p, PS_W_ROW))
                ps_sql_accept(p, PS_W_ROWS);
        } else if (ps_sql_accept(p, PS_W_FETCH)) {
            fetch_first(p);
        } else if (ps_sql_at(p, PS_W_FOR)) {
            locking(p);
        } else {
            return;
        }
    }
}

/* One side of a set operation. True: a SELECT whose scope is open. */
static bool
query_term(struct ps_sql_parser *p, struct ps_sql_scope *scope)
{
    if (ps_sql_at_punct(p, '(')) {
        struct ps_sql_scope *outer = p->scope;
        ps_sql_expect_punct(p, '(');
        ps_sql_query(p, false);
        p->scope = outer;
        ps_sql_expect_punct(p, ')');
        return false;
    }
    if (ps_sql_at(p, PS_W_SELECT)) {
        select_core(p, scope);
        return true;
    }
    if (ps_sql_at(p, PS_W_VALUES)) {
        values_rows(p);
        return false;
    }
    ps_sql_scope_push(p, scope, p->scope);
    ps_sql_expect(p, PS_W_TABLE);
    ps_sql_target(p, PS_SQL_REL_READ, PS_SQL_ALIAS_NONE);
    return true;
}

void
ps_sql_query(struct ps_sql_parser *p, bool top)
{
    struct ps_sql_scope scope, *outer = p->scope;
    struct ps_sql_cte *ctes = p->ctes;

    if (!ps_sql_enter(p))
        return;
    if (ps_sql_at(p, PS_W_WITH)) {
        ps_sql_with(p);
        if (top && !ps_sql_at_query(p)) {
            if (!ps_sql_dml(p))
                ps_sql_fail(p, ps_sql_peek(p));
            goto done;
        }
    }
    bool open = query_term(p, &scope);
    while (ps_sql_at_any(p, set_words)) {
        p->pos++;
        if (!ps_sql_accept(p, PS_W_ALL))
            ps_sql_accept(p, PS_W_DISTINCT);
        if (open)
            ps_sql_scope_finish(p, &scope);
        p->scope = outer;
        open = query_term(p, &scope);
    }
    query_tail(p);
    if (open)
        ps_sql_scope_finish(p, &scope);
done:
    p->scope = outer;
    ps_sql_ctes_end(p, ctes);
    ps_sql_leave(p);
}

void
ps_sql_subquery(struct ps_sql_parser *p, struct ps_sql_scope *outer)
{
    struct ps_sql_scope *here = p->scope;

    ps_sql_expect_punct(p, '(');
    p->scope = outer;
    ps_sql_query(p, false);
    p->scope = here;
    ps_sql_expect_punct(p, ')');
}
