// Hazard 15: triggers, cascades, rules, partitions and heirs write elsewhere.
import { hazard } from './lib/hazard.mjs';

hazard('hazard 15: writes that go elsewhere', {
  schema: `
    create table audit (n int); insert into audit values (0);
    create table watched (id int primary key, v int);
    create function note() returns trigger language plpgsql security definer as
      $$ begin update audit set n = n + 1; return new; end $$;
    create trigger t after insert or update on watched for each row execute function note();
    create table a (id int primary key); insert into a select generate_series(1, 9);
    create table b (id int primary key, a int references a on delete cascade);
    insert into b select i, i from generate_series(1, 9) i;
    create table c (id int primary key, b int references b on delete set null);
    insert into c select i, i from generate_series(1, 9) i;
    create table d (id int primary key, a int references a);
    create table p (id int, v int) partition by range (id);
    create table p1 partition of p for values from (0) to (100);
    create table p2 partition of p for values from (100) to (200);
    insert into p values (1, 1), (150, 1);
    create table elder (id int); create table heir (x int) inherits (elder);
    insert into heir values (1, 1);
    create table ruled (id int); create table target (id int);
    create rule r as on insert to ruled do instead insert into target values (new.id);
    create table counted (id int primary key, v int default 0, check (v < 1000));
    create table apart (id int);`,
}, (test) => {
  test('a trigger may change anything', async (s) => {
    await s.seen('insert into watched values (1, 1)', 'select n from audit');
    await s.seen('update watched set v = 2', 'select n from audit');
  });
  test('cascades reach what refers to what refers', async (s) => {
    await s.seen('delete from a where id = 1', 'select count(*)::int as n from b', 'select count(b)::int as n from c');
    await s.unaffected('insert into a values (100)', 'select count(*)::int as n from b');
    await s.unaffected('delete from a where id = 100', 'select count(*)::int as n from d');
  });
  test('partitions and parents', async (s) => {
    await s.seen('insert into p values (2, 2)', 'select count(*)::int as n from p1', 'select count(*)::int as n from p');
    await s.seen('update p2 set v = 5', 'select sum(v)::int as n from p', 'select sum(v)::int as n from p2');
    await s.seen('update p set id = 151 where id = 1', 'select count(*)::int as n from p1', 'select count(*)::int as n from p2');
  });
  test('inheritance', async (s) => {
    await s.seen('insert into heir values (2, 2)', 'select count(*)::int as n from elder');
    await s.seen('delete from elder where id = 1', 'select count(*)::int as n from heir');
  });
  test('rules', (s) => s.seen('insert into ruled values (1)', 'select count(*)::int as n from target'));
  test('a table with nothing of the kind stands alone', async (s) => {
    await s.seen('insert into counted values (1)', 'select count(*)::int as n from counted');
    await s.unaffected('insert into counted values (2)', 'select count(*)::int as n from apart');
  });
});
