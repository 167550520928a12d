// How many of the answers that a write makes the cache drop had really changed.
import path from 'node:path';
import { folder } from './lib/bench.mjs';
import { program } from '../e2e/lib/process.mjs';

export default {
  title: 'precision: share of invalidated answers that had changed, by table and by row',
  targets: ['bench-precision'],
  limitSeconds: 400,
  async run(bench) {
    const [entries, transactions] = bench.smoke ? [100, 50] : [500, 500];
    bench.say(`${entries} answers, ${transactions} transactions`);
    const output = await bench.command(path.join(folder, '../contract/with_postgres'), ['sh', '-c',
      `exec "$0" "host=localhost port=$PS_PG_PORT user=postgres dbname=app sslmode=disable" ${entries} ${transactions}`,
      program('bench-precision')]);
    const { bench: _, ...figures } = JSON.parse(output.trim().split('\n').pop());
    return figures;
  },
};
