# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with a lab, as one line for the person at the terminal."""

from __future__ import annotations


class LabError(Exception):
    """A lab cannot be brought up, found or used: says what, where, and what would be right."""
