// Neon's serverless driver, unmodified, over HTTP: against agents in front of a
// real PostgreSQL. The layers on top of it are in orm.test.mjs.
import assert from 'node:assert/strict';
import { after, before, describe as suite, test } from 'node:test';
import { NeonDbError, neon, neonConfig } from '@neondatabase/serverless';
import pg from 'pg';
import { describe, request } from '../lib/portside.mjs';
import { waitUntil } from '../lib/process.mjs';
import { Stage } from '../lib/stage.mjs';

suite('@neondatabase/serverless', () => {
  let stage;
  let states; // Cache-Status of every reply, in order
  let agent; // where the driver's requests go

  before(async () => {
    stage = await Stage.create();
    await stage.db.sql(`
      create table typed (id serial primary key, b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric,
        t text, v varchar(9), by bytea, d date, ts timestamp, tz timestamptz, iv interval, j json, jb jsonb, u uuid, ia int[], ta text[]);
      insert into typed (b, i2, i4, i8, f4, f8, n, t, v, by, d, ts, tz, iv, j, jb, u, ia, ta) values
        (true, -2, 4, 9007199254740993, 1.5, 'NaN', 12.340, 'ü"\\', 'x', '\\x00ff', '2024-02-29', '2024-02-29 12:34:56.789',
         '2024-02-29 12:34:56+02', '1 day 2 hours', '{"a": [1, 2]}', '{"b": null}', '00000000-0000-4000-8000-000000000001', '{1,NULL,3}', '{a,"b,c",NULL}');
      create table ledger (id int primary key, n int not null check (n >= 0));
      insert into ledger values (1, 100), (2, 0);
      grant all on all tables in schema public to alice, bob;
    `, { database: 'app' });
    [agent] = stage.agents;
    states = [];
    // The only thing that is set up: where the driver finds the agent. The
    // host of the connection string names the cache.
    neonConfig.fetchEndpoint = (host) => {
      assert.match(host, /^[0-9a-f-]{36}\.any\.portside\.test$/);
      return `${agent.url}/sql`;
    };
    neonConfig.fetchFunction = async (...args) => {
      const reply = await fetch(...args);
      states.push(reply.headers.get('cache-status') ?? '');
      return reply;
    };
  });
  after(async () => { await stage?.destroy(); });

  const url = ({ user = 'alice', password = `${user}-pw`, database = 'app', cache = stage.cache.id } = {}) => `postgresql://${user}:${encodeURIComponent(password)}@${cache}.any.portside.test/${database}?sslmode=require`;
  const connect = (who, options) => neon(url(who), options);
  const direct = async (text, params = []) => {
    const client = new pg.Client({ host: stage.db.host, port: stage.db.port, user: 'alice', password: 'alice-pw', database: 'app' });
    await client.connect();
    try {
      return await client.query(text, params);
    } finally {
      await client.end();
    }
  };
  const last = () => states.at(-1);
  const warm = (run) => waitUntil(async () => {
    await run();
    return /;\s*hit/.test(last());
  }, { what: 'a hit' });
  const failed = async (promise) => {
    try {
      await promise;
    } catch (error) {
      return error;
    }
    throw new Error('it did not fail');
  };

  test('miss, miss, hit, and the same rows; a write ends the hit', async () => {
    const sql = connect();
    states.length = 0;
    for (let i = 0; i < 4; i += 1) assert.deepEqual(await sql`select name, qty from items where id = ${7}`, [{ name: 'item 7', qty: 70 }]);
    assert.match(states[0], /fwd=uri-miss$/);
    assert.match(states[1], /stored/);
    assert.match(states[2], /hit/);
    await sql`update items set qty = ${71} where id = ${7}`;
    assert.match(last(), /bypass/);
    assert.deepEqual(await sql`select name, qty from items where id = ${7}`, [{ name: 'item 7', qty: 71 }]);
    assert.doesNotMatch(last(), /hit/);
  });

  test('every type as node-pg gives it, cold and from memory', async () => {
    const wanted = (await direct('select * from typed')).rows;
    const sql = connect();
    // An interval is an object of a class of each package's own.
    const plain = (rows) => rows.map((row) => ({ ...row, iv: { ...row.iv } }));
    for (let i = 0; i < 4; i += 1) assert.deepEqual(plain(await sql`select * from typed`), plain(wanted));
    assert.match(last(), /hit/);
    assert.equal(wanted[0].i8, '9007199254740993');
    const full = await sql.query('select * from typed', [], { fullResults: true });
    const other = await direct('select * from typed');
    assert.deepEqual(full.fields.map((f) => [f.name, f.dataTypeID, f.tableID, f.columnID, f.dataTypeSize, f.dataTypeModifier, f.format]),
      other.fields.map((f) => [f.name, f.dataTypeID, f.tableID, f.columnID, f.dataTypeSize, f.dataTypeModifier, f.format]));
    assert.equal(full.command, 'SELECT');
    assert.equal(full.rowCount, 1);
    const rows = await sql.query('select i4, t from typed', [], { arrayMode: true });
    assert.deepEqual(rows, [[4, 'ü"\\']]);
  });

  test('parameters of every kind', async () => {
    const sql = connect();
    const row = { b: false, i: 5, f: 0.25, s: "it's", n: null, a: [1, 2], t: ['x', 'y"'], d: new Date(0), by: Buffer.from([0, 255]), j: { k: ['v'] } };
    const [got] = await sql`select ${row.b}::bool b, ${row.i}::int i, ${row.f}::float8 f, ${row.s}::text s, ${row.n}::text n,
      ${row.a}::int[] a, ${row.t}::text[] t, ${row.d}::timestamptz d, ${row.by}::bytea "by", ${row.j}::jsonb j`;
    assert.deepEqual(got, row);
    // Types are the server's to find.
    const error = await failed(sql`select name from items where id = ${'x'}`);
    assert.equal(error.code, '22P02');
  });

  test('commands and counts', async () => {
    const sql = connect(undefined, { fullResults: true });
    const done = async (text) => {
      const { command, rowCount, rows, fields } = await sql.query(text);
      return [command, rowCount, rows.length, fields.length];
    };
    assert.deepEqual(await done('create table made (id int)'), ['CREATE', null, 0, 0]);
    assert.deepEqual(await done('insert into made values (1), (2)'), ['INSERT', 2, 0, 0]);
    assert.deepEqual(await done('insert into made values (3) returning id'), ['INSERT', 1, 1, 1]);
    assert.deepEqual(await done('update made set id = 4 where id = 3'), ['UPDATE', 1, 0, 0]);
    assert.deepEqual(await done('select id from made where id = 4'), ['SELECT', 1, 1, 1]);
    assert.deepEqual(await done('delete from made'), ['DELETE', 3, 0, 0]);
    assert.deepEqual(await done('drop table made'), ['DROP', null, 0, 0]);
  });

  test('errors have every field that PostgreSQL gave', async () => {
    const sql = connect();
    const text = 'insert into ledger values ($1, $2)';
    const mine = await failed(sql.query(text, [1, 5]));
    const theirs = await failed(direct(text, [1, 5]));
    assert.ok(mine instanceof NeonDbError);
    for (const key of ['message', 'code', 'detail', 'severity', 'schema', 'table', 'constraint', 'file', 'line', 'routine', 'hint', 'column', 'position', 'where']) assert.equal(mine[key], theirs[key], key);
    assert.equal(mine.constraint, 'ledger_pkey');
    const syntax = await failed(sql.query('select 1 +'));
    assert.equal(syntax.code, '42601');
    assert.equal(syntax.position, (await failed(direct('select 1 +'))).position);
    // One statement at a time, as the extended protocol has it.
    assert.equal((await failed(sql.query('select 1; select 2'))).code, '42601');
    assert.equal((await failed(sql.query('select $1::int'))).code, '08P01');
  });

  test('logins: wrong user and wrong password read the same', async () => {
    const wrong = await failed(connect({ password: 'no' })`select 1`);
    const nobody = await failed(connect({ user: 'nobody', password: 'no' })`select 1`);
    assert.equal(wrong.code, '28P01');
    assert.equal(wrong.severity, 'FATAL');
    assert.match(wrong.message, /^password authentication failed for user "alice"$/);
    assert.equal(nobody.message, wrong.message.replace('alice', 'nobody'));
    assert.equal((await failed(connect({ cache: '00000000-0000-4000-8000-000000000000' })`select 1`)).code, '3D000');
    const odd = 'p@ss/w:rd?#% ü';
    await stage.db.sql(`create role "o@d:d" login password '${odd}'; grant all on database app to "o@d:d"`);
    assert.deepEqual(await neon(`postgresql://${encodeURIComponent('o@d:d')}:${encodeURIComponent(odd)}@${stage.cache.id}.any.portside.test/app`)`select current_user as me`, [{ me: 'o@d:d' }]);
  });

  test('one user never sees what another one keeps', async () => {
    const rows = (who) => connect(who)`select current_user as me, count(*)::int as n from items`;
    const run = (who) => connect(who)`select who from owners`;
    for (let i = 0; i < 4; i += 1) {
      assert.deepEqual(await run({ user: 'alice' }), [{ who: 'alice' }]);
      assert.deepEqual(await run({ user: 'bob' }), [{ who: 'bob' }]);
      assert.deepEqual(await rows({ user: 'bob' }), [{ me: 'bob', n: 100 }]);
      assert.deepEqual(await rows({ user: 'alice' }), [{ me: 'alice', n: 100 }]);
    }
  });

  test('the cache by parameter and by user name', async () => {
    const raw = async (connection, body = { query: 'select 1 as a' }, headers = {}) => {
      const reply = await request(`${agent.url}/sql`, {
        method: 'POST',
        body: typeof body === 'string' ? body : JSON.stringify(body),
        headers: { 'content-type': 'text/plain;charset=UTF-8', 'neon-connection-string': connection, ...headers },
      });
      return describe(reply);
    };
    const { id } = stage.cache;
    for (const connection of [
      `postgresql://alice:alice-pw@db.example/app?cache=${id}&application_name=x`,
      `postgres://${id}-alice:alice-pw@db.example:5432/app`,
      `postgresql://alice:alice-pw@${id}.any.portside.test/app`,
    ]) {
      const reply = await raw(connection);
      assert.equal(reply.status, 200, reply.text);
      assert.deepEqual(reply.json.rows, [{ a: 1 }]);
      assert.equal(reply.json.rowAsArray, false);
    }
    const good = `postgresql://alice:alice-pw@x/app?cache=${id}`;
    const values = { query: 'select true as b, 1::int2 as i, 2::int8 as l, 1.5::float8 as f, \'NaN\'::float8 as x, \'{"a":1}\'::jsonb as j, array[1,null] as ia, array[\'a\',\'b,c\'] as ta, \'2024-01-01\'::date as d' };
    assert.deepEqual((await raw(good, values)).json.rows, [{ b: true, i: 1, l: '2', f: 1.5, x: 'NaN', j: { a: 1 }, ia: [1, null], ta: ['a', 'b,c'], d: '2024-01-01' }]);
    assert.deepEqual((await raw(good, values, { 'neon-raw-text-output': 'true', 'neon-array-mode': 'true' })).json.rows,
      [['t', '1', '2', '1.5', 'NaN', '{"a": 1}', '{1,NULL}', '{a,"b,c"}', '2024-01-01']]);
    assert.deepEqual((await raw(good, { ...values, arrayMode: true })).json.rows[0][0], true);
    const keys = ['message', 'code', 'detail', 'hint', 'position', 'internalPosition', 'internalQuery', 'severity', 'where', 'table', 'column', 'schema', 'dataType', 'constraint', 'file', 'line', 'routine'];
    for (const [connection, body] of [
      ['nonsense', undefined], ['postgresql://h/app', undefined], [`postgresql://a:b@x/app`, undefined], [`postgresql://a:%zz@x/app?cache=${id}`, undefined],
      [good, '{'], [good, {}], [good, { query: '' }], [good, { query: 'select 1', params: {} }], [good, { queries: [{ query: 'select 1' }, {}] }], [good, { queries: {} }],
      [good, { query: 'selec' }], [good, { query: 'begin' }],
    ]) {
      const reply = await raw(connection, body);
      assert.equal(reply.status, 400, `${connection} ${JSON.stringify(body)}: ${reply.text}`);
      assert.deepEqual(Object.keys(reply.json).sort(), [...keys].sort());
      assert.equal(typeof reply.json.message, 'string');
      assert.equal(typeof reply.json.code, 'string');
    }
    assert.equal((await raw(good, { query: `select '${'x'.repeat(5 << 20)}'` })).status, 413);
    const large = await raw(good, { query: 'select repeat(\'x\', 20000000)' });
    assert.equal(large.status, 507, large.text);
  });

  test('a batch is one transaction: all or nothing', async () => {
    const sql = connect();
    const rows = await sql.transaction([
      sql`update ledger set n = n - 30 where id = 1`,
      sql`update ledger set n = n + 30 where id = 2`,
      sql`select n from ledger order by id`,
    ]);
    assert.deepEqual(rows, [[], [], [{ n: 70 }, { n: 30 }]]);
    const error = await failed(sql.transaction([
      sql`update ledger set n = n + 1000 where id = 2`,
      sql`update ledger set n = n - 1000 where id = 1`,
      sql`select 1`,
    ]));
    assert.equal(error.code, '23514');
    assert.equal(error.constraint, 'ledger_n_check');
    assert.deepEqual((await direct('select n from ledger order by id')).rows, [{ n: 70 }, { n: 30 }]);
    assert.deepEqual(await sql.transaction([]), []);
    const full = await sql.transaction((tx) => [tx`select 1 as a`, tx`delete from ledger where id = 99`], { fullResults: true });
    assert.deepEqual(full.map((r) => [r.command, r.rowCount]), [['SELECT', 1], ['DELETE', 0]]);
  });

  test('a batch: isolation, read only, deferrable', async () => {
    const sql = connect();
    const shown = async (options) => {
      const [[a], [b], [c]] = await sql.transaction([sql`show transaction_isolation`, sql`show transaction_read_only`, sql`show transaction_deferrable`], options);
      return [a.transaction_isolation, b.transaction_read_only, c.transaction_deferrable];
    };
    assert.deepEqual(await shown({}), ['read committed', 'off', 'off']);
    assert.deepEqual(await shown({ isolationLevel: 'ReadUncommitted' }), ['read uncommitted', 'off', 'off']);
    assert.deepEqual(await shown({ isolationLevel: 'RepeatableRead', readOnly: true }), ['repeatable read', 'on', 'off']);
    assert.deepEqual(await shown({ isolationLevel: 'Serializable', readOnly: true, deferrable: true }), ['serializable', 'on', 'on']);
    const error = await failed(sql.transaction([sql`update ledger set n = 1 where id = 1`], { readOnly: true }));
    assert.equal(error.code, '25006');
    // Nothing of it is left on the pooled connection.
    assert.deepEqual(await sql`show transaction_read_only`, [{ transaction_read_only: 'off' }]);
  });

  test('a batch ends what is kept of all it changed, and nothing else; nothing in it is kept', async () => {
    const sql = connect();
    const read = () => sql`select qty from items where id = 50`;
    const beside = () => sql`select n from ledger where id = 2`;
    await warm(read);
    await warm(beside);
    const [, inside] = await sql.transaction([sql`update items set qty = 5001 where id = 50`, sql`select qty from items where id = 50`]);
    assert.deepEqual(inside, [{ qty: 5001 }]);
    assert.match(last(), /bypass; detail=transaction/);
    assert.deepEqual(await read(), [{ qty: 5001 }]);
    assert.doesNotMatch(last(), /hit/);
    await beside();
    assert.match(last(), /hit/);
    // Rolled back: what was kept is right and stays.
    await warm(read);
    await failed(sql.transaction([sql`update items set qty = 0 where id = 50`, sql`select 1/0`]));
    assert.deepEqual(await read(), [{ qty: 5001 }]);
    // Seen by the other region, too.
    const [west, east] = stage.agents;
    agent = east;
    await warm(read);
    agent = west;
    await sql.transaction([sql`update items set qty = 5002 where id = 50`]);
    agent = east;
    await waitUntil(async () => (await read())[0].qty === 5002, { timeoutMs: 2500, everyMs: 1, what: 'the write in the other region' });
    agent = west;
  });

  test('a statement of a batch may not end its transaction', async () => {
    const sql = connect();
    const error = await failed(sql.transaction([sql`update ledger set n = 71 where id = 1`, sql`commit`, sql`select 1`]));
    assert.match(error.message, /ended its transaction/);
    assert.deepEqual((await direct('select n from ledger where id = 1')).rows, [{ n: 71 }]);
  });

  test('a client that goes away in the middle of a batch leaves nothing of it', async () => {
    const gone = new AbortController();
    const sql = connect(undefined, { fetchOptions: { signal: gone.signal } });
    const batch = failed(sql.transaction([sql`update ledger set n = 0 where id = 1`, sql`select pg_sleep(60)`]));
    const active = async () => (await stage.db.sql("select count(*)::int as n from pg_stat_activity where query like '%pg_sleep(60)%' and state = 'active' and pid <> pg_backend_pid()")).rows[0].n;
    await waitUntil(async () => (await active()) === 1, { what: 'the sleep' });
    gone.abort();
    await batch;
    await waitUntil(async () => (await active()) === 0, { what: 'the end of the sleep' });
    // The row is free again and has its old value.
    assert.deepEqual((await direct("update ledger set n = n where id = 1 returning n")).rows, [{ n: 71 }]);
  });

  test('transactions leave no connection behind', async () => {
    const sql = connect({ user: 'bob' });
    for (let i = 0; i < 30; i += 1) {
      await Promise.allSettled([
        sql.transaction([sql`select 1`, sql`select ${i}::int`]),
        sql.transaction([sql`select 1/0`]),
      ]);
    }
    await waitUntil(async () => (await stage.db.sql("select count(*)::int as n from pg_stat_activity where usename = 'bob' and state like 'idle in transaction%'")).rows[0].n === 0, { what: 'no open transaction' });
  });
});
