// SPDX-License-Identifier: Apache-2.0
// Which session a packet belongs to, and what is to be done with it: the table of what a switch does with a TCP packet of a
// protected service.
#ifndef SYNCLINE_SESSION_P4
#define SYNCLINE_SESSION_P4

control Session(inout headers_t hdr, inout metadata_t meta) {
    direct_counter(CounterType.packets_and_bytes) sessions_v4_counter;
    direct_counter(CounterType.packets_and_bytes) sessions_v6_counter;
    meter(SERVICES_SIZE, MeterType.packets) syn_meter;
    counter(SERVICES_SIZE, CounterType.packets) service_syns;  // by service_id: what came, whatever became of it
    bit<2> color;

    // `version` is the controller's: it comes back when sessions are read, and when they end. `isn` and `cookie` are where the
    // client's sequence numbers begin, and the server's as the client sees them.
    action translate(bit<32> delta, bit<32> tau, bit<8> to_client_shift, bit<8> to_server_shift, bit<8> phase,
                     bit<32> version, bit<32> isn, bit<32> cookie) {
        meta.session.known = 1;
        meta.session.reused = to_server_shift[6:6];
        meta.session.delta = delta;
        meta.session.tau = tau;
        meta.session.to_client_shift = to_client_shift;
        meta.session.to_server_shift = to_server_shift;
        meta.session.phase = phase;
        meta.session.version = version;
        meta.session.isn = isn;
        meta.session.cookie = cookie;
    }

    table sessions_v4 {
        key = {
            meta.session.client      : exact @name("client");
            meta.session.server      : exact @name("server");
            meta.session.client_port : exact @name("client_port");
            meta.session.server_port : exact @name("server_port");
        }
        actions = {
            translate;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        counters = sessions_v4_counter;
        support_timeout = true;
        size = SESSIONS_SIZE;
    }

    table sessions_v6 {
        key = {
            meta.session.client_v6   : exact @name("client");
            meta.session.server_v6   : exact @name("server");
            meta.session.client_port : exact @name("client_port");
            meta.session.server_port : exact @name("server_port");
        }
        actions = {
            translate;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        counters = sessions_v6_counter;
        support_timeout = true;
        size = SESSIONS_SIZE;
    }

    action drop_as(bit<8> reason) {
        meta.step = STEP_DROP;
        meta.drop_reason = reason;
    }

    action punt_as(bit<8> reason, bit<8> event) {
        meta.step = STEP_PUNT;
        meta.punt_reason = reason;
        meta.event = event;
    }

    apply {
        if (meta.direction == TO_SERVER) {
            meta.session.client_port = meta.ends.source_port;
            meta.session.server_port = meta.ends.destination_port;
        } else {
            meta.session.client_port = meta.ends.destination_port;
            meta.session.server_port = meta.ends.source_port;
        }
        if (hdr.ipv6.isValid()) {
            if (meta.direction == TO_SERVER) {
                meta.session.client_v6 = meta.ends.source_v6;
                meta.session.server_v6 = meta.ends.destination_v6;
            } else {
                meta.session.client_v6 = meta.ends.destination_v6;
                meta.session.server_v6 = meta.ends.source_v6;
            }
            sessions_v6.apply();
            meta.session.client = meta.session.client_v6[127:96] ^ meta.session.client_v6[95:64]
                                  ^ meta.session.client_v6[63:32] ^ meta.session.client_v6[31:0];
        } else {
            if (meta.direction == TO_SERVER) {
                meta.session.client = meta.ends.source;
                meta.session.server = meta.ends.destination;
            } else {
                meta.session.client = meta.ends.destination;
                meta.session.server = meta.ends.source;
            }
            sessions_v4.apply();
        }
        meta.session.folded = meta.session.client[31:16] ^ meta.session.client[15:0] ^ meta.session.client_port
                              ^ meta.session.server_port;

        // Not all sessions are here yet: SYNs are answered, and nothing else passes, whatever is here of it. Handshakes
        // that came in elsewhere may have their answers here.
        if (meta.service.mode == PROXY_FILLING) {
            meta.session.known = 0;
        }

        // The controller waits for the tuple's next connection: it gets what it would get of a service that is always
        // guarded, and nothing is translated by the old numbers.
        if (meta.session.known == 1 && meta.session.phase == PHASE_AWAITED) {
            meta.session.known = 0;
            meta.service.mode = PROXY_ALWAYS;
            meta.service.lenient = 0;
        }

        if (hdr.quoted_tcp.isValid()) {
            if (meta.session.known == 1) {
                meta.step = STEP_QUOTED;
            } else if (meta.service.mode == PROXY_FILLING) {
                drop_as(DROP_FILLING);  // it may be about a session, and would pass untranslated
            } else {
                meta.step = STEP_ROUTE;
            }
        } else if (meta.direction == TO_SERVER) {
            if (hdr.tcp.syn == 1 && hdr.tcp.ack == 0) {
                service_syns.count((bit<32>)meta.service.id);
            }
            if (meta.session.known == 0
                && (meta.service.mode == PROXY_PASS
                    || (meta.service.mode == PROXY_DRAIN && hdr.tcp.syn == 1 && hdr.tcp.ack == 0))) {
                meta.step = STEP_ROUTE;
            } else if (hdr.tcp.syn == 1 && hdr.tcp.ack == 0) {
                syn_meter.execute_meter<bit<2>>((bit<32>)meta.service.id, color);
                if (color == 2) {
                    drop_as(DROP_SYN_RATE);
                } else if (meta.session.known == 1 && meta.session.phase == PHASE_OPEN) {
                    meta.step = STEP_TRANSLATE;
                } else {
                    meta.step = STEP_ANSWER;
                    meta.may_wait = 1;
                }
            } else if (meta.session.known == 1) {
                if (meta.session.phase == PHASE_CLOSING && meta.injected == 0 && hdr.tcp.ack == 1
                    && hdr.tcp.syn == 0 && hdr.tcp.rst == 0) {
                    meta.step = STEP_CHECK;  // the tuple may be in use again
                } else {
                    meta.step = STEP_TRANSLATE;
                }
                meta.may_wait = hdr.tcp.ack & ~hdr.tcp.syn;
            } else if (hdr.tcp.syn == 1) {
                drop_as(DROP_STRAY);
            } else if (hdr.tcp.rst == 0 && hdr.tcp.ack == 1) {
                meta.step = STEP_CHECK;
                meta.may_wait = 1;
            } else {
                if (meta.service.lenient == 1) {
                    meta.step = STEP_ROUTE;
                } else if (hdr.tcp.rst == 1) {
                    drop_as(DROP_UNKNOWN_RST);
                } else {
                    drop_as(DROP_STRAY);
                }
                meta.may_wait = hdr.tcp.ack;
            }
        } else if (meta.session.known == 0 && meta.service.mode == PROXY_PASS) {
            meta.step = STEP_ROUTE;
        } else if (hdr.tcp.syn == 1 && hdr.tcp.ack == 1) {
            if (meta.session.known == 1 && meta.session.phase == PHASE_OPEN) {
                meta.step = STEP_ACKNOWLEDGE;
            } else {
                // Of a new connection, even if the tuple's last one is still closing.
                punt_as(PUNT_SERVER_SYNACK, EVENT_SERVER_SYNACK_PUNTED);
            }
        } else if (meta.session.known == 1 && meta.session.phase == PHASE_CLOSING && hdr.tcp.rst == 1
                   && hdr.tcp.ack == 0) {
            // <SEQ=SEG.ACK><CTL=RST>, for a segment of no connection that the server has: one of the tuple's next
            // connection, before that is open, and translated by the old session. It would reset the new one.
            drop_as(DROP_UNKNOWN_RST);
        } else if (meta.session.known == 1) {
            meta.step = STEP_TRANSLATE;
        } else if (meta.service.mode == PROXY_FILLING && hdr.tcp.rst == 0) {
            drop_as(DROP_FILLING);
        } else if (meta.service.lenient == 1
                   && (hdr.tcp.rst == 0 || hdr.tcp.ack == 0 || hdr.tcp.sequence != 0)) {
            meta.step = STEP_ROUTE;  // not the refusal of a SYN: RFC 9293, section 3.10.7.1
        } else {
            punt_as(PUNT_EARLY_RETURN, EVENT_EARLY_RETURN_PUNTED);
        }
    }
}

#endif
