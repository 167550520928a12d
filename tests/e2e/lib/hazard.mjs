// What the tests of hazards share: one agent (or two) on a database with the
// hazard's own tables, and the question each of them asks: does an answer from
// memory ever differ from the database's own?
import assert from 'node:assert/strict';
import { after, before, describe as suite, test } from 'node:test';
import { Stage } from './stage.mjs';
import { MariaStage } from './stage_mariadb.mjs';

// The tests' functions get the scene. On PostgreSQL unless server is 'mariadb'.
export function hazard(name, { schema, regions = ['one'], server = 'postgres' }, body) {
  suite(name, () => {
    let scene;
    before(async () => { scene = await Scene.create(schema, regions, server); });
    after(async () => { await scene?.stage.destroy(); });
    body((what, fn) => test(what, () => fn(scene)));
  });
}

class Scene {
  static async create(schema, regions, server) {
    const self = new Scene();
    self.server = server;
    self.stage = await (server === 'mariadb' ? MariaStage : Stage).create({ regions });
    [self.agent, self.other] = self.stage.agents;
    try {
      await self.db(schema);
      if (server === 'postgres') await self.db('grant all on all tables in schema public to alice, bob');
    } catch (error) {
      await self.stage.destroy();
      throw error;
    }
    return self;
  }

  // Straight to the database, as its owner.
  async db(sql) {
    const answer = await this.stage.db.sql(sql, { database: 'app' });
    // As JSON, so that what the driver makes of times is what the agent says.
    return this.server === 'mariadb' ? JSON.parse(JSON.stringify(answer)) : answer.rows;
  }

  async run(sql, who) {
    const reply = await this.stage.query(this.agent, sql, undefined, who);
    assert.equal(reply.status, 200, `${sql}: ${reply.text}`);
    return reply;
  }

  async warm(...texts) {
    for (const sql of texts) await this.stage.warm(this.agent, sql);
  }

  // Never kept, however often it is asked; the reason is told.
  async bypassed(sql, reason) {
    for (let i = 0; i < 4; i += 1) {
      const reply = await this.run(sql);
      assert.equal(reply.cache, 'bypass', `${sql}: ${reply.reason}`);
      assert.equal(reply.reason, reason, sql);
    }
  }

  // What is in memory is not served any more after the write: the answer is
  // the database's, and the one from memory after that is the same.
  async seen(write, ...reads) {
    await this.warm(...reads);
    await this.run(write);
    for (const sql of reads) {
      const reply = await this.run(sql);
      assert.notEqual(reply.cache, 'hit', `${sql} after ${write}`);
      assert.deepEqual(reply.json, await this.db(sql), `${sql} after ${write}`);
    }
  }

  // The write has nothing to do with the read.
  async unaffected(write, ...reads) {
    await this.warm(...reads);
    await this.run(write);
    for (const sql of reads) assert.equal((await this.run(sql)).cache, 'hit', `${sql} after ${write}`);
  }
}
