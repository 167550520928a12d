// The published client, unmodified, on all four providers: one test, run for
// each of them through two regional agents.
import assert from 'node:assert/strict';
import { after, before, describe as suite, test } from 'node:test';
import { Client, models } from '@polyscale/serverless-js';
import { Agent, ControlPlane } from './lib/portside.mjs';
import { waitUntil } from './lib/process.mjs';
import { providers } from './lib/providers.mjs';

for (const [provider, words] of Object.entries(providers)) {
  suite(`the published client: ${provider}`, () => {
    let server;
    let controlPlane;
    let west;
    let east;
    let cache;

    before(async () => {
      server = await words.start();
      await server.run(`create table items (id int primary key, name ${words.text} not null, qty int, big ${words.big})`);
      await server.run("insert into items (id, name, qty, big) values (1, 'one', 10, 1), (2, 'two', 20, 2), (3, 'three', null, 9007199254740000), (4, 'four', 40, 4)");
      await server.run('create table other_items (id int primary key, qty int)');
      await server.run('insert into other_items (id, qty) values (1, 1)');
      controlPlane = await ControlPlane.start();
      west = await Agent.start(controlPlane, 'west');
      east = await Agent.start(controlPlane, 'east');
      cache = await controlPlane.createCache({ name: 'main', database: provider, ...server.cache });
      for (const agent of [west, east]) await agent.knows(cache.id, provider === 'mssql' ? 'postgres' : 'mssql');
    });
    after(async () => {
      await west?.stop();
      await east?.stop();
      await controlPlane?.stop();
      await server?.db.stop();
    });

    // The client, and the headers of its last reply.
    const connect = (agent = west, more = {}) => {
      const last = { status: '', reason: '' };
      const client = new Client(agent.url, {
        cacheId: cache.id, provider, username: 'alice', password: 'alice-pw', database: 'app', ...more,
      }, async (...args) => {
        const reply = await fetch(...args);
        last.status = reply.headers.get('cache-status') ?? '';
        last.reason = reply.headers.get('portside-reason') ?? '';
        return reply;
      });
      return { last, query: client.query };
    };
    const isHit = ({ last }) => /; hit/.test(last.status);
    const warm = (client, sql, bindings) => waitUntil(async () => {
      const rows = await client.query(sql, bindings);
      return isHit(client) ? rows : null;
    }, { what: `a hit for ${sql}` });
    const refused = async (promise) => {
      const error = await promise.then(() => assert.fail('no error'), (e) => e);
      models.SqlQueryReplyError.parse(error);
      assert.ok(error.message.length > 5);
      return error;
    };

    test('miss, miss, hit, and the same rows; a known template hits from the second on', async () => {
      const client = connect();
      const sql = 'select name, qty from items where id = ?;';
      const states = [];
      for (let i = 0; i < 4; i += 1) {
        assert.deepEqual(await client.query(sql, [2]), [{ name: 'two', qty: 20 }]);
        states.push(client.last.status);
      }
      assert.match(states[0], /^portside; fwd=uri-miss/);
      assert.match(states[1], /^portside; fwd=uri-miss; stored/);
      for (const state of states.slice(2)) assert.match(state, /^portside; hit; ttl=\d+$/);
      assert.deepEqual(await client.query(sql, [1]), [{ name: 'one', qty: 10 }]);
      assert.deepEqual(await client.query(sql, [1]), [{ name: 'one', qty: 10 }]);
      assert.ok(isHit(client), client.last.status);
    });

    test('bindings: values, names, identifiers, question marks that are none', async () => {
      const { query } = connect();
      assert.deepEqual(await query('select name from items where id = :id and qty = :qty', { id: 1, qty: 10 }), [{ name: 'one' }]);
      assert.deepEqual(await query('select ?? from ?? where ?? = ?', ['name', 'items', 'items.id', 4]), [{ name: 'four' }]);
      assert.deepEqual(await query('select :column: from items where id = :id', { column: 'name', id: 4 }), [{ name: 'four' }]);
      assert.deepEqual(await query("select name from items where name = '\\?' or id = ?", [2]), [{ name: 'two' }]);
      assert.deepEqual(await query("select id from items where name <> 'it''s :id ?' and id = 3", undefined), [{ id: 3 }]);
      for (const text of ["it's", 'a "b" \\ c', 'é 🎉 漢字', '', '; drop table items --', '100%', '?', ':id', 'x'.repeat(50)]) {
        await query('delete from items where id = 100');
        await query('insert into items (id, name) values (?, ?)', [100, text]);
        assert.deepEqual(await query('select name from items where id = 100'), [{ name: text }]);
      }
      await query('delete from items where id = 100');
      for (const wrong of [[], [1, 2], { other: 1 }]) assert.ok((await refused(query('select name from items where id = ?', wrong))).statusCode >= 400);
    });

    test('values: numbers, nothing, large numbers', async () => {
      const { query } = connect();
      assert.deepEqual(await query('select id, qty, big from items where id = ?', [3]), [{ id: 3, qty: null, big: words.bigOne }]);
      assert.deepEqual(await query('select id from items where qty is null'), [{ id: 3 }]);
      assert.deepEqual(await query('select id from items where id = 12345'), []);
      assert.deepEqual(await query(`select qty as ${words.quoted('a b')} from items where id = 1`), [{ 'a b': 10 }]);
      await query('update items set qty = ? where id = ?', [null, 4]);
      assert.deepEqual(await query('select qty from items where id = 4'), [{ qty: null }]);
      await query('update items set qty = ? where id = ?', [40, 4]);
    });

    test('a write is seen at once here and soon in the other region; others\' answers stay', async () => {
      const [here, there] = [connect(west), connect(east)];
      const sql = 'select qty from items where id = 1';
      await warm(here, 'select qty from other_items');
      for (let round = 1; round <= 5; round += 1) {
        await warm(here, sql);
        await warm(there, sql);
        assert.deepEqual(await here.query('update items set qty = ? where id = 1', [round]), []);
        assert.deepEqual(await here.query(sql), [{ qty: round }]);
        await waitUntil(async () => (await there.query(sql))[0].qty === round, { timeoutMs: 2500, everyMs: 1, what: 'the write in the other region' });
      }
      await here.query('select qty from other_items');
      assert.ok(isHit(here), here.last.status);
    });

    test('insert, update, delete; counts and joins follow', async () => {
      const client = connect();
      const count = 'select count(*) as n from items where id > 1000';
      const join = 'select i.name, o.qty from items i join other_items o on o.id = i.id';
      await warm(client, join);
      const n = async () => Number((await client.query(count))[0].n);
      for (let i = 1; i <= 3; i += 1) {
        await client.query('insert into items (id, name) values (?, ?)', [1000 + i, `new ${i}`]);
        assert.equal(await n(), i);
      }
      await client.query('update other_items set qty = qty + 1 where id = 1');
      assert.deepEqual(await client.query(join), [{ name: 'one', qty: 2 }]);
      await client.query('delete from items where id > ?', [1000]);
      assert.equal(await n(), 0);
    });

    test('a transaction in one text is one, or none of it runs; it cannot span requests', async () => {
      const client = connect();
      const whole = `${words.begin}; update items set qty = 1 where id = 2; update items set qty = 2 where id = 2; commit`;
      if (words.several) await client.query(whole);
      else assert.equal((await refused(client.query(whole))).code, words.syntax);
      const now = [{ qty: words.several ? 2 : 20 }];
      assert.deepEqual(await client.query('select qty from items where id = 2'), now);
      for (const open of [words.begin, `${words.begin}; update items set qty = 3 where id = 2`]) {
        assert.equal((await refused(client.query(open))).code, 'transaction_unsupported');
        assert.deepEqual(await client.query('select qty from items where id = 2'), now);
      }
    });

    test('what moves is not kept', async () => {
      const client = connect();
      for (let i = 0; i < 4; i += 1) {
        assert.equal((await client.query(`select ${words.now} as t`)).length, 1);
        assert.ok(!isHit(client));
        assert.equal(client.last.reason, 'volatile_function');
      }
    });

    test('errors have a status, a code and words, and are not kept', async () => {
      const client = connect();
      const cases = [
        ['select * from no_such_table', words.unknownTable, /no_such_table/i],
        ['select id items)', words.syntax, /syntax/i],
        ["insert into items (id, name) values (1, 'again')", words.duplicate, /duplicate/i],
      ];
      for (const [sql, code, text] of cases) {
        for (let i = 0; i < 3; i += 1) {
          const error = await refused(client.query(sql));
          assert.equal(error.statusCode, 400);
          assert.equal(error.code, code, error.message);
          assert.match(error.message, text);
          assert.ok(!/hit|stored/.test(client.last.status));
        }
      }
    });

    test('only who may log in is answered, and nobody from another\'s memory', async () => {
      const sql = 'select name from items where id = 2';
      await warm(connect(), sql);
      for (const more of [{ password: 'wrong' }, { username: 'nobody' }, { database: 'nowhere' }]) {
        assert.equal((await refused(connect(west, more).query(sql))).statusCode, 401);
      }
      assert.equal((await refused(connect(west, { cacheId: '00000000-0000-4000-8000-000000000000' }).query(sql))).statusCode, 404);
      const contradiction = provider === 'mssql' ? 'postgres' : 'mssql';
      assert.equal((await refused(connect(west, { provider: contradiction }).query(sql))).code, 'provider_mismatch');
      const prefixed = connect(west, { username: `${cache.id}-alice` });
      assert.deepEqual(await prefixed.query(sql), [{ name: 'two' }]);
    });

    test('many at a time, each its own answer', async () => {
      const client = connect();
      const replies = await Promise.all(Array.from({ length: 100 }, (_, i) => client.query('select name, id from items where id = ?', [i % 4 + 1])));
      const names = ['one', 'two', 'three', 'four'];
      replies.forEach((rows, i) => assert.deepEqual(rows, [{ name: names[i % 4], id: i % 4 + 1 }]));
    });
  });
}
