// The REST API of a real control plane, over HTTPS and with its own CA: every
// path of proto/openapi.yaml, every kind of refusal, what is on disk, and what
// a restart keeps.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import tls from 'node:tls';
import { after, before, describe as suite, test } from 'node:test';
import { ControlPlane, request } from './lib/portside.mjs';
import { Process, buildDir, program, run, tempDir } from './lib/process.mjs';

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const nowhere = '00000000-0000-4000-8000-000000000000';
const openapi = fs.readFileSync(new URL('../../proto/openapi.yaml', import.meta.url), 'utf8');

// [{ method, path, open }] of the description; enough of YAML for that.
function described() {
  const found = [];
  let where = null;
  for (const line of openapi.slice(openapi.indexOf('\npaths:')).split('\n')) {
    if (/^components:/.test(line)) break;
    const p = line.match(/^ {2}(\/\S*):$/);
    const m = line.match(/^ {4}(get|post|put|patch|delete):$/);
    if (p) [, where] = p;
    if (m) found.push({ method: m[1].toUpperCase(), path: where, open: false });
    if (/^ {6}security: \[\]$/.test(line)) found.at(-1).open = true;
  }
  return found;
}

// Rows of the store, read by somebody else than the control plane.
async function store(cp, sql) {
  const script = 'import json, sqlite3, sys\n'
    + 'db = sqlite3.connect(sys.argv[1])\n'
    + 'rows = db.execute(sys.argv[2]).fetchall()\n'
    + 'db.commit()\n'
    + 'print(json.dumps(rows, default=lambda b: b.hex()))';
  const { stdout } = await run('python3', ['-c', script, path.join(cp.data, 'portside.db'), sql]);
  return JSON.parse(stdout);
}

async function makeCsr(dir) {
  const { stdout } = await run('openssl', ['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
    '-nodes', '-keyout', path.join(dir, 'agent.key'), '-subj', '/CN=any']);
  return stdout;
}

