"""Tokens of a reply (MS-TDS 2.2.7), each as bytes."""
import struct

DONE, DONEPROC, DONEINPROC = 0xFD, 0xFE, 0xFF
MORE, ERROR, INXACT, COUNT, ATTN = 0x01, 0x02, 0x04, 0x10, 0x20
COLLATION = bytes([0x09, 0x04, 0xD0, 0x00, 0x34])  # SQL_Latin1_General_CP1_CI_AS


def us(text):
    return struct.pack('<H', len(text.encode('utf-16le')) // 2) + text.encode('utf-16le')


def bs(text):
    return struct.pack('<B', len(text.encode('utf-16le')) // 2) + text.encode('utf-16le')


def _sized(token, body):
    return struct.pack('<BH', token, len(body)) + body


def done(kind, status=0, command=0, rows=0):
    return struct.pack('<BHHQ', kind, status, command, rows)


def message(error, number, state, cls, text, server, proc='', line=1):
    """ERROR 0xAA or INFO 0xAB."""
    text = text[:4000]
    body = struct.pack('<iBB', number, state, cls) + us(text) + bs(server) + bs(proc)
    return _sized(0xAA if error else 0xAB, body + struct.pack('<i', line))


def env_text(kind, new, old=''):
    return _sized(0xE3, bytes([kind]) + bs(new) + bs(old))


def env_bytes(kind, new=b'', old=b''):
    return _sized(0xE3, bytes([kind, len(new)]) + new + bytes([len(old)]) + old)


def login_ack(name='Microsoft SQL Server'):
    return _sized(0xAD, b'\x01' + bytes.fromhex('74000004') + bs(name) + bytes([15, 0, 8, 0]))


def return_status(value):
    return struct.pack('<Bi', 0x79, value)


def return_value(ordinal, name, typ, value):
    return (struct.pack('<BH', 0xAC, ordinal) + bs(name) + b'\x01' +
            struct.pack('<IH', 0, 1) + typ.info() + typ.encode(value))


def column_metadata(columns):
    """columns: [(name, Type)]; nullable, 2.2.7.4."""
    out = bytearray(struct.pack('<BH', 0x81, len(columns)))
    for name, typ in columns:
        out += struct.pack('<IH', 0, 0x0009) + typ.info()
        if typ.legacy_lob:
            out += b'\x01' + us('dbo')
        out += bs(name)
    return bytes(out)


def row(types, values):
    """ROW, or NBCROW when a value is NULL."""
    if None not in values:
        out = bytearray(b'\xd1')
        for typ, value in zip(types, values):
            out += typ.encode(value)
        return out
    bitmap = bytearray((len(values) + 7) // 8)
    out = bytearray()
    for i, (typ, value) in enumerate(zip(types, values)):
        if value is None:
            bitmap[i // 8] |= 1 << i % 8
        else:
            out += typ.encode(value)
    return b'\xd2' + bitmap + out
