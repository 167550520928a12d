// What people put on top of the drivers, unmodified: Drizzle, Kysely and Prisma,
// over Neon's HTTP to PostgreSQL and over PlanetScale's to MariaDB. Each reads
// from memory, writes, sees its writes, and gets errors it understands.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe as suite, test } from 'node:test';
import { neon, neonConfig } from '@neondatabase/serverless';
import { Client } from '@planetscale/database';
import { PrismaNeonHttp } from '@prisma/adapter-neon';
import { PrismaPlanetScale } from '@prisma/adapter-planetscale';
import { eq, relations, sql as drizzleSql } from 'drizzle-orm';
import * as my from 'drizzle-orm/mysql-core';
import { drizzle as drizzleNeon } from 'drizzle-orm/neon-http';
import * as pgc from 'drizzle-orm/pg-core';
import { drizzle as drizzlePlanetScale } from 'drizzle-orm/planetscale-serverless';
import { Kysely } from 'kysely';
import { NeonDialect } from 'kysely-neon';
import { PlanetScaleDialect } from 'kysely-planetscale';
import { MariaDb } from '../lib/mariadb.mjs';
import { Agent, ControlPlane } from '../lib/portside.mjs';
import { run, waitUntil } from '../lib/process.mjs';
import { Postgres } from '../lib/postgres.mjs';

const here = path.dirname(new URL(import.meta.url).pathname);
const modules = path.join(here, '../node_modules');

// The client is made of the schema by its own tool. That also wants a program
// for migrations, which nothing here uses; named, it is not downloaded.
async function prismaClient(provider) {
  await run(process.execPath, [path.join(modules, 'prisma/build/index.js'), 'generate', '--schema', path.join(here, 'prisma', `${provider}.prisma`), '--no-hints'], {
    env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true', PRISMA_HIDE_UPDATE_MESSAGE: '1', CHECKPOINT_DISABLE: '1' }, timeoutMs: 120000,
  });
  const { default: generated } = await import(path.join(modules, '.portside', provider, 'index.js'));
  return generated.PrismaClient;
}

const at = new Date('2024-02-29T12:34:56.000Z');

