# SPDX-License-Identifier: Apache-2.0
"""802.1Q tags at packet sockets: the kernel takes the tag out of an arriving frame and gives it beside it."""

from __future__ import annotations

import socket
import struct
from typing import Any

_SOL_PACKET = 263
_PACKET_AUXDATA = 8
_TP_STATUS_VLAN_VALID = 0x10
_AUXDATA = struct.Struct("=IIIHHHH")
"""struct tpacket_auxdata (linux/if_packet.h); the last two: the tag's control information and its type."""
_TYPE = b"\x81\x00"


def show_tags(sock: socket.socket) -> None:
    """From now on `receive_tagged` sees the tags of what arrives at this packet socket."""
    sock.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)


def receive_tagged(sock: socket.socket, length: int) -> tuple[bytes, Any]:
    """The next frame as it was on the wire, with its tag in place, and its address as of `recvfrom`."""
    frame, ancillary, _, address = sock.recvmsg(length, socket.CMSG_SPACE(_AUXDATA.size))
    for level, kind, data in ancillary:
        if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
            status, *_, control, _ = _AUXDATA.unpack(data[: _AUXDATA.size])
            if status & _TP_STATUS_VLAN_VALID:
                frame = tagged(frame, control)
    return frame, address


def tagged(frame: bytes, control: int) -> bytes:
    """With a tag: VLAN identifier in the lower 12 bits of `control`, priority in the upper 3."""
    return frame[:12] + _TYPE + struct.pack("!H", control) + frame[12:]


def untagged(frame: bytes, vlan: int | None) -> bytes | None:
    """Without its one tag, when that has this identifier; else None. `vlan` None: it has no tag."""
    if frame[12:14] != _TYPE:
        return frame if vlan is None else None
    control = int.from_bytes(frame[14:16])
    return frame[:12] + frame[16:] if control & 0xFFF == vlan else None
