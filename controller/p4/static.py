# SPDX-License-Identifier: Apache-2.0
"""What the configuration puts into a switch's tables: services on one side, forwarding on the other.

The two are apart because of their order: a switch that lacks sessions must know what to keep back before it
can forward anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from controller.config import SwitchConfig
from controller.dataplane import NO_WINDOW_SCALE, PUNT_METER_STRIDE, Punt
from controller.logic.keys import CookieKey, KeySet
from controller.logic.model import Service
from controller.logic.policy import Stance
from controller.p4.proto import p4r
from controller.p4.schema import Row, Schema
from controller.p4.writer import DELETE, INSERT, MODIFY, Job

PROXY_TABLES: Final = tuple(
    f"{name}_v{version}"
    for name in ("services", "service_sources", "protected", "protected_sources")
    for version in (4, 6)
)
FORWARDING_TABLES: Final = (
    "ports",
    *(f"{name}_v{version}" for name in ("neighbours", "routes", "local_addresses") for version in (4, 6)),
)

_MODES: Final = {
    Stance.PROXYING: 0,
    Stance.PASSING: 1,
    Stance.ARMING: 2,
    Stance.DRAINING: 2,
    Stance.FILLING: 3,
}
_ANSWER: Final = {4: "answer_arp", 6: "answer_nd"}
_VIA: Final = {4: "via", 6: "via_v6"}
_BURST: Final = 4  # a meter passes a quarter of a second's packets at once
_SMALLEST_BURST: Final = 16


def _policy(service: Service, stance: Stance) -> tuple[int, int]:
    """Parameters mode and lenient. Where the proxy comes and goes, connections without it must go on."""
    return _MODES[stance], int(service.config.mode != "always" and stance is not Stance.FILLING)


def service_row(service: Service, stance: Stance) -> Row:
    """What a switch tells the clients of a service: what its server is known to support."""
    config = service.config
    scale = NO_WINDOW_SCALE if service.window_scale is None else service.window_scale
    params = (
        service.service_id,
        service.mss,
        scale,
        int(service.sack),
        int(service.timestamps),
        config.window,
        int(config.unknown == "reset" and stance is not Stance.FILLING),
        *_policy(service, stance),
    )
    return Row(f"services_v{config.address.version}", (int(config.address), config.port), "protect", params)


def proxy_rows(services: Iterable[tuple[Service, Stance]]) -> list[Row]:
    rows: dict[tuple[str, object], Row] = {}
    for service, stance in services:
        if stance is Stance.ABSENT:
            continue
        address, port = int(service.config.address), service.config.port
        version = service.config.address.version
        for row in (
            service_row(service, stance),
            Row(
                f"service_sources_v{version}",
                (address, port),
                "served",
                (service.service_id, *_policy(service, stance)),
            ),
            Row(f"protected_v{version}", (address,), "protected", ()),
            Row(f"protected_sources_v{version}", (address,), "protected_source", ()),
        ):
            rows[row.table, row.match] = row
    return list(rows.values())


def forwarding_rows(switch: SwitchConfig) -> list[Row]:
    rows: list[Row] = []
    for port in switch.ports:
        mac = mac_number(port.mac)
        rows.append(Row("ports", (port.port,), "set_source_mac", (mac,)))
        rows += [
            Row(
                f"local_addresses_v{address.version}",
                (port.port, int(address.ip)),
                _ANSWER[address.version],
                (mac,),
            )
            for address in port.addresses
        ]
    for neighbour in switch.neighbours:
        mac = mac_number(neighbour.mac)
        table = f"neighbours_v{neighbour.address.version}"
        rows.append(Row(table, (int(neighbour.address),), "set_destination_mac", (mac,)))
    for route in switch.connected_routes():
        prefix = (int(route.prefix.network_address), route.prefix.prefixlen)
        version = route.prefix.version
        if route.via is None:
            rows.append(Row(f"routes_v{version}", (prefix,), "direct", (route.port,)))
        else:
            rows.append(Row(f"routes_v{version}", (prefix,), _VIA[version], (route.port, int(route.via))))
    return rows


def lacks_sessions(held: Iterable[Row]) -> bool:
    """Whether a switch with these rows lacks sessions: it forwards nothing yet, or was left half filled."""
    rows = list(held)
    filling = _MODES[Stance.FILLING]
    return any(row.action == "protect" and row.params[-2] == filling for row in rows) or not any(
        row.table == "ports" for row in rows
    )


def stance_held(rows: Iterable[Row], service: Service) -> Stance:
    """In which stance a switch holds a service of mode `on-attack`: a new controller goes on from it."""
    match = (int(service.config.address), service.config.port)
    for row in rows:
        if row.match == match and row.action == "protect":
            mode = row.params[-2]
            return {0: Stance.PROXYING, 2: Stance.DRAINING}.get(mode, Stance.PASSING)
    return Stance.PASSING


def key_row(key: CookieKey) -> Row:
    return Row("cookie_keys", (key.parity,), "set_key", (key.k0, key.k1, key.epoch))


def epoch_row(parity: int) -> Row:
    return Row("cookie_epoch", (), "set_epoch", (parity,))


def key_set(rows: Iterable[Row]) -> KeySet:
    """The keys that a switch holds, out of its rows of `cookie_keys` and `cookie_epoch`."""
    keys: dict[int, CookieKey] = {}
    parity: int | None = None
    for row in rows:
        if row.action == "set_key":
            key = CookieKey(*row.params)
            keys[key.parity] = key
        elif row.action == "set_epoch":
            parity = row.params[0]
    return KeySet(keys, parity)


def row_job(schema: Schema, row: Row, token: object = None) -> Job:
    """A job that makes a row be there, whatever was there before."""
    kind = INSERT if row.match else MODIFY
    return Job(kind, schema.row_entity(row).SerializeToString(), (row.table, row.match), token)


def changes(schema: Schema, held: Iterable[Row], wanted: Iterable[Row]) -> list[Job]:
    """Jobs that turn what is held into what is wanted: deletions first."""
    have = {(row.table, row.match): row for row in held}
    want = {(row.table, row.match): row for row in wanted}
    jobs = [
        Job(DELETE, schema.row_entity(row).SerializeToString(), key)
        for key, row in have.items()
        if key not in want
    ]
    for key, row in want.items():
        if have.get(key) != row:
            kind = MODIFY if key in have else INSERT
            jobs.append(Job(kind, schema.row_entity(row).SerializeToString(), key))
    return jobs


def digest_job(digest_id: int) -> Job:
    """Ends of connections, in lists of up to 64, at most 20 ms late."""
    entity = p4r.Entity()
    entity.digest_entry.digest_id = digest_id
    entity.digest_entry.config.max_timeout_ns = 20_000_000
    entity.digest_entry.config.max_list_size = 64
    entity.digest_entry.config.ack_timeout_ns = 1_000_000_000
    return Job(INSERT, entity.SerializeToString(), ("digest", digest_id))


def meter_cells(schema: Schema, services: Iterable[Service]) -> dict[tuple[int, int], int | None]:
    """Rates (packets/s, None = unmetered) by (meter id, index) of all services."""
    cells: dict[tuple[int, int], int | None] = {}
    for service in services:
        index = service.service_id
        cells[schema.syn_meter, index] = service.config.syn_rate
        for reason in Punt:
            cells[schema.punt_meter, index * PUNT_METER_STRIDE + reason] = service.config.punt_rate
    return cells


def meter_changes(
    held: Mapping[tuple[int, int], int | None], wanted: Mapping[tuple[int, int], int | None]
) -> list[Job]:
    """Jobs that turn the rates held into those wanted; a cell of no service any more is unmetered."""
    return [
        Job(MODIFY, meter_entity(*cell, wanted.get(cell)).SerializeToString(), ("meter", cell))
        for cell in {**held, **wanted}
        if held.get(cell) != wanted.get(cell)
    ]


def meter_entity(meter_id: int, index: int, rate: int | None = None) -> p4r.Entity:
    """A meter cell: above `rate` packets/s it is red (RFC 2698 with both rates the same)."""
    entity = p4r.Entity()
    cell = entity.meter_entry
    cell.meter_id = meter_id
    cell.index.index = index
    if rate is not None:
        burst = max(rate // _BURST, _SMALLEST_BURST)
        cell.config.cir = cell.config.pir = rate
        cell.config.cburst = cell.config.pburst = burst
    return entity


def mac_number(mac: str) -> int:
    return int(mac.replace(":", ""), 16)
