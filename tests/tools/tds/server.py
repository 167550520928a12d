#!/usr/bin/env python3
"""A server that speaks TDS 7.4 over SQLite, for tests of SQL Server drivers.

    listener -> per connection: a reader (packets, attention) and a runner

    server.py --cert FILE --key FILE [--port 0] [--user NAME:PASSWORD]...
              [--database NAME]... [--encrypt on|off|required|none]

Prints "listening on PORT" when ready, and ends on SIGTERM or SIGINT. What it is
to be and why: README.md beside this file.
"""
import argparse
import hmac
import os
import queue
import shutil
import signal
import socket
import ssl
import struct
import sys
import tempfile
import threading

import tokens
import wire
from params import read_rpc, skip_headers
from session import Attention, Session, declare
from sqltypes import SqlError, Type
from storage import Storage

PROCS = {10: 'sp_executesql', 11: 'sp_prepare', 12: 'sp_execute', 13: 'sp_prepexec', 15: 'sp_unprepare'}


class Outcome:
    """What a request's statements produce, as tokens of one reply."""

    def __init__(self, connection, reply, rpc):
        self.connection, self.reply = connection, reply
        self.kind = tokens.DONEINPROC if rpc else tokens.DONE
        self.failed, self.status, self.pending = False, 0, None

    def _flush(self, more):
        if self.pending is not None:
            status, command, rows = self.pending
            self.reply.add(tokens.done(self.kind, status | (tokens.MORE if more else 0), command, rows))
            self.pending = None

    def add(self, data):
        self._flush(True)
        self.reply.add(data)

    def columns(self, columns):
        self.add(tokens.column_metadata(columns))

    def row(self, types, values):
        self.reply.add(tokens.row(types, values))

    def done(self, rows, command=0):
        self._flush(True)
        status = (tokens.COUNT if rows is not None else 0) | (tokens.ERROR if self.failed else 0)
        self.pending = (status, command, rows or 0)
        self.failed = False

    def error(self, error):
        self.failed, self.status = True, self.status or error.number
        self.add(tokens.message(True, error.number, error.state, error.cls, error.text, self.connection.server.name))
        if error.cls >= 20:
            self.connection.session.closed.set()

    def info(self, number, state, cls, text):
        self.add(tokens.message(False, number, state, cls, text, self.connection.server.name))

    def transaction(self, kind):
        """ENVCHANGE 8 begin, 9 commit, 10 rollback; a descriptor of 8 bytes."""
        if kind == 8:
            self.connection.descriptor += 1
        descriptor = struct.pack('<Q', self.connection.descriptor)
        self.add(tokens.env_bytes(kind, *((descriptor, b'') if kind == 8 else (b'', descriptor))))

    def use(self, new, old):
        self.add(tokens.env_text(1, new, old))
        self.info(5701, 2, 0, f"Changed database context to '{new}'.")

    def end(self, kind=None):
        """The last DONE; of an RPC with its return status."""
        if self.kind == tokens.DONEINPROC:
            self._flush(True)
            self.reply.add(tokens.return_status(self.status))
            self.reply.add(tokens.done(tokens.DONEPROC, tokens.ERROR if self.failed else 0))
        elif self.pending is None:
            self.reply.add(tokens.done(tokens.DONE, tokens.ERROR if self.failed else 0))
        else:
            self._flush(False)
        self.reply.end()


