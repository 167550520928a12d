/*
 * The analyser's own words: one recursive-descent parser over the tokens of a
 * text, shared by the dialects, which enters and leaves it through the hooks
 * in dialect.h.
 *
 * It builds no tree. While it reads it notes what the analysis asks for:
 * relations, functions, reasons against caching, and facts: conjuncts
 * `column = value` or `column = column` of a scope, from which scope.c
 * concludes which rows of a relation the answer depends on.
 *
 * Errors: ps_sql_deny notes why the answer cannot be kept and reads on.
 * ps_sql_fail ends the statement: from then on the parser sees only END,
 * so that every loop stops by itself; whatever calls it must stop at END.
 *
 * Thread: the caller's. Everything lives in the caller's arena.
 */
#ifndef PS_AGENT_SQL_PARSER_H
#define PS_AGENT_SQL_PARSER_H

#include "agent/sql/dialect.h"

/* A name as it stands: up to three parts (database, schema, name). */
struct ps_sql_name {
    struct ps_str part[3];
    size_t n;
};

struct ps_sql_column {
    struct ps_str qualifier; /* alias or table; absent when there is none */
    struct ps_str name;
};

/* A conjunct: column is one of values, or column = other. */
struct ps_sql_fact {
    struct ps_sql_fact *next;
    struct ps_sql_column column;
    const struct ps_sql_value *values;
    size_t n_values; /* 0: other counts */
    struct ps_sql_column other;
};

enum ps_sql_expr_kind {
    PS_EXPR_OTHER,
    PS_EXPR_COLUMN,  /* nothing but a column */
    PS_EXPR_VALUE,   /* nothing but a constant or parameter */
    PS_EXPR_NOT_TEXT /* surely of no text type (see TIME_CAST) */
};

struct ps_sql_expr {
    enum ps_sql_expr_kind kind;
    struct ps_sql_column column;
    struct ps_sql_value value;
    struct ps_sql_fact *facts; /* true wherever the expression is true */
};

/* One item of a FROM list. */
struct ps_sql_source {
    struct ps_sql_source *next;
    struct ps_str alias;
    size_t relation; /* index, or PS_SQL_NO_RELATION */
    bool hidden;     /* inside a join that has an alias of its own */
    bool renamed;    /* its columns have other names here */
};
#define PS_SQL_NO_RELATION SIZE_MAX

/* How two items of FROM are joined. */
enum ps_sql_join_kind {
    PS_JOIN_NONE,
    PS_JOIN_INNER,
    PS_JOIN_LEFT,
    PS_JOIN_RIGHT,
    PS_JOIN_FULL
};

struct ps_sql_join {
    enum ps_sql_join_kind kind;
    bool bare;    /* it takes no ON or USING */
    bool lateral; /* the right side sees the left one */
    bool free_on; /* ON and USING may be missing */
};

/* A fact about relations, or an equality between two of them. */
struct ps_sql_bound {
    struct ps_sql_bound *next;
    struct ps_sql_source *source;
    struct ps_str column;
    const struct ps_sql_value *values;
    size_t n_values;
    bool derived;
    /* n_values 0: what holds for (source, column) holds for (to, to_column) */
    struct ps_sql_source *to;
    struct ps_str to_column;
};

/* One SELECT, UPDATE or DELETE and what its names mean. */
struct ps_sql_scope {
    struct ps_sql_scope *outer; /* whose columns are visible too */
    struct ps_sql_source *sources, **sources_end;
    size_t n_sources;
    struct ps_sql_bound *bounds;
    size_t n_bounds;
    bool merged;    /* USING, NATURAL: a name may be a column of several */
    bool any_row;   /* rows that the conditions refuse count all the same */
    size_t n_facts; /* that were looked at; see MAX_FACTS */
};

/* A common table expression that is visible. */
struct ps_sql_cte {
    struct ps_sql_cte *outer;
    struct ps_str name;
};

