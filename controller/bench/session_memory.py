# SPDX-License-Identifier: Apache-2.0
"""What a session that came by a handshake takes in the controller: the state machines alone, in this process.

    python -m controller.bench.session_memory [SESSIONS]

Prints the bytes of memory per session. Each is proven, answered by its server and confirmed by three
switches, from real frames; nothing else is in the figure, such as gRPC's buffers.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

from controller.config import ControllerConfig
from controller.dataplane import Punt, PuntHeader
from controller.logic.coordinator import Coordinator
from controller.logic.model import Effects, Put
from controller.packets import ACK, SYN, Options, build, build_options, timestamps_option

_SERVER, _PORT = 0xCB00710A, 80
_CLIENTS, _CLIENT_PORT = 0x0A000000, 40000
_L2 = bytes(12) + b"\x08\x00"
_SWITCHES = ("a", "b", "c")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def bytes_per_session(sessions: int) -> float:
    """Resident memory by which the process grew, per session."""
    core = Coordinator(_config(sessions))
    for switch in _SWITCHES:
        core.switch_joined(switch, 0.0)
        core.switch_live(switch)
    _set_up(core, 0)
    before = _resident()
    for number in range(1, sessions + 1):
        _set_up(core, number)
    core.tick(sessions + 10.0, sessions + 10.0)
    gc.collect()
    if len(core.sessions) != sessions + 1 or len(core.flows):
        raise RuntimeError(f"{len(core.sessions)} sessions of {sessions}: {dict(core.results)}")
    return (_resident() - before) / sessions


def _config(sessions: int) -> ControllerConfig:
    port = {"port": 1, "mac": "02:00:00:00:00:01", "addresses": ["198.18.1.1/24"]}
    return ControllerConfig.model_validate(
        {
            "program": {"p4": "program.p4"},
            "switches": [{"name": n, "address": f"unix:/{n}", "ports": [port]} for n in _SWITCHES],
            "services": [{"name": "web", "address": "203.0.113.10", "port": _PORT}],
            "limits": {"sessions": sessions + 1},
        }
    )


def _set_up(core: Coordinator, number: int) -> None:
    """One handshake; a second passes for each hundred, so that what is kept for a moment goes."""
    now = number / 100
    x, k, r = (number * factor & 0xFFFFFFFF for factor in (0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35))
    client = _CLIENTS + number
    ends = client, _SERVER, _CLIENT_PORT, _PORT
    stamps = timestamps_option(number, 7)
    ack = build(_L2, *ends, seq=x + 1, ack=k + 1, flags=ACK, window=500, options=stamps)
    header = PuntHeader(1, Punt.PROVEN, 0, x, 1460, 7, 1, 1)
    core.tick(now, now)
    core.punt_proven("a", header, ack, now, now)
    options = build_options(Options(1460, 7, True, (r, number)))
    back = _SERVER, client, _PORT, _CLIENT_PORT
    answer = build(_L2, *back, seq=r, ack=x + 1, flags=SYN | ACK, window=65535, options=options)
    _confirm(core, core.punt_synack("b", 2, answer, now, now), now)


def _confirm(core: Coordinator, effects: Effects, now: float) -> None:
    for effect in effects:
        if isinstance(effect, Put):
            for switch in effect.switches:
                _confirm(core, core.written(switch, effect.key, effect.entry.version, False, now, now), now)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE


if __name__ == "__main__":
    print(round(bytes_per_session(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)))
