/*
 * The T-SQL dialect, SQL Server 2012 to 2022: the constant that ties its files
 * together. QUOTED_IDENTIFIER, ANSI_NULLS and the like are on, LANGUAGE,
 * DATEFIRST and DATEFORMAT fixed: the canonical session.
 */
#include "agent/sql/ts.h"

const struct ps_sql_dialect ps_sql_dialect_tsql = {
    .id = PS_DIALECT_TSQL,
    .next = ps_sql_ts_next,
    .reserved_name = TS_RES,
    .reserved_func = TS_RES,
    .needs_as = TS_RES,
    .reserved_label = TS_RES,
    .string_alias = true,
    .bare_alias = true,
    .empty_parts = true,
    .cte_sees_itself = true,
    .fold_columns = true,
    .loose_equality = true,
    .decode_string = ps_sql_ts_decode_string,
    .param = ps_sql_ts_param,
    .decode_name = ps_sql_ts_decode_name,
    .known_operator = ps_sql_ts_operator,
    .find_function = ps_sql_ts_function,
    .binary_level = ps_sql_ts_binary_level,
    .statement = ps_sql_ts_statement,
    .word_expr = ps_sql_ts_word_expr,
    .cast = ps_sql_ts_cast,
    .word_operator = ps_sql_ts_word_operator,
    .call_result = ps_sql_ts_call_result,
    .same_alias = ps_sql_ts_surely_same,
    .select_options = ps_sql_ts_select_options,
    .query_tail = ps_sql_ts_query_tail,
    .dml = ps_sql_ts_dml,
    .table_suffix = ps_sql_ts_table_suffix,
    .table_tail = ps_sql_ts_table_tail,
    .join_word = ps_sql_ts_join_word,
    .select_into = ps_sql_ts_select_into,
    .from_item = ps_sql_ts_from_item,
    .relation_reason = ps_sql_ts_relation_reason,
};
