# SPDX-License-Identifier: Apache-2.0
"""The program in BMv2's simple_switch_grpc, compiled by p4c, in a network namespace of its own."""

from __future__ import annotations

import itertools
import os
import queue
import select
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from finsy.proto import p4i, p4r, p4r_grpc
from google.protobuf import text_format
from pyroute2 import NetNS, netns  # type: ignore[import-untyped]

from controller.lab.targets import BMV2, P4C, find_tool

from .target import CPU_PORT, Match, Output, PacketIn, Result, SessionEvent, Value, number, prefix

SOL_PACKET, PACKET_AUXDATA, TP_STATUS_VLAN_VALID = 263, 8, 0x10  # linux/if_packet.h

START_SECONDS = 20.0
FIRST_SECONDS = 0.25
"""How long a test waits for the first thing that comes of a frame."""
QUIET_SECONDS = 0.03
"""When this long nothing more has come, nothing more is expected."""

_serial = itertools.count()


@contextmanager
def _inside(name: str) -> Iterator[None]:
    netns.pushns(name)
    try:
        yield
    finally:
        netns.popns()


def _receive(link: socket.socket) -> tuple[bytes, bool]:
    """A frame, and whether it was sent on this very link. Linux takes 802.1Q tags out; here it comes back."""
    frame, ancillary, _, address = link.recvmsg(65536, 256)
    for level, kind, data in ancillary:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, tag, protocol = struct.unpack("=IIIHHHH", data)
            if status & TP_STATUS_VLAN_VALID:
                frame = frame[:12] + struct.pack(">HH", protocol, tag) + frame[12:]
    return frame, address[2] == socket.PACKET_OUTGOING


def _shortest(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8))


