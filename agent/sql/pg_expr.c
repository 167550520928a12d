/*
 * PostgreSQL's expressions where they leave the common ground: types and
 * casts, typed literals, functions with a grammar of their own, and what
 * stands for a function without parentheses.
 *
 * Casts to dates and times. The text 'now' (today, tomorrow, yesterday) read
 * as a date or time is the clock. Literals with such words are refused where
 * they stand, values of parameters are the caller's to check
 * (ps_sql_text_is_clock), and a cast of anything that may be text, to a type
 * that reads such words, is refused: TIME_CAST.
 */
#include "agent/sql/pg.h"

/* ---- types ---- */

struct type {
    struct ps_str name; /* folded; of the last part */
    bool known;         /* a built-in type */
    bool quoted_or_mod; /* not a plain name: array, (n), several words */
    bool time;          /* its input may read the clock */
};

static bool
in_list(struct ps_str name, const char *list)
{
    char needle[24];
    if (name.len > sizeof(needle) - 2)
        return false;
    needle[0] = ' ';
    memcpy(needle + 1, name.ptr, name.len);
    needle[name.len + 1] = ' ';
    return memmem(list, strlen(list), needle, name.len + 2);
}

static bool
is_time_type(struct ps_str name)
{
    return in_list(name, " date time timetz timestamp timestamptz tsrange "
                         "tstzrange daterange tsmultirange tstzmultirange "
                         "datemultirange ");
}

/* Input and output of these depend on nothing but the value and the
 * canonical session. */
static bool
is_known_type(struct ps_str name)
{
    return is_time_type(name) ||
           in_list(name, " bool boolean int int2 int4 int8 integer bigint "
                         "smallint numeric decimal dec real float float4 "
                         "float8 double money text varchar char bpchar "
                         "character nchar name bytea uuid json jsonb "
                         "jsonpath xml interval bit varbit inet cidr macaddr "
                         "macaddr8 point line lseg box path polygon circle "
                         "int4range int8range numrange int4multirange "
                         "int8multirange nummultirange tsvector tsquery "
                         "pg_lsn oid xid xid8 cid tid ");
}

/* INTERVAL YEAR TO MONTH, SECOND(3), ... */
static void
interval_fields(struct ps_sql_parser *p)
{
    static const uint16_t fields[] = {PS_W_YEAR,   PS_W_MONTH,  PS_W_DAY,
                                      PS_W_HOUR,   PS_W_MINUTE, PS_W_SECOND,
                                      PS_W_NO_WORD};
    if (ps_sql_at_any(p, fields))
        p->pos++;
    if (ps_sql_accept(p, PS_W_TO)) {
        if (ps_sql_at_any(p, fields))
            p->pos++;
        else
            ps_sql_fail(p, ps_sql_peek(p));
    }
}

static bool
type_modifiers(struct ps_sql_parser *p)
{
    if (!ps_sql_accept_punct(p, '('))
        return false;
    ps_sql_expr_list(p);
    ps_sql_expect_punct(p, ')');
    return true;
}

/* [WITH | WITHOUT TIME ZONE] */
static void
time_zone(struct ps_sql_parser *p, struct type *type)
{
    bool with = ps_sql_at(p, PS_W_WITH);
    if (!with && !ps_sql_at(p, PS_W_WITHOUT))
        return;
    if (ps_sql_peek_at(p, 1)->word != PS_W_TIME)
        return;
    p->pos += 2;
    ps_sql_expect(p, PS_W_ZONE);
    if (with)
        type->name = ps_str_eq(type->name, PS_STR("time"))
                         ? PS_STR("timetz")
                         : PS_STR("timestamptz");
    type->quoted_or_mod = true;
}

static void
type_suffix(struct ps_sql_parser *p, struct type *type)
{
    if (ps_sql_accept(p, PS_W_ARRAY)) {
        type->quoted_or_mod = true;
        if (!ps_sql_at_punct(p, '['))
            return;
    }
    while (ps_sql_at_punct(p, '[')) {
        type->quoted_or_mod = true;
        p->pos++;
        if (!ps_sql_at_punct(p, ']'))
            ps_sql_skip_expr(p);
        ps_sql_expect_punct(p, ']');
    }
}

