// What a guide tells its reader to type: the commands of its fenced blocks (sh)
// with the output that is shown below them (a block of text), its programs (js)
// and the commands within its sentences.
import assert from 'node:assert/strict';
import fs from 'node:fs';

// First words by which a command within a sentence is known.
const PROGRAMS = /^((psctl|portside-(agent|controlplane)|npm|npx|node|deno|curl|apt|cmake|ctest|prometheus|promtool|ansible-playbook) |scripts\/[a-z-]+$|\.\/[a-z-]+\.sh)/;

const oneLine = (text) => text.replace(/\\\n/g, ' ').replace(/\s+/g, ' ').trim();

// Without what bash takes as a comment; quotes of these guides hold no #.
const uncommented = (line) => line.replace(/(^|\s)#.*$/, '');

// The commands of one block, each on one line.
export function commands(block) {
  const text = block.split('\n').map(uncommented).join('\n').replace(/\\\n/g, ' ');
  const list = [];
  let open = '';
  for (const line of text.split('\n')) {
    open = open ? `${open}\n${line}` : line;
    if ((open.match(/'/g)?.length ?? 0) % 2) continue; // a quoted text goes on
    if (open.trim()) list.push(oneLine(open));
    open = '';
  }
  assert.equal(open, '', `a quote is not closed: ${open}`);
  return list;
}

// [{ kind: 'command', text, output } | { kind: 'program', text } |
//  { kind: 'mention', text }], in the order of the guide.
export function read(file) {
  const found = [];
  let fence = null;
  let block = [];
  const sentences = (text) => {
    for (const [, code] of text.matchAll(/`([^`]+)`/g)) {
      const command = oneLine(code);
      if (PROGRAMS.test(command)) found.push({ kind: 'mention', text: command });
    }
  };
  let prose = '';
  for (const line of fs.readFileSync(file, 'utf8').split('\n')) {
    const mark = /^\s*```(\w*)/.exec(line);
    if (!mark && fence === null) prose += `${line}\n`;
    else if (!mark) block.push(line);
    else if (fence === null) {
      sentences(prose);
      [prose, fence, block] = ['', mark[1], []];
    } else {
      const indent = Math.min(...block.filter((l) => l.trim()).map((l) => /^ */.exec(l)[0].length));
      const text = block.map((l) => l.slice(indent)).join('\n');
      if (fence === 'sh') found.push(...commands(text).map((command) => ({ kind: 'command', text: command })));
      else if (fence === 'js') found.push({ kind: 'program', text });
      else if (fence === 'text') {
        const last = found.at(-1);
        assert.equal(last?.kind, 'command', `${file}: output of no command:\n${text}`);
        last.output = text;
      } else assert.equal(fence, '', `${file}: a block of ${fence}: say here what becomes of it`);
      fence = null;
    }
  }
  sentences(prose);
  return found;
}

// What differs from run to run is no difference: ids, addresses, ports, numbers.
export function normalised(text) {
  return text.replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'ID')
    .replace(/\d+(\.\d+)*/g, 'N').replace(/[ \t\r]+/g, ' ').replace(/ ?\n ?/g, '\n').trim();
}

// Every line that the guide shows comes, in this order; others may be between.
export function assertShown(shown, real, what) {
  const lines = normalised(real).split('\n');
  let at = 0;
  for (const line of normalised(shown).split('\n')) {
    if (/^(\.\.\.)?$/.test(line)) continue;
    const next = lines.indexOf(line, at);
    assert.ok(next >= 0, `${what} does not say what its guide shows:\n${line}\nbut:\n${lines.slice(at).join('\n')}`);
    at = next + 1;
  }
}
