# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured now, as the running program answers it: the counters' differences since midnight."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import attrs
import pytest
from helpers.journal_entries import entries_of
from helpers.metered_house import CHANNELS, HOUSE, house_reading

from btcore import Reading
from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.errors import Unavailable
from btcore.journal.memory import MemoryJournal
from btcore.records import from_microseconds
from btcore.status import present
from btcore.status.present import Present, midnight_of, offset_before

DAY, HOUR = 86_400, 3600
NOON = datetime(2026, 6, 21, 12).astimezone()
MIDNIGHT = NOON.timestamp() - 12 * HOUR
GRID, SUN = "ch1", "ch2"


@attrs.define
class NamedSite:
    """What is used of a configuration: its names of channels."""

    channels: dict[str, str] = attrs.field(factory=lambda: {key: one.name for key, one in CHANNELS.items()})
    channel_descriptions: dict[str, Any] = attrs.field(factory=lambda: dict(CHANNELS))


def reading(moment: float, serial: str = HOUSE, since: int = 0, begun: int = 3_600_000_000) -> Reading:
    """Make the reading of a moment, seconds after midnight; the meter restarted at `since`, if it did."""
    made = house_reading(round(moment) + DAY, serial, since + DAY if since else 0, begun)
    return attrs.evolve(made, time=from_microseconds(round((MIDNIGHT + moment) * 1e6)))


def ask(journal: MemoryJournal, moment: float = 12 * HOUR, site: Any = None) -> dict[str, Any]:  # noqa: ANN401
    """Return the answer at a moment, seconds after midnight."""
    made: Any = site or NamedSite()
    return complete(Present(lambda: made, journal, decoders, lambda: MIDNIGHT + moment))


def complete(asked: Present) -> dict[str, Any]:
    """Ask until the day is counted: on a computer that has much to do, that takes several questions."""
    while not (answer := next(asked.answer({})))["complete"]:
        pass
    return answer


def decoders() -> Decoders:
    """Make the decoders of Brultech's packets."""
    return Decoders((Brultech(),))


def journal_of(readings: Iterable[Reading]) -> MemoryJournal:
    """Make a journal of readings."""
    journal = MemoryJournal()
    journal.append(entries_of(readings))
    return journal


def channel(answer: dict[str, Any], name: str, meter: int = 0) -> dict[str, Any]:
    """Return what an answer has of a channel."""
    return next(one for one in answer["meters"][meter]["channels"] if one["channel"] == name)


def test_a_day_is_the_difference_of_the_counters() -> None:
    """Watts are those of the last sample, and Wh what was counted since midnight, positive for what is consumed."""
    answer = ask(journal_of(reading(at) for at in range(-5 * HOUR, 12 * HOUR + 1, 600)))
    assert channel(answer, GRID) == {
        "channel": "ch1",
        "name": "grid",
        "named": True,
        "watts": pytest.approx(600),
        "wh_today": pytest.approx(600 * 12),
    }
    assert channel(answer, SUN)["wh_today"] == pytest.approx(-500 * 12)
    meter = answer["meters"][0]
    assert (meter["serial"], meter["time"], meter["since"]) == (HOUSE, NOON.timestamp(), MIDNIGHT)
    assert {one["name"]: (one["value"], one["unit"]) for one in meter["sensors"]}["water"] == (216.0, "L")


def test_an_interval_over_midnight_is_shared_out() -> None:
    """What was counted from 23:45 to 00:15 is today's by half."""
    answer = ask(journal_of(reading(at) for at in range(-4500, 12 * HOUR + 1, 1800)))
    assert channel(answer, GRID)["wh_today"] == pytest.approx(600 * (11.75))


def test_a_meter_that_restarted_has_counted_on() -> None:
    """After a reset of the meter the energy before it is still today's."""
    before = [reading(at) for at in range(-600, 6 * HOUR + 1, 60)]
    after = [reading(at, since=6 * HOUR, begun=0) for at in range(6 * HOUR + 60, 12 * HOUR + 1, 60)]
    answer = ask(journal_of([*before, *after]))
    assert channel(answer, GRID)["wh_today"] == pytest.approx(600 * 12, rel=0.002)


def test_a_meter_that_was_heard_first_today_counts_from_then() -> None:
    """Its day begins with its first reading, and the answer says when that was."""
    answer = ask(journal_of(reading(at) for at in range(9 * HOUR, 12 * HOUR + 1, 60)))
    assert answer["meters"][0]["since"] == MIDNIGHT + 9 * HOUR
    assert channel(answer, GRID)["wh_today"] == pytest.approx(600 * 3)


