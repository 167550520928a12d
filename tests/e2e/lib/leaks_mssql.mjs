// What changes a SQL Server session, as far as the stand-in of tests/tools/tds
// has it: run through the agent, none of it may be there for the next
// request. See leaks.mjs.
const each = (list, make) => list.map((item) => make(...[item].flat()));

export const schema = [
  'create table guard (id int primary key, v int)', 'insert into guard values (1, 1), (2, 2)',
  'create table serials (id int identity(1, 1) primary key, v int)', 'create table other_table (id int, n int)',
];

const keys = ['k1', 'k2', 'k3'];
export const locks = ['l1', 'l2', 'l3'];
const temporary = ['#t1', '#t2', '#t3', '#guard', '#into'];
const options = ['ansi_nulls', 'ansi_warnings', 'ansi_padding', 'quoted_identifier', 'concat_null_yields_null', 'arithabort', 'numeric_roundabort',
  'nocount', 'xact_abort', 'implicit_transactions', 'rowcount', 'ansi_null_dflt_on', 'cursor_close_on_commit', 'fmtonly'];
// The whole of a session, as rows (k, v).
export const snapshot = [
  "select 'database' as k, db_name() as v", "select 'user', concat(suser_sname(), ' ', original_login())",
  "select 'transactions', cast(@@trancount as nvarchar(20))", "select 'lock time-out', cast(@@lock_timeout as nvarchar(20))",
  "select 'language', @@language", "select 'first day', cast(@@datefirst as nvarchar(20))", "select 'text size', cast(@@textsize as nvarchar(20))",
  ...options.map((o) => `select '${o}', cast(sessionproperty('${o}') as nvarchar(20))`),
  ...keys.map((k) => `select '${k}', cast(session_context(N'${k}') as nvarchar(50))`),
  ...locks.map((l) => `select '${l}', applock_mode('public', '${l}', 'Session')`),
  ...temporary.map((t) => `select '${t}', cast(object_id('tempdb..${t}') as nvarchar(20))`),
  "select 'guard', cast(count(*) as nvarchar(20)) from guard",
].join(' union all ');
export const connection = 'select @@spid as id';

const settings = [
  ['lock_timeout', '7'], ['lock_timeout', '0'], ['datefirst', '1'], ['datefirst', '3'], ['dateformat', 'dmy'], ['dateformat', 'ymd'], ['language', 'german'],
  ['language', 'french'], ['textsize', '10'], ['rowcount', '1'], ['context_info', '0x0102'], ['ansi_nulls', 'off'], ['ansi_warnings', 'off'], ['ansi_padding', 'off'],
  ['quoted_identifier', 'off'], ['concat_null_yields_null', 'off'], ['arithabort', 'off'], ['numeric_roundabort', 'on'], ['nocount', 'on'], ['xact_abort', 'on'],
  ['implicit_transactions', 'on'], ['ansi_null_dflt_on', 'off'], ['cursor_close_on_commit', 'on'], ['ansi_defaults', 'on'],
];
const levels = ['read uncommitted', 'repeatable read', 'serializable', 'snapshot'];
// What a session has as options, the level of isolation too.
const seen = 'dbcc useroptions';
const optional = (sql) => ({ sql, probe: seen });

export const changes = [
  // options: alone, behind and before others, in control flow, between comments
  ...each(settings, (n, v) => optional(`set ${n} ${v}`)),
  ...each(settings, (n, v) => optional(`select 1 as a SET ${n.toUpperCase()} ${v}`)),
  ...each(settings.slice(0, 12), (n, v) => optional(`set ${n} ${v}; select 1 as a`)),
  ...each(settings.slice(0, 12), (n, v) => optional(`if 1 = 1 set ${n} ${v}`)),
  ...each(settings.slice(0, 12), (n, v) => optional(`/* a */ set /* b */ ${n} ${v} -- c`)),
  'set lock_timeout 9 set datefirst 2', 'set ansi_nulls, ansi_warnings off', 'set nocount on; update guard set v = v', 'set language german; selekt',
  ...levels.flatMap((l) => [`set transaction isolation level ${l}`, `select 1 as a set transaction isolation level ${l}`,
    `SET TRANSACTION ISOLATION LEVEL ${l.toUpperCase()}; select count(*) from guard`, `if 1 = 1 set transaction isolation level ${l}`]).map(optional),
  // SESSION_CONTEXT
  ...keys.flatMap((k) => [`exec sp_set_session_context N'${k}', N'v'`, `exec sp_set_session_context N'${k}', 1`, `sp_set_session_context N'${k}', N'v'`,
    `exec sys.sp_set_session_context @key = N'${k}', @value = N'v'`, `EXEC sp_set_session_context N'${k}', N'v'; select 1 as a`,
    `select 1 as a exec sp_set_session_context N'${k}', N'v'`, `exec sp_executesql N'exec sp_set_session_context N''${k}'', 1'`, `exec('exec sp_set_session_context N''${k}'', 2')`,
    `if 1 = 1 exec sp_set_session_context N'${k}', N'v'`, `begin transaction; exec sp_set_session_context N'${k}', N'v'; commit`]),
  { sql: "exec sp_set_session_context N'k1', ?", bindings: ['bound'] },
  // application locks
  ...locks.flatMap((l) => [`exec sp_getapplock '${l}', 'Exclusive', 'Session', 0`, `exec sp_getapplock @Resource = '${l}', @LockMode = 'Exclusive', @LockOwner = 'Session', @LockTimeout = 0`,
    `select 1 as a; exec sp_getapplock '${l}', 'Exclusive', 'Session', 0`, `exec sp_executesql N'exec sp_getapplock ''${l}'', ''Exclusive'', ''Session'', 0'`,
    `sp_getapplock '${l}', 'Exclusive', 'Session', 0`, `if 1 = 1 exec sp_getapplock '${l}', 'Exclusive', 'Session', 0`]),
  // temporary tables
  ...temporary.flatMap((t) => [`create table ${t} (a int)`, `CREATE TABLE ${t} (a int primary key); insert into ${t} values (1)`, `select 1 as a into ${t}`, `select id, v into ${t} from guard`,
    `select 1 as a create table ${t} (a int)`, `if 1 = 1 create table ${t} (a int)`]),
  // databases
  'use other', 'USE [other]', 'use other; select 1 as a', 'select 1 as a use other', 'if 1 = 1 use other', 'use other; create table #t1 (a int)',
  // transactions
  'begin transaction', 'begin tran', 'begin tran named', 'BEGIN TRANSACTION; select 1 as a', 'begin tran; update guard set v = v + 1', 'begin tran; insert into guard values (9, 9)',
  'begin tran; begin tran', 'begin tran; commit; begin tran', 'select 1 as a begin tran', 'begin tran save tran s', 'if 1 = 1 begin tran', 'begin tran; selekt',
  'set implicit_transactions on; select id from guard', 'set implicit_transactions on; update guard set v = v', 'begin tran; create table #t2 (a int)', 'begin tran; delete from guard',
  // what statements leave behind without being asked to
  ...['insert into serials (v) values (1)', 'insert into serials (v) select v from guard', 'insert serials (v) values (7)', 'insert into serials (v) values (1); select 1 as a']
    .map((sql) => ({ sql, probe: 'select @@identity as v' })),
];
