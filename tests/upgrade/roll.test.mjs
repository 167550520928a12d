// A roll from the build in PS_OLD_BUILD_DIR to the one in PS_BUILD_DIR, as an
// operator does it, one program at a time, with all parts in use between the
// steps: agents first or the control plane first, each neighbour must do.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe as suite, test } from 'node:test';
import { Agent, ControlPlane } from '../e2e/lib/portside.mjs';
import { Postgres } from '../e2e/lib/postgres.mjs';
import { program, run, tempDir, waitUntil } from '../e2e/lib/process.mjs';

const OLD = process.env.PS_OLD_BUILD_DIR;
const NEW = process.env.PS_BUILD_DIR;

// Programs that fn starts are of this build.
async function from(build, fn) {
  process.env.PS_BUILD_DIR = build;
  try {
    return await fn();
  } finally {
    process.env.PS_BUILD_DIR = NEW;
  }
}

suite(`from ${OLD} to ${NEW}`, () => {
  let db;
  let cp;
  let west;
  let east;
  let cache;
  let round = 100;
  let load; // reads all the while; what it found wrong
  const made = {};

  const ask = (agent, sql, extra = {}) => agent.sql({ cacheId: cache.id, provider: 'postgres', username: 'alice', password: 'alice-pw', database: 'app', sql, ...extra });
  async function ok(agent, sql, extra) {
    const reply = await ask(agent, sql, extra);
    assert.equal(reply.status, 200, reply.text);
    return reply;
  }
  const version = (build, name) => from(build, async () => (await run(program(name), ['--version'])).stdout.trim());

  before(async () => {
    assert.ok(OLD && NEW, 'PS_OLD_BUILD_DIR and PS_BUILD_DIR say where the two builds are: see tests/upgrade/run');
    db = await Postgres.start();
    await db.sql("create role alice login password 'alice-pw'");
    await db.sql('create database app');
    await db.sql('create table items (id int primary key, qty int not null); insert into items select i, i from generate_series(1, 50) i; grant all on items to alice', { database: 'app' });
    await from(OLD, async () => {
      cp = await ControlPlane.start();
      west = await Agent.start(cp, 'west');
      east = await Agent.start(cp, 'east');
    });
    cache = await cp.createCache({ name: 'main', host: db.host, port: db.port, database: 'postgres', tlsMode: 'disable', ttlMaxMs: 60000 });
    await west.knows(cache.id);
    await east.knows(cache.id);
    // What must still be there at the end.
    await cp.ok('POST', `/v1/caches/${cache.id}/rules`, { type: 'table', key: 'other', mode: 'ttl', ttlMs: 17000 });
    made.token = await cp.ok('POST', '/v1/tokens', { name: 'kept' });
    made.agents = (await cp.ok('GET', '/v1/agents')).items.map((a) => a.id).sort();
    // A load that lasts for the whole roll: no request may fail but those of
    // an agent that is being restarted.
    load = { wrong: [], done: 0, down: null, stop: false };
    load.run = (async () => {
      while (!load.stop) {
        for (const agent of [west, east]) {
          if (load.down === agent) continue;
          try {
            const reply = await ask(agent, 'select qty from items where id = 50');
            load.done += 1;
            if ((reply.status !== 200 || reply.json[0].qty !== 50) && load.down !== agent) load.wrong.push(reply.text);
          } catch (error) {
            if (load.down !== agent) load.wrong.push(error.message);
          }
        }
      }
    })();
  });
  after(async () => {
    if (load) load.stop = true;
    await load?.run;
    for (const it of [west, east, cp]) await it?.stop();
    await db?.stop('SIGQUIT');
  });

  // Everything the two kinds of programs do together.
  async function works(what) {
    await waitUntil(async () => {
      const { items: agents } = await cp.ok('GET', '/v1/agents');
      return agents.length === 2 && agents.every((a) => a.state === 'connected') ? agents : null;
    }, { what: `${what}: both connected`, timeoutMs: 30000 });
    for (const [writer, reader] of [[west, east], [east, west]]) {
      const sql = 'select qty from items where id = 7';
      for (const agent of [writer, reader]) await waitUntil(async () => (await ok(agent, sql)).cache === 'hit', { what: `${what}: a hit at ${agent.region}` });
      round += 1;
      await ok(writer, `update items set qty = ${round} where id = 7`);
      assert.equal((await ok(writer, sql)).json[0].qty, round, `${what}: own write`);
      await waitUntil(async () => (await ok(reader, sql)).json[0].qty === round, { what: `${what}: the write of ${writer.region} at ${reader.region}` });
      // Not by its time to live: it is told why.
      await waitUntil(async () => (await ok(reader, sql)).cache === 'hit', { what: `${what}: a hit again` });
    }
    // Writes that every agent confirms.
    await cp.ok('PATCH', `/v1/caches/${cache.id}`, { writeAck: 'global' });
    await waitUntil(async () => {
      const reply = await ok(west, 'update items set qty = qty + 1 where id = 9');
      const seen = (await ok(east, 'select qty from items where id = 9')).json[0].qty;
      return reply.reason !== 'not_confirmed' && seen > 9;
    }, { what: `${what}: a write that all confirm` });
    await cp.ok('PATCH', `/v1/caches/${cache.id}`, { writeAck: 'local' });
    // A change of the definition, and a reachability run, reach both.
    const { runId } = await cp.ok('POST', `/v1/caches/${cache.id}/test`, {});
    await waitUntil(async () => {
      const found = await cp.ok('GET', `/v1/caches/${cache.id}/reachability?run=${runId}`);
      return found.results.length === 2 && found.results.every((r) => r.done && r.ok);
    }, { what: `${what}: reachability`, timeoutMs: 20000 });
    assert.deepEqual(load.wrong, [], what);
  }

  async function replace(agent, build) {
    load.down = agent;
    await agent.stop();
    await from(build, () => agent.boot());
    load.down = null;
  }

  test('all old', () => works('all old'));

  test('a new agent beside an old one, at the old control plane', async () => {
    await replace(west, NEW);
    await works('new agent, old control plane');
  });

  test('the new control plane on the old store, with an old agent', async () => {
    fs.cpSync(cp.data, path.join(made.copy = tempDir('old-store'), 'data'), { recursive: true });
    await cp.stop();
    // Nobody is refused meanwhile.
    for (const agent of [west, east]) await ok(agent, 'select qty from items where id = 3');
    await from(NEW, () => cp.boot());
    await works('old agent, new control plane');
    const [rule] = (await cp.ok('GET', `/v1/caches/${cache.id}/rules`)).items;
    assert.deepEqual([rule.type, rule.key, rule.ttlMs], ['table', 'other', 17000]);
    assert.ok((await cp.ok('GET', '/v1/tokens')).items.some((t) => t.name === 'kept'));
    assert.equal((await cp.call('GET', '/v1/caches', undefined, { token: made.token.token })).status, 200);
    assert.deepEqual((await cp.ok('GET', '/v1/agents')).items.map((a) => a.id).sort(), made.agents);
    assert.equal((await cp.ok('GET', `/v1/caches/${cache.id}`)).ttlMaxMs, 60000);
  });

  test('all new', async () => {
    await replace(east, NEW);
    await works('all new');
  });

  test('back: an old agent, once more', async () => {
    await replace(west, OLD);
    await works('old agent again');
    assert.ok(load.done > 100, String(load.done));
  });

  test('the old program does not touch a store of a later schema', async () => {
    const schema = async (data) => Number((await run('sqlite3', [path.join(data, 'portside.db'), 'select max(version) from schema_migrations'])).stdout);
    const [was, is] = [await schema(path.join(made.copy, 'data')), await schema(cp.data)];
    assert.ok(is >= was);
    if (is === was) return; // nothing has changed between these two
    await cp.stop();
    const old = await from(OLD, () => run(program('portside-controlplane'), ['--data-dir', cp.data, '--listen-api', '127.0.0.1:0', '--listen-calls', '127.0.0.1:0', '--listen-events', '127.0.0.1:0', '--listen-admin', '127.0.0.1:0'], { check: false }));
    assert.equal(old.code, 1);
    assert.match(old.stderr, /newer version/);
    assert.equal(await schema(cp.data), is);
  });

  test('which they were', async () => {
    for (const name of ['portside-agent', 'portside-controlplane']) assert.ok(await version(OLD, name) && await version(NEW, name));
  });
});
