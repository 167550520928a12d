// The descriptions of both APIs (proto/*.yaml) as a judge of every exchange that
// a test has with a control plane or an agent: the reply's status, headers and
// body must be described, and a request that was accepted must be allowed. What
// is not in a description fails, an unknown field too.
import crypto from 'node:crypto';
import fs from 'node:fs';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import YAML from 'yaml';

const methods = ['get', 'post', 'put', 'patch', 'delete'];

// The description; what its YAML says is kept for the next test file, because
// reading YAML takes a third of a second.
export function read(name) {
  const text = fs.readFileSync(new URL(`../../../proto/${name}`, import.meta.url), 'utf8');
  const kept = new URL(`../node_modules/.cache/portside/${name}.json`, import.meta.url);
  const hash = crypto.createHash('sha256').update(text).digest('hex');
  try {
    const one = JSON.parse(fs.readFileSync(kept, 'utf8'));
    if (one.hash === hash) return one.doc;
  } catch { /* none yet */ }
  const doc = YAML.parse(text);
  try {
    fs.mkdirSync(new URL('./', kept), { recursive: true });
    const fresh = new URL(`${kept.href}.${process.pid}`);
    fs.writeFileSync(fresh, JSON.stringify({ hash, doc }));
    fs.renameSync(fresh, kept);
  } catch { /* it is read again, then */ }
  return doc;
}

// A schema that stands alone: references put in, parts of allOf made one, and
// objects closed. `x-at` of a property says where it is described.
function flatten(doc, schema, at) {
  if (schema === true || schema === undefined) return {};
  if (schema.$ref) return flatten(doc, lookup(doc, schema.$ref), schema.$ref);
  const flat = { ...schema };
  delete flat.unevaluatedProperties;
  for (const [i, part] of (schema.allOf ?? []).entries()) {
    const one = flatten(doc, part, `${at}/allOf/${i}`);
    for (const [name, p] of Object.entries(one.properties ?? {})) {
      flat.properties = { ...flat.properties, [name]: { ...flat.properties?.[name], ...p } };
    }
    flat.required = [...(flat.required ?? []), ...(one.required ?? [])];
    if (one.type) flat.type = one.type;
  }
  delete flat.allOf;
  if (flat.properties && !schema.allOf) {
    flat.properties = Object.fromEntries(Object.entries(flat.properties).map(([name, p]) => [
      name, { ...flatten(doc, p, `${at}/${name}`), 'x-at': `${at}/${name}` }]));
  }
  if (flat.properties && !flat.additionalProperties) flat.additionalProperties = false;
  if (flat.required) flat.required = [...new Set(flat.required)];
  if (flat.items) flat.items = flatten(doc, flat.items, `${at}/items`);
  for (const word of ['oneOf', 'anyOf']) {
    if (flat[word]) flat[word] = flat[word].map((s, i) => flatten(doc, s, `${at}/${word}/${i}`));
  }
  if (typeof flat.additionalProperties === 'object') {
    flat.additionalProperties = flatten(doc, flat.additionalProperties, `${at}/*`);
  }
  return flat;
}

