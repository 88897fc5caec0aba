# SPDX-License-Identifier: GPL-3.0-or-later
"""What the core finds: pure functions of facts, each with a staged fault, and nothing of a healthy site."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from helpers.fake_plugins import IteratorSource, RecordingSink
from helpers.sites import make_sink, make_site, make_source

from btcore import FORMATS, Batch, Finding, Reading, hookimpl, pack, plugin
from btcore.config.site import Site
from btcore.decode.recognition import KINDS
from btcore.doctor import channels, machine, meters, received, sinks, sources
from btcore.doctor.diagnosis import diagnose
from btcore.doctor.facts import (
    HeardReading,
    JournalFacts,
    SilentMeter,
    SinkFacts,
    SiteFacts,
    SourceFacts,
    Undecoded,
)
from btcore.errors import Problem

NOW = datetime(2026, 6, 21, 12, 0, tzinfo=UTC)
GEM = "01000777"
KWH = 3_600_000


def heard(
    count: int = 60,
    serial: str = GEM,
    *,
    source: str = "panel",
    begin: datetime = NOW - timedelta(minutes=20),
    secs: int = 50_000,
    clock: Callable[[datetime], datetime | None] = lambda time: time.replace(tzinfo=None),
    **rates: float,
) -> list[HeardReading]:
    """Make readings of a GEM, 20 s apart: `volts`, and by how many Ws a second each counter rises."""
    found = []
    for n in range(count):
        time = begin + timedelta(seconds=20 * n)
        values: dict[str, Any] = {"volts": 120.0, "secs": secs + 20 * n, "t1": 20.0, "p1": 5}
        values |= {"ch1_aws": KWH, "ch2_aws": KWH, "ch2_pws": 0}
        values |= {label: int(rate * 20 * n) + 10 * KWH for label, rate in rates.items() if label != "volts" and rate}
        values |= {label: 0 for label, rate in rates.items() if not rate}
        values["volts"] = rates.get("volts", 120.0)
        raw = pack("gem48ptbin", serial, values, clock=clock(time))
        reading = Reading(time, FORMATS["gem48ptbin"], serial, raw, source, address="192.168.1.9")
        found.append(HeardReading(reading, serial, time, serial))
    return found


def site(folder: Path, **settings: Any) -> Site:  # noqa: ANN401 - of any kind
    """Make a site of one source and one sink."""
    return make_site(
        folder, make_source(IteratorSource(items=lambda _stop: [])), make_sink(RecordingSink()), **settings
    )


def healthy(folder: Path, **settings: Any) -> SiteFacts:  # noqa: ANN401 - of any kind
    """Return the facts about a site that works."""
    made = site(folder, **settings)
    return SiteFacts(
        site=made,
        now=NOW,
        sources=(SourceFacts(source=made.sources[0], state="ok", serials=(GEM,), packets=60),),
        sinks=(SinkFacts(sink=made.sinks[0], state="ok"),),
        journal=JournalFacts(free=10**10, newest=NOW),
        readings=tuple(heard(ch1_aws=500, ch2_aws=900)),
        version="1.0",
        running_version="1.0",
        process=1,
    )


def of_source(facts: SiteFacts, **changes: Any) -> SiteFacts:  # noqa: ANN401 - of any kind
    """Change the facts about the source."""
    return attrs.evolve(facts, sources=(attrs.evolve(facts.sources[0], **changes),))


def of_sink(facts: SiteFacts, **changes: Any) -> SiteFacts:  # noqa: ANN401 - of any kind
    """Change the facts about the sink."""
    return attrs.evolve(facts, sinks=(attrs.evolve(facts.sinks[0], **changes),))


def codes(found: Sequence[Finding]) -> list[str]:
    """Return the codes of findings."""
    return [finding.code for finding in found]


def test_nothing_is_found_of_a_healthy_site(tmp_path: Path) -> None:
    """A site that works has no finding."""
    named = {f"{GEM}_ch1": "kitchen", f"{GEM}_t1": "cellar", f"{GEM}_p1": "water"}
    assert diagnose(healthy(tmp_path, channels=named), 0.0) == []


SOURCE_FAULTS: dict[str, dict[str, Any]] = {
    "source-failing": {"failure": "the line is on fire", "state": "failing"},
    "source-stopped": {"failure": "port 99999 can never work", "state": "stopped"},
    "meter-silent": {"silent": (SilentMeter(GEM, 10_800.0, 10.0),)},
    "readings-refused": {"refused": 12},
    "damaged-packets": {"damaged": 20},
    "nothing-received": {"serials": (), "packets": 0, "listened": 60.0},
}


@pytest.mark.parametrize("code", SOURCE_FAULTS)
def test_a_source_in_trouble(tmp_path: Path, code: str) -> None:
    """Each state of a source that needs a person is found, and nothing else; it says where."""
    found = diagnose(of_source(healthy(tmp_path), **SOURCE_FAULTS[code]), 0.0)
    assert [(one.code, one.where) for one in found] == [(code, "source.panel")]


BYTES = {
    "real-time-off": b"$$$$",
    "only-acknowledgements": b"\xfc\xfc\xfc",
    "text-format": b"n=01000777&m=4&wh_1=223.19&p_1=3065&a_1=28.28&v=114.4\r\n",
    "gateway-in-use": b"Port already in use\r\n",
    "gateway-port": b"HTTP/1.1 200 OK\r\n\r\n<html>",
    "no-meter": b"GET / HTTP/1.1\r\nHost: panel\r\n\r\n",
    "no-capture": b'{"a": 1}',
    "seven-bits": b"\x7e\x7f\x05" + bytes(60) + b"\x7f\x7e",
    "telnet-port": b"\xfe\xff\xff\x05" + bytes(700),
    "damaged-packets": b"\xfe\xff\x05" + bytes(700),
    "unknown-format": bytes(range(128, 250, 7)) * 4,
    "one-byte": b"\0" * 40,
    "packet-cut-short": b"\xfe\xff\x05" + bytes(100),
}


@pytest.mark.parametrize("code", BYTES)
def test_bytes_without_a_packet(tmp_path: Path, code: str) -> None:
    """What comes in instead of packets has its code, and the advice of its kind."""
    facts = of_source(healthy(tmp_path), serials=(), packets=0, undecoded=(Undecoded("a", BYTES[code]),))
    (finding,) = received.find(facts)
    assert (finding.code, finding.where) == (code, "source.panel")
    assert any(finding.advice == kind.advice for kind in KINDS)


def test_unknown_bytes_are_shown(tmp_path: Path) -> None:
    """Bytes that nobody knows are shown in hex; text is legible."""
    facts = of_source(healthy(tmp_path), undecoded=(Undecoded("a", b"hello, this is no meter"),))
    (finding,) = received.find(facts)
    assert "68 65 6c 6c 6f" in finding.text
    assert "(hello, this is no meter)" in finding.text


def test_a_format_that_the_source_leaves_out(tmp_path: Path) -> None:
    """Packets of a format that is not among `formats` are named."""
    facts = healthy(tmp_path)
    source = attrs.evolve(facts.sources[0].source, formats=("gem48pbin",))
    facts = of_source(facts, source=source, undecoded=(Undecoded("a", pack("gem48ptbin", GEM, {})),))
    (finding,) = received.find(facts)
    assert (finding.code, "gem48ptbin" in finding.text) == ("format-left-out", True)


def test_what_a_meter_sends_comes_before_strangers(tmp_path: Path) -> None:
    """Of several streams the finding is about the one that a meter sends on."""
    noise, text = Undecoded("scan", BYTES["no-meter"] * 9), Undecoded("gem", BYTES["text-format"])
    facts = of_source(healthy(tmp_path), undecoded=(noise, text))
    assert codes(list(received.find(facts))) == ["text-format"]


SINK_FAULTS: dict[str, dict[str, Any]] = {
    "sink-failing": {"state": "failing", "failure": "no answer", "waiting": 3},
    "sink-stopped": {"state": "stopped", "failure": "the key is wrong", "waiting": 3},
    "sink-behind": {"state": "behind", "waiting": 999, "oldest_waiting": NOW - timedelta(hours=3)},
    "dead-letters": {"dead_letters": 2},
}


@pytest.mark.parametrize("code", SINK_FAULTS)
def test_a_sink_in_trouble(tmp_path: Path, code: str) -> None:
    """Each state of a sink that needs a person is found, and nothing else."""
    found = diagnose(of_sink(healthy(tmp_path), **SINK_FAULTS[code]), 0.0)
    assert [(one.code, one.where) for one in found] == [(code, "sink.roof")]


MACHINE_FAULTS: dict[str, dict[str, Any]] = {
    "machine-clock": {"now": datetime(1970, 1, 1, 3, tzinfo=UTC)},
    "program-silent": {"running_version": "", "silence": "it does not answer within 10 s"},
    "version": {"running_version": "0.9"},
    "file-rights": {"readable": ("/etc/btcore/site.toml",)},
    "state-rights": {"journal": JournalFacts(is_writable=False)},
    "journal": {"journal": JournalFacts(failure="the journal is damaged")},
    "journal-damaged": {"journal": JournalFacts(damage="it was removed", damaged_at=NOW - timedelta(days=6))},
    "disk": {"journal": JournalFacts(free=10**7)},
    "unknown-channel": {"unknown_names": ("[sink.roof] generation: meter 399999 was never heard",)},
}


def test_a_disk_that_may_only_be_read_is_no_matter_of_rights(tmp_path: Path) -> None:
    """Nobody is told to run as another user, or to give the directory to one."""
    journal = JournalFacts(is_writable=False, is_read_only=True)
    [found] = diagnose(attrs.evolve(healthy(tmp_path), journal=journal), 0.0)
    assert (found.code, "dmesg" in found.advice, "chown" in found.advice) == ("state-rights", True, False)


@pytest.mark.parametrize("code", MACHINE_FAULTS)
def test_a_machine_in_trouble(tmp_path: Path, code: str) -> None:
    """What is wrong with the machine, the program and the names is found, and nothing else."""
    assert codes(diagnose(attrs.evolve(healthy(tmp_path), **MACHINE_FAULTS[code]), 0.0)) == [code]


def test_a_clock_that_was_set_back(tmp_path: Path) -> None:
    """A newest reading that is in the future says that the clock is wrong now."""
    facts = attrs.evolve(healthy(tmp_path), journal=JournalFacts(newest=NOW + timedelta(days=2)))
    assert codes(list(machine.find(facts))) == ["machine-clock"]


def test_a_disk_that_will_be_full(tmp_path: Path) -> None:
    """A disk that is full within a month is reported, one that lasts a year is not."""
    soon, late = (JournalFacts(free=10**10, full=NOW + timedelta(days=days)) for days in (5, 365))
    found = [codes(list(machine.find(attrs.evolve(healthy(tmp_path), journal=one)))) for one in (soon, late)]
    assert found == [["disk"], []]


def test_a_warning_of_the_configuration(tmp_path: Path) -> None:
    """What `btcore check` warns of is a finding, with its line."""
    warning = Problem("the key goes over the network as it is", "url", "sink.roof", 7, "site.toml", warning=True)
    (found,) = diagnose(healthy(tmp_path, warnings=(warning,)), 0.0)
    assert (found.code, found.where) == ("configuration", "site.toml:7")


METER_FAULTS: dict[str, list[HeardReading]] = {
    "voltage": heard(volts=12.3),
    "meter-clock": heard(clock=lambda _time: datetime(2000, 1, 1)),  # noqa: DTZ001 - the meter's
}


@pytest.mark.parametrize("code", METER_FAULTS)
def test_a_meter_in_trouble(tmp_path: Path, code: str) -> None:
    """A voltage that no grid has, and an absurd clock, are found of the meter."""
    found = list(meters.find(attrs.evolve(healthy(tmp_path), readings=tuple(METER_FAULTS[code]))))
    assert [(one.code, one.where) for one in found] == [(code, f"meter {GEM}")]


@pytest.mark.parametrize("volts", [100, 114.2, 120, 126, 208, 229.9, 240, 250])
def test_voltages_that_grids_have(tmp_path: Path, volts: float) -> None:
    """The nominal voltages, and what is within ten per cent of them, are no finding."""
    assert list(meters.find(attrs.evolve(healthy(tmp_path), readings=tuple(heard(volts=volts))))) == []


def test_a_clock_that_is_never_set(tmp_path: Path) -> None:
    """A clock without a date is found."""
    facts = attrs.evolve(healthy(tmp_path), readings=tuple(heard(clock=lambda _time: None)))
    assert codes(list(meters.find(facts))) == ["meter-clock"]


def test_a_clock_of_another_zone_is_no_finding(tmp_path: Path) -> None:
    """A clock that shows another zone's time is right where it is not used."""
    facts = attrs.evolve(
        healthy(tmp_path), readings=tuple(heard(clock=lambda time: time.replace(tzinfo=None) - timedelta(hours=11)))
    )
    assert list(meters.find(facts)) == []


