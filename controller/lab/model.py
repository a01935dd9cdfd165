# SPDX-License-Identifier: Apache-2.0
"""The models of a topology: hosts, switches, the links between them, protected services, controller settings.

They say what each key may hold; what several keys must say together is in `checks.py`. topologies/schema.json
is made from these models and their descriptions.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from controller.config import LimitsConfig, ServiceConfig, TimersConfig, require_one_version
from controller.config_values import Address, Interface, Model, Prefix
from controller.lab.names import End, check_end, check_name


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


NodeName = Annotated[str, AfterValidator(check_name)]
EndName = Annotated[str, AfterValidator(check_end)]
EndAddresses = Annotated[
    list[Interface],
    BeforeValidator(_one_or_more, json_schema_input_type=str | list[str]),
]


class Route(Model):
    """A route of a host or a switch. It leaves by the link whose network holds `via`."""

    to: Prefix = Field(description='a prefix such as 203.0.113.0/24 or 2001:db8::/64, or "default"')
    via: Address = Field(description="the next hop's address, in a network of one of the node's links")

    @model_validator(mode="before")
    @classmethod
    def _default_route(cls, data: Any) -> Any:
        """ "default" is of the next hop's version of IP."""
        if isinstance(data, dict) and data.get("to") == "default":
            return {**data, "to": "::/0" if ":" in str(data.get("via")) else "0.0.0.0/0"}
        return data

    @model_validator(mode="after")
    def _one_version(self) -> Self:
        require_one_version("to", self.to, "via", self.via)
        return self


class HostRoute(Route):
    source: Address | None = Field(default=None, description="the source address to prefer on this route")

    @model_validator(mode="after")
    def _source_version(self) -> Self:
        if self.source is not None:
            require_one_version("to", self.to, "source", self.source)
        return self


class Host(Model):
    """An end system or a router: a network namespace with the kernel's own TCP/IP stack."""

    addresses: list[Interface] = Field(
        default=[], description="a list of addresses for the loopback interface"
    )
    routes: list[HostRoute] = Field(default=[], description="a list of routes")
    router: bool = Field(default=False, description="true to forward packets between the interfaces")
    sysctls: dict[str, str | int] = Field(
        default={}, description="kernel settings of the namespace, such as net.ipv4.tcp_timestamps: 0"
    )


class Switch(Model):
    """A P4 switch: a network namespace with a switch process on its interfaces.

    Networks of the switch's own links need no route.
    """

    device_id: int | None = Field(
        default=None,
        ge=0,
        le=2**64 - 1,
        description="a P4Runtime device id (default: the switch's position in the file, from 1)",
    )
    routes: list[Route] = Field(default=[], description="a list of routes")


class Link(Model):
    """A cable between two ends, each with its addresses in the link's network."""

    ends: dict[EndName, EndAddresses] = Field(
        min_length=2,
        max_length=2,
        description="two ends, each HOST:INTERFACE or SWITCH:PORT with its address or a list of addresses",
    )
    mtu: int = Field(
        default=1500, ge=576, le=65535, description="bytes of the largest IP packet, 576 to 65535"
    )

    def parsed_ends(self) -> list[tuple[End, list[Any]]]:
        """The two ends with their interface addresses, in the order of the file."""
        return [(End.parse(end), addresses) for end, addresses in self.ends.items()]


class TopologyService(ServiceConfig):
    """A protected service and the host that it runs on."""

    host: NodeName = Field(description="the name of the host that owns the address")
    run: str | None = Field(
        default=None, description="a command that the lab starts on the host, such as a server"
    )


class Federated(Model):
    """Each switch has a controller of its own; they share sessions over NATS."""

    lease: Annotated[float, Field(ge=0.5, le=60)] = Field(
        default=3, description="time without a sign of life that ends a membership, seconds"
    )
    servers: Literal[1, 3] = Field(
        default=1, description="how many NATS servers there are; of 3 each keeps every record"
    )


class ControllerSettings(Model):
    """What the lab's controller is told besides the network."""

    tls: bool = Field(
        default=False,
        description="true for P4Runtime and NATS over mutual TLS, with certificates that the lab makes",
    )
    timers: TimersConfig = Field(default_factory=lambda: TimersConfig(), description="durations in seconds")
    limits: LimitsConfig = Field(default_factory=lambda: LimitsConfig(), description="bounds")
    federation: Federated | None = Field(
        default=None, description="a mapping, or {}, for a controller for each switch; absent = one for all"
    )
    instances: int = Field(
        default=1, ge=1, le=4, description="how many controllers there are: one leads, the others stand by"
    )


class Topology(Model):
    """A network with its switches, hosts and protected services."""

    name: NodeName = Field(
        description="a name, the prefix of the network namespaces NAME-HOST and NAME-SWITCH"
    )
    description: str = Field(default="", description="one line for the reader")
    hosts: dict[NodeName, Host] = Field(min_length=1, description="a mapping of host names to hosts")
    switches: dict[NodeName, Switch] = Field(description="a mapping of switch names to switches, or {}")
    links: list[Link] = Field(min_length=1, description="a list of links")
    services: list[TopologyService] = Field(default=[], max_length=1024, description="a list of services")
    controller: ControllerSettings = Field(
        default_factory=lambda: ControllerSettings(), description="timers and limits of the controller"
    )
