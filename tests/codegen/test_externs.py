# SPDX-License-Identifier: Apache-2.0
"""Counters, meters, registers, hashes, checksums, digests and the rest of v1model's externs."""

from __future__ import annotations

import binascii
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from softswitch.engine import EVENT_DIGEST, MeterRates
from softswitch.p4.errors import P4Error
from tests.codegen.harness import OUT_OF_RANGE, Switch
from tests.codegen.skeleton import EMIT, EXTRACT, ONE_HEADER, program, word


def csum16(data: bytes) -> int:
    """RFC 1071, by the book."""
    data += b"\0" * (len(data) % 2)
    total = sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def crc16(data: bytes) -> int:
    """CRC-16/ARC, bit by bit."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def test_counters(tmp_path: Path) -> None:
    ingress = """counter(8, CounterType.packets_and_bytes) c;
      apply { std.egress_spec = 1; c.count((bit<32>)h.word.tag); }"""
    with Switch.of(program(ONE_HEADER, parser=EXTRACT, ingress=ingress, deparser=EMIT), tmp_path) as switch:
        counter = switch.id_of("counters", "c")
        for tag in (3, 3, 7, 8, 255):
            switch.send(0, word(0, tag) + bytes(tag))
        read = [switch.engine.counter_read(counter, i) for i in (3, 7, 0)]
        assert read == [(2, 16), (1, 12), (0, 0)]
        assert switch.engine.counter_read(counter, 8) == OUT_OF_RANGE
        assert switch.engine.counter_write(counter, 3, 100, 1000) == 0
        switch.send(0, word(0, 3))
        assert switch.engine.counter_read(counter, 3) == (101, 1005)


def test_meters(tmp_path: Path) -> None:
    ingress = """meter(4, MeterType.packets) m; meter(4, MeterType.bytes) b;
      apply { std.egress_spec = 1; bit<8> colour = 9; m.execute_meter((bit<32>)h.word.tag, colour);
        bit<2> bytes_colour = 3; b.execute_meter((bit<32>)h.word.tag, bytes_colour);
        h.word.tag = colour; h.word.value = (bit<32>)bytes_colour; }"""
    text = program(ONE_HEADER, parser=EXTRACT, ingress=ingress, deparser=EMIT).replace(
        "metadata_t m", "metadata_t meta"
    )
    with Switch.of(text, tmp_path) as switch:
        packets, octets = switch.id_of("meters", "m"), switch.id_of("meters", "b")

        def colours(tag: int) -> tuple[int, int]:
            frame = switch.one(0, word(0, tag))[1]
            return frame[4], frame[3]

        assert colours(0) == (0, 0)  # not configured: green
        assert colours(4) == (9, 3)  # beyond the size: the result stays
        assert switch.engine.meter_write(packets, 1, MeterRates(1, 2, 2, 5)) == 0
        assert switch.engine.meter_write(octets, 1, MeterRates(1, 10, 1, 15)) == 0
        assert [colours(1) for _ in range(6)] == [(0, 0), (0, 0), (1, 1), (1, 2), (1, 2), (2, 2)]
        assert switch.engine.meter_read(packets, 1) == MeterRates(1, 2, 2, 5)
        assert switch.engine.meter_write(packets, 1, MeterRates(100, 1, 200, 1)) == 0
        assert colours(1)[0] == 0
        assert colours(1)[0] == 2
        time.sleep(0.02)
        assert colours(1)[0] == 0
        assert switch.engine.meter_write(packets, 1, None) == 0
        assert [colours(1)[0] for _ in range(3)] == [0, 0, 0]
        assert switch.engine.meter_write(packets, 4, None) == OUT_OF_RANGE


def test_registers(tmp_path: Path) -> None:
    headers = "header r_t { bit<8> op; bit<32> i; bit<160> v; } struct headers_t { r_t r; }"
    ingress = """register<bit<160>>(4) wide; register<bit<48>>(4) r; register<bit<100>>(4) mid;
    register<bit<1>>(4) one;
      apply { std.egress_spec = 1; bit<48> v; bit<100> u; bit<1> b;
        if (h.r.op == 0) { r.write(h.r.i, h.r.v[47:0]); }
        if (h.r.op == 1) { v = 5; r.read(v, h.r.i); h.r.v = (bit<160>)v; }
        if (h.r.op == 2) { wide.write(h.r.i, h.r.v); mid.write(h.r.i, h.r.v[99:0]); one.write(h.r.i,
        h.r.v[0:0]); }
        if (h.r.op == 3) { wide.read(h.r.v, h.r.i); }
        if (h.r.op == 4) { mid.read(u, h.r.i); h.r.v = (bit<160>)u; }
        if (h.r.op == 5) { one.read(b, h.r.i); h.r.v = (bit<160>)b; } }"""
    parser = "state start { p.extract(h.r); transition accept; }"
    text = program(headers, parser=parser, ingress=ingress, deparser="p.emit(h.r);")
    with Switch.of(text, tmp_path) as switch:

        def run(op: int, index: int, value: int = 0) -> int:
            frame = bytes([op]) + index.to_bytes(4, "big") + value.to_bytes(20, "big")
            return int.from_bytes(switch.one(0, frame)[1][5:], "big")

        value = int.from_bytes(bytes(range(1, 21)), "big")
        run(0, 2, value)
        assert run(1, 2) == value & (1 << 48) - 1
        assert run(1, 4) == 5  # beyond the size: the result stays
        run(0, 4, value)
        run(2, 3, value)
        assert (run(3, 3), run(4, 3), run(5, 3)) == (value, value & (1 << 100) - 1, value & 1)
        register, wide = switch.id_of("registers", "r"), switch.id_of("registers", "wide")
        assert switch.engine.register_read(register, 2, 6) == value.to_bytes(20, "big")[-6:]
        assert switch.engine.register_read(wide, 3, 20) == value.to_bytes(20, "big")
        assert switch.engine.register_write(register, 2, b"\1\2\3\4\5\6") == 0
        assert run(1, 2) == 0x010203040506
        assert switch.engine.register_read(register, 4, 6) == OUT_OF_RANGE


HASHES: dict[str, Callable[[bytes], int]] = {
    "crc32": binascii.crc32,
    "crc16": crc16,
    "csum16": csum16,
    "identity": lambda d: int.from_bytes(d[:8], "big"),
    "xor16": lambda d: (
        int.from_bytes(d[0:2], "big")
        ^ int.from_bytes(d[2:4], "big")
        ^ int.from_bytes(d[4:6], "big")
        ^ int.from_bytes(d[6:8], "big")
        ^ (d[8] << 8)
    ),
}


def test_hashes(tmp_path: Path) -> None:
    headers = """header i_t { bit<4> a; bit<12> b; bit<32> c; bit<24> d; }
      header o_t { bit<64> v; bit<64> ranged; } struct headers_t { i_t i; o_t o; }"""
    calls = ""
    for k, name in enumerate(HASHES):
        calls += f"""if (std.ingress_port == {k}) {{
          hash(h.o.v, HashAlgorithm.{name}, 64w0, {{ h.i.a, h.i.b, h.i.c, h.i.d }},
          64w0x4000000000000000);
          hash(h.o.ranged, HashAlgorithm.{name}, 64w7, {{ h.i }}, 64w10); }}"""
    text = program(
        headers,
        parser="state start { p.extract(h.i); transition accept; }",
        ingress=f"apply {{ std.egress_spec = 1; h.o.setValid(); {calls} }}",
        deparser="p.emit(h.o);",
    )
    with Switch.of(text, tmp_path) as switch:

        @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.binary(min_size=9, max_size=9))
        def check(data: bytes) -> None:
            for port, function in enumerate(HASHES.values()):
                out = switch.one(port, data)[1]
                expected = function(data)
                assert int.from_bytes(out[:8], "big") == expected % 0x4000000000000000
                assert int.from_bytes(out[8:16], "big") == expected % 10 + 7

        check()


def test_checksums(tmp_path: Path) -> None:
    """IPv4's header checksum, and one over the payload; wrong ones are told."""
    headers = """header ip_t { bit<16> a; bit<16> b; bit<8> c; bit<16> sum; bit<8> d; bit<16> psum; }
      struct headers_t { ip_t ip; }"""
    data = "{ h.ip.a, h.ip.b, h.ip.c, h.ip.d }"
    verify = f"""verify_checksum(h.ip.isValid(), {data}, h.ip.sum, HashAlgorithm.csum16);
      verify_checksum_with_payload(true, {{ h.ip.c, h.ip.d }}, h.ip.psum, HashAlgorithm.csum16);"""
    compute = f"""update_checksum(h.ip.d != 0xff, {data}, h.ip.sum, HashAlgorithm.csum16);
      update_checksum_with_payload(h.ip.isValid(), {{ h.ip.c, h.ip.d, 8w1 }}, h.ip.psum,
      HashAlgorithm.csum16);"""
    ingress = """apply { std.egress_spec = 1; if (std.checksum_error == 1) std.egress_spec = 2;
      if (std.ingress_port == 1) h.ip.a = 0x1234; }"""
    parser = "state start { p.extract(h.ip); transition accept; }"
    text = program(
        headers, parser=parser, ingress=ingress, deparser="p.emit(h.ip);", verify=verify, compute=compute
    )
    with Switch.of(text, tmp_path) as switch:

        def build(a: int, b: int, c: int, d: int, payload: bytes) -> bytes:
            plain = a.to_bytes(2, "big") + b.to_bytes(2, "big") + bytes([c])
            total = csum16(plain + bytes([d]))
            return (
                plain
                + total.to_bytes(2, "big")
                + bytes([d])
                + csum16(bytes([c, d]) + payload).to_bytes(2, "big")
            )

        for payload in (b"", b"x", b"even", b"odd", bytes(range(251))):
            head = build(0xFFFF, 0x8001, 3, 4, payload)
            port, out = switch.one(1, head + payload)
            assert port == 1
            assert out[5:7] == csum16(b"\x12\x34" + head[2:5] + b"\x04").to_bytes(2, "big")
            assert out[8:10] == csum16(b"\3\4\1" + payload).to_bytes(2, "big")
            assert out[10:] == payload
            for broken in (0, 5, 8, 9):
                wrong = bytearray(head + payload)
                wrong[broken] ^= 1
                assert switch.one(0, bytes(wrong))[0] == 2
        head = build(1, 2, 3, 0xFF, b"")
        assert switch.one(0, head)[1][5:7] == head[5:7]  # no update under a false condition
        assert switch.one(0, b"short")[0] == 1  # no check on an invalid header


