/*
 * The catalogue of a SQL Server database (2016 and later) as one statement. Its
 * rows are described in catalog_private.h.
 *
 * A login sees of sys.* only what it has rights on: a trigger or a cascade
 * that it does not see would be missing without a word. So the statement fails
 * unless the login has VIEW DEFINITION on the database, and then there is
 * no catalogue and nothing is kept.
 *
 * Functions of users cannot write, but may read any table: they are STABLE.
 * Rows are not told apart by columns: what equals what is a matter of
 * collations and conversions here.
 *
 * Not one snapshot: a change of structure in the middle that does not pass
 * through Portside is noticed at the next refresh.
 */
#include "agent/catalog/catalog_private.h"

/* clang-format off */
static const char query[] =
"if isnull(has_perms_by_name(db_name(), 'DATABASE', 'VIEW DEFINITION'), 0)\n"
"  <> 1 throw 50000, N'the login has no VIEW DEFINITION on the database', 1;\n"
/* relations; what is no table, view or sequence (a synonym) is elsewhere */
"select cast(N'r' as nvarchar(max)) as a,\n"
"  cast(o.object_id as nvarchar(12)) as b,\n"
"  convert(nvarchar(40), o.modify_date, 121) as c, s.name as d, o.name as e,\n"
"  case o.type when 'V' then N'v' when 'SO' then N'S'\n"
"    when 'U' then case when t.is_external = 1 then N'f' else N'p' end\n"
"    else N'f' end\n"
"  + case when exists (select 1 from sys.triggers g\n"
"      where g.parent_id = o.object_id and g.is_disabled = 0)\n"
"    then N'W' else N'' end\n"
"  + case when exists (select 1 from sys.security_predicates p\n"
"      where p.target_object_id = o.object_id) then N'R' else N'' end as f\n"
"from sys.objects o join sys.schemas s on s.schema_id = o.schema_id\n"
"  left join sys.tables t on t.object_id = o.object_id\n"
"where o.type in ('U', 'V', 'SN', 'SO') and o.is_ms_shipped = 0\n"
/* a view and what it reads; 0: nobody knows, or not in this database */
"union all select N'e', cast(d.referencing_id as nvarchar(12)),\n"
"  case when d.referenced_database_name is null and r.object_id is not null\n"
"    then cast(r.object_id as nvarchar(12)) else N'0' end, null, null, N'v'\n"
"from sys.sql_expression_dependencies d\n"
"  join sys.views v on v.object_id = d.referencing_id\n"
"  left join sys.objects r on r.object_id = d.referenced_id\n"
"where d.referenced_class = 1\n"
"  and isnull(r.type, '') not in ('FN', 'IF', 'TF', 'FS', 'FT', 'AF')\n"
/* functions that run on a read */
"union all select N'f', cast(d.referencing_id as nvarchar(12)), null, null,\n"
"  null, N'sr'\n"
"from sys.sql_expression_dependencies d\n"
"  join sys.views v on v.object_id = d.referencing_id\n"
"  join sys.objects r on r.object_id = d.referenced_id\n"
"where d.referenced_class = 1\n"
"  and r.type in ('FN', 'IF', 'TF', 'FS', 'FT', 'AF')\n"
"union all select N'f', cast(c.object_id as nvarchar(12)), null, null, null,\n"
"  N'sr'\n"
"from sys.computed_columns c where c.is_persisted = 0\n"
"  and (isnull(columnproperty(c.object_id, c.name, 'IsDeterministic'), 0) = 0\n"
"    or isnull(columnproperty(c.object_id, c.name, 'UserDataAccess'), 1) = 1)\n"
/* views, and those whose text is hidden */
"union all select N'd', cast(v.object_id as nvarchar(12)), null, m.definition,\n"
"  null, null\n"
"from sys.views v join sys.sql_modules m on m.object_id = v.object_id\n"
"where m.definition is not null\n"
"union all select N'f', cast(v.object_id as nvarchar(12)), null, null, null,\n"
"  N'vr'\n"
"from sys.views v left join sys.sql_modules m on m.object_id = v.object_id\n"
"where m.definition is null\n"
/* foreign keys that change the referencing rows */
"union all select N'e', cast(k.referenced_object_id as nvarchar(12)),\n"
"  cast(k.parent_object_id as nvarchar(12)), null, null, N'k'\n"
"from sys.foreign_keys k where k.delete_referential_action <> 0\n"
"  or k.update_referential_action <> 0\n"
/* the history of a table: a write moves rows there */
"union all select N'e', cast(t.object_id as nvarchar(12)),\n"
"  cast(t.history_table_id as nvarchar(12)), null, null, N'i'\n"
"from sys.tables t where t.history_table_id is not null\n"
/* functions */
"union all select N'p', null, convert(nvarchar(40), o.modify_date, 121),\n"
"  s.name, o.name, N's-'\n"
"from sys.objects o join sys.schemas s on s.schema_id = o.schema_id\n"
"where o.type in ('FN', 'IF', 'TF', 'FS', 'FT', 'AF')\n"
/* rights: for the hash */
"union all select N'h', cast(p.grantee_principal_id as nvarchar(12)),\n"
"  cast(p.major_id as nvarchar(12)), cast(p.minor_id as nvarchar(12)),\n"
"  p.permission_name, p.state_desc\n"
"from sys.database_permissions p\n"
"union all select N'h', cast(m.role_principal_id as nvarchar(12)),\n"
"  cast(m.member_principal_id as nvarchar(12)), null, null, null\n"
"from sys.database_role_members m";
/* clang-format on */

struct ps_str
ps_catalog_ts_query(void)
{
    return (struct ps_str){query, sizeof(query) - 1};
}

/* ---- a view's definition ---- */

static bool
at_pair(struct ps_str text, size_t at, const char *pair)
{
    return text.len - at >= 2 && memcmp(text.ptr + at, pair, 2) == 0;
}

/* Behind a comment, a literal, a quoted name or any other byte at `at`. */
static size_t
skip_one(struct ps_str text, size_t at)
{
    char end = text.ptr[at];
    if (at_pair(text, at, "--")) {
        while (at < text.len && text.ptr[at] != '\n')
            at++;
        return at;
    }
    if (at_pair(text, at, "/*")) { /* they nest */
        size_t depth = 0;
        do {
            int step = at_pair(text, at, "/*")   ? 1
                       : at_pair(text, at, "*/") ? -1
                                                 : 0;
            depth += (size_t)step;
            at += step ? 2 : 1;
        } while (at < text.len && depth > 0);
        return at;
    }
    if (end == '[')
        end = ']';
    else if (end != '\'' && end != '"')
        return at + 1;
    for (at++; at < text.len; at++) {
        if (text.ptr[at] != end)
            continue;
        if (at + 1 == text.len || text.ptr[at + 1] != end)
            return at + 1;
        at++; /* doubled: one of the name's or literal's own */
    }
    return at;
}

static bool
is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_' || c == '@' || c == '$' ||
           c == '#' || (unsigned char)c >= 0x80;
}

struct ps_str
ps_catalog_ts_view(struct ps_str text)
{
    for (size_t at = 0; at < text.len;) {
        size_t first = at;
        while (at < text.len && is_word(text.ptr[at]))
            at++;
        struct ps_str word = {text.ptr + first, at - first};
        if (ps_str_eq_nocase(word, PS_STR("as")))
            return (struct ps_str){text.ptr + at, text.len - at};
        if (word.len == 0)
            at = skip_one(text, at);
    }
    return PS_STR(""); /* not understood by the analysis either */
}
