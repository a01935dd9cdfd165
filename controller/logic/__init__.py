# SPDX-License-Identifier: Apache-2.0
"""The controller's rules as pure state machines: events and a clock in, effects out."""
