// What changes a PostgreSQL session, in every way a request can: run through
// the agent, none of it may be there for the next one. See leaks.mjs.
const each = (list, make) => list.map((item) => make(...[item].flat()));

// As superuser, in database app. Whatever can run code unasked has an example.
export const schema = `
  create table guard (id int primary key, v int); insert into guard values (1, 1), (2, 2);
  create table serials (id serial primary key, v int);
  create table logged (id int primary key, v int); insert into logged values (1, 1);
  create table defaulted (id int, v text default set_config('my.tenant', 'default', false));
  create table ruled (id int);
  create table checked (id int, check (set_config('my.tenant', 'check', false) is not null));
  create table policied (id int); insert into policied values (1);
  create function f_set(v text) returns text language plpgsql as $$ begin perform set_config('my.tenant', v, false); return v; end $$;
  create function f_sql(v text) returns text language sql as $$ select set_config('my.tenant', v, false) $$;
  create function f_stable(v text) returns text language plpgsql stable as $$ begin perform set_config('my.tenant', v, false); return v; end $$;
  create function f_table(v text) returns table (x text) language plpgsql as $$ begin perform set_config('my.tenant', v, false); return query select v; end $$;
  create function f_temp() returns int language plpgsql as $$ begin create temp table if not exists hidden (x int); return 1; end $$;
  create function f_lock(k bigint) returns int language plpgsql as $$ begin perform pg_advisory_lock(k); return 1; end $$;
  create function f_role() returns int language plpgsql as $$ begin set role bob; return 1; end $$;
  create function f_listen() returns int language plpgsql as $$ begin listen from_function; return 1; end $$;
  create function f_prepare() returns int language plpgsql as $$ begin execute 'prepare from_function as select 1'; return 1; end $$;
  create function f_cursor() returns text language plpgsql as $$ begin execute 'declare kept cursor with hold for select 1'; return 'kept'; end $$;
  create function f_step(a int, b int) returns int language plpgsql as $$ begin perform set_config('my.tenant', 'step', false); return a + b; end $$;
  create aggregate a_sum(int) (sfunc = f_step, stype = int, initcond = '0');
  create function f_op(a int, b int) returns int language plpgsql as $$ begin perform set_config('my.tenant', 'op', false); return a + b; end $$;
  create operator <+> (leftarg = int, rightarg = int, function = f_op);
  create type wrapped as (v int);
  create function f_cast(a wrapped) returns int language plpgsql as $$ begin perform set_config('my.tenant', 'cast', false); return a.v; end $$;
  create function f_domain(v int) returns boolean language plpgsql as $$ begin perform set_config('my.tenant', 'domain', false); return true; end $$;
  create procedure p_set(v text) language plpgsql as $$ begin perform set_config('my.tenant', v, false); end $$;
  create procedure p_commit() language plpgsql as $$ begin perform set_config('my.tenant', 'commit', false); commit; perform pg_advisory_lock(901); end $$;
  create view sneaky as select id, f_set('view') as v from guard;
  create view sneaky_stable as select id, f_stable('stable view') as v from guard;
  create view sneaky_direct as select id, set_config('my.tenant', 'direct view', false) as v from guard;
  create view over_sneaky as select v.id from sneaky v join guard g using (id);
  create function f_trigger() returns trigger language plpgsql as $$ begin perform set_config('my.tenant', 'trigger', false); perform pg_advisory_lock(902); return new; end $$;
  create trigger audit after insert or update on logged for each row execute function f_trigger();
  create rule told as on insert to ruled do also select set_config('my.tenant', 'rule', false);
  alter table policied enable row level security;
  create policy p on policied using (f_stable('policy') is not null);
  create function last_value() returns text language plpgsql as $$ begin return lastval()::text; exception when others then return 'none'; end $$;
  grant bob to alice;
  grant all on all tables in schema public to alice, bob;
  grant all on all sequences in schema public to alice, bob;
  grant create on schema public to alice;
`;
// Objects whose mere presence would make every statement suspect: in the
// database only while the statements that use them run.
export const suspicious = {
  set: 'create cast (wrapped as int) with function f_cast as implicit; create domain posint as int check (f_domain(value))',
  drop: 'drop cast (wrapped as int); drop domain posint',
};

