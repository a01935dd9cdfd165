# SPDX-License-Identifier: Apache-2.0
"""Scenarios: YAML files of topology, steps and expectations, run on a lab with real traffic."""
