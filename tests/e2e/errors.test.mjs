// What goes wrong gets the right status, a code and a sentence that says what
// to do; nothing of it is kept, no connection is left behind.
import assert from 'node:assert/strict';
import { after, before, describe as suite, test } from 'node:test';
import { models } from '@polyscale/serverless-js';
import { request } from './lib/portside.mjs';
import { freePort } from './lib/postgres.mjs';
import { waitUntil } from './lib/process.mjs';
import { Relay } from './lib/relay.mjs';
import { Stage } from './lib/stage.mjs';

suite('errors', () => {
  let stage;
  let agent;

  before(async () => {
    stage = await Stage.create({ regions: ['one'], cache: { queryTimeoutMs: 3000, connectTimeoutMs: 1500 } });
    [agent] = stage.agents;
  });
  after(async () => { await stage?.destroy(); });

  const raw = (body, options = {}) => request(`${agent.url}/sql`, {
    method: 'POST', body, headers: { 'content-type': 'application/json' }, ...options,
  });
  const check = (reply, status, code) => {
    const text = reply.text ?? JSON.stringify(reply.json);
    assert.equal(reply.status, status, text);
    const json = JSON.parse(text);
    models.SqlQueryReplyError.parse(json); // what the published client expects
    assert.equal(json.statusCode, status);
    assert.equal(json.code, code, text);
    assert.ok(json.message.length > 10, text);
    assert.match(reply.headers['content-type'], /^application\/json/);
    return json;
  };

  test('bodies that make no sense', async () => {
    const good = stage.body('select 1');
    check(await raw(''), 400, 'bad_json');
    check(await raw('{'), 400, 'bad_json');
    check(await raw('[]'), 400, 'bad_json');
    check(await raw('"select 1"'), 400, 'bad_json');
    check(await raw(`${JSON.stringify(good)}x`), 400, 'bad_json');
    for (const field of ['cacheId', 'username', 'password', 'sql', 'database']) {
      const { [field]: gone, ...rest } = good;
      assert.match(check(await raw(JSON.stringify(rest)), 400, 'missing_field').message, new RegExp(field));
      check(await raw(JSON.stringify({ ...good, [field]: '' })), 400, 'missing_field');
      assert.match(check(await raw(JSON.stringify({ ...good, [field]: 7 })), 400, 'bad_field').message, new RegExp(field));
      check(await raw(JSON.stringify({ ...good, [field]: null })), 400, 'bad_field');
    }
    check(await raw(JSON.stringify({ ...good, provider: 'oracle' })), 400, 'bad_field');
    check(await raw(JSON.stringify({ ...good, provider: 'mysql' })), 400, 'provider_mismatch');
    check(await raw(JSON.stringify({ ...good, bindings: 'x' })), 400, 'bad_field');
    check(await raw(JSON.stringify({ ...good, bindings: [{ a: 1 }] })), 400, 'bad_bindings');
    check(await raw(JSON.stringify({ ...good, bindings: [[1, 'a']] })), 400, 'bad_bindings');
    check(await raw(JSON.stringify({ ...good, sql: 'select ?', bindings: [] })), 400, 'bad_bindings');
    check(await raw(JSON.stringify({ ...good, sql: 'select ?, ?', bindings: [1] })), 400, 'bad_bindings');
    check(await raw(JSON.stringify({ ...good, cacheId: '00000000-0000-4000-8000-000000000000' })), 404, 'cache_not_found');
    check(await raw(JSON.stringify({ ...good, cacheId: 'nonsense' })), 404, 'cache_not_found');
    // Unknown keys are ignored.
    assert.equal((await raw(JSON.stringify({ ...good, more: { a: [1] } }))).status, 200);
  });

  test('text that is not UTF-8 never reaches the database', async () => {
    await stage.query(agent, 'create table safe (id int, a int)');
    await stage.query(agent, 'insert into safe values (1, 0), (2, 0)');
    const [head, tail] = JSON.stringify(stage.body('update safe set a = 1 --@ \n where id = 2')).split('@');
    const body = Buffer.concat([Buffer.from(head), Buffer.from([0xff]), Buffer.from(tail)]);
    check(await raw(body), 400, 'bad_utf8');
    for (const bad of ['select \'\\u0000\'', 'select \'\\ud800\'']) {
      const text = JSON.stringify(stage.body('@')).replace('@', () => bad.replaceAll('"', '\\"'));
      const reply = await raw(text);
      assert.equal(reply.status, 400, reply.text);
    }
    assert.deepEqual((await stage.query(agent, 'select sum(a)::int as s from safe')).json, [{ s: 0 }]);
  });

  test('paths and methods', async () => {
    check(await request(`${agent.url}/nothing`), 404, 'not_found');
    const get = await request(`${agent.url}/sql`);
    check(get, 405, 'method_not_allowed');
    assert.match(get.headers.allow, /POST/);
    assert.equal((await request(`${agent.url}/healthz`)).status, 200);
    assert.equal((await request(`${agent.url}/readyz`)).status, 200);
    const preflight = await request(`${agent.url}/sql`, {
      method: 'OPTIONS', headers: { origin: 'https://app.example', 'access-control-request-method': 'POST' },
    });
    assert.ok(preflight.status < 300);
    assert.equal(preflight.headers['access-control-allow-origin'], '*');
    assert.equal(preflight.headers['access-control-max-age'], '86400');
  });

  test('what the database refuses comes with its own code and text', async () => {
    const cases = [
      ['select * from no_such_table', '42P01', /no_such_table/],
      ['selec 1', '42601', /syntax error/],
      ['select 1/0', '22012', /division by zero/],
      ['select no_such_column from items', '42703', /no_such_column/],
      ["insert into items values (1, 'x', 1)", '23505', /duplicate key/],
    ];
    for (const [sql, code, text] of cases) {
      for (let i = 0; i < 4; i += 1) {
        const reply = await stage.query(agent, sql);
        assert.match(check(reply, 400, code).message, text);
        assert.notEqual(reply.cache, 'hit');
        assert.equal(reply.stored, false);
      }
    }
    check(await stage.query(agent, 'select 1', undefined, { database: 'nowhere' }), 401, 'login_failed');
  });

  test('a transaction cannot span requests, one in a single text works', async () => {
    check(await stage.query(agent, 'begin'), 400, 'transaction_unsupported');
    const whole = await stage.query(agent,
      'begin; update items set qty = -1 where id = 90; commit; select qty from items where id = 90');
    assert.deepEqual(whole.json, [{ qty: -1 }]);
    check(await stage.query(agent, 'begin; update items set qty = -2 where id = 90'), 400, 'transaction_unsupported');
    assert.deepEqual((await stage.query(agent, 'select qty from items where id = 90')).json, [{ qty: -1 }]);
  });

  test('a query that takes too long is ended', async () => {
    check(await stage.query(agent, 'select pg_sleep(60)'), 504, 'query_timeout');
    await waitUntil(async () => (await stage.db.activity('alice')).every((r) => r.state !== 'active'),
      { what: 'the end of the query at the origin' });
  });

  test('a result beyond the limit', async () => {
    const reply = await stage.query(agent, "select repeat('x', 1000000) as x from generate_series(1, 64)");
    check(reply, 507, 'result_too_big');
    assert.equal((await stage.query(agent, 'select 1 as one')).status, 200);
  });

  test('a client that goes away ends its read at the origin', async () => {
    const slow = raw(JSON.stringify(stage.body('select pg_sleep(2.5), 1')), { timeoutMs: 300 });
    await assert.rejects(slow);
    await waitUntil(async () => (await stage.db.activity('alice')).every((r) => !/pg_sleep/.test(r.query) || r.state !== 'active'),
      { timeoutMs: 2000, what: 'the cancelled query' });
  });

  test('origins that are not there', async () => {
    const port = await freePort();
    const cases = [
      [{ host: '127.0.0.1', port }, 502, 'origin_refused'],
      [{ host: 'no-such-host.invalid', port: 5432 }, 502, 'origin_bad_host'],
      [{ host: '127.0.0.1', port: agent.port }, 502, 'origin_protocol'], // speaks HTTP
    ];
    let n = 0;
    for (const [fields, status, code] of cases) {
      n += 1;
      const cache = await stage.createCache(`gone ${n}`, fields);
      check(await stage.query(agent, 'select 1', undefined, { cache }), status, code);
    }
    const relay = await Relay.start({ host: stage.db.host, port: stage.db.port });
    relay.frozen = true;
    const cache = await stage.createCache('frozen', { port: relay.port, connectTimeoutMs: 800 });
    check(await stage.query(agent, 'select 1', undefined, { cache }), 504, 'origin_timeout');
    await relay.stop();
  });

  test('a connection that breaks under a read, and under a write', async () => {
    const relay = await Relay.start({ host: stage.db.host, port: stage.db.port });
    const cache = await stage.createCache('fragile', { port: relay.port });
    const who = { cache };
    assert.equal((await stage.query(agent, 'select 1', undefined, who)).status, 200);
    const active = (text) => waitUntil(async () => (await stage.db.activity('alice'))
      .some((r) => r.state === 'active' && r.query.includes(text)), { what: text });
    const read = stage.query(agent, 'select pg_sleep(1), 11', undefined, who);
    await active('pg_sleep(1), 11');
    relay.cut();
    // A read, on a connection that had been idle: once more, on another one.
    const again = await read;
    assert.equal(again.status, 200, again.text);
    assert.equal(again.json[0]['?column?'], 11);
    assert.equal(again.stored, false);
    await stage.warm(agent, 'select count(*)::int as n from items where id = 88', undefined, who);
    const write = stage.query(agent, 'with s as (select pg_sleep(1)) delete from items using s where id = 88', undefined, who);
    await active('delete from items');
    relay.cut();
    check(await write, 502, 'outcome_unknown');
    await waitUntil(async () => (await stage.db.activity('alice')).every((r) => r.state !== 'active'), { what: 'the end of the write' });
    const direct = (await stage.db.sql('select count(*)::int as n from items where id = 88', { database: 'app' })).rows;
    const through = await stage.query(agent, 'select count(*)::int as n from items where id = 88', undefined, who);
    assert.deepEqual(through.json, direct);
    await relay.stop();
  });

  test('the database restarted in the middle of a query', async () => {
    const sql = 'select name from items where id = 5';
    await stage.warm(agent, sql);
    const running = stage.query(agent, 'select pg_sleep(2), 12');
    await waitUntil(async () => (await stage.db.activity('alice')).some((r) => /, 12/.test(r.query) && r.state === 'active'),
      { what: 'the running query' });
    await stage.db.stop('SIGQUIT');
    const reply = await running;
    assert.equal(reply.status >= 500, true, reply.text);
    assert.match(reply.json.code, /^(origin_lost|outcome_unknown|origin_unavailable|origin_refused)$/);
    // While it is away: a clear error for what is not in memory.
    const away = await stage.query(agent, 'select name from items where id = 6');
    check(away, 502, 'origin_refused');
    await stage.db.boot();
    // No restart of the agent is needed.
    assert.deepEqual((await stage.query(agent, 'select name from items where id = 6')).json, [{ name: 'item 6' }]);
    assert.deepEqual((await stage.query(agent, sql)).json, [{ name: 'item 5' }]);
  });

  test('no session leaks into the next request', async () => {
    const changes = [
      'set search_path = pg_catalog', "set timezone = 'Asia/Tokyo'", 'set role bob', 'create temp table items (x int)',
      'select pg_advisory_lock(77)', 'listen news', 'prepare p as select 1', "set datestyle = 'German'",
      'set default_transaction_read_only = on', "select set_config('bytea_output', 'escape', false)",
    ];
    const probe = "select current_setting('search_path') as p, current_setting('TimeZone') as tz, "
      + "current_user as u, (select count(*)::int from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as l, "
      + "(select count(*)::int from pg_prepared_statements) as s, current_setting('DateStyle') as d, "
      + "current_setting('default_transaction_read_only') as ro, current_setting('bytea_output') as b, "
      + '(select count(*)::int from pg_listening_channels()) as ch, '
      + "(select count(*)::int from pg_class where relnamespace = pg_my_temp_schema()) as t";
    const clean = (await stage.query(agent, probe)).json;
    for (const sql of changes) {
      await stage.query(agent, sql);
      // The pool has more than one connection at most: ask until all were seen.
      for (let i = 0; i < 4; i += 1) {
        assert.deepEqual((await stage.query(agent, probe)).json, clean, sql);
      }
    }
    // The reset runs after the reply: soon nothing is left anywhere.
    const left = "select (select count(*)::int from pg_locks where locktype = 'advisory') "
      + "+ (select count(*)::int from pg_class where relpersistence = 't') as n";
    await waitUntil(async () => (await stage.db.sql(left, { database: 'app' })).rows[0].n === 0,
      { what: 'no lock and no temporary table' });
  });

  test('a pool that is exhausted says so and recovers', async () => {
    const cache = await stage.createCache('small', { poolMax: 2, poolQueueMax: 2, poolQueueTimeoutMs: 400, queryTimeoutMs: 3000 });
    const who = { cache };
    const replies = await Promise.all(Array.from({ length: 8 },
      (_, i) => stage.query(agent, `select pg_sleep(1), ${i}`, undefined, who)));
    const codes = replies.map((r) => (r.status === 200 ? 'ok' : r.json.code)).sort();
    assert.equal(codes.filter((c) => c === 'ok').length, 2, codes.join());
    assert.ok(codes.includes('pool_full') && codes.includes('pool_timeout'), codes.join());
    const full = replies.find((r) => r.json.code === 'pool_full');
    assert.equal(full.status, 503);
    assert.match(full.headers['retry-after'], /^\d+$/);
    assert.equal((await stage.query(agent, 'select 1 as one', undefined, who)).status, 200);
  });

  test('failed logins are slowed down and no connection is left', async () => {
    let slowed = null;
    for (let i = 0; i < 30 && !slowed; i += 1) {
      const reply = await stage.query(agent, 'select 1', undefined, { user: 'bob', password: `guess ${i}` });
      if (reply.status === 429) slowed = reply;
      else check(reply, 401, 'login_failed');
    }
    assert.ok(slowed, 'guessing goes on at full speed');
    assert.match(slowed.headers['retry-after'], /^\d+$/);
    await stage.db.noConnections('bob');
  });
});
