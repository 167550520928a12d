// Checked hits with real parts: writes that go past Portside are found out,
// long before the kept answer's time is over.
import assert from 'node:assert/strict';
import { after, before, describe as suite, test } from 'node:test';
import { Stage } from './lib/stage.mjs';
import { waitUntil } from './lib/process.mjs';

suite('checked hits', () => {
  let stage;
  let west;

  before(async () => {
    stage = await Stage.create({
      regions: ['eu-west'], agentArgs: ['--verify-every', '1'], cache: { ttlMinMs: 3600000, ttlMaxMs: 3600000 },
    });
    [west] = stage.agents;
  });
  after(async () => { await stage?.destroy(); });

  test('a change that nobody told is found by the check of a hit', async () => {
    const sql = 'select name, qty from items where id = ? and qty = any(?)';
    const bindings = [7, [70, 71]];
    await stage.warm(west, sql, bindings);
    await stage.db.sql("update items set qty = 71, name = 'past' where id = 7", { database: 'app' });
    const reply = await waitUntil(async () => {
      const one = await stage.query(west, sql, bindings);
      assert.equal(one.status, 200);
      assert.equal(one.cache, 'hit');
      return one.json[0].qty === 71 ? one : null;
    }, { what: 'the changed row as a hit' });
    assert.deepEqual(reply.json, [{ name: 'past', qty: 71 }]);
  });
});
