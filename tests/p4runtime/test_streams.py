# SPDX-License-Identifier: Apache-2.0
"""StreamChannel over gRPC: arbitration, packets, digests, idle notifications, and how streams end."""

from __future__ import annotations

import struct
import time
from functools import partial

import grpc
import pytest
from finsy.proto import p4d, p4r, rpc_code

from softswitch.engine import EVENT_DIGEST, EVENT_IDLE, EVENT_PACKET_IN, Event, TableRecord
from softswitch.p4runtime.errors import P4RuntimeError
from softswitch.p4runtime.retained import SECONDS, TOLD_SECONDS, Retained
from softswitch.p4runtime.service import MAX_STREAMS
from softswitch.p4runtime.stream import Outbox

from . import fakes
from .conftest import Client, Rig, status_of
from .messages import INSERT, entity, session

FRAME = b"an ethernet frame"
PACKET_IN = Event(EVENT_PACKET_IN, b"\x01\x85" + FRAME)  # ingress_port 3, reason 5


def packet_out(*metadata: tuple[int, bytes]) -> p4r.StreamMessageRequest:
    items = [p4r.PacketMetadata(metadata_id=number, value=value) for number, value in metadata]
    return p4r.StreamMessageRequest(packet=p4r.PacketOut(payload=FRAME, metadata=items))


GOOD = packet_out((2, b"\x07"), (1, b"\x01"))


# --- arbitration and the ends of streams ------------------------------------------------------------------


def test_take_over_and_departure_are_told(client: Client) -> None:
    first, second = client.stream(), client.stream()
    assert first.bid(1).status.code == rpc_code.OK
    assert second.bid(2).status.code == rpc_code.OK
    told = first.take().arbitration
    assert (told.status.code, told.election_id.low) == (rpc_code.ALREADY_EXISTS, 2)
    second.close()
    assert first.take().arbitration.status.code == rpc_code.NOT_FOUND


def test_half_close_ends_the_stream(client: Client) -> None:
    first, second = client.stream(), client.stream()
    first.bid(1)
    second.bid(2)
    first.take()
    second.finish()
    assert first.take().arbitration.status.code == rpc_code.NOT_FOUND
    assert second.call.code() == grpc.StatusCode.OK


