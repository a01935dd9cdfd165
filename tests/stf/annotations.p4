// SPDX-License-Identifier: Apache-2.0
// Names for the control plane: @name of tables, keys and actions, @alias of fields, @hidden tables, other notes.
#define OWN_METADATA
#include "begin.p4"

struct metadata_t {
    @alias("note.of_the_frame")
    bit<8> note;
}

@unknown_to_this_compiler("is no reason to refuse")
control Enter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    @name("out") action leave(@name("where") bit<9> port) {
        std.egress_spec = port;
    }
    action count_up() {
        meta.note = meta.note + 1;
    }
    @name(".ports") @id(0x1234) table choose_port {
        key = { hdr.frame.a: exact @name("first"); hdr.frame.b[3:0]: exact @name("low"); }
        actions = { leave; @tableonly count_up; @defaultonly NoAction; }
    }
    @hidden table inside {
        actions = { count_up; }
        const default_action = count_up;
    }
    apply {
        std.egress_spec = 1;
        inside.apply();
        choose_port.apply();
        hdr.frame.b = meta.note;
    }
}

#include "end.p4"
