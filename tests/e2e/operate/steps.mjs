// The commands, in the order in which they are run. Each step gets the world of
// operate.test.mjs; world.tell(words) runs psctl and writes down what it said.

// For people and for programs.
async function both(w, words, options) {
  await w.tell(words, options);
  await w.tell([...words, '--json'], options);
}

async function login(w) {
  const { url } = w.stage.controlPlane;
  const file = ['--token-file', `${w.dir}/token`, '--ca-file', `${w.dir}/ca.pem`];
  await w.tell(['status']);
  await both(w, ['login', '--url', url, ...file]);
  await w.tell(['login', '--url', url, '--token-file', `${w.dir}/none`, '--ca-file', `${w.dir}/ca.pem`]);
}

async function contexts(w) {
  await both(w, ['context', 'set', 'spare', '--url', 'https://spare.example.com:7600', '--token-path', `${w.dir}/token`]);
  await both(w, ['context', 'list']);
  await both(w, ['context', 'use', 'default']);
  await both(w, ['context', 'show', 'spare']);
  await w.tell(['context', 'show', 'spar']);
  await w.tell(['context', 'delete', 'spare', '--yes']);
  await w.psctl(['context', 'set', 'spare', '--url', 'https://spare.example.com:7600']);
  await w.tell(['context', 'delete', 'spare', '--json']);
}

async function regions(w) {
  await both(w, ['region', 'create', 'ap-south', '--description', 'far away']);
  await w.tell(['region', 'create', 'ap-north', '--json']);
  await both(w, ['region', 'list']);
  await w.tell(['region', 'delete', 'ap-south', '--yes']);
  await w.tell(['region', 'delete', 'ap-north', '--json']);
  await w.tell(['region', 'delete', 'eu-west', '--yes']);
}

async function caches(w) {
  const { host, port } = w.stage.db;
  const origin = ['--type', 'postgres', '--host', host, '--port', String(port), '--tls', 'disable'];
  await w.tell(['cache', 'create', '--name', 'shop', ...origin]);
  await w.tell(['cache', 'create', '--name', 'crm', ...origin, '--json']);
  await w.tell(['cache', 'create', '--name', 'shop', ...origin]);
  await both(w, ['cache', 'list']);
  await both(w, ['cache', 'show', 'shop']);
  await both(w, ['cache', 'update', 'shop', '--ttl-max', '5m', '--memory-share', '30', '--rate-limit', '500']);
  await w.tell(['cache', 'update', 'shop', '--memory-share', '0']);
  await both(w, ['cache', 'test', 'shop']);
  await w.tell(['cache', 'show', 'shp']);
  await w.tell(['cache', 'delete', 'crm', '--yes']);
  await w.psctl(['cache', 'create', '--name', 'crm', ...origin, '--no-wait']);
  await w.tell(['cache', 'delete', 'crm', '--json']);
}

async function rules(w) {
  await both(w, ['rule', 'set', 'shop', '--table', 'public.items', '--ttl', '30s']);
  await w.tell(['rule', 'set', 'shop', '--template', 'select 1', '--never']);
  await w.tell(['rule', 'set', 'shop', '--query', 'select name from items', '--auto', '--stale-if-error', '1h']);
  await w.tell(['rule', 'set', 'shop', '--table', 'items']);
  await both(w, ['rule', 'list', 'shop']);
  const list = JSON.parse((await w.psctl(['rule', 'list', 'shop', '--json'])).stdout);
  const id = (type) => list.find((r) => r.type === type).id;
  await w.tell(['rule', 'delete', id('query'), '--yes']);
  await w.tell(['rule', 'delete', id('template'), '--json']);
}

async function queries(w) {
  const [agent] = w.stage.agents;
  const ask = ['query', '--cache', 'shop', '--user', 'alice', '--database', 'app', '--endpoint', agent.url];
  const env = { PORTSIDE_DB_PASSWORD: 'alice-pw' };
  const sql = 'select id, name from items where id < 3 order by id';
  // The agents have the newest definitions.
  await w.waitUntil(async () => {
    const { configVersion } = await w.stage.controlPlane.ok('GET', '/v1/status');
    const { items } = await w.stage.controlPlane.ok('GET', '/v1/agents');
    return items.every((a) => a.configVersion === configVersion);
  }, { what: 'agents to have the definitions' });
  for (let i = 0; i < 2; i += 1) await w.tell([...ask, sql], { env });
  await w.tell([...ask, sql], { env });
  await w.tell([...ask, sql, '--json'], { env });
  await w.tell([...ask, 'select now() is not null as fine'], { env });
  await w.tell([...ask, 'select * from nothing'], { env });
}

