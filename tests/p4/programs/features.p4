// SPDX-License-Identifier: Apache-2.0
// One of everything: what the front end takes, in a program that p4c takes too.
#include <core.p4>
#include <v1model.p4>

#define LABELS 4

typedef bit<48> mac_t;
@p4runtime_translation("example.org/port", 32)
type bit<9> port_id_t;

enum bit<8> reason_t { NONE = 0, MISS = 1, TTL = 0x80 }
enum level_t { LOW, HIGH }
error { TooManyOptions }

const bit<16> TYPE_IPV4 = 0x800;
const bit<16> TYPE_LABEL = TYPE_IPV4 + 16w0xF000;

@controller_header("packet_in")
header packet_in_t {
    bit<16> ingress_port;
    reason_t reason;
    @hidden bit<8> padding;
}

@controller_header("packet_out")
header packet_out_t {
    @id(2) bit<16> egress_port;
    @id(1) bit<8> mode;
}

header ethernet_t {
    mac_t dst;
    mac_t src;
    bit<16> kind;
}

header label_t {
    bit<15> port;
    bit<1> bottom;
}

header ipv4_t {
    bit<4> version;
    bit<4> ihl;
    bit<8> diffserv;
    bit<16> total_length;
    bit<16> identification;
    bit<3> flags;
    bit<13> fragment_offset;
    bit<8> ttl;
    bit<8> protocol;
    bit<16> checksum;
    bit<32> src;
    bit<32> dst;
}

header options_t {
    varbit<320> data;
}

header short_t { bit<8> value; }
header long_t { bit<16> value; }
header_union either_t {
    short_t short;
    long_t long;
}

struct learn_t {
    mac_t source;
    port_id_t port;
    reason_t why;
}

struct flow_t {
    bit<32> hash;
    bit<2> color;
    level_t level;
}

struct metadata {
    @field_list(1)
    flow_t flow;
    bit<8> left;
    bool marked;
    port_id_t in_port;
    bit<14> member;
}

struct headers {
    packet_out_t packet_out;
    packet_in_t packet_in;
    ethernet_t ethernet;
    label_t[LABELS] labels;
    ipv4_t ipv4;
    options_t options;
    either_t either;
}

bit<16> fold_sum(in bit<32> sum) {
    bit<32> once = (sum & 0xFFFF) + (sum >> 16);
    return once[15:0] + once[31:16];
}

void swap<T>(inout T a, inout T b) {
    T kept = a;
    a = b;
    b = kept;
}

parser LabelParser(packet_in packet, inout headers hdr, inout metadata meta)(bit<8> most) {
    state start {
        meta.left = most;
        transition next_label;
    }
    state next_label {
        verify(meta.left != 0, error.TooManyOptions);
        meta.left = meta.left - 1;
        packet.extract(hdr.labels.next);
        transition select(hdr.labels.last.bottom, packet.lookahead<bit<4>>()) {
            (0, _): next_label;
            (1, 4): done;
            (1, 0xF &&& 0xC): done;
            default: reject;
        }
    }
    state done {
        transition accept;
    }
}

parser MyParser(packet_in packet,
                out headers hdr,
                inout metadata meta,
                inout standard_metadata_t standard_metadata) {
    value_set<bit<16>>(4) trusted_kinds;
    LabelParser(LABELS) label_parser;
    bit<32> option_bits = 0;

    state start {
        transition select(standard_metadata.ingress_port) {
            510: parse_packet_out;
            default: parse_ethernet;
        }
    }
    state parse_packet_out {
        packet.extract(hdr.packet_out);
        transition parse_ethernet;
    }
    state parse_ethernet {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.kind) {
            TYPE_IPV4: parse_ipv4;
            TYPE_LABEL: parse_labels;
            trusted_kinds: accept;
            0x0600 .. 0x06FF: parse_short;
            0x9000 &&& 0xF000: parse_long;
            default: accept;
        }
    }
    state parse_labels {
        label_parser.apply(packet, hdr, meta);
        transition parse_ipv4;
    }
    state parse_ipv4 {
        packet.extract(hdr.ipv4);
        option_bits = ((bit<32>) hdr.ipv4.ihl - 5) << 5;
        transition select(hdr.ipv4.ihl) {
            0 .. 4: reject;
            5: accept;
            default: parse_options;
        }
    }
    state parse_options {
        packet.extract(hdr.options, option_bits);
        transition accept;
    }
    state parse_short {
        packet.extract(hdr.either.short);
        packet.advance(8);
        transition accept;
    }
    state parse_long {
        long_t ahead = packet.lookahead<long_t>();
        if (ahead.value == 0) {
            meta.marked = true;
        }
        packet.extract(hdr.either.long);
        transition accept;
    }
}

