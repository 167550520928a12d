/*
 * The parser's ground: reading tokens, names, and noting what was found.
 */
#include "agent/sql/parser.h"

bool
ps_sql_accept(struct ps_sql_parser *p, enum ps_sql_word word)
{
    if (!ps_sql_at(p, word))
        return false;
    p->pos++;
    return true;
}

bool
ps_sql_accept2(struct ps_sql_parser *p, enum ps_sql_word first,
               enum ps_sql_word second)
{
    if (!ps_sql_at(p, first) || ps_sql_peek_at(p, 1)->word != second)
        return false;
    p->pos += 2;
    return true;
}

bool
ps_sql_accept_punct(struct ps_sql_parser *p, unsigned char ch)
{
    if (!ps_sql_at_punct(p, ch))
        return false;
    p->pos++;
    return true;
}

bool
ps_sql_accept_op(struct ps_sql_parser *p, unsigned char ch)
{
    const struct ps_sql_token *t = ps_sql_peek(p);
    if (t->kind != PS_TOK_OP || t->ch != ch)
        return false;
    p->pos++;
    return true;
}

void
ps_sql_expect(struct ps_sql_parser *p, enum ps_sql_word word)
{
    if (!ps_sql_accept(p, word))
        ps_sql_fail(p, ps_sql_peek(p));
}

void
ps_sql_expect_punct(struct ps_sql_parser *p, unsigned char ch)
{
    if (!ps_sql_accept_punct(p, ch))
        ps_sql_fail(p, ps_sql_peek(p));
}

bool
ps_sql_at_any(const struct ps_sql_parser *p, const uint16_t *list)
{
    uint16_t word = ps_sql_peek(p)->word;
    if (word == PS_W_NO_WORD)
        return false;
    while (*list && *list != word)
        list++;
    return *list != PS_W_NO_WORD;
}

struct ps_str
ps_sql_token_text(const struct ps_sql_parser *p, const struct ps_sql_token *t)
{
    return (struct ps_str){.ptr = p->text.ptr + t->offset, .len = t->len};
}

/* A weak reason says "unless the catalogue knows better"; a stronger one
 * takes its place. */
static int
reason_strength(enum ps_sql_reason reason)
{
    switch (reason) {
    case PS_SQL_REASON_NONE:
        return 0;
    case PS_SQL_REASON_UNKNOWN_FUNCTION:
        return 1;
    case PS_SQL_REASON_TIME_CAST:
        return 2;
    default:
        return 3;
    }
}

void
ps_sql_deny(struct ps_sql_parser *p, enum ps_sql_reason reason,
            const struct ps_sql_token *at)
{
    if (reason_strength(p->out->reason) >= reason_strength(reason))
        return;
    p->out->reason = reason;
    p->out->reason_offset = at->offset;
    p->out->reason_len = at->len;
}

void
ps_sql_fail_reason(struct ps_sql_parser *p, enum ps_sql_reason reason,
                   const struct ps_sql_token *at)
{
    if (p->failed)
        return;
    if (at->kind == PS_TOK_BAD && reason == PS_SQL_REASON_SYNTAX)
        reason = PS_SQL_REASON_BAD_TEXT;
    ps_sql_deny(p, reason, at);
    p->failed = true;
    p->end = p->pos;
}

void
ps_sql_fail(struct ps_sql_parser *p, const struct ps_sql_token *at)
{
    ps_sql_fail_reason(p, PS_SQL_REASON_SYNTAX, at);
}

bool
ps_sql_enter(struct ps_sql_parser *p)
{
    if (p->depth >= PS_SQL_MAX_DEPTH) {
        ps_sql_fail_reason(p, PS_SQL_REASON_TOO_COMPLEX, ps_sql_peek(p));
        return false;
    }
    p->depth++;
    return true;
}

void
ps_sql_leave(struct ps_sql_parser *p)
{
    p->depth--;
}

void *
ps_sql_new(struct ps_sql_parser *p, size_t n)
{
    void *memory = ps_arena_zalloc(p->arena, n);
    if (!memory)
        ps_sql_fail_reason(p, PS_SQL_REASON_TOO_COMPLEX, ps_sql_peek(p));
    return memory;
}

