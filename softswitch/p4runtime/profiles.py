# SPDX-License-Identifier: Apache-2.0
"""Action profiles and selectors: members, groups and one-shots, remembered as written (specification, "Action
Profile Member and Group").

The data plane knows members and groups by handles, which are given out here. A one-shot becomes a group and
members of its own, which go when the entry goes or names something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from finsy.proto import p4i, p4r

from softswitch.engine import DELETE, GROUP, INSERT, MODIFY
from softswitch.p4runtime.errors import (
    ALREADY_EXISTS,
    FAILED_PRECONDITION,
    NOT_FOUND,
    RESOURCE_EXHAUSTED,
    P4RuntimeError,
    check,
    invalid,
    unimplemented,
)
from softswitch.p4runtime.keys import ActionCodec

_MOST_SHARES = 65535  # of one group in the data plane
_Stored = TypeVar("_Stored", p4r.ActionProfileMember, p4r.ActionProfileGroup)


class Selector(Protocol):
    """What the data plane offers; see `softswitch.engine.Engine`."""

    def member_write(
        self, op: int, profile_id: int, handle: int, action_id: int = 0, params: bytes = b""
    ) -> int: ...
    def group_write(self, op: int, profile_id: int, handle: int, members: list[int]) -> int: ...


class ProfileSchema:
    """One action profile as P4Info describes it. `actions`: those that all of its tables take."""

    def __init__(self, profile: p4i.ActionProfile, info: p4i.P4Info) -> None:
        self.id = profile.preamble.id
        self.name = profile.preamble.alias or profile.preamble.name
        self.size = profile.size
        self.with_selector = profile.with_selector
        self.max_group_size = profile.max_group_size
        self.sum_of_members = profile.HasField("sum_of_members")
        self.max_member_weight = profile.sum_of_members.max_member_weight if self.sum_of_members else 0
        tables = [t for t in info.tables if t.preamble.id in set(profile.table_ids)]
        listed = [{r.id for r in t.action_refs if r.scope != p4i.ActionRef.DEFAULT_ONLY} for t in tables]
        self.actions = set.intersection(*listed) if listed else set()


@dataclass
class _OneShot:
    """A group of an entry's own, with the handles of its members."""

    schema: ProfileSchema
    members: list[int]
    actions: p4r.ActionProfileActionSet


@dataclass
class _Profile:
    """What has been written to one profile: entries with their handles by id."""

    schema: ProfileSchema
    members: dict[int, tuple[int, p4r.ActionProfileMember]] = field(default_factory=dict)
    groups: dict[int, tuple[int, p4r.ActionProfileGroup]] = field(default_factory=dict)
    one_shots: dict[int, _OneShot] = field(default_factory=dict)
    free: list[int] = field(default_factory=list)
    handles: int = 0

    def handle(self) -> int:
        """A handle not in use."""
        if self.free:
            return self.free.pop()
        self.handles += 1
        return self.handles

    def count(self) -> int:
        """Members, those of one-shots too."""
        return len(self.members) + sum(len(o.members) for o in self.one_shots.values())


