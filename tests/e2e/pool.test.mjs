// Limits of a cache, set with psctl: they take effect on running agents, at
// once, and hold on a real PostgreSQL.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe as suite, test } from 'node:test';
import { freePort } from './lib/postgres.mjs';
import { program, run, tempDir, waitUntil } from './lib/process.mjs';
import { request } from './lib/portside.mjs';
import { Stage } from './lib/stage.mjs';

suite('limits of a cache', () => {
  let stage;
  let agent;
  let pid;
  let env;
  let n = 0;

  async function psctl(...args) {
    return (await run(program('psctl'), args, { env })).stdout;
  }
  const update = (...args) => psctl('cache', 'update', 'main', ...args);
  // A read that is not in memory.
  const read = (who) => stage.query(agent, `select name from items where id = ${n += 1}`, undefined, who);
  const sessions = (user) => stage.db.sql(
    `select count(*)::int as n from pg_stat_activity where usename ${user ? `= '${user}'` : "in ('alice', 'bob')"}`)
    .then(({ rows }) => rows[0].n);
  const until = (user, want) => waitUntil(async () => want(await sessions(user)), { what: `sessions of ${user ?? 'all'}` });

  before(async () => {
    stage = await Stage.create({ regions: ['one'] });
    [agent] = stage.agents;
    pid = agent.process.pid;
    const dir = tempDir('pool');
    const token = path.join(dir, 'token');
    const ca = path.join(dir, 'ca.pem');
    fs.writeFileSync(token, `${stage.controlPlane.token}\n`);
    fs.writeFileSync(ca, (await stage.controlPlane.ok('GET', '/v1/ca')).certificate);
    env = { PORTSIDE_URL: '', PORTSIDE_TOKEN: '', PORTSIDE_CA: '', PSCTL_CONFIG: path.join(dir, 'psctl.json') };
    await psctl('login', '--url', stage.controlPlane.url, '--token-file', token, '--ca-file', ca);
  });
  after(async () => {
    assert.equal(agent?.process.pid, pid);
    await stage?.destroy();
  });

  test('psctl sets, shows and checks them', async () => {
    await psctl('cache', 'create', '--name', 'other', '--type', 'postgres', '--host', '127.0.0.1', '--no-wait',
      '--pool-cache-max', '7', '--pool-min-idle', '3', '--pool-max-age', '10m', '--pool-check-after', '0s',
      '--breaker-failures', '4', '--breaker-open', '2s', '--slow-start', '0s',
      '--concurrency-max', '50', '--rate-limit', '100', '--rate-burst', '200');
    const shown = JSON.parse(await psctl('cache', 'show', 'other', '--json'));
    const { poolCacheMax, poolMinIdle, poolMaxAgeMs, poolCheckAfterMs, breakerFailures, breakerOpenMs, slowStartMs,
      concurrencyMax, rateLimit, rateBurst } = shown;
    assert.deepEqual({ poolCacheMax, poolMinIdle, poolMaxAgeMs, poolCheckAfterMs, breakerFailures, breakerOpenMs, slowStartMs,
      concurrencyMax, rateLimit, rateBurst }, {
      poolCacheMax: 7, poolMinIdle: 3, poolMaxAgeMs: 600000, poolCheckAfterMs: 0, breakerFailures: 4, breakerOpenMs: 2000,
      slowStartMs: 0, concurrencyMax: 50, rateLimit: 100, rateBurst: 200 });
    const text = await psctl('cache', 'show', 'other');
    for (const line of [/^pool-cache-max +7$/m, /^pool-min-idle +3$/m, /^pool-max-age +10m$/m, /^breaker-open +2s$/m, /^rate-limit +100$/m]) {
      assert.match(text, line);
    }
    await assert.rejects(psctl('cache', 'update', 'other', '--pool-min-idle', '8'),
      /poolMinIdle \(8\) is greater than poolCacheMax \(7\)/);
    await assert.rejects(psctl('cache', 'update', 'other', '--rate-limit', '0'), /rateBurst means nothing without rateLimit/);
    await psctl('cache', 'delete', 'other', '--yes');
  });

  test('a minimum of idle connections is opened, and kept', async () => {
    await update('--pool-min-idle', '2', '--pool-idle-timeout', '1s', '--pool-check-after', '0s');
    await waitUntil(async () => { await read(); return await sessions('alice') >= 3; }, { what: 'idle sessions' });
    await update('--pool-min-idle', '5');
    await until('alice', (have) => have === 5); // nobody has asked
    await stage.db.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'alice'");
    await until('alice', (have) => have === 5);
    await update('--pool-min-idle', '0');
    await until('alice', (have) => have === 0);
    await update('--pool-idle-timeout', '1m', '--pool-check-after', '30s');
  });

  test('an old connection is replaced', async () => {
    const backend = async () => (await stage.query(agent, 'select pg_backend_pid() as pid')).json[0].pid;
    const first = await backend();
    await update('--pool-max-age', '50ms');
    await waitUntil(async () => await backend() !== first, { what: 'another backend' });
    await update('--pool-max-age', '1h');
  });

  test('users share the connections of a cache', async () => {
    await update('--pool-cache-max', '2', '--pool-queue-timeout', '1m');
    await waitUntil(async () => { await read(); return await sessions() <= 2; }, { what: 'at most two sessions' });
    let most = 0;
    let done = false;
    const watch = (async () => { while (!done) most = Math.max(most, await sessions()); })();
    const asked = [];
    for (let i = 0; i < 20; i += 1) {
      const who = { user: i % 4 === 3 ? 'bob' : 'alice' };
      asked.push(stage.query(agent, `select name, pg_sleep(0.02) from items where id = ${i + 1}`, undefined, who));
    }
    for (const reply of await Promise.all(asked)) assert.equal(reply.status, 200, reply.text);
    done = true;
    await watch;
    assert.ok(most >= 1 && most <= 2, `${most} sessions at a time`);
    await update('--pool-cache-max', '0', '--pool-queue-timeout', '5s');
  });

  test('who asks goes away: a read is cancelled, a write left to finish', async () => {
    const active = async (text) => (await stage.db.activity('alice')).filter((a) => a.state === 'active' && a.query.includes(text));
    const abandon = async (sql, text) => {
      const url = new URL(`${agent.url}/sql`);
      const socket = net.connect(Number(url.port), url.hostname);
      const body = JSON.stringify(stage.body(sql));
      socket.write(`POST /sql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
      await waitUntil(async () => (await active(text)).length === 1, { what: `${text} runs` });
      socket.destroy();
    };
    await abandon('select pg_sleep(600)', 'pg_sleep(600)');
    await waitUntil(async () => (await active('pg_sleep(600)')).length === 0, { what: 'the read is cancelled' });
    const read1 = 'select qty from items where id = 1';
    assert.deepEqual((await stage.warm(agent, read1)).json, [{ qty: 10 }]);
    const holder = await stage.db.client({ database: 'app' });
    await holder.query('begin');
    await holder.query('select 1 from items where id = 1 for update');
    await abandon('update items set qty = 11 where id = 1', 'update items');
    await holder.query('rollback');
    await holder.end();
    await agent.process.line(/client of a write has gone: ok, 1 rows: update items set qty = \? where id = \?/);
    assert.deepEqual((await stage.query(agent, read1)).json, [{ qty: 11 }]);
  });

  test('more at the database than allowed: 503', async () => {
    await update('--concurrency-max', '1');
    const holder = await stage.db.client({ database: 'app' });
    await holder.query('select pg_advisory_lock(7)');
    const long = stage.query(agent, 'select pg_advisory_xact_lock(7)');
    await waitUntil(async () => (await stage.db.sql(
      "select 1 from pg_stat_activity where usename = 'alice' and state = 'active' and query like '%pg_advisory%'")).rows.length === 1,
    { what: 'the long query' });
    const reply = await read();
    assert.equal(reply.status, 503, reply.text);
    assert.equal(reply.json.code, 'too_many_concurrent');
    assert.equal(reply.headers['retry-after'], '1');
    await holder.end();
    assert.equal((await long).status, 200);
    assert.equal((await read()).status, 200);
    await update('--concurrency-max', '0');
  });

  test('more requests per second than allowed: 429', async () => {
    await update('--rate-limit', '1');
    const some = async () => Promise.all(Array.from({ length: 40 }, () => read()));
    const replies = await waitUntil(async () => {
      const all = await some();
      return all.some((reply) => reply.status === 429) && all;
    }, { what: 'a refusal' });
    for (const reply of replies.filter(({ status }) => status === 429)) {
      assert.equal(reply.json.code, 'rate_limited');
      assert.match(reply.headers['retry-after'], /^[1-9]\d*$/);
    }
    for (const reply of replies) assert.ok([200, 429].includes(reply.status), reply.text);
    await update('--rate-limit', '0');
    await waitUntil(async () => (await some()).every(({ status }) => status === 200), { what: 'no limit' });
  });

  test('a database that cannot be reached is left alone: 503', async () => {
    const closed = await freePort();
    await update('--port', String(closed), '--breaker-failures', '3', '--breaker-open', '1h');
    await waitUntil(async () => (await read()).json?.code === 'origin_refused', { what: 'a refused connection' });
    const reply = await waitUntil(async () => {
      const now = await read();
      return now.json?.code === 'origin_circuit_open' && now;
    }, { what: 'the breaker' });
    assert.equal(reply.status, 503);
    assert.ok(Number(reply.headers['retry-after']) > 2000, reply.headers['retry-after']);
    const state = async () => /^portside_pool_breaker_state\{cache="main"\} (\d)$/m
      .exec((await request(`${agent.adminUrl}/metrics`)).text)?.[1];
    await waitUntil(async () => await state() === '2', { what: 'the metric' });
    await waitUntil(async () => /^breaker +open on \S+ \(one\)/m.test(await psctl('cache', 'show', 'main')),
      { what: 'psctl to show it' });
    const { breakers } = (await stage.controlPlane.ok('GET', '/v1/caches')).find(({ name }) => name === 'main');
    assert.deepEqual(breakers.map(({ region, state: is }) => [region, is]), [['one', 'open']]);
    // Another address is another database.
    await update('--port', String(stage.db.port));
    await waitUntil(async () => (await read()).status === 200, { what: 'an answer' });
    await waitUntil(async () => await state() === '0', { what: 'the metric' });
    await waitUntil(async () => /^breaker +closed on every agent$/m.test(await psctl('cache', 'show', 'main')),
      { what: 'psctl to show that it is closed' });
  });
});
