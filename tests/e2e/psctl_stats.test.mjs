// psctl stats and psctl top, as people and programs see them.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Process, program, run, tempDir, waitUntil } from './lib/process.mjs';
import { Stage } from './lib/stage.mjs';

const SQL = 'select id, name from items where id = ?';

describe('psctl stats and top', () => {
  let stage;
  let env;

  const psctl = (args, options = {}) => run(program('psctl'), args, { check: false, env, ...options });
  const good = async (...args) => {
    const done = await psctl(args);
    assert.equal(done.code, 0, `${args.join(' ')}: ${done.stderr}`);
    return done.stdout;
  };
  const json = async (...args) => JSON.parse(await good(...args, '--json'));

  before(async () => {
    stage = await Stage.create({
      agentArgs: ['--telemetry-every', '100ms', '--verify-every', '0'],
      cache: { ttlMinMs: 600000, ttlMaxMs: 86400000 },
    });
    const dir = tempDir('psctl');
    env = {
      PSCTL_CONFIG: path.join(dir, 'psctl.json'), PORTSIDE_URL: stage.controlPlane.url,
      PORTSIDE_TOKEN: stage.controlPlane.token, PORTSIDE_CA: path.join(stage.controlPlane.data, 'ca.crt'),
      TERM: 'xterm',
    };
    const [west, east] = stage.agents;
    for (const agent of [west, west, west, east]) await stage.query(agent, SQL, [7]);
    await stage.query(west, 'select now()');
    await stage.query(west, 'select * from nowhere');
    const sent = 6 + stage.agents.length; // and one each of Stage.create
    await waitUntil(async () => (await json('stats', 'main')).total.queries === sent, { what: 'the counts' });
  });
  after(async () => { await stage?.destroy(); });

  test('stats of a cache: figures, reasons, regions, templates', async () => {
    const text = await good('stats', 'main');
    assert.match(text, /^cache +main$/m);
    assert.match(text, /^queries +8: 1 hits, 3 misses, \d bypasses, \d writes; 3 errors$/m);
    assert.match(text, /^hit ratio +25\.0 %$/m);
    assert.match(text, /^cacheability +0\.\d\d$/m);
    assert.match(text, /^from memory +p50 [\d.]+ ms, p95 [\d.]+ ms, p99 [\d.]+ ms$/m);
    assert.match(text, /^time saved +[\d.]+ s$/m);
    assert.match(text, /^why no hits +.*first_seen 2/m);
    assert.match(text, /^eu-west +\d/m);
    assert.match(text, /^us-east +\d/m);
    assert.match(text, /^[0-9a-f]{16} +4 +25\.0 % .*10m +10m +select id, name from items where id = \?$/m);
    assert.match(text, /^0{16} .*\(other\)$/m);
    assert.doesNotMatch(text, /[▁▂▃▄▅▆▇█\x1b]/, 'neither colours nor sparklines without a terminal');
  });

  test('options narrow it down', async () => {
    const all = await json('stats', 'main', '--since', '15m');
    const id = all.templates.find((t) => t.text === SQL).template;
    assert.equal((await json('stats', 'main', '--template', id)).total.queries, 4);
    assert.equal((await json('stats', 'main', '--region', 'us-east', '--template', id)).total.queries, 1);
    assert.deepEqual(Object.keys(await json('stats', 'main', '--by', 'region')).includes('templates'), false);
    const most = await json('stats', 'main', '--order', 'hits', '--limit', '1');
    assert.deepEqual(most.templates.map((t) => t.template), [id]);
    const from = new Date(Date.now() - 3600e3).toISOString();
    assert.equal((await json('stats', 'main', '--from', from)).total.queries, 8);
    assert.equal((await json('stats', 'main', '--from', '2020-01-01T00:00:00Z', '--to', '2020-01-02T00:00:00Z')).total.queries, 0);
    const every = await json('stats');
    assert.deepEqual(every.items.map((i) => [i.cacheName, i.total.queries]), [['main', 8]]);
    assert.match(await good('stats'), /^main +8 +[\d.]+ +25\.0 % /m);
    assert.equal(await good('stats', 'main', '--quiet'), '');
  });

  test('what is wrong is said', async () => {
    for (const [args, code, text] of [
      [['stats', 'nosuch'], 4, /nosuch/],
      [['stats', 'main', '--since', 'soon'], 1, /since must be a duration/],
      [['stats', 'main', '--by', 'colour'], 1, /by must be a list/],
      [['stats', '--template', '0'.repeat(16)], 2, /name it/],
      [['top', '--every', '1ms'], 2, /--every/],
      [['top', '--by', 'time'], 2, /--by/],
    ]) {
      const done = await psctl(args);
      assert.equal(done.code, code, `${args.join(' ')}: ${done.stderr}`);
      assert.match(done.stderr, text);
    }
  });

  test('top looks once without a terminal, and again and again on one', async () => {
    assert.match(await good('top'), /^main +8 /m);
    assert.match(await good('top', 'main'), /select id, name from items where id = \?/);
    assert.equal((await json('top')).items.length, 1);
    // util-linux's script gives it a terminal.
    const live = new Process('psctl top', 'script', ['-qfc',
      `${program('psctl')} top --every 200ms`, '/dev/null'], { env });
    await live.line(/\x1b\[\?25l[^]*(\x1b\[H\x1b\[J[^]*main[^]*){3}/);
    assert.match(live.output, /[▁▂▃▄▅▆▇█]/, 'sparklines on a terminal');
    live.signal('SIGTERM');
    await live.exited;
  });

  test('stats draws sparklines on a terminal', async () => {
    const done = await run('script', ['-qec', `${program('psctl')} stats main`, '/dev/null'], { env });
    assert.match(done.stdout, /queries.*[▁▂▃▄▅▆▇█]/);
    assert.match(done.stdout, /hit ratio.*[▁▂▃▄▅▆▇█]/);
  });
});
