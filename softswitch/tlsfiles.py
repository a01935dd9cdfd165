# SPDX-License-Identifier: Apache-2.0
"""The PEM files of one end of a TLS connection: read, checked, and read again when they have changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from softswitch.secretfile import SecretFileError, read_public, read_secret


class TlsFileError(Exception):
    """A file (`path`) that cannot be used; one line: which, `what` is wrong, what would be right."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.path = path


@dataclass(frozen=True)
class Identity:
    """What an end shows and whom it believes, as PEM. The private key is in no repr."""

    certificate: bytes
    key: bytes = field(repr=False)
    ca: bytes | None
    "The certificates that must have signed the other end's; None: any other end is believed."
    not_today: str
    "Why the certificate is good, but not today, in one line; empty when it is."


@dataclass(frozen=True)
class TlsFiles:
    """PEM files: an end's certificate (with its chain), its private key, the CA of the other ends."""

    certificate: Path
    key: Path
    ca: Path | None = None

    def load(self) -> Identity:
        """Read the files and check them against each other.

        Raises:
            TlsFileError: a file cannot be read or is of another kind, others can read the private key, or
                key and certificate do not belong together.
        """
        certificate = _read(self.certificate, read_public)
        key = _read(self.key, read_secret)
        ca = None if self.ca is None else _read(self.ca, read_public)
        own = _certificates(self.certificate, certificate)[0]
        if ca is not None and self.ca is not None:
            _certificates(self.ca, ca)
        if _public_key(self.key, key) != own.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        ):
            raise TlsFileError(
                self.key,
                f"not the private key of {self.certificate}; give the two that belong together",
            )
        return Identity(certificate, key, ca, _not_today(self.certificate, own))

    def stamp(self) -> tuple[object, ...]:
        """Differs once a file has been changed, replaced, removed, or given other rights."""
        return tuple(_stamp(path) for path in (self.certificate, self.key, self.ca) if path is not None)


def _stamp(path: Path) -> object:
    try:
        status = os.stat(path)
    except OSError as err:
        return err.errno
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read(path: Path, read: Callable[[Path], bytes]) -> bytes:
    try:
        return read(path)
    except SecretFileError as err:
        raise TlsFileError(path, err.what) from None


def _certificates(path: Path, pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise TlsFileError(path, "no certificate in it; give a PEM file (BEGIN CERTIFICATE)") from None


def _public_key(path: Path, pem: bytes) -> bytes:
    """What belongs to a private key, in the form that certificates have it."""
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise TlsFileError(path, "the key is encrypted; give one without a passphrase, mode 0600") from None
    except ValueError:
        raise TlsFileError(path, "no private key in it; give a PEM file (BEGIN PRIVATE KEY)") from None
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _not_today(path: Path, certificate: x509.Certificate) -> str:
    now, first, last = datetime.now(UTC), certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > last:
        return f"{path}: the certificate expired on {last:%Y-%m-%d %H:%M} UTC; renew it"
    if now < first:
        return (
            f"{path}: the certificate is good only from {first:%Y-%m-%d %H:%M} UTC on; wait, or set the clock"
        )
    return ""
