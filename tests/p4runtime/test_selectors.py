# SPDX-License-Identifier: Apache-2.0
"""Action profiles and selectors, one-shots, value sets and direct meters, from P4Runtime to frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from finsy.proto import p4r, rpc_code

from softswitch.compiler import CompiledProgram, compile_file

from .messages import BAD, DELETE, INSERT, MODIFY, OpType, entity, exact, refused
from .test_data_plane import DESTINATION, SOURCE, Switch, lpm, ternary

PRECONDITION, EXISTS, MISSING = rpc_code.FAILED_PRECONDITION, rpc_code.ALREADY_EXISTS, rpc_code.NOT_FOUND
RATES = p4r.MeterConfig(cir=1, cburst=2, pir=1, pburst=2)


@pytest.fixture(scope="module")
def program() -> CompiledProgram:
    return compile_file(Path(__file__).with_name("programs") / "selectors.p4")


@pytest.fixture
def switch(program: CompiledProgram, tmp_path: Path) -> Iterator[Switch]:
    switch = Switch(program, tmp_path)
    yield switch
    switch.close()


def forward(switch: Switch, port: int) -> p4r.Action:
    made = p4r.Action(action_id=switch.ids["forward"])
    made.params.add(param_id=1, value=bytes([port]))
    return made


def member(switch: Switch, op: OpType, number: int, port: int = 0, profile: str = "balance") -> p4r.Update:
    one = p4r.ActionProfileMember(action_profile_id=switch.ids[profile], member_id=number)
    if port:
        one.action.CopyFrom(forward(switch, port))
    return entity(op, action_profile_member=one)


def group(
    switch: Switch, op: OpType, number: int, *members: tuple[int, int], max_size: int = 6, **changes: Any
) -> p4r.Update:
    one = p4r.ActionProfileGroup(action_profile_id=switch.ids["balance"], group_id=number, max_size=max_size)
    for member_id, weight in members:
        one.members.add(member_id=member_id, weight=weight)
    one.MergeFrom(p4r.ActionProfileGroup(**changes))
    return entity(op, action_profile_group=one)


def one_shot(switch: Switch, *shares: tuple[int, int]) -> p4r.TableAction:
    made = p4r.TableAction()
    for port, weight in shares:
        share = made.action_profile_action_set.action_profile_actions.add(weight=weight)
        share.action.CopyFrom(forward(switch, port))
    return made


def balanced(switch: Switch, op: OpType, action: p4r.TableAction | None = None) -> p4r.Update:
    return (
        switch.entry(op, "balanced", exact(1, DESTINATION), action={})
        if action is None
        else _with(switch.entry(op, "balanced", exact(1, DESTINATION)), action)
    )


def _with(update: p4r.Update, action: p4r.TableAction) -> p4r.Update:
    update.entity.table_entry.action.CopyFrom(action)
    return update


def ports(switch: Switch, frames: int = 120) -> Counter[int]:
    """By which ports frames from many sources leave."""
    found: Counter[int] = Counter()
    for number in range(frames):
        source = SOURCE[:3] + (number * 2654435761 % (1 << 24)).to_bytes(3, "big")
        found.update(port for port, _ in switch.send(0x0800, source=source))
    return found


# --- members and groups -------------------------------------------------------------------------------------


def test_entry_names_a_member_which_may_change(switch: Switch) -> None:
    switch.client.write(member(switch, INSERT, 7, 3))
    switch.client.write(balanced(switch, INSERT, p4r.TableAction(action_profile_member_id=7)))
    assert switch.send(0x0800) == [(3, 0x0800)]
    switch.client.write(member(switch, MODIFY, 7, 4))
    assert switch.send(0x0800) == [(4, 0x0800)]
    [read] = switch.client.read(p4r.Entity(table_entry=p4r.TableEntry(table_id=switch.ids["balanced"])))
    assert read == balanced(switch, INSERT, p4r.TableAction(action_profile_member_id=7)).entity
    [read] = switch.client.read(p4r.Entity(action_profile_member=p4r.ActionProfileMember()))
    assert read == member(switch, INSERT, 7, 4).entity


def test_group_shares_frames_by_weight(switch: Switch) -> None:
    switch.client.write(
        member(switch, INSERT, 1, 11), member(switch, INSERT, 2, 12), member(switch, INSERT, 3, 13)
    )
    switch.client.write(
        group(switch, INSERT, 1, (1, 1), (2, 3))
    )  # ids of groups are apart from those of members
    switch.client.write(balanced(switch, INSERT, p4r.TableAction(action_profile_group_id=1)))
    found = ports(switch)
    assert set(found) == {11, 12}
    assert found[12] > found[11]
    first = switch.send(0x0800)
    assert all(switch.send(0x0800) == first for _ in range(20)), "one flow stays on one port"
    switch.client.write(group(switch, MODIFY, 1, (3, 1)))
    assert set(ports(switch)) == {13}
    switch.client.write(group(switch, MODIFY, 1))
    assert set(ports(switch)) == {100}, "an empty group does nothing"
    [read] = switch.client.read(p4r.Entity(action_profile_group=p4r.ActionProfileGroup()))
    assert read == group(switch, INSERT, 1).entity


def test_members_and_groups_in_use_stay(switch: Switch) -> None:
    switch.client.write(member(switch, INSERT, 1, 11), group(switch, INSERT, 1, (1, 1)))
    entry = balanced(switch, INSERT, p4r.TableAction(action_profile_group_id=1))
    switch.client.write(entry)
    assert refused(switch.client, member(switch, DELETE, 1))[0] == PRECONDITION
    assert refused(switch.client, group(switch, DELETE, 1))[0] == PRECONDITION
    entry.type = DELETE
    switch.client.write(entry, group(switch, DELETE, 1), member(switch, DELETE, 1))
    assert refused(switch.client, member(switch, DELETE, 1))[0] == MISSING
    switch.client.write(member(switch, INSERT, 1, 11))


def test_an_entry_that_is_modified_lets_go_of_what_it_named(switch: Switch) -> None:
    switch.client.write(member(switch, INSERT, 1, 11), member(switch, INSERT, 2, 12))
    switch.client.write(balanced(switch, INSERT, p4r.TableAction(action_profile_member_id=1)))
    switch.client.write(balanced(switch, MODIFY, p4r.TableAction(action_profile_member_id=2)))
    assert switch.send(0x0800) == [(12, 0x0800)]
    switch.client.write(member(switch, DELETE, 1))
    assert refused(switch.client, member(switch, DELETE, 2))[0] == PRECONDITION


def test_tables_share_a_profile(switch: Switch) -> None:
    switch.client.write(member(switch, INSERT, 1, 5, "shared"))
    named = p4r.TableAction(action_profile_member_id=1)
    switch.client.write(_with(switch.entry(INSERT, "first", exact(1, b"\x08\x00")), named))
    assert switch.send(0x0800) == [(5, 0x0800)]
    switch.client.write(_with(switch.entry(INSERT, "second", lpm(SOURCE, 48)), named))
    assert switch.send(0x0806) == [(5, 0x0807)], "action_run sees the member's action"
    query = p4r.TableEntry(action=named, table_id=switch.ids["second"])
    assert len(switch.client.read(p4r.Entity(table_entry=query))) == 1
    query.action.action_profile_member_id = 2
    assert switch.client.read(p4r.Entity(table_entry=query)) == []


def test_refused_members_and_groups(switch: Switch) -> None:
    ids = switch.ids
    switch.client.write(member(switch, INSERT, 1, 11), member(switch, INSERT, 2, 12))
    drop = member(switch, INSERT, 5)
    default_only = member(switch, INSERT, 5)
    default_only.entity.action_profile_member.action.action_id = ids["NoAction"]
    two_actions = group(switch, INSERT, 1, (1, 1), (1, 1))
    for update, code in (
        (member(switch, INSERT, 0, 1), BAD),
        (member(switch, INSERT, 1, 1), EXISTS),
        (member(switch, MODIFY, 9, 1), MISSING),
        (member(switch, DELETE, 9), MISSING),
        (drop, BAD),
        (default_only, BAD),
        (group(switch, INSERT, 0, (1, 1)), BAD),
        (group(switch, MODIFY, 1, (1, 1)), MISSING),
        (group(switch, INSERT, 1, (9, 1)), MISSING),
        (group(switch, INSERT, 1, (1, 0)), BAD),
        (group(switch, INSERT, 1, (1, 1), max_size=7), BAD),
        (group(switch, INSERT, 1, (1, 1), max_size=0), BAD),
        (group(switch, INSERT, 1, (1, 2), (2, 2), max_size=3), rpc_code.RESOURCE_EXHAUSTED),
        (two_actions, BAD),
        (
            entity(
                INSERT,
                action_profile_group=p4r.ActionProfileGroup(action_profile_id=ids["shared"], group_id=1),
            ),
            BAD,
        ),
        (balanced(switch, INSERT, p4r.TableAction(action_profile_member_id=9)), MISSING),
        (balanced(switch, INSERT, p4r.TableAction(action_profile_group_id=1)), MISSING),
        (balanced(switch, INSERT, p4r.TableAction(action=forward(switch, 1))), BAD),
    ):
        assert refused(switch.client, update)[0] == code, update
    switch.client.write(group(switch, INSERT, 1, (1, 1), max_size=3))
    assert refused(switch.client, group(switch, MODIFY, 1, (1, 1), max_size=4))[0] == BAD


def test_a_profile_holds_no_more_than_its_size(switch: Switch) -> None:
    switch.client.write(*(member(switch, INSERT, n, n, "shared") for n in range(1, 5)))
    assert refused(switch.client, member(switch, INSERT, 5, 5, "shared"))[0] == rpc_code.RESOURCE_EXHAUSTED


# --- one-shots ----------------------------------------------------------------------------------------------


def test_one_shot_is_read_back_as_written_and_goes_with_its_entry(switch: Switch) -> None:
    action = one_shot(switch, (21, 1), (22, 2))
    for _ in range(5):  # more often than the profile has room for
        switch.client.write(balanced(switch, INSERT, action))
        assert set(ports(switch, 60)) == {21, 22}
        [read] = switch.client.read(p4r.Entity(table_entry=p4r.TableEntry(table_id=switch.ids["balanced"])))
        assert read == balanced(switch, INSERT, action).entity
        assert switch.client.read(p4r.Entity(action_profile_member=p4r.ActionProfileMember())) == []
        switch.client.write(balanced(switch, MODIFY, one_shot(switch, (23, 1))))
        assert set(ports(switch, 20)) == {23}
        switch.client.write(balanced(switch, DELETE))


def test_refused_one_shots_leave_nothing_behind(switch: Switch) -> None:
    wrong = one_shot(switch, (1, 1))
    wrong.action_profile_action_set.action_profile_actions[0].action.params[0].value = b"\xff\xff"
    watched = one_shot(switch, (1, 1))
    watched.action_profile_action_set.action_profile_actions[0].watch_port = b"\x01"
    random = one_shot(switch, (1, 1))
    random.action_profile_action_set.action_selection_mode = p4r.ActionProfileActionSet.RANDOM
    for action, code in (
        (one_shot(switch, (1, 0)), BAD),
        (one_shot(switch, (1, 7)), BAD),
        (wrong, rpc_code.OUT_OF_RANGE),
        (watched, rpc_code.UNIMPLEMENTED),
        (random, rpc_code.UNIMPLEMENTED),
    ):
        assert refused(switch.client, balanced(switch, INSERT, action))[0] == code
    update = _with(switch.entry(INSERT, "first", exact(1, b"\x08\x00")), one_shot(switch, (1, 1)))
    assert refused(switch.client, update)[0] == BAD
    switch.client.write(*(member(switch, INSERT, n, n) for n in range(1, 9)))  # all eight places are free


def test_one_shots_or_members_and_groups_but_not_both(switch: Switch) -> None:
    oneshot = balanced(switch, INSERT, one_shot(switch, (21, 1)))
    switch.client.write(oneshot)
    for update in (member(switch, INSERT, 1, 11), group(switch, INSERT, 1)):
        assert refused(switch.client, update)[0] == BAD
    switch.client.write(balanced(switch, DELETE), member(switch, INSERT, 1, 11))
    assert refused(switch.client, oneshot)[0] == BAD
    switch.client.write(member(switch, DELETE, 1), group(switch, INSERT, 1))
    assert refused(switch.client, oneshot)[0] == BAD
    switch.client.write(group(switch, DELETE, 1), oneshot)


# --- value sets ------------------------------------------------------------------------------------------


def value_set(switch: Switch, name: str, *members: list[p4r.FieldMatch], op: OpType = MODIFY) -> p4r.Update:
    entry = p4r.ValueSetEntry(value_set_id=switch.ids[name])
    for matches in members:
        entry.members.add().match.extend(matches)
    return entity(op, value_set_entry=entry)


def test_value_set_decides_in_the_parser(switch: Switch) -> None:
    assert switch.send(0x1234) == [(100, 0x1234)]
    update = value_set(switch, "special_types", [exact(1, b"\x12\x34")], [exact(1, b"\x56\x78")])
    switch.client.write(update)
    assert switch.send(0x1234) == [(99, 0x1234)]
    assert switch.send(0x5678) == [(99, 0x5678)]
    [read] = switch.client.read(p4r.Entity(value_set_entry=update.entity.value_set_entry))
    assert sorted(m.match[0].exact.value for m in read.value_set_entry.members) == [b"\x12\x34", b"\x56\x78"]
    switch.client.write(value_set(switch, "special_types", [exact(1, b"\x56\x78")]))
    assert switch.send(0x1234) == [(100, 0x1234)]
    assert len(switch.client.read(p4r.Entity(value_set_entry=p4r.ValueSetEntry()))) == 2


def test_value_set_of_several_fields(switch: Switch) -> None:
    masked = ternary(b"\x12\x00", b"\xff\x00")
    switch.client.write(value_set(switch, "pairs", [masked, exact(2, SOURCE[-1:])]))
    assert switch.send(0x12FF) == [(99, 0x12FF)]
    assert switch.send(0x13FF) == [(100, 0x13FF)]
    assert switch.send(0x12FF, source=SOURCE[:-1] + b"\x77") == [(100, 0x12FF)]


def test_refused_value_sets(switch: Switch) -> None:
    one = [exact(1, b"\x12\x34")]
    for update, code in (
        (value_set(switch, "special_types", one, op=INSERT), BAD),
        (value_set(switch, "special_types", one, op=DELETE), BAD),
        (value_set(switch, "special_types", one, one), BAD),
        (value_set(switch, "special_types", []), BAD),
        (value_set(switch, "special_types", [exact(1, b"\1\0\0")]), rpc_code.OUT_OF_RANGE),
        (
            value_set(switch, "special_types", *([exact(1, bytes([n]))] for n in range(1, 4))),
            rpc_code.RESOURCE_EXHAUSTED,
        ),
    ):
        assert refused(switch.client, update)[0] == code


# --- direct meters ------------------------------------------------------------------------------------------


def metered(switch: Switch, op: OpType, **changes: Any) -> p4r.Update:
    match = ternary(SOURCE, b"\xff" * 6)
    return switch.entry(op, "meters", match, priority=1, action={"metered": ()}, **changes)


def direct_meter(switch: Switch, config: p4r.MeterConfig | None = None) -> p4r.DirectMeterEntry:
    entry = metered(switch, INSERT).entity.table_entry
    entry.ClearField("action")
    return p4r.DirectMeterEntry(table_entry=entry, config=config)


def test_direct_meter_of_an_entry(switch: Switch) -> None:
    switch.client.write(metered(switch, INSERT, meter_config=RATES))
    assert [len(switch.send(0x0800)) for _ in range(4)] == [1, 1, 0, 0]
    query = p4r.TableEntry(table_id=switch.ids["meters"], meter_config=p4r.MeterConfig())
    [read] = switch.client.read(p4r.Entity(table_entry=query))
    assert read.table_entry.meter_config == RATES
    [read] = switch.client.read(p4r.Entity(direct_meter_entry=direct_meter(switch)))
    assert read.direct_meter_entry.config == RATES
    switch.client.write(metered(switch, MODIFY))  # no configuration: the default again
    assert [len(switch.send(0x0800)) for _ in range(4)] == [1, 1, 1, 1]
    [read] = switch.client.read(p4r.Entity(table_entry=query))
    assert not read.table_entry.HasField("meter_config")


def test_direct_meter_written_by_itself(switch: Switch) -> None:
    assert (
        refused(switch.client, entity(MODIFY, direct_meter_entry=direct_meter(switch, RATES)))[0] == MISSING
    )
    switch.client.write(metered(switch, INSERT))
    switch.client.write(entity(MODIFY, direct_meter_entry=direct_meter(switch, RATES)))
    assert [len(switch.send(0x0800)) for _ in range(4)] == [1, 1, 0, 0]
    assert refused(switch.client, entity(INSERT, direct_meter_entry=direct_meter(switch, RATES)))[0] == BAD
    switch.client.write(entity(MODIFY, direct_meter_entry=direct_meter(switch)))
    assert len(switch.send(0x0800)) == 1
    update = metered(switch, DELETE)
    switch.client.write(update)
    assert (
        switch.client.read(p4r.Entity(direct_meter_entry=p4r.DirectMeterEntry(table_entry=p4r.TableEntry())))
        == []
    )


def test_meters_are_read_to_the_end_though_another_program_takes_over(switch: Switch) -> None:
    switch.client.write(metered(switch, INSERT, meter_config=RATES))
    queries = [
        p4r.Entity(table_entry=p4r.TableEntry(meter_config=p4r.MeterConfig())),
        p4r.Entity(direct_meter_entry=p4r.DirectMeterEntry(table_entry=p4r.TableEntry())),
    ]
    entities, error = switch.device.read(p4r.ReadRequest(device_id=1, entities=queries))
    switch.push()
    table_entry, direct = entities
    assert error is None
    assert table_entry.table_entry.meter_config == RATES
    assert direct.direct_meter_entry.config == RATES


def test_meter_config_needs_a_meter(switch: Switch) -> None:
    switch.client.write(member(switch, INSERT, 1, 1))
    update = balanced(switch, INSERT, p4r.TableAction(action_profile_member_id=1))
    update.entity.table_entry.meter_config.CopyFrom(RATES)
    assert refused(switch.client, update)[0] == BAD


# --- all of it ------------------------------------------------------------------------------------------


def test_reconcile_carries_everything_over(switch: Switch) -> None:
    switch.client.write(
        member(switch, INSERT, 1, 11),
        group(switch, INSERT, 1, (1, 2)),
        balanced(switch, INSERT, p4r.TableAction(action_profile_group_id=1)),
        metered(switch, INSERT, meter_config=RATES),
        value_set(switch, "pairs", [exact(2, b"\x55")]),
    )
    queries = (
        p4r.Entity(action_profile_member=p4r.ActionProfileMember()),
        p4r.Entity(action_profile_group=p4r.ActionProfileGroup()),
        p4r.Entity(value_set_entry=p4r.ValueSetEntry()),
        p4r.Entity(table_entry=p4r.TableEntry(meter_config=p4r.MeterConfig())),
    )
    before = [switch.client.read(query) for query in queries]
    switch.program = replace(switch.program, text=switch.program.text + "\n")
    switch.push(p4r.SetForwardingPipelineConfigRequest.RECONCILE_AND_COMMIT)
    assert len(switch.engines) == 2
    assert [switch.client.read(query) for query in queries] == before
    assert switch.send(0x0800) == [(11, 0x0800)]
