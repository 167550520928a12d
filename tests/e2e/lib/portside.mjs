// A control plane and agents, the real programs, on loopback or in network
// namespaces.
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { judge, watch } from './conform.mjs';
import { Process, program, run, tempDir, waitUntil } from './process.mjs';

export class ControlPlane {
  static async start({ host = '127.0.0.1', wrap = [], args = [] } = {}) {
    const self = new ControlPlane();
    self.host = host;
    self.wrap = wrap;
    self.args = args;
    self.dir = tempDir('cp');
    self.data = path.join(self.dir, 'data');
    self.ports = { api: 0, calls: 0, events: 0 };
    await self.boot();
    return self;
  }

  async boot() {
    const command = [...this.wrap, program('portside-controlplane'),
      '--data-dir', this.data,
      '--listen-api', `${this.host}:${this.ports.api}`,
      '--listen-calls', `${this.host}:${this.ports.calls}`,
      '--listen-events', `${this.host}:${this.ports.events}`,
      '--listen-admin', `${this.host}:${this.ports.admin ?? 0}`,
      '--public-host', this.host, ...this.args];
    this.process = new Process('controlplane', command[0], command.slice(1));
    await this.process.line(/^ready/m);
    // The same ports again after a restart.
    this.ports = JSON.parse(fs.readFileSync(path.join(this.data, 'ports.json'), 'utf8'));
    this.url = `https://${this.host}:${this.ports.api}`;
    watch(this.url, 'openapi.yaml');
    this.adminUrl = `http://${this.host}:${this.ports.admin}`;
    this.token = fs.readFileSync(path.join(this.data, 'admin.token'), 'utf8').trim();
  }

  async stop(signal = 'SIGTERM') { return this.process.stop(signal); }

  async restart(signal = 'SIGTERM') {
    await this.stop(signal);
    await this.boot();
  }

  // { status, headers, body } of a call of the REST API.
  async call(method, where, body, { token = this.token, headers = {} } = {}) {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const reply = await request(`${this.url}${where}`, {
      method,
      body: text,
      insecure: true,
      wrap: this.wrap,
      headers: {
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...(text ? { 'content-type': 'application/json' } : {}),
        ...headers,
      },
    });
    return { ...reply, body: reply.text ? JSON.parse(reply.text) : undefined };
  }

  async ok(method, where, body) {
    const reply = await this.call(method, where, body);
    if (reply.status >= 300) throw new Error(`${method} ${where}: ${reply.status} ${reply.text}`);
    return reply.body;
  }

  async createCache(fields) { return this.ok('POST', '/v1/caches', fields); }

  async joinToken(region) { return (await this.ok('POST', '/v1/join-tokens', { region })).token; }
}

export class Agent {
  static async start(controlPlane, region, { host = '127.0.0.1', wrap = [], args = [], env = {} } = {}) {
    const self = new Agent();
    self.controlPlane = controlPlane;
    self.region = region;
    self.host = host;
    self.wrap = wrap;
    self.args = args;
    self.env = env;
    self.port = 0;
    self.dir = path.join(tempDir('agent'), 'state');
    const token = await controlPlane.joinToken(region);
    const command = [...wrap, program('portside-agent'), 'enroll', token, '--dir', self.dir];
    await run(command[0], command.slice(1));
    self.id = JSON.parse(fs.readFileSync(path.join(self.dir, 'agent.json'), 'utf8')).agentId;
    await self.boot();
    return self;
  }

  async boot({ wait = true } = {}) {
    const command = [...this.wrap, program('portside-agent'), 'run', '--dir', this.dir,
      '--listen', `${this.host}:${this.port}`, '--listen-admin', `${this.host}:${this.adminPort ?? 0}`,
      ...(this.host.startsWith('127.') ? [] : ['--allow-plain-http']), ...this.args];
    this.process = new Process(`agent ${this.region}`, command[0], command.slice(1), { env: this.env });
    const ready = await this.process.line(/^ready http:\/\/\S+:(\d+)/m);
    this.port = Number(ready[1]);
    this.adminPort = Number((await this.process.line(/^ready .* admin http:\/\/\S+:(\d+)/m))[1]);
    this.adminUrl = `http://${this.host}:${this.adminPort}`;
    this.url = `http://${this.host}:${this.port}`;
    watch(this.url, 'agent.yaml');
    if (wait) await this.ready();
  }