control MyVerifyChecksum(inout headers hdr, inout metadata meta) {
    apply {
        verify_checksum(
            hdr.ipv4.isValid(),
            { hdr.ipv4.version, hdr.ipv4.ihl, hdr.ipv4.diffserv, hdr.ipv4.total_length,
              hdr.ipv4.identification, hdr.ipv4.flags, hdr.ipv4.fragment_offset, hdr.ipv4.ttl,
              hdr.ipv4.protocol, hdr.ipv4.src, hdr.ipv4.dst, hdr.options.data },
            hdr.ipv4.checksum,
            HashAlgorithm.csum16);
    }
}

control Police(in bit<32> index, inout flow_t flow)(bit<32> meters) {
    meter(meters, MeterType.bytes) policer;
    apply {
        policer.execute_meter(index, flow.color);
    }
}

control MyIngress(inout headers hdr,
                  inout metadata meta,
                  inout standard_metadata_t standard_metadata) {
    counter(64, CounterType.packets_and_bytes) seen;
    direct_counter(CounterType.packets) route_hits;
    direct_meter<bit<2>>(MeterType.packets) host_meter;
    register<bit<32>>(128) last_source;
    @max_group_size(16) action_selector(HashAlgorithm.crc16, 256, 14) spread;
    action_profile(32) profile;
    Police(8) police_users;
    Police(16) police_hosts;
    bit<16> sum = 0;

    @brief("Drops the packet.")
    action drop() {
        mark_to_drop(standard_metadata);
    }
    action forward(@id(7) mac_t dst, port_id_t port) {
        standard_metadata.egress_spec = (bit<9>) port;
        hdr.ethernet.src = hdr.ethernet.dst;
        hdr.ethernet.dst = dst;
        hdr.ipv4.ttl = hdr.ipv4.ttl |-| 1;
        route_hits.count();
    }
    action mark(inout bit<8> where, in bit<8> how, bit<1> really) {
        where = really == 1 ? how : 8w0;
    }
    action punt(reason_t reason) {
        hdr.packet_in.setValid();
        hdr.packet_in.reason = reason;
        hdr.packet_in.ingress_port = (bit<16>) standard_metadata.ingress_port;
        standard_metadata.egress_spec = 510;
    }
    action police() {
        host_meter.read(meta.flow.color);
    }
    action set_member(bit<14> member) {
        meta.member = member;
    }

    @name("routes")
    table ipv4_lpm {
        key = {
            hdr.ipv4.dst: lpm @name("destination");
            meta.in_port: exact;
        }
        actions = {
            forward;
            @tableonly punt;
            @defaultonly drop;
        }
        const default_action = drop();
        counters = route_hits;
        support_timeout = true;
        size = 4096;
    }
    table acl {
        key = {
            hdr.ipv4.src: ternary;
            hdr.ipv4.dst[15:0]: range @id(9);
            hdr.ethernet.kind: optional;
            hdr.labels[0].isValid(): exact;
        }
        actions = {
            mark(hdr.ipv4.diffserv, 8w3);
            NoAction;
        }
        default_action = NoAction();
        const entries = {
            (0x0A000000 &&& 0xFF000000, 0 .. 1023, _, true): mark(hdr.ipv4.diffserv, 8w3, 1);
            (_, _, TYPE_IPV4, false): mark(hdr.ipv4.diffserv, 8w3, 0);
            (32w1, 5, 16w7, true): NoAction();
        }
    }
    table hosts {
        key = {
            hdr.ethernet.src: exact;
        }
        actions = {
            police;
        }
        meters = host_meter;
    }
    table balance {
        key = {
            hdr.ipv4.dst: exact;
            hdr.ipv4.src: selector;
            meta.flow.hash: selector;
        }
        actions = {
            set_member;
        }
        implementation = spread;
    }
    table members {
        key = {
            meta.member: exact;
        }
        actions = {
            forward;
            NoAction;
        }
        implementation = profile;
    }
    apply {
        seen.count((bit<32>) standard_metadata.ingress_port);
        meta.in_port = (port_id_t) standard_metadata.ingress_port;
        hash(meta.flow.hash, HashAlgorithm.crc32, 32w0, { hdr.ipv4.src, hdr.ipv4.dst, 8w6 }, 32w1024);
        police_users.apply((bit<32>) hdr.ipv4.diffserv, meta.flow);
        police_hosts.apply(meta.flow.hash & 15, meta.flow);
        if (!hdr.ipv4.isValid() || hdr.ipv4.ttl == 0) {
            punt(reason_t.TTL);
            exit;
        }
        switch (ipv4_lpm.apply().action_run) {
            forward: {
                sum = fold_sum(hdr.ipv4.src + hdr.ipv4.dst);
            }
            punt:
            drop: {
                return;
            }
            default: { }
        }
        if (meta.marked && acl.apply().hit) {
            swap(hdr.ethernet.src, hdr.ethernet.dst);
        } else if (hosts.apply().miss) {
            bit<32> kept;
            last_source.read(kept, 32w1);
            last_source.write(32w1, kept + 1);
            digest<learn_t>(1, { hdr.ethernet.src, meta.in_port, reason_t.MISS });
        }
        balance.apply();
        members.apply();
        hdr.ipv4.identification[7:4] = sum[3:0];
        hdr.ipv4.flags = 1w1 ++ hdr.ipv4.flags[1:0];
        switch (hdr.ipv4.protocol) {
            6:
            17: { meta.flow.level = level_t.HIGH; }
            default: { meta.flow.level = level_t.LOW; }
        }
        if (meta.flow.level == level_t.HIGH) {
            random(meta.flow.hash, 32w0, 32w99);
            clone_preserving_field_list(CloneType.I2E, 5, 1);
        }
        hdr.labels.pop_front(1);
        log_msg("done {}", { meta.flow.hash });
    }
}

