/*
 * Expressions: precedence climbing. The result tells only what predicates
 * need: is it a bare column, a bare value, and which facts hold wherever it
 * is true. Everything that combines loses them, but AND, which joins the
 * facts of both sides. What is not known here is asked of the dialect
 * (word_expr), and what nobody knows fails the statement.
 */
#include "agent/sql/parser.h"

enum {
    MAX_IN_VALUES = 64,
    MAX_VALUE_TEXT = 64
};

static void
other(struct ps_sql_expr *e)
{
    *e = (struct ps_sql_expr){.kind = PS_EXPR_OTHER};
}

void
ps_sql_skip_expr(struct ps_sql_parser *p)
{
    struct ps_sql_expr e;
    ps_sql_expr(p, &e);
}

size_t
ps_sql_expr_list(struct ps_sql_parser *p)
{
    size_t n = 0;
    do {
        ps_sql_skip_expr(p);
        n++;
    } while (ps_sql_accept_punct(p, ','));
    return n;
}

/* ---- facts ---- */

static struct ps_sql_fact *
fact_values(struct ps_sql_parser *p, const struct ps_sql_column *column,
            const struct ps_sql_value *values, size_t n)
{
    struct ps_sql_fact *fact = ps_sql_new(p, sizeof(*fact));
    struct ps_sql_value *copy = ps_sql_new(p, n * sizeof(*copy));
    if (!fact || !copy)
        return NULL;
    memcpy(copy, values, n * sizeof(*copy));
    fact->column = *column;
    fact->values = copy;
    fact->n_values = n;
    return fact;
}

/* The facts of an expression that stands as a condition. */
static struct ps_sql_fact *
facts_of(struct ps_sql_parser *p, const struct ps_sql_expr *e, bool truth)
{
    if (e->kind == PS_EXPR_COLUMN) {
        if (!p->dialect->boolean_type)
            return NULL;
        struct ps_sql_value value = {.kind = PS_SQL_VALUE_BOOL,
                                     .boolean = truth};
        return fact_values(p, &e->column, &value, 1);
    }
    return truth ? e->facts : NULL;
}

static struct ps_sql_fact *
join_facts(struct ps_sql_fact *a, struct ps_sql_fact *b)
{
    if (!a)
        return b;
    /* The right side of an AND is one level: nearly always one fact. */
    for (struct ps_sql_fact *it = b; it; it = it->next)
        if (!it->next) {
            it->next = a;
            return b;
        }
    return a;
}

struct ps_sql_fact *
ps_sql_condition(struct ps_sql_parser *p)
{
    struct ps_sql_expr e;
    ps_sql_expr(p, &e);
    return p->failed ? NULL : facts_of(p, &e, true);
}

static bool
is_value(const struct ps_sql_expr *e)
{
    return e->kind == PS_EXPR_VALUE && e->value.kind != PS_SQL_VALUE_NULL;
}

/* left = right */
static void
equality(struct ps_sql_parser *p, struct ps_sql_expr *left,
         const struct ps_sql_expr *right)
{
    struct ps_sql_fact *fact = NULL;
    if (left->kind == PS_EXPR_COLUMN && is_value(right)) {
        fact = fact_values(p, &left->column, &right->value, 1);
    } else if (right->kind == PS_EXPR_COLUMN && is_value(left)) {
        fact = fact_values(p, &right->column, &left->value, 1);
    } else if (left->kind == PS_EXPR_COLUMN && right->kind == PS_EXPR_COLUMN) {
        fact = ps_sql_new(p, sizeof(*fact));
        if (fact) {
            fact->column = left->column;
            fact->other = right->column;
        }
    }
    other(left);
    left->facts = fact;
}

void
ps_sql_not_text(struct ps_sql_parser *p, const struct ps_sql_expr *expr,
                const struct ps_sql_token *at)
{
    (void)expr;
    ps_sql_deny(p, PS_SQL_REASON_TIME_CAST, at);
}

/* ---- primary expressions ---- */

bool
ps_sql_value_of(struct ps_sql_parser *p, const struct ps_sql_token *t,
                struct ps_sql_value *out)
{
    struct ps_str text = ps_sql_token_text(p, t);

