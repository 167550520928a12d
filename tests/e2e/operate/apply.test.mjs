// Caches as a file says: what is exported comes back, field by field; an apply
// that is interrupted at any place leaves each cache as it was or as it is to be.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe as suite, test } from 'node:test';
import { ControlPlane } from '../lib/portside.mjs';
import { program, run, tempDir, waitUntil } from '../lib/process.mjs';
import { Relay } from '../lib/relay.mjs';

const openapi = fs.readFileSync(new URL('../../../proto/openapi.yaml', import.meta.url), 'utf8');
const CHANGES = 6;

// Names of the settings of a cache, with the words that each may have.
function settings() {
  const from = openapi.indexOf('\n    CacheSettings:');
  const part = openapi.slice(from, openapi.indexOf('\n    RuleFields:', from));
  const found = [];
  for (const line of part.split('\n')) {
    const name = line.match(/^ {8}(\w+):/);
    const words = line.match(/enum: \[(.*)\]/);
    if (name) found.push({ name: name[1], words: null });
    if (words) found.at(-1).words = words[1].split(', ');
  }
  return found;
}

suite('psctl export, plan, apply', () => {
  let cp;
  let dir;
  let env;

  async function psctl(args, { code = 0, input, via } = {}) {
    const done = await run(program('psctl'), args, {
      check: false, input, env: { ...env, ...(via ? { PORTSIDE_URL: via } : {}) } });
    assert.equal(done.code, code, `psctl ${args.join(' ')}: ${done.code}\n${done.stdout}${done.stderr}`);
    return done;
  }
  // What a cache is, but for what is made by the control plane.
  async function definition(id) {
    const { revision, createdAt, updatedAt, id: _, connectionUriTemplate, rules, ...rest } = await cp.ok(
      'GET', `/v1/caches/${id}/definition`);
    return { ...rest, rules: rules.map(({ id: _id, cacheId, createdAt: _at, updatedAt: _to, revision: _version, ...rule }) => rule) };
  }
  const named = async (name) => (await cp.ok('GET', '/v1/caches')).find((c) => c.name === name);

  before(async () => {
    cp = await ControlPlane.start();
    dir = tempDir('apply');
    env = { PSCTL_CONFIG: path.join(dir, 'none.json'), PORTSIDE_URL: cp.url, PORTSIDE_TOKEN: cp.token,
      PORTSIDE_CA: path.join(cp.data, 'ca.crt'), PORTSIDE_CONTEXT: '' };
  });
  after(async () => { await cp?.stop(); });

  // Each setting with a value that is not its default.
  async function odd() {
    const usual = await cp.createCache({ name: 'usual', database: 'postgres', host: 'h' });
    await cp.ok('DELETE', `/v1/caches/${usual.id}`);
    const given = { name: 'odd', host: 'db-2.example.com', description: ' - odd: "quoted" #\n\ttwo lines\u2028 \u00fc \u{1f600} ',
      tlsCa: fs.readFileSync(env.PORTSIDE_CA, 'utf8') };
    for (const { name, words } of settings()) {
      const is = usual[name];
      assert.notEqual(is, undefined, name);
      if (name in given) continue;
      if (words) given[name] = words.find((w) => w !== is);
      else if (typeof is === 'boolean') given[name] = !is;
      else given[name] = name === 'memorySharePercent' ? 41 : is + 1;
    }
    return given;
  }
  const rules = [
    { type: 'table', key: 'public.items', mode: 'ttl', ttlMs: 90061, name: 'on: items' },
    { type: 'query', key: "SELECT *\n FROM t\r\n WHERE a = '\u00fc: #' ", mode: 'auto', staleIfErrorMs: 3600000 },
    { type: 'template', key: 'SELECT 1', mode: 'never', ttlMs: 5, staleWhileRevalidateMs: 86400000 },
  ];

  test('what is exported, deleted and applied is what it was, every field', async () => {
    const fields = await odd();
    assert.ok(Object.keys(fields).length > 30);
    const cache = await cp.createCache({ ...fields, database: 'mariadb', rules });
    const was = await definition(cache.id);
    for (const [name, value] of Object.entries(fields)) assert.deepEqual(was[name], value, name);
    for (const form of [[], ['--json']]) {
      const { stdout } = await psctl(['export', ...form]);
      await psctl(['plan', '-f', '-'], { input: stdout });
      assert.ok(!stdout.includes(cp.token));
      await cp.ok('DELETE', `/v1/caches/${(await named('odd')).id}`);
      await psctl(['plan', '-f', '-'], { input: stdout, code: CHANGES });
      await psctl(['apply', '-f', '-', '--yes'], { input: stdout });
      assert.deepEqual(await definition((await named('odd')).id), was);
      await psctl(['plan', '-f', '-'], { input: stdout });
    }
  });

  test('every field that drifts is seen, and set back', async () => {
    const { id } = await named('odd');
    const file = path.join(dir, 'odd.yaml');
    const { stdout } = await psctl(['export', 'odd']);
    fs.writeFileSync(file, stdout);
    const was = await definition(id);
    const usual = await cp.createCache({ name: 'usual', database: 'mariadb', host: 'h' });
    await cp.ok('DELETE', `/v1/caches/${usual.id}`);
    const names = settings().map((s) => s.name).filter((n) => n !== 'name' && n !== 'rateLimit');
    const drift = Object.fromEntries(names.map((n) => [n, usual[n]]));
    await cp.ok('PATCH', `/v1/caches/${id}/definition`, { ...drift, rules: rules.slice(1) });
    const plan = JSON.parse((await psctl(['plan', '-f', file, '--json'], { code: CHANGES })).stdout);
    assert.equal(plan.changes.length, 1);
    assert.equal(plan.changes[0].parts.length, names.length + 1);
    const shown = (await psctl(['plan', '-f', file], { code: CHANGES })).stdout;
    assert.match(shown, /^ +~ +pool-max +20 -> 21$/m);
    assert.match(shown, /^ +\+ +rule table public.items +ttl 90061ms, named on: items$/m);
    await psctl(['apply', '-f', file, '--yes']);
    assert.deepEqual(await definition(id), was);
  });

  test('nothing is applied that nobody confirmed, or that is refused', async () => {
    const was = await definition((await named('odd')).id);
    const file = path.join(dir, 'refused.yaml');
    const head = 'caches:\n  - name: odd\n';
    for (const [text, code, says] of [
      [`${head}    pool-max: 77\n`, 2, /--yes/],
      [`${head}    type: mssql\n`, 1, /refused\.yaml:2: .* cannot become mssql/],
      [`${head}  - name: new\n    type: mssql\n`, 1, /refused\.yaml:3: .* needs `host`/],
      [`${head}    pool-mx: 77\n`, 1, /refused\.yaml:3: .* did you mean `pool-max`/],
    ]) {
      fs.writeFileSync(file, text);
      const { stderr } = await psctl(['apply', '-f', file, ...(code === 2 ? [] : ['--yes'])], { code });
      assert.match(stderr, says);
    }
    // What the control plane refuses names the place in the file, and no part of it is done.
    fs.writeFileSync(file, `${head}    pool-max: 77\n    pool-min-idle: 99\n    rules: []\n`);
    const { stderr } = await psctl(['apply', '-f', file, '--yes'], { code: 1 });
    assert.match(stderr, /refused\.yaml:2: cache `odd` is not changed: poolMinIdle/);
    assert.deepEqual(await definition((await named('odd')).id), was);
  });

  test('only --prune and `absent: true` delete', async () => {
    await cp.createCache({ name: 'one', database: 'postgres', host: 'h' });
    await cp.createCache({ name: 'two', database: 'postgres', host: 'h' });
    await psctl(['apply', '-f', '-', '--yes'], { input: 'caches:\n  - {name: one, absent: true}\n' });
    assert.equal(await named('one'), undefined);
    assert.notEqual(await named('two'), undefined);
    const only = (await psctl(['export', 'odd'])).stdout;
    await psctl(['apply', '-f', '-', '--yes'], { input: only });
    assert.notEqual(await named('two'), undefined);
    await psctl(['apply', '-f', '-', '--yes', '--prune'], { input: only });
    assert.deepEqual((await cp.ok('GET', '/v1/caches')).map((c) => c.name), ['odd']);
  });

  test('a viewer may plan, and apply nothing', async () => {
    const { token } = await cp.ok('POST', '/v1/tokens', { name: 'nightly', role: 'viewer' });
    const file = path.join(dir, 'viewer.yaml');
    fs.writeFileSync(file, 'caches:\n  - {name: odd, pool-max: 78}\n');
    const own = env;
    env = { ...own, PORTSIDE_TOKEN: token };
    try {
      await psctl(['plan', '-f', file], { code: CHANGES });
      const { stderr } = await psctl(['apply', '-f', file, '--yes'], { code: 1 });
      assert.match(stderr, /role operator/);
    } finally {
      env = own;
    }
    await psctl(['plan', '-f', file], { code: CHANGES });
  });

  suite('interrupted', () => {
    const COUNT = 8;
    const states = ['old', 'new'].map((state, s) => Array.from({ length: COUNT }, (_, i) => ({
      name: `many ${String(i).padStart(2, '0')}`, description: state, poolMax: 10 + s,
      rules: Array.from({ length: 5 }, (_r, r) => ({ type: 'table', key: `${state}_${r}`, mode: 'ttl', ttlMs: 1000 * (r + 1) })),
    })));
    const files = states.map((list) => JSON.stringify({ version: 1, caches: list.map((c) => ({
      name: c.name, description: c.description, 'pool-max': c.poolMax, rules: c.rules.map((r) => ({ table: r.key, ttl: `${r.ttlMs}ms` })),
    })) }));
    const ids = [];
    let relay;
    let bytes; // that the control plane says for a plan, and for an apply

    // Which state each cache is in; in none, the test fails.
    async function look() {
      const seen = [];
      for (let i = 0; i < COUNT; i += 1) {
        const is = await definition(ids[i]);
        const fits = states.findIndex((list) => is.description === list[i].description && is.poolMax === list[i].poolMax
          && JSON.stringify(is.rules.map((r) => r.key)) === JSON.stringify(list[i].rules.map((r) => r.key)));
        assert.notEqual(fits, -1, `neither old nor new: ${JSON.stringify(is)}`);
        seen.push(fits);
      }
      return seen;
    }
    const backToOld = () => psctl(['apply', '-f', '-', '--yes', '--quiet'], { input: files[0] });
    function start() {
      const child = spawn(program('psctl'), ['apply', '-f', path.join(dir, 'new.json'), '--yes'], {
        env: { ...process.env, ...env, PORTSIDE_URL: `https://127.0.0.1:${relay.port}` }, stdio: 'ignore' });
      return { child, exited: once(child, 'exit') };
    }
    function rearm(freezeAfterBytes) {
      relay.frozen = false;
      relay.muted = false;
      relay.saidInAll = 0;
      relay.freezeAfterBytes = freezeAfterBytes;
    }
    async function finish() {
      rearm(null);
      await psctl(['apply', '-f', path.join(dir, 'new.json'), '--yes']);
      assert.deepEqual(await look(), Array(COUNT).fill(1));
      await psctl(['plan', '-f', path.join(dir, 'new.json')]);
    }

    before(async () => {
      for (const cache of states[0]) ids.push((await cp.createCache({ ...cache, host: 'h', database: 'postgres' })).id);
      fs.writeFileSync(path.join(dir, 'new.json'), files[1]);
      relay = await Relay.start({ host: '127.0.0.1', port: cp.ports.api });
      const via = `https://127.0.0.1:${relay.port}`;
      const counted = async (args, code) => {
        rearm(null);
        await psctl([...args, '-f', path.join(dir, 'new.json')], { via, code });
        return relay.saidInAll;
      };
      bytes = { plan: await counted(['plan'], CHANGES), apply: await counted(['apply', '--yes'], 0) };
      assert.ok(bytes.apply > bytes.plan + COUNT * 500);
    });
    after(async () => { await relay?.stop(); });

    test('what somebody else changes after the plan is not overwritten', async () => {
      await backToOld();
      rearm(bytes.plan - 100); // within the last reply that the plan needs
      const frozen = new Promise((resolve) => { relay.onFreeze = resolve; });
      const { exited } = start();
      await frozen;
      await cp.ok('PATCH', `/v1/caches/${ids[0]}`, { poolMax: 55 });
      relay.freezeAfterBytes = null;
      relay.frozen = false;
      assert.deepEqual(await exited, [1, null]);
      assert.equal((await definition(ids[0])).poolMax, 55);
      assert.equal((await definition(ids[1])).poolMax, states[0][1].poolMax);
      await finish();
    });

    for (const part of [0.3, 0.7]) {
      test(`psctl is killed when ${part * 100} % is done`, async () => {
        await backToOld();
        rearm(bytes.plan + Math.round((bytes.apply - bytes.plan) * part));
        const frozen = new Promise((resolve) => { relay.onFreeze = resolve; });
        const { child, exited } = start();
        await frozen;
        child.kill('SIGKILL');
        assert.equal((await exited)[1], 'SIGKILL');
        const seen = await look();
        assert.ok(seen.includes(0) && seen.includes(1), `${seen}`);
        await finish();
      });
    }

    for (const [part, delayMs] of [[0.2, 0], [0.3, 1], [0.4, 2], [0.5, 3], [0.65, 0]]) {
      test(`the control plane is killed when ${part * 100} % is done`, async () => {
        await backToOld();
        rearm(bytes.plan + Math.round((bytes.apply - bytes.plan) * part));
        // At once or a little later: while it works on the next one, perhaps. It
        // gets one more at most, because what it says of that does not arrive.
        const killed = new Promise((resolve) => {
          relay.onFreeze = () => {
            relay.frozen = false;
            relay.freezeAfterBytes = null;
            process.nextTick(() => { relay.muted = true; });
            setTimeout(() => { cp.process.signal('SIGKILL'); resolve(); }, delayMs);
          };
        });
        const { exited } = start();
        await killed;
        await cp.process.exited;
        const [code] = await exited;
        assert.equal(code, 3, 'it cannot connect any more');
        await cp.boot();
        const seen = await look();
        assert.ok(seen.includes(0) && seen.includes(1), `${seen}`);
        await finish();
      });
    }
  });
});
