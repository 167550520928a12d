"""SQL Server's types: their names in T-SQL, TYPE_INFO and values on the wire
(MS-TDS 2.2.5.4 to 2.2.5.6), and what SQLite keeps for them:

    int family, bit   int          date and time     ISO text
    float, real       float        text, xml, guid   str
    decimal, money    int, float or text             binary   bytes
"""
import datetime
import decimal
import re
import struct
import uuid

from tokens import COLLATION

decimal.DefaultContext.prec = 60  # of threads to come
decimal.setcontext(decimal.DefaultContext)
EPOCH = datetime.date(1, 1, 1).toordinal()
EPOCH_1900 = datetime.date(1900, 1, 1).toordinal()
INTS = {'tinyint': 1, 'smallint': 2, 'int': 4, 'bigint': 8}
MAX = -1


class SqlError(Exception):
    """An error the client sees: number, class and state."""

    def __init__(self, number, text, cls=16, state=1):
        super().__init__(text)
        self.number, self.text, self.cls, self.state = number, text, cls, state


def _time_bytes(scale):
    return 3 if scale <= 2 else 4 if scale <= 4 else 5


_DATETIME = re.compile(
    r"^\s*(?:(\d{4})-?(\d\d)-?(\d\d))?(?:[ T]*(\d{1,2}):(\d\d)(?::(\d\d)(?:[.:](\d{1,9}))?)?)?\s*"
    r"(Z|[+-]\d\d:?\d\d)?\s*$")


def parse_datetime(text):
    """(days since 0001-01-01, 100 ns of the day, minutes of offset or None)."""
    m = _DATETIME.match(str(text))
    if not m:
        raise SqlError(241, 'Conversion failed when converting date and/or time from character string.')
    year, month, day, hour, minute, second, fraction, zone = m.groups()
    try:
        days = datetime.date(int(year), int(month), int(day)).toordinal() - EPOCH if year else EPOCH_1900 - EPOCH
    except ValueError:
        raise SqlError(242, 'The conversion of a varchar data type to a datetime data type resulted in an '
                            'out-of-range value.')
    ticks = (int(hour or 0) * 3600 + int(minute or 0) * 60 + int(second or 0)) * 10**7
    ticks += int((fraction or '0').ljust(7, '0')[:7])
    offset = None
    if zone:
        offset = 0 if zone == 'Z' else int(zone[1:3]) * 60 + int(zone[-2:])
        offset = -offset if zone[0] == '-' else offset
    return days, ticks, offset


def format_date(days):
    return datetime.date.fromordinal(days + EPOCH).isoformat()


def format_ticks(ticks, scale):
    seconds, fraction = divmod(ticks, 10**7)
    text = f'{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}'
    return text + (f'.{fraction:07}'[:scale + 1] if scale else '')


