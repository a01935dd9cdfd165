# SPDX-License-Identifier: Apache-2.0
"""The federation's way to NATS: subjects, the key-value store, requests. One object is one connection.

A record that is put into the store is an ordinary message on its subject too: members hear it at once, and
the store's acknowledgment tells its sender that it is kept. When the connection breaks the object is of no
further use: whoever holds it makes a new one and joins anew, for messages may have been missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import api
from nats.js.client import JetStreamContext
from nats.js.kv import KeyValue

from controller.config import FederationConfig
from controller.federation.access import AccessError, connect_options, explain, one_line

log = logging.getLogger(__name__)

Reply: TypeAlias = Callable[[bytes], None]
Handler: TypeAlias = Callable[[str, bytes, Reply | None], None]
"""Called with (topic, data, how to answer). Topics: `s.…` and `m.NAME` of the store, `keys`, `all.KIND`,
`to.KIND`.
"""

_CONNECT_TIME: Final = 2
_STORE_TIME: Final = 2.0  # for an answer of the store; while a cluster has no leader, nobody answers
_PORTION: Final = 512  # entries that are asked for at a time
_FORGOTTEN_AFTER: Final = 30.0  # seconds after which the server forgets a reading that does not go on
_REMOVED: Final = frozenset({"KV-Operation", "Nats-Marker-Reason"})
"""Headers of what is in the place of an entry that was removed."""
_MOST_WAITING: Final = 100_000
"""Messages that may wait for the connection; beyond them it counts as broken."""


class BusError(Exception):
    """NATS cannot be used; one line."""


class ConflictError(Exception):
    """Another member has written the entry meanwhile."""


def bucket_name(config: FederationConfig) -> str:
    """The bucket of the key-value store that has the sessions."""
    return f"syncline-{config.cluster}"


class Bus(Protocol):
    """What the federation needs of a connection. `closed` is set when it is of no use any more."""

    closed: asyncio.Event
    reason: str

    def publish(self, topic: str, data: bytes) -> None: ...
    def store(self, key: str, data: bytes, ttl: float | None = None) -> asyncio.Future[None]: ...
    def snapshot(self, prefix: str) -> AsyncIterator[tuple[str, bytes]]: ...
    async def read_keys(self) -> tuple[bytes, int] | None: ...
    async def write_keys(self, data: bytes, revision: int) -> int: ...
    async def request(self, topic: str, data: bytes, time_limit: float) -> bytes: ...
    async def close(self) -> None: ...


class _Client(Client):
    """Never without TLS where TLS is configured: the library would go on without, and send its secrets, if
    the server (or who stands in its place) says that it has no TLS.
    """

    def _connect_command(self) -> bytes:
        if "tls" in self.options and not self._server_info.get("tls_required"):
            raise nats.errors.Error("it wants no TLS, but federation.tls is given; configure TLS there")
        return super()._connect_command()


@dataclass(slots=True)
class _Outgoing:
    subject: str
    data: bytes
    headers: dict[str, str] | None = None
    stored: asyncio.Future[None] | None = None


class NatsBus:
    """`to.NAME.KIND` and `all.KIND` are subjects below `syncline.CLUSTER`; the store is a bucket, the keys
    another.
    """

    def __init__(self, config: FederationConfig, handler: Handler) -> None:
        self.closed = asyncio.Event()
        self.reason = ""
        self._config = config
        self._handler = handler
        self._prefix = f"syncline.{config.cluster}."
        self._bucket = bucket_name(config)
        self._records = f"$KV.{self._bucket}."
        self._keys_subject = f"$KV.{self._bucket}-keys.current"
        self._waiting: deque[_Outgoing] = deque()
        self._wakeup = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None
        self._nats = _Client()
        self._js: JetStreamContext
        self._keys: KeyValue

    # --- life -------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect, make the buckets if they are not there, listen. Raises BusError."""
        config = self._config
        try:
            options = connect_options(config)
        except AccessError as error:
            raise BusError(str(error)) from None
        try:
            async with asyncio.timeout(2 * _CONNECT_TIME * len(config.urls) + _STORE_TIME):
                await self._nats.connect(
                    servers=list(config.urls),
                    name=f"syncline {config.member}",
                    allow_reconnect=False,
                    connect_timeout=_CONNECT_TIME,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    ping_interval=max(1, math.ceil(config.lease)),
                    no_echo=True,
                    pending_size=0,
                    error_cb=self._on_error,
                    closed_cb=self._on_closed,
                    **options,
                )
                self._js = self._nats.jetstream(timeout=_STORE_TIME)
                await self._open_bucket(self._bucket, config.ttl)
                self._keys = await self._open_bucket(f"{self._bucket}-keys", None)
                await self._listen()
        except (TimeoutError, nats.errors.Error, OSError) as error:
            text = explain(error, config)
            if self._nats.is_connected:
                text = f"no store ({text}); JetStream must run there, and most servers of a cluster be up"
            await self.close()
            raise BusError(f"{', '.join(config.urls)}: {text}") from None
        self._sender = asyncio.get_running_loop().create_task(self._send_all(), name="nats sender")

    async def _open_bucket(self, name: str, ttl: float | None) -> KeyValue:
        with contextlib.suppress(nats.js.errors.BucketNotFoundError):
            return await self._js.key_value(name)
        return await self._js.create_key_value(
            api.KeyValueConfig(bucket=name, history=1, ttl=ttl, replicas=self._config.replicas)
        )

    async def _listen(self) -> None:
        own = f"{self._prefix}to.{self._config.member}."
        for subject, cut, put in (
            (f"{self._records}>", self._records, ""),
            (self._keys_subject, self._keys_subject, "keys"),
            (f"{self._prefix}all.>", self._prefix, ""),
            (f"{own}>", own, "to."),
        ):
            await self._nats.subscribe(subject, cb=self._receiver(len(cut), put))
        for _ in range(2):  # the library's first PING may be sent before what it has yet to send
            await self._nats.flush(_CONNECT_TIME)  # now the server knows

    def _receiver(self, cut: int, put: str) -> Callable[[Msg], Awaitable[None]]:
        async def receive(message: Msg) -> None:
            topic = put + message.subject[cut:]
            asked = put == "to." and message.reply  # records have one too, for the store
            try:
                self._handler(topic, message.data, self._answer(message.reply) if asked else None)
            except Exception:  # one message that cannot be processed must not end the others
                log.exception("a message of the federation could not be processed (%s)", topic)

        return receive

    def _answer(self, subject: str) -> Reply:
        return lambda data: self._put(_Outgoing(subject, data))

    async def close(self) -> None:
        if self._sender is not None:
            self._sender.cancel()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._nats.close(), 1.0)
        self._end("closed")

    async def _on_error(self, error: Exception) -> None:
        if isinstance(error, nats.errors.SlowConsumerError):
            self._end("messages came faster than they could be taken in")

    async def _on_closed(self) -> None:
        self._end(one_line(self._nats.last_error) if self._nats.last_error else "the connection is broken")

    def _end(self, reason: str) -> None:
        if self.closed.is_set():
            return
        self.reason = reason
        self.closed.set()
        for message in self._waiting:
            if message.stored is not None and not message.stored.done():
                message.stored.set_exception(BusError(reason))
        self._waiting.clear()

    # --- sending ----------------------------------------------------------------------------------

    def publish(self, topic: str, data: bytes) -> None:
        self._put(_Outgoing(self._prefix + topic, data))

    def store(self, key: str, data: bytes, ttl: float | None = None) -> asyncio.Future[None]:
        """Put an entry into the store; the future is done when it is kept, or has a BusError.

        ttl: seconds after which it goes by itself (servers from 2.11 on; others keep it for the bucket's
        time).
        """
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        headers = None if ttl is None else {str(api.Header.MSG_TTL.value): str(max(1, math.ceil(ttl)))}
        self._put(_Outgoing(self._records + key, data, headers, stored))
        return stored

    def _put(self, message: _Outgoing) -> None:
        if not self.closed.is_set() and len(self._waiting) >= _MOST_WAITING:
            self._end("it takes messages too slowly")
        if self.closed.is_set():
            if message.stored is not None:
                message.stored.set_exception(BusError(self.reason))
            return
        self._waiting.append(message)
        self._wakeup.set()

    async def _send_all(self) -> None:
        while not self.closed.is_set():
            if not self._waiting:
                self._wakeup.clear()
                await self._wakeup.wait()
                continue
            message = self._waiting.popleft()
            try:
                if message.stored is None:
                    await self._nats.publish(message.subject, message.data)
                else:
                    kept = await self._js.publish_async(
                        message.subject, message.data, headers=message.headers
                    )
                    kept.add_done_callback(_hand_on(message.stored))
            except nats.errors.Error as error:
                if message.stored is not None and not message.stored.done():
                    message.stored.set_exception(BusError(one_line(error)))
                self._end(one_line(error))

    # --- asking -----------------------------------------------------------------------------------

    async def request(self, topic: str, data: bytes, time_limit: float) -> bytes:
        """Raises BusError when there is no answer in time (seconds)."""
        with _errors():
            return (await self._nats.request(self._prefix + topic, data, timeout=time_limit)).data

    async def snapshot(self, prefix: str) -> AsyncIterator[tuple[str, bytes]]:
        """All entries of the store below a prefix such as "s." (key, data). Raises BusError.

        Pulled, portion by portion, and counted: the library's own watcher may say that there is nothing when
        the server's answer about it overtakes the entries.
        """
        with _errors():
            consumer = await self._js.pull_subscribe(
                f"{self._records}{prefix}>",
                stream=f"KV_{self._bucket}",
                config=api.ConsumerConfig(
                    deliver_policy=api.DeliverPolicy.LAST_PER_SUBJECT,
                    ack_policy=api.AckPolicy.NONE,
                    inactive_threshold=_FORGOTTEN_AFTER,
                ),
            )
            try:
                pending = (await consumer.consumer_info()).num_pending or 0
                while pending:
                    messages = await consumer.fetch(min(pending, _PORTION), timeout=_STORE_TIME)
                    pending = messages[-1].metadata.num_pending
                    for message in messages:
                        if message.data and not (message.headers or {}).keys() & _REMOVED:
                            yield message.subject[len(self._records) :], message.data
            finally:
                with contextlib.suppress(nats.errors.Error):
                    await consumer.unsubscribe()

    async def read_keys(self) -> tuple[bytes, int] | None:
        """The record of the cookie keys and its revision; None when there is none. Raises BusError."""
        with _errors():
            try:
                entry = await self._keys.get("current")
            except nats.js.errors.KeyNotFoundError:
                return None
            return (entry.value or b"", entry.revision or 0)

    async def write_keys(self, data: bytes, revision: int) -> int:
        """Replace the record of this revision (0: there is none); the new one's. Raises BusError,
        ConflictError.
        """
        with _errors():
            try:
                return await self._keys.update("current", data, last=revision)
            except nats.js.errors.KeyWrongLastSequenceError:
                raise ConflictError from None


def _hand_on(stored: asyncio.Future[None]) -> Callable[[asyncio.Future[api.PubAck]], None]:
    def done(kept: asyncio.Future[api.PubAck]) -> None:
        if stored.done() or kept.cancelled():
            return
        error = kept.exception()
        if error is None:
            stored.set_result(None)
        else:
            stored.set_exception(BusError(f"the store refused an entry: {one_line(error)}"))

    return done


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (TimeoutError, nats.errors.Error, OSError) as error:
        raise BusError(one_line(error)) from None
