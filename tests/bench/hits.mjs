// How many hits a second one core of the agent gives, against the least that
// a server on epoll can do: rounds of both in turn, within one run.
import assert from 'node:assert/strict';
import os from 'node:os';
import { waitUntil } from '../e2e/lib/process.mjs';
import { cpuSeconds, median, round } from './lib/bench.mjs';

const CONNECTIONS = 64;
const SQL = 'select id, name, qty from items where id between ? and ? order by id';

async function hot(agent, body, expected) {
  const reply = await waitUntil(async () => {
    const r = await agent.sql(body);
    return r.cache === 'hit' ? r : null;
  }, { what: 'a hit' });
  assert.deepEqual(reply.json, expected, 'the hit is not what the database says');
  return reply;
}

export default {
  title: 'hits: one core of the agent against a bare epoll server',
  targets: ['portside-agent', 'portside-controlplane', 'bench-floor', 'bench-load'],

  async run(bench) {
    const stage = await bench.stage({
      sql: `create table items (id int primary key, name text not null, qty int not null);
        insert into items select i, 'item number ' || i, i * 10 from generate_series(1, 1000) i`,
      cache: { ttlMinMs: 600000, ttlMaxMs: 86400000 },
    });
    const body = stage.body(SQL, [101, 112]);
    const expected = JSON.parse(await bench.psql(stage.db, 'app',
      'select json_agg(i order by id) from items i where id between 101 and 112'));
    const text = JSON.stringify(body);
    const file = bench.tempFile('body.json', text);
    const { text: answer } = await hot(stage.agent, body, expected);
    const load = (port, ms, ...more) => bench.measure('bench-load',
      [`127.0.0.1:${port}`, '/sql', file, String(CONNECTIONS), String(ms), ...more]);

    // Once, for the size of a whole reply, which the floor then has too.
    const hit = 'Cache-Status: portside; hit';
    const { reply_bytes: replyBytes } = await load(stage.agent.port, 50, hit);
    const floor = await bench.server('bench-floor', [String(replyBytes)]);
    const sides = [
      { name: 'portside', port: stage.agent.port, pid: stage.agent.process.pid, more: [hit], rounds: [] },
      { name: 'floor', port: floor.port, pid: floor.pid, more: [], rounds: [] },
    ];
    if (stage.uncounted) {
      await hot(stage.uncounted, body, expected);
      sides.push({ name: 'uncounted', port: stage.uncounted.port, pid: stage.uncounted.process.pid, more: [hit], rounds: [] });
    }
    const [n, ms] = bench.smoke ? [3, 300] : [16, 750];
    const busy = os.loadavg()[0]; // what others do, before this begins
    bench.say(`${n} rounds of ${ms} ms each, ${CONNECTIONS} connections`);
    for (let i = 0; i < n; i += 1) {
      for (const side of i % 2 ? [...sides].reverse() : sides) {
        const before = cpuSeconds(side.pid);
        const r = await load(side.port, ms, ...side.more);
        r.cpu_us = (cpuSeconds(side.pid) - before) * 1e6 / r.all_requests;
        side.rounds.push(r);
        bench.print(`    ${side.name.padEnd(8)}  ${String(r.rps).padStart(7)} rps  p50 ${r.p50_us} us  p99 ${r.p99_us} us  cpu ${round(r.cpu_us, 2)} us`);
      }
    }
    await hot(stage.agent, body, expected);
    const [portside, bare] = sides.map(({ rounds }) => (key) => median(rounds.map((r) => r[key])));
    return {
      portside_rps: Math.round(portside('rps')),
      floor_rps: Math.round(bare('rps')),
      ratio: round(median(sides[0].rounds.map((r, i) => r.rps / sides[1].rounds[i].rps)), 3),
      p50_us: round(portside('p50_us')),
      p99_us: round(portside('p99_us')),
      portside_cpu_us: round(portside('cpu_us'), 2),
      floor_cpu_us: round(bare('cpu_us'), 2),
      cpu_ratio: round(bare('cpu_us') / portside('cpu_us'), 3),
      // By processor time, round by round: what else the machine does weighs on
      // neither then.
      ...(stage.uncounted ? {
        telemetry_cost_percent: round(100 * (median(sides[0].rounds.map((r, i) => r.cpu_us / sides[2].rounds[i].cpu_us)) - 1), 2),
        uncounted_cpu_us: round(median(sides[2].rounds.map((r) => r.cpu_us)), 2),
      } : {}),
      request_body_bytes: Buffer.byteLength(text),
      reply_body_bytes: Buffer.byteLength(answer),
      reply_bytes: replyBytes,
      connections: CONNECTIONS,
      rounds: n,
      load_average: round(busy, 2),
    };
  },
};
