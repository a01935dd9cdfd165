# SPDX-License-Identifier: Apache-2.0
"""Another configuration for a member that goes on: its way into NATS counts for the next connection."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.config import ControllerConfig, FederationConfig
from controller.reload import merged
from tests.controller.rig import until
from tests.federation.federation import Federation
from tests.federation.nats_servers import Nats, needs_nats


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    made = Nats(tmp_path)
    yield made
    made.kill()


def config(folder: Path, **given: Any) -> ControllerConfig:
    fields = {"member": "a", "urls": ["nats://one:4222"], "secret": folder / "secret", **given}
    plain = Federation(folder).config("a")
    return plain.model_copy(update={"federation": FederationConfig(**fields)})


def test_the_way_in_is_followed_and_the_rest_waits(tmp_path: Path) -> None:
    before = config(tmp_path)
    after = config(tmp_path, urls=["nats://two:4222"], token_file=tmp_path / "token", lease=5)
    merged_config, found = merged(before, after)
    assert str(found) == (
        "federation.urls, for the next connection to NATS; federation.token_file, for the next connection to "
        "NATS; changed, but in effect only after a restart: federation.lease"
    )
    settings = merged_config.federation
    assert settings is not None
    assert settings.urls == ["nats://two:4222"]
    assert settings.lease == 3


def test_to_leave_a_federation_takes_a_restart(tmp_path: Path) -> None:
    before = config(tmp_path)
    kept, found = merged(before, before.model_copy(update={"federation": None}))
    assert found.restart == ["federation"]
    assert kept.federation == before.federation


@needs_nats
async def test_a_member_goes_over_to_another_token(nats: Nats, tmp_path: Path) -> None:
    """The servers come back with another token: a reload, and the member is in again; no session is hurt."""
    async with Federation(tmp_path, nats.settings) as federation:
        await federation.start("a")
        await federation.ready()
        await federation.open_session("a", "a")
        hub, fresh = federation.hubs["a"], tmp_path / "fresh"
        fresh.touch(mode=0o600)
        fresh.write_text("another")
        nats.kill()
        nats.configure(authorization={"token": "another"})
        nats.start()
        await until(lambda: "does not let this member in" in hub.membership.reason)
        settings = nats.settings("a", token_file=fresh)
        hub.configure(hub.config.model_copy(update={"federation": settings}))
        await federation.ready()
        assert federation.held("a") == 1
