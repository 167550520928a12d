/*
 * T-SQL's expressions where they leave the common ground: types and casts,
 * functions with a grammar of their own, words that stand for a function, and
 * NEXT VALUE FOR, which writes.
 *
 * Text that becomes a date is read by LANGUAGE and DATEFORMAT, never by the
 * clock ('now' is an error here): the canonical session fixes both, so that
 * such casts are allowed, and ps_sql_text_is_clock is always false.
 */
#include "agent/sql/ts.h"

static void
other(struct ps_sql_expr *e)
{
    *e = (struct ps_sql_expr){.kind = PS_EXPR_OTHER};
}

/* ---- types ---- */

/* Input and output depend on nothing but the value and the canonical
 * session. Types of .NET assemblies and aliases are not here. */
static const char types[] =
    " bigint binary bit char character date datetime datetime2 datetimeoffset "
    "dec decimal double float image int integer json money nchar ntext numeric "
    "nvarchar real rowversion smalldatetime smallint smallmoney sql_variant "
    "sysname text time timestamp tinyint uniqueidentifier varbinary varchar "
    "vector xml hierarchyid geometry geography ";

/* A type's name and what belongs to it. */
static void
type_name(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_take(p);
    struct ps_sql_name name = {.n = 0};

    if (at->word == PS_W_NATIONAL || at->word == PS_W_DOUBLE) {
        /* NATIONAL CHARACTER, DOUBLE PRECISION */
        if (!ps_sql_accept(p, PS_W_PRECISION) &&
            !ps_sql_ts_is_any(p, ps_sql_peek(p), " char character text "))
            ps_sql_fail(p, ps_sql_peek(p));
        else if (at->word == PS_W_NATIONAL)
            p->pos++;
    } else {
        name.part[name.n++] = ps_sql_name_of(p, at);
        if (ps_sql_accept_punct(p, '.'))
            name.part[name.n++] = ps_sql_label_of(p, ps_sql_take(p));
    }
    ps_sql_accept(p, PS_W_VARYING);
    if (ps_sql_accept_punct(p, '(')) {
        /* lengths, max, the name of a collection of XML schemas */
        while (ps_sql_peek(p)->kind == PS_TOK_NUMBER ||
               ps_sql_is_name(p, ps_sql_peek(p)) || ps_sql_at_punct(p, ',') ||
               ps_sql_at_punct(p, '.'))
            p->pos++;
        ps_sql_expect_punct(p, ')');
    }
    if (name.n && !p->failed &&
        !(name.n == 1 && ps_sql_ts_on_list(name.part[0], types)))
        ps_sql_unknown_function(p, name.n > 1 ? name.part[0] : PS_STR_NONE,
                                name.part[name.n - 1], at);
}

void
ps_sql_ts_cast(struct ps_sql_parser *p, struct ps_sql_expr *expr,
               const struct ps_sql_token *at)
{
    if (ps_sql_punct_is(&p->tokens[p->pos - 1], PS_TOK_CAST)) {
        ps_sql_fail(p, at); /* type::Method(...): not understood */
        return;
    }
    type_name(p);
    other(expr);
}

/* ---- functions with a grammar of their own ---- */

static void
arguments(struct ps_sql_parser *p)
{
    ps_sql_expect_punct(p, '(');
    if (!ps_sql_at_punct(p, ')'))
        ps_sql_expr_list(p);
    ps_sql_expect_punct(p, ')');
}

/* CONVERT(type, value [, style]) */
static void
convert(struct ps_sql_parser *p)
{
    ps_sql_expect_punct(p, '(');
    type_name(p);
    ps_sql_expect_punct(p, ',');
    ps_sql_expr_list(p);
    ps_sql_expect_punct(p, ')');
}

/* TRY_CAST(value AS type), PARSE(value AS type [USING culture]) */
static void
cast_call(struct ps_sql_parser *p)
{
    ps_sql_expect_punct(p, '(');
    ps_sql_skip_expr(p);
    ps_sql_expect(p, PS_W_AS);
    type_name(p);
    if (ps_sql_accept(p, PS_W_USING))
        ps_sql_skip_expr(p);
    ps_sql_expect_punct(p, ')');
}

/* TRIM([LEADING | TRAILING | BOTH] [characters FROM] text) */
static void
trim(struct ps_sql_parser *p)
{
    ps_sql_expect_punct(p, '(');
    if (!ps_sql_accept(p, PS_W_LEADING) && !ps_sql_accept(p, PS_W_TRAILING))
        ps_sql_accept(p, PS_W_BOTH);
    ps_sql_skip_expr(p);
    if (ps_sql_accept(p, PS_W_FROM))
        ps_sql_skip_expr(p);
    ps_sql_expect_punct(p, ')');
}

/* NEXT VALUE FOR sequence [OVER (ORDER BY ...)]: a write. */
static void
next_value(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_peek(p);
    struct ps_sql_name name;

    p->pos += 3;
    ps_sql_deny(p, PS_SQL_REASON_WRITES, at);
    p->writes = true;
    p->out->may_write = true;
    const struct ps_sql_token *sequence = ps_sql_peek(p);
    if (ps_sql_qualified(p, &name))
        ps_sql_add_relation(p, &name, PS_SQL_REL_WRITE, sequence);
    ps_sql_call_tail(p);
}

