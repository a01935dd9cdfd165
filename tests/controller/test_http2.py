# SPDX-License-Identifier: Apache-2.0
"""The HTTP/2 half of the controller's hot path, frame by frame, without a network."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator

import pytest
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from controller.p4.http2 import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Fields,
    Http2,
    Http2Error,
    frame,
)

Frame = tuple[int, int, int, bytes]  # kind, flags, stream, payload


class Notes:
    """A handler that notes what it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def on_headers(self, stream: int, fields: Fields, ended: bool) -> None:
        self.heard.append(("headers", stream, dict(fields), ended))

    def on_data(self, stream: int, data: bytes, ended: bool) -> None:
        self.heard.append(("data", stream, data, ended))

    def on_reset(self, stream: int, code: int) -> None:
        self.heard.append(("reset", stream, code))


def frames(data: bytes) -> Iterator[Frame]:
    while data:
        length = int.from_bytes(data[:3])
        yield data[3], data[4], int.from_bytes(data[5:9]), data[9 : 9 + length]
        data = data[9 + length :]


def block(*fields: tuple[str, str]) -> bytes:
    encoder = Encoder()
    encoder.header_table_size = 0
    return encoder.encode(fields)


def u32(number: int) -> bytes:
    return struct.pack("!I", number)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def http2(notes: Notes) -> Http2:
    """Its preface is sent, and a stream 1 is open."""
    made = Http2(notes)
    made.open(block((":method", "POST")))
    made.take()
    return made


def test_the_beginning(notes: Notes) -> None:
    http2 = Http2(notes)
    assert http2.open(block((":method", "POST"), (":path", "/a"))) == 1
    assert http2.open(b"") == 3
    data = http2.take()
    assert data.startswith(PREFACE)
    settings, window, headers, _ = frames(data[len(PREFACE) :])
    assert settings[0] == SETTINGS
    assert dict(struct.iter_unpack("!HI", settings[3])) == {1: 0, 2: 0, 4: 1 << 30}
    assert window[:3] == (WINDOW_UPDATE, 0, 0)
    assert headers[:3] == (HEADERS, END_HEADERS, 1)
    assert dict(Decoder().decode(headers[3], raw=True)) == {b":method": b"POST", b":path": b"/a"}
    assert http2.take() == b""


def test_an_answer(http2: Http2, notes: Notes) -> None:
    answer = (
        frame(HEADERS, END_HEADERS, 1, block((":status", "200")))
        + frame(DATA, 0, 1, b"abc")
        + frame(DATA, PADDED, 1, b"\x02def\0\0")
        + frame(HEADERS, PRIORITY, 1, bytes(5) + block(("grpc-status", "0"))[:4])
        + frame(CONTINUATION, END_HEADERS, 1, block(("grpc-status", "0"))[4:])
        + frame(HEADERS, END_HEADERS | END_STREAM, 1, block(("x", "y")))
    )
    for at in range(len(answer)):  # byte by byte
        http2.receive(answer[at : at + 1])
    assert notes.heard == [
        ("headers", 1, {b":status": b"200"}, False),
        ("data", 1, b"abc", False),
        ("data", 1, b"def", False),
        ("headers", 1, {b"grpc-status": b"0"}, False),
        ("headers", 1, {b"x": b"y"}, True),
    ]
    http2.receive(frame(DATA, 0, 1, b"late"))
    assert len(notes.heard) == 5


def test_what_the_peer_wants_answered(http2: Http2) -> None:
    http2.receive(frame(SETTINGS, 0, 0) + frame(PING, 0, 0, b"12345678") + frame(PING, ACK, 0, bytes(8)))
    http2.receive(frame(SETTINGS, ACK, 0) + frame(0xEE, 0, 0, b"unknown kinds are ignored"))
    assert list(frames(http2.take())) == [(SETTINGS, ACK, 0, b""), (PING, ACK, 0, b"12345678")]


