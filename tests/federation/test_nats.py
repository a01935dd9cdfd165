# SPDX-License-Identifier: Apache-2.0
"""The bus on a real NATS server: the store, subjects, requests, compare-and-set, ends of connections."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.federation.bus import BusError, ConflictError
from tests.federation.nats_servers import Nats, Peer, needs_nats, refused

pytestmark = needs_nats


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    made = Nats(tmp_path)
    yield made
    made.kill()


async def test_members_hear_what_is_stored_and_said(nats: Nats) -> None:
    a, b = await Peer(nats.settings("a")).open(), await Peer(nats.settings("b")).open()
    await asyncio.wait_for(a.bus.store("s.1.2.3.4", b"record"), 5)
    assert await b.next() == ("s.1.2.3.4", b"record")
    a.bus.publish("to.b.out", b"for b")
    a.bus.publish("to.c.out", b"for c")
    a.bus.publish("all.pending", b"for all")
    assert {await b.next(), await b.next()} == {("to.out", b"for b"), ("all.pending", b"for all")}
    assert a.heard.empty()
    assert await a.bus.request("to.b.ask", b"this", 5) == b"answer to this"
    with pytest.raises(BusError):
        await a.bus.request("to.c.ask", b"this", 0.3)
    await a.bus.close()
    await b.bus.close()


async def test_the_store_has_the_last_record_of_each_key(nats: Nats) -> None:
    a = await Peer(nats.settings("a")).open()
    for number in range(300):
        stored = a.bus.store(f"s.{number % 100}.2.3.4", b"%d" % number)
    await a.bus.store("m.a", b"lease")
    await asyncio.wait_for(stored, 5)
    assert [entry async for entry in a.bus.snapshot("x.")] == []
    found = dict([entry async for entry in a.bus.snapshot("s.")])
    assert len(found) == 100
    assert found["s.7.2.3.4"] == b"207"
    await a.bus.close()


async def test_entries_go_when_nobody_renews_them(nats: Nats) -> None:
    a = await Peer(nats.settings(ttl=3600)).open()
    bucket = (await a.bus._js.stream_info("KV_syncline-syncline")).config
    assert (bucket.max_age, bucket.max_msgs_per_subject) == (3600, 1)
    await a.bus.store("s.1.2.3.4", b"removed", ttl=1)  # as removals and leases are
    await a.bus.store("s.2.2.3.4", b"kept")
    assert len([key async for key, _ in a.bus.snapshot("s.")]) == 2
    for _ in range(100):
        found = [key async for key, _ in a.bus.snapshot("s.")]
        if len(found) == 1:
            break
        await asyncio.sleep(0.1)
    assert found == ["s.2.2.3.4"]
    await a.bus.close()


async def test_a_snapshot_is_whole_while_others_write(nats: Nats) -> None:
    a, b = await Peer(nats.settings("a")).open(), await Peer(nats.settings("b")).open()
    await asyncio.gather(*(a.bus.store(f"s.{n}.2.3.4", b"first") for n in range(1500)))

    async def write() -> None:
        for n in itertools.count():
            await b.bus.store(f"s.{n % 1500}.2.3.4", b"later")

    writing = asyncio.ensure_future(write())
    for _ in range(3):
        found = [key async for key, _ in a.bus.snapshot("s.")]
        assert len(set(found)) == 1500
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    await a.bus.close()
    await b.bus.close()


async def test_a_snapshot_that_breaks_off_is_no_whole_one(nats: Nats) -> None:
    a = await Peer(nats.settings()).open()
    await asyncio.gather(*(a.bus.store(f"s.{n}.2.3.4", b"kept") for n in range(1500)))
    found = a.bus.snapshot("s.")
    await anext(found)
    nats.kill()
    with pytest.raises(BusError):
        assert len([key async for key, _ in found]) < 1499
    await a.bus.close()


async def test_keys_are_replaced_by_compare_and_set(nats: Nats) -> None:
    a, b = await Peer(nats.settings("a")).open(), await Peer(nats.settings("b")).open()
    assert await a.bus.read_keys() is None
    first = await a.bus.write_keys(b"one", 0)
    assert await b.next() == ("keys", b"one")
    with pytest.raises(ConflictError):
        await b.bus.write_keys(b"other", 0)
    assert await b.bus.read_keys() == (b"one", first)
    second = await b.bus.write_keys(b"two", first)
    with pytest.raises(ConflictError):
        await a.bus.write_keys(b"three", first)
    assert await a.bus.read_keys() == (b"two", second)
    await a.bus.close()
    await b.bus.close()


async def test_a_killed_server_ends_the_connection_and_keeps_what_it_had(nats: Nats) -> None:
    a = await Peer(nats.settings("a")).open()
    await a.bus.store("s.1.2.3.4", b"kept")
    nats.kill()
    await asyncio.wait_for(a.bus.closed.wait(), 5)
    with pytest.raises(BusError):
        await a.bus.store("s.1.2.3.4", b"lost")
    nats.start()
    b = await Peer(nats.settings("a")).open()
    assert [entry async for entry in b.bus.snapshot("s.")] == [("s.1.2.3.4", b"kept")]
    await b.bus.close()


async def test_nobody_there_and_no_way_in_are_one_line_each(nats: Nats, tmp_path: Path) -> None:
    await (await Peer(nats.settings()).open()).bus.close()
    wrong = tmp_path / "token"
    wrong.touch(mode=0o600)
    wrong.write_text("wrong")
    text = await refused(nats.settings(token_file=wrong))
    assert "127.0.0.1" in text
    assert "uthorization" in text
    nats.kill()
    with pytest.raises(BusError, match="no server answers") as error:
        await Peer(nats.settings()).bus.open()
    assert "\n" not in str(error.value)


async def test_a_server_without_jetstream_is_told_as_such(nats: Nats) -> None:
    nats.kill()
    nats.configure(jetstream=None)
    nats.start()
    text = await refused(nats.settings())
    assert "no store (" in text
    assert "JetStream must run there" in text
