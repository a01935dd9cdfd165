# SPDX-License-Identifier: Apache-2.0
"""Steps about certificates, another configuration, and what the controller says of switches."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from controller.api.client import ApiUnreachableError
from controller.lab.model import Topology
from controller.scenario.steps.base import Step
from controller.scenario.world import UnmetError, World, poll

_CONTROLLER = "controller"
_DAY = timedelta(days=1)


class NewCertificate(Step):
    """A new certificate for a switch or the `controller`: a good one, or one that is wrong in some way."""

    keyword: ClassVar[str] = "new_certificate"
    shorthand: ClassVar[str | None] = "of"
    of: str
    kind: Literal["good", "expired", "unknown_ca"] = "good"

    def problems(self, topology: Topology) -> Iterable[tuple[str, str]]:
        if not topology.controller.tls:
            yield "of", "there are certificates only with tls: true"
        if self.of not in (_CONTROLLER, *topology.switches):
            yield "of", f"{self.of} has none; give {_CONTROLLER} or one of {', '.join(topology.switches)}"

    def run(self, world: World) -> str:
        now = datetime.now(UTC)
        dates = (now - 2 * _DAY, now - _DAY) if self.kind == "expired" else None
        switch = None if self.of == _CONTROLLER else self.of
        world.lab.issue_certificate(switch, dates, trusted=self.kind != "unknown_ca")
        return self.kind


class Reload(Step):
    """Has every controller load its configuration anew: as it was, without a service, or with a
    mistake in it, which must be refused.
    """

    keyword: ClassVar[str] = "reload"
    without_service: str | None = None
    broken: bool = False

    def problems(self, topology: Topology) -> Iterable[tuple[str, str]]:
        known = [service.name for service in topology.services]
        if self.without_service is not None and self.without_service not in known:
            yield "without_service", f"no service {self.without_service}; there are: {', '.join(known)}"

    def run(self, world: World) -> str:
        def change(config: dict[str, Any]) -> None:
            kept = [s for s in world.config_before["services"] if s["name"] != self.without_service]
            config["services"] = "none" if self.broken else kept

        if not world.config_before:
            world.config_before = world.lab.controller_config()
        try:
            answer = world.lab.reload(change)
        except ApiUnreachableError as error:
            if self.broken and "the configuration of before stays" in str(error):
                return "refused"
            raise UnmetError(str(error)) from None
        if self.broken:
            raise UnmetError("it took a configuration with a mistake in it")
        return ", ".join(answer)


class SwitchState(Step):
    """What the controller must come to say of a switch: its state, and a text within the reason."""

    keyword: ClassVar[str] = "switch_state"
    switch: str
    state: Literal["connecting", "syncing", "in-service", "down"]
    reason: str = ""
    within: Annotated[float, Field(gt=0, le=60)] = 20.0

    def run(self, world: World) -> str:
        poll(self.within, lambda: self._problem(world))
        return self.state

    def _problem(self, world: World) -> str | None:
        switches = {found["name"]: found for found in world.lab.api("/api/status")["switches"]}
        found = switches.get(self.switch)
        if found is None:
            return f"the controller knows no switch {self.switch}"
        if found["state"] != self.state or self.reason not in found["reason"]:
            return f"switch {self.switch} is {found['state']} ({found['reason'] or 'no reason'})"
        return None


SECURITY_STEPS: tuple[type[Step], ...] = (NewCertificate, Reload, SwitchState)