def test_a_clock_that_is_used_has_to_be_right(tmp_path: Path) -> None:
    """With clock = "device-utc", eleven hours are too many."""
    facts = attrs.evolve(
        healthy(tmp_path), readings=tuple(heard(clock=lambda time: time.replace(tzinfo=None) - timedelta(hours=11)))
    )
    made = attrs.evolve(facts.site, sources=(attrs.evolve(facts.site.sources[0], clock="device-utc"),))
    assert codes(list(meters.find(attrs.evolve(facts, site=made)))) == ["meter-clock"]


def mixed(*streams: list[HeardReading]) -> tuple[HeardReading, ...]:
    """Mix readings by their time."""
    return tuple(sorted((one for some in streams for one in some), key=lambda one: one.arrived))


def test_two_meters_with_one_serial_number(tmp_path: Path) -> None:
    """Two meters whose counters do not fit together are found, by whichever way they come."""
    other = heard(source="cellar", secs=900_000, begin=NOW - timedelta(minutes=20, seconds=-7))
    facts = attrs.evolve(healthy(tmp_path), readings=mixed(heard(), other))
    (finding,) = meters.find(facts)
    assert (finding.code, "source.cellar" in finding.text) == ("two-meters-one-serial", True)


def test_one_meter_by_two_ways_is_one(tmp_path: Path) -> None:
    """A meter whose packets come by two ways, one of them late, is no second meter."""
    late = heard(source="dashbox", secs=50_000 - 90, begin=NOW - timedelta(minutes=20))
    assert list(meters.find(attrs.evolve(healthy(tmp_path), readings=mixed(heard(), late)))) == []


