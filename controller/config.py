# SPDX-License-Identifier: Apache-2.0
"""The controller's configuration: one YAML file, checked as a whole.

Models are frozen and reject unknown keys and wrong types. `load_config` reports all problems at once,
each on one line ``FILE: key.path[0].name: what is wrong; what would be right``; a YAML syntax error as
``FILE:LINE:COLUMN: …``. Relative paths count from the YAML file's folder. Durations are seconds, sizes
bytes.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Field, ValidationError, model_validator

from controller.config_check import check
from controller.config_errors import ConfigError, describe, read_yaml
from controller.config_values import (
    MAX_PORT,
    Address,
    Endpoint,
    FilePath,
    Interface,
    IpAddress,
    IpNetwork,
    Mac,
    Model,
    Name,
    NatsUrl,
    Prefix,
    Seconds,
    SubjectName,
    SwitchPort,
    SyncMode,
)
from softswitch.tlsfiles import TlsFiles

MOST_SERVICES = 1024


class TlsConfig(Model):
    """Mutual TLS: PEM files, read anew for every connection."""

    ca: FilePath = Field(description="path of the CA certificates that the other end's must be signed by")
    certificate: FilePath = Field(description="path of the controller's certificate, with its chain")
    key: FilePath = Field(description="path of the certificate's private key, mode 0600")

    def files(self) -> TlsFiles:
        return TlsFiles(self.certificate, self.key, self.ca)


class ServerTlsConfig(Model):
    """TLS of a server whose clients need no certificate: PEM files."""

    certificate: FilePath = Field(description="path of the server's certificate, with its chain")
    key: FilePath = Field(description="path of the certificate's private key, mode 0600")

    def files(self) -> TlsFiles:
        return TlsFiles(self.certificate, self.key)


class ApiConfig(Model):
    """The HTTP endpoint: /metrics, /api/status, /api/sessions, /api/reload."""

    listen: Endpoint = Field(default="127.0.0.1:8080", description="unix:PATH or HOST:PORT")
    token: FilePath | None = Field(
        default=None, description="path of a file with the token that clients must show, mode 0600"
    )
    tls: ServerTlsConfig | None = Field(default=None, description="certificate and key, for HTTPS")


class ProgramConfig(Model):
    """The P4 program: a source that is compiled for the target, or a prebuilt pair of files."""

    p4: FilePath | None = Field(default=None, description="path of a P4 source file")
    target: Literal["softswitch", "bmv2"] = Field(default="softswitch", description="softswitch or bmv2")
    p4info: FilePath | None = Field(
        default=None, description="path of a P4Info text file (with device_config)"
    )
    device_config: FilePath | None = Field(
        default=None, description="path of the target's program file (with p4info)"
    )

    @model_validator(mode="after")
    def _one_form(self) -> ProgramConfig:
        prebuilt = self.p4info is not None and self.device_config is not None
        half = (self.p4info is None) != (self.device_config is None)
        if half or prebuilt == (self.p4 is not None):
            raise ValueError("give either p4 (a source) or both p4info and device_config (prebuilt)")
        return self


class PortConfig(Model):
    """A switch port. The prefixes of its addresses are connected: each has a `direct` route unless `routes`
    names the same prefix. ARP requests and neighbour solicitations for them are answered with `mac`."""

    port: SwitchPort = Field(description=f"a port number, 1 to {MAX_PORT}")
    mac: Mac = Field(description="MAC address of the port, such as 02:00:00:00:00:01")
    addresses: list[Interface] = Field(default=[], description="a list of addresses with prefix lengths")


class RouteConfig(Model):
    prefix: Prefix = Field(description="a destination prefix such as 203.0.113.0/24 or 2001:db8::/64")
    port: SwitchPort = Field(description="a port of this switch")
    via: Address | None = Field(
        default=None, description="the next hop's address; absent = directly connected"
    )

    @model_validator(mode="after")
    def _one_version(self) -> RouteConfig:
        if self.via is not None:
            require_one_version("prefix", self.prefix, "via", self.via)
        return self


class NeighbourConfig(Model):
    address: Address = Field(description="an IPv4 or IPv6 address")
    mac: Mac = Field(description="the neighbour's MAC address")


class SwitchConfig(Model):
    """One switch (PoP): where its P4Runtime server is, and what it routes."""

    name: Name = Field(description="a name, unique among the switches")
    address: Endpoint = Field(description="P4Runtime server: unix:PATH or HOST:PORT")
    device_id: int = Field(default=1, ge=0, le=2**64 - 1, description="P4Runtime device id, a whole number")
    tls: TlsConfig | Literal[False] | None = Field(
        default=None,
        description="ca, certificate and key, in place of the controller's tls; or false: without TLS",
    )
    server_name: str | None = Field(
        default=None,
        min_length=1,
        description="the name in the switch's certificate (default: the host of address, else name)",
    )
    ports: list[PortConfig] = Field(min_length=1, description="a list of ports")
    routes: list[RouteConfig] = Field(default=[], description="a list of routes")
    neighbours: list[NeighbourConfig] = Field(default=[], description="a list of neighbours")

    def connected_routes(self) -> list[RouteConfig]:
        """`routes` plus a direct route for each port's prefix that no explicit route names."""
        named = {route.prefix for route in self.routes}
        extra: dict[IpNetwork, RouteConfig] = {}
        for port in self.ports:
            for address in port.addresses:
                net = address.network
                if net.prefixlen < net.max_prefixlen and net not in named:
                    extra.setdefault(net, RouteConfig(prefix=net, port=port.port))
        return [*self.routes, *extra.values()]


