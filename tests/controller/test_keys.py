# SPDX-License-Identifier: Apache-2.0
"""Cookie keys: two-phase rotation, take-over, switches that hold it back; and that no key is ever shown."""

from __future__ import annotations

from itertools import count

import pytest

from controller.logic.keys import CookieKey, Expel, InstallKey, KeyRing, KeySet, UseEpoch

EPOCH = 60.0


def ring(found: list[KeySet] | None = None) -> KeyRing:
    numbers = count(100)
    keys = KeyRing(EPOCH, lambda: (next(numbers), next(numbers)))
    keys.begin(0.0, found or [])
    return keys


def test_a_fresh_ring_uses_its_key_and_has_another_that_no_cookie_was_made_with() -> None:
    held = ring().held()
    assert held.parity == 1
    assert held.keys == {1: CookieKey(100, 101, 1), 0: CookieKey(102, 103, 0)}


def test_nothing_happens_before_the_epoch_is_over() -> None:
    assert ring().tick(59.9, ["a", "b"], absent=False) == []


def test_the_next_key_is_used_only_when_every_switch_has_it() -> None:
    keys = ring()
    [install] = keys.tick(60.0, ["a", "b"], absent=False)
    assert install == InstallKey(("a", "b"), CookieKey(104, 105, 2))
    assert keys.held().parity == 1
    assert keys.confirmed("a", 60.1, ["a", "b"]) == []
    assert keys.epoch == 1
    [use] = keys.confirmed("b", 60.2, ["a", "b"])
    assert use == UseEpoch(("a", "b"), 0)
    assert keys.epoch == 2
    assert keys.confirmed("a", 60.3, ["a", "b"]) == keys.confirmed("b", 60.3, ["a", "b"]) == []
    assert keys.held() == KeySet({0: CookieKey(104, 105, 2), 1: CookieKey(100, 101, 1)}, 0)


def test_an_epoch_is_reckoned_from_when_the_slowest_switch_uses_its_key() -> None:
    """It made cookies with the last key until then, and they live for an epoch."""
    keys = ring()
    keys.tick(60.0, ["a", "b"], absent=False)
    keys.confirmed("a", 60.0, ["a", "b"])
    assert keys.confirmed("b", 61.0, ["a", "b"])
    keys.confirmed("a", 61.0, ["a", "b"])
    assert keys.rotating
    keys.confirmed("b", 115.0, ["a", "b"])
    assert not keys.rotating
    assert keys.tick(174.9, ["a", "b"], absent=False) == []
    assert keys.tick(175.0, ["a", "b"], absent=False)


def test_the_oldest_key_makes_room() -> None:
    keys = ring()
    for start in (60.0, 121.0):
        [install] = keys.tick(start, ["a"], absent=False)
        assert isinstance(install, InstallKey)
        keys.confirmed("a", start, ["a"])
        keys.confirmed("a", start, ["a"])
    assert {key.epoch for key in keys.held().keys.values()} == {2, 3}
    assert keys.held().parity == 1


def test_a_switch_that_dies_meanwhile_does_not_hold_it() -> None:
    keys = ring()
    keys.tick(60.0, ["a", "b"], absent=False)
    keys.confirmed("a", 60.1, ["a", "b"])
    assert keys.confirmed("b", 60.2, ["a"]) == [UseEpoch(("a",), 0)]


def test_an_unreachable_switch_holds_rotation_for_one_epoch_at_most() -> None:
    keys = ring()
    assert keys.tick(60.0, ["a"], absent=True) == []
    assert keys.tick(119.9, ["a"], absent=True) == []
    assert len(keys.tick(120.0, ["a"], absent=True)) == 1


def test_a_switch_that_does_not_confirm_is_expelled_after_an_epoch() -> None:
    keys = ring()
    keys.tick(60.0, ["a", "b"], absent=False)
    keys.confirmed("a", 60.1, ["a", "b"])
    assert keys.tick(119.0, ["a", "b"], absent=False) == []
    assert keys.tick(120.0, ["a", "b"], absent=False) == [Expel(("b",)), UseEpoch(("a",), 0)]


def test_without_any_switch_there_is_no_rotation() -> None:
    assert ring().tick(1000.0, [], absent=False) == []


def test_what_switches_must_hold_has_a_generation() -> None:
    keys = ring()
    seen = [keys.generation]
    keys.tick(60.0, ["a"], absent=False)
    seen.append(keys.generation)
    keys.confirmed("a", 60.1, ["a"])
    seen.append(keys.generation)
    assert len(set(seen)) == 3


# --- take-over


def test_a_take_over_keeps_the_newest_epoch_in_use_and_both_keys() -> None:
    old, current = CookieKey(1, 2, 6), CookieKey(3, 4, 7)
    held = [KeySet({0: old, 1: current}, 1), KeySet({0: old}, 0)]
    keys = ring(held)
    assert keys.epoch == 7
    assert keys.held() == KeySet({0: old, 1: current}, 1)


def test_a_take_over_in_the_middle_of_a_rotation_keeps_the_current_key() -> None:
    current, following = CookieKey(3, 4, 7), CookieKey(5, 6, 8)
    keys = ring([KeySet({0: following, 1: current}, 1), KeySet({0: CookieKey(1, 2, 6), 1: current}, 1)])
    assert keys.epoch == 7
    assert keys.held().keys == {0: following, 1: current}


def test_a_key_of_a_distant_epoch_is_not_kept() -> None:
    keys = ring([KeySet({1: CookieKey(3, 4, 7), 0: CookieKey(1, 2, 2)}, 1)])
    assert keys.held().keys == {1: CookieKey(3, 4, 7), 0: CookieKey(100, 101, 6)}


def test_switches_without_an_epoch_get_a_fresh_one() -> None:
    assert ring([KeySet({}, None), KeySet({1: CookieKey(1, 1, 9)}, None)]).epoch == 1


def test_epochs_wrap() -> None:
    keys = ring([KeySet({1: CookieKey(1, 2, 0xFFFFFFFF)}, 1)])
    [install] = keys.tick(60.0, ["a"], absent=False)
    assert isinstance(install, InstallKey)
    assert install.key.epoch == 0


def test_a_ring_begins_once() -> None:
    keys = ring()
    with pytest.raises(RuntimeError):
        keys.begin(0.0, [])


def test_no_repr_shows_a_key() -> None:
    key = CookieKey(0xDEADBEEF, 0xCAFEF00D, 3)
    for thing in (key, KeySet({1: key}, 1), InstallKey(("a",), key)):
        for secret in ("deadbeef", "cafef00d", str(0xDEADBEEF), str(0xCAFEF00D)):
            assert secret not in repr(thing).lower()
