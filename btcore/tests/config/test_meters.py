# SPDX-License-Identifier: GPL-3.0-or-later
"""[meters]: what a configuration says of its meters, and by what name their readings and their channels are known."""

from pathlib import Path
from typing import Any

import pytest

from btcore.config.load import load_site
from btcore.errors import ConfigurationError

SITE = """
[source.panel]
use = "simulator"
count = 1
[source.garage]
use = "simulator"
serial = "01000200"
[sink.print]
"""


def load(folder: Path, text: str) -> object:
    """Load a site with this beside its sources and sink."""
    file = folder / "site.toml"
    file.write_text(SITE + text)
    return load_site(file)


def wrong(folder: Path, text: str) -> list[tuple[str, str, str]]:
    """Return what is wrong with it: table, key and message."""
    with pytest.raises(ConfigurationError) as caught:
        load(folder, text)
    return [(problem.table, problem.key, problem.message) for problem in caught.value.problems]


def shown(folder: Path, text: str, source: str, sent: str, *, address: str = "", kept: str = "") -> str:
    """Return what a packet's meter is called."""
    site = load(folder, f"[meters]\n{text}\n")
    return site.meters.current_serial(source, address, sent, kept or sent)  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize(
    ("text", "source", "sent", "name"),
    [
        ('house = { serial = "01000777" }', "panel", "01000777", "01000777"),
        ('house = { serial = "01000777" }', "panel", "01000778", "01000778"),
        ('house = { source = "garage" }', "garage", "000000", "house"),
        ('house = { source = "garage" }', "panel", "000000", "000000"),
        ('house = { source = "garage", serial = "300001" }', "garage", "000000", "300001"),
        ('house = { serial = "01000777", sends = "01000999" }', "panel", "01000999", "01000777"),
        ('house = { serial = "01000777", sends = ["1", "2"] }', "panel", "2", "01000777"),
        ('house = { serial = "01000999", replaces = "01000777" }', "panel", "01000777", "01000999"),
        ('house = { serial = "01000999", replaces = ["01000777"] }', "panel", "01000999", "01000999"),
        ('a = { source = "panel" }\nb = { source = "panel", sends = "7" }', "panel", "7", "b"),
        ('a = { source = "panel" }\nb = { source = "panel", sends = "7" }', "panel", "8", "a"),
        ('a = { sends = "0", kind = "ecm1240" }\nb = { sends = "0", kind = "gem" }', "panel", "0", "a"),
    ],
)
def test_a_meter_is_known_by_what_is_said_of_it(tmp_path: Path, text: str, source: str, sent: str, name: str) -> None:
    """By its source, its number, or the number that its packets show; what is known by most comes first."""
    assert shown(tmp_path, text, source, sent) == name


def test_a_meter_is_known_by_its_address(tmp_path: Path) -> None:
    """Two meters of one number behind one source are told apart by where they connect from."""
    text = 'a = { source = "panel", address = "10.0.0.1" }\nb = { source = "panel", address = "10.0.0.2" }'
    assert [shown(tmp_path, text, "panel", "0", address=f"10.0.0.{n}") for n in (1, 2, 3)] == ["a", "b", "0"]


@pytest.mark.parametrize(
    ("kept", "name"), [("000000", "barn"), ("000000-2", "barn"), ("barn", "barn"), ("barn-2", "barn-2")]
)
def test_what_was_kept_under_another_name_has_that_of_now(tmp_path: Path, kept: str, name: str) -> None:
    """Readings that are in the journal go by the name that the configuration gives now."""
    assert shown(tmp_path, 'barn = { source = "garage" }', "garage", "000000", kept=kept) == name


@pytest.mark.parametrize(
    ("form", "name"), [("ecm1240bin", "a"), ("ecm1220bin", "b"), ("gemhttpget", "000000"), ("acme", "000000")]
)
def test_a_meter_is_known_by_its_kind(tmp_path: Path, form: str, name: str) -> None:
    """Two meters that send one number, and are not of one kind, are told apart by their packets."""
    text = 'a = { sends = "000000", kind = "ecm1240" }\nb = { sends = "000000", kind = "ecm1220" }'
    site: Any = load(tmp_path, f"[meters]\n{text}\n")
    assert site.meters.current_serial("panel", "", "000000", "000000", form) == name


@pytest.mark.parametrize(
    ("form", "name"), [("ecm1240bin", "300001"), ("gem48pbin", "300001-gem"), ("acme", "300001-acme"), ("", "300001")]
)
def test_another_kind_of_meter_has_another_name(tmp_path: Path, form: str, name: str) -> None:
    """A packet of another kind is not refused, but is not that meter's: its own number would be."""
    site: Any = load(tmp_path, '[meters]\na = { serial = "300001", kind = "ecm1240" }\n')
    assert site.meters.serial_of("panel", "", "300001", form) == name


def named_source(folder: Path, text: str, more: str = "") -> Any:  # noqa: ANN401 - a site
    """Load a site with this in the table of a source that may have a serial number."""
    (folder / "site.toml").write_text(f'[source.port]\nuse = "tcp-server"\n{text}\n[sink.print]\n{more}')
    return load_site(folder / "site.toml")


