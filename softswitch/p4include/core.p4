// SPDX-License-Identifier: Apache-2.0
// P4_16 core library (specification, appendix D): the declarations every architecture builds on.
#ifndef _CORE_P4_
#define _CORE_P4_

error {
    NoError,                // all went well
    PacketTooShort,         // extract, advance or lookahead beyond the end of the packet
    NoMatch,                // no case of a select matched
    StackOutOfBounds,       // next of a full header stack, last of an empty one
    HeaderTooShort,         // a varbit field longer than its maximum
    ParserTimeout,          // too many parser steps
    ParserInvalidArgument   // a length that is no multiple of 8
}

match_kind {
    exact,
    ternary,
    lpm
}

extern packet_in {
    void extract<T>(out T hdr);
    void extract<T>(out T variableSizeHeader, in bit<32> variableFieldSizeInBits);
    T lookahead<T>();
    void advance(in bit<32> sizeInBits);
    bit<32> length();
}

extern packet_out {
    void emit<T>(in T hdr);
}

extern void verify(in bool check, in error toSignal);

extern bool static_assert(bool check, string message);
extern bool static_assert(bool check);

@noWarn("unused")
action NoAction() {}

#endif