def socket_text(address: IpAddress | str, port: int) -> str:
    """ADDRESS:PORT, an IPv6 address in brackets (RFC 3986)."""
    return f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"


def require_one_version(first: str, value: IpAddress | IpNetwork, second: str, other: IpAddress) -> None:
    """Raises ValueError unless both values are of the same version of IP."""
    if value.version != other.version:
        raise ValueError(
            f"{second} {other} is IPv{other.version} and {first} {value} is IPv{value.version}; "
            "give both of the same version"
        )


def _service_address(address: IpAddress) -> IpAddress:
    """A unicast address that other networks can reach; none of ::/96 (RFC 4291 section 2.5.5.1)."""
    if address.is_multicast or address.is_unspecified or address.is_loopback or address.is_link_local:
        raise ValueError(f"{address} is no server's address in a network; give a unicast address")
    if isinstance(address, IPv6Address) and (address.ipv4_mapped is not None or int(address) >> 32 == 0):
        raise ValueError(f"{address} holds an IPv4 address; give that address itself")
    return address


def _default_mss(data: dict[str, Any]) -> int:
    """What fits into an Ethernet frame without options (RFC 9293 section 3.7.1)."""
    return 1440 if data["address"].version == 6 else 1460


def _default_window(data: dict[str, Any]) -> int:
    return min(4 * int(data["mss"]), 0xFFFF)


