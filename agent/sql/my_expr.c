/*
 * MySQL's expressions where they leave the common ground: variables, intervals,
 * typed literals, character sets before a string, MATCH, functions with words
 * between their arguments, and what stands for a function without parentheses.
 *
 * TIME. A value of type TIME that is used as a date takes today's: it is the
 * clock. Literals, casts and functions that make one are refused (TIME_CAST);
 * of a column the text does not tell its type (see README).
 */
#include "agent/sql/my.h"

static void
other(struct ps_sql_expr *e)
{
    *e = (struct ps_sql_expr){.kind = PS_EXPR_OTHER};
}

/* ---- types ---- */

/* ( number [, number] ) */
static void
type_size(struct ps_sql_parser *p)
{
    if (!ps_sql_accept_punct(p, '('))
        return;
    do {
        if (ps_sql_peek(p)->kind != PS_TOK_NUMBER)
            ps_sql_fail(p, ps_sql_peek(p));
        p->pos++;
    } while (ps_sql_accept_punct(p, ','));
    ps_sql_expect_punct(p, ')');
}

/* [CHARACTER SET | CHARSET] name, and other words behind CHAR, DOUBLE, ... */
static void
type_words(struct ps_sql_parser *p)
{
    while (ps_sql_peek(p)->kind == PS_TOK_WORD &&
           ps_sql_my_in_list(ps_sql_token_text(p, ps_sql_peek(p)),
                             " character set charset ascii unicode binary "
                             "integer int precision varying array ")) {
        bool name = ps_sql_accept2(p, PS_W_CHARACTER, PS_W_SET);
        const struct ps_sql_token *t = ps_sql_take(p);
        if (name ||
            ps_str_eq_nocase(ps_sql_token_text(p, t), PS_STR("charset")))
            p->pos += !name; /* the character set */
    }
}

void
ps_sql_my_cast(struct ps_sql_parser *p, struct ps_sql_expr *expr,
               const struct ps_sql_token *at)
{
    const struct ps_sql_token *t = ps_sql_take(p);
    struct ps_str name = ps_sql_token_text(p, t);

    (void)at;
    other(expr);
    if (t->kind != PS_TOK_WORD ||
        !ps_sql_my_in_list(
            name, " binary char nchar character national date datetime "
                  "time decimal dec numeric double float real signed "
                  "unsigned integer int json year uuid inet4 inet6 "
                  "varchar varbinary text point linestring polygon ")) {
        ps_sql_fail(p, t);
        return;
    }
    if (ps_sql_my_in_list(name, " time "))
        ps_sql_deny(p, PS_SQL_REASON_TIME_CAST, t);
    if (t->word == PS_W_NATIONAL)
        p->pos++;
    type_size(p);
    type_words(p);
}

/* ---- functions with a grammar of their own ---- */

/* Arguments with words between them instead of commas. */
static void
keyword_arguments(struct ps_sql_parser *p, const uint16_t *separators)
{
    struct ps_sql_expr e;

    ps_sql_expect_punct(p, '(');
    do {
        ps_sql_expr_level(p, PS_LEVEL_OTHER, &e);
        if (ps_sql_at_punct(p, ')'))
            break;
        if (ps_sql_at_any(p, separators))
            p->pos++;
        else if (!ps_sql_accept_punct(p, ','))
            ps_sql_fail(p, ps_sql_peek(p));
    } while (!p->failed);
    ps_sql_expect_punct(p, ')');
}

/* TRIM([BOTH | LEADING | TRAILING] [x] FROM y) */
static void
trim(struct ps_sql_parser *p)
{
    static const uint16_t from[] = {PS_W_FROM, PS_W_NO_WORD};
    size_t start = p->pos;

    ps_sql_expect_punct(p, '(');
    if (!ps_sql_accept(p, PS_W_BOTH) && !ps_sql_accept(p, PS_W_LEADING) &&
        !ps_sql_accept(p, PS_W_TRAILING)) {
        p->pos = start;
        keyword_arguments(p, from);
        return;
    }
    if (!ps_sql_accept(p, PS_W_FROM)) {
        ps_sql_skip_expr(p);
        ps_sql_expect(p, PS_W_FROM);
    }
    ps_sql_skip_expr(p);
    ps_sql_expect_punct(p, ')');
}

