// Every verb of psctl against a real control plane with two agents; what it
// says, to people and to programs, is compared with golden/VERB.txt. The verbs
// come from psctl's own table: one without a golden file fails.
//
//   node operate.test.mjs --update     writes the golden files anew
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe as suite, test } from 'node:test';
import { program, run, tempDir, waitUntil } from '../lib/process.mjs';
import { request } from '../lib/portside.mjs';
import { Stage } from '../lib/stage.mjs';
import { Normal, entry, withoutSeries } from './transcript.mjs';
import { steps } from './steps.mjs';

const update = process.argv.includes('--update');
const golden = path.join(import.meta.dirname, 'golden');
const fileOf = (verb) => path.join(golden, `${verb.replaceAll(' ', '-')}.txt`);

suite('psctl, verb by verb', () => {
  let stage;
  let verbs; // names of all commands
  let normal;
  const said = new Map(); // verb -> texts of its commands
  const forms = new Map(); // verb -> Set of 'people', 'programs'
  const env = {
    PORTSIDE_URL: '', PORTSIDE_TOKEN: '', PORTSIDE_CA: '', PORTSIDE_CONTEXT: '', PORTSIDE_DB_PASSWORD: '', TZ: 'UTC',
  };

  async function psctl(words, { input, env: more = {} } = {}) {
    return run(program('psctl'), words, { check: false, input, env: { ...env, ...more } });
  }
  // The longest name that the words begin with.
  function verbOf(words) {
    for (let n = Math.min(3, words.length); n > 0; n -= 1) {
      const name = words.slice(0, n).join(' ');
      if (verbs.includes(name)) return name;
    }
    throw new Error(`no verb in ${words.join(' ')}`);
  }
  // Runs a command and writes down what it said.
  async function tell(words, options = {}) {
    const done = await psctl(words, options);
    const verb = verbOf(words);
    if (done.code === 0 && ['stats', 'top'].includes(verb) && words.includes('--json')) {
      done.stdout = withoutSeries(done.stdout);
    }
    // The whole table is psctl's own business; its names are enough here.
    if (verb === 'help' && words.includes('--json')) {
      done.stdout = JSON.parse(done.stdout).map((c) => `${c.name}: ${Object.keys(c)}`).join('\n');
    }
    if (!said.has(verb)) { said.set(verb, []); forms.set(verb, new Set()); }
    said.get(verb).push(entry(words, { ...done, input: options.input }));
    forms.get(verb).add(words.includes('--json') ? 'programs' : 'people');
    return done;
  }

  before(async () => {
    const dir = tempDir('operate');
    env.PSCTL_CONFIG = path.join(dir, 'psctl.json');
    verbs = JSON.parse((await psctl(['help', '--json'])).stdout).map((c) => c.name);
    stage = await Stage.create({ agentArgs: ['--memory', '8M', '--telemetry-every', '100ms', '--verify-every', '0'] });
    const names = (await stage.controlPlane.ok('GET', '/v1/agents')).items;
    const version = (await psctl(['version'])).stdout.match(/\d+\.\d+\.\d+\S*/)[0];
    fs.writeFileSync(path.join(dir, 'token'), stage.controlPlane.token);
    fs.copyFileSync(path.join(stage.controlPlane.data, 'ca.crt'), path.join(dir, 'ca.pem'));
    normal = new Normal([
      [dir, '<dir>'],
      [new RegExp(`\\b${stage.controlPlane.ports.api}\\b`, 'g'), '<api port>'],
      [new RegExp(`\\b${stage.db.port}\\b`, 'g'), '<database port>'],
      ...stage.agents.map((a) => [new RegExp(`\\b${a.port}\\b`, 'g'), `<${a.region} port>`]),
      [/(127\.0\.0\.1:)\d{4,5}\b/g, '$1<port>'],
      ...names.map((a) => [new RegExp(`(?<![\\w-])${a.name}(?![\\w-])`, 'g'), `<${a.region} agent>`]),
      [new RegExp(`\\b${os.hostname()}\\b`, 'g'), '<host>'],
      [version, '<version>'],
      [/PostgreSQL \d+[^"\n]*/g, 'PostgreSQL <version>'],
    ]);
    const world = { stage, dir, tell, psctl, env, waitUntil };
    try {
      for (const step of steps) await step(world);
    } catch (error) {
      throw new Error(`${error.message}\n${[...said.values()].map((t) => t.at(-1)).join('\n')}`);
    }
  }, { timeout: 120000 });
  after(async () => { await stage?.destroy(); });

  test('every verb is tried, for people and for programs', () => {
    for (const verb of verbs) {
      assert.ok(forms.has(verb), `no step of steps.mjs runs \`psctl ${verb}\``);
      for (const form of ['people', 'programs']) {
        assert.ok(forms.get(verb).has(form), `no step shows what \`psctl ${verb}\` says to ${form}`);
      }
    }
  });

  test('it says what the golden files have', () => {
    if (update) fs.rmSync(golden, { recursive: true, force: true });
    fs.mkdirSync(golden, { recursive: true });
    const wrong = [];
    for (const [verb, texts] of said) {
      const text = normal.of(texts.join('\n'));
      const file = fileOf(verb);
      if (update) fs.writeFileSync(file, text);
      const want = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
      if (text !== want) wrong.push({ verb, text, want });
    }
    for (const { text, want } of wrong.slice(0, 1)) assert.equal(text, want);
    assert.deepEqual(wrong.map((w) => w.verb), []);
  });

  test('no golden file is of a verb that is gone', () => {
    const known = verbs.map((v) => path.basename(fileOf(v)));
    for (const file of fs.readdirSync(golden)) assert.ok(known.includes(file), file);
  });

  test('a cache stays within its share of memory, and a metric says so', async () => {
    const [agent] = stage.agents;
    await psctl(['login', '--url', stage.controlPlane.url, '--token-file', path.join(path.dirname(env.PSCTL_CONFIG), 'token'),
      '--ca-file', path.join(path.dirname(env.PSCTL_CONFIG), 'ca.pem')]);
    const { stdout, code } = await psctl(['cache', 'update', 'shop', '--memory-share', '1', '--rate-limit', '0', '--json']);
    assert.equal(code, 0);
    const cache = JSON.parse(stdout);
    async function metric(name) {
      const { text } = await request(`${agent.adminUrl}/metrics`);
      return Number(text.match(new RegExp(`^${name}\\{cache="shop"\\} (\\S+)$`, 'm'))?.[1]);
    }
    // Two shards of about 4 MiB, of which 1 % is 40 KiB: three answers of 12 KB.
    let stored = 0;
    await waitUntil(async () => {
      for (let id = 1; id <= 40; id += 1) {
        const reply = await stage.query(agent, `select repeat(name, 1700) from items where id = ${id}`, undefined, { cache });
        assert.equal(reply.status, 200);
        stored += reply.stored ? 1 : 0;
      }
      // Until the agent has the new definition, and each shard an answer under it.
      const bytes = await metric('portside_cache_memory_bytes');
      return await metric('portside_cache_share_evictions_total') > 0 && bytes > 0 && bytes <= 8 * 2 ** 20 / 100;
    }, { what: 'the share to act' });
    assert.ok(stored > 6);
  });

  test('no token, password or row of another is in what was said', () => {
    const all = [...said.values()].flat().join('\n');
    for (const secret of [stage.controlPlane.token, 'alice-pw', stage.db.superuser.password]) {
      assert.ok(!all.includes(secret));
    }
  });
});
