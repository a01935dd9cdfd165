# SPDX-License-Identifier: Apache-2.0
"""A relay between the controllers and one switch that hands on every RPC, Writes or their answers later, or
with a fault (`faults.py`).

It knows nothing of what the messages say: they are bytes to it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc

from controller.scenario.faults import Fault, read_back, refusal

_THREADS: Final = 64
_LONGEST: Final = 3600.0  # seconds; an RPC without a limit has a number here that gRPC cannot take back
_STREAMING: Final = {"StreamChannel": (True, True), "Read": (False, True)}
"""Methods of which (requests, answers) are streams (P4Runtime specification section 17)."""
_WHOLE: Final = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))


class Relay:
    """Listens at `address`, forwards to `switch`, both in gRPC's notation, until closed.

    The switch carries out each Write at once, and its answer goes back `delay_s` seconds after that; or,
    with `late`, it carries it out so much later, and answers at once. Where the network is cut (`fault`),
    what is on its way arrives when it is whole again, unless its RPC has been given up.
    """

    def __init__(self, address: str, switch: str) -> None:
        self.delay_s = 0.0
        self.late = False
        self._fault: Fault = "none"
        self._passes = threading.Event()
        self._passes.set()
        self._closing = threading.Event()
        self._channel = grpc.insecure_channel(switch, options=_WHOLE)
        self._server = grpc.server(ThreadPoolExecutor(_THREADS, "relay"), options=_WHOLE)
        self._server.add_generic_rpc_handlers((_Handlers(self._channel, self),))
        self._server.add_insecure_port(address)
        self._server.start()

    @property
    def fault(self) -> Fault:
        """What is wrong with the switch, or with the way to it."""
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        self._fault = fault
        if fault == "cut":
            self._passes.clear()
        else:
            self._passes.set()

    def close(self) -> None:
        """Ends all RPCs under way."""
        stopped = self._server.stop(grace=None)
        self._closing.set()
        self._passes.set()
        stopped.wait()
        self._channel.close()

    def hold(self, *, late: bool) -> None:
        """Waits as long as a Write, or its answer, is to be delayed."""
        if late is self.late:
            self._closing.wait(self.delay_s)

    def arrive(self) -> None:
        """Waits until messages pass."""
        self._passes.wait()


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs alone
    # The stubs' channel takes no method without codecs; here messages stay bytes.
    def __init__(self, channel: Any, relay: Relay) -> None:
        self._channel = channel
        self._relay = relay

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        path = handler_call_details.method
        method = path.rpartition("/")[2]
        kind = _STREAMING.get(method, (False, False))
        if kind == (True, True):
            return grpc.stream_stream_rpc_method_handler(self._stream(self._channel.stream_stream(path)))
        if kind == (False, True):
            return grpc.unary_stream_rpc_method_handler(self._answers(self._channel.unary_stream(path)))
        return grpc.unary_unary_rpc_method_handler(
            self._one(self._channel.unary_unary(path), method == "Write")
        )

    def _one(self, call: Any, is_write: bool) -> Callable[[bytes, grpc.ServicerContext], bytes]:
        relay = self._relay

        def handle(request: bytes, context: grpc.ServicerContext) -> bytes:
            self._arrives(context)
            if is_write:
                relay.hold(late=True)
                if (details := refusal(relay.fault, request)) is not None:
                    context.set_trailing_metadata((("grpc-status-details-bin", details),))
                    context.abort(grpc.StatusCode.UNKNOWN, "some updates failed")
            try:
                answer: bytes = call(request, timeout=min(context.time_remaining(), _LONGEST))
            except grpc.RpcError as error:
                if is_write:
                    relay.hold(late=False)
                relay.arrive()
                raise _aborted(error, context) from None
            if is_write:
                relay.hold(late=False)
            relay.arrive()
            return answer

        return handle

    def _answers(self, call: Any) -> Callable[[bytes, grpc.ServicerContext], Iterator[bytes]]:
        def handle(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            self._arrives(context)
            for answer in self._handed_on(call(request), context):
                yield read_back(self._relay.fault, answer)

        return handle

    def _stream(self, call: Any) -> Callable[[Iterator[bytes], grpc.ServicerContext], Iterator[bytes]]:
        def handle(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            return self._handed_on(call(self._arriving(requests)), context)

        return handle

    def _arriving(self, messages: Iterator[bytes]) -> Iterator[bytes]:
        for message in messages:
            self._relay.arrive()
            yield message

    def _handed_on(self, answers: Any, context: grpc.ServicerContext) -> Iterator[bytes]:
        context.add_callback(answers.cancel)
        try:
            yield from self._arriving(answers)
        except grpc.RpcError as error:
            self._relay.arrive()
            raise _aborted(error, context) from None

    def _arrives(self, context: grpc.ServicerContext) -> None:
        """A request is on its way to the switch; one that was given up meanwhile does not arrive."""
        self._relay.arrive()
        if not context.is_active():
            context.abort(grpc.StatusCode.CANCELLED, "given up")


def _aborted(error: Any, context: grpc.ServicerContext) -> Exception:
    """Ends the RPC as the switch ended it, with the details of each update (`grpc-status-details-bin`)."""
    context.set_trailing_metadata(tuple(error.trailing_metadata() or ()))
    context.abort(error.code(), error.details() or "")
    return RuntimeError("abort does not return")
