# SPDX-License-Identifier: Apache-2.0
"""What was learned of services, kept in a small file: the next controller need not learn it again, which may
cost clients a connection.

JSON, readable by its owner only, replaced as a whole. A file that cannot be read or written is told in a line
of the log and is no reason to stop: what it would say is learned again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from controller.config_values import Address
from controller.logic.model import Service

log = logging.getLogger(__name__)

INTERVAL_S: Final = 1.0
"""Between two looks at whether something was learned."""
_LARGEST: Final = 1 << 20

Mss = Field(ge=0, le=65535)
Scale = Field(ge=0, le=14)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Told(_Part):
    """What clients are told."""

    mss: int = Mss
    window_scale: int | None = Scale
    sack: bool
    timestamps: bool


class Learned(_Part):
    """What the server's SYN/ACKs have shown; what none could show yet is left out."""

    mss: int | None = Mss
    window_scale: int | None = Field(default=None, ge=0, le=14)
    sack: bool | None = None
    timestamps: bool | None = None


class ServiceState(_Part):
    address: Address
    port: int = Field(ge=1, le=65535)
    told: Told
    learned: Learned


class State(_Part):
    """The file."""

    version: Literal[1] = 1
    services: list[ServiceState]


class LearnedFile:
    """The file of one controller; without a path nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._written = ""
        self._failure: str | None = None

    def restore(self, services: Iterable[Service]) -> None:
        """Let the services go on with what was known of them. What the configuration gives stays as given."""
        known = {(state.address, state.port): state for state in self._read()}
        for service in services:
            state = known.get((service.config.address, service.config.port))
            if state is not None:
                learned = state.learned.model_dump(exclude_unset=True)
                service.recall(learned, **state.told.model_dump())

    async def run(self, services: Iterable[Service]) -> None:
        """Keeps the file up to date until it is cancelled, and once more then."""
        if self._path is None:
            return
        try:
            while True:
                await asyncio.sleep(INTERVAL_S)
                await asyncio.to_thread(self.save, list(services))
        finally:
            self.save(services)

    def save(self, services: Iterable[Service]) -> None:
        """Write what has been learned, if it is not what the file says."""
        text = _state(services).model_dump_json(exclude_unset=True, indent=1) + "\n"
        if self._path is None or text == self._written:
            return
        try:
            _replace(self._path, text)
        except OSError as error:
            if self._failure != error.strerror:
                self._failure = error.strerror
                log.warning("state file %s: not written: %s", self._path, error.strerror)
            return
        self._written, self._failure = text, None

    def _read(self) -> list[ServiceState]:
        if self._path is None:
            return []
        try:
            with self._path.open("rb") as file:
                text = file.read(_LARGEST)
            return State.model_validate(json.loads(text)).services
        except FileNotFoundError:
            return []
        except OSError as error:
            why = error.strerror or str(error)
        except ValidationError as error:
            first = error.errors()[0]
            why = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
        except (ValueError, RecursionError) as error:
            why = f"no JSON: {error}"
        log.warning("state file %s: %s; what services support is learned anew", self._path, why)
        return []


def services_state(services: Iterable[Service]) -> dict[str, Any]:
    """What was learned of these services, in the form of the file."""
    state: dict[str, Any] = json.loads(_state(services).model_dump_json(exclude_unset=True))
    return state


def _state(services: Iterable[Service]) -> State:
    return State(
        version=1,
        services=[
            ServiceState(
                address=service.config.address,
                port=service.config.port,
                told=Told(
                    mss=service.mss,
                    window_scale=service.window_scale,
                    sack=service.sack,
                    timestamps=service.timestamps,
                ),
                learned=Learned.model_validate(service.learned),
            )
            for service in services
            if service.learned
        ],
    )


def _replace(path: Path, text: str) -> None:
    """Whoever reads the file sees it whole, as it was or as it is. mkstemp makes it 0600."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
