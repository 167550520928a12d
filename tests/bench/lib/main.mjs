// The command line of the benches: builds, runs one of NAME.mjs beside this
// folder, prints its figures, and ends whatever was started, also when it is
// interrupted.
import fs from 'node:fs';
import path from 'node:path';
import { Bench, build, folder } from './bench.mjs';

const names = () => fs.readdirSync(folder)
  .filter((f) => f.endsWith('.mjs')).map((f) => path.basename(f, '.mjs')).sort();

function usage(status) {
  const text = `Usage: tests/bench/run NAME [--json] [--smoke] [--alone]

  NAME     ${names().join(', ')}
  --json   the last line of standard output is one JSON object
  --smoke  a short run: does it work? (its figures mean little)
  --alone  server and load go before all else on their cores (SCHED_RR, needs
           root): for a machine that is busy, and will be slow meanwhile
  --telemetry  hits only: also an agent that counts nothing; what counting costs
`;
  (status ? process.stderr : process.stdout).write(text);
  process.exit(status);
}

function readArguments(args) {
  const options = { json: false, smoke: false, alone: false, telemetry: false };
  for (const arg of args) {
    if (arg === '-h' || arg === '--help') usage(0);
    else if (['--json', '--smoke', '--alone', '--telemetry'].includes(arg)) options[arg.slice(2)] = true;
    else if (!arg.startsWith('-') && !options.name) options.name = arg;
    else usage(2);
  }
  if (!names().includes(options.name)) usage(2);
  return options;
}

const width = (object) => Math.max(...Object.keys(object).map((k) => k.length));

export async function main(args) {
  const options = readArguments(args);
  const { default: bench } = await import(path.join(folder, `${options.name}.mjs`));
  const run = new Bench(options);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => { run.stop().finally(() => process.exit(130)); });
  }
  // However it goes, it ends: a bench that hangs is a bench that failed.
  const late = setTimeout(() => {
    process.stderr.write('bench: not done within its time limit\n');
    run.stop().finally(() => process.exit(1));
  }, 1000 * (bench.limitSeconds ?? 180));
  late.unref();
  try {
    run.say(bench.title);
    await build(run, bench.targets);
    const figures = await bench.run(run);
    for (const [key, value] of Object.entries(figures)) {
      run.print(`    ${key.padEnd(width(figures))}  ${typeof value === 'object' ? JSON.stringify(value) : value}`);
    }
    if (options.json) process.stdout.write(`${JSON.stringify({ bench: options.name, smoke: options.smoke, alone: options.alone, ...figures })}\n`);
  } finally {
    await run.stop();
  }
}
