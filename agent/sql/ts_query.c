/*
 * T-SQL's SELECT and FROM where they leave the common ground: TOP, INTO,
 * FOR XML and JSON, OPTION, APPLY, join hints, table hints, PIVOT, table
 * variables and functions that stand for a table.
 *
 * Hints are read word by word against closed lists: what is not known there
 * ends the statement as not understood, so that nothing can hide behind one.
 */
#include "agent/sql/ts.h"

/* ---- SELECT ---- */

void
ps_sql_ts_top(struct ps_sql_parser *p)
{
    if (!ps_sql_accept(p, PS_W_TOP))
        return;
    if (ps_sql_accept_punct(p, '(')) {
        ps_sql_skip_expr(p);
        ps_sql_expect_punct(p, ')');
    } else if (ps_sql_peek(p)->kind == PS_TOK_NUMBER ||
               ps_sql_peek(p)->kind == PS_TOK_PARAM) {
        p->pos++;
    } else {
        ps_sql_fail(p, ps_sql_peek(p));
    }
    ps_sql_accept(p, PS_W_PERCENT);
}

void
ps_sql_ts_select_options(struct ps_sql_parser *p)
{
    ps_sql_ts_top(p);
    ps_sql_accept2(p, PS_W_WITH, PS_W_TIES);
}

/* INTO table [ON filegroup]: makes the table. */
void
ps_sql_ts_select_into(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_take(p); /* INTO */
    const struct ps_sql_token *table = ps_sql_peek(p);
    struct ps_sql_name name;

    ps_sql_deny(p, PS_SQL_REASON_SELECT_INTO, at);
    p->cls = PS_SQL_DDL;
    p->out->may_write = p->out->touches_session = true;
    if (ps_sql_qualified(p, &name))
        ps_sql_add_relation(p, &name, PS_SQL_REL_DDL | PS_SQL_REL_WRITE, table);
    /* A temporary one concerns nobody else. */
    if (p->failed || name.part[name.n - 1].ptr[0] != '#') {
        p->out->changes_catalog = true;
        ps_sql_writes_all(p);
    }
    if (ps_sql_accept(p, PS_W_ON))
        ps_sql_label_of(p, ps_sql_take(p));
}

/* (...) that holds no statement and no call: passed over. */
void
ps_sql_ts_skip_parenthesis(struct ps_sql_parser *p)
{
    uint32_t close = ps_sql_peek(p)->info;
    if (!ps_sql_at_punct(p, '(') || close >= p->end) {
        ps_sql_fail(p, ps_sql_peek(p));
        return;
    }
    for (; p->pos < close; p->pos++) {
        uint16_t next = ps_sql_peek_at(p, 1)->word;
        /* OPTION (MERGE JOIN, MERGE UNION, USE HINT ('x'), USE PLAN N'x') */
        if ((ps_sql_at(p, PS_W_USE) &&
             (next == PS_W_PLAN ||
              ps_sql_ts_is(p, ps_sql_peek_at(p, 1), "hint"))) ||
            (ps_sql_at(p, PS_W_MERGE) &&
             (next == PS_W_JOIN || next == PS_W_UNION)))
            continue;
        uint8_t kind = ps_sql_peek(p)->kind;
        if (kind == PS_TOK_BAD || kind == PS_TOK_JUNK ||
            ps_sql_ts_begins_statement(ps_sql_peek(p)->word)) {
            ps_sql_fail(p, ps_sql_peek(p));
            return;
        }
    }
    p->pos++;
}

bool
ps_sql_ts_option(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_peek(p);
    if (!ps_sql_accept(p, PS_W_OPTION))
        return false;
    size_t from = p->pos;
    ps_sql_ts_skip_parenthesis(p);
    /* OPTION (TABLE HINT (t, NOLOCK)) */
    for (size_t i = from; i < p->pos; i++)
        if (p->tokens[i].word == PS_W_TABLE)
            ps_sql_deny(p, PS_SQL_REASON_LOCKING, at);
    return true;
}

/* Behind FOR: XML or JSON, its mode, and directives behind commas. */
static void
for_xml(struct ps_sql_parser *p)
{
    p->pos++; /* XML, JSON */
    if (!ps_sql_ts_is_any(p, ps_sql_peek(p), " raw auto explicit path "))
        ps_sql_fail(p, ps_sql_peek(p));
    do {
        const struct ps_sql_token *word = ps_sql_take(p);
        if (!ps_sql_ts_is_any(p, word,
                              " raw auto explicit path root elements type "
                              "binary xmldata xmlschema include_null_values "
                              "without_array_wrapper "))
            ps_sql_fail(p, word);
        if (ps_sql_ts_is(p, word, "elements") && !ps_sql_ts_accept(p, "xsinil"))
            ps_sql_ts_accept(p, "absent");
        if (ps_sql_ts_is(p, word, "binary") && !ps_sql_ts_accept(p, "base64"))
            ps_sql_fail(p, ps_sql_peek(p));
        if (ps_sql_accept_punct(p, '(')) {
            if (ps_sql_peek(p)->kind == PS_TOK_STRING)
                p->pos++;
            ps_sql_expect_punct(p, ')');
        }
    } while (ps_sql_accept_punct(p, ','));
}

