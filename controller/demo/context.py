# SPDX-License-Identifier: Apache-2.0
"""What the sections of the demo share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from controller.demo.report import Report
from controller.demo.web import WebServer
from controller.lab.lab import Lab

A, B = "a", "b"
TO_CLIENT, TO_BACKBONE = 1, 2
"""Port numbers of both switches in two-pop.yaml."""
SHORT_CONNECTIONS = 200


@dataclass(frozen=True)
class Demo:
    """The lab that is up, the HTTP server in it, the report, and a folder for files."""

    lab: Lab
    server: WebServer
    report: Report
    folder: Path
    syns: int
    acks: int
    rate: int
    """Packets of the flood, and how many of them a second."""

    def interface(self, switch: str, port: int) -> str:
        """The interface of a switch's port."""
        return next(i.name for i in self.lab.plan.nodes[switch].interfaces if i.port == port)

    def capture(self, switch: str, port: int, direction: str) -> Path:
        """The capture of a switch's port: what came "in", or what went "out"."""
        return self.lab.pcap_dir / f"{self.interface(switch, port)}_{direction}.pcap"
