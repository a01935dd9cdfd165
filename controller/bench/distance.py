# SPDX-License-Identifier: Apache-2.0
"""Distance, made of userspace: what enters at one end leaves the other so much later, in order.

For packets a pair of TUN devices in two namespaces; for a control channel a pair of unix sockets. The
kernel's own way (netem) is not on every machine.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from controller.lab.errors import LabError
from controller.lab.lab import Lab
from controller.scenario.netns import call_in

_TUNSETIFF: Final = 0x400454CA
_TUN_WITHOUT_INFO: Final = 0x1001  # IFF_TUN | IFF_NO_PI
_LARGEST: Final = 1 << 16
_LOOK: Final = 0.2  # seconds after which a thread sees that it is no longer wanted


def _carry(source: int, deliver: Callable[[bytes], object], delay_s: float, over: threading.Event) -> None:
    """Read from a descriptor until its end, and deliver each piece `delay_s` seconds later."""
    under_way: queue.SimpleQueue[tuple[float, bytes] | None] = queue.SimpleQueue()

    def hand_over() -> None:
        while (item := under_way.get()) is not None:
            due, data = item
            time.sleep(max(0.0, due - time.monotonic()))
            with contextlib.suppress(OSError):
                deliver(data)
        with contextlib.suppress(OSError):
            deliver(b"")

    threading.Thread(target=hand_over, daemon=True).start()
    while not over.is_set():
        if not select.select([source], [], [], _LOOK)[0]:
            continue
        try:
            data = os.read(source, _LARGEST)
        except OSError:
            break
        if not data:
            break
        under_way.put((time.monotonic() + delay_s, data))
    under_way.put(None)


@contextmanager
def far_host(lab: Lab, host: str, router: str, address: str, delay_s: float) -> Iterator[None]:
    """All packets of an address of `host` travel `delay_s` seconds to and from `router`.

    Raises:
        LabError: the machine has no TUN devices.
    """
    over = threading.Event()
    ends = [_tun(lab, node, f"far-{node}") for node in (host, router)]
    try:
        for node, command in (
            (host, f"ip route replace default dev far-{host} src {address}"),
            (router, f"ip route replace {address}/32 dev far-{router}"),
        ):
            done = lab.run(node, ["sh", "-c", f"ip link set far-{node} up && {command}"], timeout=10)
            if done.returncode:
                raise LabError(f"{node}: {done.stderr.strip()}")
        for source, sink in (ends, ends[::-1]):
            deliver = _packet_writer(sink)
            threading.Thread(target=_carry, args=(source, deliver, delay_s, over), daemon=True).start()
        yield
    finally:
        over.set()
        time.sleep(2 * _LOOK)
        for end in ends:
            os.close(end)


def _packet_writer(sink: int) -> Callable[[bytes], object]:
    return lambda packet: os.write(sink, packet) if packet else None


def _tun(lab: Lab, node: str, name: str) -> int:
    def make() -> int:
        end = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TUN_WITHOUT_INFO))
        return end

    try:
        return call_in(lab.netns(node), make)
    except OSError as error:
        raise LabError(f"no TUN device in {node}: {error}") from error


@contextmanager
def far_channel(listen: str, switch: str, delay_s: float) -> Iterator[None]:
    """Who connects to the unix socket `listen` speaks with `switch`, `delay_s` seconds away (paths)."""
    over = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(listen)
        listener.listen()
        thread = threading.Thread(target=_accept, args=(listener, switch, delay_s, over), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            os.unlink(listen)


def _accept(listener: socket.socket, switch: str, delay_s: float, over: threading.Event) -> None:
    listener.settimeout(_LOOK)
    while not over.is_set():
        try:
            near, _ = listener.accept()
        except TimeoutError:
            continue
        near.settimeout(None)
        far = socket.socket(socket.AF_UNIX)
        try:
            far.connect(switch)
        except OSError:
            near.close()
            continue
        for source, sink in ((near, far), (far, near)):
            arguments = (source.fileno(), _stream_writer(source, sink), delay_s, over)
            threading.Thread(target=_carry, args=arguments, daemon=True).start()


def _stream_writer(source: socket.socket, sink: socket.socket) -> Callable[[bytes], object]:
    def deliver(data: bytes) -> None:
        if data:
            sink.sendall(data)
        else:  # the source has ended
            sink.shutdown(socket.SHUT_WR)
            source.shutdown(socket.SHUT_RD)

    return deliver