suite('control plane', () => {
  let cp;
  let ca;

  before(async () => {
    cp = await ControlPlane.start();
    ca = fs.readFileSync(path.join(cp.data, 'ca.crt'), 'utf8');
  });
  after(async () => { await cp?.stop(); });

  // A call that trusts the CA on disk and nothing else. body: sent as it is
  // when it is text or bytes.
  async function call(method, where, body, { token = cp.token, headers = {} } = {}) {
    const raw = body === undefined || typeof body === 'string' || Buffer.isBuffer(body);
    const reply = await request(`${cp.url}${where}`, {
      method, ca, body: raw ? body : JSON.stringify(body),
      headers: { ...(token ? { authorization: `Bearer ${token}` } : {}), ...headers },
    });
    const type = reply.headers['content-type'];
    assert.equal(type, reply.status === 204 ? undefined : 'application/json');
    return { ...reply, json: reply.text ? JSON.parse(reply.text) : undefined };
  }
  async function ok(status, ...args) {
    const reply = await call(...args);
    assert.equal(reply.status, status, reply.text);
    return reply.json;
  }
  async function refused(status, code, ...args) {
    const reply = await call(...args);
    assert.equal(reply.status, status, reply.text);
    assert.deepEqual(Object.keys(reply.json).sort(), ['code', 'error', 'message', 'statusCode']);
    assert.equal(reply.json.statusCode, status);
    assert.equal(reply.json.code, code, reply.text);
    assert.ok(reply.json.message.length > 5, reply.text);
    return reply;
  }
  const shop = { name: 'shop', database: 'postgres', host: 'db.example.com' };

  test('the first start makes a CA, a token and a store for the owner only', async () => {
    const mode = (file) => (fs.statSync(path.join(cp.data, file)).mode & 0o777).toString(8);
    assert.equal(mode('.'), '700');
    assert.equal(mode('admin.token'), '600');
    assert.equal(mode('ca.key'), '600');
    assert.equal(mode('portside.db'), '600');
    assert.match(cp.token, /^psk_[A-Za-z0-9_-]{43}$/);
    const cert = new crypto.X509Certificate(ca);
    assert.ok(cert.ca);
    const { json } = await call('GET', '/v1/ca', undefined, { token: null });
    assert.equal(json.certificate, ca);
    assert.equal(json.fingerprint, cert.fingerprint256.replaceAll(':', '').toLowerCase());
  });

  test('its certificate is signed by that CA, for the name it is reached by', async () => {
    const peer = await new Promise((resolve, reject) => {
      const socket = tls.connect({ host: cp.host, port: cp.ports.api, ca }, () => {
        resolve(socket.getPeerX509Certificate());
        socket.destroy();
      });
      socket.on('error', reject);
    });
    assert.ok(peer.verify(new crypto.X509Certificate(ca).publicKey));
    assert.equal(peer.checkIP('127.0.0.1'), '127.0.0.1');
    assert.equal(peer.checkHost('localhost'), 'localhost');
    await assert.rejects(request(`${cp.url}/healthz`), /self.signed|unable to/i);
  });

  test('plain HTTP and the old TLS versions get nothing', async () => {
    await assert.rejects(request(`${cp.url.replace('https', 'http')}/healthz`));
    await assert.rejects(new Promise((resolve, reject) => {
      const socket = tls.connect({
        host: cp.host, port: cp.ports.api, ca, maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0',
      }, resolve);
      socket.on('error', reject);
    }));
  });

  test('every path and method of openapi.yaml is there, and asks for a token', async () => {
    const all = described();
    assert.ok(all.length >= 24, `only ${all.length} found`);
    for (const one of all) {
      const where = one.path.replace('{id}', nowhere).replace('{name}', 'nowhere');
      const reply = await call(one.method, where, undefined, { token: null });
      if (one.open) {
        assert.ok([200, 400].includes(reply.status), `${one.method} ${where}: ${reply.status}`);
        continue;
      }
      assert.equal(reply.status, 401, `${one.method} ${where}: ${reply.status}`);
      assert.equal(reply.json.code, 'unauthorized');
      assert.equal(reply.headers['www-authenticate'], 'Bearer');
    }
  });

  test('methods that openapi.yaml does not have are 405 and say which are', async () => {
    const byPath = new Map();
    for (const one of described()) {
      byPath.set(one.path, [...(byPath.get(one.path) ?? []), one.method]);
    }
    for (const [where, methods] of byPath) {
      const path_ = where.replace('{id}', nowhere).replace('{name}', 'nowhere');
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
        if (methods.includes(method)) continue;
        const reply = await refused(405, 'method_not_allowed', method, path_);
        assert.deepEqual(reply.headers.allow.split(', ').sort(), [...methods].sort(), path_);
      }
    }
  });

  test('a path that is not there is 404, token or not', async () => {
    for (const where of ['/', '/v1', '/v1/', '/v1/cachesx', '/v1/caches/', '/v1/caches/a/b', '/v2/caches', '/%2e%2e/etc/passwd']) {
      await refused(404, 'not_found', 'GET', where);
      await refused(404, 'not_found', 'GET', where, undefined, { token: null });
    }
  });

  test('wrong tokens', async () => {
    const wrong = [`psk_${'A'.repeat(43)}`, cp.token.slice(0, -1), `${cp.token}x`, '', 'x'.repeat(4000)];
    for (const token of wrong) {
      const reply = await refused(401, 'unauthorized', 'GET', '/v1/caches', undefined,
        { token: null, headers: { authorization: `Bearer ${token}` } });
      assert.ok(!reply.text.includes(cp.token.slice(4)));
    }
    await refused(401, 'unauthorized', 'GET', '/v1/caches', undefined,
      { token: null, headers: { authorization: `Basic ${Buffer.from(`a:${cp.token}`).toString('base64')}` } });
    await ok(200, 'GET', '/v1/caches', undefined, { token: null, headers: { authorization: `bearer   ${cp.token}` } });
  });

  test('tokens: made, listed without their text, kept as a hash, withdrawn', async () => {
    const made = await ok(201, 'POST', '/v1/tokens', { name: 'ci' });
    assert.match(made.token, /^psk_[A-Za-z0-9_-]{43}$/);
    const { items } = await ok(200, 'GET', '/v1/tokens', undefined, { token: made.token });
    assert.deepEqual(items.map((t) => t.name), ['admin', 'ci']);
    assert.ok(items.every((t) => uuid.test(t.id) && time.test(t.createdAt)));
    assert.ok(!JSON.stringify(items).includes(made.token.slice(4)));
    const rows = await store(cp, 'select name, hash from tokens order by name');
    assert.deepEqual(rows, [['admin', cp.token], ['ci', made.token]].map(([name, text]) => [
      name, crypto.createHash('sha256').update(text).digest('hex')]));
    await refused(409, 'conflict', 'POST', '/v1/tokens', { name: 'ci' });
    await ok(204, 'DELETE', `/v1/tokens/${made.id}`);
    await refused(401, 'unauthorized', 'GET', '/v1/caches', undefined, { token: made.token });
    await refused(404, 'not_found', 'DELETE', `/v1/tokens/${made.id}`);
    await refused(409, 'conflict', 'DELETE', `/v1/tokens/${items[0].id}`);
  });

  test('no secret is in any file but the one it was written to', async () => {
    const join = await ok(201, 'POST', '/v1/join-tokens', { region: 'secret' });
    const secret = JSON.parse(Buffer.from(join.token.slice(5), 'base64url')).t;
    for (const file of fs.readdirSync(cp.data)) {
      const bytes = fs.readFileSync(path.join(cp.data, file));
      assert.equal(bytes.includes(cp.token), file === 'admin.token', file);
      assert.ok(!bytes.includes(secret), file);
    }
    assert.ok(!cp.process.output.includes(cp.token) && !cp.process.output.includes(secret));
    await ok(204, 'DELETE', `/v1/join-tokens/${join.id}`);
    await ok(204, 'DELETE', '/v1/regions/secret');
  });

  test('caches: create, list, read, change, delete', async () => {
    const reply = await call('POST', '/v1/caches', shop);
    assert.equal(reply.status, 201, reply.text);
    const cache = reply.json;
    assert.equal(reply.headers.location, `/v1/caches/${cache.id}`);
    assert.match(cache.id, uuid);
    assert.match(cache.createdAt, time);
    assert.equal(cache.port, 5432);
    assert.equal(cache.cachingEnabled, true);
    assert.equal(cache.defaultCachingBehaviour, 'autoCached');
    assert.equal(cache.poolMax, 20);
    assert.match(cache.connectionUriTemplate, new RegExp(`application_name=${cache.id}`));
    assert.deepEqual(await ok(200, 'GET', `/v1/caches/${cache.id}`), cache);
    const other = await ok(201, 'POST', '/v1/caches', { ...shop, name: 'a first', database: 'mssql', port: 1, writeAck: 'global' });
    const list = await ok(200, 'GET', '/v1/caches');
    assert.deepEqual(list, [other, cache]);
    const version = (await ok(200, 'GET', '/v1/status')).configVersion;
    const changed = await ok(200, 'PATCH', `/v1/caches/${cache.id}`, { name: 'shop 2', ttlMaxMs: 5000, description: 'ünïcode' });
    assert.deepEqual(changed, {
      ...cache, name: 'shop 2', ttlMaxMs: 5000, description: 'ünïcode',
      revision: cache.revision + 1, updatedAt: changed.updatedAt,
    });
    assert.equal((await ok(200, 'GET', '/v1/status')).configVersion, version + 1);
    await refused(409, 'conflict', 'PATCH', `/v1/caches/${cache.id}`, { name: 'a first' });
    await refused(409, 'conflict', 'POST', '/v1/caches', { ...shop, name: 'a first' });
    assert.equal((await ok(200, 'PUT', `/v1/caches/${cache.id}/purge`)).number,
      (await ok(200, 'GET', '/v1/status')).invalidationNumber);
    for (const id of [cache.id, other.id]) await ok(204, 'DELETE', `/v1/caches/${id}`);
    assert.deepEqual(await ok(200, 'GET', '/v1/caches'), []);
  });

  test('what is not there', async () => {
    for (const id of [nowhere, 'x', '%00', "'%20or%201=1"]) {
      await refused(404, 'cache_not_found', 'GET', `/v1/caches/${id}`);
    }
    await refused(404, 'cache_not_found', 'PATCH', `/v1/caches/${nowhere}`, { name: 'x' });
    await refused(404, 'cache_not_found', 'DELETE', `/v1/caches/${nowhere}`);
    await refused(404, 'cache_not_found', 'PUT', `/v1/caches/${nowhere}/purge`);
    await refused(404, 'cache_not_found', 'POST', `/v1/caches/${nowhere}/test`, {});
    await refused(404, 'not_found', 'DELETE', '/v1/regions/nowhere');
    await refused(404, 'not_found', 'DELETE', `/v1/agents/${nowhere}`);
    await refused(404, 'not_found', 'POST', `/v1/agents/${nowhere}/revoke`);
    await refused(404, 'not_found', 'DELETE', `/v1/join-tokens/${nowhere}`);
  });

  test('bodies that are not JSON objects', async () => {
    for (const body of ['', '{', '[]', '1', 'null', '"x"', '{"name":1,"name":2}', '{} x', '{"a":"\\u0000"}', '[['.repeat(50000)]) {
      await refused(400, 'bad_json', 'POST', '/v1/caches', body);
    }
    await refused(400, 'bad_utf8', 'POST', '/v1/caches', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]));
    assert.deepEqual(await ok(200, 'GET', '/v1/caches'), []);
  });

  test('missing, unknown and wrong fields of a cache are named', async () => {
    for (const field of Object.keys(shop)) {
      const { [field]: _, ...rest } = shop;
      const { json } = await refused(400, 'missing_field', 'POST', '/v1/caches', rest);
      assert.match(json.message, new RegExp(field));
    }
    await refused(400, 'bad_field', 'POST', '/v1/caches', { ...shop, cachingEnable: true });
    const wrong = {
      name: ['', 1, null, 'x'.repeat(65), 'a/b', ['a']], description: [1, 'x'.repeat(1025)],
      host: ['', 7, 'x'.repeat(256), 'a b'], port: [0, 65536, -1, '5432', 1.5, true, 1e15], database: ['oracle', 3, null],
      cachingEnabled: ['true', 1, null], defaultCachingBehaviour: ['auto', 1], enabled: [0],
      writeAck: ['all', true], tlsMode: ['tls', 1], tlsCa: [5, 'not a certificate'], ttlMinMs: [-1, 31536000001, '1s'],
      ttlMaxMs: [-1, null], poolMax: [0, 10001], poolQueueMax: [-1, 1000001], poolQueueTimeoutMs: [0],
      poolIdleTimeoutMs: [0, 86400001], connectTimeoutMs: [0, 600001], queryTimeoutMs: [0], maxEntryBytes: [-1, 1073741825],
      poolCacheMax: [-1, 100001, '5'], poolMinIdle: [-1, 10001, 21], poolMaxAgeMs: [-1, 2592000001], poolCheckAfterMs: [-1, 86400001],
      breakerFailures: [-1, 10001], breakerOpenMs: [0, 3600001], slowStartMs: [-1, 3600001],
      concurrencyMax: [-1, 1000001], rateLimit: [-1, 1000001, 1.5], rateBurst: [-1, 1000001, 5],
    };
    for (const [field, values] of Object.entries(wrong)) {
      for (const value of values) {
        const reply = await call('POST', '/v1/caches', { ...shop, [field]: value });
        assert.equal(reply.status, 400, `${field}: ${JSON.stringify(value)}: ${reply.text}`);
        assert.match(reply.json.code, /^(bad|missing)_field$/);
        assert.match(reply.json.message, new RegExp(field), reply.text);
      }
    }
    await refused(400, 'bad_field', 'POST', '/v1/caches', { ...shop, ttlMinMs: 10, ttlMaxMs: 9 });
    const idle = await refused(400, 'bad_field', 'POST', '/v1/caches', { ...shop, poolMinIdle: 5, poolCacheMax: 4 });
    assert.match(idle.json.message, /poolMinIdle \(5\) is greater than poolCacheMax \(4\)/);
    assert.deepEqual(await ok(200, 'GET', '/v1/caches'), []);
    const cache = await ok(201, 'POST', '/v1/caches', shop);
    for (const fields of [{ database: 'mysql' }, { id: nowhere }, { createdAt: cache.createdAt }, { revision: 9 }, { x: 1 }]) {
      await refused(400, 'bad_field', 'PATCH', `/v1/caches/${cache.id}`, fields);
    }
    await refused(400, 'missing_field', 'PATCH', `/v1/caches/${cache.id}`, {});
    await refused(400, 'bad_field', 'PUT', `/v1/caches/${cache.id}/purge`, { x: 1 });
    await refused(400, 'bad_field', 'POST', `/v1/caches/${cache.id}/test`, { x: 1 });
    assert.deepEqual(await ok(200, 'GET', `/v1/caches/${cache.id}`), cache);
    await ok(204, 'DELETE', `/v1/caches/${cache.id}`);
  });

  test('a body of more than 1 MiB is 413, one of 1 MiB is read', async () => {
    const body = (size) => JSON.stringify({ ...shop, description: 'x' }).padEnd(size, ' ');
    await refused(413, 'body_too_big', 'POST', '/v1/caches', body((1 << 20) + 1));
    const cache = await ok(201, 'POST', '/v1/caches', body(1 << 20));
    await ok(204, 'DELETE', `/v1/caches/${cache.id}`);
    await ok(200, 'GET', '/healthz', undefined, { token: null });
  });

  test('regions', async () => {
    const region = await ok(201, 'POST', '/v1/regions', { name: 'eu-west', description: 'Dublin' });
    assert.deepEqual({ ...region, createdAt: '' },
      { name: 'eu-west', description: 'Dublin', createdAt: '', agents: 0, connected: 0 });
    await refused(409, 'conflict', 'POST', '/v1/regions', { name: 'eu-west' });
    await refused(400, 'missing_field', 'POST', '/v1/regions', {});
    for (const name of ['EU', 'a b', 'x'.repeat(33), 'é', 5]) await refused(400, 'bad_field', 'POST', '/v1/regions', { name });
    await refused(400, 'bad_field', 'POST', '/v1/regions', { name: 'a', colour: 'red' });
    assert.deepEqual((await ok(200, 'GET', '/v1/regions')).items, [region]);
    await ok(204, 'DELETE', '/v1/regions/eu-west');
    await refused(404, 'not_found', 'DELETE', '/v1/regions/eu-west');
  });

  test('join tokens let one agent in, once', async () => {
    const dir = tempDir('csr');
    const csr = await makeCsr(dir);
    const join = await ok(201, 'POST', '/v1/join-tokens', { region: 'us-east', name: 'edge 1', ttlSeconds: 60 });
    const held = JSON.parse(Buffer.from(join.token.replace(/^psj1\./, ''), 'base64url'));
    assert.equal(held.u, cp.url);
    assert.equal(held.r, 'us-east');
    assert.equal(held.f, (await ok(200, 'GET', '/v1/ca')).fingerprint);
    const [[hash]] = await store(cp, 'select secret_hash from join_tokens');
    assert.equal(hash, crypto.createHash('sha256').update(held.t).digest('hex'));
    await refused(400, 'bad_field', 'POST', '/v1/enroll', { token: held.t, csr: 'x' }, { token: null });
    await refused(401, 'unauthorized', 'POST', '/v1/enroll', { token: 'x'.repeat(43), csr }, { token: null });
    const agent = await ok(201, 'POST', '/v1/enroll', { token: held.t, csr, hostname: 'h' }, { token: null });
    assert.equal(agent.agentName, 'edge 1');
    const cert = new crypto.X509Certificate(agent.certificate);
    assert.ok(cert.verify(new crypto.X509Certificate(agent.ca).publicKey));
    assert.match(cert.subject, new RegExp(agent.agentId));
    assert.ok(cert.checkPrivateKey(crypto.createPrivateKey(fs.readFileSync(path.join(dir, 'agent.key')))));
    await refused(401, 'unauthorized', 'POST', '/v1/enroll', { token: held.t, csr }, { token: null });
    const [listed] = (await ok(200, 'GET', '/v1/join-tokens')).items;
    assert.equal(listed.agentId, agent.agentId);
    assert.match(listed.usedAt, time);
    const [seen] = (await ok(200, 'GET', '/v1/agents')).items;
    assert.equal(seen.id, agent.agentId);
    assert.equal(seen.region, 'us-east');
    await refused(409, 'conflict', 'DELETE', '/v1/regions/us-east');
    await refused(409, 'conflict', 'DELETE', `/v1/agents/${agent.agentId}`);
    await ok(204, 'POST', `/v1/agents/${agent.agentId}/revoke`);
    await ok(204, 'POST', `/v1/agents/${agent.agentId}/revoke`);
    assert.equal((await ok(200, 'GET', '/v1/agents')).items[0].state, 'revoked');
    await ok(204, 'DELETE', `/v1/agents/${agent.agentId}`);
    await ok(204, 'DELETE', '/v1/regions/us-east');
  });

  test('join tokens: withdrawn ones and wrong fields', async () => {
    const join = await ok(201, 'POST', '/v1/join-tokens', { region: 'ap' });
    await ok(204, 'DELETE', `/v1/join-tokens/${join.id}`);
    const held = JSON.parse(Buffer.from(join.token.slice(5), 'base64url'));
    await refused(401, 'unauthorized', 'POST', '/v1/enroll', { token: held.t, csr: 'x' }, { token: null });
    await refused(400, 'missing_field', 'POST', '/v1/join-tokens', {});
    for (const fields of [{ region: 'A B' }, { region: 1 }, { region: 'a', ttlSeconds: 0 }, { region: 'a', ttlSeconds: 2592001 },
      { region: 'a', name: 'x'.repeat(65) }, { region: 'a', name: '<b>' }, { region: 'a', ttl: 1 }]) {
      await refused(400, 'bad_field', 'POST', '/v1/join-tokens', fields);
    }
    await refused(400, 'missing_field', 'POST', '/v1/enroll', { csr: 'x' }, { token: null });
    await refused(400, 'missing_field', 'POST', '/v1/enroll', { token: 'x' }, { token: null });
    await ok(204, 'DELETE', '/v1/regions/ap');
  });

  test('reachability runs: started by create, on demand, the last ten kept', async () => {
    const cache = await ok(201, 'POST', '/v1/caches', shop);
    const where = `/v1/caches/${cache.id}/reachability`;
    const first = await ok(200, 'GET', where);
    assert.equal(first.cacheId, cache.id);
    const runs = [];
    for (let i = 0; i < 10; i++) runs.push((await ok(202, 'POST', `/v1/caches/${cache.id}/test`)).runId);
    assert.equal((await ok(200, 'GET', where)).runId, runs.at(-1));
    assert.equal((await ok(200, 'GET', `${where}?run=${runs[0]}`)).runId, runs[0]);
    await refused(404, 'not_found', 'GET', `${where}?run=${first.runId}`);
    await refused(404, 'not_found', 'GET', `${where}?run=x`);
    await ok(204, 'DELETE', `/v1/caches/${cache.id}`);
    await refused(404, 'cache_not_found', 'GET', where);
    assert.deepEqual(await store(cp, 'select count(*) from runs'), [[0]]);
  });

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGKILL']) {
    test(`a restart after ${signal} keeps everything`, async () => {
      const cache = await ok(201, 'POST', '/v1/caches', { ...shop, name: signal });
      const made = await ok(201, 'POST', '/v1/tokens', { name: signal });
      await ok(201, 'POST', '/v1/regions', { name: signal.toLowerCase() });
      const join = await ok(201, 'POST', '/v1/join-tokens', { region: signal.toLowerCase() });
      const before_ = await ok(200, 'GET', '/v1/status');
      const { token } = cp;
      const exit = await cp.stop(signal);
      assert.deepEqual(exit, signal === 'SIGKILL' ? { code: null, signal } : { code: 0, signal: null }, cp.process.output);
      await cp.boot();
      assert.equal(cp.token, token);
      assert.equal(fs.readFileSync(path.join(cp.data, 'ca.crt'), 'utf8'), ca);
      assert.deepEqual(await ok(200, 'GET', `/v1/caches/${cache.id}`, undefined, { token: made.token }), cache);
      const after_ = await ok(200, 'GET', '/v1/status');
      assert.equal(after_.configVersion, before_.configVersion);
      assert.notEqual(after_.epoch, before_.epoch);
      assert.ok((await ok(200, 'GET', '/v1/regions')).items.some((r) => r.name === signal.toLowerCase()));
      assert.ok((await ok(200, 'GET', '/v1/join-tokens')).items.some((j) => j.id === join.id));
    });
  }

  test('a second control plane on the same directory is refused', async () => {
    const second = await run(program('portside-controlplane'), ['--data-dir', cp.data,
      '--listen-api', '127.0.0.1:0', '--listen-calls', '127.0.0.1:0', '--listen-events', '127.0.0.1:0'], { check: false });
    assert.equal(second.code, 1);
    assert.match(second.stderr, /another control plane is using/);
  });

  test('the store of a newer version, or a lost CA key, is refused and left alone', async () => {
    await cp.stop();
    const [[newest]] = await store(cp, 'select max(version) from schema_migrations');
    const start = () => run(program('portside-controlplane'), ['--data-dir', cp.data,
      '--listen-api', '127.0.0.1:0', '--listen-calls', '127.0.0.1:0', '--listen-events', '127.0.0.1:0'], { check: false });
    await store(cp, `insert into schema_migrations values (${newest + 1}, 0)`);
    const newer = await start();
    assert.equal(newer.code, 1);
    assert.match(newer.stderr, /newer version/);
    await store(cp, `delete from schema_migrations where version > ${newest}`);
    const key = path.join(cp.data, 'ca.key');
    fs.renameSync(key, `${key}.away`);
    const lost = await start();
    assert.equal(lost.code, 1);
    assert.match(lost.stderr, /ca\.key is missing/);
    assert.equal(fs.existsSync(key), false);
    fs.renameSync(`${key}.away`, key);
    await cp.boot();
    assert.equal((await ok(200, 'GET', '/v1/caches')).length, 3);
  });
});

