// Rows told apart: a write changes only those answers in memory that depend on
// the rows it touches, and all of those, whatever way it gets at them.
import assert from 'node:assert/strict';
import { hazard } from './lib/hazard.mjs';
import { waitUntil } from './lib/process.mjs';

const A = '11111111-1111-1111-1111-111111111111';
const B = '22222222-2222-2222-2222-222222222222';

hazard('rows of a table', {
  regions: ['west', 'east'],
  schema: `
    create table t (id int primary key, grp bigint, ok boolean, key uuid, v int);
    insert into t select i, i % 10, i % 2 = 0, case when i % 2 = 0 then '${A}' else '${B}' end::uuid, i
      from generate_series(1, 100) i;
    create table parent (id int primary key, v int);
    create table child (id int primary key, parent int references parent on delete cascade on update cascade, v int);
    insert into parent select i, i from generate_series(1, 10) i;
    insert into child select i, i % 10 + 1, i from generate_series(1, 50) i;
    create table tree (id int primary key, up int references tree on delete cascade, v int);
    insert into tree values (1, null, 1), (2, 1, 2), (3, 2, 3), (4, null, 4);
    create table whole (id int, v int) partition by range (id);
    create table low partition of whole for values from (0) to (100);
    create table high partition of whole for values from (100) to (200);
    insert into whole select i, i from generate_series(1, 199) i;
    create table made (id int, twice int generated always as (id * 2) stored);
    insert into made values (1), (2);
    create view seven as select * from t where id = 7;
  `,
}, (it) => {
  it('other rows stay in memory', async (s) => {
    await s.unaffected('update t set v = v + 1 where id = 2',
      'select v from t where id = 1', 'select v from t where id in (3, 4)',
      'select a.v, b.v from t a join t b on a.id = b.id + 1 where a.id = 8 and b.id = 7');
    await s.unaffected('insert into t (id, grp, ok, key, v) values (1001, 77, true, null, 0)',
      'select v from t where id = 1', 'select v from t where grp = 3');
    await s.unaffected('delete from t where id = 1001', 'select v from t where id = 1');
    await s.unaffected(`update t set v = 0 where key = '${B}' and id = 5`,
      `select count(*) from t where key = '${A}' and id = 6`, 'select v from t where id = 6');
  });

  it('the rows that a write names do not', async (s) => {
    await s.seen('update t set v = v + 1 where id = 2',
      'select v from t where id = 2', 'select v from t where id in (1, 2)', 'select sum(v) from t',
      'select sum(v) from t where grp = 2', 'select sum(v) from t where id < 5', 'select v from t where id = 2 or v = 1',
      'select a.v from t a join t b on a.id = b.id where b.id = 2', 'select v from t where id + 0 = 2',
      "select v from t where id = '2'", 'select v from t where 2 = id', 'select v from t where id = 2::bigint',
      'select (select v from t where id = 2) as x', 'select 1 from t where id = 1 and exists (select from t u where u.v > 5)');
    await s.seen('update t set v = v + 1 where grp = 3', 'select v from t where id = 3', 'select v from t where grp = 3');
    await s.seen(`update t set v = v + 1 where key = '${A}'`,
      `select sum(v) from t where key = '${A.toUpperCase()}'`, `select sum(v) from t where key = '{${A}}'`,
      'select v from t where id = 2');
    await s.seen('update t set v = v + 1 where ok', 'select sum(v) from t where ok', 'select sum(v) from t where ok = true');
    await s.seen("update t set v = v + 1 where ok = 'f'", 'select sum(v) from t where ok = false');
  });

  it('rows that come, go and move', async (s) => {
    await s.seen('insert into t (id, grp, v) values (500, 5, 1)', 'select v from t where id = 500', 'select sum(v) from t where grp = 5');
    await s.seen('update t set id = 501 where id = 500', 'select v from t where id = 500', 'select v from t where id = 501');
    await s.seen('update t set id = id + 1 where id = 501', 'select v from t where id = 502');
    await s.seen('update t set grp = 6 where id = 502', 'select sum(v) from t where grp = 5', 'select sum(v) from t where grp = 6');
    await s.seen('insert into t (id, v) values (502, 9) on conflict (id) do update set grp = 7',
      'select sum(v) from t where grp = 6', 'select sum(v) from t where grp = 7');
    await s.seen('insert into t (id, v) select 503, 1', 'select v from t where id = 503');
    await s.seen('delete from t where id in (502, 503)', 'select v from t where id = 502', 'select v from t where id = 503');
    await s.seen('with x as (delete from t where id = 9 returning v) insert into t (id, v) select 9, v + 1 from x',
      'select v from t where id = 9');
    await s.seen('truncate child', 'select v from child where id = 1');
  });

  it('values that are bound', async (s) => {
    const read = async (value) => (await s.stage.query(s.agent, 'select v from t where id = ?', [value]));
    const warm = async (value) => s.stage.warm(s.agent, 'select v from t where id = ?', [value]);
    for (const [written, reads] of [[30, [30, '30', ' 30']], ['31', [31, '31']], [' 32 ', [32]], ['+33', [33]]]) {
      for (const value of reads) await warm(value);
      await warm(29);
      const write = await s.stage.query(s.agent, 'update t set v = v + 1 where id = ?', [written]);
      assert.equal(write.status, 200, write.text);
      for (const value of reads) {
        const reply = await read(value);
        assert.notEqual(reply.cache, 'hit', `${JSON.stringify(value)} after ${JSON.stringify(written)}`);
        assert.deepEqual(reply.json, await s.db(`select v from t where id = ${Number(value)}`));
      }
      if (typeof written === 'number') assert.equal((await read(29)).cache, 'hit');
    }
  });

  it('what hangs on other rows', async (s) => {
    await s.seen('delete from parent where id = 3', 'select count(*) from child where parent = 3', 'select count(*) from child where id = 2');
    await s.seen('update parent set id = 40 where id = 4', 'select count(*) from child where parent = 40');
    await s.unaffected('insert into parent (id, v) values (77, 1)', 'select count(*) from child where id = 5', 'select v from parent where id = 5');
    await s.seen('delete from tree where id = 1', 'select v from tree where id = 2', 'select v from tree where id = 3');
    await s.seen('update low set v = v + 1 where id = 5', 'select v from whole where id = 5', 'select v from low where id = 5');
    await s.seen('update whole set id = 150 where id = 6', 'select v from high where id = 150', 'select count(*) from low where id = 6');
    await s.seen('update made set id = 8 where id = 1', 'select id from made where twice = 2', 'select id from made where twice = 16');
    await s.seen('update seven set v = v + 1', 'select v from t where id = 7');
    await s.seen('update t set v = v + 1 where id = 7', 'select v from seven', 'select v from seven where id = 7');
  });

  it('in the other region, too', async (s) => {
    const mine = 'select v from t where id = 50';
    const other = 'select v from t where id = 51';
    await s.stage.warm(s.other, mine);
    await s.stage.warm(s.other, other);
    await s.run('update t set v = v + 1 where id = 50');
    const want = await s.db(mine);
    await waitUntil(async () => {
      const reply = await s.stage.query(s.other, mine);
      return reply.json[0].v === want[0].v;
    }, { timeoutMs: 2500, everyMs: 1, what: 'the write in the other region' });
    assert.equal((await s.stage.query(s.other, other)).cache, 'hit');
  });
});