/* GROUP_CONCAT([DISTINCT] x, y [ORDER BY ..] [SEPARATOR ','] [LIMIT ..]) */
static void
group_concat(struct ps_sql_parser *p)
{
    ps_sql_expect_punct(p, '(');
    ps_sql_accept(p, PS_W_DISTINCT);
    ps_sql_expr_list(p);
    if (ps_sql_at(p, PS_W_ORDER))
        ps_sql_order_by(p);
    if (ps_sql_accept(p, PS_W_SEPARATOR))
        ps_sql_skip_expr(p);
    ps_sql_my_limit(p);
    ps_sql_expect_punct(p, ')');
    ps_sql_call_tail(p);
}

/* CONVERT(x, type), CONVERT(x USING charset) */
static void
convert(struct ps_sql_parser *p)
{
    struct ps_sql_expr e;

    ps_sql_expect_punct(p, '(');
    ps_sql_expr(p, &e);
    if (ps_sql_accept(p, PS_W_USING))
        ps_sql_label_of(p, ps_sql_take(p));
    else if (ps_sql_accept_punct(p, ','))
        ps_sql_my_cast(p, &e, ps_sql_peek(p));
    else
        ps_sql_fail(p, ps_sql_peek(p));
    ps_sql_expect_punct(p, ')');
}

/* The unit behind INTERVAL n and in EXTRACT. */
static bool
time_unit(struct ps_sql_parser *p)
{
    if (ps_sql_peek(p)->kind != PS_TOK_WORD ||
        !ps_sql_my_in_list(
            ps_sql_token_text(p, ps_sql_peek(p)),
            " microsecond second minute hour day week month quarter year "
            "second_microsecond minute_microsecond minute_second "
            "hour_microsecond hour_second hour_minute day_microsecond "
            "day_second day_minute day_hour year_month "))
        return false;
    p->pos++;
    return true;
}

static void
extract(struct ps_sql_parser *p)
{
    ps_sql_expect_punct(p, '(');
    if (!time_unit(p))
        ps_sql_fail(p, ps_sql_peek(p));
    ps_sql_expect(p, PS_W_FROM);
    ps_sql_skip_expr(p);
    ps_sql_expect_punct(p, ')');
}

/* INTERVAL x unit, or the function INTERVAL(x, a, b, ...) */
static void
interval(struct ps_sql_parser *p)
{
    bool list = false;

    if (ps_sql_at_punct(p, '(') && !ps_sql_at_subquery(p)) {
        ps_sql_expect_punct(p, '(');
        list = ps_sql_expr_list(p) > 1;
        ps_sql_expect_punct(p, ')');
    } else {
        ps_sql_skip_expr(p);
    }
    if (!list && !time_unit(p))
        ps_sql_fail(p, ps_sql_peek(p));
}

/* MATCH (a, b) AGAINST (x [IN .. MODE] [WITH QUERY EXPANSION]). How relevant
 * a row is depends on all rows of its table. */