class ServiceConfig(Model):
    """A protected TCP service and what its server supports: clients are told before the server is asked."""

    name: Name = Field(description="a name, unique among the services")
    address: Annotated[Address, AfterValidator(_service_address)] = Field(
        description="the server's IPv4 or IPv6 address"
    )
    port: int = Field(ge=1, le=65535, description="the server's TCP port, 1 to 65535")
    mss: int = Field(
        default_factory=_default_mss,
        ge=88,
        le=65535,
        description="MSS told to clients, 88 to 65535 (default 1460, over IPv6 1440)",
    )
    window_scale: int | None = Field(default=7, ge=0, le=14, description="0 to 14, or null for none")
    sack: bool = Field(default=True, description="true or false")
    timestamps: bool = Field(default=True, description="true or false")
    window: int = Field(
        default_factory=_default_window,
        ge=0,
        le=65535,
        description="window told to clients before the server is asked, bytes, 0 to 65535 (default 4 MSS)",
    )
    unknown: Literal["drop", "reset"] = Field(default="drop", description="drop or reset")
    syn_rate: int | None = Field(default=None, ge=1, description="SYN answers per second; absent = unmetered")
    punt_rate: int | None = Field(
        default=None, ge=1, description="punts per second of each kind; absent = unmetered"
    )
    mode: Literal["always", "on-attack", "bypass"] = Field(
        default="always", description="always, on-attack or bypass"
    )
    attack_syn_rate: int | None = Field(
        default=None, ge=1, description="SYNs per second from which on an on-attack service is guarded"
    )
    calm_syn_rate: int | None = Field(
        default=None, ge=0, description="SYNs per second that count as calm (default half of attack_syn_rate)"
    )
    calm_after: Seconds = Field(default=30, description="calm time that ends an attack, seconds")
    sync: SyncMode = Field(
        default="all",
        description="all, quorum or local: which switches have a session before the server can speak",
    )

    @property
    def calm_rate(self) -> float:
        """SYNs per second at or below which there is no attack."""
        return (self.attack_syn_rate or 0) / 2 if self.calm_syn_rate is None else self.calm_syn_rate

    @model_validator(mode="after")
    def _sync_of_mode(self) -> ServiceConfig:
        """A lenient service's packets pass untranslated where their session is not known yet."""
        if self.sync != "all" and self.mode != "always":
            raise ValueError(
                f"sync {self.sync} needs mode always, for a switch that lacks a session must pass nothing; "
                "give sync: all, or mode: always"
            )
        return self

    @model_validator(mode="after")
    def _rates_of_mode(self) -> ServiceConfig:
        if self.mode != "on-attack":
            for key in ("attack_syn_rate", "calm_syn_rate"):
                if getattr(self, key) is not None:
                    raise ValueError(
                        f"{key} is of no use with mode {self.mode}; give mode: on-attack, or leave it out"
                    )
        elif self.attack_syn_rate is None:
            raise ValueError("mode on-attack needs attack_syn_rate; give SYNs per second, such as 10000")
        elif self.calm_rate >= self.attack_syn_rate:
            raise ValueError(
                f"calm_syn_rate {self.calm_rate:g} is not below attack_syn_rate {self.attack_syn_rate}; "
                "give less"
            )
        return self


def bypassed(service: ServiceConfig) -> ServiceConfig:
    """The same service in mode bypass."""
    rates = dict.fromkeys(("attack_syn_rate", "calm_syn_rate", "syn_rate", "punt_rate"))
    return service.model_copy(update={"mode": "bypass", **rates})


class TimersConfig(Model):
    epoch: Seconds = Field(
        default=60, description="life of a cookie key, seconds (a cookie lives one to two of them)"
    )
    idle: Seconds = Field(default=300, description="idle time of an open session, seconds")
    linger: Seconds = Field(default=60, description="idle time of a closing session, seconds")
    syn_retry: list[Seconds] = Field(
        default=[1, 2, 4], min_length=1, max_length=10, description="waits before each repeated SYN, seconds"
    )
    barrier: Seconds = Field(
        default=5, description="time in which every live switch must confirm a session, seconds"
    )
    early_return: Seconds = Field(
        default=0.2, description="how long a server's packet waits for its session, seconds"
    )
    lease: Seconds = Field(
        default=1.5, description="silence after which another controller takes over, seconds"
    )
    reconnect_min: Seconds = Field(default=0.25, description="first wait before a reconnection, seconds")
    reconnect_max: Seconds = Field(default=5, description="longest wait before a reconnection, seconds")


class LimitsConfig(Model):
    """Bounds of the exception path."""

    flows: int = Field(default=20_000, ge=1, description="pending handshakes in total")
    flows_per_source: int = Field(
        default=256, ge=1, description="pending handshakes per client: an IPv4 address, an IPv6 /64"
    )
    flows_per_service: int = Field(default=10_000, ge=1, description="pending handshakes per service")
    packets_per_flow: int = Field(default=16, ge=1, description="packets held per pending handshake")
    bytes_per_flow: int = Field(default=65_536, ge=1514, description="bytes held per pending handshake")
    bytes_total: int = Field(default=64 * 2**20, ge=1514, description="bytes held in total")
    sessions: int = Field(default=1_000_000, ge=1, description="sessions in total")


