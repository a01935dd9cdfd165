# SPDX-License-Identifier: Apache-2.0
"""Steps about the kernels' TCP: what they set, and how they read ss(8)."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from controller.scenario.steps.stacks import SocketInfo, Sockets, Tcp, parse_sockets
from controller.scenario.values import Bound
from controller.scenario.world import UnmetError, World

from .test_steps import FakeLab

FULL = (
    "0 0 198.51.100.10:41000 203.0.113.10:80 timer:(on,200ms,0) ts sack cubic wscale:7,9 rto:204 rtt:1.5/0.2 "
    "ato:40 mss:1448 pmtu:1500 advmss:1448 cwnd:10 send 97734400000bps\n"
)
BARE = "0 0 198.51.100.10:41001 203.0.113.10:80 cubic rto:204 rtt:31/3 mss:1460 cwnd:10\n"


class TextLab(FakeLab):
    """Its commands print what `texts` has for their first word."""

    def __init__(self, **texts: str) -> None:
        super().__init__("two-pop")
        self.texts = texts

    def run(self, host: str, argv: Any, timeout: float) -> subprocess.CompletedProcess[str]:
        self.calls.append((host, *argv))
        text = self.texts.get(argv[0], "") if "replace" not in argv else ""
        return subprocess.CompletedProcess(argv, 0, text, "")


def test_what_ss_prints() -> None:
    assert parse_sockets(FULL + BARE) == [
        SocketInfo((7, 9), sack=True, timestamps=True, mss=1448, rtt_ms=1.5),
        SocketInfo(None, sack=False, timestamps=False, mss=1460, rtt_ms=31.0),
    ]
    assert parse_sockets("") == []


def test_connections_as_wanted() -> None:
    lab = TextLab(ss=FULL)
    step = Sockets(host="client", service="web", window_scale=(7, 9), mss=Bound(at_most=1448), beside="web")
    text = "1 connections, mss 1448, rtt 1.5 ms, 0 repeated; with web 1.5 ms, 0 repeated"
    assert step.run(World(lab)) == text
    assert lab.calls[0][:2] == ("client", "ss")
    assert lab.calls[0][-2:] == ("dst", "203.0.113.10:80")
    Sockets(host="server", service="web-v6", window_scale=(7, 9)).run(World(lab))
    assert lab.calls[-1][-2:] == ("src", "[2001:db8:203::10]:80")


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({}, r"window_scale is \(7, 9\) instead of None"),
        ({"window_scale": (7, 9), "sack": False}, "sack is True instead of False"),
        ({"window_scale": (7, 9), "timestamps": False}, "timestamps is True"),
        ({"window_scale": (7, 9), "mss": Bound(at_most=1400)}, "mss is 1448 instead of at most 1400"),
        ({"window_scale": (7, 9), "connections": Bound(at_least=2)}, "1 connections instead of at least 2"),
    ],
)
def test_connections_not_as_wanted(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UnmetError, match=complaint):
        Sockets(host="client", service="web", **{"within": 0.1, **fields}).run(World(TextLab(ss=FULL)))


def test_a_slower_path_is_found() -> None:
    lab = TextLab(ss=BARE)
    step = Sockets(host="client", service="web", sack=False, timestamps=False, beside="web-alt", within=0.1)
    step.run(World(lab))

    class Slow(TextLab):
        def run(self, host: str, argv: Any, timeout: float) -> subprocess.CompletedProcess[str]:
            text = BARE if argv[-1].endswith(":80") else BARE.replace("rtt:31", "rtt:10")
            return subprocess.CompletedProcess(argv, 0, text, "")

    with pytest.raises(UnmetError, match="rtt 31 ms; with web-alt it is 10 ms"):
        step.run(World(Slow()))


def test_a_path_that_loses_more_is_found() -> None:
    class Lossy(TextLab):
        def run(self, host: str, argv: Any, timeout: float) -> subprocess.CompletedProcess[str]:
            text = BARE.replace("mss:", f"retrans:0/{7 if argv[-1].endswith(':80') else 1} mss:")
            return subprocess.CompletedProcess(argv, 0, text, "")

    step = Sockets(host="client", service="web", sack=False, timestamps=False, beside="web-alt", within=0.1)
    with pytest.raises(UnmetError, match="7 segments were repeated; with web-alt 1"):
        step.run(World(Lossy()))


def test_no_connections_cannot_be_compared() -> None:
    step = Sockets(host="client", service="web", connections=Bound(at_least=0), beside="web-alt", within=0.1)
    with pytest.raises(UnmetError, match="no connections"):
        step.run(World(TextLab()))


def test_what_a_kernel_is_told() -> None:
    lab = TextLab(ip="default via 198.18.1.1 dev eth0 src 198.51.100.10 advmss 9 window 7 \n")
    Tcp(host="client", window_scale=None, sack=False, mss=1200).run(World(lab))
    assert lab.calls[0][:3] == ("client", "sh", "-ec")
    assert lab.calls[0][3].split("; ") == [
        "echo 0 > /proc/sys/net/ipv4/tcp_window_scaling",
        "echo 0 > /proc/sys/net/ipv4/tcp_sack",
        "echo 1 > /proc/sys/net/ipv4/tcp_timestamps",
        "echo 4096 50000 50000 > /proc/sys/net/ipv4/tcp_rmem",
    ]
    way = "default via 198.18.1.1 dev eth0 src 198.51.100.10"
    replaced = f"client ip -4 route replace {way} window 50000 advmss 1200"
    assert replaced in [" ".join(call) for call in lab.calls]
    Tcp(host="client", window_scale=3).run(World(lab))
    assert "echo 4096 131072 400000 > /proc/sys/net/ipv4/tcp_rmem" in lab.calls[5][3]