static void
type_name(struct ps_sql_parser *p, struct type *type)
{
    const struct ps_sql_token *first = ps_sql_peek(p);
    struct ps_sql_name name;

    *type = (struct type){.known = false};
    ps_sql_accept(p, PS_W_NATIONAL);
    if (!ps_sql_qualified(p, &name))
        return;
    type->name = name.part[name.n - 1];
    type->known =
        is_known_type(type->name) &&
        (name.n == 1 || ps_str_eq(name.part[0], PS_STR("pg_catalog")));
    if (first->kind == PS_TOK_QUOTED || name.n > 1)
        type->quoted_or_mod = true;
    if (ps_sql_accept(p, PS_W_PRECISION) || ps_sql_accept(p, PS_W_VARYING))
        type->quoted_or_mod = true;
    if (first->word == PS_W_INTERVAL)
        interval_fields(p);
    if (type_modifiers(p))
        type->quoted_or_mod = true;
    if (first->word == PS_W_TIME || first->word == PS_W_TIMESTAMP)
        time_zone(p, type);
    type_suffix(p, type);
    type->time = is_time_type(type->name);
}

/* ---- casts ---- */

/* A value that keeps its meaning under the cast, so that it can still be
 * compared with a column's values. */
static bool
keeps_value(const struct ps_sql_value *value, const struct type *type)
{
    static const char integers[] = " int int2 int4 int8 integer bigint "
                                   "smallint ";
    if (type->quoted_or_mod)
        return false;
    if (value->cast.len && !in_list(value->cast, " text varchar "))
        return false;
    switch (value->kind) {
    case PS_SQL_VALUE_INT:
        return in_list(type->name, integers);
    case PS_SQL_VALUE_BOOL:
        return in_list(type->name, " bool boolean ");
    case PS_SQL_VALUE_STRING:
    case PS_SQL_VALUE_PARAM:
        return in_list(type->name, integers) ||
               in_list(type->name, " bool boolean uuid text varchar ");
    default:
        return false;
    }
}

static void
apply_cast(struct ps_sql_parser *p, struct ps_sql_expr *expr,
           const struct type *type, const struct ps_sql_token *at)
{
    if (p->failed)
        return;
    if (!type->known) {
        if (type->name.len > 3 && memcmp(type->name.ptr, "reg", 3) == 0)
            ps_sql_deny(p, PS_SQL_REASON_SYSTEM_CATALOG, at);
        ps_sql_unknown_function(p, PS_STR_NONE, type->name, at);
    }
    /* A time with zone is read by the offset its zone has today. */
    if (ps_str_eq(type->name, PS_STR("timetz")))
        ps_sql_deny(p, PS_SQL_REASON_TIME_CAST, at);
    if (type->time && expr->kind != PS_EXPR_VALUE &&
        expr->kind != PS_EXPR_NOT_TEXT)
        ps_sql_not_text(p, expr, at);
    if (expr->kind == PS_EXPR_VALUE && keeps_value(&expr->value, type)) {
        expr->value.cast = type->name;
        return;
    }
    bool text = in_list(type->name, " text varchar char bpchar character "
                                    "nchar name xml json jsonb ") ||
                !type->known;
    *expr =
        (struct ps_sql_expr){.kind = text ? PS_EXPR_OTHER : PS_EXPR_NOT_TEXT};
}

void
ps_sql_pg_cast(struct ps_sql_parser *p, struct ps_sql_expr *expr,
               const struct ps_sql_token *at)
{
    struct type type;
    type_name(p, &type);
    apply_cast(p, expr, &type, at);
}

/* A type's name and then a string: type 'x', numeric(3,1) 'x', a.b 'x',
 * double precision 'x', time with time zone 'x'. */