class FederationConfig(Model):
    """This controller is one of several, one per PoP, that share sessions over NATS JetStream."""

    member: SubjectName = Field(description="this PoP's name, different from all other members'")
    cluster: SubjectName = Field(default="syncline", description="a name that all members give")
    urls: list[NatsUrl] = Field(min_length=1, description="a list of NATS servers such as tls://nats-1:4222")
    secret: FilePath = Field(description="path of a file (0600) with the secret that all members share")
    tls: TlsConfig | None = Field(default=None, description="ca, certificate and key for NATS")
    credentials: FilePath | None = Field(
        default=None, description="path of a NATS credentials file (0600): a JWT and its seed"
    )
    user: str | None = Field(default=None, description="a user's name at NATS (with password_file)")
    password_file: FilePath | None = Field(
        default=None, description="path of a file (0600) with the user's password"
    )
    token_file: FilePath | None = Field(
        default=None, description="path of a file (0600) with the token that NATS wants"
    )
    replicas: int = Field(default=1, ge=1, le=5, description="copies of each record among the NATS servers")
    ttl: Annotated[float, Field(ge=60, le=604800)] = Field(
        default=3600, description="life of a record that nobody renews, seconds, from 60"
    )
    lease: Annotated[float, Field(ge=0.5, le=60)] = Field(
        default=3, description="time without a sign of life that ends a membership, seconds, 0.5 to 60"
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> FederationConfig:
        if (self.user is None) != (self.password_file is None):
            raise ValueError("user and password_file belong together; give both or neither")
        ways = [key for key in ("credentials", "user", "token_file") if getattr(self, key) is not None]
        if len(ways) > 1:
            raise ValueError(f"{ways[0]} and {ways[1]} are two ways in; give one")
        if self.tls is None and any(url.startswith("tls://") for url in self.urls):
            raise ValueError("urls with tls:// need tls; give ca, certificate and key")
        return self


class ControllerConfig(Model):
    name: Name = Field(default="syncline", description="a name for this controller")
    api: ApiConfig = Field(default_factory=lambda: ApiConfig(), description="the HTTP endpoint")
    program: ProgramConfig = Field(description="the P4 program")
    switches: list[SwitchConfig] = Field(min_length=1, description="a list of switches")
    services: list[ServiceConfig] = Field(
        default=[], max_length=MOST_SERVICES, description="a list of services"
    )
    timers: TimersConfig = Field(default_factory=lambda: TimersConfig(), description="durations in seconds")
    limits: LimitsConfig = Field(default_factory=lambda: LimitsConfig(), description="bounds")
    federation: FederationConfig | None = Field(
        default=None,
        description="how the controllers of several PoPs find each other; absent = only this one",
    )
    tls: TlsConfig | None = Field(default=None, description="ca, certificate and key for P4Runtime")
    log: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error: how much to say"
    )
    state: FilePath | None = Field(
        default=None, description="path of a file that keeps what is learned of services; absent = none"
    )

    def tls_of(self, switch: SwitchConfig) -> SwitchTls | None:
        """How to speak TLS with a switch; None: not at all."""
        tls = self.tls if switch.tls is None else switch.tls
        if not tls:
            return None
        host = "" if switch.address.startswith("unix:") else switch.address.rpartition(":")[0].strip("[]")
        return SwitchTls(tls.files(), switch.server_name or host or switch.name)


class SwitchTls(NamedTuple):
    """TLS with one switch: our files, and the name that its certificate must have."""

    files: TlsFiles
    server_name: str


def load_config(path: str | Path) -> ControllerConfig:
    """Read and check a controller's YAML file.

    Raises:
        ConfigError: one line per problem, all problems at once.
    """
    path = Path(path)
    data = read_yaml(path)
    try:
        config = ControllerConfig.model_validate(data, context={"base": path.resolve().parent})
    except ValidationError as err:
        raise ConfigError(path, describe(err, ControllerConfig)) from None
    problems = check(config)
    if problems:
        raise ConfigError(path, problems)
    return config
