// A corpus of SELECTs from a grammar: the same seed gives the same texts.
//
//   grammar   name -> { plain: [texts that end there], rich: [texts that go on] }
//   bindings  name -> values
//   '{name}'  is replaced by one of the grammar's texts
//   '{?name}' becomes a question mark, and a value of bindings is bound to it
//
// Braces of SQL itself are left alone, as long as they hold more than a word.
export class Random {
  constructor(seed) { this.state = seed >>> 0; }

  // mulberry32
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  pick(list) { return list[Math.floor(this.next() * list.length)]; }
}

const DEEPEST = 2;

function expand(text, { grammar, bindings, random }, depth, bound) {
  return text.replace(/\{(\??)([a-z_]+)\}/g, (_, question, name) => {
    if (question) {
      if (!bindings[name]) throw new Error(`no bindings {?${name}}`);
      bound.push(random.pick(bindings[name]));
      return '?';
    }
    const rule = grammar[name];
    if (!rule) throw new Error(`no rule {${name}}`);
    const rich = rule.rich && depth < DEEPEST && random.next() < 0.6;
    return expand(random.pick(rich ? rule.rich : rule.plain), { grammar, bindings, random }, depth + 1, bound);
  });
}

// n different statements { sql, bindings? }: first what was made by hand, then
// as many of each shape. Bindings are replaced from left to right.
export function corpus({ hand, shapes, ...language }, n, seed) {
  const random = new Random(seed);
  const out = new Map();
  const add = (sql, bindings) => {
    const key = JSON.stringify([sql, bindings]);
    if (!out.has(key)) out.set(key, { sql, ...(bindings?.length === 0 ? {} : { bindings }) });
  };
  for (const one of hand) add(...(Array.isArray(one) ? one : [one]));
  for (let i = 0, missed = 0; out.size < n; i += 1) {
    const bound = [];
    const before = out.size;
    add(expand(shapes[i % shapes.length], { ...language, random }, 0, bound), bound);
    missed = out.size > before ? 0 : missed + 1;
    if (missed > 1000) throw new Error(`only ${out.size} different statements`);
  }
  return [...out.values()];
}
