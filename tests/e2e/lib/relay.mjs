// A small TCP relay that a test puts between any two parts: delays, cuts
// connections at a given byte, freezes, refuses.
import net from 'node:net';

export class Relay {
  static async start(target, { host = '127.0.0.1' } = {}) {
    const self = new Relay();
    self.target = target; // { host, port }
    self.delayMs = 0;
    self.delayOfNext = null; // () => ms on top, for the next connection
    self.frozen = false;
    self.cutAfterBytes = null; // of what the target says, per connection
    self.freezeAfterBytes = null; // of what the target says, in all; then onFreeze()
    self.saidInAll = 0;
    self.muted = false; // nothing that the target says arrives any more
    self.pairs = new Set();
    self.server = net.createServer((near) => self.#join(near));
    await new Promise((resolve) => { self.server.listen(0, host, resolve); });
    self.host = host;
    self.port = self.server.address().port;
    return self;
  }

  #join(near) {
    const far = net.connect(this.target);
    const pair = { near, far, said: 0, delayMs: this.delayOfNext?.() ?? 0 };
    this.pairs.add(pair);
    const end = () => { near.destroy(); far.destroy(); this.pairs.delete(pair); };
    for (const s of [near, far]) {
      s.setNoDelay(true);
      s.on('error', end);
      s.on('close', end);
    }
    near.on('data', (data) => this.#pass(pair, far, data));
    far.on('data', (data) => {
      if (this.muted) return;
      const cutAt = Math.min(this.cutAfterBytes ?? Infinity, pair.cutAt ?? Infinity);
      const left = cutAt - pair.said;
      pair.said += data.length;
      this.saidInAll += data.length;
      if (this.saidInAll >= (this.freezeAfterBytes ?? Infinity) && !this.frozen) {
        this.frozen = true;
        this.onFreeze?.();
      }
      this.#pass(pair, near, data.subarray(0, Math.max(0, Math.min(left, data.length))));
      if (data.length >= left) setTimeout(end, this.delayMs + pair.delayMs + 5);
    });
  }

  #pass(pair, to, data) {
    const go = () => {
      if (to.destroyed || data.length === 0) return;
      if (this.frozen) { setTimeout(go, 10); return; }
      to.write(data);
    };
    const delayMs = this.delayMs + pair.delayMs;
    if (delayMs > 0) setTimeout(go, delayMs);
    else go();
  }

  // Each of the connections there are is cut after n more bytes of the target.
  cutEachAfter(n) {
    for (const pair of this.pairs) pair.cutAt = pair.said + n;
  }

  get connections() { return this.pairs.size; }

  // Bytes that the target has said on the connections there are.
  get said() { return [...this.pairs].reduce((sum, pair) => sum + pair.said, 0); }

  // Ends all connections now; new ones are still taken.
  cut() {
    for (const { near, far } of this.pairs) { near.destroy(); far.destroy(); }
    this.pairs.clear();
  }

  async stop() {
    this.cut();
    await new Promise((resolve) => { this.server.close(resolve); });
  }
}