@pytest.mark.parametrize(
    ("update", "code"),
    [
        (p4r.MasterArbitrationUpdate(device_id=9), grpc.StatusCode.NOT_FOUND),
        (
            p4r.MasterArbitrationUpdate(device_id=1, election_id=p4r.Uint128(low=1)),
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
    ],
)
def test_wrong_bids_end_the_stream(
    client: Client, update: p4r.MasterArbitrationUpdate, code: grpc.StatusCode
) -> None:
    leader = client.lead()
    stream = client.stream()
    stream.send(p4r.StreamMessageRequest(arbitration=update))
    assert status_of(stream.error())[0] == code
    assert leader.quiet()


def test_changing_role_ends_the_stream_and_frees_its_id(client: Client) -> None:
    stream, backup = client.lead(), client.stream()
    backup.bid(0)
    update = p4r.MasterArbitrationUpdate(device_id=1, role=p4r.Role(name="x"))
    stream.send(p4r.StreamMessageRequest(arbitration=update))
    assert status_of(stream.error())[0] == grpc.StatusCode.FAILED_PRECONDITION
    assert backup.take().arbitration.status.code == rpc_code.NOT_FOUND
    assert backup.bid(1).status.code == rpc_code.OK


def test_number_of_streams_is_bounded_and_others_go_on(client: Client) -> None:
    streams = [client.stream() for _ in range(MAX_STREAMS)]
    for number, stream in enumerate(streams):
        stream.bid(number)
    error = client.stream().error()
    assert status_of(error)[0] == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert client.stub.Capabilities(p4r.CapabilitiesRequest(), timeout=5).p4runtime_api_version == "1.5.0"
    streams[0].close()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        late = client.stream()
        late.send(p4r.StreamMessageRequest(arbitration=p4r.MasterArbitrationUpdate(device_id=1)))
        try:
            late.take()
            return
        except AssertionError:
            time.sleep(0.02)
    pytest.fail("a stream that ended did not make room")


def test_capabilities_of_another_device(client: Client) -> None:
    with pytest.raises(grpc.RpcError) as error:
        client.stub.Capabilities(p4r.CapabilitiesRequest(device_id=2), timeout=5)
    assert status_of(error.value)[0] == grpc.StatusCode.NOT_FOUND


def test_writes_follow_arbitration(rig: Rig, ready: Client) -> None:
    ready.write(session(INSERT))
    other = ready.stream()
    other.bid(5)
    with pytest.raises(grpc.RpcError) as error:
        ready.write(session(INSERT, b"\x02"))
    assert status_of(error.value)[0] == grpc.StatusCode.PERMISSION_DENIED
    ready.write(session(INSERT, b"\x02"), election_id=p4r.Uint128(low=5))


def test_server_that_stops_ends_its_streams(rig: Rig, client: Client) -> None:
    stream = client.lead()
    rig.server.stop()
    assert status_of(stream.error())[0] == grpc.StatusCode.UNAVAILABLE


# --- packets ----------------------------------------------------------------------------------------------


def test_packet_in_reaches_the_primaries_only(rig: Rig, ready: Client) -> None:
    backup = ready.stream()
    backup.bid(0)
    other_role = ready.stream()
    other_role.bid(1, role="telemetry")
    rig.engines[0].events.put(PACKET_IN)
    expected = p4r.PacketIn(
        payload=FRAME,
        metadata=[
            p4r.PacketMetadata(metadata_id=1, value=b"\x03"),
            p4r.PacketMetadata(metadata_id=2, value=b"\x05"),
        ],
    )
    assert ready.streams[0].take().packet == expected
    assert other_role.take().packet == expected
    assert backup.quiet()


def test_a_new_primary_hears_of_the_last_moments(rig: Rig, ready: Client) -> None:
    first, second = ready.streams[0], ready.stream()
    rig.engines[0].events.put(PACKET_IN)
    heard = first.take()
    rig.engines[0].events.put(idle())
    told = first.take().idle_timeout_notification
    second.bid(2)
    assert second.take().idle_timeout_notification.table_entry == told.table_entry
    assert second.take() == heard
    assert second.quiet()


def test_what_found_no_primary_waits_for_the_next_one(rig: Rig, ready: Client) -> None:
    watcher, follower = ready.stream(), ready.stream()
    watcher.send(p4r.StreamMessageRequest(arbitration=p4r.MasterArbitrationUpdate(device_id=1)))
    assert watcher.take().arbitration.status.code == rpc_code.ALREADY_EXISTS
    ready.streams[0].close()
    assert watcher.take().arbitration.status.code == rpc_code.NOT_FOUND
    rig.engines[0].events.put(PACKET_IN)
    rig.engines[0].events.put(idle())
    assert watcher.quiet()
    follower.bid(2)
    assert follower.take().HasField("idle_timeout_notification")
    assert follower.take().HasField("packet")
    assert follower.quiet()


def test_what_was_told_is_told_a_new_primary_again_for_a_while() -> None:
    now = 0.0
    retained = Retained(lambda: now)
    old, new, undelivered = (partial(bytes, 1) for _ in range(3))
    retained.notice(old, delivered=True)
    now = TOLD_SECONDS - 1
    retained.notice(new, delivered=True)
    retained.notice(undelivered)
    assert retained.take() == [old, new, undelivered]
    now = TOLD_SECONDS + 1
    assert retained.take() == [new]
    retained.clear()
    assert retained.take() == []


def test_packets_are_retained_for_a_while_only() -> None:
    now = 0.0
    retained = Retained(lambda: now)
    first, second, notice = (partial(bytes, 1) for _ in range(3))
    retained.packet(first)
    now = SECONDS - 0.5
    retained.packet(second)
    retained.notice(notice)
    assert retained.take() == [notice, first, second]
    now = SECONDS + 0.5
    assert retained.take() == [second]
    retained.clear()
    assert retained.take() == []
    for _ in range(5000):
        retained.packet(first)
    assert len(retained.take()) == 1024


def test_packet_out(rig: Rig, ready: Client) -> None:
    stream = ready.streams[0]
    stream.send(GOOD)
    stream.bid(1)  # answered in order, so the packet has been dealt with
    assert rig.engines[0].sent == [b"\x01\x00\x07" + FRAME]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (packet_out((1, b"\x01")), "metadata missing: port"),
        (packet_out((1, b"\x01"), (2, b"\x01"), (3, b"\x01")), "metadata id 3: not in"),
        (packet_out((1, b"\x01"), (1, b"\x01")), "given twice"),
        (packet_out((1, b"\x01\x01"), (2, b"\x01")), "mode: 0x0101 does not fit in bit<8>"),
        (packet_out((1, b""), (2, b"\x01")), "empty"),
    ],
)
def test_malformed_packet_out_is_answered(
    rig: Rig, ready: Client, message: p4r.StreamMessageRequest, text: str
) -> None:
    stream = ready.streams[0]
    stream.send(message)
    error = stream.take().error
    assert (error.canonical_code, text in error.message) == (rpc_code.INVALID_ARGUMENT, True), error.message
    assert error.packet_out.packet_out == message.packet
    assert rig.engines[0].sent == []


