/*
 * The catalogue of a PostgreSQL database (12 and later) as one statement: one
 * snapshot for all of it. Its rows are described in catalog_private.h.
 *
 * search_path is pinned for the statement (one text is one transaction), so
 * that nothing of the database itself is called instead of the built-ins,
 * and pg_get_viewdef writes every name of the database with its schema.
 *
 * Objects with an oid below 16384 came with the server: their functions are
 * known to agent/sql by name, their triggers do nothing to other tables.
 *
 * Rights and other columns are not looked at here; they are in digests, so that
 * a change of them that did not pass through Portside is noticed at the next
 * refresh.
 */
#include "agent/catalog/catalog_private.h"

#define SETS "'set_config|advisory|setseed'"

/* clang-format off */
static const char query[] =
"set local search_path = pg_catalog;\n"
/* Functions with their volatility; an aggregate is as bad as its parts. (The
 * inner query gives a row of NULL for what is no aggregate.) */
"with fn as (select p.oid, p.pronamespace, p.proname, p.proacl, p.proowner,\n"
"    coalesce((select case when bool_or(q.provolatile = 'v') then 'v'\n"
"                     when bool_or(q.provolatile = 's') then 's'\n"
"                     when count(*) > 0 then 'i' end\n"
"              from pg_aggregate a join pg_proc q on q.oid in (a.aggtransfn,\n"
"                a.aggfinalfn, a.aggcombinefn, a.aggserialfn,\n"
"                a.aggdeserialfn, a.aggmtransfn, a.aggminvtransfn,\n"
"                a.aggmfinalfn)\n"
"              where a.aggfnoid = p.oid), p.provolatile::text) as vol,\n"
"    p.pronargs >= 1 and p.pronargs - p.pronargdefaults <= 1 and exists (\n"
"      select from pg_type t where t.oid = p.proargtypes[0]\n"
"        and t.typtype in ('c', 'p', 'd')) as of_row\n"
"  from pg_proc p where p.oid >= 16384 and p.prokind <> 'p'),\n"
"rel as (select c.* from pg_class c\n"
"  where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')\n"
"    and c.relpersistence <> 't'),\n"
/* What an object calls: functions, or operators' functions. */
"calls as (select d.classid, d.objid, fn.vol from pg_depend d\n"
"    join fn on fn.oid = d.refobjid\n"
"    where d.refclassid = 'pg_proc'::regclass\n"
"  union all select d.classid, d.objid, fn.vol from pg_depend d\n"
"    join pg_operator o on o.oid = d.refobjid\n"
"    join fn on fn.oid = o.oprcode\n"
"    where d.refclassid = 'pg_operator'::regclass)\n"
/* relations */
"select 'r', c.oid::text, hashtextextended(concat_ws('|', c.relowner,\n"
"    c.relacl, (select string_agg(concat_ws(',', a.attname, a.atttypid,\n"
"                                 a.atttypmod, a.attnum, a.attacl), ';'\n"
"                                 order by a.attnum)\n"
"               from pg_attribute a where a.attrelid = c.oid\n"
"                 and a.attnum > 0)), 0)::text,\n"
"  n.nspname::text, c.relname::text, c.relkind::text\n"
"  || case when c.relrowsecurity or exists (select from pg_policy p\n"
"       where p.polrelid = c.oid) then 'R' else '' end\n"
"  || case when exists (select from pg_trigger t where t.tgrelid = c.oid\n"
"         and not t.tgisinternal and t.tgenabled <> 'D'\n"
"         and t.tgfoid >= 16384)\n"
"       or exists (select from pg_rewrite w where w.ev_class = c.oid\n"
"         and w.ev_type <> '1') then 'W' else '' end\n"
"  || case when c.oid < 16384 then 'Y' else '' end\n"
"from rel c join pg_namespace n on n.oid = c.relnamespace\n"
/* columns that rows can be told apart by: integers, uuid, boolean */
"union all select 'a', c.oid::text, null, null, a.attname::text,\n"
"  case a.atttypid when 'uuid'::regtype then 'u'\n"
"    when 'bool'::regtype then 'b' else 'i' end\n"
"from rel c join pg_attribute a on a.attrelid = c.oid\n"
"where c.relkind = 'r' and c.oid >= 16384 and a.attnum > 0\n"
"  and not a.attisdropped and a.attgenerated = ''\n"
"  and a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype,\n"
"                     'uuid'::regtype, 'bool'::regtype)\n"
/* a view and what it reads */
"union all select distinct 'e', w.ev_class::text, d.refobjid::text,\n"
"  null, null, 'v'\n"
"from pg_rewrite w join rel v on v.oid = w.ev_class and v.relkind = 'v'\n"
"    and v.oid >= 16384\n"
"  join pg_depend d on d.classid = 'pg_rewrite'::regclass\n"
"    and d.objid = w.oid and d.refclassid = 'pg_class'::regclass\n"
"    and d.refobjid <> w.ev_class\n"
"  join pg_class b on b.oid = d.refobjid\n"
"    and b.relkind not in ('c', 'i', 'I', 't')\n"
"where w.ev_type = '1'\n"
/* partitions and inheritance */
"union all select 'e', i.inhparent::text, i.inhrelid::text, null, null, 'i'\n"
"from pg_inherits i join rel on rel.oid = i.inhparent\n"
"  join rel k on k.oid = i.inhrelid\n"
/* foreign keys that change the referencing rows */
"union all select 'e', f.confrelid::text, f.conrelid::text, null, null, 'k'\n"
"from pg_constraint f where f.contype = 'f'\n"
"  and (f.confupdtype in ('c', 'n', 'd') or f.confdeltype in ('c', 'n', 'd'))\n"
/* functions that run on a read or a write of a relation */
"union all select 'f', w.ev_class::text, null, null, null, k.vol || 'r'\n"
"from calls k join pg_rewrite w on w.oid = k.objid\n"
"  join rel v on v.oid = w.ev_class\n"
"where k.classid = 'pg_rewrite'::regclass and v.relkind = 'v'\n"
"union all select 'f', w.ev_class::text, null, null, null, k.vol || 'w'\n"
"from calls k join pg_rewrite w on w.oid = k.objid\n"
"  join rel v on v.oid = w.ev_class\n"
"where k.classid = 'pg_rewrite'::regclass and v.relkind <> 'v'\n"
"union all select 'f', p.polrelid::text, null, null, null, k.vol || 'r'\n"
"from calls k join pg_policy p on p.oid = k.objid\n"
"where k.classid = 'pg_policy'::regclass\n"
"union all select 'f', a.adrelid::text, null, null, null, k.vol || 'w'\n"
"from calls k join pg_attrdef a on a.oid = k.objid\n"
"where k.classid = 'pg_attrdef'::regclass\n"
"union all select 'f', x.conrelid::text, null, null, null, k.vol || 'w'\n"
"from calls k join pg_constraint x on x.oid = k.objid\n"
"where k.classid = 'pg_constraint'::regclass and x.conrelid <> 0\n"
/* built-ins that change the session leave no trace in pg_depend */
"union all select 'f', a.adrelid::text, null, null, null, 'vw'\n"
"from pg_attrdef a where pg_get_expr(a.adbin, a.adrelid) ~ " SETS "\n"
"union all select 'f', x.conrelid::text, null, null, null, 'vw'\n"
"from pg_constraint x where x.conrelid <> 0 and x.conbin is not null\n"
"  and pg_get_expr(x.conbin, x.conrelid) ~ " SETS "\n"
"union all select 'f', p.polrelid::text, null, null, null, 'vr'\n"
"from pg_policy p where concat(pg_get_expr(p.polqual, p.polrelid),\n"
"  pg_get_expr(p.polwithcheck, p.polrelid)) ~ " SETS "\n"
/* definitions of views */
"union all select 'd', c.oid::text, null, pg_get_viewdef(c.oid), null, null\n"
"from rel c where c.relkind = 'v' and c.oid >= 16384\n"
/* functions */
"union all select 'p', null, concat_ws('|', fn.oid, fn.proowner, fn.proacl),\n"
"  n.nspname::text, fn.proname::text,\n"
"  fn.vol || case when fn.of_row then 'r' else '-' end\n"
"from fn join pg_namespace n on n.oid = fn.pronamespace\n"
/* operators that are not immutable */
"union all select 'o', null, null, null, o.oprname::text, fn.vol\n"
"from pg_operator o join fn on fn.oid = o.oprcode where fn.vol <> 'i'\n"
/* casts and checks of domains: nobody names them */
"union all select 'c', null, null, null, null, fn.vol ||\n"
"  case when c.castcontext = 'a' then 'w' else 'r' end\n"
"from pg_cast c join fn on fn.oid = c.castfunc where fn.vol <> 'i'\n"
"union all select 'c', null, null, null, null, k.vol || 'r'\n"
"from calls k join pg_constraint x on x.oid = k.objid\n"
"where k.classid = 'pg_constraint'::regclass and x.contypid <> 0\n"
"  and k.vol <> 'i'\n"
/* roles and schemas: for the hash */
"union all select 'h', m.roleid::text, m.member::text, null, null, null\n"
"from pg_auth_members m\n"
"union all select 'h', n.oid::text, n.nspname::text, n.nspacl::text, null,\n"
"  null\n"
"from pg_namespace n where n.nspname !~ '^pg_(toast_)?temp_'";
/* clang-format on */

struct ps_str
ps_catalog_pg_query(void)
{
    return (struct ps_str){query, sizeof(query) - 1};
}

static enum ps_rc
on_columns(struct ps_sink *sink, const struct ps_column *columns, size_t count)
{
    (void)sink;
    (void)columns;
    return count == PS_CATALOG_CELLS ? PS_OK : PS_ORIGIN_PROTOCOL;
}

static enum ps_rc
on_row(struct ps_sink *sink, const struct ps_cell *cells, size_t count)
{
    struct ps_catalog_reader *reader =
        PS_CONTAINER_OF(sink, struct ps_catalog_reader, sink);
    if (count != PS_CATALOG_CELLS)
        return PS_ORIGIN_PROTOCOL;
    return ps_catalog_builder_row(reader->builder, cells);
}

void
ps_catalog_reader_init(struct ps_catalog_reader *reader,
                       struct ps_catalog_builder *builder)
{
    *reader = (struct ps_catalog_reader){
        .sink = {.columns = on_columns, .row = on_row},
          .builder = builder
    };
}
