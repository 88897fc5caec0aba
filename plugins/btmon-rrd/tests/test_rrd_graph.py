# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore graph`: what it draws, of which files, and what it says where it cannot."""

import logging
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
import tomli
from helpers.needed import need
from helpers.png_pixels import pixels
from helpers.rrd_files import START, batch_of, rrd_reading
from servers.rrdcached import BINDING_MISSING

from btcore import Context, Duration, Number, Reading
from btcore.cli import CONFIGURATION, OK, UNAVAILABLE, USAGE, main
from btmon_rrd import render
from btmon_rrd.curves import Curve, Directory, channel_of, curves_of, select
from btmon_rrd.panels import Total, View, loads
from btmon_rrd.plugin import Rrd
from btmon_rrd.png import read_picture
from btmon_rrd.sheet import is_mains, measured, sheet
from btmon_rrd.theme import THEMES

Opened = Callable[..., Rrd]

SERIAL = "01021234"
MINUTES = 180
BEGIN, END = str(START + 60), str(START + 60 * MINUTES)
CHANNELS = {
    f"{SERIAL}_ch1": "mains",
    f"{SERIAL}_ch2": "sun: roof",
    f"{SERIAL}_ch4": "tea & coffee",
    f"{SERIAL}_t1": "out",
}

VIEW = View(BEGIN, END, 1000, THEMES["light"])


