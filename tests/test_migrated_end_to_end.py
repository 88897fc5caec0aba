# SPDX-License-Identifier: GPL-3.0-or-later
"""The three recorded configurations of btmon, migrated and run: simulated meters, real servers, what btmon recorded.

A test changes where things are (a port, a path, a server) in btmon's own options, and shortens waits in the site.toml.
Meters send now, so what comes of an ECM is compared without its time.
"""

import json
import math
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers.database_rows import table_rows
from helpers.folders import GOLDEN
from helpers.golden_streams import btmon_values, golden_stream, recorded_packets
from helpers.migrated import change_table, migrate, write_legacy
from helpers.sent_values import sent_values
from servers.database_servers import MariaDB
from servers.mosquitto import Listener, Mosquitto
from servers.serial_line import Meters, Wire
from servers.time_series_servers import InfluxDB

from btcore.testing import BtcoreProcess, HostedService, Reply, free_port, wait_for

pytestmark = pytest.mark.servers

Row = Mapping[str, Any]

COUNT = 8
"""Packets of a recorded stream."""


def recorded(kind: str, name: str) -> dict[str, Any]:
    """Read a recording."""
    found: dict[str, Any] = json.loads((GOLDEN / kind / f"{name}.json").read_text())
    return found


def run(site: Path) -> BtcoreProcess:
    """Run a site that was migrated."""
    return BtcoreProcess(site.parent, 'state = "state"\n' + site.read_text())


def send(port: int, data: bytes) -> None:
    """Send packets, as a meter that connects; wait until they were taken."""
    with socket.create_connection(("127.0.0.1", port)) as meter:
        meter.sendall(data)
        meter.shutdown(socket.SHUT_WR)
        assert meter.recv(1) == b""


def quirk(name: str, ours: Any, btmon: Any) -> str:  # noqa: ANN401 - any stored value
    """Name the quirk by which a value differs from btmon's; empty where it does not."""
    if ours is None:
        return "B1" if btmon == 0 else f"no {name}"
    if isinstance(ours, str) or ours == btmon:
        return "" if ours == btmon else f"another {name}"
    if f"{ours:.12g}" == f"{btmon:.12g}":
        return "G1"
    if name.endswith("_dwh") and math.isclose(ours, btmon, abs_tol=0.0011):
        return "A13"
    return "A1" if name.endswith("_w") and abs(ours) < abs(btmon) else f"another {name}"


def differences(ours: Sequence[Row], btmon: Sequence[Row], *without: str) -> set[str]:
    """Return the quirks by which rows differ from those of btmon, which may lack a meter's first."""
    assert len(ours) - len(btmon) in {0, 1}
    pairs = zip(ours[-len(btmon) :], btmon, strict=True)
    names = btmon[0].keys() & ours[0].keys() - {"id", "time_created", *without}
    assert len(names) > 10
    return {quirk(name, one[name], other[name]) for one, other in pairs for name in names} - {""}


def sqlite_rows(file: Path, table: str, columns: Sequence[str]) -> list[Row]:
    """Return the rows of a table, once all packets are there."""
    wait_for(lambda: len(table_rows(file, table)) == COUNT, "the rows")
    return [dict(zip(columns, row, strict=True)) for row in table_rows(file, table, ", ".join(columns))]


def test_simple_serial(tmp_path: Path) -> None:
    """An ECM-1240 that is asked over a serial line has the rows in SQLite that btmon stored of the same packets."""
    btmon = recorded("sql", "sqlite.ecm1240bin_steady.counters")
    wire = Wire(tmp_path / "ttyUSB0")
    meters = Meters(wire, {"fc": recorded_packets("ecm1240bin_steady")})
    changes = {"serial_port": wire.path, "sqlite_file": tmp_path / "house.db"}
    write_legacy("simple_serial", tmp_path / "btmon.cfg", changes)
    site = migrate(tmp_path / "btmon.cfg")
    change_table(site, "source.meter", poll_interval='"100ms"')
    change_table(site, "sink.sqlite", flush_interval="0")
    with run(site) as btcore:
        ours = sqlite_rows(tmp_path / "house.db", btmon["tables"][0], btmon["columns"])
        assert btcore.stop() == 0
    meters.switch_off()
    rows = [dict(zip(btmon["columns"], row, strict=True)) for row in btmon["rows"]]
    assert differences(ours, rows) <= {"G1"}


