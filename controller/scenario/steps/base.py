# SPDX-License-Identifier: Apache-2.0
"""What every step of a scenario is: a small model of one YAML mapping that knows how to run."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from controller.lab.model import Topology
from controller.scenario.world import World


class Step(BaseModel):
    """One step. `keyword` is its name in YAML; a scalar given instead of a mapping goes to the field
    `shorthand`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    keyword: ClassVar[str]
    shorthand: ClassVar[str | None] = None

    @classmethod
    def from_yaml(cls, value: Any) -> Any:
        """What to validate for `value` as it stands in the file."""
        if value is None:
            return {}
        if cls.shorthand is not None and not isinstance(value, dict):
            return {cls.shorthand: value}
        return value

    def commands(self) -> tuple[str, ...]:
        """Commands that the machine must have for it, beyond what `scripts/setup` installs."""
        return ()

    @abstractmethod
    def run(self, world: World) -> str:
        """Does it and returns figures to show (may be empty). UnmetError: an expectation failed."""

    def problems(self, topology: Topology) -> Iterable[tuple[str, str]]:
        """What in it does not fit the topology: (field, what would be right)."""
        for field in ("host", "switch", "service"):
            value = getattr(self, field, None)
            known = _known(field, topology)
            if isinstance(value, str) and value not in known:
                yield (
                    field,
                    f"no {field} {value} in topology {topology.name}; it has {', '.join(known) or 'none'}",
                )


def _known(field: str, topology: Topology) -> list[str]:
    if field == "host":
        return list(topology.hosts)
    if field == "switch":
        return list(topology.switches)
    return [service.name for service in topology.services]