def house(minute: int) -> dict[str, Number]:
    """Return the values of a house: the grid both ways, the sun, and two loads, of which one is quick."""
    drawn = {"ch3": 500 * 60 * minute, "ch4": 2000 * 60 * (minute // 10)}
    sun = 1500 * 60 * max(minute - 60, 0)
    bought, sold = 500 * 60 * min(minute, 60) + 300 * 60 * (minute // 10), 900 * 60 * max(minute - 60, 0)
    counters = {"ch1": (bought + sold, sold), "ch2": (sun, sun), **{name: (one, 0) for name, one in drawn.items()}}
    values: dict[str, Number] = {"volts": 121.0, "t1": 20.0 + minute % 5, "t2": None, "p1": minute * 3}
    for name, (absolute, polarized) in counters.items():
        values |= {f"{name}_aws": absolute, f"{name}_pws": polarized}
    return values


def readings() -> list[Reading]:
    """Return the readings of three hours."""
    return [rrd_reading(60 * n, n + 1, SERIAL, "gem48ptbin", **house(n)) for n in range(MINUTES + 1)]


@pytest.fixture(scope="module", name="files")
def files_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of three hours of a house."""
    need(BINDING_MISSING)
    folder = tmp_path_factory.mktemp("house") / "rrd"
    store(folder)
    return folder


def store(folder: Path) -> None:
    """Store the house in files of one-minute steps."""
    sink = Rrd(dir=folder, step=Duration(60), min_max=False, archives=["1:400"])
    sink.open(Context("sink.rrd", logging.getLogger("sink.rrd")))
    sink.process_batch(batch_of(readings()))
    sink.close()


@pytest.fixture(name="site")
def site_fixture(files: Path, tmp_path: Path) -> Path:
    """Return a configuration with the house's files."""
    site = tmp_path / "site.toml"
    names = "\n".join(f'"{channel}" = "{name}"' for channel, name in CHANNELS.items())
    site.write_text(f'[source.simulator]\n[sink.rrd]\ndir = "{files}"\n[channels]\n{names}\n')
    return site


def graph(site: Path, *words: str) -> int:
    """Run `btcore graph` over the three hours."""
    return main(["graph", *words, "--config", str(site), "--from", BEGIN, "--to", END])


def by_name(files: Path) -> dict[str, Curve]:
    """Return the curves of the house, by name."""
    return {one.name: one for one in curves_of(Directory(files), CHANNELS)}


def titles(panels: list[list[str]]) -> list[str]:
    """Return the titles of panels."""
    return [arguments[arguments.index("--title") + 1].partition("  ·  ")[0] for arguments in panels]


def totals(files: Path, **directory: str) -> dict[str, Total]:
    """Return what the channels of the house used, by name."""
    where = Directory(files, **directory)  # type: ignore[arg-type]
    curves = [one for one in curves_of(where, CHANNELS) if one.quantity == "power"]
    return {one.curve.name: one for one in measured(curves, VIEW, where)}


def test_a_house_is_on_one_sheet(site: Path, tmp_path: Path) -> None:
    """Without a channel the picture has all that a house has, as wide as is asked for."""
    assert graph(site, "-o", str(tmp_path / "house.png"), "--size", "1000x200") == OK
    picture = read_picture((tmp_path / "house.png").read_bytes())
    assert picture.width == 1000
    assert 900 < picture.height < 2000
    assert len(set(picture.rows)) > 20


def test_the_panels_of_a_house(files: Path) -> None:
    """A house with a roof has power both ways, consumption, energy, temperature and voltage."""
    curves = [one for one in by_name(files).values() if one.quantity in ("power", "temperature", "volts")]
    found = sheet(curves, VIEW, Directory(files), 200)
    assert titles(found) == ["Power", "Consumption", "Energy of each hour", "Temperature", "Voltage"]
    power, consumption, energy, temperature, _ = (" ".join(arguments) for arguments in found)
    assert "mains: import" in power.replace("\\", "")
    assert "mains: export" in power.replace("\\", "")
    assert "sun: roof: generation" in power.replace("\\", "")
    assert power.index("--title") < power.index("Tuesday, 14 November 2023")
    assert "tea & coffee" in consumption
    assert "mains" not in consumption
    assert "generation" in energy
    assert "out" in temperature


def test_energy_is_what_was_counted(files: Path) -> None:
    """Import and export of a channel are those of its counters, whichever way they are stored."""
    first, last = house(1), house(MINUTES)
    risen = {label: (int(last[label] or 0) - int(first[label] or 0)) / 3600 for label in last if label.endswith("ws")}
    found = totals(files)
    assert found["mains"].bought == pytest.approx(risen["ch1_aws"] - risen["ch1_pws"], rel=0.02)
    assert found["mains"].sold == pytest.approx(risen["ch1_pws"], rel=0.02)
    assert found["sun: roof"].sold == pytest.approx(risen["ch2_pws"], rel=0.02)
    assert (found["sun: roof"].only_exports, found["mains"].only_exports) == (True, False)
    assert (found["mains"].exports, found["tea & coffee"].exports) == (True, False)
    assert found["ch5"].bought == 0


def test_a_bar_is_a_day_of_the_owners(files: Path, set_zone: Callable[[str], None]) -> None:
    """Where midnight is within the three hours, each day's bar has what was counted on its side of it."""
    set_zone("Etc/GMT-1")  # an hour ahead of UTC: midnight is 46 minutes and 40 seconds after the first reading
    midnight = 47  # the first minute that ends after it; RRDtool's own end 20 seconds earlier
    first, between, last = house(1), house(midnight), house(MINUTES)
    view = View(str(START - 5 * 86_400), END, 1000, THEMES["light"])
    panels = sheet(select([*by_name(files).values()], ["ch3"]), view, Directory(files), 200)
    assert titles(panels) == ["Power", "Energy of each day"]
    (steps,) = (one for one in panels[1] if one.startswith("CDEF:in="))
    drawn = [float(one) for one in re.findall(r"\*,(-?[\d.]+)", steps)]
    ends = [int(one["ch3_aws"] or 0) / 3.6e6 for one in (first, between, last)]
    counted = [ends[1] - ends[0], ends[2] - ends[1]]
    assert not any(drawn[:-2])
    assert drawn[-2:] == pytest.approx(counted, rel=0.001)
    assert sum(drawn) == pytest.approx(sum(counted), rel=0.01)


@pytest.mark.parametrize("size", ["400x80", "800x80"])
@pytest.mark.parametrize("end", [-1000, 0, 10, 20, 400])
def test_no_label_is_cut_off(size: str, end: int, site: Path, tmp_path: Path) -> None:
    """Wherever a time ends, near a full hour or not, nothing is drawn at the right edge of the sheet."""
    full_hour = START + 2 * 3600 - START % 3600
    words = ["--from", str(full_hour - 6000), "--to", str(full_hour + end), "-o", str(tmp_path / "one.png")]
    assert main(["graph", "volts", *words, "--config", str(site), "--size", size]) == OK
    rows = list(pixels(read_picture((tmp_path / "one.png").read_bytes())))
    assert {row[-1] for row in rows} == {rows[0][0]}


@pytest.mark.parametrize("theme", THEMES)
def test_a_narrow_sheet_has_its_numbers_beside_the_names(theme: str, site: Path, tmp_path: Path) -> None:
    """At the smallest width a line of numbers ends before the edge, in each theme."""
    assert graph(site, "volts", "--size", "400x80", "--theme", theme, "-o", str(tmp_path / "one.png")) == OK
    rows = list(pixels(read_picture((tmp_path / "one.png").read_bytes())))
    assert {row[-1] for row in rows} == {rows[0][0]}


@pytest.mark.parametrize("polarity", ["brultech", "btmon"])
def test_stored_power_is_drawn_the_same_way(polarity: str, tmp_path: Path, direct: Opened) -> None:
    """Files of power, in either sign, show import as import."""
    sink = direct(dir=tmp_path / "rrd", step=60, min_max=False, archives=["1:400"], store="power")
    sink.process_batch(batch_of(readings()))
    found = totals(tmp_path / "rrd", stored="power", polarity=polarity)
    flows = (found["sun: roof"].bought, found["sun: roof"].sold)
    assert flows == pytest.approx((0, 3000) if polarity == "brultech" else (3000, 0), rel=0.02)


def test_days_are_bars_of_a_longer_time(files: Path) -> None:
    """More than three days have a bar for each day, fewer one for each hour."""
    for days, title in ((3, "Energy of each hour"), (4, "Energy of each day")):
        view = View(str(START - 86_400 * days + 60 * MINUTES), END, 1000, THEMES["dark"])
        assert title in titles(sheet([*by_name(files).values()], view, Directory(files), 200))


def test_a_short_time_is_drawn_without_bars(site: Path, tmp_path: Path) -> None:
    """Of a few minutes there is power, and no energy of each hour."""
    times = ["--from", str(START + 3600), "--to", str(START + 4200)]
    assert main(["graph", "-o", str(tmp_path / "one.png"), "--config", str(site), *times]) == OK
    view = View(times[1], times[3], 1000, THEMES["light"])
    curves = [*by_name(Path(tomli.loads(site.read_text())["sink"]["rrd"]["dir"])).values()]
    found = titles(sheet(curves, view, Directory(Path()), 200))
    assert found[:2] == ["Power", "Consumption"]
    assert "Energy of each hour" not in found


def test_a_house_without_export_is_not_counted_twice(files: Path) -> None:
    """Where one channel feeds all others it has a panel of its own; a large load is no such channel."""
    found = totals(files)
    load, base = found["tea & coffee"], found["ch3"]
    assert not is_mains([load, base, found["mains"]], VIEW, Directory(files))
    mains = Total(Curve(SERIAL, "ch1", "all", "power", load.curve.files), 900, 0, 2000)
    idle = [Total(found[f"ch{n}"].curve, 1, 0, 1) for n in (5, 6)]
    assert is_mains([mains, *idle], VIEW, Directory(files))
    assert not is_mains([mains, idle[0]], VIEW, Directory(files))


def test_the_smallest_of_many_loads_are_one() -> None:
    """More loads than there are colours are drawn with the sum of the smallest, none left out."""
    many = [
        Total(Curve("1", f"ch{n}", f"load {n}", "power", {f"ch{n}_ws": Path("x")}), 100 - n, 0, 9) for n in range(30)
    ]
    text = " ".join(loads(many, VIEW, Directory(Path()), 200, "Consumption"))
    assert "20 others" in text
    assert "load 9 " in text
    assert "load 10 " not in text
    assert "DEF:ws29=" in text


@pytest.mark.parametrize(
    ("words", "panels"),
    [
        (("tea & coffee",), ["Power", "Energy of each hour"]),
        (("out", "volts"), ["Temperature", "Voltage"]),
        (("ch2", f"{SERIAL}_p1"), ["Power", "Energy of each hour", "Pulses a second"]),
    ],
)
def test_channels_are_chosen_by_any_of_their_names(words: tuple[str, ...], panels: list[str], files: Path) -> None:
    """A name of [channels], `ch2`, or SERIAL_CHANNEL choose what is drawn."""
    assert titles(sheet(select([*by_name(files).values()], words), VIEW, Directory(files), 200)) == panels


def test_relative_times_are_values(site: Path, tmp_path: Path) -> None:
    """`--from -1d` and `--to -6h` are not taken for options."""
    words = ["graph", "volts", "--from", "-1d", "--to", "-6h", "-o", str(tmp_path / "one.png"), "--config", str(site)]
    assert main(words) == OK
    assert (tmp_path / "one.png").exists()


def test_an_iso_time_is_a_time(site: Path, tmp_path: Path) -> None:
    """A time may be written as in ISO 8601, with its zone."""
    begin = datetime.fromtimestamp(START, UTC).isoformat()
    words = ["graph", "--from", begin, "--to", END, "-o", str(tmp_path / "one.png"), "--config", str(site)]
    assert main(words) == OK


def test_a_picture_can_go_to_standard_output(site: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """`-o -` writes the picture, and nothing else."""
    assert graph(site, "volts", "-o", "-") == OK
    sys.stdout.flush()
    assert read_picture(capfdbinary.readouterr().out).width == 1200


def test_the_program_draws_where_the_binding_is_missing(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without RRDtool's binding its program draws the same picture."""
    assert graph(site, "-o", str(tmp_path / "one.png")) == OK
    monkeypatch.setattr(render, "has_binding", lambda: False)
    assert graph(site, "-o", str(tmp_path / "other.png")) == OK
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "other.png").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("attic",), 'there is no channel "attic" in these files; there are mains, sun: roof'),
        (("-o", "/nowhere/x.png"), "cannot write /nowhere/x.png: No such file or directory"),
        (("--theme", "light", "ch9"), "these channels measured nothing in this time"),
    ],
)
def test_what_cannot_be_drawn_is_told(
    words: tuple[str, ...], message: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, with what there is."""
    assert graph(site, *words) == UNAVAILABLE
    error = capsys.readouterr().err
    assert error.startswith(f"btcore: {message}")
    assert error.count("\n") == 1


@pytest.mark.parametrize("by_program", [False, True])
def test_a_wrong_time_is_told(
    by_program: bool, site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A time that RRDtool cannot read is told with its reason."""
    if by_program:
        monkeypatch.setattr(render, "has_binding", lambda: False)
    assert main(["graph", "--from", "yesterdayish", "--config", str(site)]) == UNAVAILABLE
    assert capsys.readouterr().err.startswith("btcore: RRDtool cannot draw this: start time: ")


@pytest.mark.parametrize("by_program", [False, True])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--from", "now", "--to", "-1d"), "the end of the picture is not after its beginning: --from must be earlier"),
        (("--from", "0001-01-01"), "--from 0001-01-01: expected a time after 1980, where RRDtool begins"),
        (("--to", "9999-12-31"), "--to 9999-12-31: expected a time after 1980"),
        (("-o", ""), 'cannot write "": Is a directory'),
    ],
)
def test_a_time_that_cannot_be_is_told(
    *,
    words: tuple[str, ...],
    message: str,
    by_program: bool,
    site: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A time that ends before it begins, or is no time of RRDtool's, is told by the options that say it."""
    if by_program:
        monkeypatch.setattr(render, "has_binding", lambda: False)
    usual = ["--from", BEGIN, "--to", END, "-o", str(tmp_path / "house.png")]
    assert main(["graph", "--config", str(site), *usual, *words]) == UNAVAILABLE
    error = capsys.readouterr().err
    assert error.startswith(f"btcore: {message}")
    assert error.count("\n") == 1


@pytest.mark.parametrize("damage", ["truncated", "empty", "directory", "link", "foreign"])
def test_a_damaged_file_is_left_out_of_the_house(
    damage: str, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that RRDtool cannot read costs its own channel alone, and its name is told; asked for, it is an error."""
    shutil.copytree(files, tmp_path / "rrd", ignore=shutil.ignore_patterns("*_t1.rrd"))
    file = tmp_path / "rrd" / f"{SERIAL}_t1.rrd"
    if damage == "directory":
        file.mkdir()
    elif damage == "link":
        file.symlink_to("/nowhere/t1.rrd")
    else:
        other = {"truncated": files / file.name, "foreign": files / f"{SERIAL}_volts.rrd"}.get(damage)
        file.write_bytes(other.read_bytes()[: 1000 if damage == "truncated" else None] if other else b"")
    site = tmp_path / "site.toml"
    site.write_text("[source.simulator]\n[sink.rrd]\ndir = 'rrd'\n")
    assert graph(site, "-o", str(tmp_path / "house.png")) == OK
    left_out = f"btcore: left out: {file} cannot be read ("
    error = capsys.readouterr().err
    assert error.startswith(left_out)
    assert error.count("\n") == 1
    assert graph(site, "t1") == UNAVAILABLE
    assert capsys.readouterr().err.startswith(f"btcore: {file} cannot be read (")


def test_without_rrdtool_the_line_that_helps_is_told(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is neither binding nor program, that is said."""
    monkeypatch.setattr(render, "has_binding", lambda: False)
    monkeypatch.setenv("PATH", "/nowhere")
    assert graph(site) == UNAVAILABLE
    assert capsys.readouterr().err == "btcore: RRDtool draws the graphs, and is not installed: apt install rrdtool\n"


@pytest.mark.parametrize("size", ["3", "100x100", "9000x300", "1200x", "axb"])
def test_a_wrong_size_is_told(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A size that is none, or too small or large, is a mistake in the usage."""
    with pytest.raises(SystemExit) as caught:
        main(["graph", "--size", size])
    assert caught.value.code == USAGE
    assert f"expected WIDTHxHEIGHT, such as 1200x300, found {size}" in capsys.readouterr().err


SINKS: Mapping[str, tuple[str, int, str]] = {
    "none": ("[sink.print]", UNAVAILABLE, "has no sink that stores RRD files"),
    "empty": ("[sink.rrd]\ndir = 'empty'", UNAVAILABLE, "has no RRD files: is that the `dir` of the sink"),
    "wrong": ("[sink.rrd]\nstep = 0", CONFIGURATION, "expected whole seconds"),
}


@pytest.mark.parametrize("name", SINKS)
def test_a_configuration_without_files_is_told(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the configuration names no files, or wrong ones, that is said."""
    table, code, message = SINKS[name]
    (tmp_path / "site.toml").write_text(f"[source.simulator]\n{table}\n")
    assert graph(tmp_path / "site.toml") == code
    assert message in capsys.readouterr().err


def test_of_two_sinks_one_is_named(site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With two sinks of RRD files `--sink` says which is drawn."""
    site.write_text(site.read_text() + "[sink.other]\nuse = 'rrd'\n")
    with pytest.raises(SystemExit):
        graph(site)
    assert "expected --sink with the one whose files are drawn: sink.rrd or sink.other" in capsys.readouterr().err
    assert graph(site, "--sink", "rrd", "-o", str(tmp_path / "one.png")) == OK


def test_files_of_other_names_are_left_out(tmp_path: Path) -> None:
    """A file whose name is not SERIAL_LABEL.rrd shows nothing."""
    for name in ("notes.rrd", "312345_volts.rrd", "other.txt", "a%2Fb_ch1_ws.rrd"):
        (tmp_path / name).touch()
    assert [one.key for one in curves_of(Directory(tmp_path), {})] == ["312345_volts", "a/b_ch1"]
    assert [channel_of(one) for one in ("ch1_aws", "aux2_ws", "ch1_a", "t1", "p1")] == [
        "ch1",
        "aux2",
        "ch1_a",
        "t1",
        "p1",
    ]
