// What a token may do: every call of proto/openapi.yaml is tried with no token,
// a wrong one and one of each role, so that a new call cannot be forgotten.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe as suite, test } from 'node:test';
import { ControlPlane } from './lib/portside.mjs';
import { run } from './lib/process.mjs';

const openapi = fs.readFileSync(new URL('../../proto/openapi.yaml', import.meta.url), 'utf8');
const roles = ['viewer', 'operator', 'admin'];
const nowhere = '00000000-0000-4000-8000-000000000000';

// [{ method, path, role }]; role undefined: the call takes no token.
function described() {
  const found = [];
  let where = null;
  for (const line of openapi.slice(openapi.indexOf('\npaths:'), openapi.indexOf('\ncomponents:')).split('\n')) {
    const p = line.match(/^ {2}(\/\S*):$/);
    const m = line.match(/^ {4}(get|post|put|patch|delete):$/);
    const r = line.match(/^ {6}x-role: (\S+)$/);
    if (p) [, where] = p;
    if (m) found.push({ method: m[1].toUpperCase(), path: where, open: false });
    if (r) [, found.at(-1).role] = r;
    if (/^ {6}security: \[\]$/.test(line)) found.at(-1).open = true;
  }
  return found;
}

suite('roles of tokens', () => {
  let cp;
  let mine;
  let other;
  let untouched;
  const tokens = {};

  const make = async (name, fields) => (await cp.ok('POST', '/v1/tokens', { name, ...fields })).token;
  const call = (token, method, where, body) => cp.call(method, where, body, { token });
  // All that the API could have changed, as the store has it.
  const everything = async () => {
    const script = 'import sqlite3, sys\n'
      + 'db = sqlite3.connect(sys.argv[1])\n'
      + 'for t in ("caches", "rules", "regions", "agents", "join_tokens", "runs"):\n'
      + '    print(t, db.execute("SELECT * FROM " + t).fetchall())\n'
      + 'print(db.execute("SELECT id, name, role, caches FROM tokens").fetchall())';
    return (await run('python3', ['-c', script, path.join(cp.data, 'portside.db')])).stdout;
  };

  before(async () => {
    cp = await ControlPlane.start();
    mine = await cp.createCache({ name: 'mine', database: 'postgres', host: '127.0.0.1', port: 1 });
    other = await cp.createCache({ name: 'other', database: 'postgres', host: '127.0.0.1', port: 1 });
    for (const role of roles) tokens[role] = await make(`a ${role}`, { role });
    tokens.scoped = await make('scoped', { role: 'operator', caches: [mine.id] });
    untouched = await everything();
  });
  after(async () => { await cp?.stop(); });

  test('the description names a role for every call that takes a token', () => {
    const calls = described();
    assert.ok(calls.length > 25);
    for (const c of calls) assert.ok(c.open ? c.role === undefined : roles.includes(c.role), `${c.method} ${c.path}`);
  });

  for (const { method, path: pattern, role, open } of described()) {
    test(`${method} ${pattern}: ${role ?? 'no token'}`, async () => {
      const where = pattern.replace(/\{[^}]*\}/g, nowhere);
      const body = ['POST', 'PUT', 'PATCH'].includes(method) ? {} : undefined;
      if (open) {
        assert.notEqual((await call(null, method, where, body)).status, 401);
        return;
      }
      for (const token of [null, `psk_${'A'.repeat(43)}`]) {
        const refused = await call(token, method, where, body);
        assert.equal(refused.status, 401);
        assert.equal(refused.body.code, 'unauthorized');
      }
      for (const [i, name] of roles.entries()) {
        const reply = await call(tokens[name], method, where, body);
        if (i < roles.indexOf(role)) {
          assert.equal(reply.status, 403, name);
          assert.equal(reply.body.code, 'forbidden');
          assert.match(reply.body.message, new RegExp(`role ${role};.*role ${name}`));
        } else {
          assert.ok(![401, 403].includes(reply.status), `${name}: ${reply.text}`);
        }
      }
    });
  }

  test('none of these changed anything: bodies were empty, ids unknown', async () => {
    assert.equal(await everything(), untouched);
  });

  test('a viewer changes nothing, even where the request is right', async () => {
    const rule = await cp.ok('POST', `/v1/caches/${mine.id}/rules`, { type: 'table', key: 'kept', mode: 'never' });
    const before = await everything();
    for (const [method, where, body] of [
      ['POST', '/v1/caches', { name: 'new', database: 'postgres', host: 'db' }],
      ['PATCH', `/v1/caches/${mine.id}`, { name: 'renamed' }],
      ['DELETE', `/v1/caches/${mine.id}`],
      ['PUT', `/v1/caches/${mine.id}/purge`],
      ['POST', `/v1/caches/${mine.id}/purge`, { table: 't' }],
      ['POST', `/v1/caches/${mine.id}/test`],
      ['POST', `/v1/caches/${mine.id}/rules`, { type: 'table', key: 't', mode: 'never' }],
      ['DELETE', `/v1/rules/${rule.id}`],
      ['POST', '/v1/regions', { name: 'r' }],
      ['POST', '/v1/tokens', { name: 'mine' }],
      ['POST', '/v1/join-tokens', { region: 'r' }],
    ]) assert.equal((await call(tokens.viewer, method, where, body)).status, 403, `${method} ${where}`);
    assert.equal(await everything(), before);
    assert.equal((await call(tokens.viewer, 'GET', `/v1/caches/${mine.id}`)).status, 200);
  });

  test('a token for one cache sees no other', async () => {
    const token = tokens.scoped;
    const rule = await cp.ok('POST', `/v1/caches/${other.id}/rules`, { type: 'table', key: 't', mode: 'never' });
    assert.deepEqual((await call(token, 'GET', '/v1/caches')).body.map((c) => c.id), [mine.id]);
    assert.deepEqual((await call(token, 'GET', '/v1/stats')).body.items.map((c) => c.cacheId), [mine.id]);
    assert.equal((await call(token, 'GET', '/v1/status')).body.caches, 1);
    for (const { method, path: pattern } of described().filter((c) => c.path.startsWith('/v1/caches/{'))) {
      const reply = await call(token, method, pattern.replace(/\{[^}]*\}/, other.id), method === 'GET' ? undefined : {});
      assert.equal(reply.status, 404, `${method} ${pattern}`);
      assert.equal(reply.body.code, 'cache_not_found');
    }
    assert.equal((await call(token, 'DELETE', `/v1/rules/${rule.id}`)).status, 404);
    const refused = await call(token, 'POST', '/v1/caches', { name: 'new', database: 'postgres', host: 'db' });
    assert.equal(refused.status, 403);
    assert.match(refused.body.message, /some caches only/);
    const own = await call(token, 'POST', `/v1/caches/${mine.id}/rules`, { type: 'table', key: 't', mode: 'never' });
    assert.equal(own.status, 201);
    assert.equal((await call(token, 'DELETE', `/v1/rules/${own.body.id}`)).status, 204);
    assert.equal((await call(token, 'PATCH', `/v1/caches/${mine.id}`, { description: 'x' })).status, 200);
  });

  test('tokens that make no sense are refused', async () => {
    for (const fields of [
      { role: 'root' }, { role: 7 }, { caches: [] }, { caches: 'all' }, { role: 'viewer', caches: [nowhere] },
      { role: 'viewer', caches: [7] }, { caches: [mine.id] }, { role: 'admin', caches: [mine.id] },
      { role: 'viewer', caches: Array(33).fill(mine.id) },
    ]) {
      const reply = await cp.call('POST', '/v1/tokens', { name: 'x', ...fields });
      assert.equal(reply.status, 400, JSON.stringify(fields));
      assert.equal(reply.body.code, 'bad_field');
    }
  });

  test('the last admin stays, however many others there are', async () => {
    const list = (await cp.ok('GET', '/v1/tokens')).items;
    assert.deepEqual(list.map((t) => [t.name, t.role, t.caches]), [
      ['admin', 'admin', null], ['a viewer', 'viewer', null], ['a operator', 'operator', null], ['a admin', 'admin', null],
      ['scoped', 'operator', [mine.id]]]);
    const admins = list.filter((t) => t.role === 'admin');
    assert.equal((await cp.call('DELETE', `/v1/tokens/${admins[1].id}`)).status, 204);
    const last = await cp.call('DELETE', `/v1/tokens/${admins[0].id}`);
    assert.equal(last.status, 409);
    assert.match(last.body.message, /admin/);
  });
});
