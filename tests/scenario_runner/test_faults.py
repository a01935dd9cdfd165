# SPDX-License-Identifier: Apache-2.0
"""The faults of a relay: what a switch seems to refuse or to say, and a network that is cut."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from finsy.proto import p4r, rpc_code, rpc_status

from controller.scenario.faults import read_back, refusal
from controller.scenario.relay import Relay


def write(*updates: tuple[int, int]) -> bytes:
    """A Write of updates of (type, idle timeout)."""
    request = p4r.WriteRequest()
    for kind, idle in updates:
        update = request.updates.add()
        update.type = kind  # type: ignore[assignment]
        update.entity.table_entry.table_id = 7
        update.entity.table_entry.idle_timeout_ns = idle
    return request.SerializeToString()


def codes(details: bytes | None) -> list[int]:
    assert details is not None
    found = []
    for detail in rpc_status.Status.FromString(details).details:
        error = p4r.Error()
        assert detail.Unpack(error)
        found.append(error.canonical_code)
    return found


INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE


def test_only_sessions_are_refused() -> None:
    assert refusal("none", write((INSERT, 5))) is None
    assert refusal("refuse", write((INSERT, 0), (DELETE, 5))) is None
    mixed = write((INSERT, 5), (MODIFY, 5), (INSERT, 0))
    assert codes(refusal("refuse", mixed)) == [rpc_code.INTERNAL, rpc_code.INTERNAL, rpc_code.ABORTED]
    assert codes(refusal("full", mixed)) == [
        rpc_code.RESOURCE_EXHAUSTED,
        rpc_code.ABORTED,
        rpc_code.ABORTED,
    ]
    assert refusal("full", write((MODIFY, 5))) is None


def test_sessions_are_read_back_otherwise() -> None:
    response = p4r.ReadResponse()
    for idle in (0, 5):
        row = response.entities.add().table_entry
        row.idle_timeout_ns = idle
        row.action.action.params.add(param_id=1, value=b"\x01")
    same = response.SerializeToString()
    assert read_back("none", same) == same
    changed = p4r.ReadResponse.FromString(read_back("lie", same))
    assert [e.table_entry.action.action.params[0].value for e in changed.entities] == [b"\x01", b"\x2a"]


class _Echo(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs alone
    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        if handler_call_details.method.endswith("StreamChannel"):
            return grpc.stream_stream_rpc_method_handler(lambda requests, _: requests)
        return grpc.unary_unary_rpc_method_handler(self._write)

    def _write(self, request: bytes, _: grpc.ServicerContext) -> bytes:
        self.writes.append(request)
        return request


@pytest.fixture
def relayed(tmp_path: Path) -> Iterator[tuple[Relay, _Echo, Any]]:
    echo = _Echo()
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((echo,))
    server.add_insecure_port(f"unix:{tmp_path}/switch.sock")
    server.start()
    relay = Relay(f"unix:{tmp_path}/relay.sock", f"unix:{tmp_path}/switch.sock")
    with grpc.insecure_channel(f"unix:{tmp_path}/relay.sock") as channel:
        yield relay, echo, channel
    relay.close()
    server.stop(None).wait()


def test_through_a_cut_nothing_passes_until_it_is_whole(relayed: tuple[Relay, _Echo, Any]) -> None:
    relay, echo, channel = relayed
    stop = threading.Event()

    def requests() -> Iterator[bytes]:
        yield b"a"
        stop.wait()

    stream = channel.stream_stream("/p4.v1.P4Runtime/StreamChannel")(requests())
    assert next(stream) == b"a"
    call = channel.unary_unary("/p4.v1.P4Runtime/Write")
    relay.fault = "cut"
    with pytest.raises(grpc.RpcError) as caught:
        call(b"given up", timeout=0.3)
    error: Any = caught.value
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    late = call.future(b"late", timeout=10)
    assert not stop.wait(0.2)
    assert not late.done()
    relay.fault = "none"
    assert late.result() == b"late"
    assert echo.writes == [b"late"]
    stop.set()