def round_ticks(days, ticks, unit):
    ticks = (ticks + unit // 2) // unit * unit
    return (days + 1, ticks - 864 * 10**9) if ticks >= 864 * 10**9 else (days, ticks)


def number_of(value):
    try:
        return decimal.Decimal(repr(value) if isinstance(value, float) else str(value).strip() or '0')
    except decimal.InvalidOperation:
        raise SqlError(8114, 'Error converting data type nvarchar to numeric.')


def text_of(value):
    """As CAST to a character type shows it."""
    if isinstance(value, bytes):
        return value.decode('latin-1')
    if isinstance(value, float):
        return f'{value:.6g}' if value != int(value) or abs(value) >= 1e15 else str(int(value))
    return str(value)


class Type:
    def __init__(self, name, size=0, scale=0):
        self.name, self.size, self.scale = name, size, scale
        self.legacy_lob = name in ('text', 'ntext', 'image')
        self.plp = size == MAX or name == 'xml'

    def __repr__(self):
        return self.text()

    def text(self):
        """As T-SQL declares it; Type.parse() reads it again."""
        if self.name in ('decimal', 'numeric'):
            return f'{self.name}({self.size},{self.scale})'
        if self.name in ('time', 'datetime2', 'datetimeoffset'):
            return f'{self.name}({self.scale})'
        if self.is_sized:
            return f"{self.name}({'max' if self.size == MAX else self.size})"
        return self.name

    @property
    def is_sized(self):
        return self.name in ('char', 'varchar', 'nchar', 'nvarchar', 'binary', 'varbinary')

    @property
    def is_text(self):
        return self.name in ('char', 'varchar', 'nchar', 'nvarchar', 'text', 'ntext', 'xml', 'sysname')

    @property
    def is_date(self):
        return self.name in ('date', 'time', 'datetime', 'smalldatetime', 'datetime2', 'datetimeoffset')

    @property
    def affinity(self):
        """SQLite's declared type, chosen for its affinity."""
        if self.name in INTS or self.name == 'bit':
            return 'INTEGER'
        if self.name in ('float', 'real'):
            return 'REAL'
        if self.name in ('money', 'smallmoney') or (self.name in ('decimal', 'numeric') and self.size <= 15):
            return 'NUMERIC'
        if self.name in ('binary', 'varbinary', 'image', 'decimal', 'numeric', 'sql_variant'):
            return 'BLOB'
        return 'TEXT COLLATE NOCASE' if self.is_text else 'TEXT'

    @staticmethod
    def parse(text):
        m = re.match(r'^\s*\[?(\w+)\]?\s*(?:\(\s*(max|\d+)\s*(?:,\s*(\d+))?\s*\))?\s*$', text, re.I)
        if not m:
            raise SqlError(2715, f'Cannot find data type {text.strip()}.')
        name, size, scale = m.group(1).lower(), m.group(2), m.group(3)
        name = {'integer': 'int', 'dec': 'decimal', 'rowversion': 'timestamp', 'datetime2': 'datetime2'}.get(name, name)
        number = MAX if size and size.lower() == 'max' else int(size) if size else None
        if name in ('decimal', 'numeric'):
            return Type(name, number or 18, int(scale or 0))
        if name in ('time', 'datetime2', 'datetimeoffset'):
            return Type(name, 0, 7 if number is None else number)
        if name in ('char', 'varchar', 'nchar', 'nvarchar', 'binary', 'varbinary'):
            return Type(name, 1 if number is None else number)
        if name == 'sysname':
            return Type('nvarchar', 128)
        if name == 'float' and number is not None and number <= 24:
            return Type('real')
        if name in INTS or name in ('bit', 'float', 'real', 'money', 'smallmoney', 'date', 'datetime', 'image',
                                    'smalldatetime', 'uniqueidentifier', 'xml', 'text', 'ntext', 'sql_variant'):
            return Type(name)
        raise SqlError(2715, f'Cannot find data type {name}.')

    # ------------------------------------------------------------ TYPE_INFO

    def info(self):
        n = self.name
        if n in INTS:
            return bytes([0x26, INTS[n]])
        if n in ('decimal', 'numeric'):
            return bytes([0x6A if n == 'decimal' else 0x6C, 17, self.size, self.scale])
        if n in ('time', 'datetime2', 'datetimeoffset'):
            return bytes([{'time': 0x29, 'datetime2': 0x2A, 'datetimeoffset': 0x2B}[n], self.scale])
        if self.is_sized:
            token = {'char': 0xAF, 'varchar': 0xA7, 'nchar': 0xEF, 'nvarchar': 0xE7,
                     'binary': 0xAD, 'varbinary': 0xA5}[n]
            size = 0xFFFF if self.size == MAX else self.size * (2 if n[0] == 'n' else 1)
            return struct.pack('<BH', token, size) + (b'' if 'binary' in n else COLLATION)
        return {
            'bit': b'\x68\x01', 'float': b'\x6d\x08', 'real': b'\x6d\x04', 'money': b'\x6e\x08',
            'smallmoney': b'\x6e\x04', 'date': b'\x28', 'datetime': b'\x6f\x08', 'smalldatetime': b'\x6f\x04',
            'uniqueidentifier': b'\x24\x10', 'xml': b'\xf1\x00',
            'text': b'\x23\xff\xff\xff\x7f' + COLLATION, 'ntext': b'\x63\xfe\xff\xff\x7f' + COLLATION,
            'image': b'\x22\xff\xff\xff\x7f', 'sql_variant': struct.pack('<BI', 0x62, 8009),
        }[n]

    # --------------------------------------------------------------- values

    def encode(self, value):
        if value is None:
            return self._null()
        data = self._raw(value)
        if self.legacy_lob:
            return b'\x10' + b'p' * 16 + b't' * 8 + struct.pack('<I', len(data)) + data
        if self.plp:
            chunks = b''.join(struct.pack('<I', len(data[at:at + 8000])) + data[at:at + 8000]
                              for at in range(0, len(data), 8000)) if len(data) > 8000 else (
                struct.pack('<I', len(data)) + data if data else b'')
            return struct.pack('<Q', len(data)) + chunks + b'\0\0\0\0'
        if self.is_sized:
            return struct.pack('<H', len(data)) + data
        if self.name == 'sql_variant':
            return struct.pack('<I', len(data)) + data
        return bytes([len(data)]) + data

    def _null(self):
        if self.plp:
            return b'\xff' * 8
        if self.is_sized:
            return b'\xff\xff'
        return b'\0\0\0\0' if self.name == 'sql_variant' else b'\0'

    def _raw(self, value):
        n = self.name
        if n in INTS:
            value = self.integer(value)
            return value.to_bytes(INTS[n], 'little', signed=n != 'tinyint')
        if n == 'bit':
            return b'\x01' if self.integer(value) else b'\0'
        if n in ('float', 'real'):
            return struct.pack('<d' if n == 'float' else '<f', float(value))
        if n in ('decimal', 'numeric'):
            scaled = int(number_of(value).scaleb(self.scale).to_integral_value(decimal.ROUND_HALF_UP))
            return bytes([scaled >= 0]) + abs(scaled).to_bytes(16, 'little')
        if n in ('money', 'smallmoney'):
            scaled = int(number_of(value).scaleb(4).to_integral_value(decimal.ROUND_HALF_UP))
            return struct.pack('<i', scaled) if n == 'smallmoney' else struct.pack('<iI', scaled >> 32, scaled & 0xFFFFFFFF)
        if self.is_date:
            return self._raw_date(value)
        if n == 'uniqueidentifier':
            return uuid.UUID(str(value)).bytes_le
        if n == 'sql_variant':
            if isinstance(value, int):
                return bytes([0x38, 0]) + struct.pack('<i', value)
            return bytes([0xE7, 7]) + COLLATION + struct.pack('<H', 8000) + text_of(value).encode('utf-16le')
        if n in ('binary', 'varbinary', 'image'):
            data = value if isinstance(value, bytes) else text_of(value).encode('latin-1', 'replace')
            return data.ljust(self.size, b'\0') if n == 'binary' else data
        text = text_of(value)
        if n in ('char', 'nchar'):
            text = text.ljust(self.size)
        return text.encode('cp1252', 'replace') if n in ('char', 'varchar', 'text') else text.encode('utf-16le', 'surrogatepass')

    def integer(self, value):
        if isinstance(value, str) and self.name == 'bit' and value.lower() in ('true', 'false'):
            return int(value.lower() == 'true')
        try:
            number = int(value)
        except (ValueError, OverflowError):
            raise SqlError(245, f"Conversion failed when converting the nvarchar value '{value}' to data type {self.name}.")
        if self.name in INTS:
            bits = 8 * INTS[self.name]
            low, high = (0, 255) if self.name == 'tinyint' else (-(1 << bits - 1), (1 << bits - 1) - 1)
            if not low <= number <= high:
                raise SqlError(8115, f'Arithmetic overflow error converting expression to data type {self.name}.')
        return number

    def _raw_date(self, value):
        n = self.name
        days, ticks, offset = parse_datetime(value)
        if n == 'date':
            return days.to_bytes(3, 'little')
        if n == 'datetime':
            units = (ticks * 300 + 5 * 10**6) // 10**7
            days -= EPOCH_1900 - EPOCH
            return struct.pack('<iI', days + units // 25920000, units % 25920000)
        if n == 'smalldatetime':
            days, ticks = round_ticks(days, ticks, 60 * 10**7)
            return struct.pack('<HH', days - (EPOCH_1900 - EPOCH), ticks // (60 * 10**7))
        unit = 10**(7 - self.scale)
        days, ticks = round_ticks(days, ticks, unit)
        if n == 'datetimeoffset':
            ticks -= (offset or 0) * 60 * 10**7
            days, ticks = days + ticks // (864 * 10**9), ticks % (864 * 10**9)
        out = (ticks // unit).to_bytes(_time_bytes(self.scale), 'little')
        if n != 'time':
            out += days.to_bytes(3, 'little')
        return out + (struct.pack('<h', offset or 0) if n == 'datetimeoffset' else b'')

    def cast(self, value):
        """CAST(value AS this), as SQLite is to keep it."""
        n = self.name
        if value is None:
            return None
        if n in INTS or n == 'bit':
            if isinstance(value, bytes):
                value = int.from_bytes(value, 'big', signed=len(value) >= INTS.get(n, 1))
            value = self.integer(value)
            return int(value != 0) if n == 'bit' else value
        if n in ('float', 'real'):
            try:
                number = float(value)
            except ValueError:
                raise SqlError(8114, f'Error converting data type nvarchar to {n}.')
            return number if n == 'float' else struct.unpack('<f', struct.pack('<f', number))[0]
        if n in ('decimal', 'numeric', 'money', 'smallmoney'):
            scale = self.scale if n in ('decimal', 'numeric') else 4
            number = number_of(value).quantize(decimal.Decimal(1).scaleb(-scale), decimal.ROUND_HALF_UP)
            if n in ('decimal', 'numeric') and abs(number) >= decimal.Decimal(10)**(self.size - scale):
                raise SqlError(8115, f'Arithmetic overflow error converting nvarchar to data type {n}.', 16, 8)
            return format(number, 'f')
        if self.is_date:
            return self._cast_date(value)
        if n == 'uniqueidentifier':
            try:
                return str(uuid.UUID(bytes_le=value) if isinstance(value, bytes) else uuid.UUID(value)).upper()
            except (ValueError, AttributeError, TypeError):
                raise SqlError(8169, 'Conversion failed when converting from a character string to uniqueidentifier.')
        if n in ('binary', 'varbinary', 'image'):
            if isinstance(value, int):
                value = value.to_bytes(8 if abs(value) > 0x7FFFFFFF else 4, 'big', signed=True)
            data = value if isinstance(value, bytes) else text_of(value).encode('utf-16le')
            return data if n == 'image' or self.size == MAX else data[:self.size]
        if n == 'sql_variant':
            return value
        if isinstance(value, bytes) and n[0] == 'n':
            text = value.decode('utf-16le', 'replace')
        else:
            text = text_of(value)
        return text[:self.size] if self.is_sized and self.size != MAX else text

    def _cast_date(self, value):
        days, ticks, offset = parse_datetime(value)
        n, scale = self.name, self.scale
        if n == 'date':
            return format_date(days)
        if n == 'datetime':
            units = (ticks * 300 + 5 * 10**6) // 10**7
            days, units = days + units // 25920000, units % 25920000
            return f'{format_date(days)} {format_ticks((units * 10 + 1) // 3 * 10**4, 3)}'
        if n == 'smalldatetime':
            days, ticks = round_ticks(days, ticks, 60 * 10**7)
            return f'{format_date(days)} {format_ticks(ticks, 0)}'
        days, ticks = round_ticks(days, ticks, 10**(7 - scale))
        if n == 'time':
            return format_ticks(ticks, scale)
        text = f'{format_date(days)} {format_ticks(ticks, scale)}'
        if n == 'datetimeoffset':
            offset = offset or 0
            text += f" {'-' if offset < 0 else '+'}{abs(offset) // 60:02}:{abs(offset) % 60:02}"
        return text
