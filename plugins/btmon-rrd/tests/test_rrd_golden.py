# SPDX-License-Identifier: GPL-3.0-or-later
"""Against btmon: the same files and updates, call for call, but for what it did wrong."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.folders import GOLDEN
from helpers.golden_streams import recorded_readings
from helpers.samplers import samples_between

from btcore import Batch
from btmon_rrd.direct import DirectStore
from btmon_rrd.plugin import Rrd

RECORDED = sorted((GOLDEN / "rrd").glob("*.json"))

Calls = dict[tuple[str, str], list[list[str]]]
"""By what is called and the file, the further arguments of each call."""


def load(name: str) -> dict[str, Any]:
    """Read a recording."""
    return json.loads((GOLDEN / "rrd" / f"{name}.json").read_text("utf-8"))  # type: ignore[no-any-return]


def flat(arguments: list[Any]) -> Iterator[str]:
    """Yield arguments, those of lists among them."""
    for one in arguments:
        yield from one if isinstance(one, list) else [one]


def recorded_calls(recording: dict[str, Any]) -> Calls:
    """Return what btmon called."""
    found: Calls = {}
    for each in recording["passes"]:
        for batch in each["batches"]:
            for name, file, *arguments in batch.get("calls", []):
                found.setdefault((name, Path(file).name), []).append(list(flat(arguments)))
    return found


@pytest.fixture
def called(direct: Callable[..., Rrd], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Calls]:
    """Store the stream of a recording in the two parts of it, with its options, and give what was called."""

    def store(name: str) -> Calls:
        recording, found = load(name), dict[tuple[str, str], list[list[str]]]()
        call = DirectStore._call

        def noted(self: DirectStore, what: str, path: str, *arguments: str) -> Any:  # noqa: ANN401 - the binding's
            if what != "info":
                rest = [one for one in arguments[1:] if one != "--no-overwrite"]
                found.setdefault((what, Path(path).name), []).append(rest)
            return call(self, what, path, *arguments)

        monkeypatch.setattr(DirectStore, "_call", noted)
        options = recording["options"]
        settings = {name: float(options[f"rrd_{name}"]) for name in ("step", "heartbeat") if f"rrd_{name}" in options}
        sink = direct(dir=tmp_path / "rrd", archives=[], polarity="btmon", **settings)
        readings = recorded_readings(recording["input"]["stream"])
        samples = samples_between(readings, "btmon")
        sink.process_batch(Batch(tuple(readings[:5]), tuple(samples[:4])))
        sink.process_batch(Batch(tuple(readings[5:]), tuple(samples[4:])))
        return found

    return store


def quirk(call: str, file: str, ours: str, btmon: str) -> str:
    """Name the quirk by which an argument differs from btmon's; empty where it does not."""
    if ours == btmon:
        return ""
    if call == "create":
        name = file.removesuffix(".rrd").partition("_")[2]
        counter = {f"DS:{name}:{kind}:20:U:U" for kind in ("DERIVE", "COUNTER")}
        return "G7" if btmon in counter and ours == f"DS:{name}:DERIVE:20:0:U" else "another argument"
    (at, value), (btmon_at, btmon_value) = ours.split(":"), btmon.split(":")
    if at != btmon_at:
        return "another time"
    if file.endswith("_p4.rrd"):
        return "G7" if int(value) == int(btmon_value) + (1 << 24) else "another count"
    if "_t" in file:
        return "B1" if float(btmon_value) == 0 and value in ("U", "0.000000") else "another temperature"
    return "another value"


@pytest.mark.parametrize("name", [path.stem for path in RECORDED if path.stem.endswith("defaults")])
def test_calls_are_those_of_btmon(name: str, called: Callable[[str], Calls]) -> None:
    """Each file is created and updated as btmon did, with the same arguments; what differs is a known quirk."""
    ours, btmon = called(name), recorded_calls(load(name))
    found = {
        quirk(*which, mine, theirs)
        for which, calls in btmon.items()
        if which in ours
        for our_arguments, arguments in zip(ours[which], calls, strict=True)
        for mine, theirs in zip(our_arguments, arguments, strict=True)
    }
    assert found <= {"", "G7", "B1"}
    further = {f"ch{n}" for n in range(33, 49)}  # the channels that btmon did not read, and that count something here
    assert {file.split("_")[1] for _, file in set(ours) - set(btmon)} in (set(), further)
    missing = {file for _, file in set(btmon) - set(ours)}
    assert missing == ({"01021234_t3.rrd"} if "gem" in name else set())  # B1: no sensor


def test_g7_a_counter_has_a_minimum_and_no_modulus(called: Callable[[str], Calls]) -> None:
    """QUIRKS G7: new counters are DERIVE with a minimum of 0; btmon's were without one, and polarized ones COUNTER."""
    name = "ecm1240bin_steady.defaults"
    ours, btmon = called(name), recorded_calls(load(name))
    absolute, polarized = (("create", f"312345_ch1_{counter}.rrd") for counter in ("aws", "pws"))
    assert [ours[absolute][0][4], btmon[absolute][0][4]] == ["DS:ch1_aws:DERIVE:20:0:U", "DS:ch1_aws:DERIVE:20:U:U"]
    assert [ours[polarized][0][4], btmon[polarized][0][4]] == ["DS:ch1_pws:DERIVE:20:0:U", "DS:ch1_pws:COUNTER:20:U:U"]


def test_g7_pulses_go_on_over_an_overflow(called: Callable[[str], Calls]) -> None:
    """QUIRKS G7: a pulse counter that overflows at 2^24 goes on, where btmon's COUNTER showed 2^32."""
    name = "gem48ptbin_steady.defaults"
    ours, btmon = (calls["update", "01021234_p4.rrd"][0] for calls in (called(name), recorded_calls(load(name))))
    assert ours == [*btmon[:2], "1700000030:16777257", "1700000040:16777357"]
    assert btmon[2:] == ["1700000030:41", "1700000040:141"]


def test_g7_the_heartbeat_can_be_set(called: Callable[[str], Calls]) -> None:
    """QUIRKS G7: with a heartbeat of 60 s files are created with it, where btmon failed at each."""
    name = "ecm1240bin_steady.heartbeat_option"
    assert recorded_calls(load(name)) == {}
    created = {file: calls[0] for (what, file), calls in called(name).items() if what == "create"}
    assert len(created) == 13
    assert {arguments[4].split(":")[3] for arguments in created.values()} == {"60"}


def test_g7_the_heartbeat_follows_the_step(called: Callable[[str], Calls]) -> None:
    """QUIRKS G7: with steps of 30 s a value is known for 60 s, where btmon's files kept 20 s, less than a step."""
    name = "ecm1240bin_steady.step_option"
    ours, btmon = called(name), recorded_calls(load(name))
    create = ("create", "312345_volts.rrd")
    assert [ours[create][0][4], btmon[create][0][4]] == ["DS:volts:GAUGE:60:U:U", "DS:volts:GAUGE:20:U:U"]
    assert ours[create][0][:4] + ours[create][0][5:] == btmon[create][0][:4] + btmon[create][0][5:]


def test_b1_a_missing_sensor_is_unknown(called: Callable[[str], Calls]) -> None:
    """QUIRKS B1: a sensor that is taken off is unknown, and one that never was there has no file; btmon stored 0."""
    name = "gem48ptbin_steady.defaults"
    ours, btmon = called(name), recorded_calls(load(name))
    last = [calls["update", "01021234_t4.rrd"][0][-1] for calls in (ours, btmon)]
    assert last == ["1700000040:U", "1700000040:0.000000"]
    assert ("create", "01021234_t3.rrd") not in ours
