// Hazard 14: a view hides its tables; a materialised one changes at REFRESH.
import assert from 'node:assert/strict';
import { hazard } from './lib/hazard.mjs';

hazard('hazard 14: views', {
  schema: `
    create table t (id int primary key, v int); insert into t select i, i from generate_series(1, 9) i;
    create table u (id int primary key, v int); insert into u select i, i from generate_series(1, 9) i;
    create table apart (id int);
    create view one as select * from t where v < 5;
    create view two as select one.id, (select max(u.v) from u) as m from one;
    create view timed as select *, now() as at from t;
    create view me as select id, current_user as who from t;
    create function tick() returns int volatile language sql as 'update u set v = v + 1; select 1';
    create view ticking as select tick() as x;
    create view sized as select count(*) as n from pg_stat_activity;
    create materialized view heap as select sum(v)::int as s from t;
    alter materialized view heap owner to alice;
    create schema hid; create view hid.deep as select v from t;
    grant usage on schema hid to alice; grant select on hid.deep to alice;`,
}, (test) => {
  test('a write of any table below is seen', async (s) => {
    await s.seen('update t set v = 4 where id = 4', 'select * from one order by id', 'select * from two order by id');
    await s.seen('update u set v = v + 10', 'select * from two order by id', 'select * from two order by id desc');
    await s.seen('delete from t where id = 9', 'select v from hid.deep order by v');
    await s.unaffected('insert into apart values (1)', 'select * from two order by id');
  });
  test('a write through a view reaches its table', async (s) => {
    await s.seen('update one set v = 3 where id = 1', 'select sum(v)::int as n from t', 'select * from two order by id');
    await s.seen('insert into one values (50, 1)', 'select sum(v)::int as n from t');
  });
  test('a view whose text asks the clock or the session is not kept', async (s) => {
    await s.bypassed('select id from timed', 'volatile_function');
    await s.bypassed('select * from me', 'volatile_function');
    await s.bypassed('select n > 0 as some from sized', 'system_catalog');
  });
  test('a view that writes is a write', (s) => s.seen('select * from ticking', 'select sum(v)::int as n from u'));
  test('a materialised view changes at REFRESH only', async (s) => {
    const sql = 'select s from heap';
    await s.unaffected('update t set v = v + 1 where id = 2', sql);
    assert.deepEqual((await s.run(sql)).json, await s.db(sql));
    await s.seen('refresh materialized view heap', sql);
  });
});
