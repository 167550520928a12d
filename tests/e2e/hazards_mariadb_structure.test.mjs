// Hazards of what a MariaDB's catalogue tells (functions, views, triggers,
// cascades, structure, rights), one test for each; two regions on one database.
import assert from 'node:assert/strict';
import { hazard } from './lib/hazard.mjs';
import { waitUntil } from './lib/process.mjs';

hazard('hazards of structure on MariaDB', {
  server: 'mariadb',
  regions: ['one', 'two'],
  schema: `
    create table t (id int primary key, v int); insert into t select seq, seq from seq_1_to_9;
    create table u (id int primary key, v int); insert into u select seq, seq from seq_1_to_9;
    create table apart (id int); create table log (n int); insert into log values (0);
    create function pure(x int) returns int deterministic no sql return x + 1;
    create function counts(x int) returns int reads sql data return x + (select count(*) from log);
    create function fickle(x int) returns int no sql return x + 1;
    create function noisy(x int) returns int begin update log set n = n + 1; return x; end;
    create table owners (id int, who varchar(50)); insert into owners values (1, 'alice'), (2, 'bob');
    create view own as select id, who from owners where who = substring_index(session_user(), '@', 1);
    create view one as select * from t where v < 5 with check option;
    create view two as select one.id, (select max(u.v) from u) as m from one;
    create algorithm=temptable view three as select count(*) as n from two;
    create view timed as select *, now() as at from t;
    create view noisily as select noisy(id) as x from t where id = 1;
    create table watched (id int primary key, v int); insert into watched values (1, 1), (2, 2);
    create trigger watch_i after insert on watched for each row update log set n = n + 1;
    create trigger watch_u before update on watched for each row set new.v = new.v * 2;
    create trigger watch_d after delete on watched for each row update log set n = n + 1;
    create table a (id int primary key) engine=innodb; insert into a select seq from seq_1_to_9;
    create table b (id int primary key, a int, foreign key (a) references a (id) on delete cascade on update cascade) engine=innodb;
    insert into b select seq, seq from seq_1_to_9;
    create table c (id int primary key, b int, foreign key (b) references b (id) on delete set null) engine=innodb;
    insert into c select seq, seq from seq_1_to_9;
    create table p (id int primary key, v int) partition by range (id) (partition p1 values less than (100), partition p2 values less than maxvalue);
    insert into p values (1, 1), (150, 1);
    create table m1 (id int) engine=myisam; create table m2 (id int) engine=myisam; insert into m1 values (1);
    create table m (id int) engine=merge union=(m1, m2) insert_method=last;
    create sequence sq; create table numbered (id int default nextval(sq), v int);
    create table made (id int, twice int as (id * 2) virtual, often int as (id * 3) stored); insert into made (id) values (1), (2);
    create table past (id int primary key, v int) with system versioning; insert into past values (1, 1);
    create database hid; create table hid.t (id int primary key, v int); insert into hid.t values (1, 1);
    create view deep as select v from hid.t;
    grant all on hid.* to alice;`,
}, (test) => {
  const never = async (s, ...texts) => {
    for (const sql of texts) {
      for (let i = 0; i < 4; i += 1) assert.equal((await s.run(sql)).cache, 'bypass', sql);
    }
  };
  const log = 'select n from log';

  test('hazard_07: functions are what the catalogue says they are', async (s) => {
    await s.warm('select pure(v) as x from t where id = 1', 'select app.pure(v) as x from t where id = 1');
    await s.seen('select noisy(v) as x from t where id = 1', log);
    await s.seen('select `noisy` (v) as x from t where id = 1', log);
    await never(s, 'select counts(v) as x from t', 'select fickle(v) as x from t', 'select id from t where fickle(id) = 2');
    const sql = 'select pure(v) as x from t where id = 2';
    await s.warm(sql);
    await s.run('create or replace function pure(x int) returns int not deterministic reads sql data return x + 2');
    for (let i = 0; i < 4; i += 1) {
      const reply = await s.run(sql);
      assert.equal(reply.cache, 'bypass', reply.reason);
      assert.deepEqual(reply.json, [{ x: 4 }]);
    }
  });

  test('hazard_10: a view that shows to each what is theirs', async (s) => {
    for (let i = 0; i < 4; i += 1) {
      for (const user of ['alice', 'bob']) {
        const reply = await s.run('select who from own', { user });
        assert.deepEqual([reply.cache, reply.json], ['bypass', [{ who: user }]]);
      }
    }
  });

  test('hazard_14: views', async (s) => {
    await s.seen('update t set v = 4 where id = 4', 'select * from one order by id', 'select * from two order by id', 'select n from three');
    await s.seen('update u set v = v + 10', 'select * from two order by id');
    await s.unaffected('insert into apart values (1)', 'select * from two order by id', 'select * from three');
    await s.seen('update one set v = 3 where id = 1', 'select sum(v) as n from t', 'select * from two order by id');
    await s.seen('insert into one values (50, 1)', 'select sum(v) as n from t', 'select n from three');
    await s.seen('select * from noisily', log);
    await s.bypassed('select id from timed', 'volatile_function');
    await s.bypassed('select v from deep', 'other_database');
    await s.seen('update deep set v = v + 1', 'select sum(v) as n from u');
  });

  test('hazard_15: writes that go elsewhere', async (s) => {
    await s.seen('insert into watched values (3, 3)', log);
    await s.seen('update watched set v = 5 where id = 1', 'select v from watched where id = 1', 'select id from watched where v = 10');
    await s.seen('replace into watched values (1, 1)', log);
    await s.seen('delete from watched where id = 3', log);
    await s.seen('delete from a where id = 1', 'select count(*) as n from b', 'select count(b) as n from c', 'select b from c where id = 1');
    await s.seen('update a set id = 22 where id = 2', 'select a from b where id = 2', 'select count(*) as n from b where a = 22');
    await s.seen('replace into a values (3)', 'select count(*) as n from b where a = 3', 'select b from c where id = 3');
    await s.unaffected('insert into a values (100)', 'select count(*) as n from b');
    await s.seen('insert into p values (2, 2)', 'select count(*) as n from p', 'select count(*) as n from p partition (p1)');
    await s.seen('update p set id = 151 where id = 1', 'select count(*) as n from p partition (p1)', 'select count(*) as n from p partition (p2)');
    await s.seen('alter table p truncate partition p2', 'select count(*) as n from p');
    await s.bypassed('select count(*) as n from m', 'foreign_table');
    await s.seen('insert into m values (7)', 'select count(*) as n from m2');
    await s.seen('insert into numbered (v) values (1)', 'select count(*) as n from numbered');
    await s.bypassed('select next_not_cached_value as n from sq', 'sequence');
    await s.seen('update made set id = 8 where id = 1', 'select id from made where twice = 2', 'select id from made where often = 24');
    await s.seen('update past set v = 2', 'select v from past', 'select v from past where id = 1');
    await never(s, 'select v from past for system_time all', "select v from past for system_time as of timestamp'2035-01-01 00:00:00'");
    await s.seen('delete history from past', 'select count(*) as n from past');
  });

  test('hazard_17: changes of structure', async (s) => {
    const sql = 'select * from apart';
    await s.seen('alter table apart add x int default 7', sql);
    await s.seen('alter table apart rename column x to y', sql);
    await s.seen('truncate table apart', 'select count(*) as n from apart');
    await s.seen('create or replace view one as select * from u', 'select v from one');
    await s.seen('update u set v = 3', 'select v from one order by id');
    await s.warm('select v from t', 'select v from u');
    await s.run('rename table t to old, u to t');
    assert.deepEqual((await s.run('select v from t')).json, await s.db('select v from t'));
    assert.equal((await s.stage.query(s.agent, 'select v from u')).status, 400);
    await s.run('rename table t to u, old to t');
    await s.seen('create or replace table apart (id int) select 5 as id', 'select id from apart');
    await s.warm('select id from apart');
    await s.run('drop table apart');
    assert.match((await s.stage.query(s.agent, 'select id from apart')).json.message, /errno 1146/);
    // The prepared form of a text, whose columns have become others.
    for (let i = 0; i < 3; i += 1) await s.stage.query(s.agent, 'select * from log where n >= ?', [-1]);
    await s.run('alter table log add e int default 1 first');
    const reply = await s.stage.query(s.agent, 'select * from log where n >= ?', [-1]);
    assert.deepEqual(Object.keys(reply.json[0]), ['e', 'n']);
    await s.run('alter table log drop e');
  });

  test('hazard_17, the other region', async (s) => {
    const sql = 'select max(v) as v from one';
    await s.stage.warm(s.other, sql);
    await s.run('create or replace view one as select * from t');
    const [{ v }] = await s.db(sql);
    await waitUntil(async () => (await s.stage.query(s.other, sql)).json[0].v === v, { timeoutMs: 2500, what: 'the view of t' });
    await s.stage.warm(s.other, sql);
    await s.run('update t set v = 1000 where id = 9');
    await waitUntil(async () => (await s.stage.query(s.other, sql)).json[0].v === 1000, { timeoutMs: 2500, what: 'the row of t' });
  });

  test('hazard_38: who sees too little of the catalogue is kept nothing', async (s) => {
    const cache = await s.stage.createCache('readers');
    for (let i = 0; i < 4; i += 1) {
      const reply = await s.stage.query(s.agent, 'select sum(v) as n from t', undefined, { user: 'reader', cache });
      assert.deepEqual([reply.status, reply.cache, reply.reason], [200, 'bypass', 'hidden_structure']);
    }
  });
});