static void
match(struct ps_sql_parser *p)
{
    struct ps_sql_expr e;

    for (struct ps_sql_scope *s = p->scope; s; s = s->outer)
        s->any_row = true;
    if (ps_sql_accept_punct(p, '(')) {
        ps_sql_expr_list(p);
        ps_sql_expect_punct(p, ')');
    } else {
        ps_sql_expr_list(p);
    }
    ps_sql_expect(p, PS_W_AGAINST);
    ps_sql_expect_punct(p, '(');
    ps_sql_expr_level(p, PS_LEVEL_OTHER, &e);
    if (ps_sql_accept(p, PS_W_IN)) {
        if (!ps_sql_accept(p, PS_W_BOOLEAN)) {
            ps_sql_expect(p, PS_W_NATURAL);
            ps_sql_expect(p, PS_W_LANGUAGE);
        }
        ps_sql_expect(p, PS_W_MODE);
    }
    if (ps_sql_accept(p, PS_W_WITH)) {
        ps_sql_expect(p, PS_W_QUERY);
        ps_sql_expect(p, PS_W_EXPANSION);
    }
    ps_sql_expect_punct(p, ')');
}

/* A sequence moves on (MariaDB): NEXT VALUE FOR s, NEXTVAL(s), SETVAL(s, 1) */
static void
sequence(struct ps_sql_parser *p, const struct ps_sql_token *at)
{
    struct ps_sql_name name;
    const struct ps_sql_token *t = ps_sql_peek(p);

    p->writes = true;
    p->out->may_write = p->out->touches_session = true;
    ps_sql_deny(p, PS_SQL_REASON_WRITES, at);
    if (ps_sql_qualified(p, &name))
        ps_sql_add_relation(p, &name, PS_SQL_REL_WRITE, t);
}

/* At NEXT VALUE FOR, PREVIOUS VALUE FOR. */
static bool
sequence_value(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_peek(p);

    if (ps_sql_peek_at(p, 1)->word != PS_W_VALUE ||
        ps_sql_peek_at(p, 2)->word != PS_W_FOR)
        return false;
    p->pos += 3;
    if (at->word == PS_W_NEXT) {
        sequence(p, at);
    } else {
        struct ps_sql_name name;
        ps_sql_deny(p, PS_SQL_REASON_SESSION_STATE, at);
        ps_sql_qualified(p, &name);
    }
    return true;
}

/* NEXTVAL(s), SETVAL(s, ...): to MySQL a function of the user's, which may do
 * anything. */
static void
sequence_call(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_take(p);

    ps_sql_unknown_function(p, PS_STR_NONE, ps_sql_token_text(p, at), at);
    ps_sql_expect_punct(p, '(');
    sequence(p, at);
    while (ps_sql_accept_punct(p, ','))
        ps_sql_skip_expr(p);
    ps_sql_expect_punct(p, ')');
}

/* VALUES(c), DEFAULT(c), ROW(a, b), CHAR(n, n USING charset) */
static void
plain_arguments(struct ps_sql_parser *p)
{
    ps_sql_expect_punct(p, '(');
    ps_sql_expr_list(p);
    if (ps_sql_accept(p, PS_W_USING))
        ps_sql_label_of(p, ps_sql_take(p));
    ps_sql_expect_punct(p, ')');
}

/* ---- words ---- */

/* CURRENT_TIMESTAMP[(6)], CURRENT_USER[()], ... */
static bool
session_word(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_peek(p);

    switch (at->word) {
    case PS_W_CURRENT_DATE:
    case PS_W_CURRENT_TIME:
    case PS_W_CURRENT_TIMESTAMP:
    case PS_W_LOCALTIME:
    case PS_W_LOCALTIMESTAMP:
    case PS_W_UTC_DATE:
    case PS_W_UTC_TIME:
    case PS_W_UTC_TIMESTAMP:
    case PS_W_CURRENT_USER:
    case PS_W_CURRENT_ROLE:
        break;
    default:
        return false;
    }
    ps_sql_deny(p, PS_SQL_REASON_VOLATILE_FUNCTION, at);
    p->pos++;
    if (ps_sql_accept_punct(p, '(')) {
        if (ps_sql_peek(p)->kind == PS_TOK_NUMBER)
            p->pos++;
        ps_sql_expect_punct(p, ')');
    }
    return true;
}

