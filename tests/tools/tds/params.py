"""Parameters of an RPC request (MS-TDS 2.2.6.6): name, flags, Type, value."""
import struct

from sqltypes import MAX, EPOCH, EPOCH_1900, Type, format_date, format_ticks
from wire import ProtocolError
import decimal
import uuid

FIXED = {0x30: ('tinyint', 1), 0x32: ('bit', 1), 0x34: ('smallint', 2), 0x38: ('int', 4), 0x7F: ('bigint', 8),
         0x3B: ('real', 4), 0x3E: ('float', 8), 0x3C: ('money', 8), 0x7A: ('smallmoney', 4),
         0x3D: ('datetime', 8), 0x3A: ('smalldatetime', 4), 0x1F: ('int', 0)}
INTN = {1: 'tinyint', 2: 'smallint', 4: 'int', 8: 'bigint'}
SHORT_LEN = {0xA7: 'varchar', 0xAF: 'char', 0xE7: 'nvarchar', 0xEF: 'nchar', 0xA5: 'varbinary', 0xAD: 'binary'}
TIMED = {0x29: 'time', 0x2A: 'datetime2', 0x2B: 'datetimeoffset'}


class Reader:
    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def take(self, count):
        if count < 0 or self.at + count > len(self.data):
            raise ProtocolError('request ends inside a value')
        self.at += count
        return self.data[self.at - count:self.at]

    def unpack(self, fmt):
        return struct.unpack(fmt, self.take(struct.calcsize(fmt)))[0]

    @property
    def left(self):
        return len(self.data) - self.at


def _plp(r):
    total = r.unpack('<Q')
    if total == 0xFFFFFFFFFFFFFFFF:
        return None
    out = bytearray()
    while True:
        size = r.unpack('<I')
        if size == 0:
            return bytes(out)
        out += r.take(size)


def _text(raw, wide):
    if raw is None:
        return None
    return raw.decode('utf-16le', 'surrogatepass') if wide else raw.decode('cp1252', 'replace')


def _time(raw, scale):
    return int.from_bytes(raw, 'little') * 10**(7 - scale)


def _date_value(name, raw, scale):
    if name == 'time':
        return format_ticks(_time(raw, scale), scale)
    if name == 'date':
        return format_date(int.from_bytes(raw, 'little'))
    if name == 'datetime':
        days, units = struct.unpack('<iI', raw)
        return f'{format_date(days + EPOCH_1900 - EPOCH)} {format_ticks((units * 10 + 1) // 3 * 10**4, 3)}'
    if name == 'smalldatetime':
        days, minutes = struct.unpack('<HH', raw)
        return f'{format_date(days + EPOCH_1900 - EPOCH)} {format_ticks(minutes * 60 * 10**7, 0)}'
    offset = struct.unpack('<h', raw[-2:])[0] if name == 'datetimeoffset' else 0
    raw = raw[:-2] if name == 'datetimeoffset' else raw
    days, ticks = int.from_bytes(raw[-3:], 'little'), _time(raw[:-3], scale) + offset * 60 * 10**7
    days, ticks = days + ticks // (864 * 10**9), ticks % (864 * 10**9)
    text = f'{format_date(days)} {format_ticks(ticks, scale)}'
    if name == 'datetimeoffset':
        text += f" {'-' if offset < 0 else '+'}{abs(offset) // 60:02}:{abs(offset) % 60:02}"
    return text


def _fixed_value(name, raw):
    if name in ('tinyint', 'smallint', 'int', 'bigint', 'bit'):
        return int.from_bytes(raw, 'little', signed=name not in ('tinyint', 'bit'))
    if name in ('float', 'real'):
        return struct.unpack('<d' if len(raw) == 8 else '<f', raw)[0]
    if name in ('money', 'smallmoney'):
        if len(raw) == 8:
            high, low = struct.unpack('<iI', raw)
            scaled = (high << 32) + low
        else:
            scaled = struct.unpack('<i', raw)[0]
        return format(decimal.Decimal(scaled).scaleb(-4), 'f')
    return _date_value(name, raw, 0)


