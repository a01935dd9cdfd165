# SPDX-License-Identifier: Apache-2.0
"""What members of a federation say to each other: JSON, each message with the protocol's version and its
sender.

Integers are addresses (IPv6 too), ports and numbers mod 2^32 as in `controller.logic.model`; frames are
base64. What cannot be read is one of two errors: `OtherProtocolError` or `CorruptMessageError`, both one
line.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from controller.dataplane import PuntHeader
from controller.logic.model import Entry, Key, PacketOut

PROTOCOL: Final = 2

Word = Annotated[int, Field(ge=0, lt=1 << 32)]
Address = Annotated[int, Field(ge=0, lt=1 << 128)]
Port = Annotated[int, Field(ge=0, lt=1 << 16)]
Tuple = tuple[Address, Address, Port, Port]
"""A session's key: client, server, client port, server port."""
EntryWords = tuple[Word, Word, Word, Word, Word, Word, Word, Word, Annotated[int, Field(ge=0, lt=1 << 63)]]


class MessageError(ValueError):
    """A message that cannot be read; one line."""


class OtherProtocolError(MessageError):
    """Its sender speaks another version of the protocol."""


class CorruptMessageError(MessageError):
    """It is no message of this protocol."""


class Message(BaseModel):
    """`by`: the member that sent it; `run`: which membership of it (a new one each time it joins)."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    v: Literal[2] = PROTOCOL
    by: str
    run: str

    def encoded(self) -> bytes:
        return self.model_dump_json(exclude_defaults=False).encode()


class Record(Message):
    """A session as it is to be in every switch; without `entry` it has been removed.

    `n` counts what this membership of the sender has published. `ingress` is the switch by which its client
    entered.
    """

    n: int
    key: Tuple
    version: Word
    entry: EntryWords | None = None
    service: str = ""
    ingress: str | None = None
    created: float = 0.0

    def table_entry(self) -> Entry | None:
        return None if self.entry is None else Entry(*self.entry)


class Lease(Message):
    """A member says that it is there, and what it knows of the others.

    `stamp` grows with every change of `state` or `switches`; `seen`: the last (run, stamp) of each other
    member that it has taken in. `n`: how many records it has published.
    """

    state: Literal["joining", "member", "left"]
    stamp: int
    switches: dict[str, Literal["down", "joined", "live"]]
    held: dict[str, int] = {}
    reasons: dict[str, str] = {}
    seen: dict[str, tuple[str, int]] = {}
    n: int = 0


class KeyRecord(Message):
    """The cookie keys: `keys` are (k0, k1, epoch); `began`: Unix time of the epoch's beginning. Always
    encrypted.
    """

    epoch: Word
    keys: list[tuple[Word, Word, Word]] = Field(repr=False)
    began: float


class Pending(Message):
    """A handshake has begun at the sender: what concerns its flow is for the sender. `at`: Unix time."""

    key: Tuple
    isn: Word
    cookie: Word
    at: float


class Punted(Message):
    """A packet that a switch of the sender has punted, for the member that knows its flow.

    `returned`: the receiver had sent it here, and the sender does not know the flow (any more). `ask`: not 0
    when nobody is known to be the one; all answer with `Known` of that number.
    """

    switch: str
    header: tuple[int, ...]
    frame: bytes
    returned: bool = False
    ask: int = 0

    def punt_header(self) -> PuntHeader:
        return PuntHeader(*self.header)


class Known(Message):
    """The answer to a `Punted` with `ask`: whether it is the sender's flow (and is taken care of)."""

    ask: int
    mine: bool


class Outs(Message):
    """Frames to be sent through a switch of the receiver, in order."""

    switch: str
    packets: list[tuple[int, int, int, bytes]]

    @classmethod
    def of(cls, by: str, run: str, switch: str, packets: list[PacketOut]) -> Outs:
        return cls(
            by=by, run=run, switch=switch, packets=[(p.mode, p.port, p.release, p.frame) for p in packets]
        )


class Applied(Message):
    """A switch of the sender has carried out a record of the receiver's, or refused it: `code` as in gRPC, 0:
    done.
    """

    switch: str
    key: Tuple
    version: Word
    removed: bool
    code: int = 0
    text: str = ""


class Ended(Message):
    """A FIN or RST passed a switch of the sender, in a session that is the receiver's."""

    key: Tuple
    event: Annotated[int, Field(ge=1, le=4)]
    version: Word


class Idle(Message):
    """A switch of the sender has seen no packet of these sessions, which are the receiver's, for their idle
    time.
    """

    switch: str
    keys: list[Tuple]


class Ask(Message):
    """A question about a switch of the receiver: seconds since the last packet of `keys`, or its counters."""

    switch: str
    what: Literal["elapsed", "counters", "service_syns"]
    keys: list[Tuple] = []


class Told(Message):
    """The answer to an `Ask`; `error`: why there is none."""

    elapsed: list[tuple[Tuple, float]] = []
    cells: list[dict[int, int]] = []
    error: str = ""


class Expelled(Message):
    """A switch of the receiver is to be synchronised again, for this reason."""

    switch: str
    reason: str


class Keyed(Message):
    """The switches of the sender hold the keys of this revision of the record."""

    revision: int


class Learned(Message):
    """What was learned of services, in the form of the state file."""

    state: dict[str, Any]


AnyMessage = TypeVar("AnyMessage", bound=Message)


def decode(kind: type[AnyMessage], data: bytes) -> AnyMessage:
    """A message of this kind. Raises MessageError."""
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        raise _what_is_wrong(kind, data, error) from None


def _what_is_wrong(kind: type[Message], data: bytes, error: ValidationError) -> MessageError:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return CorruptMessageError(f"no {kind.__name__}: not JSON ({len(data)} bytes)")
    if isinstance(document, dict) and document.get("v") != PROTOCOL:
        version, by = document.get("v"), document.get("by")
        return OtherProtocolError(f"{by!r} speaks protocol version {version!r}, this controller {PROTOCOL}")
    first = error.errors(include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return CorruptMessageError(f"no {kind.__name__}: {where}: {first['msg']}")


def store_key(key: Key) -> str:
    """A session's key in the key-value store."""
    client, server, client_port, server_port = key
    return f"s.{client:x}.{client_port}.{server:x}.{server_port}"