def test_digest(tmp_path: Path) -> None:
    ingress = """apply { d_t d = { std.ingress_port, h.word.value, h.word.tag[0:0], h.word.tag };
      if (h.word.tag == 1) { digest<d_t>(1, d); d.port = 7; }
      if (h.word.tag == 2) { digest<d_t>(1, d); d.tag = 99; digest<d_t>(1, d); }
      mark_to_drop(std); }"""
    top = "struct d_t { bit<9> port; bit<32> value; bit<1> flag; bit<8> tag; }"
    text = program(ONE_HEADER, parser=EXTRACT, ingress=ingress, deparser=EMIT, top=top)
    with Switch.of(text, tmp_path) as switch:
        digest = switch.id_of("digests", "d_t").to_bytes(4, "little")
        assert switch.send(300, word(0xDEADBEEF, 1)) == []
        [event] = switch.events()
        assert event == (EVENT_DIGEST, digest + bytes.fromhex("012c deadbeef 01 01"))
        switch.send(2, word(5, 2))  # of two the last one goes, as in BMv2
        [event] = switch.events()
        assert event.payload == digest + bytes.fromhex("0002 00000005 00 63")
        switch.send(2, word(5, 3))
        assert switch.events() == []


def test_random_stays_within_its_ends(tmp_path: Path) -> None:
    ingress = """apply { std.egress_spec = 1; bit<8> r; random(r, 8w10, 8w13); h.word.tag = r;
      random(h.word.value, 32w0, 32w0xffffffff); }"""
    with Switch.of(program(ONE_HEADER, parser=EXTRACT, ingress=ingress, deparser=EMIT), tmp_path) as switch:
        seen = [switch.one(0, word(0))[1] for _ in range(200)]
        assert {f[4] for f in seen} == {10, 11, 12, 13}
        assert len({f[:4] for f in seen}) > 190


