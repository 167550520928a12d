// Asks the same question five times and shows where each answer came from.
import { Client } from '@polyscale/serverless-js';

const {
  PORTSIDE_ENDPOINT: endpoint, PORTSIDE_CACHE: cacheId,
  DB_USER: username, DB_PASSWORD: password, DB_NAME: database,
} = process.env;
const sql = process.argv[2] ?? 'select 1 as one';

// The client hides the reply's headers; a fetch of our own shows them.
let headers;
const client = new Client(endpoint, { cacheId, provider: 'postgres', username, password, database },
  async (...args) => {
    const reply = await fetch(...args);
    headers = reply.headers;
    return reply;
  });

for (let i = 1; i <= 5; i += 1) {
  const begin = performance.now();
  const rows = await client.query(sql);
  const ms = (performance.now() - begin).toFixed(1);
  console.log(`${i}: ${rows.length} rows in ${ms} ms  ${headers.get('cache-status')}`);
}
