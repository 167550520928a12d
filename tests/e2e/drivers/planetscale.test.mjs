// PlanetScale's serverless driver, unmodified, against agents in front of a real
// MariaDB. The layers on top of it are in orm.test.mjs.
import assert from 'node:assert/strict';
import { after, before, describe as suite, test } from 'node:test';
import { Client, DatabaseError, connect } from '@planetscale/database';
import { MariaDb } from '../lib/mariadb.mjs';
import { Agent, ControlPlane, request } from '../lib/portside.mjs';
import { waitUntil } from '../lib/process.mjs';

const schema = `
  create table items (id int auto_increment primary key, name varchar(50) not null, qty int not null);
  insert into items (name, qty) select concat('item ', seq), seq * 10 from seq_1_to_100;
  create table ledger (id int primary key, n int not null check (n >= 0)) engine=innodb;
  insert into ledger values (1, 100), (2, 0);
  create table memo (id int primary key, v int) engine=aria transactional=0;
  insert into memo values (1, 1);
  create table typed (id bigint unsigned primary key, t tinyint, tu tinyint unsigned, s smallint, m mediumint, i int, iu int unsigned, b bigint,
    f float, d double, dc decimal(10,3), da date, dt datetime(3), ts timestamp null, ti time, y year, c char(3), v varchar(9), tx text,
    bi binary(2), vb varbinary(9), bl blob, bt bit(3), e enum('x','y'), st set('p','q'), j json);
  insert into typed values (18446744073709551615, -1, 255, -2, -3, -4, 4294967295, -9007199254740993, 1.5, 2.25, 12.340, '2024-02-29', '2024-02-29 12:34:56.789',
    '2024-02-29 12:34:56', '12:34:56', 2024, 'abc', 'ü''"', 'text', x'00ff', x'ff', x'0001', b'101', 'y', 'p,q', '{"a": [1, null]}');
  insert into typed (id) values (1);
  create database elsewhere; create table elsewhere.t (v int); insert into elsewhere.t values (7);
  grant all on elsewhere.* to alice;
`;