/* DATE '..', TIMESTAMP '..', TIME '..', _utf8'..', _binary x'..' */
static bool
typed_literal(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_peek(p);
    const struct ps_sql_token *next = ps_sql_peek_at(p, 1);
    struct ps_str name = ps_sql_token_text(p, at);
    bool charset = ps_sql_my_in_list(
        name, " _utf8 _utf8mb3 _utf8mb4 _latin1 _binary _ascii _ucs2 _utf16 "
              "_utf16le _utf32 _latin2 _latin5 _latin7 _koi8r _koi8u _cp1250 "
              "_cp1251 _cp1256 _cp1257 _cp850 _cp852 _cp866 _greek _hebrew "
              "_gb2312 _gbk _gb18030 _big5 _sjis _cp932 _ujis _eucjpms _euckr "
              "_tis620 _swe7 _hp8 _dec8 _armscii8 _geostd8 _keybcs2 _macce "
              "_macroman ");

    if (next->kind != PS_TOK_STRING && !(charset && next->kind == PS_TOK_BITS))
        return false;
    if (!charset && !ps_sql_my_in_list(name, " date time timestamp "))
        return false;
    if (ps_sql_my_in_list(name, " time "))
        ps_sql_deny(p, PS_SQL_REASON_TIME_CAST, at);
    p->pos += 2;
    return true;
}

/* A word with a parenthesis behind it that is no plain call. At the
 * parenthesis; false: a call like any other. */
static bool
special_form(struct ps_sql_parser *p, uint16_t word)
{
    static const uint16_t substring[] = {PS_W_FROM, PS_W_FOR, PS_W_NO_WORD};
    static const uint16_t position[] = {PS_W_IN, PS_W_NO_WORD};
    const struct ps_sql_token *at = &p->tokens[p->pos - 1];
    struct ps_str name = ps_sql_token_text(p, at);

    switch (word) {
    case PS_W_EXTRACT:
        extract(p);
        return true;
    case PS_W_POSITION:
        keyword_arguments(p, position);
        return true;
    case PS_W_TRIM:
        trim(p);
        return true;
    case PS_W_GROUP_CONCAT:
        group_concat(p);
        return true;
    case PS_W_DEFAULT:
        ps_sql_deny(p, PS_SQL_REASON_VOLATILE_FUNCTION, at);
        plain_arguments(p);
        return true;
    default:
        break;
    }
    if (ps_sql_my_in_list(name, " substring substr mid ")) {
        keyword_arguments(p, substring);
        return true;
    }
    return false;
}

/* Words whose form does not care about a space before the parenthesis. */
static bool
reserved_form(struct ps_sql_parser *p, uint16_t word)
{
    switch (word) {
    case PS_W_CONVERT:
        p->pos++;
        convert(p);
        return true;
    case PS_W_ROW:
    case PS_W_VALUES:
    case PS_W_VALUE:
    case PS_W_CHAR:
        p->pos++;
        plain_arguments(p);
        return true;
    case PS_W_NEXTVAL:
    case PS_W_SETVAL:
        sequence_call(p);
        return true;
    default:
        return false;
    }
}

bool
ps_sql_my_word_expr(struct ps_sql_parser *p, struct ps_sql_expr *out)
{
    const struct ps_sql_token *at = ps_sql_peek(p);
    const struct ps_sql_token *next = ps_sql_peek_at(p, 1);

    other(out);
    switch (at->word) {
    case PS_W_INTERVAL:
        p->pos++;
        interval(p);
        return true;
    case PS_W_MATCH:
        p->pos++;
        match(p);
        return true;
    case PS_W_BINARY: {
        struct ps_sql_expr e;
        p->pos++;
        ps_sql_expr_level(p, PS_LEVEL_UNARY, &e);
        return true;
    }
    case PS_W_NEXT:
    case PS_W_PREVIOUS:
        return sequence_value(p);
    default:
        break;
    }
    if (session_word(p))
        return true;
    if (ps_sql_punct_is(next, '(')) {
        if (reserved_form(p, at->word))
            return true;
        if (next->offset != at->offset + at->len)
            return false; /* EXTRACT (..) is somebody's own function */
        p->pos++;
        if (special_form(p, at->word))
            return true;
        p->pos--;
        return false;
    }
    return typed_literal(p);
}

