// A throw-away MariaDB (tests/contract/with_mariadb) with the users alice and
// bob, who have every right on the database app, and reader, who may only read.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import mysql from 'mysql2/promise';
import { Process, waitUntil } from './process.mjs';

const tool = path.resolve(path.dirname(new URL(import.meta.url).pathname), '../../contract/with_mariadb');
const users = `
  create user alice identified by 'alice-pw'; grant all on app.* to alice;
  create user bob identified by 'bob-pw'; grant all on app.* to bob;
  create user reader identified by 'reader-pw'; grant select on app.* to reader;
`;

export class MariaDb {
  // It ends when its standard input does, so also when this process dies.
  // options: more of the server's, separated by space.
  static async start({ options = '' } = {}) {
    const self = new MariaDb();
    self.host = '127.0.0.1';
    self.child = spawn(tool, ['sh', '-c', 'echo "certificate $PS_MY_CA"; echo "data $PS_MY_DATA"; echo "port $PS_MY_PORT"; cat >/dev/null'], {
      stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, PS_MY_OPTIONS: `${process.env.PS_MY_OPTIONS ?? ''} ${options}` },
    });
    self.ended = new Promise((resolve) => { self.child.on('exit', resolve); });
    self.port = await new Promise((resolve, reject) => {
      let said = '';
      self.child.stdout.on('data', (text) => {
        said += text;
        self.certificate = /certificate (\S+)\n/.exec(said)?.[1];
        self.data = /data (\S+)\n/.exec(said)?.[1];
        const found = /port (\d+)\n/.exec(said);
        if (found) resolve(Number(found[1]));
      });
      self.ended.then(() => reject(new Error('no MariaDB')));
    });
    await self.sql(users);
    return self;
  }

  options(user = 'app', password = user === 'app' ? 'app secret' : `${user}-pw`, database = 'app') {
    return { host: this.host, port: this.port, user, password, database };
  }

  async connect({ user, database } = {}) {
    return mysql.createConnection({ ...this.options(user, undefined, database), multipleStatements: true });
  }

  // Several statements; the rows of the last one.
  async sql(text, { user, database } = {}) {
    const connection = await this.connect({ user, database });
    try {
      const [rows] = await connection.query(text);
      return Array.isArray(rows?.[0]) ? rows.at(-1) : rows;
    } finally {
      await connection.end();
    }
  }

  // Another certificate, for connections from now on.
  async useCertificate({ cert, key }) {
    fs.writeFileSync(this.certificate, cert);
    fs.writeFileSync(this.certificate.replace(/crt$/, 'key'), key);
    await this.sql('flush ssl');
  }

  // The server's process, a restarted one too.
  get pid() { return this.server?.pid ?? Number(fs.readFileSync(path.join(path.dirname(this.data), 'pid'), 'utf8')); }

  // As in a crash. The next one is started with the same words.
  async kill() {
    const { pid } = this;
    this.command ??= fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter(Boolean);
    process.kill(pid, 'SIGKILL');
    await waitUntil(() => !fs.existsSync(`/proc/${pid}`) || /\nState:\s+Z/.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8')), { what: 'the end of MariaDB' });
  }

  async boot() {
    this.server = new Process('mariadbd', this.command[0], this.command.slice(1), { env: { PATH: `${process.env.PATH}:/usr/sbin` } });
    await waitUntil(() => this.sql('select 1').then(() => true, () => false), { what: () => `MariaDB:\n${this.server.output}` });
  }

  async stop() {
    await this.server?.stop('SIGKILL');
    this.child.stdin.end();
    await this.ended;
  }
}