suite('@planetscale/database', () => {
  let db;
  let controlPlane;
  let agents;
  let cache;
  let agent; // where the driver's requests go
  let states; // Cache-Status of every reply, in order
  let sent; // bodies of requests

  before(async () => {
    db = await MariaDb.start();
    await db.sql(schema);
    controlPlane = await ControlPlane.start();
    agents = [await Agent.start(controlPlane, 'west', { args: ['--transaction-idle', '2s'] }), await Agent.start(controlPlane, 'east')];
    cache = await controlPlane.createCache({ name: 'main', host: db.host, port: db.port, database: 'mariadb', tlsMode: 'disable', poolMax: 6 });
    for (const one of agents) await one.knows(cache.id);
    [agent] = agents;
    states = [];
    sent = [];
  });
  after(async () => {
    for (const one of agents ?? []) await one.stop();
    await controlPlane?.stop();
    await db?.stop();
  });

  // The host is the agent's; the user name names cache and database.
  const config = ({ user = 'alice', password = `${user}-pw`, database = 'app', cacheId = cache.id } = {}) => ({
    host: 'eu.portside.test',
    username: database ? `${cacheId}/${database}/${user}` : `${cacheId}-${user}`,
    password,
    fetch: async (url, init) => {
      assert.equal(new URL(url).host, 'eu.portside.test');
      sent.push(JSON.parse(init.body));
      const reply = await fetch(`${agent.url}${new URL(url).pathname}`, { ...init, headers: { ...init.headers, 'cache-control': 'no-cache' } });
      states.push(reply.headers.get('cache-status') ?? '');
      return reply;
    },
  });
  const last = () => states.at(-1);
  const direct = async (sql) => JSON.parse(JSON.stringify(await db.sql(sql)));
  const failed = async (promise) => {
    try {
      await promise;
    } catch (error) {
      return error;
    }
    throw new Error('it did not fail');
  };
  const warm = (run) => waitUntil(async () => {
    await run();
    return /;\s*hit/.test(last());
  }, { what: 'a hit' });

  test('miss, miss, hit, and the same rows; a write ends the hit', async () => {
    const conn = connect(config());
    const read = async () => (await conn.execute('select name, qty from items where id = ?', [7])).rows;
    states.length = 0;
    for (let i = 0; i < 4; i += 1) assert.deepEqual(await read(), [{ name: 'item 7', qty: 70 }]);
    assert.match(states[0], /fwd=uri-miss$/);
    assert.match(states[1], /stored/);
    assert.match(states[2], /hit/);
    const write = await conn.execute('update items set qty = :qty where id = :id', { qty: 71, id: 7 });
    assert.equal(write.rowsAffected, 1);
    assert.deepEqual(await read(), [{ name: 'item 7', qty: 71 }]);
    assert.doesNotMatch(last(), /hit/);
    const insert = await conn.execute('insert into items (name, qty) values (?, ?), (?, ?)', ["it's", 1, 'a"\\b\n', 2]);
    assert.equal(insert.rowsAffected, 2);
    assert.deepEqual((await conn.execute('select name from items where id >= ? order by id', [insert.insertId])).rows, [{ name: "it's" }, { name: 'a"\\b\n' }]);
    // The escapes of clients before 1.20.2.
    assert.deepEqual((await conn.execute("select id from items where name = 'it\\'s'")).rows, [{ id: Number(insert.insertId) }]);
  });

  test('every type, cold and from memory', async () => {
    const conn = connect(config());
    let reply;
    for (let i = 0; i < 4; i += 1) {
      reply = await conn.execute('select * from typed order by id desc');
      assert.deepEqual(reply.types, {
        id: 'UINT64', t: 'INT8', tu: 'UINT8', s: 'INT16', m: 'INT24', i: 'INT32', iu: 'UINT32', b: 'INT64', f: 'FLOAT32', d: 'FLOAT64', dc: 'DECIMAL',
        da: 'DATE', dt: 'DATETIME', ts: 'TIMESTAMP', ti: 'TIME', y: 'YEAR', c: 'CHAR', v: 'VARCHAR', tx: 'TEXT', bi: 'BINARY', vb: 'VARBINARY', bl: 'BLOB',
        bt: 'BIT', e: 'ENUM', st: 'SET', j: 'JSON',
      });
      const bytes = (...list) => Uint8Array.from(list);
      assert.deepEqual(reply.rows[0], {
        id: '18446744073709551615', t: -1, tu: 255, s: -2, m: -3, i: -4, iu: 4294967295, b: '-9007199254740993', f: 1.5, d: 2.25, dc: '12.340',
        da: '2024-02-29', dt: '2024-02-29 12:34:56.789', ts: '2024-02-29 12:34:56', ti: '12:34:56', y: 2024, c: 'abc', v: 'ü\'"', tx: 'text',
        bi: bytes(0, 255), vb: bytes(255), bl: bytes(0, 1), bt: bytes(5), e: 'y', st: 'p,q', j: { a: [1, null] },
      });
      assert.ok(Object.entries(reply.rows[1]).every(([name, value]) => (name === 'id' ? value === '1' : value === null)));
    }
    assert.match(last(), /hit/);
    const [id, , , , , , , , , , , , , , , , , v] = reply.fields;
    assert.deepEqual({ ...id, columnLength: 0 }, {
      name: 'id', type: 'UINT64', table: 'typed', orgTable: 'typed', database: 'app', orgName: 'id', columnLength: 0, charset: 63,
      flags: id.flags, columnType: 'bigint unsigned',
    });
    assert.equal(v.columnType, 'varchar(9)');
    const odd = await conn.execute('select null as n, 1 as a, 2 as a', null, { as: 'array' });
    assert.deepEqual(odd.rows, [[null, 1, 2]]);
    assert.equal(odd.types.n, 'NULL');
    assert.deepEqual((await conn.execute('select 1 from items where false')).rows, []);
  });

  test('errors end in number and state, as MySQL has them', async () => {
    const conn = connect(config());
    const cases = [
      ['insert into items (id, name, qty) values (1, 2, 3)', 'ALREADY_EXISTS', /^Duplicate entry '1' for key 'PRIMARY' \(errno 1062\) \(sqlstate 23000\)$/],
      ['selec 1', 'INVALID_ARGUMENT', /\(errno 1064\) \(sqlstate 42000\)$/],
      ['select * from nothing', 'NOT_FOUND', /^Table 'app.nothing' doesn't exist \(errno 1146\) \(sqlstate 42S02\)$/],
      ['select nothing from items', 'NOT_FOUND', /\(errno 1054\) \(sqlstate 42S22\)$/],
    ];
    for (const [sql, code, message] of cases) {
      const error = await failed(conn.execute(sql));
      assert.ok(error instanceof DatabaseError);
      assert.equal(error.name, 'DatabaseError');
      assert.equal(error.status, 400);
      assert.equal(error.body.code, code);
      assert.match(error.message, message);
    }
    const wrong = await failed(connect(config({ password: 'no' })).execute('select 1'));
    const nobody = await failed(connect(config({ user: 'nobody', password: 'no' })).execute('select 1'));
    assert.equal(wrong.status, 401);
    assert.equal(wrong.body.code, 'UNAUTHENTICATED');
    assert.match(wrong.message, /^Access denied for user 'alice'@'portside' \(using password: YES\) \(errno 1045\) \(sqlstate 28000\)$/);
    assert.equal(nobody.message, wrong.message.replace('alice', 'nobody'));
    assert.match((await failed(connect(config({ cacheId: '00000000-0000-4000-8000-000000000000' })).execute('select 1'))).message, /errno 1049/);
    for (const [body, headers] of [['{', {}], ['{"query":1}', {}], ['{"query":"select 1","session":{}}', {}], ['{"query":"select 1","session":"t..x"}', {}], ['{"query":"select 1"}', { authorization: '' }]]) {
      const reply = await request(`${agent.url}/psdb.v1alpha1.Database/Execute`, {
        method: 'POST', body, headers: { authorization: `Basic ${Buffer.from(`${cache.id}/app/alice:alice-pw`).toString('base64')}`, ...headers },
      });
      assert.ok(reply.status >= 400, body);
      assert.match(JSON.parse(reply.text).error.message, /\(errno \d+\) \(sqlstate \w{5}\)$/);
    }
  });

  test('sessions: the database by USE, createSession', async () => {
    const conn = connect(config({ database: null }));
    await conn.refresh();
    assert.match((await failed(conn.execute('select * from t'))).message, /errno 1046/);
    await conn.execute('use elsewhere');
    assert.deepEqual((await conn.execute('select v from t')).rows, [{ v: 7 }]);
    assert.deepEqual((await conn.execute('select database() as db')).rows, [{ db: 'elsewhere' }]);
    await conn.execute('USE `app`; -- trace');
    assert.deepEqual((await conn.execute('select name from items where id = 1')).rows, [{ name: 'item 1' }]);
    // A database that it may not use is not used.
    assert.match((await failed(conn.execute('use mysql'))).message, /errno 1045/);
    assert.deepEqual((await conn.execute('select database() as db')).rows, [{ db: 'app' }]);
    assert.match((await failed(connect(config({ database: null, password: 'no' })).refresh())).message, /errno 1045/);
  });

  test('a transaction over several requests: commit', async () => {
    const client = new Client(config());
    const seen = async () => (await connect(config()).execute('select n from ledger order by id', null, { as: 'array' })).rows;
    await warm(seen);
    const result = await client.transaction(async (tx) => {
      await tx.execute('update ledger set n = n - ? where id = 1', [30]);
      await tx.execute('update ledger set n = n + ? where id = 2', [30]);
      assert.match(last(), /bypass; detail=transaction/);
      // Its own writes inside, what is committed outside: never from memory
      // inside, never its writes outside.
      assert.deepEqual((await tx.execute('select n from ledger order by id', null, { as: 'array' })).rows, [[70], [30]]);
      assert.match(last(), /bypass; detail=transaction/);
      assert.deepEqual(await seen(), [[100], [0]]);
      return 'done';
    });
    assert.equal(result, 'done');
    assert.deepEqual(await seen(), [[70], [30]]);
    assert.deepEqual(await direct('select n from ledger order by id'), [{ n: 70 }, { n: 30 }]);
    await warm(seen);
    assert.deepEqual(await seen(), [[70], [30]]);
  });

  test('a transaction over several requests: errors and rollback', async () => {
    const client = new Client(config());
    const error = await failed(client.transaction(async (tx) => {
      await tx.execute('update ledger set n = n + 1000 where id = 2');
      await tx.execute('update ledger set n = n - 1000 where id = 1');
    }));
    assert.match(error.message, /errno 4025/);
    const mine = await failed(client.transaction(async (tx) => {
      await tx.execute('update ledger set n = 1 where id = 2');
      await tx.execute('savepoint one');
      await tx.execute('update ledger set n = 2 where id = 2');
      await tx.execute('rollback to savepoint one');
      assert.deepEqual((await tx.execute('select n from ledger where id = 2')).rows, [{ n: 1 }]);
      throw new Error('mine');
    }));
    assert.equal(mine.message, 'mine');
    assert.deepEqual(await direct('select n from ledger order by id'), [{ n: 70 }, { n: 30 }]);
    assert.match((await failed(client.transaction(async (tx) => { await tx.execute('use elsewhere'); }))).message, /USE is not possible/);
  });

  test('isolation chosen before BEGIN', async () => {
    const conn = connect(config());
    await conn.execute('SET TRANSACTION ISOLATION LEVEL READ COMMITTED /* trace */');
    await conn.execute('/* trace */ BEGIN -- again');
    const read = async () => (await conn.execute('select qty from items where id = 60')).rows[0].qty;
    const before = await read();
    await db.sql('update items set qty = qty + 1 where id = 60');
    assert.equal(await read(), before + 1);
    await conn.execute('COMMIT');
    // Of one transaction only.
    await conn.execute('BEGIN');
    const again = await read();
    await db.sql('update items set qty = qty + 1 where id = 60');
    assert.equal(await read(), again);
    await conn.execute('COMMIT');
  });

  test('tables without transactions: a write is seen at once, and after ROLLBACK', async () => {
    const conn = connect(config());
    const outside = async () => (await connect(config()).execute('select v from memo where id = 1')).rows[0].v;
    await warm(outside);
    await conn.execute('begin');
    await conn.execute('update memo set v = 2 where id = 1');
    assert.equal(await outside(), 2);
    await warm(outside);
    await conn.execute('rollback');
    assert.equal(await outside(), 2);
    // DDL commits what is open.
    await conn.execute('begin');
    await conn.execute('update ledger set n = 31 where id = 2');
    await warm(async () => (await connect(config()).execute('select n from ledger where id = 2')).rows[0].n);
    await conn.execute('create table made (id int)');
    assert.equal((await connect(config()).execute('select n from ledger where id = 2')).rows[0].n, 31);
    assert.match(conn.session, /^s\./);
    await conn.execute('drop table made');
  });

  test('a transaction is seen by the other region after its COMMIT', async () => {
    const [west, east] = agents;
    const read = async () => (await connect(config()).execute('select qty from items where id = 20')).rows[0].qty;
    agent = east;
    await warm(read);
    agent = west;
    await new Client(config()).transaction(async (tx) => { await tx.execute('update items set qty = 2001 where id = 20'); });
    agent = east;
    await waitUntil(async () => (await read()) === 2001, { timeoutMs: 2500, everyMs: 1, what: 'the write in the other region' });
    agent = west;
  });

  test('an idle transaction is rolled back, and the client is told', async () => {
    const conn = connect(config());
    await conn.execute('begin');
    await conn.execute('update ledger set n = 5 where id = 2');
    // Its lock tells; innodb_trx is a picture that frequent looks keep from being renewed.
    const free = () => db.sql('select n from app.ledger where id = 2 for update nowait').then(() => true, () => false);
    assert.equal(await free(), false);
    await waitUntil(free, { timeoutMs: 30000, what: 'the rollback' });
    const error = await failed(conn.execute('update ledger set n = 6 where id = 2'));
    assert.match(error.message, /rolled back/);
    assert.equal(error.body.code, 'ABORTED');
    assert.match((await failed(conn.execute('commit'))).message, /rolled back/);
    assert.equal((await direct('select n from ledger where id = 2'))[0].n, 31);
    // What the client says next is right already; then the session is of use again.
    await conn.execute('rollback');
    assert.deepEqual((await conn.execute('select 1 as a')).rows, [{ a: 1 }]);
  });

  test('a token is of no use to anybody else, nor once it has ended', async () => {
    const conn = connect(config());
    await conn.execute('begin');
    await conn.execute('update ledger set n = 7 where id = 2');
    const token = conn.session;
    assert.match(token, /^t\./);
    const others = [
      { user: 'bob' }, { password: 'wrong' }, { database: 'elsewhere' }, { cacheId: '00000000-0000-4000-8000-000000000000' },
    ];
    for (const who of others) {
      const thief = connect(config(who));
      thief.session = token;
      // By its name the token is of database app; what counts is what was signed.
      assert.match((await failed(thief.execute('commit'))).message, /not open any more/, JSON.stringify(who));
    }
    const bytes = Buffer.from(token.split('.')[2], 'base64url');
    for (const at of [0, 15, 16, 47]) {
      const forged = Buffer.from(bytes);
      forged[at] ^= 1;
      const guess = connect(config());
      guess.session = `t..${forged.toString('base64url')}`;
      assert.match((await failed(guess.execute('commit'))).message, /not open any more/);
    }
    // At another agent it means nothing.
    [, agent] = agents;
    const astray = connect(config());
    astray.session = token;
    assert.match((await failed(astray.execute('commit'))).message, /not open any more/);
    [agent] = agents;
    assert.equal((await direct('select n from ledger where id = 2'))[0].n, 31);
    await conn.execute('commit');
    assert.equal((await direct('select n from ledger where id = 2'))[0].n, 7);
    const replay = connect(config());
    replay.session = token;
    assert.match((await failed(replay.execute('update ledger set n = 8 where id = 2'))).message, /not open any more/);
  });

  test('transactions cannot take all connections', async () => {
    const open = [];
    for (let i = 0; i < 3; i += 1) {
      const conn = connect(config());
      await conn.execute('begin');
      open.push(conn);
    }
    const error = await failed(connect(config()).execute('begin'));
    assert.equal(error.status, 429);
    assert.match(error.message, /3 transactions open.*errno 1203/);
    assert.deepEqual((await connect(config()).execute('select 1 as a')).rows, [{ a: 1 }]);
    // Another user has a share of his own.
    const bob = connect(config({ user: 'bob' }));
    await bob.execute('begin');
    await bob.execute('commit');
    await Promise.all(open.map((conn) => conn.execute('rollback')));
    const conn = connect(config());
    await conn.execute('begin');
    // One request at a time: the first waits for a lock while the second comes.
    const holder = await db.connect({ database: 'app' });
    try {
      await holder.query('begin; select n from ledger where id = 1 for update');
      const first = conn.execute('update ledger set n = n where id = 1');
      await waitUntil(async () => (await db.sql("select count(*) as n from information_schema.processlist where info like 'update ledger set n = n%'"))[0].n > 0,
        { what: 'the first request at the database' });
      await failed(conn.execute('select 2'));
      await holder.query('rollback');
      await first;
    } finally {
      await holder.end();
    }
    await conn.execute('rollback');
  });

  test("without a database of the client's it is the cache's default one", async () => {
    const usual = await controlPlane.createCache({ name: 'usual', host: db.host, port: db.port, database: 'mariadb', tlsMode: 'disable', defaultDatabase: 'app' });
    for (const one of agents) await one.knows(usual.id);
    const client = new Client(config({ cacheId: usual.id, database: null }));
    const where = async () => (await client.execute('select database() as d')).rows[0].d;
    assert.equal(await where(), 'app');
    const read = () => client.execute('select qty from items where id = 61');
    await waitUntil(async () => { await read(); return /; hit/.test(states.at(-1)); }, { what: () => `a hit, not ${states.at(-1)}` });
    // The same answer as for who names it, and ended by the same writes.
    const named = new Client(config({ cacheId: usual.id }));
    await named.execute('select qty from items where id = 61');
    assert.match(states.at(-1), /; hit/);
    await named.execute('update items set qty = 6100 where id = 61');
    assert.equal((await read()).rows[0].qty, 6100);
    assert.doesNotMatch(states.at(-1), /; hit/);
    // Several requests of one transaction are in it, too; a choice goes before it.
    await client.transaction(async (tx) => {
      assert.equal((await tx.execute('select database() as d')).rows[0].d, 'app');
      await tx.execute('update items set qty = 6101 where id = 61');
    });
    assert.equal((await read()).rows[0].qty, 6101);
    const conn = connect(config({ cacheId: usual.id, database: null }));
    await conn.execute('use elsewhere');
    assert.equal((await conn.execute('select database() as d')).rows[0].d, 'elsewhere');
    assert.equal(await where(), 'app');
    // Another default is another database for whoever names none.
    await controlPlane.ok('PATCH', `/v1/caches/${usual.id}`, { defaultDatabase: 'elsewhere' });
    const other = new Client(config({ cacheId: usual.id, database: null }));
    await waitUntil(async () => (await other.execute('select database() as d')).rows[0].d === 'elsewhere', { what: 'the new default' });
    await controlPlane.ok('PATCH', `/v1/caches/${usual.id}`, { defaultDatabase: '' });
    await waitUntil(async () => (await new Client(config({ cacheId: usual.id, database: null })).execute('select database() as d')).rows[0].d === null, { what: 'none' });
  });
});
