# SPDX-License-Identifier: Apache-2.0
"""The software switch's P4Runtime server (P4Runtime specification 1.5.0), one concept per module.

`arbitration` decides who is primary, `pipeline` holds a loaded program and its configuration, `schema`
knows the byte layouts that P4Info implies, `write` and `read` carry entities between protobuf and the data
plane, `stream` and `digests` the notifications, `device` ties them together, and `service` and `server` are
the gRPC rim.
"""
