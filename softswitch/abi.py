# SPDX-License-Identifier: Apache-2.0
"""The structures and functions of `runtime/switch.h` for ctypes."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_bool, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any, NoReturn


class EngineError(Exception):
    """The data plane refused to do something; the text is one line for people."""


class TableEntry(ctypes.Structure):
    """`ss_entry_t`."""

    _fields_ = (
        ("table_id", c_uint32),
        ("action_id", c_uint32),
        ("priority", c_int32),
        ("member_or_group", c_uint32),
        ("idle_timeout_ns", c_uint64),
        ("metadata", c_uint64),
        ("flags", c_uint32),
        ("key", c_char_p),
        ("mask", c_char_p),
        ("params", c_char_p),
        ("params_len", c_uint32),
        ("initial_packets", c_int64),
        ("initial_bytes", c_int64),
    )


class PortStatsStruct(ctypes.Structure):
    """`ss_port_stats_t`."""

    _fields_ = (
        ("port", c_uint32),
        ("up", c_uint32),
        ("rx_packets", c_uint64),
        ("rx_bytes", c_uint64),
        ("tx_packets", c_uint64),
        ("tx_bytes", c_uint64),
        ("rx_dropped", c_uint64),
        ("tx_dropped", c_uint64),
    )


class StatsStruct(ctypes.Structure):
    """`ss_stats_t`."""

    _fields_ = (
        ("packet_in_dropped", c_uint64),
        ("digest_dropped", c_uint64),
        ("idle_dropped", c_uint64),
        ("packet_out_dropped", c_uint64),
        ("processed", c_uint64),
    )


class MeterConfig(ctypes.Structure):
    """`ss_meter_config_t`."""

    _fields_ = (
        ("cir", c_uint64),
        ("cburst", c_uint64),
        ("pir", c_uint64),
        ("pburst", c_uint64),
        ("configured", c_uint32),
    )


class Replica(ctypes.Structure):
    """`ss_replica_t`."""

    _fields_ = (("port", c_uint32), ("instance", c_uint32))


_SW = c_void_p
_BLOCKING = {
    "ss_new": (c_void_p, [c_uint32, c_uint32]),
    "ss_free": (None, [_SW]),
    "ss_port_add": (c_int, [_SW, c_uint32, c_char_p, c_char_p, c_char_p, c_size_t]),
    "ss_start": (c_int, [_SW, c_uint32, c_bool, c_char_p, c_size_t]),
    "ss_stop": (None, [_SW]),
    "ss_port_stats": (c_int, [_SW, c_uint32, POINTER(PortStatsStruct)]),
    "ss_process": (c_int, [_SW, c_uint32, c_char_p, c_size_t]),
    "ss_take_output": (c_size_t, [_SW, c_char_p, c_size_t]),
    "ss_table_read": (c_size_t, [_SW, c_uint32, POINTER(c_uint64), c_char_p, c_size_t]),
    "ss_multicast_set": (c_int, [_SW, c_uint32, POINTER(Replica), c_size_t]),
    "ss_clone_set": (c_int, [_SW, c_uint32, POINTER(Replica), c_size_t, c_uint32]),
    "ss_wait_events": (c_size_t, [_SW, c_uint32, c_char_p, c_size_t]),
    "ss_events_fd": (c_int, [_SW]),
    "ss_stats": (None, [_SW, POINTER(StatsStruct)]),
}
_SHORT = {
    "ss_packet_out": (c_int, [_SW, c_char_p, c_size_t]),
    "ss_packet_outs_go": (None, [_SW]),
    "ss_behind": (c_bool, [_SW]),
    "ss_table_write": (c_int, [_SW, c_int, POINTER(TableEntry)]),
    "ss_table_lookup": (c_size_t, [_SW, POINTER(TableEntry), c_char_p, c_size_t]),
    "ss_table_count": (c_uint64, [_SW, c_uint32]),
    "ss_counter_read": (c_int, [_SW, c_uint32, c_uint64, POINTER(c_uint64), POINTER(c_uint64)]),
    "ss_counter_write": (c_int, [_SW, c_uint32, c_uint64, c_uint64, c_uint64]),
    "ss_direct_counter_write": (c_int, [_SW, POINTER(TableEntry), c_uint64, c_uint64]),
    "ss_meter_read": (c_int, [_SW, c_uint32, c_uint64, POINTER(MeterConfig)]),
    "ss_meter_write": (c_int, [_SW, c_uint32, c_uint64, POINTER(MeterConfig)]),
    "ss_direct_meter_read": (c_int, [_SW, POINTER(TableEntry), POINTER(MeterConfig)]),
    "ss_direct_meter_write": (c_int, [_SW, POINTER(TableEntry), POINTER(MeterConfig)]),
    "ss_member_write": (c_int, [_SW, c_uint32, c_uint32, c_uint32, c_uint32, c_char_p, c_uint32]),
    "ss_group_write": (c_int, [_SW, c_uint32, c_uint32, c_uint32, POINTER(c_uint32), c_size_t]),
    "ss_register_read": (c_int, [_SW, c_uint32, c_uint64, c_char_p]),
    "ss_register_write": (c_int, [_SW, c_uint32, c_uint64, c_char_p]),
}


def open_library(library: Path) -> tuple[Any, Any]:
    """The functions that give up Python's lock for their time, and those that keep it."""
    try:
        blocking, short = ctypes.CDLL(str(library)), ctypes.PyDLL(str(library))
    except OSError as error:
        raise EngineError(f"cannot load the compiled program: {error}") from error
    for api, names in ((blocking, _BLOCKING), (short, _SHORT)):
        for name, (result, arguments) in names.items():
            function = getattr(api, name)
            function.restype = result
            function.argtypes = arguments
    return blocking, short


class Closed:
    """In the place of the functions once there is no switch: it would bring them down."""

    @staticmethod
    def refuse(*_: object) -> NoReturn:
        """What every function of it is."""
        raise EngineError("the engine is closed")

    def __getattr__(self, name: str) -> Any:
        return self.refuse
