# SPDX-License-Identifier: Apache-2.0
"""Veth pairs that keep the order of packets, as wires do.

A veth hands every packet to the CPU on which it was sent. When the sender moves to another CPU, the packets
that still wait at the first one are overtaken, and with a retransmission among the later ones the receiver's
PAWS check (RFC 7323, section 5) throws the overtaken ones away. With receive packet steering to one CPU for
each interface (Linux, Documentation/networking/scaling.rst), what arrives there first is taken first.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

from controller.lab.errors import LabError

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS = 0x00020000
_MS_REC, _MS_SLAVE, _MNT_DETACH = 0x4000, 0x80000, 2


def keep_order(interfaces: Iterable[str]) -> None:
    """Packets that arrive on one of these interfaces of the current namespace are taken in order, by one CPU.

    The interfaces share the CPUs that the process may use. A kernel without packet steering (CONFIG_RPS) is
    left as it is. The calling thread gets a mount namespace of its own.

    Raises LabError.
    """
    cpus = sorted(os.sched_getaffinity(0))
    _mount_own_sysfs()
    for interface in interfaces:
        device = Path("/sys/class/net", interface)
        try:
            cpu = cpus[int((device / "ifindex").read_text()) % len(cpus)]
            for steering in device.glob("queues/rx-*/rps_cpus"):
                steering.write_text(cpu_mask(cpu))
        except OSError as error:
            raise LabError(f"{interface}: receive packet steering: {error.strerror}") from None


def cpu_mask(cpu: int) -> str:
    """The mask of one CPU as Linux reads it: hexadecimal, in groups of 32 bits with commas between.

    >>> cpu_mask(33)
    '2,00000000'
    """
    groups, bit = divmod(cpu, 32)
    return ",".join([f"{1 << bit:x}", *["00000000"] * groups])


def _mount_own_sysfs() -> None:
    # /sys shows the network namespace in which it was mounted.
    _checked(_LIBC.unshare(_CLONE_NEWNS), "a mount namespace")
    _checked(_LIBC.mount(b"none", b"/", None, _MS_REC | _MS_SLAVE, None), "mounts of its own")
    _LIBC.umount2(b"/sys", _MNT_DETACH)  # a second mount of the same one would be refused
    _checked(_LIBC.mount(b"sysfs", b"/sys", b"sysfs", 0, None), "/sys")


def _checked(result: int, what: str) -> None:
    if result != 0:
        raise LabError(f"{what}: {os.strerror(ctypes.get_errno())}")
