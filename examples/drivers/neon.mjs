import { neon, neonConfig } from '@neondatabase/serverless';
import { drizzle } from 'drizzle-orm/neon-http';
import { sql } from 'drizzle-orm';

// Only where api.any.eu-west.example.com is no name of the agent.
if (process.env.PORTSIDE_ENDPOINT) neonConfig.fetchEndpoint = () => `${process.env.PORTSIDE_ENDPOINT}/sql`;

const query = neon(process.env.DATABASE_URL);
for (let i = 0; i < 3; i += 1) console.log(await query`select ${'hello'} as word`);
console.log(await query.transaction([query`select 1 as one`, query`select 2 as two`]));

const db = drizzle(query);
console.log((await db.execute(sql`select 3 as three`)).rows);
