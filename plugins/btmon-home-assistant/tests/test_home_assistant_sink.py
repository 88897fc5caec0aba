# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written to Home Assistant: statistics, rows, and how they continue what is there."""

import logging
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from helpers.journal_entries import entries_of
from helpers.metered_house import BEGINNING, HOUSE, batch_of, house_entries, house_reading, house_readings
from helpers.running_sink import deliver_all
from servers.home_assistant import HomeAssistantApi

from btcore import Batch, ChannelRef, Context
from btcore.journal.opening import DEFAULT, open_journal
from btmon_home_assistant.hours import HOUR
from btmon_home_assistant.sink import HomeAssistant

Opened = Callable[..., HomeAssistant]

IMPORT, EXPORT, SUN = (f"btcore:{HOUSE}_{what}" for what in ("ch1_import", "ch1_export", "ch2_export"))
FIRST = round(BEGINNING.timestamp()) // HOUR * HOUR
DAY = 24 * HOUR


def test_each_direction_is_a_statistic(server: HomeAssistantApi, opened: Opened) -> None:
    """What has counted anything is there with name, unit and counter; what has not is not."""
    opened().process_batch(batch_of(house_readings(0, 2 * HOUR)))
    about = {key: (one["name"], one["unit_of_measurement"]) for key, one in server.recorder.metadata.items()}
    assert about == {
        IMPORT: ("grid energy imported", "kWh"),
        EXPORT: ("grid energy exported", "kWh"),
        SUN: ("solar energy exported", "kWh"),
        f"btcore:{HOUSE}_p1": ("water", "L"),
    }
    assert server.recorder.rows[IMPORT][FIRST + HOUR][0] == pytest.approx(1000 + 0.8 * 100 / 60, abs=1e-6)


def test_an_hour_has_its_energy(server: HomeAssistantApi, opened: Opened) -> None:
    """The first hour has what was counted since the first reading, each later one its own, the last until now."""
    opened().process_batch(batch_of(house_readings(0, 2 * HOUR)))
    steps = [0.8 * part for part in (40 / 60, 1, 20 / 60)]
    assert server.recorder.steps(IMPORT) == pytest.approx(steps, abs=2e-6)
    assert server.recorder.steps(f"btcore:{HOUSE}_p1") == pytest.approx([4, 6, 2])


def test_btmon_s_sign_changes_no_direction(server: HomeAssistantApi, opened: Opened) -> None:
    """With btmon's polarity, what is imported is imported."""
    sink = opened(context=Context("sink.test", logging.getLogger("sink.test"), polarity="btmon"))
    sink.process_batch(batch_of(house_readings(0, HOUR), "btmon"))
    assert sum(server.recorder.steps(IMPORT)) == pytest.approx(0.8, abs=2e-6)
    assert sum(server.recorder.steps(EXPORT)) == pytest.approx(0.2, abs=2e-6)


def test_the_running_hour_is_overwritten(server: HomeAssistantApi, opened: Opened) -> None:
    """Each call writes the hour that is running anew, also after a restart."""
    for start in range(0, HOUR, 300):
        opened().process_batch(batch_of(house_readings(start, start + 300)))
    assert server.recorder.steps(SUN) == pytest.approx([0.5 * 40 / 60, 0.5 * 20 / 60], abs=2e-6)


def test_a_replay_changes_nothing(server: HomeAssistantApi, opened: Opened) -> None:
    """What is delivered again, all or a part of it, is overwritten by the same."""
    sink = opened()
    sink.process_batch(batch_of(house_readings(0, DAY)))
    before = {key: dict(rows) for key, rows in server.recorder.rows.items()}
    for again, start, end in ((sink, 0, DAY), (sink, 4800, 9000), (opened(), 600, 1200), (opened(), 0, DAY)):
        again.process_batch(batch_of(house_readings(start, end)))
        for key, rows in server.recorder.rows.items():
            assert list(rows) == list(before[key])
            assert list(rows.values()) == [pytest.approx(row, abs=2e-6) for row in before[key].values()]


def test_a_gap_has_rows(server: HomeAssistantApi, opened: Opened) -> None:
    """A day without readings is spread over its hours: no hour has all of it."""
    opened().process_batch(batch_of([*house_readings(0, HOUR), *house_readings(DAY, DAY + HOUR)]))
    steps = server.recorder.steps(IMPORT)
    assert len(steps) == 26
    assert max(steps) == pytest.approx(0.8, abs=2e-6)


@pytest.mark.parametrize("days", [1, 20, 400])
def test_history_may_come_later(server: HomeAssistantApi, opened: Opened, days: int) -> None:
    """What is older than all that is there goes before it: sums begin at zero there, and go on into the later ones."""
    live, old = opened(), opened()
    later = days * DAY
    live.process_batch(batch_of(house_readings(later, later + HOUR)))
    old.process_batch(batch_of(house_readings(0, 3 * HOUR)))
    old.process_batch(batch_of(house_readings(3 * HOUR, 6 * HOUR)))
    live.process_batch(batch_of(house_readings(later + HOUR, later + 2 * HOUR)))
    sums = server.recorder.sums(IMPORT)
    assert sums == sorted(sums)
    assert sums[0] == pytest.approx(0.8 * 40 / 60, abs=2e-6)
    assert sums[-1] == pytest.approx(0.8 * (later / HOUR + 2), abs=2e-6)


