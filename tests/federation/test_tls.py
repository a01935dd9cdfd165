# SPDX-License-Identifier: Apache-2.0
"""NATS over mutual TLS, on a real server: right and wrong certificates, exchanged ones, one line for each."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from controller.config import TlsConfig
from controller.federation.bus import BusError, NatsBus
from controller.lab.certificates import CLIENT, SERVER, Authority
from softswitch.tlsfiles import TlsFiles
from tests.controller.rig import until
from tests.federation.federation import Federation, Member
from tests.federation.nats_servers import Nats, Peer, needs_nats, refused

pytestmark = needs_nats

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
YESTERDAY = (NOW - 2 * DAY, NOW - DAY)
HOST = ["127.0.0.1"]


@pytest.fixture
def nats(tmp_path: Path, authority: Authority) -> Iterator[Nats]:
    made = Nats(tmp_path, tls=authority.issue("nats", [SERVER], names=HOST))
    yield made
    made.kill()


def tls(files: TlsFiles, ca: Path | None = None) -> TlsConfig:
    return TlsConfig(ca=ca or files.ca or Path(), certificate=files.certificate, key=files.key)


async def test_both_ends_show_certificates(nats: Nats, authority: Authority) -> None:
    a = await Peer(nats.settings("a", tls=tls(authority.issue("a", [CLIENT])))).open()
    b = await Peer(nats.settings("b", tls=tls(authority.issue("b", [CLIENT])))).open()
    a.bus.publish("all.pending", b"over TLS")
    assert await b.next() == ("all.pending", b"over TLS")
    await a.bus.close()
    await b.bus.close()


async def test_a_member_that_is_not_to_get_in_is_told_why(
    nats: Nats, authority: Authority, stranger: Authority
) -> None:
    without = [url.replace("tls:", "nats:") for url in nats.urls]
    assert "it wants TLS; give federation.tls" in await refused(nats.settings(urls=without))
    unknown = stranger.issue("a", [CLIENT])
    for files in (tls(unknown, authority.file), tls(authority.issue("server", [SERVER]))):
        assert f"most likely it refuses {files.certificate}" in await refused(nats.settings(tls=files))
    expired = authority.issue("old", [CLIENT], dates=YESTERDAY)
    text = await refused(nats.settings(tls=tls(expired)))
    assert text.startswith(f"federation.tls: {expired.certificate}: the certificate expired on")
    good = authority.issue("a", [CLIENT])
    good.key.chmod(0o644)
    text = await refused(nats.settings(tls=tls(good)))
    assert text.startswith(f"federation.tls: {good.key}")
    assert "chmod 600" in text


async def test_a_server_that_cannot_show_who_it_is_gets_nothing(
    nats: Nats, authority: Authority, stranger: Authority
) -> None:
    good = authority.issue("a", [CLIENT])
    text = await refused(nats.settings(tls=tls(good, stranger.file)))
    assert "its certificate is refused: " in text
    assert f"{stranger.file} must have signed it" in text
    for issued, words in (
        ({"dates": YESTERDAY, "names": HOST}, "certificate has expired"),
        ({"names": ["192.0.2.1"]}, "not valid for '127.0.0.1'"),
    ):
        authority.issue("nats", [SERVER], **issued)
        nats.kill()
        nats.start()
        assert words in await refused(nats.settings(tls=tls(good)))


def _without_tls(told: list[bytes]) -> socket.socket:
    """A server that pretends to be a NATS server without TLS, and notes what it is told."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b'INFO {"server_id":"x","version":"2.11.0","max_payload":1048576}\r\n')
            while data := connection.recv(4096):
                told.append(data)
                connection.sendall(b"PONG\r\n")

    threading.Thread(target=serve, daemon=True).start()
    return server


@pytest.mark.parametrize("scheme", ["tls", "nats"])
async def test_nothing_is_told_to_who_says_that_there_is_no_tls(
    nats: Nats, authority: Authority, scheme: str
) -> None:
    told: list[bytes] = []
    with _without_tls(told) as server:
        url = f"{scheme}://127.0.0.1:{server.getsockname()[1]}"
        settings = nats.settings(tls=tls(authority.issue("a", [CLIENT])), urls=[url])
        with pytest.raises(BusError, match="it wants no TLS"):
            await NatsBus(settings, lambda *_: None).open()
    assert told == []


async def test_new_files_count_from_the_next_connection_on(
    nats: Nats, authority: Authority, tmp_path: Path
) -> None:
    """Everything is exchanged, the CA too, in the same files; nobody is restarted."""
    settings = nats.settings(tls=tls(authority.issue("a", [CLIENT])))
    a = await Peer(settings).open()
    await a.bus.store("s.1.2.3.4", b"before")
    fresh = Authority(tmp_path / "tls", "a new CA")
    fresh.issue("nats", [SERVER], names=HOST)
    fresh.issue("a", [CLIENT])
    nats.reload()
    again = await Peer(settings).open()
    assert [entry async for entry in again.bus.snapshot("s.")] == [("s.1.2.3.4", b"before")]
    await a.bus.store("s.1.2.3.4", b"after")  # the connection of before goes on
    await a.bus.close()
    await again.bus.close()


def _says(hub: Member, words: str) -> bool:
    return words in hub.membership.reason


async def test_a_controller_with_a_bad_certificate_goes_on_and_gets_in_with_a_good_one(
    nats: Nats, authority: Authority, tmp_path: Path, caplog: Any
) -> None:
    """No restart: the file is exchanged. Meanwhile its switch keeps what it holds."""
    files = tls(authority.issue("a", [CLIENT]))
    async with Federation(tmp_path, partial(nats.settings, tls=files)) as federation:
        await federation.start("a")
        await federation.ready()
        await federation.open_session("a", "a")
        for dates, words in ((YESTERDAY, "the certificate expired on"), (None, "most likely it refuses")):
            caplog.clear()
            other = authority if dates else Authority(tmp_path / "tls", "another CA", file=None)
            other.issue("a", [CLIENT], dates=dates)
            nats.kill()
            nats.start()  # connections end, and certificates are looked at again
            await until(partial(_says, federation.hubs["a"], words))
            texts = [r.getMessage() for r in caplog.records if r.name.startswith("controller.federation")]
            warnings = [text for text in texts if text.startswith("federation: not a member")]
            assert sum(words in text for text in warnings) == 1
            assert len(warnings) <= 2  # before it: that the connection is broken
            assert not [text for text in texts if "\n" in text]
            assert federation.held("a") == 1
            authority.issue("a", [CLIENT])
            await federation.ready()
            assert federation.held("a") == 1
