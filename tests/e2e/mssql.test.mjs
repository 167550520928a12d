// A SQL Server cache, asked with the unmodified PolyScale client; the server is
// the stand-in of tests/tools/tds (SQL Server's protocol over SQLite).
import assert from 'node:assert/strict';
import { after, before, describe as suite, test } from 'node:test';
import { Client, models } from '@polyscale/serverless-js';
import { Agent, ControlPlane, request } from './lib/portside.mjs';
import { freePort } from './lib/postgres.mjs';
import { waitUntil } from './lib/process.mjs';
import { TdsServer } from './lib/tds.mjs';

const schema = `
  create table Items (id int primary key, name nvarchar(50) not null, qty int not null, price decimal(9,2));
  insert into Items values (1, N'one', 10, 1.50), (2, N'zwei é🎉', 20, null), (3, N'three', 30, 3.25), (4, N'four', 40, 4);
  create table kids (id int primary key, item int not null references Items (id) on delete cascade);
  insert into kids values (1, 3), (2, 3), (3, 1);
  create table other_table (id int, n int);
  insert into other_table values (1, 1);
`;
const view = 'create view cheap as select id, name, qty from Items where qty < 25';

suite('SQL Server', () => {
  let db;
  let controlPlane;
  let west;
  let east;
  let cache;
  const agents = () => [west, east];

  before(async () => {
    db = await TdsServer.start({ args: ['--blind', 'carl'], users: { alice: 'alice-pw', bob: 'bob-pw', carl: 'carl-pw' } });
    await db.sql(schema);
    await db.sql(view);
    controlPlane = await ControlPlane.start();
    west = await Agent.start(controlPlane, 'west');
    east = await Agent.start(controlPlane, 'east');
    cache = await createCache('main');
  });
  after(async () => {
    await west?.stop();
    await east?.stop();
    await controlPlane?.stop();
    await db?.stop();
  });

  const createCache = async (name, fields = {}) => {
    const made = await controlPlane.createCache({
      name, host: db.host, port: db.port, database: 'mssql', tlsMode: 'verify-full', tlsCa: db.tls.pem, ...fields,
    });
    for (const agent of agents()) await agent.knows(made.id, 'postgres');
    return made;
  };
  const body = (sql, bindings, { user = 'alice', password = `${user}-pw`, database = 'app', of = cache } = {}) => ({
    cacheId: of.id, provider: 'mssql', username: user, password, database, sql, ...(bindings && { bindings }),
  });
  const query = (agent, sql, bindings, who) => agent.sql(body(sql, bindings, who));
  const warm = (agent, sql, bindings, who) => waitUntil(async () => {
    const reply = await query(agent, sql, bindings, who);
    assert.equal(reply.status, 200, reply.text);
    return reply.cache === 'hit' ? reply : null;
  }, { what: `a hit for ${sql}` });
  const fails = async (status, code, sql, bindings, who) => {
    const reply = await query(west, sql, bindings, who);
    assert.equal(reply.status, status, reply.text);
    models.SqlQueryReplyError.parse(reply.json);
    assert.equal(reply.json.code, code, reply.text);
    return reply.json.message;
  };

  test('the published client gets rows, and then from memory', async () => {
    const states = [];
    const client = new Client(west.url, {
      cacheId: cache.id, provider: 'mssql', username: 'alice', password: 'alice-pw', database: 'app',
    }, async (...args) => {
      const reply = await fetch(...args);
      states.push(reply.headers.get('cache-status'));
      return reply;
    });
    for (let i = 0; i < 4; i += 1) {
      assert.deepEqual(await client.query('select name, qty, price from Items where id = ?', [2]),
        [{ name: 'zwei é🎉', qty: 20, price: null }]);
    }
    assert.match(states[0], /^portside; fwd=uri-miss/);
    assert.match(states.at(-1), /^portside; hit; ttl=\d+$/);
    assert.deepEqual(await client.query('select :a as a, :b as b', { a: 1.5, b: null }), [{ a: 1.5, b: null }]);
  });

  test('a write through one region is visible through both', async () => {
    const sql = 'select qty from items where id = 1'; // the table is Items
    for (const agent of agents()) await warm(agent, sql);
    for (let round = 1; round <= 5; round += 1) {
      const write = await query(west, 'update ITEMS set qty = ? where id = 1', [round]);
      assert.equal(write.status, 200, write.text);
      assert.deepEqual((await query(west, sql)).json, [{ qty: round }]);
      await waitUntil(async () => (await query(east, sql)).json[0].qty === round, { timeoutMs: 2500, everyMs: 1 });
      await warm(east, sql);
    }
  });

  test('hidden dependencies: views, cascades; other tables stay', async () => {
    const unrelated = await warm(west, 'select n from other_table');
    await warm(west, 'select count(*) as n from cheap');
    await warm(west, 'select id from kids order by id');
    assert.equal((await query(west, 'delete from items where id = 3')).status, 200);
    assert.deepEqual((await query(west, 'select id from kids order by id')).json, [{ id: 3 }]);
    const before = (await query(west, 'select count(*) as n from cheap')).json[0].n;
    await query(west, "insert into items values (9, N'nine', 9, 9)");
    assert.deepEqual((await query(west, 'select count(*) as n from cheap')).json, [{ n: before + 1 }]);
    assert.equal((await query(west, 'select n from other_table')).cache, 'hit');
    assert.equal(unrelated.status, 200);
  });

  test('a change of structure is noticed', async () => {
    await warm(west, 'select * from other_table');
    assert.equal((await query(west, 'alter table other_table add m int')).status, 200);
    assert.deepEqual((await query(west, 'select * from other_table')).json, [{ id: 1, n: 1, m: null }]);
  });

  test('what must not be kept is not', async () => {
    for (const sql of ['select getdate() as v', 'select newid() as v', 'select @@spid as v', 'select name from sys.tables',
      'select qty from items with (nolock) where id = 1', 'select n from other.dbo.other_table']) {
      for (let i = 0; i < 4; i += 1) assert.notEqual((await query(west, sql)).cache, 'hit', sql);
    }
  });

  test('a login without VIEW DEFINITION gets rows, but no memory', async () => {
    const blind = await createCache('blind');
    for (let i = 0; i < 4; i += 1) {
      const reply = await query(west, 'select n from other_table', undefined, { user: 'carl', of: blind });
      assert.deepEqual(reply.json, [{ n: 1 }]);
      assert.notEqual(reply.cache, 'hit');
    }
  });

  test('errors have the status, the code and the words of the server', async () => {
    assert.match(await fails(400, '208', 'select * from missing'), /Invalid object name 'missing'/);
    assert.match(await fails(400, '8134', 'select 1/0 as x'), /Divide by zero/);
    assert.match(await fails(400, '2627', "insert into items values (1, N'again', 1, 1)"), /UNIQUE KEY|PRIMARY KEY/);
    await fails(400, 'bad_bindings', 'select ? as a', [[1, 2]]);
    await fails(401, 'login_failed', 'select 1 as a', undefined, { password: 'wrong' });
    await fails(401, 'login_failed', 'select 1 as a', undefined, { database: 'nowhere' });
    const closed = await createCache('closed', { port: await freePort() });
    await fails(502, 'origin_refused', 'select 1 as a', undefined, { of: closed });
    const untrusted = await createCache('untrusted', { tlsCa: undefined });
    assert.match(await fails(502, 'origin_cert', 'select 1 as a', undefined, { of: untrusted }), /certificate/);
    const slow = await createCache('slow', { queryTimeoutMs: 200 });
    await fails(504, 'query_timeout', "waitfor delay '00:01:00'", undefined, { of: slow });
    assert.deepEqual((await query(west, 'select 1 as a', undefined, { of: slow })).json, [{ a: 1 }]);
  });

  test('nothing of a session is left for the next request', async () => {
    const probe = "select @@trancount as t, @@lock_timeout as l, db_name() as d, session_context(N'k') as k, object_id('tempdb..#t') as o";
    const clean = (await query(west, probe)).json;
    for (const sql of ['begin transaction', 'set lock_timeout 7', 'use other', "exec sp_set_session_context N'k', 1",
      'create table #t (a int)', "exec sp_getapplock 'l', 'Exclusive', 'Session', 0", 'set implicit_transactions on; select 1 as a']) {
      await query(west, sql);
      for (let i = 0; i < 3; i += 1) assert.deepEqual((await query(west, probe)).json, clean, sql);
    }
  });

  test('/v1/query: several statements are one transaction; isolation', async () => {
    const post = async (fields, agent = west) => {
      const reply = await request(`${agent.url}/v1/query`, {
        method: 'POST', headers: { authorization: `Basic ${Buffer.from('alice:alice-pw').toString('base64')}` },
        body: JSON.stringify({ cache: cache.id, database: 'app', ...fields }),
      });
      return { status: reply.status, ...JSON.parse(reply.text) };
    };
    const sql = 'select qty from Items where id = 4';
    for (const agent of agents()) await warm(agent, sql);
    const done = await post({ statements: [
      { sql: 'update Items set qty = @p0 where id = 4', params: [4001] }, { sql: 'select qty, @@trancount as open_ from Items where id = 4' }] });
    assert.equal(done.status, 200, JSON.stringify(done));
    assert.equal(done.results[0].row_count, 1);
    assert.deepEqual(done.results[1].rows, [{ qty: 4001, open_: 1 }]);
    assert.deepEqual((await query(west, sql)).json, [{ qty: 4001 }]);
    await waitUntil(async () => (await query(east, sql)).json[0].qty === 4001, { what: 'the change in the other region' });
    // All or nothing.
    const failed = await post({ statements: [{ sql: 'update Items set qty = 4002 where id = 4' }, { sql: 'select 1/0 as x' }] });
    assert.deepEqual([failed.status, failed.code], [400, '8134']);
    assert.deepEqual((await query(west, sql)).json, [{ qty: 4001 }]);
    const level = { sql: 'select transaction_isolation_level as l from sys.dm_exec_sessions where session_id = @@spid' };
    for (const [isolation, number] of [['read_uncommitted', 1], ['read_committed', 2], ['repeatable_read', 3], ['serializable', 4]]) {
      const reply = await post({ transaction: { isolation }, statements: [level, { sql: 'select @@trancount as t' }] });
      assert.deepEqual(reply.results?.map((r) => r.rows), [[{ l: number }], [{ t: 1 }]], JSON.stringify(reply));
      // Nothing of it is left for the next request on that connection.
      assert.deepEqual((await post(level)).rows, [{ l: 2 }]);
    }
    const refused = await post({ transaction: { read_only: true }, statements: [{ sql: 'delete from Items' }] });
    assert.match(refused.message, /no read-only transactions/);
    assert.deepEqual([refused.status, refused.code], [400, 'bad_field']);
    assert.equal((await query(west, 'select count(*) as n from Items')).json[0].n > 0, true);
  });

  test('transactions over several requests: the protocols that have them are not for SQL Server', async () => {
    const reply = await request(`${west.url}/psdb.v1alpha1.Database/Execute`, {
      method: 'POST', headers: { authorization: `Basic ${Buffer.from(`${cache.id}/app/alice:alice-pw`).toString('base64')}` },
      body: JSON.stringify({ query: 'BEGIN', session: null }),
    });
    assert.equal(reply.status, 400);
    assert.match(JSON.parse(reply.text).error.message, /for caches of MySQL and MariaDB/);
    const neon = await request(`${west.url}/sql`, {
      method: 'POST', headers: { 'neon-connection-string': `postgresql://alice:alice-pw@${cache.id}.any.example.com/app` }, body: JSON.stringify({ queries: [{ query: 'select 1', params: [] }] }),
    });
    assert.equal(neon.status, 400);
    assert.match(JSON.parse(neon.text).message, /provider|postgres/i);
    // A transaction that a text leaves open says what to do instead.
    assert.match((await query(west, 'begin transaction')).json.message, /transaction/);
  });
});
