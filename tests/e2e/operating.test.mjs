// What an operator asks of all agents at once: purge and its report, with two
// agents in two regions.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe as suite, test } from 'node:test';
import { program, run, waitUntil } from './lib/process.mjs';
import { Stage } from './lib/stage.mjs';

const OK = 0;
const FAILED = 1;
const USAGE = 2;

suite('operating', () => {
  let stage;
  let cp;
  let west;
  let east;
  let env;

  before(async () => {
    stage = await Stage.create({ regions: ['eu-west', 'us-east'] });
    cp = stage.controlPlane;
    [west, east] = stage.agents;
    const { body } = await cp.call('GET', '/v1/ca');
    env = { PORTSIDE_URL: cp.url, PORTSIDE_TOKEN: cp.token, PORTSIDE_CA: `${cp.dir}/ca.pem`, PSCTL_CONFIG: `${cp.dir}/none.json` };
    fs.writeFileSync(env.PORTSIDE_CA, body.certificate);
  });
  after(async () => { await stage?.destroy(); });

  async function psctl(args, { code = OK, input } = {}) {
    const done = await run(program('psctl'), args, { check: false, env, input });
    assert.equal(done.code, code, `psctl ${args.join(' ')}: ${done.code}\n${done.stdout}${done.stderr}`);
    return done;
  }
  async function json(args, options) {
    return JSON.parse((await psctl([...args, '--json'], options)).stdout);
  }
  // All of these in the memory of both agents.
  async function warm(...reads) {
    for (const agent of [west, east]) for (const sql of reads) await stage.warm(agent, sql);
  }
  // Which of these each agent answers from memory. Asks for others only once.
  async function kept(...reads) {
    const hits = [];
    for (const agent of [west, east]) {
      for (const sql of reads) hits.push((await stage.query(agent, sql)).cache === 'hit');
    }
    return hits;
  }

  suite('purge', () => {
    const item = 'select name from items where id = 1';
    const other = 'select name from items where id = 2';
    const owner = 'select count(*) from stock';
    const view = 'select count(*) from cheap';

    before(async () => {
      await stage.db.sql('create table stock (id int primary key); grant all on stock to alice', { database: 'app' });
    });

    test('a table: what depends on it goes on every agent, the rest stays', async () => {
      await warm(item, other, owner, view);
      const { stdout } = await psctl(['purge', 'main', '--table', 'Items']);
      assert.match(stdout, /^REGION +AGENT +STATE +ENTRIES\n/);
      assert.match(stdout, /^eu-west +\S+ +purged +3$/m);
      assert.match(stdout, /^us-east +\S+ +purged +3$/m);
      assert.match(stdout, /^purged on 2 of 2 agents, 6 entries dropped$/m);
      assert.deepEqual(await kept(owner, item, view), [true, false, false, true, false, false]);
    });

    test('a view stands for the tables behind it', async () => {
      await warm(item, owner);
      const reply = await json(['purge', 'main', '--table', 'public.cheap']);
      assert.equal(reply.scope, 'table');
      assert.ok(reply.results.every((r) => r.state === 'purged' && r.known && !r.wider));
      assert.deepEqual(await kept(owner, item), [true, false, true, false]);
    });

    test('a table that there is not: nothing goes, and it says so', async () => {
      await warm(item);
      const { stdout, stderr } = await psctl(['purge', 'main', '--table', 'itmes']);
      assert.match(stdout, /purged on 2 of 2 agents, 0 entries dropped/);
      assert.match(stderr, /No agent knows a table `itmes`/);
      assert.deepEqual(await kept(item), [true, true]);
    });

    test('one query, by its text and by its id', async () => {
      await warm(item, other, owner);
      const reply = await json(['purge', 'main', '--query', `${item} ; `]);
      assert.match(reply.id, /^[0-9a-f]{16}$/);
      assert.deepEqual(reply.results.map((r) => [r.region, r.state, r.entries]),
        [['eu-west', 'purged', 1], ['us-east', 'purged', 1]]);
      assert.deepEqual(await kept(other, owner, item), [true, true, false, true, true, false]);
      await warm(item, other);
      const again = await json(['purge', 'main', '--query', reply.id]);
      assert.deepEqual([again.id, again.entries], [reply.id, 2]);
      assert.deepEqual(await kept(other, item), [true, false, true, false]);
    });

    test('a template, by any statement of it and by its id', async () => {
      await warm(item, other, owner);
      const reply = await json(['purge', 'main', '--template', 'SELECT name FROM items WHERE id = 77']);
      assert.equal(reply.entries, 4);
      assert.deepEqual(await kept(owner, item, other), [true, false, false, true, false, false]);
      await warm(item, other, owner);
      assert.equal((await json(['purge', 'main', '--template', reply.id])).entries, 4);
      assert.deepEqual(await kept(owner, item), [true, false, true, false]);
    });

    test('the whole cache; what was dead before is not counted', async () => {
      await warm(item, other, owner);
      await stage.query(west, 'update items set qty = qty where id = 2');
      await waitUntil(async () => (await stage.query(east, other)).cache !== 'hit', { what: 'the write over there' });
      const reply = await json(['purge', 'main']);
      assert.equal(reply.scope, 'cache');
      assert.ok(reply.entries >= 4 && reply.entries <= 5, `${reply.entries}`);
      assert.deepEqual(await kept(item, owner), [false, false, false, false]);
      assert.equal((await json(['purge', 'main'])).agents, 2);
      // The same call as PolyScale's client makes it.
      const put = await cp.call('PUT', `/v1/caches/${stage.cache.id}/purge`, {});
      assert.equal(put.status, 200);
      assert.equal(put.body.purged, 2);
    });

    test('what is being fetched while the purge comes is not kept', async () => {
      const slow = 'select count(*) from items where id > 3';
      await warm(slow);
      await psctl(['purge', 'main']);
      const lock = await stage.db.client({ database: 'app' });
      await lock.query('begin; lock table items in access exclusive mode');
      const under = stage.query(west, slow);
      await waitUntil(async () => (await stage.db.sql("select from pg_stat_activity where wait_event_type = 'Lock'")).rowCount > 0,
        { what: 'a read that waits for the lock' });
      const reply = await json(['purge', 'main', '--query', slow]);
      assert.equal(reply.purged, 2);
      await lock.query('rollback');
      await lock.end();
      const answer = await under;
      assert.equal(answer.status, 200);
      assert.deepEqual([answer.stored, answer.reason], [false, 'changed_meanwhile']);
      assert.notEqual((await stage.query(west, slow)).cache, 'hit');
    });

    test('an agent that does not answer is named; once back it serves nothing older', async () => {
      await warm(item);
      east.process.signal('SIGSTOP');
      try {
        const { stdout, stderr } = await psctl(['purge', 'main'], { code: FAILED });
        assert.match(stdout, /purged on 1 of 2 agents/);
        assert.match(stdout, /^eu-west +\S+ +purged/m);
        assert.match(stderr, /us-east/);
        assert.doesNotMatch(stderr, /eu-west/);
      } finally {
        east.process.signal('SIGCONT');
      }
      await east.ready();
      assert.deepEqual((await kept(item))[1], false);
    });

    test('one thing at a time, and ids that are some', async () => {
      await psctl(['purge', 'main', '--table', 'items', '--query', item], { code: USAGE });
      const where = `/v1/caches/${stage.cache.id}/purge`;
      for (const body of [{ table: '' }, { table: 7 }, { queryId: 'xyz' }, { queryId: '0000000000000000' }, { table: 'a', query: 'b' }, { x: 1 }]) {
        assert.equal((await cp.call('POST', where, body)).status, 400, JSON.stringify(body));
      }
      assert.equal((await cp.call('POST', where, { query: 'x'.repeat(70000) })).status, 400);
    });

    test('it is written down, without the statement', async () => {
      await psctl(['purge', 'main', '--query', "select name from items where name = 'canary-purge'"]);
      const { items } = (await cp.call('GET', '/v1/audit?limit=1')).body;
      assert.equal(items[0].path, `/v1/caches/${stage.cache.id}/purge`);
      assert.equal(items[0].status, 200);
      assert.equal(items[0].after.scope, 'query');
      for (const text of [JSON.stringify(items), cp.process.output, west.process.output, east.process.output]) {
        assert.ok(!text.includes('canary-purge'));
      }
    });
  });
});
