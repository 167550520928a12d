/*
 * PostgreSQL's calls that have a grammar of their own: XML (12 and later), the
 * JSON functions of the SQL standard (16, 17), and what they are in FROM:
 * XMLTABLE, JSON_TABLE, ROWS FROM.
 *
 * More is accepted than the server takes (any clause behind any argument): it
 * refuses what is wrong itself. What counts is that every expression is read
 * and nothing is left over.
 *
 * Before 16 the names of the JSON functions are free, so that json_value(a, b)
 * may be somebody's function: without one of the clauses that only the grammar
 * has, the call is left to the catalogue.
 */
#include "agent/sql/pg.h"

/* ---- JSON ---- */

/* FORMAT JSON [ENCODING UTF8] */
static void
json_format(struct ps_sql_parser *p)
{
    if (!ps_sql_accept(p, PS_W_FORMAT))
        return;
    ps_sql_expect(p, PS_W_JSON);
    if (ps_sql_accept(p, PS_W_ENCODING))
        ps_sql_name_of(p, ps_sql_take(p));
}

/* A type that the text of a document is read as. */
static void
result_type(struct ps_sql_parser *p)
{
    struct ps_sql_expr e = {.kind = PS_EXPR_OTHER};
    p->dialect->cast(p, &e, ps_sql_peek(p));
}

/* PASSING x AS name, ... */
static void
json_passing(struct ps_sql_parser *p)
{
    do {
        ps_sql_skip_expr(p);
        json_format(p);
        ps_sql_expect(p, PS_W_AS);
        ps_sql_label_of(p, ps_sql_take(p));
    } while (ps_sql_accept_punct(p, ','));
}

/* NULL ON NULL, DEFAULT x ON EMPTY, EMPTY ARRAY ON ERROR, ...; false: none. */
static bool
json_behaviour(struct ps_sql_parser *p)
{
    static const uint16_t first[] = {PS_W_NULL,    PS_W_ABSENT, PS_W_ERROR,
                                     PS_W_EMPTY,   PS_W_TRUE,   PS_W_FALSE,
                                     PS_W_UNKNOWN, PS_W_NO_WORD};
    static const uint16_t when[] = {PS_W_NULL, PS_W_EMPTY, PS_W_ERROR,
                                    PS_W_NO_WORD};
    if (ps_sql_accept(p, PS_W_DEFAULT)) {
        ps_sql_skip_expr(p);
    } else if (ps_sql_at_any(p, first)) {
        if (ps_sql_take(p)->word == PS_W_EMPTY && !ps_sql_accept(p, PS_W_ARRAY))
            ps_sql_accept(p, PS_W_OBJECT);
    } else {
        return false;
    }
    ps_sql_expect(p, PS_W_ON);
    if (ps_sql_at_any(p, when))
        p->pos++;
    else
        ps_sql_fail(p, ps_sql_peek(p));
    return true;
}

/* WITH UNIQUE KEYS, WITHOUT ARRAY WRAPPER, ...; behind WITH or WITHOUT. */
static void
json_with(struct ps_sql_parser *p)
{
    if (ps_sql_accept(p, PS_W_UNIQUE)) {
        ps_sql_accept(p, PS_W_KEYS);
        return;
    }
    if (!ps_sql_accept(p, PS_W_CONDITIONAL))
        ps_sql_accept(p, PS_W_UNCONDITIONAL);
    ps_sql_accept(p, PS_W_ARRAY);
    ps_sql_expect(p, PS_W_WRAPPER);
}

static void
json_quotes(struct ps_sql_parser *p)
{
    ps_sql_expect(p, PS_W_QUOTES);
    if (ps_sql_accept2(p, PS_W_ON, PS_W_SCALAR))
        ps_sql_expect(p, PS_W_STRING);
}

