// Hazard 17: a change of structure changes what names mean and what depends on
// what; whoever made it.
import assert from 'node:assert/strict';
import { hazard } from './lib/hazard.mjs';
import { waitUntil } from './lib/process.mjs';

hazard('hazard 17: changes of structure', {
  regions: ['one', 'two'],
  schema: `
    create table t (id int, v int); insert into t values (1, 1);
    create table u (id int, v int); insert into u values (2, 2);
    create view w as select * from t;
    alter table t owner to alice; alter table u owner to alice; alter view w owner to alice;`,
}, (test) => {
  test('columns come and go', async (s) => {
    const sql = 'select * from t';
    await s.seen('alter table t add c int default 7', sql);
    await s.seen('alter table t drop c', sql);
    await s.seen('truncate u', 'select count(*)::int as n from u');
    await s.run('insert into u values (2, 2)');
  });
  test('a view that reads another table now', async (s) => {
    const sql = 'select id, v from w';
    await s.seen('create or replace view w as select * from u', sql);
    await s.seen('update u set v = 3', sql);
    await s.unaffected('update t set v = 9', sql);
  });
  test('the other region knows the new structure', async (s) => {
    const sql = 'select id, v from w';
    await s.stage.warm(s.other, sql);
    await s.run('create or replace view w as select * from t');
    await waitUntil(async () => (await s.stage.query(s.other, sql)).json[0].v === 9, { timeoutMs: 2500, what: 'the view of t' });
    await s.stage.warm(s.other, sql);
    await s.run('update t set v = 10');
    await waitUntil(async () => (await s.stage.query(s.other, sql)).json[0].v === 10, { timeoutMs: 2500, what: 'the row of t' });
  });
  test('a table that was replaced, and one that is gone', async (s) => {
    await s.warm('select v from t');
    await s.run('begin; alter table t rename to old; create table t (v int); insert into t values (77); commit');
    assert.deepEqual((await s.run('select v from t')).json, [{ v: 77 }]);
    await s.warm('select v from t');
    await s.run('drop table t');
    const gone = await s.stage.query(s.agent, 'select v from t');
    assert.equal(gone.status, 400);
    assert.equal(gone.json.code, '42P01');
  });
});
