// Makes knex_golden.json: what the real knex does with pairs of statement and
// bindings. Run once, with knex 3 installed somewhere:
//   NODE_PATH=<dir>/node_modules node knex_golden.cjs > knex_golden.json
// Left out on purpose: names found in Object.prototype and `$` in identifiers
// given by name (see knex.c).
const makeKnex = require('knex');
const version = require('knex/package.json').version;
const clients = {
  postgres: makeKnex({ client: 'pg' }),
  mysql: makeKnex({ client: 'mysql2' }),
  tsql: makeKnex({ client: 'mssql' }),
};

// A value with its type, as text.
function tagged(value) {
  if (value === null) return 'z';
  if (Array.isArray(value)) return 'a' + JSON.stringify(value.map(tagged));
  return { boolean: 'b', number: 'n', string: 't' }[typeof value] + value;
}

function run(sql, bindings) {
  const result = { sql, bindings };
  for (const [dialect, knex] of Object.entries(clients)) {
    try {
      const native = knex
        .raw(sql, bindings === null ? undefined : JSON.parse(bindings))
        .toSQL()
        .toNative();
      result[dialect] = {
        sql: native.sql,
        bindings: native.bindings.map(tagged),
      };
    } catch (error) {
      result[dialect] = { error: error.message };
    }
  }
  return result;
}

const cases = [
  ['select 1', null],
  ['select ?', null],
  ['select \\? \\\\? \\\\\\? \\\\\\\\?', null],
  ['select ?', '[]'],
  ['select ?', '[1]'],
  ['select ?', '[1, 2]'],
  ['select ? ?', '[1]'],
  ['select ?, ?, ?, ?', '["a", 1.5, true, null]'],
  ['select ??, ?', '["a.b", "a.b"]'],
  ['select ???', '["a", 2]'],
  ['select ????', '["a", "b"]'],
  ['select \\??', '["a"]'],
  ['select \\???', '["a", "b"]'],
  ['select \\\\??', '["a"]'],
  ['select \\\\?, ?', '[1]'],
  ['select \\\\?, ?', '[1, 2]'],
  ['select a \\? b, a \\?| b, a \\?& b, ?', '[1]'],
  ["select '?' -- ?\n /* ? */", '[1, 2, 3]'],
  ['select * from t where id = any(?)', '[[1, 2, 3]]'],
  ['select * from t where id = any(?)', '[["a", "b"]]'],
  ['select * from t where id = any(?)', '[[true, false]]'],
  ['select * from t where id = any(?)', '[[]]'],
  ['select ??', '[["a", "b.c", "d as e"]]'],
  ['select ??', '[[]]'],
  ['select ??', '[[1, 2.5]]'],
  ['select ??', '[5]'],
  ['select ??', '[1e21]'],
  ['select ??', '[null]'],
  ['select ??', '[true]'],
  ['select ??', '[""]'],
  ['select ??', '["*"]'],
  ['select ??', '["a.*"]'],
  ['select ??', '["."]'],
  ['select ??', '["a..b"]'],
  ['select ??', '["a b"]'],
  ['select ??', '["  a . b  "]'],
  ['select ??', '["\\u00a0a\\u2003.\\ufeffb\\u3000"]'],
  ['select ??', '["a as b"]'],
  ['select ??', '["a AS b as c.d"]'],
  ['select ??', '["a.b as c.d"]'],
  ['select ??', '["a  as  b"]'],
  ['select ??', '[" as b"]'],
  ['select ??', '["a as "]'],
  ['select ??', '["a as"]'],
  ['select ??', '["aas b"]'],
  ['select ??', '["a[1]"]'],
  ['select ??', '["a[1].b[22]x"]'],
  ['select ??', '["a[x]"]'],
  ['select ??', '["a[]"]'],
  ['select ??', '["a[1"]'],
  ['select ??', '["[1]"]'],
  ['select ??', '["[[1]]"]'],
  ['select ??', '["a\\nb[1]"]'],
  ['select ??', '["a\\u2028b[1]"]'],
  ['select ??', '["q\\"u`o]t[e\'s"]'],
  ['select ??', '["a?b"]'],
  ['select ??, ?', '["a?b", 1]'],
  ['select ??', '["a\\\\?b"]'],
  ['select ?', '["a?b \\\\? :c"]'],
  ['select ?', '[1.0]'],
  ['select ?', '[-0]'],
  ['select ?', '[1e3]'],
  ['select ?', '[1E-7]'],
  ['select ?', '[0.000001]'],
  ['select ?', '[123456789012345678901234567890]'],
  ['select ?', '[9007199254740993]'],
  ['select ?', '[1e21]'],
  ['select ?', '[1e20]'],
  ['select ?', '[-1.5e-9]'],
  ['select ?', '[5e-324]'],
  ['select ?', '[1.7976931348623157e308]'],
  ['select ?', '[0.1]'],
  ['select ?', '[123456.789e3]'],
  ['select ?', '[4.35]'],
  ['select ?', '[1e-400]'],
  ['select :a', null],
  ['select :a', '{}'],
  ['select ?', '{}'],
  ['select :a', '{"a": 1}'],
  ['select :a, :a, :b', '{"a": 1, "b": "x"}'],
  ['select :a:, :b:', '{"a": "x.y", "b": ["c", "d"]}'],
  ['select :a:', '{"a": null}'],
  ['select :a:', '{"a": 12.5}'],
  ['select :a:', '{"a": []}'],
  ['select :a::int', '{"a": 1}'],
  ['select :a:::int', '{"a": "x"}'],
  ['select :a::::int', '{"a": "x"}'],
  ['select :a:: int', '{"a": 1}'],
  ['select x::a', '{"a": 1}'],
  ['select x::a:', '{"a": "y"}'],
  ['select \\:a, \\:a:, \\\\:a, \\\\\\:a', '{"a": 1}'],
  ["select ':a' /* :a */ -- :a\n", '{"a": 1}'],
  ['select :missing, :missing:, :a', '{"a": 1}'],
  ['select :a, ?', '{"a": 1}'],
  ['select :a, \\?', '{"a": 1}'],
  ['select :\u00e9, :a\u00e9', '{"a": 1}'],
  ['select :a1_Z, :1', '{"a1_Z": 1, "1": 2}'],
  ['select :a', '{"a": 1, "a": 2}'],
  ['select :a', '{"a": [1, 2]}'],
  ['select : a, a:b, 12:30', '{"a": 1, "b": 2}'],
  ['select :a,:b,:c,:d,:e,:f,:g,:h,:i,:j,:zz',
   '{"j":1,"i":2,"h":3,"g":4,"f":5,"e":6,"d":7,"c":8,"b":9,"a":10,"j":11}'],
  [':a', '{"a": 1}'],
  [':a:', '{"a": null}'],
  ['?', '[1]'],
];