bool
ps_sql_ts_query_tail(struct ps_sql_parser *p)
{
    const struct ps_sql_token *next = ps_sql_peek_at(p, 1);

    if (ps_sql_at(p, PS_W_OPTION))
        return ps_sql_ts_option(p);
    if (!ps_sql_at(p, PS_W_FOR))
        return false;
    if (next->word == PS_W_BROWSE) {
        p->pos += 2;
        return true;
    }
    if (next->word != PS_W_XML && next->word != PS_W_JSON)
        return false;
    p->pos++;
    for_xml(p);
    return true;
}

/* ---- table hints ---- */

static const char dirty_hints[] = " nolock readuncommitted ";
static const char lock_hints[] =
    " holdlock nowait paglock readcommittedlock readpast repeatableread "
    "rowlock "
    "serializable snapshot tablock tablockx updlock xlock ";
static const char plain_hints[] =
    " forcescan forceseek ignore_constraints ignore_triggers index "
    "keepdefaults "
    "keepidentity noexpand readcommitted spatial_window_max_cells ";

static bool
is_hint(const struct ps_sql_parser *p, const struct ps_sql_token *t)
{
    return ps_sql_ts_is_any(p, t, dirty_hints) ||
           ps_sql_ts_is_any(p, t, lock_hints) ||
           ps_sql_ts_is_any(p, t, plain_hints);
}

static void
lock_hint(struct ps_sql_parser *p, const struct ps_sql_token *at)
{
    ps_sql_deny(p, PS_SQL_REASON_LOCKING, at);
    p->out->may_write = true;
}

/* (hint [,] hint ...) */
static void
hint_list(struct ps_sql_parser *p)
{
    ps_sql_expect_punct(p, '(');
    do {
        const struct ps_sql_token *hint = ps_sql_take(p);
        if (!is_hint(p, hint))
            ps_sql_fail(p, hint);
        else if (ps_sql_ts_is_any(p, hint, dirty_hints))
            ps_sql_deny(p, PS_SQL_REASON_DIRTY_READ, hint);
        else if (ps_sql_ts_is_any(p, hint, lock_hints))
            lock_hint(p, hint);
        if (ps_sql_accept_op(p, '=') && !ps_sql_at_punct(p, '(')) {
            const struct ps_sql_token *value = ps_sql_take(p);
            if (value->kind != PS_TOK_NUMBER && !ps_sql_is_name(p, value))
                ps_sql_fail(p, value); /* INDEX = name */
        }
        if (ps_sql_at_punct(p, '('))
            ps_sql_ts_skip_parenthesis(p);
        ps_sql_accept_punct(p, ',');
    } while (!ps_sql_at_end(p) && !ps_sql_at_punct(p, ')'));
    ps_sql_expect_punct(p, ')');
}

void
ps_sql_ts_table_hints(struct ps_sql_parser *p)
{
    if (ps_sql_at(p, PS_W_WITH) && ps_sql_punct_is(ps_sql_peek_at(p, 1), '(')) {
        p->pos++;
        hint_list(p);
    }
}

/* FOR SYSTEM_TIME ...: rows of the past, which a retention policy may drop. */
static void
system_time(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_peek(p);
    struct ps_sql_expr e;

    p->pos += 2;
    ps_sql_deny(p, PS_SQL_REASON_PAST_ROWS, at);
    if (ps_sql_accept(p, PS_W_ALL))
        return;
    if (ps_sql_accept2(p, PS_W_AS, PS_W_OF)) {
        ps_sql_expr_level(p, PS_LEVEL_OTHER, &e);
        return;
    }
    if (ps_sql_ts_accept(p, "contained")) {
        ps_sql_expect(p, PS_W_IN);
        ps_sql_expect_punct(p, '(');
        ps_sql_expr_list(p);
        ps_sql_expect_punct(p, ')');
        return;
    }
    bool between = ps_sql_accept(p, PS_W_BETWEEN);
    if (!between)
        ps_sql_expect(p, PS_W_FROM);
    ps_sql_expr_level(p, PS_LEVEL_OTHER, &e);
    ps_sql_expect(p, between ? PS_W_AND : PS_W_TO);
    ps_sql_expr_level(p, PS_LEVEL_OTHER, &e);
}

