# SPDX-License-Identifier: Apache-2.0
"""Who may write to a switch, as one controller sees it (P4Runtime, "Client arbitration").

The controller that leads bids the same election id at every switch: its term in the upper bits, so that a
later leader's is higher, a random number that tells it from others of the same term, and how often it had to
bid again because a dead stream of its own still used the id:

    term << 32 | random 16 bits << 16 | attempt

A controller that stands by bids without an id, which can never become primary and only hears of others.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

_OK, _NOT_FOUND, _ALREADY_EXISTS = 0, 5, 6  # google.rpc.Code
_TERM, _OWNER = 32, 16  # bits below
_HIGHEST: Final = (1 << 128) - 1


class Standing(Enum):
    UNKNOWN = auto()
    PRIMARY = auto()
    BACKUP = auto()  # another controller is primary
    FREE = auto()  # there is no primary, and this controller does not bid
    BID = auto()  # send a bid with `election_id`


def leading_id(highest: int, random16: int) -> int:
    """The election id of a new leader; `highest`: the highest id that any switch has named (0: none).

    Raises:
        ValueError: no id is left above that one.
    """
    found = ((highest >> _TERM) + 1) << _TERM | (random16 & 0xFFFF) << _OWNER
    if found > _HIGHEST:
        raise ValueError(f"no election id is left above {highest}: restart the switch that has seen it")
    return found


def same_leader(one: int, other: int) -> bool:
    """Whether two election ids are of the same controller in the same term."""
    return one >> _OWNER == other >> _OWNER


class Arbitration:
    """The bids on one switch. `primary_id`: the election id of the primary, None when not known.

    `election_id` None: this controller stands by.
    """

    def __init__(self, election_id: int | None = None) -> None:
        self.election_id = election_id
        self.primary_id: int | None = None
        self.standing = Standing.UNKNOWN

    def on_stream_end(self, *, id_in_use: bool) -> None:
        """The stream ended; `id_in_use` = because another live stream uses our election id."""
        self.standing = Standing.UNKNOWN
        self.primary_id = None
        if id_in_use and self.election_id is not None:
            self.election_id += 1

    def on_update(self, status: int, election_id: int) -> Standing:
        """The switch's answer or notice: its status code and the highest election id that it has seen.

        BMv2's server takes any bid when there is no primary, one without an id too, and promotes the next
        client by itself: status OK with an id lower than before.
        """
        if status not in (_OK, _NOT_FOUND, _ALREADY_EXISTS):
            raise ValueError(f"arbitration status {status} is none of OK, NOT_FOUND, ALREADY_EXISTS")
        self.primary_id = None if status == _NOT_FOUND else election_id
        if self.election_id is None:
            self.standing = Standing.BACKUP if status == _ALREADY_EXISTS else Standing.FREE
        elif status == _OK:
            self.standing = Standing.PRIMARY
        elif same_leader(election_id, self.election_id):  # a stream of our own that is dead, or was
            self.election_id = max(self.election_id, election_id) + (status == _ALREADY_EXISTS)
            self.standing = Standing.BID
        elif election_id < self.election_id:
            self.standing = Standing.BID
        else:
            self.standing = Standing.BACKUP
        return self.standing
