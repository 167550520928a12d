// Hostile clients at the HTTP port: garbage, mutations, slow senders, lies
// about lengths. Each gets its JSON error or a closed connection; the agent
// stays up and its memory bounded. PS_GARBAGE sets the number of strings.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import { after, before, describe as suite, test } from 'node:test';
import { request } from './lib/portside.mjs';
import { waitUntil } from './lib/process.mjs';
import { Stage } from './lib/stage.mjs';

const COUNT = Number(process.env.PS_GARBAGE ?? 50000);
const SEED = Number(process.env.PS_SEED ?? Date.now() % 1e9);

// A small generator with a seed (xorshift32), so that a failure can be run
// again.
function random(seed) {
  let x = seed | 1;
  return (below) => {
    x ^= x << 13; x ^= x >>> 17; x ^= x << 5;
    return (x >>> 0) % below;
  };
}

suite(`hostile clients (seed ${SEED})`, () => {
  let stage;
  let agent;

  before(async () => {
    // AddressSanitizer keeps 256 MB of freed memory by default: with that, growth
    // of the agent could not be told from its own.
    process.env.ASAN_OPTIONS = [process.env.ASAN_OPTIONS, 'quarantine_size_mb=8'].filter(Boolean).join(':');
    stage = await Stage.create({
      regions: ['one'],
      agentArgs: ['--head-timeout', '1s', '--body-timeout', '1s', '--idle-timeout', '2s', '--log-level', 'error'],
    });
    [agent] = stage.agents;
  });
  after(async () => { await stage?.destroy(); });

  const rss = () => Number(fs.readFileSync(`/proc/${agent.process.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) * 1024;

  // Sends bytes, reads until the agent closes or is silent for a moment.
  const exchange = (bytes, { waitMs = 4000 } = {}) => new Promise((resolve) => {
    const socket = net.connect(agent.port, '127.0.0.1');
    const chunks = [];
    let size = 0;
    const finish = () => { socket.destroy(); resolve(Buffer.concat(chunks)); };
    socket.setTimeout(waitMs, finish);
    socket.on('error', finish);
    socket.on('close', finish);
    socket.on('data', (c) => { if (size < 65536) chunks.push(c); size += c.length; });
    socket.end(bytes);
  });

  const checkReply = (bytes, reply) => {
    if (reply.length === 0) return 'closed';
    const text = reply.toString('latin1');
    const m = text.match(/^HTTP\/1\.[01] (\d{3}) [^\r\n]*\r\n/);
    assert.ok(m, `not HTTP: ${text.slice(0, 80)} after ${JSON.stringify(bytes.toString('latin1').slice(0, 200))}`);
    const body = text.slice(text.indexOf('\r\n\r\n') + 4);
    if (Number(m[1]) >= 400 && body.length > 0 && !/^head/i.test(bytes.toString('latin1'))) {
      const length = Number(text.match(/content-length: (\d+)/i)?.[1]);
      const json = JSON.parse(reply.subarray(reply.length - body.length).subarray(0, length).toString('utf8'));
      assert.equal(json.statusCode, Number(m[1]));
      assert.ok(json.code && json.message && json.error);
    }
    return m[1];
  };

  test(`${COUNT} random strings and mutated requests`, async () => {
    const below = random(SEED);
    const body = JSON.stringify(stage.body('select id, name from items where id = ?', [3]));
    const good = Buffer.from(`POST /sql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    const make = () => {
      if (below(4) === 0) {
        return Buffer.from(Array.from({ length: below(300) }, () => below(256)));
      }
      let copy = Buffer.from(good);
      for (let n = 1 + below(6); n > 0; n -= 1) {
        const at = below(copy.length);
        switch (below(4)) {
          case 0: copy[at] = below(256); break;
          case 1: copy = Buffer.concat([copy.subarray(0, at), copy.subarray(at + below(20))]); break;
          case 2: copy = Buffer.concat([copy.subarray(0, at), Buffer.from(Array.from({ length: below(20) }, () => below(256))), copy.subarray(at)]); break;
          default: copy = Buffer.concat([copy, copy.subarray(at)]).subarray(0, 8192); break;
        }
        if (copy.length === 0) copy = Buffer.from('x');
      }
      return copy;
    };
    const counts = {};
    let sent = 0;
    const worker = async () => {
      while (sent < COUNT) {
        sent += 1;
        const bytes = make();
        const kind = checkReply(bytes, await exchange(bytes));
        counts[kind] = (counts[kind] ?? 0) + 1;
      }
    };
    await exchange(good);
    const before = rss();
    await Promise.all(Array.from({ length: 48 }, worker));
    assert.equal((await stage.query(agent, 'select 1 as one')).status, 200);
    assert.ok(rss() < before + 64e6, `memory grew from ${before} to ${rss()}`);
    process.stdout.write(`# memory ${before} to ${rss()}\n`);
    process.stdout.write(`# replies by status: ${JSON.stringify(counts)}\n`);
  });

  test('1,000 slow connections', async () => {
    const sockets = Array.from({ length: 1000 }, () => net.connect(agent.port, '127.0.0.1'));
    let closed = 0;
    for (const s of sockets) {
      s.on('error', () => {});
      s.on('close', () => { closed += 1; });
      s.resume();
      s.write('POST /sql HTTP/1.1\r\nHost: a\r\nX-Slow: ');
    }
    const drip = setInterval(() => { for (const s of sockets) if (!s.destroyed) s.write('z'); }, 200);
    // Others are served meanwhile, and every slow one is ended in its time.
    for (let i = 0; i < 10; i += 1) assert.equal((await stage.query(agent, 'select 1 as one')).status, 200);
    await waitUntil(() => closed === 1000, { timeoutMs: 15000, what: () => `${closed} of 1000 closed` });
    clearInterval(drip);
  });

  test('a body of 1 GiB announced is refused at once', async () => {
    const reply = await exchange(Buffer.from('POST /sql HTTP/1.1\r\nHost: a\r\nContent-Length: 1073741824\r\n\r\n{'));
    assert.equal(checkReply(Buffer.from('POST'), reply), '413');
    const chunked = await exchange(Buffer.from(`POST /sql HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n40000000\r\n${'x'.repeat(1000)}`));
    assert.equal(checkReply(Buffer.from('POST'), chunked), '413');
  });

  test('a head without end and both lengths', async () => {
    const long = await exchange(Buffer.from(`GET / HTTP/1.1\r\nX: ${'y'.repeat(70000)}\r\n\r\n`));
    assert.equal(checkReply(Buffer.from('GET'), long), '431');
    const both = await exchange(Buffer.from('POST /sql HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'));
    assert.equal(checkReply(Buffer.from('POST'), both), '400');
  });

  test('pipelined requests are answered in order', async () => {
    const one = (n) => {
      const b = JSON.stringify(stage.body('select ?::int as n', [n]));
      return `POST /sql HTTP/1.1\r\nHost: a\r\nContent-Length: ${Buffer.byteLength(b)}\r\n\r\n${b}`;
    };
    const socket = net.connect(agent.port, '127.0.0.1');
    let text = '';
    socket.on('data', (c) => { text += c; });
    socket.write(Array.from({ length: 20 }, (_, i) => one(i)).join(''));
    await waitUntil(() => text.match(/"n":\d+/g)?.length === 20, { what: () => text });
    assert.deepEqual(text.match(/"n":\d+/g), Array.from({ length: 20 }, (_, i) => `"n":${i}`));
    socket.destroy();
  });

  test('a client that never reads its replies is let go', async () => {
    const b = JSON.stringify(stage.body("select repeat('x', 1000000) as x"));
    const socket = net.connect(agent.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.pause();
    const before = rss();
    socket.write(`POST /sql HTTP/1.1\r\nHost: a\r\nContent-Length: ${Buffer.byteLength(b)}\r\n\r\n${b}`.repeat(50));
    assert.equal((await stage.query(agent, 'select 1 as one')).status, 200);
    assert.ok(rss() < before + 200e6);
    socket.destroy();
  });

  test('after all this nothing is left at the origin and the agent ends cleanly', async () => {
    await waitUntil(async () => (await stage.db.activity('alice')).every((r) => r.state === 'idle'), { what: 'idle connections' });
    const health = await request(`${agent.url}/healthz`);
    assert.equal(health.status, 200);
    const exit = await agent.stop();
    assert.equal(exit.code, 0, agent.process.output);
    assert.doesNotMatch(agent.process.output, /Sanitizer|runtime error/);
  });
});
