"""Bytes of MS-TDS 7.4: packets, TLS inside PRELOGIN, LOGIN7, the reply stream.

    socket <-> Transport (TLS or not) <-> packets <-> messages

One thread reads a connection, another writes it; TLS state is shared and so
behind a lock. Section numbers are those of MS-TDS.
"""
import ssl
import struct
import threading

SQL_BATCH, RPC, REPLY, ATTENTION = 0x01, 0x03, 0x04, 0x06
BULK, TRANSACTION, LOGIN7, PRELOGIN = 0x07, 0x0E, 0x10, 0x12
EOM, IGNORE, RESET, RESET_KEEP = 0x01, 0x02, 0x08, 0x10
ENCRYPT_OFF, ENCRYPT_ON, ENCRYPT_NOT_SUP, ENCRYPT_REQ = 0, 1, 2, 3
HEADER = struct.Struct('>BBHHBB')
MESSAGE_MAX = 256 << 20


class ProtocolError(Exception):
    """The peer does not speak TDS; the connection is closed."""


class Transport:
    def __init__(self, sock):
        self.sock = sock
        self.plain = bytearray()
        self.tls = None
        self.lock = threading.Lock()

    def _fill(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError
        if not self.tls:
            self.plain += data
            return
        with self.lock:
            self.incoming.write(data)
            try:
                while True:
                    got = self.tls.read(65536)
                    if not got:
                        raise EOFError
                    self.plain += got
            except ssl.SSLWantReadError:
                pass

    def read(self, count):
        while len(self.plain) < count:
            self._fill()
        out = bytes(self.plain[:count])
        del self.plain[:count]
        return out

    def write(self, data):
        with self.lock:
            if self.tls:
                self.tls.write(data)
                data = self.outgoing.read()
        self.sock.sendall(data)

    def read_packet(self):
        kind, status, length, _, _, _ = HEADER.unpack(self.read(8))
        if length < 8:
            raise ProtocolError('packet shorter than its header')
        return kind, status, self.read(length - 8)

    def read_message(self):
        """(type, status bits of all packets, payload)."""
        first, bits, body = None, 0, bytearray()
        while True:
            kind, status, data = self.read_packet()
            if first is None:
                first = kind
            elif kind != first:
                raise ProtocolError('a packet of another type inside a message')
            bits |= status
            body += data
            if len(body) > MESSAGE_MAX:
                raise ProtocolError('message too large')
            if status & EOM:
                return first, bits, bytes(body)

    def _wrap_outgoing(self):
        data = self.outgoing.read()
        for at in range(0, len(data), 4088):
            part = data[at:at + 4088]
            last = EOM if at + 4088 >= len(data) else 0
            self.sock.sendall(HEADER.pack(PRELOGIN, last, len(part) + 8, 0, at // 4088 & 255, 0) + part)

    def start_tls(self, context):
        """2.2.6.5: handshake records travel in PRELOGIN packets both ways."""
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._wrap_outgoing()
                kind, _, data = self.read_packet()
                if kind != PRELOGIN:
                    raise ProtocolError('no TLS record where one has to be')
                self.incoming.write(data)
        self._wrap_outgoing()
        self.tls = tls

    def stop_tls(self):
        self.tls = None


class Reply:
    """One message to the client, split into packets as it grows."""

    def __init__(self, transport, packet_size, spid):
        self.transport, self.size, self.spid = transport, packet_size - 8, spid
        self.data, self.number = bytearray(), 0

    def add(self, data):
        self.data += data
        if len(self.data) > 16 * self.size:
            self._send(False)

    def _send(self, last):
        out = bytearray()
        while len(self.data) > self.size or (last and self.data):
            part = self.data[:self.size]
            del self.data[:self.size]
            self.number = self.number + 1 & 255
            status = EOM if last and not self.data else 0
            out += HEADER.pack(REPLY, status, len(part) + 8, self.spid, self.number, 0) + part
        self.transport.write(bytes(out))

    def end(self):
        self._send(True)


def read_prelogin(body):
    """2.2.6.5: {option token: bytes}."""
    options, at = {}, 0
    while at < len(body) and body[at] != 0xFF:
        token, offset, length = struct.unpack_from('>BHH', body, at)
        options[token] = body[offset:offset + length]
        at += 5
    return options


def prelogin_reply(encryption):
    options = [(0, bytes([15, 0, 8, 0, 0, 0])), (1, bytes([encryption])),
               (2, b'\0'), (3, b''), (4, b'\0')]
    at, head, tail = 5 * len(options) + 1, b'', b''
    for token, value in options:
        head += struct.pack('>BHH', token, at + len(tail), len(value))
        tail += value
    return head + b'\xff' + tail


def read_login(body):
    """2.2.6.4. The password's nibbles are swapped after xor 0xA5."""
    if len(body) < 94:
        raise ProtocolError('LOGIN7 too short')
    version, packet_size = struct.unpack_from('<II', body, 4)

    def field(at):
        offset, length = struct.unpack_from('<HH', body, at)
        return body[offset:offset + 2 * length]

    secret = bytes((b ^ 0xA5) << 4 & 0xF0 | (b ^ 0xA5) >> 4 for b in field(44))
    return {
        'version': version, 'packet_size': packet_size,
        'host': field(36).decode('utf-16le'), 'user': field(40).decode('utf-16le'),
        'password': secret.decode('utf-16le', 'replace'),
        'app': field(48).decode('utf-16le'), 'database': field(68).decode('utf-16le'),
    }
