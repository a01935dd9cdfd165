# SPDX-License-Identifier: Apache-2.0
"""SetForwardingPipelineConfig and GetForwardingPipelineConfig, action by action."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from finsy.proto import p4r

from softswitch.p4.errors import Diagnostic, P4Error
from softswitch.p4runtime.device import Device, DeviceOptions, Port
from softswitch.p4runtime.errors import P4RuntimeError
from softswitch.p4runtime.p4infodiff import differences
from softswitch.p4runtime.pipeline import verify

from . import fakes
from .conftest import TEXT, Client, Rig, status_of
from .messages import forward_route, session

SET = p4r.SetForwardingPipelineConfigRequest
GET = p4r.GetForwardingPipelineConfigRequest
SESSIONS = p4r.Entity(table_entry=p4r.TableEntry(table_id=fakes.SESSIONS))


def test_get_before_any_push_is_empty(client: Client) -> None:
    response = client.stub.GetForwardingPipelineConfig(GET(device_id=1), timeout=5)
    assert response == p4r.GetForwardingPipelineConfigResponse()


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        (GET.ALL, {"p4info", "device", "cookie"}),
        (GET.COOKIE_ONLY, {"cookie"}),
        (GET.P4INFO_AND_COOKIE, {"p4info", "cookie"}),
        (GET.DEVICE_CONFIG_AND_COOKIE, {"device", "cookie"}),
    ],
)
def test_get_returns_what_was_set(ready: Client, kind: GET.ResponseType.ValueType, parts: set[str]) -> None:
    config = ready.stub.GetForwardingPipelineConfig(GET(device_id=1, response_type=kind), timeout=5).config
    expected = p4r.ForwardingPipelineConfig()
    if "p4info" in parts:
        expected.p4info.CopyFrom(fakes.p4info())
    if "device" in parts:
        expected.p4_device_config = TEXT
    if "cookie" in parts:
        expected.cookie.cookie = 77
    assert config == expected


def test_order_of_checks(client: Client) -> None:
    client.lead()
    with pytest.raises(grpc.RpcError) as error:
        client.push(device_id=5, role="nobody")
    assert status_of(error.value)[0] == grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.RpcError) as error:
        client.push(role="nobody")
    assert status_of(error.value)[0] == grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.RpcError) as error:
        client.push(election_id=p4r.Uint128(low=2), text=None)
    assert status_of(error.value)[0] == grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    "action", [SET.UNSPECIFIED, SET.VERIFY, SET.VERIFY_AND_COMMIT, SET.RECONCILE_AND_COMMIT]
)
def test_config_or_action_missing(client: Client, action: int) -> None:
    client.lead()
    with pytest.raises(grpc.RpcError) as error:
        client.push(action, text=None)
    assert status_of(error.value)[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_verify_changes_nothing(rig: Rig, client: Client) -> None:
    client.lead()
    client.push(SET.VERIFY)
    assert rig.engines[0].closed
    assert not client.stub.GetForwardingPipelineConfig(GET(device_id=1), timeout=5).HasField("config")


def test_commit_opens_ports_and_starts(rig: Rig, ready: Client) -> None:
    assert rig.engines[0].log == ["port 1@veth1", "start"]


def test_second_commit_clears_state_and_swaps_engines(rig: Rig, ready: Client) -> None:
    ready.write(session(p4r.Update.INSERT))
    ready.push()
    assert ready.read(SESSIONS) == []
    assert rig.engines[0].log[2:] == ["stop", "close"]
    assert rig.engines[1].log == ["port 1@veth1", "start"]


def test_old_program_goes_on_when_the_new_one_cannot_run(rig: Rig, ready: Client) -> None:
    ready.write(session(p4r.Update.INSERT))
    fakes.FakeEngine.broken_interfaces = frozenset({"veth1"})
    try:
        with pytest.raises(grpc.RpcError) as error:
            ready.push()
    finally:
        fakes.FakeEngine.broken_interfaces = frozenset()
    assert status_of(error.value) == (
        grpc.StatusCode.INTERNAL,
        "the program cannot run: interface veth1 does not exist",
    )
    assert len(ready.read(SESSIONS)) == 1
    assert rig.engines[0].log[2:] == ["stop", "start"]
    assert rig.engines[1].closed


def test_saved_config_takes_writes_and_commit_realises_them(rig: Rig, ready: Client) -> None:
    ready.write(session(p4r.Update.INSERT))
    ready.push(SET.VERIFY_AND_SAVE, b"// another\n")
    assert ready.read(SESSIONS) == []
    ready.write(forward_route(p4r.Update.INSERT))
    assert rig.engines[1].log == []
    ready.push(SET.COMMIT, text=None)
    assert rig.engines[0].closed
    assert rig.engines[1].log == ["port 1@veth1", "start"]
    assert len(ready.read(p4r.Entity(table_entry=p4r.TableEntry(table_id=fakes.ROUTES)))) == 1
    with pytest.raises(grpc.RpcError) as error:
        ready.push(SET.COMMIT, text=None)
    assert status_of(error.value)[0] == grpc.StatusCode.NOT_FOUND


def test_commit_takes_no_config(ready: Client) -> None:
    ready.push(SET.VERIFY_AND_SAVE)
    with pytest.raises(grpc.RpcError) as error:
        ready.push(SET.COMMIT)
    assert status_of(error.value)[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_reconciling_the_same_program_keeps_the_engine(rig: Rig, ready: Client) -> None:
    ready.write(session(p4r.Update.INSERT))
    config = p4r.ForwardingPipelineConfig(cookie=p4r.ForwardingPipelineConfig.Cookie(cookie=78))
    ready.push(SET.RECONCILE_AND_COMMIT, config=config)
    assert rig.engines[1].closed
    assert len(ready.read(SESSIONS)) == 1
    answer = ready.stub.GetForwardingPipelineConfig(
        GET(device_id=1, response_type=GET.COOKIE_ONLY), timeout=5
    )
    assert answer.config.cookie.cookie == 78


def test_reconciling_another_program_carries_its_state_over(rig: Rig, ready: Client) -> None:
    writes = [
        session(p4r.Update.INSERT, counter_data=p4r.CounterData(packet_count=3, byte_count=180)),
        forward_route(p4r.Update.INSERT),
        p4r.Update(
            type=p4r.Update.MODIFY,
            entity=p4r.Entity(
                register_entry=p4r.RegisterEntry(register_id=fakes.STATE, index=p4r.Index(index=2))
            ),
        ),
        p4r.Update(
            type=p4r.Update.INSERT,
            entity=p4r.Entity(digest_entry=p4r.DigestEntry(digest_id=fakes.LEARN)),
        ),
    ]
    writes[2].entity.register_entry.data.bitstring = b"\x05"
    ready.write(*writes)
    ready.push(SET.RECONCILE_AND_COMMIT, b"// another\n")
    assert rig.engines[0].closed
    query = p4r.Entity(table_entry=p4r.TableEntry(table_id=fakes.SESSIONS, counter_data=p4r.CounterData()))
    assert ready.read(query) == [writes[0].entity]
    assert rig.engines[1].registers == {(fakes.STATE, 2): b"\x00\x05"}
    assert len(ready.read(p4r.Entity(digest_entry=p4r.DigestEntry()))) == 1


def test_diagnostics_reach_the_client(tmp_path: Path) -> None:
    def broken(_text: str, _name: str) -> fakes.FakeProgram:
        raise P4Error([Diagnostic("x.p4", 3, 7, "unknown type foo_t", "  foo_t f;")])

    config = p4r.ForwardingPipelineConfig(p4_device_config=TEXT)
    with pytest.raises(P4RuntimeError, match=r"x\.p4:3:7: error: unknown type foo_t") as error:
        verify(config, broken)
    assert error.value.code == 3


@pytest.mark.parametrize(
    ("device_config", "text"),
    [
        (b"", "no p4_device_config"),
        (b'{"header_types": []}', "BMv2 JSON"),
        (b"\x7fELF\xff\xff", "not P4 source text"),
        (b"\x08\x01\x1a\xff\xff\xff", "p4.tmp.P4DeviceConfig"),
        (b"\x08" + b"\xff" * 20, "p4.tmp.P4DeviceConfig"),
    ],
)
def test_device_configs_that_are_none(device_config: bytes, text: str) -> None:
    config = p4r.ForwardingPipelineConfig(p4info=fakes.p4info(), p4_device_config=device_config)
    with pytest.raises(P4RuntimeError, match=text) as error:
        verify(config, fakes.compile_fake)
    assert error.value.code == 3


def test_device_config_of_the_tutorials_client_is_unwrapped() -> None:
    # p4.tmp.P4DeviceConfig{reassign: true, extras {kv {key: "a" value: "b"}}, device_data: TEXT}
    extras = b"\x0a\x06\x0a\x01a\x12\x01b"
    wrapped = b"\x08\x01\x12" + bytes([len(extras)]) + extras + b"\x1a" + bytes([len(TEXT)]) + TEXT
    config = p4r.ForwardingPipelineConfig(p4info=fakes.p4info(), p4_device_config=wrapped)
    assert verify(config, fakes.compile_fake).text == TEXT.decode()


def test_p4info_of_another_program_is_refused_with_the_difference() -> None:
    config = p4r.ForwardingPipelineConfig(p4info=fakes.p4info(), p4_device_config=TEXT)
    config.p4info.tables[0].match_fields[0].bitwidth = 31
    del config.p4info.counters[:]
    config.p4info.meters[0].preamble.name = "I.other"
    with pytest.raises(P4RuntimeError) as error:
        verify(config, fakes.compile_fake)
    for part in ("table I.sessions: match fields", "counter I.drops", "meter id 0x14000001 is I.other"):
        assert part in error.value.message


def test_p4info_may_differ_in_what_the_wire_does_not_need() -> None:
    other = fakes.p4info()
    other.pkg_info.name = "another"
    for table in other.tables:
        table.preamble.annotations.append("@brief(x)")
        table.preamble.alias = "x"
    assert differences(other, fakes.p4info()) == []


def test_loaded_program_has_no_cookie() -> None:
    device = Device(DeviceOptions(ports=[Port(3, "veth3")]), fakes.compile_fake, fakes.FakeEngine)
    device.load(fakes.FakeProgram("// built in\n"))
    config = device.get_config(GET(device_id=1))
    device.close()
    assert config == p4r.ForwardingPipelineConfig(p4info=fakes.p4info(), p4_device_config=b"// built in\n")


def test_client_that_has_gone_changes_nothing(rig: Rig, client: Client) -> None:
    client.lead()
    request = SET(device_id=1, election_id=p4r.Uint128(low=1), action=SET.VERIFY_AND_COMMIT)
    request.config.p4info.CopyFrom(fakes.p4info())
    request.config.p4_device_config = TEXT
    with pytest.raises(P4RuntimeError):
        rig.device.set_config(request, lambda: False)
    assert rig.engines[0].closed
    assert rig.device.get_config(GET(device_id=1)) is None
