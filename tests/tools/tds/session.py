"""One login's session: runs statements and keeps what SQL Server keeps between
requests (options, #tables, SESSION_CONTEXT, application locks, the transaction).

Runs on the connection's own thread; `attend` and `closed` are set, and SQLite
interrupted, from the thread that reads the connection.
"""
import re
import sqlite3
import threading
import time

import storage
from ddl import create_table
from functions import install
from sqltypes import SqlError, Type
from translate import Query, find, fold, literal, quote
from tsql import commas, name_at, nest, plain, split, syntax_error, tokens

DEFAULTS = {'textsize': '2147483647', 'lock_timeout': '-1', 'language': 'us_english', 'dateformat': 'mdy',
            'datefirst': '7', 'ansi_nulls': 'on', 'ansi_warnings': 'on', 'ansi_padding': 'on', 'arithabort': 'on',
            'quoted_identifier': 'on', 'concat_null_yields_null': 'on', 'nocount': 'off', 'xact_abort': 'off',
            'implicit_transactions': 'off', 'numeric_roundabort': 'off', 'rowcount': '0', 'context_info': ''}
LEVELS = {'READ UNCOMMITTED': 1, 'READ COMMITTED': 2, 'REPEATABLE READ': 3, 'SERIALIZABLE': 4, 'SNAPSHOT': 5}
WAIT = 0.005


class Attention(Exception):
    """The client wants the running request to end."""


class Abort(Exception):
    """The batch ends here; its error has been told."""