def test_packet_out_from_a_backup_is_answered(rig: Rig, ready: Client) -> None:
    for stream in (ready.stream(), ready.stream()):
        if stream is ready.streams[-1]:
            stream.bid(0)
        stream.send(GOOD)
        assert stream.take().error.canonical_code == rpc_code.PERMISSION_DENIED
    assert rig.engines[0].sent == []


def test_packet_out_before_a_pipeline_is_answered(client: Client) -> None:
    stream = client.lead()
    stream.send(GOOD)
    assert stream.take().error.canonical_code == rpc_code.FAILED_PRECONDITION


def test_empty_and_unknown_messages_are_answered(client: Client) -> None:
    stream = client.lead()
    stream.send(p4r.StreamMessageRequest())
    assert stream.take().error.canonical_code == rpc_code.INVALID_ARGUMENT
    other = p4r.StreamMessageRequest()
    other.other.type_url = "x/y"
    stream.send(other)
    assert stream.take().error.other.other.type_url == "x/y"


def test_broken_event_does_not_stop_later_ones(rig: Rig, ready: Client) -> None:
    rig.engines[0].events.put(Event(EVENT_IDLE, b"\xff" * 80))
    rig.engines[0].events.put(Event(77, b""))
    rig.engines[0].events.put(PACKET_IN)
    assert ready.streams[0].take().packet.payload == FRAME


# --- digests and idle timeouts ----------------------------------------------------------------------------


def digest(mac: bytes, port: int) -> Event:
    return Event(EVENT_DIGEST, struct.pack("=I", fakes.LEARN) + mac.rjust(6, b"\0") + port.to_bytes(2, "big"))


def struct_data(*values: bytes) -> p4d.P4Data:
    data = p4d.P4Data()
    for value in values:
        data.struct.members.add().bitstring = value
    return data


def enable(client: Client, **config: int) -> None:
    entry = p4r.DigestEntry(digest_id=fakes.LEARN, config=p4r.DigestEntry.Config(**config))
    client.write(entity(INSERT, digest_entry=entry))


