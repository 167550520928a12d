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
      regions: ['eu-west'], agentArgs: ['--verify-every', '1', '--telemetry-every', '200ms'], cache: { ttlMinMs: 3600000, ttlMaxMs: 3600000 },
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

  test('the measured rate of each template is told', async () => {
    const template = await waitUntil(async () => {
      const stats = await stage.controlPlane.ok('GET', `/v1/caches/${stage.cache.id}/stats?since=1h&by=template&order=stale`);
      return stats.templates.find((t) => t.text?.startsWith('select name, qty from items') && t.stale > 0);
    }, { what: 'a stale answer in the statistics', timeoutMs: 60000 });
    assert.ok(template.verified >= template.stale, JSON.stringify(template));
    assert.ok(template.staleRate > 0 && template.staleRate <= 1, JSON.stringify(template));
  });

  test('where a rule says how long, it is only said', async () => {
    const sql = 'select qty from items where id = 8';
    await stage.controlPlane.ok('POST', `/v1/caches/${stage.cache.id}/rules`, { type: 'query', key: sql, mode: 'ttl', ttlMs: 3600000 });
    await waitUntil(async () => {
      await stage.db.sql('update items set qty = qty + 1 where id = 8', { database: 'app' });
      assert.equal((await stage.query(west, sql)).status, 200);
      return /checked answers of template \w+ were stale though no write was seen; a rule says/.test(west.process.output);
    }, { what: 'the warning', timeoutMs: 60000 });
    assert.equal((await stage.query(west, sql)).reason, 'hit');
  });

  test('a template whose answers are too often stale is given up, and the fleet hears of it', async () => {
    const sql = 'select name from items where id = 11';
    await stage.warm(west, sql);
    let told;
    await waitUntil(async () => {
      await stage.db.sql("update items set name = name || 'x' where id = 11", { database: 'app' });
      assert.equal((await stage.query(west, sql)).status, 200);
      [told] = (await stage.controlPlane.ok('GET', '/v1/events?type=template_off')).items;
      return told;
    }, { what: 'the event', timeoutMs: 60000 });
    assert.deepEqual([told.cacheId, told.region], [stage.cache.id, 'eu-west']);
    assert.match(told.message, /^answers of template [0-9a-f]{16} are not kept for a while: /);
  });
});
