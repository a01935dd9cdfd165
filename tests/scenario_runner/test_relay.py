# SPDX-License-Identifier: Apache-2.0
"""The relay between controller and switch: everything passes as it is, answers to Write later."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from controller.scenario.relay import Relay
from controller.scenario.steps.control import resident_bytes

METHOD = "/p4.v1.P4Runtime/"


class _Switch(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs alone
    """Answers in kind; a Write of b"bad" is refused with details."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        name = handler_call_details.method.removeprefix(METHOD)
        if name == "StreamChannel":
            return grpc.stream_stream_rpc_method_handler(lambda requests, _: (b"<" + r for r in requests))
        if name == "Read":
            return grpc.unary_stream_rpc_method_handler(lambda request, _: iter([request, request]))
        return grpc.unary_unary_rpc_method_handler(self._write)

    @staticmethod
    def _write(request: bytes, context: grpc.ServicerContext) -> bytes:
        if request == b"bad":
            context.set_trailing_metadata((("grpc-status-details-bin", b"\x01\x02"),))
            context.abort(grpc.StatusCode.UNKNOWN, "an update failed")
        return request


@pytest.fixture
def relayed(tmp_path: Path) -> Iterator[tuple[Relay, Any]]:
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((_Switch(),))
    server.add_insecure_port(f"unix:{tmp_path}/switch.sock")
    server.start()
    relay = Relay(f"unix:{tmp_path}/relay.sock", f"unix:{tmp_path}/switch.sock")
    with grpc.insecure_channel(f"unix:{tmp_path}/relay.sock") as channel:
        yield relay, channel
    relay.close()
    server.stop(None).wait()


def test_all_kinds_of_rpc_pass(relayed: tuple[Relay, Any]) -> None:
    _, channel = relayed
    assert list(channel.stream_stream(METHOD + "StreamChannel")(iter([b"a", b"b"]))) == [b"<a", b"<b"]
    assert list(channel.unary_stream(METHOD + "Read")(b"c")) == [b"c", b"c"]
    assert channel.unary_unary(METHOD + "Write")(b"d") == b"d"


def test_only_answers_to_write_are_late(relayed: tuple[Relay, Any]) -> None:
    relay, channel = relayed
    relay.delay_s = 2
    start = time.monotonic()
    assert channel.unary_unary(METHOD + "Capabilities")(b"d") == b"d"
    assert time.monotonic() - start < 2
    assert channel.unary_unary(METHOD + "Write")(b"d") == b"d"
    assert time.monotonic() - start >= 2


def test_refusals_pass_with_their_details(relayed: tuple[Relay, Any]) -> None:
    _, channel = relayed
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(METHOD + "Write")(b"bad")
    error: Any = caught.value
    assert (error.code(), error.details()) == (grpc.StatusCode.UNKNOWN, "an update failed")
    assert ("grpc-status-details-bin", b"\x01\x02") in list(error.trailing_metadata())


def test_closing_ends_what_is_held(relayed: tuple[Relay, Any]) -> None:
    relay, channel = relayed
    relay.delay_s = 60
    call = channel.unary_unary(METHOD + "Write").future(b"d")
    with pytest.raises(grpc.FutureTimeoutError):
        call.result(timeout=0.3)
    start = time.monotonic()
    relay.close()
    with pytest.raises(grpc.RpcError):
        call.result(timeout=5)
    assert time.monotonic() - start < 5


def test_resident_memory_of_a_process() -> None:
    assert resident_bytes("Name:\tx\nVmHWM:\t  9 kB\nVmRSS:\t   1500 kB\nThreads:\t1\n") == 1500 * 1024
