// Every change through the API is written down: who, what, before and after,
// and no secret.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe as suite, test } from 'node:test';
import { ControlPlane } from './lib/portside.mjs';

suite('audit log', () => {
  let cp;
  let cache;

  const newest = async (n = 1) => (await cp.ok('GET', `/v1/audit?limit=${n}`)).items;

  before(async () => { cp = await ControlPlane.start(); });
  after(async () => { await cp?.stop(); });

  test('a change has who, what, before and after', async () => {
    cache = await cp.createCache({ name: 'first', database: 'postgres', host: '127.0.0.1', port: 1 });
    const [made] = await newest();
    assert.equal(made.tokenName, 'admin');
    assert.deepEqual([made.method, made.path, made.status, made.before], ['POST', '/v1/caches', 201, null]);
    assert.equal(made.after.id, cache.id);
    await cp.ok('PATCH', `/v1/caches/${cache.id}`, { name: 'second' });
    const [changed] = await newest();
    assert.deepEqual([changed.method, changed.status, changed.before.name, changed.after.name], ['PATCH', 200, 'first', 'second']);
    assert.ok(changed.number > made.number);
    const rule = await cp.ok('POST', `/v1/caches/${cache.id}/rules`, { type: 'table', key: 't', mode: 'ttl', ttlMs: 1000 });
    await cp.ok('POST', `/v1/caches/${cache.id}/rules`, { type: 'table', key: 't', mode: 'never' });
    const [replaced] = await newest();
    assert.deepEqual([replaced.before.items[0].mode, replaced.after.mode], ['ttl', 'never']);
    assert.equal((await cp.ok('GET', `/v1/rules/${rule.id}`)).key, 't');
    await cp.ok('DELETE', `/v1/rules/${rule.id}`);
    const [deleted] = await newest();
    assert.deepEqual([deleted.method, deleted.status, deleted.before.key, deleted.after], ['DELETE', 204, 't', null]);
  });

  test('a refused change says so and has no after; reads are not in it', async () => {
    assert.equal((await cp.call('PATCH', `/v1/caches/${cache.id}`, { name: '' })).status, 400);
    const [refused] = await newest();
    assert.deepEqual([refused.status, refused.after], [400, null]);
    await cp.ok('GET', '/v1/caches');
    assert.equal((await newest())[0].number, refused.number);
  });

  test('no text of a token is in it', async () => {
    const made = await cp.ok('POST', '/v1/tokens', { name: 'ci', role: 'viewer' });
    const join = await cp.ok('POST', '/v1/join-tokens', { region: 'r' });
    const entries = await newest(2);
    assert.deepEqual(entries[1].after, { name: 'ci', role: 'viewer' });
    assert.deepEqual(entries[0].after, { region: 'r' });
    const files = fs.readdirSync(cp.data).filter((f) => f.startsWith('portside.db'));
    assert.ok(files.length > 0);
    for (const file of files) {
      const bytes = fs.readFileSync(path.join(cp.data, file), 'latin1');
      for (const secret of [made.token, join.token, cp.token]) assert.ok(!bytes.includes(secret), file);
    }
  });

  test('pages go backwards by number, and nonsense is refused', async () => {
    const all = await newest(200);
    const [first] = await newest();
    const rest = (await cp.ok('GET', `/v1/audit?before=${first.number}&limit=200`)).items;
    assert.deepEqual(rest, all.slice(1));
    for (const query of ['limit=0', 'limit=501', 'limit=x', 'before=-1', 'since=1h', 'cursor=x', 'limit=1&limit=2']) {
      assert.equal((await cp.call('GET', `/v1/audit?${query}`)).status, 400, query);
    }
  });

  test('it survives a restart', async () => {
    const was = await newest(200);
    await cp.restart('SIGKILL');
    assert.deepEqual(await newest(200), was);
  });
});
