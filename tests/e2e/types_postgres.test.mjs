// The oracle of value types: what the PolyScale client gets through the agent
// equals, value by value, what knex with pg gives for the same statement
// on the same database, as JSON with TZ=UTC; and the answer from memory
// is the same bytes as the one from the database.
import assert from 'node:assert/strict';
import { after, before, describe as suite, test } from 'node:test';
import knexFactory from 'knex';
import { Stage } from './lib/stage.mjs';
import { arrays, own, scalars, shapes } from './lib/types_postgres.mjs';

process.env.TZ = 'UTC';

const quote = (s) => `${s.includes('\\') ? 'E' : ''}'${s.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`;

suite('value types of PostgreSQL', () => {
  let stage;
  let agent;
  let knex;

  before(async () => {
    stage = await Stage.create({ regions: ['one'] });
    [agent] = stage.agents;
    await stage.db.sql(`${own.schema} create table small (a int, b text); insert into small values (1, 'x'), (2, null); grant all on small to alice;`,
      { database: 'app' });
    knex = knexFactory({
      client: 'pg',
      connection: { host: stage.db.host, port: stage.db.port, user: 'alice', password: 'alice-pw', database: 'app' },
      pool: { min: 0, max: 2 },
    });
  });
  after(async () => {
    await knex?.destroy();
    await stage?.destroy();
  });

  const same = async (sql, bindings) => {
    const { rows } = bindings === undefined ? await knex.raw(sql) : await knex.raw(sql, bindings);
    const expected = JSON.parse(JSON.stringify(rows));
    let first;
    for (let i = 0; i < 3; i += 1) {
      const reply = await stage.query(agent, sql, bindings);
      assert.equal(reply.status, 200, `${sql}: ${reply.text}`);
      assert.deepEqual(reply.json, expected, `${sql} (${reply.cache})`);
      first ??= reply.text;
      assert.equal(reply.text, first, 'hit and miss are the same bytes');
    }
  };

  for (const [type, values] of [...scalars, ...arrays, ...own.values]) {
    test(type, async () => {
      for (const value of values) await same(`select ${quote(value)}::${type} as v`.replaceAll('?', '\\?'));
      await same(`select null::${type} as v`);
    });
  }

  test('shapes of results', async () => {
    for (const sql of shapes) await same(sql);
  });

  test('bindings of every kind', async () => {
    const cases = [
      ['select ?::int as a, ?::text as b', [1, 'x']],
      ['select ?::int as a', [null]],
      ['select ?::bool as a, ?::bool as b', [true, false]],
      ['select ?::float8 as a, ?::numeric as b', [1.5, 1e21]],
      ['select ?::text as a', ['Grüße 🎉 \' " \\ ? :x']],
      ['select ?::int[] as a', [[1, 2, 3]]],
      ['select ?::text[] as a', [['a', 'b,c', 'd"e', 'f\\g', '', 'NULL']]],
      ['select ?::bool[] as a', [[true, false]]],
      ['select ?::int[] as a', [[]]],
      ['select :a::int as a, :b::text as b, :a::int + 1 as c', { a: 4, b: 'y' }],
      ['select :name: from items where :id: = :v', { name: 'items.name', id: 'id', v: 3 }],
      ['select ?? from ?? where ?? = ?', ['name', 'items', 'items.id', 4]],
      ["select '{\"a\": 1}'::jsonb \\? 'a' as has", []],
      ['select id from items where id = any(?) order by id', [[3, 1, 2]]],
      ["select now()::date = now()::date as t, ':x' as lit, id from items where id = :id", { id: 1 }],
    ];
    for (const [sql, bindings] of cases) await same(sql, bindings);
  });
});
