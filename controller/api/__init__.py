# SPDX-License-Identifier: Apache-2.0
"""The local HTTP endpoint of a controller, and the client that the command line uses."""
