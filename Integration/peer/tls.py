# SPDX-License-Identifier: MIT
# TLS for the tests' own ends, with what the ssl module's sockets do not have: a half close by close_notify in either direction, and an end
# without one that is told from a clean end. Looks like a socket. One thread may read while another writes.

import socket
import ssl
import threading

# Ports that speak TLS, "host:port" -> the context of their clients: peer.wire.connect wraps what goes there.
trusted = {}


class Truncated(ConnectionResetError):
    """The connection ended without a close_notify."""


class TLSSocket:
    """A connected socket with TLS on it, its handshake done."""

    def __init__(self, sock, context, server_name=None, server=False, session=None):
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server, server_name, session)
        self.lock = threading.Lock()
        self.shut = False
        self.run(self.tls.do_handshake)
        self.flush()

    def flush(self):
        with self.lock:
            if data := self.outgoing.read():
                self.sock.sendall(data)

    def fill(self):
        data = self.sock.recv(65536)
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()

    def run(self, operation, *arguments):
        """Does it, reading from the network as often as it takes."""
        while True:
            try:
                with self.lock:
                    return operation(*arguments)
            except ssl.SSLWantReadError:
                self.flush()
                self.fill()
            except ssl.SSLError:
                self.flush()
                raise

    def recv(self, size):
        try:
            return self.run(self.tls.read, size)
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLEOFError as error:
            raise Truncated("the end without close_notify") from error

    def sendall(self, data):
        with self.lock:
            if self.shut:
                raise BrokenPipeError("behind the close_notify")
            view = memoryview(data)
            while view:
                view = view[self.tls.write(view):]
            out = self.outgoing.read()
        self.sock.sendall(out)

    def notify(self):
        """Sends the close_notify, once."""
        with self.lock:
            if self.shut:
                return
            self.shut = True
            try:
                self.tls.unwrap()
            except (ssl.SSLError, OSError):
                pass  # the peer's own is still to come
            data = self.outgoing.read()
        try:
            self.sock.sendall(data)
        except OSError:
            pass

    def shutdown(self, how):
        if how == socket.SHUT_RD:
            return self.sock.shutdown(how)
        self.notify()
        try:
            self.sock.shutdown(how)
        except OSError:
            pass  # the peer was quicker

    def cut(self):
        """Ends the connection without a close_notify."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def __getattr__(self, name):
        """settimeout, setsockopt, getsockname and the like are the socket's own."""
        return getattr(self.sock, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
