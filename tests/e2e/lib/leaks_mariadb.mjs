// What changes a MariaDB session, in every way a request can: run through the
// agent, none of it may be there for the next one. See leaks.mjs.
const each = (list, make) => list.map((item) => make(...[item].flat()));

// One statement each, run in database app.
export const schema = [
  'create table guard (id int primary key, v int)', 'insert into guard values (1, 1), (2, 2)',
  'create table serials (id int auto_increment primary key, v int)',
  'create table logged (id int primary key, v int)', 'insert into logged values (1, 1)',
  'create database elsewhere', 'create table elsewhere.t (id int)', 'grant all on elsewhere.* to alice',
  'create role analyst', 'grant select on app.* to analyst', 'grant analyst to alice', 'create sequence seq',
  'create function f_set(v int) returns int begin set @mine = v; return v; end',
  'create function f_lock(v int) returns int begin do get_lock(concat(\'l\', v), 0); return v; end',
  'create function f_pure(v int) returns int deterministic no sql begin set @mine = v; return v; end',
  'create procedure p_set(v int) begin set @mine = v; set session sql_mode = \'\'; end',
  'create procedure p_temp() begin create temporary table hidden (x int); end',
  "create procedure p_prepare() begin prepare hidden from 'select 1'; end",
  'create procedure p_begin() begin start transaction; update guard set v = v where id = 1; end',
  'create view sneaky as select id, f_set(7) as v from guard',
  'create view over_sneaky as select s.id, s.v from sneaky s join guard g on g.id = s.id',
  'create trigger audit after update on logged for each row set @mine = new.v',
  'create trigger audit_insert after insert on logged for each row begin set @mine = new.v; do get_lock(\'trigger\', 0); end',
];

const names = ['l1', 'l2', 'l3', 'l5', 'trigger', 'other'];
// The whole of a session, as rows (k, v). Reads a table, so that table locks
// and open transactions show.
const moving = ['timestamp', 'pseudo_thread_id', 'last_gtid', 'gtid_binlog_pos', 'gtid_current_pos', 'rand_seed1', 'rand_seed2'];
export const snapshot = `
  select variable_name as k, variable_value as v from information_schema.session_variables
    where lower(variable_name) not in (${moving.map((m) => `'${m}'`).join()}) and global_value_origin is not null
  union all select concat('@', variable_name), variable_value from information_schema.user_variables
  union all select 'database', database()
  union all select 'user', concat_ws(' ', user(), current_user(), current_role())
  union all select 'clock', abs(unix_timestamp(now()) - unix_timestamp(sysdate())) < 100
  union all select 'guard', (select count(*) from app.guard)
  union all select 'autocommit', concat(@@autocommit, @@in_transaction, @@tx_isolation, @@tx_read_only)
  ${names.map((n) => `union all select 'lock ${n}', is_used_lock('${n}') = connection_id()`).join(' ')}
  order by 1, 2`.replace('and global_value_origin is not null', '').replace('information_schema.session_variables', '(select variable_name, variable_value from information_schema.session_variables) t');
export const connection = 'select connection_id() as id';

const settings = [
  ['sql_mode', "''"], ['sql_mode', "'ANSI_QUOTES'"], ['sql_mode', "'NO_BACKSLASH_ESCAPES'"], ['sql_mode', "'ORACLE'"],
  ['sql_mode', "'PIPES_AS_CONCAT'"], ['time_zone', "'+05:00'"], ['autocommit', '0'], ['tx_isolation', "'READ-UNCOMMITTED'"],
  ['tx_isolation', "'SERIALIZABLE'"], ['tx_read_only', '1'], ['character_set_results', 'latin1'], ['character_set_client', 'latin1'],
  ['character_set_connection', 'latin1'], ['collation_connection', 'utf8mb4_bin'], ['character_set_database', 'latin1'],
  ['collation_database', 'latin1_bin'], ['lc_time_names', "'de_DE'"], ['lc_messages', "'de_DE'"], ['div_precision_increment', '9'],
  ['group_concat_max_len', '99'], ['max_statement_time', '99'], ['sql_select_limit', '1'], ['sql_safe_updates', '1'],
  ['foreign_key_checks', '0'], ['unique_checks', '0'], ['sql_big_selects', '0'], ['max_join_size', '1000000'],
  ['sql_auto_is_null', '1'], ['sql_quote_show_create', '0'], ['sql_notes', '0'], ['sql_warnings', '1'],
  ['auto_increment_increment', '7'], ['auto_increment_offset', '3'], ['default_storage_engine', 'MyISAM'],
  ['default_tmp_storage_engine', 'MyISAM'], ['default_week_format', '3'], ['join_buffer_size', '131072'],
  ['lock_wait_timeout', '9'], ['innodb_lock_wait_timeout', '9'], ['low_priority_updates', '1'], ['max_error_count', '5'],
  ['max_heap_table_size', '65536'], ['max_length_for_sort_data', '99'], ['max_sort_length', '99'], ['max_sp_recursion_depth', '9'],
  ['net_read_timeout', '77'], ['net_write_timeout', '77'], ['net_retry_count', '7'], ['old_mode', "'NO_PROGRESS_INFO'"],
  ['optimizer_switch', "'index_merge=off'"], ['optimizer_prune_level', '0'], ['optimizer_search_depth', '1'],
  ['profiling', '1'], ['read_buffer_size', '65536'], ['sort_buffer_size', '65536'],
  ['tmp_table_size', '65536'], ['transaction_alloc_block_size', '16384'], ['wait_timeout', '7777'], ['interactive_timeout', '7777'],
  ['completion_type', 'CHAIN'], ['updatable_views_with_limit', 'NO'], ['storage_engine', 'MyISAM'], ['insert_id', '77'],
  ['last_insert_id', '78'], ['timestamp', '1000000000'], ['use_stat_tables', "'never'"], ['session_track_schema', '0'],
  ['in_predicate_conversion_threshold', '5'], ['check_constraint_checks', '0'], ['system_versioning_asof', "'2020-01-01'"],
  ['column_compression_threshold', '7'], ['eq_range_index_dive_limit', '7'], ['idle_transaction_timeout', '99'], ['keep_files_on_create', '1'],
];