    *out = (struct ps_sql_value){.index = -1};
    if (t->kind == PS_TOK_STRING) {
        out->kind = PS_SQL_VALUE_STRING;
        return p->dialect->decode_string(p, t, &out->text);
    }
    if (t->kind == PS_TOK_PARAM) {
        out->kind = PS_SQL_VALUE_PARAM;
        return p->dialect->param(p, t, out);
    }
    if (t->kind != PS_TOK_NUMBER)
        return false;
    int64_t value = 0;
    size_t i = 0;
    for (; i < text.len && ps_sql_is((unsigned char)text.ptr[i], PS_CH_DIGIT);
         i++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, text.ptr[i] - '0', &value))
            break;
    out->kind = i == text.len ? PS_SQL_VALUE_INT : PS_SQL_VALUE_NUMBER;
    out->integer = out->kind == PS_SQL_VALUE_INT ? value : 0;
    out->text = out->kind == PS_SQL_VALUE_INT ? PS_STR_NONE : text;
    return true;
}

static void
literal(struct ps_sql_parser *p, struct ps_sql_expr *out)
{
    const struct ps_sql_token *t = ps_sql_take(p);

    other(out);
    if (t->kind == PS_TOK_BITS)
        return;
    if (!ps_sql_value_of(p, t, &out->value)) {
        ps_sql_fail(p, t);
        return;
    }
    out->kind = PS_EXPR_VALUE;
    if (t->kind == PS_TOK_STRING &&
        ps_sql_text_is_clock(p->dialect->id, out->value.text))
        ps_sql_deny(p, PS_SQL_REASON_TIME_CAST, t);
}

/* ( query ), ( a, b ) or ( a ) */
static void
parenthesis(struct ps_sql_parser *p, struct ps_sql_expr *out)
{
    if (ps_sql_at_subquery(p)) {
        ps_sql_subquery(p, p->scope);
        other(out);
        return;
    }
    ps_sql_expect_punct(p, '(');
    ps_sql_expr(p, out);
    if (ps_sql_at_punct(p, ',')) {
        other(out);
        while (ps_sql_accept_punct(p, ','))
            ps_sql_skip_expr(p);
    }
    ps_sql_expect_punct(p, ')');
}

/* CASE [x] WHEN .. THEN .. [ELSE ..] END */
static void
case_expr(struct ps_sql_parser *p, struct ps_sql_expr *out)
{
    ps_sql_expect(p, PS_W_CASE);
    if (!ps_sql_at(p, PS_W_WHEN))
        ps_sql_skip_expr(p);
    do {
        ps_sql_expect(p, PS_W_WHEN);
        ps_sql_skip_expr(p);
        ps_sql_expect(p, PS_W_THEN);
        ps_sql_skip_expr(p);
    } while (ps_sql_at(p, PS_W_WHEN));
    if (ps_sql_accept(p, PS_W_ELSE))
        ps_sql_skip_expr(p);
    ps_sql_expect(p, PS_W_END);
    other(out);
}

size_t
ps_sql_arguments(struct ps_sql_parser *p, struct ps_sql_expr *first)
{
    size_t n = 0;

    other(first);
    ps_sql_expect_punct(p, '(');
    if (ps_sql_accept_op(p, '*')) {
        ps_sql_expect_punct(p, ')');
        return 0;
    }
    if (ps_sql_accept_punct(p, ')'))
        return 0;
    if (!ps_sql_accept(p, PS_W_ALL))
        ps_sql_accept(p, PS_W_DISTINCT);
    do {
        struct ps_sql_expr e;
        ps_sql_accept(p, PS_W_VARIADIC);
        const struct ps_sql_token *next = ps_sql_peek_at(p, 1);
        if (ps_sql_is_function_name(p, ps_sql_peek(p)) &&
            (ps_sql_punct_is(next, PS_TOK_ASSIGN) ||
             ps_str_eq(ps_sql_token_text(p, next), PS_STR("=>"))))
            p->pos += 2;
        ps_sql_expr(p, &e);
        if (n++ == 0)
            *first = e;
    } while (ps_sql_accept_punct(p, ','));
    if (ps_sql_at(p, PS_W_ORDER))
        ps_sql_order_by(p);
    ps_sql_expect_punct(p, ')');
    return n;
}