def test_gem_server(tmp_path: Path) -> None:
    """A GEM that connects has the rows, topics and points of btmon; its clock, years behind, is not believed."""
    rows = recorded("sql", "sqlite.gem48ptbin_steady.counters.include_current")
    with Mosquitto(tmp_path, users={"energy": "please_set_me"}) as broker, InfluxDB() as influxdb:
        changes = {
            "ip_port": free_port(),
            "mqtt_host": "127.0.0.1",
            "mqtt_port": broker.port,
            "influxdb_host": "127.0.0.1",
            "influxdb_port": influxdb.port,
            "sqlite_file": tmp_path / "gem.db",
        }
        write_legacy("gem_server", tmp_path / "btmon.cfg", changes)
        site = migrate(tmp_path / "btmon.cfg")
        for sink in ("sqlite", "mqtt", "influxdb"):
            change_table(site, f"sink.{sink}", flush_interval="0")
        with Listener(broker, user="energy", password="please_set_me") as listener, run(site) as btcore:
            send(btcore.port(), golden_stream("gem48ptbin_steady")[0])
            ours = sqlite_rows(tmp_path / "gem.db", rows["tables"][0], rows["columns"])
            wait_for(lambda: len(points_of(influxdb, "volts")) == COUNT - 1, "the points")
            wait_for(lambda: len(listener.payloads("/house/energy/mains")) == COUNT - 1, "the messages")
            assert btcore.stop() == 0
            listener.settle()
        btmon = [dict(zip(rows["columns"], row, strict=True)) for row in rows["rows"]]
        assert differences(ours, btmon) <= {"G1", "B1"}
        assert all(abs(row["time_created"] - time.time()) < 600 for row in ours)
        assert topics(listener) <= {"A1", "A13"}
        assert points(influxdb) <= {"A1", "A13", "B1", "G1"}


def test_house_full(tmp_path: Path) -> None:
    """An ECM-1240 that connects has the rows, inputs and RRD files that btmon had, with the sign that was turned."""
    with MariaDB() as mariadb, HostedService(lambda came: Reply(200, ANSWERS.get(came.path, ""))) as services:
        mariadb.sql("CREATE USER ecmuser IDENTIFIED BY 'ecm;pass'")
        mariadb.sql("GRANT ALL ON ecm.* TO ecmuser")
        changes = {
            "ip_port": free_port(),
            "mysql_host": "127.0.0.1",
            "rrd_dir": tmp_path / "rrd",
            "oem_url": f"{services.url}/emoncms/input/post.json",
            "by_url": f"{services.url}/bidgely",
        }
        write_legacy("house_full", tmp_path / "btmon.cfg", changes)
        site = migrate(tmp_path / "btmon.cfg")
        change_table(site, "sink.mysql", flush_interval="0", port=str(mariadb.port))
        change_table(site, "sink.rrd", flush_interval="0")
        for sink in ("thingspeak", "wattvision", "pvoutput"):
            change_table(site, f"sink.{sink}", url=f'"{services.url}/{sink}"')
        change_table(site, "sink.emoncms", flush_interval="0", batch_size="1")
        with run(site) as btcore:
            port = btcore.port()
            for packet in recorded_packets("ecm1240bin_steady"):
                send(port, packet)
            wait_for(lambda: len(stored(mariadb)) == COUNT - 1, "the rows")
            wait_for(lambda: inputs(services) >= rounded(calculated()[-1]), "emoncms to have the last reading")
            wait_for(lambda: len(list((tmp_path / "rrd").glob("*.rrd"))) == len(rrd_files()), "the RRD files")
            assert btcore.stop() == 0
        assert differences(stored(mariadb), calculated()) <= {"A1", "A13", "G1"}
        assert {file.stem.partition("_")[2] for file in (tmp_path / "rrd").glob("*.rrd")} == rrd_files()


ANSWERS = {"/emoncms/input/bulk": "ok", "/api_sites/stream": "(status ok)", "/update": "1"}
"""What the services answer."""


LEGACY_MAP = {
    "ch1_w": "mains",
    "ch1_wh": "mains_wh",
    "ch2_w": "solar",
    "ch2_wh": "solar_wh",
    "t1": "garage",
    "p1": "water",
}


