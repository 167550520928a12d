// docs/tour.md shows what scripts/tour prints, today too: ids, times, ports and
// durations aside.
//
//   node tour.test.mjs --update     writes the page's transcript anew
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { buildDir, run } from '../lib/process.mjs';
import { Normal } from './transcript.mjs';

const root = path.resolve(import.meta.dirname, '../../..');
const page = path.join(root, 'docs/tour.md');
const block = /^```console\n([^]*?)^```$/m;

const normal = new Normal([
  [/(127\.0\.0\.1:|--port )\d{4,5}\b/g, '$1<port>'],
  [/@\[[\d.]+\]/g, '@[<time>]'],
  [/\(version \S+\)/g, '(version <version>)'],
]);

test('docs/tour.md shows what scripts/tour prints', { timeout: 120000 }, async () => {
  const { stdout } = await run(path.join(root, 'scripts/tour'), [], {
    timeoutMs: 110000, env: { PS_BUILD_DIR: buildDir(), NO_COLOR: '1', PORTSIDE_CONTEXT: '', COLUMNS: '' } });
  const transcript = stdout.trim().replaceAll(/\S*\/portside-tour\.\w+/g, 'tour');
  if (process.argv.includes('--update')) {
    fs.writeFileSync(page, fs.readFileSync(page, 'utf8').replace(block, () => `\`\`\`console\n${transcript}\n\`\`\``));
  }
  const [, shown] = fs.readFileSync(page, 'utf8').match(block);
  assert.equal(normal.of(transcript), normal.of(shown.trim()));
  // What it is there to show.
  assert.match(transcript, /volatile_function[^]*\^\^\^[^]*purged on 2 of 2 agents/);
  for (const [region, ratio] of [['eu-west', '0.4'], ['us-east', '0.6']]) {
    assert.ok(transcript.includes(`{region="${region}"} => ${ratio} @`), region);
  }
});
