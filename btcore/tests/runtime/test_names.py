# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of meters in a configuration: wherever they stand they are found, and compared with what is heard."""

import logging
import textwrap
from collections.abc import Sequence
from pathlib import Path
from threading import Event

import pytest
from helpers.captured_log import logged
from helpers.fake_plugins import RecordingSink
from helpers.sites import endless_source, make_sink, make_source
from helpers.sites import make_site as site_of

from btcore.config.load import load_site
from btcore.config.named_channels import NamedChannel, labels_by_format, named_channels
from btcore.config.site import Site
from btcore.errors import ConfigurationError
from btcore.journal import HeardMeter
from btcore.runtime.names import CHECK_INTERVAL, FIRST_CHECK, MAX_LINES, REPEAT_INTERVAL, NameCheck, describe_locations
from btcore.runtime.supervisor import Supervisor
from btcore.testing import Clock, wait_for
from btcore.testing.kit.waiting import in_background

SITE = """
state = "state"
[source.panel]
use = "tcp-server"
meters = ["01000777", "399999"]
[sink.roof]
use = "pvoutput"
api_key = "0123456789"
system_id = "12345"
generation = "399999_ch1"
temperature = "t1"
grid = "solar"
meters = ["01000777"]
[sink.things]
use = "thingspeak"
tokens = { "01000777" = "KEY", 399999 = "KEY" }
channels = { "01000777" = "12" }
fields = { "420467_ch1" = 1, ch2 = 2, aux2 = 3 }
[sink.stream]
use = "enersave"
url = "https://example.com/"
token = "0123456789"
map = { "01000888_ch3" = { description = "kitchen", type = 2 } }
[channels]
"420467_aux1" = "solar"
[meters]
shed = { serial = "000007" }
"""


def load(folder: Path, text: str) -> Site:
    """Load a configuration."""
    (folder / "site.toml").write_text(textwrap.dedent(text))
    return load_site(folder / "site.toml")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a configuration that names meters in all ways that there are."""
    return load(tmp_path, SITE)


def test_all_names_are_found(site: Site) -> None:
    """In lists, tables, keys of tables, tables within, of sinks, parts of sinks, sources, [channels] and [meters]."""
    assert set(named_channels(site)) == {
        NamedChannel("01000777", "", "source.panel", "meters"),
        NamedChannel("399999", "", "source.panel", "meters"),
        NamedChannel("399999", "ch1", "sink.roof", "generation"),
        NamedChannel("", "t1", "sink.roof", "temperature"),
        NamedChannel("420467", "aux1", "sink.roof", "grid"),
        NamedChannel("01000777", "", "sink.roof", "meters"),
        NamedChannel("01000777", "", "sink.things", "tokens"),
        NamedChannel("399999", "", "sink.things", "tokens"),
        NamedChannel("01000777", "", "sink.things", "channels"),
        NamedChannel("420467", "ch1", "sink.things", "fields"),
        NamedChannel("", "ch2", "sink.things", "fields"),
        NamedChannel("", "aux2", "sink.things", "fields"),
        NamedChannel("01000888", "ch3", "sink.stream", "map"),
        NamedChannel("420467", "aux1", "channels", "420467_aux1"),
        NamedChannel("000007", "", "meters", "shed"),
    }
    assert len(named_channels(site)) == 15


def test_what_a_table_of_meters_calls_them_stands_in_every_setting(tmp_path: Path) -> None:
    """A name of [meters] is its serial number in lists, in keys and in channels."""
    text = """
        state = "state"
        [source.panel]
        use = "tcp-server"
        meters = ["house"]
        [sink.things]
        use = "thingspeak"
        tokens = { house = "KEY" }
        fields = { house_ch1 = 1 }
        meters = ["house", "garage"]
        [meters]
        house = { serial = "01000777" }
        garage = { source = "panel" }
        """
    named = {(name.serial, name.table) for name in named_channels(load(tmp_path, text))}
    assert named == {
        ("01000777", "source.panel"),
        ("01000777", "sink.things"),
        ("garage", "sink.things"),
        ("01000777", "meters"),
        ("garage", "meters"),
    }


@pytest.mark.parametrize("wrong", ['meters = [""]', 'meters = ["01000777 "]', 'tokens = { "a b" = "KEY" }'])
def test_what_is_no_serial_number_is_a_mistake(tmp_path: Path, wrong: str) -> None:
    """A serial number is a text without blanks."""
    tokens = "" if "tokens" in wrong else 'tokens = { 1 = "KEY" }'
    text = f'state = "s"\n[source.tcp-server]\n[sink.thingspeak]\n{tokens}\n{wrong}\n'
    with pytest.raises(ConfigurationError, match="expected a meter's serial number, as text, found "):
        load(tmp_path, text)


def test_places_are_told_by_table_and_key() -> None:
    """Several keys of a table stand behind it; of many some are shown."""
    names = [NamedChannel("1", "", "sink.roof", key) for key in ("a", "a", "b", "c", "d")]
    assert describe_locations(names) == "[sink.roof] a, b, c, ..."
    assert (
        describe_locations([NamedChannel("1", "", f"sink.{n}", "a") for n in range(5)])
        == "[sink.0] a; [sink.1] a; [sink.2] a; ..."
    )


# --- compared with what is heard


class Listening:
    """A roll of a few names, and what was heard."""

    def __init__(self, site: Site, *heard: HeardMeter) -> None:
        self.clock = Clock()
        self.heard: list[HeardMeter] = list(heard)
        self.name_check = NameCheck(named_channels(site), labels_by_format(site), self._heard, self.clock)

    def _heard(self) -> Sequence[HeardMeter]:
        return self.heard

    def check(self, seconds: float) -> None:
        """Let time pass, second by second as a supervisor does."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now = min(self.clock.now + 60, end)
            self.name_check.check()


