// Beyond types_postgres.mjs: what is hard to encode rather than
// what is common to use.
export const setup = `
  create table small (id int, name text);
  insert into small values (1, 'a'), (2, null);
  create extension if not exists hstore;
`;

const repeat = (n, f) => Array.from({ length: n }, (_, i) => f(i));

const floats = [
  '1e15', '1e16', '123456789012345678', '1e22', '1.5e-6', '1e-6', '1e-7', '0.1', '1e100',
  '4.35', '2.2250738585072014e-308', '9007199254740993', '0.30000000000000004', '-1e21',
];

const dates = [
  '0001-02-28 BC', '0001-02-29 BC', '0001-03-01 BC', '0004-02-29', '0099-12-31', '0100-01-01',
  '4713-01-01 BC', '5874897-12-31', '275760-09-13', '275760-09-14', '1900-02-28', '2000-02-29',
];

const stamps = [
  '1969-12-31 23:59:59.999', '1970-01-01 00:00:00.0005', '0001-02-29 23:59:59.9 BC',
  '275760-09-13 00:00:00', '275760-09-13 00:00:00.001', '294276-12-31 23:59:59.999999',
  '4713-01-01 00:00:00 BC', '2024-02-29 12:00:00.285', '0050-06-01 00:00:00.57',
  '2001-09-09 01:46:40.000001',
];

const intervals = [
  '178000000 years', '-178000000 years', '1000000000 hours', '1 microsecond', '-1 microsecond',
  '1 year -1 mon', '12 hours 60 minutes', '1.5 days', '999 milliseconds', '-23:59:59.999999',
  '1 day -00:00:01', '2 mons', '-3 days', '1 year 1 day',
];

const documents = [
  '1e2', '-0', '-0.0', '1E+400', '-1e-400', '0.1e1', '"\\u0000"', '"\\ud800"', '"a\\/b"', '[[[[]]]]',
  '{"":1}', '{"__proto__":{"x":1}}', '{"2":1,"1":2}', '"\u007f\u2028"', '100000000000000000000000',
  `[${repeat(200, (i) => `{"k${i}": [${i}.50, "v"]}`).join(' , ')}]`,
  `${'['.repeat(500)}${']'.repeat(500)}`,
];

