// What an operator asks of all agents at once: purge and its report, with two
// agents in two regions.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe as suite, test } from 'node:test';
import { request } from './lib/portside.mjs';
import { Process, program, run, waitUntil } from './lib/process.mjs';
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
    stage = await Stage.create({ regions: ['eu-west', 'us-east'], agentArgs: ['--telemetry-every', '200ms'] });
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

  suite('explain', () => {
    async function explained(sql, ...more) {
      const reply = await json(['explain', 'main', sql, ...more]);
      assert.equal(reply.answered, 2);
      assert.deepEqual(reply.results.map((r) => [r.region, r.state]), [['eu-west', 'answered'], ['us-east', 'answered']]);
      return reply.results.map((r) => r.explanation);
    }

    before(async () => {
      await psctl(['purge', 'main']);
      await warm('select name from items where id = 5');
      // A cache of which no agent knows anything but the definition.
      await stage.createCache('fresh');
    });

    test('the word that keeps it from being kept is marked', async () => {
      const { stdout } = await psctl(['explain', 'main', "select name,\n  now() as t from items where name = 'wörd'"]);
      const lines = stdout.split('\n');
      assert.deepEqual(lines.slice(0, 5), [
        'select name,', "  now() as t from items where name = 'wörd'", '  ^^^', '',
        'read, not kept: volatile_function (the value of this function changes from call to call)']);
      assert.match(stdout, /^template +[0-9a-f]{16} +select name, now\(\) as t from items where name = \?$/m);
      // Cells, not bytes.
      const wide = (await psctl(['explain', 'main', "select 'wörd', now()"])).stdout.split('\n');
      assert.equal(wide[1], `${' '.repeat(15)}^^^`);
    });

    test('tables, rows, rule, time to live, what ends it, and memory', async () => {
      const [here, there] = await explained('select name from items where id = 5');
      for (const e of [here, there]) {
        assert.deepEqual([e.class, e.cacheable, e.reason, e.catalog, e.database], ['read', true, 'cacheable', true, 'app']);
        assert.deepEqual(e.tables, [{ schema: 'public', name: 'items', named: true, rows: [{ column: 'id', values: 1 }] }]);
        assert.deepEqual([e.rule, e.ttl.from], [null, 'learned']);
        assert.ok(e.ttl.ms > 0);
        assert.match(e.invalidatedBy[0], /^a write to public\.items that touches these rows/);
        assert.deepEqual([e.memory.lease, e.memory.fresh], [true, 1]);
        assert.ok(e.memory.ttlMs > 0 && e.memory.ttlMs <= e.ttl.ms);
      }
      const { stdout } = await psctl(['explain', 'main', 'select name from items where id = 5']);
      assert.match(stdout, /^read, may be kept: cacheable/m);
      assert.match(stdout, /^tables +public\.items, only rows by id \(1 value\)$/m);
      assert.match(stdout, /^eu-west +\S+ +1 answer +\S+ +\S+$/m);
      // The ids are those of purge, and it is gone then.
      await psctl(['purge', 'main', '--query', here.queryId]);
      assert.deepEqual((await explained('select name from items where id = 5')).map((e) => e.memory.entries), [0, 0]);
    });

    test('a view: the tables behind it, any of their rows', async () => {
      const [e] = await explained('select * from cheap where id = 3');
      assert.deepEqual(e.relations, [{ schema: null, name: 'cheap', use: ['read'] }]);
      assert.deepEqual(e.tables, [{ schema: 'public', name: 'items', named: false, rows: [] }]);
      assert.match(e.invalidatedBy[0], /^any write to public\.items$/);
    });

    test('the rule that wins', async () => {
      const where = `/v1/caches/${stage.cache.id}/rules`;
      const sql = 'select qty from items where id = 6';
      const table = await cp.ok('POST', where, { type: 'table', key: 'items', mode: 'ttl', ttlMs: 90000 });
      await waitUntil(async () => (await explained(sql)).every((e) => e.rule), { what: 'the rule' });
      const [e] = await explained(sql);
      assert.deepEqual(e.rule, { type: 'table', key: 'items', mode: 'ttl', ttlMs: 90000 });
      assert.deepEqual(e.ttl, { ms: 90000, from: 'rule' });
      const query = await cp.ok('POST', where, { type: 'query', key: sql, mode: 'never' });
      await waitUntil(async () => (await explained(sql)).every((x) => x.rule.type === 'query'), { what: 'the other rule' });
      const { stdout } = await psctl(['explain', 'main', `${sql};`]);
      assert.match(stdout, /^read, not kept: rule_never/m);
      assert.match(stdout, /^rule +never: query of select qty from items where id = 6$/m);
      for (const rule of [table, query]) await cp.call('DELETE', `/v1/rules/${rule.id}`);
      await waitUntil(async () => (await explained(sql)).every((x) => !x.rule), { what: 'no rule' });
    });

    test('bindings tell the rows; without them they are not known', async () => {
      const [bound] = await explained('select name from items where id = ?', '7');
      assert.deepEqual(bound.tables[0].rows, [{ column: 'id', values: 1 }]);
      assert.equal(bound.memory.bound, 0);
      const [open] = await explained('select name from items where id = ?');
      assert.deepEqual(open.tables[0].rows, []);
      assert.equal(open.template, bound.template);
      await stage.warm(west, 'select name from items where id = ?', [7]);
      const [here, there] = await explained('select name from items where id = ?', '7');
      assert.deepEqual([here.memory.bound, there.memory.bound], [1, 0]);
      const { stderr } = await psctl(['explain', 'main', 'select ?', '1', '2'], { code: FAILED });
      assert.match(stderr, /bindings/);
    });

    test('a write: what it changes', async () => {
      const [e] = await explained('update items set qty = 1 where id = 4');
      assert.deepEqual([e.class, e.cacheable, e.reason], ['write', false, 'not_a_read']);
      assert.deepEqual(e.writes, { tables: [{ schema: 'public', name: 'items', named: true, rows: [{ column: 'id', values: 1 }] }], catalog: false });
      const { stdout } = await psctl(['explain', 'main', '--file', '-'], { input: 'drop table items\n' });
      assert.match(stdout, /^ddl, not kept/m);
      assert.match(stdout, /^changes /m);
    });

    test('nobody knows the catalogue: it says how to get it', async () => {
      const { stdout, stderr } = await psctl(['explain', 'fresh', 'select 1 from items']);
      assert.match(stdout, /^read, not kept: no_catalog/m);
      assert.match(stderr, /psctl query --cache/);
      const { stderr: other } = await psctl(['explain', 'main', '--database', 'postgres', 'select 1 from items']);
      assert.match(other, /app/);
      // Who names none gets the cache's default.
      const fresh = (await cp.ok('GET', '/v1/caches')).find((c) => c.name === 'fresh');
      await cp.ok('PATCH', `/v1/caches/${fresh.id}`, { defaultDatabase: 'app' });
      await waitUntil(async () => (await json(['explain', 'fresh', 'select 1'])).results.every((r) => r.explanation.database === 'app'),
        { what: 'the default database' });
    });

    test('a viewer may ask, within the caches of the token', async () => {
      const token = (await cp.ok('POST', '/v1/tokens', { name: 'look', role: 'viewer', caches: [stage.cache.id] })).token;
      const ask = (cache) => cp.call('POST', `/v1/caches/${cache}/explain`, { sql: 'select 1' }, { token });
      assert.equal((await ask(stage.cache.id)).status, 200);
      const caches = await cp.ok('GET', '/v1/caches');
      assert.equal((await ask(caches.find((c) => c.name === 'fresh').id)).status, 404);
      const where = `/v1/caches/${stage.cache.id}/explain`;
      for (const body of [{}, { sql: '' }, { sql: 'x'.repeat(70000) }, { sql: 'x', bindings: 7 }, { sql: 'x', y: 1 }, { sql: 'x', bindings: ['y'.repeat(70000)] }]) {
        assert.equal((await cp.call('POST', where, body)).status, 400);
      }
    });

    test('nothing of it stays in a log or in the audit log', async () => {
      await psctl(['explain', 'main', "select name from items where name = 'canary-explain' and id = ?", 'canary-bound']);
      await psctl(['explain', 'main', "selec 'canary-explain"]);
      const audit = JSON.stringify((await cp.call('GET', '/v1/audit?limit=20')).body);
      assert.ok(!audit.includes('/explain'));
      for (const text of [audit, cp.process.output, west.process.output, east.process.output]) {
        assert.ok(!/canary-(explain|bound)/.test(text));
      }
    });
  });

  suite('drain', () => {
    const state = async () => (await json(['agent', 'list'])).find((a) => a.id === west.id);
    // As a load balancer asks: on a connection of its own, which no end of another one meets.
    const health = (where) => request(`${west.url}${where}`, { agent: new http.Agent() });
    const ready = async () => (await health('/readyz')).status;
    // What a load balancer's client does: one connection, kept open.
    const client = () => new http.Agent({ keepAlive: true, maxSockets: 1 });
    async function ask(agent, sql) {
      return request(`${west.url}/sql`, {
        method: 'POST', agent, body: JSON.stringify(stage.body(sql)), headers: { 'content-type': 'application/json' } });
    }

    test('it finishes what it has, closes connections, then is drained', async () => {
      const lock = await stage.db.client({ database: 'app' });
      await lock.query('begin; lock table items in access exclusive mode');
      const held = client();
      const idle = client();
      assert.equal((await ask(idle, 'select 1')).headers.connection, undefined);
      const sockets = Object.values(idle.freeSockets).flat();
      assert.equal(sockets.length, 1);
      const closed = new Promise((resolve) => { sockets[0].once('close', resolve); });
      const under = ask(held, 'select count(*) from items where id > 40');
      await waitUntil(async () => (await stage.db.sql("select from pg_stat_activity where wait_event_type = 'Lock'")).rowCount > 0,
        { what: 'a read that waits for the lock' });
      await psctl(['agent', 'drain', west.id]);
      await waitUntil(async () => (await ready()) === 503, { what: 'not ready' });
      assert.match((await health('/readyz')).text, /draining/);
      assert.equal((await health('/healthz')).status, 200);
      await closed;
      await waitUntil(async () => (await state()).busy > 0, { what: 'what is open' });
      assert.equal((await state()).state, 'draining');
      const { stderr } = await psctl(['agent', 'drain', west.id, '--wait', '10ms'], { code: FAILED });
      assert.match(stderr, /open/);
      // Who comes all the same is answered, on a connection of its own.
      const late = await ask(client(), 'select 2 as late');
      assert.equal(late.status, 200);
      assert.equal(late.headers.connection, 'close');
      await lock.query('rollback');
      await lock.end();
      const answer = await under;
      assert.deepEqual([answer.status, answer.headers.connection], [200, 'close']);
      await psctl(['agent', 'drain', west.id, '--wait', '20s']);
      assert.equal((await state()).state, 'drained');
      assert.match((await psctl(['agent', 'list'])).stdout, / drained /);
    });

    test('it outlasts a restart of either; undrain ends it', async () => {
      await west.stop();
      assert.deepEqual([(await state()).state, (await state()).draining], ['disconnected', true]);
      await west.boot({ wait: false });
      await waitUntil(async () => (await state()).state === 'drained', { what: 'drained again' });
      assert.equal(await ready(), 503);
      await cp.restart();
      env.PORTSIDE_TOKEN = cp.token;
      await waitUntil(async () => (await state()).state === 'drained', { what: 'drained after the restart' });
      await psctl(['agent', 'undrain', west.id]);
      await west.ready();
      assert.equal((await state()).state, 'connected');
      const kept = client();
      assert.equal((await ask(kept, 'select 3')).headers.connection, undefined);
      kept.destroy();
    });

    test('neither for a viewer, nor for a token of some caches, nor for a revoked agent', async () => {
      for (const [role, caches] of [['viewer', undefined], ['operator', [stage.cache.id]]]) {
        const { token } = await cp.ok('POST', '/v1/tokens', { name: `no drain ${role}`, role, caches });
        assert.equal((await cp.call('POST', `/v1/agents/${west.id}/drain`, {}, { token })).status, 403);
      }
      assert.equal(await ready(), 200);
      assert.equal((await cp.call('POST', `/v1/agents/${stage.cache.id}/drain`, {})).status, 404);
    });
  });

  suite('events', () => {
    const events = async (...more) => json(['events', ...more]);
    const types = (list) => list.map((e) => e.type);

    test('what the tests above did is there, in order', async () => {
      const all = await events();
      const first = (type) => all.findIndex((e) => e.type === type);
      for (const type of ['agent_connected', 'cache_created', 'reachability', 'purge', 'cache_changed', 'agent_lost', 'restricted',
        'unrestricted', 'lease_lost', 'agent_draining', 'agent_drained', 'agent_stopped', 'agent_serving']) {
        assert.ok(first(type) >= 0, `${type} in ${types(all)}`);
      }
      assert.ok(first('agent_draining') < first('agent_drained') && first('agent_drained') < first('agent_serving'));
      assert.ok(all.every((e, n) => n === 0 || e.number > all[n - 1].number));
      const lost = all.find((e) => e.type === 'agent_lost');
      assert.deepEqual([lost.agentId, lost.region, lost.cacheId], [east.id, 'us-east', null]);
      const reached = all.find((e) => e.type === 'reachability');
      assert.deepEqual([reached.cacheName, reached.message], ['main', 'its database is reachable']);
      const purge = all.find((e) => e.type === 'purge' && /table/.test(e.message));
      assert.match(purge.message, /on 2 of 2 agents, 6 entries dropped/);
      const { stdout } = await psctl(['events', '--type', 'agent_lost']);
      assert.match(stdout, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}agent_lost {8}us-east \S+ {2}no heartbeat/m);
      assert.doesNotMatch(stdout, /purge/);
      assert.ok((await events('--since', '1h')).length >= all.length);
      await psctl(['events', '--type', 'nothing'], { code: FAILED });
      await psctl(['events', '--since', 'soon'], { code: FAILED });
    });

    test('a breaker, and an origin that is reached no more', async () => {
      const down = await stage.createCache('down', { port: 1, breakerFailures: 1, breakerOpenMs: 200 });
      await stage.query(west, 'select 1', undefined, { cache: down });
      const of = async (type) => (await events('--type', type)).filter((e) => e.cacheId === down.id);
      await waitUntil(async () => (await of('breaker_open')).length > 0, { what: 'breaker_open' });
      await waitUntil(async () => (await of('reachability')).length === 2, { what: 'both agents tried' });
      assert.match((await of('reachability'))[0].message, /not reachable: origin_refused/);
      // The same again is no news; another outcome is.
      await psctl(['cache', 'test', 'down'], { code: 5 });
      assert.equal((await of('reachability')).length, 2);
      await psctl(['cache', 'update', 'down', '--port', String(stage.db.port)]);
      await waitUntil(async () => (await of('reachability')).length === 4, { what: 'both agents reach it' });
      await cp.call('DELETE', `/v1/caches/${down.id}`);
      const [gone] = await of('cache_deleted');
      assert.deepEqual([gone.cacheName, gone.message], ['down', 'by admin']);
    });

    test('--follow goes on; a token of one cache sees no other', async () => {
      const { token } = await cp.ok('POST', '/v1/tokens', { name: 'watch', role: 'viewer', caches: [stage.cache.id] });
      const seen = (await cp.call('GET', '/v1/events', undefined, { token })).body.items;
      assert.ok(seen.some((e) => e.cacheId === stage.cache.id) && seen.some((e) => e.agentId && !e.cacheId));
      assert.ok(!seen.some((e) => e.cacheName === 'down' || e.cacheName === 'fresh'));
      const watch = new Process('events', program('psctl'), ['events', '--follow', '--json', '--type', 'purge'], { env });
      await watch.line(/"purge"/);
      const before = watch.output.split('\n').length;
      await psctl(['purge', 'main', '--table', 'stock']);
      await waitUntil(() => watch.output.split('\n').length > before, { what: 'the purge' });
      const last = JSON.parse(watch.output.trim().split('\n').at(-1));
      assert.match(last.message, /^a table, on 2 of 2 agents/);
      await watch.stop('SIGINT');
    });

    test('they are told again after a restart of the control plane, and no answer is in them', async () => {
      const before = await events();
      await cp.restart();
      assert.deepEqual((await events()).slice(0, before.length), before);
      assert.ok(!JSON.stringify(before).includes('canary'));
    });
  });

  suite('advise', () => {
    // Types the command that was advised.
    async function type(command) {
      const done = await run('sh', ['-c', command], { check: false, env: { ...env, PATH: `${path.dirname(program('psctl'))}:${process.env.PATH}` } });
      assert.equal(done.code, 0, `${command}: ${done.stdout}${done.stderr}`);
      return done.stdout;
    }
    // Advice on a template that begins so.
    async function adviceOn(cache, text, reason, count = 1) {
      let all;
      return waitUntil(async () => {
        all = await json(['advise', cache, '--since', '1h', '--limit', '100']);
        return all.find((a) => a.text.startsWith(text) && a.reason === reason && a.count >= count);
      }, { what: () => `advice on ${text}: ${JSON.stringify(all)}` });
    }

    test('what asks the clock: the word is shown by the command that is advised', async () => {
      const slow = "select now() as t, 'it''s' as c, count(*) from items a, items b, items c where a.id < 40";
      for (let i = 0; i < 3; i += 1) await stage.query(west, slow);
      await stage.query(west, 'select now()');
      const one = await adviceOn('main', 'select now() as t', 'volatile_function', 3);
      assert.equal(one.count, 3);
      assert.ok(one.savesMs > 0);
      assert.match(one.advice, /parameter, rounded/);
      assert.match(await type(one.command), /\n {7}\^\^\^\n/);
      const all = await waitUntil(async () => {
        const list = await json(['advise', '--since', '1h', '--limit', '100']);
        return list.some((a) => a.text === 'select now()') && list;
      }, { what: 'advice on the other' });
      assert.ok(all.every((a, n) => n === 0 || a.savesMs <= all[n - 1].savesMs));
      const cheap = all.findIndex((a) => a.text === 'select now()');
      assert.ok(cheap > all.findIndex((a) => a.template === one.template));
      const { stdout } = await psctl(['advise', 'main', '--since', '1h', '--limit', '1']);
      assert.match(stdout, /^1\. up to \d+\.\d s {2}main {2}(once|\d+ times) \S+\n {3}\S.*\n {3}[A-Z].*\n {3}\$ psctl /);
    });

    test('where caching is not on, the rule that is advised turns it on', async () => {
      const cache = await stage.createCache('by rule', { defaultCachingBehaviour: 'uncached' });
      const sql = "select name from items where qty in (10, 20) and name <> 'it''s'";
      const ask = () => stage.query(west, sql, undefined, { cache });
      assert.equal((await ask()).reason, 'caching_off');
      const one = await adviceOn('by rule', 'select name from items', 'caching_off');
      assert.match(one.command, /^psctl rule set 'by rule' --template '.*' --auto$/);
      await type(one.command);
      await waitUntil(async () => (await ask()).cache === 'hit', { what: 'a hit' });
      assert.equal((await stage.query(west, "select name from items where qty in (30) and name <> 'x'", undefined, { cache })).reason, 'stored');
    });

    test('nothing was asked, a cache that is not there, durations', async () => {
      const { stderr } = await psctl(['advise', 'fresh']);
      assert.match(stderr, /^(Nothing to advise|No query has been counted)/);
      await psctl(['advise', 'frsh'], { code: 4 });
      await psctl(['advise', '--limit', '0'], { code: USAGE });
      await psctl(['advise', '--since', '1&x=1'], { code: USAGE });
    });
  });
});
