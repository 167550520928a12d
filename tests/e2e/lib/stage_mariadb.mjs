// The usual set-up of a test file for a MariaDB: the server with its users, a
// control plane, regional agents, one cache.
import { MariaDb } from './mariadb.mjs';
import { Agent, ControlPlane } from './portside.mjs';
import { Stage } from './stage.mjs';

export class MariaStage extends Stage {
  static async create({ regions }) {
    const self = new MariaStage();
    self.agents = [];
    try {
      self.db = await MariaDb.start();
      self.controlPlane = await ControlPlane.start();
      for (const region of regions) self.agents.push(await Agent.start(self.controlPlane, region));
      self.cache = await self.createCache('main');
    } catch (error) {
      await self.destroy();
      throw error;
    }
    return self;
  }

  async createCache(name, fields = {}) { return super.createCache(name, { database: 'mariadb', ...fields }); }

  body(sql, bindings, who) { return { ...super.body(sql, bindings, who), provider: 'mariadb' }; }

  // What the sessions of a user do now.
  async activity(user) {
    return this.db.sql(`select id, state, coalesce(info, '') as query from information_schema.processlist where user = '${user}'`);
  }
}
