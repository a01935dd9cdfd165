# SPDX-License-Identifier: Apache-2.0
"""A controller per PoP: they share sessions, keys and events over NATS JetStream."""
