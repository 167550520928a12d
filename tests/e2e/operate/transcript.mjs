// What a command said, as text that is the same in every run: ids, times, ports,
// tokens and durations get names; columns lose their padding.

const uuid = /\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g;

// Members of JSON documents that are measured, not set.
const measured = ['appliedNumber', 'bytes', 'cacheability', 'configVersion', 'hitRatio', 'invalidationNumber',
  'leaseMs', 'meanMs', 'originTimeMs', 'p50Ms', 'p95Ms', 'p99Ms', 'staleRate', 'timeMs', 'timeSavedMs', 'timeUs',
  'totalMs', 'number'];

export class Normal {
  // known: [[text or pattern, name]], replaced first and in this order.
  constructor(known) { this.known = known; }

  // Ids are numbered from 1 in each text.
  of(text) {
    const ids = new Map();
    let out = text;
    for (const [from, to] of this.known) out = out.replaceAll(from, to);
    out = out.replace(uuid, (id) => {
      if (!ids.has(id)) ids.set(id, `<id ${ids.size + 1}>`);
      return ids.get(id);
    });
    out = out
      .replace(/\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z| UTC)?/g, '<time>')
      .replace(/\bps[kj](_|1\.)[A-Za-z0-9_-]{20,}/g, '<token>')
      .replace(/\b[0-9a-f]{64}\b/gi, '<sha256>')
      .replace(new RegExp(`"(${measured.join('|')})": -?[\\d.e+-]+`, 'g'), '"$1": <n>')
      .replace(/"age": "\d+"/g, '"age": "<n>"')
      .replace(/("ageMs": )\d+(,\s+"ttlMs": )\d+/g, '$1<n>$2<n>')
      .replace(/\b(age|ttl)=\d+/g, '$1=<n>')
      .replace(/^(config version|invalidations|#)( +)\d+/gm, '$1$2<n>')
      .replace(/(?<![\w.])\d+(\.\d+)? ?(ms|us)\b(?!")/g, '<duration>')
      .replace(/(?<![\w.])\d+\.\d+(?![\w.])/g, '<n>')
      .replace(/[▁▂▃▄▅▆▇█]+/g, '<spark>');
    return byAgent(out.split('\n').map(narrow)).join('\n');
  }
}

// Columns are as wide as what is in them; what was typed stays.
function narrow(line) {
  const typed = line.startsWith('< ');
  return (typed ? line : line.replace(/(\S) {2,}/g, '$1  ')
    .replace(/^(.*  connected  .*<time>)  \d+  \d+/, '$1  <n>  <n>')).trimEnd();
}

// What agents tell comes as they tell it: lines in a row that begin with one go
// by agent, each agent's in their order.
function byAgent(lines) {
  const of = (line) => line?.match(/^([a-z]+-[a-z]+) <[a-z]+-[a-z]+ agent>: /)?.[1];
  const out = [];
  for (let i = 0; i < lines.length;) {
    let end = i;
    while (of(lines[end])) end += 1;
    const agents = [...new Set(lines.slice(i, end).map(of))].sort();
    out.push(...agents.flatMap((a) => lines.slice(i, end).filter((l) => of(l) === a)));
    if (end === i) { out.push(lines[i]); end += 1; }
    i = end;
  }
  return out;
}

// Into how many minutes what happened falls is chance.
export function withoutSeries(text) {
  return JSON.stringify(JSON.parse(text), (key, value) => (key === 'series' ? '<series>' : value), 2);
}

// One command of a transcript. Standard error is set apart by "! ".
export function entry(words, { code, stdout, stderr, input }) {
  const quoted = words.map((w) => (/^[\w@%+=:,./<>-]+$/.test(w) ? w : `'${w.replaceAll("'", "'\\''")}'`));
  const lines = [`$ psctl ${quoted.join(' ')}`];
  if (input !== undefined) lines.push(...input.trimEnd().split('\n').map((l) => `< ${l}`));
  if (stdout) lines.push(stdout.trimEnd());
  if (stderr) lines.push(...stderr.trimEnd().split('\n').map((l) => `! ${l}`));
  if (code !== 0) lines.push(`[exit ${code}]`);
  return `${lines.join('\n')}\n`;
}
