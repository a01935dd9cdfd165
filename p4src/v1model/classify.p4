// SPDX-License-Identifier: Apache-2.0
// Whether a packet belongs to a protected service, and in which direction it goes; of an ICMP error, the same of the packet that
// it quotes.
#ifndef SYNCLINE_CLASSIFY_P4
#define SYNCLINE_CLASSIFY_P4

control Classify(inout headers_t hdr, inout metadata_t meta) {
    direct_counter(CounterType.packets_and_bytes) services_v4_counter;
    direct_counter(CounterType.packets_and_bytes) services_v6_counter;
    bit<1> fragment;  // a part of a datagram
    bit<1> quoted;    // an ICMP error about a segment

    action protect(bit<16> service_id, bit<16> mss, bit<8> window_scale, bit<1> sack, bit<1> timestamps,
                   bit<16> window, bit<1> reset_unknown, bit<8> mode, bit<1> lenient) {
        meta.direction = TO_SERVER;
        meta.service.id = service_id;
        meta.service.mss = mss;
        meta.service.window_scale = window_scale;
        meta.service.sack = sack;
        meta.service.timestamps = timestamps;
        meta.service.window = window;
        meta.service.reset_unknown = reset_unknown;
        meta.service.mode = mode;
        meta.service.lenient = lenient;
    }

    table services_v4 {
        key = {
            meta.ends.destination : exact @name("server");
            meta.ends.destination_port : exact @name("server_port");
        }
        actions = {
            protect;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        counters = services_v4_counter;
        size = SERVICES_SIZE;
    }

    table services_v6 {
        key = {
            meta.ends.destination_v6 : exact @name("server");
            meta.ends.destination_port : exact @name("server_port");
        }
        actions = {
            protect;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        counters = services_v6_counter;
        size = SERVICES_SIZE;
    }

    action served(bit<16> service_id, bit<8> mode, bit<1> lenient) {
        meta.direction = TO_CLIENT;
        meta.service.id = service_id;
        meta.service.mode = mode;
        meta.service.lenient = lenient;
    }

    table service_sources_v4 {
        key = {
            meta.ends.source : exact @name("server");
            meta.ends.source_port : exact @name("server_port");
        }
        actions = {
            served;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = SERVICES_SIZE;
    }

    table service_sources_v6 {
        key = {
            meta.ends.source_v6 : exact @name("server");
            meta.ends.source_port : exact @name("server_port");
        }
        actions = {
            served;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = SERVICES_SIZE;
    }

    action protected() {
        meta.direction = TO_SERVER;
    }

    table protected_v4 {
        key = {
            hdr.ipv4.destination : exact @name("address");
        }
        actions = {
            protected;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = SERVICES_SIZE;
    }

    table protected_v6 {
        key = {
            hdr.ipv6.destination : exact @name("address");
        }
        actions = {
            protected;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = SERVICES_SIZE;
    }

    action protected_source() {
        meta.direction = TO_CLIENT;
    }

    table protected_sources_v4 {
        key = {
            hdr.ipv4.source : exact @name("address");
        }
        actions = {
            protected_source;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = SERVICES_SIZE;
    }

    table protected_sources_v6 {
        key = {
            hdr.ipv6.source : exact @name("address");
        }
        actions = {
            protected_source;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = SERVICES_SIZE;
    }

    action drop_as(bit<8> reason) {
        meta.step = STEP_DROP;
        meta.drop_reason = reason;
    }

    apply {
        quoted = 0;
        if (hdr.tcp.isValid()) {
            meta.ends.source_port = hdr.tcp.source_port;
            meta.ends.destination_port = hdr.tcp.destination_port;
            if (hdr.ipv6.isValid()) {
                meta.ends.source_v6 = hdr.ipv6.source;
                meta.ends.destination_v6 = hdr.ipv6.destination;
            } else {
                meta.ends.source = hdr.ipv4.source;
                meta.ends.destination = hdr.ipv4.destination;
            }
        } else if (hdr.quoted_tcp.isValid()) {
            quoted = 1;
            meta.ends.source_port = hdr.quoted_tcp.source_port;
            meta.ends.destination_port = hdr.quoted_tcp.destination_port;
            if (hdr.ipv6.isValid()) {
                meta.ends.source_v6 = hdr.quoted_ipv6.source;
                meta.ends.destination_v6 = hdr.quoted_ipv6.destination;
            } else {
                meta.ends.source = hdr.quoted_ipv4.source;
                meta.ends.destination = hdr.quoted_ipv4.destination;
            }
        }

        // Without ports to see, it is a later fragment, a header cut short, or hidden: the address decides.
        if (hdr.ipv6.isValid()) {
            fragment = meta.parsed.fragment;
            if (hdr.tcp.isValid() || quoted == 1) {
                if (!services_v6.apply().hit) {
                    service_sources_v6.apply();
                }
            } else if (meta.parsed.protocol == PROTOCOL_TCP || meta.parsed.obscured == 1) {
                if (!protected_v6.apply().hit) {
                    protected_sources_v6.apply();
                }
            }
        } else {
            fragment = hdr.ipv4.more_fragments;
            if (hdr.ipv4.fragment_offset != 0) {
                fragment = 1;
            }
            if (hdr.tcp.isValid() || quoted == 1) {
                if (!services_v4.apply().hit) {
                    service_sources_v4.apply();
                }
            } else if (hdr.ipv4.protocol == PROTOCOL_TCP) {
                if (!protected_v4.apply().hit) {
                    protected_sources_v4.apply();
                }
            }
        }

        if (meta.direction == NOT_PROXIED) {
            meta.step = STEP_ROUTE;
        } else if (quoted == 1) {
            // Whose it is remains to be seen.
        } else if (fragment == 1) {
            drop_as(DROP_FRAGMENT);
        } else if (meta.parsed.obscured == 1) {
            drop_as(DROP_EXTENSIONS);
        } else if (meta.parsed.tcp_malformed == 1
                   || (hdr.tcp.syn & hdr.tcp.fin) == 1
                   || (hdr.tcp.syn & hdr.tcp.rst) == 1
                   || (hdr.tcp.fin & hdr.tcp.rst) == 1
                   || (hdr.tcp.syn | hdr.tcp.fin | hdr.tcp.rst | hdr.tcp.ack) == 0) {
            drop_as(DROP_MALFORMED_TCP);
        }
    }
}

#endif
