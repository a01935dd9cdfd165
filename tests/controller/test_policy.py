# SPDX-License-Identifier: Apache-2.0
"""Policies of services: when one on attack is guarded, what the switches hold, what its packets meet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.config import TimersConfig, load_config
from controller.config_errors import ConfigError
from controller.dataplane import Mode
from controller.logic.model import PacketOut, Service
from controller.logic.policy import AttackWatch, Stance, SynRates, drain_time
from controller.p4.static import proxy_rows, stance_held
from controller.packets import ACK, RST
from controller.policies import Policies

from .world import SPORT, K, World, X, make_config, of, packets, to_client

ON_ATTACK = {"mode": "on-attack", "attack_syn_rate": 1000, "calm_after": 10}


def service_with(**fields: Any) -> dict[str, Any]:
    return {"name": "web", "address": "203.0.113.10", "port": SPORT, **fields}


def watch(stance: Stance = Stance.PASSING, **fields: Any) -> AttackWatch:
    [service] = make_config(services=[service_with(**{**ON_ATTACK, **fields})]).services
    return AttackWatch(service, 60, stance)


def lenient_world() -> World:
    return World(services=[service_with(**ON_ATTACK)])


# --- the watch


def test_syns_pass_below_the_threshold() -> None:
    tested = watch()
    assert not tested.update(999, 0)
    assert tested.stance is Stance.PASSING


def test_an_attack_arms_first_and_guards_once_armed() -> None:
    tested = watch()
    assert tested.update(1000, 0)
    assert tested.stance == "arming"
    tested.armed()
    assert tested.stance == "proxying"


def test_between_calm_and_attack_nothing_changes() -> None:
    tested = watch(Stance.PROXYING)
    for now in range(100):
        assert not tested.update(501, now)


def test_calm_must_last() -> None:
    tested = watch(Stance.PROXYING)
    assert not tested.update(500, 0)
    assert not tested.update(501, 9)  # begins anew
    assert not tested.update(500, 10)
    assert not tested.update(0, 19)
    assert tested.update(0, 20)
    assert tested.stance is Stance.DRAINING


def test_not_to_know_is_not_calm() -> None:
    tested = watch(Stance.PROXYING)
    tested.update(0, 0)
    tested.update(None, 9)
    assert not tested.update(0, 11)
    assert tested.stance is Stance.PROXYING


def test_a_calm_rate_of_its_own() -> None:
    tested = watch(Stance.PROXYING, calm_syn_rate=10)
    tested.update(11, 0)
    assert not tested.update(11, 60)
    tested.update(10, 61)
    assert tested.update(10, 71)


def test_cookies_count_until_drained() -> None:
    tested = watch(Stance.DRAINING)
    tested.update(0, 100)
    assert not tested.update(0, 159)
    assert tested.update(0, 160)
    assert tested.stance is Stance.PASSING


def test_an_attack_while_draining_guards_again() -> None:
    tested = watch(Stance.DRAINING)
    assert tested.update(1000, 1)
    assert tested.stance is Stance.ARMING


ATTACK, CALM, CALM_AFTER, DRAIN = 1000, 500, 10, 60
RATES = st.one_of(st.none(), st.sampled_from((0.0, 499.0, 500.0, 501.0, 999.0, 1000.0, 1e6)))
ROUNDS = st.lists(st.tuples(st.integers(1, 30), RATES, st.booleans()), max_size=60)


@given(start=st.sampled_from((Stance.PASSING, Stance.DRAINING, Stance.PROXYING)), rounds=ROUNDS)
def test_whatever_the_rates_every_change_has_its_reason(
    start: Stance, rounds: list[tuple[int, float | None, bool]]
) -> None:
    """Against a plain telling of the rules: seconds between readings, rates, and whether arming succeeds."""
    tested, now = watch(start), 0
    calm_since = draining_since = None
    for seconds, rate, arms in rounds:
        now += seconds
        before = tested.stance
        changed = tested.update(rate, now)
        after = tested.stance
        assert changed == (after is not before)
        attacked = rate is not None and rate >= ATTACK
        if before is Stance.PROXYING:
            calm = rate is not None and rate <= CALM
            calm_since = (now if calm_since is None else calm_since) if calm else None
            ends = calm_since is not None and now - calm_since >= CALM_AFTER
            assert after is (Stance.DRAINING if ends else Stance.PROXYING)
            draining_since = now
        elif attacked:
            assert after is Stance.ARMING
        elif before is Stance.DRAINING:
            draining_since = now if draining_since is None else draining_since
            over = now - draining_since >= DRAIN
            assert after is (Stance.PASSING if over else Stance.DRAINING)
        else:
            assert after is before
        if arms:
            tested.armed()
            assert tested.stance is (Stance.PROXYING if after is Stance.ARMING else after)
        if tested.stance is not Stance.PROXYING or before is not Stance.PROXYING:
            calm_since = None


@given(rounds=st.lists(st.tuples(st.integers(1, 5), st.floats(501, 999)), max_size=50))
@pytest.mark.parametrize("stance", [Stance.PASSING, Stance.PROXYING])
def test_no_rate_between_calm_and_attack_changes_anything(
    stance: Stance, rounds: list[tuple[int, float]]
) -> None:
    tested, now = watch(stance), 0
    for seconds, rate in rounds:
        now += seconds
        assert not tested.update(rate, now)


@given(
    steps=st.lists(
        st.dictionaries(st.sampled_from("abc"), st.integers(0, 1000), max_size=3), min_size=2, max_size=20
    )
)
def test_rates_add_up_to_the_syns_that_came(steps: list[dict[str, int]]) -> None:
    """Counters that only grow, of switches that are read now and then: no SYN is lost or counted twice."""
    rates, held, counted, expected = SynRates(), dict.fromkeys("abc", 0), 0.0, 0.0
    last: dict[str, tuple[int, int]] = {}
    for now, grown in enumerate(steps):
        readings = {}
        for switch, more in grown.items():
            held[switch] += more
            readings[switch] = {0: held[switch]}
        found = rates.rates(readings, now)
        known = [switch for switch in readings if switch in last]
        assert (found is None) == (not known)
        for switch in known:
            counted += (held[switch] - last[switch][1]) / (now - last[switch][0])
        if found is not None:
            assert found[0] >= 0
            expected += found[0]
        last.update({switch: (now, held[switch]) for switch in readings})
    assert counted == pytest.approx(expected)


def test_draining_outlives_every_cookie_and_its_handshake() -> None:
    assert drain_time(TimersConfig(epoch=60, syn_retry=[1, 2], barrier=5)) == 128


# --- rates


def test_rates_are_summed_over_switches_and_need_two_readings() -> None:
    rates = SynRates()
    assert rates.rates({"a": {0: 1000}, "b": {0: 50}}, 10) is None
    assert rates.rates({"a": {0: 1400, 3: 10}, "b": {0: 150}}, 12) == {0: 250, 3: 5}


def test_a_restarted_switch_counts_from_zero_and_an_absent_one_not_at_all() -> None:
    rates = SynRates()
    rates.rates({"a": {0: 1000}, "b": {0: 50}}, 10)
    assert rates.rates({"a": {0: 30}}, 11) == {0: 30}
    assert rates.rates({}, 12) is None
    assert rates.rates({"b": {0: 150}}, 20) == {0: 10}


# --- what the switches hold


@pytest.mark.parametrize(
    ("stance", "expected"),
    [
        (Stance.PROXYING, (0, 1)),
        (Stance.PASSING, (1, 1)),
        (Stance.ARMING, (2, 1)),
        (Stance.DRAINING, (2, 1)),
    ],
)
def test_a_stance_is_written_with_leniency_in_both_directions(
    stance: Stance, expected: tuple[int, int]
) -> None:
    [service] = lenient_world().core.services.values()
    rows = {row.action: row for row in proxy_rows([(service, stance)])}
    assert rows["protect"].params[-2:] == expected
    assert rows["served"].params[-2:] == expected


def test_an_always_guarded_service_is_strict() -> None:
    [service] = World().core.services.values()
    assert proxy_rows([(service, Stance.PROXYING)])[0].params[-2:] == (0, 0)


def policies_of(*services: Service) -> Policies:
    return Policies(make_config(), services, {}, lambda: 0.0)


def test_a_bypassed_service_is_known_only_while_it_has_sessions() -> None:
    [service] = World(services=[service_with(mode="bypass")]).core.services.values()
    policies = policies_of(service)
    assert policies.rows() == []
    service.sessions = 1
    assert policies.stance(service) is Stance.PASSING
    assert len(policies.rows()) == 4


@pytest.mark.parametrize(
    ("held", "adopted"),
    [
        (Stance.PROXYING, Stance.PROXYING),
        (Stance.ARMING, Stance.DRAINING),
        (Stance.DRAINING, Stance.DRAINING),
        (Stance.PASSING, Stance.PASSING),
    ],
)
def test_a_new_controller_goes_on_from_the_switches(held: Stance, adopted: Stance) -> None:
    [service] = lenient_world().core.services.values()
    rows = proxy_rows([(service, held)])
    assert stance_held(rows, service) is adopted
    policies = policies_of(service)
    policies.adopt(rows)
    policies.adopt([])  # a switch that knows nothing changes nothing
    assert policies.stance(service) is adopted


# --- what packets meet


def test_a_synack_to_a_syn_that_passed_goes_on_to_the_client() -> None:
    world = lenient_world()
    frame = world.server_frame()
    [out] = of(PacketOut, world.synack("b"))
    assert (out.switch, out.mode, out.frame) == ("b", Mode.ROUTE, frame)


def test_a_refusal_reaches_who_waits_for_it() -> None:
    world = lenient_world()
    [out] = of(PacketOut, world.server_reset())  # of a SYN that passed
    assert (out.switch, out.mode) == ("b", Mode.ROUTE)
    world.proven()
    [reset] = to_client(world.server_reset())
    assert (reset.seq, reset.flags) == (K + 1, RST | ACK)


def test_a_segment_that_only_looks_like_a_cookie_goes_on_to_the_server() -> None:
    world = lenient_world()
    world.proven(payload=b"data")
    effects = [effect for _ in range(5) for effect in world.sleep(4)]
    assert to_client(effects) == []
    out, segment = packets(effects)[-1]
    assert (out.mode, segment.flags, segment.seq) == (Mode.ROUTE, ACK, X + 1 & 0xFFFFFFFF)
    [after] = of(PacketOut, world.following(seq=X + 5))
    assert after.mode is Mode.ROUTE


# --- configuration


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ("mode: on-attack", "mode on-attack needs attack_syn_rate"),
        ("mode: bypass, attack_syn_rate: 5", "attack_syn_rate is of no use with mode bypass"),
        ("calm_syn_rate: 5", "calm_syn_rate is of no use with mode always"),
        ("mode: on-attack, attack_syn_rate: 5, calm_syn_rate: 5", "calm_syn_rate 5 is not below"),
        ("mode: sometimes", "services[0].mode: 'sometimes'"),
        ("mode: on-attack, attack_syn_rate: 5, calm_after: 0", "services[0].calm_after"),
    ],
)
def test_policies_are_checked(tmp_path: Path, fields: str, text: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "program: {p4: c.yaml}\n"
        "switches: [{name: a, address: 'unix:a', ports: [{port: 1, mac: '02:00:00:00:00:01'}]}]\n"
        f"services: [{{name: web, address: 203.0.113.10, port: 80, {fields}}}]\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    [line] = str(caught.value).splitlines()
    assert "services[0]" in line
    assert text in line
