// A MariaDB cache, asked with the unmodified PolyScale client through two
// regional agents.
import assert from 'node:assert/strict';
import { after, before, describe as suite, test } from 'node:test';
import { Client } from '@polyscale/serverless-js';
import { MariaDb } from './lib/mariadb.mjs';
import { Agent, ControlPlane } from './lib/portside.mjs';
import { freePort } from './lib/postgres.mjs';
import { waitUntil } from './lib/process.mjs';

const schema = `
  create table items (id int auto_increment primary key, name varchar(50) not null, qty int not null, small tinyint);
  insert into items (name, qty) select concat('item ', seq), seq * 10 from seq_1_to_100;
  create table parent (id int primary key, v int) engine=innodb;
  create table child (id int primary key, parent int, v int,
    foreign key (parent) references parent (id) on delete cascade on update cascade) engine=innodb;
  insert into parent select seq, seq from seq_1_to_9;
  insert into child select seq, seq % 9 + 1, seq from seq_1_to_40;
  create table logged (id int primary key, v int); insert into logged values (1, 1);
  create table log (n int); insert into log values (0);
  create trigger audit after update on logged for each row update log set n = n + 1;
  create view cheap as select id, name, qty from items where qty < 100;
  create view timed as select id, now() as t from items;
  create function plain(x int) returns int deterministic no sql return x + 1;
  create function busy(x int) returns int begin update log set n = n + 1; return x; end;
  create table made (id int, twice int as (id * 2) stored); insert into made (id) values (1), (2);
  create database elsewhere; create table elsewhere.t (id int primary key, v int); insert into elsewhere.t values (1, 1);
  grant all on elsewhere.* to alice;
`;

