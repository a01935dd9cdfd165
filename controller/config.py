# SPDX-License-Identifier: Apache-2.0
"""The controller's configuration: one YAML file, checked as a whole.

Models are frozen and reject unknown keys and wrong types. `load_config` reports all problems at once,
each on one line ``FILE: key.path[0].name: what is wrong; what would be right``; a YAML syntax error as
``FILE:LINE:COLUMN: …``. Relative paths count from the YAML file's folder. Durations are seconds, sizes
bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
)
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from controller.config_errors import ConfigError, Problem, describe, read_yaml
from softswitch.secretfile import SecretFileError, read_token
from softswitch.tlsfiles import TlsFileError, TlsFiles

_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_SUBJECT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")  # one token of a NATS subject
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
MOST_SERVICES = 1024
_MAX_PORT = 509  # 510 is the controller's port, 511 means "drop" (bit<9>)

_Ip = IPv4Address | IPv6Address | IPv4Interface | IPv6Interface | IPv4Network | IPv6Network


def _ip(v4: Callable[[str], _Ip], v6: Callable[[str], _Ip], what: str, example: str) -> BeforeValidator:
    """Text becomes an address, an interface's address or a prefix, of either version of IP."""
    right = f"give {what} such as {example}"

    def convert(value: object) -> object:
        if isinstance(value, _Ip):
            return value
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is not text; {right}")
        if "%" in value:
            raise ValueError(f"{value!r} has a zone; {right}")
        try:
            return v6(value) if ":" in value else v4(value)
        except ValueError as err:
            raise ValueError(f"{err}; {right}") from None

    return BeforeValidator(convert)


def _mac(value: str) -> str:
    if not _MAC.fullmatch(value):
        raise ValueError(f"{value!r} is not a MAC address; give six hex pairs such as 02:00:00:00:00:01")
    if int(value[:2], 16) & 1:
        raise ValueError(f"{value!r} is a group address; give a unicast MAC (first byte even)")
    return value.lower()


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not a name; use letters, digits, '-', '_' and '.'")
    return value


def _path(value: object, info: ValidationInfo) -> object:
    """Text becomes a path, relative to the YAML file's folder (validation context `base`) if there is one."""
    if not isinstance(value, str | Path):
        return value
    base = info.context.get("base") if info.context else None
    return base / value if base is not None else Path(value)


def _endpoint(value: str, info: ValidationInfo) -> str:
    """`unix:PATH` (made absolute) or `HOST:PORT`."""
    if value.startswith("unix:"):
        path = value.removeprefix("unix:")
        if not path:
            raise ValueError("'unix:' names no file; give unix:PATH")
        base = info.context.get("base") if info.context else None
        return f"unix:{base / path}" if base is not None else value
    host, colon, port = value.rpartition(":")
    if not (colon and host and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"{value!r} is not an address; give unix:PATH or HOST:PORT")
    return value


def _subject_name(value: str) -> str:
    if not _SUBJECT_NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not a name; use letters, digits, '-' and '_'")
    return value


def _nats_url(value: str) -> str:
    scheme, _, rest = value.partition("://")
    host, colon, port = rest.rpartition(":")
    if scheme not in ("nats", "tls") or not (colon and host and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"{value!r} is not a server's URL; give nats://HOST:PORT or tls://HOST:PORT")
    if "@" in host:
        raise ValueError("it holds a user's name; give user and password_file instead")
    return value


IpAddress: TypeAlias = IPv4Address | IPv6Address
IpInterface: TypeAlias = IPv4Interface | IPv6Interface
IpNetwork: TypeAlias = IPv4Network | IPv6Network

