/*
 * The PostgreSQL dialect, 12 to 17: the constant that ties its files together.
 */
#include "agent/sql/pg.h"

static bool
same_alias(struct ps_str a, struct ps_str b)
{
    return ps_str_eq(a, b); /* folded already */
}

const struct ps_sql_dialect ps_sql_dialect_postgres = {
    .id = PS_DIALECT_POSTGRES,
    .next = ps_sql_pg_next,
    .fold_lower = true,
    .max_identifier = 63, /* NAMEDATALEN - 1 */
    .reserved_name = PG_RES | PG_TYP,
    .reserved_func = PG_RES | PG_COL,
    .needs_as = PG_AS,
    .boolean_type = true,
    .system_schema = {.ptr = "pg_catalog", .len = 10},
    .decode_string = ps_sql_pg_decode_string,
    .param = ps_sql_pg_param,
    .decode_name = ps_sql_pg_decode_name,
    .text_is_clock = ps_sql_pg_text_is_clock,
    .known_operator = ps_sql_pg_operator,
    .find_function = ps_sql_pg_function,
    .binary_level = ps_sql_pg_binary_level,
    .word_level = ps_sql_pg_word_level,
    .statement = ps_sql_pg_statement,
    .word_expr = ps_sql_pg_word_expr,
    .cast = ps_sql_pg_cast,
    .word_operator = ps_sql_pg_word_operator,
    .is_test = ps_sql_pg_is_test,
    .call_result = ps_sql_pg_call_result,
    .same_alias = same_alias,
    .select_into = ps_sql_pg_select_into,
    .from_item = ps_sql_pg_from_item,
    .relation_reason = ps_sql_pg_relation_reason,
};
