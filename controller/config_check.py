# SPDX-License-Identifier: Apache-2.0
"""What no model of the configuration can see on its own: duplicates, missing files, times in wrong order."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from controller.config_errors import Problem
from softswitch.secretfile import SecretFileError, read_token
from softswitch.tlsfiles import TlsFileError

if TYPE_CHECKING:
    from controller.config import ApiConfig, ControllerConfig, ServerTlsConfig, SwitchConfig, TlsConfig


def is_local(endpoint: str) -> bool:
    """Whether only this machine reaches `unix:PATH` or `HOST:PORT`."""
    if endpoint.startswith("unix:"):
        return True
    host = endpoint.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check(config: ControllerConfig) -> list[Problem]:
    """What no model can see on its own: duplicates, ports that do not exist, missing files, timers' order."""
    problems: list[Problem] = []
    _check_api(problems, config.api)
    _check_tls(problems, "tls", config.tls)
    for index, switch in enumerate(config.switches):
        _check_tls(problems, f"switches[{index}].tls", switch.tls or None)
    for key in ("p4", "p4info", "device_config"):
        path = getattr(config.program, key)
        if path is not None and not path.is_file():
            problems.append(
                Problem(f"program.{key}", f"there is no file {path}; give the path of a readable file")
            )
    _unique(problems, "switches", [(s.name, "name") for s in config.switches])
    _unique(problems, "switches", [((s.address, s.device_id), "address") for s in config.switches])
    _unique(problems, "services", [(s.name, "name") for s in config.services])
    _unique(problems, "services", [((str(s.address), s.port), "address") for s in config.services])
    for index, switch in enumerate(config.switches):
        _check_switch(problems, f"switches[{index}]", switch)
    if config.timers.reconnect_max < config.timers.reconnect_min:
        problems.append(Problem("timers.reconnect_max", "smaller than reconnect_min; give at least that"))
    if config.federation is not None:
        _check_tls(problems, "federation.tls", config.federation.tls)
    return problems


def _check_api(problems: list[Problem], api: ApiConfig) -> None:
    _check_tls(problems, "api.tls", api.tls)
    if api.token is not None:
        try:
            read_token(api.token)
        except SecretFileError as err:
            problems.append(Problem("api.token", str(err)))
    elif not is_local(api.listen):
        problems.append(Problem("api.listen", needs_token(api.listen)))


def needs_token(listen: str) -> str:
    return (
        f"{listen} can be reached from other machines; give api.token, a file of mode 0600 with a secret, "
        "or listen on unix:PATH or 127.0.0.1:PORT"
    )


def _check_tls(problems: list[Problem], where: str, tls: TlsConfig | ServerTlsConfig | None) -> None:
    """Files that can never do. A certificate that is not good today is told when it is used."""
    if tls is None:
        return
    try:
        tls.files().load()
    except TlsFileError as err:
        key = next((key for key in type(tls).model_fields if getattr(tls, key) == err.path), "")
        problems.append(Problem(f"{where}.{key}", str(err)))


def _check_switch(problems: list[Problem], where: str, switch: SwitchConfig) -> None:
    _unique(problems, f"{where}.ports", [(p.port, "port") for p in switch.ports])
    _unique(problems, f"{where}.routes", [(str(r.prefix), "prefix") for r in switch.routes])
    _unique(problems, f"{where}.neighbours", [(str(n.address), "address") for n in switch.neighbours])
    ports = {p.port for p in switch.ports}
    listed = ", ".join(str(p) for p in sorted(ports))
    for index, route in enumerate(switch.routes):
        if route.port not in ports:
            text = f"port {route.port} is not a port of switch {switch.name}; its ports are {listed}"
            problems.append(Problem(f"{where}.routes[{index}].port", text))


def _unique(problems: list[Problem], where: str, values: list[tuple[Any, str]]) -> None:
    first: dict[Any, int] = {}
    for index, (value, key) in enumerate(values):
        if value in first:
            text = f"the same as {where}[{first[value]}]; each must be different"
            problems.append(Problem(f"{where}[{index}].{key}", text))
        first.setdefault(value, index)
