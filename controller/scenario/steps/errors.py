# SPDX-License-Identifier: Apache-2.0
"""Steps with ICMP errors about crafted segments: what a router on the way says, and what arrives of it."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from controller.scenario import icmp, wire
from controller.scenario.steps.base import Step
from controller.scenario.steps.crafted import endpoint_of, value_of
from controller.scenario.values import Expression
from controller.scenario.world import UnmetError, World


class _AboutSegment(Step):
    """A router's word that a segment of so many bytes of payload was too big; the error quotes so many of
    the segment's own bytes.
    """

    endpoint: str
    router: str = Field(description="Address of the router that speaks")
    seq: Expression
    ack: Expression
    mtu: Annotated[int, Field(ge=68, le=65535)] = 1280
    payload: Annotated[int, Field(ge=0, le=9000)] = 1400
    quoted: Annotated[int, Field(ge=8, le=1400)] = 8

    def _error(self, world: World, source: tuple[str, int], destination: tuple[str, int]) -> icmp.TooBig:
        segment = wire.Segment(
            source=source[0],
            destination=destination[0],
            source_port=source[1],
            destination_port=destination[1],
            flags=wire.ACK,
            seq=value_of(self.seq, world),
            ack=value_of(self.ack, world),
            payload=bytes(n & 0xFF for n in range(self.payload)),
        )
        return icmp.TooBig(self.router, segment, self.mtu, self.quoted)


class TooBig(_AboutSegment):
    """An endpoint's host sends, in a router's name, that a segment on its way to the endpoint was too big."""

    keyword: ClassVar[str] = "too_big"

    def run(self, world: World) -> str:
        endpoint = endpoint_of(self.endpoint, world)
        endpoint.send_too_big(self._error(world, endpoint.remote, endpoint.local))
        return f"quotes seq {value_of(self.seq, world)} ack {value_of(self.ack, world)}"


class HeardTooBig(_AboutSegment):
    """The next such error that arrives at an endpoint must be exactly this one, about a segment of the
    endpoint's own: every byte is compared, the checksums of the quoted headers too.
    """

    keyword: ClassVar[str] = "heard_too_big"
    within: Annotated[float, Field(gt=0, le=60)] = 2.0

    def run(self, world: World) -> str:
        endpoint = endpoint_of(self.endpoint, world)
        frame = endpoint.receive_error(self.within)
        if frame is None:
            raise UnmetError(f"no such error arrived at {self.endpoint} within {self.within:g} s")
        if text := icmp.difference(frame, self._error(world, endpoint.local, endpoint.remote)):
            raise UnmetError(text)
        return f"quotes seq {value_of(self.seq, world)} ack {value_of(self.ack, world)}"


ERROR_STEPS: tuple[type[Step], ...] = (TooBig, HeardTooBig)
