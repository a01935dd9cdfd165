# SPDX-License-Identifier: Apache-2.0
"""Small TCP servers on the kernel stack of a lab's host: an echo, with or without a banner sent
first, or an answer of its own after the client's end."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from controller.scenario.clients import send_spread
from controller.scenario.netns import tcp_socket

_BACKLOG = 1024
_CHUNK = 1 << 16


class TcpServer:
    """Listens at address:port in a namespace until closed. Sends `banner` to each client first, then echoes
    to the end; or with `answer` reads to the end and then sends that many bytes of its own
    (`clients.chunks`), spread over `over_s` seconds. Before it begins to read, `reads_after_s`
    seconds pass; `receive_buffer` bytes are asked for the socket (0: what the system gives).
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
    ) -> None:
        self.accepted = 0
        self._banner = banner
        self._answer = answer
        self._over_s = over_s
        self._reads_after_s = reads_after_s
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = tcp_socket(netns, address)
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if receive_buffer:
                self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self._listener.bind((address, port))
            self._listener.listen(_BACKLOG)
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
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            with self._lock:
                self._connections.add(connection)
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
