# SPDX-License-Identifier: GPL-3.0-or-later
"""What btmon has filled goes on: its recorded first readings are in a store, then a migrated site delivers the others.

btmon's first pass had the readings 1 to 4 of the stream, ten seconds apart. Its counters are continued by reading 5;
where power is stored, btcore has seen reading 4, as it has when it ran beside btmon.
"""

import json
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from helpers.btmon_mysql_tables import statements_of
from helpers.btmon_requests import scenario
from helpers.folders import GOLDEN
from helpers.migrated import change_table, migrate, read_recording, write_options
from helpers.needed import needs
from helpers.rrd_files import rates
from helpers.sent_values import sent_values
from servers.database_servers import MariaDB
from servers.mosquitto import Listener, Mosquitto
from servers.rrdcached import BINDING_MISSING
from servers.time_series_servers import InfluxDB, post

from btcore.cli import OK, main
from btcore.testing import HostedService, Reply, wait_for

pytestmark = pytest.mark.servers

STREAM = "ecm1240bin_steady"
START = 1_700_000_000
BTMON, BOTH = [START + 10 * n for n in (1, 2, 3, 4)], [START + 10 * n for n in range(1, 8)]
"""The times of btmon's readings, and of all."""


def recorded(kind: str, name: str) -> dict[str, Any]:
    """Read a recording."""
    found: dict[str, Any] = json.loads((GOLDEN / kind / f"{name}.json").read_text())
    return found


def first_pass(recording: Mapping[str, Any], what: str) -> list[Any]:
    """Return what btmon did in its first pass."""
    return [one for batch in recording["passes"][0]["batches"] for one in batch[what]]


def go_on(folder: Path, options: Mapping[str, object], sink: str, first: int, **settings: str) -> None:
    """Migrate options of btmon, and run the site on the packets from this one."""
    write_options(options, folder / "btmon.cfg")
    site = migrate(folder / "btmon.cfg")
    read_recording(site, STREAM, first)
    change_table(site, f"sink.{sink}", **settings)
    assert main(["run", "--once", "--quiet", "--config", str(site)]) == OK


def test_a_sqlite_file_goes_on(tmp_path: Path) -> None:
    """Btmon's table has its own rows and then btcore's, ten seconds apart, and counters that never fall."""
    recording, file = recorded("sql", f"sqlite.{STREAM}.counters"), tmp_path / "ecm.db"
    with closing(sqlite3.connect(file)) as btmon:
        btmon.executescript("\n".join(recording["dump"]))
        btmon.execute("DELETE FROM ecm1240bin_counters WHERE time_created > ?", [BTMON[-1]])
        btmon.commit()
    go_on(tmp_path, {**recording["options"], "sqlite_file": file}, "sqlite", first=5)
    with closing(sqlite3.connect(file)) as stored:
        rows = stored.execute("SELECT time_created, serial, ch1_aws FROM ecm1240bin_counters ORDER BY rowid").fetchall()
        tables = stored.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert is_one_series([(time, energy) for time, _, energy in rows])
    assert {serial for _, serial, _ in rows} == {"312345"}
    assert tables == [("ecm1240bin_counters",)]


def is_one_series(rows: list[tuple[int, int]]) -> bool:
    """Whether rows are of all times, each once, and their energy never falls."""
    return [time for time, _ in rows] == BOTH and [energy for _, energy in rows] == sorted(one for _, one in rows)


def test_a_mysql_table_goes_on(tmp_path: Path) -> None:
    """Btmon's table has its own rows and then btcore's, ten seconds apart, and counters that never fall."""
    recording = recorded("sql", f"mysql.{STREAM}.counters")
    with MariaDB() as server:
        server.sql("CREATE DATABASE ecm")
        server.sql("CREATE USER ecmuser IDENTIFIED BY 'ecmpass'")
        server.sql("GRANT ALL ON ecm.* TO ecmuser")
        rows = [one for one in statements_of(recording, "insert") if int(one.split("VALUES (")[1][:10]) <= BTMON[-1]]
        for statement in statements_of(recording, "create table") + rows:
            server.sql(statement, "ecm")
        options = {**recording["options"], "mysql_host": "127.0.0.1"}
        go_on(tmp_path, options, "mysql", first=5, port=str(server.port))
        stored = server.sql("SELECT time_created, ch1_aws FROM ecm1240bin_counters ORDER BY time_created", "ecm")
        assert is_one_series([(int(time), int(energy)) for time, energy in stored])
        assert server.sql("SHOW TABLES", "ecm") == [("ecm1240bin_counters",)]


