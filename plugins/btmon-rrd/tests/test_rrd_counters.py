# SPDX-License-Identifier: GPL-3.0-or-later
"""What files show where counters overflow, restart, are another meter's, or not known: no spike, nothing invented."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from helpers.golden_streams import recorded_readings
from helpers.rrd_files import START, batch_of, file_info, rates, readings_of_values, rrd_reading

from btcore import Batch, Number, Reading
from btmon_rrd.plugin import Rrd

Opened = Callable[..., Rrd]

TOP = 1 << 40

BTMON_STEPS = ("RRA:AVERAGE:0.5:1:100",)


def create_as_btmon(path: Path, label: str, kind: str) -> None:
    """Create a file as btmon made them: without a minimum."""
    path.parent.mkdir(exist_ok=True)
    options = ["--step", "10", "--start", str(START - 1), f"DS:{label}:{kind}:20:U:U", *BTMON_STEPS]
    subprocess.run(["rrdtool", "create", str(path), *options], check=True)


def update(path: Path, *points: tuple[int, int]) -> None:
    """Update a file, as another program does."""
    subprocess.run(["rrdtool", "update", str(path), *(f"{START + at}:{value}" for at, value in points)], check=True)


def rising(start: int, by: int, count: int, label: str = "ch1_aws", modulus: int = TOP) -> list[Mapping[str, Number]]:
    """Return the values of readings whose counter rises by so much each time, and overflows."""
    return [{label: (start + n * by) % modulus} for n in range(count)]


def stored(sink: Opened, folder: Path, readings: Sequence[Reading], label: str = "ch1_aws") -> dict[int, float]:
    """Store readings; return what the file of a label shows."""
    sink(dir=folder / "rrd").process_batch(batch_of(readings))
    return rates(folder / "rrd" / f"312345_{label}.rrd")


def test_power_is_shown(direct: Opened, tmp_path: Path) -> None:
    """A counter that rises by 1000 Ws in 10 s is shown as 100 W."""
    shown = stored(direct, tmp_path, readings_of_values(rising(0, 1000, 7)))
    assert shown == dict.fromkeys(range(20, 61, 10), pytest.approx(100))


@pytest.mark.parametrize("kind", ["DERIVE", "COUNTER", "new"])
@pytest.mark.parametrize("label", ["ch1_aws", "ch1_pws"])
def test_an_overflow_is_no_spike(kind: str, label: str, direct: Opened, tmp_path: Path) -> None:
    """A counter of 40 bits that overflows goes on in a new file and in btmon's: 100 W all the time."""
    path = tmp_path / "rrd" / f"312345_{label}.rrd"
    if kind != "new":
        create_as_btmon(path, label, kind)
    both = [{"ch1_aws": (TOP - 2500 + n * 1000) % TOP, "ch1_pws": (TOP - 2500 + n * 1000) % TOP} for n in range(7)]
    shown = stored(direct, tmp_path, readings_of_values(both), label)
    assert list(shown.values()) == [pytest.approx(100)] * len(shown)
    assert len(shown) == 5
    assert int(file_info(path)[f"ds[{label}].last_ds"]) == TOP + 3500


@pytest.mark.parametrize("kind", ["DERIVE", "COUNTER", "new"])
def test_a_reset_is_no_spike(kind: str, direct: Opened, tmp_path: Path) -> None:
    """A meter that restarts is shown with what it counted since, not with what its counter fell by."""
    path = tmp_path / "rrd" / "312345_ch1_aws.rrd"
    if kind != "new":
        create_as_btmon(path, "ch1_aws", kind)
    values = [*rising(10**9, 1000, 4), *({**one, "flag": 1} for one in rising(500, 1000, 4))]
    readings = readings_of_values(values)
    readings[4:] = [rrd_reading(40 + 10 * n, 5 + n, secs=5 + 10 * n, **one) for n, one in enumerate(values[4:])]
    shown = stored(direct, tmp_path, readings)
    assert shown == {20: 100, 30: 100, 40: pytest.approx(50), 50: 100, 60: 100, 70: 100}
    assert int(file_info(path)["ds[ch1_aws].last_ds"]) == 10**9 + 3000 + 3500


