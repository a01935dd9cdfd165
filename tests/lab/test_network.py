# SPDX-License-Identifier: Apache-2.0
"""Networks without switches: what the kernel is asked for is there, and nothing is left afterwards."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from controller.lab.errors import LabError
from controller.lab.lab import Lab
from controller.lab.model import Topology
from controller.lab.network import existing_namespaces
from controller.lab.order import cpu_mask, keep_order

pytestmark = pytest.mark.root

ROUTED: dict[str, Any] = {
    "name": "routed",
    "hosts": {
        "client": {
            "addresses": ["198.51.100.10/32"],
            "routes": [{"to": "default", "via": "198.18.1.1", "source": "198.51.100.10"}],
            "sysctls": {"net.ipv4.tcp_timestamps": 0},
        },
        "router": {"router": True, "routes": [{"to": "198.51.100.0/24", "via": "198.18.1.2"}]},
        "server": {"routes": [{"to": "default", "via": "203.0.113.1"}]},
    },
    "switches": {},
    "links": [
        {"ends": {"client:eth0": "198.18.1.2/24", "router:west": "198.18.1.1/24"}, "mtu": 1400},
        {"ends": {"router:east": "203.0.113.1/24", "server:eth0": "203.0.113.10/24"}},
    ],
}

SERVE = """
import socket, sys
server = socket.create_server(("203.0.113.10", 7))
print("ready", flush=True)
connection, peer = server.accept()
connection.sendall(f"{peer[0]} {len(connection.recv(100000, socket.MSG_WAITALL))}".encode())
"""
ASK = """
import socket
s = socket.create_connection(("203.0.113.10", 7), timeout=5)
s.sendall(b"x" * 50000)
s.shutdown(socket.SHUT_WR)
print(s.recv(100).decode())
"""


def python(lab: Lab, host: str, program: str) -> str:
    done = lab.run(host, [sys.executable, "-c", program], timeout=20)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def read(lab: Lab, host: str, path: str) -> str:
    return lab.run(host, ["cat", path]).stdout.strip()


@pytest.fixture
def lab(lab_name: str) -> Iterator[Lab]:
    lab = Lab.up(Topology.model_validate(ROUTED), name=lab_name)
    try:
        yield lab
    finally:
        lab.down()
    assert existing_namespaces(lab.plan.namespaces) == []


def test_hosts_talk_through_the_router(lab: Lab) -> None:
    server = lab.popen("server", [sys.executable, "-c", SERVE], stdout=-1, text=True)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        assert python(lab, "client", ASK) == "198.51.100.10 50000"
    finally:
        server.kill()
        server.communicate()


def test_ipv6_addresses_and_routes_are_usable_at_once(lab_name: str) -> None:
    dual: dict[str, Any] = {
        "name": "dual",
        "hosts": {
            "client": {
                "addresses": ["2001:db8:51::10/128"],
                "routes": [{"to": "default", "via": "2001:db8:1::1", "source": "2001:db8:51::10"}],
            },
            "router": {"router": True, "routes": [{"to": "2001:db8:51::/64", "via": "2001:db8:1::2"}]},
            "server": {"routes": [{"to": "default", "via": "2001:db8:203::1"}]},
        },
        "switches": {},
        "links": [
            {"ends": {"client:eth0": "2001:db8:1::2/64", "router:west": "2001:db8:1::1/64"}},
            {"ends": {"router:east": "2001:db8:203::1/64", "server:eth0": "2001:db8:203::10/64"}},
        ],
    }
    lab = Lab.up(Topology.model_validate(dual), name=lab_name)
    try:
        assert "tentative" not in lab.run("server", ["ip", "-6", "address"]).stdout
        ask = "import socket; socket.create_connection(('2001:db8:203::10', 7), timeout=5)"
        done = lab.run("client", [sys.executable, "-c", ask], timeout=20)
        assert "ConnectionRefusedError" in done.stderr  # by the server's own kernel
        assert "2001:db8:51::10" in lab.run("client", ["ip", "route", "get", "2001:db8:203::10"]).stdout
    finally:
        lab.down()


def test_interfaces_are_as_the_plan_says(lab: Lab) -> None:
    for node in lab.plan.nodes.values():
        for interface in node.interfaces:
            base = f"/sys/class/net/{interface.name}"
            assert read(lab, node.name, f"{base}/address") == interface.mac
            assert read(lab, node.name, f"{base}/mtu") == str(interface.mtu)
            assert read(lab, node.name, f"{base}/carrier") == "1"


def test_kernel_settings(lab: Lab) -> None:
    def setting(host: str, key: str) -> str:
        return read(lab, host, "/proc/sys/" + key.replace(".", "/"))

    assert setting("client", "net.ipv4.tcp_timestamps") == "0"
    assert setting("server", "net.ipv4.tcp_timestamps") == "1"
    assert setting("router", "net.ipv4.ip_forward") == "1"
    assert setting("client", "net.ipv4.ip_forward") == "0"
    assert setting("client", "net.ipv4.conf.all.rp_filter") == "0"
    assert setting("client", "net.ipv4.conf.eth0.rp_filter") == "0"


CHECKSUM_OFFLOADED = """
import array, fcntl, socket, struct, sys
value = array.array("I", [int(sys.argv[2], 16), 9])
fcntl.ioctl(socket.socket(), 0x8946, struct.pack("16sP", sys.argv[1].encode(), value.buffer_info()[0]))
print(value[1])
"""


@pytest.mark.parametrize("offloads", [None, False])
def test_whether_interfaces_are_left_checksums_and_segments(lab_name: str, offloads: bool | None) -> None:
    """By default as a kernel has them, where nothing but our own switch has to deal with it."""
    lab = Lab.up(Topology.model_validate(ROUTED), name=lab_name, offloads=offloads)
    try:
        getters = {"transmit checksums": "16", "TSO": "1e", "GSO": "23"}
        for node in lab.plan.nodes.values():
            for interface in node.interfaces:
                for what, command in getters.items():
                    argv = [sys.executable, "-c", CHECKSUM_OFFLOADED, interface.name, command]
                    done = lab.run(node.name, argv)
                    expected = "1\n" if offloads is None else "0\n"
                    assert done.stdout == expected, f"{what} of {interface.name}: {done.stdout}{done.stderr}"
    finally:
        lab.down()


@pytest.mark.parametrize("in_order", [False, True])
def test_whether_interfaces_keep_the_order_of_packets(lab_name: str, in_order: bool) -> None:
    """What arrives on an interface is steered to one CPU if it is to be in order, else to none."""
    mounts = mounted()
    lab = Lab.up(Topology.model_validate(ROUTED), name=lab_name, in_order=in_order)
    try:
        cpus = os.sched_getaffinity(0)
        for node in lab.plan.nodes.values():
            for interface in node.interfaces:
                mask = read(lab, node.name, f"/sys/class/net/{interface.name}/queues/rx-0/rps_cpus")
                steered_to = {cpu for cpu in range(1024) if int(mask.replace(",", ""), 16) >> cpu & 1}
                assert len(steered_to) == in_order, f"{interface.name}: {mask}"
                assert steered_to <= cpus, f"{interface.name}: {mask}"
    finally:
        lab.down()
    assert mounted() == mounts


def mounted() -> list[str]:
    """What is mounted here, but for the namespaces of labs: others may come and go meanwhile."""
    lines = Path("/proc/mounts").read_text().splitlines()
    return [line for line in lines if " /run/netns/" not in line]


def test_an_interface_that_is_not_there_has_no_order() -> None:
    with (
        ThreadPoolExecutor(1) as thread,
        pytest.raises(LabError, match=r"^no-such0: receive packet steering: No such file or directory$"),
    ):
        thread.submit(keep_order, ["no-such0"]).result()


@pytest.mark.parametrize(("cpu", "mask"), [(0, "1"), (5, "20"), (31, "80000000"), (33, "2,00000000")])
def test_masks_of_one_cpu(cpu: int, mask: str) -> None:
    assert cpu_mask(cpu) == mask


def test_a_name_that_is_taken(lab: Lab) -> None:
    with pytest.raises(
        LabError, match=f"^lab {lab.name} is up already; take it down with: syncline lab down {lab.name}$"
    ):
        Lab.up(Topology.model_validate(ROUTED), name=lab.name)
    lab.files.state.rename(lab.files.root / "hidden")
    try:
        with pytest.raises(LabError, match=f"^namespace {lab.name}-client exists already; "):
            Lab.up(Topology.model_validate(ROUTED), name=lab.name)
    finally:
        (lab.files.root / "hidden").rename(lab.files.state)
    assert existing_namespaces(lab.plan.namespaces) == lab.plan.namespaces


def test_a_kernel_that_refuses_leaves_nothing(lab_name: str, build: Path) -> None:
    document = {**ROUTED, "hosts": {**ROUTED["hosts"], "server": {"sysctls": {"net.ipv4.no_such_key": 1}}}}
    with pytest.raises(
        LabError, match=rf"^{lab_name}-server: this kernel has no setting net.ipv4.no_such_key"
    ):
        Lab.up(Topology.model_validate(document), name=lab_name)
    assert existing_namespaces([f"{lab_name}-{host}" for host in ROUTED["hosts"]]) == []
    assert not (build / "lab" / lab_name / "state.json").exists()
