"""T-SQL queries and expressions -> SQLite, with the types of their columns.

A Query holds the scopes of one statement. Types are inferred from CASTs,
columns of tables, functions and literals; where that gives nothing (None) the
values decide. What is not known here is left as it is for SQLite to judge.
"""
from sqltypes import SqlError, Type
from tsql import Group, Tok, commas, name_at, plain, syntax_error

INT, BIGINT, FLOAT = Type('int'), Type('bigint'), Type('float')
SECTIONS = ('INTO', 'FROM', 'WHERE', 'GROUP', 'HAVING', 'ORDER', 'OFFSET', 'FETCH', 'OPTION', 'FOR')
JOINS = ('JOIN', 'INNER', 'LEFT', 'RIGHT', 'FULL', 'CROSS', 'OUTER', 'ON')
HINTS = {'NOLOCK', 'READUNCOMMITTED', 'UPDLOCK', 'HOLDLOCK', 'ROWLOCK', 'TABLOCK', 'TABLOCKX', 'READPAST', 'XLOCK',
         'NOWAIT', 'READCOMMITTED', 'REPEATABLEREAD', 'SERIALIZABLE', 'PAGLOCK', 'SNAPSHOT', 'INDEX', 'FORCESEEK'}

# T-SQL function -> (SQLite function, type of the result)
FUNCTIONS = {
    'LEN': ('tds_len', INT), 'DATALENGTH': ('tds_datalength', INT), 'ISNULL': ('ifnull', None),
    'GETDATE': ('tds_now', Type('datetime')), 'SYSDATETIME': ('tds_now7', Type('datetime2', 0, 7)),
    'GETUTCDATE': ('tds_now', Type('datetime')), 'SYSUTCDATETIME': ('tds_now7', Type('datetime2', 0, 7)),
    'NEWID': ('tds_newid', Type('uniqueidentifier')), 'SUBSTRING': ('substr', None),
    'CHARINDEX': ('tds_charindex', INT), 'UPPER': ('tds_upper', None), 'LOWER': ('tds_lower', None),
    'LEFT': ('tds_left', None), 'RIGHT': ('tds_right', None), 'REPLICATE': ('tds_replicate', None),
    'REVERSE': ('tds_reverse', None), 'CONCAT': ('tds_concat', Type('nvarchar', 4000)), 'SPACE': ('tds_space', None),
    'CHAR': ('char', Type('char', 1)), 'NCHAR': ('char', Type('nchar', 1)), 'UNICODE': ('unicode', INT),
    'ASCII': ('unicode', INT), 'COUNT': ('count', INT), 'COUNT_BIG': ('count', BIGINT), 'SUM': ('sum', None),
    'AVG': ('tds_avg', None), 'MIN': ('min', None), 'MAX': ('max', None), 'ABS': ('abs', None),
    'STRING_AGG': ('group_concat', Type('nvarchar', -1)), 'COALESCE': ('coalesce', None), 'NULLIF': ('nullif', None),
    'IIF': ('iif', None), 'ROUND': ('round', None), 'SQRT': ('tds_sqrt', FLOAT), 'RAND': ('tds_rand', FLOAT),
    'SCOPE_IDENTITY': ('tds_identity', Type('decimal', 38, 0)), 'DB_NAME': ('tds_db_name', Type('nvarchar', 128)),
    'DB_ID': ('tds_db_id', Type('smallint')), 'OBJECT_ID': ('tds_object_id', INT), 'SCHEMA_NAME': ('tds_schema_name', Type('nvarchar', 128)),
    'OBJECT_NAME': ('tds_object_name', Type('nvarchar', 128)), 'SCHEMA_ID': ('tds_schema_id', INT), 'SUSER_SNAME': ('tds_user', Type('nvarchar', 128)),
    'SUSER_NAME': ('tds_user', Type('nvarchar', 128)), 'USER_NAME': ('tds_user', Type('nvarchar', 128)), 'ORIGINAL_LOGIN': ('tds_user', Type('nvarchar', 128)),
    'SESSION_CONTEXT': ('tds_session_context', Type('sql_variant')), 'APP_NAME': ('tds_app', Type('nvarchar', 128)),
    'HOST_NAME': ('tds_host', Type('nvarchar', 128)), 'XACT_STATE': ('tds_xact_state', Type('smallint')),
    'APPLOCK_MODE': ('tds_applock_mode', Type('nvarchar', 32)), 'SESSIONPROPERTY': ('tds_session_property', INT),
    'CONNECTIONPROPERTY': ('tds_connection_property', Type('nvarchar', 128)), 'YEAR': ('tds_year', INT), 'MONTH': ('tds_month', INT),
    'DAY': ('tds_day', INT), 'SERVERPROPERTY': ('tds_server_property', Type('nvarchar', 128)), 'TYPE_NAME': ('tds_type_name', Type('nvarchar', 128)),
    'HASHBYTES': ('tds_hash', Type('varbinary', 8000)), 'DATABASEPROPERTYEX': ('tds_server_property', Type('nvarchar', 128)), 'HAS_PERMS_BY_NAME': ('tds_has_perms', INT),
    'COLUMNPROPERTY': ('tds_column_property', INT), 'CONCAT_WS': ('tds_concat_ws', Type('nvarchar', 4000)),
}
BARE = {'CURRENT_TIMESTAMP': ('tds_now()', Type('datetime')), 'CURRENT_USER': ('tds_user()', Type('nvarchar', 128)),
        'SESSION_USER': ('tds_user()', Type('nvarchar', 128)), 'SYSTEM_USER': ('tds_user()', Type('nvarchar', 128)),
        'USER': ('tds_user()', Type('nvarchar', 128))}
