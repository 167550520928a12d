// traceparent in, OpenTelemetry spans out, the trace in the log and in
// Server-Timing.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Collector } from './lib/collector.mjs';
import { request } from './lib/portside.mjs';
import { waitUntil } from './lib/process.mjs';
import { Stage } from './lib/stage.mjs';

const SQL = 'select id, name from items where id = ?';
const hex = (n) => [...Array(n)].map(() => Math.floor(Math.random() * 15 + 1).toString(16)).join('');

describe('tracing', () => {
  let stage;
  let collector;
  let agent;
  before(async () => {
    collector = await Collector.start();
    stage = await Stage.create({
      regions: ['one'],
      agentArgs: ['--otlp-endpoint', collector.url, '--log-format', 'json', '--log-level', 'info,req=debug'],
      cache: { ttlMinMs: 600000, ttlMaxMs: 86400000 },
    });
    [agent] = stage.agents;
  });
  after(async () => {
    await stage?.destroy();
    await collector?.stop();
  });

  const ask = (sql, bindings, traceparent) => agent.sql(stage.body(sql, bindings), { headers: traceparent ? { traceparent } : {} });
  const ofTrace = (trace, n) => waitUntil(() => {
    const found = collector.spans().filter((s) => s.traceId === trace);
    return found.length >= n ? found : null;
  }, { what: `${n} spans of ${trace}` });

  test('a sampled request is a span under its caller, its trip to the origin one under that', async () => {
    const trace = hex(32);
    const caller = hex(16);
    const reply = await ask(SQL, [7], `00-${trace}-${caller}-01`);
    assert.equal(reply.status, 200);
    const timing = reply.headers['server-timing'].match(/traceparent;desc="00-([0-9a-f]{32})-([0-9a-f]{16})-01"/);
    assert.equal(timing[1], trace);
    const spans = await ofTrace(trace, 2);
    const whole = spans.find((s) => s.name === 'query');
    const origin = spans.find((s) => s.name === 'origin');
    assert.equal(whole.parentSpanId, caller);
    assert.equal(whole.spanId, timing[2]);
    assert.equal(whole.kind, 2);
    assert.equal(whole.attributes['portside.outcome'], 'miss');
    assert.equal(whole.attributes['portside.reason'], reply.reason);
    assert.equal(whole.attributes['portside.cache.name'], 'main');
    assert.equal(whole.attributes['db.system.name'], 'postgresql');
    assert.equal(whole.attributes['db.query.text'], SQL);
    assert.equal(whole.attributes['portside.rows'], 1);
    assert.equal(origin.parentSpanId, whole.spanId);
    assert.equal(origin.kind, 3);
    const ns = (s) => [BigInt(s.startTimeUnixNano), BigInt(s.endTimeUnixNano)];
    assert.ok(ns(whole)[0] <= ns(origin)[0] && ns(origin)[0] <= ns(origin)[1] && ns(origin)[1] <= ns(whole)[1]);
    assert.ok(Math.abs(Number(ns(whole)[1] / 1000000n) - Date.now()) < 600000);
    assert.equal(collector.bodies[0].path, '/v1/traces');
    assert.equal(collector.bodies[0].type, 'application/json');
  });

  test('a hit is a span with the template that its answer is counted for', async () => {
    await stage.warm(agent, SQL, [7]);
    const trace = hex(32);
    assert.equal((await ask(SQL, [7], `00-${trace}-${hex(16)}-01`)).cache, 'hit');
    const [span] = await ofTrace(trace, 1);
    assert.equal(span.attributes['portside.outcome'], 'hit');
    assert.equal(span.attributes['db.query.text'], SQL);
    assert.equal(span.attributes['portside.rows'], 1);
  });

  test('an error is one, too', async () => {
    const trace = hex(32);
    await ask('select * from nowhere', undefined, `00-${trace}-${hex(16)}-01`);
    const spans = await ofTrace(trace, 1);
    const whole = spans.find((s) => s.name === 'query');
    assert.equal(whole.status.code, 2);
    assert.equal(whole.attributes['error.type'], 'origin_sql');
  });

  test('without "sampled", without a valid traceparent or with two of them there is no span', async () => {
    const before_ = collector.spans().length;
    const quiet = hex(32);
    for (const header of [undefined, `00-${quiet}-${hex(16)}-00`, `00-${quiet.toUpperCase()}-${hex(16)}-01`, 'nonsense',
      [`00-${quiet}-${hex(16)}-01`, `00-${quiet}-${hex(16)}-01`]]) {
      const reply = await ask(SQL, [7], header);
      assert.equal(reply.status, 200, `${header}`);
      assert.doesNotMatch(reply.headers['server-timing'] ?? '', /traceparent/);
    }
    // One that is traced comes behind those that are not.
    const trace = hex(32);
    await ask(SQL, [7], `00-${trace}-${hex(16)}-01`);
    await ofTrace(trace, 1);
    assert.equal(collector.spans().filter((s) => s.traceId !== trace).length, before_);
  });

  test('the log has a line for each request at level debug, with its trace', async () => {
    const trace = hex(32);
    await ask(SQL, [7], `00-${trace}-${hex(16)}-00`);
    const line = await agent.process.line(new RegExp(`^.*"trace_id":"${trace}".*$`, 'm'));
    const entry = JSON.parse(line[0]);
    assert.equal(entry.part, 'req');
    assert.equal(entry.level, 'debug');
    assert.match(entry.message, /^cache main: hit \(hit\) in \d+ us, 1 rows, template [0-9a-f]{16}$/);
    for (const l of agent.process.output.split('\n').filter((x) => x.startsWith('{'))) JSON.parse(l);
    await request(`${agent.adminUrl}/log-levels`, { method: 'PUT', body: 'info' });
    const quiet = hex(32);
    await ask(SQL, [7], `00-${quiet}-${hex(16)}-00`);
    await request(`${agent.adminUrl}/log-levels`, { method: 'PUT', body: 'info,req=debug' });
    const loud = hex(32);
    await ask(SQL, [7], `00-${loud}-${hex(16)}-00`);
    await agent.process.line(new RegExp(loud));
    assert.ok(!agent.process.output.includes(quiet));
  });

  test('metrics tell what became of the spans, and a dead collector of nothing else', async () => {
    await collector.stop();
    const trace = hex(32);
    assert.equal((await ask(SQL, [7], `00-${trace}-${hex(16)}-01`)).status, 200);
    await waitUntil(async () => /portside_trace_spans_total\{result="failed"\} [1-9]/.test((await request(`${agent.adminUrl}/metrics`)).text),
      { what: 'a failed span' });
    assert.match((await request(`${agent.adminUrl}/metrics`)).text, /portside_trace_spans_total\{result="sent"\} [1-9]/);
    assert.equal((await ask(SQL, [7])).cache, 'hit');
  });
});
