# SPDX-License-Identifier: Apache-2.0
"""Names in a topology: of labs, hosts and switches, and of the ends of links."""

from __future__ import annotations

import re
from typing import NamedTuple

LONGEST_INTERFACE = 15
"""Characters of a Linux interface name (IFNAMSIZ without the closing NUL)."""
LAST_PORT = 509
"""510 is the controller's port, 511 means "drop" (bit<9> in v1model)."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_INTERFACE = re.compile(rf"[A-Za-z0-9_.-]{{1,{LONGEST_INTERFACE}}}")


class End(NamedTuple):
    """One end of a link: the label is a host's interface or a switch's port number."""

    node: str
    label: str

    @classmethod
    def parse(cls, text: str) -> End:
        node, _, label = text.partition(":")
        return cls(node, label)

    def __str__(self) -> str:
        return f"{self.node}:{self.label}"


def check_name(value: str) -> str:
    """A name that may become part of a namespace's name. Raises ValueError."""
    if not _NAME.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a name; use up to 32 lower-case letters, digits, '-', a letter first"
        )
    return value


def check_end(value: str) -> str:
    """HOST:INTERFACE or SWITCH:PORT. Raises ValueError."""
    node, label = End.parse(value)
    if not (_NAME.fullmatch(node) and _INTERFACE.fullmatch(label)):
        raise ValueError(
            f"{value!r} is not the end of a link; give HOST:INTERFACE or SWITCH:PORT, such as a:1"
        )
    return value


def switch_interface(switch: str, port: str | int) -> str:
    """The interface of a switch's port, named as Mininet names them."""
    return f"{switch}-eth{port}"
