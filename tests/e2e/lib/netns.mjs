// Network namespaces: hosts of their own on one machine. Needs root; what a
// test needs and cannot have is a failure, not a skip.
import { run } from './process.mjs';

let counter = 0;
const made = new Set();

process.on('exit', () => {
  if (made.size) process.stderr.write(`left behind: namespaces ${[...made].join(' ')}\n`);
});

// Hosts on one virtual switch: 10.N.0.1, .2, ... in namespaces of their own.
export class Network {
  static async create(count) {
    const self = new Network();
    counter += 1;
    self.id = `ps${process.pid % 100000}x${counter}`;
    self.net = `10.${100 + (process.pid % 100)}.${counter}`;
    self.hosts = [];
    self.bridge = `${self.id}-sw`;
    await ip('netns', 'add', self.bridge);
    made.add(self.bridge);
    await inside(self.bridge, 'link', 'add', 'br0', 'type', 'bridge');
    await inside(self.bridge, 'link', 'set', 'br0', 'up');
    for (let i = 1; i <= count; i += 1) self.hosts.push(await self.#host(i));
    return self;
  }

  async #host(i) {
    const name = `${this.id}-h${i}`;
    const address = `${this.net}.${i}`;
    await ip('netns', 'add', name);
    made.add(name);
    await ip('-n', name, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', `p${i}`, 'netns', this.bridge);
    await inside(this.bridge, 'link', 'set', `p${i}`, 'master', 'br0', 'up');
    await inside(name, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
    await inside(name, 'link', 'set', 'eth0', 'up');
    await inside(name, 'link', 'set', 'lo', 'up');
    return { name, address, wrap: ['ip', 'netns', 'exec', name], port: `p${i}` };
  }

  // Pulls a host's cable and puts it back.
  async cut(host) { await inside(this.bridge, 'link', 'set', host.port, 'down'); }
  async heal(host) { await inside(this.bridge, 'link', 'set', host.port, 'up'); }

  async destroy() {
    for (const name of [...this.hosts.map((h) => h.name), this.bridge]) {
      await ip('netns', 'del', name);
      made.delete(name);
    }
  }
}

async function ip(...args) { return run('ip', args); }
async function inside(ns, ...args) { return run('ip', ['-n', ns, ...args]); }
