// The four providers of the serverless API, for a test that is the same for
// all of them: how each one's server is started, and the few words in which
// its SQL differs.
import { MariaDb } from './mariadb.mjs';
import { Postgres } from './postgres.mjs';
import { TdsServer } from './tds.mjs';

async function mariadb() {
  const db = await MariaDb.start();
  return { db, run: (sql) => db.sql(sql), cache: { host: db.host, port: db.port, tlsMode: 'disable' } };
}

const mysql = {
  text: 'varchar(50)', big: 'bigint', now: 'now()', quoted: (name) => `\`${name}\``,
  unknownTable: '42S02', syntax: '42000', duplicate: '23000', bigOne: 9007199254740000,
  // As mysql2 does by default, a text is one statement.
  several: false, begin: 'start transaction',
};

export const providers = {
  postgres: {
    async start() {
      const db = await Postgres.start();
      await db.sql("create role alice login password 'alice-pw'; create role bob login password 'bob-pw'");
      await db.sql('create database app owner alice');
      return {
        db, run: async (sql) => (await db.sql(sql, { database: 'app', user: 'alice', password: 'alice-pw' })).rows,
        cache: { host: db.host, port: db.port, tlsMode: 'disable' },
      };
    },
    text: 'text', big: 'bigint', now: 'now()', quoted: (name) => `"${name}"`,
    unknownTable: '42P01', syntax: '42601', duplicate: '23505', bigOne: '9007199254740000',
    several: true, begin: 'begin',
  },
  // No MySQL is at hand: its provider is asked with the server of the same
  // protocol.
  mysql: { start: mariadb, ...mysql },
  mariadb: { start: mariadb, ...mysql },
  mssql: {
    async start() {
      const db = await TdsServer.start();
      return {
        db, run: async (sql) => (await db.sql(sql)).rows,
        cache: { host: db.host, port: db.port, tlsMode: 'verify-full', tlsCa: db.tls.pem },
      };
    },
    text: 'nvarchar(50)', big: 'bigint', now: 'getdate()', quoted: (name) => `[${name}]`,
    unknownTable: '208', syntax: '102', duplicate: '2627', bigOne: '9007199254740000',
    several: true, begin: 'begin transaction',
  },
};
