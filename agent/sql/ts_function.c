/*
 * Names that SQL Server knows by itself: functions, operators, system
 * relations.
 *
 * Source: Microsoft Learn, "Deterministic and nondeterministic functions"
 * (docs/relational-databases/user-defined-functions), and the pages of the
 * functions themselves, SQL Server 2012 to 2022. By hand: no server is at hand
 * whose catalogue could be asked, and sys.all_objects does not tell.
 *
 * Allowed are the built-in functions that are listed there as deterministic,
 * the aggregates and ranking functions (their answer depends on the rows;
 * where rows tie, each answer is one the server might give), and those that
 * are not deterministic only because they read the session's LANGUAGE,
 * DATEFIRST or DATEFORMAT, which the canonical session fixes: DATENAME,
 * DATEPART, DATEDIFF, ISDATE, CAST and CONVERT of dates. Left out on
 * purpose: FORMAT and PARSE (the culture tables of the host), RAND(seed)
 * (plants the session's generator), AT TIME ZONE (the host's time zones),
 * CONTAINS and FREETEXT (their index is filled behind the write).
 *
 * A user's scalar function is always called with its schema. So a bare name
 * that is not here is a built-in we do not know: it may do anything but cannot
 * be vouched for by the catalogue.
 */
#include "agent/sql/ts.h"

static const char immutable[] =
    /* mathematical */
    " abs acos asin atan atn2 ceiling cos cot degrees exp floor log log10 pi "
    "power radians round sign sin sqrt square tan "
    /* strings */
    "ascii char charindex concat concat_ws difference left len lower ltrim "
    "nchar patindex quotename replace replicate reverse right rtrim soundex "
    "space str string_escape stuff substring translate trim unicode upper "
    /* dates; see above */
    "dateadd datediff datediff_big datename datepart date_bucket datetrunc "
    "datefromparts datetime2fromparts datetimefromparts "
    "datetimeoffsetfromparts day eomonth isdate month smalldatetimefromparts "
    "switchoffset timefromparts todatetimeoffset year "
    /* logic, NULL, types */
    "choose iif isnull isnumeric greatest least datalength "
    /* JSON */
    "isjson json_modify json_path_exists json_query json_value json_array "
    /* bits and bytes */
    "bit_count get_bit set_bit left_shift right_shift "
    "decompress hashbytes checksum binary_checksum parsename "
    /* aggregates */
    "approx_count_distinct avg checksum_agg count count_big grouping "
    "grouping_id max min stdev stdevp string_agg sum var varp "
    /* windows */
    "row_number rank dense_rank ntile lag lead first_value last_value "
    "cume_dist percent_rank percentile_cont percentile_disc ";

/* Clock, session and catalogue: the value moves, nothing else happens. What is
 * on no list at all is treated worse. */
static const char stable[] =
    " getdate getutcdate sysdatetime sysdatetimeoffset sysutcdatetime "
    "current_timezone current_timezone_id newid newsequentialid rand "
    "crypt_gen_random format "
    "scope_identity ident_current ident_incr ident_seed rowcount_big "
    "session_context context_info app_name host_id host_name "
    "suser_id suser_sid suser_sname suser_name user_id user_name "
    "original_login is_member is_rolemember is_srvrolemember has_perms_by_name "
    "has_dbaccess permissions connectionproperty sessionproperty "
    "serverproperty databasepropertyex databaseproperty current_request_id "
    "current_transaction_id min_active_rowversion xact_state "
    "error_line error_message error_number error_procedure error_severity "
    "error_state formatmessage cursor_status trigger_nestlevel "
    "object_id object_name object_schema_name object_definition "
    "objectproperty objectpropertyex schema_id schema_name db_id db_name "
    "original_db_name "
    "col_length col_name columnproperty type_id type_name typeproperty "
    "index_col indexkey_property indexproperty stats_date file_id file_name "
    "filegroup_id filegroup_name fileproperty getansinull columns_updated "
    "applock_mode applock_test fulltextcatalogproperty "
    "fulltextserviceproperty publishingservername getfilenamespacepath ";

static const char table_functions[] = " string_split openjson generate_series ";

struct ps_sql_function_info
ps_sql_ts_function(struct ps_str name, size_t n_args)
{
    struct ps_sql_function_info info = {.kind = PS_FN_SESSION};

    (void)n_args;
    if (ps_sql_ts_on_list(name, immutable))
        info.kind = PS_FN_IMMUTABLE;
    else if (ps_sql_ts_on_list(name, stable))
        info.kind = PS_FN_VOLATILE;
    if (ps_str_eq_nocase(name, PS_STR("rand")) && n_args)
        info.kind = PS_FN_SESSION;
    return info;
}

bool
ps_sql_ts_table_function(struct ps_str name)
{
    return ps_sql_ts_on_list(name, table_functions);
}

/* Compound assignments are operators of SET, not of expressions. */
bool
ps_sql_ts_operator(struct ps_str text)
{
    return ps_sql_ts_on_list(text,
                             " + - * / % & | ^ ~ = < > <= >= <> != !< !> || ");
}

/* sys and INFORMATION_SCHEMA, and the views of old (sysobjects, in every
 * schema). A table of one's own may be called sys-something: not worth the
 * doubt. # and ## are temporary. */
enum ps_sql_reason
ps_sql_ts_relation_reason(struct ps_str schema, struct ps_str name)
{
    if (name.len && name.ptr[0] == '#')
        return PS_SQL_REASON_TEMPORARY_TABLE;
    if (schema.ptr && ps_sql_ts_on_list(schema, " sys information_schema "))
        return PS_SQL_REASON_SYSTEM_CATALOG;
    struct ps_str start = {.ptr = name.ptr, .len = PS_MIN(name.len, (size_t)3)};
    return ps_str_eq_nocase(start, PS_STR("sys")) ? PS_SQL_REASON_SYSTEM_CATALOG
                                                  : PS_SQL_REASON_NONE;
}
