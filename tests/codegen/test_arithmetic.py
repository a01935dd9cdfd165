# SPDX-License-Identifier: Apache-2.0
"""Every operator at many widths, against Python's unlimited integers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.codegen.harness import V1MODEL, Switch, num_bytes

WIDTHS = (2, 7, 8, 9, 16, 31, 32, 33, 48, 63, 64, 65, 100, 127, 128, 129, 192, 200, 320)


@dataclass(frozen=True)
class Operation:
    """`expression` over a, b (bit<W>), s (bit<9>), sa, sb (int<W>); `width` of its result given W; Python's
    idea."""

    name: str
    expression: str
    width: Callable[[int], int]
    expected: Callable[[int, int, int, int], int]
    upto: int = 1 << 30


def signed(v: int, w: int) -> int:
    return v - (1 << w) if v >> (w - 1) else v


def clamp(v: int, w: int) -> int:
    return max(-(1 << (w - 1)), min((1 << (w - 1)) - 1, v))


def same(w: int) -> int:
    return w


def bit(_w: int) -> int:
    return 1


OPERATIONS = [
    Operation("add", "a + b", same, lambda a, b, s, w: a + b),
    Operation("sub", "a - b", same, lambda a, b, s, w: a - b),
    Operation("mul", "a * b", same, lambda a, b, s, w: a * b),
    Operation("conj", "a & b", same, lambda a, b, s, w: a & b),
    Operation("disj", "a | b", same, lambda a, b, s, w: a | b),
    Operation("exor", "a ^ b", same, lambda a, b, s, w: a ^ b),
    Operation("inv", "~a", same, lambda a, b, s, w: ~a),
    Operation("neg", "-a", same, lambda a, b, s, w: -a),
    Operation("shl", "a << s", same, lambda a, b, s, w: a << s),
    Operation("shr", "a >> s", same, lambda a, b, s, w: a >> s),
    Operation("shl1", "a << 1", same, lambda a, b, s, w: a << 1),
    Operation("shr1", "a >> 1", same, lambda a, b, s, w: a >> 1),
    Operation("satadd", "a |+| b", same, lambda a, b, s, w: min(a + b, (1 << w) - 1)),
    Operation("satsub", "a |-| b", same, lambda a, b, s, w: max(a - b, 0)),
    Operation("div3", "a / 3", same, lambda a, b, s, w: a // 3, 128),
    Operation("mod3", "a % 3", same, lambda a, b, s, w: a % 3, 128),
    Operation("div", "a / b", same, lambda a, b, s, w: a // b if b else 0, 128),
    Operation("mod", "a % b", same, lambda a, b, s, w: a % b if b else 0, 128),
    Operation("lt", "(bit<1>)(a < b)", bit, lambda a, b, s, w: a < b),
    Operation("ge", "(bit<1>)(a >= b)", bit, lambda a, b, s, w: a >= b),
    Operation("eq", "(bit<1>)(a == b)", bit, lambda a, b, s, w: a == b),
    Operation("ne", "(bit<1>)(a != b)", bit, lambda a, b, s, w: a != b),
    Operation("mux", "(a < b ? b : a)", same, lambda a, b, s, w: max(a, b)),
    Operation("top", "a[{W}-1:{W}/2]", lambda w: w - w // 2, lambda a, b, s, w: a >> (w // 2)),
    Operation("low", "a[{W}/2-1:0]", lambda w: w // 2, lambda a, b, s, w: a),
    Operation("cat", "a ++ b", lambda w: 2 * w, lambda a, b, s, w: a << w | b),
    Operation("wider", "(bit<({W}+70)>)a", lambda w: w + 70, lambda a, b, s, w: a),
    Operation("narrower", "(bit<({W}-1)>)a", lambda w: w - 1, lambda a, b, s, w: a),
    Operation("sadd", "(bit<{W}>)(sa + sb)", same, lambda a, b, s, w: a + b),
    Operation("smul", "(bit<{W}>)(sa * sb)", same, lambda a, b, s, w: a * b),
    Operation("sneg", "(bit<{W}>)(-sa)", same, lambda a, b, s, w: -a),
    Operation("sshr", "(bit<{W}>)(sa >> s)", same, lambda a, b, s, w: signed(a, w) >> s),
    Operation("sshl", "(bit<{W}>)(sa << s)", same, lambda a, b, s, w: a << s),
    Operation("slt", "(bit<1>)(sa < sb)", bit, lambda a, b, s, w: signed(a, w) < signed(b, w)),
    Operation("sle", "(bit<1>)(sa <= sb)", bit, lambda a, b, s, w: signed(a, w) <= signed(b, w)),
    Operation(
        "swider", "(bit<({W}+70)>)(int<({W}+70)>)sa", lambda w: w + 70, lambda a, b, s, w: signed(a, w)
    ),
    Operation(
        "ssatadd",
        "(bit<{W}>)(sa |+| sb)",
        same,
        lambda a, b, s, w: clamp(signed(a, w) + signed(b, w), w),
        128,
    ),
    Operation(
        "ssatsub",
        "(bit<{W}>)(sa |-| sb)",
        same,
        lambda a, b, s, w: clamp(signed(a, w) - signed(b, w), w),
        128,
    ),
]


def operations(w: int) -> list[Operation]:
    return [op for op in OPERATIONS if w <= op.upto]


def fields(layout: Iterator[tuple[str, int]] | list[tuple[str, int]]) -> str:
    """Header fields, filled up to whole bytes."""
    layout = list(layout)
    text = "".join(f" bit<{width}> {name};" for name, width in layout)
    pad = -sum(width for _, width in layout) % 8
    return text + (f" bit<{pad}> pad;" if pad else "")


def program() -> str:
    headers, states, cases, blocks, members, emits = "", "", "", "", "", ""
    for w in WIDTHS:
        headers += f"header in{w}_t {{{fields([('a', w), ('b', w), ('s', 9)])}}}\n"
        headers += f"header out{w}_t {{{fields([(op.name, op.width(w)) for op in operations(w)])}}}\n"
        members += f"in{w}_t in{w}; out{w}_t out{w};\n"
        cases += f"{w}: w{w};"
        states += f"state w{w} {{ p.extract(h.in{w}); transition accept; }}\n"
        emits += f"p.emit(h.out{w});"
        body = "".join(
            f"h.out{w}.{op.name} = {op.expression.replace('{W}', str(w))};\n" for op in operations(w)
        )
        blocks += f"""if (h.in{w}.isValid()) {{
            bit<{w}> a = h.in{w}.a; bit<{w}> b = h.in{w}.b; bit<9> s = h.in{w}.s;
            int<{w}> sa = (int<{w}>)a; int<{w}> sb = (int<{w}>)b;
            h.out{w}.setValid(); {body} h.in{w}.setInvalid(); }}\n"""
    return f"""{V1MODEL}
{headers}
header kind_t {{ bit<16> width; }}
struct headers_t {{ kind_t kind; {members} }}
struct meta_t {{ }}
parser P(packet_in p, out headers_t h, inout meta_t m, inout standard_metadata_t std) {{
  state start {{ p.extract(h.kind); transition select(h.kind.width) {{ {cases} default: accept; }} }}
  {states}
}}
control Nothing(inout headers_t h, inout meta_t m) {{ apply {{ }} }}
control I(inout headers_t h, inout meta_t m, inout standard_metadata_t std) {{
  apply {{ std.egress_spec = 1; {blocks} }}
}}
control E(inout headers_t h, inout meta_t m, inout standard_metadata_t std) {{ apply {{ }} }}
control D(packet_out p, in headers_t h) {{ apply {{ {emits} }} }}
V1Switch(P(), Nothing(), I(), E(), Nothing(), D()) main;
"""


@pytest.fixture(scope="module")
def switch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Switch]:
    with Switch.of(program(), tmp_path_factory.mktemp("arithmetic")) as made:
        yield made


def pack(layout: list[tuple[int, int]]) -> bytes:
    """(value, width) pairs as bytes, filled up with zeros."""
    value = bits = 0
    for v, w in layout:
        value, bits = value << w | v & (1 << w) - 1, bits + w
    pad = -bits % 8
    return (value << pad).to_bytes((bits + pad) // 8, "big")


def unpack(data: bytes, widths: list[int]) -> list[int]:
    value, bits = int.from_bytes(data, "big"), len(data) * 8
    result = []
    for w in widths:
        bits -= w
        result.append(value >> bits & (1 << w) - 1)
    return result


def operands(w: int) -> st.SearchStrategy[int]:
    top = 1 << w
    corners = sorted({v % top for v in (0, 1, 2, top - 1, top - 2, top >> 1, (top >> 1) - 1, 3, 255)})
    return st.one_of(st.sampled_from(corners), st.integers(0, top - 1))


@pytest.mark.parametrize("w", WIDTHS)
def test_operators(switch: Switch, w: int) -> None:
    ops = operations(w)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(operands(w), operands(w), st.one_of(st.integers(0, w + 2), st.integers(0, 511)))
    def check(a: int, b: int, s: int) -> None:
        frame = w.to_bytes(2, "big") + pack([(a, w), (b, w), (s, 9)])
        port, out = switch.one(3, frame)
        assert port == 1
        widths = [op.width(w) for op in ops]
        assert len(out) == num_bytes(sum(widths))
        for op, got in zip(ops, unpack(out, widths), strict=False):
            want = int(op.expected(a, b, s, w)) & (1 << op.width(w)) - 1
            assert got == want, (
                f"{op.expression} at W={w} with a={a:#x} b={b:#x} s={s}: {got:#x}, not {want:#x}"
            )

    check()
