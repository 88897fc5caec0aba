# SPDX-License-Identifier: GPL-3.0-or-later
"""A check of the meters and channels that a configuration names: those that no meter has are logged.

`config/named_channels.py` finds the names, the journal knows which meters were heard. Silent meters are not looked for
here.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from btcore.classes import define, field
from btcore.config.named_channels import Found, NamedChannel, labels_by_format, named_channels
from btcore.config.site import Site
from btcore.journal import HeardMeter
from btcore.text import closest, nearest

log = logging.getLogger("btcore")

FIRST_CHECK = 60.0
"""Seconds after the start of the first check: by then a healthy meter was heard."""

CHECK_INTERVAL = 10.0
"""Seconds between two checks."""

REPEAT_INTERVAL = 3600.0
"""Seconds after which a mismatch that remains is logged again."""

MAX_LINES = 8
"""Lines of one kind that one check logs; more are counted."""

MAX_SHOWN = 3
"""Tables or keys that a line names."""


Formats = Mapping[str, set[str]]
"""The packet formats that each meter was heard in."""


@define
class NameCheck:
    """Checks the names now and then. `labels` are those of each known format."""

    names: Sequence[NamedChannel]
    labels: Mapping[str, frozenset[str]]
    heard: Callable[[], Sequence[HeardMeter]]
    clock: Callable[[], float] = time.monotonic
    _due: float = field(init=False)
    _reported_at: float = field(init=False, default=0.0)
    _reported: list[Found] = field(init=False, factory=list)
    _unnamed: set[str] = field(init=False, factory=set)

    def __attrs_post_init__(self) -> None:
        """Plan the first check."""
        self._due = self.clock() + FIRST_CHECK

    @classmethod
    def of(cls, site: Site, heard: Callable[[], Sequence[HeardMeter]]) -> "NameCheck":
        """Make the check of a site."""
        names = named_channels(site)
        return cls(names, labels_by_format(site) if names else {}, heard)  # 0.2 MB, of all formats

    def check(self) -> None:
        """Check, if it is time: log new mismatches at once, the others once an hour."""
        now = self.clock()
        if self.names and now >= self._due:
            heard = self.heard()
            self._due = now + (CHECK_INTERVAL if heard else FIRST_CHECK)
            self._compare(heard, now)

    def finish(self) -> None:
        """Check at the end of a run."""
        if self.names:
            self._compare(self.heard(), self.clock())

    def describe_mismatches(self) -> list[str]:
        """Return what is wrong with the names now, each with its tables in front; nothing where no meter was heard."""
        formats = _formats(self.heard())
        return [self._describe_mismatch(*found, formats) for found in self._mismatches(formats)] if formats else []

    def _compare(self, heard: Sequence[HeardMeter], now: float) -> None:
        if not heard:
            return  # without any meter, no name is wrong
        formats = _formats(heard)
        mismatches = self._mismatches(formats)
        _log_lines(
            logging.INFO, [self._describe_resolved(*found) for found in self._reported if found not in mismatches]
        )
        self._report_mismatches(mismatches, formats, now)
        self._report_unnamed(heard)

    def _mismatches(self, formats: Formats) -> list[Found]:
        """Return the meters that were never heard, and the channels of meters that have no such channel."""
        mismatches: dict[Found, None] = {}
        for name in self.names:
            if name.serial and name.serial not in formats:
                mismatches[name.serial, ""] = None
            elif name.label and not self._has(name, formats):
                mismatches[name.serial, name.label] = None
        return list(mismatches)

    def _has(self, name: NamedChannel, formats: Formats) -> bool:
        """Whether the named meter has the label (any meter, if none is named). True where the format is not known."""
        return any(name.label in self.labels.get(form, (name.label,)) for form in _sent(name.serial, formats))

    def _report_mismatches(self, mismatches: list[Found], formats: Formats, now: float) -> None:
        again = [found for found in mismatches if found in self._reported]
        if again and now - self._reported_at >= REPEAT_INTERVAL:
            self._reported_at = now
            _log_lines(logging.WARNING, [f"{self._describe_mismatch(*found, formats)} (unchanged)" for found in again])
        new = [found for found in mismatches if found not in self._reported]
        if new and not again:
            self._reported_at = now
        _log_lines(logging.WARNING, [self._describe_mismatch(*found, formats) for found in new])
        self._reported = mismatches

    def _describe_mismatch(self, serial: str, label: str, formats: Formats) -> str:
        """Describe what is wrong with a name, and where it is."""
        if not label:
            return (
                f"{self._locations(serial, label)}: meter {serial} was never heard; {_describe_heard(serial, formats)}"
            )
        sent = sorted(_sent(serial, formats))
        near = nearest(label, [known for form in sent for known in self.labels[form]])
        who, they = (f"meter {serial} has no", "it sends") if serial else ("no meter has", "they send")
        return f"{self._locations(serial, label)}: {who} {label}: {they} {', '.join(sent)}{near}"

    def _describe_resolved(self, serial: str, label: str) -> str:
        what = f"a meter has {label} now" if label else f"meter {serial} is heard now"
        return f"{self._locations(serial, label)}: {what}"

    def _locations(self, serial: str, label: str) -> str:
        return describe_locations(name for name in self.names if name.serial == serial and label in ("", name.label))

    def _report_unnamed(self, heard: Sequence[HeardMeter]) -> None:
        """Log, once each, the meters of this run that the configuration does not name while it names others."""
        known = {name.serial: name for name in reversed(self.names) if name.serial}
        new = {one.serial for one in heard if one.offset} - known.keys() - self._unnamed
        if known and new:
            self._unnamed |= new
            _log_lines(logging.INFO, [_describe_unnamed(serial, known) for serial in sorted(new)])


def _formats(heard: Sequence[HeardMeter]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for hearing in heard:
        found.setdefault(hearing.serial, set()).add(hearing.format)
    return found


def _sent(serial: str, formats: Formats) -> set[str]:
    """Return the formats that a meter sends; all formats if no meter is named."""
    return formats[serial] if serial else {form for some in formats.values() for form in some}


def describe_locations(names: Iterable[NamedChannel]) -> str:
    """Describe where names are: `[sink.roof] generation, grid; [channels] 399999_ch1`."""
    tables: dict[str, list[str]] = {}
    for name in names:
        keys = tables.setdefault(name.table, [])
        if name.key not in keys:
            keys.append(name.key)
    return _join_first([f"[{table}] {_join_first(keys, ', ')}" for table, keys in tables.items()], "; ")


def _join_first(texts: Sequence[str], between: str) -> str:
    return between.join([*texts[:MAX_SHOWN], *(["..."] if len(texts) > MAX_SHOWN else [])])


def _describe_heard(serial: str, heard: Mapping[str, object]) -> str:
    """Describe the meters that were heard in place of one that was not: the nearest, and how many more."""
    near = closest(serial, heard)
    more = f" ({len(heard) - 1} more)" if len(heard) > 1 else ""
    asked = f'; did you mean "{near}"?' if near else ""
    return f"heard: {near or list(heard)[-1]}{more}{asked}"


def _describe_unnamed(serial: str, known: Mapping[str, NamedChannel]) -> str:
    near = known.get(closest(serial, known))
    like = f"; the nearest name is {near.serial} ({describe_locations([near])})" if near else ""
    return f"meter {serial} is heard, but not named in the configuration{like}"


def _log_lines(level: int, lines: Sequence[str]) -> None:
    for line in lines[:MAX_LINES]:
        log.log(level, "%s", line)
    if len(lines) > MAX_LINES:
        log.log(level, "and %d more", len(lines) - MAX_LINES)
