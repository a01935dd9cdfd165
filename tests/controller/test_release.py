# SPDX-License-Identifier: Apache-2.0
"""The release of what a flow holds, and what was on its way to the controller meanwhile."""

from __future__ import annotations

from controller.dataplane import BATCH, LAST, Mode
from controller.logic.model import PacketOut
from controller.packets import ACK, FIN, PSH, Segment

from .world import K, World, X, packets


def released(world: World) -> list[tuple[PacketOut, Segment]]:
    """A flow of an ACK and a segment with data, released."""
    world.proven()
    world.proven(payload=bytes(10), header={"number": 2})
    world.synack()
    world.confirm("b")
    return packets(world.confirm("a"))


def test_a_flow_is_released_by_the_number_of_its_last_packet() -> None:
    (first, _), (last, _) = released(World())
    assert (first.mode, first.release) == (Mode.ARRIVE, 2)
    assert (last.mode, last.release) == (Mode.ARRIVE, 2 | LAST)


def test_numbers_of_another_switch_release_nothing() -> None:
    world = World()
    world.proven()
    world.following("b", number=7, seq=X + 1, payload=bytes(10))
    world.synack()
    world.confirm("b")
    assert [out.release for out, _ in packets(world.confirm("a"))] == [1, 1 | LAST]


def test_what_was_on_its_way_goes_with_all_the_others() -> None:
    """The switch has sent none of them: one with a higher number had been punted."""
    world = World()
    released(world)
    again = packets(world.following(number=3, seq=X + 11, payload=bytes(5)))
    assert [(out.release, s.payload_length) for out, s in again] == [(3, 0), (3, 10), (3 | LAST, 5)]
    again = packets(world.following(number=4, seq=X + 16, flags=ACK | FIN))
    assert [(out.release, s.payload_length) for out, s in again] == [(4, 0), (4, 10), (4, 5), (4 | LAST, 0)]
    assert world.core.results["released_again"] == 2
    assert world.core.results["released"] == 1


def test_what_is_not_taken_counts_all_the_same() -> None:
    """The switch has given it a number, and would wait for that."""
    world = World()
    world.proven()
    world.following(number=2, seq=X + 1 + 100_000, payload=bytes(10))  # far beyond our window
    world.synack()
    world.confirm("b")
    assert [out.release for out, _ in packets(world.confirm("a"))] == [2 | LAST]
    again = packets(world.following(number=3, seq=X + 1 + 200_000, payload=bytes(5)))
    assert [(out.release, s.seq) for out, s in again] == [
        (3 | LAST, X + 1),
        (0, (X + 1 + 200_000) & 0xFFFFFFFF),
    ]


def test_copies_that_were_on_their_way_are_dropped() -> None:
    world = World()
    released(world)
    assert world.following(seq=X + 1, payload=bytes(10)) == []
    assert world.following(seq=X + 6, payload=bytes(5), flags=ACK | PSH) == []
    assert world.proven(payload=bytes(10), header={"number": 2}) == []
    assert world.core.results["late_copies"] == 3
    [(out, _)] = packets(world.following(seq=X + 6, payload=bytes(6)))  # a byte more than was released
    assert (out.mode, out.release) == (Mode.ARRIVE, 2)


def test_new_data_without_a_number_keeps_its_turn_all_the_same() -> None:
    """What its client has sent behind it came to the switch before it, so that it has the look of a copy.

    It passes if the switch has sent the others; if not, it goes with them when they are sent again.
    """
    world = World()
    released(world)
    [(out, _)] = packets(world.following(number=2, seq=X + 11, payload=bytes(5)))
    assert (out.mode, out.release) == (Mode.ARRIVE, 2)
    again = packets(world.following(number=3, seq=X + 16, flags=ACK | FIN))
    assert [(out.release, s.payload_length) for out, s in again] == [(3, 0), (3, 10), (3, 5), (3 | LAST, 0)]


def test_new_data_without_a_number_passes_at_another_switch() -> None:
    world = World()
    released(world)
    [(out, _)] = packets(world.following("b", number=2, seq=X + 11, payload=bytes(5)))
    assert (out.switch, out.release) == ("b", 0)


def test_a_release_is_remembered_for_a_second() -> None:
    world = World()
    released(world)
    world.sleep(1.2)
    [(out, segment)] = packets(world.following(number=3, seq=X + 11, payload=bytes(5)))
    assert (out.release, segment.payload_length) == (0, 5)


def test_what_came_within_the_release_is_released_behind_it() -> None:
    """The switch has sent what was released, and counts anew."""
    world = World()
    released(world)
    more = packets(world.following(number=BATCH + 1, seq=X + 11, payload=bytes(5)))
    assert [(out.release, s.payload_length) for out, s in more] == [(BATCH + 1 | LAST, 5)]
    more = packets(world.following(number=BATCH + 2, seq=X + 16, payload=bytes(6)))
    assert [(out.release, s.payload_length) for out, s in more] == [(BATCH + 2, 5), (BATCH + 2 | LAST, 6)]
    more = packets(world.following(number=1, seq=X + 22, payload=bytes(7)))
    assert [(out.release, s.payload_length) for out, s in more] == [(1 | LAST, 7)]
    assert world.core.results["released_more"] == 2
    assert world.core.results["released_again"] == 1


def test_what_acknowledges_the_server_s_first_words_has_its_turn() -> None:
    world = World()
    released(world)
    more = packets(world.following(number=BATCH + 1, seq=X + 11, ack=K + 100, payload=bytes(5)))
    assert [(out.release, s.payload_length) for out, s in more] == [(BATCH + 1 | LAST, 5)]


def test_copies_of_what_was_sent_are_dropped_batch_after_batch() -> None:
    world = World()
    released(world)
    world.following(number=BATCH + 1, seq=X + 11, payload=bytes(5))
    world.following(number=1, seq=X + 16, payload=bytes(5))
    for seq in (X + 1, X + 11, X + 16):
        assert world.following(number=1, seq=seq, payload=bytes(5)) == []
    assert world.core.results["late_copies"] == 3


def test_the_window_of_the_syn_ack_does_not_bound_what_comes_after_the_release() -> None:
    world = World()
    released(world)
    world.following(number=BATCH + 1, seq=X + 11, payload=bytes(5))
    far = packets(world.following(number=BATCH + 2, seq=X + 100_000, payload=bytes(5)))
    assert [(out.release, s.payload_length) for out, s in far] == [(BATCH + 2, 5), (BATCH + 2 | LAST, 5)]
