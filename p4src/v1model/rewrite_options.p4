// SPDX-License-Identifier: Apache-2.0
// The options of a session's packet, written anew from what the parser found: NOP NOP timestamps, NOP NOP SACK, which is
// how Linux lays them out. Anything else, which both ends can do without, goes. Where timestamps and SACK came without any
// padding there is no room for the NOPs, and they leave without, too: no packet grows.
//
// `sum` collects the changes to the TCP checksum: the whole old area goes out of it as the parser summed it.
#ifndef SYNCLINE_REWRITE_OPTIONS_P4
#define SYNCLINE_REWRITE_OPTIONS_P4

control RewriteOptions(inout headers_t hdr, inout metadata_t meta, inout bit<32> sum) {
    bit<16> bytes;  // of the new option area
    bit<16> before;  // length of the datagram, in IPv4, or of its payload, in IPv6
    bit<16> after;
    bit<4>  data_offset;

    action take_out_words() {
        sum = sum + (bit<32>)(~fold(meta.parsed.option_sum));
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

    action put_in_timestamps() {
        hdr.timestamps.setValid();
        hdr.timestamps.kind = OPTION_TIMESTAMPS;
        hdr.timestamps.length = 10;
        hdr.timestamps.value = meta.parsed.timestamp;
        hdr.timestamps.echo = meta.parsed.timestamp_echo;
        bytes = bytes + 10;
        sum = sum + (bit<32>)(OPTION_TIMESTAMPS ++ 8w10)
              + halves(meta.parsed.timestamp) + halves(meta.parsed.timestamp_echo);
    }

    action put_in_padding() {
        hdr.padding.setValid();
        hdr.padding.nops = NOP_NOP;
        bytes = bytes + 2;
        sum = sum + (bit<32>)NOP_NOP;
    }

    action put_in_sack_padding() {
        hdr.sack_padding.setValid();
        hdr.sack_padding.nops = NOP_NOP;
        bytes = bytes + 2;
        sum = sum + (bit<32>)NOP_NOP;
    }

    action put_in_block_1() {
        hdr.sack.setValid();
        hdr.sack.kind = OPTION_SACK;
        hdr.sack.length = 10;
        hdr.sack_block_1.setValid();
        hdr.sack_block_1.left = meta.parsed.left_1;
        hdr.sack_block_1.right = meta.parsed.right_1;
        bytes = bytes + 10;
        sum = sum + halves(meta.parsed.left_1) + halves(meta.parsed.right_1);
    }

    action put_in_block_2() {
        hdr.sack.length = 18;
        hdr.sack_block_2.setValid();
        hdr.sack_block_2.left = meta.parsed.left_2;
        hdr.sack_block_2.right = meta.parsed.right_2;
        bytes = bytes + 8;
        sum = sum + halves(meta.parsed.left_2) + halves(meta.parsed.right_2);
    }

    action put_in_block_3() {
        hdr.sack.length = 26;
        hdr.sack_block_3.setValid();
        hdr.sack_block_3.left = meta.parsed.left_3;
        hdr.sack_block_3.right = meta.parsed.right_3;
        bytes = bytes + 8;
        sum = sum + halves(meta.parsed.left_3) + halves(meta.parsed.right_3);
    }

    action put_in_block_4() {
        hdr.sack.length = 34;
        hdr.sack_block_4.setValid();
        hdr.sack_block_4.left = meta.parsed.left_4;
        hdr.sack_block_4.right = meta.parsed.right_4;
        bytes = bytes + 8;
        sum = sum + halves(meta.parsed.left_4) + halves(meta.parsed.right_4);
    }

    // The new area's length shows in the data offset, in the IP header, and in the pseudo header, by as much.
    action write_lengths() {
        data_offset = 5 + bytes[5:2];
        sum = sum + (bit<32>)(~(hdr.tcp.data_offset ++ 12w0)) + (bit<32>)(data_offset ++ 12w0);
        hdr.tcp.data_offset = data_offset;

        after = before - meta.parsed.option_bytes + bytes;
        sum = sum + (bit<32>)(~before) + (bit<32>)after;
    }

    apply {
        take_out_words();
        bytes = 0;
        if (meta.parsed.timestamps == 1) {
            put_in_timestamps();
        }
        if (meta.parsed.sack_blocks >= 1) {
            put_in_block_1();
            if (meta.parsed.sack_blocks >= 2) {
                put_in_block_2();
            }
            if (meta.parsed.sack_blocks >= 3) {
                put_in_block_3();
            }
            if (meta.parsed.sack_blocks >= 4) {
                put_in_block_4();
            }
            sum = sum + (bit<32>)(hdr.sack.kind ++ hdr.sack.length);
        }

        // Both together are a multiple of four bytes long, and padded need four more. One alone always finds its two.
        if (meta.parsed.timestamps == 1 && meta.parsed.sack_blocks >= 1) {
            if (bytes != meta.parsed.option_bytes) {
                put_in_padding();
                put_in_sack_padding();
            }
        } else if (meta.parsed.timestamps == 1) {
            put_in_padding();
        } else if (meta.parsed.sack_blocks >= 1) {
            put_in_sack_padding();
        }

        if (bytes != meta.parsed.option_bytes) {
            if (hdr.ipv6.isValid()) {
                before = hdr.ipv6.payload_length;
                write_lengths();
                hdr.ipv6.payload_length = after;
            } else {
                before = hdr.ipv4.total_length;
                write_lengths();
                hdr.ipv4.checksum = update_word(hdr.ipv4.checksum, before, after);
                hdr.ipv4.total_length = after;
            }
            meta.frame_bytes = meta.frame_bytes - (bit<32>)(before - after);
        }
    }
}

#endif
