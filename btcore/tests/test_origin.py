# SPDX-License-Identifier: GPL-3.0-or-later
"""Where readings come from: what is simulated or recorded is marked for good, and reaches no hosted service unasked."""

import re
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import attrs
import pytest
from helpers.captured_log import logged
from helpers.distributions import install_distribution
from helpers.fake_plugins import IteratorSource, RecordingSink
from helpers.journal_entries import entry, reading_of
from helpers.packets import DECODERS, packet
from helpers.running_sink import RunningSink, sink_offset
from helpers.running_source import PACKETLESS, RunningSource
from helpers.times import NOON

from btcore import Chunk, Reading, plugin, setting
from btcore.config.load import load_site
from btcore.config.site import Site
from btcore.errors import ConfigurationError
from btcore.journal import Entry, Journal
from btcore.journal.sqlite import SqliteJournal
from btcore.origin import origin_of

# --- what a plugin says


@plugin(api=1)
class Dream(IteratorSource):
    """A source of what there is not."""

    origin = "simulated"


@plugin(api=1)
class Tape(IteratorSource):
    """A source of what there was."""

    origin = "recorded"


def test_a_class_says_where_its_readings_come_from() -> None:
    """Without a word they are live, which readings have as nothing."""
    assert [origin_of(cls) for cls in (IteratorSource, Tape, Dream)] == ["", "recorded", "simulated"]


@pytest.mark.parametrize("said", ["fake", "", "Made up", None, 3, ["live"]])
def test_what_is_no_origin_is_refused(said: object) -> None:
    """Only the three words count."""
    with pytest.raises(ValueError, match='origin: expected "live", "recorded" or "simulated", found'):
        origin_of(type("Odd", (IteratorSource,), {"origin": said}))


def test_an_origin_that_became_a_field_is_refused() -> None:
    """With a type it is a field of each instance, and the class would seem to say nothing."""

    @plugin(api=1)
    class Typed(IteratorSource):
        """Meant to be a dream."""

        origin: str = "simulated"

    with pytest.raises(TypeError, match='it has a type, so it is a field; write it without one: origin = "simulated"'):
        origin_of(Typed)


def test_a_setting_of_that_name_is_the_plugin_s_own() -> None:
    """A source may ask its user for something that it calls origin."""

    @plugin(api=1)
    class Asking(IteratorSource):
        """A source with a setting."""

        origin: str = setting(default="simulated", help="where from")

    assert origin_of(Asking) == ""


def test_a_reading_has_no_other_origin() -> None:
    """A reading is live, recorded or simulated."""
    for origin in ("", "recorded", "simulated"):
        assert attrs.evolve(reading_of(entry(0)), origin=origin).origin == origin
    for odd in ("live", "fake", None):
        with pytest.raises(
            ValueError, match=r'a reading.s origin: expected "" .live., "recorded" or "simulated", found'
        ):
            attrs.evolve(reading_of(entry(0)), origin=odd)  # type: ignore[arg-type]


# --- the journal keeps it


def collect(journal: Journal, cls: Any, *items: Chunk | Reading) -> list[Entry]:  # noqa: ANN401 - a class
    """Collect from a source of a class; return what is in the journal."""

    def play(_stop: Event) -> Iterable[Chunk | Reading]:
        return items

    with RunningSource(journal, cls(items=play)) as work:
        work.finish()
    return list(journal.read(0, 99))


@pytest.mark.parametrize(("cls", "origin"), [(IteratorSource, ""), (Tape, "recorded"), (Dream, "simulated")])
def test_a_packet_is_kept_with_its_origin(journal: Journal, cls: type, origin: str) -> None:
    """What came from a source has its origin in the journal, and as a reading again."""
    (kept,) = collect(journal, cls, Chunk(packet(), time=NOON))
    recalled = DECODERS.read_entry(kept)
    assert recalled is not None
    assert (kept.origin, recalled.origin) == (origin, origin)


def test_an_origin_of_an_earlier_version_is_read_under_its_present_name(
    file: Path,
) -> None:
    """A journal that holds `made up`, as earlier versions wrote it, gives readings that are `simulated`."""
    with closing(SqliteJournal(file)) as journal:
        (kept,) = collect(journal, Dream, Chunk(packet(), time=NOON))
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE entry SET origin = 'made up'")
    with closing(SqliteJournal(file)) as journal:
        (entry,) = journal.get([kept.offset])
    recalled = DECODERS.read_entry(entry)
    assert recalled is not None
    assert (entry.origin, recalled.origin) == ("simulated", "simulated")


@pytest.mark.parametrize(
    ("cls", "own", "origin"),
    [
        (IteratorSource, "", ""),
        (Dream, "", "simulated"),
        (IteratorSource, "recorded", "recorded"),
        (Dream, "recorded", "recorded"),
    ],
)
def test_a_whole_reading_is_kept_with_its_origin(journal: Journal, cls: type, own: str, origin: str) -> None:
    """A reading without a packet has the origin that it says itself, else that of its source."""
    numbers = tuple(range(len(PACKETLESS.labels)))
    whole = Reading(datetime(2026, 6, 21, tzinfo=UTC), PACKETLESS, "1", b"", origin=own, numbers=numbers)
    (kept,) = collect(journal, cls, whole)
    recalled = DECODERS.read_entry(kept)
    assert recalled is not None
    assert (kept.origin, recalled.origin) == (origin, origin)


