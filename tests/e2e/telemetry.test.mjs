// What agents count arrives at the control plane: every query once, whatever
// is restarted, and never with a literal in it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Stage } from './lib/stage.mjs';
import { waitUntil } from './lib/process.mjs';

const SQL = 'select id, name from items where id = ?';
const TEMPLATE = 'select id, name from items where id = ?';

const stats = (stage, query = 'by=time,region,template', cache = stage.cache) =>
  stage.controlPlane.ok('GET', `/v1/caches/${cache.id}/stats?${query}`);

// Waits until what is counted is as many as were sent, and no more.
async function counted(stage, queries, cache = stage.cache) {
  let seen;
  await waitUntil(async () => {
    seen = await stats(stage, undefined, cache);
    return seen.total.queries >= queries;
  }, { timeoutMs: 60000, what: () => `${queries} queries: ${JSON.stringify(seen?.total)}` });
  assert.equal(seen.total.queries, queries);
  return seen;
}

describe('telemetry', () => {
  let stage;
  let sent = 0; // queries that reached the cache
  before(async () => {
    stage = await Stage.create({
      agentArgs: ['--telemetry-every', '100ms', '--verify-every', '0'],
      cache: { ttlMinMs: 600000, ttlMaxMs: 86400000 },
    });
    // Each agent was asked once, with a provider that contradicts the cache's.
    sent = stage.agents.length;
    await counted(stage, sent);
  });
  after(async () => { await stage?.destroy(); });

  const ask = async (agent, sql, bindings, who) => {
    sent += 1;
    return stage.query(agent, sql, bindings, who);
  };

  test('each query counts once, by template, region and time', async () => {
    const [west, east] = stage.agents;
    const first = (await counted(stage, sent)).total;
    const outcomes = { hit: 0, miss: 0, bypass: 0 };
    for (const agent of [west, west, west, west, east, east, east]) {
      outcomes[(await ask(agent, SQL, [7])).cache] += 1;
    }
    outcomes[(await ask(west, 'select now()')).cache] += 1;
    await ask(east, 'select * from nowhere');
    const seen = await counted(stage, sent);
    assert.equal(seen.total.hits - first.hits, outcomes.hit);
    assert.equal(seen.total.misses - first.misses, outcomes.miss);
    assert.equal(seen.total.errors - first.errors, 1);
    const template = seen.templates.find((t) => t.text === TEMPLATE);
    assert.ok(template, JSON.stringify(seen.templates));
    assert.equal(template.queries, 7);
    assert.equal(template.hits, outcomes.hit);
    assert.equal(template.rows, 7);
    assert.match(template.template, /^[0-9a-f]{16}$/);
    assert.equal(template.memory.count, outcomes.hit);
    assert.equal(template.origin.count, outcomes.miss);
    assert.ok(template.origin.p50Ms > template.memory.p50Ms);
    assert.ok(template.cacheability > 0 && template.cacheability <= 1);
    assert.ok(template.timeSavedMs > 0);
    assert.ok(template.ttlMs >= 600000);
    assert.equal(template.reasons.first_seen, 2);
    const clock = seen.templates.find((t) => t.text === 'select now()');
    assert.equal(clock.bypasses, 1);
    assert.equal(clock.cacheability, 0);
    assert.deepEqual(seen.regions.map((r) => r.region), ['eu-west', 'us-east']);
    const sum = (rows, key) => rows.reduce((n, row) => n + row[key], 0);
    assert.equal(sum(seen.regions, 'queries'), sent);
    assert.equal(sum(seen.series, 'queries'), sent);
    assert.equal(sum(seen.templates, 'queries'), sent);
    // Filters.
    const one = await stats(stage, `template=${template.template}&region=eu-west&by=time`);
    assert.equal(one.total.queries, 4);
    assert.equal((await stats(stage, 'region=nowhere')).total.queries, 0);
    const most = await stats(stage, 'by=template&limit=1&order=hits');
    assert.deepEqual(most.templates.map((t) => t.text), [TEMPLATE]);
    const all = await stage.controlPlane.ok('GET', '/v1/stats?since=1h&by=time');
    assert.equal(all.items.find((i) => i.cacheId === stage.cache.id).total.queries, sent);
  });

  test('parameters that make no sense are refused', async () => {
    for (const query of ['since=1', 'since=-1h', 'since=0s', 'by=table', 'limit=0', 'limit=501', 'order=x',
      'template=7', 'from=yesterday', 'colour=red', 'since=1h&since=2h',
      'from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z', 'region=%zz', 'region=%00', 'region=%ff']) {
      const reply = await stage.controlPlane.call('GET', `/v1/caches/${stage.cache.id}/stats?${query}`);
      assert.equal(reply.status, 400, `${query}: ${reply.text}`);
      assert.equal(reply.body.code, 'bad_field', query);
    }
    const none = await stage.controlPlane.call('GET', '/v1/caches/00000000-0000-4000-8000-000000000000/stats');
    assert.equal(none.status, 404);
  });

  test('nothing is lost or counted twice when the control plane is restarted, or killed', async () => {
    const [west, east] = stage.agents;
    for (const signal of ['SIGTERM', 'SIGKILL']) {
      for (let i = 0; i < 20; i += 1) await ask(i % 2 ? west : east, SQL, [i]);
      await stage.controlPlane.stop(signal);
      for (let i = 0; i < 20; i += 1) await ask(i % 2 ? west : east, SQL, [i]);
      await stage.controlPlane.boot();
      await counted(stage, sent);
    }
  });

  test('what was counted last is told at the end', async () => {
    const [west] = stage.agents;
    for (let i = 0; i < 5; i += 1) await ask(west, SQL, [i]);
    await west.stop();
    await counted(stage, sent);
    await west.boot();
  });

  test('a new file for the statistics asks for the texts again', async () => {
    const [west] = stage.agents;
    await counted(stage, sent);
    await stage.controlPlane.stop();
    for (const end of ['', '-wal', '-shm']) fs.rmSync(path.join(stage.controlPlane.data, `telemetry.db${end}`), { force: true });
    await stage.controlPlane.boot();
    sent = 0;
    await waitUntil(async () => {
      await ask(west, SQL, [7]);
      const seen = await stats(stage);
      return seen.templates?.some((t) => t.text === TEMPLATE);
    }, { timeoutMs: 60000, what: 'the text of the template' });
    await counted(stage, sent);
  });

  test('the statistics of a deleted cache are gone', async () => {
    const cache = await stage.createCache('short-lived');
    await stage.query(stage.agents[0], SQL, [1], { cache });
    await counted(stage, stage.agents.length + 1, cache);
    await stage.controlPlane.ok('DELETE', `/v1/caches/${cache.id}`);
    const reply = await stage.controlPlane.call('GET', `/v1/caches/${cache.id}/stats`);
    assert.equal(reply.status, 404);
  });
});