/* One clause behind an argument or a column; false: there is none. */
static bool
json_clause(struct ps_sql_parser *p)
{
    if (ps_sql_accept_punct(p, ':') || ps_sql_accept(p, PS_W_VALUE)) {
        ps_sql_skip_expr(p);
        return true;
    }
    switch (ps_sql_peek(p)->word) {
    case PS_W_FORMAT:
        json_format(p);
        return true;
    case PS_W_PASSING:
        p->pos++;
        json_passing(p);
        return true;
    case PS_W_RETURNING:
        p->pos++;
        result_type(p);
        return true;
    case PS_W_WITH:
    case PS_W_WITHOUT:
        p->pos++;
        json_with(p);
        return true;
    case PS_W_KEEP:
    case PS_W_OMIT:
        p->pos++;
        json_quotes(p);
        return true;
    case PS_W_ORDER:
        ps_sql_order_by(p);
        return true;
    case PS_W_AS: /* the path's name */
        p->pos++;
        ps_sql_label_of(p, ps_sql_take(p));
        return true;
    default:
        return json_behaviour(p);
    }
}

/* Behind the function's name, at its parenthesis. */
static void
json_call(struct ps_sql_parser *p, const struct ps_sql_token *at)
{
    struct ps_sql_name name = {.n = 1};
    size_t n = 0;
    bool grammar = false;

    name.part[0] = ps_sql_label_of(p, at);
    ps_sql_expect_punct(p, '(');
    if (ps_sql_at_query(p)) { /* JSON_ARRAY(SELECT ...) */
        struct ps_sql_scope *here = p->scope;
        ps_sql_query(p, false);
        p->scope = here;
        grammar = true;
    } else if (!ps_sql_at_punct(p, ')') && !ps_sql_at(p, PS_W_RETURNING)) {
        ps_sql_accept(p, PS_W_DISTINCT);
        ps_sql_skip_expr(p);
        n++;
    }
    for (;;) {
        while (!p->failed && json_clause(p))
            grammar = true;
        if (!ps_sql_accept_punct(p, ','))
            break;
        ps_sql_skip_expr(p);
        n++;
    }
    ps_sql_expect_punct(p, ')');
    if (!grammar && at->word != PS_W_JSON)
        ps_sql_call(p, &name, n, at);
    ps_sql_call_tail(p);
}

/* ---- XML ---- */

/* [BY {REF | VALUE}] */
static void
xml_by(struct ps_sql_parser *p)
{
    if (!ps_sql_accept2(p, PS_W_BY, PS_W_REF))
        ps_sql_accept2(p, PS_W_BY, PS_W_VALUE);
}

/* x [AS name], ... */
static void
xml_named(struct ps_sql_parser *p)
{
    ps_sql_expect_punct(p, '(');
    do {
        ps_sql_skip_expr(p);
        if (ps_sql_accept(p, PS_W_AS))
            ps_sql_label_of(p, ps_sql_take(p));
    } while (ps_sql_accept_punct(p, ','));
    ps_sql_expect_punct(p, ')');
}

static void
xml_argument(struct ps_sql_parser *p)
{
    if (ps_sql_at(p, PS_W_XMLATTRIBUTES) &&
        ps_sql_punct_is(ps_sql_peek_at(p, 1), '(')) {
        p->pos++;
        xml_named(p);
    } else if (ps_sql_at(p, PS_W_VERSION) &&
               ps_sql_peek_at(p, 1)->word == PS_W_NO) {
        p->pos += 2;
        ps_sql_expect(p, PS_W_VALUE);
    } else if (ps_sql_at(p, PS_W_VERSION) &&
               !ps_sql_punct_is(ps_sql_peek_at(p, 1), ',') &&
               !ps_sql_punct_is(ps_sql_peek_at(p, 1), ')')) {
        p->pos++;
        ps_sql_skip_expr(p);
    } else if (ps_sql_accept2(p, PS_W_STANDALONE, PS_W_NO)) {
        ps_sql_accept(p, PS_W_VALUE);
    } else if (!ps_sql_accept2(p, PS_W_STANDALONE, PS_W_YES)) {
        ps_sql_skip_expr(p);
    }
}