void
ps_sql_ts_table_suffix(struct ps_sql_parser *p)
{
    if (ps_sql_at(p, PS_W_FOR) &&
        ps_sql_peek_at(p, 1)->word == PS_W_SYSTEM_TIME)
        system_time(p);
    ps_sql_ts_table_hints(p); /* before the alias: an old order */
}

/* TABLESAMPLE [SYSTEM] (n [PERCENT | ROWS]) [REPEATABLE (n)] */
static void
table_sample(struct ps_sql_parser *p)
{
    ps_sql_deny(p, PS_SQL_REASON_SAMPLED, ps_sql_take(p));
    ps_sql_accept(p, PS_W_SYSTEM);
    ps_sql_ts_skip_parenthesis(p);
    if (ps_sql_accept(p, PS_W_REPEATABLE))
        ps_sql_ts_skip_parenthesis(p);
}

/* PIVOT (sum(x) FOR c IN ([a], [b])) [AS] p, UNPIVOT (x FOR c IN (a, b)) p:
 * the table behind it can no longer be named. */
static void
pivot(struct ps_sql_parser *p, struct ps_sql_source *source)
{
    struct ps_sql_name name;
    struct ps_str *columns, as = PS_STR("");
    bool renamed;

    p->pos++;
    ps_sql_expect_punct(p, '(');
    ps_sql_skip_expr(p);
    ps_sql_expect(p, PS_W_FOR);
    ps_sql_qualified(p, &name);
    ps_sql_expect(p, PS_W_IN);
    ps_sql_name_list(p, &columns);
    ps_sql_expect_punct(p, ')');
    ps_sql_alias(p, &as, &renamed);
    if (source)
        source->hidden = true;
    ps_sql_scope_add(p, as, PS_SQL_NO_RELATION);
}

void
ps_sql_ts_table_tail(struct ps_sql_parser *p, struct ps_sql_source *source)
{
    const struct ps_sql_token *at = ps_sql_peek(p);

    if (at->word == PS_W_TABLESAMPLE)
        table_sample(p);
    if (ps_sql_at_punct(p, '(') && is_hint(p, ps_sql_peek_at(p, 1)))
        hint_list(p); /* FROM t AS a (NOLOCK) */
    else if (ps_sql_accept(p, PS_W_HOLDLOCK))
        lock_hint(p, at);
    ps_sql_ts_table_hints(p);
    while (!p->failed &&
           (ps_sql_at(p, PS_W_PIVOT) || ps_sql_at(p, PS_W_UNPIVOT)))
        pivot(p, source);
}

/* ---- what stands for a table ---- */

/* Parts of the name ahead, empty ones too; *behind is what follows. */
static size_t
count_parts(const struct ps_sql_parser *p, const struct ps_sql_token **behind)
{
    size_t parts = 1, at = 0;
    *behind = ps_sql_peek(p);
    if (!ps_sql_is_name(p, *behind) && !ps_sql_is_function_name(p, *behind))
        return 0;
    for (at = 1; ps_sql_punct_is(ps_sql_peek_at(p, at), '.'); parts++) {
        at++;
        if (!ps_sql_punct_is(ps_sql_peek_at(p, at), '.'))
            at++;
    }
    *behind = ps_sql_peek_at(p, at);
    return parts;
}

/* [AS] alias and what follows, of what is no relation. */
static void
no_relation(struct ps_sql_parser *p, struct ps_str as)
{
    bool renamed;
    ps_sql_alias(p, &as, &renamed);
    ps_sql_ts_table_tail(p, ps_sql_scope_add(p, as, PS_SQL_NO_RELATION));
}

/* What only another server or an index beside the table can answer. */
static bool
foreign_source(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_peek(p);

    if (!ps_sql_punct_is(ps_sql_peek_at(p, 1), '('))
        return false;
    if (ps_sql_ts_is_any(p, at, " openquery openrowset opendatasource ")) {
        p->cls = PS_SQL_CALL; /* runs text of any kind elsewhere */
        ps_sql_fail_reason(p, PS_SQL_REASON_TABLE_FUNCTION, at);
        return true;
    }
    if (!ps_sql_ts_is_any(p, at,
                          " openxml containstable freetexttable changetable "
                          "semantickeyphrasetable semanticsimilaritytable "
                          "semanticsimilaritydetailstable "))
        return false;
    ps_sql_deny(p, PS_SQL_REASON_TABLE_FUNCTION, at);
    p->pos++;
    ps_sql_ts_skip_parenthesis(p);
    if (ps_sql_accept(p, PS_W_WITH)) /* OPENXML(...) WITH (id int) */
        ps_sql_ts_skip_parenthesis(p);
    no_relation(p, ps_sql_token_text(p, at));
    return true;
}

