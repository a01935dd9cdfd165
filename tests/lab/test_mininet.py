# SPDX-License-Identifier: Apache-2.0
"""The same topologies for Mininet: the exported plan, and a network made of it where Mininet is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from controller.lab.export import export
from controller.lab.plan import make_plan
from controller.lab.topology import TOPOLOGY_DIR, load_topology

MININET_PYTHON = "/usr/bin/python3"
"""Debian's Mininet is a module of Debian's Python."""

SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import mininet_topo
with mininet_topo.network(sys.argv[2]) as net:
    server = net["server"].popen([sys.executable, "-m", "http.server", "80"], cwd=sys.argv[3])
    net["server"].cmd("until curl -s -o /dev/null http://127.0.0.1/page; do sleep 0.1; done")
    print(net["client"].cmd("curl -sS -m 20 http://203.0.113.10/page"))
    server.kill()
    server.wait()
"""


def _no_mininet() -> bool:
    command = [MININET_PYTHON, "-c", "import mininet.net"]
    return not Path(MININET_PYTHON).exists() or subprocess.run(command, capture_output=True).returncode != 0


def test_the_exported_plan_has_all_nodes_and_links() -> None:
    plan = export(make_plan(load_topology("two-pop")), "softswitch", Path("/x"))
    assert list(plan["hosts"]) == ["client", "backbone", "server"]
    assert list(plan["switches"]) == ["a", "b"]
    assert plan["links"][0]["ends"] == [
        {"node": "client", "interface": "eth0", "port": None, "mac": "02:00:00:00:01:00", "mtu": 1500},
        {"node": "a", "interface": "a-eth1", "port": 1, "mac": "02:00:01:01:00:01", "mtu": 1500},
    ]
    assert "unix:/x/a.sock" in plan["switches"]["a"]["run"]
    client = plan["hosts"]["client"]["setup"]
    assert ["ip", "address", "add", "198.51.100.10/32", "dev", "lo"] in client
    assert ["ip", "route", "replace", "0.0.0.0/0", "via", "198.18.1.1", "src", "198.51.100.10"] in client
    assert client.index(["ip", "link", "set", "eth0", "mtu", "1500", "up"]) < client.index(
        ["ip", "route", "replace", "0.0.0.0/0", "via", "198.18.1.1", "src", "198.51.100.10"]
    )
    backbone = plan["hosts"]["backbone"]["setup"]
    assert ["sh", "-c", 'echo "$0" > "$1"', "1", "/proc/sys/net/ipv4/ip_forward"] in backbone


def test_the_command_writes_a_configuration_that_the_controller_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCLINE_BUILD", str(tmp_path))
    command = [sys.executable, "-m", "controller"]
    done = subprocess.run([*command, "lab", "plan", "two-pop"], capture_output=True, text=True, check=True)
    config = tmp_path / "mininet" / "two-pop" / "controller.yaml"
    assert json.loads(done.stdout)["controller"]["run"][-1] == str(config)
    checked = [*command, "controller", "--config", str(config), "--check"]
    done = subprocess.run(checked, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.root
@pytest.mark.skipif(_no_mininet(), reason="Mininet is not installed (Debian's package: mininet)")
def test_a_page_through_a_mininet_network(tmp_path: Path) -> None:
    (tmp_path / "page").write_text("hello Mininet")
    environment = {**os.environ, "SYNCLINE_BUILD": str(tmp_path), "RES_OPTIONS": "timeout:1 attempts:1"}
    done = subprocess.run(
        [MININET_PYTHON, "-c", SCRIPT, str(TOPOLOGY_DIR), "two-pop", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "hello Mininet" in done.stdout
