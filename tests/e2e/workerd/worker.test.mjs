// The example Worker, as it is, in the real Workers runtime: bundled like wrangler
// does, served by workerd, and over HTTPS to an agent, for all four providers.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe as suite, test } from 'node:test';
import { build } from 'esbuild';
import { MariaDb } from '../lib/mariadb.mjs';
import { Agent, ControlPlane, request } from '../lib/portside.mjs';
import { Postgres } from '../lib/postgres.mjs';
import { Process, run, tempDir, waitUntil } from '../lib/process.mjs';
import { TdsServer } from '../lib/tds.mjs';

const here = path.dirname(new URL(import.meta.url).pathname);
const example = path.join(here, '../../../examples/cloudflare-worker');
const workerd = path.join(here, '../node_modules/@cloudflare/workerd-linux-64/bin/workerd');

const table = `create table items (id int primary key, name varchar(50), qty int);
  insert into items values (7, 'item 7', 70), (8, 'item 8', 80);`;

// A certificate for 127.0.0.1 that only who has it as a CA trusts.
async function certificate(dir) {
  const key = path.join(dir, 'key.pem');
  const cert = path.join(dir, 'cert.pem');
  await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', cert, '-days', '2',
    '-subj', '/CN=agent', '-addext', 'subjectAltName=IP:127.0.0.1']);
  return { key, cert };
}

