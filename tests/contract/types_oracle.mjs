// Values as applications see them: every statement goes through the agent's own
// driver and encoder (ps_rows_dump) and through knex and pg with TZ=UTC, on
// the same server; the rows must be equal, value by value.
//
//   with_postgres node types_oracle.mjs PATH-OF-ps_rows_dump
import { spawn } from 'node:child_process';
import { isDeepStrictEqual } from 'node:util';
import knex from 'knex';
import { scalars, arrays, own, shapes } from '../e2e/lib/types_postgres.mjs';
import { cases, setup } from './types_cases.mjs';

process.env.TZ = 'UTC';
const dump = process.argv[2];
if (!dump || !process.env.PS_PG_PORT) {
  console.error('usage: with_postgres node types_oracle.mjs PATH-OF-ps_rows_dump');
  process.exit(2);
}

const quote = (text) => `'${text.replaceAll("'", "''")}'`;
const database = knex({
  client: 'pg',
  pool: { min: 1, max: 1 },
  connection: {
    host: 'localhost',
    port: Number(process.env.PS_PG_PORT),
    user: 'app',
    password: 'app secret',
    database: 'app',
  },
});

function statements() {
  const all = [];
  for (const [type, values] of [...scalars, ...own.values, ...arrays]) {
    if (!values.length) continue;
    for (const value of values) all.push(`select ${quote(value)}::${type} as v`);
    all.push(`select null::${type} as v`);
  }
  all.push(...shapes, ...cases);
  // knex turns a question mark into a parameter.
  return all.filter((sql) => !sql.includes('?'));
}

// What knex's user gets as rows; of several statements the last that has any.
async function viaKnex(sql) {
  try {
    const result = await database.raw(sql);
    const results = Array.isArray(result) ? result : [result];
    const last = results.filter((r) => r.fields && r.command === 'SELECT').at(-1) ?? results.at(-1);
    return { text: JSON.stringify(last.rows ?? []) };
  } catch (error) {
    return { error: error.code ?? error.message };
  }
}

// One line of answer per statement.
function startDump() {
  const child = spawn(dump, [], { stdio: ['pipe', 'pipe', 'inherit'] });
  let pending = '';
  const waiting = [];
  child.stdout.setEncoding('utf8');
  child.stdout.on('data', (chunk) => {
    pending += chunk;
    for (let end; (end = pending.indexOf('\n')) >= 0;) {
      waiting.shift()?.(pending.slice(0, end));
      pending = pending.slice(end + 1);
    }
  });
  child.on('exit', () => waiting.splice(0).forEach((resolve) => resolve('! exit')));
  return {
    ask: (sql) => new Promise((resolve) => {
      waiting.push(resolve);
      child.stdin.write(`${sql}\0`);
    }),
    end: () => child.stdin.end(),
  };
}

function problem(ours, theirs) {
  if (ours.startsWith('!')) return theirs.error ? null : 'only ours fails';
  if (theirs.error) return 'only theirs fails';
  let mine;
  try {
    mine = JSON.parse(ours);
  } catch {
    return 'not JSON';
  }
  return isDeepStrictEqual(mine, JSON.parse(theirs.text)) ? null : 'different';
}

let failed = 0;
let same = 0;
const all = statements();
for (const sql of [own.schema, setup]) await database.raw(sql);
const ours = startDump();
for (const sql of all) {
  const [mine, theirs] = await Promise.all([ours.ask(sql), viaKnex(sql)]);
  const why = problem(mine, theirs);
  if (mine === theirs.text) same++;
  if (why) {
    failed++;
    console.log(`${why}: ${sql}\n  ours   ${mine}\n  theirs ${theirs.text ?? `! ${theirs.error}`}`);
  }
}
ours.end();
await database.destroy();
console.log(`${all.length} statements, ${failed} differ, ${same} equal byte by byte`);
process.exit(failed || all.length < 300 ? 1 : 0);
