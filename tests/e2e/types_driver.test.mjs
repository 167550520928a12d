// Values that are hard to encode rather than common to use, which
// types_postgres.test.mjs leaves out: each statement goes through the agent's
// own driver and encoder (ps_rows_dump, no agent in between) and through knex
// and pg with TZ=UTC, in one session each, and the rows must be equal.
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { after, before, describe as suite, test } from 'node:test';
import knexFactory from 'knex';
import { Dump } from './lib/dump.mjs';
import { Postgres } from './lib/postgres.mjs';
import { own } from './lib/types_postgres.mjs';
import { cases, setup } from './lib/types_postgres_hard.mjs';

process.env.TZ = 'UTC';
const login = { user: 'app', password: 'app secret', database: 'app' };

suite('hard values of PostgreSQL', () => {
  let db;
  let knex;
  let dump;

  before(async () => {
    db = await Postgres.start();
    await db.sql("create role app login superuser password 'app secret'");
    await db.sql('create database app owner app');
    knex = knexFactory({
      client: 'pg', pool: { min: 1, max: 1 }, connection: { host: db.host, port: db.port, ...login },
    });
    for (const sql of [own.schema, setup]) await knex.raw(sql);
    dump = new Dump('postgres', { PS_PG_PORT: String(db.port) });
  });
  after(async () => {
    await dump?.end();
    await knex?.destroy();
    await db?.stop();
  });

  // What knex's user gets; of several statements the last that has rows.
  const viaKnex = async (sql) => {
    try {
      const result = await knex.raw(sql);
      const all = Array.isArray(result) ? result : [result];
      const last = all.filter((r) => r.fields && r.command === 'SELECT').at(-1) ?? all.at(-1);
      return JSON.stringify(last.rows ?? []);
    } catch (error) {
      return `! ${error.code}: ${error.message}`;
    }
  };

  test('as knex and pg give them', async () => {
    const wrong = [];
    let same = 0;
    // knex turns a question mark into a parameter.
    for (const sql of cases.filter((text) => !text.includes('?'))) {
      const [ours, theirs] = await Promise.all([dump.ask(sql), viaKnex(sql)]);
      if (ours === theirs) same += 1;
      else if (ours.startsWith('!') ? !theirs.startsWith('!')
        : theirs.startsWith('!') || !isDeepStrictEqual(JSON.parse(ours), JSON.parse(theirs))) {
        wrong.push({ sql, ours: ours.slice(0, 500), theirs: theirs.slice(0, 500) });
      }
    }
    assert.deepEqual(wrong, []);
    assert.ok(same > 80, `${same} are equal byte by byte`);
  });

  // pg loses a column of that name (it assigns to it as to any other, which
  // sets the object's prototype). Here nothing is lost.
  test('a column named __proto__ is a column', async () => {
    assert.equal(await dump.ask('select 1 as "__proto__"'), '[{"__proto__":1}]');
  });
});
