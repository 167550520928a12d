"""Databases as SQLite files, what T-SQL knows of their tables, and the views of
the catalogue (sys.*, INFORMATION_SCHEMA.*).

Every session has all databases attached under their names, so that a name can
say which one it means. Beside the tables each file has _tds_columns, with the
T-SQL types, and _tds_objects, with what SQLite has no word for.
"""
import datetime
import os
import re
import sqlite3
import zlib

from sqltypes import INTS, SqlError, Type
from translate import literal, quote

SCHEMA = '''
create table if not exists _tds_columns (object text collate nocase, position int, name text, type text,
    nullable int, identity int, primary key (object, position));
create table if not exists _tds_objects (name text collate nocase primary key, kind text, definition text,
    depends text);
'''
INTERNAL = ('_tds_columns', '_tds_objects', 'sqlite_sequence')


def object_id(name):
    return zlib.crc32(name.lower().encode()) & 0x7FFFFFFF


class Storage:
    def __init__(self, directory):
        self.directory, self.names = directory, []

    def path(self, name):
        return os.path.join(self.directory, name.lower() + '.db')

    def create(self, name):
        if not re.match(r'^\w+$', name):
            raise SqlError(911, f"Database '{name}' cannot be made.")
        connection = sqlite3.connect(self.path(name))
        connection.execute('pragma journal_mode = wal')
        connection.executescript(SCHEMA)
        connection.close()
        self.names.append(name)

    def attach(self, connection, attached):
        missing = [name for name in self.names if name.lower() not in attached]
        if not missing:
            return
        connection.execute('pragma busy_timeout = 10000')  # another one that closes holds a lock for a moment
        for name in missing:
            connection.execute(f'attach {literal(self.path(name))} as {quote(name.lower())}')
            connection.execute(f'pragma {quote(name.lower())}.synchronous = off')
            attached.add(name.lower())
        connection.execute('pragma busy_timeout = 0')


def split_name(parts, database):
    """(database, name inside it); dbo is the schema without a prefix."""
    parts = list(parts)
    if parts[-1].startswith('#'):
        return 'temp', parts[-1]
    if len(parts) > 3:
        raise SqlError(7202, f"Could not find server '{parts[0]}' in sys.servers.", 11, 2)
    if len(parts) == 3:
        database = parts[0].lower()
    schema = parts[-2].lower() if len(parts) > 1 else ''
    return database, parts[-1] if schema in ('', 'dbo', 'guest') else f'{schema}.{parts[-1]}'


def columns_of(connection, database, name):
    """{column: Type} of a table or view, None when there is none."""
    try:
        rows = connection.execute(f'select name, type from {quote(database)}._tds_columns where object = ? order by position',
                                  (name,)).fetchall()
    except sqlite3.OperationalError:
        return None
    return {column: Type.parse(typ) if typ else None for column, typ in rows} or None


def save_columns(connection, database, name, columns):
    """columns: [(name, Type or None, nullable, identity)]."""
    if database == 'temp':
        connection.execute('create table if not exists temp._tds_columns (object text collate nocase, position int, '
                           'name text, type text, nullable int, identity int)')
    connection.executemany(
        f'insert into {quote(database)}._tds_columns values (?,?,?,?,?,?)',
        [(name, i + 1, column, typ.text() if typ is not None else None, int(nullable), int(identity))
         for i, (column, typ, nullable, identity) in enumerate(columns)])


def forget_columns(connection, database, name):
    connection.execute(f'delete from {quote(database)}._tds_columns where object = ?', (name,))


# ------------------------------------------------------------- catalogue

SYSTEM_TYPES = {'image': 34, 'text': 35, 'uniqueidentifier': 36, 'date': 40, 'time': 41, 'datetime2': 42,
                'datetimeoffset': 43, 'tinyint': 48, 'smallint': 52, 'int': 56, 'smalldatetime': 58, 'real': 59,
                'money': 60, 'datetime': 61, 'float': 62, 'sql_variant': 98, 'ntext': 99, 'bit': 104, 'decimal': 106,
                'numeric': 108, 'smallmoney': 122, 'bigint': 127, 'varbinary': 165, 'varchar': 167, 'binary': 173,
                'char': 175, 'nvarchar': 231, 'nchar': 239, 'xml': 241}
