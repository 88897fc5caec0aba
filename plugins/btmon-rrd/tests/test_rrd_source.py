# SPDX-License-Identifier: GPL-3.0-or-later
"""The source: a directory of RRD files read back into the readings that it was made of."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import attrs
import pytest
from helpers.captured_log import logged
from helpers.golden_streams import recorded_readings
from helpers.rrd_files import START, batch_of, readings_of_values, rrd_reading

from btcore import Batch, Context, Number, Reading, Retry, Sample, SourceCheckpoint, Stop
from btmon_rrd import archive, source
from btmon_rrd.plugin import Rrd

Opened = Callable[..., Rrd]


def store(sink: Opened, folder: Path, readings: Sequence[Reading], **settings: Any) -> Rrd:  # noqa: ANN401 - what a table may hold
    """Store readings in files."""
    opened = sink(dir=folder, **{"archives": ["10s:1h"], "min_max": False, **settings})
    opened.process_batch(batch_of(readings))
    return opened


def source_of(folder: Path, *, once: bool = True, checkpoint: str = "", **settings: Any) -> Rrd:  # noqa: ANN401 - what a table may hold
    """Return an opened source of a directory."""
    source = Rrd(dir=folder, **settings)
    source.open(Context("source.old", logging.getLogger("source.old"), once=once, checkpoint=checkpoint))
    return source


def collected(source: Rrd, stop: Event | None = None) -> Iterator[Reading]:
    """Yield the readings of a source, without its checkpoints."""
    return (one for one in source.collect(stop or Event()) if isinstance(one, Reading))


def read_back(folder: Path, checkpoint: str = "", **settings: str) -> list[Reading]:
    """Return all readings of a directory."""
    return list(collected(source_of(folder, checkpoint=checkpoint, format=settings.get("format", ""))))


def checkpoints_of(folder: Path, checkpoint: str = "") -> list[str]:
    """Return the checkpoints that are yielded while all of a directory is read."""
    found = source_of(folder, checkpoint=checkpoint).collect(Event())
    return [one.state for one in found if isinstance(one, SourceCheckpoint)]


def seconds_of(readings: Iterable[Reading]) -> list[int]:
    """Return the times of readings, in seconds after `START`."""
    return [reading.key // 1_000_000 - START for reading in readings]


def counters_of(reading: Reading) -> dict[str, Number]:
    """Return the counters of a reading, of energy and of pulses, for the channels that btmon knew."""
    further = {f"ch{n}" for n in range(33, 49)}
    return {
        label: value
        for label, value in reading.values.items()
        if (label.endswith("ws") and label.partition("_")[0] not in further) or label in ("p1", "p2", "p3", "p4")
    }


def samples_of(readings: Sequence[Reading]) -> list[Sample]:
    """Return the samples of readings that were read."""
    numbered = [attrs.evolve(one, offset=number, numbers=one.numbers) for number, one in enumerate(readings, 1)]
    return list(batch_of(numbered).samples)


@pytest.mark.parametrize(
    "stream", [f"{name}_{kind}" for name in ("ecm1240bin", "gem48pbin") for kind in ("steady", "energy_wrap")]
)
def test_the_readings_that_were_put_in_come_back(stream: str, direct: Opened, tmp_path: Path) -> None:
    """The recorded streams come back with the meter's counters at the same times, over an overflow too."""
    put_in = recorded_readings(stream)
    store(direct, tmp_path, put_in)
    found = read_back(tmp_path)
    assert [one.timestamp for one in found] == [one.timestamp for one in put_in[1:]]
    assert {one.serial for one in found} == {put_in[0].serial}
    assert {one.origin for one in found} == {"recorded"}
    for ours, theirs in zip(found, put_in[1:], strict=True):
        expected = counters_of(theirs)
        have = {label: value for label, value in counters_of(ours).items() if value is not None}
        assert have == {label: expected[label] for label in have}
        assert len(have) >= 9
    for ours, theirs in zip(found[1:], put_in[2:], strict=True):
        assert ours.get("volts") == theirs.get("volts")
        assert [ours.get("t1"), ours.get("t3")] == [theirs.get("t1"), None]


