"""The names of meters in a configuration, compared with the meters that were heard; what does not fit is told.

Which names there are is `named.py`'s, which meters were heard the journal's. Whether one is silent is not asked here.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from btcore.configuration import Site
from btcore.findings import closest, nearest
from btcore.journal import Hearing
from btcore.named import Name, labels_by_format, names_of

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


@attrs.frozen
class Misfit:
    """A name that fits nothing that was heard: where it is, what is wrong with it, and what is told once it fits."""

    where: str
    wrong: str
    mended: str

    def __str__(self) -> str:
        """As a line of the log."""
        return f"{self.where}: {self.wrong}"


@attrs.define
class Roll:
    """Compares the two now and then. `labels` are those that a format has; of others nothing is known."""

    names: Sequence[Name]
    labels: Mapping[str, frozenset[str]]
    heard: Callable[[], Sequence[Hearing]]
    clock: Callable[[], float] = time.monotonic
    _due: float = attrs.field(init=False)
    _told_at: float = attrs.field(init=False, default=0.0)
    _told: dict[tuple[str, str], Misfit] = attrs.field(init=False, factory=dict)
    _strangers: set[str] = attrs.field(init=False, factory=set)

    def __attrs_post_init__(self) -> None:
        """Begin to wait."""
        self._due = self.clock() + FIRST

    @classmethod
    def of(cls, site: Site, heard: Callable[[], Sequence[Hearing]]) -> "Roll":
        """Make the roll of a site."""
        return cls(names_of(site), labels_by_format(site), heard)

    def look(self) -> None:
        """Compare, if it is time to; tell what is new, and once an hour what is not."""
        now = self.clock()
        if self.names and now >= self._due:
            heard = self.heard()
            # where there is nothing at all, no name is at fault
            self._due = now + (BETWEEN if heard else FIRST)
            if heard:
                self._compare(heard, now)
            if self._told and now - self._told_at >= AGAIN:
                self._told_at = now
                _tell(logging.WARNING, [f"{misfit} (still so)" for misfit in self._told.values()])

    def finish(self) -> None:
        """Tell what was not told yet, at the end of a run."""
        if self.names:
            self._compare(self.heard(), self.clock())

    def _compare(self, heard: Sequence[Hearing], now: float) -> None:
        wrong = self._wrong(heard)
        mended = [misfit for key, misfit in self._told.items() if key not in wrong]
        _tell(logging.INFO, [f"{misfit.where}: {misfit.mended}" for misfit in mended])
        new = {key: misfit for key, misfit in wrong.items() if key not in self._told}
        if new:
            self._told_at = self._told_at if self._told else now
            _tell(logging.WARNING, [str(misfit) for misfit in new.values()])
        self._told = wrong  # as it is now: others may have been heard since it was told
        self._tell_strangers(heard)

    def _wrong(self, heard: Sequence[Hearing]) -> dict[tuple[str, str], Misfit]:
        """Return the meters that were never heard, and the labels that a meter has not."""
        formats: dict[str, set[str]] = {}
        for hearing in heard:
            formats.setdefault(hearing.serial, set()).add(hearing.format)
        wrong: dict[tuple[str, str], Misfit] = {}
        for name in self.names:
            if name.serial and name.serial not in formats:
                where = places(one for one in self.names if one.serial == name.serial)
                who = f"meter {name.serial}"
                unheard = f"{who} was never heard; {_others(name.serial, formats)}"
                wrong[name.serial, ""] = Misfit(where, unheard, f"{who} is heard now")
            elif name.label and (lacking := self._lacking(name, formats)):
                where = places(one for one in self.names if (one.serial, one.label) == (name.serial, name.label))
                wrong[name.serial, name.label] = Misfit(where, lacking, f"a meter has {name.label} now")
        return wrong

    def _lacking(self, name: Name, formats: Mapping[str, set[str]]) -> str:
        """Tell that a meter has no such label; nothing where it has, or that is not known."""
        sent = formats.get(name.serial, set()) if name.serial else {form for some in formats.values() for form in some}
        if not sent or any(name.label in self.labels.get(form, (name.label,)) for form in sent):
            return ""
        who, they = (f"meter {name.serial} has no", "it sends") if name.serial else ("no meter has", "they send")
        known = [label for form in sorted(sent) for label in self.labels[form]]
        return f"{who} {name.label}: {they} {', '.join(sorted(sent))}{nearest(name.label, known)}"

    def _tell_strangers(self, heard: Sequence[Hearing]) -> None:
        """Tell, once, of meters that were heard in this run, and that nothing names, while others are named."""
        known = {name.serial: name for name in reversed(self.names) if name.serial}
        new = {one.serial for one in heard if one.seq} - known.keys() - self._strangers
        if known and new:
            self._strangers |= new
            _tell(logging.INFO, [_stranger(serial, known) for serial in sorted(new)])


def places(names: Iterable[Name]) -> str:
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
    if not heard:
        return "no meter was heard so far"
    near = closest(serial, heard)
    more = f" ({len(heard) - 1} more)" if len(heard) > 1 else ""
    asked = f'; did you mean "{near}"?' if near else ""
    return f"heard: {near or list(heard)[-1]}{more}{asked}"


def _stranger(serial: str, known: Mapping[str, Name]) -> str:
    near = known.get(closest(serial, known))
    like = f"; most like it is {near.serial} ({places([near])})" if near else ""
    return f"meter {serial} is heard, and named nowhere in the configuration{like}"


def _tell(level: int, lines: Sequence[str]) -> None:
    for line in lines[:SINGLY]:
        log.log(level, "%s", line)
    if len(lines) > SINGLY:
        log.log(level, "and so with %d more", len(lines) - SINGLY)
