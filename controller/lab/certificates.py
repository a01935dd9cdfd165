# SPDX-License-Identifier: Apache-2.0
"""Certificates of one run: a CA of its own, and what it issues to switches and controllers."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from softswitch.tlsfiles import TlsFiles

SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
CA_FILE = "ca.pem"
LIFE = timedelta(days=7)
_SLACK = timedelta(minutes=5)  # clocks of two ends may differ


class Authority:
    """A CA whose private key is never written to a file."""

    def __init__(self, folder: Path, name: str = "lab CA", file: str | None = CA_FILE) -> None:
        """`folder` takes NAME.pem and NAME.key of what is issued, and as `file` the CA's own certificate."""
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        certificate = (
            _builder(self._name, self._key.public_key(), (now - _SLACK, now + LIFE))
            .issuer_name(self._name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_CA_USAGE, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / (file or CA_FILE)
        if file is not None:
            _replace(self.file, certificate.public_bytes(Encoding.PEM), 0o644)

    def issue(
        self,
        name: str,
        usages: Sequence[x509.ObjectIdentifier],
        *,
        names: Sequence[str] = (),
        dates: tuple[datetime, datetime] | None = None,
    ) -> TlsFiles:
        """Write a certificate for `name`, and for `names`, and its key; files of that name are replaced.

        `usages`: SERVER, CLIENT or both. A switch that has only SERVER cannot pose as a controller.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            _builder(subject, key.public_key(), dates or (now - _SLACK, now + LIFE))
            .issuer_name(self._name)
            .add_extension(x509.SubjectAlternativeName([_name(n) for n in (name, *names)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        files = TlsFiles(self._folder / f"{name}.pem", self._folder / f"{name}.key", self.file)
        _replace(files.key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
        _replace(files.certificate, certificate.public_bytes(Encoding.PEM), 0o644)
        return files


_CA_USAGE = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=True,
    crl_sign=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, dates: tuple[datetime, datetime]
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(dates[0])
        .not_valid_after(dates[1])
    )


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _replace(path: Path, content: bytes, mode: int) -> None:
    """Whoever reads the file sees it whole, and its content never with wider rights than `mode`."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "wb") as file:
        file.write(content)
    fresh.replace(path)
