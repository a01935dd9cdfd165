// SPDX-License-Identifier: Apache-2.0
// The TCP option area, data offset 6 to 15, already known to lie within the segment. Twice over the same bytes:
//
// 1. The words, kept as they are and summed, from the last to the first by looking ahead. Nothing is consumed. The sum is
//    over the whole area, so whatever the second walk skips, and on whatever alignment, the checksum arithmetic is right.
// 2. The options, one by one, by what is left of the area (RFC 9293, section 3.1: any order, any padding).
//
// An option that is shorter than its own two bytes or that runs over the area makes the segment malformed.
#ifndef SYNCLINE_TCP_OPTIONS_P4
#define SYNCLINE_TCP_OPTIONS_P4

parser TcpOptions(packet_in packet, inout headers_t hdr, inout metadata_t meta) {
    bit<32> word;
    bit<16> left;       // bytes of the area not yet walked
    bit<16> rest;       // the same behind the present option
    bit<1>  overrun;
    bit<8>  kind;
    bit<16> option;     // kind and length
    bit<24> scale;
    bit<32> mss;
    bit<80> stamps;
    bit<64> block;

    state start {
        left = meta.parsed.option_bytes;
        transition select(hdr.tcp.data_offset) {
            6: word_0;
            7: word_1;
            8: word_2;
            9: word_3;
            10: word_4;
            11: word_5;
            12: word_6;
            13: word_7;
            14: word_8;
            default: word_9;
        }
    }

    state word_9 {
        word = packet.lookahead<bit<320>>()[31:0];
        hdr.option_words[9].setValid();
        hdr.option_words[9].word = word;
        meta.parsed.option_sum = meta.parsed.option_sum + (word >> 16) + (word & 0xffff);
        transition word_8;
    }

    state word_8 {
        word = packet.lookahead<bit<288>>()[31:0];
        hdr.option_words[8].setValid();
        hdr.option_words[8].word = word;
        meta.parsed.option_sum = meta.parsed.option_sum + (word >> 16) + (word & 0xffff);
        transition word_7;
    }

    state word_7 {
        word = packet.lookahead<bit<256>>()[31:0];
        hdr.option_words[7].setValid();
        hdr.option_words[7].word = word;
        meta.parsed.option_sum = meta.parsed.option_sum + (word >> 16) + (word & 0xffff);
        transition word_6;
    }

    state word_6 {
        word = packet.lookahead<bit<224>>()[31:0];
        hdr.option_words[6].setValid();
        hdr.option_words[6].word = word;
        meta.parsed.option_sum = meta.parsed.option_sum + (word >> 16) + (word & 0xffff);
        transition word_5;
    }

    state word_5 {
        word = packet.lookahead<bit<192>>()[31:0];
        hdr.option_words[5].setValid();
        hdr.option_words[5].word = word;
        meta.parsed.option_sum = meta.parsed.option_sum + (word >> 16) + (word & 0xffff);
        transition word_4;
    }

    state word_4 {
        word = packet.lookahead<bit<160>>()[31:0];
        hdr.option_words[4].setValid();
        hdr.option_words[4].word = word;
        meta.parsed.option_sum = meta.parsed.option_sum + (word >> 16) + (word & 0xffff);
        transition word_3;
    }

    state word_3 {
        word = packet.lookahead<bit<128>>()[31:0];
        hdr.option_words[3].setValid();
        hdr.option_words[3].word = word;
        meta.parsed.option_sum = meta.parsed.option_sum + (word >> 16) + (word & 0xffff);
        transition word_2;
    }

    state word_2 {
        word = packet.lookahead<bit<96>>()[31:0];
        hdr.option_words[2].setValid();
        hdr.option_words[2].word = word;
        meta.parsed.option_sum = meta.parsed.option_sum + (word >> 16) + (word & 0xffff);
        transition word_1;
    }

    state word_1 {
        word = packet.lookahead<bit<64>>()[31:0];
        hdr.option_words[1].setValid();
        hdr.option_words[1].word = word;
        meta.parsed.option_sum = meta.parsed.option_sum + (word >> 16) + (word & 0xffff);
        transition word_0;
    }

    state word_0 {
        word = packet.lookahead<bit<32>>();
        hdr.option_words[0].setValid();
        hdr.option_words[0].word = word;
        meta.parsed.option_sum = meta.parsed.option_sum + (word >> 16) + (word & 0xffff);
        transition next_option;
    }

    state next_option {
        transition select(left) {
            0: accept;
            default: look_at_kind;
        }
    }

    state look_at_kind {
        kind = packet.lookahead<bit<8>>();
        transition select(kind, left) {
            (OPTION_END, _): leave;
            (OPTION_NOP, _): skip_nop;
            (_, 1): malformed;  // no room for a length
            default: look_at_length;
        }
    }

    state skip_nop {
        packet.advance(8);
        left = left - 1;
        transition next_option;
    }

    state look_at_length {
        option = packet.lookahead<bit<16>>();
        rest = left - (option & 0xff);
        overrun = rest[15:15];
        transition select(overrun, option) {
            (1, _): malformed;
            (0, 0 &&& 0x00fe): malformed;  // length 0 or 1
            (0, 0x0204): read_mss;
            (0, 0x0303): read_window_scale;
            (0, 0x0402): read_sack_permitted;
            (0, 0x050a): read_sack;
            (0, 0x0512): read_sack;
            (0, 0x051a): read_sack;
            (0, 0x0522): read_sack;
            (0, 0x080a): read_timestamps;
            default: skip_option;
        }
    }

    state read_mss {
        mss = packet.lookahead<bit<32>>();
        meta.parsed.mss = mss[15:0];
        transition skip_option;
    }

    state read_window_scale {
        scale = packet.lookahead<bit<24>>();
        meta.parsed.has_window_scale = 1;
        meta.parsed.window_scale = scale[7:0];
        transition skip_option;
    }

    state read_sack_permitted {
        meta.parsed.sack_permitted = 1;
        transition skip_option;
    }

    state read_timestamps {
        stamps = packet.lookahead<bit<80>>();
        meta.parsed.timestamps = 1;
        meta.parsed.timestamp = stamps[63:32];
        meta.parsed.timestamp_echo = stamps[31:0];
        transition skip_option;
    }

    // RFC 2018, section 3: two bytes, then eight for each block, consumed here as they are read.
    state read_sack {
        meta.parsed.sack_blocks = option[5:3];
        packet.advance(16);
        transition read_block_1;
    }

    state read_block_1 {
        block = packet.lookahead<bit<64>>();
        meta.parsed.left_1 = block[63:32];
        meta.parsed.right_1 = block[31:0];
        packet.advance(64);
        transition select(meta.parsed.sack_blocks) {
            1: after_sack;
            default: read_block_2;
        }
    }

    state read_block_2 {
        block = packet.lookahead<bit<64>>();
        meta.parsed.left_2 = block[63:32];
        meta.parsed.right_2 = block[31:0];
        packet.advance(64);
        transition select(meta.parsed.sack_blocks) {
            2: after_sack;
            default: read_block_3;
        }
    }

    state read_block_3 {
        block = packet.lookahead<bit<64>>();
        meta.parsed.left_3 = block[63:32];
        meta.parsed.right_3 = block[31:0];
        packet.advance(64);
        transition select(meta.parsed.sack_blocks) {
            3: after_sack;
            default: read_block_4;
        }
    }

    state read_block_4 {
        block = packet.lookahead<bit<64>>();
        meta.parsed.left_4 = block[63:32];
        meta.parsed.right_4 = block[31:0];
        packet.advance(64);
        transition after_sack;
    }

    state after_sack {
        left = rest;
        transition next_option;
    }

    state skip_option {
        packet.advance((bit<32>)(left - rest) << 3);
        left = rest;
        transition next_option;
    }

    // What lies behind the end-of-options option is padding.
    state leave {
        packet.advance((bit<32>)left << 3);
        transition accept;
    }

    state malformed {
        meta.parsed.tcp_malformed = 1;
        transition leave;
    }
}

#endif
