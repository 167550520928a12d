// Equal answers (C5): a corpus of SELECTs, made by hand and from a grammar,
// gives the same bytes of data whichever way it is answered:
//
//   oracle   the database's own Node driver, as JSON
//   direct   through the agent, past its memory (no-cache, no-store)
//   cold     through the agent, before the answer is in memory
//   warm     the same again, until memory answers
//
// What may be kept must be kept: else warm would prove nothing.
import assert from 'node:assert/strict';
import { after, before, describe as suite, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import knexFactory from 'knex';
import { corpus } from './lib/corpus.mjs';
import mariadb from './lib/corpus_mariadb.mjs';
import postgres from './lib/corpus_postgres.mjs';
import { MariaDb } from './lib/mariadb.mjs';
import { Agent, ControlPlane } from './lib/portside.mjs';
import { Postgres } from './lib/postgres.mjs';
import { waitUntil } from './lib/process.mjs';

process.env.TZ = 'UTC';

const seed = Number(process.env.PS_SEED ?? 20240229);
const each = Number(process.env.PS_CORPUS ?? 1100);
const past = { headers: { 'cache-control': 'no-cache, no-store' } };
const AT_ONCE = 6;

// Runs fn for every item, a few at a time.
async function forEach(items, fn) {
  const queue = items.values();
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (const item of queue) await fn(item);
  }));
}

// Nearly always the same bytes; JSON that the database made may say one value in
// other words (an escape, a key twice).
function equal(reply, oracle) {
  return reply.text === oracle || isDeepStrictEqual(reply.json, JSON.parse(oracle));
}

suite('equal answers', () => {
  let controlPlane;
  let agent;
  before(async () => {
    controlPlane = await ControlPlane.start();
    agent = await Agent.start(controlPlane, 'one');
  });
  after(async () => {
    await agent?.stop();
    await controlPlane?.stop();
  });

  // ask: { sql, bindings? } -> the driver's rows.
  async function hold(t, language, who, ask) {
    const statements = corpus(language, each, seed);
    const wrong = [];
    const seen = { hit: 0, bypass: 0, miss: 0 };
    const bypassed = new Map();
    const cache = await controlPlane.createCache({ tlsMode: 'disable', ...who.cache });
    await agent.knows(cache.id);
    await forEach(statements, async ({ sql, bindings }) => {
      const body = { cacheId: cache.id, ...who.login, sql, ...(bindings && { bindings }) };
      const say = (text) => { wrong.push(`${text}\n  ${sql} ${JSON.stringify(bindings) ?? ''}`); };
      let oracle;
      try {
        oracle = JSON.stringify(await ask({ sql, bindings }));
      } catch (error) {
        return say(`not a statement of the corpus: ${error.message}`);
      }
      let bytes;
      const send = async (way, options) => {
        const reply = await agent.sql(body, options);
        bytes ??= reply.text;
        if (reply.status !== 200) say(`${way}: ${reply.text}`);
        else if (reply.text !== bytes) say(`${way} (${reply.reason}): ${reply.text}\n  other bytes than direct: ${bytes}`);
        else if (!equal(reply, oracle)) say(`${way} (${reply.reason}): ${reply.text}\n  another answer than the driver's: ${oracle}`);
        return reply;
      };
      if ((await send('direct', past)).cache !== 'bypass') say('direct went to memory');
      let reply = await send('cold');
      if (reply.cache === 'hit') say('cold came from memory');
      // What counts as a write keeps what others would have got from memory.
      for (let i = 0; i < 3 && reply.cache === 'miss'; i += 1) reply = await send('warm');
      if (reply.cache === 'miss') {
        reply = await waitUntil(async () => {
          const again = await send('warm');
          return again.cache === 'miss' ? null : again;
        }, { what: `an answer to keep for ${sql}`, timeoutMs: 60000 });
      }
      seen[reply.cache] += 1;
      if (reply.cache === 'bypass') bypassed.set(reply.reason, [...bypassed.get(reply.reason) ?? [], sql]);
      return undefined;
    });
    assert.equal(wrong.length, 0, `seed ${seed}: ${wrong.length} of ${statements.length} differ:\n${wrong.slice(0, 5).join('\n')}`);
    const reasons = [...bypassed].map(([reason, texts]) => `${reason} ${texts.length}`).join(', ');
    t.diagnostic(`seed ${seed}: ${statements.length} statements, ${seen.hit} warm from memory, ${seen.bypass} never kept (${reasons})`);
    assert.ok(seen.hit >= 0.95 * statements.length, `${seen.hit} of ${statements.length} from memory: ${reasons}`);
    assert.ok(seen.bypass > 0, 'what may not be kept is in the corpus too');
  }

  test('PostgreSQL', async (t) => {
    const db = await Postgres.start();
    let knex;
    try {
      await db.sql("create role alice login password 'alice-pw'");
      await db.sql('create database app');
      await db.sql(postgres.schema, { database: 'app' });
      knex = knexFactory({
        client: 'pg', pool: { min: 0, max: AT_ONCE },
        connection: { host: db.host, port: db.port, user: 'alice', password: 'alice-pw', database: 'app' },
      });
      await hold(t, postgres, {
        cache: { name: 'postgres', host: db.host, port: db.port, database: 'postgres' },
        login: { provider: 'postgres', username: 'alice', password: 'alice-pw', database: 'app' },
      }, async ({ sql, bindings }) => (await (bindings ? knex.raw(sql, bindings) : knex.raw(sql))).rows);
    } finally {
      await knex?.destroy();
      await db.stop('SIGQUIT');
    }
  });

  test('MariaDB', async (t) => {
    const db = await MariaDb.start();
    let knex;
    try {
      await db.sql(mariadb.schema);
      knex = knexFactory({ client: 'mysql2', connection: db.options('alice'), pool: { min: 0, max: AT_ONCE } });
      await hold(t, mariadb, {
        cache: { name: 'mariadb', host: db.host, port: db.port, database: 'mariadb' },
        login: { provider: 'mariadb', username: 'alice', password: 'alice-pw', database: 'app' },
      }, async ({ sql, bindings }) => (await (bindings ? knex.raw(sql, bindings) : knex.raw(sql)))[0]);
    } finally {
      await knex?.destroy();
      await db.stop();
    }
  });
});
