# SPDX-License-Identifier: Apache-2.0
"""A lab: a topology brought to life in network namespaces, with its switches and its controller.

Whatever a lab makes is written down before it is made, so that `down` finds it after a crash at any point.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from controller.api.client import ApiUnreachableError, get_json
from controller.config import ProgramConfig, SwitchTls, TlsConfig
from controller.lab import federation, network
from controller.lab.beginning import fresh_folders, need_root, refuse_second, topology_of
from controller.lab.certificates import CA_FILE, CLIENT, SERVER, Authority
from controller.lab.checks import NATS
from controller.lab.errors import LabError
from controller.lab.model import Federated, Topology
from controller.lab.nats import NatsServers
from controller.lab.plan import Plan, controller_config, controller_config_text, make_plan
from controller.lab.signals import uninterrupted
from controller.lab.state import LabFiles, LabState, known_labs
from controller.lab.supervisor import (
    Supervisor,
    controller_names,
    controller_of,
    in_namespace,
    lab_environment,
    take_down,
)
from controller.lab.targets import Target, own_command, prepare, switch_command
from controller.lab.topology import read_topology, topology_text
from softswitch.tlsfiles import TlsFiles

CONTROLLER_CERTIFICATE = "_controller"
"""No switch can have this name."""
READY_TIMEOUT = 60.0
"""Seconds that switches and controller may take until traffic can flow."""

Progress = Callable[[str], None]


def _silent(_: str) -> None:
    return None


class Lab:
    """A lab that is up, made here (`up`) or by another process (`attach`)."""

    def __init__(self, plan: Plan, files: LabFiles, state: LabState) -> None:
        self.plan = plan
        self.files = files
        self.state = state
        self.processes = Supervisor(files, state)
        self.nats = NatsServers(files, self.processes, plan.topology.controller.federation)
        self._authority: Authority | None = None

    # --- life ----------------------------------------------------------------------------------------------

    @classmethod
    def up(
        cls,
        topology: str | Path | Topology,
        *,
        name: str | None = None,
        target: Target = "softswitch",
        pcap: bool = False,
        controller: bool = True,
        offloads: bool | None = None,
        in_order: bool = False,
        timeout: float = READY_TIMEOUT,
        progress: Progress = _silent,
    ) -> Lab:
        """Brings a topology up; returns when traffic can flow.

        Without a controller: when the switches answer on their sockets. On any failure, an interruption
        included, everything is taken down again and the logs stay.

        Args:
            topology: path of a YAML file, the bare name of one in topologies/, or a topology as it is.
            name: the lab's name and prefix of its namespaces, instead of the topology's name.
            offloads: whether kernels may leave checksums and segmentation to the interfaces, as they do by
                default. None: if the switches can deal with it, and no captures are made, which are to show
                what a wire would carry.
            in_order: whether interfaces take packets in the order in which they were sent, as from a wire,
                instead of at once (`keep_order`).
            timeout: seconds that the switches and the controller may take.
            progress: is told in a line what happens next.

        Raises:
            ConfigError: the topology is not right.
            LabError: the lab cannot be made, or does not get ready in time.
        """
        need_root("a lab")
        origin, model = topology_of(topology)
        plan = make_plan(model, name)
        files = LabFiles.of(plan.name)
        with files.locked():
            refuse_second(plan, files)
            fresh_folders(files)
            files.topology.write_text(topology_text(model))
            lab = cls(plan, files, LabState(plan.name, origin, target, pcap, plan.namespaces))
            try:
                lab.state.save(files)
                if offloads is None:
                    offloads = target != "bmv2" and not pcap
                lab._prepare(progress)
                progress(f"making {len(plan.nodes)} namespaces and {len(plan.links)} links")
                network.build(plan, offloads=offloads, in_order=in_order)
                lab._start(controller, timeout, progress)
            except BaseException:
                lab._down()
                raise
        return lab

    @classmethod
    def attach(cls, name: str) -> Lab:
        """A lab that another process has brought up. Raises LabError when there is none of this name."""
        files = LabFiles.of(name)
        state = LabState.load(files)
        if state is None:
            labs = ", ".join(lab.name for lab in known_labs()) or "none"
            raise LabError(f"no lab {name} is up in {files.root.parent}; labs that are up: {labs}")
        return cls(make_plan(read_topology(files.topology), name), files, state)

    def down(self) -> None:
        """Ends the lab's processes, removes its namespaces and its state; logs and captures stay."""
        with self.files.locked():
            self._down()

    def _down(self) -> None:
        with uninterrupted():
            take_down(self.files, self.state.namespaces)
            self.processes.reap()

    def _prepare(self, progress: Progress) -> None:
        if self.plan.switches:
            progress(f"compiling the P4 program for {self._target}")
            self._write_config(prepare(self._target, self.files.run), self._certificates())

    def _start(self, controller: bool, timeout: float, progress: Progress) -> None:
        for switch in self.plan.switches:
            progress(f"starting switch {switch}")
            self._spawn_switch(switch)
        for service in self.topology.services:
            if service.run is not None:
                progress(f"starting service {service.name} on {service.host}")
                self.processes.start(
                    f"service-{service.name}", shlex.split(service.run), self.netns(service.host)
                )
        with_controller = controller and bool(self.plan.switches)
        if with_controller:
            if self.federated:
                progress(f"starting {', '.join(self.nats.names)}")
                self.nats.start()
            progress(f"starting {', '.join(self.controllers)}")
            for name in self.controllers:  # no faster ready than switches are, and ask again when need be
                self.start_controller(name)
        self._wait(self._switches_answer, timeout)
        if with_controller:
            progress("waiting for the controller to bring every switch into service")
            self.wait_ready(timeout)

    @property
    def _target(self) -> Target:
        return "bmv2" if self.state.target == "bmv2" else "softswitch"

    # --- what it consists of -------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def topology(self) -> Topology:
        return self.plan.topology

    @property
    def pcap_dir(self) -> Path:
        """Captures of every switch port, a pair of files each: IFACE_in.pcap and IFACE_out.pcap."""
        return self.files.pcap

    def netns(self, node: str) -> str:
        """The namespace of a host or switch. Raises LabError when there is no such node."""
        if node not in self.plan.nodes:
            raise LabError(f"lab {self.name} has no host {node}; it has {', '.join(self.plan.nodes)}")
        return self.plan.nodes[node].netns

    def grpc_address(self, switch: str) -> str:
        """The P4Runtime address of a switch: unix:PATH."""
        return f"unix:{self.files.socket(switch)}"

    def status(self) -> dict[str, Any]:
        """The lab as `syncline lab status --json` prints it."""
        nodes = self.plan.nodes
        return {
            "name": self.name,
            "topology": self.state.topology,
            "target": self.state.target,
            "pcap": str(self.pcap_dir) if self.state.pcap else None,
            "logs": str(self.files.logs),
            "ready": self._ready(),
            "hosts": {
                name: {"netns": host.netns, "addresses": host.addresses}
                for name, host in self.plan.hosts.items()
            },
            "switches": {
                name: {
                    "netns": nodes[name].netns,
                    "grpc": self.grpc_address(name),
                    "device_id": self.plan.device_id(name),
                    "ports": {str(i.port): i.name for i in nodes[name].interfaces},
                    "running": self.processes.running(name),
                }
                for name in self.plan.switches
            },
            "services": {
                service.name: {"host": service.host, "address": str(service.address), "port": service.port}
                for service in self.topology.services
            },
            "controllers": {
                name: {"api": self.api_address_of(name), "running": self.processes.running(name)}
                for name in self.controllers
            },
        }

    # --- commands on hosts ---------------------------------------------------------------------------------

    def popen(self, host: str, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Starts a command within a host's (or switch's) namespace; `options` as subprocess.Popen's."""
        options.setdefault("env", lab_environment())
        return subprocess.Popen(in_namespace(self.netns(host), argv), **options)

    def run(
        self, host: str, argv: Sequence[str], timeout: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command within a host's namespace and returns its exit code and output as text."""
        command, environment = in_namespace(self.netns(host), argv), lab_environment()
        return subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, check=False, env=environment
        )

    # --- controller and switches ---------------------------------------------------------------------------

    def api(self, path: str) -> Any:
        """The JSON answer to GET `path`, such as "/api/sessions?limit=10", of the controller that leads; of
        all those of a federation, put together.

        Raises ApiUnreachableError when it does not answer, or with an error.
        """
        if self.federated is not None:
            return federation.together(self.controllers, self._api_of, path)
        return get_json(self.api_address, path)

    def _api_of(self, controller: str, path: str) -> Any:
        if not self.processes.answers(controller):
            raise ApiUnreachableError(f"{controller} does not run")
        return get_json(self.api_address_of(controller), path)

    def role(self, controller: str) -> str | None:
        """What a controller is: "leading" or "standing-by"; None when it does not answer."""
        if not self.processes.answers(controller):
            return None
        try:
            return str(get_json(self.api_address_of(controller), "/api/status")["role"])
        except ApiUnreachableError:
            return None

    @property
    def controllers(self) -> list[str]:
        """The names of the controllers, running or not."""
        return controller_names(self.topology)

    @property
    def federated(self) -> Federated | None:
        """How the controllers of the switches are federated, if they are."""
        return self.topology.controller.federation

    @property
    def leader(self) -> str:
        """The controller that leads; the first that runs as long as none does."""
        names = self.controllers
        if len(names) == 1:
            return names[0]
        roles = {name: self.role(name) for name in names}
        leading = [name for name, role in roles.items() if role == "leading"]
        answering = [name for name, role in roles.items() if role is not None]
        return (leading or answering or names)[0]

    @property
    def api_address(self) -> str:
        """Where the API of the controller that leads listens: unix:PATH."""
        return self.api_address_of(self.leader)

    def api_address_of(self, controller: str) -> str:
        """Where a controller's API listens: unix:PATH."""
        return f"unix:{self.files.socket(controller)}"

    def kill_controller(self, number: int = signal.SIGKILL, name: str | None = None) -> None:
        """Sends a signal to a controller (None: the one that leads) and waits for its end."""
        self.processes.stop(name or self.leader, number)

    def signal_controller(self, number: int, name: str) -> None:
        """Sends a signal to a controller, such as SIGSTOP or SIGCONT."""
        self.processes.signal(name, number)

    def start_controller(self, name: str | None = None) -> None:
        """Starts a controller (None: one that does not run), with the configuration of before; does not wait
        until it is ready."""
        if name is None:
            idle = [other for other in self.controllers if not self.processes.running(other)]
            name = (idle or self.controllers)[0]
        config = str(self.files.controller_config(name))
        self.processes.start(name, own_command("controller", "--config", config), None)

    @property
    def nats_leader(self) -> str | None:
        """The NATS server that leads the store of the sessions; None when none does, or there is but one."""
        return self.nats.leader(self.files.controller_config(self.controllers[0]))

    def reach_nats_at(self, controller: str, url: str) -> None:
        """The controller finds NATS at this URL from its next start on."""
        file = self.files.controller_config(controller)
        config = yaml.safe_load(file.read_text())
        config["federation"]["urls"] = [url]
        file.write_text(yaml.safe_dump(config, sort_keys=False))

    def controller_config(self) -> dict[str, Any]:
        """The first controller's configuration, as it stands in its file."""
        text = self.files.controller_config(self.controllers[0]).read_text()
        config: dict[str, Any] = yaml.safe_load(text)
        return config

    def reload(self, change: Callable[[dict[str, Any]], None]) -> list[str]:
        """Change the file of every controller and have it loaded anew; what the last one says has changed.

        Raises ApiUnreachableError with the reason when one refuses it.
        """
        changed: list[str] = []
        for name in self.controllers:
            file = self.files.controller_config(name)
            config = yaml.safe_load(file.read_text())
            change(config)
            file.write_text(yaml.safe_dump(config, sort_keys=False))
            changed = get_json(self.api_address_of(name), "/api/reload", method="POST")["changed"]
        return changed

    def tls(self, switch: str) -> SwitchTls | None:
        """How the controller speaks TLS with a switch; None: not at all."""
        if not self.topology.controller.tls:
            return None
        return SwitchTls(_tls_files(self.files, CONTROLLER_CERTIFICATE), switch)

    def issue_certificate(
        self, switch: str | None, dates: tuple[datetime, datetime] | None = None, *, trusted: bool = True
    ) -> None:
        """A new certificate and key in the files of a switch, or of the controller (None).

        `dates`: from when to when it is good, by default from now on. `trusted` False: by a CA that nobody
        knows. Raises LabError in a lab without TLS, or one that another process has brought up.
        """
        if self._authority is None:
            raise LabError(f"lab {self.name}: its CA is not here; only who brings up a lab with TLS has it")
        authority = self._authority if trusted else Authority(self.files.tls, "unknown CA", file=None)
        if switch is None:
            authority.issue(CONTROLLER_CERTIFICATE, [CLIENT], dates=dates)
        else:
            # localhost: the name that gRPC clients expect behind a unix socket unless told otherwise.
            authority.issue(switch, [SERVER], names=["localhost"], dates=dates)

    def relay_address(self, switch: str) -> str:
        """Where a relay between the controller and a switch may listen: unix:PATH."""
        return f"unix:{self.files.socket(f'{switch}-relay')}"

    def reach_switch_at(self, switch: str, address: str) -> None:
        """Controllers that are started from now on find the switch's P4Runtime server at this address."""
        for name in self.controllers:
            file = self.files.controller_config(name)
            config = yaml.safe_load(file.read_text())
            for entry in config["switches"]:
                if entry["name"] == switch:
                    entry["address"] = address
            file.write_text(yaml.safe_dump(config, sort_keys=False))

    def stop_switch(self, switch: str, number: int = signal.SIGTERM) -> None:
        """Sends a signal to a switch process and waits for its end. Namespace and interfaces stay."""
        self.netns(switch)
        self.processes.stop(switch, number)

    def start_switch(self, switch: str) -> None:
        """Starts a switch process again; does not wait until the controller has it in service."""
        self.netns(switch)
        self._spawn_switch(switch)

    def wait_ready(self, timeout: float = READY_TIMEOUT) -> None:
        """Waits until the controller has every switch in service.

        Raises LabError, with the end of the logs, when that takes more than `timeout` seconds or a process of
        the lab ends meanwhile.
        """
        self._wait(self._ready, timeout)

    def _ready(self) -> bool:
        try:
            return bool(self.api("/api/status")["ready"])
        except ApiUnreachableError:
            return False

    def _switches_answer(self) -> bool:
        return all(_accepts(self.files.socket(switch)) for switch in self.plan.switches)

    def _wait(self, condition: Callable[[], bool], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while True:
            if ended := self.processes.crashed():
                raise LabError(f"{ended[0]} ended before the lab was ready\n{self.processes.tail(ended[0])}")
            if condition():
                return
            if time.monotonic() > deadline:
                tails = "\n".join(self.processes.tail(name) for name in self.state.processes)
                raise LabError(f"lab {self.name} is not ready after {timeout:g} s{self._reasons()}\n{tails}")
            time.sleep(0.05)

    def _reasons(self) -> str:
        """Why it is not ready, in the controller's words; empty when the controller does not answer."""
        try:
            switches = self.api("/api/status")["switches"]
        except ApiUnreachableError:
            known = any(name in self.state.processes for name in self.controllers)
            return ": the controller does not answer" if known else ""
        late = [s for s in switches if s["state"] != "in-service"]
        return "".join(f"; switch {s['name']}: {s['state']} {s['reason']}".rstrip() for s in late)

    # --- processes -----------------------------------------------------------------------------------------

    def _certificates(self) -> TlsConfig | None:
        """A certificate for each switch and one for the controller, and its files; None: without TLS."""
        if not self.topology.controller.tls:
            return None
        self._authority = Authority(self.files.tls)
        for switch in self.plan.switches:
            self.issue_certificate(switch)
        self.issue_certificate(None)
        if self.federated is not None:
            self._authority.issue(NATS, [SERVER], names=["127.0.0.1"])
        own = _tls_files(self.files, CONTROLLER_CERTIFICATE)
        return TlsConfig(ca=self._authority.file, certificate=own.certificate, key=own.key)

    def _write_config(self, program: ProgramConfig, tls: TlsConfig | None) -> None:
        addresses = {switch: self.grpc_address(switch) for switch in self.plan.switches}
        if self.federated is not None:
            self._write_federation(program, self.federated, addresses, tls)
            return
        state = self.files.controller_state
        for name in self.controllers:
            api = self.api_address_of(name)
            config = controller_config(self.plan, program, api, addresses, state, tls)
            self.files.controller_config(name).write_text(controller_config_text(config))

    def _write_federation(
        self, program: ProgramConfig, lab: Federated, addresses: dict[str, str], tls: TlsConfig | None
    ) -> None:
        urls = self.nats.prepare(_tls_files(self.files, NATS) if tls else None)
        for switch, address in addresses.items():
            name = controller_of(switch)
            config = controller_config(
                self.plan,
                program,
                self.api_address_of(name),
                {switch: address},
                self.files.controller_state.with_stem(f"learned-{switch}"),
                tls,
                federation.settings(switch, lab, self.files, urls, tls),
            )
            self.files.controller_config(name).write_text(controller_config_text(config))

    def _spawn_switch(self, switch: str) -> None:
        node = self.plan.nodes[switch]
        pcap = self.pcap_dir if self.state.pcap else None
        socket_path = self.files.socket(switch)
        tls = _tls_files(self.files, switch) if self.topology.controller.tls else None
        crowded = len(self.plan.switches) >= len(os.sched_getaffinity(0))
        device_id = self.plan.device_id(switch)
        command = switch_command(self._target, node, device_id, socket_path, pcap, tls, crowded)
        self.processes.start(switch, command, node.netns)


def _tls_files(files: LabFiles, name: str) -> TlsFiles:
    return TlsFiles(files.tls / f"{name}.pem", files.tls / f"{name}.key", files.tls / CA_FILE)


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