Address = Annotated[IpAddress, _ip(IPv4Address, IPv6Address, "an address", "203.0.113.10 or 2001:db8::10")]
Interface = Annotated[
    IpInterface,
    _ip(
        IPv4Interface, IPv6Interface, "an address with its prefix length", "198.18.1.1/24 or 2001:db8:1::1/64"
    ),
]
Prefix = Annotated[IpNetwork, _ip(IPv4Network, IPv6Network, "a prefix", "203.0.113.0/24 or 2001:db8::/64")]
Mac = Annotated[str, AfterValidator(_mac)]
Name = Annotated[str, AfterValidator(_name)]
FilePath = Annotated[Path, BeforeValidator(_path)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
SubjectName = Annotated[str, AfterValidator(_subject_name)]
NatsUrl = Annotated[str, AfterValidator(_nats_url)]
SwitchPort = Annotated[int, Field(ge=1, le=_MAX_PORT)]
Seconds = Annotated[float, Field(gt=0, le=86400)]
SyncMode: TypeAlias = Literal["all", "quorum", "local"]
"""Which switches must have a session before the server can speak: see `ServiceConfig.sync`."""


class Model(BaseModel):
    """Base of all configuration models: strict types, no unknown keys, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


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

    port: SwitchPort = Field(description=f"a port number, 1 to {_MAX_PORT}")
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


def is_local(endpoint: str) -> bool:
    """Whether only this machine reaches `unix:PATH` or `HOST:PORT`."""
    if endpoint.startswith("unix:"):
        return True
    host = endpoint.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check(config: ControllerConfig) -> list[Problem]:
    """What no model can see on its own: duplicates, ports that do not exist, missing files, timers' order."""
    problems: list[Problem] = []
    _check_api(problems, config.api)
    _check_tls(problems, "tls", config.tls)
    for index, switch in enumerate(config.switches):
        _check_tls(problems, f"switches[{index}].tls", switch.tls or None)
    for key in ("p4", "p4info", "device_config"):
        path = getattr(config.program, key)
        if path is not None and not path.is_file():
            problems.append(
                Problem(f"program.{key}", f"there is no file {path}; give the path of a readable file")
            )
    _unique(problems, "switches", [(s.name, "name") for s in config.switches])
    _unique(problems, "switches", [((s.address, s.device_id), "address") for s in config.switches])
    _unique(problems, "services", [(s.name, "name") for s in config.services])
    _unique(problems, "services", [((str(s.address), s.port), "address") for s in config.services])
    for index, switch in enumerate(config.switches):
        _check_switch(problems, f"switches[{index}]", switch)
    if config.timers.reconnect_max < config.timers.reconnect_min:
        problems.append(Problem("timers.reconnect_max", "smaller than reconnect_min; give at least that"))
    return problems


def _check_api(problems: list[Problem], api: ApiConfig) -> None:
    _check_tls(problems, "api.tls", api.tls)
    if api.token is not None:
        try:
            read_token(api.token)
        except SecretFileError as err:
            problems.append(Problem("api.token", str(err)))
    elif not is_local(api.listen):
        problems.append(Problem("api.listen", needs_token(api.listen)))


def needs_token(listen: str) -> str:
    return (
        f"{listen} can be reached from other machines; give api.token, a file of mode 0600 with a secret, "
        "or listen on unix:PATH or 127.0.0.1:PORT"
    )


def _check_tls(problems: list[Problem], where: str, tls: TlsConfig | ServerTlsConfig | None) -> None:
    """Files that can never do. A certificate that is not good today is told when it is used."""
    if tls is None:
        return
    try:
        tls.files().load()
    except TlsFileError as err:
        key = next((key for key in type(tls).model_fields if getattr(tls, key) == err.path), "")
        problems.append(Problem(f"{where}.{key}", str(err)))


def _check_switch(problems: list[Problem], where: str, switch: SwitchConfig) -> None:
    _unique(problems, f"{where}.ports", [(p.port, "port") for p in switch.ports])
    _unique(problems, f"{where}.routes", [(str(r.prefix), "prefix") for r in switch.routes])
    _unique(problems, f"{where}.neighbours", [(str(n.address), "address") for n in switch.neighbours])
    ports = {p.port for p in switch.ports}
    listed = ", ".join(str(p) for p in sorted(ports))
    for index, route in enumerate(switch.routes):
        if route.port not in ports:
            text = f"port {route.port} is not a port of switch {switch.name}; its ports are {listed}"
            problems.append(Problem(f"{where}.routes[{index}].port", text))


def _unique(problems: list[Problem], where: str, values: list[tuple[Any, str]]) -> None:
    first: dict[Any, int] = {}
    for index, (value, key) in enumerate(values):
        if value in first:
            text = f"the same as {where}[{first[value]}]; each must be different"
            problems.append(Problem(f"{where}[{index}].{key}", text))
        first.setdefault(value, index)


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
