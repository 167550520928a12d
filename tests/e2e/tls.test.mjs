// TLS with the database, for every provider: what each mode checks, and what
// is said of a certificate that does not fit. Real servers, self-made CAs.
import assert from 'node:assert/strict';
import { after, before, describe as suite, test } from 'node:test';
import { Authority } from './lib/certificates.mjs';
import { MariaDb } from './lib/mariadb.mjs';
import { Agent, ControlPlane } from './lib/portside.mjs';
import { Postgres } from './lib/postgres.mjs';
import { waitUntil } from './lib/process.mjs';
import { TdsServer } from './lib/tds.mjs';

const sentences = {
  expired: /certificate has expired/,
  notYet: /certificate is not valid yet/,
  wrongName: /certificate is for another host name/,
  unknownCa: /signed by a CA that is not trusted/,
  selfSigned: /signed by itself/,
};

// start: a server with this certificate; encrypted: a query that says so.
const providers = {
  postgres: {
    start: async (ssl) => {
      const db = await Postgres.start({ ssl });
      await db.sql("create role alice login password 'alice-pw'");
      await db.sql('create database app');
      return db;
    },
    encrypted: 'select ssl::int as tls from pg_stat_ssl where pid = pg_backend_pid()',
    stop: (db) => db.stop('SIGQUIT'),
  },
  mariadb: {
    start: async (ssl) => {
      const db = await MariaDb.start();
      await db.useCertificate(ssl);
      return db;
    },
    encrypted: "select variable_value <> '' as tls from information_schema.session_status where variable_name = 'ssl_cipher'",
    stop: (db) => db.stop(),
  },
  mssql: {
    start: (ssl) => TdsServer.start({ tls: ssl }),
    encrypted: null, // FreeTDS against the bytes on the line: tests/contract/mssql_test.c
    stop: (db) => db.stop(),
  },
};

suite('TLS with the database', () => {
  let controlPlane;
  let agent;
  let ours;
  let theirs;
  const issued = {};
  let n = 0;

  before(async () => {
    controlPlane = await ControlPlane.start();
    agent = await Agent.start(controlPlane, 'one');
    ours = await Authority.create('ours');
    theirs = await Authority.create('theirs');
    issued.good = await ours.issue();
    issued.wrongName = await ours.issue({ names: ['DNS:elsewhere.example'] });
    issued.expired = await ours.issue({ from: -2, days: 1 });
    issued.notYet = await ours.issue({ from: 1, days: 1 });
    issued.unknownCa = await theirs.issue();
    issued.selfSigned = await Authority.selfSigned();
  });
  after(async () => {
    await agent?.stop();
    await controlPlane?.stop();
  });

  for (const [provider, { start, stop, encrypted }] of Object.entries(providers)) {
    test(provider, async () => {
      const db = await start(issued.good);
      try {
        // A cache of its own for each: no connection of another one is used.
        const ask = async (tlsMode, tlsCa, { sql = 'select 1 as v', host = 'localhost' } = {}) => {
          const cache = await controlPlane.createCache({
            name: `${provider} ${n += 1}`, host, port: db.port, database: provider, tlsMode, ...(tlsCa ? { tlsCa } : {}),
          });
          await agent.knows(cache.id, provider === 'mssql' ? 'postgres' : 'mssql');
          const reply = await agent.sql({ cacheId: cache.id, username: 'alice', password: 'alice-pw', database: 'app', sql });
          return { ...reply, cacheId: cache.id };
        };
        const works = async (...args) => {
          const reply = await ask(...args);
          assert.equal(reply.status, 200, `${args[0]}: ${reply.text}`);
          return reply.json;
        };
        const fails = async (sentence, ...args) => {
          const reply = await ask(...args);
          assert.equal(reply.status, 502, `${args[0]}: ${reply.text}`);
          assert.equal(reply.json.code, 'origin_cert', reply.text);
          assert.match(reply.json.message, sentence);
          return reply;
        };

        for (const mode of ['verify-full', 'verify-ca', 'require', 'prefer']) await works(mode, ours.pem);
        await works('verify-full', `${theirs.pem}${ours.pem}`); // a bundle
        if (provider !== 'mssql') await works('verify-full', ours.pem, { host: '127.0.0.1' });
        if (encrypted) {
          assert.deepEqual(await works('require', undefined, { sql: encrypted }), [{ tls: 1 }]);
          assert.deepEqual(await works('disable', undefined, { sql: encrypted }), [{ tls: 0 }]);
        }
        // By the system's bundle, and by another CA.
        await fails(sentences.unknownCa, 'verify-full', undefined);
        await fails(sentences.unknownCa, 'verify-ca', theirs.pem);

        await db.useCertificate(issued.wrongName);
        await fails(sentences.wrongName, 'verify-full', ours.pem);
        await works('verify-ca', ours.pem);
        await db.useCertificate(issued.expired);
        const { cacheId } = await fails(sentences.expired, 'verify-full', ours.pem);
        await fails(sentences.expired, 'verify-ca', ours.pem);
        await works('require', ours.pem);
        // The reachability test says it, too.
        const { runId } = await controlPlane.ok('POST', `/v1/caches/${cacheId}/test`, {});
        const result = await waitUntil(async () => {
          const run = await controlPlane.ok('GET', `/v1/caches/${cacheId}/reachability?run=${runId}`);
          return run.results[0]?.done && run.results[0];
        }, { what: 'the reachability test' });
        assert.equal(result.code, 'origin_cert');
        assert.match(result.advice, sentences.expired);
        await db.useCertificate(issued.notYet);
        await fails(sentences.notYet, 'verify-full', ours.pem);
        await fails(sentences.notYet, 'verify-ca', ours.pem);
        await works('require', ours.pem);
        await db.useCertificate(issued.unknownCa);
        await fails(sentences.unknownCa, 'verify-full', ours.pem);
        await works('verify-full', theirs.pem);
        await db.useCertificate(issued.selfSigned);
        await fails(sentences.selfSigned, 'verify-full', ours.pem);
        await works('verify-full', issued.selfSigned.cert);
      } finally {
        await stop(db);
      }
    });
  }
});
