/*
 * Names that MySQL and MariaDB know by themselves: functions (generated
 * table), operators, system relations.
 *
 * Default deny: what is not here is unknown and left to the catalogue. A name
 * that is here means the built-in: a stored function of the same name must be
 * qualified to be called, and a qualified call is always unknown.
 */
#include "agent/sql/my.h"
#include "agent/sql/my_functions.inc"

static enum ps_sql_function_kind
kind_of(char letter)
{
    switch (letter) {
    case 'I':
        return PS_FN_IMMUTABLE;
    case 'S':
        return PS_FN_STABLE;
    case 'V':
        return PS_FN_VOLATILE;
    case 'E':
        return PS_FN_SESSION;
    default:
        return PS_FN_UNKNOWN;
    }
}

bool
ps_sql_my_in_list(struct ps_str name, const char *list)
{
    char needle[32];
    if (name.len == 0 || name.len > sizeof(needle) - 2)
        return false;
    needle[0] = ' ';
    for (size_t i = 0; i < name.len; i++)
        needle[i + 1] = (char)ps_sql_lower((unsigned char)name.ptr[i]);
    needle[name.len + 1] = ' ';
    return memmem(list, strlen(list), needle, name.len + 2);
}

struct ps_sql_function_info
ps_sql_my_function(struct ps_str name, size_t n_args)
{
    struct ps_sql_function_info info = {.kind = PS_FN_UNKNOWN};
    uint32_t hash = PS_SQL_HASH_START;

    for (size_t i = 0; i < name.len; i++)
        hash = ps_sql_hash_step(hash, ps_sql_lower((unsigned char)name.ptr[i]));
    for (uint32_t at = hash & (FUNCTION_SLOTS - 1); function_slots[at];
         at = (at + 1) & (FUNCTION_SLOTS - 1)) {
        const char *found = function_names[function_slots[at] - 1];
        if (ps_str_eq_nocase(name, ps_str_of(found + 1))) {
            info.kind = kind_of(found[0]);
            break;
        }
    }
    /* Without an argument it is the clock. */
    if (n_args == 0 && ps_sql_my_in_list(name, " unix_timestamp "))
        info.kind = PS_FN_STABLE;
    return info;
}

/* The functions that the lexer itself knows (sql/lex.h): with a space before
 * the parenthesis they are names of stored functions, unless IGNORE_SPACE is
 * set. */
bool
ps_sql_my_is_tight_function(struct ps_str name)
{
    return ps_sql_my_in_list(
        name, " adddate bit_and bit_or bit_xor cast count curdate curtime "
              "date_add date_sub date_format decode dense_rank cume_dist "
              "extract first_value group_concat json_arrayagg json_objectagg "
              "lag lead max median mid min now nth_value ntile percentile_cont "
              "percentile_disc percent_rank position rank row_number "
              "session_user std stddev stddev_pop stddev_samp st_collect "
              "subdate substr substring sum sysdate system_user trim "
              "trim_oracle variance var_pop var_samp ");
}

bool
ps_sql_my_operator(struct ps_str text)
{
    return ps_sql_my_in_list(text, " + - * / % & | ^ ~ ! = < > <= >= <> != "
                                   "<=> << >> && || -> ->> div mod xor ");
}

/* Compared without case, as some servers do: a database of one's own that is
 * called SYS loses its answers, no more. */
enum ps_sql_reason
ps_sql_my_relation_reason(struct ps_str schema, struct ps_str name)
{
    (void)name;
    return schema.ptr && ps_sql_my_in_list(schema, " mysql information_schema "
                                                   "performance_schema sys ")
               ? PS_SQL_REASON_SYSTEM_CATALOG
               : PS_SQL_REASON_NONE;
}
