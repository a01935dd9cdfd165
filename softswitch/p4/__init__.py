# SPDX-License-Identifier: Apache-2.0
"""Front end of the P4_16 (v1model) compiler: preprocessed text in, typed intermediate representation out."""
