# SPDX-License-Identifier: Apache-2.0
"""The controller process: the API, the switches, and an orderly end on SIGTERM or SIGINT.

At the end the switches keep everything: traffic goes on, and the next controller reads the sessions back.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sys

import uvloop

from controller.api.server import ApiError, ApiServer
from controller.config import ControllerConfig
from controller.hub import ControllerHub, SteppedDownError
from controller.p4.program import ProgramError

log = logging.getLogger(__name__)


def run(config: ControllerConfig) -> int:
    """Run a controller until SIGTERM or SIGINT; exit code 0, or 1 when it cannot start (stderr says why)."""
    set_up_collector()
    return uvloop.run(_serve(config))


def set_up_logging(level: str = "info") -> None:
    """One line per event on stderr: ISO time, level, text."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        logging.Formatter("%(asctime)s.%(msecs)03d %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("finsy").setLevel(logging.WARNING)


def set_up_collector() -> None:
    """Have the cyclic garbage collector look at young objects only.

    A full collection visits every session, a tenth of a second for each 20,000 of them, and holds all
    handshakes up meanwhile. The way of a connection leaves no cycles; those of a broken connection to a
    switch are young when it is given up.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 5, 1_000_000)


async def _serve(config: ControllerConfig) -> int:
    api = ApiServer(ControllerHub(config))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await api.start(config.api.listen)
    except ApiError as err:
        log.error("%s", err)
        return 1
    log.info("controller %s: API on %s", config.name, config.api.listen)
    work = asyncio.ensure_future(_lead_in_turn(config, api))
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return _report(work)
        log.info("controller %s: ending; the switches keep their sessions", config.name)
        return 0
    finally:
        for task in (work, stopped):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await work
        await api.stop()


async def _lead_in_turn(config: ControllerConfig, api: ApiServer) -> None:
    """Stand by, lead, step down when another controller leads, and so on, until cancelled.

    A hub that stepped down is thrown away with all that it knew: the next one reads back what is true.
    """
    while True:
        try:
            await api.hub.run()
        except SteppedDownError as err:
            log.warning("controller %s: stepping down: %s", config.name, err)
            api.hub = ControllerHub(config)
        gc.collect()  # the old one, with all its sessions: the collector does not look at them by itself


def _report(work: asyncio.Future[None]) -> int:
    error = work.exception()
    if isinstance(error, ProgramError):
        for line in str(error).splitlines():
            log.error("%s", line)
    else:
        log.error("the controller failed", exc_info=error)
    return 1
