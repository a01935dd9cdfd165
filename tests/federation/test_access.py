# SPDX-License-Identifier: Apache-2.0
"""Ways into NATS, each on a real server; secrets come from files of mode 0600 only."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import nkeys  # type: ignore[import-untyped]
import pytest
from cryptography.fernet import Fernet

from controller.config import FederationConfig
from controller.federation.access import AccessError, read_shared_secret
from tests.federation.nats_servers import Nats, Peer, needs_nats, refused

PASSWORD = "correct horse"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "secrets"
    made.mkdir()
    return made


def secret_file(path: Path, content: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(content)
    return path


def _config(secret: Path, **given: Any) -> FederationConfig:
    return FederationConfig(member="a", urls=["nats://127.0.0.1:1"], secret=secret, **given)


async def _only_with_mode_0600(nats: Nats, key: str, path: Path, **given: Any) -> None:
    settings = nats.settings("a", **{key: path}, **given)
    await (await Peer(settings).open()).bus.close()
    path.chmod(0o640)
    text = await refused(settings)
    assert text.startswith(f"federation.{key}: {path}")
    assert "chmod 600" in text
    path.chmod(0o600)
    path.rename(path.with_suffix(".away"))
    assert (await refused(settings)).startswith(f"federation.{key}: {path}")
    path.with_suffix(".away").rename(path)
    await (await Peer(settings).open()).bus.close()


@needs_nats
async def test_a_token(tmp_path: Path, folder: Path) -> None:
    nats = Nats(tmp_path, authorization={"token": PASSWORD})
    try:
        await _only_with_mode_0600(nats, "token_file", secret_file(folder / "token", PASSWORD + "\n"))
        wrong = secret_file(folder / "wrong", "wrong")
        text = await refused(nats.settings(token_file=wrong))
        assert "does not let this member in" in text
        assert "wrong" not in text
    finally:
        nats.kill()


@needs_nats
async def test_a_user_with_a_password(tmp_path: Path, folder: Path) -> None:
    nats = Nats(tmp_path, authorization={"users": [{"user": "fra1", "password": PASSWORD}]})
    try:
        file = secret_file(folder / "password", PASSWORD)
        await _only_with_mode_0600(nats, "password_file", file, user="fra1")
        text = await refused(nats.settings(user="ams1", password_file=file))
        assert "does not let this member in" in text
        assert PASSWORD not in text
    finally:
        nats.kill()


@needs_nats
async def test_credentials(tmp_path: Path, folder: Path) -> None:
    """A JWT of a user, signed by an account, signed by an operator, as NATS's own tools make them."""
    operator, user = Key(nkeys.PREFIX_BYTE_OPERATOR), Key(nkeys.PREFIX_BYTE_USER)
    account, system = Key(nkeys.PREFIX_BYTE_ACCOUNT), Key(nkeys.PREFIX_BYTE_ACCOUNT)
    limits = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1, "conn": -1, "subs": -1}
    limits |= {"data": -1, "payload": -1, "imports": -1, "exports": -1, "leaf": -1}
    nats = Nats(
        tmp_path,
        authorization=None,
        operator=operator.jwt("operator", operator, {"type": "operator", "version": 2}),
        resolver="MEMORY",
        system_account=system.public,
        resolver_preload={
            key.public: key.jwt(name, operator, {"type": "account", "version": 2, "limits": given})
            for name, key, given in (("account", account, limits), ("system", system, {}))
        },
    )
    try:
        token = user.jwt(
            "user", account, {"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1}
        )
        file = secret_file(folder / "a.creds", _credentials(token, user.seed))
        await _only_with_mode_0600(nats, "credentials", file)
        stranger = Key(nkeys.PREFIX_BYTE_ACCOUNT)
        foreign = user.jwt("user", stranger, {"type": "user", "version": 2})
        file.write_text(_credentials(foreign, user.seed))
        assert "does not let this member in" in await refused(nats.settings(credentials=file))
        file.write_text("nothing of the kind")
        text = await refused(nats.settings(credentials=file))
        assert text.startswith(f"federation.credentials: {file}: no user's JWT and seed in it")
    finally:
        nats.kill()


class Key:
    """A key pair of NATS."""

    def __init__(self, kind: int) -> None:
        raw = nkeys.encode_seed(Fernet.generate_key()[:32], kind)
        self.seed = bytes(raw).decode()
        self._pair = nkeys.from_seed(bytearray(raw))
        self.public = self._pair.public_key.decode()

    def jwt(self, name: str, issuer: Key, claims: dict[str, Any]) -> str:
        """A token about this key, signed by another."""
        header = {"typ": "JWT", "alg": "ed25519-nkey"}
        body = {"iat": int(time.time()), "iss": issuer.public, "jti": name, "name": name, "sub": self.public}
        text = ".".join(_encoded(json.dumps(part).encode()) for part in (header, body | {"nats": claims}))
        return f"{text}.{_encoded(issuer._pair.sign(text.encode()))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _credentials(token: str, seed: str) -> str:
    return (
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )


def test_the_members_secret(folder: Path) -> None:
    file = secret_file(folder / "secret", Fernet.generate_key().decode() + "\n")
    assert Fernet(read_shared_secret(_config(file)))
    file.chmod(0o644)
    with pytest.raises(AccessError, match=r"federation\.secret: .*chmod 600"):
        read_shared_secret(_config(file))
    with pytest.raises(AccessError, match=r"federation\.secret: .*openssl rand"):
        read_shared_secret(_config(secret_file(folder / "short", "secret")))
