#!/usr/bin/env node
// Does the harness find what it is there for? Builds the agent with each of
// the faults of agent/cache/broken.h (build/broken) and runs the harness until
// its first violation. Ends with 1 when one is not found in time.
//
//   node mutants.mjs [--seconds 60] [NAME...]
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { campaign } from './consistency.mjs';
import { run } from '../lib/process.mjs';

// What has to go wrong besides, for the fault to matter.
const mutants = {
  first_bump: {},
  second_bump: {},
  late_stamps: {},
  lease_check: { faults: 'controlPlaneStopped', writers: 8 },
  lost_write: { faults: 'commitsCut', writers: 8 },
  gap_check: { faults: 'eventsDropped', writers: 8 },
};

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
const dir = path.join(root, 'build/broken');

async function build(name) {
  const timeoutMs = 20 * 60 * 1000;
  await run('cmake', ['-S', root, '-B', dir, '-G', 'Ninja', '-DCMAKE_BUILD_TYPE=RelWithDebInfo', `-DPS_BREAK=${name}`], { timeoutMs });
  await run('cmake', ['--build', dir, '--target', 'portside-agent', 'portside-controlplane'], { timeoutMs });
}

const { values, positionals } = parseArgs({ options: { seconds: { type: 'string', default: '60' } }, allowPositionals: true });
process.env.PS_BUILD_DIR = dir;
let missed = 0;
for (const name of positionals.length ? positionals : Object.keys(mutants)) {
  if (!mutants[name]) throw new Error(`no mutant ${name}: ${Object.keys(mutants)}`);
  await build(name);
  const figures = await campaign({ ...mutants[name], seconds: Number(values.seconds), stopAtFirst: true });
  const rules = [...new Set(figures.violations.map((v) => v.rule))].join(', ');
  console.log(`${name}: ${rules ? `found (${rules})` : 'NOT FOUND'} in ${figures.seconds} s, ${figures.reads} reads`);
  if (!rules) missed += 1;
}
process.exit(missed ? 1 : 0);
