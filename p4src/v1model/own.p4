// SPDX-License-Identifier: Apache-2.0
// What all segments have in common that the switch makes itself, out of the packet that they answer: sent back where it came
// from, with a fresh IPv4 header, no payload, and checksums computed from scratch.
#ifndef SYNCLINE_OWN_P4
#define SYNCLINE_OWN_P4

control FinishOwn(inout headers_t hdr, inout metadata_t meta) {
    bit<32> address;
    bit<16> port;
    bit<16> option_bytes;
    bit<32> sum;

    action turn_around() {
        address = hdr.ipv4.source;
        hdr.ipv4.source = hdr.ipv4.destination;
        hdr.ipv4.destination = address;
        port = hdr.tcp.source_port;
        hdr.tcp.source_port = hdr.tcp.destination_port;
        hdr.tcp.destination_port = port;
    }

    action write_ipv4() {
        hdr.ipv4_options.setInvalid();
        hdr.ipv4.ihl = 5;
        hdr.ipv4.tos = 0;
        hdr.ipv4.identification = 0;
        hdr.ipv4.reserved = 0;
        hdr.ipv4.dont_fragment = 1;
        hdr.ipv4.more_fragments = 0;
        hdr.ipv4.ttl = OWN_TTL;
        hdr.ipv4.total_length = (bit<16>)(IPV4_BYTES + TCP_BYTES) + option_bytes;
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

        turn_around();
        write_ipv4();
        write_tcp();

        // RFC 9293, section 3.1: pseudo header, TCP header.
        sum = sum + halves(hdr.ipv4.source) + halves(hdr.ipv4.destination) + (bit<32>)PROTOCOL_TCP
              + TCP_BYTES + (bit<32>)option_bytes
              + (bit<32>)hdr.tcp.source_port + (bit<32>)hdr.tcp.destination_port
              + halves(hdr.tcp.sequence) + halves(hdr.tcp.acknowledgment)
              + (bit<32>)(hdr.tcp.data_offset ++ 7w0 ++ hdr.tcp.ack ++ 1w0 ++ hdr.tcp.rst ++ hdr.tcp.syn ++ 1w0)
              + (bit<32>)hdr.tcp.window;
        hdr.tcp.checksum = ~fold(sum);

        // 0x4500: version 4, five words; 0x4000: don't fragment.
        sum = 0x4500 + 0x4000 + (bit<32>)hdr.ipv4.total_length + (bit<32>)(OWN_TTL ++ PROTOCOL_TCP)
              + halves(hdr.ipv4.source) + halves(hdr.ipv4.destination);
        hdr.ipv4.checksum = ~fold(sum);

        truncate(ETHERNET_BYTES + (bit<32>)hdr.ipv4.total_length);
    }
}

#endif