void
ps_sql_call_tail(struct ps_sql_parser *p)
{
    if (ps_sql_accept2(p, PS_W_WITHIN, PS_W_GROUP)) {
        ps_sql_expect_punct(p, '(');
        ps_sql_order_by(p);
        ps_sql_expect_punct(p, ')');
    }
    if (ps_sql_at(p, PS_W_FILTER) &&
        ps_sql_punct_is(ps_sql_peek_at(p, 1), '(')) {
        p->pos += 2;
        ps_sql_expect(p, PS_W_WHERE);
        ps_sql_skip_expr(p);
        ps_sql_expect_punct(p, ')');
    }
    if (ps_sql_accept(p, PS_W_OVER)) {
        if (ps_sql_at_punct(p, '('))
            ps_sql_window(p);
        else
            ps_sql_name_of(p, ps_sql_take(p));
    }
}

/* a, a.b, a.b.c, a.*, f(..), a.f(..) */
static void
name_expr(struct ps_sql_parser *p, struct ps_sql_expr *out)
{
    const struct ps_sql_token *at = ps_sql_take(p);
    struct ps_sql_name name = {.n = 0};
    bool column = ps_sql_is_name(p, at);

    other(out);
    name.part[name.n++] = ps_sql_label_of(p, at);
    while (ps_sql_at_punct(p, '.')) {
        const struct ps_sql_token *next = ps_sql_peek_at(p, 1);
        if (next->kind == PS_TOK_OP && next->ch == '*') {
            p->pos += 2;
            return;
        }
        if (name.n == PS_ARRAY_LEN(name.part)) {
            ps_sql_fail(p, next);
            return;
        }
        p->pos++;
        if (p->dialect->empty_parts && ps_sql_at_punct(p, '.'))
            name.part[name.n++] = PS_STR("");
        else
            name.part[name.n++] = ps_sql_label_of(p, ps_sql_take(p));
        column = true;
    }
    if (ps_sql_at_punct(p, '(')) {
        struct ps_sql_expr first;
        if (name.n == 1 && !ps_sql_is_function_name(p, at))
            ps_sql_fail(p, at);
        size_t n = ps_sql_arguments(p, &first);
        ps_sql_call(p, &name, n, at);
        if (p->dialect->call_result && !p->failed)
            p->dialect->call_result(p, &name, n, &first, out, at);
        ps_sql_call_tail(p);
        return;
    }
    if (!column) {
        ps_sql_fail(p, at);
        return;
    }
    if (name.n > 2)
        return;
    out->column.name = ps_sql_column_key(p, name.part[name.n - 1]);
    if (!out->column.name.ptr)
        return;
    out->kind = PS_EXPR_COLUMN;
    if (name.n == 2)
        out->column.qualifier = name.part[0];
}

static void
constant_word(struct ps_sql_parser *p, struct ps_sql_expr *out)
{
    uint16_t word = ps_sql_take(p)->word;
    *out = (struct ps_sql_expr){.kind = PS_EXPR_VALUE};
    out->value.kind = word == PS_W_NULL ? PS_SQL_VALUE_NULL : PS_SQL_VALUE_BOOL;
    out->value.boolean = word == PS_W_TRUE;
    out->value.index = -1;
    if (!p->dialect->boolean_type && word != PS_W_NULL) {
        out->value.kind = PS_SQL_VALUE_INT;
        out->value.integer = word == PS_W_TRUE;
    }
}

static void
word_primary(struct ps_sql_parser *p, struct ps_sql_expr *out)
{
    uint16_t word = ps_sql_peek(p)->word;
    switch (word) {
    case PS_W_NULL:
    case PS_W_TRUE:
    case PS_W_FALSE:
        /* Where it is not reserved it is a column's name. */
        if (!(ps_sql_word_flags((enum ps_sql_word)word) &
              p->dialect->reserved_name))
            break;
        constant_word(p, out);
        return;
    case PS_W_CASE:
        case_expr(p, out);
        return;
    case PS_W_EXISTS:
        if (!ps_sql_punct_is(ps_sql_peek_at(p, 1), '('))
            break;
        p->pos++;
        ps_sql_subquery(p, p->scope);
        other(out);
        return;
    case PS_W_CAST: {
        p->pos++;
        ps_sql_expect_punct(p, '(');
        const struct ps_sql_token *at = ps_sql_peek(p);
        ps_sql_expr(p, out);
        ps_sql_expect(p, PS_W_AS);
        p->dialect->cast(p, out, at);
        ps_sql_expect_punct(p, ')');
        return;
    }
    default:
        break;
    }
    if (!p->dialect->word_expr(p, out))
        name_expr(p, out);
}