// The whole of a session, as rows (k, v).
export const snapshot = `
  select 'setting ' || name as k, setting as v from pg_settings
  union all select 'user', concat_ws(' ', session_user, current_user, current_setting('role'))
  union all select 'schemas', (select string_agg(s, ',') from unnest(current_schemas(true)) s where s !~ '^pg_temp')
  union all select 'temporary ' || relname, relkind::text from pg_class where relnamespace = pg_my_temp_schema()
  union all select 'temporary function', proname from pg_proc where pronamespace = pg_my_temp_schema()
  union all select 'temporary type', typname from pg_type where typnamespace = pg_my_temp_schema()
  union all select 'lock ' || locktype, concat_ws(' ', relation::regclass, classid, objid, mode) from pg_locks
    where pid = pg_backend_pid() and locktype <> 'virtualxid' and not (locktype = 'relation' and mode = 'AccessShareLock')
  union all select 'prepared ' || name, statement from pg_prepared_statements where name <> ''
  union all select 'cursor ' || name, statement from pg_cursors where name <> ''
  union all select 'channel', c from pg_listening_channels() c
  union all select 'custom ' || n, nullif(current_setting(n, true), '') from unnest(array['my.tenant', 'my.other', 'app.user']) n
  union all select 'in transaction', case when now() = statement_timestamp() then 'no' else 'yes' end
  union all select 'last value', last_value()
  order by 1, 2`;
export const connection = 'select pg_backend_pid() as id';

const settings = [
  ['search_path', 'pg_catalog'], ['search_path', '"$user"'], ['timezone', "'Asia/Tokyo'"], ['datestyle', "'German'"],
  ['intervalstyle', "'iso_8601'"], ['bytea_output', 'escape'], ['extra_float_digits', '-3'], ['client_min_messages', 'error'],
  ['default_transaction_isolation', "'serializable'"], ['default_transaction_read_only', 'on'],
  ['default_transaction_deferrable', 'on'], ['statement_timeout', "'1h'"], ['lock_timeout', "'1h'"],
  ['idle_in_transaction_session_timeout', "'1h'"], ['idle_session_timeout', "'1h'"], ['standard_conforming_strings', 'off'],
  ['escape_string_warning', 'off'], ['backslash_quote', 'on'], ['work_mem', "'1MB'"], ['maintenance_work_mem', "'2MB'"],
  ['enable_seqscan', 'off'], ['enable_indexscan', 'off'], ['enable_hashjoin', 'off'], ['enable_mergejoin', 'off'],
  ['enable_nestloop', 'off'], ['random_page_cost', '9'], ['cpu_tuple_cost', '9'], ['effective_cache_size', '99'],
  ['geqo', 'off'], ['geqo_threshold', '3'], ['join_collapse_limit', '1'], ['from_collapse_limit', '1'],
  ['constraint_exclusion', 'on'], ['plan_cache_mode', 'force_generic_plan'], ['jit', 'off'], ['jit_above_cost', '1'],
  ['row_security', 'off'], ['check_function_bodies', 'off'], ['default_tablespace', 'pg_default'],
  ['temp_tablespaces', 'pg_default'], ['array_nulls', 'off'], ['quote_all_identifiers', 'on'],
  ['synchronize_seqscans', 'off'], ['transform_null_equals', 'on'], ['xmloption', 'document'], ['xmlbinary', 'hex'],
  ['gin_fuzzy_search_limit', '5'], ['application_name', "'somebody'"], ['synchronous_commit', 'off'],
  ['max_parallel_workers_per_gather', '0'], ['parallel_setup_cost', '1'], ['tcp_keepalives_idle', '77'],
  ['password_encryption', 'md5'], ['vacuum_cost_delay', '5'], ['vacuum_freeze_min_age', '5'], ['cursor_tuple_fraction', '0.5'],
  ['default_text_search_config', "'pg_catalog.german'"], ['hash_mem_multiplier', '3'], ['default_statistics_target', '7'],
  ['debug_pretty_print', 'off'], ['client_encoding', "'LATIN1'"], ['lc_monetary', "'C.UTF-8'"], ['lc_time', "'C.UTF-8'"],
  ['my.tenant', "'7'"], ['my.other', "'8'"], ['role', 'bob'], ['temp_buffers', '200'],
];