def _sized_n(r, names):
    """INTN and its like: a maximum, then a length."""
    size = r.unpack('<B')
    name = names[size]
    raw = r.take(r.unpack('<B'))
    return Type(name), _fixed_value(names[len(raw)], raw) if raw else None


def _number(r, name):
    _, precision, scale = r.take(3)
    raw = r.take(r.unpack('<B'))
    if not raw:
        return Type(name, precision, scale), None
    scaled = int.from_bytes(raw[1:], 'little') * (1 if raw[0] else -1)
    return Type(name, precision, scale), format(decimal.Decimal(scaled).scaleb(-scale), 'f')


def _short(r, token):
    name, size = SHORT_LEN[token], r.unpack('<H')
    wide = name[0] == 'n'
    if 'binary' not in name:
        r.take(5)
    if size == 0xFFFF:
        raw, typ = _plp(r), Type(name, MAX)
    else:
        length = r.unpack('<H')
        raw = None if length == 0xFFFF else r.take(length)
        typ = Type(name, max(1, size // 2 if wide else size))
    return typ, raw if 'binary' in name else _text(raw, wide)


def _lob(r, token):
    name = {0x23: 'text', 0x63: 'ntext', 0x22: 'image'}[token]
    r.take(4)
    if name != 'image':
        r.take(5)
    size = r.unpack('<i')
    raw = None if size < 0 else r.take(size)
    return Type(name), raw if name == 'image' else _text(raw, name == 'ntext')


def read_value(r):
    token = r.unpack('<B')
    if token in FIXED:
        name, size = FIXED[token]
        return Type(name), _fixed_value(name, r.take(size)) if size else None
    if token == 0x26:
        return _sized_n(r, INTN)
    if token == 0x68:
        return _sized_n(r, {1: 'bit'})
    if token == 0x6D:
        return _sized_n(r, {4: 'real', 8: 'float'})
    if token == 0x6E:
        return _sized_n(r, {4: 'smallmoney', 8: 'money'})
    if token == 0x6F:
        return _sized_n(r, {4: 'smalldatetime', 8: 'datetime'})
    if token in (0x6A, 0x6C):
        return _number(r, 'decimal' if token == 0x6A else 'numeric')
    if token == 0x28:
        raw = r.take(r.unpack('<B'))
        return Type('date'), _date_value('date', raw, 0) if raw else None
    if token in TIMED:
        scale = r.unpack('<B')
        raw = r.take(r.unpack('<B'))
        return Type(TIMED[token], 0, scale), _date_value(TIMED[token], raw, scale) if raw else None
    if token in SHORT_LEN:
        return _short(r, token)
    if token in (0x23, 0x63, 0x22):
        return _lob(r, token)
    if token == 0x24:
        r.take(1)
        raw = r.take(r.unpack('<B'))
        return Type('uniqueidentifier'), str(uuid.UUID(bytes_le=raw)).upper() if raw else None
    if token == 0xF1:
        if r.unpack('<B'):
            raise ProtocolError('an XML schema in a parameter')
        return Type('xml'), _text(_plp(r), True)
    raise ProtocolError(f'parameter of unknown type 0x{token:02x}')


def skip_headers(body):
    """ALL_HEADERS (2.2.5.3): its total length, itself included."""
    total = struct.unpack_from('<I', body)[0] if len(body) >= 4 else 0
    return total if 4 <= total <= len(body) else 0


def read_rpc(body):
    """[(procedure name or id, [(name, is_output, Type, value)])]."""
    r, calls = Reader(body, skip_headers(body)), []
    while r.left:
        length = r.unpack('<H')
        proc = r.unpack('<H') if length == 0xFFFF else r.take(2 * length).decode('utf-16le')
        r.take(2)
        params = []
        while r.left:
            if r.data[r.at] in (0x80, 0xFF, 0xFE):  # the next call of a batch
                r.take(1)
                break
            name = r.take(2 * r.unpack('<B')).decode('utf-16le')
            status = r.unpack('<B')
            params.append((name, bool(status & 1), *read_value(r)))
        calls.append((proc, params))
    return calls