@pytest.fixture
def roof(tmp_path: Path) -> Site:
    """Return a configuration with a serial number that no meter has, twice."""
    return load(
        tmp_path,
        """
        state = "state"
        [source.tcp-server]
        [sink.roof]
        use = "pvoutput"
        api_key = "0123456789"
        system_id = "12345"
        generation = "399999_ch1"
        [channels]
        "399999_ch2" = "kitchen"
        """,
    )


GEM = HeardMeter("01000777", "gem48pbin", 1)
ECM = HeardMeter("420467", "ecm1240bin", 2)


def test_a_name_that_was_never_heard_is_told(roof: Site, caplog: pytest.LogCaptureFixture) -> None:
    """After a minute, with its places and what was heard instead; then each hour; and that it is heard."""
    listening = Listening(roof, ECM, GEM)
    listening.check(FIRST_CHECK - 1)
    assert logged(caplog) == []
    listening.check(1)
    never = "[sink.roof] generation; [channels] 399999_ch2: meter 399999 was never heard; heard: 01000777 (1 more)"
    assert logged(caplog) == [never]
    listening.check(REPEAT_INTERVAL - 1)
    assert logged(caplog) == [never]
    listening.check(2 * REPEAT_INTERVAL)
    assert logged(caplog) == [never] + [f"{never} (unchanged)"] * 2
    caplog.clear()
    caplog.set_level(logging.INFO)
    listening.heard.append(HeardMeter("399999", "ecm1240bin", 9))
    listening.check(CHECK_INTERVAL)
    assert logged(caplog, logging.INFO) == ["[sink.roof] generation; [channels] 399999_ch2: meter 399999 is heard now"]
    listening.check(3 * REPEAT_INTERVAL)
    listening.name_check.finish()
    assert len(logged(caplog, logging.INFO)) == 1


def test_a_short_run_tells_it_at_its_end(roof: Site, caplog: pytest.LogCaptureFixture) -> None:
    """What was not told yet is told when the run ends, once."""
    listening = Listening(roof, GEM)
    listening.name_check.finish()
    listening.name_check.finish()
    (told,) = logged(caplog)
    assert told.endswith("meter 399999 was never heard; heard: 01000777")