I, S, B = Type('int'), Type('nvarchar', 128), Type('bit')
TEXT = Type('nvarchar', -1)
VIEWS = {
    'sys.schemas': [('name', S), ('schema_id', I)],
    'sys.databases': [('name', S), ('database_id', I), ('is_read_committed_snapshot_on', B)],
    'sys.types': [('name', S), ('system_type_id', I), ('user_type_id', I)],
    'sys.objects': [('name', S), ('object_id', I), ('schema_id', I), ('parent_object_id', I), ('type', Type('char', 2)),
                    ('type_desc', S), ('is_ms_shipped', B), ('modify_date', Type('datetime'))],
    'sys.tables': [('name', S), ('object_id', I), ('schema_id', I), ('type', Type('char', 2)), ('is_ms_shipped', B),
                   ('is_external', B), ('history_table_id', I)],
    'sys.computed_columns': [('object_id', I), ('name', S), ('column_id', I), ('definition', TEXT), ('is_persisted', B)],
    'sys.database_permissions': [('class', I), ('major_id', I), ('minor_id', I), ('grantee_principal_id', I),
                                 ('permission_name', S), ('state_desc', S)],
    'sys.database_role_members': [('role_principal_id', I), ('member_principal_id', I)],
    'sys.views': [('name', S), ('object_id', I), ('schema_id', I), ('type', Type('char', 2))],
    'sys.columns': [('object_id', I), ('name', S), ('column_id', I), ('system_type_id', I), ('user_type_id', I),
                    ('max_length', Type('smallint')), ('precision', I), ('scale', I), ('is_nullable', B), ('is_identity', B), ('collation_name', S)],
    'sys.foreign_keys': [('name', S), ('object_id', I), ('parent_object_id', I), ('referenced_object_id', I),
                         ('delete_referential_action', I), ('update_referential_action', I)],
    'sys.triggers': [('name', S), ('object_id', I), ('parent_id', I), ('is_disabled', B)],
    'sys.security_policies': [('name', S), ('object_id', I), ('is_enabled', B)],
    'sys.security_predicates': [('object_id', I), ('target_object_id', I)],
    'sys.synonyms': [('name', S), ('object_id', I), ('schema_id', I), ('base_object_name', S)],
    'sys.sql_modules': [('object_id', I), ('definition', TEXT)],
    'sys.sql_expression_dependencies': [('referencing_id', I), ('referenced_class', I), ('referenced_database_name', S), ('referenced_schema_name', S),
                                        ('referenced_entity_name', S), ('referenced_id', I)],
    'sys.dm_exec_sessions': [('session_id', Type('smallint')), ('login_name', S), ('program_name', S), ('host_name', S),
                             ('status', S), ('text_size', I), ('language', S), ('date_format', S), ('lock_timeout', I),
                             ('transaction_isolation_level', I), ('open_transaction_count', I), ('database_name', S)],
    'information_schema.tables': [('TABLE_CATALOG', S), ('TABLE_SCHEMA', S), ('TABLE_NAME', S), ('TABLE_TYPE', S)],
    'information_schema.columns': [('TABLE_CATALOG', S), ('TABLE_SCHEMA', S), ('TABLE_NAME', S), ('COLUMN_NAME', S),
                                   ('ORDINAL_POSITION', I), ('IS_NULLABLE', S), ('DATA_TYPE', S), ('CHARACTER_MAXIMUM_LENGTH', I)],
}
ACTIONS = {'NO ACTION': 0, 'RESTRICT': 0, 'CASCADE': 1, 'SET NULL': 2, 'SET DEFAULT': 3}


def _objects(session):
    """(schema, name, kind, definition, depends, full name) of the session's database."""
    db = quote(session.database)
    extra = {n.lower(): (k, d, dep) for n, k, d, dep in session.sqlite.execute(f'select * from {db}._tds_objects')}
    out = []
    for name, kind in session.sqlite.execute(f"select name, type from {db}.sqlite_schema where type in ('table', 'view')"):
        if name not in INTERNAL and not name.startswith('sqlite_'):
            schema, _, bare = name.rpartition('.')
            _, definition, depends = extra.get(name.lower(), ('', None, ''))
            out.append((schema or 'dbo', bare, 'U ' if kind == 'table' else 'V ', definition, depends, name))
    out += [('dbo', name, 'SN', d, dep, name) for name, (kind, d, dep) in extra.items() if kind == 'SN']
    return out


