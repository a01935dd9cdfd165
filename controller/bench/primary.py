# SPDX-License-Identifier: Apache-2.0
"""A switch's primary in the place of a controller: writes and reads as fast as they go."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator
from typing import Any

import grpc

from controller.p4.proto import p4r, update
from controller.p4.writer import INSERT

_SERVICE = "/p4.v1.P4Runtime/"
_LEADER = 1 << 40  # an election id above the controller's, which has ended by then


class Primary:
    """The primary of one switch, with the three calls that the bench makes."""

    def __init__(self, address: str, device_id: int) -> None:
        self._channel = grpc.insecure_channel(address)
        self._election = p4r.Uint128(high=_LEADER)
        self._device_id = device_id
        self._requests: queue.Queue[p4r.StreamMessageRequest | None] = queue.Queue()
        stream = self._channel.stream_stream(
            _SERVICE + "StreamChannel",
            request_serializer=p4r.StreamMessageRequest.SerializeToString,
            response_deserializer=p4r.StreamMessageResponse.FromString,
        )
        bid = p4r.MasterArbitrationUpdate(device_id=device_id, election_id=self._election)
        self._requests.put(p4r.StreamMessageRequest(arbitration=bid))
        self._answers: Iterator[Any] = stream(iter(self._requests.get, None))  # type: ignore[assignment]
        next(self._answers)
        self._write = self._channel.unary_unary(
            _SERVICE + "Write", request_serializer=bytes, response_deserializer=p4r.WriteResponse.FromString
        )
        self._read = self._channel.unary_stream(
            _SERVICE + "Read",
            request_serializer=p4r.ReadRequest.SerializeToString,
            response_deserializer=p4r.ReadResponse.FromString,
        )

    def request(self, entities: Iterable[bytes]) -> bytes:
        """A Write that inserts these entities, encoded."""
        request = p4r.WriteRequest(device_id=self._device_id, election_id=self._election)
        data: bytes = request.SerializeToString()
        return data + b"".join(update(INSERT, entity) for entity in entities)

    def write(self, request: bytes) -> None:
        self._write(request)

    def read_all(self, table_id: int) -> int:
        """Reads a whole table; how many entries came."""
        request = p4r.ReadRequest(device_id=self._device_id)
        request.entities.add().table_entry.table_id = table_id
        return sum(len(answer.entities) for answer in self._read(request))

    def close(self) -> None:
        self._requests.put(None)
        self._channel.close()
