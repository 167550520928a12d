"""CREATE TABLE and its columns: T-SQL -> SQLite and _tds_columns."""
from sqltypes import Type
from translate import quote
from tsql import commas, name_at, plain, syntax_error

NOISE = {'CLUSTERED', 'NONCLUSTERED', 'ASC', 'DESC'}


def _keys(query, nodes, has_identity):
    """A constraint of the table."""
    out, at = [], 0
    while at < len(nodes):
        node = nodes[at]
        if node.word == 'CONSTRAINT':
            at += 2
            continue
        if node.word == 'PRIMARY' and has_identity:
            out.append('UNIQUE')
            at += 2
            continue
        if node.word == 'REFERENCES':
            parts, at = name_at(nodes, at + 1)
            out.append('REFERENCES ' + quote(query.session.local_name(parts)))
            continue
        if node.word == 'WITH':
            break
        if node.word not in NOISE:
            if node.kind == 'group':
                out.append('(' + ', '.join(query.expr([n for n in part if n.word not in NOISE], []) for part in commas(node.nodes)) + ')')
            else:
                out.append(query.expr([node], []))
        at += 1
    return ' '.join(out)


def _column(query, nodes):
    """(SQL, name, Type, nullable, identity)."""
    if len(nodes) < 2 or not nodes[0].is_name or not nodes[1].is_name:
        raise syntax_error(nodes[0].text)
    name, at = nodes[0].name, 2
    text = nodes[1].name
    if at < len(nodes) and nodes[at].kind == 'group':
        text += '(' + plain(nodes[at].nodes).replace(' ', '') + ')'
        at += 1
    typ = Type.parse(text)
    nullable, identity, out = True, False, []
    while at < len(nodes):
        node = nodes[at]
        following = nodes[at + 1] if at + 1 < len(nodes) else None
        if node.word == 'NOT' and following is not None and following.word == 'NULL':
            nullable = False
            out.append('NOT NULL')
            at += 2
        elif node.word == 'NULL' or node.word in NOISE:
            at += 1
        elif node.word == 'IDENTITY':
            identity, nullable = True, False
            at += 2 if following is not None and following.kind == 'group' else 1
        elif node.word == 'PRIMARY':
            nullable = False
            out.append('PRIMARY KEY NOT NULL')
            at += 2
        elif node.word == 'CONSTRAINT' or node.word == 'COLLATE':
            if node.word == 'COLLATE' and 'BIN' in following.text.upper():
                out.append('COLLATE BINARY')
            at += 2
        elif node.word == 'DEFAULT':
            end = at + 1
            while end < len(nodes) and nodes[end].word not in ('NOT', 'CONSTRAINT', 'PRIMARY', 'UNIQUE', 'CHECK', 'REFERENCES') and not (
                    nodes[end].word == 'NULL' and end > at + 1):
                end += 1
            out.append(f'DEFAULT ({query.expr(nodes[at + 1:end], [])})')
            at = end
        elif node.word == 'REFERENCES':
            parts, at = name_at(nodes, at + 1)
            out.append('REFERENCES ' + quote(query.session.local_name(parts)))
        else:
            out.append(query.expr([node], []))
            at += 1
    if identity:
        return f'{quote(name)} INTEGER PRIMARY KEY AUTOINCREMENT', name, typ, False, True
    affinity = typ.affinity if typ.name != 'uniqueidentifier' else 'TEXT COLLATE NOCASE'
    return f'{quote(name)} {affinity} ' + ' '.join(out), name, typ, nullable, False


def create_table(query, parts, group):
    """(SQL, columns for _tds_columns)."""
    items = [i for i in commas(group.nodes) if i]
    constraints = ('CONSTRAINT', 'PRIMARY', 'UNIQUE', 'FOREIGN', 'CHECK')
    made = [_column(query, i) for i in items if i[0].word not in constraints and i[0].word != 'INDEX']
    has_identity = any(c[4] for c in made)
    if has_identity:
        made = [(c[0].replace('PRIMARY KEY NOT NULL', 'UNIQUE') if not c[4] else c[0], *c[1:]) for c in made]
    sql = [c[0] for c in made] + [_keys(query, i, has_identity) for i in items if i[0].word in constraints]
    return f"CREATE TABLE {query.session.sqlite_name(parts)} ({', '.join(sql)})", [c[1:] for c in made]
