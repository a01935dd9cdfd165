# SPDX-License-Identifier: Apache-2.0
"""Steps about the kernels of the hosts: packets that they are made to lose, and what they have counted."""

from __future__ import annotations

import subprocess
from typing import Annotated, ClassVar

from pydantic import Field

from controller.scenario.steps.base import Step
from controller.scenario.values import Bound
from controller.scenario.world import UnmetError, World


class Lose(Step):
    """From now on a host loses so many percent of the TCP segments that arrive, at random; 0 = none."""

    keyword: ClassVar[str] = "lose"
    host: str
    percent: Annotated[float, Field(ge=0, le=50)]

    def commands(self) -> tuple[str, ...]:
        return ("nft",)

    def run(self, world: World) -> str:
        process = world.lab.popen(
            self.host,
            ["nft", "-f", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        output, _ = process.communicate(loss_rules(self.percent), timeout=20)
        if process.returncode != 0:
            raise UnmetError(f"nft: {output.strip()}")
        return f"{self.percent:g} %"


class KernelCounters(Step):
    """Bounds on what a host's kernel has counted, by the names of nstat(8).

    Without `counters` it notes them as they are, and from there the later ones count; else from the
    beginning of the lab.
    """

    keyword: ClassVar[str] = "kernel"
    host: str
    counters: dict[str, Bound] = Field(default={})

    def run(self, world: World) -> str:
        files = ["/proc/net/snmp", "/proc/net/netstat", "/proc/net/snmp6"]
        # Without IPv6 there is no snmp6: cat complains and prints the others.
        found = parse_counters(world.lab.run(self.host, ["cat", *files], timeout=10).stdout)
        if not self.counters:
            world.kernel_counters[self.host] = found
        noted = world.kernel_counters.get(self.host, {})
        since = {name: value - noted.get(name, 0) for name, value in found.items()}
        for name, bound in self.counters.items():
            if name not in since:
                raise UnmetError(f"the kernel of {self.host} has no counter {name}")
            if not bound.admits(since[name]):
                raise UnmetError(f"{name} at {self.host}: {since[name]} instead of {bound}")
        return ", ".join(f"{name} {since[name]}" for name in self.counters)


def loss_rules(percent: float) -> str:
    """What nft reads so that `percent` of the arriving TCP segments (to 0.01 %) are dropped at random."""
    drop = f"meta l4proto tcp numgen random mod 10000 < {round(percent * 100)} drop" if percent else ""
    return f"""
        table inet loss
        delete table inet loss
        table inet loss {{
          chain arriving {{
            type filter hook prerouting priority raw; policy accept;
            {drop}
          }}
        }}
        """


def parse_counters(text: str) -> dict[str, int]:
    """Counters as nstat names them, of /proc/net/snmp, netstat and snmp6: `TcpExtPAWSEstab`, `Icmp6InMsgs`.

    snmp and netstat have pairs of lines, one of names and one of numbers, each after its group's name;
    snmp6 has a name and a number a line.
    """
    counters: dict[str, int] = {}
    names: list[str] = []
    for line in text.splitlines():
        head, *rest = line.split() or [""]
        if not head.endswith(":"):
            counters.update((head, int(number)) for number in rest[:1])
        elif names:
            counters.update({head[:-1] + name: int(number) for name, number in zip(names, rest, strict=True)})
            names = []
        else:
            names = rest
    return counters


KERNEL_STEPS: tuple[type[Step], ...] = (Lose, KernelCounters)
