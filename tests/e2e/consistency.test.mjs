// The consistency harness on a small budget: every answer held against C1-C4
// (consistency/README.md). Longer: consistency/consistency.mjs --seconds.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { campaign } from './consistency/consistency.mjs';
import { History } from './consistency/history.mjs';

// Enough of the answers came from memory, or nothing was shown.
async function holds(options, { reads, share }) {
  const figures = await campaign({ ...options, leastReads: reads, leastWrites: 20 });
  assert.deepEqual(figures.violations.slice(0, 3), [], `seed ${figures.seed}`);
  assert.ok(figures.reads >= reads, JSON.stringify(figures));
  assert.ok(figures.hits >= share * figures.reads, JSON.stringify(figures));
  assert.ok(figures.writes >= 20, JSON.stringify(figures));
  return figures;
}

test('the checker knows each violation', () => {
  const history = new History({ agents: 2, groups: 1, boundMs: 100, global: false });
  const asks = (agent, now, versions, hit = true) => {
    const before = history.violations.length;
    history.check(agent, 0, 'q', history.expect(agent, 0, 'q', now), versions, hit);
    return history.violations.slice(before).map((v) => v.rule);
  };
  assert.equal(history.begin(0, 0), 1);
  assert.deepEqual(asks(0, 0, [0, 0]), []);
  assert.deepEqual(asks(1, 0, [1, 1]), [], 'committed, not acknowledged yet');
  assert.deepEqual(asks(0, 0, [0, 0]), ['c1'], 'seen elsewhere, written here');
  assert.deepEqual(asks(0, 0, [0, 0], false), [], 'what the origin says is not from memory');
  assert.deepEqual(asks(1, 0, [0, 0]), ['backwards']);
  history.acknowledge(0, 0, 1, 10);
  assert.deepEqual(asks(0, 10, [0, 0], false), ['c2']);
  assert.deepEqual(asks(1, 109, [0, 0]), ['backwards'], 'within the bound');
  assert.deepEqual(asks(1, 110, [0, 0]), ['c3', 'backwards']);
  assert.deepEqual(asks(0, 110, [1, 2]), ['torn']);
  assert.deepEqual(asks(0, 110, []), ['torn']);
  // Nobody acknowledged it, but somebody saw it.
  history.begin(1, 0);
  history.check(0, 0, 'q', history.expect(0, 0, 'q', 200), [2], false, 'stored', 200);
  assert.deepEqual(asks(1, 299, [1], false), []);
  assert.deepEqual(asks(1, 300, [1], false), ['c3']);
  const strict = new History({ agents: 2, groups: 1, boundMs: 100, global: true });
  strict.acknowledge(0, 0, strict.begin(0, 0), 10);
  strict.check(1, 0, 'q', strict.expect(1, 0, 'q', 10), [0], true);
  assert.deepEqual(strict.violations.map((v) => v.rule), ['c4']);
});

test('PostgreSQL, two agents', async () => {
  await holds({ seconds: 4 }, { reads: 2000, share: 0.4 });
});

test('PostgreSQL, writes acknowledged by all', async () => {
  await holds({ seconds: 4, writeAck: 'global' }, { reads: 2000, share: 0.4 });
});

test('MariaDB, two agents', async () => {
  await holds({ seconds: 4, provider: 'mariadb', writers: 2 }, { reads: 1000, share: 0.2 });
});

test('PostgreSQL, agents and connections failing', async () => {
  const figures = await holds({ seconds: 10, faults: 'agentStopped,agentKilled,eventsCut,commitsCut,sessionsCut' }, { reads: 2000, share: 0.1 });
  assert.ok(Object.keys(figures.faults).length >= 2, JSON.stringify(figures.faults));
});
