// SQL Server (the stand-in of tests/tools/tds): no request leaves anything in
// the session for the next one.
import { leaks } from './lib/leaks.mjs';
import * as data from './lib/leaks_mssql.mjs';
import { batch, TdsServer } from './lib/tds.mjs';

leaks('SQL Server: no leak between requests', async () => {
  const db = await TdsServer.start();
  for (const sql of data.schema) await db.sql(sql);
  return {
    db, provider: 'mssql', host: 'localhost', cache: { tlsMode: 'verify-full', tlsCa: db.tls.pem },
    async native() {
      const connection = await db.connect();
      return {
        run: async (sql, bindings) => {
          const done = await batch(connection, sql.replace('?', `N'${bindings?.[0]}'`));
          return done.rows;
        },
        end: async () => {
          for (const lock of data.locks) await batch(connection, `exec sp_releaseapplock '${lock}'`).catch(() => {});
          connection.close();
        },
      };
    },
  };
}, data);
