// The main job: a real PostgreSQL behind two regional agents, asked with the
// unmodified PolyScale client.
import assert from 'node:assert/strict';
import { after, before, describe as suite, test } from 'node:test';
import { Client } from '@polyscale/serverless-js';
import { Agent } from './lib/portside.mjs';
import { Stage } from './lib/stage.mjs';
import { waitUntil } from './lib/process.mjs';

suite('the main job', () => {
  let stage;
  let west;
  let east;

  before(async () => {
    stage = await Stage.create();
    [west, east] = stage.agents;
  });
  after(async () => { await stage?.destroy(); });

  test('the published client gets miss, miss, hit and the same rows', async () => {
    const seen = [];
    const client = new Client(west.url, {
      cacheId: stage.cache.id, provider: 'postgres', username: 'alice', password: 'alice-pw', database: 'app',
    }, async (...args) => {
      const reply = await fetch(...args);
      seen.push(reply.headers);
      return reply;
    });
    const sql = 'select name, qty from items where id = ?;';
    const answers = [];
    for (let i = 0; i < 4; i += 1) answers.push(await client.query(sql, [7]));
    for (const rows of answers) assert.deepEqual(rows, [{ name: 'item 7', qty: 70 }]);
    const states = seen.map((h) => h.get('cache-status'));
    assert.match(states[0], /^portside; fwd=uri-miss$/);
    assert.match(states[1], /^portside; fwd=uri-miss; stored/);
    assert.match(states[2], /^portside; hit; ttl=\d+$/);
    assert.match(states[3], /^portside; hit; ttl=\d+$/);
    assert.match(seen[2].get('age'), /^\d+$/);
    assert.equal(seen[2].get('portside-reason'), 'hit');
    assert.match(seen[0].get('server-timing'), /origin;dur=/);
    // A known template is in memory from its first answer on.
    await client.query(sql, [8]);
    assert.deepEqual(await client.query(sql, [8]), [{ name: 'item 8', qty: 80 }]);
    assert.match(seen.at(-1).get('cache-status'), /hit/);
  });

  test('a doubled slash is the same path', async () => {
    const reply = await fetch(`${west.url}//sql`, {
      method: 'POST', body: JSON.stringify(stage.body('select 1 as one')),
      headers: { 'content-type': 'application/json' },
    });
    assert.deepEqual(await reply.json(), [{ one: 1 }]);
  });

  test('a user name may carry the cache id in front', async () => {
    const reply = await west.sql({
      ...stage.body('select current_user as me'), username: `${stage.cache.id}-alice`,
    });
    assert.deepEqual(reply.json, [{ me: 'alice' }]);
  });

  test('a write through one region is visible through the other', async () => {
    const sql = 'select qty from items where id = 20';
    await stage.warm(west, sql);
    await stage.warm(east, sql);
    for (let round = 1; round <= 20; round += 1) {
      const write = await stage.query(west, 'update items set qty = ? where id = 20', [round]);
      assert.equal(write.status, 200);
      assert.deepEqual(write.json, []);
      // C2: at once here.
      assert.deepEqual((await stage.query(west, sql)).json, [{ qty: round }]);
      // C3: within the lease there; in practice with the next event.
      const begin = Date.now();
      await waitUntil(async () => (await stage.query(east, sql)).json[0].qty === round,
        { timeoutMs: 2500, everyMs: 1, what: `round ${round} in the other region` });
      assert.ok(Date.now() - begin < 2500);
      await stage.warm(east, sql);
    }
  });

  test('with write_ack = global no region answers older than the reply', async () => {
    const cache = await stage.createCache('global', { writeAck: 'global' });
    const who = { cache };
    const sql = 'select qty from items where id = 21';
    await stage.warm(east, sql, undefined, who);
    for (let round = 1; round <= 20; round += 1) {
      const write = await stage.query(west, 'update items set qty = ? where id = 21', [round], who);
      assert.equal(write.status, 200);
      assert.deepEqual((await stage.query(east, sql, undefined, who)).json, [{ qty: round }]);
      await stage.warm(east, sql, undefined, who);
    }
  });

  test('a wrong password is never answered from memory', async () => {
    const sql = 'select name from items where id = 30';
    await stage.warm(west, sql);
    const wrong = await stage.query(west, sql, undefined, { password: 'guess' });
    assert.equal(wrong.status, 401);
    assert.equal(wrong.json.code, 'login_failed');
    const unknown = await stage.query(west, sql, undefined, { user: 'nobody', password: 'guess' });
    assert.equal(unknown.status, 401);
    assert.equal(unknown.json.message, wrong.json.message, 'which part was wrong must not be told');
    assert.deepEqual((await stage.query(west, sql)).json, [{ name: 'item 30' }]);
  });

  test('a changed password ends the old one within its time', async () => {
    await stage.db.sql("create role carol login password 'old-pw'");
    const sql = 'select 5 as five';
    const old = { user: 'carol', password: 'old-pw' };
    await stage.warm(west, sql, undefined, old);
    await stage.db.sql("alter role carol password 'new-pw'");
    // A login with the new password makes the old one void at once.
    assert.equal((await stage.query(west, sql, undefined, { user: 'carol', password: 'new-pw' })).status, 200);
    const reply = await stage.query(west, sql, undefined, old);
    assert.equal(reply.status, 401);
  });

  test('two users never see each other\'s rows', async () => {
    const sql = 'select who from owners';
    for (let i = 0; i < 6; i += 1) {
      assert.deepEqual((await stage.query(west, sql)).json, [{ who: 'alice' }]);
      assert.deepEqual((await stage.query(west, sql, undefined, { user: 'bob' })).json, [{ who: 'bob' }]);
    }
    // The same without row-level security, where answers are kept.
    const text = 'select count(*)::int as n from items';
    await stage.warm(west, text);
    const bob = await stage.query(west, text, undefined, { user: 'bob' });
    assert.notEqual(bob.cache, 'hit', 'an answer belongs to one user');
    await stage.warm(west, text, undefined, { user: 'bob' });
    await stage.db.sql('revoke select on items from bob', { database: 'app' });
    // Behind Portside's back: bounded by the TTL; through it: at once.
    const refused = await stage.query(west, 'select id from items', undefined, { user: 'bob' });
    assert.equal(refused.status, 400);
    assert.equal(refused.json.code, '42501');
    await stage.db.sql('grant select on items to bob', { database: 'app' });
  });

  test('what must not be kept is not, and says why', async () => {
    const cases = [
      ['select now()', 'volatile_function'],
      ['select current_user', null],
      ['select random()', 'volatile_function'],
      ['select * from items where id = 1 for update', 'locking_read'],
      ['select * from mine', null],
      ['select * from owners', 'row_security'],
      ["insert into items values (1000, 'x', 1) on conflict do nothing", 'not_a_read'],
      ['select 1; select 2', 'multiple_statements'],
      ['select * from pg_class limit 1', 'system_catalog'],
    ];
    for (const [sql, reason] of cases) {
      for (let i = 0; i < 4; i += 1) {
        const reply = await stage.query(west, sql);
        assert.equal(reply.status, 200, `${sql}: ${reply.text}`);
        assert.equal(reply.cache, 'bypass', sql);
        if (reason) assert.equal(reply.reason, reason, sql);
      }
    }
  });

  test('a write changes what is read through a view', async () => {
    const sql = 'select count(*)::int as n from cheap';
    const before = (await stage.warm(east, sql)).json[0].n;
    assert.equal((await stage.query(east, 'insert into items values (500, ?, 1)', ['new'])).status, 200);
    assert.deepEqual((await stage.query(east, sql)).json, [{ n: before + 1 }]);
    await stage.warm(west, sql);
    await stage.query(west, 'delete from items where id = 500');
    assert.deepEqual((await stage.query(west, sql)).json, [{ n: before }]);
  });

  test('a comment does not make a new query', async () => {
    const sql = 'select name from items where id = 41';
    await stage.warm(west, `/* traceparent=00-a-b-01 */ ${sql}`);
    assert.equal((await stage.query(west, `/* traceparent=00-c-d-01 */ ${sql}`)).cache, 'hit');
  });

  test('a change of structure is seen at once', async () => {
    assert.equal((await stage.query(west, 'create table fresh (a int)')).status, 200);
    await stage.query(west, 'insert into fresh values (1)');
    await stage.warm(west, 'select * from fresh');
    assert.equal((await stage.query(west, 'alter table fresh add b int default 9')).status, 200);
    assert.deepEqual((await stage.query(west, 'select * from fresh')).json, [{ a: 1, b: 9 }]);
    await stage.query(west, 'drop table fresh');
    const gone = await stage.query(west, 'select * from fresh');
    assert.equal(gone.status, 400);
    assert.equal(gone.json.code, '42P01');
  });

  test('cache control of the request is obeyed', async () => {
    const sql = 'select name from items where id = 42';
    await stage.warm(west, sql);
    const fresh = await west.sql(stage.body(sql), { headers: { 'cache-control': 'no-cache' } });
    assert.notEqual(fresh.cache, 'hit');
    const cold = await west.sql(stage.body('select name from items where id = 43'),
      { headers: { 'cache-control': 'only-if-cached' } });
    assert.equal(cold.status, 504);
    assert.equal(cold.json.code, 'only_if_cached');
  });

  test('equal reads at one time are one query at the origin', async () => {
    const sql = 'select count(*)::int as n, sum(length(a.name || b.name))::int as s from items a, items b, items c';
    const replies = await Promise.all(Array.from({ length: 30 }, () => stage.query(west, sql)));
    for (const r of replies) assert.deepEqual(r.json, replies[0].json);
    assert.ok(replies.filter((r) => r.reason === 'coalesced').length >= 1,
      replies.map((r) => r.reason).join(' '));
  });

  test('an agent that restarts begins empty and serves on', async () => {
    const sql = 'select name from items where id = 50';
    // On a busy machine its first lease may come late: until then, bypass.
    const first = () => waitUntil(async () => {
      const reply = await stage.query(east, sql);
      assert.equal(reply.status, 200);
      return reply.cache === 'bypass' ? null : reply;
    }, { what: 'an answer that may be kept' });
    await stage.warm(east, sql);
    await east.restart();
    assert.equal((await first()).cache, 'miss');
    await stage.warm(east, sql);
    await east.restart('SIGKILL');
    assert.equal((await first()).cache, 'miss');
    await stage.warm(east, sql);
  });

  test('the control plane killed: memory rests after the lease, service goes on', async () => {
    const sql = 'select qty from items where id = 60';
    await stage.warm(west, sql);
    await stage.controlPlane.stop('SIGKILL');
    await waitUntil(async () => {
      const reply = await stage.query(west, sql);
      assert.equal(reply.status, 200);
      return reply.cache !== 'hit' && reply.reason === 'no_lease';
    }, { timeoutMs: 6000, what: 'pass-through after the lease' });
    for (let i = 0; i < 5; i += 1) {
      const reply = await stage.query(west, sql);
      assert.equal(reply.status, 200);
      assert.notEqual(reply.cache, 'hit');
      assert.equal(reply.stored, false);
    }
    // Writes go through as well, and nothing older is served afterwards.
    assert.equal((await stage.query(west, 'update items set qty = 61 where id = 60')).status, 200);
    // An agent can even start without a control plane, from its disk.
    await east.stop();
    await east.boot({ wait: false });
    await waitUntil(async () => (await stage.query(east, sql)).status === 200,
      { what: 'pass-through of an agent started without a control plane' });
    assert.deepEqual((await stage.query(east, sql)).json, [{ qty: 61 }]);
    await stage.controlPlane.boot();
    await west.ready();
    await east.ready();
    assert.deepEqual((await stage.warm(west, sql)).json, [{ qty: 61 }]);
    assert.deepEqual((await stage.warm(east, sql)).json, [{ qty: 61 }]);
    const caches = await stage.controlPlane.ok('GET', '/v1/caches');
    assert.ok(caches.some((c) => c.id === stage.cache.id), 'definitions survive');
  });

  test('a revoked agent stops', async () => {
    const spare = await Agent.start(stage.controlPlane, 'spare');
    await stage.controlPlane.ok('POST', `/v1/agents/${spare.id}/revoke`, {});
    const exit = await spare.process.exited;
    assert.equal(exit.code, 3);
  });

  test('many values: what a keep-alive client sees equals a direct query', async () => {
    const replies = [];
    for (let i = 1; i <= 3; i += 1) {
      replies.push(await west.sql(stage.body('select * from items order by id limit 40')));
    }
    const direct = await stage.db.sql('select * from items order by id limit 40', { database: 'app' });
    for (const r of replies) assert.deepEqual(r.json, direct.rows);
    assert.equal(replies[0].text, replies[2].text);
  });
});