def test_a_meter_that_restarted_is_one(tmp_path: Path) -> None:
    """A counter that begins anew, twice, is that of one meter."""
    parts = [heard(20, secs=secs, begin=NOW - timedelta(minutes=30 - 10 * n)) for n, secs in enumerate((70_000, 1, 2))]
    assert list(meters.find(attrs.evolve(healthy(tmp_path), readings=mixed(*parts)))) == []


CLAMPS = {
    "clamp-reversed": heard(ch2_aws=900, ch2_pws=900),
    "channel-never-moves": heard(ch2_aws=0),
}


@pytest.mark.parametrize("code", CLAMPS)
def test_a_named_channel_in_trouble(tmp_path: Path, code: str) -> None:
    """A load that exports, and a named channel that never counted, are found by their names."""
    facts = attrs.evolve(healthy(tmp_path, channels={f"{GEM}_ch2": "heat pump"}), readings=tuple(CLAMPS[code]))
    (finding,) = channels.find(facts)
    assert (finding.code, finding.where, "heat pump" in finding.text) == (code, f"meter {GEM} ch2", True)


@pytest.mark.parametrize("name", ["solar", "PV roof", "Battery", "grid", "mains"])
def test_what_may_export_is_no_load(tmp_path: Path, name: str) -> None:
    """Panels, batteries and the grid export, and that is right."""
    facts = healthy(tmp_path, channels={f"{GEM}_ch2": name})
    assert list(channels.find(attrs.evolve(facts, readings=tuple(CLAMPS["clamp-reversed"])))) == []


