// Versions, repeated creations, pages and PolyScale's management calls, by REST
// and by psctl, against a real control plane.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { after, before, describe as suite, test } from 'node:test';
import { ControlPlane, request } from './lib/portside.mjs';
import { program, run, waitUntil } from './lib/process.mjs';
import { Authority } from './lib/certificates.mjs';

const shop = { name: 'shop', database: 'postgres', host: 'db.example.com' };
const key = (k) => ({ headers: { 'idempotency-key': k } });
const match = (etag) => ({ headers: { 'if-match': etag } });

// Stands between psctl and the control plane and sees each request: ask(request)
// before it goes on, and its answer leaves unless `cut` says that the connection
// breaks instead.
class Between {
  static async start(cp) {
    const self = new Between();
    const authority = await Authority.create();
    self.ca = authority.pem;
    self.ask = async () => {};
    self.cut = () => false;
    self.server = https.createServer(await authority.issue(), async (req, res) => {
      let body = '';
      for await (const part of req) body += part;
      const one = { method: req.method, path: req.url, headers: req.headers };
      await self.ask(one);
      const headers = { ...req.headers };
      for (const name of ['host', 'connection', 'transfer-encoding']) delete headers[name];
      const reply = await request(`${cp.url}${req.url}`, { method: req.method, headers, body: body || undefined, insecure: true });
      if (self.cut(one, reply)) { req.socket.destroy(); return; }
      const { connection, ...rest } = reply.headers;
      res.writeHead(reply.status, rest).end(reply.text);
    });
    await new Promise((resolve) => { self.server.listen(0, '127.0.0.1', resolve); });
    self.url = `https://127.0.0.1:${self.server.address().port}`;
    return self;
  }

  async stop() { await new Promise((resolve) => { this.server.close(resolve); this.server.closeAllConnections(); }); }
}

