# SPDX-License-Identifier: Apache-2.0
"""Programs that run on hosts of labs: the machine's own, and those that `scripts/programs` has unpacked."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

UNPACKED = Path(__file__).resolve().parents[2] / ".programs"
"""Debian packages of servers, unpacked and not installed: none of them is a service of the machine."""


def search_path() -> str:
    """PATH of commands in labs: the caller's, the sbin folders that it may lack, and what was unpacked."""
    own = os.environ.get("PATH", os.defpath)
    more = [Path("/usr/sbin"), Path("/sbin"), UNPACKED / "usr" / "bin", UNPACKED / "usr" / "sbin"]
    return os.pathsep.join([own, *map(str, more)])


def missing(commands: Iterable[str]) -> list[str]:
    """Which of these commands cannot be found, sorted."""
    path = search_path()
    return sorted(command for command in set(commands) if shutil.which(command, path=path) is None)
