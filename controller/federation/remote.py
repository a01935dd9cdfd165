# SPDX-License-Identifier: Apache-2.0
"""A switch of another member, with what the hub uses of a SwitchLink."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from controller.config import SwitchConfig, TimersConfig
from controller.federation.bus import Bus, BusError
from controller.federation.messages import Ask, Expelled, MessageError, Outs, Told, decode
from controller.logic.liveness import Liveness, SwitchState
from controller.logic.model import Key, PacketOut
from controller.p4.errors import SwitchError
from controller.p4.writer import Job

_ANSWER_TIME: Final = 2.0


class Sender(Protocol):
    """This member, as the sender of messages. `bus` is None while it has no connection."""

    @property
    def bus(self) -> Bus | None: ...
    @property
    def me(self) -> str: ...
    @property
    def run_id(self) -> str: ...


class RemoteSwitch:
    """`sessions`: how many entries it holds, as its member says; `dropped_out`: frames lost on this side."""

    def __init__(
        self, name: str, timers: TimersConfig, sender: Sender, home: Callable[[str], str | None]
    ) -> None:
        self.name = name
        self.config = SwitchConfig.model_construct(
            name=name, address="of another member", device_id=0, ports=[], routes=[], neighbours=[]
        )
        self.life = Liveness(timers)
        self.sessions = 0
        self.dropped_out = 0
        self.filling = False
        self._sender = sender
        self._home = home

    @property
    def in_service(self) -> bool:
        return self.life.state is SwitchState.IN_SERVICE

    @property
    def home(self) -> str:
        """The member that looks after it."""
        return self._home(self.name) or ""

    def is_now(self, standing: str, reason: str, held: int) -> None:
        """What its member says of it."""
        self.sessions = held
        if standing == "live":
            self.life.in_service()
        elif standing == "joined":
            self.life.connected()
        else:
            self.life.lost(reason or f"not in service at {self.home}")

    # --- as of a SwitchLink -----------------------------------------------------------------------

    def send_packets(self, packets: Sequence[PacketOut]) -> None:
        """Have frames sent, in order and together. Without a connection they are dropped and counted."""
        sender = self._sender
        if sender.bus is None:
            self.dropped_out += len(packets)
            return
        message = Outs.of(sender.me, sender.run_id, self.name, list(packets))
        sender.bus.publish(f"to.{self.home}.out", message.encoded())

    def put(self, job: Job) -> None:
        """Nothing: sessions go to it as records, and everything else its own member writes."""

    async def flush(self) -> None:
        """Nothing waits here."""

    def fail(self, reason: str) -> None:
        """Have its member synchronise it again."""
        sender = self._sender
        if sender.bus is not None:
            message = Expelled(by=sender.me, run=sender.run_id, switch=self.name, reason=reason)
            sender.bus.publish(f"to.{self.home}.expelled", message.encoded())

    async def elapsed(self, keys: Sequence[Key]) -> dict[Key, float]:
        """Seconds since the last packet of each session that it holds. Raises SwitchError."""
        told = await self._ask(Ask(by="", run="", switch=self.name, what="elapsed", keys=list(keys)))
        return dict(told.elapsed)

    async def counters(self) -> tuple[dict[int, int], dict[int, int]]:
        """Packets by index of the counters `drops` and `events`. Raises SwitchError."""
        told = await self._ask(Ask(by="", run="", switch=self.name, what="counters"))
        if len(told.cells) != 2:
            raise SwitchError(f"{self.home} did not tell its counters")
        return told.cells[0], told.cells[1]

    async def service_syns(self) -> dict[int, int]:
        """SYNs that have come, by service id. Raises SwitchError."""
        told = await self._ask(Ask(by="", run="", switch=self.name, what="service_syns"))
        return told.cells[0] if told.cells else {}

    async def _ask(self, question: Ask) -> Told:
        sender = self._sender
        if sender.bus is None:
            raise SwitchError("no connection to NATS")
        message = question.model_copy(update={"by": sender.me, "run": sender.run_id})
        try:
            data = await sender.bus.request(f"to.{self.home}.ask", message.encoded(), _ANSWER_TIME)
            told = decode(Told, data)
        except (BusError, MessageError) as error:
            raise SwitchError(f"{self.home}: {error}") from None
        if told.error:
            raise SwitchError(told.error)
        return told
