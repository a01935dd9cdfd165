// SPDX-License-Identifier: Apache-2.0
// Syncline for the v1model architecture (our software switch, BMv2). `apply` of SynclineIngress is the way of a packet; each
// stage is a file.
#include <core.p4>
#include <v1model.p4>

#include "../shared/sizes.p4"
#include "../shared/constants.p4"
#include "../shared/headers.p4"
#include "../shared/cookie.p4"

#include "metadata.p4"
#include "tcp_options.p4"
#include "parser.p4"
#include "checksum.p4"
#include "admit.p4"
#include "arp.p4"
#include "nd.p4"
#include "classify.p4"
#include "session.p4"
#include "ended.p4"
#include "cookie.p4"
#include "cookie_answer.p4"
#include "cookie_check.p4"
#include "pending.p4"
#include "awaited.p4"
#include "reused.p4"
#include "rewrite_options.p4"
#include "translate.p4"
#include "quoted.p4"
#include "reply.p4"
#include "own.p4"
#include "route.p4"
#include "punt.p4"
#include "account.p4"
#include "deparser.p4"

control SynclineIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    Admit()        admit;
    Arp()          arp;
    NeighbourDiscovery() neighbour_discovery;
    Classify()     classify;
    Session()      session;
    Ended()        just_ended;
    Cookie()       cookie;
    CookieAnswer() cookie_answer;
    CookieCheck()  cookie_check;
    Pending()      pending_flows;
    Awaited()      awaited_answers;
    Reused()       reused_tuples;
    Translate()    translate;
    Quoted()       quoted;
    Reply()        reply;
    FinishOwn()    finish_own;
    Route()        route;
    Punt()         punt;
    Account()      account;

    apply {
        admit.apply(hdr, meta, standard_metadata);
        if (meta.step == STEP_NEIGHBOUR) {
            if (hdr.arp.isValid()) {
                arp.apply(hdr, meta, standard_metadata);
            } else {
                neighbour_discovery.apply(hdr, meta, standard_metadata);
            }
        }
        if (meta.step == STEP_PROXY) {
            classify.apply(hdr, meta);
        }
        if (meta.step == STEP_PROXY) {
            session.apply(hdr, meta);
        }
        if (meta.step == STEP_TRANSLATE && meta.session.phase == PHASE_OPEN) {
            just_ended.apply(hdr, meta);
        }
        if (meta.step == STEP_ANSWER || meta.step == STEP_CHECK) {
            cookie.apply(hdr, meta);
        }
        if (meta.step == STEP_ANSWER) {
            cookie_answer.apply(hdr, meta, standard_metadata);
        }
        if (meta.step == STEP_CHECK) {
            cookie_check.apply(hdr, meta);
        }
        if (meta.may_wait == 1) {
            pending_flows.apply(hdr, meta);
        }
        if (meta.anew == 1) {
            just_ended.apply(hdr, meta);
        }
        if (meta.step == STEP_ACKNOWLEDGE || (meta.step == STEP_PUNT && meta.punt_reason == PUNT_SERVER_SYNACK)) {
            awaited_answers.apply(meta, standard_metadata);
        }
        if (meta.step == STEP_TRANSLATE && meta.session.reused == 1 && (hdr.tcp.syn == 0 || hdr.tcp.ack == 1)) {
            reused_tuples.apply(hdr, meta);
        }
        if (meta.step == STEP_PUNT) {
            punt.apply(hdr, meta, standard_metadata);
        }
        if (meta.step == STEP_TRANSLATE) {
            translate.apply(hdr, meta);
        }
        if (meta.step == STEP_QUOTED) {
            quoted.apply(hdr, meta);
        }
        if (meta.step == STEP_ACKNOWLEDGE || meta.step == STEP_RESET) {
            reply.apply(hdr, meta);
        }
        if (meta.own == 1) {
            finish_own.apply(hdr, meta);
        }
        if (meta.step == STEP_ROUTE) {
            route.apply(hdr, meta, standard_metadata);
        }
        if (meta.cut == 1) {
            truncate(meta.frame_bytes);
        }
        account.apply(meta, standard_metadata);
    }
}

control SynclineEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    apply {}
}

V1Switch(
    SynclineParser(),
    VerifyIpv4Checksum(),
    SynclineIngress(),
    SynclineEgress(),
    ComputeNoChecksum(),
    SynclineDeparser()
) main;