@pytest.mark.parametrize(
    "stream", ["ecm1240bin_energy_wrap", "ecm1240bin_reset", "gem48ptbin_energy_wrap", "gem48pbin_reset"]
)
def test_no_file_shows_a_spike(stream: str, direct: Opened, tmp_path: Path) -> None:
    """In the recorded streams with overflows and resets no file of a counter shows less than 0, or more than 25 kW."""
    direct(dir=tmp_path / "rrd", min_max=False).process_batch(batch_of(recorded_readings(stream)))
    shown = {path.stem: value for path in (tmp_path / "rrd").glob("*ws.rrd") for value in rates(path).values()}
    assert shown
    assert {name: value for name, value in shown.items() if not 0 <= value < 25_000} == {}


def test_a_file_of_btmon_goes_on(direct: Opened, tmp_path: Path) -> None:
    """A file that btmon left two readings ago is continued: from the first sample on its power is there."""
    path = tmp_path / "rrd" / "312345_ch1_pws.rrd"
    create_as_btmon(path, "ch1_pws", "COUNTER")
    update(path, (10, 1000), (20, 2000), (30, 3000))
    values = [{"ch1_aws": 1000 * n, "ch1_pws": 1000 * n} for n in range(8)]
    direct(dir=tmp_path / "rrd").process_batch(batch_of(readings_of_values(values)[3:]))
    assert rates(path) == dict.fromkeys(range(20, 71, 10), pytest.approx(100))
    info = file_info(path)
    assert (info["ds[ch1_pws].type"], info["rra[0].rows"]) == ("COUNTER", "100")


def test_a_lost_journal_is_no_spike(direct: Opened, tmp_path: Path) -> None:
    """Where the lifetime counter begins anew, as a lost journal makes it, a file that is ahead goes on from its own."""
    path = tmp_path / "rrd" / "312345_ch1_aws.rrd"
    create_as_btmon(path, "ch1_aws", "COUNTER")
    update(path, (10, TOP + 1000), (20, TOP + 2000))  # as after an overflow
    shown = stored(direct, tmp_path, readings_of_values(rising(0, 1000, 7))[2:])
    assert shown == dict.fromkeys(range(20, 61, 10), pytest.approx(100))


