# SPDX-License-Identifier: GPL-3.0-or-later
"""How the cost grows: over connections, channels, sinks, meters and the backlog. Each is a chart."""

from bench.chart import Chart
from bench.micro import calculating, ecm
from bench.program import Load, measure
from bench.stored import catch_up
from bench.timing import Spread, take_turns

from btcore import FORMATS, pack

PACKETS = 4000
COST = "µs of the processor for a packet"
CONNECTIONS = (1, 10, 100, 1000)
SINKS = (1, 2, 4, 8)
METERS = (1, 10, 100, 1000)
BACKLOG = (1000, 10_000, 100_000)


def cost(load: Load) -> float:
    """Return the µs of the processor for a packet."""
    return 1e6 * measure(load).seconds_each


def connections() -> Chart:
    """Throughput over connections."""
    points = [(float(one), 1e6 / cost(Load(packets=max(PACKETS, 4 * one), meters=one))) for one in CONNECTIONS]
    return Chart("Packets of a GEM into SQLite", "connections", "packets for a second of one core", points, is_log=True)


def sinks() -> Chart:
    """Cost over sinks."""
    points = [(float(one), cost(Load(packets=PACKETS, sinks=one))) for one in SINKS]
    return Chart("Cost over sinks", "sinks", COST, points)


def meters() -> Chart:
    """Cost over meters that share a connection, as behind a gateway."""
    points = [(float(one), cost(Load(packets=max(PACKETS, 4 * one), meters=one, is_gateway=True))) for one in METERS]
    return Chart("Cost over meters on one connection", "meters", COST, points, is_log=True)


def channels() -> Chart:
    """Cost of all values over channels."""
    works = [calculating("ecm1240bin", [ecm(10 * number) for number in range(100)])]
    works += [calculating(name, _gem(name)) for name in ("gem32pbin", "gem48pbin")]
    found = [1e6 * Spread.of(one).median for one in take_turns(works)]
    points = list(zip((7.0, 32.0, 48.0), found, strict=True))
    return Chart("Recall and all values", "channels", COST, points)


def _gem(name: str) -> list[bytes]:
    labels = [one.absolute for one in FORMATS[name].channels]
    return [
        pack(name, "00100007", {"secs": 1000 + 10 * number, **dict.fromkeys(labels, 1000000 + 1000 * number)})
        for number in range(100)
    ]


def backlog() -> Chart:
    """Cost of reading over the size of the backlog."""
    points = [(float(one), 1e6 * catch_up(one)) for one in BACKLOG]
    return Chart("Reading a backlog", "readings", "µs of the processor for a reading of an ECM", points, is_log=True)


CHARTS = {"connections": connections, "sinks": sinks, "meters": meters, "channels": channels, "backlog": backlog}
