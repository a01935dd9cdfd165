# SPDX-License-Identifier: Apache-2.0
"""Runs in p4runtime-shell's environment: an operator's session, its findings printed as JSON at the end.

Arguments: the server's address, the P4Info file, the device config file.
"""

import json
import sys
from typing import Any

import p4runtime_sh.shell as sh
from p4runtime_sh.p4runtime import P4RuntimeWriteException


def main(address: str, p4info: str, config: str) -> None:
    found: dict[str, Any] = {}
    sh.setup(1, address, (0, 1), config=sh.FwdPipeConfig(p4info, config), verbose=False)
    found["api"] = str(sh.APIVersion())

    entry = sh.TableEntry("sessions")(action="translate")
    entry.match["client"] = "10.0.0.1"
    entry.match["port"] = "80"
    entry.action["delta"] = "258"
    entry.action["shift"] = "7"
    entry.insert()
    try:
        entry.insert()
    except P4RuntimeWriteException as error:
        found["duplicate"] = str(error)
    entry.action["delta"] = "259"
    entry.modify()
    found["sessions"] = [
        [e.match["client"].exact.value.hex(), e.action["delta"].value.hex()]
        for e in sh.TableEntry("sessions").read()
    ]

    route = sh.TableEntry("routes")(action="forward")
    route.match["destination"] = "10.0.0.0/8"
    route.action["port"] = "2"
    route.insert()
    found["routes"] = [e.match["destination"].lpm.prefix_len for e in sh.TableEntry("routes").read()]
    route.delete()
    found["routes left"] = len(list(sh.TableEntry("routes").read()))

    acl = sh.TableEntry("acl")(action="forward")
    acl.match["source"] = "0x100&&&0xf00"
    acl.match["ports"] = "80..443"
    acl.priority = 9
    acl.action["port"] = "3"
    acl.insert()
    found["acl"] = [[e.priority, e.match["ports"].range.high.hex()] for e in sh.TableEntry("acl").read()]

    counter = sh.CounterEntry("drops")
    counter.index = 1
    counter.packet_count = 5
    counter.byte_count = 300
    counter.modify()
    found["drops"] = [[c.index, c.packet_count, c.byte_count] for c in sh.CounterEntry("drops").read()]

    group = sh.MulticastGroupEntry(7)
    group.add(1, 1).add(2, 1)
    group.insert()
    found["group"] = [
        [r.egress_port, r.instance] for g in sh.MulticastGroupEntry().read() for r in g.replicas
    ]

    clone = sh.CloneSessionEntry(5)
    clone.add(3, 1)
    clone.insert()

    digest = sh.DigestEntry("learn_t")
    digest.ack_timeout_ns = 1000000000
    digest.max_list_size = 1
    digest.insert()

    packet = sh.PacketOut(b"payload", mode="1", port="7")
    packet.send()
    print(json.dumps(found))


try:
    main(*sys.argv[1:])
finally:
    sh.teardown()  # else its threads keep the process