/* server.database.schema.table */
static void
linked_table(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_take(p);
    struct ps_str as = ps_sql_label_of(p, at);

    ps_sql_deny(p, PS_SQL_REASON_TABLE_FUNCTION, at);
    while (ps_sql_accept_punct(p, '.'))
        if (!ps_sql_at_punct(p, '.'))
            as = ps_sql_label_of(p, ps_sql_take(p)); /* fails on a keyword */
    if (ps_sql_at_punct(p, '('))
        ps_sql_fail(p, ps_sql_peek(p));
    no_relation(p, as);
}

/* @t, @x.nodes('...') [AS] alias (columns) */
static void
table_variable(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_take(p);
    struct ps_sql_expr first;

    ps_sql_deny(p, PS_SQL_REASON_TEMPORARY_TABLE, at);
    if (ps_sql_accept_punct(p, '.')) {
        ps_sql_label_of(p, ps_sql_take(p));
        ps_sql_arguments(p, &first);
    }
    no_relation(p, ps_sql_token_text(p, at));
}

static void
function_source(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_peek(p);
    struct ps_sql_expr first;
    struct ps_sql_name name;

    if (!ps_sql_qualified(p, &name))
        return;
    ps_sql_arguments(p, &first);
    struct ps_str as = name.part[name.n - 1];
    if (name.n > 2) {
        ps_sql_deny(p, PS_SQL_REASON_TABLE_FUNCTION, at);
        ps_sql_writes_all(p);
    } else if (name.n == 2 || !ps_sql_ts_table_function(as)) {
        ps_sql_unknown_function(p, name.n == 2 ? name.part[0] : PS_STR_NONE, as,
                                at);
    }
    /* OPENJSON(...) WITH (id int '$.id', ...) */
    if (ps_sql_ts_is(p, at, "openjson") && ps_sql_accept(p, PS_W_WITH))
        ps_sql_ts_skip_parenthesis(p);
    no_relation(p, as);
}

bool
ps_sql_ts_from_item(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_peek(p), *behind;

    if (at->kind == PS_TOK_PARAM) {
        table_variable(p);
        return true;
    }
    if (foreign_source(p))
        return true;
    size_t parts = count_parts(p, &behind);
    if (parts > 3) { /* of a linked server */
        linked_table(p);
        return true;
    }
    if (parts == 0 || !ps_sql_punct_is(behind, '('))
        return false;
    if (is_hint(p, behind + 1)) { /* FROM t (NOLOCK) */
        struct ps_sql_source *source =
            ps_sql_target(p, PS_SQL_REL_READ, PS_SQL_ALIAS_NONE);
        struct ps_str as;
        bool renamed;
        if (source && ps_sql_alias(p, &as, &renamed))
            source->alias = as;
        ps_sql_ts_table_tail(p, source);
        return true;
    }
    function_source(p);
    return true;
}

/* ---- joins ---- */

/* CROSS APPLY, OUTER APPLY, and joins with a hint: INNER HASH JOIN. */
bool
ps_sql_ts_join_word(struct ps_sql_parser *p, struct ps_sql_join *join)
{
    uint16_t first = ps_sql_peek(p)->word;
    size_t n = 1;

    if ((first == PS_W_CROSS || first == PS_W_OUTER) &&
        ps_sql_peek_at(p, 1)->word == PS_W_APPLY) {
        p->pos += 2;
        *join = (struct ps_sql_join){.kind = first == PS_W_CROSS ? PS_JOIN_INNER
                                                                 : PS_JOIN_LEFT,
                                     .bare = true,
                                     .lateral = true};
        return true;
    }
    switch (first) {
    case PS_W_INNER:
        join->kind = PS_JOIN_INNER;
        break;
    case PS_W_LEFT:
        join->kind = PS_JOIN_LEFT;
        break;
    case PS_W_RIGHT:
        join->kind = PS_JOIN_RIGHT;
        break;
    case PS_W_FULL:
        join->kind = PS_JOIN_FULL;
        break;
    default:
        return false;
    }
    n += first != PS_W_INNER && ps_sql_peek_at(p, 1)->word == PS_W_OUTER;
    if (!ps_sql_ts_is_any(p, ps_sql_peek_at(p, n),
                          " hash loop merge remote ") ||
        ps_sql_peek_at(p, n + 1)->word != PS_W_JOIN)
        return false;
    p->pos += n + 2;
    return true;
}