bool
ps_sql_is_name(const struct ps_sql_parser *p, const struct ps_sql_token *t)
{
    return t->kind == PS_TOK_QUOTED ||
           (t->kind == PS_TOK_WORD &&
            !(ps_sql_word_flags((enum ps_sql_word)t->word) &
              p->dialect->reserved_name));
}

bool
ps_sql_is_function_name(const struct ps_sql_parser *p,
                        const struct ps_sql_token *t)
{
    return t->kind == PS_TOK_QUOTED ||
           (t->kind == PS_TOK_WORD &&
            !(ps_sql_word_flags((enum ps_sql_word)t->word) &
              p->dialect->reserved_func));
}

/* Cuts at the dialect's longest name, never inside a UTF-8 character
 * (as PostgreSQL's pg_mbcliplen does). */
static struct ps_str
cut_name(const struct ps_sql_parser *p, struct ps_str name)
{
    size_t max = p->dialect->max_identifier;
    if (max == 0 || name.len <= max)
        return name;
    while (max > 0 && ((unsigned char)name.ptr[max] & 0xc0) == 0x80)
        max--;
    name.len = max;
    return name;
}

static struct ps_str
fold_name(struct ps_sql_parser *p, struct ps_str text)
{
    size_t i = 0;
    while (i < text.len && (unsigned char)(text.ptr[i] - 'A') >= 26)
        i++;
    if (i == text.len)
        return text;
    char *folded = ps_sql_new(p, text.len);
    if (!folded)
        return PS_STR("");
    for (i = 0; i < text.len; i++)
        folded[i] = (char)ps_sql_lower((unsigned char)text.ptr[i]);
    return (struct ps_str){.ptr = folded, .len = text.len};
}

struct ps_str
ps_sql_label_of(struct ps_sql_parser *p, const struct ps_sql_token *t)
{
    struct ps_str name = PS_STR("");
    if (t->kind == PS_TOK_QUOTED) {
        if (!p->dialect->decode_name(p, t, &name))
            ps_sql_fail(p, t);
    } else if (t->kind == PS_TOK_WORD &&
               !(ps_sql_word_flags((enum ps_sql_word)t->word) &
                 p->dialect->reserved_label)) {
        name = ps_sql_token_text(p, t);
        if (p->dialect->fold_lower)
            name = fold_name(p, name);
    } else {
        ps_sql_fail(p, t);
    }
    return cut_name(p, name);
}

struct ps_str
ps_sql_column_key(struct ps_sql_parser *p, struct ps_str name)
{
    if (!p->dialect->fold_columns)
        return name;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (c >= 0x80 || !(ps_sql_is(c, PS_CH_LETTER | PS_CH_DIGIT) ||
                           c == '$' || c == '#' || c == '@'))
            return PS_STR_NONE; /* the server folds more, or ignores it */
    }
    return fold_name(p, name);
}

struct ps_str
ps_sql_name_of(struct ps_sql_parser *p, const struct ps_sql_token *t)
{
    if (!ps_sql_is_name(p, t)) {
        ps_sql_fail(p, t);
        return PS_STR("");
    }
    return ps_sql_label_of(p, t);
}

bool
ps_sql_qualified(struct ps_sql_parser *p, struct ps_sql_name *out)
{
    const struct ps_sql_token *first = ps_sql_peek(p);
    out->n = 0;
    if (!ps_sql_is_name(p, first) && !ps_sql_is_function_name(p, first)) {
        ps_sql_fail(p, first);
        return false;
    }
    for (;;) {
        if (out->n == PS_ARRAY_LEN(out->part)) {
            ps_sql_fail(p, ps_sql_peek(p));
            return false;
        }
        if (p->dialect->empty_parts && out->n && ps_sql_at_punct(p, '.'))
            out->part[out->n++] = PS_STR("");
        else
            out->part[out->n++] = ps_sql_label_of(p, ps_sql_take(p));
        if (!ps_sql_at_punct(p, '.'))
            return !p->failed;
        p->pos++;
    }
}

