# SPDX-License-Identifier: Apache-2.0
"""The P4Runtime device: arbitration, pipelines and streams, and what each request does to them.

Locks, in the order in which they are taken: `_config_lock` (one change of pipeline at a time; a compilation
runs under it), `_lock` (arbitration, and all reads and writes of a pipeline's state, so that requests are
serialised and a new primary waits for writes under way), `_io_lock` (packet-outs against a change of data
plane). Events take none of them.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from finsy.proto import p4r

from softswitch.engine import EngineError
from softswitch.p4runtime.arbitration import Arbitration, Notice, election_id_of
from softswitch.p4runtime.dataplane import DataPlane
from softswitch.p4runtime.errors import (
    CANCELLED,
    FAILED_PRECONDITION,
    INTERNAL,
    INVALID_ARGUMENT,
    NOT_FOUND,
    PERMISSION_DENIED,
    BatchError,
    P4RuntimeError,
    check,
    invalid,
    unimplemented,
)
from softswitch.p4runtime.pipeline import Compile, Pipeline, Program, verify
from softswitch.p4runtime.pump import EventPump, Make
from softswitch.p4runtime.read import Entities, select
from softswitch.p4runtime.reconcile import carry_over
from softswitch.p4runtime.retained import Retained
from softswitch.p4runtime.stream import Outbox
from softswitch.p4runtime.write import apply_updates

_LOG = logging.getLogger(__name__)
_SET = p4r.SetForwardingPipelineConfigRequest
_GET = p4r.GetForwardingPipelineConfigRequest
_PAUSE: Final = 0.001  # seconds
_PAUSES: Final = 20


@dataclass(frozen=True)
class Port:
    """A data-plane port: its number in P4 and its network interface."""

    number: int
    interface: str


@dataclass(frozen=True)
class DeviceOptions:
    """What a device is made of."""

    device_id: int = 1
    cpu_port: int = 510
    ports: Sequence[Port] = ()
    pcap_dir: Path | None = None
    "Folder for one pair of pcap files per port; None for none."
    threads: int = 1
    "Data-plane threads."
    realtime: bool = False
    "Whether they run before all else, where that is allowed."


OpenEngine = Callable[[Path, int, int], DataPlane]


class Device:
    """One device with its clients. Any thread may call; methods raise P4RuntimeError or BatchError."""

    def __init__(self, options: DeviceOptions, compile_text: Compile, open_engine: OpenEngine) -> None:
        self.options = options
        self._compile = compile_text
        self._open_engine = open_engine
        self._config_lock = threading.Lock()
        self._lock = threading.Lock()
        self._io_lock = threading.Lock()
        self._arbitration = Arbitration(options.device_id)
        self._listeners: tuple[Outbox, ...] = ()  # the primaries' outboxes; replaced, never changed
        self._retained = Retained()
        self._running: Pipeline | None = None
        self._saved: Pipeline | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pump: EventPump | None = None

    # --- life ---------------------------------------------------------------------------------------------

    def load(self, program: Program) -> None:
        """Run a program as if it were built in, without a cookie; EngineError if it cannot run."""
        config = p4r.ForwardingPipelineConfig(p4info=program.p4info, p4_device_config=program.text.encode())
        with self._config_lock:
            pipeline = self._open(program, config)
            with self._lock:
                self._activate(pipeline)

    def carry_events(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """From now on events of the data plane reach the streams in this loop; None: they wait in it."""
        with self._lock:
            self._stop_pump()
            self._loop = loop
            if self._running:
                self._start_pump(self._running)

    def close(self) -> None:
        """Stop the data plane, close the ports and end every stream's event flow. Safe to repeat."""
        with self._config_lock, self._lock, self._io_lock:
            running, self._running = self._running, None
            saved, self._saved = self._saved, None
            self._stop_pump()
            for pipeline in (saved, running):
                if pipeline:
                    pipeline.close()

    # --- unary requests -----------------------------------------------------------------------------------

    def write(self, request: p4r.WriteRequest, *, wait: bool = True) -> bool:
        """The Write RPC. False, and nothing is done, if it would have to wait and may not."""
        if not self._lock.acquire(blocking=wait):
            return False
        try:
            self.check_device(request.device_id)
            self._arbitration.check_primary(request.role, election_id_of(request))
            pipeline = self._target()
            if request.atomicity != p4r.WriteRequest.CONTINUE_ON_ERROR:
                raise unimplemented("only the atomicity CONTINUE_ON_ERROR is supported")
            apply_updates(pipeline, request.updates)
            return True
        finally:
            self._lock.release()

    def read(self, request: p4r.ReadRequest) -> tuple[Entities, BatchError | None]:
        """The Read RPC: the entities in order, and the error to end with, if any."""
        self.check_device(request.device_id)
        selected: list[Entities] = []
        errors: list[P4RuntimeError | None] = []
        with self._lock:
            pipeline = self._target()
            for query in request.entities:
                try:
                    selected.append(select(pipeline, query))
                    errors.append(None)
                except P4RuntimeError as error:
                    errors.append(error)
        return chain.from_iterable(selected), BatchError("read", errors) if any(errors) else None

    def give_way(self) -> None:
        """Let packets go first: wait while some wait for the data plane, but not for long."""
        for _ in range(_PAUSES):
            with self._lock:
                if self._running is None or not self._running.engine.behind():
                    return
            time.sleep(_PAUSE)

    def get_config(
        self, request: p4r.GetForwardingPipelineConfigRequest
    ) -> p4r.ForwardingPipelineConfig | None:
        """The GetForwardingPipelineConfig RPC; None before there is a config."""
        self.check_device(request.device_id)
        pipeline = self._saved or self._running
        if pipeline is None:
            return None
        config = p4r.ForwardingPipelineConfig()
        kind = request.response_type
        if pipeline.config.HasField("cookie"):
            config.cookie.CopyFrom(pipeline.config.cookie)
        if kind in (_GET.ALL, _GET.P4INFO_AND_COOKIE):
            config.p4info.CopyFrom(pipeline.config.p4info)
        if kind in (_GET.ALL, _GET.DEVICE_CONFIG_AND_COOKIE):
            config.p4_device_config = pipeline.config.p4_device_config
        return config

    def set_config(
        self, request: p4r.SetForwardingPipelineConfigRequest, is_active: Callable[[], bool] = lambda: True
    ) -> None:
        """The SetForwardingPipelineConfig RPC. A client that has gone changes nothing."""
        self.check_device(request.device_id)
        self._check_may_configure(request)
        with self._config_lock:
            if request.action == _SET.COMMIT:
                self._commit_saved(request)
                return
            if request.action not in (
                _SET.VERIFY,
                _SET.VERIFY_AND_SAVE,
                _SET.VERIFY_AND_COMMIT,
                _SET.RECONCILE_AND_COMMIT,
            ):
                raise invalid("the action is not set")
            if not request.HasField("config"):
                raise invalid("the config is not set")
            program = verify(request.config, self._compile)
            pipeline = self._open(program, request.config)
            try:
                keep = self._apply(request, pipeline, is_active)
            except BaseException:
                pipeline.close()
                raise
            if not keep:
                pipeline.close()

    def check_device(self, device_id: int) -> None:
        """Raise NOT_FOUND unless the id is ours; 0 (unset) stands for the only device."""
        if device_id not in (0, self.options.device_id):
            raise P4RuntimeError(
                NOT_FOUND, f"device {device_id} is not known here, this is device {self.options.device_id}"
            )

    # --- streams ------------------------------------------------------------------------------------------

    def receive(self, stream: Outbox, message: p4r.StreamMessageRequest) -> None:
        """A client sent something on its stream; `received` must follow. An error means: end the stream with
        it."""
        kind = message.WhichOneof("update")
        if kind == "arbitration":
            with self._lock:
                self._notify(self._arbitration.bid(stream, message.arbitration))
                _log_bid(message.arbitration, self._arbitration.is_primary(stream))
        elif kind == "packet":
            self._answer_error(stream, lambda: self._packet_out(stream, message.packet), message)
        elif kind == "digest_ack":
            self._answer_error(stream, lambda: self._digest_ack(stream, message.digest_ack), message)
        else:
            error = P4RuntimeError(INVALID_ARGUMENT, "the message is not set or of an unknown kind")
            stream.offer(_stream_error(error, message))

    def received(self) -> None:
        """Nothing more has come for now: the data plane is to take the packet-outs that it was given."""
        with self._io_lock:
            if self._running:
                self._running.engine.packet_outs_go()

    def leave(self, stream: Outbox) -> None:
        """A stream has ended."""
        with self._lock:
            if self._arbitration.is_primary(stream):
                _LOG.info("the primary client has left")
            self._notify(self._arbitration.leave(stream))

    def _notify(self, notices: list[Notice]) -> None:
        for stream, update in notices:
            if isinstance(stream, Outbox):
                stream.put(p4r.StreamMessageResponse(arbitration=update).SerializeToString())
        before = self._listeners
        self._listeners = tuple(
            stream for stream, _ in self._arbitration.primaries() if isinstance(stream, Outbox)
        )
        fresh = [stream for stream in self._listeners if stream not in before]
        if fresh:
            for make in self._retained.take():
                _offer(fresh, make)

    def _answer_error(
        self, stream: Outbox, action: Callable[[], None], message: p4r.StreamMessageRequest
    ) -> None:
        try:
            action()
        except P4RuntimeError as error:
            stream.offer(_stream_error(error, message))

    def _packet_out(self, stream: Outbox, packet: p4r.PacketOut) -> None:
        if stream not in self._listeners:
            raise P4RuntimeError(PERMISSION_DENIED, "packet-out from a client that is not primary")
        with self._io_lock:
            if self._running is None:
                raise _no_pipeline(self.options.device_id)
            frame = self._running.schema.packet_out.encode(packet.metadata) + packet.payload
            check(self._running.engine.packet_out(frame), "packet-out")

    def _digest_ack(self, stream: Outbox, ack: p4r.DigestListAck) -> None:
        if stream not in self._listeners:
            raise P4RuntimeError(
                PERMISSION_DENIED, "digest acknowledgement from a client that is not primary"
            )
        running = self._running
        if running is None:
            raise _no_pipeline(self.options.device_id)
        running.digests.acknowledge(ack)

    def _deliver(self, make: Make, *, packet: bool) -> None:
        """Give the primaries a notification; a new one hears of the latest, and of what none has heard."""
        if packet:
            self._retained.packet(make)
        else:
            self._retained.notice(make, delivered=bool(self._listeners))
        _offer(self._listeners, make)

    # --- pipelines ----------------------------------------------------------------------------------------

    def _target(self) -> Pipeline:
        """The pipeline of reads and writes: a saved one (VERIFY_AND_SAVE) before the running one."""
        pipeline = self._saved or self._running
        if pipeline is None:
            raise _no_pipeline(self.options.device_id)
        return pipeline

    def _check_may_configure(self, request: p4r.SetForwardingPipelineConfigRequest) -> None:
        with self._lock:
            self._arbitration.check_primary(request.role, election_id_of(request))

    def _open(self, program: Program, config: p4r.ForwardingPipelineConfig) -> Pipeline:
        stored = p4r.ForwardingPipelineConfig()
        stored.CopyFrom(config)
        options = self.options
        try:
            return Pipeline(
                program,
                stored,
                lambda library: self._open_engine(library, options.device_id, options.cpu_port),
                options.cpu_port,
            )
        except EngineError as error:
            raise P4RuntimeError(INTERNAL, str(error)) from error

    def _apply(
        self,
        request: p4r.SetForwardingPipelineConfigRequest,
        pipeline: Pipeline,
        is_active: Callable[[], bool],
    ) -> bool:
        """Do what the action says with a verified pipeline; False if it is not needed any more."""
        if request.action == _SET.VERIFY:
            return False
        with self._lock:
            if not is_active():
                raise P4RuntimeError(CANCELLED, "the client has gone before its pipeline was ready")
            self._arbitration.check_primary(request.role, election_id_of(request))
            if request.action == _SET.VERIFY_AND_SAVE:
                self._replace_saved(pipeline)
                return True
            running = self._running
            if request.action == _SET.RECONCILE_AND_COMMIT and running is not None:
                if running.program.text == pipeline.program.text:
                    running.config = pipeline.config
                    self._replace_saved(None)
                    return False
                carry_over(running, pipeline)
            self._commit(pipeline)
            self._replace_saved(None)
            return True

    def _commit_saved(self, request: p4r.SetForwardingPipelineConfigRequest) -> None:
        with self._lock:
            if request.HasField("config"):
                raise invalid("COMMIT takes no config: it commits the one saved by VERIFY_AND_SAVE")
            if self._saved is None:
                raise P4RuntimeError(
                    NOT_FOUND, "there is no saved config to commit: use VERIFY_AND_SAVE first"
                )
            self._commit(self._saved)
            self._saved = None

    def _replace_saved(self, pipeline: Pipeline | None) -> None:
        if self._saved:
            self._saved.close()
        self._saved = pipeline

    def _commit(self, pipeline: Pipeline) -> None:
        try:
            self._activate(pipeline)
        except EngineError as error:
            raise P4RuntimeError(INTERNAL, f"the program cannot run: {error}") from error

    def _activate(self, pipeline: Pipeline) -> None:
        """Hand the ports to another pipeline; with an EngineError the old one goes on."""
        old = self._running
        self._stop_pump()
        if old:
            old.engine.stop()
        try:
            for port in self.options.ports:
                pipeline.engine.add_port(port.number, port.interface, self.options.pcap_dir)
            pipeline.engine.start(self.options.threads, realtime=self.options.realtime)
        except EngineError:
            if old:
                old.engine.start(self.options.threads, realtime=self.options.realtime)
                self._start_pump(old)
            raise
        with self._io_lock:
            self._running = pipeline
        self._start_pump(pipeline)
        if old:
            old.close()
        _LOG.info("running a new pipeline on %d ports", len(self.options.ports))

    def _start_pump(self, pipeline: Pipeline) -> None:
        self._retained.clear()
        if self._loop is not None:
            self._pump = EventPump(pipeline, self._deliver, self._loop)
            self._pump.start()

    def _stop_pump(self) -> None:
        pump, self._pump = self._pump, None
        if pump:
            pump.stop()


