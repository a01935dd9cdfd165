# SPDX-License-Identifier: Apache-2.0
"""Which controller is a switch's primary, as one controller sees it (P4Runtime, "Client arbitration").

A controller bids with election id 10, as is usual; while another one uses that id it bids one less and
waits as a backup. When there is no primary any more it bids with the highest id that the switch has seen.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

FIRST_ELECTION_ID: Final = 10
_OK, _NOT_FOUND, _ALREADY_EXISTS = 0, 5, 6  # google.rpc.Code


class Standing(Enum):
    UNKNOWN = auto()
    PRIMARY = auto()
    BACKUP = auto()
    BID = auto()  # there is no primary: send a bid with `election_id`


class Arbitration:
    """The bids on one switch. `primary_id`: the election id of the primary, None when not known."""

    def __init__(self) -> None:
        self.election_id = FIRST_ELECTION_ID
        self.primary_id: int | None = None
        self.standing = Standing.UNKNOWN

    def on_stream_end(self, *, id_in_use: bool) -> None:
        """The stream ended; `id_in_use` = because another live stream uses our election id."""
        self.standing = Standing.UNKNOWN
        self.primary_id = None
        self.election_id = max(1, self.election_id - 1) if id_in_use else FIRST_ELECTION_ID

    def on_update(self, status: int, election_id: int) -> Standing:
        """The switch's answer or notice: its status code and the highest election id it names.

        BMv2's server promotes the next client by itself: status OK with an id lower than before.
        """
        if status == _OK:
            self.standing = Standing.PRIMARY
            self.primary_id = election_id
        elif status == _NOT_FOUND:
            self.election_id = max(self.election_id, election_id)
            self.standing = Standing.BID
            self.primary_id = None
        elif status == _ALREADY_EXISTS:
            self.standing = Standing.BACKUP
            self.primary_id = election_id
        else:
            raise ValueError(f"arbitration status {status} is none of OK, NOT_FOUND, ALREADY_EXISTS")
        return self.standing
