import { query, settings } from './portside.ts';

declare const Deno: { env: { get(name: string): string | undefined } };

const to = settings((name) => Deno.env.get(name));
for (let i = 0; i < 3; i += 1) {
  const { rows, cache } = await query(to, 'select 1 as one');
  console.log(rows, cache.status);
}