/* What may stand behind an argument. */
static void
xml_clauses(struct ps_sql_parser *p, uint16_t function)
{
    if (ps_sql_accept(p, PS_W_AS)) {
        if (function == PS_W_XMLSERIALIZE)
            result_type(p);
        else
            ps_sql_label_of(p, ps_sql_take(p));
    }
    if (ps_sql_accept(p, PS_W_PASSING)) {
        xml_by(p);
        ps_sql_skip_expr(p);
        xml_by(p);
    }
    if (ps_sql_accept(p, PS_W_PRESERVE) || ps_sql_accept(p, PS_W_STRIP))
        ps_sql_expect(p, PS_W_WHITESPACE);
    if (!ps_sql_accept(p, PS_W_INDENT))
        ps_sql_accept2(p, PS_W_NO, PS_W_INDENT);
}

static void
xml_call(struct ps_sql_parser *p, uint16_t function)
{
    ps_sql_expect_punct(p, '(');
    if (function == PS_W_XMLELEMENT || function == PS_W_XMLPI) {
        ps_sql_expect(p, PS_W_NAME);
        ps_sql_label_of(p, ps_sql_take(p));
        if (ps_sql_accept_punct(p, ')'))
            return;
        ps_sql_expect_punct(p, ',');
    } else if (function == PS_W_XMLPARSE || function == PS_W_XMLSERIALIZE) {
        if (!ps_sql_accept(p, PS_W_DOCUMENT))
            ps_sql_expect(p, PS_W_CONTENT);
    }
    do {
        xml_argument(p);
        xml_clauses(p, function);
    } while (ps_sql_accept_punct(p, ','));
    ps_sql_expect_punct(p, ')');
}

/* ---- both ---- */

bool
ps_sql_pg_form(struct ps_sql_parser *p, const struct ps_sql_token *at)
{
    switch (at->word) {
    case PS_W_JSON:
    case PS_W_JSON_ARRAY:
    case PS_W_JSON_ARRAYAGG:
    case PS_W_JSON_EXISTS:
    case PS_W_JSON_OBJECT:
    case PS_W_JSON_OBJECTAGG:
    case PS_W_JSON_QUERY:
    case PS_W_JSON_SCALAR:
    case PS_W_JSON_SERIALIZE:
    case PS_W_JSON_VALUE:
        json_call(p, at);
        return true;
    case PS_W_XMLCONCAT:
    case PS_W_XMLELEMENT:
    case PS_W_XMLEXISTS:
    case PS_W_XMLFOREST:
    case PS_W_XMLPARSE:
    case PS_W_XMLPI:
    case PS_W_XMLROOT:
    case PS_W_XMLSERIALIZE:
        xml_call(p, at->word);
        return true;
    default:
        return false;
    }
}

/* ---- in FROM ---- */

/* Behind the column's name. */
static void
xml_column(struct ps_sql_parser *p)
{
    struct ps_sql_expr e;

    result_type(p);
    for (;;) {
        if (ps_sql_accept(p, PS_W_PATH) || ps_sql_accept(p, PS_W_DEFAULT))
            ps_sql_expr_level(p, PS_LEVEL_OTHER, &e);
        else if (!ps_sql_accept2(p, PS_W_NOT, PS_W_NULL) &&
                 !ps_sql_accept(p, PS_W_NULL))
            return;
    }
}

