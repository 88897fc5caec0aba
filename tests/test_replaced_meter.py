# SPDX-License-Identifier: GPL-3.0-or-later
"""A meter that is replaced by another: its lifetime goes on, under its old serial number or the new one."""

import json
from pathlib import Path

import pytest
from helpers.database_rows import table_rows

from btcore import pack
from btcore.cli import OK, main

SITE = """
state = "state"
[meters]
attic = METER
[channels]
"attic_ch1" = "attic"
[source.cap]
use = "file"
path = "cap"
[sink.sqlite]
file = "energy.db"
schema = "samples"
flush_interval = 0
"""
OLD, NEW = "01000777", "01000888"
COUNT = 30
START = 1_795_132_800
WAYS = {
    f'{{ serial = "{OLD}", sends = ["{OLD}", "{NEW}"] }}': OLD,
    f'{{ serial = "{NEW}", replaces = "{OLD}" }}': NEW,
}


def lines(serial: str, start: int, begin: int, counted: int) -> list[str]:
    """Return packets of a meter that has counted so many seconds and so much: 1 kW, ten seconds apart."""
    values = [{"secs": begin + 10 * n, "volts": 120, "ch1_aws": counted + 10_000 * n} for n in range(COUNT)]
    return [
        json.dumps({"time": start + 10 * n, "hex": pack("gem48pbin", serial, one).hex()}) + "\n"
        for n, one in enumerate(values)
    ]


@pytest.mark.parametrize("counted", [0, 36_000, 7 * 10**9], ids=["new", "used", "old"])
@pytest.mark.parametrize("way", WAYS)
def test_a_lifetime_outlasts_a_meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, counted: int) -> None:
    """Whatever the new meter has counted before, the energy is what both counted here, and the lifetime never falls."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cap").write_text(
        "".join([*lines(OLD, START, 5000, 10**9), *lines(NEW, START + 3600, 900_000, counted)])
    )
    (tmp_path / "site.toml").write_text(SITE.replace("METER", way))
    assert main(["run", "--once", "--quiet", "site.toml"]) == OK
    columns = "serial, name, wh_delta, wh_import"
    rows = table_rows(tmp_path / "energy.db", "samples WHERE channel = 'ch1' ORDER BY time", columns)
    assert {(serial, name) for serial, name, _, _ in rows} == {(WAYS[way], "attic")}
    assert sum(wh for *_, wh, _ in rows) == pytest.approx(2 * (COUNT - 1) * 10_000 / 3600)
    lifetimes = [lifetime for *_, lifetime in rows]
    assert lifetimes == sorted(lifetimes)
    assert lifetimes[-1] - lifetimes[0] == pytest.approx(sum(wh for *_, wh, _ in rows[1:]))
