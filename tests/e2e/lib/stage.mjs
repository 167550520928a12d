// The usual set-up of a test file: a PostgreSQL with two users and some
// tables, a control plane, two regional agents, one cache.
import { ControlPlane, Agent } from './portside.mjs';
import { Postgres } from './postgres.mjs';
import { waitUntil } from './process.mjs';

const schema = `
  create role alice login password 'alice-pw';
  create role bob login password 'bob-pw';
`;

const tables = `
  create table items (id int primary key, name text not null, qty int not null);
  insert into items select i, 'item ' || i, i * 10 from generate_series(1, 100) i;
  create table owners (id int primary key, who text not null);
  insert into owners values (1, 'alice'), (2, 'bob');
  alter table owners enable row level security;
  create policy own on owners using (who = current_user);
  create view cheap as select * from items where qty < 100;
  create view mine as select current_user as me, count(*) as n from items;
  grant all on all tables in schema public to alice, bob;
  grant create on schema public to alice;
`;

export class Stage {
  static async create({ regions = ['eu-west', 'us-east'], postgres = {}, cache = {}, agentArgs = [], controlPlane = {} } = {}) {
    const self = new Stage();
    self.agents = [];
    try {
      self.db = await Postgres.start(postgres);
      await self.db.sql(schema);
      // Not in one text with others: that would be a transaction.
      await self.db.sql('create database app');
      await self.db.sql(tables, { database: 'app' });
      self.controlPlane = await ControlPlane.start(controlPlane);
      for (const region of regions) {
        self.agents.push(await Agent.start(self.controlPlane, region, { args: agentArgs }));
      }
      self.cache = await self.createCache('main', cache);
    } catch (error) {
      // What runs would keep the test from ending.
      await self.destroy();
      throw error;
    }
    return self;
  }

  async createCache(name, fields = {}) {
    const cache = await this.controlPlane.createCache({
      name, host: this.db.host, port: this.db.port, database: 'postgres', tlsMode: 'disable', ...fields,
    });
    for (const agent of this.agents) await agent.knows(cache.id);
    return cache;
  }

  // The protocol's body for a user.
  body(sql, bindings, { user = 'alice', password = `${user}-pw`, database = 'app', cache = this.cache } = {}) {
    return {
      cacheId: cache.id, provider: 'postgres', username: user, password, database, sql,
      ...(bindings === undefined ? {} : { bindings }),
    };
  }

  async query(agent, sql, bindings, who) {
    return agent.sql(this.body(sql, bindings, who));
  }

  // Repeats a read until memory answers; resolves with that reply.
  async warm(agent, sql, bindings, who) {
    return waitUntil(async () => {
      const reply = await this.query(agent, sql, bindings, who);
      return reply.cache === 'hit' ? reply : null;
    }, { what: `a hit for ${sql}` });
  }

  async destroy() {
    for (const agent of this.agents) await agent.stop();
    await this.controlPlane?.stop();
    await this.db?.stop('SIGQUIT');
  }
}
