// SPDX-License-Identifier: Apache-2.0
// Plain routing (RFC 1812, RFC 8200): time to live, longest prefix, the next hop's and the port's own MAC addresses.
#ifndef SYNCLINE_ROUTE_P4
#define SYNCLINE_ROUTE_P4

control Route(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    direct_counter(CounterType.packets_and_bytes) routes_v4_counter;
    direct_counter(CounterType.packets_and_bytes) routes_v6_counter;
    bit<16> before;

    action via(bit<9> port, bit<32> next_hop) {
        meta.egress_port = port;
        meta.next_hop = next_hop;
    }

    action via_v6(bit<9> port, bit<128> next_hop) {
        meta.egress_port = port;
        meta.next_hop_v6 = next_hop;
    }

    // The next hop is the destination itself.
    action direct(bit<9> port) {
        meta.egress_port = port;
    }

    table routes_v4 {
        key = {
            hdr.ipv4.destination : lpm @name("destination");
        }
        actions = {
            via;
            direct;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        counters = routes_v4_counter;
        size = ROUTES_SIZE;
    }

    table routes_v6 {
        key = {
            hdr.ipv6.destination : lpm @name("destination");
        }
        actions = {
            via_v6;
            direct;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        counters = routes_v6_counter;
        size = ROUTES_SIZE;
    }

    action set_destination_mac(bit<48> mac) {
        hdr.ethernet.destination = mac;
    }

    table neighbours_v4 {
        key = {
            meta.next_hop : exact @name("next_hop");
        }
        actions = {
            set_destination_mac;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = NEIGHBOURS_SIZE;
    }

    table neighbours_v6 {
        key = {
            meta.next_hop_v6 : exact @name("next_hop");
        }
        actions = {
            set_destination_mac;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = NEIGHBOURS_SIZE;
    }

    action set_source_mac(bit<48> mac) {
        hdr.ethernet.source = mac;
    }

    table ports {
        key = {
            meta.egress_port : exact @name("port");
        }
        actions = {
            set_source_mac;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = PORTS_SIZE;
    }

    action drop_as(bit<8> reason) {
        meta.step = STEP_DROP;
        meta.drop_reason = reason;
    }

    action decrement_ttl() {
        before = hdr.ipv4.ttl ++ hdr.ipv4.protocol;
        hdr.ipv4.ttl = hdr.ipv4.ttl - 1;
        hdr.ipv4.checksum = update_word(hdr.ipv4.checksum, before, hdr.ipv4.ttl ++ hdr.ipv4.protocol);
    }

    action leave() {
        standard_metadata.egress_spec = meta.egress_port;
        meta.step = STEP_DONE;
    }

    apply {
        if (hdr.ipv6.isValid()) {
            meta.next_hop_v6 = hdr.ipv6.destination;
            if (meta.own == 0 && hdr.ipv6.hop_limit <= 1) {
                drop_as(DROP_TTL);
            } else if (hdr.ipv6.destination[127:120] == 0xff            // multicast
                       || hdr.ipv6.destination[127:118] == 0x3fa        // link-local
                       || hdr.ipv6.destination[127:1] == 0              // unspecified, loopback
                       || hdr.ipv6.source[127:120] == 0xff
                       || hdr.ipv6.source[127:118] == 0x3fa
                       || hdr.ipv6.source[127:1] == 0) {
                drop_as(DROP_NO_ROUTE);
            } else if (!routes_v6.apply().hit) {
                drop_as(DROP_NO_ROUTE);
            } else if (!neighbours_v6.apply().hit) {
                drop_as(DROP_NO_NEIGHBOUR);
            }
        } else {
            meta.next_hop = hdr.ipv4.destination;
            if (meta.own == 0 && hdr.ipv4.ttl <= 1) {
                drop_as(DROP_TTL);
            } else if (hdr.ipv4.destination[31:28] >= 14         // multicast, reserved, broadcast
                       || hdr.ipv4.destination[31:24] == 127     // loopback
                       || hdr.ipv4.destination[31:24] == 0) {    // this network
                drop_as(DROP_NO_ROUTE);
            } else if (!routes_v4.apply().hit) {
                drop_as(DROP_NO_ROUTE);
            } else if (!neighbours_v4.apply().hit) {
                drop_as(DROP_NO_NEIGHBOUR);
            }
        }

        if (meta.step == STEP_ROUTE) {
            if (!ports.apply().hit) {
                drop_as(DROP_NO_PORT);
            } else {
                if (meta.own == 0) {
                    if (hdr.ipv6.isValid()) {
                        hdr.ipv6.hop_limit = hdr.ipv6.hop_limit - 1;
                    } else {
                        decrement_ttl();
                    }
                }
                leave();
            }
        }
    }
}

#endif
