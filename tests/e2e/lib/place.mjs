// A network, processes and a view of the file system of its own, in which the names and
// places that a guide speaks of are real: https://portside.example.com:7600,
// /var/lib/portside, port 443. Programs are this machine's. Needs root.
//
//   const place = await Place.create({ names: ['db.example.com'], trust: pem });
//   await place.sh('psctl status', { cwd, env });
//   await place.stop();
import fs from 'node:fs';
import path from 'node:path';
import { Process, run, tempDir } from './process.mjs';

// Trusted CAs, as agent/backend/trust.c, curl and Debian have them.
const BUNDLE = '/etc/ssl/certs/ca-certificates.crt';

const holder = `
set -e
mount --make-rprivate /
ip link set lo up
ip address add "$ADDRESS/32" dev lo
hostname "$NAME"
mount --bind "$DIR/hosts" /etc/hosts
mount --bind "$DIR/bundle" ${BUNDLE}
mount -t overlay overlay -o "lowerdir=/var/lib,upperdir=$DIR/lib,workdir=$DIR/work" /var/lib
echo up
while :; do sleep 3600 & wait; done
`;

export class Place {
  // host: its own name. names lead to address; trust: certificates in PEM, trusted beside the usual.
  static async create({ host = 'here', names = [], address = '10.77.0.1', trust = '' } = {}) {
    const self = new Place();
    self.address = address;
    self.dir = tempDir('place');
    self.home = path.join(self.dir, 'home');
    for (const name of ['home', 'lib', 'work']) fs.mkdirSync(path.join(self.dir, name));
    fs.writeFileSync(path.join(self.dir, 'hosts'), `127.0.0.1 localhost\n${names.map((name) => `${address} ${name}\n`).join('')}`);
    fs.writeFileSync(path.join(self.dir, 'bundle'), `${fs.readFileSync(BUNDLE, 'utf8')}\n${trust}`);
    fs.writeFileSync(path.join(self.dir, 'trust.pem'), trust);
    self.holder = new Process('place', 'unshare', ['--net', '--uts', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', 'sh', '-c', holder],
      { env: { DIR: self.dir, ADDRESS: address, NAME: host } });
    await self.holder.line(/^up$/m);
    const first = fs.readFileSync(`/proc/${self.holder.pid}/task/${self.holder.pid}/children`, 'utf8').trim();
    self.wrap = ['nsenter', `--target=${first}`, '--net', '--uts', '--mount', '--pid'];
    self.env = { HOME: self.home, NODE_EXTRA_CA_CERTS: path.join(self.dir, 'trust.pem'), DENO_CERT: path.join(self.dir, 'trust.pem') };
    return self;
  }

  #command(text, cwd) { return [...this.wrap, 'bash', '-c', `cd "$0" && ${text}`, cwd ?? this.home]; }

  // As if typed there: { code, stdout, stderr }.
  async sh(text, { cwd, env, ...options } = {}) {
    const [program, ...args] = this.#command(text, cwd);
    return run(program, args, { ...options, env: { ...this.env, ...env } });
  }

  // The same for what does not end by itself: a Process.
  start(name, text, { cwd, env } = {}) {
    const [program, ...args] = this.#command(`exec ${text}`, cwd);
    return new Process(name, program, args, { env: { ...this.env, ...env } });
  }

  // Everything in it ends.
  async stop() { await this.holder?.stop('SIGKILL'); }
}
