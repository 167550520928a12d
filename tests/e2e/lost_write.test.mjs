// A write whose connection is lost while the server goes on with it, and
// commits later (hazard 32): what anybody reads in between is old, so no agent
// may keep it. The moment of the commit is the test's: it holds a lock that
// the write, or its COMMIT, waits for.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe as suite, test } from 'node:test';
import mysql from 'mysql2/promise';
import { MariaDb } from './lib/mariadb.mjs';
import { Agent, ControlPlane } from './lib/portside.mjs';
import { Postgres } from './lib/postgres.mjs';
import { waitUntil } from './lib/process.mjs';
import { Relay } from './lib/relay.mjs';

const LOCK = 4711;
const TIME_LIMIT_MS = 8000; // longer than any of this takes

const postgres = {
  provider: 'postgres',
  database: 'app',
  async start() {
    const db = await Postgres.start();
    await db.sql("create role alice login password 'alice-pw'");
    await db.sql('create database app');
    // A COMMIT that takes as long as the test wants.
    await db.sql(`
      create table slow (id int primary key, v int not null);
      insert into slow values (1, 0), (2, 0);
      create function wait() returns trigger language plpgsql as
        $$ begin perform pg_advisory_xact_lock_shared(${LOCK}); return null; end $$;
      create constraint trigger waits after update on slow deferrable initially deferred
        for each row execute function wait();
      grant all on slow to alice`, { database: 'app' });
    return db;
  },
  async lock(db) {
    const client = await db.client({ database: 'app' });
    await client.query(`select pg_advisory_lock(${LOCK})`);
    return () => client.end();
  },
  async waiting(db) {
    const { rows } = await db.sql(`select 1 from pg_stat_activity
      where usename = 'alice' and wait_event_type = 'Lock' and wait_event = 'advisory'`);
    return rows.length;
  },
  async read(db) { return (await db.sql('select v from slow where id = 1', { database: 'app' })).rows[0].v; },
};

const mariadb = {
  provider: 'mariadb',
  database: 'app',
  async start() {
    const db = await MariaDb.start();
    await db.sql('create table slow (id int primary key, v int not null) engine=innodb; insert into slow values (1, 0), (2, 0)');
    return db;
  },
  async lock(db) {
    const connection = await mysql.createConnection(db.options());
    await connection.query('begin');
    await connection.query('select * from slow where id = 1 for update');
    return async () => {
      await connection.query('rollback');
      await connection.end();
    };
  },
  async waiting(db) {
    // (innodb_trx is a picture that frequent looks keep from being renewed.)
    const rows = await db.sql(`select 1 from information_schema.processlist
      where user = 'alice' and state = 'Updating' and info like 'update slow%'`);
    return rows.length;
  },
  async read(db) { return (await db.sql('select v from slow where id = 1'))[0].v; },
};