def _modified(session, full, definition):
    """Nothing keeps a time: another one for every other structure."""
    columns = session.sqlite.execute(f'select * from {quote(session.database)}._tds_columns where object = ?', (full,)).fetchall()
    second = zlib.crc32(repr((columns, definition)).encode()) % 10**8
    return str(datetime.datetime(2020, 1, 1) + datetime.timedelta(seconds=second))


def _length(typ):
    if typ.size == -1 or typ.name == 'xml':
        return -1
    if typ.is_sized:
        return typ.size * (2 if typ.name[0] == 'n' else 1)
    return INTS.get(typ.name) or {'bit': 1, 'uniqueidentifier': 16, 'float': 8, 'real': 4, 'date': 3}.get(typ.name, 8)


def rows(session, view):
    """The rows of one of VIEWS. char(2) is padded on the wire only: trailing
    spaces do not count in comparisons."""
    names = {'U ': 'USER_TABLE', 'V ': 'VIEW', 'SN': 'SYNONYM'}
    schemas = {'dbo': 1}
    objects = _objects(session)
    for o in objects:
        schemas.setdefault(o[0], 5 + len(schemas))
    if view == 'sys.schemas':
        return list(schemas.items())
    if view == 'sys.databases':
        return [(n, i + 5, 1) for i, n in enumerate(session.server.storage.names)]
    if view == 'sys.types':
        return [(n, i, i) for n, i in SYSTEM_TYPES.items()]
    if view == 'sys.objects':
        return [(n, object_id(full), schemas[s], 0, k.strip(), names[k], 0, _modified(session, full, d)) for s, n, k, d, _, full in objects]
    if view in ('sys.tables', 'sys.views'):
        kind = 'U ' if view == 'sys.tables' else 'V '
        return [(n, object_id(full), schemas[s], k.strip()) + ((0, 0, None) if kind == 'U ' else ()) for s, n, k, _, _, full in objects if k == kind]
    if view == 'sys.synonyms':
        return [(n, object_id(full), schemas[s], d) for s, n, k, d, _, full in objects if k == 'SN']
    if view == 'sys.sql_modules':
        return [(object_id(full), d) for s, n, k, d, _, full in objects if k == 'V ']
    if view == 'sys.sql_expression_dependencies':
        return [(object_id(full), 1, None, t.rpartition('.')[0] or 'dbo', t.rpartition('.')[2], object_id(t))
                for s, n, k, d, depends, full in objects if k == 'V ' for t in (depends or '').split('|') if t]
    if view == 'sys.dm_exec_sessions':
        return [(s.spid, s.user, s.login['app'], s.login['host'], 'running' if s.busy else 'sleeping',
                 int(s.options['textsize']), s.options['language'], s.options['dateformat'], int(s.options['lock_timeout']),
                 s.isolation, s.trancount, s.database) for s in session.server.sessions_now()]
    if view == 'information_schema.tables':
        return [(session.database, s, n, 'BASE TABLE' if k == 'U ' else 'VIEW') for s, n, k, _, _, _ in objects if k != 'SN']
    if view in ('sys.columns', 'information_schema.columns'):
        return _columns(session, objects, view == 'sys.columns')
    if view == 'sys.foreign_keys':
        return _foreign_keys(session, objects)
    return []


def _columns(session, objects, system):
    out = []
    for schema, name, kind, _, _, full in objects:
        for position, column, text, nullable, identity in session.sqlite.execute(
                f'select position, name, type, nullable, identity from {quote(session.database)}._tds_columns where object = ?', (full,)):
            typ = Type.parse(text or 'nvarchar(4000)')
            code = SYSTEM_TYPES[typ.name]
            if system:
                precision = typ.size if typ.name in ('decimal', 'numeric') else 0
                out.append((object_id(full), column, position, code, code, _length(typ), precision, typ.scale, nullable,
                            identity, 'SQL_Latin1_General_CP1_CI_AS' if typ.is_text else None))
            else:
                out.append((session.database, schema, name, column, position, 'YES' if nullable else 'NO', typ.name,
                            typ.size if typ.is_sized else None))
    return out


def _foreign_keys(session, objects):
    out = []
    for _, name, kind, _, _, full in objects:
        if kind != 'U ':
            continue
        for key in session.sqlite.execute(f'pragma {quote(session.database)}.foreign_key_list({quote(full)})').fetchall():
            if key[1] == 0:
                label = f'FK__{name}__{key[0]}'
                out.append((label, object_id(label), object_id(full), object_id(key[2]), ACTIONS[key[6]], ACTIONS[key[5]]))
    return out