/* @v, @v := x, @@variable */
bool
ps_sql_my_other_expr(struct ps_sql_parser *p, struct ps_sql_expr *out)
{
    const struct ps_sql_token *at = ps_sql_peek(p);

    if (!ps_sql_at_punct(p, '@'))
        return false;
    other(out);
    ps_sql_deny(p, PS_SQL_REASON_SESSION_STATE, at);
    p->pos++;
    if (at->len == 1) { /* @'name' */
        const struct ps_sql_token *name = ps_sql_take(p);
        if (name->kind != PS_TOK_STRING && name->kind != PS_TOK_QUOTED)
            ps_sql_fail(p, name);
    }
    if (ps_sql_accept_punct(p, PS_TOK_ASSIGN)) {
        p->out->touches_session = p->out->may_write = true;
        ps_sql_skip_expr(p);
    }
    return true;
}

/* ---- operators ---- */

bool
ps_sql_my_range_word(uint16_t word)
{
    return word == PS_W_RLIKE || word == PS_W_REGEXP;
}

int
ps_sql_my_binary_level(const struct ps_sql_parser *p,
                       const struct ps_sql_token *t)
{
    if (t->kind == PS_TOK_WORD) {
        if (t->word == PS_W_DIV || t->word == PS_W_MOD)
            return PS_LEVEL_MULTIPLY;
        /* Looser than AND, and what it joins is true of neither side. */
        return t->word == PS_W_XOR ? PS_LEVEL_OR : 0;
    }
    if (t->kind != PS_TOK_OP)
        return 0;
    struct ps_str text = ps_sql_token_text(p, t);
    if (ps_sql_my_in_list(text, " = < > <= >= <> != <=> "))
        return PS_LEVEL_COMPARE;
    if (ps_sql_my_in_list(text, " + - "))
        return PS_LEVEL_ADD;
    if (ps_sql_my_in_list(text, " * / % "))
        return PS_LEVEL_MULTIPLY;
    if (ps_sql_my_in_list(text, " ^ "))
        return PS_LEVEL_POWER;
    if (ps_sql_my_in_list(text, " && "))
        return PS_LEVEL_AND;
    /* Or the joining of strings (PIPES_AS_CONCAT): neither proves anything. */
    if (ps_sql_my_in_list(text, " || "))
        return PS_LEVEL_OR;
    if (ps_sql_my_in_list(text, " -> ->> "))
        return PS_LEVEL_COLLATE;
    return ps_sql_my_in_list(text, " & | << >> ") ? PS_LEVEL_OTHER : 0;
}

void
ps_sql_my_word_operator(struct ps_sql_parser *p, struct ps_sql_expr *left,
                        int level)
{
    const struct ps_sql_token *at = ps_sql_take(p); /* COLLATE, AT */
    const struct ps_sql_token *name = ps_sql_take(p);

    other(left);
    if (level != PS_LEVEL_COLLATE)
        ps_sql_fail(p, at);
    else if (name->kind != PS_TOK_STRING)
        ps_sql_label_of(p, name);
}

/* COUNT (x) with a space is not the COUNT of the server. */
void
ps_sql_my_call_result(struct ps_sql_parser *p, const struct ps_sql_name *name,
                      size_t n_args, const struct ps_sql_expr *first,
                      struct ps_sql_expr *out, const struct ps_sql_token *at)
{
    (void)n_args;
    (void)first;
    (void)out;
    if (name->n == 1 && at[1].offset != at->offset + at->len &&
        ps_sql_my_is_tight_function(name->part[0]))
        ps_sql_unknown_function(p, PS_STR_NONE, name->part[0], at);
}