static bool
at_typed_literal(const struct ps_sql_parser *p)
{
    const struct ps_sql_token *first = ps_sql_peek(p);
    size_t at = 1;

    if (first->word == PS_W_NATIONAL)
        at++;
    while (ps_sql_punct_is(ps_sql_peek_at(p, at), '.'))
        at += 2;
    if (ps_sql_peek_at(p, at)->word == PS_W_PRECISION ||
        ps_sql_peek_at(p, at)->word == PS_W_VARYING)
        at++;
    if (ps_sql_punct_is(ps_sql_peek_at(p, at), '(')) {
        uint32_t close = ps_sql_peek_at(p, at)->info;
        if (close == PS_TOK_NO_MATCH || close < p->pos)
            return false;
        at = close + 1 - p->pos;
    }
    if (first->word == PS_W_TIME || first->word == PS_W_TIMESTAMP)
        if (ps_sql_peek_at(p, at + 1)->word == PS_W_TIME)
            at += 3; /* WITH TIME ZONE */
    return ps_sql_peek_at(p, at)->kind == PS_TOK_STRING;
}

/* type 'literal' */
static bool
typed_literal(struct ps_sql_parser *p, struct ps_sql_expr *out)
{
    const struct ps_sql_token *at = ps_sql_peek(p);
    struct type type;

    if (!at_typed_literal(p))
        return false;
    if (!ps_sql_is_function_name(p, at) &&
        !(ps_sql_word_flags((enum ps_sql_word)at->word) & PG_COL))
        return false;
    type_name(p, &type);
    if (ps_sql_peek(p)->kind != PS_TOK_STRING) {
        ps_sql_fail(p, ps_sql_peek(p));
        return true;
    }
    const struct ps_sql_token *literal = ps_sql_take(p);
    *out = (struct ps_sql_expr){.kind = PS_EXPR_VALUE};
    if (!ps_sql_value_of(p, literal, &out->value))
        ps_sql_fail(p, literal);
    else if (ps_sql_pg_text_is_clock(out->value.text))
        ps_sql_deny(p, PS_SQL_REASON_TIME_CAST, literal);
    if (at->word == PS_W_INTERVAL) {
        interval_fields(p);
        type_modifiers(p);
    }
    apply_cast(p, out, &type, at);
    return true;
}

/* ---- functions with a grammar of their own ---- */

/* Arguments with words between them instead of commas. */
static void
keyword_arguments(struct ps_sql_parser *p, const uint16_t *separators)
{
    ps_sql_expect_punct(p, '(');
    do {
        ps_sql_skip_expr(p);
        if (ps_sql_at_punct(p, ')'))
            break;
        if (ps_sql_at_any(p, separators))
            p->pos++;
        else if (!ps_sql_accept_punct(p, ','))
            ps_sql_fail(p, ps_sql_peek(p));
    } while (!p->failed);
    ps_sql_expect_punct(p, ')');
}

static void
extract(struct ps_sql_parser *p)
{
    ps_sql_expect_punct(p, '(');
    const struct ps_sql_token *field = ps_sql_take(p);
    if (field->kind != PS_TOK_WORD && field->kind != PS_TOK_STRING &&
        field->kind != PS_TOK_QUOTED)
        ps_sql_fail(p, field);
    ps_sql_expect(p, PS_W_FROM);
    ps_sql_skip_expr(p);
    ps_sql_expect_punct(p, ')');
}

static void
position(struct ps_sql_parser *p)
{
    struct ps_sql_expr e;
    ps_sql_expect_punct(p, '(');
    ps_sql_expr_level(p, PS_LEVEL_OTHER, &e);
    ps_sql_expect(p, PS_W_IN);
    ps_sql_expr_level(p, PS_LEVEL_OTHER, &e);
    ps_sql_expect_punct(p, ')');
}