class Profiles:
    """The members and groups of one running program."""

    def __init__(
        self, engine: Selector, schemas: Iterable[ProfileSchema], actions: dict[int, ActionCodec]
    ) -> None:
        self._engine = engine
        self._actions = actions
        self._profiles = {schema.id: _Profile(schema) for schema in schemas}

    # --- members ------------------------------------------------------------------------------------------

    def write_member(self, op: int, entry: p4r.ActionProfileMember) -> None:
        """Insert, modify or delete a member."""
        profile = self._profile(entry.action_profile_id)
        what = f"{profile.schema.name}: member {entry.member_id}"
        if entry.member_id == 0:
            raise invalid(f"{profile.schema.name}: member id 0")
        _check_presence(op, entry.member_id in profile.members, what)
        if op == p4r.Update.DELETE:
            handle, _ = profile.members[entry.member_id]
            _check_unused(self._engine.member_write(DELETE, profile.schema.id, handle), what)
            del profile.members[entry.member_id]
            profile.free.append(handle)
            return
        _check_style(profile, what, one_shot=False)
        if not entry.HasField("action"):
            raise invalid(f"{what}: no action")
        if op == p4r.Update.INSERT and profile.schema.size and profile.count() >= profile.schema.size:
            raise P4RuntimeError(RESOURCE_EXHAUSTED, f"{profile.schema.name} is full")
        known = profile.members.get(entry.member_id)
        handle = known[0] if known else profile.handle()
        try:
            self._put_member(profile, INSERT if known is None else MODIFY, handle, entry.action)
        except P4RuntimeError:
            if known is None:
                profile.free.append(handle)
            raise
        stored = p4r.ActionProfileMember(action_profile_id=entry.action_profile_id, member_id=entry.member_id)
        codec = self._actions[entry.action.action_id]
        codec.decode(codec.encode(entry.action), stored.action)  # values in their shortest form
        profile.members[entry.member_id] = (handle, stored)

    def _put_member(self, profile: _Profile, op: int, handle: int, action: p4r.Action) -> None:
        if action.action_id not in profile.schema.actions:
            raise invalid(
                f"{profile.schema.name}: action id 0x{action.action_id:08x} is not one of its tables'"
            )
        codec = self._actions[action.action_id]
        params = codec.encode(action)
        check(self._engine.member_write(op, profile.schema.id, handle, codec.id, params), profile.schema.name)

    def read_members(self, query: p4r.ActionProfileMember) -> Iterator[p4r.ActionProfileMember]:
        """One member, or with id 0 all of a profile, or all."""
        for profile in self._selected(query.action_profile_id):
            yield from _select(profile.members, query.member_id)

    # --- groups -------------------------------------------------------------------------------------------

    def write_group(self, op: int, entry: p4r.ActionProfileGroup) -> None:
        """Insert, modify or delete a group."""
        profile = self._profile(entry.action_profile_id)
        what = f"{profile.schema.name}: group {entry.group_id}"
        if not profile.schema.with_selector:
            raise invalid(f"{profile.schema.name} has no selector and so no groups")
        if entry.group_id == 0:
            raise invalid(f"{profile.schema.name}: group id 0")
        _check_presence(op, entry.group_id in profile.groups, what)
        if op == p4r.Update.DELETE:
            handle, _ = profile.groups[entry.group_id]
            _check_unused(self._engine.group_write(DELETE, profile.schema.id, handle, []), what)
            del profile.groups[entry.group_id]
            profile.free.append(handle)
            return
        _check_style(profile, what, one_shot=False)
        shares = self._shares(profile, entry, what)
        known = profile.groups.get(entry.group_id)
        if known and known[1].max_size != entry.max_size:
            raise invalid(f"{what}: max_size {known[1].max_size} cannot be changed")
        handle = known[0] if known else profile.handle()
        result = self._engine.group_write(MODIFY if known else INSERT, profile.schema.id, handle, shares)
        if result and not known:
            profile.free.append(handle)
        check(result, what)
        stored = p4r.ActionProfileGroup()
        stored.CopyFrom(entry)
        profile.groups[entry.group_id] = (handle, stored)

    def _shares(self, profile: _Profile, entry: p4r.ActionProfileGroup, what: str) -> list[int]:
        """Handles of the members, each as often as it weighs."""
        limit = profile.schema.max_group_size
        if limit and not 0 < entry.max_size <= limit:
            raise invalid(f"{what}: max_size {entry.max_size} is not in 1..{limit}")
        shares: list[int] = []
        seen: set[int] = set()
        for member in sorted(entry.members, key=lambda m: m.member_id):
            if member.member_id in seen:
                raise invalid(f"{what}: member {member.member_id} twice")
            seen.add(member.member_id)
            if member.member_id not in profile.members:
                raise P4RuntimeError(NOT_FOUND, f"{what}: there is no member {member.member_id}")
            _check_share(profile.schema, member.weight, member.WhichOneof("watch_kind"), what)
            shares += [profile.members[member.member_id][0]] * member.weight
            _check_size(len(shares), what)
        size = len(seen) if profile.schema.sum_of_members else len(shares)
        if entry.max_size and size > entry.max_size:
            raise P4RuntimeError(
                RESOURCE_EXHAUSTED, f"{what}: size {size} is above max_size {entry.max_size}"
            )
        return shares

    def read_groups(self, query: p4r.ActionProfileGroup) -> Iterator[p4r.ActionProfileGroup]:
        """One group, or with id 0 all of a profile, or all."""
        for profile in self._selected(query.action_profile_id):
            yield from _select(profile.groups, query.group_id)

    # --- what entries name --------------------------------------------------------------------------------

    def resolve(self, profile_id: int, action: p4r.TableAction, table_actions: set[int]) -> int:
        """The data plane's number for what an entry names. A one-shot is made: give it back with `release`
        if the entry cannot be written, and when it is replaced or deleted."""
        profile = self._profile(profile_id)
        kind = action.WhichOneof("type")
        if kind == "action_profile_member_id":
            known = profile.members.get(action.action_profile_member_id)
            if known is None:
                raise P4RuntimeError(
                    NOT_FOUND, f"{profile.schema.name}: there is no member {action.action_profile_member_id}"
                )
            return known[0]
        if kind == "action_profile_group_id":
            group = profile.groups.get(action.action_profile_group_id)
            if group is None:
                raise P4RuntimeError(
                    NOT_FOUND, f"{profile.schema.name}: there is no group {action.action_profile_group_id}"
                )
            return GROUP | group[0]
        if kind == "action_profile_action_set":
            if not profile.schema.with_selector:
                raise invalid(f"{profile.schema.name} has no selector: a one-shot needs one")
            return GROUP | self._one_shot(profile, action.action_profile_action_set, table_actions)
        raise invalid(f"a table with the action profile {profile.schema.name} takes members or groups")

    def _one_shot(
        self, profile: _Profile, actions: p4r.ActionProfileActionSet, table_actions: set[int]
    ) -> int:
        schema = profile.schema
        what = f"{schema.name}: one-shot"
        _check_style(profile, what, one_shot=True)
        _check_mode(schema, actions)
        total = 0
        for each in actions.action_profile_actions:
            _check_share(schema, each.weight, each.WhichOneof("watch_kind"), what)
            if each.action.action_id not in table_actions:
                raise invalid(f"{what}: action id 0x{each.action.action_id:08x} is not one of the table's")
            total += each.weight
            _check_size(total, what)
        size = len(actions.action_profile_actions) if schema.sum_of_members else total
        if schema.max_group_size and size > schema.max_group_size:
            raise invalid(f"{what}: size {size} is above max_group_size {schema.max_group_size}")
        if schema.size and profile.count() + len(actions.action_profile_actions) > schema.size:
            raise P4RuntimeError(RESOURCE_EXHAUSTED, f"{schema.name} is full")
        return self._make_one_shot(profile, actions)

    def _make_one_shot(self, profile: _Profile, actions: p4r.ActionProfileActionSet) -> int:
        stored = p4r.ActionProfileActionSet()
        stored.CopyFrom(actions)
        group = profile.handle()
        made = _OneShot(profile.schema, [], stored)
        profile.one_shots[group] = made
        shares: list[int] = []
        try:
            for each in actions.action_profile_actions:
                handle = profile.handle()
                try:
                    self._put_member(profile, INSERT, handle, each.action)
                except P4RuntimeError:
                    profile.free.append(handle)
                    raise
                made.members.append(handle)
                shares += [handle] * each.weight
            check(self._engine.group_write(INSERT, profile.schema.id, group, shares), profile.schema.name)
        except P4RuntimeError:
            self._forget(profile, group)
            raise
        return group

    def release(self, profile_id: int, member_or_group: int) -> None:
        """Nothing names this any more: a one-shot goes."""
        profile = self._profile(profile_id)
        handle = member_or_group & ~GROUP
        if member_or_group & GROUP and handle in profile.one_shots:
            check(self._engine.group_write(DELETE, profile_id, handle, []), profile.schema.name)
            self._forget(profile, handle)

    def _forget(self, profile: _Profile, group: int) -> None:
        for handle in profile.one_shots.pop(group).members:
            check(self._engine.member_write(DELETE, profile.schema.id, handle), profile.schema.name)
            profile.free.append(handle)
        profile.free.append(group)

    def describe(self, profile_id: int, member_or_group: int, action: p4r.TableAction) -> None:
        """What an entry names, as it was written."""
        profile = self._profile(profile_id)
        handle = member_or_group & ~GROUP
        if not member_or_group & GROUP:
            action.action_profile_member_id = _id_of(profile.members, handle)
        elif handle in profile.one_shots:
            action.action_profile_action_set.CopyFrom(profile.one_shots[handle].actions)
        else:
            action.action_profile_group_id = _id_of(profile.groups, handle)

    # --- finding ------------------------------------------------------------------------------------------

    def _profile(self, profile_id: int) -> _Profile:
        profile = self._profiles.get(profile_id)
        if profile is None:
            raise invalid(f"action profile id 0x{profile_id:08x} is not in the program's P4Info")
        return profile

    def _selected(self, profile_id: int) -> list[_Profile]:
        return [self._profile(profile_id)] if profile_id else list(self._profiles.values())


