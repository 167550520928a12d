// A throw-away PostgreSQL in a directory of its own, on a free port of
// loopback (or of the address given). Never the machine's own cluster.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { Process, run, tempDir, waitUntil } from './process.mjs';

function binDir() {
  const root = '/usr/lib/postgresql';
  const versions = fs.readdirSync(root).map(Number).sort((a, b) => b - a);
  return path.join(root, String(versions[0]), 'bin');
}

export async function freePort(host = '127.0.0.1') {
  const server = net.createServer();
  await new Promise((resolve) => { server.listen(0, host, resolve); });
  const { port } = server.address();
  await new Promise((resolve) => { server.close(resolve); });
  return port;
}

// PostgreSQL refuses to run as root.
function asPostgres(command, args, wrap = []) {
  const own = process.getuid() === 0
    ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups']
    : [];
  const all = [...wrap, ...own, command, ...args];
  return [all[0], all.slice(1)];
}

export class Postgres {
  static async start({ host = '127.0.0.1', wrap = [], settings = {}, ssl = null, port = 0 } = {}) {
    const self = new Postgres();
    self.host = host;
    self.wrap = wrap;
    self.dir = tempDir('pg');
    self.data = path.join(self.dir, 'data');
    self.superuser = { user: 'postgres', password: 'super-secret' };
    if (process.getuid() === 0) await run('chown', ['postgres:', self.dir]);
    const pwfile = path.join(self.dir, 'pw');
    fs.writeFileSync(pwfile, self.superuser.password);
    fs.chmodSync(pwfile, 0o644);
    await run(...asPostgres(path.join(binDir(), 'initdb'), [
      '-D', self.data, '-U', 'postgres', '--pwfile', pwfile,
      '-A', 'scram-sha-256', '-E', 'UTF8', '--locale', 'C', '--no-sync']));
    fs.appendFileSync(path.join(self.data, 'pg_hba.conf'),
      'host all all 0.0.0.0/0 scram-sha-256\n');
    self.settings = {
      fsync: 'off', max_connections: '200', unix_socket_directories: "''",
      log_connections: 'off', ...settings,
    };
    if (ssl) {
      await self.#writeCertificate(ssl);
      self.settings.ssl = 'on';
    }
    self.port = port || await freePort(wrap.length ? '127.0.0.1' : host);
    await self.boot();
    return self;
  }

  async boot() {
    const options = Object.entries(this.settings).flatMap(([k, v]) => ['-c', `${k}=${String(v).replace(/^''$/, '')}`]);
    this.process = new Process('postgres', ...asPostgres(path.join(binDir(), 'postgres'), [
      '-D', this.data, '-h', this.host, '-p', String(this.port), ...options], this.wrap));
    await this.process.line(/ready to accept connections/);
  }

  async #writeCertificate({ cert, key }) {
    const files = ['server.crt', 'server.key'].map((name) => path.join(this.data, name));
    fs.writeFileSync(files[0], cert);
    fs.writeFileSync(files[1], key, { mode: 0o600 });
    if (process.getuid() === 0) await run('chown', ['postgres:', ...files]);
  }

  // Another certificate, for connections from now on.
  async useCertificate(ssl) {
    await this.#writeCertificate(ssl);
    const reloads = () => this.process.output.split('received SIGHUP').length;
    const before = reloads();
    this.process.signal('SIGHUP');
    await waitUntil(() => reloads() > before, { what: 'PostgreSQL reloads' });
  }

  // signal: SIGINT fast, SIGQUIT immediate (like a crash).
  async stop(signal = 'SIGINT') { await this.process.stop(signal); }

  async restart(signal = 'SIGINT') {
    await this.stop(signal);
    await this.boot();
  }

  pause() { this.process.signal('SIGSTOP'); }
  resume() { this.process.signal('SIGCONT'); }

  // (Not needed by those who use psql: the benches run without npm packages.)
  async client(options = {}) {
    const { default: pg } = await import('pg');
    const client = new pg.Client({
      host: this.host, port: this.port, database: 'postgres', ...this.superuser, ...options,
    });
    client.on('error', () => {});
    await client.connect();
    return client;
  }

  // One statement text as superuser, straight to the server.
  async sql(text, options = {}) {
    const client = await this.client(options);
    try {
      return await client.query(text);
    } finally {
      await client.end();
    }
  }

  async activity(user) {
    const { rows } = await this.sql(
      `select pid, state, query from pg_stat_activity where usename = '${user}'`);
    return rows;
  }

  async noConnections(user) {
    await waitUntil(async () => (await this.activity(user)).length === 0,
      { what: `no connection of ${user}` });
  }
}
