// What the agent adds to a query that must go to the origin: the same
// statement directly by libpq and through the agent, in turn.
import { waitUntil } from '../e2e/lib/process.mjs';

const SQL = 'select qty from items where id = ';

export default {
  title: 'miss: a query through the agent and directly by libpq',
  targets: ['portside-agent', 'portside-controlplane', 'bench-miss'],

  async run(bench) {
    const [count, skip] = bench.smoke ? [500, 100] : [20000, 500];
    const stage = await bench.stage({
      sql: `create table items (id int primary key, qty int not null);
        insert into items select i, i * 10 from generate_series(0, ${count + skip}) i; analyze items`,
    });
    const body = (id) => stage.body(`${SQL}?`, [id]);
    await waitUntil(async () => (await stage.agent.sql(body(0))).status === 200, { what: 'an answer' });
    bench.say(`${count} pairs`);
    // The value is a number both ways; 0 was asked above, so it starts at 1.
    return bench.measure('bench-miss', [
      `host=${stage.db.host} port=${stage.db.port} dbname=app user=alice password=alice-pw sslmode=disable`,
      stage.agent.host, String(stage.agent.port), 'fwd=uri-miss',
      JSON.stringify(body('@')).replace('"@"', '@'), `${SQL}$1`, String(count), String(skip),
    ]);
  },
};