def _offer(streams: Sequence[Outbox], make: Make) -> None:
    """It costs nearly nothing when none of them can take it."""
    ready = [stream for stream in streams if stream.has_room()]
    if ready:
        message = make()
        for stream in ready:
            stream.offer(message)


def _log_bid(update: p4r.MasterArbitrationUpdate, primary: bool) -> None:
    result = "primary" if primary else "backup"
    role = f" of role {update.role.name}" if update.role.name else ""
    _LOG.info("client%s bids %s: %s", role, election_id_of(update), result)


def _no_pipeline(device_id: int) -> P4RuntimeError:
    return P4RuntimeError(FAILED_PRECONDITION, f"No forwarding pipeline config set for device {device_id}")


def _stream_error(error: P4RuntimeError, message: p4r.StreamMessageRequest) -> bytes:
    """A serialised StreamError that carries the message which it is about."""
    response = p4r.StreamMessageResponse()
    response.error.canonical_code = error.code
    response.error.message = error.message
    kind = message.WhichOneof("update")
    if kind == "packet":
        response.error.packet_out.packet_out.CopyFrom(message.packet)
    elif kind == "digest_ack":
        response.error.digest_list_ack.digest_list_ack.CopyFrom(message.digest_ack)
    elif kind == "other":
        response.error.other.other.CopyFrom(message.other)
    else:
        response.error.other.SetInParent()
    return response.SerializeToString()