static void
trim(struct ps_sql_parser *p)
{
    ps_sql_expect_punct(p, '(');
    if (!ps_sql_accept(p, PS_W_BOTH) && !ps_sql_accept(p, PS_W_LEADING))
        ps_sql_accept(p, PS_W_TRAILING);
    if (!ps_sql_accept(p, PS_W_FROM)) {
        ps_sql_skip_expr(p);
        if (!ps_sql_accept(p, PS_W_FROM) && !ps_sql_accept_punct(p, ','))
            goto end;
    }
    ps_sql_expr_list(p);
end:
    ps_sql_expect_punct(p, ')');
}

/* ARRAY[...], where inner brackets are arrays too. */
static void
array_items(struct ps_sql_parser *p)
{
    if (!ps_sql_enter(p))
        return;
    ps_sql_expect_punct(p, '[');
    if (!ps_sql_at_punct(p, ']'))
        do {
            if (ps_sql_at_punct(p, '['))
                array_items(p);
            else
                ps_sql_skip_expr(p);
        } while (ps_sql_accept_punct(p, ','));
    ps_sql_expect_punct(p, ']');
    ps_sql_leave(p);
}

static void
plain_arguments(struct ps_sql_parser *p)
{
    ps_sql_expect_punct(p, '(');
    if (!ps_sql_at_punct(p, ')'))
        ps_sql_expr_list(p);
    ps_sql_expect_punct(p, ')');
}

/* CURRENT_TIMESTAMP(3), CURRENT_USER, ... */
bool
ps_sql_pg_session_word(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_peek(p);

    switch (at->word) {
    case PS_W_CURRENT_SCHEMA:
        if (ps_sql_punct_is(ps_sql_peek_at(p, 1), '('))
            return false;
        break;
    case PS_W_CURRENT_TIME:
    case PS_W_CURRENT_TIMESTAMP:
    case PS_W_LOCALTIME:
    case PS_W_LOCALTIMESTAMP:
    case PS_W_CURRENT_DATE:
    case PS_W_CURRENT_ROLE:
    case PS_W_CURRENT_USER:
    case PS_W_SESSION_USER:
    case PS_W_SYSTEM_USER:
    case PS_W_USER:
    case PS_W_CURRENT_CATALOG:
        break;
    default:
        return false;
    }
    ps_sql_deny(p, PS_SQL_REASON_VOLATILE_FUNCTION, at);
    p->pos++;
    type_modifiers(p);
    return true;
}

/* Behind a word with a grammar of its own; false: it has none. */
static bool
special_form(struct ps_sql_parser *p, uint16_t word)
{
    static const uint16_t substring_words[] = {
        PS_W_FROM, PS_W_FOR, PS_W_SIMILAR, PS_W_ESCAPE, PS_W_NO_WORD};
    static const uint16_t overlay_words[] = {PS_W_PLACING, PS_W_FROM, PS_W_FOR,
                                             PS_W_NO_WORD};
    switch (word) {
    case PS_W_COALESCE:
    case PS_W_GREATEST:
    case PS_W_LEAST:
    case PS_W_NULLIF:
    case PS_W_GROUPING:
    case PS_W_MERGE_ACTION:
    case PS_W_NORMALIZE: /* its form is a word, and reads like a column */
    case PS_W_ROW:
        plain_arguments(p);
        return true;
    case PS_W_EXTRACT:
        extract(p);
        return true;
    case PS_W_POSITION:
        position(p);
        return true;
    case PS_W_SUBSTRING:
        keyword_arguments(p, substring_words);
        return true;
    case PS_W_OVERLAY:
        keyword_arguments(p, overlay_words);
        return true;
    case PS_W_TRIM:
        trim(p);
        return true;
    default:
        return false;
    }
}

/* OPERATOR([schema.]op), whose word is read: one of another schema may be
 * anything. */
