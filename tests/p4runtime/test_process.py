# SPDX-License-Identifier: Apache-2.0
"""`syncline switch` and `syncline compile` as processes: what they print, how they exit, what they leave."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import typer
from finsy.proto import p4r, p4r_grpc
from typer.testing import CliRunner

from softswitch import cli

PROGRAM = Path(__file__).with_name("programs") / "entities.p4"
SYNCLINE = [
    sys.executable,
    "-c",
    "import typer; from softswitch import cli; app = typer.Typer(); cli.register(app); app()",
]


def run(*arguments: str | Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SYNCLINE, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "COLUMNS": "100"},
    )


class Running:
    """A switch process; `greeting` is the line that it prints when it serves."""

    def __init__(self, *arguments: str | Path) -> None:
        self.process = subprocess.Popen(
            [*SYNCLINE, "switch", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.greeting = self.process.stdout.readline().rstrip()

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=20)
        return self.process.returncode, errors

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def start() -> Iterator[type[Running]]:
    started: list[Running] = []

    class Tracked(Running):
        def __init__(self, *arguments: str | Path) -> None:
            super().__init__(*arguments)
            started.append(self)

    yield Tracked
    for one in started:
        one.kill()


def silence(done: threading.Event) -> Iterator[p4r.StreamMessageRequest]:
    """Requests of a stream that stays open and says nothing."""
    done.wait()
    yield from ()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_greeting_and_clean_end(start: type[Running], tmp_path: Path, number: int) -> None:
    path = tmp_path / "s.sock"
    switch = start("--grpc-server-addr", f"unix:{path}", "--device-id", "4")
    assert switch.greeting == f"switch: device 4 serving P4Runtime on unix:{path}, no ports"
    with grpc.insecure_channel(f"unix:{path}") as channel:
        stub = p4r_grpc.P4RuntimeStub(channel)
        done = threading.Event()
        stream = stub.StreamChannel(silence(done))
        assert stub.Capabilities(p4r.CapabilitiesRequest(), timeout=10).p4runtime_api_version
        assert switch.end(number) == (0, "")
        with pytest.raises(grpc.RpcError) as ended:
            list(stream)
        done.set()
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
    assert list(tmp_path.iterdir()) == []


def test_program_from_the_start(start: type[Running], tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    switch = start(PROGRAM, "--grpc-server-addr", f"unix:{path}")
    assert switch.greeting.endswith("no ports, running entities.p4")
    with grpc.insecure_channel(f"unix:{path}") as channel:
        request = p4r.GetForwardingPipelineConfigRequest(device_id=1)
        config = p4r_grpc.P4RuntimeStub(channel).GetForwardingPipelineConfig(request, timeout=10).config
    assert (config.HasField("cookie"), len(config.p4info.tables)) == (False, 5)
    assert switch.end()[0] == 0


def test_killed_switch_can_be_started_again(start: type[Running], tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/s.sock"
    switch = start("--grpc-server-addr", address)
    switch.end(signal.SIGKILL)
    assert "serving" in start("--grpc-server-addr", address).greeting


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The only line on stderr of a switch that did not start."""
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    return line


def test_address_in_use(start: type[Running], tmp_path: Path) -> None:
    start("--grpc-server-addr", f"unix:{tmp_path}/s.sock")
    line = one_line(run("switch", "--grpc-server-addr", f"unix:{tmp_path}/s.sock"))
    assert line.startswith("switch: error: cannot listen on unix:")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = one_line(run("switch", "--grpc-server-addr", f"127.0.0.1:{port}"))
    assert line == f"switch: error: cannot listen on 127.0.0.1:{port}: address in use"


def test_missing_interface(tmp_path: Path) -> None:
    line = one_line(run("switch", "-i", "1@nosuchif0", "--grpc-server-addr", f"unix:{tmp_path}/s.sock"))
    assert line == "switch: error: interface nosuchif0 does not exist"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up its capabilities here")
