// No leak between requests: hundreds of statements that change a session, each
// followed by a request on the same pooled connection (there is only one)
// that finds the session as a new connection has it.
//
//   on a native connection   statement, then the snapshot: it must differ, or
//                            the statement proves nothing
//   through the agent        statement, then the snapshot: it must be the one
//                            of a connection on which nothing has run
//
// origin: { db, provider, ca?, native(): { run(sql, bindings), end() }, admin }
// data: what lib/leaks_PROVIDER.mjs exports.
import assert from 'node:assert/strict';
import { after, before, describe as suite, test } from 'node:test';
import { Agent, ControlPlane } from './portside.mjs';
import { waitUntil } from './process.mjs';
import { Relay } from './relay.mjs';

// Rows as text, or the error's code.
const text = (rows) => JSON.stringify(rows);

// A snapshot in lines, to show what differs.
const lines = (snapshot) => (snapshot.startsWith('[') ? JSON.parse(snapshot).map((r) => JSON.stringify(Object.values(r))) : [snapshot]);
const differences = (a, b) => [...lines(b).filter((l) => !lines(a).includes(l)), ...lines(a).filter((l) => !lines(b).includes(l)).map((l) => `not ${l}`)].slice(0, 4).join(' ');

export function leaks(name, start, data) {
  suite(name, () => {
    let origin;
    let controlPlane;
    let agent;
    let relay;
    let cache;

    before(async () => {
      origin = await start();
      relay = await Relay.start({ host: origin.db.host, port: origin.db.port });
      controlPlane = await ControlPlane.start();
      agent = await Agent.start(controlPlane, 'one');
      cache = await controlPlane.createCache({
        name: 'main', host: origin.host ?? relay.host, port: relay.port, database: origin.provider, tlsMode: 'disable', poolMax: 1, ...origin.cache,
      });
      await agent.knows(cache.id, origin.provider === 'mssql' ? 'postgres' : 'mssql');
    });
    after(async () => {
      await agent?.stop();
      await controlPlane?.stop();
      await relay?.stop();
      await origin?.db.stop();
    });

    const ask = async (sql, bindings, { user = 'alice', password = 'alice-pw' } = {}) => {
      const reply = await agent.sql({
        cacheId: cache.id, provider: origin.provider, username: user, password, database: 'app', sql, ...(bindings && { bindings }),
      });
      return reply.status === 200 ? text(reply.json) : `! ${reply.json.code}`;
    };
    const natively = async (fn) => {
      const connection = await origin.native();
      const run = (sql, bindings) => connection.run(sql, bindings).then(text, (error) => `! ${error.code ?? error.number}`);
      try {
        return await fn(run);
      } finally {
        await connection.end();
      }
    };
    // The next request has a new connection.
    const renew = async () => {
      relay.cut();
      await waitUntil(() => relay.connections === 0, { what: 'no connection' });
    };
    const ddl = async (sql) => {
      for (const one of sql.split(/;\s*/)) {
        const reply = await ask(one, undefined, origin.admin);
        assert.ok(!reply.startsWith('!'), `${one}: ${reply}`);
      }
    };

    test(`${data.changes.length} statements that change the session leave nothing`, async () => {
      assert.ok(data.changes.length >= 200);
      const clean = new Map(); // of each question: on a new native connection, on a new one of the agent
      const question = async (sql) => {
        if (!clean.has(sql)) {
          const native = await natively((run) => run(sql));
          await renew();
          clean.set(sql, { native, agent: await ask(sql) });
        }
        return clean.get(sql);
      };
      const found = [];
      let kept = 0;
      for (const change of data.changes) {
        const { sql, bindings, probe = data.snapshot, suspicious } = typeof change === 'string' ? { sql: change } : change;
        if (suspicious) await ddl(data.suspicious.set);
        const unchanged = await question(probe);
        const changed = await natively(async (run) => { await run(sql, bindings); return run(probe); });
        if (changed === unchanged.native) found.push(`${sql}\n      changes nothing${changed.startsWith('!') ? `: ${changed}` : ''}`);
        const before_ = await ask(data.connection);
        await ask(sql, bindings);
        const now = await ask(probe);
        // What is new each time (a random number) must not be the leaked one.
        const leaked = probe === data.snapshot || !data.fickle?.(probe) ? now !== unchanged.agent : now === changed;
        if (leaked) found.push(`${sql}\n      left: ${differences(unchanged.agent, now)}`);
        kept += before_ === await ask(data.connection);
        if (leaked) await renew();
        if (suspicious) await ddl(data.suspicious.drop);
      }
      assert.ok(found.length === 0, `${found.length} of ${data.changes.length}:\n${found.join('\n')}`);
      // It was one connection, made clean, not a new one each time.
      assert.ok(kept >= data.changes.length * 0.8, `${kept} of ${data.changes.length} on the same connection`);
    });
  });
}
