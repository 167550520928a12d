// Hazard 38: a catalogue that cannot be read means that nothing is kept, and
// the reason says so.
import assert from 'node:assert/strict';
import { hazard } from './lib/hazard.mjs';

hazard('hazard 38: a catalogue that must not be read', {
  schema: `
    create table t (id int, v int); insert into t values (1, 1);
    revoke select on pg_catalog.pg_proc from public;`,
}, (test) => {
  test('nothing is kept, everything works', async (s) => {
    await s.bypassed('select v from t', 'no_catalog');
    await s.bypassed('select 1 as one', 'no_catalog');
    await s.run('update t set v = 2');
    assert.deepEqual((await s.run('select v from t')).json, [{ v: 2 }]);
  });
});