suite('command lines', () => {
  for (const name of ['portside-controlplane', 'portside-agent']) {
    const skip = fs.existsSync(path.join(buildDir(), 'bin', name)) ? false : `${name} is not built`;

    test(`${name}: --help and --version`, { skip }, async () => {
      const help = await run(program(name), name === 'portside-agent' ? ['run', '--help'] : ['--help']);
      assert.match(help.stdout, new RegExp(`usage: ${name}`, 'i'));
      assert.match(help.stdout, /--log-level/);
      assert.equal(help.stderr, '');
      assert.match((await run(program(name), ['--version'])).stdout, new RegExp(`^${name} \\d+\\.\\d+\\.\\d+\\n$`));
    });

    test(`${name}: wrong options end with 2 and a sentence`, { skip }, async () => {
      const run_ = name === 'portside-agent' ? ['run'] : [];
      for (const args of [[...run_, '--no-such'], [...run_, '--log-level', 'loud'], [...run_, '--log-level'], [...run_, 'stray']]) {
        const done = await run(program(name), args, { check: false });
        assert.equal(done.code, 2, `${args}: ${done.stderr}`);
        assert.match(done.stderr, new RegExp(`^${name}: .+\n$`), `${args}`);
        assert.equal(done.stdout, '');
      }
    });
  }

  test('a port that is taken is an error with a hint', async () => {
    const cp = await ControlPlane.start();
    const other = new Process('other', program('portside-controlplane'), ['--data-dir', path.join(tempDir('cp2'), 'd'),
      '--listen-api', `127.0.0.1:${cp.ports.api}`, '--listen-calls', '127.0.0.1:0', '--listen-events', '127.0.0.1:0']);
    const exit = await other.exited;
    assert.equal(exit.code, 1);
    assert.match(other.output, /cannot listen at 127\.0\.0\.1:\d+.*--listen-api/);
    await cp.stop();
  });
});
