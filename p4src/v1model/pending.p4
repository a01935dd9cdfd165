// SPDX-License-Identifier: Apache-2.0
// Flows that were proven a moment ago, and whose session is being opened. A client's first flight may be several segments,
// of which only the first can prove anything: the others follow too fast for any table to know of it. They go to the controller
// as well, which queues them behind the first. No RST must answer them, and no closing session of the same tuple translate them.
//
// When the session is open, what is queued is still to be sent, and what the client sends next must not overtake it: it goes the
// same way, until the controller sends what it has with the number of the last of them. If there is a later one, it is on its
// way to the controller, and nothing is sent before it has come there, too. What only repeats has no number of its own: a copy
// that is on its way must not hold up the rest. A message of several packets takes as many passes: until the last, what comes
// goes to the controller without a number, and is back behind them. After a second it passes, unless the open session may be another
// connection's (ended.p4).
//
// A client may break off what it has proven: its RST goes to the controller, too, which ends the handshake. And it may begin anew,
// before the session is open. Either is for ended.p4 to remember: that its next SYN, on the session, is none of this connection's,
// and that its next ACK may be a proof.
//
// Until then the server cannot have spoken, and all that a client sends acknowledges k + 1: that tells its segments from those of
// the tuple's last connection, and nobody else can choose k. One cell per hash of the tuple, the last flow wins. A forgotten flow
// is treated as any unproven one, or passes when its session is open.
//
// Nearly all packets are of no such flow. A small register, which a switch has at hand, says of each group of cells when one was
// last written, so that they need not look into the large one. A time that has come round again only costs a look.
#ifndef SYNCLINE_PENDING_P4
#define SYNCLINE_PENDING_P4

control Pending(in headers_t hdr, inout metadata_t meta) {
    register<bit<64>>(PENDING_SIZE) pending;
    register<bit<32>>(PENDING_SIZE) pending_edges;  // the sequence number behind all that was punted
    register<bit<16>>(LATELY_SIZE)  lately;         // whether any of a group was ever written, and when
    bit<32> cell;
    bit<32> group;
    bit<16> written;
    bit<15> quiet;     // how long nothing of the group was written
    bit<64> flow;      // since when, whether its session is open, how many packets were punted, k
    bit<32> edge;
    bit<32> returned;  // the cookie that the packet brings back
    bit<32> end;       // the sequence number behind the packet
    bit<32> beyond;    // how far that is beyond the edge
    bit<16> now;
    bit<16> since;
    bit<16> age;
    bit<1>  open;
    bit<15> number;
    bit<1>  known;
    bit<1>  leaving;   // what is queued is being sent
    bit<1>  waits;

    action wait() {
        meta.step = STEP_PUNT;
        meta.punt_reason = PUNT_FOLLOWING;
        meta.event = EVENT_FOLLOWING_PUNTED;
    }

    action not_yet() {
        meta.step = STEP_DROP;
        meta.drop_reason = DROP_NOT_RELEASED;
    }

    apply {
        cell = (bit<32>)(meta.session.client[31:16] ^ meta.session.client[15:0] ^ meta.session.client_port);
        returned = hdr.tcp.acknowledgment - 1;
        group = (bit<32>)cell[9:0];
        now = meta.arrived[31:16];
        lately.read(written, group);
        quiet = now[14:0] - written[14:0];
        flow = 0;
        if (written[15:15] == 1 && quiet < (bit<15>)PENDING_TICKS) {
            pending.read(flow, cell);
        }
        since = flow[63:48];
        age = now - since;
        open = flow[47:47];
        number = flow[46:32];
        if (hdr.tcp.syn == 1) {
            if (number != 0 && age < PENDING_TICKS) {
                meta.anew = 1;
            }
        } else if (meta.step == STEP_PUNT || flow[31:0] == returned) {
            known = 0;
            if (flow[31:0] == returned && number != 0 && age < PENDING_TICKS) {
                known = 1;
            }
            if (meta.session.known == 1 && meta.session.phase == PHASE_OPEN
                && ((open == 1 && age >= HOLD_TICKS && meta.doubtful == 0) || number >= HOLD_PACKETS)) {
                known = 0;
            }
            leaving = 0;
            if (flow[31:0] == returned && number == 0 && open == 1 && age < HOLD_TICKS && meta.session.known == 1
                && meta.session.phase == PHASE_OPEN) {
                leaving = 1;
            }

            waits = 0;
            if (meta.step == STEP_PUNT) {  // a proof
                if (known == 0) {
                    number = 0;
                }
                since = now;
                open = 0;
                waits = 1;
            } else if (known == 1) {
                if (meta.injected == 1 && meta.session.known == 1) {
                    if (meta.release == (bit<16>)number) {
                        if (meta.more == 1) {
                            pending.write(cell, now ++ 1w1 ++ 15w0 ++ returned);
                            lately.write(group, 1w1 ++ now[14:0]);
                        } else {
                            pending.write(cell, 0);
                        }
                    } else if (meta.release != 0) {
                        not_yet();
                    }
                } else {
                    if (meta.session.known == 1 && meta.session.phase == PHASE_OPEN && open == 0) {
                        open = 1;
                        since = now;
                    }
                    waits = 1;
                    meta.anew = hdr.tcp.rst;
                    wait();
                }
            } else if (leaving == 1) {
                if (meta.injected == 0) {
                    wait();
                } else if (meta.more == 0) {
                    pending.write(cell, 0);
                }
            }

            if (waits == 1) {
                pending_edges.read(edge, cell);
                end = hdr.tcp.sequence + (bit<32>)hdr.tcp.fin + (bit<32>)meta.parsed.tcp_bytes
                      - TCP_BYTES - (bit<32>)meta.parsed.option_bytes;
                beyond = end - edge;
                if (number == 0 || (beyond[31:31] == 0 && beyond != 0)) {
                    number = number + 1;
                    pending_edges.write(cell, end);
                }
                meta.punt_number = (bit<16>)number;
                pending.write(cell, since ++ open ++ number ++ returned);
                lately.write(group, 1w1 ++ now[14:0]);
            }
        }
    }
}

#endif
