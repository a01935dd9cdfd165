# SPDX-License-Identifier: Apache-2.0
"""The HTTP server: GET /api/status, /api/sessions, /metrics on a unix socket (mode 0600) or on HOST:PORT."""

from __future__ import annotations

import errno
import json
import os
import socket
from typing import Any, Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from controller.api.metrics import registry
from controller.api.status import Counters, sessions, status
from controller.hub import ControllerHub

_LIMIT: Final = 100
_MOST: Final = 100_000


class ApiError(Exception):
    """The endpoint cannot be opened; one line."""


class ApiServer:
    """Opened by `start`, closed by `stop`."""

    def __init__(self, hub: ControllerHub) -> None:
        self.hub = hub
        app = web.Application(middlewares=[_errors_as_json])
        app.router.add_get("/api/status", self._status)
        app.router.add_get("/api/sessions", self._sessions)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)
        self._socket_file: str | None = None

    @property
    def hub(self) -> ControllerHub:
        """The controller that it tells about. One that has stepped down is replaced."""
        return self._hub

    @hub.setter
    def hub(self, hub: ControllerHub) -> None:
        self._hub = hub
        self._counters = Counters(hub)
        self._registry = registry(hub, self._counters)

    async def start(self, listen: str) -> None:
        """Listen on `unix:PATH` or `HOST:PORT`.

        Raises:
            ApiError: in use, or not permitted.
        """
        await self._runner.setup()
        try:
            if listen.startswith("unix:"):
                await self._listen_unix(listen.removeprefix("unix:"))
            else:
                host, _, port = listen.rpartition(":")
                await web.TCPSite(self._runner, host.strip("[]"), int(port)).start()
        except OSError as err:
            await self._runner.cleanup()
            text = "already in use" if err.errno == errno.EADDRINUSE else err.strerror or str(err)
            raise ApiError(f"api.listen: {listen}: {text}") from None

    async def _listen_unix(self, path: str) -> None:
        _remove_stale(path)
        mask = os.umask(0o177)
        try:
            await web.UnixSite(self._runner, path).start()
        finally:
            os.umask(mask)
        self._socket_file = path

    async def stop(self) -> None:
        await self._runner.cleanup()
        if self._socket_file is not None and os.path.exists(self._socket_file):
            os.unlink(self._socket_file)

    async def _status(self, request: web.Request) -> web.Response:
        await self._counters.refresh(now="fresh" in request.query)
        return web.json_response(status(self._hub, self._counters))

    async def _sessions(self, request: web.Request) -> web.Response:
        text = request.query.get("limit", str(_LIMIT))
        if not text.isdecimal() or int(text) > _MOST:
            raise web.HTTPBadRequest(text=f"limit: {text!r} is not a number from 0 to {_MOST}")
        return web.json_response(sessions(self._hub, int(text)))

    async def _metrics(self, _: web.Request) -> web.Response:
        await self._counters.refresh()
        return web.Response(
            body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )


def _remove_stale(path: str) -> None:
    """Remove the socket that a killed controller left behind; one that answers is in use."""
    if not os.path.exists(path):
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError:
            pass
    raise OSError(errno.EADDRINUSE, "already in use")


@web.middleware
async def _errors_as_json(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except web.HTTPException as err:
        text = f"no such path: {request.path}" if err.status == 404 else err.text or err.reason
        return web.Response(
            status=err.status, text=json.dumps({"error": text}), content_type="application/json"
        )
    return response
