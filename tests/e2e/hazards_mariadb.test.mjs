// Hazards of the text of statements and of sessions on MariaDB, one test for
// each (hazards_sql.test.mjs has PostgreSQL's), all on one database. As for
// mysql2, a text is one statement here; several make the server refuse it.
import assert from 'node:assert/strict';
import { hazard } from './lib/hazard.mjs';
import { request } from './lib/portside.mjs';
import { waitUntil } from './lib/process.mjs';

hazard('hazards of texts and sessions on MariaDB', {
  server: 'mariadb',
  schema: `
    create table t (id int primary key, grp int, v int) engine=innodb;
    insert into t select seq, seq % 10, seq from seq_1_to_250;
    create table u (id int primary key, v int) engine=innodb; insert into u select seq, seq from seq_1_to_9;
    create table big (v int) engine=innodb; insert into big select seq from seq_1_to_120;
    create database s2; create table s2.u (id int, v int); insert into s2.u values (1, 1000);
    grant all on s2.* to alice;
    create table odd (id int, \`now\` text, at timestamp default '2024-06-01 12:00:00', n text);
    insert into odd (id, \`now\`, n) values (1, 'a column', '1'), (2, 'b', '2');
    create table secrets (x int); insert into secrets values (1);
    grant all on app.* to alice with grant option;
    create user carol identified by 'carol-pw'; grant select, references, trigger on app.* to carol;
    create user dora identified by 'dora-pw'; grant references, trigger on app.* to dora; grant select on app.secrets to dora;
    create sequence sq; create table lost (id int primary key, v int) engine=innodb; insert into lost values (1, 1);
    create table words (w varchar(20) collate utf8mb4_general_ci, b varchar(20) collate utf8mb4_bin, c char(5), n decimal(9,3), v int);
    insert into words values ('Aa', 'Aa', 'x', 1.0, 1), ('b', 'b', 'y', 2, 2);
    create table zero (v bigint unsigned); insert into zero values (0);
    create table made (id int auto_increment primary key, small tinyint, v int); insert into made (small, v) values (1, 1);
    create procedure add_one() update t set v = v + 1 where id = 1;
    create role clerk; grant select on app.* to clerk; grant clerk to alice;
    create function spied(x int) returns int begin update t set v = v + 1 where id = x; return x; end;`,
}, (test) => {
  const ask = (s, sql, bindings, who) => s.stage.query(s.agent, sql, bindings, who);
  const sum = 'select sum(v) as n from t';
  const never = async (s, ...texts) => {
    for (const sql of texts) {
      for (let i = 0; i < 4; i += 1) assert.equal((await s.run(sql)).cache, 'bypass', sql);
    }
  };

  test('hazard_01: a write while a read is under way keeps its answer out of memory', async (s) => {
    const sql = 'select sum(a.v) as x from big a, big b, big c where b.v + c.v > 0';
    await s.run(sql);
    let during = false;
    for (let i = 0; i < 10 && !during; i += 1) {
      let done = false;
      const reading = s.run(sql).then(() => { done = true; });
      await waitUntil(async () => done || (await s.stage.activity('alice')).some((a) => a.query.includes('big a')),
        { everyMs: 1, what: 'the read under way' });
      await s.run('update big set v = v + 1');
      during = !done;
      await reading;
    }
    assert.ok(during, 'no write was faster than a read');
    const reply = await s.run(sql);
    assert.notEqual(reply.cache, 'hit');
    assert.deepEqual(reply.json, await s.db(sql));
  });

  test('hazard_02: inside a transaction nothing is served or kept, its writes are seen', async (s) => {
    for (const begin of ['start transaction', 'set autocommit = 0']) {
      await s.seen(`begin not atomic ${begin}; update t set v = v + 1 where id = 1; update u set v = v + 1; commit; end`,
        sum, 'select v from t where id = 1', 'select sum(v) as n from u');
      await s.warm(sum);
      await never(s, `begin not atomic ${begin}; ${sum}; commit; end`);
    }
    // One that would last longer than its text.
    for (const begin of ['begin', 'start transaction', 'set autocommit = 0', 'start transaction with consistent snapshot']) {
      const reply = await ask(s, begin);
      assert.equal(reply.json.code, 'transaction_unsupported', begin);
    }
  });

  test('hazard_03: what was rolled back was never there', async (s) => {
    const sql = 'select v from t where id = 3';
    await s.warm(sql);
    await s.run(`begin not atomic start transaction; update t set v = 99999 where id = 3; ${sql}; rollback; end`);
    for (let i = 0; i < 3; i += 1) assert.deepEqual((await s.run(sql)).json, [{ v: 3 }]);
    // What another session has not committed yet.
    const other = await s.stage.db.connect();
    try {
      await other.query('begin');
      await other.query('update t set v = 77777 where id = 3');
      await s.run('set session transaction isolation level read uncommitted');
      for (let i = 0; i < 4; i += 1) assert.deepEqual((await s.run('select v from t where id = 3 limit 1')).json, [{ v: 3 }]);
    } finally {
      await other.query('rollback');
      await other.end();
    }
  });

  test('hazard_04: the database of one text is not that of the next', async (s) => {
    const sql = 'select v from u where id = 1';
    const own = await s.db(sql);
    const there = { database: 's2' };
    await s.warm(sql);
    for (const set of ['use s2', 'use `s2`']) {
      await s.run(set);
      for (let i = 0; i < 3; i += 1) assert.deepEqual((await s.run(sql)).json, own, set);
    }
    for (let i = 0; i < 4; i += 1) assert.deepEqual((await ask(s, sql, undefined, there)).json, [{ v: 1000 }]);
    await s.run('update s2.u set v = v + 1');
    assert.deepEqual((await ask(s, sql, undefined, there)).json, [{ v: 1001 }]);
    assert.deepEqual((await s.run(sql)).json, own);
    await s.bypassed('select v from s2.u', 'other_database');
  });

  test('hazard_05: settings of one text are not those of the next', async (s) => {
    const sql = `select at, 'a' || 'b' as p, 1 / 3 as d, group_concat(n) as g, date_format(at, '%M') as m, 'é' as e, 7 - -8 as i from odd`;
    const first = (await s.run(sql)).text;
    for (const set of ["time_zone = '+09:00'", "sql_mode = 'PIPES_AS_CONCAT'", 'div_precision_increment = 9', 'group_concat_max_len = 1',
      "lc_time_names = 'de_DE'", 'names latin1', 'character_set_results = latin1', 'sql_select_limit = 0', "sql_mode = 'ANSI_QUOTES'"]) {
      await s.run(`set ${set}`);
      assert.equal((await s.run(sql)).text, first, set);
      assert.equal((await s.run(sql)).text, first, set);
    }
    await never(s, `set statement time_zone = '+09:00' for ${sql}`);
  });

  test('what touches no table leaves the memory alone', async (s) => {
    const own = 'select v from u where id = 3';
    for (const sql of ['set @x = 1', "set time_zone = '+00:00'", 'select last_insert_id()', "select get_lock('l', 0)", 'use app',
      'select v from t where id = 1 for update', 'explain select v from t', 'describe t', 'select v from t limit 1 into @v']) {
      await s.unaffected(sql, own);
    }
    await s.seen('set @x = spied(4)', 'select v from t where id = 4');
    await s.seen('select @x := spied(4)', 'select v from t where id = 4');
  });

  test('hazard_06: functions that are not immutable', async (s) => {
    for (const call of ['now()', 'current_date', 'current_timestamp', 'current_time()', 'localtime', 'sysdate()', 'utc_timestamp',
      'unix_timestamp()', 'rand()', 'uuid()', 'current_user', 'user()', 'connection_id()', 'last_insert_id()', 'found_rows()', 'row_count()',
      '@x', '@@warning_count', '@@session.sql_mode', 'sleep(0)', 'nextval(sq)', 'next value for sq', "is_free_lock('x')", 'database()',
      'current_role()', 'benchmark(1, 1)', 'version()', 'curdate() + interval 1 day', 'uuid_short()', 'lastval(sq)']) {
      await never(s, `select ${call} as x from odd`);
    }
    await s.warm('select `now` from odd', 'select o.now from odd o', "select 'rand()' as x from odd", 'select id as now from odd');
  });

  test('hazard_08: a read that writes', async (s) => {
    await s.seen('insert into t values (1001, 1, 5) returning id', sum);
    await s.seen('replace into t values (1001, 1, 6) returning id, v', sum);
    await s.seen('delete from t where id = 1001 returning id', sum);
    await s.seen('select spied(1) as x', sum, 'select v from t where id = 1');
    await never(s, 'select v from u where id = 1 into @v', 'select @v := v from u where id = 1');
    assert.equal((await ask(s, "select * from t into outfile '/nowhere/x'")).status, 400);
  });

  test('hazard_09: locking reads', async (s) => {
    for (const lock of ['for update', 'lock in share mode', 'for update nowait', 'for update skip locked', 'for update wait 1',
      'lock in share mode nowait']) {
      await s.bypassed(`select v from t where id = 1 ${lock}`, 'locking_read');
      await s.bypassed(`select v from (select v from t where id = 1 ${lock}) x`, 'locking_read');
    }
  });

  test('hazard_11: rights are those of who asks, and end when they are withdrawn', async (s) => {
    const sql = 'select x from secrets';
    const dora = { user: 'dora' };
    await s.warm(sql);
    await s.stage.warm(s.agent, sql, undefined, dora);
    await s.run('revoke select on secrets from dora');
    const reply = await ask(s, sql, undefined, dora);
    assert.equal(reply.status, 400);
    assert.match(reply.json.message, /errno 1142/);
    await s.warm(sql);
    assert.equal((await ask(s, sql, undefined, dora)).status, 400);
  });

  test('hazard_12: another role lasts for its text', async (s) => {
    const sql = 'select current_role() as r, current_user() as u';
    const clean = (await s.run(sql)).json;
    for (const set of ['set role clerk', 'set role none']) {
      await s.run(set);
      for (let i = 0; i < 4; i += 1) assert.deepEqual((await s.run(sql)).json, clean, set);
    }
  });

  test('hazard_13: temporary tables do not outlive their text', async (s) => {
    const sql = 'select v from u where id = 2';
    await s.warm(sql);
    const own = await s.db(sql);
    for (const make of ['create temporary table u as select 2 as id, 777 as v', 'create temporary table u (id int, v int)',
      'create or replace temporary table u like t']) {
      await s.run(make);
      for (let i = 0; i < 4; i += 1) assert.deepEqual((await s.run(sql)).json, own, make);
    }
  });

  test('hazard_16: code that is called', async (s) => {
    await s.seen('call add_one()', sum, 'select v from t where id = 1');
    await s.seen('begin not atomic update t set v = v + 1 where id = 2; end', sum);
    await s.seen("execute immediate concat('update ', 't set v = v + 1')", sum);
    await s.seen('do spied(1)', sum);
    await s.seen('if (select count(*) from u) > 0 then update t set v = v + 1; end if', sum);
  });

  test('hazard_18: several statements in one text', async (s) => {
    await s.warm(sum);
    const own = await s.db(sum);
    for (const sql of ['select v from t where id = 1; update t set v = v + 1', "select ';' as x; /* ; */ delete from t -- ;",
      "select '\\'; ' as x; # ; '\nupdate t set v = v + 1", 'select 1 /*! ; update t set v = v + 1 */', 'delete from t where id = 0; delete from t']) {
      const reply = await ask(s, sql);
      assert.equal(reply.status, 400, `${sql}: ${reply.text}`);
      assert.deepEqual((await s.run(sum)).json, own, sql);
    }
    await s.warm("select '; update t set v = 1' as x from u", 'select "\\"; delete from t" as x from u;');
  });

  test('hazard_19: the type of what is bound is in the key', async (s) => {
    // Text is equal to 0 as a number: 'b' = 0, and not '0'.
    const sql = 'select w from words where w = ?';
    const some = await s.stage.warm(s.agent, sql, [0]);
    assert.equal(some.json.length, 2, some.text);
    for (const value of ['0', '00', null, false]) {
      const reply = await ask(s, sql, [value]);
      assert.notEqual(reply.cache, 'hit', JSON.stringify(value));
      if (value !== false) assert.deepEqual(reply.json, [], JSON.stringify(value));
    }
  });

  test('hazard_20: parts of the key do not run into each other', async (s) => {
    const sql = 'select ? as a, ? as b from u where id = 1';
    const pairs = [['ab', 'c'], ['a', 'bc'], ['abc', ''], ['', 'abc'], [null, 'abc'], ['abc', null], ['a\u0001', 'bc']];
    for (const round of [1, 2, 3]) {
      for (const pair of pairs) {
        const { json, text } = await ask(s, sql, pair);
        assert.deepEqual(json, [{ a: pair[0], b: pair[1] }], `round ${round}: ${text}`);
      }
    }
    for (const pair of pairs) {
      const reply = await s.stage.warm(s.agent, sql, pair);
      assert.deepEqual(reply.json, [{ a: pair[0], b: pair[1] }]);
    }
  });

  test('hazard_21: texts that look alike', async (s) => {
    for (const [one, two] of [
      ['select id from u order by id limit 1', 'select id from u order by id limit 2'],
      ['select id, -v as w from u order by 1', 'select id, -v as w from u order by 2'],
      ['select v as Aa from u where id = 1', 'select v as `aa` from u where id = 1'],
      ["select 'A' as x from u", "select 'a' as x from u"],
      ["select 'a  b' as x from u", "select 'a b' as x from u"],
      ["select 'a''b' as x from u", "select 'a\\\\''b' as x from u"],
      ['select "a" as x from u', 'select `id` as x from u'],
      ['select 1 as x from u', "select '1' as x from u"],
      ['select 1 + 1 as x from u', 'select 1 /*! + 1 */ as x from u'],
      ['select 5 --1 as x from u', 'select 5 -- 1 as x from u\n, 6 as x from u'],
      ["select _utf8mb4'a' as x from u", "select _latin1'a' as x from u"],
      ["select 0x41 as x from u", "select x'42' as x from u"],
    ]) {
      await s.warm(one);
      const reply = await ask(s, two);
      assert.notEqual(reply.cache, 'hit', two);
      if (reply.status !== 200) continue; // the database has its opinion, too
      assert.deepEqual(reply.json, await s.db(two), two);
    }
  });

  test('hazard_22: comments are not in the key', async (s) => {
    await s.warm("select v from u where id = 5 /*traceparent='00-1'*/");
    assert.equal((await s.run("select v from u where id = 5 /*traceparent='00-2'*/")).cache, 'hit');
    await s.warm('select v from u # one\n where id = 6');
    assert.equal((await s.run('select v from u -- the other\n where id = 6')).cache, 'hit');
  });

  test('hazard_23: what a collation finds equal', async (s) => {
    await s.seen("update words set v = v + 1 where w = 'AA'", "select v from words where w = 'aa'", "select v from words where w in ('aA', 'zz')",
      "select v from words where w = 'áÁ'", "select v from words where w = 'aa  '", 'select sum(v) as n from words');
    await s.seen("update words set v = v + 1 where b = 'Aa  '", "select v from words where b = 'Aa'");
  });

  test('hazard_24: values that are equal and do not look it', async (s) => {
    await s.seen('update words set v = v + 1 where n = 1.000', 'select v from words where n = 1', "select v from words where n = '1.0'");
    await s.seen("update words set v = v + 1 where c = 'x    '", "select v from words where c = 'x'");
    await s.seen("update t set v = v + 1 where id = '04'", 'select v from t where id = 4', 'select v from t where id = 4.0',
      "select v from t where id = '4abc'", 'select v from t where id = 0x04', 'select v from t where id = 4e0');
    await s.seen('update t set v = v + 1 where id = true', 'select v from t where id = 1');
    await s.seen('update ignore words set v = v + 1 where w = 0', "select v from words where w = 'aa'");
    await s.seen('update t set v = v + 1 where grp <=> null or id = 4', 'select v from t where id = 4');
  });

  test('hazard_25: rows that move into a predicate', async (s) => {
    await s.seen('update t set grp = 77 where id = 2', 'select count(*) as n from t where grp = 77',
      'select count(*) as n from t where grp <> 77', 'select max(grp) as m from t',
      'select id from t where grp not in (1, 2) order by id limit 3', 'select id from t order by grp desc, id limit 1',
      'select u.id, t.id as t from u left join t on t.grp = 77 and t.id = u.id order by u.id');
    await s.seen('update t set grp = 2 where id = 2', 'select count(*) as n from t where grp = 77', 'select count(*) as n from t where grp = 2');
    // Values that become others: too large, none at all, the next number.
    await s.seen('insert ignore into made (small, v) values (300, 1)', 'select count(*) as n from made where small = 127');
    await s.seen("set statement sql_mode = '' for insert into made (small, v) values (300, 1)", 'select count(*) as n from made where small = 127');
    const next = (await s.db("select auto_increment as n from information_schema.tables where table_name = 'made'"))[0].n;
    for (const [i, id] of ['null', '0', 'default'].entries()) {
      await s.seen(`insert into made values (${id}, 5, 5)`, `select count(*) as n from made where id = ${next + i}`);
    }
  });

  test('hazard_26: errors are not kept', async (s) => {
    const sql = 'select v - 1 as x from zero';
    for (let i = 0; i < 4; i += 1) {
      const reply = await ask(s, sql);
      assert.equal(reply.status, 400, reply.text);
      assert.notEqual(reply.cache, 'hit');
    }
    await s.db('update zero set v = 2'); // behind Portside's back
    assert.deepEqual((await s.run(sql)).json, [{ x: 1 }]);
  });

  test('hazard_27: the same bytes from both of the server\'s formats', async (s) => {
    const columns = `1.50 as d, 1e0 / 3 as f, date'2024-02-03' as day, timestamp'2024-02-03 01:02:03' as at,
      x'00ff' as b, 18446744073709551615 as big, cast(-5 as signed) as i, null as nothing, '' as empty, json_object('a', 1) as j`;
    // Without bindings the server answers in text, with some in binary.
    const text = await s.stage.warm(s.agent, `select ${columns} from u where id = 1`);
    const binary = await s.stage.warm(s.agent, `select ${columns} from u where id = ?`, [1]);
    assert.equal(text.text, binary.text);
    assert.equal(text.json[0].big, binary.json[0].big);
  });

  test('hazard_28: reads that do something', async (s) => {
    const numbers = new Set();
    for (let i = 0; i < 4; i += 1) numbers.add((await s.run('select nextval(sq) as n')).json[0].n);
    assert.equal(numbers.size, 4);
    await never(s, 'select sql_calc_found_rows v from u limit 1', 'select @v := v from u', 'select last_insert_id(5) as x',
      "select get_lock('l', 0) as x", "select release_lock('l') as x");
  });

  test('hazard_31: what a session holds does not outlive its text', async (s) => {
    for (const [hold, code] of [["select get_lock('held', 5)"], ['lock tables u write'],
      ['begin not atomic start transaction; update u set v = v + 1 where id = 9; end', 'transaction_unsupported'],
      ['begin not atomic set autocommit = 0; update u set v = v + 1 where id = 9; end', 'transaction_unsupported']]) {
      assert.equal((await ask(s, hold)).json.code, code, hold);
      await waitUntil(async () => (await s.db("select is_used_lock('held') is null as free"))[0].free === 1, { what: 'the lock given back' });
      await s.db('set lock_wait_timeout = 60, innodb_lock_wait_timeout = 60; update u set v = v where id = 9');
    }
    for (const set of ['set @kept = 5', 'prepare kept from "select 1"', 'set session wait_timeout = 7']) await s.run(set);
    assert.deepEqual((await s.run('select @kept as x, @@wait_timeout = 7 as w')).json, [{ x: null, w: 0 }]);
    assert.equal((await ask(s, 'execute kept')).status, 400);
  });

  test('hazard_32: a write of unknown outcome counts as done, and is not sent again', async (s) => {
    const read = 'select v from lost where id = 1';
    const before = (await s.stage.warm(s.agent, read)).json[0].v;
    const writing = ask(s, 'update lost set v = v + 1 + sleep(30) where id = 1');
    const at = await waitUntil(async () => (await s.stage.activity('alice')).find((a) => a.query.includes('sleep(30)')), { what: 'the write' });
    await s.db(`kill connection ${at.id}`);
    const reply = await writing;
    assert.notEqual(reply.status, 200, reply.text);
    const after = await s.run(read);
    assert.notEqual(after.cache, 'hit');
    assert.deepEqual(after.json, [{ v: before }]);
    assert.equal((await s.stage.activity('alice')).filter((a) => a.query.includes('sleep(30)')).length, 0);
  });

  test('hazard_33: writes of other shapes', async (s) => {
    await s.seen('insert into t values (1, 1, 500) on duplicate key update v = values(v)', sum);
    await s.seen('insert into t set id = 1, v = 501 on duplicate key update v = v + 1', sum, 'select v from t where id = 1');
    await s.seen('replace into t values (1, 1, 502)', sum, 'select v from t where id = 1');
    await s.seen('replace t select id, 1, v from u', sum);
    await s.seen('update t x join u on u.id = x.id set x.v = u.v + 1', sum);
    await s.seen('update u, t set u.v = u.v + 1, t.v = u.v where u.id = t.id', sum, 'select sum(v) as n from u');
    await s.seen('delete x from t x, u where x.id = u.id and u.id = 9', sum);
    await s.seen('delete from t using t join u on t.id = u.id where u.id = 8', sum);
    await s.seen('insert ignore into t select id, 1, 1 from u', sum);
    await s.seen('insert low_priority into t (id, v) value (2000, 1)', sum);
    await s.seen("begin not atomic xa start 'x'; update t set v = v + 1 where id = 5; xa end 'x'; xa commit 'x' one phase; end", sum);
    await s.seen('delete from t limit 1', sum);
    await s.seen("insert into t select 3000 + seq, 0, seq from seq_1_to_3", sum);
    await s.seen('truncate u', 'select count(*) as n from u');
    assert.equal((await ask(s, "load data infile '/nowhere' into table t")).status, 400);
  });

  test('hazard_35: a changed password ends the old one', async (s) => {
    const old = { user: 'carol' };
    await s.stage.warm(s.agent, 'select 5 as five', undefined, old);
    await s.db("alter user carol identified by 'new-pw'");
    assert.equal((await ask(s, 'select 5 as five', undefined, { user: 'carol', password: 'new-pw' })).status, 200);
    assert.equal((await ask(s, 'select 5 as five', undefined, old)).status, 401);
  });

  test('hazard_36: who is unknown and who has another password look the same', async (s) => {
    const [one, two] = [await ask(s, 'select 1', undefined, { user: 'alice', password: 'guess' }), await ask(s, 'select 1', undefined, { user: 'nobody', password: 'guess' })];
    assert.equal(one.status, 401);
    assert.deepEqual([two.status, two.json.code], [401, one.json.code]);
    assert.equal(two.json.message.replaceAll('nobody', 'alice'), one.json.message);
  });

  test('hazard_39: text that is not UTF-8 never reaches the database', async (s) => {
    await s.db('create table safe (id int, a int); insert into safe values (1, 0), (2, 0)');
    const [head, tail] = JSON.stringify(s.stage.body('update safe set a = 1 -- @ \n where id = 2')).split('@');
    const body = Buffer.concat([Buffer.from(head), Buffer.from([0xff]), Buffer.from(tail)]);
    const reply = await request(`${s.agent.url}/sql`, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
    assert.deepEqual([reply.status, JSON.parse(reply.text).code], [400, 'bad_utf8']);
    for (const bad of ['update safe set a = 1 -- \u0000', "update safe set a = '\u0000'"]) assert.equal((await ask(s, bad)).status, 400, bad);
    assert.deepEqual((await s.run('select sum(a) = 0 as unchanged from safe')).json, [{ unchanged: 1 }]);
  });
});
