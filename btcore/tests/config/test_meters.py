# SPDX-License-Identifier: GPL-3.0-or-later
"""[meters]: what a configuration says of its meters, and by what name their readings and their channels are known."""

from pathlib import Path

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
