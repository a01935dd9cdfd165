// SPDX-License-Identifier: Apache-2.0
// Flows that were proven a moment ago, and whose session is being opened. A client's first flight may be several segments,
// of which only the first can prove anything: the others follow too fast for any table to know of it. They go to the controller
// as well, which queues them behind the first. No RST must answer them, and no closing session of the same tuple translate them.
//
// When the session is open, what is queued is still to be sent, and what the client sends next must not overtake it: it goes the
// same way, until the controller sends what it has, each packet with the number of the last of them. If there is a later one, that
// is on its way to the controller, and nothing is sent before it has come there, too. What only repeats has no number of its own:
// a copy that is on its way must not hold up the rest.
//
// The controller's packets come one by one, and others between them. With the first one that is sent, all before it are settled.
// What comes from then on is the next batch: with numbers that begin anew, and a bit that tells it from the one before. It waits
// for a release of its own. Behind the last packet of a release in which nothing came, the flow is forgotten. A second after the
// session was there all passes in any case, unless it may be another connection's (ended.p4).
//
// A client may break off what it has proven: its RST goes to the controller, too, which ends the handshake. And it may begin anew,
// before the session is open. Either is for ended.p4 to remember: that its next SYN, on the session, is none of this connection's,
// and that its next ACK may be a proof.
//
// Before the session is open the server cannot have spoken, and all that a client sends acknowledges k + 1: that tells its segments
// from those of the tuple's last connection, and nobody else can choose k. Behind that, they may acknowledge the server's first
// words as well; what does nothing else than that has no turn to keep, and passes. One cell per hash of the tuple, the last flow
// wins. A forgotten flow is treated as any unproven one, or passes when its session is open.
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
    bit<64> flow;      // since when, whether its session is open, which batch, how many of it were punted, k
    bit<32> cookie;    // k
    bit<32> edge;
    bit<32> returned;  // the cookie that the packet brings back
    bit<32> spoken;    // how much of the server's it acknowledges besides
    bit<32> end;       // the sequence number behind the packet
    bit<32> beyond;    // how far that is beyond the edge
    bit<16> now;
    bit<16> since;
    bit<16> age;
    bit<1>  opened;    // the cell's: its session was open when one of the packets came
    bit<1>  batch;
    bit<14> number;
    bit<1>  last;      // of the packets that are released
    bit<1>  is_open;   // the session
    bit<1>  ours;      // the packet is of the cell's flow,
    bit<1>  known;     // some of whose packets wait, and this one must, too;
    bit<1>  leaving;   // or they are being sent, and none has come since
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
        if (flow != 0 || meta.step == STEP_PUNT) {
            since = flow[63:48];
            opened = flow[47:47];
            batch = flow[46:46];
            number = flow[45:32];
            cookie = flow[31:0];
            age = now - since;
            last = meta.release[15:15];
            is_open = 0;
            if (meta.session.known == 1 && meta.session.phase == PHASE_OPEN) {
                is_open = 1;
            }
            ours = 0;
            spoken = returned - cookie;
            end = hdr.tcp.sequence + (bit<32>)hdr.tcp.fin + (bit<32>)meta.parsed.tcp_bytes
                  - TCP_BYTES - (bit<32>)meta.parsed.option_bytes;
            if (spoken == 0 || (meta.step != STEP_PUNT && is_open == 1 && cookie == meta.session.cookie
                                && spoken < EARLY_SPAN && (end != hdr.tcp.sequence || hdr.tcp.rst == 1))) {
                ours = 1;
            }
            if (hdr.tcp.syn == 1) {
                if (number != 0 && age < PENDING_TICKS) {
                    meta.anew = 1;
                }
            } else if (meta.step == STEP_PUNT || ours == 1) {
                known = 0;
                leaving = 0;
                if (ours == 1 && number != 0 && age < PENDING_TICKS
                    && (is_open == 0 || (number < HOLD_PACKETS
                                         && (opened == 0 || age < HOLD_TICKS || meta.doubtful == 1)))) {
                    known = 1;
                } else if (ours == 1 && number == 0 && age < HOLD_TICKS) {
                    leaving = is_open;
                }

                waits = 0;
                if (meta.step == STEP_PUNT) {  // a proof
                    if (known == 0) {
                        number = 0;
                        cookie = returned;
                    }
                    leaving = 0;
                    since = now;
                    opened = 0;
                    waits = 1;
                } else if (known == 1 && meta.injected == 1 && meta.session.known == 1) {
                    if (meta.release[14:0] == batch ++ number) {
                        if (last == 1) {
                            pending.write(cell, 0);
                        } else {
                            if (opened == 0) {
                                since = now;
                            }
                            pending.write(cell, since ++ 1w1 ++ ~batch ++ 14w0 ++ cookie);
                            lately.write(group, 1w1 ++ now[14:0]);
                        }
                    } else if (meta.release[14:0] != 0 && meta.release[14:14] == batch) {
                        not_yet();
                    }
                } else if (leaving == 1 && meta.injected == 1) {
                    if (last == 1) {
                        pending.write(cell, 0);
                    }
                } else if (known == 1 || leaving == 1) {
                    if (is_open == 1 && opened == 0) {
                        opened = 1;
                        since = now;
                    }
                    waits = 1;
                    meta.anew = known & hdr.tcp.rst;
                    wait();
                }

                if (waits == 1) {
                    pending_edges.read(edge, cell);
                    beyond = end - edge;
                    if ((number == 0 && leaving == 0) || (beyond[31:31] == 0 && beyond != 0)) {
                        number = number + 1;
                        pending_edges.write(cell, end);
                    }
                    meta.punt_number = 1w0 ++ batch ++ number;
                    if (number != 0) {
                        pending.write(cell, since ++ opened ++ batch ++ number ++ cookie);
                        lately.write(group, 1w1 ++ now[14:0]);
                    }
                }
            }
        }
    }
}

#endif
