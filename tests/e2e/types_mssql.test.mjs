// The oracle of value types of SQL Server: each statement goes through the
// agent's own driver and encoder and through knex with tedious and TZ=UTC, on
// the same server, and the rows must be equal. The differences there are, with
// their reasons, are the last test.
import assert from 'node:assert/strict';
import { after, before, describe as suite, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import knexFactory from 'knex';
import { Dump } from './lib/dump.mjs';
import { TdsServer } from './lib/tds.mjs';

process.env.TZ = 'UTC';

const q = (s) => `N'${s.replaceAll("'", "''")}'`;
const stamps = ['2024-02-29 12:34:56.789', '1900-01-01', '1999-12-31 23:59:59.997', '2024-01-01 00:00:00.003',
  '2079-06-06 23:59:00'];
const far = [...stamps, '0001-01-01', '1582-10-15 00:00:00', '9999-12-31 23:59:59.999', '1752-09-14 01:02:03.004'];
const decimals = ['0', '1', '-1', '0.1', '123.45', '-99999.99999', '4.35', '1234567890.12345'];

const scalars = [
  ['tinyint', ['0', '1', '255']],
  ['smallint', ['0', '-32768', '32767']],
  ['int', ['0', '-2147483648', '2147483647']],
  ['bigint', ['0', '-9223372036854775808', '9223372036854775807', '9007199254740993']],
  ['bit', ['0', '1', 'true', 'false']],
  ['float', ['0', '-0.5', '0.1', '1e15', '1e16', '1e21', '1e22', '1.5e-6', '1e-7', '4.35', '2.2250738585072014e-308',
    '1.7976931348623157e308', '9007199254740993', '0.30000000000000004', '123456789.12345678']],
  ['real', ['0', '0.1', '-1.5', '16777216', '3.4028235e38', '1e-38', '123456.79']],
  ['decimal(20,5)', decimals],
  ['decimal(38,0)', ['0', '99999999999999999999999999999999999999', '-12345678901234567890123456789', '18446744073709551616']],
  ['decimal(38,20)', ['0.00000000000000000001', '123456789012345678.12345678901234567890', '-0.1']],
  ['numeric(9,2)', ['0', '-1234567.89', '0.01', '4.35']],
  ['numeric(5)', ['0', '12345', '-1']],
  ['money', ['0', '922337203685477.5807', '-922337203685477.5808', '0.0001', '4.35', '-1.5']],
  ['smallmoney', ['0', '214748.3647', '-214748.3648', '4.35']],
  ['date', ['2024-02-29', '0001-01-01', '9999-12-31', '1582-10-10', '1900-03-01', '1969-12-31']],
  ['time', ['00:00:00', '23:59:59.9999999', '12:34:56.1234567', '01:02:03.004']],
  ['time(3)', ['23:59:59.999', '12:00:00.001']],
  ['time(0)', ['23:59:59']],
  ['datetime', stamps.slice(0, 4)],
  ['smalldatetime', stamps],
  ['datetime2', [...far, '2024-02-29 12:34:56.1234567', '1969-12-31 23:59:59.9999999']],
  ['datetime2(0)', ['2024-02-29 12:34:56']],
  ['datetime2(3)', far],
  ['datetimeoffset', ['2024-02-29 12:34:56.1234567 +02:30', '2024-02-29 00:00:00 -14:00', '2024-02-29 00:00:00 +14:00',
    '1970-01-01 00:00:00 +00:00', '0001-01-01 14:00:00 +14:00', '9999-12-31 09:59:59 -14:00']],
  ['datetimeoffset(0)', ['2024-02-29 12:34:56 -00:30']],
  ['char(4)', ['ab', '', 'abcd']],
  ['varchar(50)', ['plain', '', 'Grüße €', '" \\ / \t \r\n', ' trailing ']],
  ['varchar(max)', ['x'.repeat(9000), '']],
  ['nchar(3)', ['é', '']],
  ['nvarchar(50)', ['🎉𝄞é日', '', '\u2028\u007f', "o'clock", '"\\', '\u0001']],
  ['nvarchar(max)', ['日'.repeat(40000), '🦆'.repeat(2500), '']],
  ['text', ['long']], ['ntext', ['łong 🎉', '']],
  ['uniqueidentifier', ['6f9619ff-8b86-d011-b42d-00c04fc964ff', '00000000-0000-0000-0000-000000000000']],
  ['xml', ['<a b="1">é &amp; 🎉</a>']],
];

const others = [
  'select cast(0x00ff10 as varbinary(8)) as v', 'select cast(0x as varbinary(8)) as v',
  'select cast(0x01 as binary(3)) as v', 'select cast(0xff as image) as v',
  "select cast(replicate(cast('a' as varchar(max)), 70000) as varbinary(max)) as v",
  'select 1', 'select 1, 2', "select 1 as a, 'x' as a", 'select null as a, 2 as a, 0 as a', 'select 0 as a, 0 as a',
  "select '' as a, 'b' as a, null as a", 'select cast(0 as bigint) as a, 1 as a', 'select 0.00 as a, 0.01 as a, 5 as a',
  'select cast(0 as bit) as a, cast(1 as bit) as a', 'select cast(0x as varbinary(2)) as a, 1 as a',
  'select 1 as [2], 2 as [1], 3 as b, 4 as [01]', 'select 1 as [a b], 2 as ["q\\], 3 as [日本🎉]',
  'select 1 as a; select 2 as b', 'select 1 as a where 1 = 0', 'select 1 as a where 1 = 0; select 2 as b; select 3 as b',
  "print 'x'; select 1 as a", 'declare @x int = 5; select @x as x',
  'create table #m (a int); insert into #m values (1), (2); select a from #m order by a; update #m set a = 3; select a from #m',
  'select id, name, price, at from small order by id', 'select count(*) as n, sum(price) as s, max(at) as m from small',
  'select 1/0', 'select * from missing', 'select cast(N\'x\' as int) as a', 'raiserror(N\'own\', 16, 2)', "throw 50001, N'own', 1",
];

suite('value types of SQL Server', () => {
  let db;
  let knex;
  let dump;

  before(async () => {
    db = await TdsServer.start({ users: { app: 'app secret' } });
    await db.sql(`create table small (id int, name nvarchar(20), price decimal(9,2), at datetime2(3));
      insert into small values (1, N'é', 1.50, '2024-02-29 12:00:00.5'), (2, null, null, null)`, { user: 'app' });
    knex = knexFactory({
      client: 'mssql',
      pool: { min: 1, max: 1 },
      connection: {
        server: db.host, port: db.port, user: 'app', password: 'app secret', database: 'app',
        options: { encrypt: true, trustServerCertificate: true },
      },
    });
    dump = new Dump('mssql', { PS_TDS_PORT: String(db.port), PS_TDS_CA: db.tls.cert });
  });
  after(async () => {
    await dump?.end();
    await knex?.destroy();
    await db?.stop();
  });

  const viaKnex = async (sql) => {
    try {
      return JSON.stringify(await knex.raw(sql));
    } catch (error) {
      return `! ${(error.errors?.[0] ?? error).message.replace(`${sql} - `, '')}`; // knex puts it there
    }
  };
  const both = (sql) => Promise.all([dump.ask(sql), viaKnex(sql)]);
  const equal = (ours, theirs) => {
    if (ours === theirs) return true;
    if (ours.startsWith('!')) return ours === theirs.replace('! ', '! origin_sql: ');
    return !theirs.startsWith('!') && isDeepStrictEqual(JSON.parse(ours), JSON.parse(theirs));
  };
  const same = async (statements) => {
    const wrong = [];
    for (const sql of statements) {
      const [ours, theirs] = await both(sql);
      if (!equal(ours, theirs)) wrong.push({ sql: sql.slice(0, 200), ours: ours.slice(0, 300), theirs: theirs.slice(0, 300) });
    }
    assert.deepEqual(wrong, []);
  };

  for (const [type, values] of scalars) {
    test(type, () => same([...values.map((v) => `select cast(${q(v)} as ${type}) as v`), `select cast(null as ${type}) as v`]));
  }
  test('bytes, shapes, several results, errors', () => same(others));

  test('the differences, and no more', async () => {
    const differences = [
      // FreeTDS does not say which type a sql_variant holds.
      ['select cast(7 as sql_variant) as v', '[{"v":"7"}]', '[{"v":7}]'],
    ];
    for (const [sql, ours, theirs] of differences) assert.deepEqual(await both(sql), [ours, theirs], sql);
  });
});