class Bmv2Target:
    """A `Target`: frames over veth pairs, tables over P4Runtime."""

    shortest_frame = 14  # Linux sends nothing shorter on Ethernet

    def __init__(self, program: Path, folder: Path, ports: int) -> None:
        """Compile, make the namespace, start BMv2 with ports 1…`ports`, push the program."""
        self._info, config = self._compile(program, folder)
        self._tables = {t.preamble.alias: t for t in self._info.tables}
        self._actions = {a.preamble.alias: a for a in self._info.actions}
        self._names = {c.preamble.alias: c.preamble.id for c in self._info.counters}
        self._names |= {m.preamble.alias: m.preamble.id for m in self._info.meters}
        self._digest_bytes = {d.preamble.id: self._widths(d.preamble.name) for d in self._info.digests}
        self._namespace = f"p4src-{os.getpid()}-{next(_serial)}"
        self._written: dict[tuple[str, tuple[tuple[str, Value], ...]], None] = {}
        self._touched: set[tuple[str, int]] = set()
        self._remembered = False  # the program's registers hold a flow
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: grpc.Channel | None = None
        self._sockets: dict[int, socket.socket] = {}
        netns.create(self._namespace)
        try:
            self._make_links(ports)
            self._start(folder, ports)
            self._connect(folder, config)
        except BaseException:
            self.close()
            raise

    # --- starting and ending --------------------------------------------------------------------------------

    @staticmethod
    def _compile(program: Path, folder: Path) -> tuple[p4i.P4Info, bytes]:
        json, info = folder / "program.json", folder / "program.p4info.txtpb"
        command = [find_tool(P4C), "-o", str(json), "--p4runtime-files", str(info), str(program)]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        return text_format.Parse(info.read_text(), p4i.P4Info()), json.read_bytes()

    def _widths(self, struct_name: str) -> list[int]:
        members = self._info.type_info.structs[struct_name].members
        return [(m.type_spec.bitstring.bit.bitwidth + 7) // 8 for m in members]

    def _make_links(self, ports: int) -> None:
        with _inside(self._namespace):
            for kind in ("all", "default"):
                Path(f"/proc/sys/net/ipv6/conf/{kind}/disable_ipv6").write_text("1")
        with NetNS(self._namespace) as ns:
            for port in range(1, ports + 1):
                ns.link("add", ifname=f"s{port}", kind="veth", peer={"ifname": f"h{port}"})
                for name in (f"s{port}", f"h{port}"):
                    (index,) = ns.link_lookup(ifname=name)
                    ns.link("set", index=index, mtu=9000, state="up")
        with _inside(self._namespace):
            for port in range(1, ports + 1):
                link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
                link.bind((f"h{port}", 3))
                link.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
                link.setblocking(False)
                self._sockets[port] = link

    def _start(self, folder: Path, ports: int) -> None:
        command = [find_tool(BMV2), "--no-p4", "--device-id", "1"]
        command += ["--notifications-addr", f"ipc://{folder}/notify.ipc"]
        for port in range(1, ports + 1):
            command += ["-i", f"{port}@s{port}"]
        command += ["--", "--grpc-server-addr", f"unix:{folder}/grpc.sock", "--cpu-port", str(CPU_PORT)]
        with (folder / "bmv2.log").open("wb") as log, _inside(self._namespace):
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def _connect(self, folder: Path, config: bytes) -> None:
        self._channel = grpc.insecure_channel(
            f"unix:{folder}/grpc.sock", [("grpc.max_receive_message_length", -1)]
        )
        grpc.channel_ready_future(self._channel).result(timeout=START_SECONDS)
        self._stub = p4r_grpc.P4RuntimeStub(self._channel)
        self._requests: queue.Queue[p4r.StreamMessageRequest | None] = queue.Queue()
        self._received: queue.Queue[p4r.StreamMessageResponse] = queue.Queue()
        self._arbitrated = threading.Event()
        hello = p4r.StreamMessageRequest()
        hello.arbitration.device_id = 1
        hello.arbitration.election_id.low = 1
        self._requests.put(hello)
        stream = self._stub.StreamChannel(iter(self._requests.get, None))
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()
        assert self._arbitrated.wait(START_SECONDS)
        self._config = config
        self._push()

    def _push(self) -> None:
        pipeline = p4r.SetForwardingPipelineConfigRequest(
            device_id=1, action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT
        )
        pipeline.election_id.low = 1
        pipeline.config.p4info.CopyFrom(self._info)
        pipeline.config.p4_device_config = self._config
        self._stub.SetForwardingPipelineConfig(pipeline, timeout=START_SECONDS)
        for digest in self._info.digests:
            entity = p4r.Entity()
            entity.digest_entry.digest_id = digest.preamble.id
            entity.digest_entry.config.max_list_size = 1
            self._update(p4r.Update.INSERT, entity)

    def _read(self, stream: Iterable[p4r.StreamMessageResponse]) -> None:
        try:
            for message in stream:
                if message.HasField("arbitration"):
                    self._arbitrated.set()
                else:
                    self._received.put(message)
        except grpc.RpcError:
            return  # the channel is closed

    def close(self) -> None:
        """End BMv2, remove the namespace."""
        if self._channel is not None:
            self._requests.put(None)
            self._channel.close()
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for link in self._sockets.values():
            link.close()
        netns.remove(self._namespace)

    # --- tables ---------------------------------------------------------------------------------------------

    def _update(self, kind: p4r.Update.Type.ValueType, entity: p4r.Entity) -> None:
        request = p4r.WriteRequest(device_id=1)
        request.election_id.low = 1
        request.updates.add(type=kind).entity.CopyFrom(entity)
        self._stub.Write(request, timeout=10)

    def _entry(self, table: str, match: Match, action: str | None, params: Match) -> p4r.Entity:
        entity = p4r.Entity()
        info = self._tables[table]
        entity.table_entry.table_id = info.preamble.id
        for field in info.match_fields:
            if field.match_type == p4i.MatchField.LPM:
                value, length = prefix(match[field.name])
                if length:  # P4Runtime, section 9.1.1: a match on anything is left out
                    made = entity.table_entry.match.add(field_id=field.id)
                    made.lpm.value, made.lpm.prefix_len = _shortest(value), length
            else:
                entity.table_entry.match.add(field_id=field.id).exact.value = _shortest(
                    number(match[field.name])
                )
        if action is not None:
            self._fill_action(entity.table_entry.action.action, action, params)
        return entity

    def _fill_action(self, into: p4r.Action, action: str, params: Match) -> None:
        info = self._actions[action]
        assert set(params) == {p.name for p in info.params}
        into.action_id = info.preamble.id
        for param in info.params:
            into.params.add(param_id=param.id, value=_shortest(number(params[param.name])))

    def insert(self, table: str, match: Match, action: str, **params: Value) -> None:
        """Insert an entry."""
        self._update(p4r.Update.INSERT, self._entry(table, match, action, params))
        self._written[table, tuple(match.items())] = None

    def modify(self, table: str, match: Match, action: str, **params: Value) -> None:
        """Change an entry."""
        self._update(p4r.Update.MODIFY, self._entry(table, match, action, params))

    def delete(self, table: str, match: Match) -> None:
        """Remove an entry."""
        self._update(p4r.Update.DELETE, self._entry(table, match, None, {}))
        del self._written[table, tuple(match.items())]

    def set_default(self, table: str, action: str, **params: Value) -> None:
        """Set the default entry."""
        entity = p4r.Entity()
        entity.table_entry.table_id = self._tables[table].preamble.id
        entity.table_entry.is_default_action = True
        self._fill_action(entity.table_entry.action.action, action, params)
        self._update(p4r.Update.MODIFY, entity)

    def set_meter(self, meter: str, index: int, rate: int | None, burst: int = 1) -> None:
        """Packets per second, the same for both rates; None: unconfigured."""
        entity = p4r.Entity()
        entity.meter_entry.meter_id = self._names[meter]
        entity.meter_entry.index.index = index
        if rate is not None:
            config = entity.meter_entry.config
            config.cir = config.pir = rate
            config.cburst = config.pburst = burst
            self._touched.add((meter, index))
        self._update(p4r.Update.MODIFY, entity)

    def counter(self, name: str, index: int) -> int:
        """Packets that an indirect counter's cell has counted."""
        request = p4r.ReadRequest(device_id=1)
        entry = request.entities.add().counter_entry
        entry.counter_id = self._names[name]
        entry.index.index = index
        (response,) = self._stub.Read(request, timeout=10)
        (entity,) = response.entities
        return int(entity.counter_entry.data.packet_count)

    def direct_counter(self, table: str, match: Match) -> int:
        """Packets that an entry has counted."""
        request = p4r.ReadRequest(device_id=1)
        wanted = request.entities.add().direct_counter_entry
        wanted.table_entry.CopyFrom(self._entry(table, match, None, {}).table_entry)
        (response,) = self._stub.Read(request, timeout=10)
        (entity,) = response.entities
        return int(entity.direct_counter_entry.data.packet_count)

    def reset(self) -> None:
        """Remove what was written, unconfigure meters, set counters to zero.

        Registers can be emptied only by pushing the program again, which takes a second.
        """
        if self._remembered:
            self._remembered = False
            self._push()
        else:
            self._undo()
        self._written.clear()
        self._touched.clear()

    def _undo(self) -> None:
        for table, match in list(self._written):
            self.delete(table, dict(match))
        if "cookie_epoch" in self._tables:
            self.set_default("cookie_epoch", "no_epoch")
        for meter, index in self._touched:
            self.set_meter(meter, index, None)
        for info in self._info.counters:
            for index in range(info.size):
                entity = p4r.Entity()
                entity.counter_entry.counter_id = info.preamble.id
                entity.counter_entry.index.index = index
                entity.counter_entry.data.packet_count = 0
                self._update(p4r.Update.MODIFY, entity)

    # --- packets --------------------------------------------------------------------------------------------

    def send(self, port: int, frame: bytes) -> Result:
        """Let a frame arrive on a port; wait for what comes of it."""
        self._sockets[port].send(frame)
        return self._collect()

    def send_all(self, frames: Iterable[tuple[int, bytes]]) -> Result:
        """Let frames arrive one after another; give what comes of all of them, per port in their order."""
        outputs: list[Output] = []
        packet_ins: list[PacketIn] = []
        events: list[SessionEvent] = []
        for port, frame in frames:
            self._sockets[port].send(frame)
            self._take_frames(0.002, outputs)
            self._take_messages(packet_ins, events)
        rest = self._collect()
        return Result((*outputs, *rest.outputs), (*packet_ins, *rest.packet_ins), (*events, *rest.events))

    def packet_out(self, mode: int, port: int, frame: bytes, release: int = 0) -> Result:
        """Send a frame from the controller; wait for what comes of it."""
        message = p4r.StreamMessageRequest()
        message.packet.payload = frame
        (info,) = (h for h in self._info.controller_packet_metadata if h.preamble.alias == "packet_out")
        for field, value in zip(info.metadata, (mode, port, release), strict=True):
            message.packet.metadata.add(metadata_id=field.id, value=_shortest(value))
        self._requests.put(message)
        return self._collect()

    def _collect(self) -> Result:
        outputs: list[Output] = []
        packet_ins: list[PacketIn] = []
        events: list[SessionEvent] = []
        until = time.monotonic() + FIRST_SECONDS
        while (left := until - time.monotonic()) > 0:
            found = self._take_frames(min(left, 0.005), outputs)
            found |= self._take_messages(packet_ins, events)
            if found:
                until = time.monotonic() + QUIET_SECONDS
        return Result(tuple(outputs), tuple(packet_ins), tuple(events))

    def _take_frames(self, seconds: float, outputs: list[Output]) -> bool:
        ready, _, _ = select.select(list(self._sockets.values()), [], [], seconds)
        before = len(outputs)
        for port, link in self._sockets.items():
            if link in ready:
                frame, outgoing = _receive(link)
                if not outgoing:
                    outputs.append(Output(port, frame))
        return len(outputs) > before

    def _take_messages(self, packet_ins: list[PacketIn], events: list[SessionEvent]) -> bool:
        found = False
        while not self._received.empty():
            message = self._received.get()
            found = True
            if message.HasField("packet"):
                values = [int.from_bytes(m.value) for m in message.packet.metadata]
                header = struct.pack(">HBHIHBBH", *values)
                packet_ins.append(PacketIn.parse(header + message.packet.payload))
                self._remembered |= packet_ins[-1].reason in (1, 2)  # PROVEN, SERVER_SYNACK
            elif message.HasField("digest"):
                self._acknowledge(message.digest)
                widths = self._digest_bytes[message.digest.digest_id]
                for item in message.digest.data:
                    fields = zip(item.struct.members, widths, strict=True)
                    data = b"".join(int.from_bytes(m.bitstring).to_bytes(width) for m, width in fields)
                    events.append(SessionEvent.parse(data))
        return found

    def _acknowledge(self, digest: p4r.DigestList) -> None:
        message = p4r.StreamMessageRequest()
        message.digest_ack.digest_id = digest.digest_id
        message.digest_ack.list_id = digest.list_id
        self._requests.put(message)