size_t
ps_sql_name_list(struct ps_sql_parser *p, struct ps_str **out)
{
    size_t n = 0, cap = 0;
    struct ps_str *names = NULL;

    ps_sql_expect_punct(p, '(');
    do {
        if (n == cap) {
            cap = cap ? 2 * cap : 8;
            struct ps_str *more = ps_sql_new(p, cap * sizeof(*more));
            if (!more)
                return 0;
            if (n)
                memcpy(more, names, n * sizeof(*more));
            names = more;
        }
        names[n++] = ps_sql_name_of(p, ps_sql_take(p));
    } while (ps_sql_accept_punct(p, ','));
    ps_sql_expect_punct(p, ')');
    *out = names;
    return n;
}

/* Room for one more in an array that lives in the arena. */
static void *
grow(struct ps_sql_parser *p, void *array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return array;
    size_t wanted = *cap ? 2 * *cap : 8;
    void *more = ps_sql_new(p, wanted * size);
    if (!more)
        return NULL;
    if (n)
        memcpy(more, array, n * size);
    *cap = wanted;
    return more;
}

size_t
ps_sql_add_relation(struct ps_sql_parser *p, const struct ps_sql_name *name,
                    unsigned use, const struct ps_sql_token *at)
{
    if (p->failed || name->n == 0)
        return PS_SQL_NO_RELATION;
    if (p->n_relations == PS_SQL_MAX_RELATIONS) {
        ps_sql_writes_all(p);
        ps_sql_fail_reason(p, PS_SQL_REASON_TOO_COMPLEX, at);
        return PS_SQL_NO_RELATION;
    }
    struct ps_sql_relation *more =
        grow(p, p->relations, p->n_relations, &p->cap_relations, sizeof(*more));
    if (!more)
        return PS_SQL_NO_RELATION;
    p->relations = more;

    struct ps_sql_relation *rel = &more[p->n_relations];
    *rel = (struct ps_sql_relation){.use = use};
    rel->name = name->part[name->n - 1];
    if (name->n > 1 && name->part[name->n - 2].len)
        rel->schema = name->part[name->n - 2];
    if (name->n > 2)
        rel->database = name->part[0];
    enum ps_sql_reason reason =
        p->dialect->relation_reason(rel->schema, rel->name);
    if (reason != PS_SQL_REASON_NONE)
        ps_sql_deny(p, reason, at);
    return p->n_relations++;
}

void
ps_sql_unknown_function(struct ps_sql_parser *p, struct ps_str schema,
                        struct ps_str name, const struct ps_sql_token *at)
{
    ps_sql_deny(p, PS_SQL_REASON_UNKNOWN_FUNCTION, at);
    p->out->may_write = true;
    p->out->touches_session = true;
    struct ps_sql_function *more =
        grow(p, p->functions, p->n_functions, &p->cap_functions, sizeof(*more));
    if (!more)
        return;
    p->functions = more;
    more[p->n_functions++] = (struct ps_sql_function){
        .schema = schema, .name = name, .offset = at->offset};
}

struct ps_sql_function_info
ps_sql_call(struct ps_sql_parser *p, const struct ps_sql_name *name,
            size_t n_args, const struct ps_sql_token *at)
{
    struct ps_sql_function_info info = {.kind = PS_FN_UNKNOWN};
    struct ps_str schema = PS_STR_NONE;

    if (p->failed || name->n == 0)
        return info;
    if (name->n > 1)
        schema = name->part[name->n - 2];
    if (name->n == 1 || (p->dialect->system_schema.ptr &&
                         ps_str_eq(schema, p->dialect->system_schema)))
        info = p->dialect->find_function(name->part[name->n - 1], n_args);
    p->writes = p->writes || info.writes || info.kind == PS_FN_WRITES;
    switch (info.kind) {
    case PS_FN_IMMUTABLE:
        break;
    case PS_FN_UNKNOWN:
        ps_sql_unknown_function(p, schema, name->part[name->n - 1], at);
        break;
    case PS_FN_WRITES:
        ps_sql_writes_all(p);
        /* fall through */
    case PS_FN_SESSION:
        p->out->touches_session = true;
        p->out->may_write = true;
        /* fall through */
    case PS_FN_STABLE:
    case PS_FN_VOLATILE:
        ps_sql_deny(p, PS_SQL_REASON_VOLATILE_FUNCTION, at);
        break;
    }
    return info;
}

void
ps_sql_writes_all(struct ps_sql_parser *p)
{
    p->out->writes_all = true;
    p->out->may_write = true;
    p->out->touches_session = true;
}