def _id_of(entries: dict[int, tuple[int, _Stored]], handle: int) -> int:
    return next(number for number, (known, _) in entries.items() if known == handle)


def _select(entries: dict[int, tuple[int, _Stored]], wanted: int) -> list[_Stored]:
    if wanted:
        return [entries[wanted][1]] if wanted in entries else []
    return [stored for _, stored in entries.values()]


def _check_presence(op: int, present: bool, what: str) -> None:
    if op == p4r.Update.INSERT and present:
        raise P4RuntimeError(ALREADY_EXISTS, f"{what} already exists")
    if op != p4r.Update.INSERT and not present:
        raise P4RuntimeError(NOT_FOUND, f"{what} does not exist")


def _check_style(profile: _Profile, what: str, *, one_shot: bool) -> None:
    """A profile is programmed either with one-shots or with members and groups."""
    if one_shot and (profile.members or profile.groups):
        raise invalid(f"{what}: the profile is programmed with members and groups")
    if not one_shot and profile.one_shots:
        raise invalid(f"{what}: the profile is programmed with one-shots")


def _check_unused(result: int, what: str) -> None:
    if result == -FAILED_PRECONDITION:
        raise P4RuntimeError(FAILED_PRECONDITION, f"{what} is in use")
    check(result, what)


def _check_share(schema: ProfileSchema, weight: int, watch: str | None, what: str) -> None:
    if watch is not None:
        raise unimplemented(f"{what}: watch ports are not supported")
    if weight < 1:
        raise invalid(f"{what}: weight {weight} is below 1")
    if schema.max_member_weight and weight > schema.max_member_weight:
        raise invalid(f"{what}: weight {weight} is above max_member_weight {schema.max_member_weight}")


def _check_mode(schema: ProfileSchema, actions: p4r.ActionProfileActionSet) -> None:
    """Groups are chosen from by the selector's hash, and sized as the program says."""
    mode, semantics = p4r.ActionProfileActionSet.ActionSelectionMode, p4r.ActionProfileActionSet.SizeSemantics
    if actions.action_selection_mode == mode.RANDOM:
        raise unimplemented(f"{schema.name}: random selection is not supported")
    own = semantics.SUM_OF_MEMBERS if schema.sum_of_members else semantics.SUM_OF_WEIGHTS
    if actions.size_semantics not in (semantics.DEFAULT_SIZE_DETERMINED_BY_ACTION_SELECTOR, own):
        raise unimplemented(f"{schema.name}: other size semantics than the program's are not supported")


def _check_size(size: int, what: str) -> None:
    if size > _MOST_SHARES:
        raise P4RuntimeError(RESOURCE_EXHAUSTED, f"{what}: weights above {_MOST_SHARES} in all")
