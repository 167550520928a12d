/*
 * The dialect of MySQL 5.7-8 and MariaDB 10-11: the constant that ties its
 * files together. Where the servers differ, what one of them would do counts.
 */
#include "agent/sql/my.h"

/* Whether names of tables tell case is a setting of the server. As if they did
 * not: two sources that only case tells apart are ambiguous then, which proves
 * nothing, and no name means another table. */
static bool
same_alias(struct ps_str a, struct ps_str b)
{
    return ps_str_eq_nocase(a, b);
}

const struct ps_sql_dialect ps_sql_dialect_mysql = {
    .id = PS_DIALECT_MYSQL,
    .next = ps_sql_my_next,
    .reserved_name = MY_RES,
    .reserved_func = MY_RES & ~(unsigned)MY_CALL,
    .needs_as = MY_CALL,
    .string_alias = true,
    .fold_columns = true,
    .loose_equality = true,
    .decode_string = ps_sql_my_decode_string,
    .param = ps_sql_my_param,
    .decode_name = ps_sql_my_decode_name,
    .known_operator = ps_sql_my_operator,
    .find_function = ps_sql_my_function,
    .other_expr = ps_sql_my_other_expr,
    .range_word = ps_sql_my_range_word,
    .binary_level = ps_sql_my_binary_level,
    .statement = ps_sql_my_statement,
    .word_expr = ps_sql_my_word_expr,
    .cast = ps_sql_my_cast,
    .word_operator = ps_sql_my_word_operator,
    .call_result = ps_sql_my_call_result,
    .same_alias = same_alias,
    .select_into = ps_sql_my_select_into,
    .select_options = ps_sql_my_select_options,
    .query_tail = ps_sql_my_query_tail,
    .dml = ps_sql_my_dml,
    .table_suffix = ps_sql_my_table_suffix,
    .table_tail = ps_sql_my_table_tail,
    .join_word = ps_sql_my_join_word,
    .from_item = ps_sql_my_from_item,
    .relation_reason = ps_sql_my_relation_reason,
};
