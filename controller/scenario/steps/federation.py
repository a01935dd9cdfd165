# SPDX-License-Identifier: Apache-2.0
"""Steps that come between the controllers of a federation and NATS."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from controller.lab.model import Topology
from controller.lab.supervisor import controller_names
from controller.scenario.cable import Cable
from controller.scenario.steps.base import Step
from controller.scenario.world import UnmetError, World

_READY_SECONDS = 30.0


class _FederationStep(Step):
    def problems(self, topology: Topology) -> Iterable[tuple[str, str]]:
        yield from super().problems(topology)
        if topology.controller.federation is None:
            yield "", f"topology {topology.name} has no federation; use it with three-pop-federated"


class NatsCable(_FederationStep):
    """Cuts a controller's way to NATS (`cut: true`), or makes it whole again.

    The first of these steps for a controller, which must not cut, leads its way through a cable that can be
    cut: the controller is restarted for that.
    """

    keyword: ClassVar[str] = "nats_cable"
    controller: str
    cut: bool = False

    def run(self, world: World) -> str:
        if self.controller not in world.cables:
            self._interpose(world)
        world.cables[self.controller].cut = self.cut
        return "cut" if self.cut else "whole"

    def _interpose(self, world: World) -> None:
        cable = world.cables[self.controller] = Cable(*world.lab.nats.address())
        world.lab.kill_controller(signal.SIGTERM, self.controller)
        world.lab.reach_nats_at(self.controller, f"nats://127.0.0.1:{cable.port}")
        world.lab.start_controller(self.controller)
        world.lab.wait_ready(_READY_SECONDS)

    def problems(self, topology: Topology) -> Iterable[tuple[str, str]]:
        yield from super().problems(topology)
        names = controller_names(topology)
        if self.controller not in names:
            yield "controller", f"no controller {self.controller}; there are: {', '.join(names)}"


class StopNats(_FederationStep):
    """Kills the NATS servers that run, or with `server: leader` the one of several that leads the store."""

    keyword: ClassVar[str] = "stop_nats"
    server: Literal["all", "leader"] = "all"

    def run(self, world: World) -> str:
        if self.server == "all":
            world.lab.nats.stop(signal.SIGKILL)
            return ""
        leader = world.lab.nats_leader
        if leader is None:
            raise UnmetError("no NATS server leads the store")
        world.lab.nats.stop(signal.SIGKILL, leader)
        return leader

    def problems(self, topology: Topology) -> Iterable[tuple[str, str]]:
        yield from super().problems(topology)
        federation = topology.controller.federation
        if self.server == "leader" and federation is not None and federation.servers == 1:
            yield "server", "there is but one; give the scenario `federation: {servers: 3}`"


class StartNats(_FederationStep):
    """Starts the NATS servers that do not run, with what they have stored; waits until all switches are in
    service.
    """

    keyword: ClassVar[str] = "start_nats"
    within: Annotated[float, Field(gt=0, le=120)] = 30.0

    def run(self, world: World) -> str:
        start = time.monotonic()
        world.lab.nats.start()
        world.lab.wait_ready(self.within)
        return f"ready after {time.monotonic() - start:.1f} s"


FEDERATION_STEPS: tuple[type[Step], ...] = (NatsCable, StopNats, StartNats)