def test_the_format_is_seen_from_the_files(direct: Opened, tmp_path: Path) -> None:
    """A directory of several meters has readings of each, in a format that has its labels; `format` says another."""
    for stream in ("ecm1220bin_steady", "ecm1240bin_steady", "gem48ptbin_steady"):
        store(direct, tmp_path / stream, recorded_readings(stream))
    formats = [{one.format.name for one in read_back(path)} for path in sorted(tmp_path.iterdir())]
    assert formats == [{"ecm1220bin"}, {"ecm1240bin"}, {"gem48pbin"}]
    again = read_back(tmp_path / "gem48ptbin_steady", format="gem48ptbin")
    assert {one.format.name for one in again} == {"gem48ptbin"}


def test_the_finest_archive_of_each_time_is_read(direct: Opened, tmp_path: Path) -> None:
    """What the finest archive still has is read from it, what is older from the next, nothing twice, no energy lost."""
    values = [{"ch1_aws": 1000 * n} for n in range(361)]
    store(direct, tmp_path, readings_of_values(values), archives=["10s:10m", "1m:20m", "5m:2h"])
    found = read_back(tmp_path)
    steps = [later - earlier for earlier, later in zip(seconds_of(found), seconds_of(found)[1:], strict=False)]
    assert steps == sorted(steps, reverse=True)
    assert (50 < steps.count(10) < 60, steps.count(60) > 5, steps.count(300) > 5) == (True, True, True)
    assert found[-1].get("ch1_aws") == 360_000
    for one in found:
        assert one.get("ch1_aws") == 100 * seconds_of([one])[0]
    assert sum(sample.get("ch1_dwh") or 0 for sample in samples_of(found)) * 36 == pytest.approx(
        seconds_of(found)[-1] - seconds_of(found)[0]
    )


def test_a_gap_is_unknown(direct: Opened, tmp_path: Path) -> None:
    """Of a time of which nothing is known there is no power, and no energy is made up for it."""
    readings = readings_of_values([{"ch1_aws": 1000 * n} for n in range(100)])
    sink = store(direct, tmp_path, readings[:20])
    sink.process_batch(batch_of(readings[60:]))
    samples = samples_of(read_back(tmp_path))
    known = [sample for sample in samples if sample.get("ch1_w") is not None]
    assert {round(float(sample.get("ch1_w") or 0), 6) for sample in known} == {100.0}
    inside = [one for one in samples if 200 < one.start.timestamp() - START < 590]
    assert [one.get("ch1_w") for one in inside] == [None] * len(inside)
    assert sum(sample.get("ch1_dwh") or 0 for sample in samples) * 3.6 == pytest.approx(18 + 38, abs=1.01)


def test_new_rows_are_followed(direct: Opened, tmp_path: Path) -> None:
    """What is added to the files is read at the next poll, and only that."""
    readings = readings_of_values([{"ch1_aws": 1000 * n} for n in range(60)])
    sink = store(direct, tmp_path, readings[:30])
    stop = Event()
    following = collected(source_of(tmp_path, once=False, poll_interval=1), stop)
    first = [next(following) for _ in range(29)]
    sink.process_batch(Batch((), batch_of(readings).samples[29:]))
    second = [next(following) for _ in range(30)]
    stop.set()
    assert seconds_of([*first, *second]) == list(range(10, 600, 10))
    assert [one.get("ch1_aws") for one in second] == [1000 * n for n in range(30, 60)]
    assert list(following) == []