export const changes = [
  ...each(settings, (name, value) => `set ${name} = ${value}`),
  ...each([...settings.slice(0, 12), ['my.tenant', "'9'"], ['role', 'bob']],
    (name, value) => `select set_config('${name}', ${/^'/.test(value) ? value : `'${value.replaceAll('"', '""').replace('""$user""', '"$user"')}'`}, false)`),
  // SET, in its other forms
  'set session timezone to \'Asia/Tokyo\'', "set time zone 'Asia/Tokyo'", 'set time zone -5', "set time zone interval '+02:00' hour to minute",
  "set names 'LATIN1'", "set schema 'pg_catalog'", 'set xml option document', "SET  Session /* c */ My.Tenant = 'x'",
  'set session characteristics as transaction isolation level serializable',
  'set session characteristics as transaction read only', 'set session characteristics as transaction deferrable',
  'set session characteristics as transaction isolation level repeatable read, read only',
  'set role bob', 'set session role bob', "set role 'bob'", 'set datestyle to sql, dmy',
  // ... and in functions, wherever an expression may stand
  "select 1 where set_config('my.tenant', 'where', false) is not null",
  "select id from guard order by set_config('my.tenant', 'order', false)",
  "select count(*) from guard group by set_config('my.tenant', 'group', false)",
  "select count(*) from guard having set_config('my.tenant', 'having', false) is not null",
  "select (select set_config('my.tenant', 'subquery', false))",
  "with x as (select set_config('my.tenant', 'with', false) as v) select v from x",
  "select * from (values (set_config('my.tenant', 'values', false))) t",
  "values (set_config('my.tenant', 'values', false))",
  "select * from guard, lateral set_config('my.tenant', 'lateral', false)",
  "select case when true then set_config('my.tenant', 'case', false) end",
  "select coalesce(null, set_config('my.tenant', 'coalesce', false))",
  "select array[set_config('my.tenant', 'array', false)]", "select row(set_config('my.tenant', 'row', false))",
  "select 1 limit length(set_config('my.tenant', 'limit', false))",
  "select id from guard where id in (select length(set_config('my.tenant', 'in', false)))",
  "select 1 union all select length(set_config('my.tenant', 'union', false))",
  "select pg_catalog.set_config('my.tenant', 'qualified', false)", 'select "set_config"(\'my.tenant\', \'quoted\', false)',
  "select SET_CONFIG('my.tenant', 'upper', false)", "select U&\"set\\005fconfig\"('my.tenant', 'unicode', false)",
  "update guard set v = v where set_config('my.tenant', 'update', false) is not null",
  "insert into guard (id, v) select 100, 1 where set_config('my.tenant', 'insert', false) is null",
  "delete from guard where set_config('my.tenant', 'delete', false) is null",
  "update guard set v = v where id = 1 returning set_config('my.tenant', 'returning', false)",
  "explain analyze select set_config('my.tenant', 'explain', false)",
  "drop table if exists made; create table made as select set_config('my.tenant', 'ctas', false) as v",
  "select set_config('my.tenant', 'into', false) as v into temp into_temp",
  "select query_to_xml('select set_config(''my.tenant'', ''xml'', false)', true, true, '')",
  { sql: "select set_config('my.tenant', ?, false)", bindings: ['bound'] },
  // functions, procedures, operators, ... of the database's own
  "select f_set('a')", "select f_sql('b')", "select f_stable('c')", "select * from f_table('d')", "select * from f_set('from') x",
  'select f_temp()', 'select f_lock(910)', 'select f_role()', 'select f_listen()', 'select f_prepare()', 'select f_cursor()',
  'select a_sum(id) from guard', 'select 1 <+> 2', 'select id operator(public.<+>) 1 from guard', "call p_set('called')", 'call p_commit()',
  "do $$ begin perform set_config('my.tenant', 'do', false); end $$", "do 'begin perform pg_advisory_lock(911); end'",
  "do $x$ begin execute 'set my.tenant = 5'; end $x$", 'do $$ begin create temp table in_do (x int); end $$',
  "update guard set v = length(f_set('in update')) where id = 1", "select f_set('a') from guard where id = 1 for update",
  // what runs unasked
  'select * from sneaky', 'select v from sneaky limit 1', 'select * from sneaky_stable', 'select * from sneaky_direct',
  'select count(*) from (select * from sneaky_direct) t where v is not null', 'table sneaky', 'select v from sneaky_direct where id = 1',
  'select o.id, s.v from over_sneaky o join sneaky s using (id)', 'update logged set v = v + 1 where id = 1',
  'insert into logged values (2, 2) on conflict (id) do update set v = 3', 'insert into defaulted (id) values (1)',
  'insert into defaulted default values', 'insert into checked values (1)', 'insert into ruled values (1)', 'select * from policied',
  'with u as (update logged set v = v + 1 returning v) select v from u', "merge into logged l using guard g on g.id = l.id when matched then update set v = l.v + 1",
  { sql: 'select row(1)::wrapped::int', suspicious: true }, { sql: "select '1'::posint", suspicious: true },
  // locks
  'select pg_advisory_lock(1)', 'select pg_advisory_lock_shared(2)', 'select pg_try_advisory_lock(3)', 'select pg_try_advisory_lock_shared(4)',
  'select pg_advisory_lock(5, 6)', 'select pg_try_advisory_lock(id) from guard', 'select pg_advisory_lock(7), pg_advisory_lock(7)',
  'select id from guard where pg_try_advisory_lock(id + 50)', "select pg_advisory_lock(hashtext('name'))",
  // temporary objects
  'create temp table t1 (x int)', 'create temporary table t2 as select 1 as x', 'create local temp table t3 (x int)',
  'create temp table guard (id int, v int)', 'create table pg_temp.t4 (x int)', 'select 1 as x into temp t5', 'select 1 as x into pg_temp.t6',
  'create temp view v1 as select 1 as x', 'create temp sequence s1', 'create temp table t7 (x serial)', 'create view pg_temp.v2 as select 2 as x',
  'create function pg_temp.f1() returns int language sql as $$ select 1 $$', 'create type pg_temp.y1 as (a int)', 'create domain pg_temp.d1 as int',
  'create temp table t8 (x int primary key) on commit preserve rows', "create type pg_temp.e1 as enum ('a')",
  // prepared names, cursors, channels
  'prepare p1 as select 1', 'prepare p2 (int) as select $1', "prepare guard as update guard set v = 0", 'declare c1 cursor with hold for select 1',
  'declare c2 scroll cursor with hold for select * from guard', 'begin; declare c3 cursor with hold for select 2; commit',
  'listen news', 'listen "News"', 'listen a; listen b', 'select 1; listen c',
  // transactions, left open or not
  'begin', 'start transaction', 'begin isolation level serializable read only', 'begin; select 1', 'begin; insert into guard values (50, 1)',
  'begin; lock table guard in access exclusive mode', 'begin; select 1/0', 'begin; savepoint a', "begin; set local my.tenant = '1'",
  'begin; select id from guard for update', 'begin; commit; begin', 'select 1; begin', 'begin; commit and chain',
  'begin; rollback and chain', 'begin; declare c4 cursor for select 1',
  // several statements
  "select 1; set my.tenant = 'second'", "set my.tenant = 'first'; select 1", "select 1; select 2; select set_config('my.tenant', 'third', false)",
  "select 1;;; set timezone = 'Asia/Tokyo';", "set my.tenant = '1'; set my.other = '2'; select 1", 'create temp table m (x int); insert into m values (1); select * from m',
  "begin; set my.tenant = 'committed'; commit", 'select pg_advisory_lock(20); select pg_advisory_lock(21)', "/* a */ set /* b */ my.tenant = 'comment' -- c",
  'set role bob; set my.tenant = 1', "set my.tenant = 'error'; commit; select 1/0",
  // what statements leave behind without being asked to
  'insert into serials (v) values (1)', 'insert into serials (v) select v from guard', "select nextval('serials_id_seq')",
  { sql: 'select setseed(0.5)', probe: 'select random()::text as v' }, { sql: 'set seed to 0.25', probe: 'select random()::text as v' },
  { sql: 'select setseed(0.1), 1 from guard', probe: 'select random()::text as v' },
  { sql: 'insert into serials (v) values (2)', probe: "select lastval()::text as v" },
  { sql: 'insert into serials (v) values (3)', probe: "select currval('serials_id_seq')::text as v" },
];
