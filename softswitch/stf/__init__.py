# SPDX-License-Identifier: Apache-2.0
"""STF tests ("simple test framework"): packets in, packets expected, table entries between them, run without
ports on the switch's own data plane. The language is that of p4c's BMv2 tests."""
