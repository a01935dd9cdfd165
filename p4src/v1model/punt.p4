// SPDX-License-Identifier: Apache-2.0
// To the controller: the packet as it arrived, behind a header that says why and what the cookie says. Metered, each reason
// by itself, so that a flood of one kind does not starve another.
#ifndef SYNCLINE_PUNT_P4
#define SYNCLINE_PUNT_P4

control Punt(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    meter(PUNT_METER_SIZE, MeterType.packets) punt_meter;
    IndexToMss() index_to_mss;
    bit<2>  color;
    bit<16> mss;

    action write_packet_in() {
        hdr.packet_in.setValid();
        hdr.packet_in.ingress_port = (bit<16>)meta.ingress_port;
        hdr.packet_in.reason = meta.punt_reason;
        hdr.packet_in.service_id = meta.service.id;
        hdr.packet_in.isn = 0;
        hdr.packet_in.mss = 0;
        hdr.packet_in.window_scale = 0;
        hdr.packet_in.sack = 0;
        hdr.packet_in.number = meta.punt_number;
        meta.frame_bytes = meta.frame_bytes + PACKET_IN_BYTES;
        standard_metadata.egress_spec = CPU_PORT;
        meta.step = STEP_DONE;
    }

    action write_claims() {
        hdr.packet_in.isn = meta.claims.isn;
        hdr.packet_in.mss = mss;
        hdr.packet_in.window_scale = (bit<8>)meta.claims.window_scale;
        hdr.packet_in.sack = (bit<8>)meta.claims.sack;
    }

    apply {
        punt_meter.execute_meter<bit<2>>(((bit<32>)meta.service.id << 3) + (bit<32>)meta.punt_reason, color);
        if (color == 2 && meta.punt_reason == PUNT_FOLLOWING && meta.session.known == 1
            && meta.session.phase == PHASE_OPEN) {
            meta.step = STEP_TRANSLATE;  // it need not wait for what its client sent before
        } else if (color == 2) {
            meta.step = STEP_DROP;
            meta.drop_reason = DROP_PUNT_RATE;
        } else {
            write_packet_in();
            if (meta.punt_reason == PUNT_PROVEN) {
                index_to_mss.apply(meta.claims.mss_index, mss);
                write_claims();
            }
        }
    }
}

#endif
