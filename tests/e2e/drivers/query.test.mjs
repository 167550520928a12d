// POST /v1/query, Portside's own protocol, and CORS, through real agents to
// PostgreSQL and MariaDB.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe as suite, test } from 'node:test';
import { contractOf } from '../lib/conform.mjs';
import { MariaDb } from '../lib/mariadb.mjs';
import { describe, request } from '../lib/portside.mjs';
import { waitUntil } from '../lib/process.mjs';
import { Stage } from '../lib/stage.mjs';

const basic = (user, password) => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

suite('POST /v1/query', () => {
  let stage;
  let maria;
  let other; // the MariaDB cache

  before(async () => {
    stage = await Stage.create();
    maria = await MariaDb.start();
    await maria.sql(`create table items (id int unsigned auto_increment primary key, name varchar(50), n bigint, j json, b varbinary(9));
      insert into items (name, n, j, b) values ('one', 9007199254740993, '{"a": [1]}', x'00ff');
      create table parents (id int primary key) engine=innodb`);
    other = await stage.controlPlane.createCache({ name: 'maria', host: maria.host, port: maria.port, database: 'mariadb', tlsMode: 'disable' });
    for (const agent of stage.agents) await agent.knows(other.id);
  });
  after(async () => {
    await stage?.destroy();
    await maria?.stop();
  });

  // A query with everything visible; who: the user.
  async function post(body, { agent = stage.agents[0], who = 'alice', headers = {}, parse = true } = {}) {
    const reply = await request(`${agent.url}/v1/query`, {
      method: 'POST',
      body: typeof body === 'string' ? body : JSON.stringify({ cache: stage.cache.id, database: 'app', ...body }),
      headers: { ...(who ? { authorization: basic(who, `${who}-pw`) } : {}), ...headers },
    });
    return parse ? describe(reply) : reply;
  }
  async function run(body, options) {
    const reply = await post(body, options);
    assert.equal(reply.status, 200, reply.text);
    return reply;
  }
  const warm = (body, options) => waitUntil(async () => {
    const reply = await run(body, options);
    return reply.cache === 'hit' ? reply : null;
  }, { what: `a hit for ${JSON.stringify(body)}` });

  test('columns, rows, count, command and the cache state', async () => {
    const body = { sql: 'select id, name, qty::int8 as big from items where id = $1', params: [7] };
    const first = await run(body);
    assert.deepEqual(first.json.columns, [
      { name: 'id', type: 'int4', nullable: null },
      { name: 'name', type: 'text', nullable: null },
      { name: 'big', type: 'int8', nullable: null },
    ]);
    assert.deepEqual(first.json.rows, [{ id: 7, name: 'item 7', big: '70' }]);
    assert.equal(first.json.row_count, 1);
    assert.equal(first.json.command, 'SELECT');
    assert.equal(first.json.cache.status, 'miss');
    assert.match(first.json.cache.template, /^[0-9a-f]{16}$/);
    assert.equal(first.headers['content-type'], 'application/json');
    const hit = await warm(body);
    assert.equal(hit.json.cache.status, 'hit');
    assert.equal(hit.json.cache.reason, 'hit');
    assert.ok(hit.json.cache.age_ms >= 0 && hit.json.cache.ttl_ms > 0);
    assert.equal(hit.json.cache.template, first.json.cache.template);
    delete hit.json.cache;
    delete first.json.cache;
    delete hit.json.token;
    delete first.json.token;
    assert.deepEqual(hit.json, first.json);
  });

  test('rows as arrays are another answer than rows as objects', async () => {
    const sql = 'select 1 as a, 2 as a, null as b';
    assert.deepEqual((await warm({ sql, rows: 'array' })).json.rows, [[1, 2, null]]);
    assert.deepEqual((await warm({ sql })).json.rows, [{ a: 2, b: null }]);
    assert.equal((await post({ sql, rows: 'list' })).status, 400);
  });

  test('parameters: by position, by name, as PolyScale has them', async () => {
    const rows = async (body) => (await run(body)).json.rows;
    assert.deepEqual(await rows({ sql: 'select $1::text as a, $2::int as b, $3::bool as c, $4::text as d', params: ['x', 2, true, null] }), [{ a: 'x', b: 2, c: true, d: null }]);
    assert.deepEqual(await rows({ sql: 'select $1::jsonb as a, $2::text[] as b', params: [{ k: [1, 'ü'] }, ['p', null, 'q"\\,{}', '']] }), [{ a: { k: [1, 'ü'] }, b: ['p', null, 'q"\\,{}', ''] }]);
    assert.deepEqual(await rows({ sql: 'select $1::int[] as a', params: [[[1, 2], [3, 4]]] }), [{ a: [[1, 2], [3, 4]] }]);
    assert.deepEqual(await rows({ sql: 'select $1::numeric as a', params: [12345678901234567890123n.toString()] }), [{ a: '12345678901234567890123' }]);
    assert.deepEqual(await rows({ sql: 'select :a::int + :b::int as c', params: { a: 1, b: 2 } }), [{ c: 3 }]);
    assert.deepEqual(await rows({ sql: 'select ?::int as a', bindings: [5] }), [{ a: 5 }]);
    assert.deepEqual(await rows('{"cache":"' + stage.cache.id + '","database":"app","sql":"select $1::numeric as a","params":[12345678901234567890.50]}'), [{ a: '12345678901234567890.50' }]);
    for (const [params, code] of [[['a\0b'], 'bad_bindings'], ['x', 'bad_field']]) {
      const reply = await post({ sql: 'select $1::text', params });
      assert.equal(reply.status, 400);
      assert.equal(reply.json.code, code);
    }
  });

  test('equal text with other parameters is another answer', async () => {
    const sql = 'select $1::text as a';
    assert.deepEqual((await warm({ sql, params: ['1'] })).json.rows, [{ a: '1' }]);
    for (const params of [[1], [true], [null], ['1 ']]) assert.notEqual((await run({ sql, params })).cache, 'hit');
  });

  test('NDJSON: a line of columns, a line for each row, a last line', async () => {
    const lines = async (body, headers = { accept: 'application/x-ndjson' }) => {
      const reply = await post(body, { headers, parse: false });
      assert.equal(reply.status, 200, reply.text);
      assert.equal(reply.headers['content-type'], 'application/x-ndjson');
      assert.ok(reply.text.endsWith('\n'));
      return reply.text.slice(0, -1).split('\n').map((line) => JSON.parse(line));
    };
    const sql = 'select id, name from items where id < 4 order by id';
    for (let i = 0; i < 4; i += 1) {
      const [head, ...rest] = await lines({ sql });
      const last = rest.pop();
      assert.deepEqual(head.columns.map((c) => c.name), ['id', 'name']);
      assert.deepEqual(rest, [1, 2, 3].map((id) => ({ id, name: `item ${id}` })));
      assert.equal(last.row_count, 3);
      assert.equal(last.cache.status, i < 2 ? 'miss' : 'hit');
    }
    const [, row, last] = await lines({ sql: 'select 1 as a', rows: 'array' });
    assert.deepEqual(row, [1]);
    assert.equal(last.row_count, 1);
    assert.equal((await lines({ sql: 'select 1 where false' })).length, 2);
    assert.equal((await lines({ sql: "update items set name = name where id = 5" }))[1].row_count, 1);
  });

  test('cache_control: bypass, only_if_cached, max_age_ms, ttl_ms', async () => {
    const sql = 'select qty from items where id = 30';
    const only = await post({ sql, cache_control: { mode: 'only_if_cached' } });
    assert.equal(only.status, 504);
    assert.equal(only.json.code, 'only_if_cached');
    // A time to live of the client's: kept from the first time on.
    const kept = await run({ sql, cache_control: { ttl_ms: 60000 } });
    assert.equal(kept.json.cache.status, 'miss');
    assert.ok(kept.json.cache.ttl_ms > 50000);
    assert.equal((await run({ sql, cache_control: { mode: 'only_if_cached' } })).cache, 'hit');
    const bypass = await run({ sql, cache_control: { mode: 'bypass' } });
    assert.equal(bypass.json.cache.status, 'bypass');
    assert.equal(bypass.json.cache.reason, 'client_no_cache');
    assert.equal((await run({ sql, cache_control: { max_age_ms: 60000 } })).cache, 'hit');
    await waitUntil(async () => (await run({ sql })).json.cache.age_ms > 2, { what: 'an answer of some age' });
    assert.equal((await run({ sql, cache_control: { max_age_ms: 1 } })).json.cache.status, 'stale');
    const never = { sql: 'select qty from items where id = 31', cache_control: { ttl_ms: 0 } };
    for (let i = 0; i < 4; i += 1) assert.equal((await run(never)).json.cache.status, 'bypass');
    for (const cache_control of [{ mode: 'x' }, { ttl_ms: -1 }, { max_age_ms: '1' }, 7]) {
      assert.equal((await post({ sql, cache_control })).json.code, 'bad_field');
    }
  });

  test('a write says what it did and ends the kept answer', async () => {
    const read = { sql: 'select qty from items where id = 40' };
    await warm(read);
    const reply = await run({ sql: 'update items set qty = $1 where id = 40', params: [4001] });
    assert.equal(reply.json.command, 'UPDATE');
    assert.equal(reply.json.row_count, 1);
    assert.deepEqual(reply.json.rows, []);
    assert.deepEqual((await run(read)).json.rows, [{ qty: 4001 }]);
  });

  test('credentials: header, body, prefix; wrong ones', async () => {
    const body = { sql: 'select current_user as me' };
    const me = async (extra, options) => (await run({ ...body, ...extra }, options)).json.rows[0].me;
    assert.equal(await me({}), 'alice');
    assert.equal(await me({ username: 'bob', password: 'bob-pw' }, { who: null }), 'bob');
    assert.equal(await me({ cache: undefined }, { who: null, headers: { authorization: basic(`${stage.cache.id}-bob`, 'bob-pw') } }), 'bob');
    assert.equal(await me({ cache: undefined, database: undefined }, { who: null, headers: { authorization: basic(`${stage.cache.id}/app/bob`, 'bob-pw') } }), 'bob');
    assert.equal(await me({ cache: undefined, cacheId: stage.cache.id }), 'alice');
    const failed = async (extra, options) => {
      const reply = await post({ ...body, ...extra }, options);
      assert.deepEqual(Object.keys(reply.json).slice(0, 4), ['statusCode', 'code', 'error', 'message']);
      assert.equal(reply.json.statusCode, reply.status);
      return [reply.status, reply.json.code];
    };
    assert.deepEqual(await failed({}, { headers: { authorization: basic('alice', 'no') } }), [401, 'login_failed']);
    assert.deepEqual(await failed({}, { headers: { authorization: 'Bearer x' } }), [401, 'unauthorized']);
    assert.deepEqual(await failed({}, { headers: { authorization: 'Basic ***' } }), [401, 'unauthorized']);
    assert.deepEqual(await failed({}, { who: null }), [400, 'missing_field']);
    assert.deepEqual(await failed({ cache: undefined }), [400, 'missing_field']);
    assert.deepEqual(await failed({ database: '' }), [400, 'missing_field']);
    const usual = await stage.createCache('usual', { defaultDatabase: 'app' });
    assert.equal((await run({ cache: usual.id, database: undefined, sql: 'select current_database() as d' })).json.rows[0].d, 'app');
    assert.equal((await run({ cache: usual.id, database: 'postgres', sql: 'select current_database() as d' })).json.rows[0].d, 'postgres');
    assert.deepEqual(await failed({ sql: 7 }), [400, 'bad_field']);
    assert.deepEqual(await failed({ provider: 'mysql' }), [400, 'provider_mismatch']);
    assert.deepEqual(await failed({ cache: '00000000-0000-4000-8000-000000000000' }), [404, 'cache_not_found']);
    for (const text of ['', '[]', '{', '{"a":1}x', '"x"', '{"sql":"\\ud800"}']) {
      const reply = await post(text);
      assert.equal(reply.status, 400, text);
      assert.equal(reply.json.code, 'bad_json', text);
    }
  });

  test('what the database said of an error', async () => {
    const reply = await post({ sql: 'insert into items values (1, $1, 1)', params: ['x'] });
    assert.equal(reply.status, 400);
    assert.equal(reply.json.code, '23505');
    assert.equal(reply.json.origin.constraint, 'items_pkey');
    assert.equal(reply.json.origin.table, 'items');
    assert.match(reply.json.origin.detail, /Key \(id\)=\(1\) already exists/);
    const syntax = await post({ sql: 'selec 1' });
    assert.equal(syntax.json.code, '42601');
    assert.equal(syntax.json.origin.position, '1');
  });

  test('MariaDB: its types, its placeholders, insert_id', async () => {
    const to = (body) => ({ cache: other.id, ...body });
    const reply = await run(to({ sql: 'select id, name, n, j, b from items where id = ?', params: [1] }));
    assert.deepEqual(reply.json.columns, [
      { name: 'id', type: 'int unsigned', nullable: false },
      { name: 'name', type: 'varchar', nullable: true },
      { name: 'n', type: 'bigint', nullable: true },
      { name: 'j', type: 'json', nullable: true },
      { name: 'b', type: 'varbinary', nullable: true },
    ]);
    assert.equal(reply.json.rows[0].name, 'one');
    assert.equal(reply.json.command, 'SELECT');
    const insert = await run(to({ sql: 'insert into items (name) values (?), (?)', params: ['two', 'three'] }));
    assert.equal(insert.json.command, 'INSERT');
    assert.equal(insert.json.row_count, 2);
    assert.equal(insert.json.insert_id, '2');
    // Without a provider the cache knows which placeholders are the right ones.
    assert.deepEqual((await run(to({ sql: 'select name from items where id = :id', params: { id: 3 } }))).json.rows, [{ name: 'three' }]);
    const failed = await post(to({ sql: 'insert into items (id) values (1)' }));
    assert.equal(failed.json.origin.number, 1062);
    assert.equal(failed.json.code, '23000');
  });

  test('the PolyScale protocol without a provider binds as its cache does', async () => {
    const reply = await stage.agents[0].sql({
      cacheId: other.id, username: 'alice', password: 'alice-pw', database: 'app', sql: 'select name from items where id = ?', bindings: [1],
    });
    assert.equal(reply.status, 200, reply.text);
    assert.deepEqual(reply.json, [{ name: 'one' }]);
  });

  test('statements: one transaction, all or nothing', async () => {
    const both = [[stage.cache.id, (n) => `$${n}`], [other.id, () => '?']];
    for (const [cache, mark] of both) {
      const counts = { cache, sql: 'select count(*) as n from items where id > 1000' };
      const before = (await warm(counts)).json.rows[0].n;
      const reply = await run({
        cache, rows: 'array', transaction: { isolation: 'serializable' },
        statements: [
          { sql: `insert into items (id, name${cache === other.id ? '' : ', qty'}) values (${mark(1)}, ${mark(2)}${cache === other.id ? '' : ', 0'})`, params: [1001, 'new'] },
          { sql: 'select name from items where id = :id', params: { id: 1001 } },
        ],
      });
      assert.equal(reply.json.results.length, 2);
      assert.equal(reply.json.results[0].row_count, 1);
      assert.equal(reply.json.results[0].command, 'INSERT');
      assert.deepEqual(reply.json.results[1].rows, [['new']]);
      assert.equal(reply.json.cache.status, 'bypass');
      assert.equal(reply.json.cache.reason, 'transaction');
      assert.equal(Number((await run(counts)).json.rows[0].n), Number(before) + 1);
      const failed = await post({ cache, statements: [{ sql: 'delete from items where id = 1001' }, { sql: 'selec 1' }] });
      assert.equal(failed.status, 400);
      assert.ok(failed.json.origin.message);
      assert.equal(Number((await run(counts)).json.rows[0].n), Number(before) + 1);
    }
    const mode = { transaction: { read_only: true, isolation: 'repeatable_read' } };
    assert.deepEqual((await run({ ...mode, statements: [{ sql: 'show transaction_read_only' }, { sql: 'show transaction_isolation' }] })).json.results.map((r) => Object.values(r.rows[0])[0]), ['on', 'repeatable read']);
    assert.equal((await post({ cache: other.id, ...mode, statements: [{ sql: 'delete from items' }] })).json.origin.number, 1792);
    for (const bad of [{ statements: {} }, { statements: [1] }, { statements: [{}] }, { statements: [], transaction: { isolation: 'x' } }, { statements: [], sql: 'select 1' }]) {
      assert.equal((await post(bad)).status, 400, JSON.stringify(bad));
    }
    assert.deepEqual((await run({ statements: [] })).json.results, []);
  });

  test('after: what a client has seen in one region it sees in the other', async () => {
    const [west, east] = stage.agents;
    const sql = 'select qty from items where id = 77';
    const read = (after, agent = east) => run({ sql, ...(after && { after }) }, { agent });
    for (let round = 1; round <= 10; round += 1) {
      await waitUntil(async () => (await read()).cache === 'hit', { what: 'a hit in the other region' });
      const write = await run({ sql: 'update items set qty = $1 where id = 77', params: [round] });
      assert.match(write.json.token, /^[^:]+:\d+$/);
      const first = await read(write.json.token);
      assert.deepEqual(first.json.rows, [{ qty: round }], `round ${round}: ${first.text}`);
    }
    const batch = await run({ statements: [{ sql: 'update items set qty = 99 where id = 77' }] });
    assert.deepEqual((await read(batch.json.token)).json.rows, [{ qty: 99 }]);
    // Once it is applied, memory answers for the token, too.
    await waitUntil(async () => (await read(batch.json.token)).cache === 'hit', { what: 'a hit for the token' });
    const hit = await read(batch.json.token);
    assert.match(hit.json.token, /^[^:]+:\d+$/);
    // Nobody can have seen this yet.
    const [epoch, number] = hit.json.token.split(':');
    for (const after of [`${epoch}:${Number(number) + 1000}`, `other:${number}`]) {
      const reply = await read(after);
      assert.equal(reply.cache, 'bypass');
      assert.equal(reply.json.cache.reason, 'after_token');
    }
    for (const after of ['x', ':1', 'a:', 'a:-1', 7]) assert.equal((await post({ sql, after })).status, 400);
  });

  test('CORS: preflight on every path, and every reply may be read', async () => {
    const [agent] = stage.agents;
    for (const path of ['/sql', '/v1/query', '/psdb.v1alpha1.Database/Execute']) {
      const reply = await request(`${agent.url}${path}`, {
        method: 'OPTIONS',
        headers: {
          origin: 'https://app.example', 'access-control-request-method': 'POST',
          'access-control-request-headers': 'authorization,content-type,neon-connection-string',
        },
      });
      assert.equal(reply.status, 204);
      assert.equal(reply.text, '');
      assert.equal(reply.headers['access-control-allow-origin'], '*');
      assert.equal(reply.headers['access-control-max-age'], '86400');
      assert.match(reply.headers['access-control-allow-methods'], /POST/);
      const allowed = reply.headers['access-control-allow-headers'].toLowerCase().split(/,\s*/);
      for (const name of ['*', 'authorization', 'content-type', 'neon-connection-string', 'neon-array-mode']) assert.ok(allowed.includes(name), name);
    }
    for (const reply of [await run({ sql: 'select 1' }), await post('{'), await agent.sql(stage.body('select 1'))]) {
      assert.equal(reply.headers['access-control-allow-origin'], '*');
      assert.match(reply.headers['access-control-expose-headers'], /Cache-Status/);
    }
    const get = await request(`${agent.url}/v1/query`);
    assert.equal(get.status, 405);
  });

  test('every call, reply and field of agent.yaml has been produced', async () => {
    const [agent] = stage.agents;
    await run({ sql: 'select 1', provider: 'postgres', cache_control: { swr_ms: 1000 } });
    await run({ statements: [{ sql: 'select ? as a', bindings: [1] }], transaction: { isolation: 'serializable', read_only: true, deferrable: true } });
    assert.equal((await agent.get('/healthz')).status, 200);
    for (const call of ['Execute', 'CreateSession']) {
      const reply = await request(`${agent.url}/psdb.v1alpha1.Database/${call}`, { method: 'POST', body: '{}' });
      assert.ok(reply.status >= 400, reply.text);
    }
    // Without a control plane and with nothing on disk it knows no cache.
    await stage.controlPlane.stop();
    await agent.stop();
    fs.rmSync(path.join(agent.dir, 'config.bin'));
    await agent.boot({ wait: false });
    assert.equal((await agent.get('/readyz')).status, 503);
    const contract = contractOf('agent.yaml');
    const { responses, fields, requestFields, params } = contract.described();
    for (const all of [responses, fields, requestFields, params]) {
      assert.deepEqual([...all].filter((one) => !contract.seen.has(one)), []);
    }
  });
});