def test_a_long_history_is_told_how_far_it_is(
    direct: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While an archive with many rows is read, a line tells how many of how many, as of the tables of a database."""
    monkeypatch.setattr("btcore.import_progress.LINE_INTERVAL", 0.0)
    monkeypatch.setattr(source, "MUCH", 30)
    monkeypatch.setattr(source, "ROWS", 20)
    store(direct, tmp_path, readings_of_values([{"ch1_aws": 100 * n} for n in range(60)]))
    caplog.set_level(logging.INFO)
    assert len(read_back(tmp_path)) > 30
    lines = [line for line in caplog.messages if " rows/s" in line]
    assert lines[0].startswith(f"reading {tmp_path}, meter 312345: 20 of 360 rows, ")
    assert ": 360 of 360 rows, " in lines[-1]


def test_what_is_read_again_is_the_same(direct: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From any checkpoint on, the readings that come again have the same numbers, so that they are kept once."""
    monkeypatch.setattr("btmon_rrd.source.ROWS", 30)
    values = [{"ch1_aws": 1000 * n + n * n % 7, "volts": 120 + n % 3} for n in range(200)]
    readings = [rrd_reading(10 * n + 3.3, n + 1, **one) for n, one in enumerate(values)]
    sink = store(direct, tmp_path, readings[:120])
    first = read_back(tmp_path)
    checkpoints = checkpoints_of(tmp_path)
    assert len(checkpoints) == 4
    for number, checkpoint in enumerate(checkpoints[:-1], 1):
        again = read_back(tmp_path, checkpoint)
        assert [one.numbers for one in again] == [one.numbers for one in first[30 * number :]]
        assert seconds_of(again) == seconds_of(first[30 * number :])
    assert read_back(tmp_path, checkpoints[-1]) == []
    sink.process_batch(Batch((), batch_of(readings).samples[119:]))
    assert seconds_of(read_back(tmp_path, checkpoints[-1])) == [time + 1200 for time in range(0, 800, 10)]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"directory": "/elsewhere", "meters": {}}'])
def test_a_checkpoint_that_is_none_is_not_used(content: str, direct: Opened, tmp_path: Path) -> None:
    """A checkpoint that is not understood, or is of another directory, is as none."""
    store(direct, tmp_path, readings_of_values([{"ch1_aws": 1000 * n} for n in range(20)]))
    assert len(read_back(tmp_path, content)) == 19


