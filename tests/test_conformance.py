# SPDX-License-Identifier: GPL-3.0-or-later
"""Every plugin of this project conforms to what `btcore.testing` asks of a stranger's."""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
from helpers.gem_texts import ascii_wh
from packages import OFFERED, PACKAGES

from btcore.testing import HostedService, MeterServer, Reply, Request, conforms, make_packet

METER = "312345"
CHANNEL = f"{METER}_ch1"
HAVE_A_SERVER = {"mqtt", "mysql", "home-assistant", "nats", "nats-stream"}
"""Sinks that need a server of their kind: the tests of their packages call `conforms` with it."""


def add_statuses(request: Request) -> Reply:
    """Answer as PVOutput does: that each status was added."""
    rows = [row.split(",") for row in request.form.get("data", "").split(";")]
    added = ";".join(f"{row[0]},{row[1]},1" for row in rows if len(row) > 1)
    return Reply(200, added or "OK 200: Added Status")


def database_rows(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all tables of energy.db, as SQLite reads them."""
    with closing(sqlite3.connect(folder / "energy.db")) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in tables}


def rrd_contents(folder: Path) -> dict[str, bytes]:
    """Return what is in each file of the folder `rrd`."""
    return {file.name: file.read_bytes() for file in (folder / "rrd").rglob("*.rrd")}


@attrs.frozen
class Need:
    """What one plugin needs to run here: settings, and what its service, which is at URL, answers when all is well.

    `stored` returns what is in its store, which is in FOLDER.
    """

    settings: Mapping[str, Any] = attrs.field(factory=dict)
    answer: Reply | Callable[[Request], Reply] = attrs.field(factory=Reply)
    packets: tuple[bytes, ...] = ()
    varies: str = ""
    stored: Callable[[Path], Mapping[str, Any]] | None = None


NEEDS: Mapping[str, Need] = {
    "ascii": Need(packets=(ascii_wh(), ascii_wh(serial="01000011"))),
    "bidgely": Need({"url": "URL/upload/s3cr3t-T0KEN-0123456789", "map": {CHANNEL: {"description": "mains"}}}),
    "brultech": Need(packets=(make_packet(1), make_packet(2, form="gem48ptbin"))),
    "emoncms": Need({"token": "s3cr3t-T0KEN"}, Reply(200, "ok"), varies=r"sentat=\d+"),
    "eragy": Need({"token": "s3cr3t-T0KEN", "gateway_id": "1"}, Reply(200, "<xml>0</xml>")),
    "peoplepower": Need(
        {"token": "s3cr3t-T0KEN", "map": {CHANNEL: "d"}},
        Reply(200, '<s2h ver="2" hubId="77" status="ACK"/>'),
        varies=r'seq="\d+"',
    ),
    "pipe-program": Need({"command": ["cat"]}),
    "plotwatt": Need({"api_key": "s3cr3t-T0KEN", "map": {CHANNEL: "1000"}}),
    "proxy": Need({"listen": "127.0.0.1:0", "tcp_client": {"host": "127.0.0.1", "port": 0}}),
    "pvoutput": Need({"api_key": "s3cr3t-T0KEN", "system_id": "12345", "generation": CHANNEL}, add_statuses),
    "rrd": Need({"dir": "FOLDER/rrd", "archives": ["1m:1h"], "min_max": False}, stored=rrd_contents),
    "smartenergygroups": Need({"token": "s3cr3t-T0KEN"}, Reply(200, "(status ok)")),
    "sql": Need({"url": "sqlite:///FOLDER/energy.db"}, stored=database_rows),
    "sqlite": Need({"file": "FOLDER/energy.db"}, stored=database_rows),
    "tee": Need({"listen": "127.0.0.1:0"}),
    "thingspeak": Need({"tokens": {METER: "s3cr3t-T0KEN"}}, Reply(200, "17")),
    "wattvision": Need({"api_id": "1", "api_key": "s3cr3t-T0KEN", "sensor_id": "2", "channel": CHANNEL}),
    "wattzon": Need(
        {"api_key": "s3cr3t-T0KEN", "user": "me", "password": "s3cr3t-word", "map": {CHANNEL: "a"}},
        Reply(200, '{"status":"ok"}'),
    ),
}


def filled(value: Any, replaced: Mapping[str, str]) -> Any:  # noqa: ANN401 - of a configuration
    """Return settings with the addresses that a test has."""
    match value:
        case str():
            for mark, text in replaced.items():
                value = value.replace(mark, text)
            return value
        case Mapping():
            return {key: filled(item, replaced) for key, item in value.items()}
    return value


@pytest.mark.parametrize("name", sorted(OFFERED.keys() - HAVE_A_SERVER))
def test_our_own_plugins_conform(name: str, tmp_path: Path) -> None:
    """Each of this project's plugins does all that a plugin has to."""
    need = NEEDS.get(name, Need())
    with HostedService(need.answer) as service, MeterServer(make_packet(1)) as meter:
        settings = filled(need.settings, {"URL": service.url, "FOLDER": str(tmp_path)})
        if name in ("tcp-client", "proxy"):
            address = {"host": "127.0.0.1", "port": meter.port}
            settings |= address if name == "tcp-client" else {"tcp_client": address}
        stored = need.stored and partial(need.stored, tmp_path)
        conforms(name, settings, service=service, stored=stored, packets=need.packets, varies=need.varies)
    if stored:
        assert any(stored().values()), "what is compared is something"


@pytest.mark.parametrize("name", sorted(HAVE_A_SERVER))
def test_the_others_conform_in_their_own_tests(name: str) -> None:
    """The package of each plugin that needs a server has a test that calls `conforms`."""
    tests = PACKAGES[OFFERED[name]].folder.glob("tests/test_*.py")
    assert any("conforms(" in test.read_text("utf-8") for test in tests)
