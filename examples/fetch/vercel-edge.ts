import { query, settings } from './portside';

declare const process: { env: Record<string, string | undefined> };

export const config = { runtime: 'edge' };

export default async function handler(request: Request): Promise<Response> {
  const id = Number(new URL(request.url).searchParams.get('id'));
  const to = settings((name) => process.env[name]);
  const { rows, cache } = await query(to, 'select id, name, qty from items where id = $1', [id]);
  return Response.json(rows, { headers: { 'x-cache': cache.status } });
}