function lookup(doc, ref) {
  let here = doc;
  for (const name of ref.replace(/^#\//, '').split('/')) here = here[name];
  if (here === undefined) throw new Error(`${ref} leads nowhere`);
  return here;
}
const resolve = (doc, thing) => (thing?.$ref ? lookup(doc, thing.$ref) : thing);

// Where each property of the schema is described: [[x-at, ...], ...].
function properties(schema, into = new Set()) {
  for (const p of Object.values(schema?.properties ?? {})) {
    into.add(p['x-at']);
    properties(p, into);
  }
  for (const s of [schema?.items, schema?.additionalProperties, ...(schema?.oneOf ?? []), ...(schema?.anyOf ?? [])]) {
    if (s && typeof s === 'object') properties(s, into);
  }
  return into;
}

export class Contract {
  constructor(name) {
    this.doc = read(name);
    this.ajv = new Ajv2020({ strict: false, allErrors: true });
    addFormats(this.ajv);
    // What has been seen: "GET /path 200", codes, places of fields.
    this.seen = new Set();
    this.operations = [];
    for (const [path, item] of Object.entries(this.doc.paths)) {
      for (const method of methods.filter((m) => item[m])) this.operations.push(this.#operation(path, method, item));
    }
  }

  #operation(path, method, item) {
    const { doc } = this;
    const op = item[method];
    const at = `${method.toUpperCase()} ${path}`;
    const pattern = new RegExp(`^${path.replace(/[.]/g, '\\.').replace(/\{[^}]*\}/g, '[^/]+')}$`);
    const params = [...(item.parameters ?? []), ...(op.parameters ?? [])].map((p) => resolve(doc, p));
    const body = resolve(doc, op.requestBody)?.content?.['application/json']?.schema;
    const one = { at, path, method: method.toUpperCase(), op, pattern, params, open: (op.security ?? doc.security)?.length === 0, responses: {} };
    if (body) one.body = this.#compile(body, `${at} request`);
    one.bodyRequired = op.requestBody?.required ?? false;
    one.paramChecks = Object.fromEntries(params.filter((p) => p.in === 'query').map((p) => [p.name, this.#compile(p.schema, `${at} ?${p.name}`)]));
    for (const [status, r] of Object.entries(op.responses)) {
      const response = resolve(doc, r);
      const json = response.content?.['application/json']?.schema;
      const where = r.$ref ?? `${at} ${status}`;
      one.responses[status] = {
        at: `${at} ${status}`,
        content: response.content,
        check: json && this.#compile(json, where),
        headers: Object.entries(response.headers ?? {}).map(([name, h]) => {
          const header = resolve(doc, h);
          return { name: name.toLowerCase(), required: header.required ?? false, check: this.#compile(header.schema, `${where} ${name}`) };
        }),
      };
    }
    return one;
  }

  // Made when it is first asked for: a test uses few of the calls.
  #compile(schema, at) {
    const { doc, ajv } = this;
    return {
      get flat() {
        const flat = flatten(doc, schema, at);
        Object.defineProperty(this, 'flat', { value: flat });
        return flat;
      },
      get validate() {
        const validate = ajv.compile(this.flat);
        Object.defineProperty(this, 'validate', { value: validate });
        return validate;
      },
    };
  }

  // [[kind, name]] of all that is described.
  described() {
    const all = { responses: new Set(), fields: new Set(), requestFields: new Set(), params: new Set() };
    for (const op of this.operations) {
      for (const p of op.params) if (p.in !== 'path') all.params.add(`${op.at} ${p.name}`);
      if (op.body) for (const f of properties(op.body.flat)) all.requestFields.add(f);
      for (const r of Object.values(op.responses)) {
        all.responses.add(r.at);
        if (r.check) for (const f of properties(r.check.flat)) all.fields.add(f);
        for (const h of r.headers) all.fields.add(`${r.at} ${h.name}`);
      }
    }
    return all;
  }

  find(method, path) {
    return this.operations.find((o) => o.method === method && o.pattern.test(path));
  }

  #note(schema, value) {
    if (value === null || typeof value !== 'object') return;
    for (const [name, p] of Object.entries(schema?.properties ?? {})) {
      if (Array.isArray(value) || !(name in value)) continue;
      this.seen.add(p['x-at']);
      this.#note(p, value[name]);
    }
    if (Array.isArray(value)) for (const v of value) this.#note(schema?.items, v);
    if (typeof schema?.additionalProperties === 'object') for (const v of Object.values(value)) this.#note(schema.additionalProperties, v);
    for (const s of [...(schema?.oneOf ?? []), ...(schema?.anyOf ?? [])]) this.#note(s, value);
  }

  #require(check, value, what, exchange) {
    if (check.validate(value)) { this.#note(check.flat, value); return; }
    throw new Error(`${what} is not as described: ${this.ajv.errorsText(check.validate.errors)}\n${exchange}`);
  }

  // Throws when the exchange is not as described. request: { method, url,
  // headers, body }; reply: { status, headers, text }.
  check(request, reply) {
    const method = request.method ?? 'GET';
    const url = new URL(request.url);
    const exchange = `${method} ${url.pathname}${url.search} ${request.body ?? ''}\n-> ${reply.status} ${reply.text}`.slice(0, 4000);
    const op = this.find(method, url.pathname);
    if (!op) { this.checkUnknown(method, url.pathname, reply, exchange); return; }
    const response = op.responses[reply.status] ?? (reply.status >= 500 || this.agent ? op.responses.default : undefined);
    if (!response) throw new Error(`${op.at} does not have the status ${reply.status}\n${exchange}`);
    this.seen.add(response.at);
    this.#checkReply(response, reply, exchange);
    if (reply.status < 300) this.#checkRequest(op, request, url, exchange);
  }

  #checkReply(response, reply, exchange) {
    const type = reply.headers['content-type'];
    if (!response.content) {
      if (!this.agent && (reply.text || type)) throw new Error(`${response.at} has no body\n${exchange}`);
    } else if (response.check && type === 'application/json') {
      this.#require(response.check, JSON.parse(reply.text), `the body of ${response.at}`, exchange);
    } else if (!Object.keys(response.content).includes(type)) {
      throw new Error(`${response.at} has no ${type}\n${exchange}`);
    }
    for (const h of response.headers) {
      const value = reply.headers[h.name];
      if (value === undefined && h.required) throw new Error(`${response.at} without ${h.name}\n${exchange}`);
      if (value === undefined) continue;
      this.seen.add(`${response.at} ${h.name}`);
      this.#require(h.check, value, `${h.name} of ${response.at}`, exchange);
    }
    if (this.agent) return;
    for (const name of ['etag', 'location', 'allow', 'idempotent-replayed', 'www-authenticate']) {
      if (name in reply.headers && !response.headers.some((h) => h.name === name)) throw new Error(`${response.at} does not have the header ${name}\n${exchange}`);
    }
    if (reply.status >= 400) this.seen.add(JSON.parse(reply.text).code);
  }

  // What was accepted must be what is described.
  #checkRequest(op, request, url, exchange) {
    for (const [name, value] of url.searchParams) {
      const check = op.paramChecks[name];
      if (!check) { if (this.agent) continue; throw new Error(`${op.at} has no parameter ${name} and takes it\n${exchange}`); }
      const { type } = check.flat;
      this.#require(check, type === 'integer' ? Number(value) : value, `?${name} of ${op.at}, accepted,`, exchange);
      this.seen.add(`${op.at} ${name}`);
    }
    for (const p of op.params.filter((one) => one.in === 'header')) {
      if (request.headers?.[p.name.toLowerCase()] !== undefined) this.seen.add(`${op.at} ${p.name}`);
    }
    if (!op.body) return;
    const text = request.body === undefined ? '' : String(request.body);
    if (text === '' && !op.bodyRequired) return;
    this.#require(op.body, JSON.parse(text), `the request of ${op.at}, accepted,`, exchange);
  }

  // A path or method that is not described.
  checkUnknown(method, path, reply, exchange) {
    if (this.agent) return;
    const known = this.operations.some((o) => o.pattern.test(path));
    const name = known ? 'NoMethod' : 'NotFound';
    const spec = this.doc.components.responses[name];
    this.unknown ??= {};
    this.unknown[name] ??= this.#compile(spec.content['application/json'].schema, `#/components/responses/${name}`);
    if (reply.status !== (known ? 405 : 404)) throw new Error(`${method} ${path} is not described and is ${reply.status}\n${exchange}`);
    this.#require(this.unknown[name], JSON.parse(reply.text), name, exchange);
    this.seen.add(JSON.parse(reply.text).code);
    if (known && !reply.headers.allow) throw new Error(`405 without Allow\n${exchange}`);
  }
}

// Contracts by the URL of the server that they hold for.
const servers = new Map();
const contracts = {};

export function contractOf(name) {
  contracts[name] ??= new Contract(name);
  contracts[name].agent = name === 'agent.yaml';
  return contracts[name];
}

export function watch(url, name) { servers.set(url, name); }

// The test's every exchange with a watched server; not where programs of an
// earlier build take part (tests/upgrade), which these do not describe.
export function judge(request, reply) {
  if (process.env.PS_OLD_BUILD_DIR) return;
  const name = servers.get(new URL(request.url).origin);
  if (name) contractOf(name).check(request, reply);
}
