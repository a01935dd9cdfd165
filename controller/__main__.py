# SPDX-License-Identifier: Apache-2.0
"""`python -m controller` is `syncline`."""

from controller.cli import main

main(prog_name="syncline")
