# SPDX-License-Identifier: GPL-3.0-or-later
"""The sink with RRDtool's binding: each reading once, what is refused, and what a person is told."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.captured_log import logged
from helpers.configured_sink import sink_from_toml
from helpers.rrd_files import START, batch_of, file_info, rates, readings_of_values

from btcore import Batch, Retry, Stop
from btcore.errors import ConfigurationError
from btmon_rrd.direct import DirectStore
from btmon_rrd.plugin import Rrd

Opened = Callable[..., Rrd]

HOUR = readings_of_values([{"ch1_aws": 1000 * n} for n in range(60)])
SHOWN = dict.fromkeys(range(20, 591, 10), 100.0)
README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


def file_of(folder: Path, label: str = "ch1_aws") -> Path:
    """Return the file of a label."""
    return folder / "rrd" / f"312345_{label}.rrd"


def configured(folder: Path, settings: str) -> Rrd:
    """Make the instance of a sink of these settings."""
    instance = sink_from_toml(folder, f"[sink.rrd]\n{settings}\n").instance
    assert isinstance(instance, Rrd)
    return instance


def part(first: int, last: int) -> Batch:
    """Return the batch of some readings of the hour, with the samples that they have in it."""
    return Batch(tuple(HOUR[first:last]), tuple(one for one in SAMPLES if first < one.newer.offset <= last))


SAMPLES = batch_of(HOUR).samples


def test_a_batch_that_comes_again_is_stored_once(direct: Opened, tmp_path: Path) -> None:
    """After a crash the same batches come again, in whole or in part: a time that is there counts as delivered."""
    sink = direct(dir=tmp_path / "rrd")
    for first, last in ((0, 20), (0, 20), (10, 30), (0, 60), (0, 60)):
        assert sink.process_batch(part(first, last)) == last - max(first, 1)
    assert rates(file_of(tmp_path)) == SHOWN
    assert file_info(file_of(tmp_path))["ds[ch1_aws].last_ds"] == "59000"


def test_a_file_that_has_less_than_the_others_is_filled_in(direct: Opened, tmp_path: Path) -> None:
    """A crash in the middle of a batch leaves some files behind: the batch that comes again brings them up to date."""
    sink = direct(dir=tmp_path / "rrd")
    sink.process_batch(part(0, 20))
    path = file_of(tmp_path)
    behind = path.read_bytes()
    sink.process_batch(part(20, 40))
    path.write_bytes(behind)
    sink.close()
    direct(dir=tmp_path / "rrd").process_batch(part(20, 60))
    assert rates(path) == SHOWN
    assert len(rates(file_of(tmp_path, "volts"))) == 58


def test_another_program_s_update_is_found(direct: Opened, tmp_path: Path) -> None:
    """Where a file has a later value than the sink knew of, it goes on from there."""
    sink = direct(dir=tmp_path / "rrd")
    sink.process_batch(part(0, 20))
    subprocess.run(["rrdtool", "update", str(file_of(tmp_path)), f"{START + 250}:25000"], check=True)
    sink.process_batch(part(20, 60))
    assert file_info(file_of(tmp_path))["last_update"] == str(START + 590)
    assert rates(file_of(tmp_path))[300] == 100


def test_one_update_a_file_and_batch(direct: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six samples of a meter with 13 files are 13 updates, each with six values in the order of time."""
    updates: list[tuple[str, ...]] = []
    call = DirectStore._call

    def noted(self: DirectStore, name: str, path: str, *arguments: str) -> object:
        if name == "update":
            updates.append(arguments[1:])
        return call(self, name, path, *arguments)

    monkeypatch.setattr(DirectStore, "_call", noted)
    direct(dir=tmp_path / "rrd").process_batch(part(0, 7))
    assert len(updates) == 13
    assert {tuple(point.split(":")[0] for point in points) for points in updates} == {
        tuple(str(START + 10 * n) for n in range(1, 7))
    }


def test_a_file_that_is_deleted_is_made_anew(direct: Opened, tmp_path: Path) -> None:
    """A file may be deleted while the sink runs: a new one begins with the next value."""
    sink = direct(dir=tmp_path / "rrd")
    sink.process_batch(part(0, 20))
    file_of(tmp_path).unlink()
    sink.process_batch(part(20, 60))
    assert min(rates(file_of(tmp_path))) in (210, 220)