def test_the_same_packet_live_first_stays_live(journal: Journal) -> None:
    """A recording of what is kept already adds nothing, and changes nothing."""
    collect(journal, IteratorSource, Chunk(packet(), time=NOON))
    (kept,) = collect(journal, Tape, Chunk(packet(), time=NOON))
    assert kept.origin == ""


# --- who gets it


def fill(journal: Journal, *origins: str) -> None:
    """Append readings of a meter that uses 100 W, ten seconds apart, each of its origin."""
    first = journal.newest()
    journal.append(
        [
            attrs.evolve(entry(10 * n, energy=1000 * n), origin=origin, source="demo" if origin else "panel")
            for n, origin in enumerate(origins, first)
        ]
    )


def deliver(journal: Journal, *, hosted: bool, **settings: Any) -> tuple[RecordingSink, RunningSink]:  # noqa: ANN401 - of any kind
    """Deliver everything; return the sink and how it was done."""
    sink = RecordingSink()
    with RunningSink(journal, sink, hosted=hosted, settings=settings) as work:
        work.finish()
    return sink, work


@pytest.mark.parametrize(
    ("hosted", "only_live", "taken"),
    [
        (False, None, [1, 2, 3, 4]),
        (False, False, [1, 2, 3, 4]),
        (False, True, [1, 4]),
        (True, None, [1, 4]),
        (True, True, [1, 4]),
        (True, False, [1, 2, 3, 4]),
    ],
)
def test_only_a_hosted_service_is_spared_unless_it_is_told(
    journal: Journal, hosted: bool, only_live: bool | None, taken: list[int]
) -> None:
    """What is not live goes to every sink but a hosted one; `only_live` decides where it is given."""
    fill(journal, "", "simulated", "recorded", "")
    sink, work = deliver(journal, hosted=hosted, only_live=only_live)
    assert (sink.offsets, work.worker.delivered, sink_offset(journal)) == (taken, len(taken), 4)


def test_energy_between_live_readings_is_whole(journal: Journal) -> None:
    """What lies between is as if it had never been: the next live reading goes on from the last live one."""
    fill(journal, "", "simulated", "simulated", "")
    sink, _ = deliver(journal, hosted=True)
    (sample,) = (sample for batch in sink.taken for sample in batch.samples)
    assert (sample.older.offset, sample.newer.offset, sample.values["ch1_dwh"]) == (1, 4, 3000 / 3600)


@pytest.mark.parametrize("every", [0, 60])
def test_what_was_simulated_is_no_baseline_later(journal: Journal, every: int) -> None:
    """Where a sink took what was simulated, and then no more, no energy is told between that and what is live."""
    fill(journal, "simulated", "simulated")
    deliver(journal, hosted=True, only_live=False, interval=every)
    fill(journal, "", "")
    sink, _ = deliver(journal, hosted=True, interval=every)
    samples = [sample for batch in sink.taken for sample in batch.samples]
    assert [(sample.older.offset, sample.newer.offset) for sample in samples] == [(3, 4)]


