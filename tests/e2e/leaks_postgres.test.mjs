// PostgreSQL: no request leaves anything in the session for the next one.
import { leaks } from './lib/leaks.mjs';
import * as data from './lib/leaks_postgres.mjs';
import { Postgres } from './lib/postgres.mjs';

leaks('PostgreSQL: no leak between requests', async () => {
  const db = await Postgres.start();
  await db.sql("create role alice login password 'alice-pw'; create role bob login password 'bob-pw'");
  await db.sql('create database app');
  await db.sql(data.schema, { database: 'app' });
  return {
    db, provider: 'postgres', admin: db.superuser,
    async native() {
      const client = await db.client({ database: 'app', user: 'alice', password: 'alice-pw' });
      return {
        run: async (sql, bindings) => {
          const result = await client.query(sql.replace('?', '$1'), bindings);
          return [result].flat().at(-1).rows;
        },
        end: () => client.end(),
      };
    },
  };
}, { ...data, fickle: (probe) => /random/.test(probe) });
