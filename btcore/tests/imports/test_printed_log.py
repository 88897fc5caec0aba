# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs that btmon printed: each reading comes back, with the energy that the log has, in whichever sign."""

import json
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from helpers.folders import GOLDEN
from helpers.golden_streams import recorded_readings
from hypothesis import given
from hypothesis import strategies as st

from btcore import Reading
from btcore.imports.energies import EnergyCounters
from btcore.imports.options import ImportOptions
from btcore.imports.printed_log import is_printed_log, read_printed_log

UTC = ZoneInfo("UTC")
LOGS = sorted(path.stem for path in (GOLDEN / "print").glob("*.json"))
ROUNDING = 4
"""Ws: a millionth of a kWh is 3.6; what either direction is rounded to adds up."""


def golden_log(name: str) -> Mapping[str, Any]:
    """Return what btmon printed of a recorded stream."""
    found: Mapping[str, Any] = json.loads((GOLDEN / "print" / f"{name}.json").read_text())
    return found


def options_of(log: Mapping[str, Any]) -> ImportOptions:
    """Return what is to be said of such a log: the zone that it was printed in, and the sign."""
    return ImportOptions(zone=ZoneInfo(log["tz"]), polarity="brultech" if log["reverse_polarity"] else "btmon")


def read(text: str, options: ImportOptions) -> tuple[list[Reading], list[tuple[int, str]]]:
    """Read a log; return its readings and what was wrong with it."""
    wrong: list[tuple[int, str]] = []
    lines = list(enumerate(text.split("\n"), 1))
    return list(read_printed_log(lines, options, EnergyCounters(), lambda *one: wrong.append(one))), wrong


@pytest.mark.parametrize("name", LOGS)
def test_each_printed_reading_is_one(name: str) -> None:
    """Serial number and time are the meter's; volts, sensors and reset count are as printed; net energy is exact."""
    log = golden_log(name)
    assert is_printed_log(log["stdout"])
    found, wrong = read(log["stdout"], options_of(log))
    sent = {(one.serial, one.time.replace(microsecond=0)): one for one in recorded_readings(log["input"]["stream"])}
    assert wrong == []
    assert len(found) == log["stdout"].count("Serial:")
    for reading in found:
        packet = sent[reading.serial, reading.time]
        assert reading.get("volts") == packet.get("volts")
        for label in ("flag", "p1", "p4", "t1"):
            expected = packet.get(label) if label != "flag" else int(packet.get(label) or 0) & packet.format.reset_mask
            assert (reading.get(label) or 0) == (expected or 0)
        for channel in packet.format.channels[:32]:
            assert net(reading, channel.name) == pytest.approx(net(packet, channel.name), abs=ROUNDING)


def net(reading: Reading, channel: str) -> float:
    """Return the net energy of a channel, in Ws: import is positive."""
    if channel.startswith("aux"):
        return float(reading.get(f"{channel}_ws") or 0)
    return float(reading.get(f"{channel}_aws") or 0) - 2 * float(reading.get(f"{channel}_pws") or 0)


@pytest.mark.parametrize("polarity", ["default", "reverse_polarity"])
def test_an_ecm_has_both_directions(polarity: str) -> None:
    """Both counters of each channel of an ECM come back, whichever sign it was printed in."""
    log = golden_log(f"ecm1240bin_steady.{polarity}")
    found, _ = read(log["stdout"], options_of(log))
    sent = recorded_readings("ecm1240bin_steady")[1:]
    assert [one.format.name for one in found] == ["ecm1240bin"] * len(sent)
    for label in ("ch1_aws", "ch1_pws", "ch2_aws", "ch2_pws", "aux1_ws", "aux5_ws", "ch1_a"):
        assert [one.get(label) for one in found] == pytest.approx([one.get(label) for one in sent], abs=ROUNDING)


def test_amperes_of_a_gem_come_back_where_they_were_printed() -> None:
    """With btmon's include_current each channel has its current; without, it has none."""
    log = golden_log("gem48pbin_steady.include_current")
    found, _ = read(log["stdout"], options_of(log))
    assert found[0].get("ch1_a") == 18.04
    log = golden_log("gem48pbin_steady.default")
    assert read(log["stdout"], options_of(log))[0][0].get("ch1_a") is None


def test_a_counter_never_falls() -> None:
    """Where a channel of a GEM exports and imports, its counters rise with either."""
    blocks = [
        f"2026/01/01 00:00:{second:02d}: Serial: 01000777\n2026/01/01 00:00:{second:02d}: Voltage: 120.00V\n"
        f"2026/01/01 00:00:{second:02d}: Ch01: {kwh:.6f}KWh ( 5W)\n"
        for second, kwh in ((0, 5.0), (10, 5.001), (20, 4.999), (30, 5.0))
    ]
    found, _ = read("\n".join(blocks), ImportOptions(zone=UTC))
    counters = [(one.get("ch1_aws"), one.get("ch1_pws")) for one in found]
    assert counters == [(18_000_000, 0), (18_003_600, 0), (18_010_800, 7200), (18_014_400, 7200)]


def test_what_was_cut_off_is_told_and_costs_only_itself() -> None:
    """A block without its end is not taken, and the line at which it begins is named; log lines are passed over."""
    text = (
        "2026/01/01 00:00:00 device type: gem\n"
        "2026/01/01 00:00:00: Serial: 01000777\n"
        "2026/01/01 00:00:05 SOCKET: bind host: 127.0.0.1\n"
        "2026/01/01 00:00:10: Serial: 01000777\n2026/01/01 00:00:10: Voltage: 120.00V\n"
    )
    found, wrong = read(text, ImportOptions(zone=UTC))
    assert [one.time.second for one in found] == [10]
    assert wrong == [(2, "a reading without its voltage: it was cut off, or is not of an ECM or a GEM")]


def test_a_channel_with_a_name_is_found_by_it() -> None:
    """The sink `print` prints the name of a channel in place of its number."""
    lines = ("Serial: 1", "Voltage: 1.00V", "heat: pump:  1.000000KWh (    ?W)")
    found, _ = read(
        "\n".join(f"2026/01/01 00:00:00: {line}" for line in lines),
        ImportOptions(zone=UTC, names={("1", "heat: pump"): "ch7"}),
    )
    assert found[0].get("ch7_aws") == 3_600_000


@given(st.lists(st.text(alphabet="2026/01 :SerialVotgCh.KW()A-?\n123", max_size=60), max_size=20))
def test_no_text_is_too_strange(parts: list[str]) -> None:
    """Whatever is in a log, readings or reports come of it, and no exception."""
    text = "\n".join(f"2026/01/01 00:00:00: {part}" for part in parts)
    read(f"2026/01/01 00:00:00: Serial: 1\n{text}", ImportOptions(zone=UTC))