static void
primary(struct ps_sql_parser *p, struct ps_sql_expr *out)
{
    const struct ps_sql_token *t = ps_sql_peek(p);

    switch (t->kind) {
    case PS_TOK_WORD:
        word_primary(p, out);
        break;
    case PS_TOK_QUOTED:
        name_expr(p, out);
        break;
    case PS_TOK_NUMBER:
    case PS_TOK_STRING:
    case PS_TOK_BITS:
    case PS_TOK_PARAM:
        literal(p, out);
        break;
    case PS_TOK_OP:
        other(out);
        /* SELECT *, but no operand of an operator */
        if (t->ch == '*' && (p->pos == 0 || t[-1].kind != PS_TOK_OP))
            p->pos++;
        else
            ps_sql_fail(p, t);
        break;
    default:
        other(out);
        if (ps_sql_punct_is(t, '('))
            parenthesis(p, out);
        else if (!p->dialect->other_expr || !p->dialect->other_expr(p, out))
            ps_sql_fail(p, t);
        break;
    }
}

void
ps_sql_subscript(struct ps_sql_parser *p)
{
    ps_sql_expect_punct(p, '[');
    if (!ps_sql_at_punct(p, ':') && !ps_sql_at_punct(p, ']'))
        ps_sql_skip_expr(p);
    if (ps_sql_accept_punct(p, ':') && !ps_sql_at_punct(p, ']'))
        ps_sql_skip_expr(p);
    ps_sql_expect_punct(p, ']');
}

/* What may follow a primary: ::type, [subscript], .field */
static void
postfix(struct ps_sql_parser *p, struct ps_sql_expr *out)
{
    const struct ps_sql_token *at = ps_sql_peek(p);
    primary(p, out);
    for (;;) {
        if (ps_sql_at_punct(p, PS_TOK_CAST)) {
            p->pos++;
            p->dialect->cast(p, out, at);
        } else if (ps_sql_at_punct(p, '[')) {
            ps_sql_subscript(p);
            other(out);
        } else if (ps_sql_at_punct(p, '.')) {
            /* (row).field: may be a function of the row (see README) */
            p->pos++;
            if (!ps_sql_accept_op(p, '*')) {
                const struct ps_sql_token *field = ps_sql_take(p);
                ps_sql_unknown_function(p, PS_STR_NONE,
                                        ps_sql_label_of(p, field), field);
            }
            other(out);
        } else {
            return;
        }
    }
}

/* ---- operators ---- */

static void
note_operator(struct ps_sql_parser *p, const struct ps_sql_token *t)
{
    struct ps_str text = ps_sql_token_text(p, t);
    if (!p->dialect->known_operator(text))
        ps_sql_unknown_function(p, PS_STR_NONE, text, t);
}

static void
unary(struct ps_sql_parser *p, struct ps_sql_expr *out)
{
    const struct ps_sql_token *t = ps_sql_peek(p);

    if (t->kind != PS_TOK_OP || t->ch == '*') {
        postfix(p, out);
        return;
    }
    note_operator(p, t);
    p->pos++;
    ps_sql_expr_level(
        p, t->ch == '-' || t->ch == '+' ? PS_LEVEL_UNARY : PS_LEVEL_OTHER, out);
    if (t->ch == '-' && out->kind == PS_EXPR_VALUE &&
        out->value.kind == PS_SQL_VALUE_INT && out->value.cast.len == 0)
        out->value.integer = -out->value.integer;
    else
        other(out);
}

