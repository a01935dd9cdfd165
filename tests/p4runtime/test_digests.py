# SPDX-License-Identifier: Apache-2.0
"""Digest lists: when they go out, what they leave out (specification, "DigestEntry"). Times in ns."""

from __future__ import annotations

import pytest
from finsy.proto import p4r, rpc_code

from softswitch.p4runtime.digests import Digests
from softswitch.p4runtime.errors import P4RuntimeError
from softswitch.p4runtime.schema import Schema

from . import fakes

CODECS = Schema(fakes.p4info(), fakes.p4info()).digests
LEARN = CODECS[fakes.LEARN]


def message(number: int) -> bytes:
    return number.to_bytes(6, "big") + b"\0\1"


def numbers(digest_list: p4r.DigestList) -> list[int]:
    return [int.from_bytes(data.struct.members[0].bitstring, "big") for data in digest_list.data]


def enabled(**config: int) -> Digests:
    digests = Digests(CODECS)
    digests.insert(LEARN, p4r.DigestEntry.Config(**config))
    return digests


def feed(digests: Digests, *messages: int, now: int = 0) -> list[list[int]]:
    """The lists that go out while messages come in."""
    ready = [digests.learn(LEARN.id, message(number), now) for number in messages]
    return [numbers(item) for item in ready if item is not None]


def test_a_list_goes_out_when_it_is_full_of_distinct_messages() -> None:
    assert feed(enabled(max_list_size=2, max_timeout_ns=100), 1, 1, 1, 2, 3) == [[1, 2]]


def test_or_when_its_oldest_message_has_waited_long_enough() -> None:
    digests = enabled(max_list_size=10, max_timeout_ns=100)
    assert digests.next_deadline() is None
    feed(digests, 1, now=1000)
    feed(digests, 2, now=1050)
    assert digests.next_deadline() == 1100
    assert digests.due(1099) == []
    assert [numbers(item) for item in digests.due(1100)] == [[1, 2]]
    assert digests.next_deadline() is None


@pytest.mark.parametrize("config", [{"max_timeout_ns": 0}, {"max_timeout_ns": 100, "max_list_size": 1}])
def test_or_at_once_when_there_is_nothing_to_wait_for(config: dict[str, int]) -> None:
    assert feed(enabled(**config), 1, 2) == [[1], [2]]


def test_no_repeats_until_acknowledged() -> None:
    digests = enabled(ack_timeout_ns=1000)
    first = digests.learn(LEARN.id, message(1), 0)
    assert first is not None
    assert feed(digests, 1, 2, 1) == [[2]]
    digests.acknowledge(p4r.DigestListAck(digest_id=LEARN.id, list_id=first.list_id))
    assert feed(digests, 1, 2) == [[1]]


def test_or_until_the_acknowledgement_is_overdue() -> None:
    digests = enabled(ack_timeout_ns=1000)
    assert feed(digests, 1, now=0) == [[1]]
    assert feed(digests, 1, now=999) == []
    assert feed(digests, 1, now=1000) == [[1]]


def test_without_an_acknowledgement_timeout_everything_repeats() -> None:
    assert feed(enabled(), 1, 1) == [[1], [1]]


def test_unlimited_lists_are_bounded_all_the_same() -> None:
    digests = enabled(max_timeout_ns=10**9)
    assert [len(item) for item in feed(digests, *range(5000))] == [4096]


def test_unacknowledged_messages_are_bounded() -> None:
    digests = enabled(ack_timeout_ns=10**18, max_list_size=4096, max_timeout_ns=1)
    feed(digests, *range(17 * 4096))
    assert feed(digests, 16 * 4096) == []  # of the last list: still remembered
    digests.learn(LEARN.id, message(0), 5)  # of the first list: forgotten
    assert [numbers(item) for item in digests.due(6)] == [[0]]


def test_messages_of_a_digest_that_is_not_enabled_are_dropped() -> None:
    digests = Digests(CODECS)
    assert digests.learn(LEARN.id, message(1), 0) is None


def test_enabling_changing_disabling() -> None:
    digests = Digests(CODECS)
    config = p4r.DigestEntry.Config(max_list_size=3, max_timeout_ns=4)
    with pytest.raises(P4RuntimeError) as error:
        digests.modify(LEARN, config)
    assert error.value.code == rpc_code.NOT_FOUND
    with pytest.raises(P4RuntimeError) as error:
        digests.delete(LEARN)
    assert error.value.code == rpc_code.NOT_FOUND
    digests.insert(LEARN, config)
    with pytest.raises(P4RuntimeError) as error:
        digests.insert(LEARN, config)
    assert error.value.code == rpc_code.ALREADY_EXISTS
    assert digests.read(0) == digests.read(LEARN.id) == [p4r.DigestEntry(digest_id=LEARN.id, config=config)]
    digests.modify(LEARN, p4r.DigestEntry.Config(max_list_size=1))
    assert feed(digests, 1) == [[1]]
    digests.delete(LEARN)
    assert digests.read(0) == []


@pytest.mark.parametrize("name", ["max_timeout_ns", "max_list_size", "ack_timeout_ns"])
def test_negative_settings(name: str) -> None:
    with pytest.raises(P4RuntimeError, match=name) as error:
        Digests(CODECS).insert(LEARN, p4r.DigestEntry.Config(**{name: -1}))
    assert error.value.code == rpc_code.INVALID_ARGUMENT
