# SPDX-License-Identifier: Apache-2.0
"""Steps that end, pause and start controllers. Of several they mean the one that leads, and those of a
federation all together, unless they name another: `controller`, `controller-2`, `controller-a`, …
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from controller.api.client import ApiUnreachableError
from controller.lab.model import Topology
from controller.lab.supervisor import controller_names
from controller.scenario.steps.base import Step
from controller.scenario.world import UnmetError, World, poll

Within = Annotated[float, Field(gt=0, le=120)]


class _ControllerStep(Step):
    """A step about one controller."""

    controller: str | None = None

    def problems(self, topology: Topology) -> Iterable[tuple[str, str]]:
        yield from super().problems(topology)
        names = controller_names(topology)
        if self.controller is not None and self.controller not in names:
            yield "controller", f"no controller {self.controller}; there are: {', '.join(names)}"

    def meant(self, world: World) -> list[str]:
        """The controllers that it acts on."""
        if self.controller is not None:
            return [self.controller]
        together = world.topology.controller.federation is not None
        return list(world.lab.controllers) if together else [world.lab.leader]


class KillController(_ControllerStep):
    """Ends a controller by a signal: KILL lets it clean up nothing."""

    keyword: ClassVar[str] = "kill_controller"
    shorthand: ClassVar[str | None] = "by"
    by: Literal["KILL", "TERM"] = "KILL"

    def run(self, world: World) -> str:
        names = self.meant(world)
        for name in names:
            world.lab.kill_controller(signal.Signals[f"SIG{self.by}"], name)
        return ", ".join(names)


class StartController(_ControllerStep):
    """Starts a controller (one that does not run; of a federation all) and waits until all switches are in
    service, or only until its API answers.
    """

    keyword: ClassVar[str] = "start_controller"
    within: Within = 30.0
    ready: bool = True

    def run(self, world: World) -> str:
        start = time.monotonic()
        together = world.topology.controller.federation is not None
        for name in self.meant(world) if together else [self.controller]:
            world.lab.start_controller(name)
        if not self.ready:
            poll(self.within, lambda: _unreachable(world))
            return ""
        world.lab.wait_ready(self.within)
        return f"ready after {time.monotonic() - start:.1f} s"


def _unreachable(world: World) -> str | None:
    try:
        world.lab.api("/api/status")
    except ApiUnreachableError as error:
        return str(error)
    return None


class PauseController(_ControllerStep):
    """Stops a controller in its tracks: nobody is told, and it believes to lead when it goes on."""

    keyword: ClassVar[str] = "pause_controller"

    def run(self, world: World) -> str:
        names = self.meant(world)
        for name in names:
            world.lab.signal_controller(signal.SIGSTOP, name)
        world.paused += names
        return ", ".join(names)


class ResumeController(Step):
    """Lets every paused controller go on where it was."""

    keyword: ClassVar[str] = "resume_controller"

    def run(self, world: World) -> str:
        if not world.paused:
            raise UnmetError("no controller is paused")
        names, world.paused = world.paused, []
        for name in names:
            world.lab.signal_controller(signal.SIGCONT, name)
        return ", ".join(names)


class Roles(Step):
    """So many controllers must come to lead, and to stand by, `within` seconds."""

    keyword: ClassVar[str] = "roles"
    leading: Annotated[int, Field(ge=0, le=4)] = 1
    standing_by: Annotated[int, Field(ge=0, le=4)] = 1
    within: Within = 5.0

    def run(self, world: World) -> str:
        start = time.monotonic()
        poll(self.within, lambda: self._problem(world), every_s=0.02)
        return f"after {time.monotonic() - start:.1f} s"

    def _problem(self, world: World) -> str | None:
        roles = [world.lab.role(name) for name in world.lab.controllers]
        for role, wanted in (("leading", self.leading), ("standing-by", self.standing_by)):
            if (found := roles.count(role)) != wanted:
                return f"{role}: {found} controllers instead of {wanted}"
        return None


CONTROLLER_STEPS: tuple[type[Step], ...] = (
    KillController,
    StartController,
    PauseController,
    ResumeController,
    Roles,
)
