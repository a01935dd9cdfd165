# SPDX-License-Identifier: Apache-2.0
"""What a scenario file may say in one item for several steps: they are put in its place before any runs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field


class Abbreviation(BaseModel):
    """An item of `steps` that stands for others."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    keyword: ClassVar[str]

    @abstractmethod
    def steps(self, where: str) -> list[tuple[str, Any]]:
        """The items that it stands for, as they would be written, each with its path (its own: `where`)."""


class Repeat(Abbreviation):
    """The same steps, `times` times."""

    keyword: ClassVar[str] = "repeat"
    times: Annotated[int, Field(ge=1, le=100)]
    what: Annotated[list[Any], Field(min_length=1)]

    def steps(self, where: str) -> list[tuple[str, Any]]:
        return [(f"{where}.what[{index}]", item) for index, item in enumerate(self.what)] * self.times


class Establish(Abbreviation):
    """A crafted connection from the client's SYN to the moment at which the server has the client's ACK,
    everything on the way asserted.

    It makes the endpoints `client` and `server`, each with `suffix`, and sets the numbers x, k, r (tp with
    timestamps), with `suffix` too. `options` are those of the SYN, `server_options` those of the server's
    SYN/ACK (the same ones if not given). With timestamps, the client's first is in `options`, and the
    server's in `server_options`.
    """

    keyword: ClassVar[str] = "establish"
    local: str
    service: str = "crafted"
    suffix: str = ""
    client_host: str = "client"
    server_host: str = "server"
    x: str | int = "random"
    r: str | int = "random"
    options: Mapping[str, Any] = {"mss": 1400}
    server_options: Mapping[str, Any] | None = None

    def steps(self, where: str) -> list[tuple[str, Any]]:
        return [(where, item) for item in self._items()]

    def _items(self) -> list[Any]:
        x, k, r, tp = (f"{name}{self.suffix}" for name in ("x", "k", "r", "tp"))
        client, server = f"client{self.suffix}", f"server{self.suffix}"
        asked, answered = dict(self.options), dict(self.server_options or self.options)
        stamps = asked.get("timestamps")
        remembered, echoed = {k: "seq"}, {}
        if stamps is not None:
            remembered[tp] = "tsval"
            echoed = {"timestamps": [f"{stamps[0]}+1", tp]}
            answered["timestamps"] = [answered["timestamps"][0], f"{stamps[0]}+1"]
        syn = {name: value for name, value in asked.items() if name != "timestamps"}
        absent = [name for name in ("sack_permitted", "window_scale", "timestamps") if name not in asked]
        return [
            {"let": {x: self.x, r: self.r}},
            {"endpoint": _endpoint(client, self.client_host, self.local, self.service)},
            {"endpoint": _endpoint(server, self.server_host, self.service, self.local)},
            {"send": {"endpoint": client, "flags": "S", "seq": x, "options": asked}},
            {
                "receive": {
                    "endpoint": client,
                    "flags": "SA",
                    "ack": f"{x}+1",
                    "remember": remembered,
                    "absent": absent,
                }
            },
            {"send": {"endpoint": client, "seq": f"{x}+1", "ack": f"{k}+1", "options": echoed}},
            {
                "receive": {
                    "endpoint": server,
                    "flags": "S",
                    "seq": x,
                    "ack": 0,
                    "options": syn,
                    "absent": absent,
                }
            },
            {
                "send": {
                    "endpoint": server,
                    "flags": "SA",
                    "seq": r,
                    "ack": f"{x}+1",
                    "options": answered,
                }
            },
            {
                "receive": {
                    "endpoint": server,
                    "flags": "A",
                    "seq": f"{x}+1",
                    "ack": f"{r}+1",
                    "payload": "",
                }
            },
        ]


def _endpoint(name: str, host: str, local: str, remote: str) -> dict[str, str]:
    return {"name": name, "host": host, "local": local, "remote": remote}


ABBREVIATIONS: dict[str, type[Abbreviation]] = {each.keyword: each for each in (Repeat, Establish)}
