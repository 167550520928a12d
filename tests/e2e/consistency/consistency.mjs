#!/usr/bin/env node
// Writers and readers over several agents, with faults, and every answer held
// against the contract (history.mjs). README.md says how to use it.
import path from 'node:path';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { Faults } from './faults.mjs';
import { History } from './history.mjs';
import { Site } from './site.mjs';
import { GROUPS, reads, ROWS, write } from './workload.mjs';
import { Wire } from './wire.mjs';

const HOT = 8; // groups that most writes go to; the others are left long enough to be found old
const LEASE_MS = 2000;
const SLACK_MS = 1500;

export const defaults = {
  seconds: 20, seed: 0, provider: 'postgres', agents: 2, writers: 4, readers: 32,
  writeAck: 'local', faults: 'none', stopAtFirst: false,
  // On a machine that is busy it goes on for longer, until there are as many.
  leastReads: 0, leastWrites: 0,
};
const LONGER = 15; // times `seconds` at most

// Small and good enough: mulberry32.
export function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

class Campaign {
  constructor(site, options) {
    Object.assign(this, { site, options, hits: 0, writes: 0, failedReads: 0, failedWrites: 0, reasons: new Map(), asked: {}, hit: {}, ended: false });
    this.history = new History({
      agents: options.agents, groups: GROUPS, boundMs: LEASE_MS + SLACK_MS, global: options.writeAck === 'global',
    });
    this.open = Array.from({ length: options.agents }, () => new Set()); // writes sent, by agent
    this.wires = new Set();
  }

  over() {
    const { stopAtFirst, leastReads, leastWrites } = this.options;
    if (this.ended || (stopAtFirst && this.history.violations.length > 0)) return true;
    const now = performance.now();
    const enough = this.history.checked >= leastReads && this.writes >= leastWrites;
    return now >= this.until && (enough || now >= this.latest);
  }

  wire(agent) {
    const wire = new Wire(this.site.agents[agent].port);
    this.wires.add(wire);
    return wire;
  }

  // Asks one agent, without a pause, until the end.
  async reader(agent, random) {
    const wire = this.wire(agent);
    while (!this.over()) {
      const query = reads[Math.floor(random() * reads.length)];
      let group = Math.floor(random() * GROUPS);
      if (query.both) group -= group % 2;
      const body = this.site.body(...query.make(group));
      const expected = this.history.expect(agent, group, query.name, performance.now());
      try {
        const reply = await wire.post(body);
        if (reply.status !== 200) throw new Error(reply.text);
        this.take(agent, group, query, expected, reply);
      } catch (error) {
        this.failedReads += 1;
        this.lastError = error;
        if (!this.over()) await pause(20);
      }
    }
  }

  take(agent, group, query, expected, reply) {
    const versions = query.versions(JSON.parse(reply.text));
    // A missing row is as bad as an old one.
    if (versions.length !== (query.rows ?? ROWS)) versions.push(-1);
    this.history.check(agent, group, query.name, expected, versions, reply.hit, reply.reason, performance.now());
    this.asked[query.name] = (this.asked[query.name] ?? 0) + 1;
    if (reply.hit) {
      this.hits += 1;
      this.hit[query.name] = (this.hit[query.name] ?? 0) + 1;
    } else this.reasons.set(reply.reason, (this.reasons.get(reply.reason) ?? 0) + 1);
  }

  // Mostly hot ones, and of one table: what several tables or unknown rows
  // invalidate is much, and hits are to be the rule.
  pick(random) {
    const group = Math.floor(random() * (random() < 0.8 ? HOT : GROUPS));
    return group % 2 === 0 && random() < 0.8 ? group + 1 : group;
  }

  async writer(random) {
    const wires = this.site.agents.map((_, i) => this.wire(i));
    while (!this.over()) {
      const agent = Math.floor(random() * wires.length);
      const group = this.pick(random);
      const version = this.history.begin(agent, group);
      const sent = { group, version };
      this.open[agent].add(sent);
      try {
        const reply = await wires[agent].post(this.site.body(...write(this.options.provider, group, version, random)));
        if (reply.status !== 200) throw new Error(reply.text);
        this.history.acknowledge(agent, group, version, performance.now());
        this.writes += 1;
      } catch (error) {
        this.failedWrites += 1;
        this.lastError = error;
      }
      this.open[agent].delete(sent);
      await pause(random() * 60);
    }
  }

  async run() {
    const { seed, seconds, readers, writers, agents, faults } = this.options;
    const begin = performance.now();
    this.until = begin + seconds * 1000;
    this.latest = begin + LONGER * seconds * 1000;
    const work = [];
    for (let i = 0; i < readers; i += 1) work.push(this.reader(i % agents, generator(seed + 1000 + i)));
    for (let i = 0; i < writers; i += 1) work.push(this.writer(generator(seed + 2000 + i)));
    const trouble = new Faults(this, generator(seed + 1));
    if (faults !== 'none') work.push(trouble.run(faults));
    const timer = setInterval(() => {
      if (!this.over()) return;
      // Who waits for an agent that does not answer is let go, a while after.
      this.ended = true;
      clearInterval(timer);
      setTimeout(() => { for (const wire of this.wires) wire.close(); }, 1000);
    }, 50);
    await Promise.all(work);
    for (const wire of this.wires) wire.close();
    const { checked, violations } = this.history;
    const took = (performance.now() - begin) / 1000;
    return {
      seed, seconds: Math.round(took), reads: checked, readsPerSecond: Math.round(checked / took), hits: this.hits,
      writes: this.writes, failedReads: this.failedReads, failedWrites: this.failedWrites,
      faults: trouble.done, violations, asked: this.asked, hit: this.hit, misses: Object.fromEntries(this.reasons), lastError: this.lastError?.message,
    };
  }
}

// Starts everything, runs, ends everything. Resolves with the figures.
export async function campaign(given = {}) {
  const options = { ...defaults, ...given };
  options.seed ||= Math.floor(Math.random() * 2 ** 31);
  console.log(`seed ${options.seed}`);
  const site = await Site.start(options, generator(options.seed));
  try {
    return await new Campaign(site, options).run();
  } finally {
    await site.stop();
  }
}

async function main() {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string' }, seed: { type: 'string' }, provider: { type: 'string' }, agents: { type: 'string' },
      writers: { type: 'string' }, readers: { type: 'string' }, 'write-ack': { type: 'string' }, faults: { type: 'string' },
      'stop-at-first': { type: 'boolean' },
    },
  });
  const options = {};
  for (const [flag, text] of Object.entries(values)) {
    const name = flag.replace(/-(.)/g, (_, c) => c.toUpperCase());
    options[name] = typeof defaults[name] === 'number' ? Number(text) : text;
  }
  const { violations, ...figures } = await campaign(options);
  console.log(JSON.stringify(figures));
  for (const v of violations.slice(0, 5)) console.log(`violation: ${JSON.stringify(v)}`);
  console.log(`${figures.reads} reads checked, ${violations.length} violations`);
  return violations.length ? 1 : 0;
}

if (process.argv[1] && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  main().then((code) => process.exit(code), (error) => {
    console.error(error);
    process.exit(2);
  });
}