def test_truncate_and_lengths(tmp_path: Path) -> None:
    ingress = """apply { std.egress_spec = 1; if (h.word.tag != 0) truncate((bit<32>)h.word.tag);
      if (std.ingress_port == 1) h.word.setInvalid(); }"""
    egress = "apply { h.length.setValid(); h.length.v = std.packet_length; }"
    headers = ONE_HEADER.replace(
        "struct headers_t {", "header l_t { bit<32> v; } struct headers_t { l_t length;"
    )
    text = program(headers, parser=EXTRACT, ingress=ingress, egress=egress, deparser="p.emit(h);")
    with Switch.of(text, tmp_path) as switch:
        full = (25).to_bytes(4, "big") + word(1, 0) + bytes(20)
        assert switch.one(0, word(1, 0) + bytes(20))[1] == full
        for size in (1, 4, 7, 9, 10, 28, 29, 30, 200):
            expected = ((25).to_bytes(4, "big") + word(1, size) + bytes(20))[:size]
            assert switch.one(0, word(1, size) + bytes(20))[1] == expected
        # BMv2's length register follows setInvalid in ingress
        assert switch.one(1, word(1, 0) + bytes(20))[1] == (20).to_bytes(4, "big") + bytes(20)


def test_log_and_assert(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ingress = r"""apply { std.egress_spec = 1; log_msg("tag {} \"quoted\" ??/ of {}", { h.word.tag,
    h.word.value });
      assert(h.word.tag != 9); h.word.value = 7; }"""
    with Switch.of(program(ONE_HEADER, parser=EXTRACT, ingress=ingress, deparser=EMIT), tmp_path) as switch:
        assert switch.one(0, word(3, 4))[1] == word(7, 4)
        assert switch.send(0, word(3, 9)) == []
    lines = capfd.readouterr().err.splitlines()
    assert 'program: tag 4 "quoted" ??/ of 3' in lines
    assert any("assertion failed" in line and "program.p4" in line for line in lines)


def test_what_is_not_supported_says_so(tmp_path: Path) -> None:
    ingress = "apply { bit<100> r; random(r, 100w0, 100w7); h.word.value = r[31:0]; }"
    with pytest.raises(P4Error, match=r"program\.p4:\d+:\d+: error: .*not supported"):
        Switch.of(program(ONE_HEADER, parser=EXTRACT, ingress=ingress, deparser=EMIT), tmp_path)
