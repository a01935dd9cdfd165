# SPDX-License-Identifier: Apache-2.0
"""What the cache of built programs keeps, and what it lets go."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from softswitch import cache

DAY = 86400.0


def entry(folder: Path, name: str, *, idle_s: float = 0.0, size: int = 100, files: int = 1) -> Path:
    made = folder / name
    made.mkdir()
    for number in range(files):
        (made / f"{number}").write_bytes(bytes(size))
    os.utime(made, times=(time.time() - idle_s,) * 2)
    return made


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != ".lock"}


def test_what_was_not_used_for_long_goes(tmp_path: Path) -> None:
    entry(tmp_path, "program-old", idle_s=31 * DAY)
    entry(tmp_path, "program-new", idle_s=29 * DAY)
    cache.prune(tmp_path)
    assert left(tmp_path) == {"program-new"}


def test_the_least_recently_used_go_when_there_is_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MAX_BYTES", 450)
    for number in range(5):
        entry(tmp_path, f"program-{number}", idle_s=(9 - number) * DAY, files=2)
    assert cache.use(tmp_path / "program-0")
    cache.prune(tmp_path)
    assert left(tmp_path) == {"program-0", "program-4"}


def test_what_is_in_use_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_BYTES", 0)
    entry(tmp_path, "program-used", idle_s=2 * DAY)
    entry(tmp_path, "program-unused", idle_s=2 * DAY)
    entry(tmp_path, "build-under-way", idle_s=60.0)
    assert cache.use(tmp_path / "program-used")
    assert not cache.use(tmp_path / "program-none")
    cache.prune(tmp_path)
    assert left(tmp_path) == {"program-used", "build-under-way"}


def test_what_a_killed_process_left_goes(tmp_path: Path) -> None:
    entry(tmp_path, "build-left", idle_s=2 * cache.ABANDONED_S)
    cache.prune(tmp_path)
    assert left(tmp_path) == set()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    entry(tmp_path, "program-old", idle_s=31 * DAY)
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        cache.prune(tmp_path)
        assert left(tmp_path) == {"program-old"}
    cache.prune(tmp_path)
    assert left(tmp_path) == set()


def test_publishing_makes_room(tmp_path: Path) -> None:
    entry(tmp_path, "program-old", idle_s=31 * DAY)
    with cache.aside(tmp_path) as made:
        (made / "a").write_text("a")
        cache.publish(made, tmp_path / "program-a")
    with cache.aside(tmp_path) as made:  # as a slower process
        (made / "a").write_text("a")
        cache.publish(made, tmp_path / "program-a")
    assert left(tmp_path) == {"program-a"}
    assert (tmp_path / "program-a" / "a").read_text() == "a"


WORKER = """
import sys
from pathlib import Path
from softswitch import cache
cache.MAX_BYTES = 0  # and nothing is kept for its use
cache.GRACE_S = -1.0 if sys.argv[2] == "prune" else cache.GRACE_S
folder = Path(sys.argv[1])
for n in range(300):
    entry = folder / f"program-{n % 7}"
    if not cache.use(entry):
        with cache.aside(folder) as made:
            for name in ("first", "second"):
                (made / name).write_text(name)
            cache.publish(made, entry)
"""


def test_processes_at_the_same_time(tmp_path: Path) -> None:
    """One of them removes whatever it sees at once. The others never fail, and nothing half is left."""
    command = [sys.executable, "-c", WORKER, str(tmp_path)]
    workers = [subprocess.Popen([*command, kind]) for kind in ("prune", "keep", "keep")]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    for name in left(tmp_path):
        assert name.startswith("program-")
        assert {path.name for path in (tmp_path / name).iterdir()} == {"first", "second"}
