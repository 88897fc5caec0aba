# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture: what a window of any size shows of any site, and what no name can do to it."""

from datetime import UTC, datetime
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from btmon_watch.command import turned
from btmon_watch.picture import View, draw
from btmon_watch.site import Site, site_of

NOW = datetime(2026, 6, 21, 12, 0, 5, tzinfo=UTC)


def channel(name: str, watts: float | None, wh_today: float | None = 0.0, *, named: bool = True) -> dict[str, Any]:
    """Make a channel of an answer."""
    return {"channel": "ch1", "name": name, "named": named, "watts": watts, "wh_today": wh_today}


def meter(*channels: dict[str, Any], serial: str = "01000777", **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """Make a meter of an answer."""
    return {"serial": serial, "time": NOW.timestamp() - 5, "channels": list(channels), "sensors": [], **more}


def status(*sinks: dict[str, Any], lines: tuple[str, ...] = (), silent: str = "") -> dict[str, Any]:
    """Make an answer to `status`."""
    meters = [{"serial": silent, "silent_for": 400.0}] if silent else []
    source = {"name": "panel", "state": "ok", "meters": meters}
    return {"status": {"sources": [source], "sinks": list(sinks)}, "lines": list(lines)}


HOUSE = site_of(
    {
        "complete": True,
        "meters": [
            meter(
                channel("grid", -1234.4, 12_345.6),
                channel("solar", -2468.8, -23_450.0),
                channel("heat pump", 1234.0, 5000.0),
                channel("kitchen oven", 0.3, 2.0),
                channel("01000777_ch9", 0.0, 0.0, named=False),
                channel("01000777_ch10", 17.0, 100.0, named=False),
                volts=121.34,
                sensors=[
                    {"channel": "t1", "name": "outdoors", "value": 21.5, "unit": "°"},
                    {"channel": "p1", "name": "water", "value": 12_345.6, "unit": "L"},
                    {"channel": "p2", "name": "01000777_p2", "value": 0, "unit": ""},
                ],
            )
        ],
    },
    status(
        {"name": "sqlite", "state": "ok"},
        {
            "name": "roof",
            "state": "failing",
            "waiting": 1283,
            "oldest_waiting": "2026-06-21T11:50:00Z",
            "dead_letters": 2,
        },
        lines=("btcore runs", "! sink.roof fails: no network", "source.panel: ok"),
    ),
)


def rows(site: Site, view: View, failure: str = "") -> list[str]:
    """Return the lines as plain text."""
    return [line.plain.rstrip() for line in draw(site, view, NOW, failure).lines]


def test_a_picture_of_80_by_14() -> None:
    """Circuits are sorted by power, with bars and today's energy; what is wrong is above, sinks and keys below."""
    assert rows(HOUSE, View(79, 14)) == [
        "btcore Sun 21 Jun 12:00:05  last reading 5 s ago",
        "! sink.roof fails: no network",
        "circuit              now                                                 today",
        "solar           -2,469 W ███████████████████████████████████████    -23.45 kWh",
        "grid            -1,234 W ███████████████████▌                        12.35 kWh",
        "heat pump        1,234 W ███████████████████▌                         5.00 kWh",
        "01000777_ch10       17 W ▎                                            0.10 kWh",
        "kitchen oven         0 W                                              0.00 kWh",
        "",
        "sink sqlite ok",
        "sink roof failing  1,283 waiting, for 10 min  2 dead letters",
        "source panel ok",
        "121.3 V   outdoors 21.5°   water 12,345.6 L",
        "q leave   h health   ↑ ↓ scroll",
    ]


def test_a_picture_of_40_by_10() -> None:
    """A small window has fewer circuits, and the sink that fails."""
    assert rows(HOUSE, View(39, 10)) == [
        "btcore 12:00:05  last reading 5 s ago",
        "! sink.roof fails: no network",
        "solar           -2,469 W    -23.45 kWh",
        "grid            -1,234 W     12.35 kWh",
        "heat pump        1,234 W      5.00 kWh",
        "  … 2 below",
        "sink roof failing  1,283 waiting, for …",
        "… 2 more",
        "121.3 V   outdoors 21.5°   water 12,34…",
        "q leave   h health   ↑ ↓ scroll",
    ]


def test_a_narrow_window_has_no_bars_then_no_energies() -> None:
    """What does not fit is left out: bars first, then today's energy, then the ends of names."""
    assert rows(HOUSE, View(42, 30))[3] == "solar           -2,469 W    -23.45 kWh"
    assert rows(HOUSE, View(28, 30))[3] == "solar           -2,469 W"
    assert rows(HOUSE, View(20, 30))[6] == "0100077…       17 W"


def test_a_health_page() -> None:
    """The other page has the lines of `btcore status`."""
    assert rows(HOUSE, View(79, 6, is_health=True)) == [
        "btcore Sun 21 Jun 12:00:05  last reading 5 s ago",
        "btcore runs",
        "! sink.roof fails: no network",
        "source.panel: ok",
        "",
        "q leave   n now   ↑ ↓ scroll",
    ]


def test_without_a_window_all_is_there() -> None:
    """One picture for a file has every circuit, and no keys."""
    many = attrs.evolve(HOUSE, circuits=HOUSE.circuits * 12)
    lines = rows(many, View(80))
    assert len([line for line in lines if "kWh" in line]) == 60
    assert not any("leave" in line for line in lines)


def test_one_can_scroll_to_each_of_48_channels() -> None:
    """With 48 channels in a window of 24 rows, going down shows each of them, and says how many are not visible."""
    site = site_of({"meters": [meter(*(channel(f"circuit {n}", 1000 - n) for n in range(48)))]}, status())
    view, seen = View(79, 24), set()
    assert "  … 29 below" in rows(site, view)
    for _ in range(60):
        picture = draw(site, view, NOW)
        seen |= {line.plain.split("  ")[0] for line in picture.lines if line.plain.startswith("circuit ")}
        view = turned(view, "down", picture)
    assert {f"circuit {n}" for n in range(48)} <= seen
    assert any("above" in row and "below" not in row for row in rows(site, view))
    assert turned(view, "first", picture).scroll == 0
    assert turned(turned(view, "first", picture), "up", picture).scroll == 0
    assert turned(turned(view, "first", picture), "last", picture).scroll == picture.max_scroll


def test_a_silent_meter() -> None:
    """The power of a meter that is silent is not shown as if it were the present."""
    site = site_of({"meters": [meter(channel("barn", 500.0))]}, status(silent="01000777"))
    (line,) = (row for row in rows(site, View(60, 20)) if row.startswith("barn"))
    assert "silent" in line
    assert "W" not in line.replace("kWh", "")


def test_why_nothing_is_known() -> None:
    """Where nobody answers, the first line says why; what was known stays."""
    lines = rows(HOUSE, View(79, 24), "no btcore runs with /var/lib/btcore")
    assert lines[0] == "btcore Sun 21 Jun 12:00:05  no btcore runs with /var/lib/btcore"
    assert any("heat pump" in line for line in lines)
    assert "no meter was heard yet" in rows(Site(), View(79, 24))[0]


def test_energies_that_are_not_counted_yet() -> None:
    """Until the day is counted, no energy is shown, and the first line says so."""
    site = site_of({"meters": [meter(channel("barn", 500.0, None))], "complete": False}, status())
    lines = rows(site, View(79, 24))
    assert lines[0].endswith("counting today's energy")
    assert any(line.startswith("barn") and line.endswith("…") for line in lines)


texts = st.text(max_size=40) | st.sampled_from(
    ["[bold red]x[/]", "\x1b[2J\x1b[31m", "a\nb", "\u202ex", "電子レンジ", ":boom:"]
)
numbers = st.none() | st.floats(-1e7, 1e7) | st.integers(-10, 10)
channels = st.builds(channel, texts, numbers, numbers, named=st.booleans())
meters = st.builds(meter, channels, channels, serial=texts, volts=numbers)
sites = st.builds(
    lambda found, lines, name: site_of(
        {"meters": found, "complete": True}, status({"name": name, "state": name}, lines=tuple(lines))
    ),
    st.lists(meters, max_size=6),
    st.lists(texts.map(lambda text: f"! {text}") | texts, max_size=8),
    texts,
)


@given(
    site=sites, columns=st.integers(2, 200), height=st.integers(1, 60), scroll=st.integers(0, 99), page=st.booleans()
)
def test_every_picture_fits_its_window(site: Site, columns: int, height: int, scroll: int, *, page: bool) -> None:
    """Whatever names there are and however small the window is: as many rows as it has, none too wide, no escapes."""
    lines = draw(site, View(columns, height, scroll, is_health=page), NOW, "" if scroll % 2 else "gone").lines
    assert len(lines) == height
    assert all(cell_len(line.plain) <= columns for line in lines)
    assert all(line.plain.isprintable() for line in lines)
    assert any(line.plain.strip() for line in lines)


def test_markup_is_text() -> None:
    """What looks like markup or an emoji's name is shown as it is."""
    site = site_of({"meters": [meter(channel("[bold red]oven[/] :boom:", 5.0))]}, status())
    assert any("[bold red]oven[/] :boom:" in row for row in rows(site, View(79, 24)))