suite('on top of the drivers', () => {
  let pg;
  let maria;
  let controlPlane;
  let agent;
  let caches;
  let clients;
  const states = [];

  before(async () => {
    [pg, maria, controlPlane, clients] = await Promise.all([
      Postgres.start(), MariaDb.start(), ControlPlane.start(), Promise.all(['postgresql', 'mysql'].map(prismaClient)),
    ]);
    await pg.sql("create role alice login password 'alice-pw'");
    await pg.sql('create database app owner alice');
    await pg.sql(`
      create table authors (id serial primary key, name text not null unique);
      create table posts (id serial primary key, title text not null, views bigint not null default 0, at timestamp(3) not null, tags jsonb not null,
        author_id int not null references authors);
      insert into authors (name) values ('ann'), ('ben');
      insert into posts (title, views, at, tags, author_id) values ('one', 9007199254740993, '2024-02-29 12:34:56', '["x"]', 1), ('two', 2, '2024-02-29 12:34:56', '{"k": 1}', 1);
      grant all on all tables in schema public to alice; grant all on all sequences in schema public to alice;
    `, { database: 'app' });
    await maria.sql(`
      create table authors (id int auto_increment primary key, name varchar(50) not null unique);
      create table posts (id int auto_increment primary key, title varchar(50) not null, views bigint not null default 0, at datetime(3) not null, tags json not null,
        author_id int not null, foreign key (author_id) references authors (id));
      insert into authors (name) values ('ann'), ('ben');
      insert into posts (title, views, at, tags, author_id) values ('one', 9007199254740993, '2024-02-29 12:34:56', '["x"]', 1), ('two', 2, '2024-02-29 12:34:56', '{"k": 1}', 1);
    `);
    agent = await Agent.start(controlPlane, 'west');
    const define = (name, db, database) => controlPlane.createCache({ name, host: db.host, port: db.port, database, tlsMode: 'disable' });
    caches = { pg: await define('pg', pg, 'postgres'), maria: await define('maria', maria, 'mariadb') };
    await agent.knows(caches.pg.id);
    await agent.knows(caches.maria.id);
    neonConfig.fetchEndpoint = () => `${agent.url}/sql`;
    neonConfig.fetchFunction = seen((url, init) => fetch(url, init));
  });
  after(async () => {
    await agent?.stop();
    await controlPlane?.stop();
    await maria?.stop();
    await pg?.stop('SIGQUIT');
  });

  const seen = (fetcher) => async (...args) => {
    const reply = await fetcher(...args);
    states.push(reply.headers.get('cache-status') ?? '');
    return reply;
  };
  const neonUrl = () => `postgresql://alice:alice-pw@${caches.pg.id}.any.portside.test/app`;
  const planetScale = () => ({
    host: 'eu.portside.test',
    username: `${caches.maria.id}/app/alice`,
    password: 'alice-pw',
    fetch: seen((url, init) => fetch(`${agent.url}${new URL(url).pathname}`, init)),
  });
  // Until every request of a read is answered from memory.
  const warm = (read) => waitUntil(async () => {
    states.length = 0;
    const rows = await read();
    return states.length > 0 && states.every((state) => /;\s*hit/.test(state)) ? rows : null;
  }, { what: () => `hits, not ${states}` });
  const failed = async (promise) => {
    try {
      await promise;
    } catch (error) {
      return error;
    }
    throw new Error('it did not fail');
  };

  // The same story for each: read, from memory; write; see it; an error.
  async function story({ titles, rename, duplicate, duplicateSays }) {
    const [first] = await warm(titles);
    assert.equal(first, 'one');
    await rename('changed');
    assert.equal((await titles())[0], 'changed');
    await rename('one');
    assert.equal((await warm(titles))[0], 'one');
    assert.match(duplicateSays(await failed(duplicate())), /duplicate|unique|1062|23505/i);
  }

  test('Drizzle, neon-http', async () => {
    const authors = pgc.pgTable('authors', { id: pgc.serial().primaryKey(), name: pgc.text().notNull() });
    const posts = pgc.pgTable('posts', {
      id: pgc.serial().primaryKey(), title: pgc.text().notNull(), views: pgc.bigint({ mode: 'bigint' }).notNull(), at: pgc.timestamp({ precision: 3 }).notNull(),
      tags: pgc.jsonb().notNull(), authorId: pgc.integer('author_id').notNull(),
    });
    const schema = { authors, posts, ofAuthors: relations(authors, ({ many }) => ({ posts: many(posts) })), ofPosts: relations(posts, ({ one }) => ({ author: one(authors, { fields: [posts.authorId], references: [authors.id] }) })) };
    const db = drizzleNeon(neon(neonUrl()), { schema });
    await story({
      titles: async () => (await db.select().from(posts).orderBy(posts.id)).map((p) => p.title),
      rename: (title) => db.update(posts).set({ title }).where(eq(posts.id, 1)),
      duplicate: () => db.insert(authors).values({ name: 'ann' }),
      duplicateSays: (error) => error.cause?.code ?? error.code,
    });
    const [post] = await db.select().from(posts).where(eq(posts.id, 1));
    assert.deepEqual([post.views, post.at, post.tags], [9007199254740993n, new Date('2024-02-29T12:34:56Z'), ['x']]);
    const nested = await warm(() => db.query.authors.findMany({ with: { posts: { columns: { title: true }, orderBy: posts.id } }, orderBy: authors.id }));
    assert.deepEqual(nested, [{ id: 1, name: 'ann', posts: [{ title: 'one' }, { title: 'two' }] }, { id: 2, name: 'ben', posts: [] }]);
    const [inserted, count] = await db.batch([
      db.insert(authors).values({ name: 'cat' }).returning(), db.select({ n: drizzleSql`count(*)::int` }).from(authors),
    ]);
    assert.equal(inserted[0].name, 'cat');
    assert.deepEqual(count, [{ n: 3 }]);
    await failed(db.batch([db.delete(authors).where(eq(authors.name, 'cat')), db.insert(authors).values({ name: 'ann' })]));
    assert.equal((await db.select().from(authors)).length, 3);
    await db.delete(authors).where(eq(authors.name, 'cat'));
  });

  test('Drizzle, planetscale-serverless', async () => {
    const authors = my.mysqlTable('authors', { id: my.int().autoincrement().primaryKey(), name: my.varchar({ length: 50 }).notNull() });
    const posts = my.mysqlTable('posts', {
      id: my.int().autoincrement().primaryKey(), title: my.varchar({ length: 50 }).notNull(), views: my.bigint({ mode: 'bigint' }).notNull(), at: my.datetime({ fsp: 3 }).notNull(),
      tags: my.json().notNull(), authorId: my.int('author_id').notNull(),
    });
    const db = drizzlePlanetScale({ client: new Client(planetScale()) });
    await story({
      titles: async () => (await db.select().from(posts).orderBy(posts.id)).map((p) => p.title),
      rename: (title) => db.update(posts).set({ title }).where(eq(posts.id, 1)),
      duplicate: () => db.insert(authors).values({ name: 'ann' }),
      duplicateSays: (error) => error.cause?.message ?? error.message,
    });
    const [post] = await db.select().from(posts).where(eq(posts.id, 1));
    assert.deepEqual([post.views, post.at, post.tags], [9007199254740993n, new Date('2024-02-29T12:34:56Z'), ['x']]);
    const [{ id }] = await db.insert(authors).values({ name: 'cat' }).$returningId();
    assert.deepEqual(await db.select().from(authors).where(eq(authors.id, id)), [{ id, name: 'cat' }]);
    await db.transaction(async (tx) => {
      await tx.update(authors).set({ name: 'dog' }).where(eq(authors.id, id));
      await failed(tx.transaction(async (inner) => {
        await inner.delete(authors).where(eq(authors.id, id));
        throw new Error('inner');
      }));
      assert.deepEqual(await tx.select().from(authors).where(eq(authors.id, id)), [{ id, name: 'dog' }]);
    });
    await failed(db.transaction(async (tx) => {
      await tx.delete(authors).where(eq(authors.id, id));
      tx.rollback();
    }));
    assert.deepEqual(await db.select().from(authors).where(eq(authors.id, id)), [{ id, name: 'dog' }]);
    await db.delete(authors).where(eq(authors.id, id));
  });

  async function kyselyStory(db) {
    await story({
      titles: async () => (await db.selectFrom('posts').select(['id', 'title']).orderBy('id').execute()).map((p) => p.title),
      rename: (title) => db.updateTable('posts').set({ title }).where('id', '=', 1).execute(),
      duplicate: () => db.insertInto('authors').values({ name: 'ann' }).execute(),
      duplicateSays: (error) => error.message,
    });
    const rows = await warm(() => db.selectFrom('authors').innerJoin('posts', 'posts.author_id', 'authors.id').select(['name', 'title']).where('posts.id', 'in', [1, 2]).orderBy('posts.id').execute());
    assert.deepEqual(rows, [{ name: 'ann', title: 'one' }, { name: 'ann', title: 'two' }]);
    const updated = await db.updateTable('posts').set({ views: 3 }).where('id', '=', 2).executeTakeFirst();
    assert.equal(updated.numUpdatedRows, 1n);
  }

  test('Kysely, kysely-neon', async () => {
    const db = new Kysely({ dialect: new NeonDialect({ neon: neon(neonUrl()) }) });
    await kyselyStory(db);
    const inserted = await db.insertInto('authors').values({ name: 'eve' }).returning(['name']).execute();
    assert.deepEqual(inserted, [{ name: 'eve' }]);
    await db.deleteFrom('authors').where('name', '=', 'eve').execute();
  });

  test('Kysely, kysely-planetscale', async () => {
    const db = new Kysely({ dialect: new PlanetScaleDialect(planetScale()) });
    await kyselyStory(db);
    const inserted = await db.insertInto('authors').values({ name: 'eve' }).executeTakeFirst();
    assert.ok(inserted.insertId > 2n);
    await db.transaction().setIsolationLevel('serializable').execute(async (tx) => {
      await tx.updateTable('authors').set({ name: 'eva' }).where('name', '=', 'eve').execute();
      assert.equal((await tx.selectFrom('authors').select('name').where('id', '=', Number(inserted.insertId)).executeTakeFirst()).name, 'eva');
    });
    await failed(db.transaction().execute(async (tx) => {
      await tx.deleteFrom('authors').where('name', '=', 'eva').execute();
      throw new Error('mine');
    }));
    assert.equal((await db.deleteFrom('authors').where('name', '=', 'eva').executeTakeFirst()).numDeletedRows, 1n);
    const [post] = await db.selectFrom('posts').select('at').where('id', '=', 1).execute();
    assert.ok(post.at instanceof Date);
  });

  async function prismaStory(prisma) {
    await story({
      titles: async () => (await prisma.post.findMany({ orderBy: { id: 'asc' } })).map((p) => p.title),
      rename: (title) => prisma.post.updateMany({ where: { id: 1 }, data: { title } }),
      duplicate: () => prisma.author.createMany({ data: [{ name: 'ann' }] }),
      duplicateSays: (error) => (error.code === 'P2002' ? 'unique' : error.message),
    });
    const post = await prisma.post.findUnique({ where: { id: 1 } });
    assert.deepEqual([post.views, post.at, post.tags], [9007199254740993n, at, ['x']]);
    const nested = await warm(() => prisma.author.findMany({ include: { posts: { select: { title: true }, orderBy: { id: 'asc' } } }, orderBy: { id: 'asc' } }));
    assert.deepEqual(nested, [{ id: 1, name: 'ann', posts: [{ title: 'one' }, { title: 'two' }] }, { id: 2, name: 'ben', posts: [] }]);
    const raw = await prisma.$queryRaw`select name from authors where id = ${2}`;
    assert.deepEqual(raw, [{ name: 'ben' }]);
    assert.equal(await prisma.post.count({ where: { views: { gt: 1 } } }), 2);
  }

  test('Prisma, adapter-neon over HTTP', async () => {
    const prisma = new clients[0]({ adapter: new PrismaNeonHttp(neonUrl(), {}) });
    await prismaStory(prisma);
    const created = await prisma.author.create({ data: { name: 'fay' } });
    assert.equal(created.name, 'fay');
    // This adapter hands the driver's error on as it is.
    const error = await failed(prisma.author.create({ data: { name: 'fay' } }));
    assert.equal(error.code, '23505');
    await prisma.author.delete({ where: { name: 'fay' } });
    await prisma.$disconnect();
  });

  test('Prisma, adapter-planetscale', async () => {
    const prisma = new clients[1]({ adapter: new PrismaPlanetScale(planetScale()) });
    await prismaStory(prisma);
    const created = await prisma.author.create({ data: { name: 'fay', posts: { create: { title: 'three', at, tags: {} } } }, include: { posts: true } });
    assert.equal(created.posts[0].title, 'three');
    assert.equal((await failed(prisma.author.create({ data: { name: 'fay' } }))).code, 'P2002');
    assert.equal((await failed(prisma.post.create({ data: { title: 'x', at, tags: {}, authorId: 999 } }))).code, 'P2003');
    await prisma.$transaction(async (tx) => {
      await tx.post.deleteMany({ where: { authorId: created.id } });
      await tx.author.delete({ where: { id: created.id } });
    }, { timeout: 30000, maxWait: 30000 });
    await failed(prisma.$transaction([prisma.author.create({ data: { name: 'gil' } }), prisma.author.create({ data: { name: 'ann' } })]));
    assert.deepEqual((await prisma.author.findMany({ orderBy: { id: 'asc' } })).map((a) => a.name), ['ann', 'ben']);
    await prisma.$disconnect();
  });
});
