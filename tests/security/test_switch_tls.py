# SPDX-License-Identifier: Apache-2.0
"""P4Runtime over mutual TLS: the controller's connection against the switch's server, right and wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controller.config import SwitchTls
from controller.lab.certificates import CLIENT, SERVER, Authority
from controller.logic.arbitration import Arbitration, Standing
from controller.p4.connection import Connection
from controller.p4.errors import SwitchError
from softswitch.p4runtime.device import Device, DeviceOptions
from softswitch.p4runtime.server import Server
from softswitch.tlsfiles import TlsFiles
from tests.p4runtime.fakes import FakeEngine, compile_fake

DAY = timedelta(days=1)
NOW = datetime.now(UTC)
Serve = Callable[..., AbstractContextManager[str]]
YESTERDAY = (NOW - 2 * DAY, NOW - DAY)


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    @contextmanager
    def serving(tls: TlsFiles | None, address: str = "") -> Iterator[str]:
        device = Device(DeviceOptions(), compile_fake, FakeEngine)
        server = Server(device, address or f"unix:{tmp_path}/s.sock", tls)
        server.start()
        try:
            yield address.replace(":0", f":{server.port}") or f"unix:{tmp_path}/s.sock"
        finally:
            server.stop()
            device.close()

    return serving


async def connect(address: str, tls: SwitchTls | None, device_id: int = 1) -> Standing:
    connection = Connection(address, device_id, Arbitration(1), lambda _: None, tls)
    try:
        return await connection.open()
    finally:
        await connection.close()


async def reason(address: str, tls: SwitchTls | None, device_id: int = 1) -> str:
    with pytest.raises(SwitchError) as caught:
        await connect(address, tls, device_id)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    return text


@pytest.mark.parametrize("address", ["", "127.0.0.1:0"])
async def test_both_know_each_other(serve: Serve, authority: Authority, address: str) -> None:
    controller = authority.issue("controller", [CLIENT])
    name = "127.0.0.1" if address else "a"
    with serve(authority.issue(name, [SERVER]), address) as where:
        assert await connect(where, SwitchTls(controller, name)) is Standing.PRIMARY


async def test_what_is_wrong_with_the_switch(serve: Serve, authority: Authority, stranger: Authority) -> None:
    controller = authority.issue("controller", [CLIENT])
    strangers = stranger.issue("a", [SERVER])
    foreign = TlsFiles(strangers.certificate, strangers.key, authority.file)
    wrong: tuple[tuple[Callable[[], TlsFiles], str], ...] = (
        (lambda: authority.issue("a", [SERVER], dates=YESTERDAY), "refused: it has expired; renew it"),
        (lambda: authority.issue("b", [SERVER]), "not for a; give its name as server_name, or the switch a"),
        (
            lambda: authority.issue("a", [CLIENT]),
            "refused: it is not for servers; issue it with extended key",
        ),
        (lambda: foreign, f"refused: none of the CAs in {authority.file} has signed it"),
    )
    for make, text in wrong:
        with serve(make()) as where:
            found = await reason(where, SwitchTls(controller, "a"))
            assert f"TLS: the switch's certificate is {text}" in found
    with serve(None) as where:
        text = await reason(where, SwitchTls(controller, "a"))
    assert text == "TLS: the switch speaks without TLS; start it with --tls-cert, --tls-key and --tls-ca"


async def test_what_is_wrong_with_the_controller(
    serve: Serve, authority: Authority, stranger: Authority
) -> None:
    foreign = stranger.issue("controller", [CLIENT])
    with serve(authority.issue("a", [SERVER])) as where:
        for files in (
            TlsFiles(foreign.certificate, foreign.key, authority.file),
            authority.issue("b", [SERVER]),  # a stolen switch that poses as a controller
        ):
            text = await reason(where, SwitchTls(files, "a"))
            assert f"most likely refuses our certificate {files.certificate}: its CA must have" in text
        assert "does the switch want TLS?" in await reason(where, None)
        old = authority.issue("old", [CLIENT], dates=YESTERDAY)
        assert f"TLS: {old.certificate}: the certificate expired on" in await reason(
            where, SwitchTls(old, "a")
        )
        old.key.chmod(0o644)
        assert f"TLS: {old.key}: mode 0644: others" in await reason(where, SwitchTls(old, "a"))


async def test_renewed_files_count_for_the_next_connection(
    serve: Serve, authority: Authority, stranger: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    tls = SwitchTls(authority.issue("controller", [CLIENT]), "a")
    own = authority.issue("a", [SERVER], dates=YESTERDAY)
    with serve(own) as where, caplog.at_level(logging.WARNING):
        assert "has expired" in await reason(where, tls)
        good = authority.issue("a", [SERVER])
        assert await connect(where, tls) is Standing.PRIMARY
        # In the middle of a renewal, certificate and key do not belong together: the old ones go on.
        fresh = good.key.read_bytes()
        other = stranger.issue("other", [SERVER])
        good.key.write_bytes(other.key.read_bytes())
        assert await connect(where, tls) is Standing.PRIMARY
        assert await connect(where, tls) is Standing.PRIMARY
        good.key.write_bytes(fresh)
        assert await connect(where, tls) is Standing.PRIMARY
        # The controller's own.
        authority.issue("controller", [CLIENT], dates=YESTERDAY)
        assert "expired" in await reason(where, tls)
        authority.issue("controller", [CLIENT])
        assert await connect(where, tls) is Standing.PRIMARY
    said = [record.getMessage() for record in caplog.records if record.name == "softswitch.p4runtime.tls"]
    assert len([text for text in said if "not the private key" in text]) == 1
    assert any("clients will refuse it" in text for text in said)


async def test_what_is_wrong_with_the_configuration(serve: Serve) -> None:
    with serve(None) as where:
        text = await reason(where, None, 7)
    assert text == (
        "the switch refused the stream: device 7 is not known here, this is device 1; is device_id right?"
    )
    text = await reason("no-such-host.invalid:9559", None)
    assert text == "cannot connect: the name in no-such-host.invalid:9559 cannot be resolved"
    assert "cannot connect: " in await reason("127.0.0.1:1", None)