static bool
special_form(struct ps_sql_parser *p, const struct ps_sql_token *at)
{
    switch (at->word) {
    case PS_W_COALESCE:
    case PS_W_NULLIF:
    case PS_W_LEFT:
    case PS_W_RIGHT:
        arguments(p);
        return true;
    case PS_W_CONVERT:
    case PS_W_TRY_CONVERT:
        convert(p);
        return true;
    case PS_W_PARSE:
    case PS_W_TRY_PARSE:
        ps_sql_deny(p, PS_SQL_REASON_VOLATILE_FUNCTION, at);
        cast_call(p);
        return true;
    case PS_W_TRY_CAST:
        cast_call(p);
        return true;
    case PS_W_TRIM:
        trim(p);
        return true;
    case PS_W_CONTAINS:
    case PS_W_FREETEXT:
        ps_sql_deny(p, PS_SQL_REASON_VOLATILE_FUNCTION, at);
        ps_sql_ts_skip_parenthesis(p);
        return true;
    default:
        return false;
    }
}

/* Words that stand for a call, and @@names. */
static bool
session_word(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_peek(p);
    struct ps_str text = ps_sql_token_text(p, at);

    switch (at->word) {
    case PS_W_CURRENT_DATE:
    case PS_W_CURRENT_TIME:
    case PS_W_CURRENT_TIMESTAMP:
    case PS_W_CURRENT_USER:
    case PS_W_SESSION_USER:
    case PS_W_SYSTEM_USER:
    case PS_W_USER:
        break;
    default:
        if (text.len < 2 || text.ptr[0] != '@')
            return false;
        break;
    }
    ps_sql_deny(p, PS_SQL_REASON_VOLATILE_FUNCTION, at);
    p->pos++;
    return true;
}

/* Other names of a column (the identity, $action, ...): such a name must not
 * stand for the column's own in a predicate. */
static bool
pseudo_column(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_peek(p);
    if (at->word != PS_W_IDENTITYCOL && at->word != PS_W_ROWGUIDCOL &&
        ps_sql_token_text(p, at).ptr[0] != '$')
        return false;
    if (!ps_sql_ts_is_any(p, at,
                          " identitycol rowguidcol $action $identity $rowguid "
                          "$node_id $edge_id $from_id $to_id ") ||
        ps_sql_punct_is(ps_sql_peek_at(p, 1), '(') ||
        ps_sql_punct_is(ps_sql_peek_at(p, 1), '.'))
        ps_sql_fail(p, at); /* $partition.f(x) */
    else
        p->pos++;
    return true;
}

bool
ps_sql_ts_word_expr(struct ps_sql_parser *p, struct ps_sql_expr *out)
{
    const struct ps_sql_token *at = ps_sql_peek(p);

    other(out);
    if (ps_sql_ts_is(p, at, "next") &&
        ps_sql_ts_is(p, ps_sql_peek_at(p, 1), "value") &&
        ps_sql_peek_at(p, 2)->word == PS_W_FOR) {
        next_value(p);
        return true;
    }
    if (session_word(p) || pseudo_column(p))
        return true;
    if (!ps_sql_punct_is(ps_sql_peek_at(p, 1), '('))
        return false;
    p->pos++;
    if (special_form(p, at))
        return true;
    p->pos--;
    return false;
}

/* ---- operators ---- */

int
ps_sql_ts_binary_level(const struct ps_sql_parser *p,
                       const struct ps_sql_token *t)
{
    if (t->kind != PS_TOK_OP || (t[1].kind == PS_TOK_OP && t[1].ch == '*'))
        return 0; /* * is no operand here */
    switch (t->ch) {
    case '=':
    case '<':
    case '>':
        return PS_LEVEL_COMPARE;
    case '+':
    case '-':
    case '&':
    case '|':
    case '^':
        return PS_LEVEL_ADD;
    case '*':
    case '/':
    case '%':
        return PS_LEVEL_MULTIPLY;
    default:
        break;
    }
    struct ps_str text = ps_sql_token_text(p, t);
    if (ps_sql_ts_on_list(text, " <= >= <> != !< !> "))
        return PS_LEVEL_COMPARE;
    return ps_str_eq(text, PS_STR("||")) ? PS_LEVEL_ADD : 0;
}

void
ps_sql_ts_word_operator(struct ps_sql_parser *p, struct ps_sql_expr *left,
                        int level)
{
    const struct ps_sql_token *at = ps_sql_take(p); /* AT, COLLATE */
    struct ps_sql_expr zone;

    other(left);
    if (level == PS_LEVEL_COLLATE) {
        ps_sql_name_of(p, ps_sql_take(p));
        return;
    }
    ps_sql_expect(p, PS_W_TIME);
    ps_sql_expect(p, PS_W_ZONE);
    ps_sql_expr_level(p, PS_LEVEL_AT_ZONE + 1, &zone);
    ps_sql_deny(p, PS_SQL_REASON_VOLATILE_FUNCTION, at);
}

/* ---- calls ---- */

void
ps_sql_ts_call_result(struct ps_sql_parser *p, const struct ps_sql_name *name,
                      size_t n_args, const struct ps_sql_expr *first,
                      struct ps_sql_expr *out, const struct ps_sql_token *at)
{
    (void)n_args;
    (void)first;
    (void)out;
    /* db.schema.f(): of another database, for which this one's catalogue
     * cannot speak. */
    if (name->n > 2) {
        ps_sql_deny(p, PS_SQL_REASON_VOLATILE_FUNCTION, at);
        ps_sql_writes_all(p);
    }
}