struct ps_sql_parser {
    const struct ps_sql_dialect *dialect;
    unsigned modes;
    struct ps_str text;
    struct ps_arena *arena;
    const struct ps_sql_token *tokens;
    size_t n;         /* tokens of the text; tokens[n] is END */
    size_t pos;       /* the token to read next */
    size_t end;       /* where the statement ends, as far as the parser sees */
    size_t semicolon; /* T-SQL: the first one behind pos, if that is here */
    unsigned depth;
    bool failed;
    struct ps_sql_scope *scope;
    struct ps_sql_cte *ctes;
    size_t n_ctes; /* of the whole text: looked up one by one */
    /* What was found; `out` holds the rest. */
    struct ps_sql_analysis *out;
    struct ps_sql_relation *relations;
    size_t n_relations, cap_relations;
    struct ps_sql_function *functions;
    size_t n_functions, cap_functions;
    /* Of the statement being read. */
    enum ps_sql_class cls;
    /* It holds an INSERT, UPDATE, DELETE or MERGE, or calls what writes. */
    bool writes;
};

/* ---- tokens (parser.c) ---- */

static inline const struct ps_sql_token *
ps_sql_peek_at(const struct ps_sql_parser *p, size_t ahead)
{
    size_t at = p->pos + ahead;
    return &p->tokens[at < p->end ? at : p->n];
}

static inline const struct ps_sql_token *
ps_sql_peek(const struct ps_sql_parser *p)
{
    return ps_sql_peek_at(p, 0);
}

static inline bool
ps_sql_at_end(const struct ps_sql_parser *p)
{
    return p->pos >= p->end;
}

static inline const struct ps_sql_token *
ps_sql_take(struct ps_sql_parser *p)
{
    const struct ps_sql_token *t = ps_sql_peek(p);
    if (p->pos < p->end)
        p->pos++;
    return t;
}

static inline bool
ps_sql_at(const struct ps_sql_parser *p, enum ps_sql_word word)
{
    return ps_sql_peek(p)->word == word;
}

static inline bool
ps_sql_punct_is(const struct ps_sql_token *t, unsigned char ch)
{
    return t->kind == PS_TOK_PUNCT && t->ch == ch;
}

static inline bool
ps_sql_at_punct(const struct ps_sql_parser *p, unsigned char ch)
{
    return ps_sql_punct_is(ps_sql_peek(p), ch);
}

/* Takes the word, the two words, the punctuation when they come next. */
bool ps_sql_accept(struct ps_sql_parser *p, enum ps_sql_word word);
bool ps_sql_accept2(struct ps_sql_parser *p, enum ps_sql_word first,
                    enum ps_sql_word second);
bool ps_sql_accept_punct(struct ps_sql_parser *p, unsigned char ch);
bool ps_sql_accept_op(struct ps_sql_parser *p, unsigned char ch);
/* The same, or the statement is not understood. */
void ps_sql_expect(struct ps_sql_parser *p, enum ps_sql_word word);
void ps_sql_expect_punct(struct ps_sql_parser *p, unsigned char ch);
/* Any of the words of a list that ends in PS_W_NO_WORD. */
bool ps_sql_at_any(const struct ps_sql_parser *p, const uint16_t *words);
struct ps_str ps_sql_token_text(const struct ps_sql_parser *p,
                                const struct ps_sql_token *t);

/* Not cacheable, because of this token; the first strong reason stays. */
void ps_sql_deny(struct ps_sql_parser *p, enum ps_sql_reason reason,
                 const struct ps_sql_token *at);
/* Not understood from this token on. */
void ps_sql_fail(struct ps_sql_parser *p, const struct ps_sql_token *at);
void ps_sql_fail_reason(struct ps_sql_parser *p, enum ps_sql_reason reason,
                        const struct ps_sql_token *at);
/* Guards recursion: false (and failed) when it is too deep. */
PS_MUST_USE bool ps_sql_enter(struct ps_sql_parser *p);
void ps_sql_leave(struct ps_sql_parser *p);
/* Zeroed memory from the arena; NULL fails the statement. */
void *ps_sql_new(struct ps_sql_parser *p, size_t n);

