/*
 * What the files of the T-SQL dialect share.
 */
#ifndef PS_AGENT_SQL_TS_H
#define PS_AGENT_SQL_TS_H

#include "agent/sql/parser.h"

/* ts_lex.c */
void ps_sql_ts_next(struct ps_sql_lexer *lex, struct ps_sql_token *token);

/* ts_text.c: values of literals and names, and when two names are one */
bool ps_sql_ts_decode_string(struct ps_sql_parser *p,
                             const struct ps_sql_token *t, struct ps_str *out);
bool ps_sql_ts_decode_name(struct ps_sql_parser *p,
                           const struct ps_sql_token *t, struct ps_str *out);
bool ps_sql_ts_param(struct ps_sql_parser *p, const struct ps_sql_token *t,
                     struct ps_sql_value *out);
/* The token is this unquoted word (in lower case), which words.def need not
 * know. */
bool ps_sql_ts_is(const struct ps_sql_parser *p, const struct ps_sql_token *t,
                  const char *word);
/* The token is one of the unquoted words of a list like " a b c ". */
bool ps_sql_ts_is_any(const struct ps_sql_parser *p,
                      const struct ps_sql_token *t, const char *list);
/* Takes the word when it comes next. */
bool ps_sql_ts_accept(struct ps_sql_parser *p, const char *word);
/* The name, in lower case, is on a list like " a b c ". */
bool ps_sql_ts_on_list(struct ps_str name, const char *list);
/* Under some collation of the database both names may mean one thing. */
bool ps_sql_ts_maybe_same(struct ps_str a, struct ps_str b);
/* Both names mean one thing under every collation. */
bool ps_sql_ts_surely_same(struct ps_str a, struct ps_str b);

/* ts_function.c */
struct ps_sql_function_info ps_sql_ts_function(struct ps_str name,
                                               size_t n_args);
/* May stand in FROM of a cacheable read. */
bool ps_sql_ts_table_function(struct ps_str name);
bool ps_sql_ts_operator(struct ps_str text);
enum ps_sql_reason ps_sql_ts_relation_reason(struct ps_str schema,
                                             struct ps_str name);

/* ts_expr.c: forms of expressions and types */
bool ps_sql_ts_word_expr(struct ps_sql_parser *p, struct ps_sql_expr *out);
void ps_sql_ts_cast(struct ps_sql_parser *p, struct ps_sql_expr *expr,
                    const struct ps_sql_token *at);
int ps_sql_ts_binary_level(const struct ps_sql_parser *p,
                           const struct ps_sql_token *t);
void ps_sql_ts_word_operator(struct ps_sql_parser *p, struct ps_sql_expr *left,
                             int level);
void ps_sql_ts_call_result(struct ps_sql_parser *p,
                           const struct ps_sql_name *name, size_t n_args,
                           const struct ps_sql_expr *first,
                           struct ps_sql_expr *out,
                           const struct ps_sql_token *at);

/* ts_query.c: SELECT and FROM */
void ps_sql_ts_select_options(struct ps_sql_parser *p);
/* TOP (n) [PERCENT] [WITH TIES], where it may stand. */
void ps_sql_ts_top(struct ps_sql_parser *p);
bool ps_sql_ts_query_tail(struct ps_sql_parser *p);
/* (...) that holds no statement and no call: passed over. */
void ps_sql_ts_skip_parenthesis(struct ps_sql_parser *p);
/* OPTION (...), where it may stand. */
bool ps_sql_ts_option(struct ps_sql_parser *p);
void ps_sql_ts_select_into(struct ps_sql_parser *p);
bool ps_sql_ts_from_item(struct ps_sql_parser *p);
void ps_sql_ts_table_suffix(struct ps_sql_parser *p);
void ps_sql_ts_table_tail(struct ps_sql_parser *p,
                          struct ps_sql_source *source);
/* WITH (hint, ...), where it may stand. */
void ps_sql_ts_table_hints(struct ps_sql_parser *p);
bool ps_sql_ts_join_word(struct ps_sql_parser *p, struct ps_sql_join *join);

/* ts_dml.c: INSERT, UPDATE, DELETE, MERGE */
void ps_sql_ts_dml(struct ps_sql_parser *p, enum ps_sql_word verb);

/* ts_statement.c */
void ps_sql_ts_statement(struct ps_sql_parser *p);
/* The word begins a statement wherever it stands outside of parentheses. */
bool ps_sql_ts_begins_statement(uint16_t word);
/* Passes over a statement that is not read: up to the next word that begins
 * another one, outside of parentheses. */
void ps_sql_ts_skip(struct ps_sql_parser *p);

#endif
