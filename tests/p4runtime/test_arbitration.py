# SPDX-License-Identifier: Apache-2.0
"""Client arbitration, rule by rule (P4Runtime specification, "Client Arbitration and Controller
Replication")."""

from __future__ import annotations

import pytest
from finsy.proto import p4r, rpc_code
from google.protobuf.any_pb2 import Any as ProtoAny

from softswitch.p4runtime.arbitration import Arbitration, Notice
from softswitch.p4runtime.errors import P4RuntimeError

OK, BACKUP, NOBODY = rpc_code.OK, rpc_code.ALREADY_EXISTS, rpc_code.NOT_FOUND


def bid(
    election_id: int | None, *, role: str | None = None, device_id: int = 1, config: ProtoAny | None = None
) -> p4r.MasterArbitrationUpdate:
    update = p4r.MasterArbitrationUpdate(device_id=device_id)
    if election_id is not None:
        update.election_id.high = election_id >> 64
        update.election_id.low = election_id & (1 << 64) - 1
        update.election_id.SetInParent()
    if role is not None:
        update.role.name = role
        if config is not None:
            update.role.config.CopyFrom(config)
    return update


def told(notices: list[Notice]) -> list[tuple[object, int, int | None]]:
    """(stream, status, election id shown) of each notice, in order."""
    return [
        (
            stream,
            update.status.code,
            (update.election_id.high << 64 | update.election_id.low)
            if update.HasField("election_id")
            else None,
        )
        for stream, update in notices
    ]


def code_of(error: pytest.ExceptionInfo[P4RuntimeError]) -> int:
    return error.value.code


def test_first_bid_makes_a_primary() -> None:
    arbitration = Arbitration(1)
    notices = arbitration.bid("a", bid(10))
    assert (notices[0][1].device_id, notices[0][1].HasField("role")) == (1, False)
    assert told(notices) == [("a", OK, 10)]
    assert arbitration.is_primary("a")


def test_lower_bid_is_backup_and_only_it_is_told() -> None:
    arbitration = Arbitration(1)
    arbitration.bid("a", bid(10))
    assert told(arbitration.bid("b", bid(9))) == [("b", BACKUP, 10)]
    assert not arbitration.is_primary("b")


def test_higher_bid_takes_over_and_all_are_told_the_primary_last() -> None:
    arbitration = Arbitration(1)
    arbitration.bid("a", bid(10))
    arbitration.bid("b", bid(9))
    assert told(arbitration.bid("c", bid(11))) == [("a", BACKUP, 11), ("b", BACKUP, 11), ("c", OK, 11)]
    assert not arbitration.is_primary("a")


def test_ids_are_128_bits() -> None:
    arbitration = Arbitration(1)
    arbitration.bid("a", bid((1 << 64) - 1))
    assert told(arbitration.bid("b", bid(1 << 64)))[-1] == ("b", OK, 1 << 64)


def test_unset_id_is_never_primary_and_differs_from_zero() -> None:
    arbitration = Arbitration(1)
    assert told(arbitration.bid("a", bid(None))) == [("a", NOBODY, None)]
    assert told(arbitration.bid("b", bid(None))) == [("b", NOBODY, None)]
    assert told(arbitration.bid("c", bid(0))) == [("a", BACKUP, 0), ("b", BACKUP, 0), ("c", OK, 0)]
    with pytest.raises(P4RuntimeError) as error:
        arbitration.check_primary("", None)
    assert code_of(error) == rpc_code.PERMISSION_DENIED
    arbitration.check_primary("", 0)


def test_used_id_is_refused_in_words_that_clients_know() -> None:
    arbitration = Arbitration(1)
    arbitration.bid("a", bid(10))
    with pytest.raises(P4RuntimeError, match=r"(?i)election id .*\bused\b") as error:
        arbitration.bid("b", bid(10))
    assert code_of(error) == rpc_code.INVALID_ARGUMENT
    assert arbitration.leave("b") == []
    assert arbitration.is_primary("a")


