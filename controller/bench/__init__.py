# SPDX-License-Identifier: Apache-2.0
"""`make bench`: how many spoofed SYNs a second the software switch absorbs, beside the kernel's own ways."""
