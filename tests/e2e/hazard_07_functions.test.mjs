// Hazard 7: a user's function is what the catalogue says it is.
import assert from 'node:assert/strict';
import { hazard } from './lib/hazard.mjs';

hazard('hazard 7: user-defined functions', {
  schema: `
    create table t (id int primary key, v int); insert into t values (1, 1);
    create table log (n int); insert into log values (0);
    create function pure(a int) returns int immutable language sql as 'select a + 1';
    create function steady(a int) returns int stable language sql as 'select a + (select count(*)::int from log)';
    create function noisy(a int) returns int volatile language sql as 'update log set n = n + 1; select a';
    create function lower(a int) returns int volatile language sql as 'update log set n = n + 1; select a';
    create function worth(r t) returns int stable language sql as 'select r.v * (select count(*)::int from log)';
    create function half(a int, b int) returns int volatile language sql as 'select n from log';
    create operator <%> (leftarg = int, rightarg = int, function = half);
    create function quiet(s int, a int) returns int volatile language sql as 'select s + a + (select n from log)';
    create aggregate summed (int) (sfunc = quiet, stype = int, initcond = '0');`,
}, (test) => {
  const log = 'select n from log';

  test('IMMUTABLE is kept', (s) => s.warm('select pure(v) as x from t'));
  test('STABLE is not kept and writes nothing', async (s) => {
    await s.bypassed('select steady(v) as x from t', 'volatile_function');
    await s.unaffected('select steady(v) as x from t', log);
  });
  test('VOLATILE writes whatever it likes', (s) => s.seen('select noisy(v) as x from t', log));
  test('a name of a built-in with another argument', async (s) => {
    await s.seen('select lower(v) as x from t', log);
    await s.warm("select v as lower from t where v = 1");
  });
  test('a function of the row, written like a column', async (s) => {
    await s.bypassed('select t.worth from t', 'volatile_function');
    await s.warm('select t.v from t');
  });
  test('an operator and an aggregate', async (s) => {
    for (const sql of ['select v <%> 1 as x from t', 'select summed(v) as x from t']) {
      for (let i = 0; i < 4; i += 1) assert.equal((await s.run(sql)).cache, 'bypass', sql);
    }
  });
  test('a function that changes its label', async (s) => {
    const sql = 'select pure(v) as x from t where id = 1';
    await s.warm(sql);
    await s.stage.db.sql('alter function pure(int) owner to alice', { database: 'app' });
    await s.run("create or replace function pure(a int) returns int volatile language sql as 'select a + 2'");
    await s.bypassed(sql, 'not_a_read').catch(async () => {
      const reply = await s.run(sql);
      assert.equal(reply.cache, 'bypass', reply.reason);
    });
    assert.deepEqual((await s.run(sql)).json, [{ x: 3 }]);
  });
});
