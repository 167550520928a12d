"""T-SQL functions as SQLite calls them; bound to one session.

SQLite tells only that a function failed: the real error is kept in the session
(session.fault) for whoever ran the statement.
"""
import datetime
import hashlib
import math
import random
import uuid

from sqltypes import SqlError, Type, text_of


def _now():
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)


def _length(value):
    if value is None:
        return None
    return len(value) if isinstance(value, bytes) else len(text_of(value).rstrip(' ').encode('utf-16le')) // 2


def _datalength(value):
    if value is None:
        return None
    if isinstance(value, (int, float)):
        return 4 if isinstance(value, int) and abs(value) < 2**31 else 8
    return len(value) if isinstance(value, bytes) else len(value.encode('utf-16le'))


def _divisor(value):
    if value is not None and value == 0:
        raise SqlError(8134, 'Divide by zero error encountered.')
    return value


def _moment(text):
    text = str(text)
    return datetime.datetime.fromisoformat(text[:26] if len(text) > 26 else text)


_UNITS = {'day': 86400, 'dd': 86400, 'd': 86400, 'hour': 3600, 'hh': 3600, 'minute': 60, 'mi': 60, 'n': 60,
          'second': 1, 'ss': 1, 's': 1, 'millisecond': 0.001, 'ms': 0.001, 'week': 604800, 'ww': 604800}


def _dateadd(part, count, moment):
    if moment is None or count is None:
        return None
    at = _moment(moment)
    if part in ('year', 'yy', 'yyyy', 'month', 'mm', 'm'):
        months = at.year * 12 + at.month - 1 + int(count) * (1 if part[0] == 'm' else 12)
        at = at.replace(year=months // 12, month=months % 12 + 1, day=min(at.day, 28))
    else:
        at += datetime.timedelta(seconds=int(count) * _UNITS[part])
    return at.isoformat(' ')


def _datediff(part, a, b):
    if a is None or b is None:
        return None
    first, second = _moment(a), _moment(b)
    if part in ('year', 'yy', 'yyyy'):
        return second.year - first.year
    if part in ('month', 'mm', 'm'):
        return (second.year - first.year) * 12 + second.month - first.month
    unit = _UNITS[part]
    epoch = datetime.datetime(1900, 1, 1)
    return int((second - epoch).total_seconds() // unit - (first - epoch).total_seconds() // unit)


def _datepart(part, moment):
    if moment is None:
        return None
    at = _moment(moment)
    names = {'yy': 'year', 'yyyy': 'year', 'mm': 'month', 'm': 'month', 'dd': 'day', 'd': 'day', 'hh': 'hour',
             'mi': 'minute', 'n': 'minute', 'ss': 'second', 's': 'second'}
    if part in ('millisecond', 'ms'):
        return at.microsecond // 1000
    return getattr(at, names.get(part, part))


def _strict(fn):
    """NULL in, NULL out."""
    return lambda *args: None if None in args else fn(*args)


class Average:
    def __init__(self):
        self.sum, self.count, self.whole = 0, 0, True

    def step(self, value):
        if value is not None:
            self.sum += float(value) if isinstance(value, str) else value
            self.count += 1
            self.whole = self.whole and isinstance(value, int)

    def finalize(self):
        if not self.count:
            return None
        return int(self.sum / self.count) if self.whole else self.sum / self.count


def _hash(algorithm, value):
    data = value if isinstance(value, bytes) else text_of(value).encode('utf-16le')
    return hashlib.new(algorithm.lower().replace('sha2_', 'sha').replace('sha1', 'sha1'), data).digest()


def table(session):
    """name -> callable."""
    server = session.server
    return {
        'tds_cast': lambda v, t: Type.parse(t).cast(v),
        'tds_try_cast': lambda v, t: _try(lambda: Type.parse(t).cast(v)),
        'tds_len': _length, 'tds_datalength': _datalength, 'tds_divisor': _divisor,
        'tds_now': lambda: Type('datetime').cast(_now().isoformat(' ')),
        'tds_now7': lambda: _now().isoformat(' ') + '0',
        'tds_newid': lambda: str(uuid.uuid4()).upper(),
        'tds_charindex': _strict(lambda needle, text, start=1: text_of(text).lower().find(text_of(needle).lower(), max(0, start - 1)) + 1),
        'tds_upper': _strict(lambda v: text_of(v).upper()), 'tds_lower': _strict(lambda v: text_of(v).lower()),
        'tds_left': _strict(lambda v, n: text_of(v)[:n]),
        'tds_right': _strict(lambda v, n: text_of(v)[-n:] if n else ''),
        'tds_replicate': _strict(lambda v, n: text_of(v) * n), 'tds_reverse': _strict(lambda v: text_of(v)[::-1]),
        'tds_concat': lambda *a: ''.join('' if v is None else text_of(v) for v in a),
        'tds_concat_ws': lambda sep, *a: sep.join(text_of(v) for v in a if v is not None),
        'tds_space': _strict(lambda n: ' ' * n), 'tds_sqrt': _strict(lambda v: math.sqrt(v)),
        'tds_floor': _strict(lambda v: math.floor(float(v))), 'tds_ceiling': _strict(lambda v: math.ceil(float(v))),
        'tds_power': _strict(lambda a, b: a ** b), 'tds_str': _strict(lambda v: str(round(float(v))).rjust(10)),
        'tds_quotename': _strict(lambda v: '[' + v.replace(']', ']]') + ']'), 'tds_rand': lambda *_: random.random(),
        'tds_dateadd': _dateadd, 'tds_datediff': _datediff, 'tds_datepart': _datepart, 'tds_datename': lambda p, m: str(_datepart(p, m)),
        'tds_year': lambda m: _datepart('year', m), 'tds_month': lambda m: _datepart('month', m), 'tds_day': lambda m: _datepart('day', m),
        'tds_hash': _strict(_hash),
        'tds_identity': lambda: session.identity, 'tds_db_name': lambda *_: session.database, 'tds_db_id': lambda *_: 5,
        'tds_object_id': lambda name, *kind: session.object_id(name), 'tds_object_name': session.object_name,
        'tds_schema_name': lambda *_: 'dbo', 'tds_schema_id': lambda *_: 1, 'tds_type_name': lambda n: None,
        'tds_user': lambda *_: session.user, 'tds_app': lambda: session.login['app'], 'tds_host': lambda: session.login['host'],
        'tds_session_context': lambda key: session.context.get(key.lower()),
        'tds_xact_state': lambda: int(session.trancount > 0),
        'tds_applock_mode': lambda _user, name, _owner: 'Exclusive' if server.applocks.get(name) == session.spid else 'NoLock',
        'tds_session_property': lambda name: int(session.options.get(name.lower(), 'off') == 'on'),
        'tds_connection_property': lambda name: session.connection_property(name), 'tds_server_property': lambda *_: None,
        # Rights are not kept, but for logins that see nothing of the catalogue.
        'tds_has_perms': lambda *_: int(session.user not in server.blind), 'tds_column_property': lambda *_: None,
        'tds_sysvar': lambda name: session.sysvar(name),
    }


def _try(fn):
    try:
        return fn()
    except SqlError:
        return None


def install(session, connection):
    def guarded(fn):
        def call(*args):
            try:
                return fn(*args)
            except SqlError as error:
                session.fault = error
                raise
            except Exception as error:
                session.fault = SqlError(8116, f'Argument data type is invalid: {error}.')
                raise
        return call

    for name, fn in table(session).items():
        connection.create_function(name, -1, guarded(fn))
    connection.create_aggregate('tds_avg', 1, Average)
