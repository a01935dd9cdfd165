# SPDX-License-Identifier: Apache-2.0
"""The kernel's own ways in the same shape of network: plain forwarding, and nft's synproxy."""

from __future__ import annotations

import shutil
import subprocess

from controller.bench.measure import Way
from controller.lab.lab import Lab

_UNOWNED = "203.0.113.77"
"""The address SYNs are sent to: behind the router, owned by nobody: no server's answer is measured."""
_PORT = 80

# As in the manual of nft(8), section SYNPROXY STATEMENT: SYNs pass connection tracking by, and what has no
# connection is the proxy's.
_RULES = f"""
table ip bench {{
  chain early {{
    type filter hook prerouting priority raw; policy accept;
    tcp dport {_PORT} tcp flags syn notrack
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    tcp dport {_PORT} ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm
    ct state invalid drop
  }}
}}
"""


class KernelError(RuntimeError):
    """The kernel or a tool did not take a setting."""


def forwarding(lab: Lab) -> Way:
    """The router forwards; the server's interface counts."""
    server_mac = next(i.mac for i in lab.plan.nodes["server"].interfaces)
    _run(lab, ["ip", "neigh", "replace", _UNOWNED, "lladdr", server_mac, "dev", "eth1"])
    return Way("kernel forwarding", lab, lab.netns("client"), _UNOWNED, _PORT, lab.netns("server"))


def synproxy(lab: Lab) -> Way:
    """The router answers with its SYN cookies; the client's interface counts. Call `no_rules` afterwards."""
    _run(lab, ["nft", "-f", "-"], _RULES)
    # Else connection tracking takes the cookie's ACK for the middle of a connection that it has missed.
    _run(lab, ["sh", "-c", "echo 0 > /proc/sys/net/netfilter/nf_conntrack_tcp_loose"])
    return Way("nft synproxy", lab, lab.netns("client"), _UNOWNED, _PORT, lab.netns("client"))


def no_rules(lab: Lab) -> None:
    """Back to plain forwarding."""
    _run(lab, ["nft", "flush", "ruleset"])


def has_nft() -> bool:
    """Whether nft is installed (Debian: nftables)."""
    return shutil.which("nft") is not None


def _run(lab: Lab, argv: list[str], text: str | None = None) -> None:
    process = lab.popen(
        "s", argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    output, _ = process.communicate(text, timeout=20)
    if process.returncode != 0:
        raise KernelError(f"{' '.join(argv)}: {output.strip()}")
