// What the benches share: the build, programs on their own core, a stage with
// one agent and a PostgreSQL, rounds and medians.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const folder = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const root = path.resolve(folder, '../..');
const release = process.env.PS_BENCH_BUILD ?? path.join(root, 'build', 'release');
// The harness of the end-to-end tests looks there.
process.env.PS_BUILD_DIR = release;
const { Agent, ControlPlane } = await import('../../e2e/lib/portside.mjs');
const { Postgres } = await import('../../e2e/lib/postgres.mjs');
const { Process, program, run: runProgram, tempDir } = await import('../../e2e/lib/process.mjs');

export const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};
export const round = (value, digits = 1) => Number(value.toFixed(digits));

// The first two cores this process may use: one for the server, one for
// everything else.
function cores() {
  const list = fs.readFileSync('/proc/self/status', 'utf8').match(/Cpus_allowed_list:\s*(\S+)/)[1];
  const all = list.split(',').flatMap((part) => {
    const [from, to = from] = part.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });
  if (all.length < 2) throw new Error('a bench needs two cores, one for the server and one for the load');
  return { server: all[0], load: all[1] };
}

// Seconds of processor time that a process has used, all threads.
export function cpuSeconds(pid) {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

export async function build(bench, targets) {
  if (process.env.PS_BENCH_BUILD) return; // as it is
  bench.say('building (release)');
  await bench.command('cmake', ['-S', root, '--preset', 'release']);
  await bench.command('cmake', ['--build', release, '--target', ...targets]);
}

export class Bench {
  constructor({ smoke, alone = false, telemetry = false }) {
    this.smoke = smoke;
    this.alone = alone; // before all else on their cores
    this.telemetry = telemetry; // an agent that counts nothing, beside the other
    this.cores = cores();
    this.started = []; // what stop() ends, the last one first
  }

  say(text) { this.print(`==> ${text}`); }

  print(text) { process.stderr.write(`${text}\n`); }

  // Runs a program to its end; resolves with its standard output.
  async command(name, args) {
    const process_ = new Process(name, name, args);
    const entry = { stop: () => process_.stop() };
    this.started.push(entry);
    const exit = await process_.exited;
    this.started.splice(this.started.indexOf(entry), 1);
    if (exit.code !== 0) throw new Error(`${name} ended with ${exit.code ?? exit.signal}:\n${process_.output}`);
    return process_.output;
  }

  // The same on the core of the load; its output is JSON.
  async measure(name, args) {
    const first = this.alone ? ['chrt', '--rr', '1'] : [];
    const output = await this.command('taskset', ['-c', String(this.cores.load), ...first, program(name), ...args]);
    return JSON.parse(output.trim().split('\n').pop());
  }

  // A server of this folder, which prints its port, on the core of servers.
  async server(name, args) {
    const server = new Process(name, 'taskset', ['-c', String(this.cores.server), program(name), ...args]);
    this.started.push(server);
    server.port = Number((await server.line(/^(\d+)$/m))[1]);
    await this.prefer(server.pid);
    return server;
  }

  // With --alone: all threads of a server go before what others run.
  async prefer(pid) {
    if (this.alone) await runProgram('chrt', ['--all-tasks', '--rr', '--pid', '1', String(pid)]);
  }

  async pin(pid, core) { await runProgram('taskset', ['-acp', String(core), String(pid)]); }

  tempFile(name, text) {
    const file = path.join(tempDir('bench'), name);
    fs.writeFileSync(file, text);
    return file;
  }

  // A PostgreSQL, a control plane, one agent with one loop on the core of
  // servers, and a cache. sql: statements for database app, run as superuser.
  async stage({ sql, cache = {}, agentArgs = [], ssl = null }) {
    this.say('starting PostgreSQL, control plane and agent');
    const db = await Postgres.start({ ssl });
    this.started.push({ stop: () => db.stop('SIGQUIT') });
    await this.psql(db, 'postgres', "create role alice login password 'alice-pw'; create database app");
    await this.psql(db, 'app', `${sql}; grant all on all tables in schema public to alice`);
    const controlPlane = await ControlPlane.start();
    this.started.push(controlPlane);
    const agent = await this.agent(controlPlane, 'bench', agentArgs);
    await this.pin(db.process.pid, this.cores.load);
    const uncounted = this.telemetry && await this.agent(controlPlane, 'uncounted', ['--telemetry-every', '0']);
    const { id } = await controlPlane.createCache({
      name: 'bench', host: db.host, port: db.port, database: 'postgres', tlsMode: 'disable', ...cache,
    });
    await agent.knows(id);
    if (uncounted) await uncounted.knows(id);
    return {
      db, controlPlane, agent, uncounted, cacheId: id,
      body: (text, bindings) => ({
        cacheId: id, provider: 'postgres', username: 'alice', password: 'alice-pw', database: 'app', sql: text,
        ...(bindings ? { bindings } : {}),
      }),
    };
  }

  // An agent with one loop on the core of servers.
  async agent(controlPlane, region, args) {
    const agent = await Agent.start(controlPlane, region, { args: ['--loops', '1', '--log-level', 'warn', ...args] });
    this.started.push(agent);
    await this.pin(agent.process.pid, this.cores.server);
    await this.prefer(agent.process.pid);
    return agent;
  }

  // One result as text.
  async psql(db, database, text) {
    const { stdout } = await runProgram('psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1',
      '-h', db.host, '-p', String(db.port), '-U', db.superuser.user, '-d', database, '-f', '-'],
    { input: text.split(/;\s*/).filter((s) => s.trim()).map((s) => `${s};`).join('\n'), env: { PGPASSWORD: db.superuser.password } });
    return stdout.trim();
  }

  // Once, whoever asks: the end of the run, its failure or a signal.
  stop() {
    this.stopped ??= this.#stopAll();
    return this.stopped;
  }

  async #stopAll() {
    while (this.started.length) {
      await this.started.pop().stop().catch((error) => this.print(`    ${error.message}`));
    }
  }
}
