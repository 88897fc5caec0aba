"""The names of meters in a configuration, compared with the meters that were heard; what does not fit is told.

Which names there are is `config/named_channels.py`'s, which meters were heard the journal's. Whether one is silent is
not asked here.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from btcore.config.named_channels import Found, NamedChannel, labels_by_format, named_channels
from btcore.config.site import Site
from btcore.journal import HeardMeter
from btcore.text import closest, nearest

log = logging.getLogger("btcore")

FIRST = 60.0
"""Seconds after the start at which it is looked for the first time: by then a meter that is well was heard."""

BETWEEN = 10.0
"""Seconds between two looks."""

AGAIN = 3600.0
"""Seconds after which what still does not fit is told once more."""

SINGLY = 8
"""Lines that are told one by one, of a kind; what is more is counted."""

SHOWN = 3
"""Places that a line shows."""


Formats = Mapping[str, set[str]]
"""The packet formats that each meter was heard in."""


@attrs.define
class Roll:
    """Compares the two now and then. `labels` are those that a format has; of others nothing is known."""

    names: Sequence[NamedChannel]
    labels: Mapping[str, frozenset[str]]
    heard: Callable[[], Sequence[HeardMeter]]
    clock: Callable[[], float] = time.monotonic
    _due: float = attrs.field(init=False)
    _told_at: float = attrs.field(init=False, default=0.0)
    _told: list[Found] = attrs.field(init=False, factory=list)
    _strangers: set[str] = attrs.field(init=False, factory=set)

    def __attrs_post_init__(self) -> None:
        """Begin to wait."""
        self._due = self.clock() + FIRST

    @classmethod
    def of(cls, site: Site, heard: Callable[[], Sequence[HeardMeter]]) -> "Roll":
        """Make the roll of a site."""
        return cls(named_channels(site), labels_by_format(site), heard)

    def look(self) -> None:
        """Compare, if it is time to; tell what is new, and once an hour what is not."""
        now = self.clock()
        if self.names and now >= self._due:
            heard = self.heard()
            self._due = now + (BETWEEN if heard else FIRST)
            self._compare(heard, now)

    def finish(self) -> None:
        """Tell what was not told yet, at the end of a run."""
        if self.names:
            self._compare(self.heard(), self.clock())

    def _compare(self, heard: Sequence[HeardMeter], now: float) -> None:
        if not heard:
            return  # where there is nothing at all, no name is at fault
        formats: dict[str, set[str]] = {}
        for hearing in heard:
            formats.setdefault(hearing.serial, set()).add(hearing.format)
        wrong = self._wrong(formats)
        _tell(logging.INFO, [self._mended(*found) for found in self._told if found not in wrong])
        self._tell_wrong(wrong, formats, now)
        self._tell_strangers(heard)

    def _wrong(self, formats: Formats) -> list[Found]:
        """Return the meters that were never heard, and the channels of meters that have no such channel."""
        wrong: dict[Found, None] = {}
        for name in self.names:
            if name.serial and name.serial not in formats:
                wrong[name.serial, ""] = None
            elif name.label and not self._has(name, formats):
                wrong[name.serial, name.label] = None
        return list(wrong)

    def _has(self, name: NamedChannel, formats: Formats) -> bool:
        """Whether the meter that is meant has such a label, or any has where any is meant; so where it is not known."""
        return any(name.label in self.labels.get(form, (name.label,)) for form in _sent(name.serial, formats))

    def _tell_wrong(self, wrong: list[Found], formats: Formats, now: float) -> None:
        again = [found for found in wrong if found in self._told]
        if again and now - self._told_at >= AGAIN:
            self._told_at = now
            _tell(logging.WARNING, [f"{self._misfit(*found, formats)} (still so)" for found in again])
        new = [found for found in wrong if found not in self._told]
        if new and not again:
            self._told_at = now
        _tell(logging.WARNING, [self._misfit(*found, formats) for found in new])
        self._told = wrong

    def _misfit(self, serial: str, label: str, formats: Formats) -> str:
        """Tell what is wrong with a name, and where it is."""
        if not label:
            return f"{self._places(serial, label)}: meter {serial} was never heard; {_others(serial, formats)}"
        sent = sorted(_sent(serial, formats))
        near = nearest(label, [known for form in sent for known in self.labels[form]])
        who, they = (f"meter {serial} has no", "it sends") if serial else ("no meter has", "they send")
        return f"{self._places(serial, label)}: {who} {label}: {they} {', '.join(sent)}{near}"

    def _mended(self, serial: str, label: str) -> str:
        what = f"a meter has {label} now" if label else f"meter {serial} is heard now"
        return f"{self._places(serial, label)}: {what}"

    def _places(self, serial: str, label: str) -> str:
        return places(name for name in self.names if name.serial == serial and label in ("", name.label))

    def _tell_strangers(self, heard: Sequence[HeardMeter]) -> None:
        """Tell, once, of meters that were heard in this run, and that nothing names, while others are named."""
        known = {name.serial: name for name in reversed(self.names) if name.serial}
        new = {one.serial for one in heard if one.offset} - known.keys() - self._strangers
        if known and new:
            self._strangers |= new
            _tell(logging.INFO, [_stranger(serial, known) for serial in sorted(new)])


def _sent(serial: str, formats: Formats) -> set[str]:
    """Return the formats that a meter sends, or all of them where any meter is meant."""
    return formats[serial] if serial else {form for some in formats.values() for form in some}


def places(names: Iterable[NamedChannel]) -> str:
    """Tell where names are: `[sink.roof] generation, grid; [channels] 399999_ch1`."""
    tables: dict[str, list[str]] = {}
    for name in names:
        keys = tables.setdefault(name.table, [])
        if name.key not in keys:
            keys.append(name.key)
    return _some([f"[{table}] {_some(keys, ', ')}" for table, keys in tables.items()], "; ")


def _some(texts: Sequence[str], between: str) -> str:
    return between.join([*texts[:SHOWN], *(["..."] if len(texts) > SHOWN else [])])


def _others(serial: str, heard: Mapping[str, object]) -> str:
    """Tell which meters were heard in place of one that was not: the one most like it, and how many more."""
    near = closest(serial, heard)
    more = f" ({len(heard) - 1} more)" if len(heard) > 1 else ""
    asked = f'; did you mean "{near}"?' if near else ""
    return f"heard: {near or list(heard)[-1]}{more}{asked}"


def _stranger(serial: str, known: Mapping[str, NamedChannel]) -> str:
    near = known.get(closest(serial, known))
    like = f"; most like it is {near.serial} ({places([near])})" if near else ""
    return f"meter {serial} is heard, and named nowhere in the configuration{like}"


def _tell(level: int, lines: Sequence[str]) -> None:
    for line in lines[:SINGLY]:
        log.log(level, "%s", line)
    if len(lines) > SINGLY:
        log.log(level, "and so with %d more", len(lines) - SINGLY)
