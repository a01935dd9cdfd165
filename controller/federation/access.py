# SPDX-License-Identifier: Apache-2.0
"""How to get in: TLS files and credentials for NATS, the secret that the members share."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from controller.config import FederationConfig, TlsConfig
from softswitch.secretfile import SecretFileError, read_secret
from softswitch.tlsfiles import TlsFileError


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
    if config.tls is not None:
        options["tls"] = _tls(config.tls)
    if config.token_file is not None:
        options["token"] = _read(config.token_file, "federation.token_file").decode("utf-8", "replace")
    if config.password_file is not None:
        options["user"] = config.user
        options["password"] = _read(config.password_file, "federation.password_file").decode(
            "utf-8", "replace"
        )
    if config.credentials is not None:
        _read(config.credentials, "federation.credentials")  # which checks its mode
        options["user_credentials"] = str(config.credentials)
    return options


def _tls(config: TlsConfig) -> ssl.SSLContext:
    """Read anew for every connection: what has been exchanged meanwhile counts from then on."""
    try:
        identity = config.files().load()
    except TlsFileError as error:
        raise AccessError(f"federation.tls: {error}") from None
    if identity.not_today:
        raise AccessError(f"federation.tls: {identity.not_today}")
    context = ssl.create_default_context(cafile=str(config.ca))
    context.load_cert_chain(config.certificate, config.key)
    return context


def _read(path: Path, key: str) -> bytes:
    try:
        return read_secret(path).strip()
    except SecretFileError as error:
        raise AccessError(f"{key}: {error}") from None
