// proto/openapi.yaml against the control plane that runs: every call, status,
// header, field and code of the description is produced, and nothing else is
// (lib/conform.mjs judges each exchange, here and in every other test).
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe as suite, test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Contract, contractOf, read } from './lib/conform.mjs';
import { request } from './lib/portside.mjs';
import { run, tempDir, waitUntil } from './lib/process.mjs';
import { Stage } from './lib/stage.mjs';

const root = new URL('../../', import.meta.url);
const source = (name) => fs.readFileSync(new URL(name, root), 'utf8');
const nowhere = '00000000-0000-4000-8000-000000000000';

// What the description has and no test can produce, with a reason that holds as
// long as `holds` says so.
const unreachable = {
  no_memory: ['it takes an allocation that fails', () => /PS_NO_MEMORY/.test(source('controlplane/api/rules.c') + source('controlplane/api/ttls.c'))],
  internal: ['it takes a fault of this program', () => /X\(INTERNAL, "internal", 500/.test(source('common/err.h'))],
};

suite('descriptions', () => {
  for (const name of ['openapi.yaml', 'agent.yaml']) {
    test(`${name} is OpenAPI 3.1`, async () => {
      const validator = new Validator();
      const result = await validator.validate(read(name));
      assert.ok(result.valid, JSON.stringify(result.errors));
      assert.equal(validator.version, '3.1');
    });
  }

  test('the table of routes and openapi.yaml have the same calls', () => {
    const routes = [...source('controlplane/api/routes.c').matchAll(/\{API_(\w+), "([^"]+)", api_\w+, (\w+),/g)]
      .map(([, method, where, need]) => `${method} ${where.replace(/\{[^}]*\}/g, '{}')} ${need.toLowerCase()}`);
    assert.ok(routes.length > 35);
    const { operations } = contractOf('openapi.yaml');
    assert.deepEqual(operations.map((o) => `${o.method} ${o.path.replace(/\{[^}]*\}/g, '{}')} ${o.op['x-role'] ?? 'open'}`).sort(), routes.sort());
  });

  test('codes are those of the error table, and every one belongs to a response', () => {
    const { doc } = contractOf('openapi.yaml');
    const table = new Map([...source('common/err.h').matchAll(/X\(\w+, "(\w+)", (\d+),/g)].map((m) => [m[1], Number(m[2])]));
    const codes = doc.components.schemas.ErrorCode.enum;
    for (const code of codes) assert.ok(table.has(code), code);
    const used = Object.values(doc.components.responses)
      .flatMap((r) => r.content?.['application/json'].schema.allOf[1].properties.code.enum ?? []);
    assert.deepEqual([...used].sort(), [...codes].sort());
    const readme = source('proto/README.md');
    for (const code of codes) assert.match(readme, new RegExp(`\\| \`${code}\` \\| ${table.get(code)} \\|`), `${code} is in the table of proto/README.md`);
  });

  test('the judge refuses what is not described', () => {
    const contract = new Contract('openapi.yaml');
    const good = { status: 200, headers: { 'content-type': 'application/json' }, text: '{"status":"ok"}' };
    const ask = { method: 'GET', url: 'https://h/healthz', headers: {} };
    contract.check(ask, good);
    for (const [change, what] of [
      [{ text: '{"status":"ok","more":1}' }, /additional/], [{ text: '{}' }, /required/], [{ status: 202 }, /status 202/],
      [{ headers: { 'content-type': 'text/html' } }, /text\/html/], [{ headers: { ...good.headers, etag: '"1"' } }, /header etag/],
    ]) assert.throws(() => contract.check(ask, { ...good, ...change }), what);
    assert.throws(() => contract.check({ ...ask, url: 'https://h/v1/new' }, good), /not described/);
    assert.throws(() => contract.check({ ...ask, url: 'https://h/healthz?a=1' }, good), /no parameter a/);
    const probe = { method: 'POST', url: `https://h/v1/caches/${nowhere}/test`, headers: {}, body: '{"x":1}' };
    assert.throws(() => contract.check(probe, { ...good, status: 202, text: `{"runId":"${nowhere}"}` }), /request.*accepted/);
    const error = { statusCode: 404, code: 'conflict', error: 'x', message: 'x' };
    assert.throws(() => contract.check({ ...ask, url: 'https://h/v1/caches/x' }, { ...good, status: 404, text: JSON.stringify(error) }), /code/);
  });
});

suite('control plane against its description', () => {
  const contract = contractOf('openapi.yaml');
  let stage;
  let cp;
  const tokens = {};
  const made = {};

  before(async () => {
    stage = await Stage.create({ regions: ['eu-west'], agentArgs: ['--telemetry-every', '100ms', '--verify-every', '0'], cache: { ttlMinMs: 600000, ttlMaxMs: 86400000 } });
    cp = stage.controlPlane;
    tokens.viewer = (await cp.ok('POST', '/v1/tokens', { name: 'looks', role: 'viewer', caches: [stage.cache.id] })).token;
  });
  after(async () => { await stage?.destroy(); });

  const call = (method, where, body, options) => cp.call(method, where, body, options);
  async function ok(status, ...args) {
    const reply = await call(...args);
    assert.equal(reply.status, status, `${args[0]} ${args[1]}: ${reply.text}`);
    return reply;
  }
  const raw = (method, where, body, headers = {}) => request(`${cp.url}${where}`, {
    method, body, insecure: true, headers: { authorization: `Bearer ${cp.token}`, ...headers },
  });
  // The path of an operation with things that are there.
  const real = (where) => where
    .replace('{type}', 'TABLE').replace('{key}', 'orders').replace('{name}', 'spare')
    .replace('{id}', { rules: made.rule, agents: made.agent, 'join-tokens': made.join, tokens: made.token }[where.split('/')[2]] ?? made.cache);
  const unreal = (where) => where.replace('{type}', 'TABLE').replace('{key}', 'nothing').replace('{name}', 'nowhere').replace('{id}', nowhere);

  test('every success, with every field of its request', async () => {
    const everything = { ...stage.cache, name: 'whole', description: 'd', tlsCa: fs.readFileSync(path.join(cp.data, 'ca.crt'), 'utf8') };
    for (const field of ['id', 'workspaceId', 'createdAt', 'updatedAt', 'connectionUriTemplate', 'revision', 'breakers']) delete everything[field];
    const rule = { type: 'table', key: 'items', mode: 'ttl', ttlMs: 1000, staleIfErrorMs: 1, staleWhileRevalidateMs: 1, name: 'n' };
    const key = { headers: { 'idempotency-key': 'whole' } };
    const first = await ok(201, 'POST', '/v1/caches', { ...everything, rules: [rule] }, key);
    assert.equal((await ok(201, 'POST', '/v1/caches', { ...everything, rules: [rule] }, key)).body.id, first.body.id);
    made.cache = first.body.id;
    const where = `/v1/caches/${made.cache}`;
    const { database, ...settings } = everything;
    await ok(200, 'PATCH', where, settings, { headers: { 'if-match': first.headers.etag } });
    await ok(200, 'PATCH', `${where}/definition`, { ...settings, rules: [rule] }, { headers: { 'if-match': '*' } });
    await ok(200, 'GET', `${where}/definition`);
    await ok(200, 'GET', where);
    await ok(200, 'GET', '/v1/caches');
    await ok(200, 'GET', '/v1/caches?limit=1');
    const next = (await ok(200, 'GET', '/v1/caches?limit=1')).body.next;
    await ok(200, 'GET', `/v1/caches?cursor=${next}`);
    for (const scope of [{}, { table: 'items' }, { template: 'select 1' }, { query: 'select 1' }, { templateId: '00000000000000ab' }, { queryId: '00000000000000ab' }]) {
      await ok(200, 'PUT', `/v1/caches/${stage.cache.id}/purge`, scope);
    }
    await ok(200, 'POST', `${where}/purge`);
    const explain = `/v1/caches/${stage.cache.id}/explain`;
    const sql = 'select name from items where id = ?';
    await stage.warm(stage.agents[0], sql, [1]);
    const bound = (await ok(200, 'POST', explain, { sql, bindings: [1], database: 'app' })).body.results[0].explanation;
    assert.ok(bound.memory.bound >= 1, JSON.stringify(bound));
    await ok(200, 'POST', explain, { sql: 'update items set qty = 1 where id = 1' });
    await ok(201, 'POST', `/v1/caches/${stage.cache.id}/rules`, rule);
    await waitUntil(async () => (await ok(200, 'POST', explain, { sql })).body.results[0].explanation.rule, { what: 'the rule at the agent' });
    await ok(200, 'POST', explain, { sql, bindings: [1, 2, 3] });
    await ok(202, 'POST', `${where}/test`, {});
    const spare = await ok(201, 'POST', `${where}/rules`, { ...rule, key: 'spare' }, { headers: { 'idempotency-key': 'r', 'if-none-match': '*' } });
    await ok(201, 'POST', `${where}/rules`, { ...rule, key: 'spare' }, { headers: { 'idempotency-key': 'r', 'if-none-match': '*' } });
    const replace = { headers: { 'idempotency-key': 'r2', 'if-match': spare.headers.etag } };
    await ok(200, 'POST', `${where}/rules`, { ...rule, key: 'spare', mode: 'never' }, replace);
    await ok(200, 'POST', `${where}/rules`, { ...rule, key: 'spare', mode: 'never' }, replace);
    made.rule = spare.body.id;
    await ok(200, 'GET', `/v1/rules/${made.rule}`);
    const more = (await ok(200, 'GET', `${where}/rules?limit=1`)).body.next;
    await ok(200, 'GET', `${where}/rules?cursor=${more}`);
    const ttl = { type: 'TABLE', key: 'orders', value: 60, name: 'n' };
    const one = await ok(201, 'POST', `${where}/cache-ttls`, ttl, { headers: { 'idempotency-key': 't', 'if-none-match': '*' } });
    await ok(201, 'POST', `${where}/cache-ttls`, ttl, { headers: { 'idempotency-key': 't', 'if-none-match': '*' } });
    for (let i = 0; i < 2; i++) await ok(200, 'POST', `${where}/cache-ttls`, { ...ttl, value: 61 }, { headers: { 'idempotency-key': 't2', 'if-match': one.headers.etag } });
    await ok(200, 'GET', `${where}/cache-ttls`);
    const beyond = (await ok(200, 'GET', `${where}/cache-ttls?limit=1`)).body.next;
    await ok(200, 'GET', `${where}/cache-ttls?cursor=${beyond}`);
    await ok(200, 'GET', `${where}/cache-ttls/orders`);
    await ok(200, 'PATCH', `${where}/cache-ttls/orders`, { value: 5, name: 'five' }, { headers: { 'if-match': '*' } });
    const region = { name: 'spare', description: 'd' };
    for (let i = 0; i < 2; i++) await ok(201, 'POST', '/v1/regions', region, { headers: { 'idempotency-key': 'g' } });
    await ok(200, 'GET', '/v1/regions/spare');
    const regions = (await ok(200, 'GET', '/v1/regions?limit=1')).body.next;
    await ok(200, 'GET', `/v1/regions?cursor=${regions}`);
    const token = { name: 'whole', role: 'viewer', caches: [made.cache] };
    for (let i = 0; i < 2; i++) made.token = (await ok(201, 'POST', '/v1/tokens', token, { headers: { 'idempotency-key': 'k' } })).body.id;
    await ok(200, 'GET', `/v1/tokens/${made.token}`);
    const later = (await ok(200, 'GET', '/v1/tokens?limit=1')).body.next;
    await ok(200, 'GET', `/v1/tokens?cursor=${later}`);
    const join = { region: 'spare', name: 'one', ttlSeconds: 60 };
    let secret;
    for (let i = 0; i < 2; i++) {
      const { body } = await ok(201, 'POST', '/v1/join-tokens', join, { headers: { 'idempotency-key': 'j' } });
      secret = JSON.parse(Buffer.from(body.token.slice(5), 'base64url')).t;
      made.join = body.id;
    }
    await ok(200, 'GET', `/v1/join-tokens/${made.join}`);
    const older = (await ok(200, 'GET', '/v1/join-tokens?limit=1')).body.next;
    await ok(200, 'GET', `/v1/join-tokens?cursor=${older}`);
    const dir = tempDir('csr');
    const { stdout: csr } = await run('openssl', ['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
      '-nodes', '-keyout', path.join(dir, 'agent.key'), '-subj', '/CN=any']);
    made.agent = (await ok(201, 'POST', '/v1/enroll', { token: secret, csr, name: 'n', hostname: 'h' }, { token: null })).body.agentId;
    for (const way of ['drain', 'undrain']) await ok(204, 'POST', `/v1/agents/${made.agent}/${way}`, {});
    await ok(200, 'GET', `/v1/agents/${made.agent}`);
    const agents = (await ok(200, 'GET', '/v1/agents?limit=1')).body.next;
    await ok(200, 'GET', `/v1/agents?cursor=${agents}`);
    for (const open of ['/healthz', '/v1/ca']) await ok(200, 'GET', open, undefined, { token: null });
    await ok(200, 'GET', '/v1/status');
    const { last } = (await ok(200, 'GET', '/v1/events')).body;
    for (const query of [`after=${last}`, 'limit=1&after=0', 'since=1h', 'type=cache_created&since=1d']) await ok(200, 'GET', `/v1/events?${query}`);
    for (const query of ['after=x', 'since=x', 'type=x', 'limit=0', 'x=1']) await ok(400, 'GET', `/v1/events?${query}`);
    const audit = (await ok(200, 'GET', '/v1/audit?limit=1')).body.next;
    await ok(200, 'GET', `/v1/audit?cursor=${audit}`);
    await ok(200, 'GET', '/v1/audit?before=2');
  });

  test('reachability and statistics, with every field', async () => {
    const { id } = stage.cache;
    let seen;
    await waitUntil(async () => {
      seen = (await ok(200, 'GET', `/v1/caches/${id}/reachability`)).body;
      return seen.state === 'done';
    }, { what: () => JSON.stringify(seen) });
    await ok(200, 'GET', `/v1/caches/${id}/reachability?run=${seen.runId}`);
    // A breaker is of the moment: another tag, the same version.
    const down = await stage.createCache('down', { port: 1, breakerFailures: 1, breakerOpenMs: 3600000 });
    const at = `/v1/caches/${down.id}`;
    const calm = (await ok(200, 'GET', at)).headers.etag;
    await stage.query(stage.agents[0], 'select 1', undefined, { cache: down });
    let open;
    await waitUntil(async () => { open = await ok(200, 'GET', at); return open.body.breakers.length > 0; }, { what: 'a breaker' });
    assert.notEqual(open.headers.etag, calm);
    await ok(200, 'GET', at, undefined, { headers: { 'if-none-match': calm } });
    await ok(304, 'GET', at, undefined, { headers: { 'if-none-match': open.headers.etag } });
    await ok(200, 'PATCH', at, { description: 'd' }, { headers: { 'if-match': calm } });
    await ok(412, 'PATCH', at, { description: 'e' }, { headers: { 'if-match': open.headers.etag } });
    await ok(204, 'DELETE', at);
    await stage.query(stage.agents[0], 'select now()');
    await waitUntil(async () => {
      const { body } = await ok(200, 'GET', `/v1/caches/${id}/stats?by=time,region,template&since=1h&region=eu-west&order=hits&limit=3`);
      return body.templates.some((t) => t.text);
    }, { what: 'statistics' });
    const to = new Date().toISOString();
    const from = new Date(Date.now() - 3600e3).toISOString();
    await ok(200, 'GET', `/v1/caches/${id}/stats?from=${from}&to=${to}&template=0000000000000000`);
    const { next } = (await ok(200, 'GET', `/v1/stats?by=time&since=1h&region=eu-west&limit=1`)).body;
    await ok(200, 'GET', `/v1/stats?from=${from}&to=${to}&cursor=${next}`);
  });

  test('every refusal of every call', async () => {
    const all = contract.operations;
    const has = (op, status) => status in op.responses;
    const body = (op) => (['POST', 'PUT', 'PATCH'].includes(op.method) ? '{}' : undefined);
    for (const op of all) {
      const where = real(op.path);
      assert.ok(has(op, '400'), `${op.at} has 400`);
      // Any header that may be there once.
      const twice = await raw(op.method, where, body(op), { 'if-none-match': ['"a"', '"b"'] });
      assert.equal(twice.status, 400, `${op.at}: ${twice.text}`);
      if (has(op, '401')) {
        const fields = op.open ? JSON.stringify({ token: 'x', csr: 'x' }) : body(op);
        const reply = await request(`${cp.url}${where}`, { method: op.method, body: fields, insecure: true });
        assert.equal(reply.status, 401, op.at);
      }
      if (has(op, '403')) assert.equal((await call(op.method, op.path.startsWith('/v1/caches/{') ? where.replace(made.cache, stage.cache.id) : where, body(op) && {}, { token: tokens.viewer })).status, 403, op.at);
      if (has(op, '404')) {
        const fields = op.at === 'PATCH /v1/caches/{id}/cache-ttls/{key}' ? { value: 1 } : { type: 'TABLE', key: 'k', value: 1, name: 'n', mode: 'never' };
        const asked = body(op) && (/cache-ttls$/.test(op.path) ? { type: 'TABLE', key: 'k', value: 1 } : /explain$/.test(op.path) ? { sql: 'select 1' } : /rules$/.test(op.path) ? { type: 'table', key: 'k', mode: 'never' } : fields.value === 1 && /\{key\}/.test(op.path) ? { value: 1 } : /(purge|test|drain|revoke)$/.test(op.path) ? {} : { name: 'n' });
        const reply = await call(op.method, unreal(op.path), asked);
        assert.equal(reply.status, 404, `${op.at}: ${reply.text}`);
      }
      if (has(op, '304')) {
        const { etag } = (await ok(200, 'GET', where)).headers;
        const same = await ok(304, 'GET', where, undefined, { headers: { 'if-none-match': `"x", W/${etag}` } });
        assert.equal(same.headers.etag, etag);
        await ok(200, 'GET', where, undefined, { headers: { 'if-none-match': '"x"' } });
      }
      if (has(op, '413')) {
        const reply = await raw(op.method, where, ' '.repeat((1 << 20) + 1));
        assert.equal(reply.status, 413, op.at);
        assert.equal(JSON.parse(reply.text).code, 'body_too_big');
      }
      if (has(op, '422')) {
        const reply = await call(op.method, where, { name: 'another' }, { headers: { 'idempotency-key': '"whole"' } });
        assert.equal(reply.status, 422, op.at);
      }
    }
  });

  test('stale versions: 412, and nothing was changed', async () => {
    const bodies = {
      'PATCH /v1/caches/{id}': { name: 'lost' },
      'PATCH /v1/caches/{id}/definition': { name: 'lost', rules: [] },
      'PATCH /v1/caches/{id}/cache-ttls/{key}': { value: 9 },
      'POST /v1/caches/{id}/rules': { type: 'table', key: 'spare', mode: 'never' },
      'POST /v1/caches/{id}/cache-ttls': { type: 'TABLE', key: 'orders', value: 9 },
    };
    const before_ = (await ok(200, 'GET', `/v1/caches/${made.cache}/definition`)).text;
    let n = 0;
    for (const op of contract.operations.filter((o) => '412' in o.responses)) {
      n += 1;
      const where = real(op.path);
      const reply = await call(op.method, where, bodies[op.at], { headers: { 'if-match': '"stale", W/"1"' } });
      assert.equal(reply.status, 412, `${op.at}: ${reply.text}`);
      assert.equal(reply.body.code, 'precondition_failed');
      assert.match(reply.body.message, /changed since.*Read it again/);
      assert.equal(reply.headers.etag, (await call('GET', op.method === 'POST' ? (/rules$/.test(where) ? `/v1/rules/${made.rule}` : `${where}/orders`) : where)).headers.etag, op.at);
      assert.equal((await call(op.method, where, bodies[op.at], { headers: { 'if-match': 'stale' } })).status, 400, op.at);
    }
    assert.ok(n >= 11);
    assert.equal((await ok(200, 'GET', `/v1/caches/${made.cache}/definition`)).text, before_);
    // Where there is nothing to compare with it is not ignored.
    for (const [method, where, body] of [['POST', '/v1/caches', { name: 'x', host: 'h', database: 'mysql' }], ['PUT', `/v1/caches/${made.cache}/purge`],
      ['POST', `/v1/agents/${made.agent}/revoke`], ['DELETE', `/v1/caches/${made.cache}/cache-ttls/TABLE/orders`]]) {
      const reply = await call(method, where, body, { headers: { 'if-match': '"1"' } });
      assert.equal(reply.status, 400, reply.text);
      assert.match(reply.body.message, /takes no If-Match/);
    }
  });

  test('conflicts, wrong bodies, limits', async () => {
    const cache = { name: 'main', host: 'h', database: 'postgres' };
    await ok(409, 'POST', '/v1/caches', cache);
    await ok(409, 'PATCH', `/v1/caches/${made.cache}`, { name: 'main' });
    await ok(409, 'PATCH', `/v1/caches/${made.cache}/definition`, { name: 'main' });
    await ok(409, 'POST', '/v1/regions', { name: 'spare' });
    await ok(409, 'DELETE', '/v1/regions/spare');
    await ok(409, 'DELETE', `/v1/agents/${made.agent}`);
    await ok(409, 'POST', '/v1/tokens', { name: 'admin' });
    const [admin] = (await ok(200, 'GET', '/v1/tokens')).body.items;
    await ok(409, 'DELETE', `/v1/tokens/${admin.id}`);
    for (const body of ['{', Buffer.from([0x7b, 0xff, 0x7d])]) assert.equal((await raw('POST', '/v1/caches', body)).status, 400);
    await ok(400, 'POST', '/v1/caches', { name: 'x' });
    await ok(400, 'POST', '/v1/caches', { ...cache, x: 1 });
    await ok(404, 'GET', '/v1/nothing');
    await ok(405, 'PUT', '/v1/caches');
    const rules = Array.from({ length: 1000 }, (_, i) => ({ type: 'table', key: `t${i}`, mode: 'never' }));
    const full = (await ok(201, 'POST', '/v1/caches', { ...cache, name: 'full', rules })).body.id;
    const reply = await ok(413, 'POST', `/v1/caches/${full}/rules`, { type: 'table', key: 'one more', mode: 'never' });
    assert.equal(reply.body.code, 'too_big');
    await ok(204, 'DELETE', `/v1/caches/${full}`);
  });

  test('every removal', async () => {
    await ok(204, 'DELETE', `/v1/caches/${made.cache}/cache-ttls/TABLE/orders`);
    await ok(204, 'POST', `/v1/agents/${made.agent}/revoke`, {});
    for (const way of ['drain', 'undrain']) await ok(409, 'POST', `/v1/agents/${made.agent}/${way}`, {});
    for (const where of [`/v1/rules/${made.rule}`, `/v1/caches/${made.cache}`, `/v1/agents/${made.agent}`, `/v1/join-tokens/${made.join}`, '/v1/regions/spare', `/v1/tokens/${made.token}`]) {
      const { etag } = (await ok(200, 'GET', where)).headers;
      await ok(204, 'DELETE', where, undefined, { headers: { 'if-match': etag } });
      await ok(404, 'GET', where);
    }
  });

  test('more questions to the agents at once than can be held', async () => {
    const [agent] = stage.agents;
    const go = (reply) => { if (reply.status === 429) agent.process.signal('SIGCONT'); return reply; };
    for (const [method, what, body] of [['PUT', 'purge', {}], ['POST', 'purge', {}], ['POST', 'explain', { sql: 'select 1' }]]) {
      const where = `/v1/caches/${stage.cache.id}/${what}`;
      await waitUntil(async () => {
        agent.process.signal('SIGSTOP');
        const replies = await Promise.all(Array.from({ length: 70 }, async () => go(await call(method, where, body))));
        agent.process.signal('SIGCONT');
        return replies.some((r) => r.body.code === 'too_many_requests');
      }, { what: `429 of ${method} ${what}` });
    }
  });

  test('who waits for agents when the control plane ends is told so', async () => {
    const [agent] = stage.agents;
    agent.process.signal('SIGSTOP');
    try {
      const waits = call('POST', `/v1/caches/${stage.cache.id}/purge`, {});
      await waitUntil(async () => {
        const [last] = (await ok(200, 'GET', '/v1/audit?limit=1')).body.items;
        return last.path.endsWith('/purge') && last.status === null;
      }, { what: 'a purge under way' });
      const [reply] = await Promise.all([waits, cp.stop()]);
      assert.deepEqual([reply.status, reply.body.code], [503, 'shutting_down']);
    } finally {
      await cp.boot();
      agent.process.signal('SIGCONT');
    }
    const [last] = (await ok(200, 'GET', '/v1/audit?limit=1')).body.items;
    assert.equal(last.status, 503);
  });

  test('a store that fails is 500 for every call that uses it', async () => {
    const script = 'import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\n'
      + 'for t in ("tokens", "join_tokens"):\n    db.execute("ALTER TABLE %s RENAME TO %s" % ((t, t + "_away")[::int(sys.argv[2])]))\ndb.commit()\n';
    const move = (step) => run('python3', ['-c', script, path.join(cp.data, 'portside.db'), String(step)]);
    await move(1);
    try {
      for (const op of contract.operations.filter((o) => 'default' in o.responses)) {
        const body = { POST: {}, PUT: {}, PATCH: {} }[op.method];
        const reply = await call(op.method, unreal(op.path), op.open ? { token: 'x', csr: 'x' } : body);
        assert.equal(reply.status, 500, `${op.at}: ${reply.text}`);
        assert.equal(reply.body.code, 'store_error');
      }
    } finally {
      await move(-1);
    }
    await ok(200, 'GET', '/v1/tokens');
  });

  test('nothing in the description was left out', () => {
    const { responses, fields, requestFields, params } = contract.described();
    const missing = (set) => [...set].filter((one) => !contract.seen.has(one)).sort();
    assert.deepEqual(missing(responses), []);
    assert.deepEqual(missing(fields), []);
    assert.deepEqual(missing(requestFields), []);
    assert.deepEqual(missing(params), []);
    const codes = missing(contract.doc.components.schemas.ErrorCode.enum);
    assert.deepEqual(codes, Object.keys(unreachable).sort());
    for (const [code, [why, holds]] of Object.entries(unreachable)) assert.ok(holds(), `${code}: ${why}`);
  });
});