def test_where_nothing_is_heard_no_name_is_at_fault(roof: Site, caplog: pytest.LogCaptureFixture) -> None:
    """As long as there is no meter at all, names are not compared; then, a minute later."""
    listening = Listening(roof)
    listening.check(2 * REPEAT_INTERVAL)
    listening.name_check.finish()
    assert logged(caplog) == []
    listening.heard.append(GEM)
    listening.check(2 * FIRST_CHECK)
    (told,) = logged(caplog)
    assert told.endswith("meter 399999 was never heard; heard: 01000777")


def test_the_nearest_is_told(roof: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Of the meters that were heard, the one is shown whose serial number is most like the name."""
    Listening(roof, HeardMeter("39999", "ecm1240bin", 0), GEM).name_check.finish()
    assert logged(caplog)[0].endswith('was never heard; heard: 39999 (1 more); did you mean "39999"?')


def test_a_meter_of_an_earlier_run_was_heard(roof: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A meter that is silent in this run is not one that was never heard."""
    caplog.set_level(logging.INFO)
    Listening(roof, HeardMeter("399999", "ecm1240bin", 0)).name_check.finish()
    assert logged(caplog, logging.INFO) == []


def test_a_label_that_a_meter_has_not_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """aux1 of a GEM is nowhere in what it sends; of a format that nobody tells of, nothing is known."""
    names = load(tmp_path, SITE)
    heard = [HeardMeter(name.serial, "gem48pbin", 1) for name in named_channels(names) if name.serial]
    Listening(names, *heard).name_check.finish()
    assert logged(caplog) == [
        "[sink.roof] grid; [channels] 420467_aux1: meter 420467 has no aux1: it sends gem48pbin",
        "[sink.things] fields: no meter has aux2: they send gem48pbin",
    ]
    caplog.clear()
    Listening(names, *(one._replace(format="sunline") for one in heard)).name_check.finish()
    Listening(names, *(one._replace(format="gem48ptbin") for one in heard), *heard[:1]).name_check.finish()
    assert [text.split(": ")[1] for text in logged(caplog)] == [
        "meter 420467 has no aux1",
        "no meter has aux2",
    ]


def test_a_meter_that_nothing_names_is_told_once(roof: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Where others are named, a meter that is heard in this run and is not is told, with the name most like it."""
    caplog.set_level(logging.INFO)
    listening = Listening(roof, HeardMeter("399999", "ecm1240bin", 1), HeardMeter("399998", "ecm1240bin", 2), ECM, GEM)
    listening.heard.append(HeardMeter("500000", "ecm1240bin", 0))
    listening.check(3 * REPEAT_INTERVAL)
    like = "the nearest name is 399999 ([sink.roof] generation)"
    assert logged(caplog, logging.INFO) == [
        "meter 01000777 is heard, but not named in the configuration",
        f"meter 399998 is heard, but not named in the configuration; {like}",
        "meter 420467 is heard, but not named in the configuration",
    ]


def test_invented_meters_fill_no_log(roof: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Of many meters some are told, and how many more there are."""
    caplog.set_level(logging.INFO)
    Listening(roof, *(HeardMeter(str(n), "ecm1240bin", 1) for n in range(1000))).name_check.finish()
    assert len(logged(caplog, logging.INFO)) == 1 + MAX_LINES + 1
    assert logged(caplog, logging.INFO)[-1] == f"and {1000 - MAX_LINES} more"


def test_without_names_nothing_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A configuration that names no meter takes them all."""
    caplog.set_level(logging.INFO)
    plain = load(tmp_path, 'state = "s"\n[source.tcp-server]\n[sink.print]\n')
    Listening(plain, GEM).check(2 * REPEAT_INTERVAL)
    assert logged(caplog, logging.INFO) == []


def test_a_run_compares_while_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever runs a site has its names compared, without waiting for its end."""
    monkeypatch.setattr("btcore.runtime.names.FIRST_CHECK", 0.0)
    monkeypatch.setattr("btcore.runtime.supervisor.POLL_INTERVAL", 0.01)
    stop = Event()
    parts = (make_source(endless_source()), make_sink(RecordingSink(), meters=("312354",)))
    with in_background(stop, Supervisor(site_of(tmp_path, *parts), stop).run):
        wait_for(lambda: any('did you mean "312345"?' in text for text in logged(caplog)))