static void
qualified_operator(struct ps_sql_parser *p)
{
    struct ps_str schema = PS_STR_NONE;

    ps_sql_expect_punct(p, '(');
    while (ps_sql_peek(p)->kind != PS_TOK_OP && !p->failed) {
        schema = ps_sql_label_of(p, ps_sql_take(p));
        ps_sql_expect_punct(p, '.');
    }
    const struct ps_sql_token *op = ps_sql_take(p);
    struct ps_str text = ps_sql_token_text(p, op);
    if (!p->failed &&
        ((schema.ptr && !ps_str_eq(schema, PS_STR("pg_catalog"))) ||
         !ps_sql_pg_operator(text)))
        ps_sql_unknown_function(p, schema, text, op);
    ps_sql_expect_punct(p, ')');
}

/* The right side of an operator in words. */
static void
right_operand(struct ps_sql_parser *p)
{
    struct ps_sql_expr right;
    if (ps_sql_accept(p, PS_W_ANY) || ps_sql_accept(p, PS_W_ALL) ||
        ps_sql_accept(p, PS_W_SOME))
        ps_sql_expr_level(p, PS_LEVEL_UNARY, &right);
    else
        ps_sql_expr_level(p, PS_LEVEL_OTHER + 1, &right);
}

bool
ps_sql_pg_word_expr(struct ps_sql_parser *p, struct ps_sql_expr *out)
{
    const struct ps_sql_token *at = ps_sql_peek(p);
    uint16_t word = at->word;

    *out = (struct ps_sql_expr){.kind = PS_EXPR_OTHER};
    if (word == PS_W_ARRAY) {
        p->pos++;
        if (ps_sql_at_subquery(p))
            ps_sql_subquery(p, p->scope);
        else
            array_items(p);
        return true;
    }
    if (ps_sql_pg_word_level(p) && word == PS_W_OPERATOR) { /* a prefix */
        p->pos++;
        qualified_operator(p);
        right_operand(p);
        return true;
    }
    if (word == PS_W_COLLATION && ps_sql_peek_at(p, 1)->word == PS_W_FOR) {
        ps_sql_deny(p, PS_SQL_REASON_SYSTEM_CATALOG, ps_sql_peek(p));
        p->pos += 2;
        plain_arguments(p);
        return true;
    }
    if (ps_sql_pg_session_word(p)) {
        out->kind = PS_EXPR_NOT_TEXT;
        return true;
    }
    if (typed_literal(p, out))
        return true;
    if (ps_sql_punct_is(ps_sql_peek_at(p, 1), '(')) {
        p->pos++;
        if (special_form(p, word) || ps_sql_pg_form(p, at)) {
            if (word == PS_W_EXTRACT || word == PS_W_POSITION)
                out->kind = PS_EXPR_NOT_TEXT;
            return true;
        }
        p->pos--;
    }
    return false;
}

/* ---- operators ---- */

int
ps_sql_pg_binary_level(const struct ps_sql_parser *p,
                       const struct ps_sql_token *t)
{
    if (t->kind != PS_TOK_OP)
        return 0;
    switch (t->ch) {
    case '=':
    case '<':
    case '>':
        return PS_LEVEL_COMPARE;
    case '+':
    case '-':
        return PS_LEVEL_ADD;
    case '*':
    case '/':
    case '%':
        return PS_LEVEL_MULTIPLY;
    case '^':
        return PS_LEVEL_POWER;
    default:
        break;
    }
    struct ps_str text = ps_sql_token_text(p, t);
    if (in_list(text, " <= >= <> != "))
        return PS_LEVEL_COMPARE;
    return PS_LEVEL_OTHER;
}

int
ps_sql_pg_word_level(const struct ps_sql_parser *p)
{
    switch (ps_sql_peek(p)->word) {
    case PS_W_OPERATOR:
        return ps_sql_punct_is(ps_sql_peek_at(p, 1), '(') ? PS_LEVEL_OTHER : 0;
    case PS_W_OVERLAPS:
        return PS_LEVEL_OTHER;
    case PS_W_UESCAPE: /* part of the literal before it (pg_text.c) */
        return p->pos > 0 && p->tokens[p->pos - 1].kind == PS_TOK_STRING &&
                       p->tokens[p->pos - 1].ch == 'u' &&
                       ps_sql_peek_at(p, 1)->kind == PS_TOK_STRING
                   ? PS_LEVEL_UNARY
                   : 0;
    default:
        return 0;
    }
}

