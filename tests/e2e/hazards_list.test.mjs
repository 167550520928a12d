// Every known way in which a query cache goes wrong has its test on a real
// database: this one lists those that have none. A test belongs to a hazard by
// its file's name (hazard_NN_*.test.mjs), by its own (hazard_NN: ...), or by
// the table below.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.join(here, '..', '..');
const HAZARDS = 39;

// Tests on a real database that have another main thing to show.
const elsewhere = {
  30: ['tests/e2e/cut.test.mjs', 'after the lease no answer comes from memory, and service goes on'],
  32: ['tests/e2e/errors.test.mjs', 'a connection that breaks under a read, and under a write'],
  35: ['tests/e2e/main.test.mjs', 'a changed password ends the old one within its time'],
  36: ['tests/e2e/errors.test.mjs', 'failed logins are slowed down and no connection is left'],
  39: ['tests/e2e/errors.test.mjs', 'text that is not UTF-8 never reaches the database'],
};

// What no real database can show: why, and what shows it instead.
const unreal = {
  27: ['the formats of one driver differ in nothing that PostgreSQL negotiates', 'agent/cache/key_test.c', 'format'],
  29: ["the machine's clock must not be stepped by a test", 'tests/scenario/ttl_expiry.scn', 'advance'],
  34: ['which of two refreshes ends first is not for a client to say', 'tests/scenario/hazard_34_newer_kept.scn', 'stored'],
  37: ['no cache reads from a replica: there is no such setting', 'proto/openapi.yaml', 'host'],
};

// What is the same whatever the database: nothing of it is for one to see.
const withoutDatabase = {
  29: 'the clock that times use', 30: 'the numbered log between agents and control plane',
  34: 'which of two refreshes ends first', 37: 'there are no replicas',
};

function found(which) {
  const numbers = new Set();
  for (const file of fs.readdirSync(here).filter((f) => f.endsWith('.test.mjs') && f !== 'hazards_list.test.mjs' && which.test(f))) {
    const text = fs.readFileSync(path.join(here, file), 'utf8');
    const name = file.match(/^hazard_(\d\d)_/);
    if (name && /^\s*test\('/m.test(text)) numbers.add(Number(name[1]));
    for (const [, n] of text.matchAll(/^\s*(?:test|it)\('hazard_(\d\d): /gm)) numbers.add(Number(n));
  }
  return numbers;
}

test('every hazard has its test', () => {
  const numbers = found(/^(?!hazards_mariadb)/);
  const without = [];
  for (let n = 1; n <= HAZARDS; n += 1) {
    const known = [numbers.has(n), n in elsewhere, n in unreal].filter(Boolean).length;
    if (known !== 1) without.push(`${n}: in ${known} places`);
  }
  assert.deepEqual(without, []);
});

test('every hazard that MariaDB can show has its test on MariaDB', () => {
  const numbers = found(/^hazards_mariadb/);
  const without = [];
  for (let n = 1; n <= HAZARDS; n += 1) {
    if (numbers.has(n) === n in withoutDatabase) without.push(n);
  }
  assert.deepEqual(without, []);
});

test('what the tables name is there', () => {
  for (const [file, title] of Object.values(elsewhere)) {
    assert.ok(fs.readFileSync(path.join(root, file), 'utf8').includes(`test('${title}'`), `${file}: ${title}`);
  }
  for (const [, file, word] of Object.values(unreal)) {
    assert.ok(fs.readFileSync(path.join(root, file), 'utf8').includes(word), `${file}: ${word}`);
  }
  assert.ok(!/replica/i.test(fs.readFileSync(path.join(root, 'proto/openapi.yaml'), 'utf8')), 'replicas need their own test');
});
