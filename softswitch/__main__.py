# SPDX-License-Identifier: Apache-2.0
"""`python -m softswitch`."""

from softswitch.cli import main

if __name__ == "__main__":
    main()