def topics(listener: Listener) -> set[str]:
    """Return the quirks by which what was published differs from what btmon published, each topic in its order."""
    published = recorded("mqtt", "gem48ptbin_steady.nomap")["passes"]
    found: set[str] = set()
    for topic, values in by_topic(published).items():
        label = topic.partition("_")[2]
        ours = [float(one) for one in listener.payloads(f"/house/energy/{LEGACY_MAP.get(label, topic)}")]
        assert len(ours) >= len(values), topic
        if len(ours) == len(values):
            found |= {quirk(label, *pair) for pair in zip(ours, values, strict=True)}
        else:  # F1: btmon left out zeros
            assert [one for one in ours if one and one in values] == [one for one in values if one in ours], topic
    return found - {""}


def by_topic(passes: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Return what btmon published, by the last part of the topic, in order."""
    found: dict[str, list[float]] = {}
    for call in (call for one in passes for batch in one["batches"] for call in batch["publish"]):
        for message in call["messages"]:
            found.setdefault(message["topic"].rpartition("/")[2], []).append(message["payload"])
    return found


def points_of(influxdb: InfluxDB, label: str) -> list[list[Any]]:
    """Return the points of a measurement: time in microseconds, and value."""
    if ["btmon"] not in influxdb.query("SHOW DATABASES")[0].get("values", []):
        return []
    query = f"SELECT value FROM \"energy.{label}\" WHERE site = 'home' AND building = 'main' AND serial = 'XXX234'"
    series = influxdb.query(query, "btmon")
    return series[0]["values"] if series else []


def points(influxdb: InfluxDB) -> set[str]:
    """Return the quirks by which the points differ from those of btmon; which had no time (F4)."""
    passes = recorded("influxdb", "gem48ptbin_steady.dotted.ecmreadext.include_current")["passes"]
    calls = [call for one in passes for batch in one["batches"] for call in batch["calls"] if call[0] == "write_points"]
    btmon: dict[str, list[float]] = {}
    for point in (point for call in calls for point in call[1]):
        btmon.setdefault(point["measurement"].partition(".")[2], []).append(point["fields"]["value"])
    assert len(btmon) > 100
    found: set[str] = set()
    for label, values in btmon.items():
        ours = [value for _, value in points_of(influxdb, label)]
        if len(ours) < len(values):  # B1: nothing was measured where btmon had 0 degrees
            assert 0 in values, label
            found, values = found | {"B1"}, [value for value in values if value]  # noqa: PLW2901 - the rest of them
        found |= {quirk(label, *pair) for pair in zip(ours, values, strict=True)}
    return found - {""}


def calculated() -> list[Row]:
    """Return what btmon calculated of the stream with its sign turned, reading by reading."""
    values = btmon_values("ecm1240bin_steady.reverse_polarity")
    return [{**values["packets"][one["newer"]]["compiled"], **one["added"]} for one in values["calculated"]]


def stored(mariadb: MariaDB) -> list[Row]:
    """Return the rows in MariaDB, in order; none while there is no table."""
    table = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'ecm' ORDER BY ordinal_position"
    names = [name for (name,) in mariadb.sql(table)]
    rows = mariadb.sql("SELECT * FROM ecm1240bin_ecmreadext ORDER BY id", "ecm") if names else []
    return [dict(zip(names, row, strict=True)) for row in rows]


def rounded(values: Mapping[str, Any]) -> set[tuple[str, float]]:
    """Return what emoncms is sent of a reading, but for the power of a channel that ran both ways (A1)."""
    labels = ("volts", "ch1_wh", "ch2_wh", *(f"aux{n}_{kind}" for n in range(1, 6) for kind in ("w", "wh")))
    return {(label, round(values[label], 2)) for label in labels}


def inputs(services: HostedService) -> set[tuple[str, float]]:
    """Return what the inputs of node 7 of emoncms were set to."""
    sent = sent_values("oem", [one for one in services.requests if "emoncms" in one.path])
    return {(name.removeprefix("7 XXX345_"), round(value, 2)) for (_, name), value in sent.items()}


def rrd_files() -> set[str]:
    """Return which values of a meter btmon kept an RRD file of."""
    passes = recorded("rrd", "ecm1240bin_steady.defaults")["passes"]
    calls = [call for one in passes for batch in one["batches"] for call in batch["calls"]]
    return {call[1].partition("_")[2].removesuffix(".rrd") for call in calls if call[0] == "create"}
