// The playbooks of ansible/, run by the real ansible-playbook over SSH on hosts
// with a Debian, an address and processes of their own: from nothing to two
// regions that serve, nothing changed by a second run, an upgrade under load, a
// host that fails in the middle, and removal.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe as suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Host, image } from './lib/host.mjs';
import { Network } from './lib/netns.mjs';
import { request } from './lib/portside.mjs';
import { Postgres } from './lib/postgres.mjs';
import { Process, run, tempDir, waitUntil } from './lib/process.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const LONG_MS = 10 * 60 * 1000;
const names = ['control', 'eu-1', 'eu-2', 'us-1'];

async function packages(revision, dir) {
  const { stdout } = await run(path.join(root, 'scripts/package'), ['--revision', String(revision)], { timeoutMs: 2 * LONG_MS });
  fs.mkdirSync(dir);
  for (const deb of stdout.split('\n').filter((line) => line.endsWith('.deb'))) fs.copyFileSync(deb, path.join(dir, path.basename(deb)));
  return fs.readdirSync(dir).map((file) => path.join(dir, file));
}

suite('Ansible', () => {
  const dir = tempDir('ansible');
  const hosts = {};
  const output = []; // of every run, to be searched for secrets
  let layer;
  let net;
  let controller; // where ansible-playbook, PostgreSQL and the clients are
  let db;
  let cacheId;
  let untouched;
  const key = path.join(dir, 'tls.key');

  const inventory = (changes = {}) => {
    const address = (name) => net.hosts[names.indexOf(name)].address;
    const host = (name) => ({ ansible_host: address(name), ...changes[name] });
    return {
      all: {
        vars: {
          ansible_user: 'root', ansible_ssh_private_key_file: path.join(dir, 'id'), ansible_python_interpreter: '/usr/bin/python3',
          portside_package_dir: path.join(dir, changes.packages ?? 'old'),
        },
        children: {
          controlplane: { hosts: { control: host('control') }, vars: { portside_controlplane_public_host: address('control') } },
          agents: {
            vars: {
              portside_agent_tls_certificate: fs.readFileSync(path.join(dir, 'tls.crt'), 'utf8'),
              portside_agent_tls_key: fs.readFileSync(key, 'utf8'),
              portside_agent_drain_delay: '2s',
              portside_agent_ready_timeout: changes.timeout ?? 60,
              portside_agent_settings: { memory: '64M', ...changes.settings },
            },
            children: {
              eu_west: { hosts: { 'eu-1': host('eu-1'), 'eu-2': host('eu-2') }, vars: { portside_agent_region: 'eu-west' } },
              us_east: { hosts: { 'us-1': host('us-1') }, vars: { portside_agent_region: 'us-east' } },
            },
          },
        },
      },
    };
  };

  // Resolves with { code, text, hosts: { NAME: { ok, changed, failed, ... } } }.
  const play = async (book, changes, ...args) => {
    const file = path.join(dir, 'inventory.json');
    fs.writeFileSync(file, JSON.stringify(inventory(changes)), { mode: 0o600 });
    const command = [...controller.wrap, 'ansible-playbook', '-i', file, book, ...args];
    const done = await run(command[0], command.slice(1), {
      cwd: path.join(root, 'ansible'), timeoutMs: LONG_MS,
      env: {
        ANSIBLE_LOCAL_TEMP: path.join(dir, 'local'), ANSIBLE_NOCOLOR: '1', ANSIBLE_FORKS: '4', ANSIBLE_PIPELINING: 'true',
        ANSIBLE_SSH_ARGS: `-o ControlMaster=auto -o ControlPersist=60s -o ControlPath=${dir}/%h -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=${dir}/known`,
      },
    }).catch((e) => e);
    const text = done.stdout === undefined ? done.message : done.stdout + done.stderr;
    output.push(text);
    const recap = {};
    for (const line of text.split('PLAY RECAP')[1]?.split('\n') ?? []) {
      const m = line.match(/^\s*(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)/);
      if (m) recap[m[1]] = { ok: Number(m[2]), changed: Number(m[3]), failed: Number(m[4]) + Number(m[5]) };
    }
    return { text, hosts: recap, failed: done.stdout === undefined };
  };
  const playOk = async (...args) => {
    const done = await play(...args);
    assert.equal(done.failed, false, done.text);
    return done;
  };

  const url = (name) => `https://${net.hosts[names.indexOf(name)].address}`;
  const body = () => JSON.stringify({ cacheId, provider: 'postgres', username: 'postgres', password: db.superuser.password, database: 'postgres', sql: 'select v from t where id = 1' });
  const ask = (name) => request(`${url(name)}/sql`, { method: 'POST', wrap: controller.wrap, body: body(), headers: { 'content-type': 'application/json' } });
  const serves = (name) => waitUntil(async () => {
    const reply = await ask(name);
    return reply.status === 200 && /hit/.test(reply.headers['cache-status'] ?? '') ? reply : null;
  }, { what: `a hit at ${name}`, timeoutMs: 60000 });
  const version = async (name, program) => (await hosts[name].run('dpkg-query', '-W', '-f', '${Version}', program)).stdout;
  const paths = async (name) => new Set((await hosts[name].sh(`find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp \
      -o -path /var/lib/dpkg -o -path /var/cache -o -path /var/lib/apt -o -path /var/log -o -path /var/lib/systemd -o -path /root/.ansible \\) -prune \
      -o -print`)).stdout.trim().split('\n'));

  before(async () => {
    const lower = await image();
    const debs = await packages(1, path.join(dir, 'old'));
    await packages(2, path.join(dir, 'new'));
    // What the packages depend on comes from Debian; the hosts have no way there.
    layer = await Host.create('layer', { image: lower });
    fs.copyFileSync('/etc/resolv.conf', layer.path('/etc/resolv.conf'));
    for (const deb of debs) layer.copyIn(deb, `/root/${path.basename(deb)}`);
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', path.join(dir, 'id')]);
    fs.mkdirSync(layer.path('/root/.ssh'), { mode: 0o700 });
    layer.copyIn(path.join(dir, 'id.pub'), '/root/.ssh/authorized_keys');
    await layer.sh('apt-get update -q && apt-get install -y -q --no-install-recommends python3-apt /root/*.deb'
      + ' && dpkg --purge psctl portside-agent portside-controlplane && rm -f /root/*.deb', { timeoutMs: LONG_MS });
    await layer.halt();
    await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
      '-subj', '/CN=cache.test', '-addext', 'subjectAltName=DNS:cache.test', '-keyout', key, '-out', path.join(dir, 'tls.crt')]);
    net = await Network.create(names.length + 1);
    controller = net.hosts[names.length];
    for (const [i, name] of names.entries()) {
      hosts[name] = await Host.create(name, { image: `${layer.dir}/upper:${lower}`, wrap: net.hosts[i].wrap });
      await hosts[name].run('/usr/sbin/sshd');
    }
    untouched = await paths('eu-1');
    db = await Postgres.start({ host: controller.address, wrap: controller.wrap });
    const psql = [...controller.wrap, 'psql', '-h', controller.address, '-p', String(db.port), '-U', 'postgres', '-d', 'postgres', '-c',
      'create table t (id int primary key, v int); insert into t values (1, 7)'];
    await run(psql[0], psql.slice(1), { env: { PGPASSWORD: db.superuser.password } });
  });
  after(async () => {
    for (const host of Object.values(hosts)) await host.destroy();
    await layer?.destroy();
    await db?.stop('SIGQUIT');
    await net?.destroy();
  });

  test('the production profile of ansible-lint finds nothing', async () => {
    await run('ansible-lint', ['--nocolor'], { cwd: path.join(root, 'ansible'), timeoutMs: LONG_MS });
  });

  test('variables that do not fit are refused before anything is done', async () => {
    const region = await play('site.yml', { 'eu-1': { portside_agent_region: 'EU West' } }, '--limit', 'eu-1');
    assert.ok(region.failed);
    assert.match(region.text, /small letters, digits and dashes/);
    const type = await play('site.yml', { 'eu-1': { portside_agent_ready_timeout: 'soon' } }, '--limit', 'eu-1');
    assert.ok(type.failed);
    assert.match(type.text, /portside_agent_ready_timeout/);
    assert.ok(!fs.existsSync(hosts['eu-1'].path('/etc/portside')));
  });

  test('check mode on bare hosts tells the first change and makes none', async () => {
    const done = await playOk('site.yml', {}, '--check', '--diff');
    for (const name of names) assert.ok(done.hosts[name].changed > 0, done.text);
    assert.ok(!fs.existsSync(hosts['eu-1'].path('/etc/portside')));
    assert.ok(!fs.existsSync(hosts.control.path('/var/cache/portside')));
  });

  test('from nothing to two regions that serve a cached query', async () => {
    const done = await playOk('site.yml', {}, '-v');
    for (const name of names) assert.equal(done.hosts[name].failed, 0, done.text);
    const made = await hosts.control.run('psctl', 'cache', 'create', '--name', 'main', '--type', 'postgres', '--host', controller.address,
      '--port', String(db.port), '--tls', 'disable', '--json');
    cacheId = (await hosts.control.run('psctl', 'cache', 'list', '--quiet')).stdout.trim();
    assert.match(cacheId, /^[0-9a-f-]{36}$/, made.stdout);
    for (const name of names.slice(1)) assert.deepEqual(JSON.parse((await serves(name)).text), [{ v: 7 }]);
    const agents = JSON.parse((await hosts.control.run('psctl', 'agent', 'list', '--json')).stdout);
    assert.deepEqual((agents.agents ?? agents).map((a) => `${a.region} ${a.name} ${a.state}`).sort(),
      ['eu-west eu-1 connected', 'eu-west eu-2 connected', 'us-east us-1 connected']);
  });

  test('a second run changes nothing, and check mode says so', async () => {
    for (const args of [['--diff'], ['--check', '--diff']]) {
      const done = await playOk('site.yml', {}, ...args);
      for (const name of names) assert.equal(done.hosts[name].changed, 0, done.text);
    }
  });

  test('check mode shows the difference of a setting and leaves it', async () => {
    const done = await playOk('site.yml', { settings: { loops: 1 } }, '--check', '--diff');
    assert.match(done.text, /^\+loops = 1$/m);
    for (const name of names.slice(1)) assert.ok(done.hosts[name].changed > 0);
    assert.equal(done.hosts.control.changed, 0);
    assert.doesNotMatch(fs.readFileSync(hosts['eu-1'].path('/etc/portside/agent.conf'), 'utf8'), /loops/);
  });

  test('an upgrade under load loses no request', async () => {
    const command = [...controller.wrap, process.execPath, path.join(root, 'tests/e2e/lib/balanced_load.mjs'), body(), url('eu-1'), url('eu-2')];
    const load = new Process('load', command[0], command.slice(1), { stdin: 'pipe' });
    try {
      await playOk('upgrade.yml', { packages: 'new' });
    } finally {
      load.child.stdin.end();
    }
    await load.exited;
    const figures = JSON.parse(load.output.trim().split('\n').at(-1));
    assert.ok(figures.sent > 200, load.output);
    assert.equal(figures.lost, 0, load.output);
    for (const name of names.slice(1)) {
      assert.match(await version(name, 'portside-agent'), /-2$/);
      await serves(name);
    }
    assert.match(await version('control', 'portside-controlplane'), /-2$/);
  });

  test('a host that fails in the middle ends the roll; the others serve', async () => {
    const done = await play('upgrade.yml', { packages: 'new', settings: { loops: 1 }, timeout: 5, 'eu-2': { portside_agent_settings: { memory: 'lots' } } });
    assert.ok(done.failed);
    assert.equal(done.hosts['eu-1'].failed, 0, done.text);
    assert.equal(done.hosts['eu-2'].failed, 1, done.text);
    assert.equal(done.hosts['us-1']?.changed ?? 0, 0, done.text);
    await serves('eu-1');
    await serves('us-1');
    await playOk('upgrade.yml', { packages: 'new' });
    await serves('eu-2');
  });

  test('no secret is in any output', async () => {
    const admin = fs.readFileSync(hosts.control.path('/var/lib/portside-controlplane/admin.token'), 'utf8').trim();
    const secret = fs.readFileSync(key, 'utf8').split('\n')[1];
    assert.ok(admin.length > 10 && secret.length > 10);
    for (const text of output) {
      for (const word of [admin, secret, 'psj1.']) assert.ok(!text.includes(word), text);
    }
  });

  test('removal asks, and then leaves nothing behind', async () => {
    const refused = await play('remove.yml', { packages: 'new' }, '-e', 'portside_remove=no');
    assert.ok(refused.failed);
    await serves('eu-1');
    await playOk('remove.yml', { packages: 'new' }, '-e', 'portside_remove=yes');
    assert.deepEqual([...await paths('eu-1')].filter((p) => !untouched.has(p)), []);
    for (const name of names) assert.equal((await hosts[name].sh('ps -e -o comm= | grep -c "^portside" || true')).stdout.trim(), '0');
    await playOk('remove.yml', { packages: 'new' }, '-e', 'portside_remove=yes');
  });
});
