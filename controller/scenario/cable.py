# SPDX-License-Identifier: Apache-2.0
"""A TCP connection's way that can be cut: bytes go through unchanged, or wait until it is whole again.

While it is cut nobody is told: connections stay, as they do when packets get lost somewhere on the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Final

_AT_ONCE: Final = 1 << 16
_LOOK_AGAIN: Final = 0.02  # seconds


class Cable:
    """Listens on a port of the loopback interface (`port`) and leads to `host`:`target`, until closed."""

    def __init__(self, host: str, target: int) -> None:
        self.cut = False
        self.port = 0
        self._host, self._target = host, target
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._pumps: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name=f"cable to {target}", daemon=True)
        self._thread.start()
        self._ready.wait()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connected, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for pump in self._pumps:
            pump.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._pumps, return_exceptions=True))
        self._loop.close()

    async def _connected(self, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        await self._whole()
        try:
            far, far_out = await asyncio.open_connection(self._host, self._target)
        except OSError:
            near_out.close()
            return
        for source, sink in ((near, far_out), (far, near_out)):
            pump = self._loop.create_task(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(_AT_ONCE):
                await self._whole()
                sink.write(data)
                await sink.drain()
        await self._whole()
        sink.close()

    async def _whole(self) -> None:
        while self.cut:
            await asyncio.sleep(_LOOK_AGAIN)
