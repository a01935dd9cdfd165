# SPDX-License-Identifier: Apache-2.0
"""The gRPC service p4.v1.P4Runtime: threads, statuses and trailers around a `Device`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import NoReturn, TypeVar

import grpc
from finsy.proto import p4r, p4r_grpc

from softswitch.p4runtime.device import Device
from softswitch.p4runtime.errors import DETAILS_KEY, INTERNAL, UNAVAILABLE, BatchError, P4RuntimeError
from softswitch.p4runtime.stream import Outbox

API_VERSION = "1.5.0"
MAX_STREAMS = 32
MAX_READS = 8  # at a time: a client that reads slowly holds a thread

_LOG = logging.getLogger(__name__)
_ENTITIES_PER_RESPONSE = 1000

Result = TypeVar("Result")


class P4RuntimeService(p4r_grpc.P4RuntimeServicer):
    """All RPCs of the service, for one device."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._streams = threading.BoundedSemaphore(MAX_STREAMS)
        self._reads = threading.BoundedSemaphore(MAX_READS)
        self._open: set[Outbox] = set()
        self._open_lock = threading.Lock()

    def close_streams(self) -> None:
        """End all streams, so that the server can stop."""
        with self._open_lock:
            for outbox in self._open:
                outbox.close(P4RuntimeError(UNAVAILABLE, "the switch is stopping"))

    def Capabilities(  # noqa: N802 (names of the service definition)
        self, request: p4r.CapabilitiesRequest, context: grpc.ServicerContext
    ) -> p4r.CapabilitiesResponse:
        """Say which version of the API this is."""
        _answer(context, lambda: self._device.check_device(request.device_id))
        return p4r.CapabilitiesResponse(p4runtime_api_version=API_VERSION)

    def Write(  # noqa: N802
        self, request: p4r.WriteRequest, context: grpc.ServicerContext
    ) -> p4r.WriteResponse:
        """Update entities."""
        _answer(context, lambda: self._device.write(request))
        return p4r.WriteResponse()

    def Read(  # noqa: N802
        self, request: p4r.ReadRequest, context: grpc.ServicerContext
    ) -> Iterator[p4r.ReadResponse]:
        """Read entities, in responses of bounded size."""
        if not self._reads.acquire(timeout=5.0):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MAX_READS} reads are already under way")
        try:
            entities, failure = _answer(context, lambda: self._device.read(request))
            while (response := _answer(context, partial(_next_response, entities))).entities:
                yield response
            if failure:
                _abort_batch(context, failure)
        finally:
            self._reads.release()

    def SetForwardingPipelineConfig(  # noqa: N802
        self, request: p4r.SetForwardingPipelineConfigRequest, context: grpc.ServicerContext
    ) -> p4r.SetForwardingPipelineConfigResponse:
        """Verify, save, commit or reconcile a pipeline."""
        _answer(context, lambda: self._device.set_config(request, context.is_active))
        return p4r.SetForwardingPipelineConfigResponse()

    def GetForwardingPipelineConfig(  # noqa: N802
        self, request: p4r.GetForwardingPipelineConfigRequest, context: grpc.ServicerContext
    ) -> p4r.GetForwardingPipelineConfigResponse:
        """Return the pipeline's config, or an empty answer before there is one."""
        config = _answer(context, lambda: self._device.get_config(request))
        return p4r.GetForwardingPipelineConfigResponse(config=config)

    def StreamChannel(  # noqa: N802
        self, request_iterator: Iterable[p4r.StreamMessageRequest], context: grpc.ServicerContext
    ) -> Iterator[p4r.StreamMessageResponse]:
        """Carry arbitration, packets and notifications for one client until either side ends."""
        if not self._streams.acquire(blocking=False):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"at most {MAX_STREAMS} streams")
        outbox = Outbox()
        with self._open_lock:
            self._open.add(outbox)
        try:
            if not context.add_callback(outbox.close):
                return
            reader = threading.Thread(
                target=self._receive, args=(outbox, request_iterator), name="stream", daemon=True
            )
            reader.start()
            yield from outbox.messages()
        except P4RuntimeError as error:
            context.abort(error.status_code, error.message)
        finally:
            self._device.leave(outbox)
            with self._open_lock:
                self._open.discard(outbox)
            self._streams.release()
            if outbox.dropped:
                _LOG.warning("a client did not read %d notifications in time: dropped", outbox.dropped)

    def _receive(self, outbox: Outbox, requests: Iterable[p4r.StreamMessageRequest]) -> None:
        """The stream's reading thread."""
        try:
            for message in requests:
                self._device.receive(outbox, message)
            outbox.close()
        except P4RuntimeError as error:
            outbox.close(error)
        except grpc.RpcError:
            outbox.close()
        except Exception as error:
            if type(error) is Exception:  # how grpc says that the client has gone
                outbox.close()
                return
            _LOG.exception("a stream message could not be handled")
            outbox.close(P4RuntimeError(INTERNAL, f"{type(error).__name__}: {error}"))


def _next_response(entities: Iterator[p4r.Entity]) -> p4r.ReadResponse:
    """The next response of a Read; an empty one when there is nothing left."""
    return p4r.ReadResponse(entities=islice(entities, _ENTITIES_PER_RESPONSE))


def _answer(context: grpc.ServicerContext, action: Callable[[], Result]) -> Result:
    """Run a request; whatever goes wrong becomes the RPC's status."""
    try:
        return action()
    except P4RuntimeError as error:
        _abort(context, error)
    except BatchError as error:
        _abort_batch(context, error)
    except Exception as error:
        _LOG.exception("a request could not be handled")
        _abort(context, P4RuntimeError(INTERNAL, f"{type(error).__name__}: {error}"))


def _abort(context: grpc.ServicerContext, error: P4RuntimeError) -> NoReturn:
    context.abort(error.status_code, error.message)
    raise AssertionError("abort always raises")


def _abort_batch(context: grpc.ServicerContext, error: BatchError) -> NoReturn:
    context.set_trailing_metadata(((DETAILS_KEY, error.to_status().SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, str(error))
    raise AssertionError("abort always raises")
