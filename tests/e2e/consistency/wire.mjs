// One keep-alive connection to an agent: a request at a time, as cheaply as
// node can, because the harness wants many reads per second.
import net from 'node:net';

export class Wire {
  constructor(port, host = '127.0.0.1') {
    Object.assign(this, { port, host, socket: null, waiting: null, got: Buffer.alloc(0) });
  }

  #connect() {
    const socket = net.connect({ port: this.port, host: this.host, noDelay: true });
    this.socket = socket;
    this.got = Buffer.alloc(0);
    socket.on('data', (data) => {
      if (socket !== this.socket) return;
      this.got = this.got.length ? Buffer.concat([this.got, data]) : data;
      this.#take();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      if (socket !== this.socket) return;
      this.socket = null;
      this.#answer(new Error('connection closed'));
    });
  }

  #answer(error, reply) {
    const waiting = this.waiting;
    this.waiting = null;
    if (error) waiting?.reject(error);
    else waiting?.resolve(reply);
  }

  #take() {
    const end = this.got.indexOf('\r\n\r\n');
    if (end < 0) return;
    const head = this.got.toString('latin1', 0, end);
    const length = /\r\ncontent-length: (\d+)/i.exec(head);
    if (!length) {
      this.socket.destroy(new Error(`no length: ${head}`));
      return;
    }
    const whole = end + 4 + Number(length[1]);
    if (this.got.length < whole) return;
    const text = this.got.toString('utf8', end + 4, whole);
    this.got = this.got.subarray(whole);
    if (/\r\nconnection: close/i.test(head)) this.close();
    this.#answer(null, {
      status: Number(head.slice(9, 12)),
      hit: /\r\ncache-status: portside; hit/i.test(head),
      reason: /\r\nportside-reason: (\S+)/i.exec(head)?.[1],
      text,
    });
  }

  // Resolves with { status, hit, reason, text }; rejects when the connection ends.
  post(body) {
    if (!this.socket) this.#connect();
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
      this.socket.write('POST /sql HTTP/1.1\r\nHost: agent\r\nContent-Type: application/json\r\n'
        + `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    });
  }

  close() {
    const socket = this.socket;
    this.socket = null;
    socket?.destroy();
    this.#answer(new Error('closed'));
  }
}