SYSVARS = {'@@VERSION': Type('nvarchar', 300), '@@SERVERNAME': Type('nvarchar', 128), '@@SPID': Type('smallint'),
           '@@LANGUAGE': Type('nvarchar', 128), '@@IDENTITY': Type('decimal', 38, 0)}


def quote(name):
    return '"' + name.replace('"', '""') + '"'


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def find(nodes, *words, start=0):
    for i in range(start, len(nodes)):
        if nodes[i].word in words:
            return i
    return -1


class Query:
    def __init__(self, session):
        self.session = session
        self.ctes = {}

    # ------------------------------------------------------------ tables

    def table(self, parts):
        """(SQLite's name, {column: Type} or None) of a table, view or CTE."""
        if len(parts) == 1 and parts[0].lower() in self.ctes:
            return quote(parts[0]), self.ctes[parts[0].lower()]
        return self.session.resolve(parts)

    # ----------------------------------------------------------- queries

    def query(self, nodes, outer=()):
        """([SQL text], [(name, Type)] or None when not known here)."""
        head = ''
        if nodes and nodes[0].word == 'WITH':
            head, nodes = self.with_(nodes)
        parts, ops, current = [], [], []
        for i, node in enumerate(nodes):
            if node.word in ('UNION', 'EXCEPT', 'INTERSECT'):
                parts.append(current)
                current = []
                ops.append(node.word)
            elif node.word == 'ALL' and not current and ops:
                ops[-1] = 'UNION ALL'
            else:
                current.append(node)
        parts.append(current)
        sql, columns = self.select(parts[0], outer)
        if len(parts) > 1 and ' LIMIT ' in sql:
            sql = f'SELECT * FROM ({sql})'
        for op, part in zip(ops, parts[1:]):
            text, more = self.select(part, outer)
            sql += f' {op} {text}'
            if columns and more and len(columns) == len(more):
                columns = [(name, union_type(a, b)) for (name, a), (_, b) in zip(columns, more)]
        return head + sql, columns

    def with_(self, nodes):
        out, at = [], 1
        while True:
            if at >= len(nodes) or not nodes[at].is_name:
                raise syntax_error('WITH')
            name = nodes[at].name
            at += 1
            names = None
            if nodes[at].kind == 'group':
                names = [n.name for n in nodes[at].nodes if n.is_name]
                at += 1
            if nodes[at].word != 'AS' or at + 1 >= len(nodes) or nodes[at + 1].kind != 'group':
                raise syntax_error(name)
            self.ctes[name.lower()] = dict.fromkeys(names) if names else None
            inner = nodes[at + 1].nodes
            sql, columns = self.query(inner)
            if columns:
                self.ctes[name.lower()] = dict(zip(names or [c[0] for c in columns], [c[1] for c in columns]))
            listed = '(' + ', '.join(map(quote, names)) + ')' if names else ''
            out.append(f'{quote(name)}{listed} AS ({sql})')
            at += 2
            if at < len(nodes) and nodes[at].kind == 'op' and nodes[at].text == ',':
                at += 1
                continue
            return 'WITH ' + ', '.join(out) + ' ', nodes[at:]

    def sections(self, nodes):
        """SELECT's parts: {'LIST': nodes, 'FROM': nodes, ...}."""
        out, name, current = {}, 'LIST', []
        for node in nodes:
            if node.word in SECTIONS and not (node.word == 'FOR' and name == 'FROM'):
                out[name] = current
                name, current = node.word, []
            else:
                current.append(node)
        out[name] = current
        return out

    def select(self, nodes, outer=()):
        if nodes and nodes[0].kind == 'group' and len(nodes) == 1:
            return self.query(nodes[0].nodes, outer)
        if nodes and nodes[0].word == 'VALUES':
            return 'VALUES ' + self.expr(nodes[1:], list(outer)), None
        if not nodes or nodes[0].word != 'SELECT':
            raise syntax_error(nodes[0].text if nodes else 'SELECT')
        parts = self.sections(nodes[1:])
        items, limit, distinct = self.top(parts['LIST'])
        scope, source = list(outer), ''
        if 'FROM' in parts:
            source, mine = self.from_(parts['FROM'], list(outer))
            scope = mine + scope
            source = ' FROM ' + source
        sql, columns = self.list_(items, scope)
        sql = 'SELECT ' + distinct + sql + source
        for section in ('WHERE', 'GROUP', 'HAVING', 'ORDER'):
            if section in parts:
                body = parts[section]
                if section in ('GROUP', 'ORDER'):
                    body = body[1:]
                text = self.expr(body, scope)
                if not text.strip():
                    raise syntax_error(section)
                sql += f" {section}{' BY' if section in ('GROUP', 'ORDER') else ''} {text}"
        if 'OFFSET' in parts:
            count = '-1'
            if 'FETCH' in parts:
                count = self.expr([n for n in parts['FETCH'] if n.word not in ('NEXT', 'FIRST', 'ROWS', 'ROW', 'ONLY')], scope)
            offset = self.expr([n for n in parts['OFFSET'] if n.word not in ('ROWS', 'ROW')], scope)
            limit = f' LIMIT {count} OFFSET {offset}'
        if 'INTO' in parts:
            self.into = name_at(parts['INTO'], 0)[0]
        return sql + limit, columns

    def top(self, nodes):
        distinct, limit = '', ''
        if nodes and nodes[0].word in ('DISTINCT', 'ALL'):
            distinct = nodes[0].word + ' '
            nodes = nodes[1:]
        if nodes and nodes[0].word == 'TOP':
            if len(nodes) < 2:
                raise syntax_error('TOP')
            limit = ' LIMIT ' + self.expr([nodes[1]], [])
            nodes = nodes[2:]
        if not nodes:
            raise syntax_error('SELECT')
        return nodes, limit, distinct

    def list_(self, nodes, scope):
        out, columns, known = [], [], True
        for item in commas(nodes):
            if not item:
                raise syntax_error(',')
            if item[-1].text == '*' and (len(item) == 1 or item[-2].text == '.'):
                of = item[-3].name.lower() if len(item) > 2 else None
                out.append(f'{quote(item[-3].name)}.*' if of else '*')
                for alias, cols in scope:
                    if of is None or alias.lower() == of:
                        known = known and cols is not None
                        columns += list((cols or {}).items())
                if not scope:
                    raise SqlError(263, 'Must specify table to select from.')
                continue
            name, expr = self.alias(item)
            columns.append((name, self.infer(expr, scope)))
            out.append(f'{self.expr(expr, scope)} AS {quote(name)}')
        return ', '.join(out), columns if known else None

    def alias(self, item):
        """(name, expression) of an item of a select list."""
        if len(item) > 2 and item[0].kind in ('word', 'quoted') and item[1].text == '=' and item[1].kind == 'op':
            return item[0].name, item[2:]
        if len(item) > 2 and item[-2].word == 'AS':
            last = item[-1]
            return (last.literal if last.kind == 'string' else last.name), item[:-2]
        last = item[-1]
        if len(item) > 1 and last.is_name and last.word not in ('END', 'NULL') and item[-2].kind != 'op':
            if item[-2].word not in ('OR', 'AND', 'NOT', 'IS', 'COLLATE', 'LIKE', 'OVER'):
                return last.name, item[:-1]
        if last.is_name and last.word not in BARE and last.word not in ('END', 'NULL'):
            if all(n.is_name or n.text == '.' for n in item) and not (len(item) > 1 and item[-2].text != '.'):
                return last.name, item
        return '', item

    def from_(self, nodes, outer):
        out, scope, at, want = [], [], 0, True
        while at < len(nodes):
            node = nodes[at]
            if want:
                text, entry, at = self.source(nodes, at, scope + outer)
                out.append(text)
                scope += entry
                want = False
            elif node.text == ',' and node.kind == 'op':
                out.append(',')
                at, want = at + 1, True
            elif node.word == 'ON':
                end = at + 1
                while end < len(nodes) and nodes[end].word not in JOINS and nodes[end].text != ',':
                    end += 1
                out.append('ON ' + self.expr(nodes[at + 1:end], scope + outer))
                at = end
            elif node.word in JOINS:
                out.append(node.word)
                want = node.word == 'JOIN'
                at += 1
            else:
                raise syntax_error(node.text)
        if want:
            raise syntax_error('FROM')
        return ' '.join(out), scope

    def source(self, nodes, at, scope):
        """One table of FROM: (text, [(alias, columns)], index behind)."""
        node, names = nodes[at], None
        if node.kind == 'group':
            first = node.nodes[0].word if node.nodes else ''
            if first in ('SELECT', 'WITH', 'VALUES'):
                sql, columns = self.query(node.nodes, scope)
                text, cols, alias = f'({sql})', dict(columns) if columns else None, ''
            else:
                text, inner = self.from_(node.nodes, scope)
                return f'({text})', inner, at + 1
            at += 1
        else:
            parts, at = name_at(nodes, at)
            text, cols = self.table(parts)
            alias = parts[-1]
        if at < len(nodes) and nodes[at].kind == 'group' and all(n.word in HINTS or n.text == ',' for n in nodes[at].nodes):
            at += 1
        if at < len(nodes) and nodes[at].word == 'AS':
            at += 1
        if at < len(nodes) and nodes[at].is_name and nodes[at].word not in JOINS + ('WITH',):
            alias = nodes[at].name
            at += 1
            if at < len(nodes) and nodes[at].kind == 'group' and not any(n.word in HINTS for n in nodes[at].nodes):
                names = [n.name for n in nodes[at].nodes if n.is_name]
                at += 1
        if at < len(nodes) and nodes[at].word == 'WITH':
            at += 2
        elif at < len(nodes) and nodes[at].kind == 'group' and all(n.word in HINTS or n.text == ',' for n in nodes[at].nodes):
            at += 1
        if names:
            text = f"(SELECT {', '.join(f'column{i + 1} AS {quote(n)}' for i, n in enumerate(names))} FROM {text})"
            cols = dict.fromkeys(names)
        return f'{text} AS {quote(alias)}' if alias else text, [(alias, cols)], at

    # ------------------------------------------------------- expressions

    def expr(self, nodes, scope):
        out, at = [], 0
        text = self.is_text(nodes, scope)
        while at < len(nodes):
            node = nodes[at]
            following = nodes[at + 1] if at + 1 < len(nodes) else None
            if node.kind == 'group':
                out.append(self.group(node, scope))
            elif node.kind == 'string':
                out.append(literal(node.literal))
            elif node.kind == 'binary':
                digits = node.text[2:]
                out.append(f"X'{'0' * (len(digits) % 2)}{digits}'")
            elif node.kind == 'var':
                out.append(self.session.variable_sql(node.text))
            elif node.kind == 'op' and node.text == '+' and text and out:
                out.append('||')
            elif node.kind == 'op' and node.text in ('/', '%') and out and following is not None:
                # so that a zero is an error, as in SQL Server
                out.append(node.text)
                end = at + 2 + (1 if at + 2 < len(nodes) and nodes[at + 2].kind == 'group' and following.is_name else 0)
                out.append(f'tds_divisor({self.expr(nodes[at + 1:end], scope)})')
                at = end
                continue
            elif node.kind == 'op' and node.text in ('!<', '!>'):
                out.append('>=' if node.text == '!<' else '<=')
            elif node.word == 'COLLATE' and following is not None:
                out.append('COLLATE BINARY' if 'BIN' in following.text.upper() or '_CS_' in following.text.upper() else 'COLLATE NOCASE')
                at += 1
            elif node.is_name and following is not None and following.kind == 'group' and node.word not in ('IN', 'EXISTS', 'AND', 'OR', 'NOT', 'VALUES', 'OVER', 'ANY', 'ALL', 'SOME', 'BY', 'ON', 'THEN', 'ELSE', 'WHEN', 'LIKE', 'BETWEEN', 'CASE', 'IS', 'AS', 'PARTITION', 'ORDER'):
                out.append(self.call(node, following, scope))
                at += 1
            elif node.is_name and (node.kind == 'quoted' or following is not None and following.text == '.' and following.kind == 'op'):
                parts, end = name_at(nodes, at)
                if end < len(nodes) and nodes[end].kind == 'group':
                    out.append(self.call(Tok('word', parts[-1]), nodes[end], scope))
                    end += 1
                else:
                    out.append('.'.join(map(quote, parts[-2:])))
                at = end
                continue
            elif node.word in BARE:
                out.append(BARE[node.word][0])
            elif node.word and '#' in node.text:
                out.append(quote(node.text))
            else:
                out.append(node.text)
            at += 1
        return ' '.join(out)

    def group(self, group, scope):
        first = group.nodes[0].word if group.nodes else ''
        if first in ('SELECT', 'WITH'):
            return f'({self.query(group.nodes, scope)[0]})'
        return f'({self.expr(group.nodes, scope)})'

    def call(self, node, group, scope):
        name, args = node.name.upper(), commas(group.nodes)
        if name in ('CAST', 'TRY_CAST'):
            at = max(i for i, n in enumerate(group.nodes) if n.word == 'AS') if find(group.nodes, 'AS') >= 0 else -1
            if at < 1:
                raise syntax_error(')')
            return self.cast(name, group.nodes[:at], group.nodes[at + 1:], scope)
        if name in ('CONVERT', 'TRY_CONVERT'):
            if len(args) < 2:
                raise syntax_error(')')
            return self.cast(name, args[1], args[0], scope)
        if name in ('DATEADD', 'DATEDIFF', 'DATEPART', 'DATENAME'):
            rest = ', '.join(self.expr(a, scope) for a in args[1:])
            return f"tds_{name.lower()}({literal(plain(args[0]).lower())}, {rest})"
        if name == 'STRING_AGG' and len(args) == 2:
            return f'group_concat({self.expr(args[0], scope)}, {self.expr(args[1], scope)})'
        if name in ('COUNT', 'COUNT_BIG') and plain(group.nodes) == '*':
            return 'count(*)'
        if name not in FUNCTIONS:
            known = ('ROW_NUMBER', 'RANK', 'DENSE_RANK', 'LAG', 'LEAD', 'FIRST_VALUE', 'LAST_VALUE', 'NTILE', 'REPLACE',
                     'LTRIM', 'RTRIM', 'TRIM', 'JSON_VALUE', 'SIGN', 'FLOOR', 'CEILING', 'POWER', 'STR', 'QUOTENAME')
            if name not in known:
                raise SqlError(195, f"'{node.name}' is not a recognized built-in function name.", 15, 10)
            mapped = {'JSON_VALUE': 'json_extract', 'FLOOR': 'tds_floor', 'CEILING': 'tds_ceiling', 'POWER': 'tds_power',
                      'STR': 'tds_str', 'QUOTENAME': 'tds_quotename', 'SIGN': 'sign'}.get(name, name.lower())
        else:
            mapped = FUNCTIONS[name][0]
        inner = self.expr(group.nodes, scope)
        return f'{mapped}({inner})'

    def cast(self, name, expr, typ, scope):
        parsed = Type.parse(plain(typ).replace(' ', ''))
        if parsed.is_sized and typ[-1].kind != 'group':
            parsed.size = 30
        function = 'tds_try_cast' if name.startswith('TRY') else 'tds_cast'
        return f'{function}({self.expr(expr, scope)}, {literal(parsed.text())})'

    # ------------------------------------------------------------- types

    def is_text(self, nodes, scope):
        """Does + between these mean concatenation?"""
        if not any(n.kind == 'op' and n.text == '+' for n in nodes):
            return False
        return any(n.kind == 'string' for n in nodes) or any(
            typ is not None and typ.is_text for typ in self.operand_types(nodes, scope))

    def operand_types(self, nodes, scope):
        at = 0
        while at < len(nodes):
            if nodes[at].kind == 'op':
                at += 1
                continue
            end = at + 1
            while end < len(nodes) and (nodes[end].kind == 'group' and nodes[end - 1].is_name or
                                        nodes[end].text == '.' or nodes[end - 1].text == '.' and nodes[end - 1].kind == 'op'):
                end += 1
            yield self.infer(nodes[at:end], scope)
            at = end

    def infer(self, nodes, scope):
        if not nodes:
            return None
        first = nodes[0]
        if len(nodes) == 1:
            return self.infer_one(first, scope)
        if first.is_name and nodes[1].kind == 'group' and (len(nodes) == 2 or nodes[2].word == 'OVER'):
            return self.infer_call(first.name.upper(), nodes[1], scope)
        if all(n.is_name or n.text == '.' for n in nodes) and nodes[1].text == '.':
            return self.column(nodes[-1].name, nodes[-3].name, scope)
        if first.word == 'CASE':
            types = [self.infer(nodes[i + 1:find(nodes, 'WHEN', 'ELSE', 'END', start=i + 1)], scope)
                     for i, n in enumerate(nodes) if n.word in ('THEN', 'ELSE') and find(nodes, 'WHEN', 'ELSE', 'END', start=i + 1) > 0]
            return fold(types)
        if first.kind == 'op' and first.text in '+-' and len(nodes) == 2:
            return self.infer_one(nodes[1], scope)
        if any(n.kind == 'op' and n.text in ('+', '-', '*', '/', '%', '&', '|', '^') for n in nodes):
            types = list(self.operand_types(nodes, scope))
            if any(t is not None and t.is_date for t in types):
                return next(t for t in types if t is not None and t.is_date)
            return fold(types)
        if 'COLLATE' in [n.word for n in nodes]:
            return self.infer(nodes[:find(nodes, 'COLLATE')], scope)
        return None

    def infer_one(self, node, scope):
        if node.kind == 'string':
            size = max(1, len(node.literal.encode('utf-16le')) // 2)
            wide = node.text[0] in 'nN'
            return Type('nvarchar' if wide else 'varchar', size if size <= (4000 if wide else 8000) else -1)
        if node.kind == 'number':
            if 'e' in node.text.lower():
                return FLOAT
            if '.' not in node.text:
                return INT if int(node.text) < 2**31 else Type('numeric', len(node.text), 0)
            whole, _, part = node.text.partition('.')
            return Type('numeric', max(1, len(whole.lstrip('0')) + len(part)), len(part))
        if node.kind == 'binary':
            return Type('varbinary', max(1, len(node.text) // 2 - 1))
        if node.kind == 'var':
            return SYSVARS.get(node.text.upper(), INT) if node.text.startswith('@@') else self.session.variable_type(node.text)
        if node.kind == 'group':
            if node.nodes and node.nodes[0].word == 'SELECT':
                columns = self.query(node.nodes, scope)[1]
                return columns[0][1] if columns else None
            return self.infer(node.nodes, scope)
        if node.word == 'NULL':
            return None
        if node.word in BARE:
            return BARE[node.word][1]
        return self.column(node.name, None, scope)

    def infer_call(self, name, group, scope):
        args = commas(group.nodes)
        if name in ('CAST', 'TRY_CAST', 'CONVERT', 'TRY_CONVERT'):
            typ = args[0] if 'CONVERT' in name else group.nodes[max(i for i, n in enumerate(group.nodes) if n.word == 'AS') + 1:]
            parsed = Type.parse(plain(typ).replace(' ', ''))
            if parsed.is_sized and typ[-1].kind != 'group':
                parsed.size = 30
            return parsed
        if name in ('DATEDIFF', 'DATEPART'):
            return INT
        if name == 'DATEADD':
            typ = self.infer(args[-1], scope)
            return typ if typ is not None and typ.is_date else Type('datetime')
        if name in ('ROW_NUMBER', 'RANK', 'DENSE_RANK', 'NTILE'):
            return BIGINT
        known = FUNCTIONS.get(name, (None, None))[1]
        if known is not None:
            return known
        if name == 'IIF':
            return fold([self.infer(a, scope) for a in args[1:]])
        if name in ('COALESCE', 'NULLIF', 'ISNULL'):
            return self.infer(args[0], scope) or (fold([self.infer(a, scope) for a in args[1:]]) if name != 'NULLIF' else None)
        if name in ('UPPER', 'LOWER', 'LTRIM', 'RTRIM', 'TRIM', 'SUBSTRING', 'LEFT', 'RIGHT', 'REPLACE', 'REVERSE'):
            typ = self.infer(args[0], scope)
            return Type(typ.name if typ.name in ('varchar', 'nvarchar') else 'nvarchar', typ.size if typ.is_sized else -1) if typ is not None and typ.is_text else None
        if name == 'REPLICATE':
            return Type('nvarchar', -1)
        if name == 'SUM':
            typ = self.infer(args[0], scope)
            if typ is not None and typ.name in ('tinyint', 'smallint'):
                return INT
            return Type(typ.name, 38, typ.scale) if typ is not None and typ.name in ('decimal', 'numeric') else typ
        if name in ('MIN', 'MAX', 'ABS', 'AVG', 'ROUND', 'LAG', 'LEAD', 'FIRST_VALUE', 'LAST_VALUE'):
            return self.infer(args[0], scope)
        return None

    def column(self, name, of, scope):
        for alias, cols in scope:
            if of is not None and alias.lower() != of.lower():
                continue
            for column, typ in (cols or {}).items():
                if column.lower() == name.lower():
                    return typ
        return None


RANK = ['sql_variant', 'datetimeoffset', 'datetime2', 'datetime', 'smalldatetime', 'date', 'time', 'float', 'real',
        'decimal', 'numeric', 'money', 'smallmoney', 'bigint', 'int', 'smallint', 'tinyint', 'bit', 'ntext', 'text',
        'image', 'uniqueidentifier', 'xml', 'nvarchar', 'nchar', 'varchar', 'char', 'varbinary', 'binary']


def union_type(a, b):
    """Data type precedence, roughly; NULL literals have no type."""
    if a is None or b is None:
        return a if b is None else b
    first, second = (a, b) if RANK.index(a.name) <= RANK.index(b.name) else (b, a)
    if first.is_sized and second.is_sized:
        return Type(first.name, -1 if -1 in (a.size, b.size) else max(a.size, b.size))
    if first.name in ('decimal', 'numeric') and second.name in ('decimal', 'numeric'):
        scale = max(a.scale, b.scale)
        return Type(first.name, min(38, max(a.size - a.scale, b.size - b.scale) + scale), scale)
    return first


def fold(types):
    known = [t for t in types if t is not None]
    out = known[0] if known else None
    for typ in known[1:]:
        out = union_type(out, typ)
    return out