suite('MariaDB', () => {
  let db;
  let controlPlane;
  let west;
  let east;
  let cache;

  before(async () => {
    db = await MariaDb.start();
    await db.sql(schema);
    controlPlane = await ControlPlane.start();
    west = await Agent.start(controlPlane, 'west');
    east = await Agent.start(controlPlane, 'east');
    cache = await controlPlane.createCache({ name: 'main', host: db.host, port: db.port, database: 'mariadb', tlsMode: 'disable' });
    for (const agent of [west, east]) await agent.knows(cache.id);
  });
  after(async () => {
    await west?.stop();
    await east?.stop();
    await controlPlane?.stop();
    await db?.stop();
  });

  const body = (sql, bindings, { user = 'alice', password = `${user}-pw`, database = 'app' } = {}) => ({
    cacheId: cache.id, provider: 'mariadb', username: user, password, database, sql, ...(bindings && { bindings }),
  });
  const query = (agent, sql, bindings, who) => agent.sql(body(sql, bindings, who));
  const run = async (sql, bindings, who) => {
    const reply = await query(west, sql, bindings, who);
    assert.equal(reply.status, 200, `${sql}: ${reply.text}`);
    return reply;
  };
  const warm = (agent, sql, bindings, who) => waitUntil(async () => {
    const reply = await query(agent, sql, bindings, who);
    assert.equal(reply.status, 200, reply.text);
    return reply.cache === 'hit' ? reply : null;
  }, { what: `a hit for ${sql}` });
  // Kept before, not served any more after the write, and then right.
  const seen = async (write, ...reads) => {
    for (const sql of reads) await warm(west, sql);
    await run(write);
    for (const sql of reads) {
      const reply = await run(sql);
      assert.notEqual(reply.cache, 'hit', `${sql} after ${write}`);
      assert.deepEqual(reply.json, JSON.parse(JSON.stringify(await db.sql(sql))), `${sql} after ${write}`);
    }
  };
  const unaffected = async (write, ...reads) => {
    for (const sql of reads) await warm(west, sql);
    await run(write);
    for (const sql of reads) assert.equal((await run(sql)).cache, 'hit', `${sql} after ${write}`);
  };
  const bypassed = async (sql, reason, who) => {
    for (let i = 0; i < 4; i += 1) {
      const reply = await run(sql, undefined, who);
      assert.equal(reply.cache, 'bypass', `${sql}: ${reply.reason}`);
      assert.equal(reply.reason, reason, sql);
    }
  };

  test('the published client gets miss, miss, hit and the same rows', async () => {
    const states = [];
    const client = new Client(west.url, {
      cacheId: cache.id, provider: 'mariadb', username: 'alice', password: 'alice-pw', database: 'app',
    }, async (...args) => {
      const reply = await fetch(...args);
      states.push(reply.headers.get('cache-status'));
      return reply;
    });
    const sql = 'select name, qty from items where id = ?';
    for (let i = 0; i < 3; i += 1) assert.deepEqual(await client.query(sql, [7]), [{ name: 'item 7', qty: 70 }]);
    assert.match(states[0], /fwd=uri-miss$/);
    assert.match(states[1], /stored/);
    assert.match(states[2], /hit/);
    assert.deepEqual(await client.query('select id from items where id in (?) order by id', [[3, 1]]), [{ id: 1 }, { id: 3 }]);
  });

  test('a write through one region is visible through the other', async () => {
    const sql = 'select qty from items where id = 20';
    await warm(east, sql);
    for (let round = 1; round <= 5; round += 1) {
      await run('update items set qty = ? where id = 20', [round]);
      assert.deepEqual((await run(sql)).json, [{ qty: round }]);
      await waitUntil(async () => (await query(east, sql)).json[0].qty === round, { timeoutMs: 2500, everyMs: 1, what: 'the write' });
      await warm(east, sql);
    }
  });

  test('rows are told apart, where that is safe', async () => {
    await unaffected('update items set qty = qty + 1 where id = 2', 'select qty from items where id = 1');
    await unaffected("insert into items (id, name, qty) values (500, 'x', 1)", 'select qty from items where id = 1');
    await seen('update items set qty = qty + 1 where id = 2', 'select qty from items where id = 2',
      "select qty from items where id = '2'", "select qty from items where id = '02'", 'select qty from items where id = 2.0',
      'select sum(qty) from items', 'select qty from items where id in (1, 2)', "select qty from items where name = 'ITEM 2 '");
    await seen('delete from items where id = 500', 'select count(*) from items where id = 500');
    // The next number, not 0; and what does not fit is bent to what does.
    const next = (await db.sql("select auto_increment as n from information_schema.tables where table_name = 'items'"))[0].n;
    await warm(west, `select name from items where id = ${next}`);
    await run("insert into items (id, name, qty) values (0, 'new', 1)");
    assert.deepEqual((await run(`select name from items where id = ${next}`)).json, [{ name: 'new' }]);
    await seen('update ignore items set small = 300 where id = 5', 'select id from items where small = 127');
  });

  test('what hangs on other tables', async () => {
    await seen('delete from parent where id = 3', 'select count(*) as n from child where parent = 3', 'select v from child where id = 2');
    await seen('update parent set id = 44 where id = 4', 'select count(*) as n from child where parent = 44');
    await seen('update logged set v = v + 1', 'select n from log', 'select qty from items where id = 1');
    await seen("update cheap set name = 'cheap' where id = 3", 'select name from items where id = 3');
    await seen('update items set qty = qty + 1 where id = 4', 'select qty from cheap where id = 4', 'select count(*) as n from `cheap`');
    await seen('update made set id = 8 where id = 1', 'select id from made where twice = 2', 'select id from made where twice = 16');
    await unaffected('insert into parent (id, v) values (77, 1)', 'select v from child where id = 5');
  });

  test('what is not kept, and why', async () => {
    await bypassed('select * from timed', 'volatile_function');
    await warm(west, 'select plain(qty) as x from items where id = 1');
    await seen('select busy(1) as x', 'select n from log');
    await seen('select `busy`(1) as x', 'select n from log');
    await bypassed('select v from elsewhere.t', 'other_database');
  });

  test('who may only read does not see foreign keys, and is told so', async () => {
    const readers = await controlPlane.createCache({ name: 'readers', host: db.host, port: db.port, database: 'mariadb', tlsMode: 'disable' });
    await west.knows(readers.id);
    const reply = await west.sql({ ...body('select qty from items where id = 1', undefined, { user: 'reader' }), cacheId: readers.id });
    assert.equal(reply.status, 200, reply.text);
    assert.equal(reply.reason, 'hidden_structure');
  });

  test('a write to a table of another database', async () => {
    const sql = 'select v from t where id = 1';
    const there = { database: 'elsewhere' };
    for (const write of ['update elsewhere.t set v = v + 1', 'update elsewhere.t set v = v + 1 where id = 1']) {
      await warm(west, sql, undefined, there);
      await run(write);
      const reply = await run(sql, undefined, there);
      assert.notEqual(reply.cache, 'hit');
      assert.deepEqual(reply.json, await db.sql(sql, { database: 'elsewhere' }));
    }
  });

  test('a change of structure', async () => {
    const sql = 'select * from log';
    await warm(west, sql);
    await run('alter table log add extra varchar(10) default ?'.replace('?', "'e'"));
    assert.deepEqual(Object.keys((await run(sql)).json[0]), ['n', 'extra']);
    await seen('drop view cheap', 'select v from logged');
  });

  test('a wrong password is never answered from memory', async () => {
    const sql = 'select name from items where id = 30';
    await warm(west, sql);
    for (const who of [{ password: 'guess' }, { user: 'nobody', password: 'guess' }]) {
      const reply = await query(west, sql, undefined, who);
      assert.equal(reply.status, 401);
      assert.equal(reply.json.code, 'login_failed');
    }
  });

  test('errors keep the server\'s code and words', async () => {
    const reply = await query(west, 'select * from nowhere');
    assert.equal(reply.status, 400, reply.text);
    assert.match(reply.json.message, /Table 'app.nowhere' doesn't exist \(errno 1146\)/);
    assert.equal((await query(west, 'selekt 1')).status, 400);
    assert.equal((await query(west, 'select ?', [1, 2])).status, 400);
    const closed = await freePort();
    const dead = await controlPlane.createCache({ name: 'dead', host: db.host, port: closed, database: 'mariadb', tlsMode: 'disable' });
    await west.knows(dead.id);
    const refused = await west.sql({ ...body('select 1'), cacheId: dead.id });
    assert.equal(refused.json.code, 'origin_refused');
  });

  test('nothing of a session is left for the next request', async () => {
    const probe = "select @@sql_mode as m, @@time_zone as z, @@autocommit as a, @x as x, @@in_transaction as t, database() as d, @@foreign_key_checks as f, is_used_lock('l') is null as l";
    const clean = (await run(probe)).json;
    for (const change of ["set sql_mode = 'ANSI_QUOTES'", "set time_zone = '+09:00'", 'set autocommit = 0', 'set @x = 5', 'set foreign_key_checks = 0',
      'use elsewhere', "select get_lock('l', 0)", 'create temporary table items (id int)', 'lock tables items read', "prepare p from 'select 1'"]) {
      await query(west, change);
      assert.deepEqual((await run(probe)).json, clean, change);
      assert.deepEqual((await run('select count(*) > 50 as n from items')).json, [{ n: 1 }], change);
    }
  });
});