static void
in_list(struct ps_sql_parser *p, struct ps_sql_expr *left)
{
    struct ps_sql_value values[MAX_IN_VALUES];
    size_t n = 0;
    bool known = left->kind == PS_EXPR_COLUMN;

    if (ps_sql_at_subquery(p)) {
        ps_sql_subquery(p, p->scope);
        other(left);
        return;
    }
    ps_sql_expect_punct(p, '(');
    do {
        struct ps_sql_expr e;
        ps_sql_expr(p, &e);
        known = known && e.kind == PS_EXPR_VALUE;
        if (known && e.value.kind != PS_SQL_VALUE_NULL) {
            known = n < MAX_IN_VALUES;
            if (known)
                values[n++] = e.value;
        }
    } while (ps_sql_accept_punct(p, ','));
    ps_sql_expect_punct(p, ')');
    struct ps_sql_fact *fact = NULL;
    if (known && n > 0 && !p->failed)
        fact = fact_values(p, &left->column, values, n);
    other(left);
    left->facts = fact;
}

/* [NOT] BETWEEN, IN, LIKE, ILIKE, SIMILAR TO; the position is behind NOT. */
static void
range_operator(struct ps_sql_parser *p, struct ps_sql_expr *left, bool not )
{
    struct ps_sql_expr e;

    if (ps_sql_accept(p, PS_W_IN)) {
        in_list(p, left);
        if (not )
            other(left);
        return;
    }
    if (ps_sql_accept(p, PS_W_BETWEEN)) {
        if (!ps_sql_accept(p, PS_W_SYMMETRIC))
            ps_sql_accept(p, PS_W_ASYMMETRIC);
        ps_sql_expr_level(p, PS_LEVEL_OTHER, &e);
        ps_sql_expect(p, PS_W_AND);
        ps_sql_expr_level(p, PS_LEVEL_OTHER, &e);
    } else {
        if (ps_sql_accept(p, PS_W_SIMILAR))
            ps_sql_expect(p, PS_W_TO);
        else
            p->pos++; /* LIKE, ILIKE */
        if (ps_sql_at(p, PS_W_ANY) || ps_sql_at(p, PS_W_ALL) ||
            ps_sql_at(p, PS_W_SOME)) {
            p->pos++;
            parenthesis(p, &e);
        } else {
            ps_sql_expr_level(p, PS_LEVEL_OTHER, &e);
        }
        if (ps_sql_accept(p, PS_W_ESCAPE))
            ps_sql_expr_level(p, PS_LEVEL_OTHER, &e);
    }
    other(left);
}

/* Behind IS. */
static void
is_operator(struct ps_sql_parser *p, struct ps_sql_expr *left)
{
    bool not = ps_sql_accept(p, PS_W_NOT);
    struct ps_sql_fact *facts = NULL;
    struct ps_sql_expr e;

    switch (ps_sql_peek(p)->word) {
    case PS_W_TRUE:
        facts = not ? NULL : facts_of(p, left, true);
        p->pos++;
        break;
    case PS_W_FALSE:
        facts = not ? NULL : facts_of(p, left, false);
        p->pos++;
        break;
    case PS_W_NULL:
    case PS_W_UNKNOWN:
    case PS_W_DOCUMENT:
        p->pos++;
        break;
    case PS_W_DISTINCT:
        p->pos++;
        ps_sql_expect(p, PS_W_FROM);
        ps_sql_expr_level(p, PS_LEVEL_COMPARE, &e);
        if (not ) {
            equality(p, left, &e);
            /* NULL IS NOT DISTINCT FROM NULL: columns prove nothing. */
            facts = left->facts && left->facts->n_values ? left->facts : NULL;
        }
        break;
    default:
        if (!p->dialect->is_test || !p->dialect->is_test(p))
            ps_sql_fail(p, ps_sql_peek(p));
        break;
    }
    other(left);
    left->facts = facts;
}

