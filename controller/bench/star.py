# SPDX-License-Identifier: Apache-2.0
"""A network with any number of PoPs: a client, a server, and so many switches side by side between them."""

from __future__ import annotations

from typing import Any

from controller.lab.model import Topology

SERVER, PORT = "203.0.113.10", 80
_CLIENT = "198.51.100.10"
_TABLE = 1_048_576  # sessions that a switch has room for
_IDLE = 7200.0  # seconds: sessions without traffic stay for as long as the bench runs


def star(pops: int) -> Topology:
    """Switches p1, p2, ...: clients enter at the first, the server's packets leave at the second (or the
    only one). The sessions that there are do not end by themselves.
    """
    back = min(2, pops)
    hosts: dict[str, Any] = {
        "client": {
            "addresses": [f"{_CLIENT}/32"],
            "routes": [{"to": "default", "via": "198.18.1.1", "source": _CLIENT}],
        },
        "backbone": {"router": True, "routes": [{"to": "default", "via": f"198.18.{100 + back}.1"}]},
        "server": {"routes": [{"to": "default", "via": "203.0.113.1"}]},
    }
    switches: dict[str, Any] = {}
    links: list[dict[str, Any]] = [
        {"ends": {"backbone:eth0": "203.0.113.1/24", "server:eth0": f"{SERVER}/24"}}
    ]
    for number in range(1, pops + 1):
        name, front, rear = f"p{number}", f"198.18.{number}", f"198.18.{100 + number}"
        routes = [{"to": "default", "via": f"{front}.2"}, {"to": "203.0.113.0/24", "via": f"{rear}.2"}]
        switches[name] = {"routes": routes}
        links.append({"ends": {f"client:eth{number}": f"{front}.2/24", f"{name}:1": f"{front}.1/24"}})
        links.append({"ends": {f"{name}:2": f"{rear}.1/24", f"backbone:eth{number}": f"{rear}.2/24"}})
    return Topology.model_validate(
        {
            "name": "star",
            "hosts": hosts,
            "switches": switches,
            "links": links,
            "services": [{"name": "web", "host": "server", "address": SERVER, "port": PORT}],
            "controller": {"timers": {"idle": _IDLE}, "limits": {"sessions": _TABLE}},
        }
    )
