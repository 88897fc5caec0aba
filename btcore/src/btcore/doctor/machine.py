# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings about this machine: its clock, its disk, rights of files, versions, and the running program."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from btcore.clocks import is_absurd
from btcore.doctor.facts import JournalFacts, SiteFacts
from btcore.findings import Finding
from btcore.journal.opening import READ_ONLY
from btcore.text import format_bytes, format_duration

AHEAD = timedelta(minutes=10)
"""By how much the newest reading may be ahead of the clock of this machine."""

MIN_FREE = 200_000_000
"""Bytes of the journal's disk that should be free."""

RECENT = timedelta(days=7)
"""A damage of the journal is reported for so long."""

SOON = timedelta(days=30)
"""A disk that is full within this time is reported."""


def find(facts: SiteFacts) -> Iterator[Finding]:
    """Yield what is wrong with this machine."""
    yield from _clock(facts)
    yield from _program(facts)
    yield from _rights(facts)
    yield from _damage(facts.journal, facts.now)
    yield from _disk(facts.journal, facts.now)


def _clock(facts: SiteFacts) -> Iterator[Finding]:
    advice = "Set it: `timedatectl` shows whether it follows a time server (systemd-timesyncd, chrony)"
    now, newest = facts.now, facts.journal.newest
    if is_absurd(now):
        yield Finding("machine-clock", f"this machine's clock shows {now:%Y-%m-%d %H:%M}Z", advice, "machine")
    elif newest is not None and newest > now + AHEAD:
        text = f"the newest reading came in at {newest:%Y-%m-%d %H:%M}Z, and this machine's clock shows"
        yield Finding("machine-clock", f"{text} {now:%Y-%m-%d %H:%M}Z: it was set back", advice, "machine")


def _program(facts: SiteFacts) -> Iterator[Finding]:
    state = str(facts.site.state)
    if facts.silence and facts.journal.is_writable:  # else that is why
        advice = "Run `btcore doctor` as the user of the running program; if it hangs, its log says why: restart it"
        yield Finding("program-silent", facts.silence, advice, state)
    if facts.running_version and facts.running_version != facts.version:
        text = f"btcore {facts.running_version} runs, and {facts.version} is installed"
        yield Finding("version", text, "Restart btcore, so that the installed version runs", state)


def _rights(facts: SiteFacts) -> Iterator[Finding]:
    state = str(facts.site.state)
    for file in facts.readable:
        text = f"every user of this machine can read {file}"
        yield Finding("file-rights", text, f"Run: chmod o-rwx {file}", str(file))
    if facts.journal.is_read_only:
        text = f"the file system of {state} may only be read"
        yield Finding("state-rights", text, READ_ONLY, state)
    elif not facts.journal.is_writable:
        text = f"this user may not write into {state}"
        advice = "Run btcore and this command as the user that owns it, or give the directory to that user (chown -R)"
        yield Finding("state-rights", text, advice, state)
    if facts.journal.failure and facts.journal.is_writable:
        advice = (
            "If its disk is full, make room: btcore goes on by itself. If it is damaged, docs/journal.md says what can"
            " be saved; if it is newer, upgrade btcore"
        )
        yield Finding("journal", facts.journal.failure, advice, state)


def _damage(journal: JournalFacts, now: datetime) -> Iterator[Finding]:
    if journal.damaged_at is not None and now - journal.damaged_at < RECENT:
        advice = (
            "btcore has mended it and goes on. If nobody has changed the file, look at the disk: `dmesg`, `smartctl`"
        )
        text = f"{journal.damaged_at:%Y-%m-%d %H:%M}Z: {journal.damage}"
        yield Finding("journal-damaged", text, advice, journal.location)


def _disk(journal: JournalFacts, now: datetime) -> Iterator[Finding]:
    advice, where = "Make room on this disk, or lower `retention` or max_journal_bytes", journal.location
    if journal.free is not None and journal.free < MIN_FREE:
        text = f"only {format_bytes(journal.free)} of the disk are free"
        yield Finding("disk", text, advice, where)
    elif journal.full is not None and journal.full - now < SOON:
        when = format_duration((journal.full - now).total_seconds())
        yield Finding("disk", f"the disk is full in {when}, if readings go on coming as they do", advice, where)