def test_a_directory_that_is_deleted_is_made_anew(direct: Opened, tmp_path: Path) -> None:
    """So is the directory."""
    sink = direct(dir=tmp_path / "rrd")
    sink.process_batch(part(0, 20))
    for path in (tmp_path / "rrd").iterdir():
        path.unlink()
    (tmp_path / "rrd").rmdir()
    sink.process_batch(part(20, 60))
    assert len(list((tmp_path / "rrd").iterdir())) == 13


@pytest.mark.parametrize("content", [b"", b"hello", b"RRD\x000003\x00" + bytes(50), b"x" * 5000])
def test_a_file_that_is_none_stops(content: bytes, direct: Opened, tmp_path: Path) -> None:
    """A file of something else, or one that is cut off, stops the sink and is named."""
    (tmp_path / "rrd").mkdir()
    file_of(tmp_path).write_bytes(content)
    with pytest.raises(Stop, match=f"{re.escape(str(file_of(tmp_path)))} is damaged, or no RRD file .* move it away"):
        direct(dir=tmp_path / "rrd").process_batch(part(0, 20))


def test_a_file_that_was_cut_off_stops(direct: Opened, tmp_path: Path) -> None:
    """So does a file of which the end is missing."""
    direct(dir=tmp_path / "rrd").process_batch(part(0, 20))
    file_of(tmp_path).write_bytes(file_of(tmp_path).read_bytes()[:-5000])
    with pytest.raises(Stop, match="is damaged"):
        direct(dir=tmp_path / "rrd").process_batch(part(0, 40))


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["DS:a:GAUGE:20:U:U", "DS:b:GAUGE:20:U:U"], "has 2 data sources, so btmon did not make it"),
        (["DS:a:GAUGE:20:U:U"], "is of the type GAUGE, which btmon did not make; expected DERIVE or COUNTER"),
        (["DS:a:ABSOLUTE:20:U:U"], "is of the type ABSOLUTE"),
    ],
)
def test_a_file_of_another_program_stops(sources: list[str], message: str, direct: Opened, tmp_path: Path) -> None:
    """A file of this name that holds something else is not written."""
    (tmp_path / "rrd").mkdir()
    options = ["--step", "10", "--start", str(START - 1), *sources, "RRA:AVERAGE:0.5:1:10"]
    subprocess.run(["rrdtool", "create", str(file_of(tmp_path)), *options], check=True)
    before = file_of(tmp_path).read_bytes()
    with pytest.raises(Stop, match=message):
        direct(dir=tmp_path / "rrd").process_batch(part(0, 20))
    assert file_of(tmp_path).read_bytes() == before


def test_a_directory_that_cannot_be_made_stops(direct: Opened, tmp_path: Path) -> None:
    """Where a file is in the way of the directory, or of one above it, the sink says so."""
    (tmp_path / "rrd").write_text("")
    for directory in (tmp_path / "rrd", tmp_path / "rrd" / "house"):
        with pytest.raises(Stop, match=f"{re.escape(str(directory))} is no directory .*: correct `dir`"):
            direct(dir=directory)


def test_a_directory_of_a_disk_that_is_not_mounted_waits(direct: Opened, tmp_path: Path) -> None:
    """A directory that cannot be made now is waited for, and the message says which."""
    (tmp_path / "rrd").symlink_to(tmp_path / "nowhere")
    for directory in (tmp_path / "rrd", Path("/proc/nowhere")):
        with pytest.raises(Retry, match=f"the directory {re.escape(str(directory))} cannot be made .*mount its disk"):
            direct(dir=directory)


