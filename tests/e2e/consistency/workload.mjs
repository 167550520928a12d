// The tables, and what is asked and written. Even groups live in two tables
// and odd ones in one; all rows of a group carry one version.
export const GROUPS = 48;
export const ROWS = 3;

export function schema(provider) {
  const rows = [];
  for (let g = 0; g < GROUPS; g += 1) {
    for (let r = 0; r < ROWS; r += 1) rows.push(`(${g * ROWS + r}, ${g}, 0)`);
  }
  const even = rows.filter((_, i) => Math.floor(i / ROWS) % 2 === 0);
  const engine = provider === 'mariadb' ? ' engine=innodb' : '';
  return ['a', 'b'].map((t) => `
    create table ${t} (id int primary key, grp int not null, v int not null)${engine};
    create index ${t}_grp on ${t} (grp);
    insert into ${t} values ${(t === 'a' ? rows : even).join(', ')};`).join('');
}

const column = (name) => (rows) => rows.map((row) => Number(row[name]));

// Each: { name, both, make(group, random), versions(rows) }. both: two tables.
export const reads = [
  { name: 'group', make: (g) => ['select id, v from a where grp = ?', [g]], versions: column('v') },
  { name: 'literal', make: (g) => [`select v from a where grp = ${g} order by id`], versions: column('v') },
  { name: 'row', make: (g) => [`select v from a where id = ?`, [g * ROWS]], versions: column('v'), rows: 1 },
  { name: 'ends', make: (g) => [`select min(v) as lo, max(v) as hi from a where grp = ${g}`], versions: ([r]) => [Number(r.lo), Number(r.hi)], rows: 2 },
  { name: 'other', both: true, make: (g) => ['select v from b where grp = ?', [g]], versions: column('v') },
  {
    name: 'join', both: true, rows: 2 * ROWS * ROWS,
    make: (g) => ['select a.v as va, b.v as vb from a join b on a.grp = b.grp where a.grp = ? and b.grp = ?', [g, g]],
    versions: (rows) => rows.flatMap((r) => [Number(r.va), Number(r.vb)]),
  },
  {
    name: 'union', both: true, rows: 2 * ROWS,
    make: (g) => [`select id, v from a where grp = ${g} union all select id, v from b where grp = ${g}`], versions: column('v'),
  },
];

// One statement that brings all rows of a group to a version, unless they are
// there already.
export function write(provider, group, version, random) {
  const pick = random();
  if (group % 2 === 0) {
    if (provider === 'mariadb') {
      return ['update a join b on a.grp = b.grp set a.v = ?, b.v = ? where a.grp = ? and b.grp = ? and a.v < ?',
        [version, version, group, group, version]];
    }
    return ['with w as (update a set v = ? where grp = ? and v < ?) update b set v = ? where grp = ? and v < ?',
      [version, group, version, version, group, version]];
  }
  if (pick < 0.94) return ['update a set v = ? where grp = ? and v < ?', [version, group, version]];
  if (pick < 0.97) {
    const ids = Array.from({ length: ROWS }, (_, r) => group * ROWS + r);
    return [`update a set v = ${version} where id in (${ids.join(', ')}) and v < ${version}`];
  }
  return [`update a set v = case when grp = ${group} then ${version} else v end where grp = ${group} and v < ${version}`];
}
