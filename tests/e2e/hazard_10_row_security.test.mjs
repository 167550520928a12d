// Hazard 10: which rows a policy shows depends on who asks, and on the session.
import assert from 'node:assert/strict';
import { hazard } from './lib/hazard.mjs';

hazard('hazard 10: row-level security', {
  schema: `
    create table own_rows (id int, who text); insert into own_rows values (1, 'alice'), (2, 'bob');
    alter table own_rows enable row level security;
    create policy own on own_rows using (who = current_user);
    create view through as select * from own_rows;
    create table parent (id int, who text);
    create table child () inherits (parent); insert into child values (1, 'bob');
    alter table child enable row level security;
    create policy own on child using (who = current_user);
    create table late (id int, who text); insert into late values (1, 'alice'), (2, 'bob');`,
}, (test) => {
  test('a table with a policy, directly, by a view, by its parent', async (s) => {
    for (const table of ['own_rows', 'through', 'parent', 'child']) {
      await s.bypassed(`select * from ${table}`, 'row_security');
    }
    assert.deepEqual((await s.run('select who from own_rows')).json, [{ who: 'alice' }]);
    assert.deepEqual((await s.run('select who from own_rows', { user: 'bob' })).json, [{ who: 'bob' }]);
  });
  test('security that is switched on later', async (s) => {
    const sql = 'select who from late order by id';
    await s.warm(sql);
    await s.db('alter table late owner to alice');
    await s.run('alter table late enable row level security, force row level security');
    assert.deepEqual((await s.run(sql)).json, []);
    await s.bypassed(sql, 'row_security');
  });
});
