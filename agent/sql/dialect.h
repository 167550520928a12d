/*
 * A dialect: its lexer, its names, its functions, and the hooks where its
 * grammar leaves the common ground. One constant per dialect (pg.c, ...);
 * README.md tells how to add one.
 */
#ifndef PS_AGENT_SQL_DIALECT_H
#define PS_AGENT_SQL_DIALECT_H

#include "agent/sql/token.h"

struct ps_sql_parser;
struct ps_sql_expr;
struct ps_sql_name;
struct ps_sql_source;
struct ps_sql_join;

/* What is known of a function name. */
enum ps_sql_function_kind {
    PS_FN_UNKNOWN,   /* not a built-in: the catalogue may know */
    PS_FN_IMMUTABLE, /* or fixed by the canonical session */
    PS_FN_STABLE,    /* moves with clock, session or catalogue; no effect */
    PS_FN_VOLATILE,  /* moves; no effect on tables or the session */
    PS_FN_SESSION,   /* may leave something in the session or act elsewhere */
    PS_FN_WRITES     /* may change any table */
};

struct ps_sql_function_info {
    enum ps_sql_function_kind kind;
    bool set_returning; /* may stand in FROM of a cacheable read */
    bool writes;        /* a SESSION one that changes what others see, too */
};

struct ps_sql_dialect {
    enum ps_dialect id;
    /* The next token; the lexer is not at its end. Parameters that stand for
     * themselves (?) are numbered by ps_sql_lex_all. */
    void (*next)(struct ps_sql_lexer *lex, struct ps_sql_token *token);
    /* Unquoted identifiers fold to lower case. */
    bool fold_lower;
    size_t max_identifier; /* bytes kept of a name; 0: all */
    /* Flags of words.def. */
    unsigned reserved_name;  /* cannot name a column or table unquoted */
    unsigned reserved_func;  /* cannot name a function or type unquoted */
    unsigned needs_as;       /* cannot be a column's alias without AS */
    unsigned reserved_label; /* not even behind AS or a dot */
    /* The schema whose functions are built in, qualified; absent: none. */
    struct ps_str system_schema;
    bool string_alias;    /* a string may be a column's alias */
    bool bare_alias;      /* a table's alias takes no list of columns */
    bool empty_parts;     /* db..t: a part of a name may be missing */
    bool cte_sees_itself; /* without the word RECURSIVE */
    bool boolean_type;    /* TRUE is not 1, and a bare column may be a
                             condition: it is true of TRUE alone */
    bool fold_columns;    /* columns' names do not tell case: fold them */
    bool loose_equality;  /* a = b and b = c do not prove a = c, as types
                             differ: carry nothing over equalities */
    /* Value of a STRING token. False: the bytes cannot be told. */
    bool (*decode_string)(struct ps_sql_parser *p,
                          const struct ps_sql_token *token, struct ps_str *out);
    /* Index or name of a PARAM token. */
    bool (*param)(struct ps_sql_parser *p, const struct ps_sql_token *token,
                  struct ps_sql_value *out);
    /* Name of a QUOTED token, not yet cut to max_identifier. */
    bool (*decode_name)(struct ps_sql_parser *p,
                        const struct ps_sql_token *token, struct ps_str *out);
    /* See ps_sql_text_is_clock. */
    bool (*text_is_clock)(struct ps_str text);
    /* An operator of this spelling is built in and depends on nothing. */
    bool (*known_operator)(struct ps_str text);
    struct ps_sql_function_info (*find_function)(struct ps_str name,
                                                 size_t n_args);
    /* May be NULL: an expression that begins with what is neither word nor
     * literal (@v): parse it and return true. */
    bool (*other_expr)(struct ps_sql_parser *p, struct ps_sql_expr *out);
    /* May be NULL: how tightly the word at the position binds as an operator
     * of the dialect's own, which word_operator takes; 0: it is none. */
    int (*word_level)(const struct ps_sql_parser *p);
    /* May be NULL: this word is an operator like LIKE (RLIKE, REGEXP). */
    bool (*range_word)(uint16_t word);
    /* How tightly a binary operator binds (enum ps_sql_level), 0: none. */
    int (*binary_level)(const struct ps_sql_parser *p,
                        const struct ps_sql_token *token);
    /* Parses the statement at the parser's position to its end (behind its
     * `;`, which it finds itself) and adds what it does to the analysis.
     * Must move forward. */
    void (*statement)(struct ps_sql_parser *p);
    /* An expression that begins with a word has a form of its own here
     * (EXTRACT(x FROM y), CURRENT_DATE, ...): parse it and return true, or
     * leave the position alone and return false. */
    bool (*word_expr)(struct ps_sql_parser *p, struct ps_sql_expr *out);
    /* At a type's name, behind :: or CAST(x AS: parses it and makes *expr
     * what the cast makes of it. */
    void (*cast)(struct ps_sql_parser *p, struct ps_sql_expr *expr,
                 const struct ps_sql_token *at);
    /* AT TIME ZONE, COLLATE and what else is an operator by its word; the
     * position is at the word. */
    void (*word_operator)(struct ps_sql_parser *p, struct ps_sql_expr *left,
                          int level);
    /* May be NULL: behind IS [NOT], a test of the dialect's own. */
    bool (*is_test)(struct ps_sql_parser *p);
    /* May be NULL: what a call is worth (a time, say), or more to refuse. */
    void (*call_result)(struct ps_sql_parser *p, const struct ps_sql_name *name,
                        size_t n_args, const struct ps_sql_expr *first,
                        struct ps_sql_expr *out, const struct ps_sql_token *at);
    /* Two names of tables or aliases mean the same thing in a scope. */
    bool (*same_alias)(struct ps_str a, struct ps_str b);
    /* At INTO, behind the targets of a SELECT. */
    void (*select_into)(struct ps_sql_parser *p);
    /* May be NULL: behind SELECT [DISTINCT | ALL]. */
    void (*select_options)(struct ps_sql_parser *p);
    /* May be NULL: behind a query, in place of what is common (LIMIT, FOR
     * UPDATE, ...). False: nothing of the dialect's own is there. */
    bool (*query_tail)(struct ps_sql_parser *p);
    /* May be NULL: INSERT, UPDATE, DELETE, MERGE with a grammar of its own, in
     * place of dml.c; the position is at the word. */
    void (*dml)(struct ps_sql_parser *p, enum ps_sql_word verb);
    /* May be NULL: between a table's name and its alias. */
    void (*table_suffix)(struct ps_sql_parser *p);
    /* May be NULL: behind the alias of an item of FROM, which is `source`
     * (or NULL). */
    void (*table_tail)(struct ps_sql_parser *p, struct ps_sql_source *source);
    /* May be NULL: a join in words of the dialect's own; false: none. */
    bool (*join_word)(struct ps_sql_parser *p, struct ps_sql_join *join);
    /* May be NULL: an item of FROM in a form of the dialect's own. */
    bool (*from_item)(struct ps_sql_parser *p);
    /* A relation of this name is a system catalogue or a temporary one:
     * the reason, or PS_SQL_REASON_NONE. */
    enum ps_sql_reason (*relation_reason)(struct ps_str schema,
                                          struct ps_str name);
};

/* NULL while the dialect has no analyser. */
const struct ps_sql_dialect *ps_sql_dialect_find(enum ps_dialect id);

extern const struct ps_sql_dialect ps_sql_dialect_postgres;
extern const struct ps_sql_dialect ps_sql_dialect_mysql;
extern const struct ps_sql_dialect ps_sql_dialect_tsql;

#endif
