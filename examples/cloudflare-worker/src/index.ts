// A Worker that reads and writes a table through Portside, with the published
// client. GET /items/7 reads, POST /items/7?qty=5 writes; the header
// Cache-Status of the reply says where the rows came from.
import { Client } from '@polyscale/serverless-js';

export interface Env {
  PORTSIDE_ENDPOINT: string; // https://eu-west.example.com: the nearest agent
  PORTSIDE_CACHE: string; // id of the cache
  PORTSIDE_PROVIDER: 'postgres' | 'mysql' | 'mariadb' | 'mssql';
  DB_NAME: string;
  DB_USER: string; // secret
  DB_PASSWORD: string; // secret
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    // The client shows rows only; a fetch of our own also sees the headers.
    let cacheStatus = '';
    const db = new Client(env.PORTSIDE_ENDPOINT, {
      cacheId: env.PORTSIDE_CACHE,
      provider: env.PORTSIDE_PROVIDER,
      username: env.DB_USER,
      password: env.DB_PASSWORD,
      database: env.DB_NAME,
    }, async (input: RequestInfo, init?: RequestInit) => {
      const reply = await fetch(input, init);
      cacheStatus = reply.headers.get('cache-status') ?? '';
      return reply;
    });

    const url = new URL(request.url);
    const id = Number(/^\/items\/(\d+)$/.exec(url.pathname)?.[1]);
    if (!id) return Response.json({ error: 'GET or POST /items/<number>' }, { status: 404 });
    try {
      const rows = request.method === 'POST'
        ? await db.query('update items set qty = ? where id = ?', [Number(url.searchParams.get('qty')), id])
        : await db.query('select id, name, qty from items where id = ?', [id]);
      return Response.json(rows, { headers: { 'cache-status': cacheStatus } });
    } catch (error) {
      return Response.json({ error: (error as Error).message }, { status: 502 });
    }
  },
};
