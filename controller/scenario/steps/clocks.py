# SPDX-License-Identifier: Apache-2.0
"""A step in which time passes faster than it does: a long connection's timestamps in seconds."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from controller.scenario.clocks import ClockError, Conversation, End
from controller.scenario.rawport import Endpoint
from controller.scenario.steps.base import Step
from controller.scenario.steps.crafted import endpoint_of, value_of
from controller.scenario.values import Expression
from controller.scenario.world import UnmetError, World


class Clock(BaseModel):
    """A timestamp clock: its value when the conversation begins, and its ticks a second (RFC 7323 has 1 to
    1000 in mind, section 5.4; some have a million).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    at: Expression
    rate: Annotated[int, Field(ge=1, le=100_000_000)]


class Clocks(Step):
    """The two ends of an established crafted connection talk for `span` seconds of their own time, one turn
    `every` so many, as fast as the packets go. Each segment must pass the other end's PAWS check, each stale
    one must fail it, each echo must be exact, each round-trip time right to a tick.
    """

    keyword: ClassVar[str] = "clocks"
    client: Clock
    server: Clock
    suffix: str = ""
    span: Annotated[float, Field(gt=0, le=86_400)] = 600
    every: Annotated[float, Field(ge=0.1, le=600)] = 1

    def run(self, world: World) -> str:
        x, k, r, tp = (value_of(f"{name}{self.suffix}", world) for name in ("x", "k", "r", "tp"))
        begun = value_of(self.client.at, world)
        talk = Conversation(
            client=self._end("client", self.client, world, x + 1, k + 1, tp),
            server=self._end("server", self.server, world, r + 1, x + 1, begun),
            span_s=self.span,
            every_s=self.every,
        )
        try:
            turns = talk.run()
        except ClockError as error:
            raise UnmetError(str(error)) from error
        for end in (talk.client, talk.server):
            for measured in (end.fastest_s, end.slowest_s):
                if abs(measured - 2 * talk.way_s) > 1 / end.rate + 1e-9:
                    raise UnmetError(
                        f"{end.name} measured a round trip of {measured:g} s; it is {2 * talk.way_s} s"
                    )
        stale = talk.client.rejected + talk.server.rejected
        return f"{turns} turns in {self.span:g} s, {stale} stale segments recognised"

    def _end(self, name: str, clock: Clock, world: World, seq: int, ack: int, recent: int) -> End:
        endpoint: Endpoint = endpoint_of(f"{name}{self.suffix}", world)
        start = value_of(clock.at, world)
        return End(name, endpoint, clock.rate, start, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, recent)


CLOCK_STEPS: tuple[type[Step], ...] = (Clocks,)
