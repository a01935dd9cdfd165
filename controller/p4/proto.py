# SPDX-License-Identifier: Apache-2.0
"""The protobuf modules that finsy brings, and the two messages that are built by hand on the hot path.

finsy's generated modules come with stubs for messages, not for the gRPC service: `Stub` keeps that in one
place. Serialised messages may be concatenated field by field (protobuf encoding, "repeated fields"), so
an update is encoded once and sent to any number of switches.
"""

from __future__ import annotations

from typing import Any

import grpc
from finsy.proto import p4i, p4r, rpc_code, rpc_status

__all__ = [
    "STREAM_CHANNEL",
    "Stub",
    "encode_uint",
    "field",
    "p4i",
    "p4r",
    "packet_out",
    "rpc_code",
    "rpc_status",
    "update",
]

_SERVICE = "/p4.v1.P4Runtime/"
STREAM_CHANNEL = _SERVICE + "StreamChannel"
_UPDATES = 4  # WriteRequest.updates
_UPDATE_ENTITY = 2  # Update.entity
_STREAM_PACKET = 2  # StreamMessageRequest.packet
_PACKET_PAYLOAD = 1  # PacketOut.payload


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, value: bytes) -> bytes:
    """A length-delimited protobuf field."""
    length = len(value)
    if length < 0x80:
        return bytes((number << 3 | 2, length)) + value
    return bytes((number << 3 | 2,)) + _varint(length) + value


def update(kind: int, entity: bytes) -> bytes:
    """A `p4.v1.Update` field of a WriteRequest out of its type and a serialised Entity."""
    return field(_UPDATES, bytes((1 << 3, kind)) + field(_UPDATE_ENTITY, entity))


def packet_out(metadata: bytes, frame: bytes) -> bytes:
    """A StreamMessageRequest with a PacketOut; `metadata` is its serialised metadata fields."""
    return field(_STREAM_PACKET, field(_PACKET_PAYLOAD, frame) + metadata)


def encode_uint(value: int) -> bytes:
    """The shortest big-endian bytes of a value (P4Runtime specification, "Bytestrings"); zero is one byte."""
    return value.to_bytes((value.bit_length() + 7) // 8 or 1, "big")


class Stub:
    """The RPCs that need another time limit than finsy's. `write` takes serialised requests."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        def identity(data: bytes) -> bytes:
            return data

        def unary(name: str, serialize: Any, response: Any) -> Any:
            return channel.unary_unary(
                _SERVICE + name, request_serializer=serialize, response_deserializer=response.FromString
            )

        def encode(message: Any) -> bytes:
            data: bytes = message.SerializeToString()
            return data

        self.write = unary("Write", identity, p4r.WriteResponse)
        self.set_pipeline = unary(
            "SetForwardingPipelineConfig", encode, p4r.SetForwardingPipelineConfigResponse
        )
        self.read: Any = channel.unary_stream(
            _SERVICE + "Read", request_serializer=encode, response_deserializer=p4r.ReadResponse.FromString
        )
