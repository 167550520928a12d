// MariaDB: no request leaves anything in the session for the next one.
import mysql from 'mysql2/promise';
import { leaks } from './lib/leaks.mjs';
import * as data from './lib/leaks_mariadb.mjs';
import { MariaDb } from './lib/mariadb.mjs';

leaks('MariaDB: no leak between requests', async () => {
  const db = await MariaDb.start();
  await db.sql('grant reload, process on *.* to alice');
  const connection = await mysql.createConnection(db.options());
  for (const sql of data.schema) await connection.query(sql);
  await connection.end();
  return {
    db, provider: 'mariadb', admin: { user: 'app', password: 'app secret' },
    async native() {
      const client = await mysql.createConnection({ ...db.options('alice'), multipleStatements: true });
      return {
        run: async (sql, bindings) => {
          const [rows] = await client.query(sql, bindings);
          return Array.isArray(rows?.[0]) ? rows.at(-1) : rows;
        },
        // The server notices later that a client went: its locks would be
        // there still.
        end: async () => {
          for (const sql of ['unlock tables', 'rollback', 'do release_all_locks()']) await client.query(sql).catch(() => {});
          client.destroy();
        },
      };
    },
  };
}, { ...data, fickle: (probe) => /\brand\(/.test(probe) });
