/*
 * What the files of the MySQL and MariaDB dialect share.
 */
#ifndef PS_AGENT_SQL_MY_H
#define PS_AGENT_SQL_MY_H

#include "agent/sql/parser.h"

/* Comments of three kinds are HINT tokens; `ch` tells which. */
enum {
    MY_HINT_OPTIMIZER = '+', /* all of a slash star plus comment */
    MY_HINT_OPEN = '!',      /* what opens an executable comment */
    MY_HINT_CLOSE = '/'      /* and what closes it */
};

/* my_lex.c */
void ps_sql_my_next(struct ps_sql_lexer *lex, struct ps_sql_token *token);

/* my_text.c: values of literals and names */
bool ps_sql_my_decode_string(struct ps_sql_parser *p,
                             const struct ps_sql_token *t, struct ps_str *out);
bool ps_sql_my_decode_name(struct ps_sql_parser *p,
                           const struct ps_sql_token *t, struct ps_str *out);
bool ps_sql_my_param(struct ps_sql_parser *p, const struct ps_sql_token *t,
                     struct ps_sql_value *out);

/* my_function.c */
struct ps_sql_function_info ps_sql_my_function(struct ps_str name,
                                               size_t n_args);
bool ps_sql_my_operator(struct ps_str text);
enum ps_sql_reason ps_sql_my_relation_reason(struct ps_str schema,
                                             struct ps_str name);
/* A function only where no space comes before its parenthesis. */
bool ps_sql_my_is_tight_function(struct ps_str name);
/* name is in a list of lower-case words with a space around each. */
bool ps_sql_my_in_list(struct ps_str name, const char *list);

/* my_expr.c */
bool ps_sql_my_word_expr(struct ps_sql_parser *p, struct ps_sql_expr *out);
bool ps_sql_my_other_expr(struct ps_sql_parser *p, struct ps_sql_expr *out);
void ps_sql_my_cast(struct ps_sql_parser *p, struct ps_sql_expr *expr,
                    const struct ps_sql_token *at);
int ps_sql_my_binary_level(const struct ps_sql_parser *p,
                           const struct ps_sql_token *t);
void ps_sql_my_word_operator(struct ps_sql_parser *p, struct ps_sql_expr *left,
                             int level);
bool ps_sql_my_range_word(uint16_t word);
void ps_sql_my_call_result(struct ps_sql_parser *p,
                           const struct ps_sql_name *name, size_t n_args,
                           const struct ps_sql_expr *first,
                           struct ps_sql_expr *out,
                           const struct ps_sql_token *at);

/* my_query.c */
void ps_sql_my_select_options(struct ps_sql_parser *p);
void ps_sql_my_select_into(struct ps_sql_parser *p);
bool ps_sql_my_query_tail(struct ps_sql_parser *p);
void ps_sql_my_table_suffix(struct ps_sql_parser *p);
void ps_sql_my_table_tail(struct ps_sql_parser *p,
                          struct ps_sql_source *source);
bool ps_sql_my_join_word(struct ps_sql_parser *p, struct ps_sql_join *join);
bool ps_sql_my_from_item(struct ps_sql_parser *p);
/* ORDER BY and LIMIT of an UPDATE or DELETE. */
void ps_sql_my_limit(struct ps_sql_parser *p);

/* my_dml.c; REPLACE too */
void ps_sql_my_dml(struct ps_sql_parser *p, enum ps_sql_word verb);
/* The assignments of SET in LOAD DATA. */
void ps_sql_my_skip_assignments(struct ps_sql_parser *p);

/* my_comment.c: what executable comments do to a statement */
enum my_comment {
    MY_COMMENT_NONE,     /* there is none, or it changes nothing */
    MY_COMMENT_WHOLE,    /* the whole statement stands in one */
    MY_COMMENT_UNCERTAIN /* with and without it are two statements */
};
/* Of the statement whose tokens are [start, end). */
enum my_comment ps_sql_my_comment(const struct ps_sql_parser *p, size_t start,
                                  size_t end, struct ps_sql_token *at);

/* my_statement.c */
void ps_sql_my_statement(struct ps_sql_parser *p);

#endif
