# SPDX-License-Identifier: Apache-2.0
"""The controller's own gRPC client against the library's server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from controller.p4.grpc_wire import Call, Wire

BIG = bytes(range(256)) * 4096  # 1 MiB
DETAILS = bytes(range(200))


class Service(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs only
    """/test/echo and so on; a request says what to do."""

    def service(self, details: Any) -> Any:
        name = details.method.rpartition("/")[2]
        if name == "unary":
            return grpc.unary_unary_rpc_method_handler(self.unary)
        if name == "stream":
            return grpc.stream_stream_rpc_method_handler(self.stream)
        return None

    def unary(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        if request == b"slow":
            context.add_callback(lambda: None)
            while context.is_active():
                pass
        if request == b"fail":
            context.set_trailing_metadata((("grpc-status-details-bin", DETAILS),))
            context.abort(grpc.StatusCode.UNKNOWN, "100 % ünlikely\n")
        return request

    def stream(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for request in requests:
            if request == b"end":
                return
            if request == b"fail":
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")
            yield request


@pytest.fixture(params=["unix", "tcp"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[grpc.Server, str]]:
    options = [("grpc.max_receive_message_length", 1 << 24), ("grpc.max_send_message_length", 1 << 24)]
    made = grpc.server(ThreadPoolExecutor(4), options=options)
    made.add_generic_rpc_handlers((Service(),))
    address = f"unix:{tmp_path}/s" if request.param == "unix" else "127.0.0.1:0"
    port = made.add_insecure_port(address)
    made.start()
    yield made, address if request.param == "unix" else f"127.0.0.1:{port}"
    made.stop(None)


@pytest.fixture
async def wire(server: tuple[grpc.Server, str]) -> AsyncIterator[Wire]:
    made = await Wire.connect(server[1])
    yield made
    made.close()


async def test_unary_calls(wire: Wire) -> None:
    assert await wire.unary("/test/unary", b"", 5) == b""
    assert await wire.unary("/test/unary", BIG, 5) == BIG  # larger than the windows, both ways
    requests = [str(n).encode() for n in range(200)]
    assert await asyncio.gather(*(wire.unary("/test/unary", r, 5) for r in requests)) == requests


async def test_a_failure_comes_with_its_details(wire: Wire) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await wire.unary("/test/unary", b"fail", 5)
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
    assert caught.value.details() == "100 % ünlikely\n"
    [(name, value)] = cast("list[tuple[str, bytes]]", list(caught.value.trailing_metadata()))
    assert (name, value) == ("grpc-status-details-bin", DETAILS)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await wire.unary("/test/unknown", b"", 5)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_no_answer_in_time(wire: Wire) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await wire.unary("/test/unary", b"slow", 0.1)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert await wire.unary("/test/unary", b"fast", 5) == b"fast"


async def test_a_stream_of_many_messages(wire: Wire) -> None:
    messages = [bytes([n % 256]) * (n % 700) for n in range(3000)] + [BIG]
    got: list[bytes] = []
    ended = asyncio.Event()
    call = Call(wire, "/test/stream", got.append, ended.set)
    for message in messages:
        call.send(message)
    call.send(b"end")
    async with asyncio.timeout(20):
        await call.wait()
        await ended.wait()
    assert got == messages
    assert call.ended
    assert call.backlog() == 0


async def test_a_stream_that_fails(wire: Wire) -> None:
    call = Call(wire, "/test/stream", lambda _: None)
    call.send(b"fail")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with asyncio.timeout(5):
            await call.wait()
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "no")


async def test_a_server_that_goes(server: tuple[grpc.Server, str], wire: Wire) -> None:
    call = Call(wire, "/test/stream", lambda _: None)
    call.send(b"something")
    await asyncio.sleep(0.05)
    server[0].stop(None)
    with pytest.raises(grpc.aio.AioRpcError):
        async with asyncio.timeout(5):
            await call.wait()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await wire.unary("/test/unary", b"", 1)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_closing_ends_the_calls(wire: Wire) -> None:
    call = Call(wire, "/test/stream", lambda _: None)
    wire.close()
    with pytest.raises(grpc.aio.AioRpcError, match="closed"):
        await call.wait()
    with pytest.raises(grpc.aio.AioRpcError, match="closed"):
        Call(wire, "/test/stream", lambda _: None)


async def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="No such file or directory"):
        await Wire.connect(f"unix:{tmp_path}/nothing")
    with pytest.raises(grpc.aio.AioRpcError, match=r"Connect call failed|refused"):
        await Wire.connect("127.0.0.1:1")


async def test_a_server_of_another_kind(tmp_path: Path) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server = await asyncio.start_unix_server(answer, f"{tmp_path}/s")
    wire = await Wire.connect(f"unix:{tmp_path}/s")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await wire.unary("/test/unary", b"", 5)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    server.close()
