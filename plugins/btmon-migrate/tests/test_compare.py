# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore compare`: what btmon printed and what btcore has of the same packets, with each difference named."""

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers.folders import GOLDEN
from helpers.golden_streams import VALUE_NAMES, btmon_values, golden_readings, golden_stream

from btcore import Reading, Sample
from btcore.cli import main
from btmon_print.layout import describe

pytestmark = pytest.mark.servers  # btcore is run on what is compared

PRINTED = sorted(path.stem for path in (GOLDEN / "print").glob("*.json"))
CALCULATED = [name for name in VALUE_NAMES if name.endswith(".default") and "corrupt" not in name]
ECM, GEM = "ecm1240bin_steady.default", "gem48ptbin_steady.default"

Compare = Callable[..., dict[str, Any]]


@pytest.fixture
def compare(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Compare]:
    """Return a function that compares a log with readings, and returns what `--json` says."""

    def run(log: str, readings: list[Reading], *words: str, zone: str = "UTC") -> dict[str, Any]:
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        (tmp_path / "log").write_text(log)
        (tmp_path / "capture").write_text("".join(f"{json.dumps(captured(one))}\n" for one in readings))
        files = [str(tmp_path / "log"), "--capture", str(tmp_path / "capture")]
        code = main(["compare", *files, "--json", *words])
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert code == (not found["safe"])
        return found

    yield run
    monkeypatch.undo()
    time.tzset()


def captured(reading: Reading) -> dict[str, object]:
    """Return a reading as a line of a capture."""
    return {"time": reading.time.timestamp(), "stream": "line", "hex": reading.raw.hex()}


def recorded(name: str) -> tuple[str, list[Reading], dict[str, Any]]:
    """Return what btmon printed, of which readings, and the recording."""
    recording = json.loads((GOLDEN / "print" / f"{name}.json").read_text())
    stream = recording["input"]["stream"]
    times = [packet["receive_time"] for packet in golden_stream(stream)[1]["packets"]]
    readings = golden_readings(f"{stream}.default")
    return recording["stdout"], [at(*pair) for pair in zip(readings, times, strict=True)], recording


def at(reading: Reading, seconds: float) -> Reading:
    """Return a reading of another time."""
    return Reading(datetime.fromtimestamp(seconds, UTC), reading.format, reading.serial, reading.raw)


def quirks(found: dict[str, Any]) -> set[str]:
    """Return the quirks of the differences; "" is a difference without."""
    return {one["quirk"] for one in found["differences"]}


@pytest.mark.parametrize("name", PRINTED)
def test_what_btmon_printed_is_safe_to_switch(name: str, compare: Compare) -> None:
    """All that btmon was recorded to print is what btcore has, but for its mistakes; whatever the sign and zone."""
    log, readings, recording = recorded(name)
    polarity = "brultech" if recording["reverse_polarity"] else "btmon"
    found = compare(log, readings, "--polarity", polarity, zone=recording["tz"])
    assert found["safe"], found
    assert quirks(found) <= {"A1", "B1", "B4"}


