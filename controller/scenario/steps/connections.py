# SPDX-License-Identifier: Apache-2.0
"""Steps with the kernel's own TCP on both sides: servers, connections to them, refusals."""

from __future__ import annotations

import threading
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from controller.config import socket_text
from controller.scenario.clients import (
    Exchange,
    ExchangeError,
    ExchangeResult,
    exchange,
    many,
    percentile,
    refused,
)
from controller.scenario.servers import TcpServer
from controller.scenario.steps.base import Step
from controller.scenario.values import Size
from controller.scenario.world import UnmetError, World

Seconds = Annotated[float, Field(ge=0, le=60)]
Md5 = Annotated[str, Field(max_length=80, description="The key of TCP-MD5; empty = nothing is signed")]

_FOR_PERCENTILES = 100


class Serve(Step):
    """Starts a server for a service on its host. It echoes all it gets; with `banner`, it speaks first.

    With `answer` it reads to the client's FIN, then sends that many bytes of its own, spread over `over`
    seconds.
    """

    keyword: ClassVar[str] = "serve"
    shorthand: ClassVar[str | None] = "service"
    service: str
    banner: str = ""
    md5: Md5 = ""
    answer: Size = 0
    over: Annotated[float, Field(ge=0, le=120)] = 0.0
    receive_buffer: Size = 0
    reads_after: Seconds = 0.0

    def run(self, world: World) -> str:
        address, port = world.service(self.service)
        netns = world.lab.netns(world.service_host(self.service))
        world.servers[self.service] = TcpServer(
            netns,
            address,
            port,
            banner=self.banner.encode(),
            answer=self.answer,
            over_s=self.over,
            receive_buffer=self.receive_buffer,
            reads_after_s=self.reads_after,
            md5=self.md5.encode(),
        )
        return socket_text(address, port)


class StopServing(Step):
    """Ends a server; its open connections are broken off."""

    keyword: ClassVar[str] = "stop_serving"
    shorthand: ClassVar[str | None] = "service"
    service: str

    def run(self, world: World) -> str:
        server = world.servers.pop(self.service, None)
        if server is None:
            raise UnmetError(f"nothing serves {self.service}")
        server.close()
        return f"{server.accepted} connections accepted"


class Connect(Step):
    """Connections from a host to a service, each checked byte for byte against the echo.

    `upload` bytes go up and come back at the same time. `over` spreads that over so many seconds.
    `background` gives it a name and goes on with the next step; `wait_for` collects it. With `lasts` more
    bytes follow the upload, at its pace, until `wait_for` comes. Every connection must succeed, unless
    `succeed` asks for a share of them only.
    """

    keyword: ClassVar[str] = "connect"
    host: str
    service: str
    md5: Md5 = ""
    connections: Annotated[int, Field(ge=1, le=10000)] = 1
    parallel: Annotated[int, Field(ge=1, le=64)] = 1
    upload: Size = 100
    greeting: str = Field("", description="What the server must send first")
    over: Annotated[float, Field(ge=0, le=3600)] = Field(
        0.0, description="Seconds that the upload is spread over"
    )
    pause: Annotated[float, Field(ge=0, le=120)] = Field(
        0.0, description="Seconds of silence in the middle of the upload"
    )
    answer: Size = Field(0, description="What a server with `answer` sends, instead of the echo")
    keep_alive: Annotated[int, Field(ge=0, le=3600)] = Field(
        0, description="Seconds between the kernel's keep-alives on an idle connection, 0 = none"
    )
    source_port: Annotated[int, Field(ge=0, le=65535)] = 0
    timeout: Annotated[float, Field(gt=0, le=300)] = Field(20.0, description="Seconds without any progress")
    receive_buffer: Size = 0
    reads_after: Seconds = 0.0
    succeed: Annotated[float, Field(gt=0, le=1)] = Field(1.0, description="The share that must succeed")
    background: str | None = None
    lasts: bool = Field(False, description="More follows at that pace, until wait_for")

    @model_validator(mode="after")
    def _lasts_for_somebody(self) -> Connect:
        if self.lasts and (self.background is None or not self.over or self.connections > self.parallel):
            raise ValueError("lasts needs background, over, and not more connections than parallel ones")
        return self

    def run(self, world: World) -> str:
        return world.carry_out(lambda asked_for: self._connect(world, asked_for), self.background)

    def _connect(self, world: World, asked_for: threading.Event) -> str:
        netns = world.lab.netns(self.host)
        plan = Exchange(
            target=world.service(self.service),
            upload=self.upload,
            greeting=self.greeting.encode(),
            over_s=self.over,
            pause_s=self.pause,
            answer=self.answer,
            keep_alive_s=self.keep_alive,
            source=("", self.source_port),
            timeout_s=self.timeout,
            receive_buffer=self.receive_buffer,
            reads_after_s=self.reads_after,
            md5=self.md5.encode(),
            until=asked_for if self.lasts else None,
        )
        results = many(self.connections, self.parallel, lambda _: exchange(netns, plan))
        good = [result for result in results if isinstance(result, ExchangeResult)]
        failures = [result for result in results if isinstance(result, Exception)]
        if len(good) < self.succeed * self.connections:
            raise UnmetError(
                f"{len(failures)} of {self.connections} connections failed, the first with: {failures[0]}"
            )
        figures = [f"{len(good)} connections" if len(good) > 1 else "1 connection"]
        figures.append(f"{sum(result.bytes_each_way for result in good)} bytes each way")
        times = [result.connect_s * 1000 for result in good]
        figures.append(f"connect median {percentile(times, 0.5):.1f} ms, slowest {max(times):.1f} ms")
        if len(good) >= _FOR_PERCENTILES:
            whole = [result.total_s * 1000 for result in good]
            figures.append(
                f"to the end p50 {percentile(whole, 0.5):.0f} ms, p99 {percentile(whole, 0.99):.0f} ms"
            )
        if failures:
            figures.append(f"{len(failures)} failed, the first with: {failures[0]}")
        return ", ".join(figures)


class Refused(Step):
    """A connection that must end in a reset within `within` seconds, because nobody listens."""

    keyword: ClassVar[str] = "refused"
    host: str
    service: str
    within: Annotated[float, Field(gt=0, le=60)] = 5.0

    def run(self, world: World) -> str:
        try:
            seconds = refused(world.lab.netns(self.host), world.service(self.service), self.within)
        except ExchangeError as error:
            raise UnmetError(str(error)) from error
        return f"reset after {seconds * 1000:.0f} ms"


class WaitFor(Step):
    """Waits until what runs in the background under this name has ended, and well."""

    keyword: ClassVar[str] = "wait_for"
    shorthand: ClassVar[str | None] = "name"
    name: str
    within: Annotated[float, Field(gt=0, le=3600)] = 30.0

    def run(self, world: World) -> str:
        if self.name not in world.background:
            raise UnmetError(f"nothing runs in the background as {self.name}")
        return world.background[self.name].wait(self.within)


class StillRunning(Step):
    """What runs in the background under this name must not have ended yet."""

    keyword: ClassVar[str] = "still_running"
    shorthand: ClassVar[str | None] = "name"
    name: str

    def run(self, world: World) -> str:
        if self.name not in world.background or not world.background[self.name].running:
            raise UnmetError(f"{self.name} is not running any more")
        return ""


CONNECTION_STEPS: tuple[type[Step], ...] = (Serve, StopServing, Connect, Refused, WaitFor, StillRunning)