def test_a_new_day_begins_at_zero() -> None:
    """Asked again after midnight, it has what was counted since then; a meter that is silent since has none."""
    journal, moment = journal_of(reading(at) for at in range(-600, 12 * HOUR, 60)), 12 * HOUR
    clock = [MIDNIGHT + moment]
    site = NamedSite()
    asked = Present(lambda: site, journal, decoders, lambda: clock[0])  # type: ignore[arg-type, return-value]
    complete(asked)
    journal.append(entries_of(reading(at) for at in range(12 * HOUR, DAY + 2 * HOUR + 1, 60)))
    clock[0] += 14 * HOUR
    assert channel(complete(asked), GRID)["wh_today"] == pytest.approx(1200)
    clock[0] += DAY
    for silent in (complete(asked), ask(journal, clock[0] - MIDNIGHT)):
        assert channel(silent, GRID) == channel(silent, GRID) | {"watts": pytest.approx(600), "wh_today": None}


def test_power_is_known_before_the_day_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a question's time is too short for the day, the answer has the last power; asking again gets on."""
    monkeypatch.setattr(present, "RECENT", 10)
    monkeypatch.setattr(present, "WORK_SECONDS", 0.0)
    journal = journal_of(reading(at) for at in range(-600, 12 * HOUR + 1, 60))
    site = NamedSite()
    asked = Present(lambda: site, journal, decoders, lambda: MIDNIGHT + 12 * HOUR)  # type: ignore[arg-type, return-value]
    answers: list[dict[str, Any]] = []
    while not answers or not answers[-1]["complete"]:
        answers.append(next(asked.answer({})))
    assert len(answers) > 2
    assert [channel(one, GRID)["watts"] for one in answers] == [pytest.approx(600)] * len(answers)
    assert {channel(one, GRID)["wh_today"] for one in answers[:-1]} == {None}
    assert channel(answers[-1], GRID)["wh_today"] == pytest.approx(600 * 12)


def test_another_configuration_names_the_channels_anew() -> None:
    """After a reload the names are those of the new configuration."""
    journal, sites = journal_of(reading(at) for at in range(0, 600, 60)), [NamedSite()]
    asked = Present(lambda: sites[0], journal, decoders, lambda: MIDNIGHT + 600)  # type: ignore[arg-type, return-value]
    assert channel(complete(asked), GRID)["name"] == "grid"
    sites[0] = NamedSite({f"{HOUSE}_ch1": "street"}, {})
    assert channel(complete(asked), GRID)["name"] == "street"
    assert channel(complete(asked), SUN)["name"] == f"{HOUSE}_ch2"


def test_nothing_is_kept_when_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while without a question nothing is remembered; the next one is answered as the first was."""
    journal, site = journal_of(reading(at) for at in range(0, 3600, 60)), NamedSite()
    asked = Present(lambda: site, journal, decoders, lambda: MIDNIGHT + HOUR)  # type: ignore[arg-type, return-value]
    first = complete(asked)
    asked.check()
    assert HOUSE in asked._day.latest, "it was asked just now"
    monkeypatch.setattr(present, "IDLE_SECONDS", -1.0)
    asked.check()
    assert asked._day.latest == {}
    assert complete(asked) == first


def test_a_journal_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong while a question is answered is told to who asked; the next question is answered."""
    journal, site = journal_of(reading(at) for at in range(0, 3600, 60)), NamedSite()
    asked = Present(lambda: site, journal, decoders, lambda: MIDNIGHT + HOUR)  # type: ignore[arg-type, return-value]
    with monkeypatch.context() as broken:
        broken.setattr(journal, "recent", unreadable)
        with pytest.raises(Unavailable):
            next(asked.answer({}))
    assert channel(complete(asked), GRID)["wh_today"] == pytest.approx(600 * 3540 / 3600)


def unreadable(*_given: object) -> None:
    """Fail as a journal does whose disk is gone."""
    raise Unavailable("the disk is gone")


def test_two_meters() -> None:
    """Each meter has its own channels, day and time, by serial number."""
    other = "01000555"
    readings = [one for at in range(-600, 3600, 60) for one in (reading(at), reading(at + 7, other))]
    answer = ask(journal_of(readings), HOUR)
    assert [one["serial"] for one in answer["meters"]] == [other, HOUSE]
    assert channel(answer, GRID, 1)["wh_today"] == pytest.approx(600 * 3540 / 3600)
    assert channel(answer, GRID)["name"] == f"{other}_ch1"


def test_an_empty_journal() -> None:
    """Where nothing was measured there is no meter."""
    assert ask(MemoryJournal()) == {"meters": [], "complete": True}


@pytest.mark.parametrize("moment", [-DAY, 0, 30, 1000, 5 * HOUR, DAY])
def test_where_a_day_begins_in_the_journal(moment: int) -> None:
    """All entries behind the offset that is found have the key or a later one, and none before it has."""
    journal = journal_of(reading(at) for at in range(0, 6 * HOUR, 60))
    key = round((MIDNIGHT + moment) * 1e6)
    found = offset_before(journal, key)
    assert all(entry.key >= key for entry in journal.read(found, 10_000))
    assert all(entry.key < key for entry in journal.recent(found, 10_000) if entry.offset <= found)


def test_midnight() -> None:
    """A day begins at the midnight before."""
    assert midnight_of(NOON.timestamp()) == MIDNIGHT
