# SPDX-License-Identifier: Apache-2.0
"""The HTTP server: GET /api/status, /api/sessions, /metrics and POST /api/reload, on a unix socket (mode
0600) or on HOST:PORT; where other machines reach it, only for who shows a token.
"""

from __future__ import annotations

import errno
import hmac
import json
import logging
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from controller.api.metrics import registry
from controller.api.status import Counters, sessions, status
from controller.config import ApiConfig
from controller.config_check import is_local, needs_token
from controller.config_errors import ConfigError
from controller.hub import ControllerHub
from controller.reload import Reloaded
from softswitch.secretfile import SecretFileError, read_token
from softswitch.tlsfiles import TlsFileError

log = logging.getLogger(__name__)

_NO_TOKEN: Final = "a token is needed: give its file with --token-file or $SYNCLINE_API_TOKEN_FILE"
_WRONG_TOKEN: Final = "this is not the controller's token"
_LIMIT: Final = 100
_MOST: Final = 100_000


class ApiError(Exception):
    """The endpoint cannot be opened; one line."""


class ApiServer:
    """Opened by `start`, closed by `stop`."""

    def __init__(self, hub: ControllerHub, reload: Callable[[], Awaitable[Reloaded]] | None = None) -> None:
        self.hub = hub
        self._reload_with = reload
        self._config: ApiConfig | None = None
        self._token: bytes | None = None
        self._tls: ssl.SSLContext | None = None
        app = web.Application(middlewares=[_errors_as_json, self._authorised])
        app.router.add_post("/api/reload", self._reload)
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

    async def start(self, config: ApiConfig) -> None:
        """Listen on `unix:PATH` or `HOST:PORT`.

        Raises:
            ApiError: in use, or not permitted; or other machines would reach it, and there is no token.
        """
        listen = config.listen
        if config.token is None and not is_local(listen):
            raise ApiError(f"api.listen: {needs_token(listen)}")
        self._config = config
        self._tls = None if config.tls is None else ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.renew()
        if self._tls is None and not is_local(listen):
            log.warning("api.listen: %s: without api.tls, token and answers can be read on the way", listen)
        await self._runner.setup()
        try:
            if listen.startswith("unix:"):
                await self._listen_unix(listen.removeprefix("unix:"))
            else:
                host, _, port = listen.rpartition(":")
                site = web.TCPSite(self._runner, host.strip("[]"), int(port), ssl_context=self._tls)
                await site.start()
        except OSError as err:
            await self._runner.cleanup()
            text = "already in use" if err.errno == errno.EADDRINUSE else err.strerror or str(err)
            raise ApiError(f"api.listen: {listen}: {text}") from None

    def renew(self) -> None:
        """Read token and certificate again, for the next connections.

        Raises:
            ApiError: they cannot be used; what was read before stays.
        """
        if self._config is None:
            return
        try:
            token = None if self._config.token is None else read_token(self._config.token).encode()
            if self._tls is not None and self._config.tls is not None:
                files = self._config.tls.files()
                if late := files.load().not_today:
                    log.warning("api.tls: %s", late)
                self._tls.load_cert_chain(files.certificate, files.key)
        except SecretFileError as err:
            raise ApiError(f"api.token: {err}") from None
        except TlsFileError as err:
            raise ApiError(f"api.tls: {err}") from None
        self._token = token

    @web.middleware
    async def _authorised(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self._token is not None:
            kind, _, shown = request.headers.get("Authorization", "").partition(" ")
            given = shown.strip().encode() if kind.lower() == "bearer" else b""
            if not hmac.compare_digest(given, self._token):
                raise web.HTTPUnauthorized(text=_WRONG_TOKEN if given else _NO_TOKEN)
        response: web.StreamResponse = await handler(request)
        return response

    async def _reload(self, request: web.Request) -> web.Response:
        # A page in a browser on this machine cannot send this content type without being asked first.
        if request.content_type != "application/json" or self._reload_with is None:
            raise web.HTTPUnsupportedMediaType(text="POST with Content-Type: application/json")
        try:
            found = await self._reload_with()
        except (ConfigError, ApiError) as err:
            raise web.HTTPConflict(text=f"the configuration of before stays: {err}") from None
        return web.json_response({"changed": found.changed, "restart": found.restart})

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
