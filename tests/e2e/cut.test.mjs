// An agent is cut off from the control plane: hosts are network namespaces on
// one switch, a cut is a cable pulled (contract C3).
import assert from 'node:assert/strict';
import { after, before, describe as suite, test } from 'node:test';
import { Network } from './lib/netns.mjs';
import { Agent, ControlPlane } from './lib/portside.mjs';
import { Postgres } from './lib/postgres.mjs';
import { run, waitUntil } from './lib/process.mjs';

const LEASE_MS = 2000;

suite('a cut between agent and control plane', () => {
  let net;
  let db;
  let dbHost;
  let cpHost;
  let controlPlane;
  let near; // shares a host with the database: pulled from the control plane only
  let far;
  let cache;

  const psql = async (sql) => {
    const { stdout } = await run(dbHost.wrap[0], [...dbHost.wrap.slice(1),
      'psql', '-At', '-h', dbHost.address, '-p', String(db.port), '-U', 'postgres', '-d', 'postgres', '-c', sql],
    { env: { PGPASSWORD: db.superuser.password } });
    return stdout.trim();
  };
  const query = (agent, sql) => agent.sql({
    cacheId: cache.id, username: 'postgres', password: db.superuser.password, database: 'postgres', sql,
  });
  const warm = (agent, sql) => waitUntil(async () => {
    const r = await query(agent, sql);
    return r.cache === 'hit' ? r : null;
  }, { what: `a hit for ${sql}` });

  before(async () => {
    net = await Network.create(3);
    let farHost;
    [cpHost, dbHost, farHost] = net.hosts;
    db = await Postgres.start({ host: dbHost.address, wrap: dbHost.wrap });
    controlPlane = await ControlPlane.start({ host: cpHost.address, wrap: cpHost.wrap });
    near = await Agent.start(controlPlane, 'near', { host: dbHost.address, wrap: dbHost.wrap });
    far = await Agent.start(controlPlane, 'far', { host: farHost.address, wrap: farHost.wrap });
    cache = await controlPlane.createCache({ name: 'main', host: dbHost.address, port: db.port, database: 'postgres', tlsMode: 'disable' });
    await near.knows(cache.id);
    await far.knows(cache.id);
    await psql('create table t (id int primary key, v int); insert into t values (1, 0)');
  });
  after(async () => {
    await near?.stop();
    await far?.stop();
    await controlPlane?.stop();
    await db?.stop('SIGQUIT');
    await net?.destroy();
  });

  test('after the lease no answer comes from memory, and service goes on', async () => {
    const sql = 'select v from t where id = 1';
    await warm(near, sql);
    await net.cut(cpHost);
    const begin = Date.now();
    await waitUntil(async () => (await query(near, sql)).reason === 'no_lease',
      { timeoutMs: LEASE_MS + 4000, what: 'the end of the lease' });
    assert.ok(Date.now() - begin < LEASE_MS + 2000);
    await psql('update t set v = 1');
    for (let i = 0; i < 5; i += 1) {
      const reply = await query(near, sql);
      assert.equal(reply.status, 200);
      assert.deepEqual(reply.json, [{ v: 1 }]);
      assert.notEqual(reply.cache, 'hit');
      assert.equal(reply.stored, false);
    }
    await net.heal(cpHost);
    await near.ready();
    await far.ready();
    assert.deepEqual((await warm(near, sql)).json, [{ v: 1 }]);
  });

  test('a write through an agent that is cut off is seen elsewhere within the lease', async () => {
    const sql = 'select v from t where id = 1';
    // The far agent keeps control plane and database; only the near one loses
    // the control plane: its packets there are dropped.
    await warm(far, sql);
    await run('ip', ['netns', 'exec', dbHost.name, 'nft', '-f', '-'], {
      input: `table inet cut { chain out { type filter hook output priority 0; ip daddr ${cpHost.address} drop; }\n chain in { type filter hook input priority 0; ip saddr ${cpHost.address} drop; }\n}\n`,
    });
    try {
      for (let round = 10; round < 14; round += 1) {
        const write = await query(near, `update t set v = ${round} where id = 1`);
        assert.equal(write.status, 200);
        const begin = Date.now();
        await waitUntil(async () => (await query(far, sql)).json[0].v === round,
          { timeoutMs: LEASE_MS + 3000, everyMs: 20, what: `round ${round} at the far agent` });
        // The bound is the lease; a curl and a query at each end come on top.
        assert.ok(Date.now() - begin < LEASE_MS + 700, `${Date.now() - begin} ms`);
      }
      const status = await controlPlane.ok('GET', '/v1/status');
      assert.equal(status.restricted, true);
      assert.equal(status.agents.lost, 1);
    } finally {
      await run('ip', ['netns', 'exec', dbHost.name, 'nft', 'delete', 'table', 'inet', 'cut']);
    }
    await near.ready();
    await waitUntil(async () => (await controlPlane.ok('GET', '/v1/status')).restricted === false,
      { what: 'the end of the restriction' });
    assert.deepEqual((await warm(far, sql)).json, [{ v: 13 }]);
  });

  test('a cut host is reported by the reachability test', async () => {
    await net.cut(dbHost);
    try {
      const { runId } = await controlPlane.ok('POST', `/v1/caches/${cache.id}/test`, {});
      const result = await waitUntil(async () => {
        const r = await controlPlane.ok('GET', `/v1/caches/${cache.id}/reachability?run=${runId}`);
        const one = r.results.find((x) => x.region === 'far');
        return one?.done ? one : null;
      }, { timeoutMs: 20000, what: 'the far agent\'s result' });
      assert.equal(result.ok, false);
      assert.match(result.code, /^origin_(timeout|unreachable)$/);
      assert.equal(result.sourceAddress, far.host);
      assert.match(result.advice, new RegExp(far.host.replaceAll('.', '\\.')));
    } finally {
      await net.heal(dbHost);
    }
  });
});
