// What the pool is worth: the same query, which must go to the origin, through
// the agent, by a new TLS connection with login each time (the serverless
// case), by a native client that keeps its connections, and for PostgreSQL
// through PgBouncer in transaction mode; with the origin near and far.
// PostgreSQL, MariaDB, and SQL Server's stand-in (which is the slowest part of
// its line: there only what is added to the round trip means something).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { Relay } from '../e2e/lib/relay.mjs';
import { freePort } from '../e2e/lib/postgres.mjs';
import { Process, run, tempDir, waitUntil } from '../e2e/lib/process.mjs';
import { folder, median, round } from './lib/bench.mjs';

const CLIENTS = 16;
// A plain read, in a cache that keeps nothing by default.
const SQL = 'select qty from items where id = 7';

async function certificate() {
  const dir = tempDir('cert');
  const [key, cert] = ['key', 'crt'].map((name) => path.join(dir, name));
  await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
    '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=localhost']);
  return { key: fs.readFileSync(key), cert: fs.readFileSync(cert) };
}

async function startPgbouncer(bench, origin) {
  const port = await freePort();
  const dir = tempDir('pgbouncer');
  const file = path.join(dir, 'pgbouncer.ini');
  fs.writeFileSync(path.join(dir, 'users'), '"alice" "alice-pw"\n');
  fs.writeFileSync(file, `[databases]
app = host=${origin.host} port=${origin.port} dbname=app user=alice
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${dir}/users
pool_mode = transaction
default_pool_size = ${CLIENTS}
max_client_conn = 100
server_tls_sslmode = require
`);
  if (process.getuid() === 0) await run('chown', ['-R', 'postgres:', dir]);
  const own = process.getuid() === 0 ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups'] : [];
  const server = new Process('pgbouncer', 'taskset', ['-c', String(bench.cores.server), ...own, '/usr/sbin/pgbouncer', file]);
  bench.started.push(server);
  await server.line(/process up/);
  return port;
}

// pgbench's own log has one line per transaction: its third field is the time
// in microseconds.
async function pgbench(bench, { port, sslmode }, ms, more) {
  const dir = tempDir('pgbench');
  fs.writeFileSync(path.join(dir, 'script'), `${SQL};\n`);
  const text = await bench.command('taskset', ['-c', String(bench.cores.load), 'env', 'PGPASSWORD=alice-pw', `PGSSLMODE=${sslmode}`,
    'pgbench', '-n', '-M', 'extended', '-c', String(CLIENTS), '-T', String(Math.max(1, Math.round(ms / 1000))),
    '-f', path.join(dir, 'script'), '-l', '--log-prefix', path.join(dir, 'log'), ...more,
    '-h', '127.0.0.1', '-p', String(port), '-U', 'alice', 'app']);
  const times = fs.readdirSync(dir).filter((f) => f.startsWith('log'))
    .flatMap((f) => fs.readFileSync(path.join(dir, f), 'utf8').trim().split('\n'))
    .map((line) => Number(line.split(' ')[2])).sort((a, b) => a - b);
  assert.ok(times.length > 0);
  const rps = Number(text.match(/tps = ([\d.]+)/)?.[1]);
  assert.ok(rps > 0, text);
  // The log leaves out what a new connection takes: only the mean is known.
  if (more.includes('-C')) return { rps, mean_us: 1e6 * CLIENTS / rps };
  const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))];
  return { rps, p50_us: at(0.5), p99_us: at(0.99) };
}

process.setMaxListeners(100); // each program started has one

// A server of the contract suite's scripts; it ends with its standard input.
async function withServer(bench, script, prefix) {
  const child = spawn(path.join(folder, '..', script), ['sh', '-c', `echo "port $${prefix}_PORT ca $${prefix}_CA"; cat >/dev/null`],
    // Three pools at once, and clients beside them which take their time.
    { stdio: ['pipe', 'pipe', 'ignore'], env: { ...process.env, PS_MY_OPTIONS: '--max-connections=200 --connect-timeout=60' } });
  const ended = new Promise((resolve) => { child.on('exit', resolve); });
  bench.started.push({ stop: async () => { child.stdin.end(); await ended; } });
  const [, port, ca] = await new Promise((resolve, reject) => {
    let said = '';
    child.stdout.on('data', (text) => {
      said += text;
      const found = /port (\d+) ca (\S+)\n/.exec(said);
      if (found) resolve(found);
    });
    ended.then(() => reject(new Error(`no server of ${script}`)));
  });
  return { port: Number(port), ca: fs.readFileSync(ca, 'utf8') };
}

// Another provider's server behind the same agent.
const other = (name, script, prefix, clients) => async (bench, stage) => {
  const server = await withServer(bench, script, prefix);
  const native = (port, ms, how) => bench.measure('bench-native', [name, '127.0.0.1', String(port), 'app', 'app secret', 'app',
    SQL, '70', String(clients), String(ms), how]);
  return {
    name: `${name}_`, clients, port: server.port, want: [{ qty: 70 }],
    cache: { database: name, tlsMode: name === 'mssql' ? 'verify-ca' : 'require', tlsCa: name === 'mssql' ? server.ca : '' },
    body: (sql) => ({ ...stage.body(sql), provider: name, username: 'app', password: 'app secret' }),
    ways: (port, ms, delay) => ({ native: () => native(port, ms, 'keep'), fresh: () => native(port, ms + 12 * delay, 'fresh') }),
    async fill(ask) {
      await ask('create table items (id int primary key, qty int not null)');
      for (let i = 1; i <= 10; i += 1) await ask(`insert into items (id, qty) values (${i}, ${i * 10})`);
    },
  };
};

