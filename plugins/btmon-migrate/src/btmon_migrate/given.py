# SPDX-License-Identifier: GPL-3.0-or-later
"""What was given: the options of one configuration, where each of them stands, and what a person has to look at."""

import math
from collections.abc import Iterator
from difflib import get_close_matches

import attrs

from btmon_migrate.options import OPTIONS, option_name

Value = str | bool

READS_AS_OFF = ("0", "no", "off", "n", "none", "never", "disabled", "f")
"""What people write for `false`."""


@attrs.frozen
class Given:
    """An option's value as btmon had it: a text, or True and False. `where` is `btmon.cfg:12`, or the flag."""

    value: Value
    where: str

    @property
    def is_on(self) -> bool:
        """Whether btmon took it for switched on: any text is, "0" and "no" too (`true` and `false` are no texts)."""
        return bool(self.value)

    @property
    def text(self) -> str:
        """The value as a text, "" if it is none."""
        return self.value if isinstance(self.value, str) else ""


@attrs.frozen
class Doubt:
    """Something a person has to look at: where it stands, what it is, and what to do."""

    where: str
    text: str

    @property
    def line(self) -> float:
        """The line of a file; infinite if it is of none."""
        number = self.where.rpartition(":")[2]
        return int(number) if number.isdecimal() else math.inf

    def __str__(self) -> str:
        """Return it as a line of a message, in which nothing of the file can steer a terminal."""
        line = f"{self.where}: {self.text}" if self.where else self.text
        return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)


@attrs.define
class Doubts:
    """What a person has to look at, in the order in which it was found, each once."""

    _found: list[Doubt] = attrs.field(factory=list)

    def add(self, where: str, text: str) -> None:
        """Add one."""
        doubt = Doubt(where, text)
        if doubt not in self._found:
            self._found.append(doubt)

    def __iter__(self) -> Iterator[Doubt]:
        """Go through them, those of a file line by line, before those of none."""
        return iter(sorted(self._found, key=lambda doubt: doubt.line))

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._found)


@attrs.define
class Options:
    """The options of one configuration. Which of them were asked for is remembered: what nobody asks for is lost."""

    doubts: Doubts
    _given: dict[str, Given] = attrs.field(factory=dict)
    _used: set[str] = attrs.field(factory=set)

    def add(self, name: str, value: Value, where: str) -> None:
        """Add an option as it was read: the first that is set counts, as in btmon. An unknown name becomes a doubt."""
        known = option_name(name)
        if known not in OPTIONS:
            near = get_close_matches(known, OPTIONS, 1)
            hint = f"did you mean {near[0]}? It" if near else "it"
            self.doubts.add(where, f"{name}: btmon had no such option, and ended; {hint} is left out")
            return
        if known != name.lower():
            self.doubts.add(where, f"{name}: btmon knew it as {known} in a file, and ended; it is taken as that")
        present = self._given.get(known)
        if present is None or not present.value:
            self._given[known] = Given(value, where)
        elif present.value != value and value is not False and value:
            self.doubts.add(
                where, f"{known} was set before, in {present.where}, and btmon took that; this one is left out"
            )

    def get(self, name: str) -> Given | None:
        """Return an option that was given a value; None if it was not, or is empty or false."""
        self._used.add(name)
        given = self._given.get(name)
        return given if given and given.value else None

    def peek(self, name: str) -> Given | None:
        """Return an option as it was given, also false or empty; it does not count as asked for."""
        return self._given.get(name)

    def text(self, name: str, default: str = "") -> str:
        """Return an option's text, or btmon's default."""
        given = self.get(name)
        if given is None:
            return default
        if given.value is True:
            self.doubts.add(given.where, f"{name}: expected a value, found true; it is left out")
            return default
        return given.text

    def is_on(self, name: str) -> bool:
        """Whether btmon took a switch for switched on. A value that reads as off, and was not, becomes a doubt."""
        given = self.get(name)
        if given and given.text.strip().lower() in READS_AS_OFF:
            self.doubts.add(
                given.where,
                f'{name} = {given.text} switched it on in btmon, as any text but "false" did; if that is not meant, '
                "write false, and migrate again",
            )
        return given is not None and given.is_on

    def where(self, name: str) -> str:
        """Return where an option stands, or "" if it was not given."""
        given = self._given.get(name)
        return given.where if given else ""

    def use(self, *names: str) -> None:
        """Count options as asked for: btcore does without them."""
        self._used.update(names)

    def unused(self, prefix: str = "") -> Iterator[tuple[str, Given]]:
        """Go through the options that were given a value and that nobody asked for."""
        for name, given in self._given.items():
            if given.value and name.startswith(prefix) and name not in self._used:
                yield name, given

    def prefixed(self, prefix: str) -> bool:
        """Whether any option that begins so was given a value."""
        return any(given.value for name, given in self._given.items() if name.startswith(prefix))