def test_values_in_the_future_are_reported(direct: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is ahead of its meter takes nothing: that is said once, with what helps."""
    sink = direct(dir=tmp_path / "rrd")
    sink.process_batch(part(0, 20))
    subprocess.run(["rrdtool", "update", str(file_of(tmp_path)), f"{START + 90_000}:25000"], check=True)
    sink.process_batch(part(20, 40))
    sink.process_batch(part(40, 60))
    (message,) = logged(caplog)
    assert message.startswith(f"{file_of(tmp_path)} has values until 14")
    assert "was a clock wrong? Until then nothing is stored; or move the file away" in message
    assert len(rates(file_of(tmp_path, "volts"))) == 58


def test_readings_that_come_too_slowly_are_reported(
    direct: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A meter that sends once a minute into files with a heartbeat of 20 s has no known value: that is said once."""
    slow = batch_of(readings_of_values([{"ch1_aws": 6000 * n} for n in range(10)], step=60))
    sink = direct(dir=tmp_path / "rrd")
    for sample in (*slow.samples, *slow.samples):
        sink.process_batch(Batch((), (sample,)))
    (message,) = logged(caplog)
    assert message.startswith("readings of meter 312345 are 60 s apart, and files have a heartbeat of 20 s")
    assert 'set heartbeat = "120s" for new files; for each that is there run rrdtool tune' in message
    assert rates(file_of(tmp_path)) == {}


def test_a_serial_number_is_no_path(direct: Opened, tmp_path: Path) -> None:
    """The name of a meter that looks like a path stays in the directory."""
    readings = [one.__class__(one.time, one.format, "../a b", b"", "", one.offset, numbers=one.numbers) for one in HOUR]
    direct(dir=tmp_path / "rrd").process_batch(batch_of(readings))
    assert {path.name for path in tmp_path.iterdir()} == {"rrd"}
    assert (tmp_path / "rrd" / "..%2Fa%20b_volts.rrd").exists()


def test_a_dry_run_writes_nothing(opened: Opened, tmp_path: Path) -> None:
    """A preview tells each file and its values, and makes none; it needs no binding."""
    sink = opened(dir=tmp_path / "rrd", dry_run=True)
    lines = list(sink.preview_batch(part(0, 4)))
    points = " ".join(f"{START + 10 * n}:{1000 * n}" for n in range(1, 4))
    assert f"{file_of(tmp_path)}: {points}" in lines
    assert list(tmp_path.iterdir()) == []


NO_BINDING = """
import importlib.util, logging, sys
from pathlib import Path
sys.modules["rrdtool"] = None
find = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "rrdtool" else find(name)
from btcore import Context, Delivery, Stop
from btmon_rrd.plugin import Rrd
print(Rrd.__doc__)
sink = Rrd(dir=Path("rrd"))
print(*(problem.message for problem in sink.check(Delivery())))
try:
    sink.open(Context("sink.test", logging.getLogger()))
except Stop as error:
    print(error)
print([problem.message for problem in Rrd(daemon="unix:/x").check(Delivery())])
"""


def test_a_missing_binding_is_told_with_the_line_that_helps() -> None:
    """Without the binding `plugins`, `check` and `run` say what to install, or that rrdcached needs none."""
    told = subprocess.run([sys.executable, "-c", NO_BINDING], check=True, capture_output=True, text=True).stdout
    listed, checked, stopped, daemon = told.splitlines()
    line = "apt install librrd-dev python3-dev gcc && pip install rrdtool"
    assert listed.startswith(
        "Stores readings in RRD files, one for each number of a meter, and reads them back; needs rrdcached"
    )
    expected = f"RRDtool's Python binding is not installed: {line}; or set `daemon`, such as "
    assert checked.startswith(expected)
    assert stopped.startswith(expected)
    assert line in listed
    assert line in README
    assert daemon == "[]"


def test_the_binding_is_imported_only_where_it_is_needed() -> None:
    """A plugin that is loaded and checked imports neither the binding nor what only an uploader needs."""
    code = "import sys; from btmon_rrd.plugin import Rrd; print('rrdtool' in sys.modules, 'requests' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert told == "False False\n"


@pytest.mark.parametrize(
    ("settings", "sizes"),
    [
        ("", "2.1 MB each: 161 MB for a GEM (77 files), 27 MB for an ECM-1240 (13 files)"),
        ("min_max = false", "0.7 MB each: 54 MB for a GEM (77 files), 9.1 MB"),
        ('archives = ["10s:4d", "1h:10y"]', "2.9 MB each"),
        ('archives = ["1:360"]\nmin_max = false', "0.0 MB each"),
        ('store = "power"', "94 MB for a GEM (45 files)"),
    ],
)
def test_the_sizes_that_follow_are_told(settings: str, sizes: str, tmp_path: Path) -> None:
    """`check` tells how big files become: 2.1 MB each and 161 MB a GEM with btmon's archives."""
    sink = configured(tmp_path, f"daemon = 'unix:/run/x'\n{settings}")
    (told,) = sink.notes()
    assert sizes in told


def test_a_file_is_as_big_as_was_told(direct: Opened, tmp_path: Path) -> None:
    """What `check` tells is the size on the disk."""
    sink = direct(dir=tmp_path / "rrd", archives=[])
    sink.process_batch(part(0, 3))
    assert file_of(tmp_path).stat().st_size == sink._layout().file_bytes == 2_087_992


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('step = "10.5s"', "step: .*expected whole seconds, at least 1s"),
        ("heartbeat = 0", "heartbeat: .*expected whole seconds"),
        ('daemon = "unix:rrdcached.sock"', 'expected "unix:/run/rrdcached.sock" or "host:port"'),
        ('daemon = "host:0"', "expected .* or"),
        ('daemon = "host:port"', "expected .* or"),
        ('archives = ["1m"]', "archives: expected STEPS:ROWS"),
        ('archives = ["1m:5"]', "archives: expected STEPS:ROWS"),
        ('archives = ["0:5"]', "archives: expected STEPS:ROWS"),
        ('archives = ["15s:1d"]', "a row of 15 s is not a multiple of the step, 10 s"),
        ('interval = "5m"', 'heartbeat: with interval = 300 s .* set heartbeat = "600s"'),
        ('store = "watts"', "store"),
        (f"daemon = '/x'\narchives = {['1:5'] * 300}", "archives: so many archives do not fit"),
    ],
)
def test_wrong_settings_are_told(table: str, message: str, tmp_path: Path) -> None:
    """Each mistake is told with its key and what was expected."""
    daemon = "" if "daemon" in table else "daemon = 'unix:/run/x'\n"
    with pytest.raises(ConfigurationError, match=message):
        sink_from_toml(tmp_path, f"[sink.rrd]\n{daemon}{table}\n")


