# SPDX-License-Identifier: Apache-2.0
"""The gRPC server: its address, credentials and limits."""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from finsy.proto import p4r_grpc

from softswitch.p4runtime.device import Device
from softswitch.p4runtime.service import MAX_READS, MAX_STREAMS, P4RuntimeService
from softswitch.p4runtime.tls import ServerTls
from softswitch.tlsfiles import TlsFileError, TlsFiles

_LOG = logging.getLogger(__name__)

_UNARY_THREADS = 16
_MAX_MESSAGE = 256 << 20  # bytes
_MAX_METADATA = 8 << 20  # bytes
_MAX_UNIX_PATH = 107  # bytes in sockaddr_un without the final zero
_GRACE = 1.0  # seconds that requests have to end when the server stops

_CHANNEL_OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", _MAX_MESSAGE),
    ("grpc.max_send_message_length", _MAX_MESSAGE),
    ("grpc.max_metadata_size", _MAX_METADATA),
    ("grpc.absolute_max_metadata_size", _MAX_METADATA),
    # A primary whose host died must not stay primary: ask every 10 s, wait 10 s for the answer.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 1_000),
    ("grpc.http2.max_ping_strikes", 0),
)


class ServerError(Exception):
    """The server cannot start; the text is one line for people."""


class Server:
    """A P4Runtime server at one address: `HOST:PORT` or `unix:PATH`."""

    def __init__(self, device: Device, address: str, tls: TlsFiles | None = None) -> None:
        """Bind the address; ServerError says why that is not possible."""
        self.address = address
        self._path = _unix_path(address)
        credentials = _credentials(tls) if tls else None
        self._service = P4RuntimeService(device)
        self._server = grpc.server(
            ThreadPoolExecutor(MAX_STREAMS + MAX_READS + _UNARY_THREADS, thread_name_prefix="grpc"),
            options=_CHANNEL_OPTIONS,
        )
        p4r_grpc.add_P4RuntimeServicer_to_server(self._service, self._server)
        if self._path is not None:
            _prepare_unix(self._path)
        else:
            _check_tcp(address, open_to_all=tls is None or tls.ca is None)
        umask = os.umask(0o177)
        try:
            self.port = (
                self._server.add_secure_port(address, credentials)
                if credentials
                else self._server.add_insecure_port(address)
            )
        except RuntimeError as error:
            raise ServerError(f"cannot listen on {address}: {error}") from error
        finally:
            os.umask(umask)

    def start(self) -> None:
        """Begin to serve."""
        self._server.start()

    def stop(self) -> None:
        """End all streams, give requests a moment, and remove the socket file."""
        stopped = self._server.stop(_GRACE)
        self._service.close_streams()
        stopped.wait()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _credentials(tls: TlsFiles) -> grpc.ServerCredentials:
    try:
        return ServerTls(tls).credentials()
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


def _check_tcp(address: str, open_to_all: bool) -> None:
    """Bind once by hand: the reason of a failure is then known, which gRPC only writes to its log."""
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
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(where)
        except OSError as error:
            reason = "address in use" if error.errno == errno.EADDRINUSE else str(error.strerror)
            raise ServerError(f"cannot listen on {address}: {reason}") from error
