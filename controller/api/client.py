# SPDX-License-Identifier: Apache-2.0
"""A small client of the HTTP endpoint, and where to find the controller when nobody says."""

from __future__ import annotations

import http.client
import json
import os
import socket
from pathlib import Path
from typing import Any, Final

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


def get_json(address: str, path: str) -> Any:
    """GET a JSON document from a controller at `unix:PATH` or `HOST:PORT`.

    Raises:
        ApiUnreachableError: nobody listens there, or the answer is no JSON document.
    """
    connection: http.client.HTTPConnection
    if address.startswith("unix:"):
        connection = _UnixConnection(address.removeprefix("unix:"))
    else:
        host, _, port = address.removeprefix("http://").rstrip("/").rpartition(":")
        if not host or not port.isdecimal():
            raise ApiUnreachableError(f"{address!r} is not an address; give unix:PATH or HOST:PORT")
        connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=_TIME)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        document = json.loads(response.read())
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