def test_a_source_names_its_meter(tmp_path: Path) -> None:
    """`serial` of a source is what its meter is called, whatever that sends; an entry that says more goes before it."""
    site = named_source(tmp_path, 'serial = "300001"', '[meters]\nbarn = { source = "port", sends = "7" }\n')
    found = [site.meters.serial_of(source, "", sent) for source, sent in (("port", "0"), ("port", "7"), ("x", "0"))]
    assert found == ["300001", "barn", "0"]
    assert "" not in site.meters.names


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('house = { source = "port" }', '"house" in [meters] names the meter of this source already'),
        ('house = { source = "other", serial = "300001" }', 'has this serial number, and comes by source "other"'),
        ('house = { serial = "300002", replaces = "300001" }', '300001 is replaced by "house" in [meters]'),
    ],
)
def test_what_contradicts_the_name_of_a_source_s_meter_is_told(tmp_path: Path, entry: str, said: str) -> None:
    """With the line of `serial`, and what to do."""
    more = f'[source.other]\nuse = "tcp-client"\nhost = "h"\n[meters]\n{entry}\n'
    with pytest.raises(ConfigurationError) as caught:
        named_source(tmp_path, 'serial = "300001"', more)
    (problem,) = caught.value.problems
    assert (problem.table, problem.key, problem.line) == ("source.port", "serial", 3)
    assert said in problem.message


def test_an_entry_may_name_the_serial_number_of_a_source(tmp_path: Path) -> None:
    """Then channels and settings may use that name."""
    site = named_source(tmp_path, 'serial = "300001"', '[meters]\nhouse = { serial = "300001" }\n')
    assert (site.meters.names, site.meters.serial_of("port", "", "0")) == ({"house": "300001"}, "300001")


def test_two_sources_with_one_serial_number_are_warned_of(tmp_path: Path) -> None:
    """It is right where both receive one meter, and a mistake else."""
    site = named_source(tmp_path, 'serial = "1"', '[source.two]\nuse = "tcp-server"\nport = 9\nserial = "1"\n')
    assert [(one.table, one.key) for one in site.warnings] == [("source.two", "serial")]


def test_a_serial_number_of_a_source_is_a_line(tmp_path: Path) -> None:
    """A text that no sink could show is refused."""
    with pytest.raises(ConfigurationError, match="expected a serial number of at most"):
        named_source(tmp_path, 'serial = "a\\nb"')


def test_what_was_told_apart_can_be_named(tmp_path: Path) -> None:
    """The second of two meters of one number may be replaced by a name, as any serial number."""
    assert shown(tmp_path, 'barn = { serial = "7", replaces = "000000-2" }', "panel", "000000", kept="000000-2") == "7"


def test_names_of_meters_stand_in_channels_and_settings(tmp_path: Path) -> None:
    """NAME_CHANNEL is that channel of the meter, in [channels] and wherever a setting names a channel."""
    file = tmp_path / "site.toml"
    file.write_text(
        '[meters]\nmy_house = { serial = "01000777", replaces = "399999" }\n[channels]\nmy_house_ch1 = "solar"\n'
        '[source.simulator]\n[sink.pvoutput]\napi_key = "k"\nsystem_id = "1"\n'
        'generation = "399999_ch2"\nconsumption = "solar"\n'
    )
    site = load_site(file)
    sink = site.sinks[0].instance
    assert dict(site.channels) == {"01000777_ch1": "solar"}
    assert [str(getattr(sink, name)) for name in ("generation", "consumption")] == ["01000777_ch2", "01000777_ch1"]


@pytest.mark.parametrize(
    ("text", "table", "key", "message"),
    [
        ("meters = 1\n", "meters", "", "expected a table"),
        ('[meters]\nx = "y"', "meters", "x", "expected a table"),
        ("[meters]\nx = {}", "meters", "x", "expected what identifies it"),
        ('[meters]\nx = { source = "garag" }', "meters", "x.source", 'no [source.garag]; did you mean "garage"?'),
        ('[meters]\nx = { sorce = "garage" }', "meters", "x.sorce", 'unknown setting; did you mean "source"?'),
        ("[meters]\nx = { serial = true }", "meters", "x.serial", "expected text"),
        (
            '[meters]\nx = { serial = "1", kind = "gem48" }',
            "meters",
            "x.kind",
            'expected one of "ecm1220", "ecm1240", "gem"',
        ),
        ('[meters]\n"a b" = { serial = "1" }', "meters", '"a b"', "without blanks"),
        ('[meters]\nx = { serial = "1" }\ny = { source = "panel", serial = "1" }', "meters", "y.serial", "already"),
        ('[meters]\nx = { source = "panel" }\ny = { source = "panel" }', "meters", "y", "the same conditions identify"),
        ('[meters]\nx = { serial = "1", replaces = "1" }', "meters", "x.replaces", "the meter's own serial number"),
        ('[meters]\nx = { serial = "1" }\ny = { serial = "2", replaces = "x" }', "meters", "y", 'but "x" has it'),
        ('[meters]\ny = { serial = "2", replaces = "1" }\nx = { serial = "1" }', "meters", "x", 'but "x" has it'),
        ("[meters]\nx = { sends = [1, []] }", "meters", "x.sends item 2", "expected text"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, table: str, key: str, message: str) -> None:
    """Whatever is wrong in [meters] is told with table and key, what was expected, and the nearest name."""
    if text.startswith("meters"):
        (tmp_path / "site.toml").write_text(text + SITE)
        with pytest.raises(ConfigurationError, match="expected a table"):
            load_site(tmp_path / "site.toml")
        return
    ((at, where, said),) = wrong(tmp_path, text)
    assert (at, where) == (table, key)
    assert message in said
