// The SQL Server stand-in of the tests, before anything of ours relies on it:
// the clients that the world uses must be content with it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe as suite, test } from 'node:test';
import mssql from 'mssql';
import { ISOLATION_LEVEL, Request, TYPES } from 'tedious';
import { run, tempDir, waitUntil } from './lib/process.mjs';
import { TdsServer, batch, request } from './lib/tds.mjs';

process.env.TZ = 'UTC';

const rejects = (promise, number) => assert.rejects(promise, (e) => {
  assert.equal(e.number ?? e.errors?.[0]?.number, number, e.message);
  return true;
});

suite('TDS server: tedious', () => {
  let server;
  let c;
  before(async () => {
    server = await TdsServer.start();
    c = await server.connect();
    await batch(c, `create table t (id int identity primary key, name nvarchar(50) not null, n int null);
      insert into t (name, n) values (N'one', 1), (N'two', null)`);
  });
  after(async () => {
    c?.close();
    await server?.stop();
  });

  test('login: TLS, wrong password, unknown database, login-only encryption', async () => {
    assert.deepEqual((await batch(c, 'select suser_sname(), db_name(), @@trancount')).rows, [['alice', 'app', 0]]);
    await rejects(server.connect('alice', 'nowhere').catch((e) => { throw Object.assign(e, { number: 4060 * /4060|cannot open/i.test(e.message) }); }), 4060);
    server.users.bob = 'wrong';
    await assert.rejects(server.connect('bob'), /Login failed for user 'bob'/);
    server.users.bob = 'bob-pw';
    const plain = await server.connect('bob', 'app', { encrypt: false });
    assert.deepEqual((await batch(plain, 'select 1')).rows, [[1]]);
    plain.close();
  });

  test('types come as tedious knows them', async () => {
    const { rows: [row] } = await batch(c, `select cast(200 as tinyint), cast(-5 as smallint), cast(7 as int),
      cast(9007199254740993 as bigint), cast(1 as bit), cast(1.5 as float), cast(0.1 as real),
      cast('123.450' as decimal(10,3)), cast('922337203685477.5807' as money), cast(-1.5 as smallmoney),
      cast('2024-02-29' as date), cast('23:59:59.1234567' as time), cast('2024-02-29 01:02:03.997' as datetime),
      cast('2024-02-29 01:02:31' as smalldatetime), cast('2024-02-29 01:02:03.1234567' as datetime2),
      cast('2024-02-29 01:02:03.5 +02:30' as datetimeoffset(3)), cast('ab' as char(4)), cast(N'é😀' as nvarchar(10)),
      cast('x' as nchar(2)), cast(0x0102 as varbinary(8)), cast(0x01 as binary(3)),
      cast('6f9619ff-8b86-d011-b42d-00c04fc964ff' as uniqueidentifier), cast('<a/>' as xml),
      cast('long' as text), cast(N'łong' as ntext), cast(0xff as image)`);
    assert.deepEqual(JSON.parse(JSON.stringify(row)), [200, -5, 7, '9007199254740993', true, 1.5, Math.fround(0.1), 123.45,
      922337203685477.6, -1.5, '2024-02-29T00:00:00.000Z', '1970-01-01T23:59:59.123Z', '2024-02-29T01:02:03.997Z',
      '2024-02-29T01:03:00.000Z', '2024-02-29T01:02:03.123Z', '2024-02-28T22:32:03.500Z', 'ab  ', 'é😀', 'x ',
      { type: 'Buffer', data: [1, 2] }, { type: 'Buffer', data: [1, 0, 0] }, '6F9619FF-8B86-D011-B42D-00C04FC964FF',
      '<a/>', 'long', 'łong', { type: 'Buffer', data: [255] }]);
  });

  test('NULL of every type, many columns, empty results', async () => {
    const types = ['int', 'bit', 'float', 'decimal(5,2)', 'money', 'date', 'time', 'datetime', 'datetime2', 'datetimeoffset',
      'char(3)', 'nvarchar(max)', 'varbinary(max)', 'uniqueidentifier', 'xml', 'text', 'ntext', 'image', 'sql_variant'];
    const { rows } = await batch(c, `select ${types.map((t) => `cast(null as ${t})`)}, 1`);
    assert.deepEqual(rows, [[...types.map(() => null), 1]]);
    const empty = await batch(c, 'select id, name from t where 1 = 0');
    assert.deepEqual(empty.sets.map((s) => [s.columns.map((k) => k.colName), s.rows]), [[['id', 'name'], []]]);
  });

  test('parameters of every type', async () => {
    const given = [['a', TYPES.Int, 5], ['b', TYPES.NVarChar, 'Grüße 🎉 \' ?'], ['c', TYPES.Bit, true], ['d', TYPES.Float, 2.5],
      ['e', TYPES.VarBinary, Buffer.from([1, 2])], ['f', TYPES.DateTime2, new Date('2020-01-02T03:04:05.678Z')],
      ['g', TYPES.UniqueIdentifier, '6F9619FF-8B86-D011-B42D-00C04FC964FF'], ['h', TYPES.BigInt, '123456789012'],
      ['i', TYPES.NVarChar, 'x'.repeat(9000)], ['j', TYPES.Int, null], ['k', TYPES.Decimal, 12.34, { precision: 10, scale: 2 }],
      ['l', TYPES.DateTimeOffset, new Date('2020-01-02T03:04:05.678Z')], ['m', TYPES.Date, new Date('2020-01-02T00:00:00Z')]];
    const { rows: [row] } = await request(c, `select ${given.map(([n]) => `@${n}`)}`, given);
    assert.deepEqual(row, given.map(([, , v]) => v));
  });

  test('prepare, execute, unprepare', async () => {
    const made = new Request('select name from t where id = @id', () => {});
    made.addParameter('id', TYPES.Int);
    await new Promise((resolve, reject) => { made.on('prepared', resolve); made.on('error', reject); c.prepare(made); });
    for (const [id, name] of [[1, 'one'], [2, 'two'], [1, 'one']]) {
      const rows = [];
      await new Promise((resolve, reject) => {
        made.userCallback = made.callback = (e) => (e ? reject(e) : resolve());
        made.removeAllListeners('row');
        made.on('row', (r) => rows.push(r[0].value));
        c.execute(made, { id });
      });
      assert.deepEqual(rows, [name]);
    }
    await new Promise((resolve, reject) => { made.callback = (e) => (e ? reject(e) : resolve()); c.unprepare(made); });
  });

  test('several results, messages, errors in between', async () => {
    const got = await batch(c, "select 1 as a; print N'hello'; raiserror('low %d', 10, 3, 7); select 2 as b, 3 as c; update t set n = 5");
    assert.deepEqual(got.sets.map((s) => s.rows), [[[1]], [[2, 3]]]);
    assert.deepEqual(got.infos.map((i) => [i.number, i.class, i.state, i.message]), [[0, 0, 1, 'hello'], [50000, 10, 3, 'low 7']]);
    assert.equal(got.count, 4);
    await rejects(batch(c, 'select * from nowhere'), 208);
    await rejects(batch(c, 'select missing from t'), 207);
    await rejects(batch(c, 'selec 1 from'), 102);
    await rejects(batch(c, 'select 1/0'), 8134);
    await rejects(batch(c, "insert into t (name) values (null)"), 515);
    await rejects(batch(c, "raiserror('mine', 16, 4)"), 50000);
    await rejects(request(c, 'select @x', [['x', TYPES.Int, 1], ['y', TYPES.Int, 1]]).then(() => request(c, 'select @z')), 137);
    assert.deepEqual((await batch(c, 'select count(*) from t')).rows, [[2]]);
  });

  test('identity, output, top, expressions', async () => {
    assert.deepEqual((await batch(c, "insert into t (name) output inserted.id, inserted.name values (N'three'); select scope_identity()")).sets.map((s) => s.rows),
      [[[3, 'three']], [[3]]]);
    assert.deepEqual((await batch(c, "select top (2) [id], name + N'!' as x from dbo.t with (nolock) order by id desc")).rows, [[3, 'three!'], [2, 'two!']]);
    assert.deepEqual((await batch(c, "select len(N'abc  '), isnull(null, 4), charindex('b', 'abc'), iif(1 = 1, 'y', 'n')")).rows, [[3, 4, 2, 'y']]);
    assert.deepEqual((await batch(c, 'select id from t order by id offset 1 rows fetch next 1 rows only')).rows, [[2]]);
    assert.deepEqual((await batch(c, 'with n as (select 1 as i union all select i + 1 from n where i < 4) select sum(i) from n')).rows, [[10]]);
    await batch(c, "delete from t where name = N'three'");
    assert.equal((await batch(c, "if exists (select * from t where id = 99) select 'yes' else select 'no'")).rows[0][0], 'no');
  });

  test('transactions: requests and text, two connections and a lock', async () => {
    const d = await server.connect('bob');
    await new Promise((resolve, reject) => { c.beginTransaction((e) => (e ? reject(e) : resolve()), '', ISOLATION_LEVEL.READ_COMMITTED); });
    await request(c, 'update t set n = 100 where id = 1');
    assert.notEqual((await batch(d, 'select n from t where id = 1')).rows[0][0], 100, 'nobody sees what is not committed');
    await rejects(batch(d, 'set lock_timeout 50; update t set n = 7 where id = 1'), 1222);
    const waiting = batch(d, 'set lock_timeout -1; update t set n = n + 1 where id = 1');
    await new Promise((resolve, reject) => { c.commitTransaction((e) => (e ? reject(e) : resolve())); });
    await waiting;
    assert.equal((await batch(c, 'select n from t where id = 1')).rows[0][0], 101);
    await batch(c, 'begin tran; update t set n = 0; rollback tran');
    assert.equal((await batch(c, 'select n from t where id = 1')).rows[0][0], 101);
    await batch(c, 'begin transaction');
    assert.equal((await batch(c, 'select @@trancount')).rows[0][0], 1);
    await batch(c, 'commit');
    await rejects(batch(c, 'commit'), 3902);
    d.close();
  });

  test('attention while a request runs, and after it', async () => {
    for (const text of ["waitfor delay '00:01:00'",
      'with n as (select 1 as i union all select i + 1 from n) select count(*) from n']) {
      const d = await server.connect('bob');
      const running = batch(d, text);
      await waitUntil(async () => (await batch(c, "select status from sys.dm_exec_sessions where login_name = 'bob'")).rows[0]?.[0] === 'running');
      d.cancel();
      await assert.rejects(running, { code: 'ECANCEL' });
      assert.deepEqual((await batch(d, 'select 5')).rows, [[5]], 'the connection lives on');
      d.close();
    }
  });

  test('a session keeps its state, RESETCONNECTION takes it away', async () => {
    const d = await server.connect();
    await batch(d, "create table #x (a int); insert into #x values (1); set language 'Deutsch'; set nocount on; use other; begin tran");
    await batch(d, "exec sp_set_session_context N'k', N'v'; exec sp_getapplock @Resource = 'r', @LockMode = 'Exclusive', @LockOwner = 'Session'");
    const state = "select @@language, db_name(), @@trancount, session_context(N'k'), applock_mode('public', 'r', 'Session'), object_id('tempdb..#x')";
    const [row] = (await batch(d, state)).rows;
    assert.deepEqual(row.slice(0, 5), ['Deutsch', 'other', 1, 'v', 'Exclusive']);
    assert.notEqual(row[5], null);
    await new Promise((resolve, reject) => { d.reset((e) => (e ? reject(e) : resolve())); });
    assert.deepEqual((await batch(d, state)).rows, [['us_english', 'app', 0, null, 'NoLock', null]]);
    await rejects(batch(d, 'select * from #x'), 208);
    d.close();
  });

  test('sp_executesql has its own scope', async () => {
    await request(c, "create table #y (a int); set nocount on; set language 'x'; use other");
    assert.deepEqual((await batch(c, "select object_id('tempdb..#y'), @@language, db_name()")).rows, [[null, 'us_english', 'app']]);
    await rejects(request(c, 'begin tran'), 266);
    assert.equal((await batch(c, 'select @@trancount; rollback')).rows[0][0], 1);
  });

  test('100,000 rows, a value of 10 MiB, messages of many packets', async () => {
    const many = await batch(c, "with n as (select 1 as i union all select i + 1 from n where i < 100000) select i, N'row' as r from n option (maxrecursion 0)");
    assert.equal(many.rows.length, 100000);
    assert.deepEqual(many.rows.at(-1), [100000, 'row']);
    const big = 'ż'.repeat(5 << 20);
    const { rows } = await request(c, 'select @v, len(@v)', [['v', TYPES.NVarChar, big]]);
    assert.equal(rows[0][1], 5 << 20);
    assert.equal(rows[0][0], big);
  });

  test('catalogue', async () => {
    await batch(c, `create view v as select id, name from dbo.t; create synonym syn for dbo.t;
      create table child (id int primary key, t_id int references t (id) on delete cascade)`);
    const { rows } = await batch(c, `select o.name, rtrim(o.type) from sys.objects o where o.schema_id = schema_id('dbo') order by o.name`);
    assert.deepEqual(rows, [['child', 'U'], ['syn', 'SN'], ['t', 'U'], ['v', 'V']]);
    assert.deepEqual((await batch(c, "select referenced_entity_name from sys.sql_expression_dependencies where referencing_id = object_id('dbo.v')")).rows, [['t']]);
    assert.deepEqual((await batch(c, "select object_name(parent_object_id), delete_referential_action from sys.foreign_keys where referenced_object_id = object_id('t')")).rows, [['child', 1]]);
    assert.deepEqual((await batch(c, 'select count(*) from syn')).rows, [[2]]);
    assert.deepEqual((await batch(c, "select column_name, data_type from information_schema.columns where table_name = 't' order by ordinal_position")).rows,
      [['id', 'int'], ['name', 'nvarchar'], ['n', 'int']]);
  });
});