def test_the_row_before_may_be_years_ago(server: HomeAssistantApi, opened: Opened) -> None:
    """After a gap of years, during which another counter took its place, sums continue from the last row."""
    opened().process_batch(batch_of(house_readings(0, HOUR)))
    later = 800 * DAY
    other = [house_reading(at, since=later, begun=0) for at in range(later, later + HOUR + 1, 300)]
    opened().process_batch(batch_of(other))
    sums = server.recorder.sums(IMPORT)
    assert sums == sorted(sums)
    assert sums[-1] == pytest.approx(1.6, abs=2e-6)


def test_a_reset_of_the_meter_is_no_step(server: HomeAssistantApi, opened: Opened, tmp_path: Path) -> None:
    """A meter that begins at zero again, over a restart of the sink, goes on in Home Assistant; no sum falls."""
    journal = open_journal(DEFAULT, tmp_path)
    journal.append(house_entries(0, 2 * HOUR))
    deliver_all(journal, opened(), interval=300)
    journal.append(entries_of(house_reading(2 * HOUR + at, since=2 * HOUR, begun=0) for at in range(60, HOUR, 300)))
    assert deliver_all(journal, opened(), interval=300).worker.stop_reason == ""
    journal.close()
    steps = server.recorder.steps(IMPORT)
    assert min(steps) >= 0
    assert sum(steps) == pytest.approx(0.8 * (3 - 240 / HOUR), abs=2e-6)


def test_channels_are_chosen(server: HomeAssistantApi, opened: Opened) -> None:
    """With `channels`, only these are written, and a batch in which there is none is not."""
    sink = opened(channels=[ChannelRef(HOUSE, "ch2")])
    assert sink.process_batch(batch_of(house_readings(0, HOUR))) == 12
    assert sink.process_batch(batch_of(house_readings(0, HOUR, serial="01000888"))) == 0
    assert list(server.recorder.rows) == [SUN]


def test_serials_are_shortened(server: HomeAssistantApi, opened: Opened) -> None:
    """With `serials`, no id and no name has the complete serial number."""
    opened(serials="short").process_batch(batch_of(house_readings(0, HOUR, serial="01000888")))
    assert "btcore:xxx888_ch1_import" in server.recorder.metadata
    assert "1000888" not in str(server.recorder.metadata)


def test_ids_are_as_home_assistant_wants_them(server: HomeAssistantApi, opened: Opened) -> None:
    """Whatever a meter goes by, its ids are valid, and its own."""
    sink = opened(channels=[ChannelRef("", "ch2")])
    for serial in ("000000-2", "Küche", "кухня", "ванная", "A.b"):
        sink.process_batch(batch_of(attrs.evolve(one, serial=serial) for one in house_readings(0, HOUR)))
    ids = {name.removesuffix("_ch2_export") for name in server.recorder.metadata}
    assert {"btcore:000000_2", "btcore:kfcche", "btcore:a_b"} < ids
    assert len(ids) == 5


def test_newer_versions_are_told_the_kind_of_unit(server: HomeAssistantApi, opened: Opened) -> None:
    """From 2025.11 on the metadata has `unit_class` and `mean_type`."""
    server.recorder.version = "2026.11.0b3"
    opened().process_batch(batch_of(house_readings(0, HOUR)))
    assert {one["unit_class"] for one in server.recorder.metadata.values()} == {"energy", "volume"}


def test_a_year_goes_in_large_steps(server: HomeAssistantApi, opened: Opened) -> None:
    """A year is written by few commands, of a bounded size."""
    sink = opened(channels=[ChannelRef(HOUSE, "ch2")])
    sink.process_batch(batch_of(house_readings(0, 365 * DAY, DAY)))
    sizes = [len(one["stats"]) for one in server.recorder.asked if one["type"] == "recorder/import_statistics"]
    assert sizes == [500] * 17 + [261]
    assert sum(server.recorder.steps(SUN)) == pytest.approx(365 * 12, abs=1e-3)


def test_a_dry_run_shows_rows(server: HomeAssistantApi, opened: Opened) -> None:
    """A preview has a line for each row, and asks Home Assistant nothing."""
    lines = list(opened(channels=[ChannelRef(HOUSE, "ch2")]).preview_batch(batch_of(house_readings(0, HOUR))))
    assert lines[0].startswith(f"{SUN} 2026-06-21T06:00Z 0.333333 kWh (solar energy exported)")
    assert not server.recorder.asked


def test_nothing_is_sent_of_nothing(server: HomeAssistantApi, opened: Opened) -> None:
    """A batch without samples opens no connection."""
    server.stop()
    assert opened().process_batch(Batch((house_reading(0),), ())) == 0
