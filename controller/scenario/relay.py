# SPDX-License-Identifier: Apache-2.0
"""A relay between the controller and one switch that hands on every RPC, and Writes or their answers later.

It knows nothing of what the messages say: they are bytes to it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc

_THREADS: Final = 64
_LONGEST: Final = 3600.0  # seconds; an RPC without a limit has a number here that gRPC cannot take back
_STREAMING: Final = {"StreamChannel": (True, True), "Read": (False, True)}
"""Methods of which (requests, answers) are streams (P4Runtime specification section 17)."""
_WHOLE: Final = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))


class Relay:
    """Listens at `address`, forwards to `switch`, both in gRPC's notation, until closed.

    The switch carries out each Write at once, and its answer goes back `delay_s` seconds after that; or,
    with `late`, it carries it out so much later, and answers at once.
    """

    def __init__(self, address: str, switch: str) -> None:
        self.delay_s = 0.0
        self.late = False
        self._closing = threading.Event()
        self._channel = grpc.insecure_channel(switch, options=_WHOLE)
        self._server = grpc.server(ThreadPoolExecutor(_THREADS, "relay"), options=_WHOLE)
        self._server.add_generic_rpc_handlers((_Handlers(self._channel, self._hold),))
        self._server.add_insecure_port(address)
        self._server.start()

    def close(self) -> None:
        """Ends all RPCs under way."""
        stopped = self._server.stop(grace=None)
        self._closing.set()
        stopped.wait()
        self._channel.close()

    def _hold(self, late: bool) -> None:
        if late is self.late:
            self._closing.wait(self.delay_s)


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs alone
    # The stubs' channel takes no method without codecs; here messages stay bytes.
    def __init__(self, channel: Any, hold: Callable[[bool], None]) -> None:
        self._channel = channel
        self._hold = hold

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        path = handler_call_details.method
        method = path.rpartition("/")[2]
        kind = _STREAMING.get(method, (False, False))
        if kind == (True, True):
            return grpc.stream_stream_rpc_method_handler(self._many(self._channel.stream_stream(path)))
        if kind == (False, True):
            return grpc.unary_stream_rpc_method_handler(self._many(self._channel.unary_stream(path)))
        return grpc.unary_unary_rpc_method_handler(
            self._one(self._channel.unary_unary(path), method == "Write")
        )

    def _one(self, call: Any, is_write: bool) -> Callable[[bytes, grpc.ServicerContext], bytes]:
        def handle(request: bytes, context: grpc.ServicerContext) -> bytes:
            if is_write:
                self._hold(True)
            try:
                answer: bytes = call(request, timeout=min(context.time_remaining(), _LONGEST))
            except grpc.RpcError as error:
                if is_write:
                    self._hold(False)
                raise _aborted(error, context) from None
            if is_write:
                self._hold(False)
            return answer

        return handle

    def _many(self, call: Any) -> Callable[[Any, grpc.ServicerContext], Iterator[bytes]]:
        def handle(request: Any, context: grpc.ServicerContext) -> Iterator[bytes]:
            answers = call(request)
            context.add_callback(answers.cancel)
            try:
                yield from answers
            except grpc.RpcError as error:
                raise _aborted(error, context) from None

        return handle


def _aborted(error: Any, context: grpc.ServicerContext) -> Exception:
    """Ends the RPC as the switch ended it, with the details of each update (`grpc-status-details-bin`)."""
    context.set_trailing_metadata(tuple(error.trailing_metadata() or ()))
    context.abort(error.code(), error.details() or "")
    return RuntimeError("abort does not return")
