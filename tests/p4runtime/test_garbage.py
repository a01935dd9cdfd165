# SPDX-License-Identifier: Apache-2.0
"""Whatever a client sends, the server answers with a status and goes on."""

from __future__ import annotations

import random
from typing import cast

import grpc
import pytest
from finsy.proto import p4r
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from . import fakes
from .conftest import Client, Rig
from .messages import INSERT, session

METHODS = ["Write", "Read", "SetForwardingPipelineConfig", "GetForwardingPipelineConfig", "Capabilities"]
EXPECTED = {
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.INTERNAL,  # gRPC's answer to bytes that are no message
}
IDS = [
    fakes.SESSIONS,
    fakes.ROUTES,
    fakes.ACL,
    fakes.FIXED,
    fakes.EPOCH,
    fakes.DROPS,
    fakes.SYN_METER,
    fakes.STATE,
]
IDS += [fakes.LEARN, fakes.TRANSLATE, fakes.FORWARD, fakes.NO_ACTION, 0, 1, 2, 3, 0xFFFFFFFF]


def scramble(message: Message, rng: random.Random, depth: int = 0) -> None:
    """Fill a message with values that are partly sensible, partly not."""
    for field in cast(Descriptor, message.DESCRIPTOR).fields:
        if rng.random() < 0.35 or depth > 6 or _is_foreign(field.message_type):
            continue
        repeated = field.is_repeated
        for _ in range(rng.randrange(1, 4) if repeated else 1):
            if field.message_type:
                if repeated:
                    scramble(getattr(message, field.name).add(), rng, depth + 1)
                else:
                    getattr(message, field.name).SetInParent()
                    scramble(getattr(message, field.name), rng, depth + 1)
            elif repeated:
                getattr(message, field.name).append(value(field, rng))
            else:
                setattr(message, field.name, value(field, rng))


def _is_foreign(kind: Descriptor | None) -> bool:
    """Maps, and messages of protobuf's own."""
    return kind is not None and (kind.GetOptions().map_entry or kind.full_name.startswith("google"))


def value(field: FieldDescriptor, rng: random.Random) -> object:
    kind = field.type
    if kind == FieldDescriptor.TYPE_BYTES:
        return rng.randbytes(rng.choice([0, 1, 2, 4, 5, 300]))
    if kind == FieldDescriptor.TYPE_STRING:
        return rng.choice(["", "x", "ü" * 40])
    if kind == FieldDescriptor.TYPE_BOOL:
        return rng.random() < 0.5
    if kind == FieldDescriptor.TYPE_ENUM:
        return rng.choice([0, 1, 2, 3, 4, 5, 99])
    if field.name == "device_id":
        return 1
    if kind in (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64):
        return rng.choice([0, 1, 2, 8, 33, -1, -(1 << 31), (1 << 31) - 1])
    return rng.choice(IDS)


def call(client: Client, method: str, data: bytes) -> grpc.StatusCode:
    path = f"/p4.v1.P4Runtime/{method}"
    try:
        if method == "Read":
            for _ in client.channel.unary_stream(path, None, None)(data, timeout=10):
                pass
        else:
            client.channel.unary_unary(path, None, None)(data, timeout=10)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_random_bytes(rig: Rig, ready: Client) -> None:
    rng = random.Random(1)
    codes = {call(ready, rng.choice(METHODS), rng.randbytes(rng.randrange(60))) for _ in range(150)}
    assert codes <= EXPECTED | {grpc.StatusCode.OK}
    ready.write(session(INSERT))


@pytest.mark.parametrize("seed", range(4))
def test_random_messages(rig: Rig, ready: Client, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    rng = random.Random(seed)
    kinds: list[tuple[str, type[Message]]] = [
        ("Write", p4r.WriteRequest),
        ("Read", p4r.ReadRequest),
        ("GetForwardingPipelineConfig", p4r.GetForwardingPipelineConfigRequest),
        ("SetForwardingPipelineConfig", p4r.SetForwardingPipelineConfigRequest),
    ]
    for _ in range(60):
        method, kind = rng.choice(kinds)
        message = kind()
        scramble(message, rng)
        if isinstance(message, p4r.WriteRequest):
            message.role = ""
            message.atomicity = p4r.WriteRequest.CONTINUE_ON_ERROR
            message.election_id.CopyFrom(p4r.Uint128(low=1))
        code = call(ready, method, message.SerializeToString())
        assert code in EXPECTED - {grpc.StatusCode.INTERNAL} | {grpc.StatusCode.OK}, message
    ready.write(session(INSERT, b"\x77"))
    assert not caplog.records


def test_random_stream_messages(rig: Rig, ready: Client) -> None:
    rng = random.Random(5)
    stream = ready.streams[0]
    for _ in range(80):
        message = p4r.StreamMessageRequest()
        scramble(message, rng)
        if message.WhichOneof("update") != "arbitration":
            stream.send(message)
    bid = p4r.MasterArbitrationUpdate(device_id=1, election_id=p4r.Uint128(low=1))
    stream.send(p4r.StreamMessageRequest(arbitration=bid))
    kinds = set()
    while (answer := stream.take()).WhichOneof("update") != "arbitration":
        kinds.add(answer.WhichOneof("update"))
    assert kinds == {"error"}
    assert answer.arbitration.status.code == 0
