# SPDX-License-Identifier: Apache-2.0
"""The outbox, announced handshakes, questions, refreshing, and sessions of other members in the table."""

from __future__ import annotations

from controller.config import TimersConfig
from controller.dataplane import Phase, PuntHeader
from controller.federation.outbox import Outbox
from controller.federation.pending import Elsewhere, PendingElsewhere, Question, Questions
from controller.federation.refresher import Refresher
from controller.logic.model import Entry, Key, Session
from controller.logic.sessions import SessionTable

KEY: Key = (1, 2, 3, 4)
HEADER = PuntHeader(1, 2, 0, 0, 0, 0, 0)


def session(version: int, phase: Phase = Phase.OPEN, delta: int = 0) -> Session:
    return Session(KEY, Entry(delta, 0, 0, 0, phase, version, 0, 0, 1), "web", 0.0)


def test_what_waits_for_the_store_is_done_when_it_has_the_record() -> None:
    outbox, done = Outbox(), list[str]()
    assert not outbox.wait(KEY, 1, lambda: done.append("x"))  # it is not on its way
    first = outbox.open(KEY, 1, False)
    assert outbox.wait(KEY, 1, lambda: done.append("opened"))
    again = outbox.open(KEY, 1, False)  # published again for somebody who joined
    assert outbox.stored(first) == []
    for then in outbox.stored(again):
        then()
    assert done == ["opened"]
    assert len(outbox) == 0


def test_a_removal_takes_the_place_of_what_waited() -> None:
    outbox = Outbox()
    outbox.open(KEY, 1, False)
    assert outbox.wait(KEY, 1, lambda: None)
    removal = outbox.open(KEY, 1, True)
    assert outbox.removal(KEY) == 1
    assert not outbox.wait(KEY, 1, lambda: None)
    assert outbox.stored(removal) == []


def test_announced_handshakes_are_forgotten_in_time() -> None:
    pending = PendingElsewhere(TimersConfig(syn_retry=[1.0, 2.0], barrier=5.0))
    pending.add(KEY, Elsewhere("b", 1, 2, 0.0), 100.0)
    pending.expire(113.9)
    assert pending.get(KEY) is not None
    pending.add(KEY, Elsewhere("c", 1, 2, 0.0), 113.0)
    pending.expire(114.0)
    assert len(pending) == 1
    pending.forget_member("c")
    assert pending.get(KEY) is None
    pending.expire(200.0)


def test_a_question_is_over_when_all_have_denied_or_one_has_not() -> None:
    questions = Questions()
    first = questions.ask(Question("b", HEADER, b"x", {"a", "c"}, 1.0))
    assert questions.answered(first, "a", False) is None
    assert questions.answered(first, "a", False) is None
    question = questions.answered(first, "c", False)
    assert question is not None
    assert question.frame == b"x"
    second = questions.ask(Question("b", HEADER, b"y", {"a", "c"}, 1.0))
    assert questions.answered(second, "a", True) is None
    assert questions.answered(second, "c", False) is None
    assert questions.overdue(2.0) == []


def test_questions_end_by_time_and_with_the_last_member() -> None:
    questions = Questions()
    questions.ask(Question("b", HEADER, b"x", {"a"}, 1.0))
    questions.ask(Question("b", HEADER, b"y", {"a", "c"}, 2.0))
    assert questions.overdue(0.5) == []
    assert [question.frame for question in questions.lost("a")] == [b"x"]
    assert [question.frame for question in questions.overdue(2.0)] == [b"y"]


def test_who_is_late_has_not_denied_because_another_is_lost() -> None:
    questions = Questions()
    questions.ask(Question("b", HEADER, b"x", {"a", "c"}, 1.0))
    assert questions.lost("a") == []
    assert [question.frame for question in questions.overdue(1.0)] == [b"x"]


def test_records_are_renewed_evenly() -> None:
    refresher = Refresher(300.0)
    keys = [(n, 2, 3, 4) for n in range(10)]
    assert refresher.due(0.0, lambda: keys) == []
    assert refresher.due(100.0, lambda: keys) == []
    assert refresher.due(150.0, lambda: keys) == keys[:5]
    assert refresher.due(150.0, lambda: keys) == []
    assert refresher.due(200.0, lambda: keys) == keys[5:]


def test_the_later_version_counts_whatever_comes_last() -> None:
    table = SessionTable(TimersConfig())
    assert table.replicate(session(5), 0.0)
    assert not table.replicate(session(4, Phase.CLOSING), 0.0)
    assert table.replicate(session(6, Phase.CLOSING), 0.0)
    assert table.closing == 1
    assert not table.replicate(session(5), 0.0)


def test_of_two_with_one_version_the_same_counts_everywhere() -> None:
    one, other = session(5, delta=1), session(5, delta=2)
    tables = [SessionTable(TimersConfig()) for _ in range(2)]
    for table, order in zip(tables, ((one, other), (other, one)), strict=True):
        for each in order:
            table.replicate(each, 0.0)
    assert [found.entry.delta for table in tables if (found := table.get(KEY))] == [2, 2]


def test_a_removed_session_does_not_come_back() -> None:
    table = SessionTable(TimersConfig())
    table.replicate(session(5), 0.0)
    assert table.retire(KEY, 4, 0.0) is None  # of an earlier session of the tuple
    assert table.get(KEY) is not None
    assert table.retire(KEY, 5, 0.0) is not None
    assert not table.replicate(session(5), 0.0)
    assert table.replicate(session(6), 0.0)


def test_a_removal_that_comes_before_its_session_counts() -> None:
    table = SessionTable(TimersConfig())
    assert table.retire(KEY, 5, 0.0) is None
    assert not table.replicate(session(5), 0.0)
    assert len(table) == 0


def test_a_removal_is_remembered_as_long_as_records_of_before_may_come() -> None:
    other, third = (5, 2, 3, 4), (6, 2, 3, 4)
    for remember, known in ((0, None), (120, 1000)):
        table = SessionTable(TimersConfig())
        table.remember = remember
        table.retire(KEY, 1000, 1000.0)
        table.retire(other, 1060, 1060.0)
        assert table.removed(KEY) == known
        assert table.replicate(session(1000), 0.0) is (known is None)
        table.retire(third, 1130, 1130.0)
        assert table.removed(KEY) is None
        assert table.replicate(session(1001), 0.0)
