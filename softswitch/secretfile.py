# SPDX-License-Identifier: Apache-2.0
"""Files that hold secrets: private keys, tokens, credentials. Only their owner may be able to read them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

_LARGEST: Final = 1 << 20
_OTHERS: Final = 0o077
SHORTEST_TOKEN: Final = 16


class SecretFileError(Exception):
    """A file (`path`) that cannot be used; one line: which, `what` is wrong, what would be right.

    The file's content is never in it.
    """

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.path, self.what = path, what


def read_secret(path: Path) -> bytes:
    """The content of a file with a secret: mode 0600 or less, owned by this process's user or by root.

    What is checked is the open file itself, so it cannot be exchanged between the check and the reading;
    symbolic links are followed (mounted secrets are such).

    Raises:
        SecretFileError: it cannot be read, others can, it is somebody else's, or no ordinary file.
    """
    content, status = _read(path)
    mode = stat.S_IMODE(status.st_mode)
    if mode & _OTHERS:
        raise SecretFileError(path, f"mode {mode:04o}: others than its owner have access; chmod 600 {path}")
    if status.st_uid not in (os.geteuid(), 0):
        raise SecretFileError(
            path, f"belongs to user {status.st_uid}; it must be user {os.geteuid()}'s or root's"
        )
    return content


def read_token(path: Path) -> str:
    """A token: the only line of a secret file, of at least 16 characters without blanks.

    Raises:
        SecretFileError: as `read_secret`, or the content is no token.
    """
    try:
        words = read_secret(path).decode("ascii").split()
    except UnicodeDecodeError:
        words = []
    if len(words) != 1 or len(words[0]) < SHORTEST_TOKEN:
        raise SecretFileError(
            path,
            f"no token in it; make one of at least {SHORTEST_TOKEN} characters, such as with: "
            f"(umask 077; openssl rand -hex 32 > {path})",
        )
    return words[0]


def read_public(path: Path) -> bytes:
    """The content of a file that anybody may read, such as a certificate.

    Raises:
        SecretFileError: it cannot be read, or is no ordinary file.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[bytes, os.stat_result]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO would hold us up
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise SecretFileError(path, "not an ordinary file; give the path of a file")
            content = file.read(_LARGEST + 1)
    except OSError as err:
        raise SecretFileError(path, f"{err.strerror}; give the path of a readable file") from None
    if len(content) > _LARGEST:
        raise SecretFileError(path, f"larger than {_LARGEST >> 20} MiB; give another file")
    return content, status
