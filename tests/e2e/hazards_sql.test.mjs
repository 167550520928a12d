// Hazards of the text of statements and of sessions, one test for each, all on
// one database: does an answer from memory ever differ from its own?
import assert from 'node:assert/strict';
import { hazard } from './lib/hazard.mjs';
import { waitUntil } from './lib/process.mjs';

hazard('hazards of texts and sessions', {
  schema: `
    create table t (id int primary key, grp int, v int);
    insert into t select i, i % 10, i from generate_series(1, 250) i;
    create table u (id int primary key, v int); insert into u select i, i from generate_series(1, 9) i;
    create table big (v int); insert into big select i from generate_series(1, 250) i;
    create schema s2; create table s2.u (id int, v int); insert into s2.u values (1, 1000);
    grant usage on schema s2 to alice, bob; grant all on s2.u to alice, bob;
    create table odd (id int, "now" text, at timestamptz, d date, f float8, b bytea, i interval);
    insert into odd values (1, 'a column', '2024-06-01 12:00+00', '2024-02-03', 0.1::float8 + 0.2::float8, 'ab', '1 day 02:03:04');
    create table secrets (x int); insert into secrets values (1);
    alter table secrets owner to alice;
    create sequence sq; grant all on sequence sq to alice;
    create collation nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    create table words (w text collate nocase, c char(5), n numeric, v int);
    insert into words values ('Aa', 'x', 1.0, 1), ('b', 'y', 2, 2);
    create table zero (v int); insert into zero values (0);
    create procedure add_one() language sql as 'update t set v = v + 1 where id = 1';
    grant bob to alice;`,
}, (test) => {
  const ask = (s, sql, bindings) => s.stage.query(s.agent, sql, bindings);
  const sum = 'select sum(v)::int as n from t';

  test('hazard_01: a write while a read is under way keeps its answer out of memory', async (s) => {
    const sql = 'select sum(a.v)::int as x from big a, big b, big c where b.v + c.v > 0';
    await s.run(sql);
    let during = false;
    for (let i = 0; i < 10 && !during; i += 1) {
      let done = false;
      const reading = s.run(sql).then(() => { done = true; });
      await waitUntil(async () => done || (await s.stage.db.activity('alice'))
        .some((a) => a.state === 'active' && a.query.includes('big a')), { everyMs: 1, what: 'the read under way' });
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
    await s.seen('begin; update t set v = v + 1 where id = 1; update u set v = v + 1; commit',
      sum, 'select v from t where id = 1', 'select sum(v)::int as n from u');
    await s.warm(sum);
    for (let i = 0; i < 4; i += 1) assert.equal((await s.run(`begin; ${sum}; commit`)).cache, 'bypass');
  });

  test('hazard_03: what was rolled back was never there', async (s) => {
    const sql = 'select v from t where id = 3';
    await s.warm(sql);
    await s.run(`begin; update t set v = 99999 where id = 3; ${sql}; rollback`);
    for (let i = 0; i < 3; i += 1) assert.deepEqual((await s.run(sql)).json, [{ v: 3 }]);
    await s.bypassed(`begin isolation level read uncommitted; ${sql}; commit`, (await s.run(`begin; ${sql}; commit`)).reason);
  });

  test('hazard_04: the schema path of one text is not that of the next', async (s) => {
    const sql = 'select v from u where id = 1';
    const own = await s.db(sql);
    await s.warm(sql);
    for (const set of ['set search_path = s2', "select set_config('search_path', 's2', false)"]) {
      await s.run(set);
      for (let i = 0; i < 3; i += 1) assert.deepEqual((await s.run(sql)).json, own, set);
      await s.run(`${set}; ${sql}`);
      for (let i = 0; i < 3; i += 1) assert.deepEqual((await s.run(sql)).json, own, set);
    }
    await s.seen('update s2.u set v = v + 1', 'select v from s2.u where id = 1');
  });

  test('hazard_05: settings of one text are not those of the next', async (s) => {
    const sql = 'select at::text as at, d::text as d, f::text as f, b::text as b, i::text as i from odd';
    const first = (await s.run(sql)).text;
    for (const set of ["timezone = 'Asia/Tokyo'", "datestyle = 'German'", 'extra_float_digits = -10',
      "bytea_output = 'escape'", "intervalstyle = 'iso_8601'"]) {
      await s.run(`set ${set}`);
      await s.run(`set ${set}; ${sql}`);
      assert.equal((await s.run(sql)).text, first, set);
      assert.equal((await s.run(sql)).text, first, set);
    }
  });

  test('what touches no table leaves the memory alone', async (s) => {
    const own = 'select v from u where id = 3';
    for (const sql of ["set timezone = 'UTC'", "select nextval('sq')", 'select pg_advisory_lock(3)', "select set_config('a.b', 'c', false)",
      'select v from t where id = 1 for update', 'explain select v from t', `begin; ${sum}; commit`, "begin; set local work_mem = '1MB'; commit",
      'listen a', 'prepare p as delete from u']) {
      await s.unaffected(sql, own);
    }
    await s.seen("prepare q as update u set v = v + 1; execute q", own);
    await s.seen("begin; select nextval('sq'); update u set v = v + 1; commit", own);
  });

  test('hazard_06: functions that are not immutable', async (s) => {
    for (const call of ['now()', 'current_date', 'current_timestamp', 'localtime', 'random()', 'gen_random_uuid()',
      'clock_timestamp()', 'current_user', 'session_user', 'txid_current()', "nextval('sq')",
      'pg_backend_pid()', "age(at)", "current_setting('TimeZone')"]) {
      for (let i = 0; i < 4; i += 1) assert.equal((await s.run(`select ${call} as x from odd`)).cache, 'bypass', call);
    }
    await s.warm('select "now" from odd', 'select o.now from odd o', "select 'random()' as x from odd");
  });

  test('hazard_08: a read that writes', async (s) => {
    await s.seen('with w as (insert into t values (1001, 1, 5) returning id) select id from w', sum);
    await s.seen('with w as (delete from t where id = 1001 returning id) select count(*) from w', sum);
    await s.run('select id, v into copied from u');
    await s.warm('select count(*)::int as n from copied');
    await s.seen('with w as (update copied set v = 0 returning id) select id from w', 'select sum(v)::int as n from copied');
  });

  test('hazard_09: locking reads', async (s) => {
    for (const lock of ['update', 'share', 'no key update', 'key share', 'update skip locked', 'update of t nowait']) {
      await s.bypassed(`select v from t where id = 1 for ${lock}`, 'locking_read');
    }
  });

  test('hazard_11: rights are those of who asks, and end when they are withdrawn', async (s) => {
    const sql = 'select x from secrets';
    const bob = { user: 'bob' };
    await s.warm(sql);
    await s.stage.warm(s.agent, sql, undefined, bob);
    await s.run('revoke all on secrets from bob');
    const reply = await s.stage.query(s.agent, sql, undefined, bob);
    assert.equal(reply.status, 400);
    assert.equal(reply.json.code, '42501');
    await s.warm(sql);
    assert.equal((await s.stage.query(s.agent, sql, undefined, bob)).json.code, '42501');
  });

  test('hazard_12: another role lasts for its text', async (s) => {
    const sql = 'select who from owners order by id';
    for (const set of ['set role bob', 'set local role bob']) {
      await s.run(set);
      assert.deepEqual((await s.run('select current_user as me')).json, [{ me: 'alice' }]);
      await s.run(`begin; ${set}; ${sql}; commit`);
      assert.deepEqual((await s.run(sql)).json, [{ who: 'alice' }]);
    }
  });

  test('hazard_13: temporary tables do not outlive their text', async (s) => {
    const sql = 'select v from u where id = 2';
    await s.warm(sql);
    const own = await s.db(sql);
    for (const make of ['create temp table u as select 2 as id, 777 as v', 'select 2 as id, 777 as v into temp u',
      'create temp view u as select 2 as id, 777 as v']) {
      await s.run(make);
      for (let i = 0; i < 4; i += 1) assert.deepEqual((await s.run(sql)).json, own, make);
      await s.run(`begin; ${make}; ${sql}; commit`);
      for (let i = 0; i < 4; i += 1) assert.deepEqual((await s.run(sql)).json, own, make);
    }
  });

  test('hazard_16: code that is called', async (s) => {
    await s.seen('call add_one()', sum, 'select v from t where id = 1');
    await s.seen('do $$ begin update t set v = v + 1 where id = 2; end $$', sum);
    await s.seen("do $$ begin execute 'update ' || 't set v = v + 1'; end $$", sum);
    await s.seen('prepare p as update t set v = v + 1; execute p; deallocate p', sum);
  });

  test('hazard_18: several statements in one text', async (s) => {
    await s.seen('select v from t where id = 1; update t set v = v + 1 where id = 1', sum);
    await s.seen("select ';' as x; /* ; */ delete from t where id = 250 -- ;", sum);
    for (let i = 0; i < 4; i += 1) assert.equal((await s.run('select 1 as a; select 2 as b')).cache, 'bypass');
    await s.warm("select '; update t set v = 1' as x from u", 'select $$;$$ as x from u;');
  });

  test('hazard_19: the type of what is bound is in the key', async (s) => {
    const sql = 'select v from t where v > 1000000 or id = ?';
    await s.stage.warm(s.agent, sql, [1]);
    for (const value of ['1', '01', ' 1']) {
      const reply = await ask(s, sql, [value]);
      assert.notEqual(reply.cache, 'hit', JSON.stringify(value));
      assert.deepEqual(reply.json, await s.db('select v from t where id = 1'));
    }
    assert.deepEqual((await ask(s, sql, [null])).json, []);
  });

  test('hazard_20: parts of the key do not run into each other', async (s) => {
    const sql = 'select ?::text as a, ?::text as b from u where id = 1';
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
      ['select v as Aa from u where id = 1', 'select v as "Aa" from u where id = 1'],
      ["select 'a\\n' as x from u", "select E'a\\n' as x from u"],
      ["select 'A' as x from u", "select 'a' as x from u"],
      ["select 'a  b' as x from u", "select 'a b' as x from u"],
      ['select $a$ b $a$ as x from u', 'select $a$ c $a$ as x from u'],

      ['select 1 as x from u', "select '1' as x from u"],
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
    await s.warm('select v from u /* one */ where id = 6');
    assert.equal((await s.run('select v from u /* the other */ where id = 6')).cache, 'hit');
  });

  test('hazard_23: what a collation finds equal', (s) => s.seen("update words set v = v + 1 where w = 'AA'",
    "select v from words where w = 'aa'", "select v from words where w in ('aA', 'zz')", 'select sum(v)::int as n from words'));

  test('hazard_24: values that are equal and do not look it', async (s) => {
    await s.seen('update words set v = v + 1 where n = 1.000', 'select v from words where n = 1', "select v from words where n = '1.0'");
    await s.seen("update words set v = v + 1 where c = 'x    '", "select v from words where c = 'x'");
    await s.seen("update t set v = v + 1 where id = '04'", 'select v from t where id = 4', 'select v from t where id = 4.0');
    await s.seen('update t set v = v + 1 where grp is null or id = 4', 'select v from t where id = 4');
  });

  test('hazard_25: rows that move into a predicate', async (s) => {
    await s.seen('update t set grp = 77 where id = 2', 'select count(*)::int as n from t where grp = 77',
      'select count(*)::int as n from t where grp <> 77', 'select max(grp) as m from t',
      'select id from t where grp not in (1, 2) order by id limit 3', 'select id from t order by grp desc, id limit 1',
      'select u.id, t.id as t from u left join t on t.grp = 77 and t.id = u.id order by u.id');
    await s.seen('update t set grp = 2 where id = 2', 'select count(*)::int as n from t where grp = 77',
      'select count(*)::int as n from t where grp = 2');
  });

  test('hazard_26: errors are not kept', async (s) => {
    const sql = 'select 1 / v as x from zero';
    for (let i = 0; i < 4; i += 1) {
      const reply = await ask(s, sql);
      assert.equal(reply.status, 400);
      assert.notEqual(reply.cache, 'hit');
    }
    // Behind Portside's back: only the database can know.
    await s.db('update zero set v = 1');
    assert.deepEqual((await s.run(sql)).json, [{ x: 1 }]);
  });

  test('hazard_28: reads that do something', async (s) => {
    const seen = new Set();
    for (let i = 0; i < 4; i += 1) seen.add((await s.run("select nextval('sq') as n")).json[0].n);
    assert.equal(seen.size, 4);
    for (let i = 0; i < 4; i += 1) {
      const reply = await s.run('select pg_try_advisory_lock(7) as got');
      assert.equal(reply.cache, 'bypass');
    }
    await s.run('begin; declare c cursor for select v from u; fetch 1 from c; commit');
  });

  test('hazard_31: locks do not outlive their text', async (s) => {
    await s.run('select pg_advisory_lock(8)');
    await waitUntil(async () => (await s.db("select 1 from pg_locks where locktype = 'advisory'")).length === 0,
      { what: 'the lock given back' });
  });

  test('hazard_33: writes of other shapes', async (s) => {
    await s.seen('insert into t values (1, 1, 500) on conflict (id) do update set v = excluded.v', sum);
    await s.seen('update t x set v = u.v + 1 from u where u.id = x.id', sum);
    await s.seen('delete from t using u where t.id = u.id and u.id = 9', sum);
    await s.seen('merge into t using u on t.id = u.id when matched then update set v = t.v + 1 '
      + 'when not matched then insert values (u.id, 0, u.v)', sum);
    await s.seen('begin; lock table t; update only t set v = v + 1; commit', sum);
  });
});