def test_two_sinks_of_one_directory_are_a_mistake(tmp_path: Path) -> None:
    """Two tables that would write the same files are told."""
    table = "[sink.rrd]\ndaemon = '/x'\n[sink.again]\nuse = 'rrd'\ndaemon = '/x'\n"
    with pytest.raises(ConfigurationError, match=r"\[sink.again\] dir: .*counters files in"):
        sink_from_toml(tmp_path, table)


def test_a_source_of_its_own_sink_is_a_mistake(tmp_path: Path) -> None:
    """A directory is not read by the configuration that writes it: each reading would come again."""
    table = "[sink.rrd]\ndaemon = '/x'\n[source.old]\nuse = 'rrd'\n"
    with pytest.raises(ConfigurationError, match=r"dir: .*counters files in"):
        sink_from_toml(tmp_path, table)


def test_the_readme_shows_the_sample() -> None:
    """The README's sample is the file of that name, and it is a table that works."""
    assert (Path(__file__).parents[1] / "sample.toml").read_text("utf-8") in README


def test_the_sample_works(tmp_path: Path) -> None:
    """The sample, with each of its comments a setting, is a table that works."""
    sample = (Path(__file__).parents[1] / "sample.toml").read_text("utf-8")
    sink = sink_from_toml(tmp_path, re.sub(r"^# (?=\w+ = )", "", sample, flags=re.MULTILINE))
    assert isinstance(sink.instance, Rrd)
    assert sink.instance.daemon == "unix:/run/rrdcached.sock"
    assert float(sink.delivery.flush_interval) == 60


def test_a_relative_directory_is_beside_the_configuration(tmp_path: Path) -> None:
    """`dir` starts at the directory of the configuration."""
    assert configured(tmp_path, "daemon = '/x'").dir == tmp_path / "rrd"
