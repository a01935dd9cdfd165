# SPDX-License-Identifier: Apache-2.0
"""A scenario over IPv6: the same file, with the IPv6 twin of every address and service in it.

The topologies number both versions of IP alike, so that each IPv4 address has a twin:

    203.0.113.N     2001:db8:203::N          servers
    198.51.100.N    2001:db8:51::N           clients
    198.18.L.N      2001:db8:L::N            link L
    198.19.P.Q      2001:db8:198:P::Q        crafted clients

A service NAME that has a service NAME-v6 beside it becomes that one.
"""

from __future__ import annotations

import re
from typing import Any

from controller.lab.model import Topology

_ADDRESS = re.compile(
    r"(?<![\d.])(203\.0\.113\.(?P<server>\d+)|198\.51\.100\.(?P<client>\d+)"
    r"|198\.18\.(?P<link>\d+)\.(?P<end>\d+)|198\.19\.(?P<crafted>\d+)\.(?P<host>\d+))"
    r"(?P<length>/\d+)?(?P<port>:\d+)?(?![\d.])"
)
_LENGTHS = {"/32": "/128", "/24": "/64", "/16": "/48"}
_SUFFIX = "-v6"


def over_ipv6(value: Any) -> Any:
    """A piece of a scenario file with the twin of each IPv4 address, in commands too."""
    if isinstance(value, str):
        return _ADDRESS.sub(_twin, value)
    if isinstance(value, list):
        return [over_ipv6(item) for item in value]
    if isinstance(value, dict):
        return {key: over_ipv6(item) for key, item in value.items()}
    return value


def ipv6_services(topology: Topology) -> Topology:
    """The topology with its `-v6` services under the names of their twins."""
    twins = {s.name.removesuffix(_SUFFIX): s for s in topology.services if s.name.endswith(_SUFFIX)}
    services = []
    for service in topology.services:
        if service.name in twins:
            services.append(twins[service.name].model_copy(update={"name": service.name}))
        elif not service.name.endswith(_SUFFIX):
            services.append(service)
    return topology.model_copy(update={"services": services})


def _twin(match: re.Match[str]) -> str:
    if match["server"]:
        address = f"2001:db8:203::{match['server']}"
    elif match["client"]:
        address = f"2001:db8:51::{match['client']}"
    elif match["link"]:
        address = f"2001:db8:{match['link']}::{match['end']}"
    else:
        address = f"2001:db8:198:{match['crafted']}::{match['host']}"
    if match["length"]:
        if match["length"] == "/16" and match["host"] == "0":  # all crafted clients
            address = "2001:db8:198::"
        address = address.removesuffix("::0") + "::" if address.endswith("::0") else address
        address += _LENGTHS.get(match["length"], match["length"])
    return f"[{address}]{match['port']}" if match["port"] else address
