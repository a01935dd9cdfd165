// SPDX-License-Identifier: Apache-2.0
// Whether a packet belongs to a protected service, and in which direction it goes.
#ifndef SYNCLINE_CLASSIFY_P4
#define SYNCLINE_CLASSIFY_P4

control Classify(inout headers_t hdr, inout metadata_t meta) {
    direct_counter(CounterType.packets_and_bytes) services_v4_counter;

    action protect(bit<16> service_id, bit<16> mss, bit<8> window_scale, bit<1> sack, bit<1> timestamps,
                   bit<16> window, bit<1> reset_unknown) {
        meta.direction = TO_SERVER;
        meta.service.id = service_id;
        meta.service.mss = mss;
        meta.service.window_scale = window_scale;
        meta.service.sack = sack;
        meta.service.timestamps = timestamps;
        meta.service.window = window;
        meta.service.reset_unknown = reset_unknown;
    }

    table services_v4 {
        key = {
            hdr.ipv4.destination     : exact @name("server");
            hdr.tcp.destination_port : exact @name("server_port");
        }
        actions = {
            protect;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        counters = services_v4_counter;
        size = SERVICES_SIZE;
    }

    action served(bit<16> service_id) {
        meta.direction = TO_CLIENT;
        meta.service.id = service_id;
    }

    table service_sources_v4 {
        key = {
            hdr.ipv4.source     : exact @name("server");
            hdr.tcp.source_port : exact @name("server_port");
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

    action drop_as(bit<8> reason) {
        meta.step = STEP_DROP;
        meta.drop_reason = reason;
    }

    apply {
        if (hdr.tcp.isValid()) {
            if (!services_v4.apply().hit) {
                service_sources_v4.apply();
            }
        } else if (hdr.ipv4.protocol == PROTOCOL_TCP) {
            // No ports to see: a later fragment, or a header cut short.
            if (!protected_v4.apply().hit) {
                protected_sources_v4.apply();
            }
        }

        if (meta.direction == NOT_PROXIED) {
            meta.step = STEP_ROUTE;
        } else if (hdr.ipv4.more_fragments == 1 || hdr.ipv4.fragment_offset != 0) {
            drop_as(DROP_FRAGMENT);
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