def test_data_waits_for_the_windows(http2: Http2) -> None:
    data = bytes(range(256)) * 400  # 102,400 bytes
    http2.send(1, data, end=True)
    sent = list(frames(http2.take()))
    assert sum(len(payload) for *_, payload in sent) == 65_535
    assert max(len(payload) for *_, payload in sent) == 16_384
    assert http2.backlog(1) == 4
    http2.receive(frame(WINDOW_UPDATE, 0, 1, u32(100_000)))  # the connection's is still shut
    assert http2.take() == b""
    http2.receive(frame(WINDOW_UPDATE, 0, 0, u32(100_000)))
    sent += frames(http2.take())
    assert b"".join(payload for *_, payload in sent) == data
    assert [flags for _, flags, *_ in sent] == [0] * (len(sent) - 1) + [END_STREAM]
    assert http2.backlog(1) == 0


def test_settings_move_the_windows_of_open_streams(http2: Http2) -> None:
    http2.receive(frame(SETTINGS, 0, 0, struct.pack("!HI", 4, 10)))
    http2.take()
    http2.send(1, b"0123456789abcdef")
    http2.send(1, b"ghi")
    assert [payload for *_, payload in frames(http2.take())] == [b"0123456789"]
    http2.receive(frame(SETTINGS, 0, 0, struct.pack("!HI", 4, 100)))
    assert [payload for kind, *_, payload in frames(http2.take()) if kind == DATA] == [b"abcdef", b"ghi"]


def test_the_peers_windows_are_filled_up_again(http2: Http2) -> None:
    for _ in range(256):
        http2.receive(frame(DATA, 0, 1, bytes(16_384)))
    updates = [(stream, int.from_bytes(payload)) for _, _, stream, payload in frames(http2.take())]
    assert updates == [(0, 1 << 22), (1, 1 << 22)]


def test_streams_that_are_given_up(http2: Http2, notes: Notes) -> None:
    http2.reset(1)
    http2.reset(1)
    assert list(frames(http2.take())) == [(RST_STREAM, 0, 1, u32(8))]
    http2.send(1, b"nobody wants it")
    http2.receive(frame(HEADERS, END_HEADERS, 1, block((":status", "200"))) + frame(RST_STREAM, 0, 1, u32(2)))
    assert http2.take() == b""
    assert notes.heard == []
    http2.open(b"")
    http2.receive(frame(RST_STREAM, 0, 3, u32(2)))
    assert notes.heard == [("reset", 3, 2)]


def test_a_peer_that_goes_away(http2: Http2, notes: Notes) -> None:
    http2.receive(frame(GOAWAY, 0, 0, u32(1) + u32(0)))
    with pytest.raises(Http2Error, match="takes no more calls"):
        http2.open(b"")
    http2.receive(frame(DATA, END_STREAM, 1, b"the last"))
    assert notes.heard == [("data", 1, b"the last", True)]
    with pytest.raises(Http2Error, match=r"ends the connection \(code 11\) too_many_pings"):
        http2.receive(frame(GOAWAY, 0, 0, u32(1) + u32(11) + b"too_many_pings"))


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        frame(DATA, PADDED, 1, b""),
        frame(DATA, PADDED, 1, b"\x05abc"),
        frame(HEADERS, 0, 1, b"") + frame(PING, 0, 0, bytes(8)),
        frame(HEADERS, 0, 1, b"") + frame(CONTINUATION, END_HEADERS, 3, b""),
        frame(CONTINUATION, END_HEADERS, 1, b""),
        frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff"),
        frame(
            HEADERS, END_HEADERS, 1, b"\x3f\xe1\x1f"
        ),  # a dynamic table of 4096 bytes, which we do not allow
        frame(SETTINGS, 0, 0, b"12345"),
        frame(WINDOW_UPDATE, 0, 0, b"123"),
    ],
)
def test_what_is_not_allowed(http2: Http2, data: bytes) -> None:
    with pytest.raises(Http2Error):
        http2.receive(data)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10), st.integers(0, 255), st.sampled_from([0, 1, 3, 5]), st.binary(max_size=40)
        )
    ),
    st.binary(max_size=30),
)
def test_any_bytes_are_survived(sequence: list[Frame], rest: bytes) -> None:
    http2 = Http2(Notes())
    http2.open(b"")
    with contextlib.suppress(Http2Error):
        for kind, flags, stream, payload in sequence:
            http2.receive(frame(kind, flags, stream, payload))
        http2.receive(rest)
    http2.send(1, b"more")
    assert http2.take()
