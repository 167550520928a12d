// One database, a control plane and agents, with relays between them:
//
//   agents ── one relay, whose connections differ in delay ── database
//   agent N ── a relay of its own ── control plane's events
//
// A slow connection keeps a commit window open after the commit, and a read's
// answer on its way while a write passes it: what stamps are for.
import fs from 'node:fs';
import path from 'node:path';
import mysql from 'mysql2/promise';
import { MariaDb } from '../lib/mariadb.mjs';
import { Agent, ControlPlane } from '../lib/portside.mjs';
import { Postgres } from '../lib/postgres.mjs';
import { Relay } from '../lib/relay.mjs';
import { GROUPS, schema } from './workload.mjs';

const DELAYS_MS = [0, 0, 8, 25];

export class Site {
  static async start(options, random) {
    const self = new Site();
    Object.assign(self, { options, agents: [], links: [] });
    try {
      await self.#database();
      self.origin = await Relay.start({ host: '127.0.0.1', port: self.db.port });
      self.origin.delayOfNext = () => DELAYS_MS[Math.floor(random() * DELAYS_MS.length)];
      self.controlPlane = await ControlPlane.start();
      for (let i = 0; i < options.agents; i += 1) await self.#agent(i);
      await self.#cache();
    } catch (error) {
      await self.stop();
      throw error;
    }
    return self;
  }

  async #database() {
    const { provider } = this.options;
    if (provider === 'mariadb') {
      this.db = await MariaDb.start();
      await this.db.sql(schema(provider));
      return;
    }
    this.db = await Postgres.start();
    await this.db.sql("create role alice login password 'alice-pw'");
    await this.db.sql('create database app');
    await this.db.sql(`${schema(provider)} grant all on all tables in schema public to alice`, { database: 'app' });
  }

  // Enrolled, then told that the events come from its relay.
  async #agent(i) {
    const agent = await Agent.start(this.controlPlane, `region-${i}`, { args: ['--log-level', 'warn'] });
    this.agents.push(agent);
    await agent.stop();
    const file = path.join(agent.dir, 'agent.json');
    const state = JSON.parse(fs.readFileSync(file, 'utf8'));
    const link = await Relay.start({ host: '127.0.0.1', port: this.controlPlane.ports.events });
    this.links.push(link);
    state.eventAddress = state.eventAddress.replace(/:\d+$/, `:${link.port}`);
    fs.writeFileSync(file, JSON.stringify(state));
    await agent.boot();
  }

  async #cache() {
    const { provider, writeAck } = this.options;
    const cp = this.controlPlane;
    this.cache = await cp.createCache({
      name: 'main', host: '127.0.0.1', port: this.origin.port, database: provider, tlsMode: 'disable', writeAck,
      // What is lost on its way is over soon.
      queryTimeoutMs: 4000,
    });
    // So long that only invalidation ends an answer.
    for (const key of ['a', 'b']) {
      await cp.ok('POST', `/v1/caches/${this.cache.id}/rules`, { type: 'table', key, mode: 'ttl', ttlMs: 600000 });
    }
    this.rest = JSON.stringify({ cacheId: this.cache.id, provider, username: 'alice', password: 'alice-pw', database: 'app' }).slice(0, -1);
    for (const agent of this.agents) await agent.knows(this.cache.id);
  }

  // The request's text.
  body(sql, bindings) {
    return `${this.rest},"sql":${JSON.stringify(sql)}${bindings ? `,"bindings":${JSON.stringify(bindings)}` : ''}}`;
  }

  // Rows of some groups are locked until the function returned is called.
  async lockRows(random) {
    const groups = Array.from({ length: 8 }, (_, i) => (i < 4 ? Math.floor(random() * 8) : Math.floor(random() * GROUPS)));
    const session = await this.#session();
    await session.query('begin');
    await session.query(`select * from a where grp in (${groups.join(', ')}) for update`);
    return async () => {
      await session.query('rollback');
      await session.end();
    };
  }

  // No commit is done, however far it is, until the function returned is
  // called: PostgreSQL waits for a standby that does not exist.
  async blockCommits() {
    if (this.options.provider === 'mariadb') {
      const session = await this.#session();
      for (const stage of ['start', 'block_commit']) await session.query(`backup stage ${stage}`);
      return async () => {
        await session.query('backup stage end');
        await session.end();
      };
    }
    const session = await this.#session();
    await session.query("alter system set synchronous_standby_names = 'nobody'");
    await session.query('select pg_reload_conf()');
    return async () => {
      await session.query('alter system reset synchronous_standby_names');
      await session.query('select pg_reload_conf()');
      await session.end();
    };
  }

  // Past Portside, as who may do anything.
  async #session() {
    if (this.options.provider === 'mariadb') return mysql.createConnection(this.db.options());
    return this.db.client({ database: 'app' });
  }

  // Ends the agents' connections at the server, whatever they are doing.
  async cutSessions() {
    if (this.options.provider === 'mariadb') {
      await this.db.sql('kill connection user alice');
      return;
    }
    await this.db.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'alice'");
  }

  async stop() {
    for (const agent of this.agents) await agent.stop('SIGKILL');
    await this.controlPlane?.stop('SIGKILL');
    for (const relay of [...this.links, this.origin]) await relay?.stop();
    await this.db?.stop('SIGQUIT');
  }
}
