// Every verb of psctl against the real control plane, agents and PostgreSQL:
// what programs read (--json, exit status) and what people see.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import { X509Certificate } from 'node:crypto';
import { spawn } from 'node:child_process';
import { after, before, describe as suite, test } from 'node:test';
import { freePort } from './lib/postgres.mjs';
import { program, run, tempDir, waitUntil } from './lib/process.mjs';
import { Stage } from './lib/stage.mjs';

const OK = 0;
const FAILED = 1;
const USAGE = 2;
const CONNECT = 3;
const NOT_FOUND = 4;
const TEST = 5;

const clean = {
  PORTSIDE_URL: '', PORTSIDE_TOKEN: '', PORTSIDE_CA: '', PORTSIDE_DB_PASSWORD: '',
};

suite('psctl', () => {
  let stage;
  let cp;
  let dir;
  let config;
  let tokenFile;
  let fingerprint;
  let env;

  // Runs psctl; the exit status must be the expected one.
  async function psctl(args, { code = OK, input, env: more = {} } = {}) {
    const done = await run(program('psctl'), args, { check: false, input, env: { ...env, ...more } });
    assert.equal(done.code, code, `psctl ${args.join(' ')}: ${done.code}\n${done.stdout}${done.stderr}`);
    return done;
  }
  async function json(args, options) {
    return JSON.parse((await psctl([...args, '--json'], options)).stdout);
  }
  const login = ['login', '--url'];

  before(async () => {
    stage = await Stage.create();
    cp = stage.controlPlane;
    dir = tempDir('psctl');
    config = path.join(dir, 'deep', 'psctl.json');
    env = { ...clean, PSCTL_CONFIG: config };
    tokenFile = path.join(dir, 'token');
    fs.writeFileSync(tokenFile, `${cp.token}\n`);
    const { body } = await cp.call('GET', '/v1/ca');
    fs.writeFileSync(path.join(dir, 'ca.pem'), body.certificate);
    fingerprint = new X509Certificate(body.certificate).fingerprint256;
  });
  after(async () => { await stage?.destroy(); });

  test('without a login it says how to log in', async () => {
    const { stderr } = await psctl(['status'], { code: CONNECT });
    assert.match(stderr, /psctl login --url/);
    const error = await json(['cache', 'list'], { code: CONNECT });
    assert.deepEqual(Object.keys(error.error), ['code', 'message', 'exitCode']);
    assert.equal(error.error.exitCode, CONNECT);
  });

  test('a login without a known CA says what to give', async () => {
    const { stderr } = await psctl([...login, cp.url, '--token-file', tokenFile], { code: CONNECT });
    assert.match(stderr, /--ca-fingerprint/);
    assert.equal(fs.existsSync(config), false);
  });

  test('a login checks the CA before it sends the token', async () => {
    const wrong = fingerprint.replace(/^../, fingerprint.startsWith('00') ? '01' : '00');
    const { stderr } = await psctl(
      [...login, cp.url, '--token-file', tokenFile, '--ca-fingerprint', wrong], { code: CONNECT });
    assert.match(stderr, /somebody else/);
    assert.ok(!stderr.includes(cp.token));
    await psctl([...login, cp.url, '--token-file', tokenFile, '--ca-fingerprint', 'abc'], { code: USAGE });
    assert.equal(fs.existsSync(config), false);
  });

  test('a server that only has the right /v1/ca gets no token', async () => {
    // Its certificate is not signed by the CA that it shows.
    const { key, cert } = await selfSigned(dir);
    const seen = [];
    const ca = JSON.stringify((await cp.call('GET', '/v1/ca')).body);
    const server = https.createServer({ key, cert }, (req, res) => {
      seen.push(req.headers.authorization ?? null);
      res.end(ca);
    });
    await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    const { stderr } = await psctl([...login, `https://127.0.0.1:${server.address().port}`,
      '--token-file', tokenFile, '--ca-fingerprint', fingerprint], { code: CONNECT });
    assert.match(stderr, /not trusted/);
    assert.deepEqual(seen, [null]);
    server.closeAllConnections?.();
    await new Promise((resolve) => { server.close(resolve); });
  });

  test('a wrong token is refused and not kept', async () => {
    const { stderr } = await psctl([...login, cp.url, '--ca-fingerprint', fingerprint],
      { code: CONNECT, input: `psk_${'x'.repeat(43)}\n` });
    assert.match(stderr, /does not accept the token/);
    assert.ok(!stderr.includes('xxxx'));
    assert.equal(fs.existsSync(config), false);
  });

  test('login by fingerprint, by file, by standard input', async () => {
    await psctl([...login, `${cp.url}/`, '--token-file', tokenFile, '--ca-fingerprint', fingerprint]);
    assert.equal(fs.statSync(config).mode & 0o777, 0o600);
    const kept = JSON.parse(fs.readFileSync(config, 'utf8'));
    assert.equal(kept.contexts[kept.current].url, cp.url);
    await psctl([...login, cp.url, '--token', cp.token, '--ca-file', path.join(dir, 'ca.pem')]);
    const done = await json([...login, cp.url, '--ca-fingerprint', fingerprint.toLowerCase().replaceAll(':', '')],
      { input: cp.token });
    assert.equal(done.url, cp.url);
  });

  test('status', async () => {
    const status = await json(['status']);
    assert.equal(status.agents.connected, 2);
    assert.equal(status.restricted, false);
    const { stdout } = await psctl(['status']);
    assert.match(stdout, /2 connected, 0 lost, 2 in all/);
    assert.ok(!stdout.includes('\x1b'));
    assert.equal((await psctl(['status', '--quiet'])).stdout, '');
  });

  test('the environment takes the place of a login', async () => {
    const only = { PSCTL_CONFIG: path.join(dir, 'none.json'), PORTSIDE_URL: `${cp.url}/v1`,
      PORTSIDE_TOKEN: cp.token, PORTSIDE_CA: path.join(dir, 'ca.pem') };
    assert.equal((await json(['status'], { env: only })).agents.total, 2);
    const other = await psctl(['status'], { code: CONNECT, env: { PORTSIDE_URL: 'https://127.0.0.1:1' } });
    assert.match(other.stderr, /PORTSIDE_TOKEN/);
  });

  test('contexts: several logins, which of them counts, and no token shown', async () => {
    const own = { PSCTL_CONFIG: path.join(dir, 'contexts', 'psctl.json') };
    const ca = path.join(dir, 'ca.pem');
    await psctl(['login', '--context', 'here', '--url', cp.url, '--token-file', tokenFile, '--ca-file', ca],
      { env: own });
    await psctl(['context', 'set', 'nowhere', '--url', 'https://127.0.0.1:1', '--token-file', '-'],
      { env: own, input: 'psk_other' });
    await psctl(['context', 'set', 'file', '--url', cp.url, '--token-path', tokenFile, '--ca-file', ca], { env: own });
    assert.equal(fs.statSync(own.PSCTL_CONFIG).mode & 0o777, 0o600);
    assert.deepEqual((await json(['context', 'list'], { env: own })).map((c) => [c.name, c.current, c.token]),
      [['file', false, 'file'], ['here', true, 'kept'], ['nowhere', false, 'kept']]);
    const list = await psctl(['context', 'list'], { env: own });
    assert.match(list.stdout, /^\* +here +https:\S+ +kept +pinned$/m);
    const shown = await json(['context', 'show', 'file'], { env: own });
    assert.equal(shown.tokenFile, tokenFile);
    for (const text of [list.stdout, JSON.stringify(shown)]) assert.ok(!text.includes('psk_'));
    await psctl(['status'], { env: own });
    await psctl(['context', 'use', 'nowhere'], { env: own });
    await psctl(['status'], { env: own, code: CONNECT });
    await psctl(['status', '--context', 'file'], { env: own });
    await psctl(['status'], { env: { ...own, PORTSIDE_CONTEXT: 'here' } });
    // The option is stronger than the environment.
    await psctl(['status', '--context', 'here'], { env: { ...own, PORTSIDE_URL: 'https://127.0.0.1:1' } });
    const wrong = await psctl(['status', '--context', 'hre'], { env: own, code: NOT_FOUND });
    assert.match(wrong.stderr, /did you mean `here`/);
    // A token does not go to another URL than its own.
    await psctl(['context', 'set', 'here', '--url', 'https://127.0.0.1:2'], { env: own });
    assert.equal((await json(['context', 'show', 'here'], { env: own })).token, 'none');
    await psctl(['context', 'delete', 'nowhere'], { env: own });
    await psctl(['context', 'use', 'nowhere'], { env: own, code: NOT_FOUND });
    await psctl(['logout', '--context', 'file'], { env: own });
    assert.deepEqual((await json(['context', 'list'], { env: own })).map((c) => c.name), ['here']);
  });

  test('region create, list, delete', async () => {
    const region = await json(['region', 'create', 'ap-south', '--description', 'far away']);
    assert.equal(region.name, 'ap-south');
    await psctl(['region', 'create', 'ap-south'], { code: FAILED });
    await psctl(['region', 'create', 'No Such Name'], { code: FAILED });
    const list = await json(['region', 'list']);
    assert.deepEqual(list.map((r) => [r.name, r.connected]),
      [['ap-south', 0], ['eu-west', 1], ['us-east', 1]]);
    const { stdout } = await psctl(['region', 'list']);
    assert.match(stdout, /^NAME +AGENTS +CONNECTED +CREATED +DESCRIPTION$/m);
    assert.match(stdout, /^ap-south +0 +0 .* far away$/m);
    assert.deepEqual((await psctl(['region', 'list', '--quiet'])).stdout.split('\n'),
      ['ap-south', 'eu-west', 'us-east', '']);
    await psctl(['region', 'delete', 'ap-south']);
    await psctl(['region', 'delete', 'ap-south'], { code: NOT_FOUND });
    await psctl(['region', 'delete', 'eu-west'], { code: FAILED });
  });

  test('token create, list, revoke', async () => {
    const made = await json(['token', 'create', 'ci']);
    assert.match(made.token, /^psk_[A-Za-z0-9_-]{43}$/);
    const list = await json(['token', 'list']);
    assert.ok(list.some((t) => t.name === 'ci' && t.id === made.id && !('token' in t)));
    assert.ok(!(await psctl(['token', 'list'])).stdout.includes(made.token));
    const mine = { PORTSIDE_TOKEN: made.token };
    await psctl(['status'], { env: mine });
    await psctl(['token', 'revoke', 'ci']);
    await psctl(['status'], { env: mine, code: CONNECT });
    await psctl(['token', 'revoke', 'ci'], { code: NOT_FOUND });
    const plain = await psctl(['token', 'create', 'plain']);
    assert.match(plain.stdout, /^psk_[A-Za-z0-9_-]{43}\n$/);
    await psctl(['token', 'revoke', 'plain']);
  });

  test('agent join-token, its list and its revocation', async () => {
    const made = await json(['agent', 'join-token', '--region', 'new-region', '--ttl', '10m', '--name', 'node-7']);
    assert.match(made.token, /^psj1\.[A-Za-z0-9_-]+$/);
    const left = Date.parse(made.expiresAt) - Date.now();
    assert.ok(left > 500e3 && left <= 601e3, `${left}`);
    const open = (await json(['agent', 'join-token', 'list'])).find((t) => t.id === made.id);
    assert.equal(open.usedAt, null);
    const { stdout } = await psctl(['agent', 'join-token', 'list']);
    assert.match(stdout, /^new-region +node-7 +open /m);
    assert.ok(!stdout.includes(made.token));
    await psctl(['agent', 'join-token', 'revoke', made.id]);
    await psctl(['agent', 'join-token', 'revoke', made.id], { code: NOT_FOUND });
    await psctl(['agent', 'join-token', '--region', 'x', '--ttl', '5'], { code: USAGE });
    await psctl(['agent', 'join-token'], { code: USAGE });
  });

  test('agent list', async () => {
    const list = await json(['agent', 'list']);
    assert.deepEqual(list.map((a) => [a.region, a.state, a.endpoint]),
      stage.agents.map((a) => [a.region, 'connected', a.url]));
    const { stdout } = await psctl(['agent', 'list']);
    assert.match(stdout, /^REGION +NAME +STATE +ENDPOINT +VERSION +LAST SEEN +APPLIED +LEASE MS +ID$/m);
    assert.match(stdout, new RegExp(`^eu-west .* connected +${stage.agents[0].url} `, 'm'));
  });

  test('cache create tells everything that a client needs', async () => {
    const { stdout } = await psctl(['cache', 'create', '--name', 'shop', '--type', 'postgres',
      '--host', '127.0.0.1', '--port', String(stage.db.port), '--ttl-min', '2s', '--ttl-max', '1h30m',
      '--max-entry-bytes', '64k', '--pool-max', '5', '--write-ack', 'global', '--tls', 'disable']);
    const cache = await json(['cache', 'show', 'shop']);
    assert.equal(cache.ttlMinMs, 2000);
    assert.equal(cache.ttlMaxMs, 5400000);
    assert.equal(cache.maxEntryBytes, 65536);
    assert.equal(cache.poolMax, 5);
    assert.equal(cache.writeAck, 'global');
    assert.match(stdout, new RegExp(`^application_name +${cache.id}$`, 'm'));
    assert.match(stdout, new RegExp(`cacheId: "${cache.id}"`));
    for (const agent of stage.agents) assert.ok(stdout.includes(agent.url));
    assert.match(stdout, /^eu-west \S+: connect ok [0-9.]+ ms/m);
    assert.match(stdout, /^REGION +AGENT +RESOLVE +CONNECT +GREETING +TLS +SOURCE +ADDRESS +RESULT$/m);
    for (const region of ['eu-west', 'us-east']) {
      assert.match(stdout, new RegExp(
        `^${region} +\\S+ +[0-9.]+ +[0-9.]+ +[0-9.]+ +none +127\\.0\\.0\\.1 +127\\.0\\.0\\.1:${stage.db.port} +reachable$`, 'm'));
    }
    await psctl(['cache', 'create', '--name', 'shop', '--type', 'postgres', '--host', 'x', '--no-wait'],
      { code: FAILED });
  });

  test('the code that cache create prints works', async () => {
    const cache = await json(['cache', 'show', 'shop']);
    for (const agent of stage.agents) await agent.knows(cache.id);
    const { stdout } = await psctl(['cache', 'create', '--name', 'copy', '--type', 'postgres',
      '--host', '127.0.0.1', '--port', String(stage.db.port), '--tls', 'disable']);
    const id = stdout.match(/^cache id +(\S+)$/m)[1];
    for (const agent of stage.agents) await agent.knows(id);
    const fill = (text) => text.replace(/^ {4}/gm, '')
      .replace('USER', 'alice').replace(/\bDATABASE\b/, 'app');
    const [, script, command] = stdout.match(/JavaScript[^\n]*\n\n(.*?)\n\ncurl:\n\n(.*?\}')\n/s);
    const secret = { DB_PASSWORD: 'alice-pw' };
    const file = path.join(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname),
      `.snippet-${process.pid}.mjs`);
    fs.writeFileSync(file, `${fill(script)}\nconsole.log(JSON.stringify(rows));\n`);
    try {
      const js = await run(process.execPath, [file], { env: secret });
      assert.deepEqual(JSON.parse(js.stdout), [{ greeting: 'hello' }]);
    } finally {
      fs.rmSync(file);
    }
    const sh = await run('sh', ['-c', fill(command)], { env: secret });
    assert.match(sh.stdout, /\[\{"one":1\}\]/);
    await psctl(['cache', 'delete', 'copy', '--yes']);
  });

  test('cache create --json has cache, endpoints and the test', async () => {
    const made = await json(['cache', 'create', '--name', 'json', '--type', 'postgres',
      '--host', '127.0.0.1', '--port', String(stage.db.port)]);
    assert.equal(made.applicationName, made.id);
    assert.deepEqual(made.endpoints.map((e) => e.endpoint), stage.agents.map((a) => a.url));
    assert.equal(made.reachability.state, 'done');
    assert.deepEqual(made.reachability.results.map((r) => [r.region, r.ok]),
      [['eu-west', true], ['us-east', true]]);
    const quiet = await psctl(['cache', 'create', '--name', 'quiet', '--type', 'mysql', '--host', 'h',
      '--no-wait', '--quiet']);
    assert.match(quiet.stdout, /^[0-9a-f-]{36}\n$/);
    assert.equal((await json(['cache', 'show', 'quiet'])).port, 3306);
    await psctl(['cache', 'delete', 'quiet']);
    await psctl(['cache', 'delete', made.id]);
  });

  test('wrong values are found before anything is sent', async () => {
    const base = ['cache', 'create', '--name', 'bad', '--host', 'h'];
    for (const [args, hint] of [
      [['--type', 'oracle'], /postgres\|mysql/],
      [['--type', 'postgres', '--ttl-min', '5'], /a duration like/],
      [['--type', 'postgres', '--max-entry-bytes', '5x'], /a size like/],
      [['--type', 'postgres', '--tls', 'maybe'], /verify-full/],
      [['--type', 'postgres', '--tls-ca', '/nonexistent'], /nonexistent/],
      [['--type', 'postgres', '--port', 'x'], /a whole number/],
      [['--type', 'postgres', '--wait', '--no-wait'], /exclude/],
    ]) {
      const { stderr } = await psctl([...base, ...args], { code: USAGE });
      assert.match(stderr, hint);
    }
    const server = await json([...base, '--type', 'postgres', '--port', '70000'], { code: FAILED });
    assert.equal(server.error.code, 'bad_field');
    await psctl(['cache', 'show', 'bad'], { code: NOT_FOUND });
  });

  test('cache list, show, update', async () => {
    const list = await json(['cache', 'list']);
    assert.deepEqual(list.map((c) => c.name), ['main', 'shop']);
    const { stdout } = await psctl(['cache', 'list']);
    assert.match(stdout, /^NAME +TYPE +HOST +PORT +CACHING +WRITE ACK +ID$/m);
    const changed = await json(['cache', 'update', 'shop', '--ttl-max', '5m', '--caching', 'off',
      '--description', 'Grüße']);
    assert.equal(changed.ttlMaxMs, 300000);
    assert.equal(changed.cachingEnabled, false);
    assert.equal(changed.description, 'Grüße');
    assert.match((await psctl(['cache', 'show', changed.id])).stdout, /^ttl-max +5m$/m);
    await psctl(['cache', 'update', 'shop'], { code: USAGE });
    const wrong = await psctl(['cache', 'show', 'shpo'], { code: NOT_FOUND });
    assert.match(wrong.stderr, /did you mean `shop`/);
    await psctl(['cache', 'update', 'shop', '--caching', 'on']);
  });

  test('cache test on demand; an unreachable database is status 5', async () => {
    const good = await json(['cache', 'test', 'main']);
    assert.equal(good.state, 'done');
    assert.ok(good.results.every((r) => r.ok));
    await psctl(['cache', 'update', 'shop', '--port', String(await freePort())]);
    const bad = await psctl(['cache', 'test', 'shop'], { code: TEST });
    assert.match(bad.stdout, /^us-east +\S+ +[0-9.]+ +origin_refused +- +- .* origin_refused$/m);
    assert.match(bad.stdout, /^eu-west \S+: Nothing accepts connections there: /m);
    assert.match(bad.stderr, /2 of 2 agents do not reach the database/);
    const run5 = await json(['cache', 'test', 'shop'], { code: TEST });
    assert.equal(run5.results[0].code, 'origin_refused');
    await psctl(['cache', 'test', 'nothing'], { code: NOT_FOUND });
    await psctl(['cache', 'delete', 'shop']);
  });

  const ask = ['query', '--cache', 'main', '--user', 'alice', '--database', 'app'];
  const secret = { PORTSIDE_DB_PASSWORD: 'alice-pw' };

  test('query shows rows and how they came', async () => {
    const sql = 'select id, name, qty from items where id in (?, ?) order by id';
    const { stdout } = await psctl([...ask, '--region', 'eu-west', '--repeat', '3', sql, '2', '11'],
      { env: secret });
    assert.match(stdout, /^id +name +qty\n 2 +item 2 +20\n11 +item 11 +110\n\(2 rows\)\n/);
    const calls = stdout.split('\n').filter((l) => l.includes(' ms  ('));
    assert.deepEqual(calls.map((l) => l.split(/ +/)[0]), ['miss', 'miss', 'hit']);
    assert.match(calls[2], /^hit +[0-9.]+ ms {2}\(portside; hit; ttl=\d+\) {2}reason=hit age=\d+$/);
  });

  test('query --json, bindings, the other region, purge', async () => {
    const sql = 'select ? ::int + 1 as n, ? as t, ? ::int as nothing';
    const answer = await json([...ask, '--region', 'us-east', '--repeat', '2', sql, '41', 'x y', 'null'],
      { env: secret });
    assert.deepEqual(answer.rows, [{ n: 42, t: 'x y', nothing: null }]);
    assert.equal(answer.region, 'us-east');
    assert.equal(answer.endpoint, stage.agents[1].url);
    assert.equal(answer.calls.length, 2);
    assert.ok(Number.isInteger(answer.calls[0].timeUs));
    const named = await json([...ask, 'select :who as who', '{"who":"me"}'], { env: secret });
    assert.deepEqual(named.rows, [{ who: 'me' }]);
    const piped = await json([...ask, '-'], { env: secret, input: 'select 7 as seven;\n' });
    assert.deepEqual(piped.rows, [{ seven: 7 }]);

    const warm = [...ask, '--region', 'eu-west', '--repeat', '3', 'select name from items where id = 5'];
    assert.equal((await json(warm, { env: secret })).calls.at(-1).status, 'hit');
    const { number } = await json(['purge', 'main']);
    assert.ok(number >= 1);
    await waitUntil(async () => (await json(['agent', 'list'])).every((a) => a.appliedNumber >= number),
      { what: 'the purge everywhere' });
    assert.notEqual((await json(warm, { env: secret })).calls[0].status, 'hit');
  });

  test('a write through one region shows in the other', async () => {
    const read = [...ask, '--region', 'us-east', '--repeat', '3', 'select qty from items where id = 9'];
    assert.equal((await json(read, { env: secret })).calls.at(-1).status, 'hit');
    await json([...ask, '--region', 'eu-west', 'update items set qty = 1 where id = 9'], { env: secret });
    await waitUntil(async () => (await json(read, { env: secret })).rows[0].qty === 1, { what: 'the new row' });
  });

  test('query: what fails says so, with status 5, and no password', async () => {
    const sql = await json([...ask, 'select nonsense'], { env: secret, code: TEST });
    assert.equal(sql.error.code, '42703');
    assert.match(sql.error.message, /nonsense/);
    const login = await psctl([...ask, 'select 1'], { env: { PORTSIDE_DB_PASSWORD: 'wrong-pw' }, code: TEST });
    assert.ok(!`${login.stdout}${login.stderr}`.includes('wrong-pw'));
    await psctl([...ask, 'select 1'], { code: USAGE });
    await psctl([...ask, '--region', 'nowhere', 'select 1'], { env: secret, code: NOT_FOUND });
    await psctl([...ask, '--endpoint', 'http://127.0.0.1:1', 'select 1'], { env: secret, code: CONNECT });
    const file = path.join(dir, 'db-password');
    fs.writeFileSync(file, 'alice-pw\n');
    await psctl([...ask, '--password-file', file, 'select 1']);
    const unknown = ['query', '--cache', '00000000-0000-4000-8000-000000000000', '--user', 'u', '--database', 'd',
      '--endpoint', stage.agents[0].url, 'select 1'];
    await psctl(unknown, { env: secret, code: NOT_FOUND });
  });

  test('data cannot drive the terminal', async () => {
    const { stdout } = await psctl([...ask, "select E'a\\x1b[2Jb\\nc' as evil"], { env: secret });
    assert.ok(stdout.includes('a\\x1b[2Jb\\nc'));
    assert.ok(!stdout.includes('\x1b'));
  });

  test('on a terminal: the table is redrawn in place and Ctrl-C leaves it sane', async () => {
    const child = spawn('script', ['-qec', `${program('psctl')} cache test main`, '/dev/null'],
      { env: { ...process.env, ...env, TERM: 'xterm', NO_COLOR: '' }, stdio: ['pipe', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (t) => { text += t; });
    const [code] = await new Promise((resolve) => { child.on('close', (...a) => resolve(a)); });
    assert.equal(code, OK, text);
    assert.ok(text.startsWith('\x1b[?25l\x1b[?7l'), JSON.stringify(text));
    assert.ok(text.indexOf('\x1b[?7h\x1b[?25h') > text.lastIndexOf('REGION'));
    assert.match(text, /\x1b\[32mreachable\x1b\[0m/);

    // A database that never answers keeps the test running.
    const silent = net.createServer().listen(0, '127.0.0.1');
    const accepted = [];
    silent.on('connection', (s) => { accepted.push(s); s.on('error', () => {}); });
    await new Promise((resolve) => { silent.once('listening', resolve); });
    await psctl(['cache', 'create', '--name', 'silent', '--type', 'postgres', '--host', '127.0.0.1',
      '--port', String(silent.address().port), '--no-wait']);
    const stopped = spawn('script', ['-qec', `${program('psctl')} cache test silent`, '/dev/null'],
      { env: { ...process.env, ...env, TERM: 'xterm' }, stdio: ['pipe', 'pipe', 'inherit'] });
    let seen = '';
    stopped.stdout.setEncoding('utf8').on('data', (t) => { seen += t; });
    await waitUntil(() => seen.includes('testing'), { what: () => `the live table: ${seen}` });
    stopped.stdin.write('\x03');
    const [status] = await new Promise((resolve) => { stopped.on('close', (...a) => resolve(a)); });
    assert.equal(status, 130, seen);
    assert.ok(seen.lastIndexOf('\x1b[?7h\x1b[?25h') > seen.lastIndexOf('\x1b[?25l'));
    await psctl(['cache', 'delete', 'silent']);
    for (const s of accepted) s.destroy();
    silent.close();
  });

  test('a lost agent is a warning with what to do; revoke and remove end it', async () => {
    // What it may have sent is over sooner.
    for (const { id } of await json(['cache', 'list'])) await cp.ok('PATCH', `/v1/caches/${id}`, { queryTimeoutMs: 1000 });
    const victim = stage.agents.pop();
    await victim.stop('SIGKILL');
    await waitUntil(async () => (await json(['status'])).restricted, { what: 'restricted' });
    const { stdout } = await psctl(['status']);
    assert.match(stdout, /warning: 1 agent is lost .*psctl agent revoke AGENT/s);
    await psctl(['agent', 'remove', victim.id], { code: FAILED });
    await psctl(['agent', 'revoke', victim.id, '--yes']);
    assert.equal((await json(['agent', 'list'])).find((a) => a.id === victim.id).state, 'revoked');
    assert.match((await psctl(['status'])).stdout, /warning: an agent that died or was revoked/);
    await waitUntil(async () => !(await json(['status'])).restricted, { what: 'no longer restricted', timeoutMs: 60000 });
    await psctl(['agent', 'remove', victim.id, '--yes']);
    assert.equal((await json(['agent', 'list'])).length, 1);
    await psctl(['agent', 'revoke', 'nobody'], { code: NOT_FOUND });
  });

  test('version, help, and the hint after a typing error', async () => {
    assert.match((await psctl(['version'])).stdout, /^psctl \d+\.\d+\.\d+\n$/);
    const commands = await json(['help']);
    for (const { name } of commands) {
      const { stdout } = await psctl([...name.split(' '), '--help']);
      assert.ok(stdout.startsWith(`psctl ${name} - `), stdout);
    }
    assert.match((await psctl(['cahce', 'list'], { code: USAGE })).stderr, /did you mean `psctl cache list`/);
    assert.match((await psctl(['cache', 'list', '--jsno'], { code: USAGE })).stderr, /--json/);
    await psctl([], { code: USAGE });
  });

  test('logout', async () => {
    assert.deepEqual(await json(['logout']), { loggedOut: true });
    assert.deepEqual(await json(['logout']), { loggedOut: false });
    await psctl(['status'], { code: CONNECT });
  });

  test('a control plane that is away', async () => {
    await psctl([...login, cp.url, '--token-file', tokenFile, '--ca-fingerprint', fingerprint]);
    await cp.stop();
    const { stderr } = await psctl(['status'], { code: CONNECT });
    assert.match(stderr, /nothing accepts connections at/);
  });
});

async function selfSigned(dir) {
  const key = path.join(dir, 'other.key');
  const cert = path.join(dir, 'other.pem');
  await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
    '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=other', '-addext', 'subjectAltName=IP:127.0.0.1']);
  return { key: fs.readFileSync(key), cert: fs.readFileSync(cert) };
}