const postgres = async (bench, stage) => ({
  name: '', clients: CLIENTS, port: stage.db.port, want: [{ qty: 70 }],
  cache: { database: 'postgres', tlsMode: 'require' },
  body: (sql) => stage.body(sql),
  // pgbench opens connections within its time, one after the other in each
  // thread; its rate and its log leave that out.
  async ways(port, ms, delay) {
    const threads = ['-j', String(delay ? CLIENTS : 1)];
    const full = ms + (delay ? 2000 : 0);
    const bouncer = await startPgbouncer(bench, { host: '127.0.0.1', port });
    return {
      pgbouncer: () => pgbench(bench, { port: bouncer, sslmode: 'disable' }, full, threads),
      native: () => pgbench(bench, { port, sslmode: 'require' }, full, threads),
      fresh: () => pgbench(bench, { port, sslmode: 'require' }, full, ['-C', '-j', String(CLIENTS)]),
    };
  },
  fill: async () => {},
});

export default {
  title: 'pool: a query that must go to the origin, by several ways',
  targets: ['portside-agent', 'portside-controlplane', 'portside-tds', 'bench-load', 'bench-native'],
  limitSeconds: 900,

  async run(bench) {
    const stage = await bench.stage({
      ssl: await certificate(),
      sql: `create table items (id int primary key, qty int not null);
        insert into items select i, i * 10 from generate_series(1, 1000) i; analyze items`,
    });
    const [rounds, ms] = bench.smoke ? [1, 2000] : [3, 3000];
    const figures = {};
    for (const start of [postgres, other('mariadb', 'contract/with_mariadb', 'PS_MY', CLIENTS), other('mssql', 'tools/tds/with_tds', 'PS_TDS', 4)]) {
      const provider = await start(bench, stage);
      for (const delay of bench.smoke ? [0, 80] : [0, 20, 80]) {
        await measure(bench, stage, provider, { delay, rounds, ms, figures });
      }
    }
    return figures;
  },
};

async function measure(bench, stage, provider, { delay, rounds, ms, figures }) {
  let { port } = provider;
  if (delay) {
    const relay = await Relay.start({ host: '127.0.0.1', port });
    relay.delayMs = delay / 2; // each way
    bench.started.push(relay);
    port = relay.port;
  }
  const { id } = await stage.controlPlane.createCache({
    name: `${provider.name}far ${delay}`, host: '127.0.0.1', port, defaultCachingBehaviour: 'uncached', ...provider.cache,
  });
  await stage.agent.knows(id, provider.cache.database === 'mssql' ? 'postgres' : 'mssql');
  const ask = (sql) => stage.agent.sql({ ...provider.body(sql), cacheId: id });
  if (!provider.filled) await provider.fill(async (sql) => assert.equal((await ask(sql)).status, 200, sql));
  provider.filled = true;
  const first = await waitUntil(async () => {
    const r = await ask(SQL);
    return r.status === 200 ? r : null;
  }, { what: 'an answer' });
  assert.deepEqual(first.json, provider.want);
  const file = bench.tempFile('body.json', JSON.stringify({ ...provider.body(SQL), cacheId: id }));
  const ways = {
    agent: () => bench.measure('bench-load', [`127.0.0.1:${stage.agent.port}`, '/sql', file, String(provider.clients), String(ms), 'fwd=']),
    ...await provider.ways(port, ms, delay),
  };
  // The pools are full before anything is measured.
  for (const way of ['agent', ...(delay && ways.pgbouncer ? ['pgbouncer'] : [])]) await ways[way]();
  const results = Object.fromEntries(Object.keys(ways).map((way) => [way, []]));
  for (let i = 0; i < rounds; i += 1) {
    for (const way of Object.keys(ways)) results[way].push(await ways[way]());
  }
  const shown = `${provider.cache.database} ${delay} ms`;
  for (const way of Object.keys(ways)) {
    const of = (key) => round(median(results[way].map((r) => r[key])));
    const keys = Object.keys(results[way][0]).filter((key) => ['rps', 'p50_us', 'p99_us', 'mean_us'].includes(key));
    for (const key of keys) figures[`${provider.name}${way}_${key}_${delay}ms`] = of(key);
    bench.print(`    ${shown.padEnd(14)} ${way.padEnd(9)} ${keys.map((key) => `${key} ${of(key)}`).join('  ')}`);
  }
  if (ways.pgbouncer) {
    figures[`over_pgbouncer_${delay}ms`] = round(median(results.agent.map((r, i) => r.rps / results.pgbouncer[i].rps)), 3);
  }
  // Against the same round trip, relay and all.
  figures[`${provider.name}added_us_${delay}ms`] = round(
    figures[`${provider.name}agent_p50_us_${delay}ms`] - figures[`${provider.name}native_p50_us_${delay}ms`]);
}