  // Has a session and the caches of the control plane.
  async ready() {
    await waitUntil(async () => (await this.get('/readyz')).status === 200,
      { what: () => `agent ready:\n${this.process.output}` });
  }

  async stop(signal = 'SIGTERM') { return this.process.stop(signal); }

  async restart(signal = 'SIGTERM') {
    await this.stop(signal);
    await this.boot();
  }

  async get(where) { return request(`${this.url}${where}`, { method: 'GET', wrap: this.wrap }); }

  // POST /sql. body: the protocol's fields. Resolves with status, headers,
  // text, json, cache ('hit', 'miss', 'bypass', ...) and reason.
  async sql(body, { headers = {}, timeoutMs } = {}) {
    const reply = await request(`${this.url}/sql`, {
      method: 'POST', body: JSON.stringify(body), timeoutMs, wrap: this.wrap,
      headers: { 'content-type': 'application/json', ...headers },
    });
    return describe(reply);
  }

  // Waits until the agent has heard of a cache. The contradicting provider ends
  // the request before a login is tried.
  async knows(cacheId, contradiction = 'mssql') {
    await waitUntil(async () => {
      const reply = await this.sql({
        cacheId, provider: contradiction, username: 'x', password: 'x', database: 'x', sql: 'select 1',
      });
      return reply.json?.code === 'provider_mismatch';
    }, { what: `cache ${cacheId} at ${this.region}` });
  }
}

export function describe(reply) {
  const status = reply.headers['cache-status'] ?? '';
  let cache = 'none';
  if (/;\s*hit/.test(status)) cache = 'hit';
  else if (/fwd=(uri-miss|stale)/.test(status)) cache = 'miss';
  else if (/fwd=bypass/.test(status)) cache = 'bypass';
  return {
    ...reply,
    json: JSON.parse(reply.text),
    cache,
    stored: /;\s*stored/.test(status),
    reason: reply.headers['portside-reason'],
  };
}

// The same from inside a network namespace, whose addresses this process
// cannot reach: curl does it there.
async function requestInside(wrap, url, { method, headers, body, timeoutMs }) {
  const args = [...wrap, 'curl', '-sS', '-i', '-k', '-X', method, '--max-time', String(timeoutMs / 1000),
    ...Object.entries(headers).flatMap(([k, v]) => ['-H', `${k}: ${v}`]),
    ...(body === undefined ? [] : ['--data-binary', '@-']), url];
  const { stdout } = await run(args[0], args.slice(1), { input: body ?? '', timeoutMs: timeoutMs + 5000 });
  const split = stdout.indexOf('\r\n\r\n');
  const [first, ...lines] = stdout.slice(0, split).split('\r\n');
  return {
    status: Number(first.split(' ')[1]),
    headers: Object.fromEntries(lines.map((l) => {
      const at = l.indexOf(':');
      return [l.slice(0, at).toLowerCase(), l.slice(at + 1).trim()];
    })),
    text: stdout.slice(split + 4),
  };
}

// A plain HTTP exchange with everything visible. With a control plane or an
// agent it must be as proto/ describes it.
export async function request(url, options = {}) {
  const reply = await exchange(url, options);
  judge({ ...options, url }, reply);
  return reply;
}

function exchange(url, { method = 'GET', headers = {}, body, insecure = false, ca, timeoutMs = 30000, agent, wrap = [] } = {}) {
  if (wrap.length) return requestInside(wrap, url, { method, headers, body, timeoutMs });
  const lib = url.startsWith('https:') ? https : http;
  return new Promise((resolve, reject) => {
    const req = lib.request(url, {
      method, agent, ca, rejectUnauthorized: !insecure, timeout: timeoutMs,
      headers: { ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }), ...headers },
    }, (res) => {
      const chunks = [];
      res.on('data', (c) => chunks.push(c));
      res.on('error', reject);
      res.on('end', () => resolve({
        status: res.statusCode, headers: res.headers, text: Buffer.concat(chunks).toString('utf8'),
      }));
    });
    req.on('error', reject);
    req.on('timeout', () => req.destroy(new Error(`no answer from ${url} in ${timeoutMs} ms`)));
    req.end(body);
  });
}
