// SPDX-License-Identifier: Apache-2.0
// Sessions whose client has just ended its connection, or either side broken it off. It takes the controller a moment to make such a
// session CLOSING, and a client that connects again from the same port is quicker. So for a second its SYN gets a cookie, as on a
// closing session, rather than meet a server that has no connection any more; and then its ACKs are looked at, for one that brings
// it back. Whoever forges these packets achieves nothing: what is no proof is translated as ever. Delta tells the session from the
// tuple's next one.
//
// The same for longer, if a SYN or its client's RST came while the session was about to be opened: a SYN that got a cookie then has
// its ACK meet the session, and the RST went to the controller. An end that the session meets later takes nothing of this back: it
// may be a late one.
//
// An end may have passed unseen: its switch or the controller died with it, and the session stays open until it is idle. Then a
// SYN meets a server that has no connection and answers it, but never the client, which repeats it. A server that has one
// challenges the SYN at once, and a client that was restarted resets it (RFC 5961, section 4.2). So a SYN that comes again after half
// a second gets a cookie, too.
//
// One cell per hash of the tuple, the last one wins.
#ifndef SYNCLINE_ENDED_P4
#define SYNCLINE_ENDED_P4

control Ended(in headers_t hdr, inout metadata_t meta) {
    register<bit<32>>(ENDED_SIZE) ended;
    register<bit<32>>(ENDED_SIZE) unanswered;
    bit<32> first;   // a SYN that went to the server: of whom, with which number, when
    bit<16> which;
    bit<16> waited;
    bit<32> mark;    // of whom, whether a cookie was given out since, when
    bit<12> cell;
    bit<16> whom;
    bit<16> anyone;  // of the tuple
    bit<15> now;
    bit<15> age;
    bit<1>  recent;    // that connection has just ended, or was never wanted
    bit<1>  answered;  // there may be a proof of the next one

    apply {
        cell = meta.session.folded[11:0];
        anyone = meta.session.client[15:0] ^ meta.session.client_port;
        whom = anyone ^ meta.session.delta[31:16] ^ meta.session.delta[15:0];
        now = meta.arrived[30:16];
        recent = 0;
        answered = 0;
        mark = 0;
        if (meta.direction == TO_SERVER || hdr.tcp.rst == 1) {
            ended.read(mark, (bit<32>)cell);
            age = now - mark[14:0];
            if (mark[31:16] == whom && age < ENDED_TICKS) {
                recent = 1;
                answered = mark[15:15];
            } else if (mark[31:15] == anyone ++ 1w1 && age < (bit<15>)PENDING_TICKS) {
                recent = 1;
                answered = 1;
            }
        }
        if (meta.anew == 1) {
            ended.write((bit<32>)cell, anyone ++ 1w1 ++ now);
        } else if (answered == 1 && hdr.tcp.ack == 1 && hdr.tcp.syn == 0 && hdr.tcp.rst == 0 && meta.injected == 0) {
            meta.step = STEP_CHECK;
            meta.doubtful = 1;
        } else if (hdr.tcp.rst == 1 || (hdr.tcp.fin == 1 && meta.direction == TO_SERVER)) {
            if (answered == 0 || mark[31:16] == whom) {
                ended.write((bit<32>)cell, whom ++ answered ++ now);
            }
        } else if (recent == 1 && hdr.tcp.syn == 1 && hdr.tcp.ack == 0) {
            meta.step = STEP_ANSWER;
            ended.write((bit<32>)cell, mark[31:16] ++ 1w1 ++ mark[14:0]);
        } else if (meta.direction == TO_SERVER && hdr.tcp.syn == 1 && hdr.tcp.ack == 0) {
            which = whom ^ hdr.tcp.sequence[31:16] ^ hdr.tcp.sequence[15:0];
            unanswered.read(first, (bit<32>)cell);
            waited = meta.arrived[31:16] - first[15:0];
            if (first[31:16] != which || waited >= REPEATED_TICKS) {
                unanswered.write((bit<32>)cell, which ++ meta.arrived[31:16]);
            } else if (waited >= UNANSWERED_TICKS) {
                meta.step = STEP_ANSWER;
                ended.write((bit<32>)cell, anyone ++ 1w1 ++ now);
            }
        }
    }
}

#endif
