// Servers that a test can break: what each kind of origin needs for that, in
// one shape for all.
//
//   start() -> { db, cache (fields of its definition), port,
//     sql(text)          straight to the server, past everything that is broken
//     pids()             its processes
//     crash(), boot()    and back on the same port
//     refuse(on)         logins of alice
//     occupy()           connections until there is room for no more; resolves
//                        with what ends them
//     full(dir)          a table `filled (id, v)` whose bytes lie in a small file system
//   }
import fs from 'node:fs';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import mysql from 'mysql2/promise';
import { MariaDb } from './mariadb.mjs';
import { Postgres } from './postgres.mjs';
import { run, tempDir } from './process.mjs';
import { TdsServer } from './tds.mjs';

// A file system of so many KiB, gone with the test run; some of it is taken
// until room is made.
export async function smallDisk(kib, takenKib) {
  const dir = tempDir('disk');
  const ballast = path.join(dir, 'ballast');
  await run('mount', ['-t', 'tmpfs', '-o', `size=${kib}k,mode=777`, 'tmpfs', dir]);
  fs.writeFileSync(ballast, Buffer.alloc(1024 * takenKib));
  let mounted = true;
  const end = () => { if (mounted) mounted = spawnSync('umount', ['-l', dir]).status !== 0; };
  process.prependListener('exit', end); // before the directory is removed
  return { dir, end, makeRoom: () => fs.rmSync(ballast) };
}

const children = (pid) => fs.readdirSync('/proc').filter((f) => /^\d+$/.test(f)).map(Number).filter((p) => {
  try {
    const stat = fs.readFileSync(`/proc/${p}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid;
  } catch {
    return false;
  }
});

// A process, or one that has ended: does none of its threads run any more?
export function isStopped(pid) {
  try {
    return fs.readdirSync(`/proc/${pid}/task`).every((t) => {
      const stat = fs.readFileSync(`/proc/${pid}/task/${t}/stat`, 'utf8');
      return /^[TtZ]/.test(stat.slice(stat.lastIndexOf(')') + 2));
    });
  } catch {
    return true;
  }
}

// Connections by open() until it fails.
async function fill(open, most = 200) {
  const held = [];
  try {
    while (held.length < most) held.push(await open());
  } catch { /* no more room */ }
  if (held.length === most) throw new Error('no end of room');
  return async () => { for (const end of held) await end(); };
}

async function postgres() {
  const db = await Postgres.start({ settings: { max_connections: '20' } });
  await db.sql("create role alice login password 'alice-pw'");
  await db.sql('create database app owner alice');
  // The one connection that is there before everything is full.
  let admin = await db.client({ database: 'app' });
  return {
    db, cache: { host: db.host, port: db.port }, port: db.port,
    sql: async (text) => (await admin.query(text)).rows,
    pids: () => [db.process.pid, ...children(db.process.pid)],
    crash: () => db.stop('SIGQUIT'),
    boot: async () => { await db.boot(); admin = await db.client({ database: 'app' }); },
    refuse: (on) => admin.query(`alter role alice ${on ? 'no' : ''}login`),
    occupy: () => fill(async () => {
      const client = await db.client({ database: 'app', user: 'alice', password: 'alice-pw' });
      return () => client.end();
    }),
    async full(dir) {
      const own = path.join(dir, 'space');
      fs.mkdirSync(own);
      await run('chown', ['postgres:', own]);
      await admin.query(`create tablespace small location '${own}'`);
      await admin.query("create table filled (id int primary key, v text) tablespace small; alter table filled alter v set storage external; grant all on filled to alice");
    },
    fullCode: '53100', bytes: 100000,
    stop: async () => { await admin.end(); await db.stop('SIGQUIT'); },
  };
}

async function mariadb() {
  // What was confirmed is in the log when the process is killed.
  const db = await MariaDb.start({ options: '--innodb-flush-log-at-trx-commit=2' });
  const connect = () => mysql.createConnection({ ...db.options('app'), multipleStatements: true });
  let admin = await connect();
  admin.on('error', () => {});
  return {
    db, cache: { host: db.host, port: db.port }, port: db.port,
    sql: async (text) => (await admin.query(text))[0],
    pids: () => [db.pid],
    crash: () => db.kill(),
    boot: async () => { await db.boot(); admin = await connect(); admin.on('error', () => {}); },
    refuse: (on) => admin.query(`alter user alice account ${on ? 'lock' : 'unlock'}`),
    async occupy() {
      await admin.query('set global max_connections = 10');
      const end = await fill(async () => {
        const one = await mysql.createConnection(db.options('alice'));
        return async () => one.destroy();
      });
      return async () => { await end(); await admin.query('set global max_connections = 40'); };
    },
    async full(dir) {
      await run('chown', ['nobody:', dir]);
      await admin.query(`create table filled (id int primary key, v varchar(5000)) engine = innodb data directory = '${dir}'`);
    },
    // 10.11 itself dies of a full disk under a large value.
    fullCode: 'HY000', bytes: 3000,
    stop: async () => { admin.destroy(); await db.stop(); },
  };
}

async function mssql() {
  // What is on the small disk is the server's own choice: all of it.
  const disk = await smallDisk(6000, 1500);
  const db = await TdsServer.start({ args: ['--directory', disk.dir, '--max-connections', '12'], databases: ['app'] });
  return {
    db, cache: { host: db.host, port: db.port, tlsMode: 'verify-full', tlsCa: db.tls.pem }, port: db.port,
    sql: async (text) => {
      const { rows, sets } = await db.sql(text, { user: 'bob' });
      return rows.map((r) => Object.fromEntries(r.map((v, i) => [sets.at(-1).columns[i].colName, v])));
    },
    pids: () => [db.pid],
    crash: () => db.stop('SIGKILL'),
    boot: () => db.boot(db.port),
    refuse: (on) => db.sql(`alter login alice ${on ? 'disable' : 'enable'}`, { user: 'bob' }),
    occupy: () => fill(async () => {
      const connection = await db.connect();
      return async () => connection.close();
    }),
    disk,
    full: () => db.sql('create table filled (id int primary key, v nvarchar(max))', { user: 'bob' }),
    fullCode: '1105', bytes: 100000,
    stop: async () => { await db.stop(); disk.end(); },
  };
}

export const servers = { postgres, mariadb, mssql };
