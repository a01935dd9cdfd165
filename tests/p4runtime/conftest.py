# SPDX-License-Identifier: Apache-2.0
"""A server with a dictionary for a data plane, and a plain gRPC client for it, over a unix socket."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from finsy.proto import p4r, p4r_grpc, rpc_status

from softswitch.p4runtime.device import Device, DeviceOptions, Port
from softswitch.p4runtime.server import Server

from .fakes import FakeEngine, compile_fake, p4info

TEXT = b"// a program\n"


class Stream:
    """A StreamChannel of a test: send, and take what comes within a time."""

    def __init__(self, stub: p4r_grpc.P4RuntimeStub) -> None:
        self._requests: queue.Queue[p4r.StreamMessageRequest | None] = queue.Queue()
        self._received: queue.Queue[p4r.StreamMessageResponse | grpc.RpcError | None] = queue.Queue()
        self.call = stub.StreamChannel(iter(self._requests.get, None))
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            for message in self.call:
                self._received.put(message)
            self._received.put(None)
        except grpc.RpcError as error:
            self._received.put(error)

    def send(self, message: p4r.StreamMessageRequest) -> None:
        self._requests.put(message)

    def take(self, timeout: float = 5.0) -> p4r.StreamMessageResponse:
        """The next message; fails the test on an end or an error."""
        message = self._received.get(timeout=timeout)
        assert isinstance(message, p4r.StreamMessageResponse), message
        return message

    def error(self, timeout: float = 5.0) -> grpc.RpcError:
        """The error that the stream ends with."""
        message = self._received.get(timeout=timeout)
        assert isinstance(message, grpc.RpcError), message
        return message

    def quiet(self, seconds: float = 0.1) -> bool:
        """Does nothing come for a while?"""
        with contextlib.suppress(queue.Empty):
            self._received.get(timeout=seconds)
            return False
        return True

    def bid(self, election_id: int, *, device_id: int = 1, role: str = "") -> p4r.MasterArbitrationUpdate:
        update = p4r.MasterArbitrationUpdate(device_id=device_id, election_id=p4r.Uint128(low=election_id))
        if role:
            update.role.name = role
        self.send(p4r.StreamMessageRequest(arbitration=update))
        return self.take().arbitration

    def finish(self) -> None:
        """Half-close, as a client that has nothing more to say."""
        self._requests.put(None)

    def close(self) -> None:
        self.call.cancel()  # type: ignore[no-untyped-call]  # grpc-stubs


class Client:
    """Shortcuts for what the tests ask of the server. It is the primary with election id 1 once `lead` was
    called."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(address, options=[("grpc.max_metadata_size", 1 << 20)])
        self.stub = p4r_grpc.P4RuntimeStub(self.channel)
        self.streams: list[Stream] = []

    def stream(self) -> Stream:
        stream = Stream(self.stub)
        self.streams.append(stream)
        return stream

    def lead(self) -> Stream:
        stream = self.stream()
        assert stream.bid(1).status.code == 0
        return stream

    def push(
        self,
        action: int = p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
        text: bytes | None = TEXT,
        **changes: Any,
    ) -> None:
        request = p4r.SetForwardingPipelineConfigRequest(
            device_id=1,
            election_id=p4r.Uint128(low=1),
            action=action,  # type: ignore[arg-type]
        )
        if text is not None:
            request.config.p4info.CopyFrom(p4info())
            request.config.p4_device_config = text
            request.config.cookie.cookie = 77
        request.MergeFrom(p4r.SetForwardingPipelineConfigRequest(**changes))
        self.stub.SetForwardingPipelineConfig(request, timeout=5)

    def write(self, *updates: p4r.Update, **changes: Any) -> None:
        request = p4r.WriteRequest(device_id=1, election_id=p4r.Uint128(low=1), updates=updates)
        request.MergeFrom(p4r.WriteRequest(**changes))
        self.stub.Write(request, timeout=5)

    def read(self, *queries: p4r.Entity, device_id: int = 1) -> list[p4r.Entity]:
        request = p4r.ReadRequest(device_id=device_id, entities=queries)
        return [entity for part in self.stub.Read(request, timeout=5) for entity in part.entities]

    def close(self) -> None:
        for stream in self.streams:
            stream.close()
        self.channel.close()


def status_of(error: grpc.RpcError) -> tuple[grpc.StatusCode, str]:
    """Code and text of a failed call."""
    assert isinstance(error, grpc.Call)
    return error.code(), error.details() or ""


def details_of(error: grpc.RpcError) -> list[tuple[int, str]]:
    """(code, text) of each p4.v1.Error in a failed call."""
    assert isinstance(error, grpc.Call)
    [data] = [value for key, value in error.trailing_metadata() or () if key == "grpc-status-details-bin"]
    assert isinstance(data, bytes)
    result = []
    for detail in rpc_status.Status.FromString(data).details:
        item = p4r.Error()
        assert detail.Unpack(item)
        result.append((item.canonical_code, item.message))
    return result


class Rig:
    """A served device with its engines in the order in which they were made."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.engines: list[FakeEngine] = []
        self.device = Device(DeviceOptions(**options), compile_fake, self._open)
        self.address = f"unix:{folder}/s.sock"
        self.server = Server(self.device, self.address)
        self.server.start()

    def _open(self, *arguments: object) -> FakeEngine:
        self.engines.append(FakeEngine(*arguments))
        return self.engines[-1]

    def close(self) -> None:
        self.server.stop()
        self.device.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, ports=(Port(1, "veth1"),))
    yield rig
    rig.close()


@pytest.fixture
def client(rig: Rig) -> Iterator[Client]:
    client = Client(rig.address)
    yield client
    client.close()


@pytest.fixture
def ready(rig: Rig, client: Client) -> Client:
    """A client that is primary, with the pipeline pushed."""
    client.lead()
    client.push()
    return client
