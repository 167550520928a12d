/*
 * The catalogue of a MySQL or MariaDB server (5.7, 10.2 and later) as one
 * statement. Its rows are described in catalog_private.h. All databases that
 * the user sees are one catalogue: a statement can name any of them.
 *
 * information_schema shows what the user may see, and no more. So:
 *
 *   a function, table or view that is not seen    is unknown, not harmless
 *   triggers, cascades inside a database          are all seen by who has the
 *       right TRIGGER on it; for anybody else a write there has unknown effects
 *   a cascade from another database               makes a read of the
 *       referencing table depend on the referenced one as well: whoever
 *       writes there may not see this one. To see that takes another right than
 *       SELECT; who has none is kept nothing (hidden_structure)
 *   the text of a view                            is empty: unknown
 *
 * There is no snapshot of it: each part is read by itself. A change of
 * structure that passes through Portside while it is read makes it read again;
 * one that does not is noticed at the next refresh, as any other is.
 *
 * DETERMINISTIC and NO SQL are believed, together (hazard 7); every other
 * function may do anything. Engines whose rows are somewhere else (FEDERATED,
 * CONNECT, MERGE, ...) are foreign tables.
 */
#include "agent/catalog/catalog_private.h"

#include <stdio.h>

/* Not in a name of another length: 3.appt is not 4.appt. */
#define ID(schema, name) "concat(length(" schema "), '.', " schema ", " name ")"
#define OWN(schema)                                                         \
    schema " not in ('mysql', 'information_schema', 'performance_schema', " \
           "'sys')"
/* 'user'@'host', as the tables of privileges write it. */
#define ME                                                           \
    "concat('''', left(current_user(), char_length(current_user()) " \
    "- char_length(substring_index(current_user(), '@', -1)) - 1), " \
    "'''@''', substring_index(current_user(), '@', -1), '''')"
/* Has this user one of these rights on the whole database of t? */
#define HAS(rights)                                                       \
    "((select count(*) from information_schema.schema_privileges p\n"     \
    "    where p.grantee = " ME " and p.privilege_type in (" rights ")\n" \
    "      and t.table_schema like p.table_schema)\n"                     \
    "  + (select count(*) from information_schema.user_privileges p\n"    \
    "    where p.grantee = " ME " and p.privilege_type in (" rights ")) > 0)"
#define MOVES "('CASCADE', 'SET NULL', 'SET DEFAULT')"

/* clang-format off */
static const char query[] =
/* who sees this */
"select 'w', null, null, null, current_user(), null\n"
/* relations */
"union all select 'r', " ID("t.table_schema", "t.table_name") ",\n"
"  concat_ws('|', t.engine, t.table_collation, t.create_time), t.table_schema,\n"
"  t.table_name, concat(\n"
"    case when t.table_type = 'VIEW' then 'v'\n"
"      when t.table_type = 'SEQUENCE' then 'S'\n"
"      when t.table_type in ('BASE TABLE', 'SYSTEM VERSIONED') and t.engine in\n"
"        ('InnoDB', 'MyISAM', 'Aria', 'MEMORY', 'ROCKSDB', 'ARCHIVE') then 'r'\n"
"      else 'f' end,\n"
"    case when t.table_type = 'VIEW' then ''\n"
"      when g.n is not null then 'W'\n"
"      when not " HAS("'TRIGGER'") " then 'W' else '' end,\n"
"    case when t.table_type <> 'VIEW' and not " HAS("'TRIGGER', 'REFERENCES',\n"
"      'INSERT', 'UPDATE', 'DELETE', 'SHOW VIEW'") " then 'H' else '' end)\n"
"from information_schema.tables t left join (\n"
"    select distinct event_object_schema as s, event_object_table as n\n"
"    from information_schema.triggers) g\n"
"  on g.s = t.table_schema and g.n = t.table_name\n"
"where " OWN("t.table_schema") "\n"
/* Columns that rows can be told apart by: integers, their bytes, u unsigned,
 * a when 0 and NULL mean the next number. */
"union all select 'a', " ID("c.table_schema", "c.table_name") ", null, null,\n"
"  lower(c.column_name), concat('i',\n"
"    case c.data_type when 'tinyint' then '1' when 'smallint' then '2'\n"
"      when 'mediumint' then '3' when 'int' then '4' else '8' end,\n"
"    case when c.column_type like '%unsigned%' then 'u' else '' end,\n"
"    case when c.extra like '%auto_increment%' then 'a' else '' end)\n"
"from information_schema.columns c\n"
"where " OWN("c.table_schema") " and c.data_type in ('tinyint', 'smallint',\n"
"    'mediumint', 'int', 'bigint') and c.extra not like '%GENERATED%'\n"
"  and c.column_type not like '%zerofill%'\n"
/* foreign keys that change the referencing rows */
"union all select 'e',\n"
"  " ID("f.unique_constraint_schema", "f.referenced_table_name") ",\n"
"  " ID("f.constraint_schema", "f.table_name") ", null, null, 'k'\n"
"from information_schema.referential_constraints f\n"
"where f.update_rule in " MOVES " or f.delete_rule in " MOVES "\n"
/* ... and those that lead here from another database */
"union all select 'e', " ID("f.constraint_schema", "f.table_name") ",\n"
"  " ID("f.unique_constraint_schema", "f.referenced_table_name") ",\n"
"  null, null, 'v'\n"
"from information_schema.referential_constraints f\n"
"where f.constraint_schema <> f.unique_constraint_schema\n"
"  and (f.update_rule in " MOVES " or f.delete_rule in " MOVES ")\n"
/* definitions of views: what they read is found in them */
"union all select 'd', " ID("v.table_schema", "v.table_name") ", null,\n"
"  v.view_definition, null, null\n"
"from information_schema.views v where " OWN("v.table_schema") "\n"
/* functions */
"union all select 'p', null, concat_ws('|', p.definer, p.security_type),\n"
"  p.routine_schema, p.routine_name,\n"
"  case when p.is_deterministic = 'YES' and p.sql_data_access = 'NO SQL'\n"
"    then 'i-' else 'v-' end\n"
"from information_schema.routines p where p.routine_type = 'FUNCTION'\n"
/* all columns and rights: for the hash */
"union all select 'h', null, c.column_name,\n"
"  concat_ws('|', c.table_schema, c.table_name, c.ordinal_position),\n"
"  concat_ws('|', c.column_type, c.collation_name, c.is_nullable), null\n"
"from information_schema.columns c where " OWN("c.table_schema") "\n"
"union all select 'h', null, p.privilege_type, p.table_schema, null, null\n"
"from information_schema.schema_privileges p where p.grantee = " ME "\n"
"union all select 'h', null, p.privilege_type, p.table_schema,\n"
"  p.table_name, null\n"
"from information_schema.table_privileges p where p.grantee = " ME "\n"
"union all select 'h', null, p.privilege_type, null, null, null\n"
"from information_schema.user_privileges p where p.grantee = " ME;
/* clang-format on */

struct ps_str
ps_catalog_my_query(void)
{
    return (struct ps_str){query, sizeof(query) - 1};
}

uint64_t
ps_catalog_my_id(struct ps_str schema, struct ps_str name)
{
    char text[2 * 256 * 4 + 32];
    int n = snprintf(text, sizeof(text), "%zu.%.*s%.*s", schema.len,
                     PS_STR_ARG(schema), PS_STR_ARG(name));
    if (n < 0 || (size_t)n >= sizeof(text))
        return 0; /* longer than any name: of nothing */
    return ps_catalog_id((struct ps_cell){.ptr = text, .len = (size_t)n});
}
