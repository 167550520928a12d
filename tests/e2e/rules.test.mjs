// Rules from the API and psctl to the agents: what is kept, and what is not.
import assert from 'node:assert/strict';
import { after, before, describe as suite, test } from 'node:test';
import { Stage } from './lib/stage.mjs';
import { program, run, waitUntil } from './lib/process.mjs';

suite('rules', () => {
  let stage;
  let cp;
  let west;
  let rules; // path

  before(async () => {
    stage = await Stage.create({ regions: ['eu-west'], cache: { defaultCachingBehaviour: 'uncached' } });
    cp = stage.controlPlane;
    [west] = stage.agents;
    rules = `/v1/caches/${stage.cache.id}/rules`;
  });
  after(async () => { await stage?.destroy(); });

  async function call(method, path, body, status) {
    const reply = await cp.call(method, path, body);
    assert.equal(reply.status, status, `${method} ${path}: ${JSON.stringify(reply.body)}`);
    return reply.body;
  }
  // Until an agent has what the control plane said, its answers are the old ones.
  async function until(sql, what) {
    return waitUntil(async () => {
      const reply = await stage.query(west, sql);
      assert.equal(reply.status, 200);
      return reply.reason === what ? reply : null;
    }, { what: `${what} for ${sql}` });
  }

  test('a rule reaches the agents, and so does its end', async () => {
    const sql = 'select name from items where id = 1';
    await until(sql, 'caching_off');
    const rule = await call('POST', rules, { type: 'table', key: 'items', mode: 'ttl', ttlMs: 60000 }, 201);
    await until(sql, 'hit');
    // A view's tables are those behind it.
    await until('select name from cheap where id = 2', 'hit');
    const never = await call('POST', rules, { type: 'template', key: 'SELECT name FROM items WHERE id = 77', mode: 'never' }, 201);
    await until(sql, 'rule_never');
    await until('select name from cheap where id = 2', 'hit');
    const listed = await call('GET', rules, undefined, 200);
    assert.deepEqual(listed.items.map((r) => r.id).sort(), [rule.id, never.id].sort());
    await call('DELETE', `/v1/rules/${never.id}`, undefined, 204);
    await until(sql, 'hit');
    await call('DELETE', `/v1/rules/${rule.id}`, undefined, 204);
    await until(sql, 'caching_off');
    await call('DELETE', `/v1/rules/${rule.id}`, undefined, 404);
  });

  test('setting one again replaces it', async () => {
    const body = { type: 'query', key: 'select 1 as one', mode: 'ttl', ttlMs: 5000, staleIfErrorMs: 60000 };
    const rule = await call('POST', rules, body, 201);
    const again = await call('POST', rules, { type: 'query', key: body.key, mode: 'auto' }, 200);
    assert.equal(again.id, rule.id);
    assert.equal(again.createdAt, rule.createdAt);
    assert.deepEqual([again.mode, again.ttlMs, again.staleIfErrorMs], ['auto', 0, 0]);
    await call('DELETE', `/v1/rules/${rule.id}`, undefined, 204);
  });

  test('what makes no sense is refused and names the field', async () => {
    for (const [body, code, field] of [
      [{ key: 'a', mode: 'auto' }, 'missing_field', 'type'],
      [{ type: 'column', key: 'a', mode: 'auto' }, 'bad_field', 'type'],
      [{ type: 'table', key: '', mode: 'auto' }, 'missing_field', 'key'],
      [{ type: 'table', key: 'a'.repeat(8193), mode: 'auto' }, 'bad_field', 'key'],
      [{ type: 'table', key: 'a', mode: 'ttl' }, 'missing_field', 'ttlMs'],
      [{ type: 'table', key: 'a', mode: 'ttl', ttlMs: -1 }, 'bad_field', 'ttlMs'],
      [{ type: 'table', key: 'a', mode: 'auto', staleWhileRevalidateMs: 2592000001 }, 'bad_field', 'staleWhileRevalidateMs'],
      [{ type: 'table', key: 'a', mode: 'never', ttl: 5 }, 'bad_field', 'ttl'],
    ]) {
      const reply = await call('POST', rules, body, 400);
      assert.equal(reply.code, code, JSON.stringify(body));
      assert.match(reply.message, new RegExp(field));
    }
    await call('POST', '/v1/caches/00000000-0000-4000-8000-000000000000/rules', { type: 'table', key: 'a', mode: 'auto' }, 404);
    assert.deepEqual((await call('GET', rules, undefined, 200)).items, []);
  });

  test('an expired answer is served while a newer one is fetched', async () => {
    const sql = 'select qty from items where id = 50';
    const body = { type: 'query', key: sql, mode: 'ttl', ttlMs: 1, staleWhileRevalidateMs: 3600000 };
    const rule = await call('POST', rules, body, 201);
    assert.equal(rule.staleWhileRevalidateMs, 3600000);
    const stale = await until(sql, 'stale_while_revalidate');
    assert.match(stale.headers['cache-status'], /^portside; hit; ttl=-\d/);
    // A write that no agent sees: the next answer but a few is the newer one.
    await stage.db.sql('update items set qty = 5050 where id = 50', { database: 'app' });
    await waitUntil(async () => (await until(sql, 'stale_while_revalidate')).json[0].qty === 5050,
      { what: 'the answer fetched in the background' });
    // A write that it does see: no answer from before it.
    await stage.query(west, 'update items set qty = qty + 1 where id = 50');
    const after = await stage.query(west, sql);
    assert.deepEqual([after.cache, after.json], ['miss', [{ qty: 5051 }]]);
    await call('DELETE', `/v1/rules/${rule.id}`, undefined, 204);
  });

  test('without invalidation an answer outlives a write', async () => {
    await call('POST', rules, { type: 'table', key: 'public.items', mode: 'ttl', ttlMs: 3600000 }, 201);
    const sql = 'select qty from items where id = 9';
    await until(sql, 'hit');
    await stage.query(west, 'update items set qty = 91 where id = 9');
    assert.deepEqual((await until(sql, 'hit')).json, [{ qty: 91 }]);
    await call('PATCH', `/v1/caches/${stage.cache.id}`, { invalidationEnabled: false }, 200);
    // Answers kept under the old definition are gone with it.
    await waitUntil(async () => {
      await until(sql, 'hit');
      await stage.query(west, 'update items set qty = qty + 1 where id = 9');
      return (await stage.query(west, sql)).reason === 'hit';
    }, { what: 'an answer that outlives a write' });
  });

  test('psctl rule set, list, delete', async () => {
    const env = { PORTSIDE_URL: cp.url, PORTSIDE_TOKEN: cp.token, PORTSIDE_CA: `${cp.data}/ca.crt` };
    const psctl = (...args) => run(program('psctl'), args, { check: false, env });
    const set = await psctl('rule', 'set', 'main', '--query', 'select 2 as two', '--ttl', '5m', '--stale-if-error', '1h', '--stale-while-revalidate', '2m', '--json');
    assert.equal(set.code, 0, set.stderr);
    const rule = JSON.parse(set.stdout);
    assert.deepEqual([rule.type, rule.mode, rule.ttlMs, rule.staleIfErrorMs, rule.staleWhileRevalidateMs], ['query', 'ttl', 300000, 3600000, 120000]);
    await until('select 2 as two', 'hit');
    const list = await psctl('rule', 'list', 'main');
    assert.match(list.stdout, /query +ttl +5m +1h +2m +\S+ +select 2 as two/);
    for (const wrong of [['--query', 'a'], ['--ttl', '5s'], ['--query', 'a', '--table', 'b', '--auto'],
      ['--table', 'b', '--never', '--ttl', '5s'], ['--table', 'b', '--ttl', 'soon']]) {
      assert.equal((await psctl('rule', 'set', 'main', ...wrong)).code, 2, wrong.join(' '));
    }
    assert.equal((await psctl('rule', 'delete', rule.id, '--yes')).code, 0);
    assert.equal((await psctl('rule', 'delete', rule.id, '--yes')).code, 4);
    await until('select 2 as two', 'caching_off');
  });
});