def test_digest_is_sent_once_until_acknowledged(rig: Rig, ready: Client) -> None:
    stream = ready.streams[0]
    rig.engines[0].events.put(digest(b"\x09", 1))  # not enabled: dropped
    assert stream.quiet()
    enable(ready, max_list_size=1, ack_timeout_ns=60_000_000_000)
    rig.engines[0].events.put(digest(b"\x0a", 1))
    rig.engines[0].events.put(digest(b"\x0a", 1))
    first = stream.take().digest
    assert (first.digest_id, list(first.data)) == (fakes.LEARN, [struct_data(b"\x0a", b"\x01")])
    assert abs(first.timestamp - time.time_ns()) < 60_000_000_000
    assert stream.quiet()
    ack = p4r.DigestListAck(digest_id=fakes.LEARN, list_id=first.list_id)
    stream.send(p4r.StreamMessageRequest(digest_ack=ack))
    stream.bid(1)
    rig.engines[0].events.put(digest(b"\x0a", 1))
    second = stream.take().digest
    assert second.list_id > first.list_id
    assert second.data == first.data


def test_digest_list_goes_out_after_its_time(rig: Rig, ready: Client) -> None:
    enable(ready, max_list_size=100, max_timeout_ns=150_000_000)
    started = time.monotonic()
    for number in (1, 2, 1):
        rig.engines[0].events.put(digest(b"\x0a", number))
    assert len(ready.streams[0].take().digest.data) == 2
    assert time.monotonic() - started >= 0.14


def test_acknowledgement_of_an_unknown_digest_is_answered(ready: Client) -> None:
    stream = ready.streams[0]
    stream.send(p4r.StreamMessageRequest(digest_ack=p4r.DigestListAck(digest_id=5, list_id=1)))
    error = stream.take().error
    assert (error.canonical_code, error.digest_list_ack.digest_list_ack.digest_id) == (
        rpc_code.INVALID_ARGUMENT,
        5,
    )


def idle() -> Event:
    key, ones = b"\x00\x00\x00\x01\x00\x50", b"\xff\xff\xff\xff\x01\xff"
    record = TableRecord(
        fakes.SESSIONS, fakes.TRANSLATE, 0, 0, 0, 3_000, 4_000, 42, 1, 2, key, ones, b"\0\0\0\1\2"
    )
    return Event(EVENT_IDLE, fakes.pack_record(record))


def test_idle_notification_names_the_entry(rig: Rig, ready: Client) -> None:
    rig.engines[0].events.put(idle())
    notification = ready.streams[0].take().idle_timeout_notification
    assert abs(notification.timestamp - time.time_ns()) < 60_000_000_000
    assert list(notification.table_entry) == [
        p4r.TableEntry(
            table_id=fakes.SESSIONS,
            match=session(INSERT, b"\x01").entity.table_entry.match,
            idle_timeout_ns=3_000,
            controller_metadata=42,
        )
    ]


# --- the outbox -------------------------------------------------------------------------------------------


def test_outbox_drops_and_counts_notifications_that_nobody_reads() -> None:
    outbox = Outbox(capacity=2)
    for dropped in (0, 0, 1):
        outbox.offer(b"message")
        assert outbox.dropped == dropped
    assert not outbox.has_room()
    assert outbox.dropped == 2
    outbox.put(b"answer")
    outbox.close()
    assert outbox.take() == [b"message", b"message", b"answer"]
    assert outbox.take() == []
    assert outbox.closed


def test_outbox_gives_up_on_a_client_that_never_reads_answers() -> None:
    outbox = Outbox(capacity=2)
    for _ in range(6):
        outbox.put(b"answer")
    assert len(outbox.take()) == 4
    with pytest.raises(P4RuntimeError) as error:
        outbox.take()
    assert error.value.code == rpc_code.RESOURCE_EXHAUSTED


def test_slow_reader_does_not_hold_up_the_others(rig: Rig, ready: Client) -> None:
    bid = p4r.MasterArbitrationUpdate(device_id=1, role=p4r.Role(name="slow"), election_id=p4r.Uint128(low=1))
    slow = ready.stub.StreamChannel(iter([p4r.StreamMessageRequest(arbitration=bid)]))
    big = Event(EVENT_PACKET_IN, b"\x01\x85" + bytes(60_000))
    for _ in range(100):
        rig.engines[0].events.put(big)
    for _ in range(100):
        assert len(ready.streams[0].take().packet.payload) == 60_000
    slow.cancel()  # type: ignore[no-untyped-call]  # grpc-stubs
