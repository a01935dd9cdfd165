# SPDX-License-Identifier: Apache-2.0
"""Random faults under continuous, checked traffic: `make chaos`, `python -m controller.chaos`."""
