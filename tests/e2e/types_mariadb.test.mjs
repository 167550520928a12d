// The oracle of value types: what a MariaDB cache answers equals, value by
// value, what knex with mysql2 gives for the same statement on the same
// database, as JSON with TZ=UTC; and the answer from memory is the same bytes.
import assert from 'node:assert/strict';
import { after, before, describe as suite, test } from 'node:test';
import knexFactory from 'knex';
import { MariaDb } from './lib/mariadb.mjs';
import { Agent, ControlPlane } from './lib/portside.mjs';

process.env.TZ = 'UTC';

// Type of a column, and values as they are inserted.
const types = [
  ['tinyint', ['0', '-128', '127']],
  ['tinyint(1)', ['0', '1', '-1']],
  ['tinyint unsigned', ['255']],
  ['smallint', ['-32768', '32767']],
  ['mediumint', ['-8388608', '8388607']],
  ['int', ['0', '-2147483648', '2147483647']],
  ['int unsigned', ['4294967295']],
  ['int(5) zerofill', ['42']],
  ['bigint', ['0', '9007199254740991', '9007199254740993', '-9223372036854775808', '9223372036854775807']],
  ['bigint unsigned', ['18446744073709551615']],
  ['float', ['0', '1.5', '0.1', '3.4e38', '1e-38', '-2.25', '16777216', '123456.789']],
  ['double', ['0', '0.1', '1e21', '1e-7', '1.7976931348623157e308', '5e-324', '123456789012345680000', '-0.0']],
  ['decimal(10,2)', ['1', '99999999.99', '-0.01', '0']],
  ['decimal(38,10)', ['1234567890123456789012345678.0123456789']],
  ['decimal(20,0)', ['12345678901234567890']],
  ['bit(1)', ["b'0'", "b'1'"]],
  ['bit(12)', ["b'101010101010'"]],
  ['year', ['2024', '1901']],
  ['date', ["'2024-02-29'", "'1970-01-01'", "'9999-12-31'", "'1000-01-01'"]],
  ['datetime', ["'2024-02-29 12:34:56'", "'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'"]],
  ['datetime(3)', ["'2024-02-29 12:34:56.789'"]],
  ['datetime(6)', ["'2024-02-29 12:34:56.789123'", "'2024-01-01 00:00:00.000001'"]],
  ['timestamp', ["'2024-02-29 12:34:56'", "'1970-01-02 00:00:01'"]],
  ['timestamp(6)', ["'2024-02-29 12:34:56.789123'"]],
  ['time', ["'12:30:00'", "'-838:59:59'", "'838:59:59'"]],
  ['time(6)', ["'12:30:00.000001'"]],
  ['char(5)', ["'ab'"]],
  ['varchar(50)', ["''", "'plain'", "'quote \" back \\\\ slash / tab\\t'", "'Grüße 日本 🎉'"]],
  ['varchar(50) character set latin1', ["'Grüße'"]],
  ['varchar(50) collate utf8mb4_bin', ["'x'"]],
  ['text', ["'long text'"]],
  ['longtext', ["repeat('x', 100000)"]],
  ['binary(4)', ["'ab'"]],
  ['varbinary(10)', ["x'00ff10'", "''"]],
  ['blob', ["x'deadbeef'"]],
  ['longblob', ["repeat('x', 70000)"]],
  ["enum('a','b')", ["'b'"]],
  ["set('a','b','c')", ["'a,c'", "''"]],
  ['json', ["'{\"b\":1, \"a\":[true,null]}'", "'1.0'", "'\"x\"'", "'null'"]],
  ['uuid', ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"]],
  ['inet6', ["'2001:db8::1'"]],
  ['inet4', ["'192.168.0.1'"]],
  ['point', ["point(1.5, -2)"]],
  ['linestring', ["linestring(point(0,0), point(1,1))"]],
  ['polygon', ["polygon(linestring(point(0,0), point(1,0), point(1,1), point(0,0)))"]],
  ['geometry', ["multipoint(point(1,2), point(3,4))", "geometrycollection(point(1,2))"]],
];

const shapes = [
  'select 1 as a, null as b, true as c, 1.50 as d, 1e3 as e, 1/3 as f',
  'select 1 as a, 2 as a',
  "select 'x' as `odd name`, 'y' as `1`, 'z' as `0`",
  'select 1 as a from dual where false',
  'select count(*) as n, sum(i) as s, avg(i) as m, max(i) as x from numbers',
  "select group_concat(i order by i) as g from numbers",
  "select cast('2024-01-01' as date) as d, cast('12:00' as time) as t, cast('5' as unsigned) as u",
  "select json_object('a', 1) as j, json_array(1, 'x') as k",
  "select hex('x') as h, unhex('00ff') as b, md5('x') as m, concat('a', 1) as c",
  'select i, i % 2 = 0 as even from numbers order by i limit 3',
  "select '2024-02-29 12:00:00' + interval 1 day as d, timestamp('2024-01-01') as t",
  "select _binary 'abc' as b, cast('abc' as binary) as c",
  'select (select max(i) from numbers) as m, exists (select 1 from numbers) as e',
];

suite('value types of MariaDB', () => {
  let db;
  let controlPlane;
  let agent;
  let cache;
  let knex;

  before(async () => {
    db = await MariaDb.start();
    await db.sql(`create table numbers (i int); insert into numbers values (1), (2), (3), (null); set sql_mode = '';
      ${types.map(([type, values], i) => `create table t${i} (n int, v ${type} null default null);
        insert into t${i} values ${values.map((v, k) => `(${k}, ${v})`)}, (99, null);`).join('\n')}`);
    controlPlane = await ControlPlane.start();
    agent = await Agent.start(controlPlane, 'one');
    cache = await controlPlane.createCache({ name: 'types', host: db.host, port: db.port, database: 'mariadb', tlsMode: 'disable' });
    await agent.knows(cache.id);
    knex = knexFactory({ client: 'mysql2', connection: db.options('alice'), pool: { min: 0, max: 2 } });
  });
  after(async () => {
    await knex?.destroy();
    await agent?.stop();
    await controlPlane?.stop();
    await db?.stop();
  });

  const same = async (sql, bindings) => {
    const [rows] = bindings === undefined ? await knex.raw(sql) : await knex.raw(sql, bindings);
    const expected = JSON.parse(JSON.stringify(rows));
    let first;
    for (let i = 0; i < 3; i += 1) {
      const reply = await agent.sql({
        cacheId: cache.id, provider: 'mariadb', username: 'alice', password: 'alice-pw', database: 'app', sql,
        ...(bindings && { bindings }),
      });
      assert.equal(reply.status, 200, `${sql}: ${reply.text}`);
      assert.deepEqual(reply.json, expected, `${sql} (${reply.cache})`);
      first ??= reply.text;
      assert.equal(reply.text, first, 'hit and miss are the same bytes');
    }
  };

  types.forEach(([type], i) => {
    test(type, async () => {
      await same(`select v from t${i} order by n`);
      // The same as a binary result.
      await same(`select v from t${i} where n >= ? order by n`, [0]);
    });
  });

  test('shapes of results', async () => {
    for (const sql of shapes) await same(sql);
  });

  test('bindings of every kind', async () => {
    const cases = [
      ['select ? + 0 as a, ? as b', [1, 'x']],
      ['select ? as a', [null]],
      ['select ? = 1 as a, ? = 0 as b', [true, false]],
      ['select ? as a', ['Grüße 🎉 \' " \\ ? :x']],
      ['select i from numbers where i in (?) order by i', [[1, 3]]],
      ['select :a + 0 as a, :b as b', { a: 4, b: 'y' }],
      ['select ?? from ?? where ?? = ?', ['i', 'numbers', 'numbers.i', 2]],
      ["select 'a\\?b' as lit, i from numbers where i = ?", [1]],
    ];
    for (const [sql, bindings] of cases) await same(sql, bindings);
  });
});
