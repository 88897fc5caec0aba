# SPDX-License-Identifier: GPL-3.0-or-later
"""Printing: against btmon's own output but for what it did wrong, and what is printed where something is not known."""

import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from helpers.folders import GOLDEN
from helpers.golden_streams import recorded_readings
from helpers.samplers import samples_between

from btcore import FORMATS, Batch, Channel, Context, Format, Polarity, Reading, Retry, Sample, Stop, pack
from btmon_print.sink import Print

RECORDED = sorted((GOLDEN / "print").glob("*.json"))
START = datetime(2024, 3, 1, 12, tzinfo=UTC)


def load(path: Path) -> dict[str, Any]:
    """Read a recording."""
    return json.loads(path.read_text("utf-8"))  # type: ignore[no-any-return]


def sample(name: str, before: dict[str, float], after: dict[str, float], serial: str = "01021234") -> Sample:
    """Make a sample of ten seconds."""
    older, newer = ({"volts": 121.5, "secs": 5000, **before}, {"volts": 121.5, "secs": 5010, **after})
    readings = [
        Reading(START + timedelta(seconds=10 * n), FORMATS[name], serial, pack(name, serial, values))
        for n, values in enumerate((older, newer))
    ]
    (made,) = samples_between(readings)
    return made


def printed(samples: Sequence[Sample], *, current: bool = False, **names: str) -> list[str]:
    """Return the lines that are printed, without their times."""
    sink = Print(current=current)
    sink.open(Context("sink.print", logging.getLogger(), {key.removeprefix("_"): name for key, name in names.items()}))
    return [line[21:] for line in sink.preview_batch(Batch(samples=tuple(samples)))]