def test_what_is_passed_over_is_told_once_and_counted(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """A line when it begins, with the setting that changes it; their numbers at the end, beside those delivered."""
    fill(journal, *["simulated"] * 3, "recorded", "", "simulated")
    _, work = deliver(journal, hosted=True)
    (told,) = logged(caplog)
    assert told.startswith("passing over readings that are simulated, such as those of source demo: only_live = false")
    unsent = "4 simulated readings and 1 recorded reading not sent (only_live = false sends them)"
    assert str(work.worker) == f"1 reading delivered, 0 dead letters, {unsent}"


def test_a_sink_that_takes_everything_tells_nothing(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """Where nothing is passed over there is nothing to tell."""
    fill(journal, "simulated", "recorded")
    _, work = deliver(journal, hosted=False)
    assert (logged(caplog), str(work.worker)) == ([], "2 readings delivered, 0 dead letters")


def test_a_dry_run_shows_the_same(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """What would not be sent is not shown, told, and counted by itself."""
    fill(journal, "simulated", "")
    with RunningSink(journal, RecordingSink(), hosted=True, dry_run=True) as work:
        work.finish()
    assert work.shown == ["sink.roof: 1 reading, 0 samples"]
    assert len(logged(caplog)) == 1
    assert str(work.worker) == "1 reading shown, none sent, 1 simulated reading not sent (only_live = false sends them)"


def test_readings_of_other_meters_are_not_counted(journal: Journal) -> None:
    """What a sink's `meters` leave out is no affair of its origin."""
    fill(journal, "simulated")
    _, work = deliver(journal, hosted=True, meters=("999",))
    assert str(work.worker) == "0 readings delivered, 0 dead letters, 1 not selected by its settings"


# --- a whole site

SOURCES = """
    from btcore import Chunk, hookimpl, plugin, setting

    class Base:
        @hookimpl
        def collect(self, stop):
            yield Chunk(b"")

    @plugin(api=1)
    class Live(Base):
        pass

    @plugin(api=1)
    class Dream(Base):
        origin = "simulated"

    @plugin(api=1)
    class Tape(Base):
        origin = "recorded"

    @plugin(api=1)
    class Odd(Base):
        origin = "invented"

    @plugin(api=1)
    class Silent:
        @hookimpl
        def process_batch(self, batch):
            pass

    @plugin(api=1)
    class Pail(Silent):
        origin = "the well"   # no source: what it means by that is its own affair

    @plugin(api=1)
    class Cloud(Silent):
        url: str = setting(default="https://cloud.example", help="where")

        @property
        def hosted(self):
            return self.url.startswith("https:")

    @plugin(api=1)
    class Parts(Cloud):
        @hookimpl
        def split(self):
            return {name: Parts(url=self.url) for name in ("a", "b")}

    @plugin(api=1)
    class Typed(Silent):
        hosted: bool = True

    @plugin(api=1)
    class Failing(Silent):
        @property
        def hosted(self):
            return self.adress

    @plugin(api=1)
    class Vague(Silent):
        hosted = "yes"
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Site]:
    """Load configurations with these plugins installed."""
    monkeypatch.syspath_prepend(tmp_path)
    classes = re.findall(r"@plugin\(api=1\)\s+class (\w+)", SOURCES)
    install_distribution(tmp_path, "stranger-shop", SOURCES, {name.lower(): name for name in classes})

    def load_text(text: str) -> Site:
        (tmp_path / "site.toml").write_text(text)
        return load_site(tmp_path / "site.toml")

    return load_text


def remarks(site: Site) -> list[str]:
    """Return what a site's loading remarked."""
    return [warning.message for warning in site.warnings]


def test_a_sink_is_hosted_when_its_instance_says_so(load: Callable[[str], Site]) -> None:
    """A property that depends on settings counts, an attribute of the class, and a field; without any it is not."""
    site = load(
        "[source.live]\n[sink.silent]\n[sink.cloud]\n[sink.typed]\n[sink.own]\nuse = 'cloud'\nurl = 'http://x'\n"
    )
    assert [(sink.name, sink.hosted) for sink in site.sinks] == [
        *(("silent", False), ("cloud", True), ("typed", True), ("own", False))
    ]
    assert remarks(site) == []


def test_the_parts_of_a_hosted_sink_are_hosted(load: Callable[[str], Site]) -> None:
    """What a sink is split into is as hosted as the whole."""
    assert [sink.only_live for sink in load("[source.live]\n[sink.parts]\n").sinks] == [True, True]


def test_what_is_not_live_beside_a_hosted_sink_is_remarked(load: Callable[[str], Site]) -> None:
    """One line names the sources, the services that are spared, and those that are not, a split one by its table."""
    sources = "[source.dream]\n[source.live]\n[source.old]\nuse = 'tape'\n"
    sinks = "[sink.pail]\n[sink.parts]\n[sink.cloud]\n[sink.sky]\nuse = 'cloud'\nonly_live = false\n"
    (remark,) = remarks(load(sources + sinks))
    sources, spared, others = re.split("[:;] ", remark)
    assert sources == "the readings of [source.dream] are simulated, the readings of [source.old] are recorded"
    spare = "(only_live = false in a table sends them)"
    assert spared == f"they do not go to [sink.parts] and [sink.cloud], hosted services {spare}"
    assert others == "they go to [sink.sky], as only_live = false says"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("[source.dream]\n[sink.cloud]\n", 1),
        ("[source.dream]\n[sink.cloud]\nonly_live = false\n", 1),
        ("[source.dream]\n[sink.pail]\n", 0),
        ("[source.live]\n[sink.cloud]\n", 0),
        ("[source.dream]\n[sink.pail]\nonly_live = true\n", 0),
    ],
)
def test_nothing_is_remarked_without_need(load: Callable[[str], Site], text: str, count: int) -> None:
    """A demonstration at home, and a real meter with a service, are as they should be."""
    assert len(remarks(load(text))) == count


def test_a_plugin_that_says_nonsense_is_told(load: Callable[[str], Site]) -> None:
    """An origin that is none, a `hosted` that fails or is no truth: a mistake of the plugin, with its name."""
    with pytest.raises(ConfigurationError) as caught:
        load("[source.odd]\n[sink.failing]\n[sink.vague]\n")
    odd, failing, vague = (problem.message for problem in caught.value.problems)
    assert odd == (
        'plugin "odd" of stranger-shop 1.0 declares an invalid origin'
        ' (ValueError: origin: expected "live", "recorded" or "simulated", found \'invented\')'
    )
    assert failing.startswith(
        'the plugin "failing" of stranger-shop 1.0 failed when asked whether it is `hosted` (Attribute'
    )
    assert vague == (
        'the plugin "vague" of stranger-shop 1.0 returned a str for `hosted`, expected True or False; this is a'
        " mistake in the plugin"
    )