/* ---- names (parser.c) ---- */

/* The token can name a column or table, an alias, a function. */
bool ps_sql_is_name(const struct ps_sql_parser *p,
                    const struct ps_sql_token *t);
bool ps_sql_is_function_name(const struct ps_sql_parser *p,
                             const struct ps_sql_token *t);
/* Folded and cut as the dialect does; fails on what is no name. */
struct ps_str ps_sql_name_of(struct ps_sql_parser *p,
                             const struct ps_sql_token *t);
/* A column's name so that equal keys mean the same column, as the dialect
 * tells columns apart; absent: the bytes do not tell. */
struct ps_str ps_sql_column_key(struct ps_sql_parser *p, struct ps_str name);
/* Any word, reserved or not (behind AS or a dot). */
struct ps_str ps_sql_label_of(struct ps_sql_parser *p,
                              const struct ps_sql_token *t);
/* A name of one to three parts. */
bool ps_sql_qualified(struct ps_sql_parser *p, struct ps_sql_name *out);
/* (a, b, c): returns how many. */
size_t ps_sql_name_list(struct ps_sql_parser *p, struct ps_str **out);

/* ---- findings (parser.c) ---- */

/* Index of a new entry, or PS_SQL_NO_RELATION when it is one too many. */
size_t ps_sql_add_relation(struct ps_sql_parser *p,
                           const struct ps_sql_name *name, unsigned use,
                           const struct ps_sql_token *at);
/* A call of this function: notes what it means for the answer. */
struct ps_sql_function_info ps_sql_call(struct ps_sql_parser *p,
                                        const struct ps_sql_name *name,
                                        size_t n_args,
                                        const struct ps_sql_token *at);
void ps_sql_unknown_function(struct ps_sql_parser *p, struct ps_str schema,
                             struct ps_str name, const struct ps_sql_token *at);
/* A statement whose effect is not known: everything may change. */
void ps_sql_writes_all(struct ps_sql_parser *p);

/* ---- expressions (expr.c) ---- */

/* From loose to tight. */
enum ps_sql_level {
    PS_LEVEL_OR = 1,
    PS_LEVEL_AND,
    PS_LEVEL_NOT,
    PS_LEVEL_IS,
    PS_LEVEL_COMPARE,
    PS_LEVEL_RANGE, /* BETWEEN IN LIKE */
    PS_LEVEL_OTHER, /* any other operator */
    PS_LEVEL_ADD,
    PS_LEVEL_MULTIPLY,
    PS_LEVEL_POWER,
    PS_LEVEL_AT_ZONE,
    PS_LEVEL_COLLATE,
    PS_LEVEL_UNARY
};

void ps_sql_expr(struct ps_sql_parser *p, struct ps_sql_expr *out);
/* Binds at least as tightly as level. */
void ps_sql_expr_level(struct ps_sql_parser *p, int level,
                       struct ps_sql_expr *out);
/* A comma list up to, not including, what is no comma; how many. */
size_t ps_sql_expr_list(struct ps_sql_parser *p);
/* An expression whose value does not matter. */
void ps_sql_skip_expr(struct ps_sql_parser *p);
/* The facts of a condition. */
struct ps_sql_fact *ps_sql_condition(struct ps_sql_parser *p);
/* Behind the function's name, at its parenthesis: arguments, FILTER, OVER.
 * *out tells of single-argument calls what the argument was. */
size_t ps_sql_arguments(struct ps_sql_parser *p, struct ps_sql_expr *first);
void ps_sql_call_tail(struct ps_sql_parser *p);
/* [i], [a:b], [:] */
void ps_sql_subscript(struct ps_sql_parser *p);
/* The expression is read in a way that depends on the clock if it is text
 * (or a time with zone). */
void ps_sql_not_text(struct ps_sql_parser *p, const struct ps_sql_expr *expr,
                     const struct ps_sql_token *at);
/* Value of a STRING, NUMBER or PARAM token. */
bool ps_sql_value_of(struct ps_sql_parser *p, const struct ps_sql_token *t,
                     struct ps_sql_value *out);