@pytest.fixture(name="zone")
def zone_fixture(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Let a test change this computer's time zone."""
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(autouse=True)
def utc(zone: pytest.MonkeyPatch) -> None:
    """Be in UTC, if nothing else is said."""
    set_zone(zone, "UTC")


def set_zone(zone: pytest.MonkeyPatch, name: str) -> None:
    """Change this computer's time zone."""
    zone.setenv("TZ", name)
    time.tzset()


def blocks(lines: Sequence[str]) -> list[list[str]]:
    """Divide lines into readings, each of which starts with an empty line, in order of serial and time."""
    text = "\n".join(lines).strip("\n")
    return sorted((block.split("\n") for block in text.split("\n\n")), key=lambda block: (block[0][21:], block[0]))


def mended(line: str, of: Sample) -> str:
    """Return what a line of btmon has to be, where QUIRKS say that it is wrong."""
    title = line[21:].partition(":")[0]
    if re.fullmatch(r"t\d", title):  # B1
        return line[:-9] + ("     none" if of.get(title) is None else line[-9:].replace("-0.000000", " 0.000000"))
    channel = re.fullmatch(r"Ch0?(\d+)( Watts)?", title)
    if channel is None:
        return line
    positive, negative = (of.get(f"ch{channel[1]}_{kind}") for kind in ("pw", "nw"))
    assert positive is not None
    assert negative is not None
    if not positive or not negative:
        return line
    return re.sub(r"\(.{5}W\)", f"({int(positive - negative):5d}W)", line)  # A1


def is_unknown_to_btmon(line: str) -> bool:
    """Whether a line is of a channel that btmon left out (QUIRKS B4)."""
    channel = re.match(r"Ch(\d+):", line[21:])
    return channel is not None and int(channel[1]) > 32


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_the_output_is_that_of_btmon(path: Path, zone: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Every line of btmon is printed as it was, in the zone of the computer, but for what QUIRKS call wrong."""
    recording = load(path)
    set_zone(zone, recording["tz"])
    polarity: Polarity = "brultech" if recording["reverse_polarity"] else "btmon"
    samples = samples_between(recorded_readings(recording["input"]["stream"]), polarity)
    sink = Print(current=recording["include_current"])
    sink.open(Context("sink.print", logging.getLogger()))
    sink.process_batch(Batch(samples=tuple(samples)))
    samples.sort(key=lambda of: (of.serial, of.end))
    expected = [
        [mended(line, of) for line in block]
        for block, of in zip(blocks(recording["stdout_lines"]), samples, strict=True)
    ]
    printed = blocks(capsys.readouterr().out.splitlines())
    assert expected == [[line for line in block if not is_unknown_to_btmon(line)] for block in printed]


def test_a_reading_starts_with_an_empty_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Readings are kept apart by an empty line before each, and the output ends with a line end."""
    samples = samples_between(recorded_readings("ecm1220bin_steady"))
    Print().process_batch(Batch(samples=tuple(samples)))
    out = capsys.readouterr().out
    assert [len(part.splitlines()) for part in out.split("\n\n")] == [12, 11, 11, 11, 11, 11, 11]
    assert (out[0], out[-1]) == ("\n", "\n")


def test_a1_power_is_net() -> None:
    """QUIRKS A1: power that went both ways is printed as the one less the other; btmon printed ( 1911W)."""
    of = samples_between(recorded_readings("ecm1240bin_steady"), "btmon")[3]
    assert [line for line in printed([of]) if line.startswith("Ch2") and "Watts" in line] == [
        "Ch2 Watts:            3257.147060KWh (-1746W)",
        "Ch2 Positive Watts:   4166.717026KWh (   82W)",
        "Ch2 Negative Watts:    909.569965KWh ( 1828W)",
    ]


def test_b1_a_missing_sensor_is_none() -> None:
    """QUIRKS B1: a temperature without a sensor is `none`, and a zero has no sign; btmon printed 0 and -0."""
    of = samples_between(recorded_readings("gem48ptbin_steady"))[0]
    assert [line for line in printed([of]) if re.match(r"t[3578]", line)] == [
        "t3:            none",
        "t5:        0.000000",
        "t7:        0.000000",
        "t8:       85.000000",
    ]


def test_what_is_not_known_is_a_question_mark() -> None:
    """Power over an interval in which the meter restarted is `?`, in its place; the counters are printed."""
    of = sample("ecm1240bin", {"flag": 1, "ch1_aws": 7_200_000}, {"flag": 2, "secs": 5, "ch1_aws": 36_000}, "312345")
    assert [line for line in printed([of]) if line.startswith(("Counter", "Ch1 Watts", "Aux1"))] == [
        "Counter: 2",
        "Ch1 Watts:               0.010000KWh (    ?W)",
        "Aux1 Watts:              0.000000KWh (    ?W)",
    ]


def test_names_take_the_place_of_numbers_and_stay_aligned() -> None:
    """A channel or sensor that [channels] names is printed by that name, and columns make room for the longest."""
    of = sample("gem48ptbin", {}, {"ch1_aws": 36_000, "p1": 7, "t1": 21.5})
    lines = printed([of], current=True, _01021234_ch1="solar", _01021234_t1="outside", _99999999_ch2="no meter here")
    assert [line for line in lines if line.startswith(("solar", "Ch02", "p1", "outside", "t2"))] == [
        "solar:        0.010000KWh ( 3600W) (   0.00A)",
        "Ch02:         0.000000KWh (    0W) (   0.00A)",
        "p1:                  7",
        "outside:     21.500000",
        "t2:               none",
    ]


def test_names_of_an_ecm_stay_aligned() -> None:
    """A long name moves all the numbers of its meter to the right."""
    of = sample("ecm1220bin", {}, {"ch1_aws": 36_000, "ch1_a": 30}, "312345")
    assert printed([of], _312345_ch1="upstairs")[3:9] == [
        "Voltage:                  121.50V",
        "upstairs Current:           30.00A",
        "Ch2 Current:                 0.00A",
        "upstairs Watts:              0.010000KWh ( 3600W)",
        "upstairs Positive Watts:     0.010000KWh ( 3600W)",
        "upstairs Negative Watts:     0.000000KWh (    0W)",
    ]


def test_b4_further_channels_are_printed_once_they_have_moved() -> None:
    """QUIRKS B4: channels 33 to 48 that have counted have their line behind Ch32, named too; the others have none."""
    before = printed([sample("gem48ptbin", {}, {"ch32_aws": 36_000})])
    after = printed(
        [sample("gem48ptbin", {}, {"ch32_aws": 36_000, "ch40_aws": 36_000, "ch48_aws": 7_200, "ch48_pws": 7_200})],
        _01021234_ch48="shed",
    )
    assert after[:35] == before[:35]
    assert after[35:37] == ["Ch40:      0.010000KWh ( 3600W)", "shed:     -0.002000KWh ( -720W)"]
    assert after[37:] == before[35:]


@pytest.mark.parametrize("name", ["gem48abin", "gem32pbin", "gem32abin"])
def test_formats_that_btmon_had_not_look_like_a_gem(name: str) -> None:
    """Every format of a GEM has 32 channels that are always printed, 4 pulse counters and 8 temperatures."""
    lines = printed([sample(name, {}, {"ch32_aws": 36_000})])
    assert len(lines) == 3 + 32 + 4 + 8
    assert lines[34] == "Ch32:      0.010000KWh ( 3600W)"


def test_a_meter_of_another_make_is_printed_by_its_own_names() -> None:
    """A format that a plugin brings has a line for each of its channels, auxiliary or not, and for all else."""
    count = 40
    names = [f"loop{n}" for n in range(count)]
    form = Format(
        "clamp",
        ("secs", "hertz", "main_aws", *(f"{name}_ws" for name in names)),
        (Channel("main", "main_aws"), *(Channel(name, f"{name}_ws", directional=False) for name in names)),
        unpack=lambda raw: (raw[0], 50.5, 360 * raw[0], *range(count)),
        reset_label="hertz",
        reset_mask=1,
    )
    (of,) = samples_between([Reading(START + timedelta(seconds=n), form, "c1", bytes([n])) for n in (10, 20)])
    lines = printed([of])
    assert lines[:3] == ["", "Serial: c1", "main:        0.002000KWh (  360W)"]
    assert lines[3:43] == [f"{name + ':':<7}{n / 3600 / 1000:14.6f}KWh (    0W)" for n, name in enumerate(names)]
    assert lines[43:] == ["hertz:      50.500000"]


def test_an_empty_batch_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Readings alone, such as the first of a meter, print nothing."""
    Print().process_batch(Batch(readings=(recorded_readings("ecm1220bin_steady")[0],)))
    assert capsys.readouterr().out == ""


def test_characters_that_the_terminal_lacks_are_spelt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that standard output cannot show is no reason to fail."""
    raw = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(raw, encoding="latin-1"))
    sink = Print()
    sink.open(Context("sink.print", logging.getLogger(), {"01021234_ch1": "Küche ☀"}))
    sink.process_batch(Batch(samples=(sample("gem48ptbin", {}, {}),)))
    assert "Küche \\u2600:      0.000000KWh".encode("latin-1") in raw.getvalue()


@pytest.mark.parametrize("out", [None, "closed"])
def test_no_standard_output_stops(out: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that was started without a standard output is told so."""
    stream = None if out is None else TextIOWrapper(BytesIO())
    if stream is not None:
        stream.close()
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(Stop, match="there is no standard output to print to"):
        Print().process_batch(Batch(samples=(sample("gem48ptbin", {}, {}),)))


def test_a_full_disk_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output into a file whose disk is full waits for room."""
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123 - a device, not a path
        monkeypatch.setattr(sys, "stdout", TextIOWrapper(full, write_through=True))
        with pytest.raises(Retry, match="standard output cannot be written: No space left on device"):
            Print().process_batch(Batch(samples=(sample("gem48ptbin", {}, {}),)))


PIPED = """
import sys
from datetime import UTC, datetime, timedelta
from btcore import FORMATS, Batch, Reading, Stop, pack
from btcore.calculate.samples import between
from btmon_print.sink import Print
sys.stdin.read()
raw = [pack("gem48ptbin", "01021234", {"secs": secs}) for secs in (1, 11)]
times = [datetime(2024, 3, 1, tzinfo=UTC) + timedelta(seconds=secs) for secs in (1, 11)]
sample = between(*(Reading(t, FORMATS["gem48ptbin"], "01021234", r) for t, r in zip(times, raw)))
try:
    Print().process_batch(Batch(samples=(sample,)))
except Stop as stop:
    print(stop, file=sys.stderr)
"""


@pytest.mark.servers
def test_a_reader_that_has_gone_stops_the_sink_alone() -> None:
    """When what the output was piped into ends, the sink stops, and the program goes on and ends in peace."""
    reader, writer = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", PIPED], stdin=subprocess.PIPE, stdout=writer, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(writer)
        os.close(reader)
        _, said = process.communicate("go", timeout=30)
    assert (said, process.returncode) == ("standard output was closed: who read it has ended\n", 0)


def test_the_readme_shows_the_sample() -> None:
    """The README's sample is the file of that name."""
    folder = Path(__file__).parents[1]
    assert (folder / "sample.toml").read_text("utf-8") in (folder / "README.md").read_text("utf-8")
