# SPDX-License-Identifier: Apache-2.0
"""Small TCP servers on the kernel stack of a lab's host: an echo, with or without a banner sent
first, or an answer of its own after the client's end."""

from __future__ import annotations

import contextlib
import resource
import selectors
import socket
import threading
import time
from typing import cast

from controller.scenario.clients import send_spread
from controller.scenario.netns import tcp_socket
from controller.scenario.signatures import sign

_BACKLOG = 4096
_MOST_SILENT = 8192  # connections that have sent nothing; the oldest make room
_AT_ONCE = 64  # connections that are accepted before those that have something to say get their turn
_CHUNK = 1 << 16


class TcpServer:
    """Listens at address:port in a namespace until closed. Sends `banner` to each client first, then echoes
    to the end; or with `answer` reads to the end and then sends that many bytes of its own
    (`clients.chunks`), spread over `over_s` seconds. Before it begins to read, `reads_after_s`
    seconds pass; `receive_buffer` bytes are asked for the socket (0: what the system gives). With a key
    `md5`, TCP-MD5 signs every segment.
    """

    def __init__(
        self,
        netns: str,
        address: str,
        port: int,
        *,
        banner: bytes = b"",
        answer: int = 0,
        over_s: float = 0.0,
        receive_buffer: int = 0,
        reads_after_s: float = 0.0,
        md5: bytes = b"",
    ) -> None:
        self.accepted = 0
        self._banner = banner
        self._answer = answer
        self._over_s = over_s
        self._reads_after_s = reads_after_s
        self._connections: set[socket.socket] = set()
        self._silent: dict[socket.socket, None] = {}  # in the order in which they came
        self._lock = threading.Lock()
        _allow_many_connections()
        self._listener = tcp_socket(netns, address)
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if md5:
                sign(self._listener, md5)
            if receive_buffer:
                self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self._listener.bind((address, port))
            self._listener.listen(_BACKLOG)
            self._listener.setblocking(False)
        except OSError:
            self._listener.close()
            raise
        self._thread = threading.Thread(target=self._accept, name=f"server {address}:{port}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops listening and breaks what is still open."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        """A connection that says nothing costs no thread: an attack may open thousands."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is not self._listener:
                        connection = cast(socket.socket, key.fileobj)
                        selector.unregister(connection)
                        del self._silent[connection]
                        self._start(connection)
                    elif not self._accept_some(selector):
                        return

    def _accept_some(self, selector: selectors.BaseSelector) -> bool:
        """Takes connections that wait; False when the listener is closed."""
        for _ in range(_AT_ONCE):
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return True
            except OSError:
                return False
            connection.setblocking(True)
            self.accepted += 1
            with self._lock:
                self._connections.add(connection)
            if self._banner:
                self._start(connection)
            else:
                selector.register(connection, selectors.EVENT_READ)
                self._silent[connection] = None
                if len(self._silent) > _MOST_SILENT:
                    self._close_oldest(selector)
        return True

    def _close_oldest(self, selector: selectors.BaseSelector) -> None:
        oldest = next(iter(self._silent))
        selector.unregister(oldest)
        del self._silent[oldest]
        with self._lock:
            self._connections.discard(oldest)
        oldest.close()

    def _start(self, connection: socket.socket) -> None:
        threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            if self._banner:
                connection.sendall(self._banner)
            time.sleep(self._reads_after_s)
            while data := connection.recv(_CHUNK):
                if not self._answer:
                    connection.sendall(data)
            if self._answer:
                send_spread(connection, self._answer, self._over_s)
        with self._lock:
            self._connections.discard(connection)


def _allow_many_connections() -> None:
    """As many open files as the process may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
