# SPDX-License-Identifier: Apache-2.0
"""A cache folder: what was built, under the hash of all that went into it, so that no entry ever changes.

Entries are made aside and renamed into place, so that processes may build the same at the same time. Nothing
there grows without bound: whoever adds an entry removes those that were not used for long, and the least
recently used ones while there is too much.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_BYTES = 256 << 20
MAX_AGE_S = 30 * 86400.0
"""Since an entry was used last."""
GRACE_S = 3600.0
"""So long after its last use an entry stays, whatever the size: who uses it loads it a little later."""
ABANDONED_S = 3600.0
"""After which what is made aside is taken for that of a process that was killed."""

_ASIDE = "build-"
_LOCK = ".lock"


def use(entry: Path) -> bool:
    """Whether the entry is there. From now on it counts as just used, and stays for `GRACE_S` at least."""
    try:
        with _locked(entry.parent, fcntl.LOCK_SH):
            os.utime(entry)
    except FileNotFoundError:
        return False
    except OSError:  # a folder that others own may be read, too
        return entry.exists()
    return True


@contextmanager
def aside(folder: Path) -> Iterator[Path]:
    """A new folder beside the entries to make one in; what is left in it at the end is removed."""
    made = Path(tempfile.mkdtemp(dir=folder, prefix=_ASIDE))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def publish(made: Path, entry: Path) -> None:
    """Renames what was made aside, a file or a folder; another process may have been faster, with the same
    result. Makes room if need be."""
    while True:
        try:
            os.rename(made, entry)
            break
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            if entry.is_dir():  # not so when a third process has removed it since
                break
    prune(entry.parent)


def prune(folder: Path) -> None:
    """Removes what is too old or too much. Does nothing while another process does it."""
    with (
        contextlib.suppress(BlockingIOError),
        aside(folder) as gone,
        _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB),
    ):
        for entry in _superfluous(folder):
            os.rename(entry, gone / entry.name)  # at once and as a whole: nobody sees half an entry


def _superfluous(folder: Path) -> list[Path]:
    now, total, found = time.time(), 0, []
    for path in folder.iterdir():
        if path.name != _LOCK:
            with contextlib.suppress(FileNotFoundError):  # renamed meanwhile: it was being made
                found.append((path.stat().st_mtime, _bytes_of(path), path))
    superfluous = []
    for used, size, path in sorted(found, reverse=True):
        total += size
        if path.name.startswith(_ASIDE):
            gone = now - used > ABANDONED_S
        else:
            gone = now - used > GRACE_S and (total > MAX_BYTES or now - used > MAX_AGE_S)
        if gone:
            superfluous.append(path)
    return superfluous


def _bytes_of(path: Path) -> int:
    parts = path.iterdir() if path.is_dir() else [path]
    return sum(part.stat().st_size for part in parts)


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    """Holds the folder's lock, which a process that ends gives back.

    BlockingIOError if LOCK_NB is given and it is taken; OSError where nothing may be written.
    """
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, how)
        yield
    finally:
        os.close(lock)
