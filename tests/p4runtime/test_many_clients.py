# SPDX-License-Identifier: Apache-2.0
"""Several clients at once, and clients that die: killed processes, not streams that are closed in order."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from finsy.proto import p4r, rpc_code

from softswitch.compiler import CompiledProgram, compile_file

from .conftest import Client, Rig, Stream, status_of
from .messages import DELETE, INSERT, exact, session
from .test_data_plane import Switch

VICTIM = """
import queue, sys
import grpc
from finsy.proto import p4r, p4r_grpc
stub = p4r_grpc.P4RuntimeStub(grpc.insecure_channel(sys.argv[1]))
requests = queue.Queue()
update = p4r.MasterArbitrationUpdate(device_id=1, election_id=p4r.Uint128(low=int(sys.argv[2])))
requests.put(p4r.StreamMessageRequest(arbitration=update))
stream = stub.StreamChannel(iter(requests.get, None))
for message in stream:
    print(message.WhichOneof("update"), flush=True)
    if sys.argv[3] == "writes":
        break
number = 0
while True:
    entry = p4r.TableEntry(table_id=int(sys.argv[4]))
    match = entry.match.add(field_id=1)
    match.exact.value = number.to_bytes(6, "big")
    entry.action.action.action_id = int(sys.argv[5])
    request = p4r.WriteRequest(device_id=1, election_id=p4r.Uint128(low=int(sys.argv[2])))
    for kind in (p4r.Update.INSERT, p4r.Update.DELETE):
        request.updates.add(type=kind).entity.table_entry.CopyFrom(entry)
    stub.Write(request)
    number += 1
    if number == 20:
        print("writing", flush=True)
"""


@pytest.fixture(scope="module")
def program() -> CompiledProgram:
    return compile_file(Path(__file__).with_name("programs") / "entities.p4")


@pytest.fixture
def switch(program: CompiledProgram, tmp_path: Path) -> Iterator[Switch]:
    switch = Switch(program, tmp_path)
    yield switch
    switch.close()


def victim(switch: Switch, election_id: int, what: str, until: str) -> subprocess.Popen[str]:
    """A client in a process of its own that has got as far as printing `until`."""
    arguments = [switch.server.address, str(election_id), what]
    arguments += [str(switch.ids["exact_t"]), str(switch.ids["drop"])]
    process = subprocess.Popen(
        [sys.executable, "-c", VICTIM, *arguments], stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == until:
            return process
    raise AssertionError("the client ended by itself")


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    assert process.stdout is not None
    process.stdout.close()


def eventually(stream: Stream, code: int, seconds: float = 10) -> None:
    """An arbitration update with this status comes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if stream.take(seconds).arbitration.status.code == code:
            return
    raise AssertionError(f"no arbitration update with status {code}")


def test_primary_killed_in_mid_stream_leaves_its_place(switch: Switch) -> None:
    """Backups are told (NOT_FOUND), the next bid wins, and writes go on."""
    process = victim(switch, 99, "listens", "arbitration")
    eventually(switch.stream, 6)  # ALREADY_EXISTS: we are backup now
    kill(process)
    eventually(switch.stream, 5)  # NOT_FOUND: no primary
    assert switch.stream.bid(100).status.code == 0
    one = switch.entry(INSERT, "exact_t", exact(1, b"\1" * 6), action={"drop": ()})
    switch.client.write(one, election_id=p4r.Uint128(low=100))


def test_primary_killed_among_its_writes_leaves_a_whole_state(switch: Switch) -> None:
    process = victim(switch, 99, "writes", "writing")
    kill(process)
    eventually(switch.stream, 5)
    assert switch.stream.bid(100).status.code == 0
    left = switch.client.read(p4r.Entity(table_entry=p4r.TableEntry(table_id=switch.ids["exact_t"])))
    assert len(left) <= 1, "a pair of insert and delete is cut at most once"
    for entity in left:
        one = p4r.Update(type=DELETE, entity=entity)
        switch.client.write(one, election_id=p4r.Uint128(low=100))
    assert switch.send(0x0800) == []


def _shortest(match: p4r.FieldMatch) -> p4r.FieldMatch:
    return exact(match.field_id, match.exact.value.lstrip(b"\0"))


def test_clients_of_several_roles_work_side_by_side(switch: Switch) -> None:
    """Four primaries of four roles write and read at the same time; none sees an error."""
    failures: list[BaseException] = []

    def work(number: int) -> None:
        client = Client(switch.server.address)
        try:
            stream = client.stream()
            assert stream.bid(1, role=f"role{number}").status.code == 0
            for turn in range(30):
                match = exact(1, bytes([number, turn, 0, 0, 0, 1]))
                one = switch.entry(INSERT, "exact_t", match, action={"drop": ()})
                request = p4r.WriteRequest(device_id=1, role=f"role{number}", election_id=p4r.Uint128(low=1))
                request.updates.append(one)
                client.stub.Write(request, timeout=10)
                query = p4r.Entity(table_entry=p4r.TableEntry(table_id=switch.ids["exact_t"]))
                assert _shortest(match) in [e.table_entry.match[0] for e in client.read(query)]
                request.updates[0].type = DELETE
                client.stub.Write(request, timeout=10)
        except BaseException as error:  # told by the test's own thread
            failures.append(error)
        finally:
            client.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_reads_see_batches_whole_or_not_at_all(switch: Switch) -> None:
    """While one client inserts and deletes eight entries at a time, three others read."""
    batch = [
        switch.entry(INSERT, "exact_t", exact(1, bytes([7, n, 0, 0, 0, 1])), action={"drop": ()})
        for n in range(8)
    ]
    query = p4r.Entity(table_entry=p4r.TableEntry(table_id=switch.ids["exact_t"]))
    seen: list[int] = []
    over = threading.Event()

    def read() -> None:
        client = Client(switch.server.address)
        while not over.is_set():
            seen.append(len(client.read(query)))
        client.close()

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        deadline = time.monotonic() + 30
        for turn in itertools.count():
            for one in batch:
                one.type = DELETE if turn % 2 else INSERT
            switch.client.write(*batch)
            if (turn >= 60 and len(seen) > 10) or time.monotonic() > deadline:
                break
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert set(seen) <= {0, 8}
    assert len(seen) > 10


def test_a_new_primary_waits_for_writes_under_way(
    rig: Rig, ready: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    [engine] = rig.engines
    plain, entered, finish = engine.write, threading.Event(), threading.Event()

    def slow(*arguments: object, **options: object) -> int:
        entered.set()
        assert finish.wait(5)
        return plain(*arguments, **options)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(engine, "write", slow)
    errors: list[grpc.RpcError] = []

    def write() -> None:
        try:
            ready.write(session(INSERT))
        except grpc.RpcError as error:
            errors.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    assert entered.wait(5)
    second = ready.stream()
    bid = p4r.MasterArbitrationUpdate(device_id=1, election_id=p4r.Uint128(low=2))
    second.send(p4r.StreamMessageRequest(arbitration=bid))
    assert second.quiet(0.3)
    finish.set()
    assert second.take().arbitration.status.code == rpc_code.OK
    writer.join()
    assert errors == []
    with pytest.raises(grpc.RpcError) as late:
        ready.write(session(DELETE))
    assert status_of(late.value)[0] == grpc.StatusCode.PERMISSION_DENIED
