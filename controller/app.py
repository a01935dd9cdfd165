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
from pathlib import Path

import uvloop

from controller.api.server import ApiError, ApiServer
from controller.config import ControllerConfig, load_config
from controller.config_errors import ConfigError
from controller.federation.access import AccessError, read_shared_secret
from controller.federation.hub import FederatedHub
from controller.hub import ControllerHub, SteppedDownError
from controller.p4.program import ProgramError
from controller.reload import Reloaded, merged

log = logging.getLogger(__name__)


def run(file: Path, config: ControllerConfig, log_level: str | None = None) -> int:
    """Run a controller until SIGTERM or SIGINT; exit code 0, or 1 when it cannot start (stderr says why).

    SIGHUP has it read `file` again. `log_level` counts whatever the configuration says.
    """
    set_up_collector()
    return uvloop.run(_serve(file, config, log_level))


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
    logging.getLogger("asyncio").addFilter(_says_something)


def _says_something(record: logging.LogRecord) -> bool:
    """False for what the event loop says at each end of a TLS connection to NATS, which means nothing."""
    return "eof_received() has no effect" not in record.getMessage()


def set_up_collector() -> None:
    """Have the cyclic garbage collector look at young objects only.

    A full collection visits every session, a tenth of a second for each 20,000 of them, and holds all
    handshakes up meanwhile. The way of a connection leaves no cycles; those of a broken connection to a
    switch are young when it is given up.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 5, 1_000_000)


async def _serve(file: Path, config: ControllerConfig, log_level: str | None) -> int:
    try:
        process = _Process(file, config, log_level)
    except AccessError as err:
        log.error("%s", err)
        return 1
    api = process.api
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await api.start(config.api)
    except ApiError as err:
        log.error("%s", err)
        return 1
    log.info("controller %s: API on %s", config.name, config.api.listen)
    reloads: set[asyncio.Task[None]] = set()
    loop.add_signal_handler(signal.SIGHUP, lambda: reloads.add(loop.create_task(process.on_signal())))
    work = asyncio.ensure_future(process.lead_in_turn())
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return _report(work)
        log.info("controller %s: ending; the switches keep their sessions", config.name)
        return 0
    finally:
        for task in (work, stopped, *reloads):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await work
        await api.stop()


class _Process:
    """What outlives a term of leading: the API, and the configuration, which can be loaded anew."""

    def __init__(self, file: Path, config: ControllerConfig, log_level: str | None) -> None:
        self._file = file
        self._config = config
        self._log_level = log_level
        self._reloading = asyncio.Lock()
        self._term: asyncio.Task[None] | None = None
        self._anew = False
        self.api = ApiServer(_new_hub(config), self.reload)

    async def lead_in_turn(self) -> None:
        """Stand by, lead, step down when another controller leads, and so on, until cancelled.

        A hub that stepped down is thrown away with all that it knew: the next one reads back what is true.
        """
        while True:
            self._term = asyncio.ensure_future(self.api.hub.run())
            try:
                await self._term
            except SteppedDownError as err:
                log.warning("controller %s: stepping down: %s", self._config.name, err)
            except asyncio.CancelledError:
                if not self._anew:
                    self._term.cancel()
                    await asyncio.gather(self._term, return_exceptions=True)
                    raise
            self._anew = False
            self.api.hub = _new_hub(self._config)
            gc.collect()  # the old one, with all its sessions: the collector does not look at them by itself

    async def reload(self) -> Reloaded:
        """Read the configuration file again and follow it; on an error nothing changes.

        Raises:
            ConfigError: the file cannot be used.
        """
        async with self._reloading:
            loaded = await asyncio.to_thread(load_config, self._file)
            config, found = merged(self._config, loaded)
            self.api.renew()
            self._config = config
            if self._log_level is None:
                logging.getLogger().setLevel(config.log.upper())
            if self.api.hub.leading:
                self.api.hub.configure(config)
            elif self._term is not None and found.changed:  # it knows nothing yet that would be lost
                self._anew = True
                self._term.cancel()
            log.info("configuration loaded anew: %s", found)
            return found

    async def on_signal(self) -> None:
        try:
            await self.reload()
        except (ConfigError, ApiError) as err:
            lines = str(err).splitlines()
            log.error("configuration not loaded, the one before stays: %s", "; ".join(lines))
        except Exception:  # whatever it is, the controller goes on
            log.exception("the configuration could not be loaded anew")


def _new_hub(config: ControllerConfig) -> ControllerHub:
    """Raises AccessError when the federation's secret cannot be read."""
    if config.federation is None:
        return ControllerHub(config)
    return FederatedHub(config, config.federation, read_shared_secret(config.federation))


def _report(work: asyncio.Future[None]) -> int:
    error = work.exception()
    if isinstance(error, ProgramError | AccessError):
        for line in str(error).splitlines():
            log.error("%s", line)
    else:
        log.error("the controller failed", exc_info=error)
    return 1
