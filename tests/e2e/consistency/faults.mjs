// What goes wrong during a campaign: one thing after the other, all kinds in
// an order of the seed's, and again.
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

// A handshake and some events, in bytes.
const SAID_AGAIN = 6000;

const kinds = {
  // Longer and shorter than the lease.
  async agentStopped(campaign, random) {
    const agent = campaign.site.agents[Math.floor(random() * campaign.site.agents.length)];
    agent.process.signal('SIGSTOP');
    await pause(200 + random() * 3500);
    agent.process.signal('SIGCONT');
  },

  async agentKilled(campaign, random) {
    const i = Math.floor(random() * campaign.site.agents.length);
    const agent = campaign.site.agents[i];
    campaign.history.orphan(campaign.open[i]);
    await agent.stop('SIGKILL');
    await agent.boot({ wait: false });
  },

  async controlPlaneRestarted(campaign, random) {
    await campaign.site.controlPlane.stop(random() < 0.5 ? 'SIGKILL' : 'SIGTERM');
    await pause(random() * 1500);
    await campaign.site.controlPlane.boot();
  },

  // Nothing is told any more, and nobody is told that: the lease must end.
  async controlPlaneStopped(campaign) {
    const { process } = campaign.site.controlPlane;
    process.signal('SIGSTOP');
    await pause(6500);
    process.signal('SIGCONT');
  },

  // What is said meanwhile is lost: a gap.
  async eventsCut(campaign, random) {
    const link = campaign.site.links[Math.floor(random() * campaign.site.links.length)];
    for (let i = 0; i < 5; i += 1) {
      link.cut();
      await pause(random() * 200);
    }
  },

  async eventsFrozen(campaign, random) {
    const link = campaign.site.links[Math.floor(random() * campaign.site.links.length)];
    link.frozen = true;
    await pause(300 + random() * 3000);
    link.cut();
    link.frozen = false;
  },

  // Most of what is said to anyone is lost, in gaps shorter than the lease
  // with enough said in between to keep it: who does not miss it goes on serving.
  async eventsDropped(campaign, random) {
    const { links } = campaign.site;
    for (let i = 0; i < 6 && !campaign.over(); i += 1) {
      for (const link of links) link.frozen = true;
      await pause(500 + random() * 500);
      for (const link of links) { link.cut(); link.frozen = false; }
      for (let k = 0; k < 100 && !links.every((link) => link.said > SAID_AGAIN); k += 1) await pause(20);
    }
  },

  // What is said arrives, in order, but late: within the lease, and past it.
  async eventsDelayed(campaign, random) {
    const link = campaign.site.links[Math.floor(random() * campaign.site.links.length)];
    link.delayMs = 200 + random() * 2800;
    await pause(2000 + random() * 3000);
    link.delayMs = 0;
  },

  // The network cuts every connection in the midst of a statement, which the
  // server goes on with once its rows are free again.
  async statementsCut(campaign, random) {
    const release = await campaign.site.lockRows(random);
    await pause(100 + random() * 300);
    campaign.site.origin.cut();
    await pause(200 + random() * 1300);
    await release();
  },

  // The same in the midst of a commit.
  async commitsCut(campaign, random) {
    const release = await campaign.site.blockCommits();
    await pause(50 + random() * 250);
    campaign.site.origin.cut();
    await pause(200 + random() * 1300);
    await release();
  },

  // And the agent dies with it, and comes back before the commit is done.
  async killedInCommit(campaign, random) {
    const release = await campaign.site.blockCommits();
    await pause(50 + random() * 250);
    await kinds.agentKilled(campaign, random);
    await pause(200 + random() * 1300);
    await release();
  },

  async sessionsCut(campaign, random) {
    for (let i = 0; i < 8; i += 1) {
      await campaign.site.cutSessions();
      await pause(random() * 120);
    }
  },
};

export class Faults {
  constructor(campaign, random) {
    Object.assign(this, { campaign, random, done: {} });
  }

  // names: "all", or some of the kinds with commas between.
  async run(names) {
    const wanted = names === 'all' ? Object.keys(kinds) : names.split(',');
    for (const name of wanted) if (!kinds[name]) throw new Error(`no fault ${name}: ${Object.keys(kinds)}`);
    while (!this.campaign.over()) {
      const round = wanted.map((name) => [this.random(), name]).sort(([x], [y]) => x - y);
      for (const [, name] of round) {
        // Between two, time to get well again: memory serves only then.
        await pause(1000 + this.random() * 1000);
        if (this.campaign.over()) return;
        await kinds[name](this.campaign, this.random);
        this.done[name] = (this.done[name] ?? 0) + 1;
      }
    }
  }
}
