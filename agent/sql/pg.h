/*
 * What the files of the PostgreSQL dialect share.
 */
#ifndef PS_AGENT_SQL_PG_H
#define PS_AGENT_SQL_PG_H

#include "agent/sql/parser.h"

/* pg_lex.c */
void ps_sql_pg_next(struct ps_sql_lexer *lex, struct ps_sql_token *token);

/* pg_text.c: values of literals and names */
bool ps_sql_pg_decode_string(struct ps_sql_parser *p,
                             const struct ps_sql_token *t, struct ps_str *out);
bool ps_sql_pg_decode_name(struct ps_sql_parser *p,
                           const struct ps_sql_token *t, struct ps_str *out);
bool ps_sql_pg_param(struct ps_sql_parser *p, const struct ps_sql_token *t,
                     struct ps_sql_value *out);
bool ps_sql_pg_text_is_clock(struct ps_str text);

/* pg_function.c */
struct ps_sql_function_info ps_sql_pg_function(struct ps_str name,
                                               size_t n_args);
bool ps_sql_pg_operator(struct ps_str text);
enum ps_sql_reason ps_sql_pg_relation_reason(struct ps_str schema,
                                             struct ps_str name);

/* pg_expr.c: forms of expressions and types */
bool ps_sql_pg_word_expr(struct ps_sql_parser *p, struct ps_sql_expr *out);
void ps_sql_pg_cast(struct ps_sql_parser *p, struct ps_sql_expr *expr,
                    const struct ps_sql_token *at);
int ps_sql_pg_binary_level(const struct ps_sql_parser *p,
                           const struct ps_sql_token *t);
int ps_sql_pg_word_level(const struct ps_sql_parser *p);
void ps_sql_pg_word_operator(struct ps_sql_parser *p, struct ps_sql_expr *left,
                             int level);
/* CURRENT_DATE, USER and their kin. */
bool ps_sql_pg_session_word(struct ps_sql_parser *p);
bool ps_sql_pg_is_test(struct ps_sql_parser *p);
void ps_sql_pg_call_result(struct ps_sql_parser *p,
                           const struct ps_sql_name *name, size_t n_args,
                           const struct ps_sql_expr *first,
                           struct ps_sql_expr *out,
                           const struct ps_sql_token *at);

/* pg_form.c: behind the word `at`, at its parenthesis; false: it has no form
 * of its own. */
bool ps_sql_pg_form(struct ps_sql_parser *p, const struct ps_sql_token *at);
bool ps_sql_pg_from_item(struct ps_sql_parser *p);

/* pg_statement.c */
void ps_sql_pg_statement(struct ps_sql_parser *p);
void ps_sql_pg_select_into(struct ps_sql_parser *p);

#endif
