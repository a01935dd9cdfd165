# SPDX-License-Identifier: Apache-2.0
"""Files with secrets: what is accepted, and what is said about the others."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from controller.lab.certificates import CLIENT, SERVER, Authority
from softswitch.secretfile import SecretFileError, read_secret, read_token
from softswitch.tlsfiles import TlsFileError, TlsFiles

DAY = timedelta(days=1)
SECRET = "0123456789abcdef" * 2


def write(path: Path, content: str, mode: int) -> Path:
    path.write_text(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_file_is_read(tmp_path: Path, mode: int) -> None:
    assert read_secret(write(tmp_path / "f", SECRET, mode)) == SECRET.encode()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o666, 0o601])
def test_a_file_that_others_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "f", SECRET, mode)
    with pytest.raises(SecretFileError) as caught:
        read_secret(path)
    assert str(caught.value) == (
        f"{path}: mode {mode:04o}: others than its owner have access; chmod 600 {path}"
    )
    assert SECRET not in str(caught.value)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a file away")
def test_somebody_elses_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "f", SECRET, 0o600)
    os.chown(path, 4321, 4321)
    with pytest.raises(SecretFileError, match=r"belongs to user 4321; it must be user 0's or root's"):
        read_secret(path)


def test_a_link_is_followed_to_what_it_names(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(write(tmp_path / "f", SECRET, 0o644))
    with pytest.raises(SecretFileError, match="mode 0644"):
        read_secret(link)


def test_what_is_no_file_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    for path, reason in (
        (tmp_path / "fifo", "not an ordinary file"),
        (tmp_path, "Is a directory|not an ordinary file"),
        (tmp_path / "none", "No such file or directory; give the path of a readable file"),
        (write(tmp_path / "large", "x" * ((1 << 20) + 1), 0o600), "larger than 1 MiB"),
    ):
        with pytest.raises(SecretFileError, match=reason):
            read_secret(path)


def test_a_token_is_one_long_word(tmp_path: Path) -> None:
    assert read_token(write(tmp_path / "t", f"{SECRET}\n", 0o600)) == SECRET
    for wrong in ("", "short", f"{SECRET} {SECRET}", "é" * 20):
        with pytest.raises(
            SecretFileError, match="no token in it; make one of at least 16 characters"
        ) as caught:
            read_token(write(tmp_path / "t", wrong, 0o600))
        assert len(str(caught.value).splitlines()) == 1


# --- certificates and keys


def test_good_files(tmp_path: Path) -> None:
    identity = Authority(tmp_path).issue("a", [SERVER]).load()
    assert identity.not_today == ""
    assert b"PRIVATE KEY" in identity.key
    assert "PRIVATE KEY" not in repr(identity)


def test_a_certificate_that_is_not_good_today_is_told_and_not_refused(tmp_path: Path) -> None:
    authority, now = Authority(tmp_path), datetime.now(UTC)
    old = authority.issue("old", [SERVER], dates=(now - 2 * DAY, now - DAY)).load()
    assert old.not_today.startswith(f"{tmp_path}/old.pem: the certificate expired on {now - DAY:%Y-%m-%d}")
    early = authority.issue("early", [SERVER], dates=(now + DAY, now + 2 * DAY)).load()
    assert f"is good only from {now + DAY:%Y-%m-%d}" in early.not_today


def test_each_wrong_file_is_named(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    good, other = authority.issue("a", [SERVER]), authority.issue("b", [CLIENT])
    text = write(tmp_path / "text", "hello", 0o600)
    key = ec.generate_private_key(ec.SECP256R1())
    locked = write(
        tmp_path / "locked",
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode(),
        0o600,
    )
    for files, path, reason in (
        (TlsFiles(text, good.key), text, "no certificate in it; give a PEM file"),
        (TlsFiles(good.certificate, text), text, "no private key in it; give a PEM file"),
        (TlsFiles(good.certificate, locked), locked, "the key is encrypted; give one without a passphrase"),
        (TlsFiles(good.certificate, other.key), other.key, f"not the private key of {good.certificate}"),
        (TlsFiles(good.certificate, good.key, text), text, "no certificate in it"),
        (TlsFiles(tmp_path / "none", good.key), tmp_path / "none", "No such file or directory"),
    ):
        with pytest.raises(TlsFileError) as caught:
            files.load()
        assert str(caught.value).startswith(f"{path}: {reason}")
        assert caught.value.path == path
        assert len(str(caught.value).splitlines()) == 1


def test_a_private_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    files = Authority(tmp_path).issue("a", [SERVER])
    files.key.chmod(0o640)
    with pytest.raises(TlsFileError, match=r"a\.key: mode 0640: others than its owner have access"):
        files.load()


def test_issued_files_are_private_and_replaced_whole(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = authority.issue("a", [SERVER])
    before, stamp = files.load(), files.stamp()
    assert files.key.stat().st_mode & 0o777 == 0o600
    assert authority.issue("a", [SERVER]) == files
    assert files.stamp() != stamp
    assert files.load().key != before.key
    assert {path.name for path in tmp_path.iterdir()} == {"a.pem", "a.key", "ca.pem"}
