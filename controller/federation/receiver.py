# SPDX-License-Identifier: Apache-2.0
"""What comes from other members: each kind of message to where it is dealt with.

Commands count only from a member's present membership: one that was cut off may send what is long out of
date. Records count in any case, for their versions decide.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from controller.dataplane import Mode
from controller.federation.bus import Reply
from controller.federation.messages import (
    Applied,
    Ask,
    Ended,
    Expelled,
    Idle,
    Keyed,
    Known,
    Learned,
    Lease,
    Message,
    MessageError,
    Outs,
    Pending,
    Punted,
    Record,
    Told,
    decode,
)
from controller.hub import SessionWrite
from controller.learned import State
from controller.logic.model import PacketOut
from controller.p4.errors import Outcome, SwitchError
from controller.p4.writer import DELETE, MODIFY, Job

if TYPE_CHECKING:
    from controller.federation.hub import FederatedHub

_LONGEST_ANSWER = 1.5  # seconds


class Receiver:
    """The messages of one member's subjects."""

    def __init__(self, hub: FederatedHub) -> None:
        self._hub = hub
        self._tasks: set[asyncio.Task[None]] = set()
        routing = hub.routing
        self._commands: dict[str, tuple[type[Message], Callable[[Any], None]]] = {
            "all.pending": (Pending, routing.announced),
            "all.punted": (Punted, routing.from_other),
            "all.learned": (Learned, self._learned),
            "to.punted": (Punted, routing.from_other),
            "to.known": (Known, routing.known),
            "to.out": (Outs, self._out),
            "to.applied": (Applied, self._applied),
            "to.ended": (Ended, lambda message: hub.end_seen(message.key, message.event, message.version)),
            "to.idle": (Idle, lambda message: hub.idle_seen(message.switch, list(message.keys))),
            "to.expelled": (Expelled, self._expelled),
            "to.keyed": (Keyed, lambda message: hub.peer_keyed(message.by, message.revision)),
        }

    def on_message(self, topic: str, data: bytes, reply: Reply | None) -> None:
        """A message of this topic (`bus.Handler`). What cannot be read is told once and left out."""
        try:
            self._dispatch(topic, data, reply)
        except MessageError as error:
            self._hub.membership.complain(str(error))

    def _dispatch(self, topic: str, data: bytes, reply: Reply | None) -> None:
        hub = self._hub
        if topic.startswith("s."):
            self._record(decode(Record, data))
        elif topic.startswith("m."):
            hub.membership.heard(decode(Lease, data))
        elif topic == "keys":
            hub.shared_keys.changed(data)
        elif topic == "to.ask":
            message = decode(Ask, data)
            if reply is not None:
                task = asyncio.get_running_loop().create_task(self._tell(message, reply))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        elif topic in self._commands:
            kind, handle = self._commands[topic]
            command = decode(kind, data)
            if hub.members.knows(command.by, command.run):
                handle(command)

    def _record(self, record: Record) -> None:
        hub = self._hub
        if record.by == hub.me:
            return
        if hub.members.missed(record.by, record.run, record.n, record=True):
            hub.membership.read_again()
        hub.merge(record, confirm=hub.members.knows(record.by, record.run))

    def _out(self, message: Outs) -> None:
        link = self._hub.own.get(message.switch)
        if link is not None:
            name = message.switch
            link.send_packets(
                [PacketOut(name, Mode(mode), port, frame, n) for mode, port, n, frame in message.packets]
            )

    def _applied(self, message: Applied) -> None:
        hub = self._hub
        kind = DELETE if message.removed else MODIFY
        job = Job(kind, b"", message.key, SessionWrite(message.version, message.removed))
        hub.written(message.switch, job, Outcome(message.code, message.text))

    def _expelled(self, message: Expelled) -> None:
        link = self._hub.own.get(message.switch)
        if link is not None:
            link.fail(message.reason)

    def _learned(self, message: Learned) -> None:
        try:
            states = State.model_validate(message.state).services
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            self._hub.membership.complain(f"{message.by}: learned: {where}: {first['msg']}")
            return
        for state in states:
            service = self._hub.coordinator.services.get((int(state.address), state.port))
            if service is not None:
                service.recall(state.learned.model_dump(exclude_unset=True), **state.told.model_dump())
                self._hub.service_learned(service)

    async def _tell(self, question: Ask, reply: Reply) -> None:
        hub = self._hub
        given: dict[str, Any] = {}
        link = hub.own.get(question.switch)
        try:
            if link is None:
                raise SwitchError(f"{hub.me} has no switch {question.switch}")
            async with asyncio.timeout(_LONGEST_ANSWER):
                if question.what == "elapsed":
                    given["elapsed"] = list((await link.elapsed(question.keys)).items())
                elif question.what == "counters":
                    given["cells"] = list(await link.counters())
                else:
                    given["cells"] = [await link.service_syns()]
        except (SwitchError, TimeoutError) as error:
            given["error"] = str(error) or "no answer in time"
        reply(Told(by=hub.me, run=hub.run_id, **given).encoded())
