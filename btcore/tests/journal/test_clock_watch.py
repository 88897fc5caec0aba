# SPDX-License-Identifier: GPL-3.0-or-later
"""Readings that came in before this computer's clock was set: they get their time when it is."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from helpers.journal_entries import raw_entry

from btcore.journal import Entry, Journal
from btcore.journal.clock_watch import NAME, PATIENCE, ClockWatch, without_time
from btcore.records import from_microseconds, to_microseconds

BOOT = 77
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
SECOND = 1_000_000


class Clocks:
    """The two clocks of a computer, and whether a time server sets the one."""

    def __init__(self, time: datetime, *, synchronized: bool | None = False) -> None:
        """Begin, half a minute after the start of the system."""
        self.time = time
        self.monotonic = 30 * SECOND
        self.synchronized = synchronized

    def pass_time(self, seconds: float) -> None:
        """Let both clocks go on."""
        self.time += timedelta(seconds=seconds)
        self.monotonic += round(seconds * SECOND)

    def watch(self, journal: Journal, boot: int = BOOT) -> ClockWatch:
        """Watch these clocks."""
        return ClockWatch(
            journal,
            now=lambda: self.time,
            steady=lambda: self.monotonic,
            is_synchronized=lambda: self.synchronized,
            boot=boot,
        )

    def entry(self, watch: ClockWatch, raw: bytes = b"", boot: int = BOOT) -> Entry:
        """Make the entry of a packet that comes in now."""
        stamp = boot if watch.is_set else -boot
        return attrs.evolve(
            raw_entry(to_microseconds(self.time), raw or b"%d" % self.monotonic), monotonic=self.monotonic, boot=stamp
        )


def times(entries: Sequence[Entry]) -> list[datetime]:
    """Return the times of entries."""
    return [from_microseconds(one.key) for one in entries]


@pytest.mark.parametrize("start", [datetime(1970, 1, 1, tzinfo=UTC), NOON - timedelta(days=3)])
def test_what_came_in_before_the_clock_was_set_gets_its_time(journal: Journal, start: datetime) -> None:
    """At 1970, or at the last shutdown: exactly when it came in, by the clock that nobody sets."""
    computer = Clocks(start)
    watch = computer.watch(journal)
    for _ in range(3):
        journal.append([computer.entry(watch)])
        computer.pass_time(10)
    assert without_time(journal.read(0, 9))[0] == []
    computer.time = NOON
    computer.synchronized = True
    watch.check()
    journal.append([computer.entry(watch)])
    assert times(journal.read(0, 9)) == [NOON - timedelta(seconds=ago) for ago in (30, 20, 10, 0)]
    assert [one.boot for one in journal.read(0, 9)] == [BOOT] * 4
    assert not watch.is_holding


def test_a_clock_that_cannot_be_right_is_never_believed(journal: Journal) -> None:
    """In 1970 nothing is delivered, however long that is, and whatever says that the clock is right."""
    computer = Clocks(datetime(1970, 1, 1, tzinfo=UTC), synchronized=True)
    watch = computer.watch(journal)
    journal.append([computer.entry(watch)])
    computer.pass_time(30 * 86_400)
    watch.check()
    assert not watch.is_set
    assert without_time(journal.read(0, 9))[1] is not None


@pytest.mark.parametrize("synchronized", [True, None])
def test_a_clock_that_may_be_right_is_believed_at_once(journal: Journal, synchronized: bool | None) -> None:
    """Where a time server has set it, or the system does not tell."""
    assert Clocks(NOON, synchronized=synchronized).watch(journal).is_set


def test_no_time_server_is_waited_for_longer_than_three_minutes(journal: Journal) -> None:
    """A computer without a network has its readings delivered with the time that it shows."""
    computer = Clocks(NOON)
    watch = computer.watch(journal)
    journal.append([computer.entry(watch)])
    computer.pass_time(PATIENCE / SECOND)
    watch.check()
    assert times(journal.read(0, 9)) == [NOON]
    assert not watch.is_holding


def test_a_program_that_is_started_again_goes_on(journal: Journal) -> None:
    """Killed before the clock was set, and started after it: the same start of the system tells the times."""
    computer = Clocks(datetime(1970, 1, 1, tzinfo=UTC))
    journal.append([computer.entry(computer.watch(journal))])
    computer.pass_time(60)
    computer.time, computer.synchronized = NOON, True
    again = computer.watch(journal)
    assert again.is_holding
    again.check()
    assert times(journal.read(0, 9)) == [NOON - timedelta(seconds=60)]
    assert journal.source_checkpoint(NAME) == ""


def test_a_start_whose_clock_was_never_set_comes_right_after_what_was_before(journal: Journal) -> None:
    """Nobody knows when it was: its readings keep their distances, and come after the last one with a time."""
    earlier = Clocks(NOON - timedelta(hours=1), synchronized=True)
    journal.append([earlier.entry(earlier.watch(journal, boot=5), boot=5)])
    lost = Clocks(datetime(1970, 1, 1, tzinfo=UTC))
    watch = lost.watch(journal, boot=6)
    for _ in range(2):
        journal.append([lost.entry(watch, boot=6)])
        lost.pass_time(10)
    now = Clocks(NOON, synchronized=True)
    now.watch(journal).check()
    hour = NOON - timedelta(hours=1)
    assert times(journal.read(0, 9)) == [hour, hour + timedelta(seconds=30), hour + timedelta(seconds=40)]


def test_packets_that_came_at_once_stay_apart_and_in_order(journal: Journal) -> None:
    """They have one time by the steady clock, and different keys."""
    computer = Clocks(datetime(1970, 1, 1, tzinfo=UTC))
    watch = computer.watch(journal)
    entries = [attrs.evolve(computer.entry(watch, b"%d" % n), key=n) for n in range(3)]
    journal.append(entries)
    computer.time, computer.synchronized = NOON, True
    watch.check()
    noon = to_microseconds(NOON)
    assert [(one.key, one.raw) for one in journal.read(0, 9)] == [(noon + n, b"%d" % n) for n in range(3)]


def test_what_was_written_late_is_found_by_a_sink(journal: Journal) -> None:
    """A reading that waited for the journal while the clock was set gets its time as well."""
    computer = Clocks(datetime(1970, 1, 1, tzinfo=UTC))
    watch = computer.watch(journal)
    late = computer.entry(watch)
    computer.time, computer.synchronized = NOON, True
    watch.check()
    journal.append([late])
    _, found = without_time(journal.read(0, 9))
    assert found is not None
    watch.found(found)
    watch.check()
    assert times(journal.read(0, 9)) == [NOON]


@pytest.mark.parametrize("hours", [1, -1, 24, -24])
def test_a_clock_that_is_set_changes_no_reading(journal: Journal, hours: int, caplog: pytest.LogCaptureFixture) -> None:
    """Forward or back, once it was right: the log says so, and what is kept stays as it is."""
    computer = Clocks(NOON, synchronized=True)
    watch = computer.watch(journal)
    journal.append([computer.entry(watch)])
    before = journal.read(0, 9)
    computer.time += timedelta(hours=hours)
    watch.check()
    assert journal.read(0, 9) == before
    assert f"clock was set {'forward' if hours > 0 else 'back'} by" in caplog.text


def test_what_came_in_in_1970_is_not_forgotten_for_its_age(journal: Journal) -> None:
    """Retention counts from the right time."""
    from btcore.journal import Checkpoint, Retention  # noqa: PLC0415

    computer = Clocks(datetime(1970, 1, 1, tzinfo=UTC))
    watch = computer.watch(journal)
    journal.append([computer.entry(watch)])
    computer.time, computer.synchronized = datetime.now(UTC), True
    watch.check()
    journal.commit("sink.a", Checkpoint(journal.newest()))
    list(journal.apply_retention(["sink.a"], Retention(86_400)))
    assert len(journal.read(0, 9)) == 1