/* left op right, or left op ANY/ALL (...), for the operator t. */
static void
apply_operator(struct ps_sql_parser *p, struct ps_sql_expr *left,
               const struct ps_sql_token *t, int level)
{
    struct ps_sql_expr right;

    note_operator(p, t);
    p->pos++;
    if (ps_sql_at(p, PS_W_ANY) || ps_sql_at(p, PS_W_ALL) ||
        ps_sql_at(p, PS_W_SOME)) {
        p->pos++;
        parenthesis(p, &right);
        other(left);
        return;
    }
    ps_sql_expr_level(p, level + 1, &right);
    if (t->kind == PS_TOK_OP && t->ch == '=') {
        equality(p, left, &right);
    } else {
        other(left);
        if (level == PS_LEVEL_ADD || level == PS_LEVEL_MULTIPLY)
            left->kind = PS_EXPR_NOT_TEXT;
    }
}

static int
word_level(const struct ps_sql_parser *p)
{
    uint16_t word = ps_sql_peek(p)->word;
    if (word == PS_W_NOT)
        word = ps_sql_peek_at(p, 1)->word;
    switch (word) {
    case PS_W_BETWEEN:
    case PS_W_IN:
    case PS_W_LIKE:
    case PS_W_ILIKE:
        return PS_LEVEL_RANGE;
    case PS_W_SIMILAR: /* TO; SUBSTRING(x SIMILAR y ESCAPE z) is another */
        return ps_sql_peek_at(p, ps_sql_at(p, PS_W_NOT) ? 2 : 1)->word ==
                       PS_W_TO
                   ? PS_LEVEL_RANGE
                   : 0;
    default:
        if (word && p->dialect->range_word && p->dialect->range_word(word))
            return PS_LEVEL_RANGE;
        break;
    }
    switch (ps_sql_peek(p)->word) {
    case PS_W_OR:
        return PS_LEVEL_OR;
    case PS_W_AND:
        return PS_LEVEL_AND;
    case PS_W_IS:
    case PS_W_ISNULL:
    case PS_W_NOTNULL:
        return PS_LEVEL_IS;
    case PS_W_AT:
        return PS_LEVEL_AT_ZONE;
    case PS_W_COLLATE:
        return PS_LEVEL_COLLATE;
    default:
        return p->dialect->word_level ? p->dialect->word_level(p) : 0;
    }
}

/* The word operator at the position, whose level this is. */
static void
word_operator(struct ps_sql_parser *p, struct ps_sql_expr *left, int level)
{
    struct ps_sql_expr right;
    struct ps_sql_fact *facts = NULL;

    switch (level) {
    case PS_LEVEL_OR:
        p->pos++;
        ps_sql_expr_level(p, PS_LEVEL_AND, &right);
        break;
    case PS_LEVEL_AND:
        p->pos++;
        facts = facts_of(p, left, true);
        ps_sql_expr_level(p, PS_LEVEL_NOT, &right);
        facts = join_facts(facts, facts_of(p, &right, true));
        break;
    case PS_LEVEL_IS:
        if (ps_sql_accept(p, PS_W_IS)) {
            is_operator(p, left);
            return;
        }
        p->pos++; /* ISNULL, NOTNULL */
        break;
    case PS_LEVEL_RANGE: {
        bool not = ps_sql_accept(p, PS_W_NOT);
        range_operator(p, left, not );
        return;
    }
    default:
        p->dialect->word_operator(p, left, level);
        return;
    }
    other(left);
    left->facts = facts;
}

void
ps_sql_expr_level(struct ps_sql_parser *p, int level, struct ps_sql_expr *out)
{
    other(out);
    if (!ps_sql_enter(p))
        return;
    if (level <= PS_LEVEL_NOT && ps_sql_accept(p, PS_W_NOT)) {
        struct ps_sql_expr e;
        ps_sql_expr_level(p, PS_LEVEL_NOT, &e);
        out->facts = facts_of(p, &e, false);
    } else {
        unary(p, out);
    }
    while (!p->failed) {
        const struct ps_sql_token *t = ps_sql_peek(p);
        int found = 0;
        if (t->kind == PS_TOK_WORD)
            found = word_level(p);
        if (found && found >= level) {
            word_operator(p, out, found);
            continue;
        }
        if (!found)
            found = p->dialect->binary_level(p, t);
        if (!found || found < level)
            break;
        apply_operator(p, out, t, found);
    }
    ps_sql_leave(p);
}

void
ps_sql_expr(struct ps_sql_parser *p, struct ps_sql_expr *out)
{
    ps_sql_expr_level(p, PS_LEVEL_OR, out);
}