export const cases = [
  ...floats.map((v) => `select '${v}'::float8 as v, array['${v}'::float8] as a`),
  ...floats.map((v) => `select '${v}'::numeric as v, array['${v}'::numeric] as a`),
  'select (random() * 10 ^ (random() * 600 - 300)::int)::float8 * 0 as v',
  'select i, exp(i * 1.37)::float8 as up, exp(-i * 1.37)::float8 as down, (1 / 3.0 * i)::float4 as f4 from generate_series(0, 300) i',
  'select sin(i)::float8 as v, cos(i)::float4 as w from generate_series(1, 500) i',
  'select array_agg(sin(i)::numeric(60, 50)) as v from generate_series(1, 100) i',
  ...dates.map((v) => `select '${v}'::date as v, array['${v}'::date] as a`),
  ...stamps.map((v) => `select '${v}'::timestamp as v, array['${v}'::timestamp] as a`),
  ...stamps.slice(0, -5).map((v) => `select timestamptz '${v.replace(/( BC)?$/, '+00$1')}' as v`),
  `select timestamp '2024-01-01' + i * interval '0.001 s' as v from generate_series(0, 999) i`,
  `select date '0001-01-01 BC' + i * 37 as v from generate_series(0, 2000) i`,
  "set timezone = 'Asia/Kathmandu'; select timestamptz '2024-02-29 12:34:56.789123+00' as v, timestamptz '1900-01-01 00:00+00' as old",
  "set timezone = 'America/St_Johns'; select timestamptz '0044-03-15 12:00+00 BC' as v, timestamptz '10000-01-01 00:00+00' as w",
  "set timezone = 'UTC'; select 1",
  ...intervals.map((v) => `select interval '${v}' as v, array[interval '${v}', null] as a`),
  "set intervalstyle = 'iso_8601'; select interval '1 year 2 days 03:04:05' as v",
  "set intervalstyle = 'postgres_verbose'; select interval '1 year 2 days 03:04:05' as v",
  "set intervalstyle = 'sql_standard'; select interval '1 year 2 days 03:04:05' as v, interval '-3 days' as w",
  "set intervalstyle = 'postgres'; select 1",
  "set datestyle = 'German'; select date '2024-02-29' as d, timestamp '2024-02-29 12:00' as t",
  "set datestyle = 'SQL, DMY'; select date '2024-02-29' as d, timestamptz '2024-02-29 12:00+00' as t",
  "set datestyle = 'ISO, MDY'; select 1",
  "set bytea_output = 'escape'; select '\\x00015c5c5c3031ff27'::bytea as v, array['\\x5cff00'::bytea, null, ''] as a",
  "set bytea_output = 'hex'; select decode(repeat('00ff', 5000), 'hex') as v",
  "set extra_float_digits = 0; select 0.1::float8 + 0.2::float8 as v, 1e21::float8 as w",
  "set extra_float_digits = -3; select pi()::float8 as v, pi()::float4 as w",
  "set extra_float_digits = 1; select 1",
  ...documents.map((v) => `select '${v.replaceAll("'", "''")}'::json as v, array['${v.replaceAll("'", "''")}'::json, null] as a`),
  `select jsonb_build_object('n', 1.10, 'big', 12345678901234567890.123, 'a', jsonb_build_array(null, true, '"\\')) as v`,
  'select json_agg(small) as v, array_agg(to_jsonb(small)) as a from small',
  "select array['', ' ', 'null', 'NULL', null, '{}', '\"', '\\', 'a,b', E'\\n', '🎉'] as v",
  "select '[-2:-1][3:4]={{1,2},{3,4}}'::int[] as v, '[0:0]={x}'::text[] as w",
  "select array[array[array['a', null], array['\"', '\\']]] as v",
  "select array['(1,2)'::box, '(3,4)'::box] as v, array[point(1, 2), null] as p, array[circle(point(1, 2), 3)] as c",
  "select array[xmlparse(content '<a/>')] as v, array[b'101'] as b, array['a=>1'::hstore] as h",
  "select 'a=>1, b=>NULL'::hstore as v, '1 2'::int2vector as i, '1 2'::oidvector as o",
  "select array[int4range(1, 5), null] as v, array[numrange(1.5, 2)] as w, array[daterange('2024-01-01', '2024-02-01')] as d",
  "select array[true, false, null]::bool[] as v, 'sad'::mood as m, array['sad'::mood] as a, 5::posint as p",
  "select array['1'::xid] as x, array['16/B374D848'::pg_lsn] as l, array[1::\"char\"] as c",
  "select 'Infinity'::float8 as a, '-Infinity'::float4 as b, point('Infinity', 'NaN') as p, circle(point(1, 2), 'Infinity') as c",
  "select 'infinity'::date as d, array['infinity'::timestamptz, '-infinity'] as a",
  'select 1 as a, 2 as b, 3 as a, 4 as "10", 5 as "9", 6 as "01", 7 as "4294967294", 8 as "4294967295", 9 as "-1"',
  'select 1 as "a""b", 2 as "a\\b", 3 as "tab\tx", 4 as "🎉", 5 as "__proto__", 6 as "__proto__", 7 as "constructor"',
  `select ${repeat(300, (i) => `${i} as c${i % 250}`).join(', ')}`,
  'select repeat(chr(128512), 20000) as v, repeat(chr(1), 100) as w, chr(127) || chr(8232) as x',
  'select 1 as a; select 2 as b, 3 as c',
  'select 1 as a; create temp table if not exists gone (x int)',
  'create temp table if not exists t (x int)',
  "insert into t values (1) returning x, 'é' as y",
  'update t set x = 2',
  'select * from t where false',
  'select from t',
  'explain (costs off) select 1 as x',
  'show server_encoding',
  'begin; select 1 as v; commit',
  ';',
  '-- nothing',
  'select 1/0',
  'selekt',
];
