# SPDX-License-Identifier: Apache-2.0
"""Messages in pieces: however the data is cut, the same messages come, and nothing else is taken for one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from finsy.proto import p4i, p4r
from hypothesis import given
from hypothesis import strategies as st

from softswitch import framing
from softswitch.p4runtime.packetio import HeaderCodec


class Pipe:
    """What `framing` uses of grpclib's stream, both ends of it: what is sent is what comes."""

    def __init__(self) -> None:
        self.data_received = 0
        self.pieces = 0
        self._data = b""
        self._ended = False
        self._news = asyncio.Event()

    async def send_data(self, data: bytes) -> None:
        self.data_received += len(data)
        self.pieces += 1
        self._data += data
        self._news.set()

    def end(self) -> None:
        self._ended = True
        self._news.set()

    async def recv_data(self, size: int) -> bytes:
        while len(self._data) < size and not self._ended:
            self._news.clear()
            await self._news.wait()
        if self._ended and not self._data:
            return b""
        assert len(self._data) >= size, "more was asked for than has come"
        taken, self._data = self._data[:size], self._data[size:]
        return taken


def connected(**options: int) -> tuple[Any, framing.Receiver]:
    pipe: Any = Pipe()
    return pipe, framing.Receiver(pipe, **options)


async def test_what_is_sent_together_comes_together() -> None:
    pipe, receiver = connected()
    await framing.send(pipe, [b"one", b"", b"three"])
    assert pipe.pieces == 1
    assert await receiver.receive() == [b"one", b"", b"three"]
    waiting = asyncio.ensure_future(receiver.receive())
    await asyncio.sleep(0)
    assert not waiting.done()
    await framing.send(pipe, [b"four"])
    assert await waiting == [b"four"]
    pipe.end()
    assert await receiver.receive() == []


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=6), st.lists(st.integers(1, 40), min_size=1))
def test_cuts_mean_nothing(messages: list[bytes], cuts: list[int]) -> None:
    async def run() -> None:
        whole: Any = Pipe()
        await framing.send(whole, messages)
        data = await whole.recv_data(whole.data_received)
        pipe, receiver = connected()
        found: list[bytes] = []
        receiving = asyncio.ensure_future(_all(receiver, found))
        for size in cuts * len(data):
            if not data:
                break
            await pipe.send_data(data[:size])
            data = data[size:]
            await asyncio.sleep(0)
        pipe.end()
        await receiving
        assert found == messages

    asyncio.run(run())


async def _all(receiver: framing.Receiver, found: list[bytes]) -> None:
    while messages := await receiver.receive():
        found += messages


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\1\0\0\0\1x", "a message is compressed"),
        (b"\0\0\0\0\x0b" + bytes(11), "a message has 11 bytes, more than 10"),
        (b"\0\0\0\0\x0ahalf", "the stream ends within a message"),
        (b"\0\0", "the stream ends within a message"),
    ],
)
async def test_no_sequence_of_messages(data: bytes, text: str) -> None:
    pipe, receiver = connected(longest=10)
    await pipe.send_data(data)
    pipe.end()
    with pytest.raises(framing.FramingError, match=text):
        await receiver.receive()


FIELDS = (9, 7, 32, 1, 15, 128)


@given(st.tuples(*(st.integers(0, (1 << bits) - 1) for bits in FIELDS)), st.binary(max_size=400))
def test_a_packet_in_is_what_protobuf_makes(values: tuple[int, ...], payload: bytes) -> None:
    header = p4i.ControllerPacketMetadata()
    number = 0
    packet = p4r.PacketIn(payload=payload)
    for index, (bits, value) in enumerate(zip(FIELDS, values, strict=True), 1):
        header.metadata.add(id=index * 100, name=f"f{index}", bitwidth=bits)
        number = number << bits | value
        shortest = value.to_bytes((value.bit_length() + 7) // 8 or 1, "big")
        packet.metadata.add(metadata_id=index * 100, value=shortest)
    frame = number.to_bytes(sum(FIELDS) // 8, "big") + payload
    found = HeaderCodec(header, {field.id for field in header.metadata}).notification(frame)
    assert found == p4r.StreamMessageResponse(packet=packet).SerializeToString()
