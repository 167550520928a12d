import { Client } from '@planetscale/database';

const { PORTSIDE_HOST: host, PORTSIDE_CACHE: cache, DB_NAME, DB_USER, DB_PASSWORD } = process.env;
const client = new Client({ host, username: `${cache}/${DB_NAME}/${DB_USER}`, password: DB_PASSWORD });

for (let i = 0; i < 3; i += 1) console.log((await client.execute('select ? as word', ['hello'])).rows);
const sum = await client.transaction(async (tx) => {
  const { rows: [{ n }] } = await tx.execute('select 1 + 1 as n');
  return n;
});
console.log('in a transaction:', sum);
