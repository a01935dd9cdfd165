# SPDX-License-Identifier: Apache-2.0
"""No garbage collection may hold the handshakes up."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from controller.app import set_up_collector

from . import hot_path


@pytest.fixture
def collector() -> Iterator[None]:
    before = gc.get_threshold()
    set_up_collector()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("collector")
def test_connections_leave_no_cycles_and_cause_no_full_collection() -> None:
    full = gc.get_stats()[2]["collections"]
    hot_path.measure(3000)
    assert gc.get_stats()[2]["collections"] == full
    assert gc.collect() == 0