export const changes = [
  ...each(settings, (name, value) => `set ${name} = ${value}`),
  ...each(settings.slice(0, 12), (name, value) => `set @@session.${name} = ${value}`),
  "set local time_zone = '+01:00'", "set @@local.time_zone = '+02:00'", "set @@time_zone = '+03:00'", "set time_zone := '+04:00', div_precision_increment = 3",
  'set names latin1', "set names utf8mb4 collate utf8mb4_bin", 'set character set latin1', 'set charset latin1', 'set role analyst',
  'set session transaction isolation level serializable', 'set session transaction read only',
  { sql: 'set transaction isolation level serializable', probe: 'begin; select count(*) from guard; select trx_isolation_level from information_schema.innodb_trx where trx_mysql_thread_id = connection_id(); rollback' },
  { sql: 'set transaction read only', probe: 'update guard set v = v where id = 1' }, 'SET /* c */ SESSION Time_Zone = \'+06:00\'', '/*!40101 set names latin1 */', '/*! set @mine = 1 */',
  'set autocommit = off', 'set autocommit = false, @x = 1',
  // user variables
  'set @mine = 1', 'set @mine := 2, @other = 3', "set @'quoted' = 1", 'set @`ticked` = 1', 'select @mine := 5', 'select @mine := id from guard',
  'select id into @mine from guard limit 1', 'select 1, 2 into @a, @b', 'do @mine := 6', 'update guard set v = (@mine := 7) where id = 1',
  'insert into guard (id, v) values (1, @mine := 8) on duplicate key update v = 9', 'select * from guard where (@mine := 9) is not null',
  'select 1 order by (@mine := 10)', 'delete from guard where (@mine := 11) is null', 'select (select @mine := 12)', 'with x as (select @mine := 13) select * from x',
  'select 1 union select @mine := 14', { sql: 'select @mine := ?', bindings: [15] }, "select json_arrayagg(@mine := id) from guard", 'select sum(@mine := id) from guard',
  'explain select * from guard where id = (select @mine := 1 from guard limit 1)', 'analyze select @mine := 16', 'select if(1, @mine := 17, 0)',
  'select case when 1 then @mine := 18 end', 'select id from guard group by @mine := 19', 'select id from guard having (@mine := 20) > 0', 'show tables where (@mine := 21)',
  // databases and roles
  'use elsewhere', 'use `elsewhere`', 'USE elsewhere;', 'select 1; use elsewhere', 'use information_schema', 'set role analyst; select 1',
  // temporary tables
  ...['create temporary table t1 (x int)', 'create temporary table t1 as select 1 as x', 'create temporary table t1 like guard',
    'create temporary table t1 (x int) engine = memory', 'create temporary table if not exists t1 (x int)', 'create or replace temporary table t1 (x int)',
    'CREATE /*!50000 OR REPLACE */ TEMPORARY TABLE t1 (x int)', 'create temporary table t1 (x int); insert into t1 values (1)'].map((sql) => ({ sql, probe: 'select count(*) as n from t1' })),
  { sql: 'create temporary table guard (id int, w int)', probe: 'select w from guard' }, { sql: 'call p_temp()', probe: 'select x from hidden' },
  { sql: 'create temporary sequence s1', probe: 'select nextval(s1)' },
  // locks
  "select get_lock('l1', 0)", "do get_lock('l1', 0)", "select get_lock('l1', 0), get_lock('l2', 0)", "set @x = get_lock('l1', 0)", "select GET_LOCK('l3', 0) from guard",
  "update guard set v = get_lock('l1', 0) where id = 1", "select id from guard where get_lock(concat('l', id), 0)", 'select f_lock(5)', "select 1; do get_lock('other', 0)",
  { sql: 'lock tables guard read', probe: 'select count(*) from logged' }, { sql: 'lock tables guard write', probe: 'select count(*) from logged' },
  { sql: 'lock table guard as g read', probe: 'select count(*) from guard' }, { sql: 'lock tables guard read local', probe: 'select count(*) from logged' },
  { sql: 'flush tables guard with read lock', probe: 'select count(*) from logged' }, { sql: 'flush tables guard for export', probe: 'select count(*) from logged' },
  // prepared names, cursors
  ...["prepare p1 from 'select 1'", "prepare p1 from 'select ?'", "set @s = 'select 1'; prepare p1 from @s", "execute immediate 'set @mine = 1'; prepare p1 from 'select 2'"].map((sql) => ({ sql, probe: 'execute p1' })),
  { sql: 'call p_prepare()', probe: 'execute hidden' }, { sql: 'handler guard open', probe: 'handler guard read first' }, { sql: 'handler guard open as h', probe: 'handler h read first' },
  // functions, procedures, triggers, views
  'select f_set(1)', 'select f_set(id) from guard', 'call p_set(5)', 'select * from sneaky', 'select id, v from sneaky where id = 1', 'select * from over_sneaky',
  'update logged set v = v + 1 where id = 1', 'insert into logged values (2, 2) on duplicate key update v = v + 1', 'replace into logged values (1, 1)', 'insert into logged select 100 + floor(rand() * 1000000), 3',
  "execute immediate 'set @mine = 1'", "execute immediate concat('set @mine = ', 2)", 'select f_pure(3)', 'begin not atomic set @mine = 4; end', 'select f_set(2) into @other',
  // transactions
  'begin', 'start transaction', 'start transaction read only', 'start transaction with consistent snapshot', 'begin work', 'begin; update guard set v = v + 1',
  'begin; savepoint a', 'begin; select * from guard for update', 'commit and chain', 'begin; commit and chain', 'begin; rollback and chain', 'select 1; begin', 'begin; commit; begin',
  'set autocommit = 0; update guard set v = v + 1', "xa start 'x1'", "xa begin 'x2'; update guard set v = v", 'call p_begin()', 'begin; selekt',
  // several statements
  'select 1; set @mine = 22', 'set @mine = 23; select 1', 'select 1; select 2; set time_zone = \'+07:00\'', 'select 1; set @mine = 24;', 'set @mine = 25; selekt', 'select 1; select @mine := 26',
  'set statement max_statement_time = 5 for set @mine = 27', 'set statement sort_buffer_size = 99999 for select @mine := 28',
  // what statements leave behind without being asked to
  ...['insert into serials (v) values (1)', 'insert into serials (v) select v from guard', 'replace into serials (v) values (2)', 'select last_insert_id(77)', 'update guard set v = last_insert_id(78) where id = 1']
    .flatMap((sql) => ['select last_insert_id() as v', 'select @@last_insert_id as v', 'select @@identity as v'].map((probe) => ({ sql, probe }))),
  ...['select * from guard', 'select sql_calc_found_rows * from guard limit 1'].map((sql) => ({ sql, probe: 'select found_rows() > 1 as v' })),
  { sql: 'update guard set v = v + 1', probe: 'select row_count() as v' }, { sql: 'insert into serials (v) values (1), (2), (3)', probe: 'select row_count() as v' },
  { sql: "select 1 / 0, 'a' + 0", probe: 'show warnings' }, { sql: "select 1 / 0, 'a' + 0", probe: 'select @@warning_count as v' }, { sql: 'selekt', probe: 'show errors' }, { sql: 'selekt', probe: 'select @@error_count as v' },
  { sql: "select 1 / 0, 'a' + 0", probe: 'show count(*) warnings' }, { sql: 'select * from nowhere', probe: 'get diagnostics @n = number; select @n as v' },
  { sql: 'select nextval(seq)', probe: 'select lastval(seq) as v' }, { sql: 'select next value for seq', probe: 'select previous value for seq as v' },
  { sql: 'set rand_seed1 = 7, rand_seed2 = 8', probe: 'select rand() as v' }, { sql: 'set @@rand_seed1 = 17, @@rand_seed2 = 18', probe: 'select rand() as v' },
];
