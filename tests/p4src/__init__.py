# SPDX-License-Identifier: Apache-2.0
"""The P4 program, packets in and packets out."""