def test_departed_primary_leaves_nobody_until_someone_bids_high_enough() -> None:
    arbitration = Arbitration(1)
    arbitration.bid("a", bid(10))
    arbitration.bid("b", bid(9))
    assert told(arbitration.leave("a")) == [("b", NOBODY, 10)]
    with pytest.raises(P4RuntimeError) as error:
        arbitration.check_primary("", 10)
    assert code_of(error) == rpc_code.PERMISSION_DENIED
    assert told(arbitration.bid("b", bid(8))) == [("b", NOBODY, 10)]
    assert told(arbitration.bid("b", bid(10))) == [("b", OK, 10)]


def test_departed_backup_disturbs_nobody() -> None:
    arbitration = Arbitration(1)
    arbitration.bid("a", bid(10))
    arbitration.bid("b", bid(9))
    assert arbitration.leave("b") == []
    assert arbitration.leave("b") == []


def test_primary_that_lowers_its_bid_is_backup() -> None:
    arbitration = Arbitration(1)
    arbitration.bid("a", bid(10))
    arbitration.bid("b", bid(9))
    assert told(arbitration.bid("a", bid(3))) == [("a", NOBODY, 10), ("b", NOBODY, 10)]
    assert not arbitration.is_primary("a")


def test_repeated_bid_of_the_primary_is_told_to_all() -> None:
    arbitration = Arbitration(1)
    arbitration.bid("a", bid(10))
    arbitration.bid("b", bid(9))
    assert told(arbitration.bid("a", bid(10))) == [("b", BACKUP, 10), ("a", OK, 10)]


def test_unknown_device() -> None:
    with pytest.raises(P4RuntimeError) as error:
        Arbitration(1).bid("a", bid(1, device_id=2))
    assert code_of(error) == rpc_code.NOT_FOUND


def test_device_id_zero_stands_for_the_only_device_and_is_echoed() -> None:
    [(_, update)] = Arbitration(7).bid("a", bid(1, device_id=0))
    assert update.device_id == 0
    assert update.status.code == OK


@pytest.mark.parametrize("change", [{"device_id": 2}, {"role": "other"}])
def test_a_stream_keeps_its_device_and_role(change: dict[str, object]) -> None:
    arbitration = Arbitration(1)
    arbitration.bid("a", bid(1))
    with pytest.raises(P4RuntimeError) as error:
        arbitration.bid("a", bid(2, **change))  # type: ignore[arg-type]
    assert code_of(error) == rpc_code.FAILED_PRECONDITION


def test_roles_are_independent() -> None:
    arbitration = Arbitration(1)
    arbitration.bid("a", bid(10, role="x"))
    assert told(arbitration.bid("b", bid(10, role="y"))) == [("b", OK, 10)]
    arbitration.check_primary("x", 10)
    arbitration.check_primary("y", 10)
    with pytest.raises(P4RuntimeError) as error:
        arbitration.check_primary("z", 10)
    assert code_of(error) == rpc_code.NOT_FOUND
    with pytest.raises(P4RuntimeError) as error:
        arbitration.check_primary("", 10)
    assert code_of(error) == rpc_code.PERMISSION_DENIED


def test_role_config_of_the_latest_primary_is_remembered_and_told() -> None:
    arbitration = Arbitration(1)
    config = ProtoAny(type_url="type.googleapis.com/some.Config", value=b"\x01")
    [(_, update)] = arbitration.bid("a", bid(10, role="x", config=config))
    assert update.role == p4r.Role(name="x", config=config)
    [(_, update)] = arbitration.bid("b", bid(1, role="x"))
    assert update.role == p4r.Role(name="x", config=config)
    notices = arbitration.bid("b", bid(11, role="x"))
    assert all(not update.role.HasField("config") for _, update in notices)


def test_number_of_roles_is_bounded() -> None:
    arbitration = Arbitration(1)
    for number in range(255):
        arbitration.bid(number, bid(1, role=f"role{number}"))
    with pytest.raises(P4RuntimeError) as error:
        arbitration.bid("one more", bid(1, role="one more"))
    assert code_of(error) == rpc_code.RESOURCE_EXHAUSTED
