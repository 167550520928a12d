// Texts that begin and end transactions in every way (hazard 2): after each,
// what memory says is what the database says, at once where it was sent and
// soon elsewhere. Transactions over several requests: tests/scenario/session_*.
import assert from 'node:assert/strict';
import { after, before, describe as suite, test } from 'node:test';
import { MariaDb } from './lib/mariadb.mjs';
import { Agent, ControlPlane } from './lib/portside.mjs';
import { Postgres } from './lib/postgres.mjs';
import { waitUntil } from './lib/process.mjs';

const T = 'update t set v = v + 1 where id = 1';
const U = 'update u set v = v + 1 where id = 1';
const block = (...statements) => `begin not atomic ${statements.join('; ')}; end`;
const reads = ['t', 'u'].flatMap((name) => [`select v from ${name} where id = 1`, `select sum(v) as v from ${name}`]);

// Each: what it is, texts that are sent one after the other, what changes.
const postgres = {
  provider: 'postgres',
  async start() {
    const db = await Postgres.start({ settings: { max_prepared_transactions: 5 } });
    await db.sql("create role alice login password 'alice-pw'");
    await db.sql('create database app');
    await db.sql(`
      create table t (id int primary key, v int not null);
      create table u (id int primary key, v int not null);
      insert into t values (1, 0), (2, 0);
      insert into u values (1, 0), (2, 0);
      create table child (id int references t deferrable initially deferred);
      alter table u owner to alice; grant all on t, child to alice; grant create on schema public to alice`, { database: 'app' });
    return db;
  },
  async direct(db, sql) { return (await db.sql(sql, { database: 'app' })).rows; },
  cases: [
    ['a commit in the same text', [`begin; ${T}; ${U}; commit`], 'tu'],
    ['a rollback', [`begin; ${T}; rollback`], ''],
    ['a transaction left open is refused', [`begin; ${T}`], ''],
    ['one behind another that is left open', [`begin; ${T}; commit; begin; ${U}`], 't'],
    ['statements without one are one', [`${T}; ${U}`], 'tu'],
    ['and fail together', [`${T}; select 1 / 0`], ''],
    ['a savepoint', [`begin; ${T}; savepoint s; ${U}; rollback to s; commit`], 't'],
    ['a savepoint that is released', [`begin; ${T}; savepoint s; ${U}; release s; commit`], 'tu'],
    ['commit and chain', [`begin; ${T}; commit and chain; ${U}; commit`], 'tu'],
    ['commit and chain, then rollback', [`begin; ${T}; commit and chain; ${U}; rollback`], 't'],
    ['rollback and chain', [`begin; ${T}; rollback and chain; ${U}; commit`], 'u'],
    ['a commit that fails', [`begin; ${T}; insert into child values (99); commit`], ''],
    ['a commit of a transaction that failed', [`begin; ${T}; select 1 / 0; commit`], ''],
    ['a prepared transaction', [`begin; ${T}; prepare transaction 'one'`, "commit prepared 'one'"], 't'],
    ['a prepared transaction that is given up', [`begin; ${T}; prepare transaction 'two'`, "rollback prepared 'two'"], ''],
    ['code that commits', [`do $$ begin ${T}; commit; ${U}; rollback; end $$`], 't'],
    ['structure within one', [`begin; ${T}; alter table u add column more int; commit`], 't'],
  ],
};