class Connection:
    def __init__(self, server, sock, spid):
        self.server, self.sock, self.spid = server, sock, spid
        self.transport, self.session = wire.Transport(sock), None
        self.messages, self.packet_size, self.descriptor = queue.Queue(), 4096, spid << 32

    def reply(self):
        return wire.Reply(self.transport, self.packet_size, self.spid)

    # -------------------------------------------------------------- login

    def serve(self):
        try:
            if self.login():
                threading.Thread(target=self.read, daemon=True).start()
                self.run()
        except (EOFError, OSError, wire.ProtocolError, ssl.SSLError, struct.error) as error:
            self.server.log(f'connection {self.spid}: {type(error).__name__} {error}')
        finally:
            self.server.forget(self)
            if self.session:
                self.session.closed.set()
                self.session.close()
            try:
                self.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.sock.close()

    def negotiate(self, client):
        """(our ENCRYPTION byte, is there TLS, does it stay after LOGIN7)."""
        mode = self.server.encrypt
        if mode == 'none':
            return wire.ENCRYPT_NOT_SUP, False, False
        if client == wire.ENCRYPT_NOT_SUP:
            required = mode == 'required'
            return (wire.ENCRYPT_REQ if required else wire.ENCRYPT_NOT_SUP), required, required
        if client in (wire.ENCRYPT_ON, wire.ENCRYPT_REQ):
            return (wire.ENCRYPT_REQ if mode == 'required' else wire.ENCRYPT_ON), True, True
        if mode == 'off':
            return wire.ENCRYPT_OFF, True, False
        return (wire.ENCRYPT_REQ, True, True) if mode == 'required' else (wire.ENCRYPT_OFF, True, False)

    def login(self):
        kind, _, body = self.transport.read_message()
        if kind != wire.PRELOGIN:
            raise wire.ProtocolError('no PRELOGIN')
        wanted = wire.read_prelogin(body).get(1, b'\x02')[:1] or b'\x02'
        answer, tls, stays = self.negotiate(wanted[0])
        reply = self.reply()
        reply.add(wire.prelogin_reply(answer))
        reply.end()
        if tls:
            self.transport.start_tls(self.server.context)
        kind, _, body = self.transport.read_message()
        if kind != wire.LOGIN7:
            raise wire.ProtocolError('no LOGIN7')
        login = wire.read_login(body)
        if tls and not stays:
            self.transport.stop_tls()
        return self.admit(login)

    def admit(self, login):
        user, reply, server = login['user'], self.reply(), self.server.name
        database = login['database'] or self.server.storage.names[0]
        error = None
        known = self.server.users.get(user)
        if known is None or not hmac.compare_digest(known.encode(), login['password'].encode()):
            error = SqlError(18456, f"Login failed for user '{user}'.", 14)
        elif database.lower() not in [n.lower() for n in self.server.storage.names]:
            error = SqlError(4060, f'Cannot open database "{database}" requested by the login. The login failed.', 11)
        elif user in self.server.disabled:
            error = SqlError(18470, f"Login failed for user '{user}'. Reason: The account is disabled.", 14)
        elif self.server.full():
            error = SqlError(17809, 'Could not connect because the maximum number of user connections has been reached.', 20)
        if error:
            reply.add(tokens.message(True, error.number, error.state, error.cls, error.text, server))
            reply.add(tokens.done(tokens.DONE, tokens.ERROR))
            reply.end()
            return False
        self.session = Session(self.server, login, self.spid, database.lower())
        size = min(max(login['packet_size'] or 4096, 512), 32767)
        reply.add(tokens.env_text(1, database, 'master'))
        reply.add(tokens.message(False, 5701, 2, 0, f"Changed database context to '{database}'.", server))
        reply.add(tokens.env_bytes(7, tokens.COLLATION))
        reply.add(tokens.env_text(2, 'us_english'))
        reply.add(tokens.message(False, 5703, 1, 0, 'Changed language setting to us_english.', server))
        reply.add(tokens.login_ack())
        reply.add(tokens.env_text(4, str(size), '4096'))
        reply.add(tokens.done(tokens.DONE))
        reply.end()
        self.packet_size = size
        self.server.remember(self)
        return True

    # ----------------------------------------------------------- requests

    def read(self):
        try:
            while True:
                message = self.transport.read_message()
                if message[0] == wire.ATTENTION:
                    self.session.attend.set()
                    self.session.sqlite.interrupt()
                self.messages.put(message)
        except (EOFError, OSError, wire.ProtocolError, ssl.SSLError, struct.error) as error:
            self.server.log(f'connection {self.spid} ends: {type(error).__name__} {error}')
        self.session.closed.set()
        try:
            self.session.sqlite.interrupt()
        except Exception:
            pass
        self.messages.put(None)

    def run(self):
        while (message := self.messages.get()) is not None and not self.session.closed.is_set():
            kind, bits, body = message
            if kind == wire.ATTENTION:
                self.session.attend.clear()
                reply = self.reply()
                reply.add(tokens.done(tokens.DONE, tokens.ATTN))
                reply.end()
                continue
            self.session.busy = True
            self.request(kind, bits, body)
            self.session.busy = False

    def request(self, kind, bits, body):
        reply = self.reply()
        if bits & (wire.RESET | wire.RESET_KEEP):
            self.session.reset()
            self.server.resets += 1
            reply.add(tokens.env_bytes(18))
        out = Outcome(self, reply, kind == wire.RPC)
        try:
            if bits & wire.IGNORE:
                out.failed = True
            elif kind == wire.SQL_BATCH:
                self.session.run(body[skip_headers(body):].decode('utf-16le', 'replace'), out)
            elif kind == wire.RPC:
                self.session.out = out
                for proc, given in read_rpc(body):
                    self.call(proc, given, out)
            elif kind == wire.TRANSACTION:
                self.session.out = out
                self.transaction(body[skip_headers(body):], out)
            else:
                out.error(SqlError(4002, 'The incoming tabular data stream (TDS) protocol stream is incorrect.', 16))
        except SqlError as error:
            out.error(error)
        except Attention:
            if self.session.closed.is_set():
                return
            out.failed, out.pending = True, None
        out.end()

    def transaction(self, body, out):
        kind = struct.unpack_from('<H', body)[0]
        session = self.session
        if kind == 5:
            if len(body) > 2 and body[2]:
                session.isolation = body[2]
            session.begin()
        elif kind == 7:
            session.commit()
        elif kind == 8:
            session.rollback()
        elif kind == 9:
            size = body[2]
            name = body[3:3 + size].decode('utf-16le')
            if not session.sqlite.in_transaction:
                session.sqlite.execute('BEGIN')
            session.sqlite.execute('SAVEPOINT "{}"'.format(name.replace('"', '""')))
        else:
            raise SqlError(50000, f'transaction manager request {kind} is not known to this test server.')
        out.done(None)

    def call(self, proc, given, out):
        name = (PROCS.get(proc, f'#{proc}') if isinstance(proc, int) else proc.split('.')[-1].strip('[]').lower())
        values = [(typ, value) for _, _, typ, value in given]
        session = self.session
        if name == 'sp_prepare' or name == 'sp_prepexec':
            handle, session.next_handle = session.next_handle, session.next_handle + 1
            session.prepared[handle] = (values[2][1], values[1][1])
            if name == 'sp_prepexec':
                self.execute(handle, given[3:])
            out.add(tokens.return_value(0, given[0][0], Type('int'), handle))
        elif name == 'sp_execute':
            self.execute(values[0][1], given[1:])
        elif name == 'sp_unprepare':
            self.session.prepared.pop(values[0][1], None)
        else:
            session.fault = None
            named = {n.lower(): (t, v) for n, _, t, v in given if n}
            positional = [(t, v) for n, _, t, v in given if not n]
            try:
                session.procedure(name, positional, named)
            except SqlError as error:
                out.error(error)

    def execute(self, handle, given):
        if handle not in self.session.prepared:
            raise SqlError(8179, f'Could not find prepared statement with handle {handle}.')
        text, declared = self.session.prepared[handle]
        named = {n.lower(): (t, v) for n, _, t, v in given if n}
        variables = declare(declared, [(t, v) for n, _, t, v in given if not n], named)
        self.session.dynamic(text, variables)


