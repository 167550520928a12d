// A throw-away server that speaks TDS over SQLite (tests/tools/tds), on a free
// port of loopback, and the usual clients of SQL Server for it.
import fs from 'node:fs';
import path from 'node:path';
import { Connection, Request } from 'tedious';
import { Process, run, tempDir } from './process.mjs';

const tool = path.resolve(path.dirname(new URL(import.meta.url).pathname), '../../tools/tds/server.py');

export async function certificate(dir, name = 'localhost') {
  const key = path.join(dir, 'server.key');
  const cert = path.join(dir, 'server.crt');
  await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
    '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', `/CN=${name}`,
    '-addext', `subjectAltName=DNS:${name}`]);
  return { key, cert, pem: fs.readFileSync(cert, 'utf8') };
}

// { cert, key } as PEM into files.
function write(dir, tls) {
  const files = { key: path.join(dir, 'server.key'), cert: path.join(dir, 'server.crt'), pem: tls.cert };
  fs.writeFileSync(files.key, tls.key);
  fs.writeFileSync(files.cert, tls.cert);
  return files;
}

export class TdsServer {
  static async start({ users = { alice: 'alice-pw', bob: 'bob-pw' }, databases = ['app', 'other'], args = [], tls = true } = {}) {
    const self = new TdsServer();
    self.host = 'localhost';
    self.dir = tempDir('tds');
    self.users = users;
    const tlsArgs = [];
    if (tls) {
      self.tls = tls === true ? await certificate(self.dir) : write(self.dir, tls);
      tlsArgs.push('--cert', self.tls.cert, '--key', self.tls.key);
    }
    self.args = [...tlsArgs, ...args, '--verbose',
      ...Object.entries(users).flatMap(([u, p]) => ['--user', `${u}:${p}`]),
      ...databases.flatMap((d) => ['--database', d])];
    await self.boot();
    return self;
  }

  async boot(port = 0) {
    this.process = new Process('tds', 'python3', [tool, '--port', String(port), ...this.args]);
    this.port = Number((await this.process.line(/listening on (\d+)/))[1]);
  }

  // Another certificate: the same server once more.
  async useCertificate(tls) {
    write(this.dir, tls);
    this.tls.pem = tls.cert;
    await this.stop();
    await this.boot(this.port);
  }

  get pid() { return this.process.pid; }
  async stop(signal = 'SIGTERM') { await this.process.stop(signal); }
  pause() { this.process.signal('SIGSTOP'); }
  resume() { this.process.signal('SIGCONT'); }

  // Options of tedious, which knex and mssql take too.
  options(user = 'alice', database = 'app', more = {}) {
    return {
      server: this.host,
      authentication: { type: 'default', options: { userName: user, password: this.users[user] } },
      options: {
        port: this.port, database, encrypt: true, rowCollectionOnRequestCompletion: true,
        trustServerCertificate: false, cryptoCredentialsDetails: { ca: this.tls?.pem }, ...more,
      },
    };
  }

  async connect(user, database, more) {
    const connection = new Connection(this.options(user, database, more));
    connection.on('error', () => {});
    await new Promise((resolve, reject) => {
      connection.connect((error) => (error ? reject(error) : resolve()));
    });
    return connection;
  }

  // One batch on a connection of its own.
  async sql(text, { user = 'alice', database = 'app' } = {}) {
    const connection = await this.connect(user, database);
    try {
      return await batch(connection, text);
    } finally {
      connection.close();
    }
  }
}

// { rows, count, infos, sets } of one request; params: [name, type, value].
export function request(connection, text, params = [], how = 'execSql') {
  return new Promise((resolve, reject) => {
    const infos = [];
    const sets = [];
    const onInfo = (info) => infos.push(info);
    connection.on('infoMessage', onInfo);
    const made = new Request(text, (error, count, rows) => {
      connection.off('infoMessage', onInfo);
      if (error) reject(Object.assign(error, { infos, sets }));
      else resolve({ count, infos, sets, rows: (rows ?? []).map((r) => r.map((c) => c.value)) });
    });
    made.on('columnMetadata', (columns) => sets.push({ columns, rows: [] }));
    made.on('row', (row) => sets.at(-1).rows.push(row.map((c) => c.value)));
    for (const [name, type, value, options] of params) made.addParameter(name, type, value, options);
    connection[how](made);
  });
}

export const batch = (connection, text) => request(connection, text, [], 'execSqlBatch');
