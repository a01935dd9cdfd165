#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Syncline's topologies as Mininet networks.

With a Mininet prompt, the switches and the controller running:

    sudo python3 topologies/mininet_topo.py two-pop [--target bmv2]

in a Mininet script of one's own:

    with mininet_topo.network("two-pop") as net:
        print(net["client"].cmd("ip route"))

or as a topology of `mn`, with the controller beside it:

    sudo mn --custom topologies/mininet_topo.py --topo two-pop --switch syncline --controller none
    syncline controller --config build/mininet/two-pop/controller.yaml

It runs in the Python that Mininet is installed for, and asks Syncline's own (.venv, `make build`) for the
plan. Logs and sockets are in build/mininet/NAME/.
"""

import argparse
import contextlib
import inspect
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

from mininet.cli import CLI
from mininet.net import Mininet
from mininet.node import Node, Switch
from mininet.topo import Topo

# `mn --custom` runs this file without giving it a __file__.
CHECKOUT = Path(inspect.currentframe().f_code.co_filename).resolve().parent.parent
SYNCLINE = CHECKOUT / ".venv" / "bin" / "syncline"
START_TIMEOUT = 30  # seconds


def plan(topology, target="softswitch"):
    """What `syncline lab plan` says of a topology: a YAML file or a bare name of one here."""
    command = [str(SYNCLINE), "lab", "plan", topology, "--target", target]
    done = subprocess.run(command, stdout=subprocess.PIPE, cwd=CHECKOUT, check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)  # it has said why
    return json.loads(done.stdout)


def run_all(node, commands):
    """Runs commands in a node's namespace; says what fails."""
    for command in commands:
        output, errors, code = node.pexec(command)
        if code != 0:
            raise RuntimeError(f"{node.name}: {shlex.join(command)}: {(errors or output).strip()}")


class SynclineHost(Node):
    """A host with the addresses, routes and settings of the topology."""

    def config(self, setup=(), **params):
        del params  # what Mininet would choose itself
        run_all(self, setup)


class SynclineSwitch(Switch):
    """A P4 switch in a namespace of its own; Syncline's controller finds it by its unix socket."""

    def __init__(self, name, **params):
        params["inNamespace"] = True
        params["dpid"] = "1"  # OpenFlow's, which Mininet wants of every switch
        self.process = None
        super().__init__(name, **params)

    def start(self, controllers):
        del controllers  # Mininet's are for OpenFlow
        run_all(self, self.params["setup"])
        with open(self.params["log"], "ab") as log:
            self.process = self.popen(self.params["run"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop(self, deleteIntfs=True):  # noqa: N803  # Mininet's name
        end(self.process)
        super().stop(deleteIntfs)


class SynclineTopo(Topo):
    """A topology of Syncline's as Mininet's Topo."""

    def build(self, plan):
        for name, host in plan["hosts"].items():
            self.addHost(name, cls=SynclineHost, ip=None, **host)
        for name, switch in plan["switches"].items():
            self.addSwitch(name, cls=SynclineSwitch, **switch)
        for link in plan["links"]:
            one, two = link["ends"]
            self.addLink(
                one["node"],
                two["node"],
                port1=one["port"],
                port2=two["port"],
                intfName1=one["interface"],
                intfName2=two["interface"],
                addr1=one["mac"],
                addr2=two["mac"],
            )


def end(process):
    """Ends a process that was started here."""
    if process is not None and process.poll() is None:
        process.terminate()
        process.wait()


def wait_ready(topology_plan):
    """Waits until the controller has every switch in service; RuntimeError after START_TIMEOUT seconds."""
    command = [str(SYNCLINE), "status", "--json", "--api", topology_plan["controller"]["api"]]
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        if done.returncode == 0 and json.loads(done.stdout)["ready"]:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"not ready after {START_TIMEOUT} s; see {topology_plan['controller']['log']}")
        time.sleep(0.1)


@contextlib.contextmanager
def network(topology, target="softswitch"):
    """A Mininet network whose switches and controller run and where traffic can flow; stopped at the end."""
    wanted = plan(topology, target)
    net = Mininet(topo=SynclineTopo(plan=wanted), controller=None)
    controller = None
    try:
        net.start()
        with open(wanted["controller"]["log"], "ab") as log:
            run = wanted["controller"]["run"]
            controller = subprocess.Popen(run, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_ready(wanted)
        yield net
    finally:
        end(controller)
        net.stop()


def main():
    arguments = argparse.ArgumentParser(
        description="A Syncline topology as a Mininet network, with a prompt."
    )
    arguments.add_argument("topology", help="a YAML file, or one of single, two-pop, three-pop")
    arguments.add_argument("--target", choices=["softswitch", "bmv2"], default="softswitch")
    given = arguments.parse_args()
    with network(given.topology, given.target) as net:
        CLI(net)


def _topo(name):
    return lambda: SynclineTopo(plan=plan(name))


# What `mn --custom` looks for.
topos = {name: _topo(name) for name in ("single", "two-pop", "three-pop")}
switches = {"syncline": SynclineSwitch}

if __name__ == "__main__":
    main()