suite('TDS server: other clients', () => {
  let server;
  let dir;
  let env;
  before(async () => {
    server = await TdsServer.start();
    dir = tempDir('freetds');
    const sections = ['require', 'request', 'off'].map((mode) => `[${mode}]
      host = localhost\n port = ${server.port}\n tds version = 7.4\n client charset = UTF-8\n encryption = ${mode}\n ca file = ${server.tls.cert}\n`);
    fs.writeFileSync(path.join(dir, 'freetds.conf'), sections.join('\n'));
    env = { FREETDSCONF: path.join(dir, 'freetds.conf'), LC_ALL: 'C.UTF-8' };
  });
  after(async () => { await server?.stop(); });

  for (const mode of ['require', 'request', 'off']) {
    test(`tsql, encryption = ${mode}`, async () => {
      const out = await run('tsql', ['-S', mode, '-U', 'alice', '-P', 'alice-pw'], {
        env, timeoutMs: 20000, input: "select N'é😀' as t, cast(1.5 as decimal(5,2)) as n\nselect 1/0\ngo\nselect 7\ngo\nexit\n" });
      assert.match(out.stdout, /é😀\s+1\.50/);
      assert.match(out.stdout, /\n7\n/);
      assert.match(out.stderr, /Msg 8134 \(severity 16, state 1\)/);
    });
  }

  test('tsql: wrong password', async () => {
    const out = await run('tsql', ['-S', 'require', '-U', 'alice', '-P', 'no'], { env, check: false, timeoutMs: 20000, input: 'exit\n' });
    assert.notEqual(out.code, 0);
    assert.match(out.stderr, /18456/);
  });

  test('bsqldb', async () => {
    const sql = path.join(dir, 'in.sql');
    fs.writeFileSync(sql, "create table b (id int, s varchar(20))\ngo\ninsert into b values (1, 'x'), (2, 'y')\ngo\nselect id, s from b order by id\ngo\n");
    const out = await run('bsqldb', ['-S', 'require', '-U', 'alice', '-P', 'alice-pw', '-D', 'app', '-i', sql, '-t', '|'], { env, timeoutMs: 20000 });
    assert.match(out.stdout, /1\s*\|x\s*\n\s*2\s*\|y/);
  });

  test('python3-tds', async () => {
    // Debian's Python, whose package it is.
    const script = `
import pytds
with pytds.connect('localhost', 'app', 'alice', 'alice-pw', port=${server.port}, autocommit=False) as c:
    k = c.cursor()
    k.execute("create table p (id int primary key, d decimal(10,2), s nvarchar(20))")
    k.execute("insert into p values (%s, %s, %s)", (1, 2.5, u'\\u00e9'))
    c.commit()
    k.execute("insert into p values (2, 1, 'gone')")
    c.rollback()
    k.execute("select id, d, s from p")
    print(k.fetchall())
`;
    const out = await run('/usr/bin/python3', ['-c', script], { timeoutMs: 20000 });
    assert.match(out.stdout, /\[\(1, Decimal\('2\.50?'\), '(é|\\xe9)'\)\]/);
  });

  test('mssql: pool, transaction, prepared statement, recordsets', async () => {
    const pool = await new mssql.ConnectionPool({
      server: 'localhost', port: server.port, user: 'alice', password: 'alice-pw', database: 'app',
      options: { encrypt: true, trustServerCertificate: true } }).connect();
    const result = await pool.request().input('x', mssql.Int, 4).query('select @x as a; select @x + 1 as b');
    assert.deepEqual(JSON.parse(JSON.stringify(result.recordsets)), [[{ a: 4 }], [{ b: 5 }]]);
    await pool.request().batch('create table m (id int primary key)');
    const transaction = pool.transaction();
    await transaction.begin();
    await transaction.request().query('insert into m values (1)');
    await transaction.rollback();
    assert.equal((await pool.request().query('select count(*) as n from m')).recordset[0].n, 0);
    const prepared = new mssql.PreparedStatement(pool);
    prepared.input('v', mssql.NVarChar(20));
    await prepared.prepare('select @v as v');
    assert.equal((await prepared.execute({ v: 'ok' })).recordset[0].v, 'ok');
    await prepared.unprepare();
    await pool.close();
  });
});