def test_channels_without_a_name_are_no_finding(tmp_path: Path) -> None:
    """An unused input, and an export of what may be panels, are no faults."""
    for readings in CLAMPS.values():
        assert list(channels.find(attrs.evolve(healthy(tmp_path), readings=tuple(readings)))) == []


def test_a_sensor_that_does_not_answer(tmp_path: Path) -> None:
    """A named temperature without a sensor is found."""
    facts = healthy(tmp_path, channels={f"{GEM}_t3": "attic"})
    assert codes(list(channels.find(facts))) == ["no-sensor"]


def test_many_silent_meters_are_few_findings(tmp_path: Path) -> None:
    """Of a hundred silent meters some are named, the others counted."""
    silent = tuple(SilentMeter(f"01{n:06d}", 3600.0) for n in range(100))
    found = list(sources.find(of_source(healthy(tmp_path), silent=silent)))
    assert (len(found), found[-1].text) == (6, "95 more meters of this source are silent")


def test_a_sink_that_is_behind_for_a_moment_is_fine(tmp_path: Path) -> None:
    """Readings that wait for a minute are no finding."""
    facts = of_sink(healthy(tmp_path), state="behind", waiting=3, oldest_waiting=NOW - timedelta(minutes=1))
    assert list(sinks.find(facts)) == []


def test_no_secret_is_in_a_finding(tmp_path: Path) -> None:
    """Secrets are redacted in all texts."""
    facts = of_sink(healthy(tmp_path), state="stopped", failure="the key s3cret is wrong")
    (found,) = diagnose(facts, 0.0, redact=lambda text: text.replace("s3cret", "***"))
    assert found.text == "the key *** is wrong"


def test_a_database_that_brings_nothing_has_its_own_advice(tmp_path: Path) -> None:
    """Nobody is sent to a meter's real-time mode where readings come from a table."""

    @plugin(api=1)
    class Store(IteratorSource):
        """A source that is a sink as well."""

        @hookimpl
        def process_batch(self, batch: Batch) -> None:
            """Take it."""

    made = make_source(Store(items=lambda _stop: []))
    facts = of_source(healthy(tmp_path), source=made, serials=(), packets=0, listened=20.0)
    (found,) = received.find(facts)
    assert (found.code, "table" in found.advice, "real-time" in found.advice) == ("nothing-received", True, False)
