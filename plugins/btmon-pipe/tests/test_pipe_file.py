# SPDX-License-Identifier: GPL-3.0-or-later
"""Files: one for each day, each line once, mended after a kill, packed when the day is over."""

import csv
import gzip
import json
import logging
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from helpers.metered import batch_of, readings
from helpers.plugin_calls import preview_batches
from hypothesis import given
from hypothesis import strategies as st

from btcore import Batch, DiagnosisContext, Duration, Stop
from btcore.config.load import load_site
from btcore.errors import ConfigurationError
from btcore.testing import BtcoreProcess, wait_for
from btmon_pipe.day_file import DayFile
from btmon_pipe.file import PipeFile
from btmon_pipe.records import LAYOUTS, Form, Recorder

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC).timestamp()
DAY = 86_400
BATCH = batch_of(readings(6, start=NOON))

FORMS: tuple[Form, ...] = ("json", "csv")


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have days of UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def names(folder: Path) -> list[str]:
    """Return the files of a folder."""
    return sorted(path.name for path in folder.iterdir())


def keys(path: Path) -> list[int]:
    """Return the keys of the lines of a file, packed or not."""
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    if ".csv" in path.name:
        return [int(row["key"]) for row in csv.DictReader(text.splitlines())]
    return [json.loads(line)["key"] for line in text.splitlines()]


def keys_of(batch: Batch) -> list[int]:
    """Return the keys of a batch's samples."""
    return [sample.newer.key for sample in batch.samples]


def test_each_day_has_a_file_and_those_before_are_packed(opened: Any, tmp_path: Path) -> None:  # noqa: ANN401 - fixture
    """A sample is in the file of the day in which its interval ended."""
    sink = opened(PipeFile, dir=tmp_path / "new" / "archive")
    days = [batch_of(readings(4, start=NOON + DAY * at)) for at in range(3)]
    assert [sink.process_batch(batch) for batch in days] == [3, 3, 3]
    files = ["energy-2026-06-21.jsonl.gz", "energy-2026-06-22.jsonl.gz", "energy-2026-06-23.jsonl"]
    assert names(sink.dir) == files
    assert [keys(sink.dir / name) for name in files] == [keys_of(batch) for batch in days]


def test_a_batch_over_midnight_is_in_both_files(opened: Any, tmp_path: Path) -> None:  # noqa: ANN401 - see above
    """Neither is packed while both get lines."""
    sink = opened(PipeFile, dir=tmp_path, format="csv", name="house")
    batch = batch_of(readings(5, start=NOON + DAY / 2 - 20))
    sink.process_batch(batch)
    assert names(tmp_path) == ["house-2026-06-21.csv", "house-2026-06-22.csv"]
    assert [sorted(set(keys(tmp_path / name))) for name in names(tmp_path)] == [keys_of(batch)[:1], keys_of(batch)[1:]]


@pytest.mark.parametrize("form", FORMS)
def test_a_line_that_comes_again_is_there_once(opened: Any, tmp_path: Path, form: Form) -> None:  # noqa: ANN401
    """In the same run, after a restart, and after its day was packed, which it stays."""
    for _ in range(2):
        sink = opened(PipeFile, dir=tmp_path, format=form)
        for batch in (BATCH, BATCH, batch_of(readings(3, start=NOON + DAY))):
            sink.process_batch(batch)
        sink.close()
    packed, plain = sorted(tmp_path.iterdir())
    assert (packed.suffix, plain.suffix) == (".gz", LAYOUTS[form].suffix)
    per_sample = 1 if form == "json" else 8  # of an ECM-1240: 7 channels, and a sensor
    assert keys(packed) == [key for key in keys_of(BATCH) for _ in range(per_sample)]


def test_a_day_that_gets_a_line_after_all_has_it(opened: Any, tmp_path: Path) -> None:  # noqa: ANN401 - see above
    """It is unpacked, and packed again by the next batch of a later day."""
    sink = opened(PipeFile, dir=tmp_path)
    made = readings(6, start=NOON)
    later = readings(6, start=NOON + DAY)
    sink.process_batch(batch_of(made[:3]))
    sink.process_batch(batch_of(later[:3]))
    sink.process_batch(batch_of(made[2:]))
    sink.process_batch(batch_of(later[2:]))
    assert names(tmp_path) == ["energy-2026-06-21.jsonl.gz", "energy-2026-06-22.jsonl"]
    assert keys(tmp_path / "energy-2026-06-21.jsonl.gz") == keys_of(batch_of(made))


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
def test_a_file_that_is_cut_off_anywhere_is_mended(tmp_path_factory: Any, form: Form, data: st.DataObject) -> None:  # noqa: ANN401
    """However much of it is left, in the end it has every line once, in order, and no half one."""
    folder = tmp_path_factory.mktemp("cut")
    records = RECORDERS[form].records(BATCH)
    path = folder / "day"
    file = DayFile(path, LAYOUTS[form])
    file.append(records)
    file.close()
    complete = path.read_bytes()
    path.write_bytes(complete[: data.draw(st.integers(0, len(complete)))])
    again = DayFile(path, LAYOUTS[form])
    again.append(records)
    again.close()
    assert path.read_bytes() == complete