def test_no_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    code = """
import os
from softswitch.switch import SwitchError, check_interface
os.setgid(65534)
os.setuid(65534)
try:
    check_interface("lo")
except SwitchError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "interface lo: permission denied: opening ports needs root (CAP_NET_RAW)"


def test_missing_files(tmp_path: Path) -> None:
    address = ("--grpc-server-addr", f"unix:{tmp_path}/s.sock")
    line = one_line(
        run("switch", *address, "--tls-cert", tmp_path / "c.pem", "--tls-key", tmp_path / "k.pem")
    )
    assert line.startswith(f"switch: error: TLS: {tmp_path}/c.pem: No such file or directory; give ")
    line = one_line(run("switch", *address, tmp_path / "no.p4"))
    assert "no.p4" in line
    (tmp_path / "file").write_text("")
    line = one_line(run("switch", *address, "--pcap", tmp_path / "file" / "pcaps"))
    assert "pcaps" in line


def test_program_with_an_error(tmp_path: Path) -> None:
    bad = tmp_path / "bad.p4"
    bad.write_text("#include <core.p4>\n#include <v1model.p4>\nheader h_t { bit<8 x; }\n")
    commands: list[list[str | Path]] = [
        ["switch", bad, "--grpc-server-addr", f"unix:{tmp_path}/s.sock"],
        ["compile", bad],
    ]
    for command in commands:
        done = run(*command)
        assert done.returncode == 1
        assert f"{bad}:3:" in done.stderr
        assert ": error: " in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-i", "1@a", "-i", "1@b"], "port 1 is already a"),
        (["-i", "1@a", "-i", "2@a"], "interface a is already a port"),
        (["-i", "a"], "want PORT@IFACE"),
        (["-i", "510@a"], "the CPU port"),
        (["-i", "511@a"], "not in 0..510"),
        (["--log-level", "loud"], "one of debug"),
        (["--tls-cert", "x"], "belong together"),
        (["--tls-ca", "x"], "needs --tls-cert"),
        (["--device-id", "0"], "--device-id"),
        (["--threads", "99"], "--threads"),
    ],
)
def test_wrong_usage(arguments: list[str], text: str) -> None:
    app = typer.Typer()
    cli.register(app)
    done = CliRunner().invoke(app, ["switch", *arguments])
    assert done.exit_code == 2
    assert text in " ".join(done.stderr.replace("│", " ").split())


def test_compile(tmp_path: Path) -> None:
    done = run("compile", PROGRAM, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    names = ["entities.p4info.txtpb", "entities.p4i", "entities.c"]
    assert done.stdout.split() == [str(tmp_path / "out" / name) for name in names]
    assert 'name: "IngressImpl.exact_t"' in (tmp_path / "out" / names[0]).read_text()
    assert run("compile", tmp_path / "no.p4").returncode == 1


# --- with ports -------------------------------------------------------------------------------------------

IN_NAMESPACE = """
import socket, subprocess, sys
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
for end in ("h1", "h2"):
    subprocess.run(["ip", "link", "add", end, "type", "veth", "peer", "name", "s" + end], check=True)
    for name in (end, "s" + end):
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
address, program, pcap, syncline = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
arguments = ["switch", program, "-i", "1@sh1", "-i", "2@sh2", "--grpc-server-addr", address, "--pcap", pcap]
switch = subprocess.Popen([*syncline, *arguments], stdout=subprocess.PIPE, text=True)
print(switch.stdout.readline().strip())
here, there = (socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x1004)) for _ in range(2))
here.bind(("h1", 0x1004))
there.bind(("h2", 0x1004))
there.settimeout(10)
for number in range(20):
    here.send(bytes(12) + b"\\x10\\x04" + bytes([number]) * 60)
print([there.recv(2000)[14] for _ in range(20)])
switch.terminate()
print(switch.wait(timeout=20))
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root (a network namespace)")
def test_frames_through_ports(tmp_path: Path) -> None:
    command = ["unshare", "--net", sys.executable, "-c", IN_NAMESPACE]
    command += [f"unix:{tmp_path}/s.sock", str(PROGRAM), str(tmp_path / "pcap"), *SYNCLINE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == [
        f"switch: device 1 serving P4Runtime on unix:{tmp_path}/s.sock, "
        "ports 1@sh1 2@sh2, running entities.p4",
        str(list(range(20))),
        "0",
    ], done.stderr
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "pcap").iterdir()}
    assert set(sizes) == {"sh1_in.pcap", "sh1_out.pcap", "sh2_in.pcap", "sh2_out.pcap"}
    assert sizes["sh1_in.pcap"] >= 24 + 20 * (16 + 74)
    assert sizes["sh2_out.pcap"] >= 24 + 20 * (16 + 74)
