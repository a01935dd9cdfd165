# SPDX-License-Identifier: Apache-2.0
"""`make demo`: what Syncline promises, shown on real traffic in the lab two-pop, each line checked."""
