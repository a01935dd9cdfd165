# SPDX-License-Identifier: Apache-2.0
"""Code generator of the P4 compiler: IR and P4Info in, one C file out, to be linked with
softswitch/runtime."""

from softswitch.codegen.program import generate_c

__all__ = ["generate_c"]