control MyEgress(inout headers hdr,
                 inout metadata meta,
                 inout standard_metadata_t standard_metadata) {
    apply {
        if (standard_metadata.instance_type == 1) {
            truncate(32w128);
        }
    }
}

control MyComputeChecksum(inout headers hdr, inout metadata meta) {
    apply {
        update_checksum(
            hdr.ipv4.isValid(),
            { hdr.ipv4.version, hdr.ipv4.ihl, hdr.ipv4.diffserv, hdr.ipv4.total_length,
              hdr.ipv4.identification, hdr.ipv4.flags, hdr.ipv4.fragment_offset, hdr.ipv4.ttl,
              hdr.ipv4.protocol, hdr.ipv4.src, hdr.ipv4.dst, hdr.options.data },
            hdr.ipv4.checksum,
            HashAlgorithm.csum16);
    }
}

control MyDeparser(packet_out packet, in headers hdr) {
    apply {
        packet.emit(hdr.packet_in);
        packet.emit(hdr.ethernet);
        packet.emit(hdr.labels);
        packet.emit(hdr.ipv4);
        packet.emit(hdr.options);
        packet.emit(hdr.either);
    }
}

@pkginfo(name="features", version="1")
V1Switch(MyParser(), MyVerifyChecksum(), MyIngress(), MyEgress(), MyComputeChecksum(), MyDeparser()) main;
