# SPDX-License-Identifier: Apache-2.0
"""P4Runtime input and output: the program, the connection to a switch, writing, reading, synchronising."""
