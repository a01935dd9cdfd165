// SPDX-License-Identifier: Apache-2.0
// The one place where packets are dropped, and where drops and events are counted.
#ifndef SYNCLINE_ACCOUNT_P4
#define SYNCLINE_ACCOUNT_P4

control Account(inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    counter(REASONS_SIZE, CounterType.packets_and_bytes) drops;
    counter(REASONS_SIZE, CounterType.packets_and_bytes) events;

    apply {
        if (meta.step == STEP_DROP) {
            drops.count((bit<32>)meta.drop_reason);
            mark_to_drop(standard_metadata);
        } else if (meta.event != 0) {
            events.count((bit<32>)meta.event);
        }
    }
}

#endif
