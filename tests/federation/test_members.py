# SPDX-License-Identifier: Apache-2.0
"""Leases: who is a member, who leads, who owns a session, what was missed."""

from __future__ import annotations

from typing import Any

from controller.federation.members import Members
from controller.federation.messages import Lease
from controller.logic.model import Entry, Session

LEASE = 4.0


def members(name: str = "b") -> Members:
    made = Members(name, LEASE)
    made.begin(100.0)
    return made


def lease(by: str, **fields: Any) -> Lease:
    given = {"run": f"{by}1", "state": "member", "stamp": 1, "switches": {by: "live"}, **fields}
    return Lease(by=by, **given)


def session(ingress: str | None, client: int = 5) -> Session:
    return Session((client, 2, 3, 4), Entry(0, 0, 0, 0, 0, 1, 0, 0, 1), "web", 0.0, ingress=ingress)


def test_the_own_lease_counts_from_when_the_renewal_was_sent() -> None:
    me = members()
    me.become("member")
    assert not me.is_member(100.0)
    me.renewed(100.0)
    assert me.is_member(103.9)
    assert not me.is_member(104.0)
    me.renewed(99.0)  # an answer that comes late
    assert me.is_member(103.9)


def test_others_wait_longer_than_a_member_that_is_cut_off() -> None:
    me, other = members("a"), members("b")
    other.become("member")
    other.renewed(100.0)
    me.renewed(104.0)
    me.heard(lease("b"), 100.0)
    assert not other.is_member(104.0)
    assert me.expired(104.9) == []
    assert [peer.name for peer in me.expired(105.0)] == ["b"]


def test_who_has_no_lease_expels_nobody() -> None:
    me = members("a")
    me.renewed(100.0)
    me.heard(lease("b"), 100.0)
    assert me.expired(200.0) == []


def test_the_first_by_name_leads() -> None:
    me = members()
    me.become("member")
    assert me.leader == "b"
    me.heard(lease("c"), 100.0)
    me.heard(lease("a", state="joining"), 100.0)
    assert me.leader == "b"
    me.heard(lease("a", stamp=2), 101.0)
    assert me.leader == "a"


def test_a_session_is_of_the_pop_that_opened_it_or_else_of_one_that_all_agree_on() -> None:
    views = [members("a"), members("b")]
    for me, other in zip(views, "ba", strict=True):
        me.become("member")
        me.standing(me.me, "live")
        me.heard(lease(other), 100.0)
    assert [me.owner(session("a")) for me in views] == ["a", "a"]
    for client in range(6):
        owners = {me.owner(session("c", client)) for me in views}
        assert len(owners) == 1
    assert {views[0].owner(session(None, client)) for client in range(6)} == {"a", "b"}


def test_a_change_must_be_acknowledged_by_everybody() -> None:
    me = members("a")
    me.heard(lease("b"), 100.0)
    me.heard(lease("c"), 100.0)
    assert me.unaware() == ["b", "c"]
    me.heard(lease("b", seen={"a": (me.run, me.stamp)}), 100.0)
    me.heard(lease("c", seen={"a": ("an earlier one", 9)}), 100.0)
    assert me.unaware() == ["c"]
    me.heard(lease("c", seen={"a": (me.run, me.stamp)}), 100.0)
    assert me.unaware() == []
    me.standing("a", "live")
    assert me.unaware() == ["b", "c"]


def test_news_are_what_must_be_acknowledged() -> None:
    me = members("a")
    assert me.heard(lease("b"), 100.0)
    assert not me.heard(lease("b"), 101.0)
    assert me.heard(lease("b", stamp=2), 101.0)
    assert me.heard(lease("b", run="b2"), 101.0)
    assert not me.heard(lease("a"), 101.0)  # the own one


def test_a_missing_record_is_noticed() -> None:
    me = members("a")
    me.heard(lease("b", n=7), 100.0)
    assert not me.missed("b", "b1", 8, record=True)
    assert me.missed("b", "b1", 10, record=True)
    assert not me.missed("b", "b1", 10, record=False)
    assert me.missed("b", "b1", 11, record=False)  # the lease says that there was one more
    assert not me.missed("b", "another run", 50, record=True)


def test_who_leaves_is_gone_at_once() -> None:
    me = members("a")
    me.heard(lease("b"), 100.0)
    me.heard(lease("b", run="b0", state="left"), 100.0)  # of an earlier membership
    assert me.knows("b", "b1")
    me.heard(lease("b", state="left"), 100.0)
    assert not me.knows("b", "b1")
