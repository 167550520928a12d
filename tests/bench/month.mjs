// What statistics take of the disk after a month, and how long `psctl stats`
// takes then: a control plane's file is filled by the roll-ups' own code.
import { performance } from 'node:perf_hooks';
import path from 'node:path';
import { program, run, tempDir } from '../e2e/lib/process.mjs';
import { ControlPlane } from '../e2e/lib/portside.mjs';
import { median, round } from './lib/bench.mjs';

const MAX_BYTES = 768 << 20; // the default of --telemetry-max

export default {
  title: 'month: statistics of 5,000 templates over 10 agents',
  targets: ['portside-controlplane', 'psctl', 'bench-month'],
  limitSeconds: 3600,

  async run(bench) {
    const [templates, agents, regions, days, minutes] = bench.smoke ? [200, 4, 2, 31, 20] : [5000, 10, 5, 30, 30];
    const controlPlane = await ControlPlane.start();
    bench.started.push(controlPlane);
    const { id } = await controlPlane.createCache({ name: 'main', host: '127.0.0.1', port: 5432, database: 'postgres' });
    await controlPlane.stop();
    bench.say(`feeding ${days} days of ${templates} templates at ${agents} agents in ${regions} regions`);
    const fed = await bench.measure('bench-month', [path.join(controlPlane.data, 'telemetry.db'), id,
      ...[templates, agents, regions, days, minutes, MAX_BYTES].map(String)]);
    await controlPlane.boot();
    const env = {
      PSCTL_CONFIG: path.join(tempDir('psctl'), 'psctl.json'), PORTSIDE_URL: controlPlane.url,
      PORTSIDE_TOKEN: controlPlane.token, PORTSIDE_CA: path.join(controlPlane.data, 'ca.crt'),
    };
    const figures = { ...fed, file_mib: round(fed.file_bytes / 2 ** 20), templates, agents, regions };
    for (const [name, args] of [['stats', ['stats', 'main']], ['stats_24h', ['stats', 'main', '--since', '24h']],
      ['stats_30d', ['stats', 'main', '--since', '30d']], ['stats_all', ['stats']], ['version', ['version']]]) {
      const times = [];
      let last;
      for (let i = 0; i < 7; i += 1) {
        const begin = performance.now();
        last = await run(program('psctl'), args, { env });
        times.push(performance.now() - begin);
      }
      if (name === 'stats' && last.stdout.split('\n').filter((l) => /^[0-9a-f]{16} /.test(l)).length !== 20) {
        throw new Error(`not 20 templates:\n${last.stdout}`);
      }
      figures[`psctl_${name}_ms`] = round(median(times));
      figures[`psctl_${name}_least_ms`] = round(Math.min(...times));
    }
    return figures;
  },
};