void
ps_sql_pg_word_operator(struct ps_sql_parser *p, struct ps_sql_expr *left,
                        int level)
{
    const struct ps_sql_token *at = ps_sql_take(p); /* AT, COLLATE, ... */
    struct ps_sql_expr zone;
    struct ps_sql_name collation;

    if (at->word == PS_W_UESCAPE) {
        p->pos++;
        return;
    }
    if (at->word == PS_W_OPERATOR || at->word == PS_W_OVERLAPS) {
        if (at->word == PS_W_OPERATOR)
            qualified_operator(p);
        right_operand(p);
        *left = (struct ps_sql_expr){.kind = PS_EXPR_OTHER};
        return;
    }

    if (level == PS_LEVEL_COLLATE) {
        ps_sql_qualified(p, &collation);
        *left = (struct ps_sql_expr){.kind = PS_EXPR_OTHER};
        return;
    }
    if (!ps_sql_accept(p, PS_W_LOCAL)) {
        ps_sql_expect(p, PS_W_TIME);
        ps_sql_expect(p, PS_W_ZONE);
        ps_sql_expr_level(p, PS_LEVEL_AT_ZONE + 1, &zone);
    }
    /* Of a time with zone it depends on what day is today. */
    if (left->kind != PS_EXPR_VALUE && left->kind != PS_EXPR_NOT_TEXT)
        ps_sql_not_text(p, left, at);
    *left = (struct ps_sql_expr){.kind = PS_EXPR_NOT_TEXT};
}

/* IS [NOT] [NFC] NORMALIZED, IS JSON [VALUE | ARRAY | OBJECT | SCALAR] */
bool
ps_sql_pg_is_test(struct ps_sql_parser *p)
{
    static const uint16_t forms[] = {PS_W_NFC, PS_W_NFD, PS_W_NFKC, PS_W_NFKD,
                                     PS_W_NO_WORD};
    if (ps_sql_at_any(p, forms))
        p->pos++;
    if (ps_sql_accept(p, PS_W_NORMALIZED))
        return true;
    if (!ps_sql_accept(p, PS_W_JSON))
        return false;
    if (!ps_sql_accept(p, PS_W_VALUE) && !ps_sql_accept(p, PS_W_ARRAY) &&
        !ps_sql_accept(p, PS_W_OBJECT))
        ps_sql_accept(p, PS_W_SCALAR);
    if (ps_sql_accept2(p, PS_W_WITH, PS_W_UNIQUE) ||
        ps_sql_accept2(p, PS_W_WITHOUT, PS_W_UNIQUE))
        ps_sql_accept(p, PS_W_KEYS);
    return true;
}

/* ---- results of calls ---- */

void
ps_sql_pg_call_result(struct ps_sql_parser *p, const struct ps_sql_name *name,
                      size_t n_args, const struct ps_sql_expr *first,
                      struct ps_sql_expr *out, const struct ps_sql_token *at)
{
    struct ps_str fn = name->part[name->n - 1];

    if (in_list(fn, " date_trunc date_bin make_date make_timestamp to_date "
                    "make_timestamptz to_timestamp make_interval count sum "
                    "avg date_part age now length round floor ceil abs ")) {
        out->kind = PS_EXPR_NOT_TEXT;
        return;
    }
    if (in_list(fn, " min max any_value ") && n_args == 1) {
        /* of the argument's type */
        out->kind =
            first->kind == PS_EXPR_NOT_TEXT ? PS_EXPR_NOT_TEXT : PS_EXPR_OTHER;
        return;
    }
    if (is_time_type(fn) && n_args == 1) {
        struct ps_sql_expr e = *first; /* date(x) is x::date */
        struct type type = {.name = fn, .known = true, .time = true};
        apply_cast(p, &e, &type, at);
        out->kind = PS_EXPR_NOT_TEXT;
    }
}