const mariadb = {
  provider: 'mariadb',
  async start() {
    const db = await MariaDb.start();
    await db.sql(['t', 'u'].map((name) => `create table ${name} (id int primary key, v int not null) engine=innodb; insert into ${name} values (1, 0), (2, 0);`).join(''));
    return db;
  },
  async direct(db, sql) { return db.sql(sql); },
  // (The server takes one statement at a time; several are a block.)
  cases: [
    ['several statements in one text are refused', [`begin; ${T}; commit`], ''],
    ['a transaction left open is refused', ['begin', T, 'rollback'], 't'],
    ['a commit in the same block', [block('start transaction', T, U, 'commit')], 'tu'],
    ['a rollback', [block('start transaction', T, 'rollback')], ''],
    ['a block that leaves one open', [block('start transaction', T)], ''],
    ['a block that fails after a commit', [block(T, 'select * from nowhere', U)], 't'],
    ['a savepoint', [block('start transaction', T, 'savepoint s', U, 'rollback to s', 'commit')], 't'],
    ['commit and chain, then rollback', [block('start transaction', T, 'commit and chain', U, 'rollback')], 't'],
    ['START TRANSACTION commits', [block('start transaction', T, 'start transaction', U, 'rollback')], 't'],
    ['structure commits', [block('start transaction', T, 'alter table u add column more int', U, 'rollback')], 'tu'],
    ['autocommit off', [block('set autocommit = 0', T, 'commit', U, 'rollback')], 't'],
    ['autocommit off, and nothing ends it', [block('set autocommit = 0', T)], ''],
    ['autocommit on commits', [block('set autocommit = 0', T, 'set autocommit = 1', U)], 'tu'],
    ['XA in one phase', [block("xa start 'a'", T, "xa end 'a'", "xa commit 'a' one phase")], 't'],
    ['XA given up', [block("xa start 'b'", T, "xa end 'b'", "xa rollback 'b'")], ''],
    ['XA that another session has prepared', [{ direct: `xa start 'c'; ${T}; xa end 'c'; xa prepare 'c'` }, "xa commit 'c'"], 't'],
  ],
};

function suiteOf(kind) {
  suite(kind.provider, { concurrency: 1 }, () => {
    let db;
    let controlPlane;
    let cache;
    const agents = [];

    const ask = (agent, sql) => agent.sql({
      cacheId: cache.id, provider: kind.provider, username: 'alice', password: 'alice-pw', database: 'app', sql,
    });
    const direct = async (sql) => Number((await kind.direct(db, sql))[0].v);
    const value = (reply) => Number(reply.json[0].v);

    before(async () => {
      db = await kind.start();
      controlPlane = await ControlPlane.start();
      for (const region of ['here', 'there']) {
        agents.push(await Agent.start(controlPlane, region, { args: ['--verify-every', '0'] }));
      }
      cache = await controlPlane.createCache({
        name: 'main', host: '127.0.0.1', port: db.port, database: kind.provider, tlsMode: 'disable',
      });
      // Nothing but invalidation is to end an answer.
      for (const key of ['t', 'u']) {
        await controlPlane.ok('POST', `/v1/caches/${cache.id}/rules`, { type: 'table', key, mode: 'ttl', ttlMs: 600000 });
      }
      for (const agent of agents) await agent.knows(cache.id);
    });
    after(async () => {
      for (const agent of agents) await agent.stop();
      await controlPlane?.stop();
      await db?.stop('SIGQUIT');
    });

    const warm = async () => {
      for (const agent of agents) {
        for (const sql of reads) {
          await waitUntil(async () => (await ask(agent, sql)).cache === 'hit', { what: `a hit for ${sql}`, timeoutMs: 60000 });
        }
      }
    };

    for (const [name, texts, changed] of kind.cases) {
      test(name, async () => {
        const [here, there] = agents;
        const old = [await direct('select v from t where id = 1'), await direct('select v from u where id = 1')];
        for (const text of texts) {
          await warm();
          if (text.direct) await kind.direct(db, text.direct);
          else await ask(here, text); // it may well fail
          for (const sql of reads) {
            const now = await direct(sql);
            assert.equal(value(await ask(here, sql)), now, `${sql} behind ${text}`);
            await waitUntil(async () => value(await ask(there, sql)) === now, { what: `${sql} behind ${text}, elsewhere`, timeoutMs: 30000 });
          }
        }
        // It did what it was to do, or nothing was shown.
        const now = [await direct('select v from t where id = 1'), await direct('select v from u where id = 1')];
        assert.deepEqual(now, [old[0] + changed.includes('t'), old[1] + changed.includes('u')]);
      });
    }
  });
}

suite('transactions in one text', { concurrency: 2 }, () => {
  for (const kind of [postgres, mariadb]) suiteOf(kind);
});
