// Nothing of a query but its template is ever written down: canaries in
// literals, bindings, comments, passwords and rows are looked for in every log,
// database, metric, span and state file.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Collector } from './lib/collector.mjs';
import { request } from './lib/portside.mjs';
import { program, run, tempDir, waitUntil } from './lib/process.mjs';
import { Stage } from './lib/stage.mjs';

const secret = (what) => `CANARY-${what}-${Math.random().toString(36).slice(2, 10)}`;
const canaries = {
  literal: secret('literal'),
  longLiteral: secret('dollar'),
  number: String(700000000 + Math.floor(Math.random() * 1e8)),
  binding: secret('binding'),
  comment: secret('comment'),
  unfinished: secret('unfinished'),
  wrongPassword: secret('wrong-password'),
  password: secret('password'),
  row: secret('row'),
  written: secret('written'),
};

// How bytes may look in a file.
const forms = (text) => [text, Buffer.from(text).toString('base64').replace(/=+$/, '').slice(0, -1),
  Buffer.from(text).toString('hex'), [...text].join('\0')];

function files(dir) {
  return fs.readdirSync(dir, { withFileTypes: true }).flatMap((f) => {
    const where = path.join(dir, f.name);
    return f.isDirectory() ? files(where) : [where];
  });
}

describe('canaries', () => {
  let stage;
  let collector;
  let env;
  before(async () => {
    collector = await Collector.start();
    stage = await Stage.create({
      agentArgs: ['--otlp-endpoint', collector.url, '--trace-sample', '1000', '--telemetry-every', '100ms',
        '--verify-every', '1', '--log-level', 'debug'],
      controlPlane: { args: ['--log-level', 'debug'] },
      cache: { ttlMinMs: 600000, ttlMaxMs: 86400000 },
    });
    await stage.db.sql(`create role canary login password '${canaries.password}'`);
    await stage.db.sql(`create table canary_table (id int primary key, note text);
      insert into canary_table values (1, '${canaries.row}');
      grant all on canary_table to canary, alice`, { database: 'app' });
    env = {
      PSCTL_CONFIG: path.join(tempDir('psctl'), 'psctl.json'), PORTSIDE_URL: stage.controlPlane.url,
      PORTSIDE_TOKEN: stage.controlPlane.token, PORTSIDE_CA: path.join(stage.controlPlane.data, 'ca.crt'),
    };
  });
  after(async () => {
    await stage?.destroy();
    await collector?.stop();
  });

  // Everything that was written, by name.
  async function everything() {
    const all = {};
    const add = (name, text) => { all[name] = Buffer.isBuffer(text) ? text : Buffer.from(text); };
    for (const dir of [stage.controlPlane.dir, ...stage.agents.map((a) => a.dir)]) {
      for (const file of files(dir)) add(file, fs.readFileSync(file));
    }
    for (const who of [stage.controlPlane, ...stage.agents]) {
      add(`log of ${who.process.name}`, who.process.output);
      add(`metrics of ${who.process.name}`, (await request(`${who.adminUrl}/metrics`)).text);
    }
    add('statistics', JSON.stringify(await stage.controlPlane.ok('GET',
      `/v1/caches/${stage.cache.id}/stats?by=time,region,template&limit=500`)));
    add('psctl stats', (await run(program('psctl'), ['stats', 'main', '--limit', '500'], { env })).stdout);
    add('spans', collector.bodies.map((b) => b.text).join('\n'));
    return all;
  }

  test('none is found anywhere, while templates are', async () => {
    const who = { user: 'canary', password: canaries.password };
    const statements = [
      [`select id, note from canary_table where note <> '${canaries.literal}'`],
      [`select id, note from canary_table where note <> $tag$${canaries.longLiteral}$tag$ and id < ${canaries.number}`],
      ['select id, note from canary_table where note <> ?', [canaries.binding]],
      [`select id, note from canary_table /* ${canaries.comment} */ where id = 1 -- ${canaries.comment}`],
      [`select id from canary_table where note = '${canaries.unfinished}`],
      [`insert into canary_table values (2, '${canaries.written}') on conflict (id) do update set note = excluded.note`],
      [`select cast('${canaries.literal}' as int)`], // the database's error repeats it
      [`select * from nowhere where note = '${canaries.literal}'`],
      ['insert into canary_table values (?, ?)', [1, canaries.binding]], // a duplicate key
    ];
    for (const agent of stage.agents) {
      for (let i = 0; i < 4; i += 1) for (const [sql, bindings] of statements) await stage.query(agent, sql, bindings, who);
      await stage.query(agent, 'select 1', undefined, { ...who, password: canaries.wrongPassword });
      const reply = await stage.query(agent, 'select note from canary_table where id = 1', undefined, who);
      assert.match(reply.text, new RegExp(canaries.row));
    }
    const template = 'select id, note from canary_table where note <> ?';
    await waitUntil(async () => {
      const seen = await stage.controlPlane.ok('GET', `/v1/caches/${stage.cache.id}/stats?by=template&limit=500`);
      const row = seen.templates.find((t) => t.text === template);
      return row && row.queries >= 16;
    }, { timeoutMs: 60000, what: 'the statistics' });
    await waitUntil(() => collector.spans().some((s) => s.attributes['db.query.text'] === template), { what: 'spans' });
    const all = await everything();
    const holders = (text) => Object.keys(all).filter((name) => forms(text).some((form) => all[name].includes(form)));
    // The search finds what is there.
    const found = holders('canary_table').join('\n');
    for (const name of [/telemetry\.db/, /^statistics$/m, /^psctl stats$/m, /^spans$/m]) assert.match(found, name);
    assert.match(holders(template).join('\n'), /telemetry\.db/);
    assert.match(holders('debug req: cache main').join('\n'), /^log of agent/m, 'requests are in the log');
    assert.ok(Object.keys(all).some((name) => /config\.bin$/.test(name)), 'state files are looked at');
    for (const [what, text] of Object.entries(canaries)) {
      assert.deepEqual(holders(text), [], `${what} (${text}) was written down`);
    }
  });

  test('nor in the files that are left when all have stopped', async () => {
    for (const agent of stage.agents) await agent.stop();
    await stage.controlPlane.stop();
    const left = [stage.controlPlane.dir, ...stage.agents.map((a) => a.dir)].flatMap(files);
    assert.ok(left.length > 5);
    for (const file of left) {
      const bytes = fs.readFileSync(file);
      for (const [what, text] of Object.entries(canaries)) {
        assert.ok(!forms(text).some((form) => bytes.includes(form)), `${what} is in ${file}`);
      }
    }
  });
});
