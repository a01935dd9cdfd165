# SPDX-License-Identifier: Apache-2.0
"""How to get in: TLS files and credentials for NATS, the secret that the members share."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from controller.config import FederationConfig


class AccessError(Exception):
    """A secret cannot be had; one line with the file and what would be right."""


def read_shared_secret(config: FederationConfig) -> bytes:
    """The secret that encrypts the cookie keys. Raises AccessError."""
    secret = _read(config.secret, "federation.secret")
    try:
        Fernet(secret)
    except ValueError:
        raise AccessError(
            f"federation.secret: {config.secret}: no secret; give 32 random bytes in urlsafe base64, "
            "such as of `openssl rand -base64 32 | tr +/ -_`"
        ) from None
    return secret


def connect_options(config: FederationConfig) -> dict[str, Any]:
    """Arguments of nats-py's `connect`. Raises AccessError."""
    options: dict[str, Any] = {}
    if config.token_file is not None:
        options["token"] = _read(config.token_file, "federation.token_file").decode("utf-8", "replace")
    return options


def _read(path: Path, key: str) -> bytes:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise AccessError(f"{key}: {path}: others may read it (mode {mode:04o}); chmod 600 {path}")
            return file.read(65536).strip()
    except OSError as error:
        raise AccessError(f"{key}: {path}: {error.strerror}") from None
