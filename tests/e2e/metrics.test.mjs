// Metrics as Prometheus takes them: promtool finds nothing to say, a real server
// scrapes control plane and agents, the dashboard and the alert rules speak of
// metrics that exist.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Process, run, tempDir, waitUntil } from './lib/process.mjs';
import { freePort } from './lib/postgres.mjs';
import { request } from './lib/portside.mjs';
import { Stage } from './lib/stage.mjs';

const SQL = 'select id, name from items where id = ?';
const monitoring = new URL('../../examples/monitoring/', import.meta.url);
const file = (name) => new URL(name, monitoring).pathname;
const read = (name) => fs.readFileSync(file(name), 'utf8');

const scrape = async (who) => {
  const reply = await request(`${who.adminUrl}/metrics`);
  assert.equal(reply.status, 200, reply.text);
  assert.match(reply.headers['content-type'], /^text\/plain; version=0\.0\.4/);
  return reply.text;
};

// The value of one sample.
const value = (text, sample) => {
  const line = text.split('\n').find((l) => l.startsWith(`${sample} `));
  assert.ok(line, `${sample} in\n${text}`);
  return Number(line.slice(sample.length + 1));
};

const names = (text) => new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map((m) => m[1]));

describe('metrics', () => {
  let stage;
  before(async () => {
    stage = await Stage.create({ cache: { ttlMinMs: 600000, ttlMaxMs: 86400000 } });
    const [west, east] = stage.agents;
    for (const agent of [west, west, west, west, east]) await stage.query(agent, SQL, [7]);
    await stage.query(west, 'select now()');
    await stage.query(west, 'select * from nowhere');
    await stage.query(west, 'insert into items values (1000, ?, 1)', ['x']);
  });
  after(async () => { await stage?.destroy(); });

  test('promtool has nothing to say of either', async () => {
    for (const who of [stage.controlPlane, ...stage.agents]) {
      const done = await run('promtool', ['check', 'metrics'], { input: await scrape(who), check: false });
      assert.equal(done.code, 0, done.stdout + done.stderr);
      assert.equal(done.stdout + done.stderr, '');
    }
  });

  test('a scrape shows what has just happened', async () => {
    const [west] = stage.agents;
    await stage.warm(west, SQL, [7]);
    const before_ = await scrape(west);
    await stage.query(west, SQL, [7]);
    const text = await scrape(west);
    const hits = 'portside_cache_queries_total{cache="main",outcome="hit"}';
    assert.equal(value(text, hits), value(before_, hits) + 1);
    assert.ok(value(text, 'portside_cache_queries_total{cache="main",outcome="miss"}') >= 2);
    assert.ok(value(text, 'portside_cache_queries_total{cache="main",outcome="write"}') >= 1);
    assert.equal(value(text, 'portside_cache_not_hit_total{cache="main",reason="first_seen"}'), 1);
    assert.ok(value(text, 'portside_agent_failures_total{code="origin_sql"}') >= 1);
    assert.equal(value(text, 'portside_agent_lease_held'), 1);
    assert.equal(value(text, 'portside_agent_connected'), 1);
    assert.ok(value(text, 'portside_pool_connections{state="idle"}') >= 1);
    assert.ok(value(text, 'portside_store_bytes') > 0);
    const memory = 'cache="main",source="memory"';
    const count = value(text, `portside_cache_query_duration_seconds_count{${memory}}`);
    assert.equal(count, value(text, hits));
    assert.equal(value(text, `portside_cache_query_duration_seconds_bucket{${memory},le="+Inf"}`), count);
    // The response's size stays bounded whatever the templates are.
    assert.doesNotMatch(text, /from items|select id/i);
    const plane = await scrape(stage.controlPlane);
    assert.equal(value(plane, 'portside_controlplane_agents{state="connected"}'), 2);
    assert.equal(value(plane, 'portside_controlplane_restricted'), 0);
    assert.ok(value(plane, 'portside_controlplane_api_requests_total{code="2xx"}') > 0);
  });

  test('health, readiness and levels are on the admin listener only', async () => {
    const [west] = stage.agents;
    for (const who of [stage.controlPlane, west]) {
      assert.equal((await request(`${who.adminUrl}/healthz`)).status, 200);
      assert.equal((await request(`${who.adminUrl}/readyz`)).status, 200);
    }
    assert.equal((await west.get('/metrics')).status, 404);
    assert.equal((await stage.controlPlane.call('GET', '/metrics')).status, 404);
    assert.equal((await west.get('/log-levels')).status, 404);
  });

  test('log levels change while it runs', async () => {
    const [west] = stage.agents;
    const levels = (method, body) => request(`${west.adminUrl}/log-levels`, { method, body });
    assert.equal((await levels('GET')).text, 'info\n');
    assert.equal((await levels('PUT', 'loud')).status, 400);
    const set = await levels('PUT', 'info,req=debug');
    assert.equal(set.text, 'info,req=debug\n');
    await west.process.line(/admin: log levels are now info,req=debug/);
    await levels('PUT', 'info');
  });

  test('rules, configuration and dashboard fit the metrics', async () => {
    const rules = await run('promtool', ['check', 'rules', file('alerts.yml')]);
    assert.match(rules.stdout, /SUCCESS: \d+ rules found/);
    await run('promtool', ['check', 'config', file('prometheus.yml')]);
    const known = new Set(['up']);
    for (const who of [stage.controlPlane, stage.agents[0]]) for (const n of names(await scrape(who))) known.add(n);
    const dashboard = JSON.parse(read('dashboard.json'));
    const spoken = [...JSON.stringify(dashboard).matchAll(/\b(portside|process)_[a-z_]+/g),
      ...read('alerts.yml').matchAll(/\b(portside|process)_[a-z_]+/g)].map((m) => m[0]);
    assert.ok(spoken.length > 40);
    for (const name of new Set(spoken)) {
      assert.ok(known.has(name.replace(/_bucket$/, '')), `${name} is no metric`);
    }
    assert.equal(new Set(dashboard.panels.map((p) => p.id)).size, dashboard.panels.length);
    // Every expression is PromQL, with Grafana's variables filled in.
    const dir = tempDir('promql');
    const groups = { groups: [{ name: 'x', rules: dashboard.panels.flatMap((p) => p.targets.map((t, i) => ({
      record: `panel:${p.id}:${i}`,
      expr: t.expr.replaceAll('$__rate_interval', '5m').replaceAll('$cache', '.*'),
    }))) }] };
    fs.writeFileSync(path.join(dir, 'rules.json'), JSON.stringify(groups));
    await run('promtool', ['check', 'rules', path.join(dir, 'rules.json')]);
  });

  test('a Prometheus server scrapes them and knows the hit ratio', async () => {
    const dir = tempDir('prometheus');
    const target = (who, job) => ({ job_name: job, static_configs: [{ targets: who.map((w) => new URL(w.adminUrl).host) }] });
    fs.copyFileSync(file('alerts.yml'), path.join(dir, 'alerts.yml'));
    fs.writeFileSync(path.join(dir, 'prometheus.yml'), JSON.stringify({
      global: { scrape_interval: '200ms' }, rule_files: ['alerts.yml'],
      scrape_configs: [target([stage.controlPlane], 'portside-controlplane'), target(stage.agents, 'portside-agent')],
    }));
    const port = await freePort();
    const server = new Process('prometheus', 'prometheus', [`--config.file=${dir}/prometheus.yml`,
      `--storage.tsdb.path=${dir}/data`, `--web.listen-address=127.0.0.1:${port}`]);
    try {
      await server.line(/Server is ready to receive web requests/, 60000);
      const ask = async (query) => {
        const reply = await request(`http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(query)}`);
        return JSON.parse(reply.text).data.result;
      };
      await waitUntil(async () => (await ask('up == 1')).length === 3, { timeoutMs: 60000, what: 'three targets up' });
      const ratio = 'sum(portside_cache_queries_total{outcome="hit"}) / sum(portside_cache_queries_total{outcome=~"hit|miss"})';
      const [found] = await waitUntil(async () => { const r = await ask(ratio); return r.length ? r : null; }, { what: 'a hit ratio' });
      const share = Number(found.value[1]);
      assert.ok(share > 0 && share < 1, `${share}`);
    } finally {
      await server.stop();
    }
  });
});
