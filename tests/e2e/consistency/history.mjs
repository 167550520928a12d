// What may a read still say? Versions of a group only grow: writers take the
// next number and write it where the row has a smaller one. So once version n
// was acknowledged, or seen, every answer asked for later must say n or more,
// where the contract promises it:
//
//   torn       rows of one group in one answer differ
//   c1         hit older than a write through this agent that somebody saw
//   c2         older than a write this agent acknowledged
//   c3         older than a write that any agent acknowledged, or anybody saw, a
//              lease and slack ago
//   c4         older than any acknowledged write, with writeAck global
//   backwards  older than an answer to the same query at the same agent, which
//              was kept, came from memory or passed through without a lease.
//              (One that met a write under way may have overtaken, on its way
//              from the origin, an answer that is kept: bounded by C3.)
//
// `now` is taken before the request is sent for what is required of it, and
// after the reply came for what was acknowledged: both err to the lenient side.
// Pure: no clock, no I/O.
const FIRM = ['hit', 'stored', 'no_lease'];

export class History {
  constructor({ agents, groups, boundMs, global }) {
    Object.assign(this, { boundMs, global, violations: [], checked: 0 });
    const zeros = () => new Array(groups).fill(0);
    this.next = zeros();
    this.acked = Array.from({ length: agents }, zeros); // by the agent that did it
    this.any = zeros(); // by any agent
    this.old = zeros(); // by any agent, longer ago than the bound
    this.late = Array.from({ length: groups }, () => []); // { at, version } on the way to `old`
    this.shown = zeros(); // by any answer
    this.seen = Array.from({ length: agents }, zeros); // written through agent, seen anywhere
    this.writer = Array.from({ length: groups }, () => new Map()); // version -> agent
    this.keys = Array.from({ length: agents }, () => new Map()); // "query group" -> version
  }

  // A version to write through an agent.
  begin(agent, group) {
    const version = ++this.next[group];
    this.writer[group].set(version, agent);
    return version;
  }

  // The reply said that it is done.
  acknowledge(agent, group, version, now) {
    this.acked[agent][group] = Math.max(this.acked[agent][group], version);
    if (version <= this.any[group]) return;
    this.any[group] = version;
    this.#age(group, version, now);
  }

  // Known to be committed, now: all have to know it a while later.
  #age(group, version, now) {
    if (version <= this.shown[group]) return;
    this.shown[group] = version;
    this.late[group].push({ at: now, version });
  }

  // The agent died: a write it had sent may happen after it forgot it.
  orphan(versions) {
    for (const { group, version } of versions) this.writer[group].delete(version);
  }

  // What an answer of this query about this group must at least say, and why.
  expect(agent, group, query, now) {
    const late = this.late[group];
    while (late.length && late[0].at + this.boundMs <= now) this.old[group] = late.shift().version;
    return {
      c1: this.seen[agent][group],
      c2: this.acked[agent][group],
      c3: this.old[group],
      c4: this.global ? this.any[group] : 0,
      backwards: this.keys[agent].get(`${query} ${group}`)?.version ?? 0,
    };
  }

  // versions: what the rows of the group said.
  // reason: the agent's, of where the answer came from.
  // now: absent, it does not count as a sight of the version.
  check(agent, group, query, expected, versions, hit, reason = 'hit', now = undefined) {
    this.checked += 1;
    const least = Math.min(...versions);
    const most = Math.max(...versions);
    const broken = least === most && versions.length ? [] : ['torn'];
    for (const [rule, version] of Object.entries(expected)) {
      if (least < version && (rule !== 'c1' || hit)) broken.push(rule);
    }
    const key = `${query} ${group}`;
    const newest = this.keys[agent].get(key);
    for (const rule of broken) this.violations.push({ rule, agent, group, query, reason, versions, expected, newest });
    if (FIRM.includes(reason) && least > (newest?.version ?? 0)) this.keys[agent].set(key, { version: least, reason });
    if (now !== undefined) this.#age(group, least, now);
    const writer = this.writer[group].get(least);
    if (writer !== undefined && least > this.seen[writer][group]) this.seen[writer][group] = least;
  }
}
