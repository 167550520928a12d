// Asks an agent by POST /v1/query.
export interface Settings {
  endpoint: string;
  cache: string;
  database: string;
  user: string;
  password: string;
}

export interface Answer {
  columns: { name: string; type: string; nullable: boolean | null }[];
  rows: Record<string, unknown>[];
  row_count: number;
  cache: { status: 'hit' | 'miss' | 'stale' | 'bypass' | 'none'; reason: string };
  token: string | null;
}

export async function query(to: Settings, sql: string, params: unknown[] = [], after?: string): Promise<Answer> {
  const reply = await fetch(`${to.endpoint}/v1/query`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Basic ${btoa(`${to.user}:${to.password}`)}` },
    body: JSON.stringify({ cache: to.cache, database: to.database, sql, params, after }),
  });
  const answer = await reply.json();
  if (!reply.ok) throw new Error(`${answer.code}: ${answer.message}`);
  return answer;
}

export const settings = (env: (name: string) => string | undefined): Settings => {
  const need = (name: string) => {
    const value = env(name);
    if (!value) throw new Error(`${name} is not set`);
    return value;
  };
  return { endpoint: need('PORTSIDE_ENDPOINT'), cache: need('PORTSIDE_CACHE'), database: need('DB_NAME'), user: need('DB_USER'), password: need('DB_PASSWORD') };
};