suite('the example Worker in workerd', () => {
  const started = [];
  let dir;
  let agent;
  let workers; // provider -> URL
  let ids; // provider -> id of its cache

  const keep = (it) => { started.push(it); return it; };

  before(async () => {
    dir = tempDir('workerd');
    const tls = await certificate(dir);
    const [postgres, maria, tds, controlPlane] = (await Promise.all([
      Postgres.start(), MariaDb.start(), TdsServer.start(), ControlPlane.start(),
    ])).map(keep);
    await postgres.sql("create role alice login password 'alice-pw'");
    await postgres.sql('create database app owner alice');
    await postgres.sql(`${table} grant all on items to alice`, { database: 'app' });
    await maria.sql(table);
    await tds.sql(table);
    agent = keep(await Agent.start(controlPlane, 'west', { args: ['--listen-tls', '127.0.0.1:0', '--tls-cert', tls.cert, '--tls-key', tls.key] }));
    const https = /https:\/\/127\.0\.0\.1:\d+/.exec(agent.process.output)[0];
    const caches = {};
    for (const [provider, db] of Object.entries({ postgres, mysql: maria, mariadb: maria, mssql: tds })) {
      const cache = await controlPlane.createCache({
        name: provider, host: db.host, port: db.port, database: provider,
        ...(provider === 'mssql' ? { tlsMode: 'verify-full', tlsCa: tds.tls.pem } : { tlsMode: 'disable' }),
      });
      await agent.knows(cache.id, provider === 'mssql' ? 'postgres' : 'mssql');
      caches[provider] = cache.id;
    }
    await build({
      entryPoints: [path.join(example, 'src/index.ts')], bundle: true, format: 'esm', platform: 'neutral', mainFields: ['module', 'main'], conditions: ['import'],
      nodePaths: [path.join(here, '../node_modules')], outfile: path.join(dir, 'worker.js'), logLevel: 'error',
    });
    ids = caches;
    await serve(https, caches);
  });
  after(async () => {
    for (const it of started.reverse()) await it.stop();
  });

  // One workerd with a Worker and a socket for each provider.
  async function serve(endpoint, caches) {
    const toml = fs.readFileSync(path.join(example, 'wrangler.toml'), 'utf8');
    const date = /compatibility_date = "(.*)"/.exec(toml)[1];
    const names = Object.keys(caches);
    const worker = (provider) => {
      const bindings = Object.entries({
        PORTSIDE_ENDPOINT: endpoint, PORTSIDE_CACHE: caches[provider], PORTSIDE_PROVIDER: provider, DB_NAME: 'app', DB_USER: 'alice', DB_PASSWORD: 'alice-pw',
      }).map(([name, text]) => `(name = "${name}", text = "${text}")`);
      return `(name = "${provider}", worker = (modules = [(name = "worker", esModule = embed "worker.js")], compatibilityDate = "${date}",
        compatibilityFlags = ["nodejs_compat"], bindings = [${bindings.join(', ')}]))`;
    };
    fs.writeFileSync(path.join(dir, 'config.capnp'), `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "internet", network = (allow = ["public", "private", "local"], tlsOptions = (trustedCertificates = [embed "cert.pem"], trustBrowserCas = false))),
    ${names.map(worker).join(',\n    ')}
  ],
  sockets = [${names.map((name) => `(name = "${name}", address = "127.0.0.1:0", http = (), service = "${name}")`).join(', ')}]
);
`);
    const runtime = keep(new Process('workerd', workerd, ['serve', '--control-fd=1', path.join(dir, 'config.capnp')]));
    workers = {};
    for (const name of names) {
      const [, port] = await runtime.line(new RegExp(`"socket":"${name}","port":(\\d+)`));
      workers[name] = `http://127.0.0.1:${port}`;
    }
  }

  async function ask(provider, where, method = 'GET') {
    const reply = await request(`${workers[provider]}${where}`, { method });
    return { status: reply.status, cache: reply.headers['cache-status'] ?? '', json: JSON.parse(reply.text) };
  }

  for (const provider of ['postgres', 'mysql', 'mariadb', 'mssql']) {
    test(`${provider}: miss, hit, a write, and what it ends`, async () => {
      const read = async () => {
        const reply = await ask(provider, '/items/7');
        assert.equal(reply.status, 200, JSON.stringify(reply.json));
        return reply;
      };
      const first = await read();
      assert.match(first.cache, /fwd=/);
      assert.equal(first.json[0].name, 'item 7');
      await waitUntil(async () => /;\s*hit/.test((await read()).cache), { what: 'a hit' });
      const before = (await read()).json[0].qty;
      const write = await ask(provider, `/items/7?qty=${before + 1}`, 'POST');
      assert.equal(write.status, 200, JSON.stringify(write.json));
      const next = await read();
      assert.doesNotMatch(next.cache, /;\s*hit/);
      assert.equal(next.json[0].qty, before + 1);
    });
  }

  // The other examples, in Node, over plain HTTP of the same agent.
  async function bundled(file) {
    const out = path.join(dir, `${path.basename(file, '.ts')}.mjs`);
    await build({ entryPoints: [path.join(example, '..', file)], bundle: true, format: 'esm', platform: 'neutral', outfile: out, logLevel: 'error' });
    return import(out);
  }
  const environment = () => ({ PORTSIDE_ENDPOINT: agent.url, PORTSIDE_CACHE: ids.postgres, DB_NAME: 'app', DB_USER: 'alice', DB_PASSWORD: 'alice-pw' });

  test('the handler for the edge of Vercel', async () => {
    Object.assign(process.env, environment());
    const { default: handler, config } = await bundled('fetch/vercel-edge.ts');
    assert.deepEqual(config, { runtime: 'edge' });
    await waitUntil(async () => {
      const reply = await handler(new Request('https://app.example/api/items?id=8'));
      assert.deepEqual(await reply.json(), [{ id: 8, name: 'item 8', qty: 80 }]);
      return reply.headers.get('x-cache') === 'hit';
    }, { what: 'a hit' });
  });

  test('fetch as Deno has it', async () => {
    globalThis.Deno = { env: { get: (name) => environment()[name] } };
    const said = [];
    const { log } = console;
    console.log = (...args) => { said.push(args); };
    try {
      await bundled('fetch/deno.ts');
    } finally {
      console.log = log;
      delete globalThis.Deno;
    }
    assert.deepEqual(said.map(([rows]) => rows), [[{ one: 1 }], [{ one: 1 }], [{ one: 1 }]]);
  });

  test('an error of the database reaches the Worker as an error', async () => {
    const reply = await ask('postgres', '/items/99999999999');
    assert.equal(reply.status, 502);
    assert.match(reply.json.error, /out of range|integer/);
  });
});
