# SPDX-License-Identifier: Apache-2.0
"""The bench of sync modes: what it makes of its times, and the distance that it measures over."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from pathlib import Path

from controller.bench.distance import far_channel
from controller.bench.modes import Turns, lines, summary


def test_a_mode_is_summed_up() -> None:
    times: dict[str, list[float | None]] = {"request": [30.0, 10.0, None, 20.0], "greeting": [None]}
    figures = summary(Turns(times, Counter({"early returns": 2})))
    assert figures["request"] == {"ms": 20.0, "p95_ms": 30.0, "connections": 4, "failed": 1}
    assert figures["greeting"] == {"ms": None, "p95_ms": None, "connections": 1, "failed": 1}
    [line] = lines({"local": figures})
    assert line.startswith("sync local: request 20.0 ms (95 %: 30.0), 1 failed; greeting None ms")
    assert line.endswith("1 failed; early returns 2")


def test_a_far_channel_carries_everything_later_and_in_order(tmp_path: Path) -> None:
    near, far = str(tmp_path / "near"), str(tmp_path / "far")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(far)
        listener.listen()

        def echo() -> None:
            end, _ = listener.accept()
            with end:
                while data := end.recv(1 << 16):
                    end.sendall(data)

        threading.Thread(target=echo, daemon=True).start()
        with far_channel(near, far, 0.05), socket.socket(socket.AF_UNIX) as end:
            end.connect(near)
            start = time.monotonic()
            end.sendall(b"first")
            end.sendall(b"second")
            end.shutdown(socket.SHUT_WR)
            got = b""
            while data := end.recv(100):
                got += data
            assert got == b"firstsecond"
            assert time.monotonic() - start >= 0.1
    assert not Path(near).exists()
