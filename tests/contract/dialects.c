#include "tests/contract/dialects.h"

#define POSTGRES                                                             \
    .port_env = "PS_PG_PORT",                                                \
    .null_and_empty = "select null::text as v, '' as e",                     \
    .no_rows = "select 1 as v where false",                                  \
    .make_table = "create temp table t (a int)",                             \
    .make_table_command = "CREATE TABLE",                                    \
    .insert_three = "insert into t values (1), (2), (3)",                    \
    .hundred_thousand = "select i from generate_series(1, 100000) i",        \
    .fifty_thousand = "select i from generate_series(1, 50000) i",           \
    .ten_mebibytes = "select repeat('0', 10485760) as v",                    \
    .beyond_the_basic_plane = "select '🎉𝄞é日' as \"🦆 x\"",        \
    .beyond_json = "[{\"🦆 x\":\"🎉𝄞é日\"}]", .begin = "begin",     \
    .rollback = "rollback", .divide_by_zero = "select 1/0",                  \
    .sleep = "select pg_sleep(60)",                                          \
    .end_self = "select pg_terminate_backend(pg_backend_pid())",             \
    .end_others =                                                            \
        "select pg_terminate_backend(pid) from pg_stat_activity where "      \
        "usename = 'app' and pid <> pg_backend_pid()",                       \
    .refused = {                                                             \
        {"select 1/0",                                        "22012", "division by zero"                  },                         \
        {"selekt 1",                                          "42601", "syntax error at or near \"selekt\""},         \
        {"select * from missing",                             "42P01",                                   \
         "relation \"missing\" does not exist"                                                             },                             \
        {"select '🎉'::int",                                "22P02",                                         \
         "invalid input syntax for type integer: \"🎉\""                                                 },                    \
        {"do $$ begin raise exception 'own words' using errcode = 'P1234', " \
         "hint = 'a hint', detail = 'more'; end $$", "P1234", "own words (more) (hint: a hint)"   },                        \
    }

#define COUNT_TO(n)                                                \
    "with c (i) as (select 1 union all select i + 1 from c where " \
    "i < " n ") select i from c option (maxrecursion 0)"

/* Is told what PostgreSQL would answer. */
static const struct dialect fake = {
    .name = "fake", .provider = PS_PROVIDER_POSTGRES, .fake = true, POSTGRES};

static const struct dialect postgres = {
    .name = "postgres", .provider = PS_PROVIDER_POSTGRES, POSTGRES};

static const struct dialect mssql = {
    .name = "mssql",
    .provider = PS_PROVIDER_MSSQL,
    .port_env = "PS_TDS_PORT",
    .ca_env = "PS_TDS_CA",
    .null_and_empty = "select cast(null as nvarchar(9)) as v, '' as e",
    .no_rows = "select 1 as v where 1 = 0",
    .make_table = "create table t (a int)",
    .make_table_command = "CREATE",
    .insert_three = "insert into t values (1), (2), (3)",
    .hundred_thousand = COUNT_TO("100000"),
    .fifty_thousand = COUNT_TO("50000"),
    .ten_mebibytes = "select replicate(cast('0' as varchar(max)), "
                     "10485760) as v",
    .beyond_the_basic_plane = "select N'🎉𝄞é日' as [🦆 x]",
    .beyond_json = "[{\"🦆 x\":\"🎉𝄞é日\"}]",
    .begin = "begin transaction",
    .rollback = "rollback",
    .divide_by_zero = "select 1/0",
 /* Error 266, as for every sp_executesql that leaves it otherwise. */
    .transaction_rc = PS_ORIGIN_SQL,
    .sleep = "waitfor delay '00:01:00'",
    .end_self = "raiserror(N'own end', 20, 1) with log",
    .end_others = "declare @k nvarchar(99); select @k = N'kill ' + "
                  "cast(max(session_id) as nvarchar(9)) from "
                  "sys.dm_exec_sessions where session_id < @@spid; "
                  "exec(@k)",
    .refused =
        {
                  {"select 1/0", "8134", "Divide by zero error encountered."},
                  {"selekt 1", "2812", "Could not find stored procedure 'selekt'."},
                  {"select * from missing", "208", "Invalid object name 'missing'."},
                  {"select cast(N'🎉' as int)", "245",
             "Conversion failed when converting the nvarchar value '🎉' "
             "to data type int."},
                  {"throw 50123, N'own words', 1", "50123", "own words"},
                  },
};

static const struct dialect mariadb = {
    .name = "mariadb",
    .provider = PS_PROVIDER_MARIADB,
    .port_env = "PS_MY_PORT",
    .null_and_empty = "select cast(null as char) as v, '' as e",
    .no_rows = "select 1 as v from dual where false",
    .make_table = "create temporary table t (a int)",
    .insert_three = "insert into t values (1), (2), (3)",
    .hundred_thousand = "select seq as i from seq_1_to_100000",
    .fifty_thousand = "select seq as i from seq_1_to_50000",
    .ten_mebibytes = "select repeat('0', 10485760) as v",
 /* The server has no names beyond the basic plane. */
    .beyond_the_basic_plane = "select '🎉𝄞é日' as `é日 x`",
    .beyond_json = "[{\"é日 x\":\"🎉𝄞é日\"}]",
    .begin = "begin",
    .rollback = "rollback",
    .divide_by_zero = "select exp(1000)", /* 1/0 is NULL */
    .sleep = "select sleep(60)",
    .end_self = "kill connection_id()",
    .end_others = "kill user app", /* and itself */
    .no_commands = true,
    .refused =
        {
                  {"select exp(1000)", "22003",
             "DOUBLE value is out of range in 'exp(1000)' (errno 1690)"},
                  {"selekt 1", "42000",
             "You have an error in your SQL syntax; check the manual that "
             "corresponds to your MariaDB server version for the right syntax "
             "to use near 'selekt 1' at line 1 (errno 1064)"},
                  {"select * from missing", "42S02",
             "Table 'app.missing' doesn't exist (errno 1146)"},
                  {"signal sqlstate '45000' set message_text = 'own words é', "
             "mysql_errno = 1234",
             "45000", "own words é (errno 1234)"},
                  },
};

static const struct dialect *const dialects[] = {&fake, &postgres, &mariadb,
                                                 &mssql};

const struct dialect *
dialect_find(const char *name)
{
    for (size_t i = 0; i < PS_ARRAY_LEN(dialects); i++) {
        if (strcmp(dialects[i]->name, name) == 0)
            return dialects[i];
    }
    return NULL;
}
