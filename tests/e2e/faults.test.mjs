// Origins that break, real ones: the right status and code, nothing kept, no
// write sent twice, and all is well again without a restart of the agent.
// (Needs root: a full disk is a small file system that is mounted.)
import assert from 'node:assert/strict';
import { after, before, describe as suite, test } from 'node:test';
import { models } from '@polyscale/serverless-js';
import { isStopped, servers, smallDisk } from './lib/faults.mjs';
import { Agent, ControlPlane } from './lib/portside.mjs';
import { waitUntil } from './lib/process.mjs';
import { Relay } from './lib/relay.mjs';

const WRITERS = 6;
// Replies of an origin that is not there, or not well.
const AWAY = /^(origin_(lost|refused|timeout|unavailable|circuit_open|too_many_connections|tls|protocol)|outcome_unknown|query_timeout|pool_timeout)$/;
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

for (const [provider, start] of Object.entries(servers)) {
  suite(`faults: ${provider}`, () => {
    let server;
    let relay;
    let controlPlane;
    let agent;
    let cache;
    let patient; // the same with more time
    let serial = 0;

    before(async () => {
      server = await start();
      await server.sql('create table items (id int primary key, v int)');
      await server.sql('insert into items (id, v) values (1, 10), (2, 20), (3, 30)');
      await server.sql('create table counters (id int primary key, n int)');
      await server.sql(`insert into counters (id, n) values ${Array.from({ length: 20 }, (_, i) => `(${i}, 0)`).join()}`);
      if (provider === 'postgres') await server.sql('grant all on items, counters to alice');
      relay = await Relay.start({ host: '127.0.0.1', port: server.port });
      controlPlane = await ControlPlane.start();
      agent = await Agent.start(controlPlane, 'one');
      cache = await controlPlane.createCache({
        name: 'main', database: provider, tlsMode: 'disable', ...server.cache, port: relay.port,
        connectTimeoutMs: 2000, queryTimeoutMs: 2000, poolMax: WRITERS, breakerFailures: 0,
      });
      patient = await controlPlane.createCache({
        name: 'patient', database: provider, tlsMode: 'disable', ...server.cache, queryTimeoutMs: 30000,
      });
      for (const { id } of [cache, patient]) await agent.knows(id, provider === 'mssql' ? 'postgres' : 'mssql');
    });
    after(async () => {
      await agent?.stop();
      await controlPlane?.stop();
      await relay?.stop();
      await server?.stop();
    });

    const ask = async (sql, bindings, { of = cache } = {}) => {
      const reply = await agent.sql({
        cacheId: of.id, provider, username: 'alice', password: 'alice-pw', database: 'app', sql, ...(bindings && { bindings }),
      });
      if (reply.status !== 200) {
        models.SqlQueryReplyError.parse(reply.json);
        assert.equal(reply.json.statusCode, reply.status);
        assert.ok(!reply.stored && reply.cache !== 'hit', 'an error is never kept');
      }
      return reply;
    };
    const fails = (reply, status, code) => {
      assert.equal(reply.json.code, code, reply.text);
      assert.equal(reply.status, status, reply.text);
    };
    // A read that memory cannot know.
    const fresh = () => { serial += 1; return ask(`select v, ${serial} as n from items where id = 1`); };
    const isWell = (reply) => reply.status === 200 && reply.json[0].v === 10 && reply.json[0].n === serial;
    const well = () => waitUntil(async () => isWell(await fresh()), { timeoutMs: 30000, everyMs: 50, what: 'an answer again' });
    const renew = async () => {
      relay.cut();
      await waitUntil(() => relay.connections === 0, { what: 'no connection' });
    };
    const warm = async (sql) => {
      await waitUntil(async () => (await ask(sql)).cache === 'hit', { what: `a hit for ${sql}` });
    };
    const count = async (id) => (await server.sql(`select n from counters where id = ${id}`))[0].n;

    // Clients that write, each its own counter, until they are told to stop.
    // What the counters say afterwards: every write that was confirmed is
    // there, and at most those besides of which nobody knew.
    const writing = async (body) => {
      await server.sql('update counters set n = 0');
      let on = true;
      const odd = [];
      const tallies = Array.from({ length: WRITERS }, () => ({ done: 0, unknown: 0, refused: 0 }));
      const writers = tallies.map(async (tally, id) => {
        while (on) {
          const reply = await ask('update counters set n = n + 1 where id = ?', [id]);
          if (reply.status === 200) tally.done += 1;
          else if (reply.json.code === 'outcome_unknown') tally.unknown += 1;
          else tally.refused += 1;
          if (reply.status === 200) continue;
          if (!AWAY.test(reply.json.code)) odd.push(reply.text);
          await pause(20);
        }
      });
      const confirmed = () => tallies.reduce((sum, t) => sum + t.done, 0);
      await waitUntil(() => confirmed() >= 3 * WRITERS, { what: 'writes' });
      try {
        await body();
      } finally {
        const before_ = confirmed();
        await waitUntil(() => confirmed() >= before_ + 3 * WRITERS, { timeoutMs: 30000, what: 'writes again' }).finally(() => { on = false; });
        await Promise.all(writers);
      }
      assert.deepEqual(odd, []);
      await well();
      for (const [id, { done, unknown }] of tallies.entries()) {
        const n = await count(id);
        assert.ok(n >= done && n <= done + unknown, `counter ${id} is ${n}: ${done} confirmed, ${unknown} unknown`);
        assert.equal((await ask(`select n from counters where id = ${id}`)).json[0].n, n);
      }
      return tallies;
    };

    test('restarted, as after a crash', async () => {
      await warm('select v from items where id = 2');
      await writing(async () => {
        await server.crash();
        // What is in memory is still answered, all else is refused at once.
        assert.equal((await ask('select v from items where id = 2')).cache, 'hit');
        const away = await fresh();
        assert.ok(away.status >= 502 && away.status <= 504, away.text);
        assert.match(away.json.code, AWAY);
        await pause(300);
        await server.boot();
      });
    });

    test(`stopped for ${provider === 'postgres' ? 10 : 4} seconds`, async () => {
      await warm('select v from items where id = 3');
      await writing(async () => {
        const pids = server.pids();
        for (const pid of pids) process.kill(pid, 'SIGSTOP');
        try {
          await waitUntil(() => pids.every(isStopped), { what: 'the server stopped' });
          const until = Date.now() + (provider === 'postgres' ? 10000 : 4000);
          const reply = await fresh();
          assert.equal(reply.status, 504, reply.text);
          assert.match(reply.json.code, /^(query_timeout|origin_timeout)$/);
          assert.equal((await ask('select v from items where id = 3')).cache, 'hit');
          await pause(until - Date.now());
        } finally {
          for (const pid of pids) process.kill(pid, 'SIGCONT');
        }
      });
    });

    test('cut at every byte of the reply to a read', async () => {
      let cuts = 0;
      const step = provider === 'mssql' ? 9 : 1; // each costs a login with TLS
      for (let n = 0; ; n += step) {
        await well();
        const pairs = [...relay.pairs];
        relay.cutEachAfter(n);
        const reply = await fresh();
        // Sent once more, or told to be lost; never a part of it.
        if (reply.status === 200) assert.ok(isWell(reply), reply.text);
        else fails(reply, 502, 'origin_lost');
        if (!pairs.some((p) => p.said >= p.cutAt)) break;
        cuts += 1;
        await renew();
      }
      assert.ok(cuts * step >= 40, `${cuts} cuts`);
    });

    test('cut at every byte of the reply to a write', async () => {
      await server.sql('update counters set n = 0 where id = 10');
      const step = provider === 'mssql' ? 9 : 1;
      let sent = 0;
      let unknown = 0;
      for (let n = 0; ; n += step) {
        await well();
        const pairs = [...relay.pairs];
        relay.cutEachAfter(n);
        const reply = await ask('update counters set n = n + 1 where id = 10');
        sent += 1;
        if (reply.status !== 200) fails(reply, 502, 'outcome_unknown');
        unknown += reply.status !== 200;
        // The server had the whole of it, once.
        await waitUntil(async () => await count(10) === sent, { what: `${sent} writes` });
        const uncut = !pairs.some((p) => p.said >= p.cutAt);
        await renew();
        assert.equal((await ask('select n from counters where id = 10')).json[0].n, sent);
        if (uncut) break;
      }
      assert.ok(unknown >= 5, `${unknown} of ${sent}`);
      assert.equal(await count(10), sent);
    });

    test('cut at bytes of a login', async () => {
      let failed = 0;
      for (let n = 1; n < 4000; n = Math.ceil(n * 1.3)) {
        await renew();
        relay.cutAfterBytes = n;
        const reply = await fresh();
        relay.cutAfterBytes = null;
        if (reply.status === 200) { assert.ok(isWell(reply)); continue; }
        assert.ok(reply.status === 502 || reply.status === 504, reply.text);
        assert.match(reply.json.code, AWAY);
        failed += 1;
      }
      assert.ok(failed >= 5, `${failed}`);
      await renew();
      await well();
    });

    test('a login that is refused', async () => {
      await server.refuse(true);
      await renew();
      for (let i = 0; i < 2; i += 1) fails(await fresh(), 401, 'login_failed');
      await server.refuse(false);
      await well();
    });

    test('too many connections', async () => {
      await renew();
      const end = await server.occupy();
      try {
        const reply = await fresh();
        fails(reply, 503, 'origin_too_many_connections');
        assert.match(reply.headers['retry-after'], /^\d+$/);
      } finally {
        await end();
      }
      await well();
      await writing(async () => {});
    });

    test('a disk that is full', async () => {
      const disk = server.disk ?? await smallDisk(10000, 5000);
      const insert = (id, v) => ask('insert into filled (id, v) values (?, ?)', [id, v], { of: patient });
      try {
        await server.full(disk.dir);
        let rows = 0;
        let reply;
        while ((reply = await insert(rows, 'x'.repeat(server.bytes))).status === 200 && rows < 2000) rows += 1;
        // The statement's own error, as the database words it.
        fails(reply, 400, server.fullCode);
        assert.match(reply.json.message, /space|full|disk/i);
        // Exactly what was confirmed is there, and reads go on.
        assert.ok(rows > 2, `${rows}`);
        const n = async () => Number((await ask('select count(*) as n from filled', undefined, { of: patient })).json[0].n);
        assert.equal(Number((await server.sql('select count(*) as n from filled'))[0].n), rows);
        assert.equal(await n(), rows);
        await well();
        // Room again: nothing is to be done at the agent.
        disk.makeRoom();
        assert.equal((await insert(10000, 'y'.repeat(server.bytes))).status, 200);
        assert.equal(await n(), rows + 1);
      } finally {
        if (!server.disk) disk.end();
      }
    });
  });
}