class Session:
    def __init__(self, server, login, spid, database):
        self.server, self.login, self.spid, self.user = server, login, spid, login['user']
        self.home = self.database = database
        self.attend, self.closed = threading.Event(), threading.Event()
        self.busy, self.fault, self.out = False, None, None
        self.prepared, self.next_handle = {}, 1
        self.open()

    def open(self):
        """A session as after login, also after RESETCONNECTION."""
        self.sqlite = sqlite3.connect(':memory:', isolation_level=None, check_same_thread=False, timeout=0)
        self.sqlite.execute('pragma foreign_keys = on')
        self.sqlite.execute('pragma temp_store = memory')
        self.attached = set()
        install(self, self.sqlite)
        self.server.storage.attach(self.sqlite, self.attached)
        self.options, self.isolation = dict(DEFAULTS), 2
        self.context, self.identity, self.trancount = {}, None, 0
        self.rowcount, self.error_number, self.nest = 0, 0, 0
        self.variables, self.wrote = {}, False

    def close(self):
        self.server.release_applocks(self.spid)
        try:
            self.sqlite.close()
        except sqlite3.Error:
            pass

    def reset(self):
        self.close()
        self.database = self.home
        self.open()

    # ------------------------------------------------- names and variables

    def resolve(self, parts, depth=0):
        self.server.storage.attach(self.sqlite, self.attached)
        lower = '.'.join(parts[-2:]).lower()
        if len(parts) > 1 and lower in storage.VIEWS:
            return self.system_view(lower), dict(storage.VIEWS[lower])
        database, name = storage.split_name(parts, self.database)
        columns = storage.columns_of(self.sqlite, database, name)
        if columns is None:
            row = database != 'temp' and database in self.attached and self.sqlite.execute(
                f"select definition from {quote(database)}._tds_objects where name = ? and kind = 'SN'", (name,)).fetchone()
            if not row or depth > 4:
                raise SqlError(208, f"Invalid object name '{'.'.join(p for p in parts if p)}'.")
            return self.resolve(row[0].replace('[', '').replace(']', '').split('.'), depth + 1)
        if self.touched is not None:
            self.touched.add(name)
        return f'{quote(database)}.{quote(name)}', columns

    touched = None

    def sqlite_name(self, parts):
        database, name = storage.split_name(parts, self.database)
        if database != 'temp' and database not in self.attached:
            raise SqlError(911, f"Database '{database}' does not exist. Make sure that the name is entered correctly.")
        return f'{quote(database)}.{quote(name)}'

    def local_name(self, parts):
        return storage.split_name(parts, self.database)[1]

    def system_view(self, view):
        name = f'temp.{quote(view)}'
        self.sqlite.execute(f'drop table if exists {name}')
        columns = storage.VIEWS[view]
        self.sqlite.execute(f"create temp table {quote(view)} ({', '.join(quote(c) + ' ' + t.affinity for c, t in columns)})")
        self.sqlite.executemany(f"insert into {name} values ({','.join('?' * len(columns))})", storage.rows(self, view))
        return name

    def variable_sql(self, text):
        if text.startswith('@@'):
            return f'tds_sysvar({literal(text.lower())})'
        if text.lower() not in self.variables:
            raise SqlError(137, f'Must declare the scalar variable "{text}".', 15, 2)
        return ':v' + ''.join(f'{ord(c):x}' if not c.isalnum() else c for c in text.lower())

    def variable_type(self, text):
        return self.variables.get(text.lower(), (None,))[0]

    def bindings(self):
        return {self.variable_sql(name)[1:]: value for name, (_, value) in self.variables.items()}

    def sysvar(self, name):
        return {
            '@@spid': self.spid, '@@trancount': self.trancount, '@@rowcount': self.rowcount, '@@error': self.error_number,
            '@@identity': self.identity, '@@language': self.options['language'], '@@nestlevel': self.nest,
            '@@lock_timeout': int(self.options['lock_timeout']), '@@textsize': int(self.options['textsize']),
            '@@datefirst': int(self.options['datefirst']), '@@servername': self.server.name, '@@max_precision': 38,
            '@@version': 'Microsoft SQL Server 2019 (test server over SQLite) - 15.0.2000.5', '@@options': 5496,
            '@@microsoftversion': 0x0F0007D0,
        }.get(name)

    def connection_property(self, name):
        return {'net_transport': 'TCP', 'client_net_address': '127.0.0.1', 'protocol_type': 'TSQL',
                'encrypt_option': 'TRUE'}.get(name.lower())

    def object_id(self, name):
        parts = [p.strip('[]"') for p in (name or '').split('.')]
        if parts[0].lower() == 'tempdb':
            parts = parts[-1:]
        try:
            if '.'.join(parts[-2:]).lower() not in storage.VIEWS:
                self.resolve(parts)
            return storage.object_id(storage.split_name(parts, self.database)[1])
        except SqlError:
            return None

    def object_name(self, number, *_):
        for o in storage._objects(self):
            if storage.object_id(o[5]) == number:
                return o[1]
        return None

    # ------------------------------------------------------------ batches

    def run(self, text, out, variables=None):
        """A batch: results and errors go to out, an Outcome of server.py."""
        before, self.out = (self.variables, self.out), out
        if variables is not None:
            self.variables = variables
        try:
            self.block(split(nest(tokens(text))))
        except SqlError as error:
            self.tell(error)
        except (Abort, RecursionError):
            pass
        finally:
            self.variables, self.out = before
            if not self.nest:
                self.variables = {}

    def tell(self, error):
        self.error_number = error.number
        self.out.error(error)
        if error.number in (1205, 3930) or self.options['xact_abort'] == 'on' and self.trancount:
            self.rollback()

    def block(self, statements):
        skip, at = None, 0
        while at < len(statements):
            statement = statements[at]
            first = statement[0].word
            at += 1
            if first == 'ELSE':
                if not skip:
                    statements = statements[:at - 1] + statements[self.after(statements, at, statement[1:]):] if skip is False else statements
                    skip = None
                    continue
                skip = None
                if statement[1:]:
                    self.one(statement[1:])
                continue
            if first == 'IF':
                skip = not self.condition(statement[1:])
                if skip:
                    at = self.after(statements, at, [])
                continue
            if first == 'BEGIN' and len(statement) == 1 or first == 'END':
                continue
            self.one(statement)
            if not (at < len(statements) and statements[at][0].word == 'ELSE'):
                skip = None

    @staticmethod
    def after(statements, at, rest):
        """Index behind the statement (or BEGIN ... END) at `at`."""
        if rest:
            return at
        if at < len(statements) and len(statements[at]) == 1 and statements[at][0].word == 'BEGIN':
            depth = 0
            while at < len(statements):
                if len(statements[at]) == 1:
                    depth += (statements[at][0].word == 'BEGIN') - (statements[at][0].word == 'END')
                at += 1
                if depth == 0:
                    break
            return at
        return at + 1

    def condition(self, nodes):
        sql = Query(self).expr(nodes, [])
        return bool(self.fetch(f'SELECT CASE WHEN {sql} THEN 1 ELSE 0 END')[0][0])

    # Errors that end the whole batch, as failed compilation does.
    FATAL = (102, 105, 113, 137, 156, 195, 207, 208, 245, 241, 911, 2812, 8114, 8115, 263, 2715)

    def one(self, statement):
        if self.attend.is_set() or self.closed.is_set():
            raise Attention
        self.fault = None
        kind = statement[0].word
        method = getattr(self, 'do_' + kind.lower(), None)
        try:
            if statement[0].kind == 'group':
                method = self.do_select
            if method is None:
                if not statement[0].is_name or self.nest > 32:
                    raise syntax_error(statement[0].text)
                self.do_exec([None] + statement)
            else:
                if self.options['implicit_transactions'] == 'on' and not self.trancount and kind in (
                        'SELECT', 'INSERT', 'UPDATE', 'DELETE', 'CREATE', 'DROP'):
                    self.begin()
                method(statement)
            self.error_number = 0
        except sqlite3.Error as error:
            self.failed(self.translate_error(error))
        except SqlError as error:
            self.failed(error)
        except (IndexError, AttributeError):
            self.failed(syntax_error(statement[-1].text))

    def failed(self, error):
        if self.attend.is_set() or self.closed.is_set():
            raise Attention
        self.tell(error)
        self.out.done(None)
        if error.number in self.FATAL or error.cls >= 19 or self.options['xact_abort'] == 'on':
            raise Abort
        if getattr(error, 'thrown', False):
            raise Abort

    def translate_error(self, error):
        text = str(error)
        if self.fault:
            return self.fault
        if 'interrupted' in text:
            raise Attention
        for pattern, number, message, cls in (
                (r'UNIQUE constraint failed: (.*)', 2627, 'Violation of UNIQUE KEY constraint. Cannot insert duplicate key in object \'dbo.{0}\'.', 14),
                (r'NOT NULL constraint failed: (?:.*\.)?(.*)', 515, "Cannot insert the value NULL into column '{0}'; column does not allow nulls. The statement has been terminated.", 16),
                (r'FOREIGN KEY constraint failed()', 547, 'The statement conflicted with a FOREIGN KEY constraint.', 16),
                (r'CHECK constraint failed: (.*)', 547, 'The statement conflicted with the CHECK constraint "{0}".', 16),
                (r'no such column: (.*)', 207, "Invalid column name '{0}'.", 16),
                (r'no such table: (.*)', 208, "Invalid object name '{0}'.", 16),
                (r'has no column named (.*)', 207, "Invalid column name '{0}'.", 16),
                (r'ambiguous column name: (.*)', 209, "Ambiguous column name '{0}'.", 16),
                (r'already exists()', 2714, 'There is already an object with that name in the database.', 16),
                (r'near "(.*)": syntax error', 102, "Incorrect syntax near '{0}'.", 15),
                (r'incomplete input()', 102, 'Incorrect syntax near the end of the statement.', 15),
                (r'database or disk is full()', 1105, 'Could not allocate space in the database.', 17),
                (r'integer overflow()', 8115, 'Arithmetic overflow error converting expression to data type int.', 16)):
            m = re.search(pattern, text)
            if m:
                return SqlError(number, message.format(m.group(1).rpartition('.')[0 if number == 2627 else 2]), cls)
        return SqlError(50000, f'SQLite: {text}')

    # ----------------------------------------------------------- plumbing

    def execute(self, sql):
        return self.sqlite.execute(sql, self.bindings())

    def fetch(self, sql):
        return self.execute(sql).fetchall()

    def write(self, sql, many=False):
        """Runs a statement that writes; waits for the lock, interruptibly."""
        limit, begun = int(self.options['lock_timeout']), time.monotonic()
        while True:
            try:
                if self.trancount and not self.sqlite.in_transaction:
                    self.sqlite.execute('BEGIN')
                cursor = self.execute(sql)
                rows = cursor.fetchall() if cursor.description else None
                self.wrote = self.trancount > 0
                return cursor, rows
            except sqlite3.OperationalError as error:
                if 'locked' not in str(error):
                    raise
                if self.trancount and not self.wrote and self.sqlite.in_transaction:
                    self.sqlite.execute('ROLLBACK')
                if 0 <= limit <= (time.monotonic() - begun) * 1000:
                    raise SqlError(1222, 'Lock request time out period exceeded.', 16, 45)
                self.pause(WAIT)

    def pause(self, seconds):
        """False when somebody wants this to end."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self.closed.is_set() or self.attend.wait(min(left, 0.05)):
                raise Attention

    # --------------------------------------------------------- statements

    def do_select(self, statement):
        first = commas(statement[1:])[0] if len(statement) > 1 else []
        if len(first) > 1 and first[0].kind == 'var' and first[1].text == '=':
            return self.assign(statement)
        query = Query(self)
        sql, columns = query.query(statement)
        if getattr(query, 'into', None):
            return self.select_into(sql, columns, query.into)
        self.send_rows(self.execute(sql), columns)

    def assign(self, statement):
        query = Query(self)
        parts = query.sections(statement[1:])
        names, items = [], []
        for item in commas(parts['LIST']):
            names.append(item[0].text.lower())
            items.append(item[2:])
        source = statement[1 + len(parts['LIST']):]
        flat = []
        for i, item in enumerate(items):
            flat += ([tokens(',')[0]] if i else []) + item
        rows = self.fetch(query.query([statement[0]] + flat + source)[0])
        if rows:
            for name, value in zip(names, rows[-1]):
                self.set_variable(name, value)

    def set_variable(self, name, value):
        self.variable_sql(name)
        typ = self.variables[name.lower()][0]
        self.variables[name.lower()] = (typ, typ.cast(value) if typ is not None else value)

    def select_into(self, sql, columns, parts):
        name, (database, local) = self.sqlite_name(parts), storage.split_name(parts, self.database)
        self.write(f'CREATE TABLE {name} AS {sql}')
        count = self.fetch(f'SELECT count(*) FROM {name}')[0][0]
        known = columns or [(r[1], None) for r in self.sqlite.execute(f'pragma {quote(database)}.table_info({quote(local)})')]
        storage.save_columns(self.sqlite, database, local, [(n, t, True, False) for n, t in known])
        self.finish(count)

    def send_rows(self, cursor, columns):
        names = [d[0] for d in cursor.description]
        if columns is None or len(columns) != len(names):
            columns = [(name, None) for name in names]
        rows = cursor.fetchmany(500)
        types = [typ if typ is not None else guess(rows, i) for i, (_, typ) in enumerate(columns)]
        count = self.out.columns([(n, t) for (n, _), t in zip(columns, types)]) or 0
        while rows:
            for row in rows:
                self.out.row(types, row)
            count += len(rows)
            if self.attend.is_set() or self.closed.is_set():
                raise Attention
            rows = cursor.fetchmany(500)
        self.rowcount = count
        self.out.done(count, 0xC1)

    def finish(self, count, command=0):
        self.rowcount = max(0, count)
        self.out.done(None if self.options['nocount'] == 'on' else self.rowcount, command)


    def do_insert(self, statement, head=''):
        at = 2 if statement[1].word == 'INTO' else 1
        parts, at = name_at(statement, at)
        query = self.query
        name, columns = query.table(parts)
        sql, returning = f'{head}INSERT INTO {name}', None
        if at < len(statement) and statement[at].kind == 'group':
            names = [n.name for n in statement[at].nodes if n.is_name]
            sql += ' (' + ', '.join(map(quote, names)) + ')'
            at += 1
        if at < len(statement) and statement[at].word == 'OUTPUT':
            end = find(statement, 'VALUES', 'SELECT', 'DEFAULT', start=at)
            returning, at = statement[at + 1:end], end
        rest = statement[at:]
        if rest and rest[0].word in ('SELECT', 'WITH'):
            sql += ' ' + query.query(rest)[0]
        elif rest and rest[0].word == 'DEFAULT':
            sql += ' DEFAULT VALUES'
        elif rest and rest[0].word == 'VALUES':
            sql += ' VALUES ' + ', '.join(f'({query.expr(g.nodes, [])})' for g in rest[1:] if g.kind == 'group')
        else:
            raise syntax_error(rest[0].text if rest else parts[-1])
        cursor = self.dml(sql, returning, parts, columns, 0xC3)
        database, local = storage.split_name(parts, self.database)
        if self.sqlite.execute(f'select 1 from {quote(database)}._tds_columns where object = ? and identity', (local,)).fetchone():
            self.identity = cursor.lastrowid

    @property
    def query(self):
        return self._query or Query(self)

    _query = None

    def dml(self, sql, returning, parts, columns, command):
        if returning:
            inner = [n for n in returning]
            scope = [(parts[-1], columns), ('inserted', columns), ('deleted', columns)]
            text, described = Query(self).list_(self.strip_pseudo(inner), scope)
            cursor, rows = self.write(f'{sql} RETURNING {text}')
            types = [t if t is not None else guess(rows, i) for i, (_, t) in enumerate(described)]
            self.out.columns([(n, t) for (n, _), t in zip(described, types)])
            for row in rows:
                self.out.row(types, row)
            self.rowcount = len(rows)
            self.out.done(len(rows), command)
        else:
            cursor, _ = self.write(sql)
            self.finish(cursor.rowcount, command)
        return cursor

    @staticmethod
    def strip_pseudo(nodes):
        out, at = [], 0
        while at < len(nodes):
            if nodes[at].word in ('INSERTED', 'DELETED') and at + 1 < len(nodes) and nodes[at + 1].text == '.':
                at += 2
            else:
                out.append(nodes[at])
                at += 1
        return out

    def target(self, nodes, source):
        """(name AS alias, scope, further FROM) of UPDATE and DELETE."""
        parts, at = name_at(nodes, 0)
        if source:
            text, scope = self.query.from_(source, [])
            alias = parts[-1].lower()
            found = [(a, c) for a, c in scope if a.lower() == alias]
            if found and len(scope) == 1:
                return text, scope, ''
            name, columns = self.query.table(parts)
            return name, [(parts[-1], columns)] + scope, ' FROM ' + text
        name, columns = self.query.table(parts)
        return name, [(parts[-1], columns)], ''

    def do_update(self, statement, head=''):
        at, set_at = 1, find(statement, 'SET')
        if set_at < 0:
            raise syntax_error(statement[-1].text)
        end = len(statement)
        where = find(statement, 'WHERE', start=set_at)
        source_at, output = find(statement, 'FROM', start=set_at), find(statement, 'OUTPUT', start=set_at)
        option = find(statement, 'OPTION', start=set_at)
        marks = sorted(m for m in (where, source_at, output, option, end) if m >= 0)

        def part(begin):
            return statement[begin + 1:next(m for m in marks if m > begin)] if begin >= 0 else []

        name, scope, more = self.target(statement[at:set_at], part(source_at))
        items = []
        for item in commas(part(set_at)):
            eq = next(i for i, n in enumerate(item) if n.text in ('=', '+=', '-='))
            column = quote(item[eq - 1].name)
            value = self.query.expr(item[eq + 1:], scope)
            items.append(f"{column} = {value if item[eq].text == '=' else f'{column} {item[eq].text[0]} ({value})'}")
        sql = f"{head}UPDATE {name} SET {', '.join(items)}{more}"
        if where >= 0:
            sql += ' WHERE ' + self.query.expr(part(where), scope)
        self.dml(sql, part(output), [scope[0][0]], scope[0][1], 0xC5)

    def do_delete(self, statement, head=''):
        at = 1
        if statement[1].word == 'FROM':
            at = 2
        output = find(statement, 'OUTPUT', start=at)
        source = find(statement, 'FROM', start=at)
        where = find(statement, 'WHERE', start=at)
        marks = sorted(m for m in (where, source, output, len(statement)) if m >= 0)

        def part(begin):
            return statement[begin + 1:next(m for m in marks if m > begin)] if begin >= 0 else []

        name, scope, more = self.target(statement[at:marks[0]], part(source))
        if more:
            raise SqlError(50000, 'DELETE with several tables is not known to this test server.')
        sql = f'{head}DELETE FROM {name}'
        if where >= 0:
            sql += ' WHERE ' + self.query.expr(part(where), scope)
        self.dml(sql, part(output), [scope[0][0]], scope[0][1], 0xC4)

    def do_with(self, statement):
        self._query = Query(self)
        try:
            at = find(statement, 'INSERT', 'UPDATE', 'DELETE')
            if at < 0 or find(statement, 'SELECT') not in (-1,) and find(statement, 'SELECT') < at:
                self._query = None
                return self.do_select(statement)
            head, rest = self._query.with_(statement)
            getattr(self, 'do_' + rest[0].word.lower())(rest, head)
        finally:
            self._query = None

    def do_truncate(self, statement):
        parts, _ = name_at(statement, 2)
        self.write(f'DELETE FROM {self.query.table(parts)[0]}')
        self.finish(0)

    def do_create(self, statement):
        kind = statement[1].word
        if kind == 'TABLE':
            parts, at = name_at(statement, 2)
            sql, columns = create_table(Query(self), parts, statement[at])
            self.write(sql)
            database, local = storage.split_name(parts, self.database)
            storage.save_columns(self.sqlite, database, local, columns)
        elif kind == 'VIEW':
            self.create_view(statement)
        elif kind in ('INDEX', 'UNIQUE', 'CLUSTERED', 'NONCLUSTERED'):
            on = find(statement, 'ON')
            parts, at = name_at(statement, on + 1)
            database, local = storage.split_name(parts, self.database)
            columns = ', '.join(quote(n.name) for n in statement[at].nodes if n.is_name and n.word not in ('ASC', 'DESC'))
            unique = 'UNIQUE ' if find(statement, 'UNIQUE') > 0 else ''
            self.write(f'CREATE {unique}INDEX {quote(database)}.{quote(statement[on - 1].name + "@" + local)} ON {quote(local)} ({columns})')
        elif kind == 'DATABASE':
            self.server.storage.create(statement[2].name)
        elif kind == 'SYNONYM':
            parts, at = name_at(statement, 2)
            self.write(f"INSERT INTO {quote(self.database)}._tds_objects VALUES ({literal(self.local_name(parts))}, 'SN', "
                       f"{literal(plain(statement[at + 1:]).replace(' ', ''))}, NULL)")
        elif kind in ('SCHEMA', 'LOGIN', 'USER', 'ROLE'):
            pass
        else:
            raise SqlError(50000, f'CREATE {kind} is not known to this test server.')
        self.out.done(None)

    def create_view(self, statement):
        parts, at = name_at(statement, 2)
        begin = find(statement, 'AS', start=at) + 1
        self.touched = set()
        try:
            sql, columns = Query(self).query(statement[begin:])
            touched = '|'.join(sorted(self.touched))
        finally:
            self.touched = None
        self.write(f'CREATE VIEW {self.sqlite_name(parts)} AS {sql}')
        database, local = storage.split_name(parts, self.database)
        storage.save_columns(self.sqlite, database, local, [(n, t, True, False) for n, t in columns or []])
        self.write(f"INSERT INTO {quote(database)}._tds_objects VALUES ({literal(local)}, 'V ', {literal(plain(statement))}, {literal(touched)})")

    def do_drop(self, statement):
        kind, at = statement[1].word, 2
        maybe = statement[at].word == 'IF'
        at += 2 if maybe else 0
        if kind not in ('TABLE', 'VIEW', 'SYNONYM'):
            return self.out.done(None)
        for item in commas(statement[at:]):
            parts, _ = name_at(item, 0)
            database, local = storage.split_name(parts, self.database)
            if kind != 'SYNONYM' and storage.columns_of(self.sqlite, database, local) is None:
                if maybe:
                    continue
                raise SqlError(3701, f"Cannot drop the {kind.lower()} '{parts[-1]}', because it does not exist or you do not have permission.", 11, 5)
            if kind != 'SYNONYM':
                self.write(f'DROP {kind} {self.sqlite_name(parts)}')
                storage.forget_columns(self.sqlite, database, local)
            if database != 'temp':
                self.write(f'DELETE FROM {quote(database)}._tds_objects WHERE name = {literal(local)}')
        self.out.done(None)

    def do_alter(self, statement):
        if statement[1].word == 'LOGIN':
            change = self.server.disabled.add if statement[3].word == 'DISABLE' else self.server.disabled.discard
            change(statement[2].name)
        if statement[1].word == 'TABLE' and find(statement, 'ADD') > 0:
            parts, at = name_at(statement, 2)
            database, local = storage.split_name(parts, self.database)
            from ddl import _column
            sql, name, typ, nullable, identity = _column(Query(self), statement[at + 1:])
            self.write(f'ALTER TABLE {self.sqlite_name(parts)} ADD COLUMN {sql}')
            count = len(storage.columns_of(self.sqlite, database, local))
            self.sqlite.execute(f'insert into {quote(database)}._tds_columns values (?,?,?,?,?,?)',
                                (local, count + 1, name, typ.text(), nullable, identity))
        self.out.done(None)

    # ------------------------------------------------------- transactions

    def begin(self):
        if not self.trancount:
            self.wrote = False
            self.out.transaction(8)
        self.trancount += 1

    def commit(self):
        if not self.trancount:
            raise SqlError(3902, 'The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.')
        self.trancount -= 1
        if not self.trancount:
            if self.sqlite.in_transaction:
                self.sqlite.execute('COMMIT')
            self.out.transaction(9)

    def rollback(self):
        if self.sqlite.in_transaction:
            self.sqlite.execute('ROLLBACK')
        if self.trancount:
            self.trancount = 0
            self.out.transaction(10)

    def do_begin(self, statement):
        if len(statement) < 2 or statement[1].word not in ('TRAN', 'TRANSACTION'):
            raise SqlError(50000, f"BEGIN {statement[1].text if len(statement) > 1 else ''} is not known to this test server.")
        self.begin()
        self.out.done(None)

    def do_commit(self, statement):
        self.commit()
        self.out.done(None)

    def do_save(self, statement):
        if not self.sqlite.in_transaction:
            self.sqlite.execute('BEGIN')
        self.sqlite.execute(f'SAVEPOINT {quote(statement[2].name)}')
        self.out.done(None)

    def do_rollback(self, statement):
        if len(statement) > 2 and statement[2].is_name and self.sqlite.in_transaction:
            self.sqlite.execute(f'ROLLBACK TO {quote(statement[2].name)}')
            return self.out.done(None)
        if not self.trancount:
            raise SqlError(3903, 'The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.')
        self.rollback()
        self.out.done(None)

    # ------------------------------------------------------ session state

    def do_use(self, statement):
        name = statement[1].name
        if name.lower() not in [n.lower() for n in self.server.storage.names]:
            raise SqlError(911, f"Database '{name}' does not exist. Make sure that the name is entered correctly.")
        old, self.database = self.database, name.lower()
        self.out.use(name, old)
        self.out.done(None)

    def do_set(self, statement):
        words = [n.word for n in statement]
        if statement[1].kind == 'var':
            value = self.fetch('SELECT ' + Query(self).expr(statement[3:], []))[0][0]
            self.set_variable(statement[1].text, value)
        elif words[1:3] == ['TRANSACTION', 'ISOLATION']:
            level = ' '.join(words[4:])
            if level not in LEVELS:
                raise syntax_error(statement[-1].text)
            self.isolation = LEVELS[level]
        elif words[1] == 'IDENTITY_INSERT' or words[1] == 'STATISTICS':
            pass
        elif words[-1] in ('ON', 'OFF'):
            for item in commas(statement[1:-1]):
                self.set_option(item[0].word.lower(), words[-1].lower())
                if item[0].word == 'ANSI_DEFAULTS':
                    self.options['implicit_transactions'] = words[-1].lower()
        else:
            value = self.fetch('SELECT ' + Query(self).expr(statement[2:], []))[0][0] if statement[2].kind != 'word' else statement[2].text
            if statement[1].word == 'CONTEXT_INFO':
                self.options['context_info'] = value
            else:
                self.set_option(statement[1].word.lower(), str(value))
        self.out.done(None)

    def set_option(self, name, value):
        known = set(DEFAULTS) | {'fmtonly', 'noexec', 'parseonly', 'ansi_defaults', 'ansi_null_dflt_on', 'ansi_null_dflt_off',
                                 'cursor_close_on_commit', 'deadlock_priority', 'query_governor_cost_limit', 'arithignore', 'forceplan'}
        if name not in known:
            raise SqlError(195, f"'{name}' is not a recognized SET option.", 15, 5)
        self.options[name] = value

    def do_declare(self, statement):
        for item in commas(statement[1:]):
            eq = next((i for i, n in enumerate(item) if n.text == '='), len(item))
            begin = 2 if item[1].word == 'AS' else 1
            typ = Type.parse(plain(item[begin:eq]).replace(' ', ''))
            self.variables[item[0].text.lower()] = (typ, None)
            if eq < len(item):
                self.set_variable(item[0].text, self.fetch('SELECT ' + Query(self).expr(item[eq + 1:], []))[0][0])

    def do_print(self, statement):
        value = self.fetch('SELECT ' + Query(self).expr(statement[1:], []))[0][0]
        self.out.info(0, 1, 0, '' if value is None else str(value))
        self.out.done(None)

    def do_raiserror(self, statement):
        args = [self.fetch('SELECT ' + Query(self).expr(a, []))[0][0] for a in commas(statement[1].nodes)]
        text, cls, state = str(args[0]), int(args[1]), int(args[2])
        for value in args[3:]:
            text = re.sub(r'%[sd]', lambda _: str(value), text, count=1)
        if cls <= 10:
            self.out.info(50000, state, cls, text)
            return self.out.done(None)
        raise SqlError(50000, text, cls, state)

    def do_throw(self, statement):
        args = [self.fetch('SELECT ' + Query(self).expr(a, []))[0][0] for a in commas(statement[1:])]
        error = SqlError(int(args[0]), str(args[1]), 16, int(args[2]))
        error.thrown = True
        raise error

    def do_waitfor(self, statement):
        parts = [float(p) for p in statement[2].literal.split(':')]
        while len(parts) < 3:
            parts.append(0.0)
        self.pause(parts[0] * 3600 + parts[1] * 60 + parts[2])
        self.out.done(None)

    def do_kill(self, statement):
        if not self.server.kill(int(statement[1].text)):
            raise SqlError(6106, f'Process ID {statement[1].text} is not an active process ID.')
        self.out.done(None)

    def do_dbcc(self, statement):
        if len(statement) > 1 and statement[1].word == 'USEROPTIONS':
            types = [Type('nvarchar', 128), Type('nvarchar', 256)]
            self.out.columns([('Set Option', types[0]), ('Value', types[1])])
            level = next(name for name, number in LEVELS.items() if number == self.isolation)
            items = sorted(self.options.items()) + [('isolation level', level.lower())]
            for item in items:
                self.out.row(types, item)
            self.out.done(len(items), 0xC1)
        else:
            self.out.done(None)

    def do_return(self, statement):
        raise Abort

    def do_grant(self, statement):
        self.out.done(None)

    do_deny = do_revoke = do_checkpoint = do_grant

    # ---------------------------------------------------------- procedures

    def do_exec(self, statement):
        if statement[1].kind == 'group':
            text = self.fetch('SELECT ' + Query(self).expr(statement[1].nodes, []))[0][0]
            return self.dynamic(text, {})
        parts, at = name_at(statement, 1)
        named, positional = {}, []
        for item in commas(statement[at:]):
            eq = len(item) > 2 and item[0].kind == 'var' and item[1].text == '='
            body = [n for n in (item[2:] if eq else item) if n.word not in ('OUTPUT', 'OUT')]
            typ = Query(self).infer(body, [])
            value = body[0].text if len(body) == 1 and body[0].kind == 'word' and body[0].word not in ('NULL', 'DEFAULT') else (
                self.fetch('SELECT ' + Query(self).expr(body, []))[0][0])
            if eq:
                named[item[0].text.lower()] = (typ, value)
            else:
                positional.append((typ, value))
        self.procedure(parts[-1].lower(), positional, named)

    def procedure(self, name, positional, named):
        def arg(i, key, default=None):
            if key in named:
                return named[key][1]
            return positional[i][1] if i < len(positional) else default

        if name == 'sp_executesql':
            declared = arg(1, '@params') or arg(1, '@parameters')
            values = dict(named)
            for key in ('@stmt', '@statement', '@params', '@parameters'):
                values.pop(key, None)
            return self.dynamic(arg(0, '@stmt') or arg(0, '@statement'), declare(declared, positional[2:], values))
        if name == 'sp_getapplock':
            got = self.server.take_applock(arg(0, '@resource'), self, int(arg(3, '@locktimeout', -1)))
            self.out.status = 0 if got else -1
        elif name == 'sp_releaseapplock':
            self.server.release_applocks(self.spid, arg(0, '@resource'))
        elif name == 'sp_set_session_context':
            self.context[str(arg(0, '@key')).lower()] = arg(1, '@value')
        elif name in ('sp_reset_connection',):
            raise SqlError(208, "Invalid object name 'sp_reset_connection'.")
        else:
            raise SqlError(2812, f"Could not find stored procedure '{name}'.", 16, 62)
        self.out.done(None)

    def dynamic(self, text, variables):
        """sp_executesql and EXEC(''): options, #tables and USE end with it."""
        kept = dict(self.options), self.isolation, self.database, self.nest
        tables = self.temp_tables()
        before = self.trancount
        self.nest += 1
        try:
            self.run(text, self.out, variables)
        finally:
            self.options, self.isolation, self.database, self.nest = kept
            for name in self.temp_tables() - tables:
                self.sqlite.execute(f'DROP TABLE temp.{quote(name)}')
                storage.forget_columns(self.sqlite, 'temp', name)
        if before != self.trancount and not self.attend.is_set():
            self.tell(SqlError(266, 'Transaction count after EXECUTE indicates a mismatching number of BEGIN and COMMIT statements. '
                                    f'Previous count = {before}, current count = {self.trancount}.', 16, 2))

    def temp_tables(self):
        return {n for (n,) in self.sqlite.execute("select name from temp.sqlite_schema where type = 'table' and name like '#%'")}


def declare(text, positional, named):
    """Variables of sp_executesql: '@a int, @b nvarchar(10)' and the values."""
    out = {}
    for i, item in enumerate(commas(nest(tokens(text or '')))):
        name = item[0].text
        typ = Type.parse(plain([n for n in item[1:] if n.word not in ('AS', 'OUTPUT', 'OUT')]).replace(' ', ''))
        given = named.get(name.lower(), positional[i] if i < len(positional) else None)
        if given is None:
            raise SqlError(8178, f"The parameterized query expects the parameter '{name}', which was not supplied.")
        out[name.lower()] = (typ, typ.cast(given[1]))
    return out


def guess(rows, index):
    """A type for values nothing else is known of."""
    values = [row[index] for row in rows if row[index] is not None]
    if not values:
        return Type('int')
    out = []
    for value in values:
        if isinstance(value, int):
            out.append(Type('int' if -2**31 <= value < 2**31 else 'bigint'))
        elif isinstance(value, float):
            out.append(Type('float'))
        elif isinstance(value, bytes):
            out.append(Type('varbinary', -1 if len(value) > 8000 else 8000))
        else:
            out.append(Type('nvarchar', -1 if len(value) > 4000 else 4000))
    return fold(out)