class Server:
    def __init__(self, options, directory):
        self.name, self.encrypt = 'TDSTEST', options.encrypt
        self.users = dict(u.split(':', 1) for u in options.user or ['sa:Sa secret 1'])
        self.storage = Storage(directory)
        for name in options.database or ['app']:
            self.storage.create(name)
        self.verbose, self.limit, self.resets = options.verbose, options.max_connections, 0
        self.blind, self.disabled = set(options.blind or ()), set()
        self.context = None
        if options.cert:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.maximum_version = ssl.TLSVersion.TLSv1_2
            self.context.options |= ssl.OP_NO_TICKET
            self.context.load_cert_chain(options.cert, options.key)
        else:
            self.encrypt = 'none'
        self.lock, self.connections, self.next_spid = threading.RLock(), {}, 51
        self.applocks, self.released = {}, threading.Condition(self.lock)

    def log(self, text):
        if self.verbose:
            print(text, file=sys.stderr, flush=True)

    def remember(self, connection):
        with self.lock:
            self.connections[connection.spid] = connection

    def forget(self, connection):
        with self.lock:
            self.connections.pop(connection.spid, None)

    def full(self):
        with self.lock:
            return self.limit and len(self.connections) >= self.limit

    def sessions_now(self):
        with self.lock:
            return [c.session for c in self.connections.values() if c.session]

    def kill(self, spid):
        with self.lock:
            connection = self.connections.get(spid)
        if not connection:
            return False
        connection.session.closed.set()
        connection.sock.shutdown(socket.SHUT_RDWR)
        return True

    def take_applock(self, name, session, timeout_ms):
        """Session owned; waits in steps so that attention is noticed."""
        waited = 0
        while True:
            with self.lock:
                if self.applocks.get(name, session.spid) == session.spid:
                    self.applocks[name] = session.spid
                    return True
            if 0 <= timeout_ms <= waited:
                return False
            session.pause(0.01)
            waited += 10

    def release_applocks(self, spid, name=None):
        with self.lock:
            for key in [k for k, owner in self.applocks.items() if owner == spid and name in (None, k)]:
                del self.applocks[key]

    def accept(self, listener):
        while True:
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                spid = self.next_spid
                self.next_spid = spid + 1 if spid < 32000 else 51
            threading.Thread(target=Connection(self, sock, spid).serve, daemon=True).start()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--host', default='127.0.0.1')
    parser.add_argument('--port', type=int, default=0)
    parser.add_argument('--cert')
    parser.add_argument('--key')
    parser.add_argument('--user', action='append', help='name:password; may be repeated')
    parser.add_argument('--database', action='append')
    parser.add_argument('--encrypt', choices=('on', 'off', 'required', 'none'), default='on')
    parser.add_argument('--max-connections', type=int, default=0)
    parser.add_argument('--blind', action='append', help='a user without VIEW DEFINITION; may be repeated')
    parser.add_argument('--directory', help='of the databases, which stay there; default: a new one that goes')
    parser.add_argument('--verbose', action='store_true')
    options = parser.parse_args()
    directory = options.directory or tempfile.mkdtemp(prefix='portside-tds-')

    def end(*_):
        if not options.directory:
            shutil.rmtree(directory, ignore_errors=True)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    server = Server(options, directory)
    listener = socket.create_server((options.host, options.port), backlog=256)
    print(f'listening on {listener.getsockname()[1]}', flush=True)
    threading.stack_size(512 * 1024)
    threading.Thread(target=server.accept, args=(listener,), daemon=True).start()
    threading.Event().wait()


if __name__ == '__main__':
    main()
