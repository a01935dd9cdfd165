# SPDX-License-Identifier: Apache-2.0
"""A small client of the HTTP endpoint, and where to find the controller when nobody says."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
from pathlib import Path
from typing import Any, Final, NamedTuple

from softswitch.secretfile import SecretFileError, read_token

DEFAULT_ADDRESS: Final = "127.0.0.1:8080"
_TIME: Final = 10.0


class ApiUnreachableError(Exception):
    """No controller answers; one line."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIME)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_TIME)
        self.sock.connect(self._path)


def find_api() -> str:
    """$SYNCLINE_API, else the socket of the lab that was started last, else the default address."""
    address = os.environ.get("SYNCLINE_API")
    if address:
        return address
    build = Path(os.environ.get("SYNCLINE_BUILD", "build"))
    sockets = sorted(build.glob("lab/*/run/controller.sock"), key=lambda path: path.stat().st_mtime)
    return f"unix:{sockets[-1]}" if sockets else DEFAULT_ADDRESS


class Access(NamedTuple):
    """What a controller's API that other machines reach may want, and what to expect of it."""

    token_file: Path | None = None
    ca: Path | None = None

    @classmethod
    def of(cls, token_file: Path | None, ca: Path | None) -> Access:
        """What is not given is taken from $SYNCLINE_API_TOKEN_FILE and $SYNCLINE_API_CA."""
        token_file = token_file or _path_in("SYNCLINE_API_TOKEN_FILE")
        return cls(token_file, ca or _path_in("SYNCLINE_API_CA"))


def _path_in(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None


def get_json(address: str, path: str, access: Access | None = None, *, method: str = "GET") -> Any:
    """A JSON document from a controller at `unix:PATH`, `HOST:PORT` or `https://HOST:PORT`.

    Raises:
        ApiUnreachableError: nobody listens there, it does not let us in, or the answer is no JSON document.
    """
    access = access or Access.of(None, None)
    connection = _connection(address, access)
    headers = {"Content-Type": "application/json"} if method == "POST" else {}
    try:
        if access.token_file is not None:
            headers["Authorization"] = f"Bearer {read_token(access.token_file)}"
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        document = json.loads(response.read())
    except SecretFileError as err:
        raise ApiUnreachableError(str(err)) from None
    except ssl.SSLError as err:
        why = getattr(err, "verify_message", "") or err.reason or str(err)
        raise ApiUnreachableError(
            f"{address}: TLS: {why}; give the CA that signed its certificate with --ca, and its name in --api"
        ) from None
    except OSError as err:
        raise ApiUnreachableError(f"no controller answers at {address}: {err.strerror or err}") from None
    except (http.client.HTTPException, ValueError):
        raise ApiUnreachableError(f"what answers at {address} is no Syncline controller") from None
    finally:
        connection.close()
    if response.status != 200:
        error = document.get("error") if isinstance(document, dict) else response.reason
        raise ApiUnreachableError(f"{address}{path}: {error}")
    return document


def _connection(address: str, access: Access) -> http.client.HTTPConnection:
    if address.startswith("unix:"):
        return _UnixConnection(address.removeprefix("unix:"))
    rest = address.removeprefix("https://").removeprefix("http://").rstrip("/")
    host, _, port = rest.rpartition(":")
    if not host or not port.isdecimal():
        raise ApiUnreachableError(f"{address!r} is not an address; give unix:PATH or HOST:PORT")
    host = host.strip("[]")
    if not address.startswith("https://"):
        return http.client.HTTPConnection(host, int(port), timeout=_TIME)
    try:
        context = ssl.create_default_context(cafile=access.ca)
    except OSError as err:
        why = "no PEM file" if isinstance(err, ssl.SSLError) else err.strerror
        raise ApiUnreachableError(f"{access.ca}: {why}; give the PEM file of a CA with --ca") from None
    return http.client.HTTPSConnection(host, int(port), timeout=_TIME, context=context)
