# SPDX-License-Identifier: Apache-2.0
"""The gRPC server: its address, credentials and limits.

grpclib serves, in an event loop on a thread of its own: what comes or leaves together costs one wake-up.
What may take long goes to other threads (`service.py`).
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import os
import socket
import stat
import threading
from concurrent.futures import Future
from pathlib import Path

import grpclib.server
import uvloop
from grpclib.config import Configuration

from softswitch import framing
from softswitch.p4runtime.details import Details
from softswitch.p4runtime.device import Device
from softswitch.p4runtime.service import P4RuntimeService
from softswitch.p4runtime.tls import ServerTls
from softswitch.tlsfiles import TlsFileError, TlsFiles

_LOG = logging.getLogger(__name__)

_MAX_UNIX_PATH = 107  # bytes in sockaddr_un without the final zero
_BACKLOG = 128
_GRACE = 1.0  # seconds that requests have to end when the server stops

# A primary whose host died must not stay primary: ask after 10 s of silence, every 3 s, three times.
_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 3),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 20_000),
)


class ServerError(Exception):
    """The server cannot start; the text is one line for people."""


class Server:
    """A P4Runtime server at one address: `HOST:PORT` or `unix:PATH`."""

    def __init__(self, device: Device, address: str, tls: TlsFiles | None = None) -> None:
        """Bind the address; ServerError says why that is not possible."""
        self.address = address
        self.port = 0
        self._path = _unix_path(address)
        self._tls = _server_tls(tls) if tls else None
        self._device = device
        self._socket: socket.socket | None = None
        if self._path is not None:
            _prepare_unix(self._path)
        else:
            self._socket = _bind_tcp(address, open_to_all=tls is None or tls.ca is None)
            self.port = self._socket.getsockname()[1]
        self._serving: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        umask = os.umask(0o177)
        try:
            self._thread.start()
            self._serving.result()
        except OSError as error:
            raise ServerError(f"cannot listen on {self.address}: {error.strerror}") from error
        finally:
            os.umask(umask)

    def stop(self) -> None:
        """End all streams, give requests a moment, and remove the socket file."""
        if self._thread.is_alive():
            loop, stopping = self._serving.result()
            loop.call_soon_threadsafe(stopping.set)
            self._thread.join()
        if self._socket is not None:
            self._socket.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _run(self) -> None:
        try:
            uvloop.run(self._serve())
        except BaseException as error:
            if self._serving.done():
                raise
            self._serving.set_exception(error)

    async def _serve(self) -> None:
        service = P4RuntimeService(self._device)
        server = grpclib.server.Server(
            [service], codec=framing.Serialised(), status_details_codec=Details(), config=Configuration()
        )
        self._device.carry_events(asyncio.get_running_loop())
        security = self._tls.context() if self._tls else None
        path = None if self._path is None else str(self._path)
        await server.start(path=path, sock=self._socket, ssl=security, backlog=_BACKLOG)
        stopping = asyncio.Event()
        self._serving.set_result((asyncio.get_running_loop(), stopping))
        await stopping.wait()
        service.close_streams()
        await service.finished(_GRACE)
        server.close()
        await server.wait_closed()
        self._device.carry_events(None)
        service.close()


def _server_tls(files: TlsFiles) -> ServerTls:
    try:
        return ServerTls(files)
    except TlsFileError as error:
        raise ServerError(f"TLS: {error}") from None


def _unix_path(address: str) -> Path | None:
    if not address.startswith("unix:"):
        return None
    path = address.removeprefix("unix:")
    if path.startswith("//"):
        path = path[2:]
    if not path:
        raise ServerError("the address unix: lacks a path")
    return Path(path)


def _prepare_unix(path: Path) -> None:
    """Make way for a socket file: replace one that nobody serves, refuse everything else."""
    if len(os.fsencode(path)) > _MAX_UNIX_PATH:
        raise ServerError(f"unix socket path is longer than {_MAX_UNIX_PATH} bytes: {path}")
    if not path.absolute().parent.is_dir():
        raise ServerError(f"cannot listen on unix:{path}: folder {path.parent} does not exist")
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise ServerError(f"cannot listen on unix:{path}: {error.strerror}") from error
    if not stat.S_ISSOCK(mode):
        raise ServerError(f"cannot listen on unix:{path}: the file exists and is not a socket")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise ServerError(f"cannot listen on unix:{path}: {error.strerror}") from error
    raise ServerError(f"cannot listen on unix:{path}: address in use, another server is listening there")


def _bind_tcp(address: str, open_to_all: bool) -> socket.socket:
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ServerError(f"bad address {address!r}: want HOST:PORT or unix:PATH")
    host = host.strip("[]")
    try:
        found = socket.getaddrinfo(host or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ServerError(f"cannot listen on {address}: {error.strerror}") from error
    family, kind, protocol, _, where = found[0]
    if open_to_all and not ipaddress.ip_address(str(where[0]).partition("%")[0]).is_loopback:
        _LOG.warning(
            "%s: other machines reach it, and it asks for no certificate: whoever comes controls the switch; "
            "give --tls-cert, --tls-key and --tls-ca",
            address,
        )
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for level, option, value in _KEEPALIVE:  # those of the connections that it accepts
        listener.setsockopt(level, option, value)
    try:
        listener.bind(where)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        reason = "address in use" if error.errno == errno.EADDRINUSE else str(error.strerror)
        raise ServerError(f"cannot listen on {address}: {reason}") from error
    return listener
