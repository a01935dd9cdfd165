# SPDX-License-Identifier: Apache-2.0
"""How to get in: TLS files and credentials for NATS, the secret that the members share."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Any, Final

import nats.errors
import nkeys  # type: ignore[import-untyped]
from cryptography.fernet import Fernet
from nats.aio.client import RawCredentials

from controller.config import FederationConfig, TlsConfig
from softswitch.secretfile import SecretFileError, read_secret
from softswitch.tlsfiles import TlsFileError

_USER_JWT: Final = re.compile(r"-+BEGIN NATS USER JWT-+\n(\S+)\n")
_USER_SEED: Final = re.compile(r"-+BEGIN USER NKEY SEED-+\n(\S+)\n")
_NOBODY: Final = "no server answers"


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
        options["user_credentials"] = _credentials(config.credentials)
    return options


def _credentials(path: Path) -> RawCredentials:
    """Checked, for the library would not come back from a file without a JWT."""
    text = _read(path, "federation.credentials").decode("utf-8", "replace").replace("\r\n", "\n") + "\n"
    token, seed = _USER_JWT.search(text), _USER_SEED.search(text)
    try:
        if token is None or seed is None:
            raise ValueError
        nkeys.from_seed(bytearray(seed[1].encode())).wipe()
    except (ValueError, nkeys.NkeysError):
        raise AccessError(
            f"federation.credentials: {path}: no user's JWT and seed in it; give a file such as "
            "`nsc generate creds` makes"
        ) from None
    return RawCredentials(f"{token[0]}\n{seed[0]}\n")


def explain(error: BaseException, config: FederationConfig) -> str:
    """Why no connection came about, in one line for an operator.

    A server that refuses our certificate only ends the connection: TLS 1.3 has no room for a reason.
    """
    text = one_line(error)
    if isinstance(error, ssl.SSLCertVerificationError) and config.tls is not None:
        return (
            f"TLS: its certificate is refused: {error.verify_message.rstrip('.')}; {config.tls.ca} must have "
            "signed it, for the host that is in federation.urls"
        )
    if isinstance(error, ssl.SSLError) and config.tls is None:
        return "it wants TLS; give federation.tls: ca, certificate and key"
    if config.tls is not None and isinstance(error, ConnectionError | ssl.SSLError) and text != _NOBODY:
        return (
            f"TLS: it ended the connection; most likely it refuses {config.tls.certificate}: a CA that it "
            "believes must have signed it, for clients; its log says why"
        )
    if "authorization" in text.lower():
        return (
            f"it does not let this member in ({text}); give what it wants as federation.token_file, "
            "user and password_file, or credentials"
        )
    return text


def one_line(error: BaseException) -> str:
    """What an error says, also for those that have no text."""
    if isinstance(error, nats.errors.NoServersError | ConnectionRefusedError):
        return _NOBODY
    if isinstance(error, TimeoutError | nats.errors.TimeoutError):
        return "no answer in time"
    return " ".join(str(error).split()) or type(error).__name__


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