async function statistics(w) {
  await w.waitUntil(async () => {
    const { stdout } = await w.psctl(['stats', 'shop', '--json']);
    return JSON.parse(stdout).total.queries === 6;
  }, { timeoutMs: 20000, what: 'the statistics of six queries' });
  await both(w, ['stats']);
  await both(w, ['stats', 'shop', '--by', 'region,template']);
  await both(w, ['advise', 'shop']);
  await both(w, ['top', 'shop']);
  await w.tell(['top', '--once']);
}

async function whyAndPurge(w) {
  await both(w, ['explain', 'shop', '--database', 'app', 'select id, name from items where id < 3 order by id']);
  await w.tell(['explain', 'shop', '--database', 'app', 'select now(), name from items where id = ?', '7']);
  await both(w, ['purge', 'shop', '--table', 'items']);
  await w.tell(['purge', 'shop']);
  await w.tell(['purge', 'shp']);
  await both(w, ['events', '--type', 'agent_connected']);
  await w.tell(['events', '--type', 'purges']);
}

async function tokens(w) {
  await w.tell(['token', 'create', 'ci', '--role', 'viewer', '--cache', 'shop']);
  await w.tell(['token', 'create', 'deploy', '--role', 'operator', '--json']);
  await both(w, ['token', 'list']);
  await w.tell(['token', 'revoke', 'ci', '--yes']);
  await w.tell(['token', 'revoke', 'deploy', '--json']);
}

async function agents(w) {
  await both(w, ['agent', 'join-token', '--region', 'eu-west', '--name', 'spare']);
  await both(w, ['agent', 'join-token', 'list']);
  const list = JSON.parse((await w.psctl(['agent', 'join-token', 'list', '--json'])).stdout);
  const open = list.filter((t) => t.usedAt === null);
  await w.tell(['agent', 'join-token', 'revoke', open[0].id, '--yes']);
  await w.tell(['agent', 'join-token', 'revoke', open[1].id, '--json']);
  await both(w, ['agent', 'list']);
  const [, away] = w.stage.agents;
  await w.tell(['agent', 'drain', away.id]);
  await w.tell(['agent', 'undrain', away.id, '--json']);
  await w.tell(['agent', 'drain', away.id, '--json']);
  await w.tell(['agent', 'undrain', away.id]);
}

const manifest = (w) => `version: 1
caches:
  - name: shop
    pool-max: 50
    description: what customers see
    rules:
      - {table: public.items, ttl: 1m}
      - {template: "select 1", mode: never}
  - name: crm
    type: postgres
    host: ${w.stage.db.host}
    port: ${w.stage.db.port}
    tls: disable
    rules:
      - {table: people, mode: auto, stale-if-error: 1h}
`;

async function declared(w) {
  await both(w, ['export', 'shop']);
  const input = manifest(w);
  await both(w, ['plan', '-f', '-'], { input });
  await w.tell(['plan', '-f', '-'], { input: input.replace('pool-max', 'pool-mx') });
  await w.tell(['apply', '-f', '-'], { input });
  await w.tell(['apply', '-f', '-', '--yes'], { input });
  await w.tell(['plan', '-f', '-'], { input });
  await w.tell(['apply', '-f', '-', '--yes', '--json'], { input: `${input}  - {name: main, absent: true}\n` });
  // What is exported is what is there.
  const all = (await w.psctl(['export'])).stdout;
  await w.tell(['plan', '-f', '-', '--prune', '--quiet'], { input: all });
  const one = (await w.psctl(['export', 'shop'])).stdout;
  await w.tell(['apply', '-f', '-', '--prune', '--yes'], { input: one });
}

async function lookAround(w) {
  await both(w, ['status']);
  await both(w, ['audit', '--limit', '3']);
  await both(w, ['version']);
  await w.tell(['help', 'region', 'delete']);
  await w.tell(['help', 'region', 'delete', '--json']);
  await w.tell(['completion', 'bash']);
  await w.tell(['completion', 'bash', '--json']);
}

async function leave(w) {
  const [, gone] = w.stage.agents;
  await w.tell(['agent', 'revoke', gone.id, '--yes']);
  await w.tell(['agent', 'revoke', gone.id, '--yes', '--json']);
  await gone.stop();
  await w.tell(['agent', 'remove', gone.id, '--yes']);
  await w.tell(['agent', 'remove', gone.id, '--yes', '--json']);
  await both(w, ['logout']);
}

export const steps = [login, contexts, regions, caches, rules, queries, whyAndPurge, tokens, agents, declared, statistics, lookAround,
  leave];
