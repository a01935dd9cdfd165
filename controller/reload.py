# SPDX-License-Identifier: Apache-2.0
"""Another configuration for a controller that goes on: what differs is applied, the rest is not touched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from controller.config import ControllerConfig, FederationConfig, ServiceConfig, SwitchConfig

APPLIED: Final = ("services", "switches", "timers", "limits", "tls", "log")
"""The keys whose change takes effect by a reload; all others take a restart."""
WAY_IN: Final = ("urls", "tls", "credentials", "user", "password_file", "token_file")
"""What of `federation` counts for the next connection to NATS; the rest takes a restart."""
_Entry = TypeVar("_Entry", ServiceConfig, SwitchConfig)


@dataclass(frozen=True)
class Reloaded:
    """What a reload has changed, each in a few words, and which changed keys wait for a restart."""

    changed: list[str]
    restart: list[str]

    def __str__(self) -> str:
        text = "; ".join(self.changed) or "nothing has changed"
        if self.restart:
            text += f"; changed, but in effect only after a restart: {', '.join(self.restart)}"
        return text


def merged(old: ControllerConfig, new: ControllerConfig) -> tuple[ControllerConfig, Reloaded]:
    """`new` as far as a running controller can follow it, and what differs from `old`."""
    restart = [
        key for key in type(new).model_fields if key not in APPLIED and getattr(old, key) != getattr(new, key)
    ]
    kept = {key: getattr(old, key) for key in restart}
    changed = _differences(old, new)
    if old.federation is not None and new.federation is not None and "federation" in restart:
        kept["federation"], way_in, rest = _federation(old.federation, new.federation)
        changed += [f"federation.{key}, for the next connection to NATS" for key in way_in]
        place = restart.index("federation")
        restart[place : place + 1] = [f"federation.{key}" for key in rest]
    return new.model_copy(update=kept), Reloaded(changed, restart)


def _federation(
    old: FederationConfig, new: FederationConfig
) -> tuple[FederationConfig, list[str], list[str]]:
    """`new` as far as it can be followed; which keys are, and which wait for a restart."""
    differ = [key for key in type(new).model_fields if getattr(old, key) != getattr(new, key)]
    way_in = [key for key in differ if key in WAY_IN]
    followed = old.model_copy(update={key: getattr(new, key) for key in way_in})
    return followed, way_in, [key for key in differ if key not in WAY_IN]


def _differences(old: ControllerConfig, new: ControllerConfig) -> list[str]:
    found = [
        *_entries("service", old.services, new.services),
        *_entries("switch", old.switches, new.switches),
    ]
    for part in ("timers", "limits"):
        one, other = getattr(old, part), getattr(new, part)
        found += [
            f"{part}.{key} {_shown(getattr(one, key))} -> {_shown(getattr(other, key))}"
            for key in type(one).model_fields
            if getattr(one, key) != getattr(other, key)
        ]
    if old.tls != new.tls:
        found.append("tls, for the next connections")
    if old.log != new.log:
        found.append(f"log {old.log} -> {new.log}")
    return found


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _entries(what: str, old: Iterable[_Entry], new: Iterable[_Entry]) -> list[str]:
    before, after = _by_name(old), _by_name(new)
    found = [f"{what} {name} removed" for name in before if name not in after]
    for name, entry in after.items():
        if name not in before:
            found.append(f"{what} {name} added")
        elif before[name] != entry:
            keys = [
                key for key in type(entry).model_fields if getattr(before[name], key) != getattr(entry, key)
            ]
            found.append(f"{what} {name} changed ({', '.join(keys)})")
    return found


def _by_name(entries: Iterable[_Entry]) -> Mapping[str, _Entry]:
    return {entry.name: entry for entry in entries}
