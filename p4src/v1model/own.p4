// SPDX-License-Identifier: Apache-2.0
// What all segments have in common that the switch makes itself, out of the packet that they answer: sent back where it came
// from, with a fresh IP header, no payload, and checksums computed from scratch.
#ifndef SYNCLINE_OWN_P4
#define SYNCLINE_OWN_P4

control FinishOwn(inout headers_t hdr, inout metadata_t meta) {
    bit<32> address;
    bit<128> address_v6;
    bit<32> addresses;  // summed
    bit<16> port;
    bit<16> option_bytes;
    bit<16> tcp_bytes;
    bit<32> sum;

    action turn_ports() {
        port = hdr.tcp.source_port;
        hdr.tcp.source_port = hdr.tcp.destination_port;
        hdr.tcp.destination_port = port;
    }

    action write_ipv4() {
        address = hdr.ipv4.source;
        hdr.ipv4.source = hdr.ipv4.destination;
        hdr.ipv4.destination = address;
        hdr.ipv4_options.setInvalid();
        hdr.ipv4.ihl = 5;
        hdr.ipv4.tos = 0;
        hdr.ipv4.identification = 0;
        hdr.ipv4.reserved = 0;
        hdr.ipv4.dont_fragment = 1;
        hdr.ipv4.more_fragments = 0;
        hdr.ipv4.ttl = OWN_TTL;
        hdr.ipv4.total_length = (bit<16>)IPV4_BYTES + tcp_bytes;
    }

    action write_ipv6() {
        address_v6 = hdr.ipv6.source;
        hdr.ipv6.source = hdr.ipv6.destination;
        hdr.ipv6.destination = address_v6;
        hdr.ipv6_extensions[0].setInvalid();
        hdr.ipv6_extensions[1].setInvalid();
        hdr.ipv6_extensions[2].setInvalid();
        hdr.ipv6_extensions[3].setInvalid();
        hdr.ipv6.traffic_class = 0;
        hdr.ipv6.flow_label = 0;
        hdr.ipv6.payload_length = tcp_bytes;
        hdr.ipv6.next_header = PROTOCOL_TCP;
        hdr.ipv6.hop_limit = OWN_TTL;
    }

    action write_tcp() {
        hdr.tcp.data_offset = 5 + option_bytes[5:2];
        hdr.tcp.reserved = 0;
        hdr.tcp.cwr = 0;
        hdr.tcp.ece = 0;
        hdr.tcp.urg = 0;
        hdr.tcp.psh = 0;
        hdr.tcp.fin = 0;
        hdr.tcp.urgent_pointer = 0;
        hdr.option_words[0].setInvalid();
        hdr.option_words[1].setInvalid();
        hdr.option_words[2].setInvalid();
        hdr.option_words[3].setInvalid();
        hdr.option_words[4].setInvalid();
        hdr.option_words[5].setInvalid();
        hdr.option_words[6].setInvalid();
        hdr.option_words[7].setInvalid();
        hdr.option_words[8].setInvalid();
        hdr.option_words[9].setInvalid();
    }

    apply {
        // `sum` begins with the options that are there.
        option_bytes = 0;
        sum = 0;
        if (hdr.mss.isValid()) {
            option_bytes = option_bytes + 4;
            sum = sum + (bit<32>)(hdr.mss.kind ++ hdr.mss.length) + (bit<32>)hdr.mss.mss;
        }
        if (hdr.padding.isValid()) {
            option_bytes = option_bytes + 2;
            sum = sum + (bit<32>)hdr.padding.nops;
        }
        if (hdr.sack_permitted.isValid()) {
            option_bytes = option_bytes + 2;
            sum = sum + (bit<32>)(hdr.sack_permitted.kind ++ hdr.sack_permitted.length);
        }
        if (hdr.timestamps.isValid()) {
            option_bytes = option_bytes + 10;
            sum = sum + (bit<32>)(hdr.timestamps.kind ++ hdr.timestamps.length)
                  + halves(hdr.timestamps.value) + halves(hdr.timestamps.echo);
        }
        if (hdr.window_scale.isValid()) {
            option_bytes = option_bytes + 4;
            sum = sum + (bit<32>)(hdr.window_scale.nop ++ hdr.window_scale.kind)
                  + (bit<32>)(hdr.window_scale.length ++ hdr.window_scale.shift);
        }

        meta.cut = 1;
        tcp_bytes = (bit<16>)TCP_BYTES + option_bytes;
        turn_ports();
        write_tcp();
        if (hdr.ipv6.isValid()) {
            write_ipv6();
            sum = sum + eighths(hdr.ipv6.source) + eighths(hdr.ipv6.destination);
            meta.frame_bytes = meta.parsed.link_bytes + IPV6_BYTES + (bit<32>)tcp_bytes;
        } else {
            write_ipv4();
            // 0x4500: version 4, five words; 0x4000: don't fragment.
            addresses = halves(hdr.ipv4.source) + halves(hdr.ipv4.destination);
            hdr.ipv4.checksum = ~fold(0x4500 + 0x4000 + (bit<32>)hdr.ipv4.total_length
                                      + (bit<32>)(OWN_TTL ++ PROTOCOL_TCP) + addresses);
            sum = sum + addresses;
            meta.frame_bytes = meta.parsed.link_bytes + (bit<32>)hdr.ipv4.total_length;
        }

        // RFC 9293, section 3.1: pseudo header, TCP header.
        sum = sum + (bit<32>)PROTOCOL_TCP + (bit<32>)tcp_bytes
              + (bit<32>)hdr.tcp.source_port + (bit<32>)hdr.tcp.destination_port
              + halves(hdr.tcp.sequence) + halves(hdr.tcp.acknowledgment)
              + (bit<32>)(hdr.tcp.data_offset ++ 7w0 ++ hdr.tcp.ack ++ 1w0 ++ hdr.tcp.rst ++ hdr.tcp.syn ++ 1w0)
              + (bit<32>)hdr.tcp.window;
        hdr.tcp.checksum = ~fold(sum);
    }
}

#endif
