# SPDX-License-Identifier: GPL-3.0-or-later
"""Two meters that call themselves alike, and what a configuration says of meters, through the whole program."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from helpers.database_rows import JOURNAL_FILE, table_rows

from btcore import pack
from btcore.testing import BtcoreProcess, HostedService, Reply

pytestmark = pytest.mark.servers

WATTS = {"a": 1000, "b": 300}
COUNT = 30
SINKS = """
[sink.counters]
use = "sqlite"
file = "energy.db"

[sink.ext]
use = "sqlite"
file = "energy.db"
schema = "ecmreadext"

[sink.emoncms]
url = "URL"
token = "0123456789abcdef"
serials = "full"
flush_interval = "0s"
"""
TWO_SOURCES = """
state = "state"
[source.a]
use = "file"
path = "a.json"
pace = "recorded"
[source.b]
use = "file"
path = "b.json"
pace = "recorded"
"""
ONE_SOURCE = """
state = "state"
[source.line]
use = "file"
path = "both.json"
"""


NAMED = """
[meters]
house = { source = "a", serial = "300001" }
barn = { source = "b" }
"""


def sent(name: str, at: int) -> bytes:
    """Make a packet of one of the two: both say that they are 000000."""
    secs, energy = {"a": (1000, 10**9), "b": (70_000, 5 * 10**8)}[name]
    values = {"volts": 120, "secs": secs + at, "ch1_aws": energy + WATTS[name] * at, "aux1_ws": energy // 4}
    return pack("ecm1240bin", "000000", values)


def write(folder: Path, *, pace: float = 0.05, streams: dict[str, str] | None = None) -> None:
    """Write what each sends: in a file of its own, and in one for both."""
    both: list[tuple[float, str, str]] = []
    for name in WATTS:
        lines = [
            (1_767_225_600 + pace * n + (name == "b") * pace / 2, name, sent(name, 10 * n).hex()) for n in range(COUNT)
        ]
        (folder / f"{name}.json").write_text("".join(map(_line, lines)))
        both += lines
    renamed = streams or {"a": "a", "b": "b"}
    (folder / "both.json").write_text("".join(_line((at, renamed[name], data)) for at, name, data in sorted(both)))


def _line(one: tuple[float, str, str]) -> str:
    return json.dumps({"time": one[0], "stream": one[1], "hex": one[2]}) + "\n"


def run(folder: Path, site: str) -> tuple[str, list[Any]]:
    """Run it until all is delivered; return the log, and the rows that emoncms was sent."""
    with (
        HostedService(Reply(200, "ok")) as emoncms,
        BtcoreProcess(folder, site.replace("URL", emoncms.url), "--once") as btcore,
    ):
        assert btcore.finish() == 0, btcore.log
        return btcore.log, [row for one in emoncms.taken for row in json.loads(one.form["data"])]


def energies(folder: Path) -> dict[str, float]:
    """Add up the energy of channel 1 in the database, by meter."""
    found = table_rows(
        folder / "energy.db", "ecm1240bin_ecmreadext", "ecm_serial, sum(ch1_dwh), max(ch1_w), min(ch1_w)"
    )
    assert found
    grouped = table_rows(
        folder / "energy.db", "ecm1240bin_ecmreadext GROUP BY ecm_serial", "ecm_serial, sum(ch1_dwh) * 3600"
    )
    return dict(grouped)


def powers(folder: Path) -> set[tuple[str, float]]:
    """Return every power that is in the database, with its meter."""
    return set(table_rows(folder / "energy.db", "ecm1240bin_ecmreadext", "ecm_serial, round(ch1_w)"))


@pytest.mark.parametrize(
    ("site", "streams"),
    [(TWO_SOURCES, None), (ONE_SOURCE, None), (ONE_SOURCE, {"a": "line", "b": "line"})],
    ids=["two sources", "two streams of a source", "one line"],
)
def test_two_meters_of_one_number_are_two_in_every_sink(
    tmp_path: Path, site: str, streams: dict[str, str] | None
) -> None:
    """Two ECM-1240 that both say 000000 have all their energy, each its own power, and are told once, with advice."""
    write(tmp_path, streams=streams, pace=0.05 if site == TWO_SOURCES else 10)
    log, inputs = run(tmp_path, site + SINKS)
    assert sum(energies(tmp_path).values()) == pytest.approx((COUNT - 1) * 10 * sum(WATTS.values()))
    assert {watts for _, watts in powers(tmp_path)} == set(map(float, WATTS.values()))
    late = dict(
        table_rows(tmp_path / "energy.db", "ecm1240bin_ecmreadext ORDER BY id", "ecm_serial, ch1_w")
    )  # the last of each
    assert late in ({"000000": 1000.0, "000000-2": 300.0}, {"000000-2": 1000.0, "000000": 300.0})
    named = {name: value for row in inputs for part in row[2:] for name, value in part.items()}
    assert {named["000000_ch1_w"], named["000000-2_ch1_w"]} == {1000.0, 300.0}
    assert len(table_rows(tmp_path / "energy.db", "ecm1240bin_counters")) == 2 * COUNT
    (line,) = re.findall(r"WARNING .*two meters send.*", log)
    assert "000000-2" in line
    assert ("[meters]" in line) == (streams is None)


def test_meters_have_the_names_that_the_configuration_gives(tmp_path: Path) -> None:
    """With a name for the meter of each source, both have their own from the first packet on, without a warning."""
    write(tmp_path)
    log, _ = run(tmp_path, TWO_SOURCES + NAMED + SINKS)
    assert energies(tmp_path) == pytest.approx({"300001": 290_000, "barn": 87_000})
    assert powers(tmp_path) == {("300001", 1000.0), ("barn", 300.0)}
    assert "WARNING" not in log


def test_a_source_names_its_one_meter_and_two_are_noticed(tmp_path: Path) -> None:
    """`serial` of a source renames what comes there; where two meters do, both are kept apart, and that is told."""
    write(tmp_path)
    named = TWO_SOURCES.replace('path = "a.json"', 'path = "a.json"\nserial = "300001"')
    log, _ = run(tmp_path, named + SINKS)
    assert energies(tmp_path) == pytest.approx({"300001": 290_000, "000000": 87_000})
    assert "WARNING" not in log
    both = tmp_path / "both"
    both.mkdir()
    write(both, pace=10)
    log, _ = run(both, ONE_SOURCE + 'serial = "300001"\n' + SINKS)
    assert sum(energies(both).values()) == pytest.approx(290_000 + 87_000)
    assert energies(both).keys() == {"300001", "300001-2"}
    assert "meter 300001: two meters send this serial number" in log


def test_names_that_are_given_later_are_those_of_what_waits(tmp_path: Path) -> None:
    """Readings that were kept before their meters had names go to a new sink under the names that these have now."""
    write(tmp_path)
    with BtcoreProcess(
        tmp_path, TWO_SOURCES + '[sink.counters]\nuse = "sqlite"\nfile = "first.db"\n', "--once"
    ) as first:
        assert first.finish() == 0, first.log
    assert (tmp_path / JOURNAL_FILE).exists()
    run(tmp_path, TWO_SOURCES + '[meters]\nhouse = { source = "a" }\nbarn = { source = "b" }' + SINKS)
    assert energies(tmp_path) == pytest.approx({"house": 290_000, "barn": 87_000})
