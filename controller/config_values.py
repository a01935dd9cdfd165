# SPDX-License-Identifier: Apache-2.0
"""The kinds of values in the configuration: addresses, names, paths, times; the base of its models."""

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
)
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_SUBJECT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")  # one token of a NATS subject
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
MAX_PORT = 509  # 510 is the controller's port, 511 means "drop" (bit<9>)

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
SwitchPort = Annotated[int, Field(ge=1, le=MAX_PORT)]
Seconds = Annotated[float, Field(gt=0, le=86400)]
SyncMode: TypeAlias = Literal["all", "quorum", "local"]
"""Which switches must have a session before the server can speak: see `ServiceConfig.sync`."""


class Model(BaseModel):
    """Base of all configuration models: strict types, no unknown keys, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
