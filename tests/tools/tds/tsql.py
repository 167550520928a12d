"""T-SQL text -> tokens -> a tree of parentheses -> statements.

Statements need no semicolon in T-SQL: a keyword that can begin one does,
unless what came before still wants it (INSERT ... SELECT, UNION SELECT, the
SET of an UPDATE, ON DELETE CASCADE, ...).
"""
import re

from sqltypes import SqlError

_TOKEN = re.compile(r"""
    (?P<space>\s+|--[^\n]*)
  | (?P<comment>/\*)
  | (?P<string>[nN]?'(?:[^']|'')*')
  | (?P<quoted>\[(?:[^\]]|\]\])*\]|"(?:[^"]|"")*")
  | (?P<binary>0[xX][0-9a-fA-F]*)
  | (?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)
  | (?P<var>@@?[\w$#@]+)
  | (?P<word>[^\W\d]\w*[\w$#@]*|\#\#?[\w$#@]+)
  | (?P<op><>|<=|>=|!=|!<|!>|\+=|-=|\*=|/=|::|[-+*/%&|^~=<>(),.;:?$])
""", re.X)


class Tok:
    __slots__ = ('kind', 'text')

    def __init__(self, kind, text):
        self.kind, self.text = kind, text

    def __repr__(self):
        return self.text

    @property
    def word(self):
        return self.text.upper() if self.kind == 'word' else ''

    @property
    def is_name(self):
        return self.kind in ('word', 'quoted')

    @property
    def name(self):
        if self.kind != 'quoted':
            return self.text
        close = self.text[-1]
        return self.text[1:-1].replace(close * 2, close)

    @property
    def literal(self):
        return self.text[self.text.index("'") + 1:-1].replace("''", "'")


class Group:
    __slots__ = ('nodes',)
    kind, word, is_name, text = 'group', '', False, '('

    def __init__(self, nodes):
        self.nodes = nodes

    def __repr__(self):
        return f'({self.nodes})'


def syntax_error(near):
    return SqlError(102, f"Incorrect syntax near '{near}'.", 15)


def tokens(text):
    out, at, depth = [], 0, 0
    while at < len(text):
        m = _TOKEN.match(text, at)
        if not m:
            if text[at] in '\'"[' or text[at:at + 2] in ("N'", "n'"):
                raise SqlError(105, f"Unclosed quotation mark after the character string '{text[at + 1:at + 40]}'.", 15)
            raise syntax_error(text[at])
        at = m.end()
        if m.lastgroup == 'comment':  # they nest
            depth = 1
            while depth:
                end, begin = text.find('*/', at), text.find('/*', at)
                if end < 0:
                    raise SqlError(113, "Missing end comment mark '*/'.", 15)
                inner = 0 <= begin < end
                depth += 1 if inner else -1
                at = (begin if inner else end) + 2
        elif m.lastgroup != 'space':
            out.append(Tok(m.lastgroup, m.group()))
    return out


def nest(flat):
    stack = [[]]
    for t in flat:
        if t.kind == 'op' and t.text == '(':
            stack.append([])
        elif t.kind == 'op' and t.text == ')':
            if len(stack) == 1:
                raise syntax_error(')')
            group = Group(stack.pop())
            stack[-1].append(group)
        else:
            stack[-1].append(t)
    if len(stack) > 1:
        raise syntax_error(flat[-1].text)
    return stack[0]


BEGINS = {'SELECT', 'INSERT', 'UPDATE', 'DELETE', 'CREATE', 'DROP', 'ALTER', 'TRUNCATE', 'BEGIN', 'COMMIT',
          'ROLLBACK', 'SAVE', 'SET', 'PRINT', 'RAISERROR', 'THROW', 'WAITFOR', 'USE', 'EXEC', 'EXECUTE', 'DECLARE',
          'IF', 'ELSE', 'END', 'WITH', 'KILL', 'MERGE', 'RETURN', 'DBCC', 'GRANT', 'DENY', 'REVOKE', 'CHECKPOINT'}


def _continues(statement, word):
    """Does this keyword still belong to the statement so far?"""
    first, last = statement[0].word, statement[-1].word
    words = [n.word for n in statement]
    if word == 'SELECT':
        if last in ('UNION', 'ALL', 'EXCEPT', 'INTERSECT', 'AS'):
            return True
        return first in ('INSERT', 'WITH') and 'SELECT' not in words and 'VALUES' not in words
    if word in ('INSERT', 'UPDATE', 'DELETE', 'MERGE') and first == 'WITH':
        return not {'SELECT', 'INSERT', 'UPDATE', 'DELETE'} & set(words)
    if word in ('EXEC', 'EXECUTE'):
        return first == 'INSERT' and not {'SELECT', 'VALUES'} & set(words)
    if word == 'SET':
        return ('UPDATE' in words and 'SET' not in words) or (first == 'ALTER' and 'SET' not in words)
    if word == 'WITH':
        return first != 'WITH' and first not in ('SET', 'PRINT', 'USE', 'DECLARE', 'BEGIN', 'COMMIT')
    if word in ('UPDATE', 'DELETE'):
        return last in ('ON', 'FOR', 'AFTER', ',')
    if word in ('DROP', 'ALTER'):
        return first == 'ALTER' and word == 'DROP'
    if word == 'END':
        depth = sum((w == 'CASE') - (w == 'END') for w in words)
        return depth > 0
    if word == 'ELSE':
        return sum((w == 'CASE') - (w == 'END') for w in words) > 0
    return False


def split(nodes):
    """A batch as a list of statements. CREATE VIEW and the like take the rest."""
    out, current = [], []
    for node in nodes:
        if node.text == ';' and node.kind == 'op':
            if current:
                out.append(current)
            current = []
            continue
        whole = (len(current) > 1 and current[0].word in ('CREATE', 'ALTER') and
                 current[1].word in ('VIEW', 'PROC', 'PROCEDURE', 'FUNCTION', 'TRIGGER'))
        if current and node.word in BEGINS and not whole and not _continues(current, node.word):
            out.append(current)
            current = []
        current.append(node)
    if current:
        out.append(current)
    return out


def commas(nodes):
    """Split at top-level commas; [] gives []."""
    parts, current = [], []
    for node in nodes:
        if node.kind == 'op' and node.text == ',':
            parts.append(current)
            current = []
        else:
            current.append(node)
    if current or parts:
        parts.append(current)
    return parts


def plain(nodes):
    """Back to text, as it was but for white space."""
    return ' '.join(f'({plain(n.nodes)})' if n.kind == 'group' else n.text for n in nodes)


def name_at(nodes, at):
    """A dotted name: ([parts], index behind it)."""
    parts = []
    while at < len(nodes):
        if nodes[at].is_name:
            parts.append(nodes[at].name)
            at += 1
        elif nodes[at].kind == 'op' and nodes[at].text == '.':
            parts.append('')
        else:
            break
        if at < len(nodes) and nodes[at].kind == 'op' and nodes[at].text == '.':
            at += 1
        else:
            break
    if not parts:
        raise syntax_error(nodes[at].text if at < len(nodes) else 'end of statement')
    return parts, at