/* ---- queries (query.c, from.c) ---- */

/* Here stands ( SELECT ..., with any number of parentheses. */
bool ps_sql_at_subquery(const struct ps_sql_parser *p);
/* SELECT, VALUES, TABLE, WITH or (. */
bool ps_sql_at_query(const struct ps_sql_parser *p);
/* A whole query; WITH may end in INSERT, UPDATE, DELETE or MERGE when
 * top is true. */
void ps_sql_query(struct ps_sql_parser *p, bool top);
/* ( query ), at its parenthesis; the columns of `outer` are visible. */
void ps_sql_subquery(struct ps_sql_parser *p, struct ps_sql_scope *outer);
void ps_sql_order_by(struct ps_sql_parser *p);
void ps_sql_window(struct ps_sql_parser *p);
/* WITH ...: the new names are visible until ps_sql_ctes_end. */
struct ps_sql_cte *ps_sql_with(struct ps_sql_parser *p);
void ps_sql_ctes_end(struct ps_sql_parser *p, struct ps_sql_cte *before);
void ps_sql_from_list(struct ps_sql_parser *p);
/* f(...) as it stands in FROM; behind it [WITH ORDINALITY] and an alias, whose
 * list may tell types, (a integer, b text). */
void ps_sql_function_item(struct ps_sql_parser *p, struct ps_sql_name *name);
void ps_sql_function_alias(struct ps_sql_parser *p, struct ps_str name);
void ps_sql_column_types(struct ps_sql_parser *p);
/* [AS] alias [(column, ...)]; false when there is none. */
bool ps_sql_alias(struct ps_sql_parser *p, struct ps_str *name, bool *renamed);
/* A table that is read or written: name, alias, and its place in the scope.
 * NULL for what is not a base relation. */
enum ps_sql_alias_rule {
    PS_SQL_ALIAS_NONE,
    PS_SQL_ALIAS_WITH_AS,
    PS_SQL_ALIAS_ANY
};
struct ps_sql_source *ps_sql_target(struct ps_sql_parser *p, unsigned use,
                                    enum ps_sql_alias_rule rule);
/* What SELECT or RETURNING gives back. */
void ps_sql_targets(struct ps_sql_parser *p);

/* ---- INSERT, UPDATE, DELETE, MERGE (dml.c) ---- */

/* At one of these words; false when it is none of them. */
bool ps_sql_dml(struct ps_sql_parser *p);

/* ---- scopes (scope.c) ---- */

void ps_sql_scope_push(struct ps_sql_parser *p, struct ps_sql_scope *scope,
                       struct ps_sql_scope *outer);
/* Leaves the scope and writes what it knows into its relations. */
void ps_sql_scope_finish(struct ps_sql_parser *p, struct ps_sql_scope *scope);
struct ps_sql_source *ps_sql_scope_add(struct ps_sql_parser *p,
                                       struct ps_str alias, size_t relation);
/* Which sources a condition speaks about: `visible` and later can be
 * named; facts bind only what lies in [from, to). */
struct ps_sql_reach {
    size_t visible, from, to;
};
void ps_sql_scope_bind(struct ps_sql_parser *p, struct ps_sql_scope *scope,
                       struct ps_sql_fact *facts, struct ps_sql_reach reach);
/* The base relation whose column this surely is, or NULL. */
struct ps_sql_source *ps_sql_scope_find(const struct ps_sql_parser *p,
                                        const struct ps_sql_scope *scope,
                                        const struct ps_sql_column *column,
                                        size_t visible);

/* ---- the text as a whole (analyse.c) ---- */

struct ps_sql_span {
    size_t offset, len;
};
/* The statements of a text, each with the `;` and the space behind it:
 * together they are the text. */
PS_MUST_USE enum ps_rc ps_sql_split(enum ps_dialect dialect, unsigned modes,
                                    struct ps_str text, struct ps_arena *arena,
                                    struct ps_sql_span **spans, size_t *n);

#endif
