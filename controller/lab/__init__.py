# SPDX-License-Identifier: Apache-2.0
"""Labs: whole networks of hosts and P4 switches in network namespaces of one machine."""