RECORDERS = {
    form: Recorder(
        form=form,
        content="samples",
        channels=(),
        meter_name=str,
        channel_name=lambda serial, channel: f"{serial}, {channel}",
        polarity="brultech",
    )
    for form in FORMS
}


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Have no file grow above a size, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("form", FORMS)
def test_a_disk_that_is_full_in_the_middle_of_a_line_leaves_none_half(
    opened: Any,  # noqa: ANN401 - fixture
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    form: Form,
) -> None:
    """What could not be written is written once there is room, and the log says what was cut off."""
    caplog.set_level(logging.INFO)
    sink = opened(PipeFile, dir=tmp_path, format=form)
    sink.process_batch(BATCH)
    (path,) = tmp_path.iterdir()
    later = batch_of(readings(12, start=NOON))
    size = path.stat().st_size
    for room in (50, 60):
        with largest_file(size + room), pytest.raises(OSError, match="File too large"):
            sink.process_batch(later)
        assert path.stat().st_size == size + room
    sink.process_batch(later)
    assert sorted(set(keys(path))) == keys_of(later)
    assert len(keys(path)) == 11 * (1 if form == "json" else 8)
    assert "a half-written line of 50 bytes was cut off" in caplog.text


def test_what_a_kill_left_unfinished_is_removed(opened: Any, tmp_path: Path) -> None:  # noqa: ANN401 - see above
    """Half-packed files of ours, and no file of anybody else."""
    for name in (
        "energy-2026-06-20.jsonl.gz.part",
        "energy-2026-06-20.jsonl.part",
        "notes.part",
        "energy-x.jsonl.part",
    ):
        (tmp_path / name).write_text("x")
    opened(PipeFile, dir=tmp_path)
    assert names(tmp_path) == ["energy-x.jsonl.part", "notes.part"]


def test_a_day_that_is_there_packed_and_unpacked_loses_nothing(opened: Any, tmp_path: Path) -> None:  # noqa: ANN401
    """As after a kill between the two steps of packing."""
    sink = opened(PipeFile, dir=tmp_path)
    sink.process_batch(BATCH)
    (path,) = tmp_path.iterdir()
    with gzip.open(f"{path}.gz", "wb") as packed:
        packed.write(path.read_bytes())
    sink.process_batch(batch_of(readings(3, start=NOON + DAY)))
    assert names(tmp_path) == ["energy-2026-06-21.jsonl.gz", "energy-2026-06-22.jsonl"]
    assert keys(tmp_path / "energy-2026-06-21.jsonl.gz") == keys_of(BATCH)


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"x" * 1000)[:-9]], ids=["none", "cut off"])
def test_a_packed_file_that_is_damaged_needs_a_person(opened: Any, tmp_path: Path, content: bytes) -> None:  # noqa: ANN401
    """It is not overwritten; the sink stops and names it."""
    (tmp_path / "energy-2026-06-21.jsonl.gz").write_bytes(content)
    with pytest.raises(Stop, match=r"energy-2026-06-21.jsonl.gz is damaged \(.*\): move it away"):
        opened(PipeFile, dir=tmp_path).process_batch(BATCH)
    assert (tmp_path / "energy-2026-06-21.jsonl.gz").read_bytes() == content


def test_csv_with_other_columns_is_not_continued(opened: Any, tmp_path: Path) -> None:  # noqa: ANN401 - see above
    """A file of another program, or of another version, is left as it is."""
    (tmp_path / "energy-2026-06-21.csv").write_text("time,watts\n1,2\n")
    with pytest.raises(Stop, match="has other columns than this program writes: move it away"):
        opened(PipeFile, dir=tmp_path, format="csv").process_batch(BATCH)


def test_old_files_are_deleted_where_that_is_wanted(opened: Any, tmp_path: Path) -> None:  # noqa: ANN401 - see above
    """By their day, whatever else is in the directory."""
    now = time.time() - 600
    for name in ("notes.txt", "energy-2020-01-01.csv", "other-2020-01-01.jsonl"):
        (tmp_path / name).write_text("x")
    sink = opened(PipeFile, dir=tmp_path, retention=Duration(3 * DAY))
    for ago in (5, 4, 2, 0):
        sink.process_batch(batch_of(readings(3, start=now - ago * DAY)))
    kept = [datetime.fromtimestamp(now + 10 - ago * DAY, UTC).date().isoformat() for ago in (2, 0)]
    ours = [f"energy-{kept[0]}.jsonl.gz", f"energy-{kept[1]}.jsonl"]
    assert names(tmp_path) == sorted(["notes.txt", "energy-2020-01-01.csv", "other-2020-01-01.jsonl", *ours])