def test_what_the_files_cannot_tell_is_said(direct: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log has, once a meter, which resolution there is from when on, and what is not in the files."""
    caplog.set_level(logging.INFO)
    store(direct, tmp_path, readings_of_values([{"ch1_aws": n} for n in range(60)]), archives=["10s:5m", "1m:1h"])
    read_back(tmp_path)
    (message,) = logged(caplog, logging.INFO)
    assert message.startswith("meter 312345: 13 files: 60 s a row from 2023-11-14 on, 10 s a row from 2023-11-14 on.")
    assert "power within it is not known" in message


def test_files_of_power_are_not_made_into_counters(
    direct: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Net power does not tell import from export, so no counters are made of it, which is said."""
    store(direct, tmp_path, readings_of_values([{"ch1_aws": 1000 * n} for n in range(20)]), store="power")
    found = read_back(tmp_path)
    assert {counter for one in found for counter in counters_of(one).values()} == {None}
    assert found[-1].get("volts") == 120
    assert "net power does not tell import from export" in logged(caplog)[0]


def test_files_of_another_make_are_left_out(tmp_path: Path, direct: Opened, caplog: pytest.LogCaptureFixture) -> None:
    """Files whose labels no meter of Brultech's has are not read, which is said once."""
    store(direct, tmp_path, readings_of_values([{"ch1_aws": 1000 * n} for n in range(20)]))
    for path in [*tmp_path.iterdir()]:
        path.rename(path.with_name(path.name.replace("ch1", "attic")))
    assert read_back(tmp_path) == []
    assert logged(caplog) == [
        f"{tmp_path}: the files of 312345 are of no Brultech meter, and are not read; `format` may say which it is like"
    ]


def test_a_file_with_other_archives_is_said(direct: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where a file of a meter lacks the rows that the others have, it is left out there, and that is said."""
    readings = readings_of_values([{"ch1_aws": 1000 * n} for n in range(60)])
    store(direct, tmp_path / "coarse", readings, archives=["1m:1h"])
    store(direct, tmp_path / "rrd", readings, archives=["10s:1h"])
    (tmp_path / "coarse" / "312345_volts.rrd").replace(tmp_path / "rrd" / "312345_volts.rrd")
    found = read_back(tmp_path / "rrd")
    assert {one.get("volts") for one in found} == {None}
    assert found[-1].get("ch1_aws") == 59_000
    (message,) = logged(caplog)
    assert message.startswith(f"{tmp_path / 'rrd' / '312345_volts.rrd'} has no rows of 10 s, which other files")


def test_a_sensor_that_ended_long_ago_does_not_hold_up_the_others(direct: Opened, tmp_path: Path) -> None:
    """A file that is not updated any more is read as far as it goes."""
    readings = readings_of_values([{"ch1_aws": 1000 * n} for n in range(200)])
    sink = store(direct, tmp_path, readings[:50])
    old = (tmp_path / "312345_ch2_a.rrd").read_bytes()
    sink.process_batch(Batch((), batch_of(readings).samples[49:]))
    (tmp_path / "312345_ch2_a.rrd").write_bytes(old)
    found = read_back(tmp_path)
    assert seconds_of(found)[-1] == 1990
    assert [found[40].get("ch2_a"), found[-1].get("ch2_a")] == [0, None]


def test_a_directory_that_is_not_there_waits(tmp_path: Path) -> None:
    """A directory that is not mounted yet is tried again."""
    with pytest.raises(Retry, match="nowhere cannot be read: No such file or directory"):
        read_back(tmp_path / "nowhere")


def test_an_empty_directory_has_no_readings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """That there is nothing to read is said."""
    assert read_back(tmp_path) == []
    assert logged(caplog) == [f"{tmp_path} has no RRD files"]


@pytest.mark.parametrize("damage", ["foreign", "empty", "cut", "header", "directory"])
def test_a_damaged_file_costs_nothing_but_itself(
    damage: str, direct: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that is none is named once, with what to do, and all others are read."""
    store(direct, tmp_path, readings_of_values([{"ch1_aws": 1000 * n} for n in range(20)]))
    complete = read_back(tmp_path)
    file = tmp_path / "312345_volts.rrd"
    known = file.read_bytes()
    damaged = {"foreign": b"x" * 5000, "empty": b"", "cut": known[: len(known) // 2]}
    file.unlink()
    if damage == "directory":
        file.mkdir()
    else:
        file.write_bytes(damaged.get(damage, known[:16] + bytes(200) + known[216:]))
    found = read_back(tmp_path)
    assert [(one.key, one.get("ch1_aws")) for one in found] == [(one.key, one.get("ch1_aws")) for one in complete]
    assert {one.get("volts") for one in found} == {None}
    assert caplog.text.count(f"{file} ") == 1
    assert "it is left out, and the other files are read" in caplog.text


def test_the_program_reads_where_the_binding_is_missing(
    direct: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without RRDtool's binding its program reads the same; without either, the line that helps is told."""
    store(direct, tmp_path, recorded_readings("ecm1240bin_steady"))
    by_binding = read_back(tmp_path)
    monkeypatch.setattr(archive, "_has_binding", lambda: False)
    for ours, theirs in zip(read_back(tmp_path), by_binding, strict=True):
        assert ours.values == pytest.approx(theirs.values)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Stop, match="RRDtool, which is not installed: apt install rrdtool"):
        read_back(tmp_path)


def test_a_source_that_is_stopped_ends(direct: Opened, tmp_path: Path) -> None:
    """A source that is stopped in the middle of its files yields nothing more."""
    store(direct, tmp_path, readings_of_values([{"ch1_aws": 1000 * n} for n in range(200)]))
    stop = Event()
    reading = collected(source_of(tmp_path, once=False), stop)
    next(reading)
    stop.set()
    assert list(reading) == []
