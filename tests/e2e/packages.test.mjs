// The Debian packages: made by scripts/package, judged by lintian and systemd,
// then installed on a fresh Debian with nothing but what their own dependencies
// bring, run by their real units, upgraded, and purged.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe as suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Host, image } from './lib/host.mjs';
import { Network } from './lib/netns.mjs';
import { run, tempDir, waitUntil } from './lib/process.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const BUILD_MS = 20 * 60 * 1000;
const units = ['agent', 'controlplane'].map((part) => path.join(root, part, 'package', `portside-${part}.service`));

async function build(revision) {
  const { stdout } = await run(path.join(root, 'scripts/package'), ['--revision', String(revision)], { timeoutMs: BUILD_MS });
  const files = stdout.split('\n').filter((line) => line.endsWith('.deb'));
  assert.equal(files.length, 3, stdout);
  return files;
}

suite('Debian packages', () => {
  let old;
  let next;
  let host;
  let net;
  let untouched;

  // Every path of the host's disk, but what dpkg, apt and ldconfig keep.
  const paths = async () => {
    const { stdout } = await host.sh(`find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp \
      -o -path /var/lib/dpkg -o -path /var/cache -o -path /var/lib/apt -o -path /var/log -o -path /var/lib/systemd \
      -o -path /root \\) -prune -o -print`);
    return new Set(stdout.trim().split('\n'));
  };
  const psctl = async (...args) => JSON.parse((await host.run('psctl', ...args, '--json')).stdout || 'null');
  const connected = () => waitUntil(async () => {
    const agents = await psctl('agent', 'list');
    const list = agents.agents ?? agents;
    return list.length === 1 && list[0].state === 'connected' ? list[0] : null;
  }, { what: 'a connected agent', timeoutMs: 60000 });

  before(async () => {
    const lower = await image();
    // Of a real earlier build, where there is one (tests/upgrade/run).
    const earlier = process.env.PS_OLD_PACKAGES;
    old = earlier ? fs.readdirSync(earlier).filter((name) => name.endsWith('.deb')).map((name) => path.join(earlier, name)) : await build(1);
    assert.equal(old.length, 3);
    next = await build(2);
    host = await Host.create('fresh', { image: lower });
    fs.copyFileSync('/etc/resolv.conf', host.path('/etc/resolv.conf'));
    await host.sh('apt-get update -q');
  });
  after(async () => {
    await host?.destroy();
    await net?.destroy();
  });

  test('lintian finds no error', async () => {
    await run('lintian', ['--allow-root', '--fail-on', 'error', ...next], { timeoutMs: 120000 });
  });

  test('no path of the machine that built them is in them', async () => {
    for (const deb of next) {
      const dir = fs.mkdtempSync(path.join(path.dirname(deb), 'unpacked-'));
      try {
        await run('dpkg-deb', ['-x', deb, dir]);
        const found = await run('grep', ['-rlF', root, dir]).catch((e) => e);
        assert.equal(found.stdout ?? '', '', deb);
      } finally {
        fs.rmSync(dir, { recursive: true, force: true });
      }
    }
  });

  test('units are closed: exposure below 2.0', async () => {
    for (const unit of units) {
      // The threshold is in tenths; above it the exit status is not 0.
      const { stdout } = await run('systemd-analyze', ['security', '--offline=yes', '--threshold=19', unit]);
      assert.match(stdout, /Overall exposure level/);
      // Keys are handed over by the service manager.
      assert.match(fs.readFileSync(unit, 'utf8'), unit.includes('agent') ? /^LoadCredential=agent-tls\.key:/m : /^LoadCredential=ca\.key:/m);
    }
  });

  test('installs with what it depends on; the first start works', async () => {
    for (const deb of [...old, ...next]) host.copyIn(deb, `/root/${path.basename(deb)}`);
    // Their dependencies first, so that what purge must remove is ours alone.
    const names = old.map((deb) => `/root/${path.basename(deb)}`);
    await host.sh(`apt-get install -y -q --no-install-recommends ${names.join(' ')}`, { timeoutMs: 300000 });
    await host.sh('dpkg --purge psctl portside-agent portside-controlplane');
    untouched = await paths();
    await host.halt();
    net = await Network.create(1);
    await host.start(net.hosts[0].wrap);
    // Debian's helper makes the links itself where no systemctl is: the one of
    // these hosts knows no presets.
    await host.sh(`mv /usr/bin/systemctl /root; dpkg -i ${names.join(' ')}; mv /root/systemctl /usr/bin`);

    const { stdout: modes } = await host.sh('stat -c "%n %a %U" /var/lib/portside-agent /var/lib/portside-controlplane /etc/portside/agent-tls.key');
    assert.equal(modes, '/var/lib/portside-agent 700 portside-agent\n'
      + '/var/lib/portside-controlplane 700 portside-controlplane\n/etc/portside/agent-tls.key 640 root\n');
    for (const page of ['man8/portside-agent.8', 'man8/portside-controlplane.8', 'man1/psctl.1']) {
      assert.ok(fs.statSync(host.path(`/usr/share/man/${page}.gz`)).size > 500, page);
    }
    for (const unit of ['portside-agent', 'portside-controlplane']) {
      assert.match((await host.run('systemctl', 'is-enabled', unit)).stdout, /enabled/);
    }

    await host.run('systemctl', 'start', 'portside-controlplane');
    await host.sh('psctl login --url https://localhost:7600 --token-file /var/lib/portside-controlplane/admin.token '
      + '--ca-file /var/lib/portside-controlplane/ca.crt');
    await psctl('region', 'create', 'here');
    const joined = await psctl('agent', 'join-token', '--region', 'here');
    await host.run('portside-agent', 'enroll', joined.token);
    assert.equal((await host.sh('stat -c %U /var/lib/portside-agent/agent.json')).stdout, 'portside-agent\n');
    await host.run('systemctl', 'start', 'portside-agent');
    await connected();
    const { stdout } = await host.run('ps', '-o', 'user=', '-C', 'portside-agent');
    assert.equal(stdout.trim().slice(0, 8), 'portside');
    assert.equal((await host.run('curl', '-sS', '--cacert', '/etc/portside/agent-tls.crt', 'https://localhost/healthz',
      '-o', '/dev/null', '-w', '%{http_code}')).stdout, '200');
  });

  test('units are without a fault, seen where they are installed', async () => {
    const dir = tempDir('units');
    for (const deb of old) await run('dpkg-deb', ['-x', deb, dir]);
    await run('cp', ['-a', '/usr/lib/systemd/system/.', path.join(dir, 'usr/lib/systemd/system')]);
    fs.symlinkSync('usr/lib', path.join(dir, 'lib'));
    const { stdout, stderr } = await run('systemd-analyze', ['verify', '--man=no', `--root=${dir}`,
      ...units.map((unit) => `/usr/lib/systemd/system/${path.basename(unit)}`)]);
    assert.equal((stdout + stderr).trim(), '');
  });

  test('an upgrade keeps settings, identity and definitions', async () => {
    await host.run('psctl', 'cache', 'create', '--name', 'kept', '--type', 'postgres', '--host', '127.0.0.1', '--port', '5999').catch((e) => assert.match(e.message, /ended with 5/)); // nothing listens there
    await host.sh('echo "memory = 128M" >>/etc/portside/agent.conf');
    const before = await connected();
    const names = next.map((deb) => `/root/${path.basename(deb)}`);
    await host.sh(`dpkg -i ${names.join(' ')} && systemctl restart portside-controlplane && systemctl restart portside-agent`);
    const now = await connected();
    assert.equal(now.id, before.id);
    assert.match(fs.readFileSync(host.path('/etc/portside/agent.conf'), 'utf8'), /memory = 128M/);
    const caches = await psctl('cache', 'list');
    assert.equal((caches.caches ?? caches)[0].name, 'kept');
    assert.match((await host.run('dpkg-query', '-W', '-f', '${Version}', 'portside-agent')).stdout, /-2$/);
  });

  test('purge leaves nothing behind', async () => {
    await host.sh('systemctl stop portside-agent && systemctl stop portside-controlplane');
    await host.sh('dpkg --purge psctl portside-agent portside-controlplane');
    const left = [...await paths()].filter((p) => !untouched.has(p));
    assert.deepEqual(left, []);
    assert.equal((await host.sh('getent passwd | grep -c portside || true')).stdout.trim(), '0');
  });
});
