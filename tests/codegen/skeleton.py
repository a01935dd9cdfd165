# SPDX-License-Identifier: Apache-2.0
"""A v1model program around the parts that a test is about."""

from __future__ import annotations

from tests.codegen.harness import V1MODEL


def program(
    headers: str,
    *,
    parser: str,
    ingress: str = "apply { std.egress_spec = 1; }",
    egress: str = "apply { }",
    deparser: str = "",
    metadata: str = "",
    verify: str = "",
    compute: str = "",
    top: str = "",
) -> str:
    """`headers`: header declarations, then `struct headers_t`; the other texts are bodies. `h`, `m`, `std`
    name the
    pipeline's parameters, `p` the packet."""
    return f"""{V1MODEL}
{headers}
struct metadata_t {{ {metadata} }}
{top}
parser TestParser(packet_in p, out headers_t h, inout metadata_t m, inout standard_metadata_t std) {{
{parser} }}
control TestVerify(inout headers_t h, inout metadata_t m) {{ apply {{ {verify} }} }}
control TestIngress(inout headers_t h, inout metadata_t m, inout standard_metadata_t std) {{ {ingress} }}
control TestEgress(inout headers_t h, inout metadata_t m, inout standard_metadata_t std) {{ {egress} }}
control TestCompute(inout headers_t h, inout metadata_t m) {{ apply {{ {compute} }} }}
control TestDeparser(packet_out p, in headers_t h) {{ apply {{ {deparser} }} }}
V1Switch(TestParser(), TestVerify(), TestIngress(), TestEgress(), TestCompute(), TestDeparser()) main;
"""


ONE_HEADER = """
header word_t { bit<32> value; bit<8> tag; }
struct headers_t { word_t word; }
"""
"""One header of 5 bytes, to go with these."""

EXTRACT = "state start { p.extract(h.word); transition accept; }"
EMIT = "p.emit(h.word);"


def word(value: int, tag: int = 0) -> bytes:
    """The bytes of `word_t`."""
    return value.to_bytes(4, "big") + tag.to_bytes(1, "big")