def test_another_meter_is_no_spike(direct: Opened, tmp_path: Path) -> None:
    """A file whose counter is far behind, as of another meter, does not show the difference as energy."""
    path = tmp_path / "rrd" / "312345_ch1_aws.rrd"
    create_as_btmon(path, "ch1_aws", "DERIVE")
    update(path, (10, 1000), (20, 2000))
    shown = stored(direct, tmp_path, readings_of_values(rising(TOP // 2, 1000, 7))[2:])
    assert shown == dict.fromkeys(range(20, 61, 10), pytest.approx(100))


def test_a_time_of_which_nothing_is_known_is_unknown(direct: Opened, tmp_path: Path) -> None:
    """Between a file's last value and the first sample of what comes next, power is unknown, not low."""
    sink = direct(dir=tmp_path / "rrd")
    readings = readings_of_values(rising(0, 1000, 12), step=5)
    sink.process_batch(batch_of(readings[:6]))
    sink.process_batch(batch_of(readings[7:]))  # the reading between had no sample
    shown = rates(tmp_path / "rrd" / "312345_ch1_aws.rrd")
    assert shown == {10: 200, 20: 200, 30: 200, 50: 200}  # of the step that ends at 40 nothing is known


def test_a_gap_beyond_the_heartbeat_is_unknown(direct: Opened, tmp_path: Path) -> None:
    """After a silence longer than the heartbeat the time of it is unknown, and what comes after it is shown."""
    values = rising(0, 1000, 20)
    readings = readings_of_values(values)
    shown = stored(direct, tmp_path, readings[:5] + readings[12:])
    assert sorted(shown) == [20, 30, 40, 130, 140, 150, 160, 170, 180, 190]


def test_the_energy_of_a_day_is_what_was_counted(direct: Opened, tmp_path: Path) -> None:
    """However the readings fall, the mean of all steps is the energy over the time."""
    rises = [37, 4000, 0, 12_345, 999, 1, 8000, 250, 0, 700, 31, 5]
    counters = [sum(rises[: n + 1]) for n in range(len(rises))]
    shown = stored(direct, tmp_path, readings_of_values([{"ch1_aws": one} for one in counters]))
    assert sum(shown.values()) * 10 == pytest.approx(sum(rises[2:]))


def test_power_can_be_stored(direct: Opened, tmp_path: Path) -> None:
    """With `store = "power"` there is a file of net W for each channel, and none of counters."""
    values = [{"ch1_aws": 1000 * n, "ch1_pws": 250 * n, "aux1_ws": 50 * n} for n in range(5)]
    direct(dir=tmp_path / "rrd", store="power").process_batch(batch_of(readings_of_values(values)))
    names = {path.stem.removeprefix("312345_") for path in (tmp_path / "rrd").iterdir()}
    channels = {f"{name}_w" for name in ("ch1", "ch2", "aux1", "aux2", "aux3", "aux4", "aux5")}
    assert names == channels | {"volts", "ch1_a", "ch2_a", "aux5_volts"}
    assert set(rates(tmp_path / "rrd" / "312345_ch1_w.rrd").values()) == {50.0}
    assert set(rates(tmp_path / "rrd" / "312345_aux1_w.rrd").values()) == {5.0}


def test_a_restart_does_not_make_power(direct: Opened, tmp_path: Path) -> None:
    """With `store = "power"` the interval in which a meter restarted is unknown."""
    readings = readings_of_values(rising(10**9, 1000, 4))
    readings += [rrd_reading(40 + 10 * n, 5 + n, secs=5 + 10 * n, flag=1, ch1_aws=500 + n * 1000) for n in range(3)]
    direct(dir=tmp_path / "rrd", store="power").process_batch(batch_of(readings))
    shown = rates(tmp_path / "rrd" / "312345_ch1_w.rrd")
    assert shown == {20: 100, 30: 100, 50: 100, 60: 100}


def test_two_readings_in_a_second_are_one_value(direct: Opened, tmp_path: Path) -> None:
    """RRDtool counts whole seconds: of two readings in one, the later counts, and no energy is lost."""
    readings = [
        rrd_reading(at, number, secs=5000 + int(at * 2), ch1_aws=int(at * 100))
        for number, at in enumerate([0, 10, 20, 20.5, 30, 30.5, 40, 50], 1)
    ]
    sink = direct(dir=tmp_path / "rrd")
    batch = batch_of(readings)
    sink.process_batch(batch)
    shown = rates(tmp_path / "rrd" / "312345_ch1_aws.rrd")
    assert sum(shown.values()) * 10 == pytest.approx(4000, abs=60)
    assert file_info(tmp_path / "rrd" / "312345_ch1_aws.rrd")["ds[ch1_aws].last_ds"] == "5000"


def test_a_channel_beyond_32_has_a_file_once_it_counts(direct: Opened, tmp_path: Path) -> None:
    """A GEM's channels 33 to 48 have files from when they count; an idle one has none."""
    form = "gem48ptbin"
    readings = [rrd_reading(10 * n, n + 1, "01021234", form, ch40_aws=max(n - 3, 0) * 500) for n in range(8)]
    sink = direct(dir=tmp_path / "rrd")
    sink.process_batch(batch_of(readings[:3]))
    assert not (tmp_path / "rrd" / "01021234_ch40_aws.rrd").exists()
    sink.process_batch(Batch(tuple(readings), batch_of(readings).samples[2:]))
    assert (tmp_path / "rrd" / "01021234_ch40_aws.rrd").exists()
    assert not (tmp_path / "rrd" / "01021234_ch41_aws.rrd").exists()
    assert set(rates(tmp_path / "rrd" / "01021234_ch40_aws.rrd").values()) <= {0.0, 50.0}