suite('REST', () => {
  let cp;
  let between;
  let env;

  before(async () => {
    cp = await ControlPlane.start();
    between = await Between.start(cp);
    fs.writeFileSync(path.join(cp.dir, 'between.pem'), between.ca);
    env = {
      PORTSIDE_URL: cp.url, PORTSIDE_TOKEN: cp.token, PORTSIDE_CA: path.join(cp.data, 'ca.crt'), PSCTL_CONFIG: path.join(cp.dir, 'none.json'),
    };
  });
  after(async () => {
    await between?.stop();
    // With sanitizers, too: nothing is left.
    if (cp) assert.deepEqual(await cp.stop(), { code: 0, signal: null }, cp.process.output.slice(-4000));
  });

  async function ok(status, ...args) {
    const reply = await cp.call(...args);
    assert.equal(reply.status, status, `${args[0]} ${args[1]}: ${reply.text}`);
    return reply;
  }
  async function store(sql) {
    const script = 'import json, sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\nrows = db.execute(sys.argv[2]).fetchall()\n'
      + 'db.commit()\nprint(json.dumps(rows, default=lambda b: b.hex()))';
    return JSON.parse((await run('python3', ['-c', script, path.join(cp.data, 'portside.db'), sql])).stdout);
  }
  async function psctl(args, { code = 0, through } = {}) {
    const other = through ? { PORTSIDE_URL: through.url, PORTSIDE_CA: path.join(cp.dir, 'between.pem') } : {};
    const done = await run(program('psctl'), args, { check: false, env: { ...env, ...other } });
    assert.equal(done.code, code, `psctl ${args.join(' ')}: ${done.code}\n${done.stdout}${done.stderr}`);
    return done;
  }
  const bytesOnDisk = () => fs.readdirSync(cp.data).filter((f) => f.startsWith('portside.db'))
    .map((f) => fs.readFileSync(path.join(cp.data, f), 'latin1')).join('');

  suite('versions', () => {
    let where;
    before(async () => { where = `/v1/caches/${(await ok(201, 'POST', '/v1/caches', shop)).body.id}`; });
    after(async () => { await cp.call('DELETE', where); });

    test('of twenty changes at once with one version, one is made', async () => {
      const { etag } = (await ok(200, 'GET', where)).headers;
      const before_ = (await ok(200, 'GET', where)).body;
      const replies = await Promise.all(Array.from({ length: 20 }, (_, i) => cp.call('PATCH', where, { description: `by ${i}` }, match(etag))));
      assert.deepEqual(replies.map((r) => r.status).sort(), [200, ...Array(19).fill(412)]);
      const now = (await ok(200, 'GET', where)).body;
      assert.equal(now.revision, before_.revision + 1);
      const winner = replies.find((r) => r.status === 200);
      assert.equal(now.description, winner.body.description);
      // The tag of the reply goes on, without another GET.
      await ok(200, 'PATCH', where, { description: 'next' }, match(winner.headers.etag));
    });

    test('readers who add one each lose none', async () => {
      await ok(200, 'PATCH', where, { poolMax: 1 });
      let refused = 0;
      await Promise.all(Array.from({ length: 8 }, async () => {
        for (;;) {
          const now = await ok(200, 'GET', where);
          const reply = await cp.call('PATCH', where, { poolMax: now.body.poolMax + 1 }, match(now.headers.etag));
          if (reply.status === 200) return;
          assert.equal(reply.status, 412);
          refused += 1;
        }
      }));
      assert.equal((await ok(200, 'GET', where)).body.poolMax, 9);
      assert.ok(refused > 0);
    });

    test('a rule is another version of its cache, and has its own', async () => {
      const cache = (await ok(200, 'GET', where)).headers.etag;
      const rule = { type: 'table', key: 'items', mode: 'ttl', ttlMs: 1000 };
      const made = await ok(201, 'POST', `${where}/rules`, rule, { headers: { 'if-none-match': '*' } });
      await ok(412, 'PATCH', where, { description: 'stale' }, match(cache));
      const again = await ok(412, 'POST', `${where}/rules`, rule, { headers: { 'if-none-match': '*' } });
      assert.match(again.body.message, /If-Match to replace/);
      const other = await ok(200, 'POST', `${where}/rules`, { ...rule, ttlMs: 2000 }, match(made.headers.etag));
      await ok(412, 'POST', `${where}/rules`, { ...rule, ttlMs: 3000 }, match(made.headers.etag));
      await ok(412, 'DELETE', `/v1/rules/${made.body.id}`, undefined, match(made.headers.etag));
      assert.equal((await ok(200, 'GET', `/v1/rules/${made.body.id}`)).body.ttlMs, 2000);
      await ok(204, 'DELETE', `/v1/rules/${made.body.id}`, undefined, match(`"old", ${other.headers.etag}`));
      const gone = await ok(412, 'POST', `${where}/rules`, rule, match(other.headers.etag));
      assert.match(gone.body.message, /no rule of this type and key/);
    });

    test('a join token that was used meanwhile is not what was looked at', async () => {
      const { id } = (await ok(201, 'POST', '/v1/join-tokens', { region: 'r' })).body;
      const { etag } = (await ok(200, 'GET', `/v1/join-tokens/${id}`)).headers;
      await store(`update join_tokens set used_ms = 1 where id = '${id}'`);
      await ok(412, 'DELETE', `/v1/join-tokens/${id}`, undefined, match(etag));
      await ok(204, 'DELETE', `/v1/join-tokens/${id}`, undefined, match('*'));
      await ok(404, 'DELETE', `/v1/join-tokens/${id}`, undefined, match('*'));
    });

    test('nonsense in a header is named, nothing is changed', async () => {
      const was = (await ok(200, 'GET', where)).text;
      for (const bad of ['1', '"', '""x', '"a" "b"', '"a",', ',', 'W/', 'w/"a"', '*, "a"', '"\t"', '', 'x'.repeat(9000)]) {
        const reply = await cp.call('PATCH', where, { description: 'bad' }, match(bad));
        assert.equal(reply.status, 400, bad);
        assert.equal(reply.body.code, 'bad_request');
        assert.match(reply.body.message, /If-Match must be/);
        if (bad !== '') assert.equal((await cp.call('GET', where, undefined, { headers: { 'if-none-match': bad } })).status, 400, bad);
      }
      for (const bad of ['', ' ', '"', '""', 'a b', 'a"b', 'a\\b', 'x'.repeat(256), 'é']) {
        const reply = await cp.call('POST', '/v1/regions', { name: 'never' }, key(Buffer.from(bad).toString('latin1')));
        assert.equal(reply.status, 400, bad);
        assert.match(reply.body.message, /Idempotency-Key must have/);
      }
      for (const name of ['if-match', 'if-none-match', 'idempotency-key']) {
        const reply = await request(`${cp.url}${where}`, { method: 'PATCH', body: '{"description":"x"}', insecure: true, headers: { authorization: `Bearer ${cp.token}`, [name]: ['"a"', '"b"'] } });
        assert.equal(reply.status, 400);
        assert.match(reply.text, /is there twice/);
      }
      assert.equal((await ok(200, 'GET', where)).text, was);
      assert.ok(!(await ok(200, 'GET', '/v1/regions')).body.items.some((r) => r.name === 'never'));
    });
  });

  suite('repeated creations', () => {
    const creations = [
      ['/v1/caches', { ...shop, name: 'once', rules: [{ type: 'table', key: 't', mode: 'never' }] }, 'caches'],
      ['/v1/regions', { name: 'once' }, 'regions'],
      ['/v1/tokens', { name: 'once', role: 'viewer' }, 'tokens'],
      ['/v1/join-tokens', { region: 'once' }, 'join_tokens'],
    ];

    for (const [where, body, table] of creations) {
      test(`POST ${where}`, async () => {
        const count = async () => (await store(`select count(*) from ${table}`))[0][0];
        const before_ = await count();
        const first = await ok(201, 'POST', where, body, key(`k ${table}`.replace(' ', '-')));
        assert.equal(first.headers['idempotent-replayed'], undefined);
        const audited = (await store('select count(*) from audit'))[0][0];
        for (let i = 0; i < 2; i++) {
          const again = await ok(201, 'POST', where, body, key(`"k-${table}"`));
          assert.equal(again.text, first.text);
          assert.equal(again.headers['idempotent-replayed'], 'true');
          for (const name of ['location', 'etag']) assert.equal(again.headers[name], first.headers[name]);
        }
        assert.equal(await count(), before_ + 1);
        assert.equal((await store('select count(*) from audit'))[0][0], audited);
        const other = await cp.call('POST', where, { ...body, name: 'other' }, key(`k-${table}`));
        assert.equal(other.status, 422);
        assert.equal(other.body.code, 'idempotency_key_reused');
        assert.match(other.body.message, /take a new one/);
        assert.equal(await count(), before_ + 1);
      });
    }

    test('rules, and the path counts too', async () => {
      const { id } = (await ok(200, 'GET', '/v1/caches')).body.find((c) => c.name === 'once');
      const rules = `/v1/caches/${id}/rules`;
      const rule = { type: 'table', key: 'r', mode: 'never' };
      const first = await ok(201, 'POST', rules, rule, key('rule'));
      // A second time it would be 200, replaced.
      assert.equal((await ok(201, 'POST', rules, rule, key('rule'))).text, first.text);
      await ok(422, 'POST', `/v1/caches/${id}/cache-ttls`, rule, key('rule'));
      const ttl = { type: 'TABLE', key: 'p', value: 5 };
      const one = await ok(201, 'POST', `/v1/caches/${id}/cache-ttls`, ttl, key('ttl'));
      assert.equal((await ok(201, 'POST', `/v1/caches/${id}/cache-ttls`, ttl, key('ttl'))).text, one.text);
    });

    test('many at once create one', async () => {
      const body = { ...shop, name: 'crowd' };
      const replies = await Promise.all(Array.from({ length: 12 }, () => cp.call('POST', '/v1/caches', body, key('crowd'))));
      assert.deepEqual(replies.map((r) => [r.status, r.text]), Array(12).fill([201, replies[0].text]));
      assert.equal(replies.filter((r) => r.headers['idempotent-replayed']).length, 11);
    });

    test('a refusal is not kept: once its cause is gone the same request works', async () => {
      await ok(409, 'POST', '/v1/regions', { name: 'once' }, key('refused'));
      await ok(400, 'POST', '/v1/regions', { name: 'NO' }, key('refused'));
      await ok(201, 'POST', '/v1/regions', { name: 'late' }, key('refused'));
    });

    test('the key is its token\'s: another caller\'s is another one', async () => {
      const second = (await ok(201, 'POST', '/v1/tokens', { name: 'second' })).body;
      const options = { ...key('mine'), token: second.token };
      const first = await ok(201, 'POST', '/v1/join-tokens', { region: 'once' }, key('mine'));
      const theirs = await ok(201, 'POST', '/v1/join-tokens', { region: 'once' }, options);
      assert.notEqual(theirs.body.id, first.body.id);
      assert.equal((await store(`select count(*) from replays where token_id = '${second.id}'`))[0][0], 1);
      await ok(204, 'DELETE', `/v1/tokens/${second.id}`);
      assert.equal((await store(`select count(*) from replays where token_id = '${second.id}'`))[0][0], 0);
      // A viewer's role is asked before a kept answer is given.
      const viewer = (await ok(201, 'POST', '/v1/tokens', { name: 'looks', role: 'viewer' })).body;
      await ok(403, 'POST', '/v1/join-tokens', { region: 'once' }, { ...key('mine'), token: viewer.token });
    });

    test('the second answer has the token\'s text, the disk has not, nor the key', async () => {
      const made = await ok(201, 'POST', '/v1/tokens', { name: 'sealed' }, key('a-key-that-nobody-else-has'));
      const again = await ok(201, 'POST', '/v1/tokens', { name: 'sealed' }, key('a-key-that-nobody-else-has'));
      assert.equal(again.body.token, made.body.token);
      assert.equal((await ok(200, 'GET', '/v1/status', undefined, { token: again.body.token })).status, 200);
      const join = await ok(201, 'POST', '/v1/join-tokens', { region: 'once' }, key('another-such-key'));
      const bytes = bytesOnDisk();
      for (const secret of [made.body.token, join.body.token, JSON.parse(Buffer.from(join.body.token.slice(5), 'base64url')).t, 'a-key-that-nobody-else-has']) {
        assert.ok(!bytes.includes(secret));
      }
      const [[sealed]] = await store('select sealed from replays order by seq desc limit 1');
      assert.ok(!Buffer.from(sealed, 'hex').includes(join.body.id));
    });

    test('they outlive a crash, and end after a day', async () => {
      const first = await ok(201, 'POST', '/v1/caches', { ...shop, name: 'crash' }, key('crash'));
      await cp.restart('SIGKILL');
      assert.equal((await ok(201, 'POST', '/v1/caches', { ...shop, name: 'crash' }, key('crash'))).text, first.text);
      const hash = crypto.createHash('sha256').update('crash').digest('hex');
      await store(`update replays set created_ms = created_ms - 86400000 where key_hash = x'${hash}'`);
      await ok(409, 'POST', '/v1/caches', { ...shop, name: 'crash' }, key('crash'));
      await ok(201, 'POST', '/v1/caches', { ...shop, name: 'crash 2' }, key('crash'));
      assert.equal((await store(`select count(*) from replays where key_hash = x'${hash}'`))[0][0], 1);
    });

    test('an answer that was tampered with is not given', async () => {
      await ok(201, 'POST', '/v1/regions', { name: 'tampered' }, key('tampered'));
      await store('update replays set sealed = zeroblob(length(sealed)) where seq = (select max(seq) from replays)');
      const reply = await ok(500, 'POST', '/v1/regions', { name: 'tampered' }, key('tampered'));
      assert.match(reply.body.message, /cannot be read/);
    });
  });

  suite('pages', () => {
    let cache;
    before(async () => {
      cache = (await ok(201, 'POST', '/v1/caches', {
        ...shop, name: 'paged',
        rules: [...Array.from({ length: 7 }, (_, i) => ({ type: 'table', key: `t${i}`, mode: 'never' })),
          ...['x', 'y'].map((end) => ({ type: 'query', key: `${'é'.repeat(300)}${end}`, mode: 'never' })),
          { type: 'template', key: `${'\u{1F600}'.repeat(2000)}`, mode: 'never' }],
      })).body;
      for (const name of ['a', 'b', 'c']) {
        await ok(201, 'POST', '/v1/regions', { name });
        await ok(201, 'POST', '/v1/tokens', { name, role: 'viewer' });
        await ok(201, 'POST', '/v1/join-tokens', { region: name });
      }
    });
    // Every list, and what tells its items apart.
    const lists = () => [['/v1/caches', 'id'], [`/v1/caches/${cache.id}/rules`, 'id'], [`/v1/caches/${cache.id}/cache-ttls`, 'ruleId'], ['/v1/regions', 'name'], ['/v1/tokens', 'id'],
      ['/v1/join-tokens', 'id'], ['/v1/audit', 'number'], ['/v1/stats', 'cacheId']];
    async function walk(where, limit, between = async () => {}) {
      const items = [];
      let cursor = '';
      do {
        const { body } = await ok(200, 'GET', `${where}?limit=${limit}${cursor}`);
        assert.ok(body.items.length <= limit);
        assert.ok(body.items.length === limit || body.next === null);
        items.push(...body.items);
      assert.ok(items.length < 2000, `${where} has no end`);
        cursor = body.next && `&cursor=${body.next}`;
        if (cursor) await between(items);
      } while (cursor);
      return items;
    }

    test('pieces of any size are the whole, in the same order', async () => {
      for (const [where] of lists()) {
        const all = (await ok(200, 'GET', `${where}?limit=500`)).body;
        assert.equal(all.next, null);
        assert.ok(all.items.length > 3, where);
        const sizes = all.items.length > 40 ? [19] : [1, 3, all.items.length, all.items.length + 1];
        for (const limit of sizes) assert.deepEqual(await walk(where, limit), all.items, `${where} by ${limit}`);
      }
      const bare = (await ok(200, 'GET', '/v1/caches')).body;
      assert.deepEqual(bare, await walk('/v1/caches', 2));
    });

    test('what is added and removed in between neither repeats nor hides', async () => {
      const was = (await walk('/v1/regions', 500)).map((r) => r.name);
      let n = 0;
      const seen = await walk('/v1/regions', 1, async (items) => {
        n += 1;
        await ok(201, 'POST', '/v1/regions', { name: `0-${n}` });
        if (n === 1) await ok(201, 'POST', '/v1/regions', { name: 'zzz' });
        // The very one behind which the next page begins.
        await ok(204, 'DELETE', `/v1/regions/${items.at(-1).name}`);
      });
      assert.deepEqual(seen.map((r) => r.name), [...was, 'zzz']);
      const rules = `/v1/caches/${cache.id}/rules`;
      const there = (await ok(200, 'GET', rules)).body.items;
      const walked = await walk(rules, 1, async (items) => {
        await cp.call('DELETE', `/v1/rules/${items.at(-1).id}`);
        await cp.call('POST', rules, { type: 'query', key: ` before ${items.length}`, mode: 'never' });
      });
      assert.deepEqual(walked.map((r) => r.id), there.map((r) => r.id));
    });

    test('a token for one cache pages through that one', async () => {
      const scoped = (await ok(201, 'POST', '/v1/tokens', { name: 'scoped', role: 'viewer', caches: [cache.id] })).body.token;
      const { body } = await ok(200, 'GET', '/v1/caches?limit=1', undefined, { token: scoped });
      assert.deepEqual([body.items.map((c) => c.id), body.next], [[cache.id], null]);
      assert.deepEqual((await ok(200, 'GET', '/v1/stats?limit=1', undefined, { token: scoped })).body.items.map((c) => c.cacheId), [cache.id]);
    });

    test('cursors and limits that are none', async () => {
      const { next } = (await ok(200, 'GET', '/v1/tokens?limit=1')).body;
      const forged = (...parts) => Buffer.from(parts.map((p) => `${p}\0`).join('')).toString('base64url');
      for (const [where] of lists()) {
        for (const query of ['limit=0', 'limit=501', 'limit=-1', 'limit=1e2', 'limit=', 'limit=1&limit=1', 'cursor=', 'cursor=*', 'cursor=AA',
          'cursor=%00', `cursor=${'A'.repeat(5000)}`, 'offset=1', `cursor=${forged('tokens')}`, `cursor=${forged('tokens', '-1')}`,
          `cursor=${forged('tokens', '1', '2')}`, `cursor=${forged('tokens', '99999999999999999999')}`, ...(where === '/v1/tokens' ? [`cursor=${next}A`] : [`cursor=${next}`])]) {
          const reply = await cp.call('GET', `${where}?${query}`);
          assert.equal(reply.status, 400, `${where}?${query.slice(0, 80)}: ${reply.text}`);
          assert.equal(reply.body.code, 'bad_field');
        }
      }
    });

    test('psctl goes through all of them', async () => {
      const many = Array.from({ length: 999 }, (_, i) => ({ type: 'table', key: `t${i}`, mode: 'never' }));
      const big = (await ok(201, 'POST', '/v1/caches', { ...shop, name: 'big', rules: many })).body;
      const rules = JSON.parse((await psctl(['rule', 'list', 'big', '--json'])).stdout);
      assert.equal(rules.length, 999);
      assert.equal(new Set(rules.map((r) => r.key)).size, 999);
      const audit = JSON.parse((await psctl(['audit', '--limit', '3', '--json'])).stdout);
      assert.equal(audit.length, 3);
      await ok(204, 'DELETE', `/v1/caches/${big.id}`);
    });
  });

  suite('psctl', () => {
    let where;
    before(async () => { where = `/v1/caches/${(await ok(201, 'POST', '/v1/caches', { ...shop, name: 'two people' })).body.id}`; });
    after(async () => {
      between.ask = async () => {};
      between.cut = () => false;
      await cp.call('DELETE', where);
    });
    // Somebody else's change before each of the first n requests of a method.
    function meanwhile(method, n, change) {
      let left = n;
      between.ask = async (one) => {
        if (one.method !== method || left === 0) return;
        left -= 1;
        assert.match(one.headers['if-match'], /^"\d+"$/);
        await change();
      };
      return () => left;
    }

    test('an update keeps what somebody else changed meanwhile', async () => {
      let n = 0;
      const left = meanwhile('PATCH', 3, async () => { n += 1; await ok(200, 'PATCH', where, { description: `other ${n}` }); });
      await psctl(['cache', 'update', 'two people', '--pool-max', '33'], { through: between });
      assert.equal(left(), 0);
      const now = (await ok(200, 'GET', where)).body;
      assert.deepEqual([now.poolMax, now.description], [33, 'other 3']);
      const tried = (await ok(200, 'GET', '/v1/audit?limit=8')).body.items.filter((e) => e.method === 'PATCH').map((e) => e.status);
      assert.deepEqual(tried.slice(0, 7), [200, 412, 200, 412, 200, 412, 200]);
    });

    test('and says what it would undo', async () => {
      meanwhile('PATCH', 1, () => ok(200, 'PATCH', where, { poolMax: 44 }));
      const done = await psctl(['cache', 'update', 'two people', '--pool-max', '55'], { through: between, code: 1 });
      assert.match(done.stderr, /somebody else changed poolMax meanwhile, so nothing was changed now/);
      assert.equal((await ok(200, 'GET', where)).body.poolMax, 44);
    });

    test('it gives up some day, with nothing changed', async () => {
      let n = 0;
      meanwhile('PATCH', 99, async () => { n += 1; await ok(200, 'PATCH', where, { description: `again ${n}` }); });
      const done = await psctl(['cache', 'update', 'two people', '--pool-max', '66'], { through: between, code: 1 });
      assert.match(done.stderr, /somebody else changed the cache meanwhile/);
      assert.equal((await ok(200, 'GET', where)).body.poolMax, 44);
    });

    test('what was changed since it was looked at is not deleted', async () => {
      const rule = (await ok(201, 'POST', `${where}/rules`, { type: 'table', key: 't', mode: 'never' })).body;
      meanwhile('DELETE', 1, () => ok(200, 'POST', `${where}/rules`, { type: 'table', key: 't', mode: 'ttl', ttlMs: 1 }));
      assert.match((await psctl(['rule', 'delete', rule.id, '--yes'], { through: between, code: 1 })).stderr, /somebody else changed the rule/);
      meanwhile('DELETE', 1, () => ok(200, 'PATCH', where, { description: 'still used' }));
      assert.match((await psctl(['cache', 'delete', 'two people', '--yes'], { through: between, code: 1 })).stderr, /somebody else changed the cache/);
      await ok(200, 'GET', where);
      between.ask = async () => {};
      await psctl(['rule', 'delete', rule.id, '--yes'], { through: between });
    });

    test('a creation whose answer is cut off is repeated and made once', async () => {
      for (const [args, table] of [
        [['cache', 'create', '--name', 'cut', '--type', 'postgres', '--host', 'h', '--no-wait'], 'caches'],
        [['rule', 'set', 'cut', '--table', 't', '--never'], 'rules'],
        [['token', 'create', 'cut'], 'tokens'],
        [['agent', 'join-token', '--region', 'cut'], 'join_tokens'],
        [['region', 'create', 'cut-2'], 'regions'],
      ]) {
        const count = async () => (await store(`select count(*) from ${table}`))[0][0];
        const was = await count();
        let cuts = 0;
        const keys = new Set();
        between.cut = (one, reply) => {
          if (one.method !== 'POST' || cuts === 2) return false;
          keys.add(one.headers['idempotency-key']);
          assert.equal(reply.status, 201);
          cuts += 1;
          return true;
        };
        const done = await psctl([...args, '--json'], { through: between });
        assert.deepEqual([cuts, keys.size, await count()], [2, 1, was + 1], args.join(' '));
        const made = JSON.parse(done.stdout);
        if (table === 'tokens') await ok(200, 'GET', '/v1/status', undefined, { token: made.token });
      }
    });

    test('where it stays cut, that is said', async () => {
      between.cut = (one) => one.method === 'POST';
      const done = await psctl(['region', 'create', 'cut-3', '--json'], { through: between, code: 3 });
      assert.equal(JSON.parse(done.stdout).error.code, 'outcome_unknown');
      assert.match(done.stderr, /may have taken effect: look before you repeat it/);
    });
  });

  suite("PolyScale's management calls", () => {
    let base;
    before(async () => {
      // As the published client creates a cache, and reads it.
      const made = await ok(201, 'POST', '/v1/caches', {
        name: 'poly', host: 'db.example.com', port: 3306, database: 'mysql', cachingEnabled: true, defaultCachingBehaviour: 'autoCached',
      });
      base = `/v1/caches/${made.body.id}`;
    });
    const rules = async () => (await ok(200, 'GET', `${base}/rules`)).body.items.map((r) => [r.type, r.key, r.mode, r.ttlMs]);
    const where = (k) => `${base}/cache-ttls/${encodeURIComponent(k)}`;

    test('caches', async () => {
      const list = (await ok(200, 'GET', '/v1/caches')).body;
      const cache = list.find((c) => c.name === 'poly');
      for (const field of ['id', 'workspaceId', 'name', 'description', 'host', 'port', 'database', 'cachingEnabled', 'defaultCachingBehaviour', 'createdAt', 'connectionUriTemplate']) {
        assert.ok(field in cache, field);
      }
      assert.deepEqual((await ok(200, 'GET', base)).body.id, cache.id);
      for (const method of ['PUT', 'POST']) await ok(200, method, `${base}/purge`, {});
      for (const body of [{ table: 'items' }, { template: 'select 1' }, { query: 'select 1' }]) await ok(200, 'POST', `${base}/purge`, body);
    });

    test('QUERY, TEMPLATE and TABLE with a value are rules with a time to live', async () => {
      const sql = 'select * from `a/b` where x = ?  -- 100% ünï+code';
      for (const type of ['QUERY', 'TEMPLATE', 'TABLE']) {
        const k = type === 'TABLE' ? 'shop.items' : sql;
        const made = (await ok(201, 'POST', `${base}/cache-ttls`, { type, key: k, value: 60, name: `my ${type}` })).body;
        assert.deepEqual([made.type, made.key, made.value, made.name], [type, k, 60, `my ${type}`]);
      }
      assert.deepEqual(await rules(), [['query', sql, 'ttl', 60000], ['table', 'shop.items', 'ttl', 60000], ['template', sql, 'ttl', 60000]]);
      assert.equal((await ok(200, 'GET', `${base}/cache-ttls`)).body.length, 3);
      // The one that wins.
      assert.equal((await ok(200, 'GET', where(sql))).body.type, 'QUERY');
      const changed = (await ok(200, 'PATCH', where(sql), { value: 5, name: 'five' })).body;
      assert.deepEqual([changed.type, changed.value, changed.name], ['QUERY', 5, 'five']);
      assert.equal((await ok(200, 'PATCH', where(sql), { name: 'only' })).body.value, 5);
      await ok(204, 'DELETE', `${base}/cache-ttls/QUERY/${encodeURIComponent(sql)}`);
      assert.equal((await ok(200, 'GET', where(sql))).body.type, 'TEMPLATE');
      await ok(404, 'DELETE', `${base}/cache-ttls/QUERY/${encodeURIComponent(sql)}`);
      await ok(204, 'DELETE', `${base}/cache-ttls/TEMPLATE/${encodeURIComponent(sql)}`);
      await ok(204, 'DELETE', `${base}/cache-ttls/TABLE/shop.items`);
      const [entry] = (await ok(200, 'GET', '/v1/audit?limit=1')).body.items;
      assert.deepEqual([entry.method, entry.status, entry.before.key, entry.before.value], ['DELETE', 204, 'shop.items', 60]);
      assert.deepEqual(await rules(), []);
    });

    test('MANUAL takes the place of AUTO, and AUTO that of MANUAL', async () => {
      for (const [k, type] of [['items', 'table'], ['select 1 from items', 'template']]) {
        const auto = (await ok(201, 'POST', `${base}/cache-ttls`, { type: 'AUTO', key: k })).body;
        assert.deepEqual([auto.type, auto.value, auto.ruleType], ['AUTO', null, type.toUpperCase()]);
        const manual = (await ok(200, 'POST', `${base}/cache-ttls`, { type: 'MANUAL', key: k })).body;
        assert.deepEqual([manual.type, manual.ruleId], ['MANUAL', auto.ruleId]);
        assert.deepEqual(await rules(), [[type, k, 'never', 0]]);
        await ok(404, 'DELETE', `${base}/cache-ttls/AUTO/${encodeURIComponent(k)}`);
        await ok(200, 'POST', `${base}/cache-ttls`, { type: 'AUTO', key: k });
        await ok(204, 'DELETE', `${base}/cache-ttls/AUTO/${encodeURIComponent(k)}`);
      }
      // AUTO for a key that a rule has is that rule's.
      await ok(201, 'POST', `${base}/cache-ttls`, { type: 'QUERY', key: 'select 2', value: 1 });
      assert.equal((await ok(200, 'POST', `${base}/cache-ttls`, { type: 'AUTO', key: 'select 2' })).body.ruleType, 'QUERY');
      assert.equal((await ok(200, 'PATCH', where('select 2'), { value: 0 })).body.type, 'MANUAL');
      await ok(204, 'DELETE', `${base}/cache-ttls/MANUAL/select%202`);
      assert.deepEqual(await rules(), []);
    });

    test('a time that is no whole second is shown as it is', async () => {
      await ok(201, 'POST', `${base}/rules`, { type: 'table', key: 'half', mode: 'ttl', ttlMs: 1500 });
      assert.equal((await ok(200, 'GET', where('half'))).body.value, 1.5);
      await ok(204, 'DELETE', `${base}/cache-ttls/TABLE/half`);
    });

    test('what makes no sense is refused and named', async () => {
      for (const [body, field] of [[{}, 'type'], [{ type: 'QUERY' }, 'key'], [{ type: 'QUERY', key: '' }, 'key'], [{ type: 'query', key: 'k', value: 1 }, 'type'],
        [{ type: 'QUERY', key: 'k' }, 'value'], [{ type: 'AUTO', key: 'k', value: 1 }, 'value'], [{ type: 'TABLE', key: 'k', value: -1 }, 'value'],
        [{ type: 'TABLE', key: 'k', value: 1.5 }, 'value'], [{ type: 'TABLE', key: 'k', value: 31536001 }, 'value'], [{ type: 'TABLE', key: 'k', value: 1, name: 'x'.repeat(65) }, 'name'],
        [{ type: 'TABLE', key: 'x'.repeat(8193), value: 1 }, 'key'], [{ type: 'TABLE', key: 'k', value: 1, ttl: 5 }, 'spelling|field']]) {
        const reply = await ok(400, 'POST', `${base}/cache-ttls`, body);
        assert.match(reply.body.message, new RegExp(field), JSON.stringify(body).slice(0, 80));
      }
      await ok(201, 'POST', `${base}/cache-ttls`, { type: 'TABLE', key: 'k', value: 1 });
      for (const body of [{}, { value: '5' }, { key: 'j' }, { type: 'AUTO' }]) await ok(400, 'PATCH', where('k'), body);
      for (const path_ of ['cache-ttls/nothing', 'cache-ttls/%00', 'cache-ttls/%ff', 'cache-ttls/%zz', 'cache-ttls/k/']) await ok(404, 'GET', `${base}/${path_}`);
      for (const path_ of ['NONE/k', 'table/k', 'TABLE/%00', `${'T'.repeat(70)}/k`]) await ok(404, 'DELETE', `${base}/cache-ttls/${path_}`);
      await ok(204, 'DELETE', base);
      await ok(404, 'GET', `${base}/cache-ttls`);
    });
  });
});
