// A test host: a file system of its own (an overlay on a fresh Debian), its own
// processes, host name and, if wanted, network. Whatever runs in it ends with
// the one process that holds it, even when the test is killed.
//
//   const host = await Host.create('a', { image, wrap: net.hosts[0].wrap });
//   await host.run('dpkg', '-i', '/root/x.deb');
//   await host.destroy();
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Process, run, tempDir, waitUntil } from './process.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');

// The path of a fresh Debian's root; the first call makes it.
export async function image() {
  const { stdout } = await run(path.join(root, 'tests/hosts/image'), [], { timeoutMs: 15 * 60 * 1000 });
  return stdout.trim();
}

// In a mount, process and name space of its own: the overlay, what a system
// expects mounted, then a first process that collects orphans.
const holder = `
set -e
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$DIR/upper,workdir=$DIR/work" "$DIR/root"
cd "$DIR/root"
mount -t proc proc proc
# The service manager of these hosts gives no capabilities to services.
if [ -n "$OWN_NETWORK" ]; then echo 0 >proc/sys/net/ipv4/ip_unprivileged_port_start; fi
mount -t sysfs -o ro sysfs sys 2>/dev/null || true
mount -t tmpfs tmpfs dev
for node in null zero full random urandom tty; do
  touch dev/$node
  mount --bind /dev/$node dev/$node
done
mkdir -p dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -sf pts/ptmx dev/ptmx
ln -sf /proc/self/fd dev/fd
ln -sf /proc/self/fd/0 dev/stdin
ln -sf /proc/self/fd/1 dev/stdout
ln -sf /proc/self/fd/2 dev/stderr
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
mkdir -p run/lock run/sshd run/systemd/system # the last one says: there is a systemctl to ask
hostname "$NAME"
echo "$NAME" >etc/hostname
printf '127.0.0.1 localhost\\n::1 localhost\\n' >etc/hosts
mount --make-rprivate /
mkdir -p .old
pivot_root . .old
umount -l /.old
rmdir /.old 2>/dev/null || true
exec chroot . /bin/sh -c 'trap : CHLD; echo up; while :; do sleep 3600 & wait; done' </dev/null
`;

export class Host {
  // image: what Host.image() gave; wrap: command in front, such as
  // ['ip', 'netns', 'exec', NAME]; none: the network of this machine.
  static async create(name, { image: lower, wrap = [] }) {
    const self = new Host();
    self.name = name;
    self.dir = tempDir(`host-${name}`);
    self.lower = lower;
    for (const d of ['upper', 'work', 'root']) fs.mkdirSync(path.join(self.dir, d));
    await self.start(wrap);
    return self;
  }

  // Its processes, on the file system as it was left.
  async start(wrap = []) {
    const command = [...wrap, 'unshare', '--mount', '--pid', '--uts', '--ipc', '--fork', '--kill-child', '--propagation', 'private',
      '/bin/sh', '-c', holder];
    this.holder = new Process(`host ${this.name}`, command[0], command.slice(1),
      { env: { LOWER: this.lower, DIR: this.dir, NAME: this.name, OWN_NETWORK: wrap.length ? 'yes' : '' } });
    await this.holder.line(/^up$/m);
    this.pid = await waitUntil(() => {
      const pid = fs.readFileSync(`/proc/${this.holder.pid}/task/${this.holder.pid}/children`, 'utf8').trim();
      return pid ? Number(pid.split(' ')[0]) : null;
    }, { what: 'the first process of the host' });
  }

  async halt() { await this.holder.stop('SIGKILL'); }

  get enter() {
    return ['nsenter', '-t', String(this.pid), '-m', '-p', '-u', '-i', '-n', '--root', '--wd', 'env', '-i',
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root', 'LC_ALL=C.UTF-8',
      'DEBIAN_FRONTEND=noninteractive'];
  }

  // Runs a command in it as root; like run().
  run(...args) {
    const options = typeof args.at(-1) === 'object' ? args.pop() : {};
    const [command, ...rest] = this.enter;
    return run(command, [...rest, ...args], options);
  }

  sh(script, options = {}) { return this.run('/bin/sh', '-ec', script, options); }

  // The host's file as a file of this machine.
  path(name) { return path.join(`/proc/${this.pid}/root`, name); }

  copyIn(file, to) { fs.copyFileSync(file, this.path(to)); }

  async destroy() {
    await this.halt();
    fs.rmSync(this.dir, { recursive: true, force: true });
  }
}
