# SPDX-License-Identifier: Apache-2.0
"""Addresses, sockets and credentials of the server."""

from __future__ import annotations

import shutil
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from finsy.proto import p4r, p4r_grpc

from softswitch.p4runtime.device import Device, DeviceOptions
from softswitch.p4runtime.server import Server, ServerError
from softswitch.tlsfiles import TlsFiles

from .conftest import Rig
from .fakes import FakeEngine, compile_fake


@pytest.fixture
def device() -> Iterator[Device]:
    device = Device(DeviceOptions(), compile_fake, FakeEngine)
    yield device
    device.close()


def api_version(channel: grpc.Channel) -> str:
    with channel:
        stub = p4r_grpc.P4RuntimeStub(channel)
        return stub.Capabilities(p4r.CapabilitiesRequest(), timeout=5).p4runtime_api_version


def test_tcp(device: Device) -> None:
    server = Server(device, "127.0.0.1:0")
    server.start()
    assert api_version(grpc.insecure_channel(f"127.0.0.1:{server.port}")) == "1.5.0"
    with pytest.raises(ServerError, match=f"cannot listen on 127.0.0.1:{server.port}: address in use"):
        Server(device, f"127.0.0.1:{server.port}")
    server.stop()


@pytest.mark.parametrize(
    "address", ["localhost", ":9559", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "unix:"]
)
def test_bad_addresses(device: Device, address: str) -> None:
    with pytest.raises(ServerError, match=r"bad address|lacks a path"):
        Server(device, address)


def test_address_of_another_host(device: Device) -> None:
    with pytest.raises(ServerError, match=r"cannot listen on 192\.0\.2\.1:9559: "):
        Server(device, "192.0.2.1:9559")


def test_unix_socket_is_private_and_goes_with_the_server(device: Device, tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    server = Server(device, f"unix:{path}")
    server.start()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert api_version(grpc.insecure_channel(f"unix:{path}")) == "1.5.0"
    server.stop()
    assert not path.exists()


def test_live_unix_socket_is_not_taken_over(rig: Rig, device: Device) -> None:
    with pytest.raises(ServerError, match="another server is listening"):
        Server(device, rig.address)
    assert api_version(grpc.insecure_channel(rig.address)) == "1.5.0"


def test_stale_unix_socket_is_replaced(device: Device, tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    server = Server(device, f"unix:{path}")
    server.start()
    assert api_version(grpc.insecure_channel(f"unix:{path}")) == "1.5.0"
    server.stop()


def test_unix_paths_that_cannot_be(device: Device, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("keep me")
    for path, reason in [
        (tmp_path / "file", "is not a socket"),
        (tmp_path / "no" / "s.sock", "does not exist"),
        (tmp_path / ("x" * 120), "longer than"),
    ]:
        with pytest.raises(ServerError, match=reason):
            Server(device, f"unix:{path}")
    assert (tmp_path / "file").read_text() == "keep me"


def test_missing_tls_file(device: Device, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"TLS: .*cert\.pem: No such file"):
        Server(device, "127.0.0.1:0", TlsFiles(tmp_path / "cert.pem", tmp_path / "key.pem"))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_tls_with_client_certificates(device: Device, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    make += ["-keyout", str(key), "-out", str(cert), "-days", "1", "-subj", "/CN=localhost"]
    make += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(make, check=True, capture_output=True, timeout=30)
    server = Server(device, "127.0.0.1:0", TlsFiles(cert, key, ca=cert))
    server.start()
    pem, secret = cert.read_bytes(), key.read_bytes()
    known = grpc.ssl_channel_credentials(pem, secret, pem)
    assert api_version(grpc.secure_channel(f"127.0.0.1:{server.port}", known)) == "1.5.0"
    unknown = grpc.ssl_channel_credentials(pem)
    with pytest.raises(grpc.RpcError):
        api_version(grpc.secure_channel(f"127.0.0.1:{server.port}", unknown))
    server.stop()