function suiteOf(kind) {
  suite(kind.provider, { concurrency: 1 }, () => {
    let db;
    let relay;
    let controlPlane;
    let here;
    let there;
    let cache;
    let version = 0;
    let release = async () => {};

    const body = (sql, bindings) => ({
      cacheId: cache.id, provider: kind.provider, username: 'alice', password: 'alice-pw', database: kind.database, sql, bindings,
    });
    const read = (agent) => agent.sql(body('select v from slow where id = ?', [1]));
    const value = (reply) => {
      assert.equal(reply.status, 200, reply.text);
      return Number(reply.json[0].v);
    };
    const write = (agent) => agent.sql(body('update slow set v = ? where id = ?', [version, 1]), { timeoutMs: 60000 });
    const restricted = async () => (await controlPlane.ok('GET', '/v1/status')).restricted;
    const warm = (agent) => waitUntil(async () => {
      const reply = await read(agent);
      assert.equal(value(reply), version);
      return reply.cache === 'hit';
    }, { what: 'a hit', timeoutMs: 60000 });

    before(async () => {
      db = await kind.start();
      relay = await Relay.start({ host: '127.0.0.1', port: db.port });
      controlPlane = await ControlPlane.start();
      // Nothing but invalidation is to end an answer.
      const args = ['--verify-every', '0'];
      here = await Agent.start(controlPlane, 'here', { args });
      there = await Agent.start(controlPlane, 'there', { args });
      cache = await controlPlane.createCache({
        name: 'main', host: '127.0.0.1', port: relay.port, database: kind.provider, tlsMode: 'disable', queryTimeoutMs: TIME_LIMIT_MS,
      });
      await controlPlane.ok('POST', `/v1/caches/${cache.id}/rules`, { type: 'table', key: 'slow', mode: 'ttl', ttlMs: 600000 });
      for (const agent of [here, there]) await agent.knows(cache.id);
    });
    afterEach(() => release());
    after(async () => {
      await here?.stop();
      await there?.stop();
      await controlPlane?.stop();
      await relay?.stop();
      await db?.stop('SIGQUIT');
    });

    // Sends a write, and resolves when the server is in the midst of it.
    const begin = async () => {
      version += 1;
      const unlock = await kind.lock(db);
      release = async () => {
        release = async () => {};
        await unlock();
      };
      const reply = write(here).catch((error) => error);
      await waitUntil(() => kind.waiting(db), { what: 'the write to wait' });
      return { reply };
    };

    // An agent keeps the old value, for a while.
    const keepOld = (agent) => waitUntil(async () => {
      const old = await read(agent);
      assert.equal(value(old), version - 1);
      return old.cache === 'hit';
    }, { what: 'an old answer' });

    // The server commits, and all agents say so.
    const commit = async (agents) => {
      await release();
      await waitUntil(async () => Number(await kind.read(db)) === version, { what: 'the commit' });
      for (const agent of agents) {
        await waitUntil(async () => value(await read(agent)) === version, { what: `${agent.region} to see it`, timeoutMs: 30000 });
      }
    };

    test('the connection is cut in the midst of it', async () => {
      await warm(here);
      await warm(there);
      const { reply } = await begin();
      relay.cut();
      const { status, json } = await reply;
      assert.equal(status, 502);
      assert.equal(json.code, 'outcome_unknown');
      // Nothing is kept here; elsewhere it may be, for a moment.
      for (let i = 0; i < 3; i += 1) {
        const old = await read(here);
        assert.equal(value(old), version - 1);
        assert.equal(old.reason, 'write_in_flight');
        assert.equal(old.stored, false);
      }
      await keepOld(there);
      await commit([]);
      assert.equal(value(await read(here)), version, 'at once, here');
      await commit([there]);
    });

    test('the agent is killed in the midst of it', async () => {
      const { reply } = await begin();
      await here.stop('SIGKILL');
      assert.ok(await reply instanceof Error);
      await here.boot();
      await waitUntil(restricted, { what: 'what the old process left to be noticed' });
      for (const agent of [here, there]) await keepOld(agent);
      await commit([here, there]);
      assert.equal(await restricted(), true, 'until the statement can no longer be running');
    });

    test('the agent is shut down after it', async () => {
      const { reply } = await begin();
      relay.cut();
      assert.equal((await reply).status, 502);
      const exit = await here.stop('SIGTERM');
      assert.deepEqual(exit, { code: 0, signal: null });
      assert.equal(await restricted(), true);
      await keepOld(there);
      await commit([there]);
      await here.boot();
      await commit([here]);
    });

    test('in the end all is kept again', async () => {
      await waitUntil(async () => !(await restricted()), { what: 'the restriction to end', timeoutMs: 90000 });
      await warm(here);
      await warm(there);
    });
  });
}

// Both at a time: most of it is waiting.
suite('a write lost on its way', { concurrency: 2 }, () => {
  for (const kind of [postgres, mariadb]) suiteOf(kind);
});
