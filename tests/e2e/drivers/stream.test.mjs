// NDJSON of POST /v1/query as a stream: rows are there while the database still
// has not made the others, memory is bounded whatever the size, the database
// waits for a client that does, an error in the middle is the last line, and a
// client that leaves ends the query. Order is shown by locks, not by time.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { once } from 'node:events';
import { after, before, describe as suite, test } from 'node:test';
import { MariaDb } from '../lib/mariadb.mjs';
import { Agent } from '../lib/portside.mjs';
import { waitUntil } from '../lib/process.mjs';
import { Stage } from '../lib/stage.mjs';
import { TdsServer } from '../lib/tds.mjs';

const MB = 1 << 20;
const authorization = `Basic ${Buffer.from('alice:alice-pw').toString('base64')}`;
// PostgreSQL sends what it has when it has 8 KB of it, MariaDB 16.
const PAD = "repeat('x', 20000)";

suite('NDJSON, streamed', () => {
  let stage;
  let maria;
  let tds;
  const caches = {};
  let agent;
  let locker; // a session of its own at PostgreSQL

  before(async () => {
    stage = await Stage.create({ regions: ['eu-west'] });
    [agent] = stage.agents;
    // They claim to be what may be kept, and wait for the test at 4.
    await stage.db.sql(`create function gate(i int) returns int immutable language plpgsql as $$
      begin if i = 4 then perform pg_advisory_xact_lock_shared(77); end if; return i; end $$`, { database: 'app' });
    maria = await MariaDb.start();
    await maria.sql(`create function gate(i int) returns int deterministic no sql
      begin declare got int; if i = 4 then set got = get_lock('here', 60), got = release_lock('here'); end if; return i; end`);
    tds = await TdsServer.start();
    await tds.sql(`create table digits (d int primary key); insert into digits values ${[0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((d) => `(${d})`).join(', ')}`);
    caches.postgres = stage.cache;
    for (const [name, db, tls] of [['mariadb', maria, { tlsMode: 'disable' }], ['mssql', tds, { tlsMode: 'verify-full', tlsCa: tds.tls.pem }]]) {
      caches[name] = await stage.controlPlane.createCache({ name, host: db.host, port: db.port, database: name, ...tls });
      await agent.knows(caches[name].id, 'postgres');
    }
    locker = await stage.db.client({ database: 'app' });
  });
  after(async () => {
    await locker?.end();
    await stage?.destroy();
    await maria?.stop();
    await tds?.stop();
  });

  // A reply whose lines are asked for one by one.
  async function open(body, { cache = stage.cache, to = agent } = {}) {
    const request = http.request(`${to.url}/v1/query`, { method: 'POST', agent: false, headers: { authorization, accept: 'application/x-ndjson' } });
    request.end(JSON.stringify({ cache: cache.id, database: 'app', ...body }));
    const [reply] = await once(request, 'response');
    let text = '';
    let bytes = 0;
    const pieces = reply[Symbol.asyncIterator]();
    const self = {
      status: reply.statusCode,
      headers: reply.headers,
      get bytes() { return bytes; },
      async line() {
        while (!text.includes('\n')) {
          const { done, value } = await pieces.next();
          if (done) return text ? assert.fail(`half a line: ${text.slice(0, 200)}`) : null;
          bytes += value.length;
          text += value;
        }
        const end = text.indexOf('\n');
        const line = text.slice(0, end);
        text = text.slice(end + 1);
        return JSON.parse(line);
      },
      async rest() {
        const lines = [];
        for (let line = await self.line(); line; line = await self.line()) lines.push(line);
        return lines;
      },
      // The last line, and nothing of the others.
      async drain() {
        let tail = text;
        for (let piece = await pieces.next(); !piece.done; piece = await pieces.next()) {
          bytes += piece.value.length;
          tail = (tail + piece.value).slice(-64 * 1024);
        }
        return JSON.parse(tail.trimEnd().split('\n').at(-1));
      },
      leave() { request.destroy(); },
    };
    return self;
  }
  const activity = async (what) => (await stage.db.sql(`select count(*)::int as n from pg_stat_activity where usename = 'alice' and state = 'active' and ${what}`)).rows[0].n;
  const waitsForLock = () => waitUntil(() => activity("wait_event_type = 'Lock'"), { what: 'a query that waits for the lock' });
  const locked = `select i, ${PAD} as pad, gate(i) as gate from generate_series(1, 6) i`;

  test('PostgreSQL: the first rows are here while the fourth is not made yet', async () => {
    await locker.query('select pg_advisory_lock(77)');
    const reply = await open({ sql: locked });
    assert.equal(reply.status, 200);
    assert.equal(reply.headers['transfer-encoding'], 'chunked');
    assert.match(reply.headers['cache-status'], /^portside; fwd=uri-miss/);
    assert.ok(reply.headers['portside-reason']);
    assert.deepEqual((await reply.line()).columns.map((c) => c.name), ['i', 'pad', 'gate']);
    assert.equal((await reply.line()).i, 1);
    assert.equal((await reply.line()).i, 2);
    await waitsForLock();
    await locker.query('select pg_advisory_unlock(77)');
    const rest = await reply.rest();
    const last = rest.pop();
    assert.deepEqual(rest.map((row) => row.i), [3, 4, 5, 6]);
    assert.equal(last.row_count, 6);
    assert.equal(last.cache.status, 'miss');
    assert.equal(last.cache.reason, reply.headers['portside-reason']);
  });

  test('MariaDB: the same', async () => {
    const holder = await maria.connect();
    await holder.query("select get_lock('here', 10)");
    const reply = await open({ sql: `select seq as i, ${PAD} as pad, gate(seq) as gate from seq_1_to_6` }, { cache: caches.mariadb });
    assert.equal(reply.status, 200);
    await reply.line();
    assert.equal((await reply.line()).i, 1);
    assert.equal((await reply.line()).i, 2);
    await holder.query("select release_lock('here')");
    const rest = await reply.rest();
    assert.equal(rest.pop().row_count, 6);
    assert.deepEqual(rest.map((row) => row.i), [3, 4, 5, 6]);
    await holder.end();
  });

  test('a client that leaves ends the query, which still waits', async () => {
    await locker.query('select pg_advisory_lock(77)');
    const reply = await open({ sql: locked });
    await reply.line();
    await waitsForLock();
    reply.leave();
    await waitUntil(async () => await activity("query like '%gate(i)%'") === 0, { what: 'no such query' });
    await locker.query('select pg_advisory_unlock(77)');
    assert.deepEqual((await (await open({ sql: 'select 1 as a' })).rest())[1], { a: 1 });
  });

  test('an error in the middle is the last line', async () => {
    for (let i = 0; i < 3; i += 1) {
      const reply = await open({ sql: `select i, ${PAD} as pad, 10 / (9 - i) as q from generate_series(1, 20) i` });
      assert.equal(reply.status, 200);
      const lines = await reply.rest();
      const { error } = lines.pop();
      assert.equal(error.code, '22012');
      assert.equal(error.statusCode, 400);
      assert.match(error.origin.message, /division by zero/);
      assert.ok(lines.length > 1 && lines.length <= 9);
      assert.deepEqual(lines.slice(1).map((row) => row.i), lines.slice(1).map((_, at) => at + 1));
    }
    // Before the first row it is a reply like any other.
    const reply = await open({ sql: 'select 1 / 0' });
    assert.equal(reply.status, 400);
    assert.equal((await reply.drain()).code, '22012');
  });

  test('what is small enough is kept, and served as a whole', async () => {
    const sql = `select id, ${PAD} as pad from items where id <= 40 order by id`; // 800 KB
    const bodies = [];
    let reply;
    await waitUntil(async () => {
      reply = await open({ sql });
      const lines = await reply.rest();
      const last = lines.pop();
      assert.equal(last.row_count, 40);
      bodies.push(lines);
      if (last.cache.status !== 'hit') {
        assert.equal(reply.headers['transfer-encoding'], 'chunked');
        if (last.cache.ttl_ms !== null) assert.equal(last.cache.reason, 'stored');
        if (last.cache.ttl_ms !== null) assert.equal(reply.headers['portside-reason'], 'streamed');
        return false;
      }
      assert.match(reply.headers['cache-status'], /; hit/);
      return true;
    }, { what: 'a hit' });
    assert.ok(reply.headers['content-length'] > 800000);
    for (const lines of bodies) assert.deepEqual(lines, bodies[0]);
    await stage.query(agent, 'update items set qty = qty where id = 3');
    assert.notEqual((await (await open({ sql })).drain()).cache.status, 'hit');
  });

  test('what is larger than max_entry_bytes is not kept, nor shared in part', async () => {
    const sql = `select id, ${PAD} as pad from items where id <= 90 order by id`; // 1.8 MB
    for (let i = 0; i < 4; i += 1) {
      // Equal ones at the same time, of which one leads until it is too big.
      const all = await Promise.all([1, 2, 3].map(async () => (await open({ sql })).rest()));
      for (const lines of all) {
        const last = lines.pop();
        assert.equal(last.row_count, 90);
        assert.deepEqual(lines.slice(1).map((row) => row.id), Array.from({ length: 90 }, (_, at) => at + 1));
        assert.equal(last.cache.ttl_ms, null);
        assert.notEqual(last.cache.status, 'hit');
      }
    }
    assert.equal((await (await open({ sql })).drain()).cache.reason, 'too_big');
  });

  const memory = (key) => Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(fs.readFileSync(`/proc/${agent.process.pid}/status`, 'utf8'))[1]) * 1024;

  // Bytes that the server on this port has sent and the kernel still holds.
  const stuck = (port) => fs.readFileSync('/proc/net/tcp', 'utf8').split('\n').map((line) => line.trim().split(/\s+/))
    .filter((f) => f[1]?.endsWith(`:${port.toString(16).toUpperCase().padStart(4, '0')}`)).reduce((sum, f) => sum + parseInt(f[4], 16), 0);

  for (const [name, rows, sql, waits] of [
    ['postgres', 300000, "select i, repeat('x', 1000) as pad from generate_series(1, 300000) i", () => activity("wait_event = 'ClientWrite'")],
    ['mariadb', 300000, "select seq as i, repeat('x', 1000) as pad from seq_1_to_300000", async () => (await maria.sql("select count(*) as n from information_schema.processlist where user = 'alice' and state like '%to net%'"))[0].n],
    ['mssql', 10000, "select a.d, replicate('x', 4000) as pad from digits a cross join digits b cross join digits c cross join digits e", () => stuck(tds.port) > 100000],
  ]) {
    test(`${name}: a huge result, of which little is in memory; the database waits for the client`, async () => {
      fs.writeFileSync(`/proc/${agent.process.pid}/clear_refs`, '5'); // the high-water mark begins anew
      const before = memory('VmRSS');
      const reply = await open({ sql }, { cache: caches[name] });
      await reply.line();
      await waitUntil(async () => await waits() > 0, { what: 'a database that waits' });
      assert.ok(reply.bytes < MB);
      const held = memory('VmRSS') - before;
      const last = await reply.drain();
      assert.equal(last.row_count, rows);
      assert.ok(reply.bytes > Math.min(rows * 1000, 300e6), String(reply.bytes));
      const most = memory('VmHWM') - before;
      assert.ok(held < 16 * MB && most < 32 * MB, `${(held / MB).toFixed(1)} MB while it waited, ${(most / MB).toFixed(1)} MB at most`);
    });
  }

  test("the statement's time stands still while the client does not read", async () => {
    const cache = await stage.createCache('short', { queryTimeoutMs: 500 });
    const reply = await open({ sql: "select i, repeat('x', 1000) as pad from generate_series(1, 60000) i" }, { cache });
    await reply.line();
    await waitUntil(() => activity("wait_event = 'ClientWrite' and now() - query_start > interval '1.5 s'"), { what: 'a query older than its limit' });
    assert.equal((await reply.drain()).row_count, 60000);
    // And runs where the database is the slow one.
    const late = await (await open({ sql: `select i, ${PAD} as pad, case when i = 4 then pg_sleep(60)::text end from generate_series(1, 6) i` }, { cache })).rest();
    assert.equal(late.at(-1).error.code, 'query_timeout');
    assert.equal(late.at(-1).error.statusCode, 504);
  });

  test('a client that reads nothing does not hold the database for long', async () => {
    const strict = await Agent.start(stage.controlPlane, 'us-east', { args: ['--stream-wait', '200ms'] });
    try {
      await strict.knows(stage.cache.id);
      const reply = await open({ sql: "select i, repeat('x', 1000) as pad from generate_series(1, 300000) i" }, { to: strict });
      await reply.line();
      await waitUntil(async () => await activity("query like '%300000%'") === 0, { what: 'the end of the query' });
      const last = await reply.drain();
      assert.equal(last.error.code, 'query_timeout');
      assert.match(last.error.message, /too long to read/);
      assert.ok(reply.bytes < 60 * MB);
      // One that reads gets all of it.
      assert.equal((await (await open({ sql: 'select id from items where id < 50' }, { to: strict })).drain()).row_count, 49);
    } finally {
      await strict.stop();
    }
  });

  test('HTTP/1.0 has no chunks: the end of the connection is the end', async () => {
    const socket = net.connect(agent.port, '127.0.0.1');
    const body = JSON.stringify({ cache: stage.cache.id, database: 'app', sql: `select i, ${PAD} as pad from generate_series(1, 20) i` });
    socket.write(`POST /v1/query HTTP/1.0\r\nAuthorization: ${authorization}\r\nAccept: application/x-ndjson\r\nContent-Length: ${body.length}\r\nConnection: keep-alive\r\n\r\n${body}`);
    let text = '';
    for await (const piece of socket) text += piece;
    const [head, ...rest] = text.split('\r\n\r\n');
    assert.match(head, /^HTTP\/1\.1 200 OK\r\n/);
    assert.doesNotMatch(head, /transfer-encoding/i);
    assert.match(head, /connection: close/i);
    const lines = rest.join('\r\n\r\n').trimEnd().split('\n').map((line) => JSON.parse(line));
    assert.equal(lines.length, 22);
    assert.equal(lines.at(-1).row_count, 20);
  });

  test('rows as arrays, and a statement of one row, are as before', async () => {
    const reply = await open({ sql: 'select 1 as a, null as b', rows: 'array' });
    assert.ok(reply.headers['content-length']);
    assert.deepEqual((await reply.rest())[1], [1, null]);
    const write = await open({ sql: `insert into items select i, ${PAD}, 0 from generate_series(201, 240) i returning id, name` });
    assert.ok(write.headers['content-length'], 'nothing of a write is shown before it is done');
    assert.equal((await write.rest()).at(-1).row_count, 40);
  });
});