@needs(BINDING_MISSING)
def test_rrd_files_go_on(tmp_path: Path) -> None:
    """Every file of btmon has a rate for each ten seconds, before and after the change; there is no other file."""
    recording, folder = recorded("rrd", f"{STREAM}.defaults"), tmp_path / "rrd"
    folder.mkdir()
    for call, *arguments in first_pass(recording, "calls"):
        words = [word for one in arguments for word in (one if isinstance(one, list) else [one])]
        subprocess.run(["rrdtool", call, *words], cwd=tmp_path, check=True, capture_output=True)
    files = {file.name: rates(file, START, BOTH[-1]) for file in folder.iterdir()}
    go_on(tmp_path, {**recording["options"], "rrd_dir": folder}, "rrd", first=4)
    assert {file.name for file in folder.iterdir()} == files.keys()
    for name, before in files.items():
        after = rates(folder / name, START, BOTH[-1])
        assert before.items() <= after.items(), name
        assert [time + START for time in after] == BOTH[-len(after) :], name
        assert len(after) == 3 + len(before), name


def test_mqtt_topics_go_on(tmp_path: Path) -> None:
    """On every topic of btmon the values that it would have published follow; energy never jumps."""
    recording = recorded("mqtt", f"{STREAM}.nomap")
    with Mosquitto(tmp_path) as broker, Listener(broker) as listener:
        options = {**recording["options"], "mqtt_host": "127.0.0.1", "mqtt_port": broker.port}
        before = [one for call in first_pass(recording, "publish") for one in call["messages"]]
        for message in before:
            if message["topic"].endswith("_wh"):
                broker.publish(message["topic"], str(message["payload"]))
        go_on(tmp_path, options, "mqtt", first=4)
        wait_for(lambda: len(listener.payloads("/house/energy/312345_ch1_wh")) == len(BOTH), "the last message")
        listener.settle()
        for topic in {message["topic"] for message in before}:
            if topic.endswith("_wh"):
                assert [float(one) for one in listener.payloads(topic)] == energies(recording, topic)
        topics = {topic for topic, _ in listener.messages if not topic.endswith("status")}
        assert topics >= {message["topic"] for message in before}


def energies(recording: Mapping[str, Any], topic: str) -> list[float]:
    """Return all that btmon published on a topic."""
    calls = [call for one in recording["passes"] for batch in one["batches"] for call in batch["publish"]]
    return [one["payload"] for call in calls for one in call["messages"] if one["topic"] == topic]


def test_influxdb_series_go_on(tmp_path: Path) -> None:
    """New points are in btmon's own series, of which there are no others; energy has each reading."""
    recording = recorded("influxdb", f"{STREAM}.col.ecmreadext")
    with InfluxDB() as server:
        points = next(call[1] for call in first_pass(recording, "calls") if call[0] == "write_points")
        server.query("CREATE DATABASE btmon")
        each = len(points) // len(BTMON)
        lines = [line(point, BTMON[number // each]) for number, point in enumerate(points)]
        post(f"{server.url}/write?db=btmon&precision=s", "\n".join(lines))
        series = server.query("SHOW SERIES", "btmon")
        options = {**recording["options"], "influxdb_host": "127.0.0.1", "influxdb_port": server.port}
        go_on(tmp_path, options, "influxdb", first=4)
        assert server.query("SHOW SERIES", "btmon") == series
        (found,) = server.query("SELECT value FROM energy WHERE id = 'aux1_wh'", "btmon")
    assert is_one_series([(time // 1_000_000, energy) for time, energy in found["values"]])


def line(point: Mapping[str, Any], time: int) -> str:
    """Write a point of btmon as the server got it, at the time at which it came in."""
    tags = "".join(f",{name}={value}" for name, value in sorted(point["tags"].items()))
    fields = ",".join(f"{name}={float(value)}" for name, value in point["fields"].items())
    return f"{point['measurement']}{tags} {fields} {time}"


@pytest.mark.parametrize(("service", "plugin"), [("oem", "emoncms"), ("thingspeak", "thingspeak")])
def test_inputs_and_fields_go_on(service: str, plugin: str, tmp_path: Path) -> None:
    """The node's inputs and the channel's fields are btmon's, and no others; the times are one series."""
    first = scenario(service, f"{STREAM}.typical")
    with HostedService(Reply(200, "ok" if service == "oem" else "17")) as server:
        options = {name: value.replace("http://{server}", server.url) for name, value in first.options.items()}
        go_on(tmp_path, options, plugin, first=4, interval="0", min_call_interval="0")
        ours, btmon = sent_values(service, server.requests), sent_values(service, first.passes[0])
    assert {name for _, name in ours} == {name for _, name in btmon}
    assert sorted({time for time, _ in (*btmon, *ours)}) == BOTH