// Random texts of the pieces that matter, from a fixed seed.
let state = 12345;
function random(n) {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return (state >>> 8) % n;
}
const pieces = ['?', '??', '\\', ':a', ':b', ':', '::', 'x', ' ', "'", '\n',
  '\u20ac', ':ab', '?'];
const values = ['1', '"v"', 'null', 'true', '[1,2]', '"t.c"', '"t.c as d"',
  '[]', '["a","b"]', '2.50', '"w[3]"'];
for (let i = 0; i < 250; i++) {
  let sql = 's';
  for (let n = 1 + random(10); n > 0; n--) sql += pieces[random(pieces.length)];
  let bindings;
  if (random(2)) {
    const marks = (sql.match(/\\?\?\??/g) || []).filter((m) => m !== '\\?');
    let n = marks.length + (random(8) === 0 ? 1 : 0);
    const list = [];
    for (; n > 0; n--) list.push(values[random(values.length)]);
    bindings = '[' + list.join(',') + ']';
  } else {
    const list = ['a', 'b', 'ab']
      .filter(() => random(3))
      .map((name) => `"${name}":${values[random(values.length)]}`);
    bindings = '{' + list.join(',') + '}';
  }
  cases.push([sql, bindings]);
}

const lines = cases.map(([sql, bindings]) =>
  JSON.stringify(run(sql, bindings)));
console.log(`{"knex":${JSON.stringify(version)},"cases":[\n${
  lines.join(',\n')}\n]}`);
