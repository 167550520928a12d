// README.md and the pages of examples/: every command that they tell a reader to
// type is taken out of them and run, in their order, in a place where the names
// they speak of are real, with a control plane, agents and databases; what they
// show as output is compared. A command that is not in the tables below, or a
// table's command that is in no page any more, is a failure.
//
// PS_GUIDE_WITHOUT=NAME,NAME leaves out what a machine cannot run (the `name`s
// below); nothing is left out by itself.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe as suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Authority } from './lib/certificates.mjs';
import { assertShown, commands, read } from './lib/guide.mjs';
import { Place } from './lib/place.mjs';
import { Postgres } from './lib/postgres.mjs';
import { buildDir, run, tempDir, waitUntil } from './lib/process.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, '../..');
const without = new Set((process.env.PS_GUIDE_WITHOUT ?? '').split(',').filter(Boolean));
const MINUTE_MS = 60 * 1000;
const NAMES = ['portside.example.com', 'eu-west.example.com', 'api.any.eu-west.example.com', 'db.example.com', 'portside-example.you.workers.dev'];
const withMariaDb = path.join(root, 'tests/contract/with_mariadb');
const DENO = 'deno@2.9.6';

suite('the guides, executed', () => {
  let place;
  let dir; // a copy of examples/, so that nothing is written into the tree
  let id; // of the cache that the guides call shop
  let ticket; // the join token that psctl printed
  const installing = {}; // folder -> npm install under way

  const psql = (text, database) => place.sh(`psql -q -v ON_ERROR_STOP=1 -h db.example.com -U postgres ${database}`, { input: text, env: { PGPASSWORD: 'super-secret' } });
  const install = (folder, ...packages) => run('npm', ['install', '--no-audit', '--no-fund', ...packages], { cwd: path.join(dir, folder), timeoutMs: 5 * MINUTE_MS });
  const daemon = (name, ready) => ({
    run: async (text, cwd) => { await place.start(name, text, { cwd }).line(ready, MINUTE_MS); },
  });
  const cacheId = async () => JSON.parse((await place.sh('psctl cache list --json')).stdout)[0].id;
  // The reader puts in what the page leaves open.
  const fill = (text) => text.replaceAll('<id>', id).replaceAll('<join-token>', ticket);
  const hits = (done) => assert.match(done.stdout, /portside; hit/);
  const elsewhere = (file, proof) => ({
    run: () => assert.match(fs.readFileSync(path.join(root, file), 'utf8'), proof),
  });
  // Must be known to have been there already, as the pages assume.
  const createCache = {
    run: async (text, cwd) => {
      const done = await place.sh(text, { cwd, timeoutMs: MINUTE_MS });
      id = await cacheId();
      return done;
    },
  };
  const npmInstall = { run: async (text, cwd) => { await installing[path.basename(cwd)]; } };

  const pages = {
    'README.md': {
      'scripts/quickstart': {
        name: 'quickstart',
        run: async (text) => {
          // As scripts/test configures it, which builds it anyway.
          await run('cmake', ['-S', root, '--preset', 'release', '-DPS_WERROR=ON'], { timeoutMs: MINUTE_MS });
          const done = await run(path.join(root, text), ['--once'], { cwd: root, timeoutMs: 20 * MINUTE_MS, env: { NO_COLOR: '1' } });
          assert.match(done.stdout, /\$ psctl cache create[^]*\nmiss [^]*\nhit [^]*\$ psctl query.*update[^]*reason=invalidated\n/);
          return done;
        },
      },
      'scripts/test': { name: 'scripts/test', run: async (text) => run(path.join(root, text), [], { cwd: root, timeoutMs: 90 * MINUTE_MS, env: { PS_GUIDE_WITHOUT: 'scripts/test' } }) },
      'scripts/package': elsewhere('tests/e2e/packages.test.mjs', /run\(path\.join\(root, 'scripts\/package'\)/),
      'apt install ./portside-agent_*.deb': elsewhere('tests/e2e/packages.test.mjs', /apt-get install .*\$\{names/),
      'portside-controlplane --data-dir /var/lib/portside --listen-api 0.0.0.0:7600 --listen-calls 0.0.0.0:7601 --listen-events 0.0.0.0:7602 --public-host portside.example.com': {
        run: async (text, cwd) => {
          const process = place.start('controlplane', text, { cwd });
          await process.line(/^ready/m);
          await place.sh('cp /var/lib/portside/admin.token .', { cwd });
        },
      },
      'psctl login --url https://portside.example.com:7600 --token-file admin.token --ca-fingerprint HEX': {
        run: async (text, cwd) => {
          const print = await place.sh('openssl x509 -in /var/lib/portside/ca.crt -noout -fingerprint -sha256', { cwd });
          return place.sh(text.replace('HEX', print.stdout.trim().split('=')[1]), { cwd });
        },
      },
      'psctl agent join-token --region eu-west': {
        run: async (text, cwd) => {
          const done = await place.sh(text, { cwd });
          [ticket] = /\bps\S{40,}|\S{100,}/.exec(done.stdout) ?? assert.fail(done.stdout);
          return done;
        },
      },
      'portside-agent enroll <join-token>': {},
      'portside-agent run --listen-tls 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem --endpoint https://eu-west.example.com': {
        run: async (text, cwd) => {
          await place.start('agent', text, { cwd }).line(/^ready/m);
          // A reader is not quick enough to be there before its session.
          await waitUntil(async () => (await place.sh('curl -sf https://eu-west.example.com/readyz && psctl agent list', { cwd, check: false })).stdout.match(/ready.* connected /s),
            { what: 'a connected agent', everyMs: 200 });
        },
      },
      'psctl cache create --name shop --type postgres --host db.example.com': createCache,
      program: async (text, cwd) => {
        fs.symlinkSync(path.join(here, 'node_modules'), path.join(cwd, 'node_modules'));
        const file = `const { env } = process;\n${text.replace("'...'", `'${id}'`)}\nconsole.log(JSON.stringify(rows));\n`;
        fs.writeFileSync(path.join(cwd, 'page.mjs'), file);
        const done = await place.sh('node page.mjs', { cwd, env: { DB_PASSWORD: 'secret' } });
        assert.deepEqual(JSON.parse(done.stdout), [{ name: 'item 7' }]);
      },
    },

    'examples/cloudflare-worker/README.md': {
      'psctl cache create --name shop --type postgres --host db.example.com': {
        run: async (text, cwd) => {
          await place.sh('psctl cache delete shop --yes', { cwd }); // the page before has made it
          return createCache.run(text, cwd);
        },
      },
      'psctl cache test shop': {},
      'cp secrets.example.json secrets.json': {
        run: async (text, cwd) => {
          await place.sh(text, { cwd });
          const file = path.join(cwd, 'secrets.json');
          fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace('change me', 'secret'));
          // Step 3 of the page.
          const toml = path.join(cwd, 'wrangler.toml');
          fs.writeFileSync(toml, fs.readFileSync(toml, 'utf8').replace('00000000-0000-4000-8000-000000000000', id));
        },
      },
      'npm install': npmInstall,
      // Needs an account of Cloudflare's: shown is that it wants nothing else. The
      // secrets go where wrangler keeps them for the runtime on this machine.
      'npx wrangler secret bulk secrets.json': {
        run: async (text, cwd) => {
          const done = await place.sh(text, { cwd, check: false, timeoutMs: MINUTE_MS });
          assert.notEqual(done.code, 0);
          assert.match(done.stdout + done.stderr, /it's necessary to set a CLOUDFLARE_API_TOKEN/);
          const secrets = Object.entries(JSON.parse(fs.readFileSync(path.join(cwd, 'secrets.json'), 'utf8')));
          fs.writeFileSync(path.join(cwd, '.dev.vars'), secrets.map(([name, value]) => `${name}=${JSON.stringify(value)}\n`).join(''));
        },
      },
      'rm secrets.json': {},
      // The same: everything up to the upload, then the Worker in the real
      // runtime here, under the name that Cloudflare would give it.
      'npx wrangler deploy': {
        run: async (text, cwd) => {
          const done = await place.sh(`${text} --dry-run --outdir out`, { cwd, timeoutMs: MINUTE_MS });
          assert.match(done.stdout, /--dry-run: exiting now/);
          assert.match(done.stdout, /env\.PORTSIDE_ENDPOINT \("https:\/\/eu-west\.example\.com"\)/);
          await place.start('wrangler dev', 'npx wrangler dev --local --local-protocol https --https-cert-path ../worker.crt '
            + `--https-key-path ../worker.key --ip ${place.address} --port 8443 --inspector-port 0`, { cwd }).line(/Ready on https/, MINUTE_MS);
        },
      },
      'curl -si https://portside-example.you.workers.dev/items/7 | grep -i cache-status': {
        run: async (text, cwd) => {
          const here8443 = `${text.replace('curl ', 'curl --connect-to ::$0:8443 ')}`.replace('$0', place.address);
          const ask = () => place.sh(here8443, { cwd });
          const all = [await ask(), await ask(), await ask()].map((done) => done.stdout).join('');
          const write = await place.sh(here8443.replace('/items/7', "'/items/7?qty=5'").replace('-si', '-si -X POST'), { cwd });
          assert.match(write.stdout, /fwd=bypass/);
          const next = await ask();
          assert.doesNotMatch(next.stdout, /; hit/);
          return { stdout: all };
        },
      },
    },

    'examples/drivers/README.md': {
      'psctl cache list': {},
      'npm install': npmInstall,
      "DATABASE_URL='postgresql://app:secret@<id>.any.eu-west.example.com/shop' node neon.mjs": {
        then: (done) => {
          assert.match(done.stdout, /(\[ \{ word: 'hello' \} \]\n){3}/);
          assert.match(done.stdout, /three: 3/);
        },
      },
      // On a MariaDB that lives as long as the command.
      'PORTSIDE_HOST=eu-west.example.com PORTSIDE_CACHE=<id> DB_NAME=shop DB_USER=app DB_PASSWORD=secret node planetscale.mjs': {
        run: async (text, cwd) => {
          const real = text.replace('<id>', '$id').replace('DB_NAME=shop', 'DB_NAME=app').replace('DB_PASSWORD=secret', "DB_PASSWORD='app secret'");
          fs.writeFileSync(path.join(cwd, 'on_mariadb'), `set -eu
psctl cache create --name orders --type mariadb --host 127.0.0.1 --port "$PS_MY_PORT" --tls disable
id=$(psctl cache list --json | node -e 'console.log(JSON.parse(fs.readFileSync(0)).find((c) => c.name === "orders").id)')
${real}
psctl cache delete orders --yes
`);
          const done = await place.sh(`${withMariaDb} sh on_mariadb`, { cwd, timeoutMs: MINUTE_MS });
          assert.match(done.stdout, /(\[ \{ word: 'hello' \} \]\n){3}in a transaction: 2/);
          return done;
        },
      },
      'PORTSIDE_ENDPOINT=https://eu-west.example.com PORTSIDE_CACHE=<id> DB_NAME=shop DB_USER=app DB_PASSWORD=secret ./query.sh "select 1 as one"': {
        then: (done) => assert.deepEqual(JSON.parse(done.stdout).rows, [{ one: 1 }]),
      },
    },

    'examples/fetch/README.md': {
      'export PORTSIDE_ENDPOINT=https://eu-west.example.com PORTSIDE_CACHE=<id>': {},
      'export DB_NAME=shop DB_USER=app DB_PASSWORD=secret': {},
      'deno run --allow-net --allow-env deno.ts': {
        run: async (text, cwd, exported) => {
          await installing.fetch;
          const done = await place.sh(`${exported}npx ${text}`, { cwd, timeoutMs: MINUTE_MS });
          assert.match(done.stdout, /(\[ \{ one: 1 \} \] \w+\n){3}/);
          return done;
        },
      },
    },

    'examples/node/README.md': {
      'psctl cache list': {},
      'npm install': npmInstall,
      'PORTSIDE_ENDPOINT=https://eu-west.example.com PORTSIDE_CACHE=<id> DB_NAME=shop DB_USER=app DB_PASSWORD=secret node query.mjs "select name, qty from items where id = 7"': { then: hits },
    },

    'examples/monitoring/README.md': {
      'promtool check config prometheus.yml && promtool check rules alerts.yml': {},
      'prometheus --config.file=prometheus.yml': daemon('prometheus', /Server is ready to receive web requests/),
      'curl -s 127.0.0.1:7680/metrics | promtool check metrics': {},
      'curl 127.0.0.1:7680/log-levels': { then: (done) => assert.match(done.stdout, /^info$/m) },
      'curl -X PUT --data info,link=debug 127.0.0.1:7680/log-levels': { then: (done) => assert.match(done.stdout, /link=debug/) },
      'psctl stats': {},
      'psctl cache show': { run: (text, cwd) => place.sh(`${text} shop`, { cwd }), then: (done) => assert.match(done.stdout, /db\.example\.com/) },
    },
  };

  before(async () => {
    const authority = await Authority.create();
    const certificate = await authority.issue({ names: NAMES.map((name) => `DNS:${name}`) });
    dir = tempDir('guides');
    await run('cp', ['-a', path.join(root, 'examples'), dir]);
    fs.mkdirSync(path.join(dir, 'examples/..', 'home'));
    // What a reader has: a certificate for the public names.
    for (const [name, pem] of [['cert.pem', certificate.cert], ['key.pem', certificate.key]]) fs.writeFileSync(path.join(dir, 'home', name), pem);
    fs.writeFileSync(path.join(dir, 'examples/worker.crt'), certificate.cert);
    fs.writeFileSync(path.join(dir, 'examples/worker.key'), certificate.key);
    for (const folder of ['cloudflare-worker', 'drivers', 'node']) installing[folder] = install(`examples/${folder}`);
    installing.fetch = install('examples/fetch', DENO);
    for (const one of Object.values(installing)) one.catch(() => {}); // awaited where the page says it

    place = await Place.create({ host: 'eu-west-1', names: NAMES, trust: authority.pem });
    Object.assign(place.env, { PATH: `${path.join(buildDir(), 'bin')}:${process.env.PATH}`, WRANGLER_SEND_METRICS: 'false', CI: '1', CLOUDFLARE_API_TOKEN: '', NO_COLOR: '1' });
    await Postgres.start({ host: place.address, port: 5432, wrap: place.wrap, ssl: certificate });
    await run(withMariaDb, ['true'], { timeoutMs: 2 * MINUTE_MS }); // may fetch the server, for which there is no network there
    await psql("create role app login password 'secret'; create database shop owner app;", 'postgres');
    const worker = fs.readFileSync(path.join(root, 'examples/cloudflare-worker/README.md'), 'utf8');
    const [, table] = /The table of the example: `([^`]+)`/.exec(worker);
    await psql(`${table}; insert into items values (7, 'item 7', 70); grant all on items to app;`, 'shop');
  });
  after(async () => { await place?.stop(); });

  for (const [page, table] of Object.entries(pages)) {
    const cwd = () => (page === 'README.md' ? path.join(dir, 'home') : path.join(dir, path.dirname(page)));
    let exported = '';
    const seen = new Set();
    const list = read(path.join(root, page));
    for (const { kind, text, output } of list) {
      const known = kind === 'program' ? { run: table.program } : table[text];
      const again = kind === 'mention' && seen.has(text);
      seen.add(kind === 'program' ? 'program' : text);
      if (again) continue;
      test(`${page}: ${text.split('\n')[0]}`, { skip: without.has(known?.name) && 'left out by PS_GUIDE_WITHOUT' }, async () => {
        assert.ok(known && (kind !== 'program' || known.run), `${page} tells to type what nothing here runs:\n${text}`);
        if (text.startsWith('export ')) exported += `${fill(text)}\n`;
        const done = known.run
          ? await known.run(text, cwd(), exported)
          : await place.sh(`${exported}${fill(text)}`, { cwd: cwd(), timeoutMs: MINUTE_MS });
        known.then?.(done);
        if (output) assertShown(output, done.stdout, text);
      });
    }
    test(`${page}: nothing else is in its table`, () => {
      assert.deepEqual(Object.keys(table).filter((text) => !seen.has(text)), []);
    });
  }

  test('a page that is new here has commands that are run, or none', () => {
    const all = fs.readdirSync(path.join(root, 'examples'), { recursive: true }).filter((file) => path.basename(file) === 'README.md' && !file.includes('node_modules'));
    for (const file of all.map((f) => path.join('examples', f))) {
      if (!pages[file]) assert.deepEqual(read(path.join(root, file)).map((one) => one.text), [], file);
    }
  });

  test('commands are found as they are written', () => {
    assert.deepEqual(commands("a   # why\n# only words\nb \\\n   c\n\nd 'x\ny' # z"), ['a', 'b c', "d 'x y'"]);
  });
});
