// A crowd at one agent: 10,000 idle HTTP clients and 64 busy ones on one
// origin with 20 connections. No error; none of the busy ones waits much
// longer than the others (the 99th percentile of any is at most 3 times the
// median of all); memory is bounded by the clients, not by the time. These are
// demands: the bench fails where they do not hold.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { program, run } from '../e2e/lib/process.mjs';
import { round } from './lib/bench.mjs';

// A tenth of a second at the origin, so that the queue is what is measured and
// not what else the machine does.
const SQL = 'select qty, pg_sleep(0.1) is null as slept from items where id = 7';
const FAIR = 3;
const IDLE_BYTES = 16 << 10; // of an idle client, at most
const GROWTH_BYTES = 8 << 20; // while the busy ones ask, at most

const rss = (pid) => 1024 * Number(fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]);

// This process's own limit, which what it starts inherits.
async function raiseLimit(wanted) {
  const hard = Number(fs.readFileSync('/proc/self/limits', 'utf8').match(/Max open files\s+\S+\s+(\d+)/)?.[1] ?? Infinity);
  const more = process.getuid() === 0 ? Math.max(hard, wanted) : hard;
  assert.ok(more >= wanted, `the limit of open files is ${hard}; ${wanted} are needed`);
  await run('prlimit', ['--pid', String(process.pid), `--nofile=${more}:${more}`]);
}

export default {
  title: 'crowd: idle and busy clients on 20 connections',
  targets: ['portside-agent', 'portside-controlplane', 'bench-crowd'],

  async run(bench) {
    const [idle, busy, ms] = bench.smoke ? [1000, 64, 3000] : [10000, 64, 20000];
    await raiseLimit(idle + 2000);
    const stage = await bench.stage({
      sql: `create table items (id int primary key, qty int not null);
        insert into items select i, i * 10 from generate_series(1, 1000) i; analyze items`,
      cache: { poolMax: 20, poolQueueTimeoutMs: 60000, queryTimeoutMs: 60000 },
      agentArgs: ['--max-connections', String(idle + 1000), '--idle-timeout', '10m', '--head-timeout', '10m'],
    });
    const { agent } = stage;
    const first = await agent.sql(stage.body(SQL));
    assert.deepEqual(first.json, [{ qty: 70, slept: false }]);
    const before = rss(agent.process.pid);
    const file = bench.tempFile('body.json', JSON.stringify(stage.body(SQL)));
    const child = spawn('taskset', ['-c', String(bench.cores.load), program('bench-crowd'), `127.0.0.1:${agent.port}`, '/sql', file,
      String(idle), String(busy), String(ms)], { stdio: ['pipe', 'pipe', 'inherit'] });
    bench.started.push({ stop: async () => { child.kill('SIGKILL'); } });
    let said = '';
    let ready;
    const connected = new Promise((resolve) => { ready = resolve; });
    child.stdout.on('data', (text) => { said += text; if (said.includes('idle\n')) ready(); });
    const ended = new Promise((resolve) => { child.on('exit', resolve); });
    await Promise.race([connected, ended.then(() => assert.fail('the crowd did not come'))]);
    const full = rss(agent.process.pid);
    child.stdin.write('go\n');
    assert.equal(await ended, 0, 'an error at one of the clients');
    const figures = JSON.parse(said.trim().split('\n').pop());
    const after = rss(agent.process.pid);
    const open = await bench.psql(stage.db, 'postgres', "select count(*) from pg_stat_activity where usename = 'alice'");
    figures.idle_client_bytes = round((full - before) / (idle + busy), 0);
    figures.growth_bytes = after - full;
    figures.connections = Number(open);
    bench.print(`    ${JSON.stringify(figures)}`);
    assert.equal(figures.idle_answered, idle);
    assert.ok(figures.connections <= 20, `${figures.connections} connections at the origin`);
    assert.ok(figures.fair <= FAIR, `the worst client's p99 is ${figures.fair} times the median of all`);
    assert.ok(figures.idle_client_bytes <= IDLE_BYTES, `${figures.idle_client_bytes} bytes for an idle client`);
    assert.ok(figures.growth_bytes <= GROWTH_BYTES + idle * 1024, `memory grew by ${figures.growth_bytes} bytes`);
    return figures;
  },
};