def test_three_planted_differences_are_found_and_no_other(compare: Compare) -> None:
    """A wrong voltage, a wrong power and a reading that btcore lacks are found; beside them is only what is known."""
    log, readings, _ = recorded(ECM)
    log = log.replace("121.10V", "121.90V", 1).replace("( 1523W)", "( 1423W)", 1)
    log += log[-len(log) // 7 :].replace("22:14:30", "22:14:40").replace("KWh", "9KWh")
    log = log.replace("22:14:40", "22:14:29", 0)
    found = compare(log, readings)
    unknown = [(one["at"], one["what"], one["btmon"], one["ours"]) for one in found["differences"] if not one["quirk"]]
    assert unknown == [
        ("2023-11-14T22:13:40", "Voltage V", "121.90", "121.10"),
        ("2023-11-14T22:13:40", "Aux2 Watts W", "1423", "1523"),
        ("2023-11-14T22:14:40", "reading", "a reading", "none"),
    ]
    assert quirks(found) == {"", "A1"}
    assert found["sentence"] == (
        "Not safe to switch, because btcore lacks 1 of 8 readings of btmon and 2 numbers differ for no known reason."
    )


def test_a_sum_of_both_directions_must_be_that_sum(compare: Compare) -> None:
    """A power of a GEM's channel that ran both ways is A1 only where it is the sum of both."""
    log, readings, _ = recorded(GEM)
    assert "  150W)" in log
    found = compare(log.replace("(  150W)", "(  140W)", 1), readings)
    assert [(one["what"], one["btmon"]) for one in found["differences"] if not one["quirk"]] == [("Ch04 W", "140")]


def test_the_wrong_sign_is_not_safe(compare: Compare) -> None:
    """A log of the other polarity differs for no known reason."""
    log, readings, _ = recorded(ECM)
    assert not compare(log, readings, "--polarity", "brultech")["safe"]


def test_readings_of_another_meter(compare: Compare, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where btcore has none of the readings, the report asks whether meter, span and time zone are the same."""
    log, _, _ = recorded(ECM)
    _, others, _ = recorded(GEM)
    assert not compare(log, others)["safe"]
    assert main(["compare", str(tmp_path / "log"), "--capture", str(tmp_path / "capture")]) == 1
    *_, hint, sentence = capsys.readouterr().out.splitlines()
    assert hint == "btcore has none of these: is it the same meter, the same span of time, the same time zone (TZ)?"
    assert sentence == "Not safe to switch, because btcore lacks 7 of 7 readings of btmon."


def test_a_reading_that_btmon_lost_is_known(compare: Compare) -> None:
    """D1: a packet that btmon did not have is no reason not to switch, nor is what follows from it."""
    log, readings, _ = recorded(ECM)
    entries = log.split("\n\n")
    lost = "\n\n".join([*entries[:2], *entries[3:]]).replace("( 3706W)", "( 2500W)").replace("(-3706W)", "(-2500W)")
    found = compare(lost, readings)
    assert found["safe"], found
    assert quirks(found) == {"A1", "D1", "after"}


DROPPED = {"CounterResetError": "counter reset for", "ZeroDivisionError": "not enough data in buffer for"}
"""What btmon logged of a pair of packets that it could not calculate with."""


def printed(name: str) -> Iterator[str]:
    """Print what btmon calculated of a stream, as it printed; what it dropped is a line of the log."""
    readings = golden_readings(name)
    for pair in btmon_values(name)["calculated"]:
        older, newer = readings[pair["older"]], readings[pair["newer"]]
        stamp = f"{newer.time:%Y/%m/%d %H:%M:%S}"
        if "error" in pair:
            yield f"{stamp} {DROPPED[pair['error']['type']]} {newer.serial}: {pair['error']['message']}"
        else:
            sample = Sample(older, newer, 0, reset=False, calculate=partial(dict, pair["added"]))
            yield ""
            yield from (f"{stamp}: {line}" for line in as_btmon(describe(sample, {})))


def as_btmon(lines: Iterator[str]) -> Iterator[str]:
    """Yield lines without channels 33 to 48 (B4), and with 0 degrees where there is no sensor (B1)."""
    for line in lines:
        if not re.match(r"Ch(3[3-9]|4)", line):
            yield line.replace("        none", "    0.000000")


@pytest.mark.parametrize("name", CALCULATED)
def test_whatever_btmon_calculated_differs_by_a_quirk(name: str, compare: Compare) -> None:
    """Overflows, restarts, two devices, packets of one second: each difference from btmon has its quirk."""
    found = compare("\n".join(printed(name)), golden_readings(name))
    assert found["safe"], [one for one in found["differences"] if not one["quirk"]]


def test_a_journal_is_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a capture, the readings are those of the site's journal, and the sign is that of its sinks."""
    log, readings, recording = recorded("ecm1240bin_steady.reverse_polarity")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", recording["tz"])
    time.tzset()
    Path("log").write_text(log)
    Path("capture").write_text("".join(f"{json.dumps(captured(one))}\n" for one in readings))
    Path("site.toml").write_text('state = "state"\n[source.file]\npath = "capture"\n[sink.sqlite]\nfile = "house.db"\n')
    assert main(["run", "--once", "--quiet"]) == 0
    assert main(["compare", "log"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("Safe to switch: btcore has all 7 readings")


def test_a_log_without_readings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A log in which btmon printed nothing, or no log, is one clear line and exit code 69."""
    log = tmp_path / "log"
    log.write_bytes(b"2023/11/14 22:13:30 device type: gem\n\xff\x00\n")
    assert main(["compare", str(log), "--capture", "none"]) == 69
    assert main(["compare", str(tmp_path / "none")]) == 69
    first, second = capsys.readouterr().err.splitlines()
    assert "has no reading of btmon: expected what btmon -p prints" in first
    assert "No such file" in second