static void
xml_table(struct ps_sql_parser *p)
{
    struct ps_sql_expr e;

    ps_sql_expect_punct(p, '(');
    if (ps_sql_accept(p, PS_W_XMLNAMESPACES)) {
        ps_sql_expect_punct(p, '(');
        do {
            bool named = !ps_sql_accept(p, PS_W_DEFAULT);
            ps_sql_expr_level(p, PS_LEVEL_OTHER, &e);
            if (named) {
                ps_sql_expect(p, PS_W_AS);
                ps_sql_label_of(p, ps_sql_take(p));
            }
        } while (ps_sql_accept_punct(p, ','));
        ps_sql_expect_punct(p, ')');
        ps_sql_expect_punct(p, ',');
    }
    ps_sql_expr_level(p, PS_LEVEL_OTHER, &e);
    ps_sql_expect(p, PS_W_PASSING);
    xml_by(p);
    ps_sql_expr_level(p, PS_LEVEL_OTHER, &e);
    xml_by(p);
    ps_sql_expect(p, PS_W_COLUMNS);
    do {
        ps_sql_name_of(p, ps_sql_take(p));
        if (ps_sql_accept(p, PS_W_FOR))
            ps_sql_expect(p, PS_W_ORDINALITY);
        else
            xml_column(p);
    } while (ps_sql_accept_punct(p, ','));
    ps_sql_expect_punct(p, ')');
}

static void json_columns(struct ps_sql_parser *p);

static void
json_column(struct ps_sql_parser *p)
{
    const struct ps_sql_token *next = ps_sql_peek_at(p, 1);
    bool path =
        next->word == PS_W_PATH && ps_sql_peek_at(p, 2)->kind == PS_TOK_STRING;

    if (ps_sql_at(p, PS_W_NESTED) && (path || next->kind == PS_TOK_STRING)) {
        p->pos += path ? 3 : 2;
        if (ps_sql_accept(p, PS_W_AS))
            ps_sql_label_of(p, ps_sql_take(p));
        json_columns(p);
        return;
    }
    ps_sql_name_of(p, ps_sql_take(p));
    if (ps_sql_accept2(p, PS_W_FOR, PS_W_ORDINALITY))
        return;
    result_type(p);
    while (!p->failed) {
        if (ps_sql_accept(p, PS_W_PATH))
            ps_sql_skip_expr(p);
        else if (!ps_sql_accept(p, PS_W_EXISTS) && !json_clause(p))
            return;
    }
}

/* COLUMNS (...) */
static void
json_columns(struct ps_sql_parser *p)
{
    if (!ps_sql_enter(p))
        return;
    ps_sql_expect(p, PS_W_COLUMNS);
    ps_sql_expect_punct(p, '(');
    do {
        json_column(p);
    } while (ps_sql_accept_punct(p, ','));
    ps_sql_expect_punct(p, ')');
    ps_sql_leave(p);
}

static void
json_table(struct ps_sql_parser *p)
{
    ps_sql_expect_punct(p, '(');
    ps_sql_skip_expr(p);
    json_format(p);
    ps_sql_expect_punct(p, ',');
    ps_sql_skip_expr(p);
    while (!p->failed && json_clause(p))
        ;
    json_columns(p);
    while (!p->failed && json_clause(p))
        ;
    ps_sql_expect_punct(p, ')');
}

/* ROWS FROM (f(...) [AS (columns)], ...) */
static void
rows_from(struct ps_sql_parser *p)
{
    ps_sql_expect_punct(p, '(');
    do {
        struct ps_sql_name name;
        ps_sql_function_item(p, &name);
        if (ps_sql_accept(p, PS_W_AS))
            ps_sql_column_types(p);
    } while (ps_sql_accept_punct(p, ','));
    ps_sql_expect_punct(p, ')');
}

bool
ps_sql_pg_from_item(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_peek(p);
    const struct ps_sql_token *next = ps_sql_peek_at(p, 1);
    bool call = ps_sql_punct_is(next, '(');

    if (at->word == PS_W_XMLTABLE && call) {
        p->pos++;
        xml_table(p);
    } else if (at->word == PS_W_JSON_TABLE && call) {
        p->pos++;
        json_table(p);
    } else if (at->word == PS_W_ROWS && next->word == PS_W_FROM) {
        p->pos += 2;
        rows_from(p);
    } else if (!ps_sql_pg_session_word(p)) {
        return false;
    }
    ps_sql_function_alias(p, PS_STR(""));
    return true;
}