def test_replay_of_gaps_reads_the_files_and_changes_none(opened: Any, tmp_path: Path) -> None:  # noqa: ANN401
    """Packed or not."""
    sink = opened(PipeFile, dir=tmp_path)
    sink.process_batch(batch_of(BATCH.readings[:4]))
    later = batch_of(readings(3, start=NOON + DAY))
    assert list(sink.find_stored(later)) == []
    sink.process_batch(later)
    before = names(tmp_path)
    assert [key for _, key in sink.find_stored(BATCH)] == keys_of(BATCH)[:3]
    assert [key for _, key in sink.find_stored(later)] == keys_of(later)
    assert names(tmp_path) == before


def test_a_dry_run_shows_the_lines_and_creates_nothing(tmp_path: Path) -> None:
    """Nor the directory."""
    folder = tmp_path / "new"
    lines = preview_batches(PipeFile(dir=folder), [BATCH])
    assert [json.loads(line)["key"] for line in lines] == keys_of(BATCH)
    assert not folder.exists()


def test_short_serial_numbers_are_nowhere_complete(opened: Any, tmp_path: Path) -> None:  # noqa: ANN401 - see above
    """Neither as a meter nor in the name of a channel."""
    opened(PipeFile, {"312345_ch1": "mains"}, dir=tmp_path, serials="short").process_batch(BATCH)
    (path,) = tmp_path.iterdir()
    assert "312345" not in path.read_text()
    assert "XXX345_ch2" in path.read_text()


def test_doctor_finds_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """A file in its way, and nothing where the directory can be created."""
    (tmp_path / "file").write_text("")
    context = DiagnosisContext(name="sink.archive")
    assert [one.code for one in PipeFile(dir=tmp_path / "file").diagnose(context)] == ["sink-directory"]
    assert list(PipeFile(dir=tmp_path / "new" / "one").diagnose(context)) == []


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ('name = "a/b"', "expected letters, digits, points, hyphens and underscores"),
        ('format = "csv"\ncontent = "readings"', "content: CSV has samples only"),
        ('retention = "1h"', "retention: expected at least one day"),
        ('[sink.two]\nuse = "pipe-file"\ndir = "./archive"', "is already used by"),
    ],
)
def test_a_mistake_is_told_before_anything_is_opened(tmp_path: Path, settings: str, expected: str) -> None:
    """With the setting and what was expected."""
    site = tmp_path / "site.toml"
    site.write_text(f'state = "."\n[source.simulator]\n[sink.pipe-file]\ndir = "archive"\n{settings}\n')
    with pytest.raises(ConfigurationError, match=expected):
        load_site(site)


SITE = """
state = "state"
[source.simulator]
format = "ecm1240bin"
serial = "312345"
start = "2026-06-21T22:30:00+00:00"
packets = 1200
pace = "fast"
max_packets_per_second = 0
[sink.archive]
use = "pipe-file"
dir = "archive"
format = "{form}"
flush_interval = 0
batch_size = 10
"""


@pytest.mark.servers
@pytest.mark.parametrize("form", FORMS)
def test_a_program_that_is_killed_again_and_again_writes_every_line_once(tmp_path: Path, form: Form) -> None:
    """Three hours over midnight; kill -9 in the middle, half a line left behind each time."""
    site = SITE.format(form=form)
    archive = tmp_path / "archive"

    def size() -> int:
        return sum(path.stat().st_size for path in archive.iterdir()) if archive.exists() else 0

    for _ in range(3):
        before = size()
        with BtcoreProcess(tmp_path, site) as btcore:
            wait_for(lambda before=before: size() > before + 10_000, "some lines")  # type: ignore[misc]
            btcore.process.send_signal(signal.SIGKILL)
            btcore.process.wait()
        newest = max((path for path in archive.iterdir() if path.suffix in (".jsonl", ".csv")), default=None)
        if newest is not None:
            with newest.open("ab") as file:
                file.write(b'{"meter":"3123')
    with BtcoreProcess(tmp_path, site, "--once") as btcore:
        assert btcore.finish() == 0, btcore.log
    found = [key for path in sorted(archive.iterdir()) for key in keys(path)]
    assert found == sorted(found)
    per_sample = 1 if form == "json" else 8  # of an ECM-1240: 7 channels, and a sensor
    assert (len(set(found)), len(found)) == (1199, 1199 * per_sample)


@pytest.mark.servers
def test_a_line_that_somebody_deleted_comes_back_by_replay(tmp_path: Path) -> None:
    """`btcore replay --gaps` writes what the files lack, packed ones too, and no line twice."""
    site = SITE.format(form="json").replace("packets = 1200", "packets = 240").replace("T22:30", "T23:45")
    with BtcoreProcess(tmp_path, site, "--once") as btcore:
        assert btcore.finish() == 0, btcore.log
    packed, plain = sorted((tmp_path / "archive").iterdir())
    lines = gzip.decompress(packed.read_bytes()).splitlines(keepends=True)
    packed.write_bytes(gzip.compress(b"".join(lines[:50] + lines[53:])))
    plain.write_bytes(b"".join(plain.read_bytes().splitlines(keepends=True)[:-5]))
    replay = [sys.executable, "-m", "btcore", "replay", "archive", "--gaps"]
    done = subprocess.run(replay, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [key for path in (tmp_path / "archive").iterdir() for key in keys(path)]
    assert (len(found), len(set(found))) == (239, 239)
