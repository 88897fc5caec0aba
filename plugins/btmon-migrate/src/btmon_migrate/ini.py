# SPDX-License-Identifier: GPL-3.0-or-later
"""A configuration file, read as btmon read it.

Section names mean nothing. `;` after a blank begins a comment, `#` does so only at the beginning of a line. A line that
is indented more than the line before goes on from it. `true` and `false` are values of their own, in any case. Of two
equal names in one section the last counts, of two in different sections the first.
"""

import re

import attrs

from btmon_migrate.given import Doubts, Options, Value
from btmon_migrate.options import OPTIONS, option_name

SECTION = re.compile(r"\[(?P<name>[^\]]+)\]")
ASSIGNED = re.compile(r"(?P<name>[^:=\s][^:=]*?)\s*[:=]\s*(?P<value>.*)$")
COMMENT = re.compile(r"\s;.*$")
QUOTED = re.compile(r"\".*\"|'.*'|[“”„].*[“”]|[\u2018\u2019].*[\u2018\u2019]|«.*»")
"""In quotes, also in those that word processors and web pages make of plain ones."""

MARK = re.compile(r"\s+(?P<mark>#|//).*$")
"""A comment as people write it who know other programs."""

SECRETS = re.compile(r"_(passwd|pass|password|token|tokens|api_key)$")
"""Names of options whose value may well have a # in it."""


@attrs.define
class _Line:
    name: str
    parts: list[str]
    number: int
    indent: int


def read_ini(text: str, file: str, options: Options) -> None:
    """Add what a configuration file says. What btmon would not have understood becomes a doubt."""
    reader = _Reader(file, options.doubts)
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and line.lstrip()[0] not in "#;" and line.split(None, 1)[0].lower() != "rem":
            reader.read(line, number)
    for section in reader.sections.values():
        for one in section.values():
            where = f"{file}:{one.number}"
            options.add(one.name, _value(one, where, options), where)


@attrs.define
class _Reader:
    """Takes lines; `last` is the option that an indented line goes on from."""

    file: str
    doubts: Doubts
    sections: dict[str, dict[str, _Line]] = attrs.field(factory=dict)
    section: dict[str, _Line] | None = None
    last: _Line | None = None

    def read(self, line: str, number: int) -> None:
        text = line.strip()
        indent = len(line) - len(line.lstrip())
        if self.last is not None and indent > self.last.indent:
            self.last.parts.append(text)
        elif header := SECTION.match(text):
            self.section, self.last = self.sections.setdefault(header["name"], {}), None
        elif (found := ASSIGNED.match(text)) and (self.section is not None or option_name(found["name"]) in OPTIONS):
            self._assign(_Line(found["name"].strip(), [COMMENT.sub("", found["value"]).strip()], number, indent))
        else:
            self._doubt(number, "expected [section] or name = value, and btmon ended; it is left out")
            self.last = None

    def _assign(self, line: _Line) -> None:
        if self.section is None:
            self._doubt(line.number, "it stands before the first [section], and btmon ended; here it counts")
        elif line.indent:
            self._doubt(line.number, "it is indented, and btmon ended, unless it was btmon3; here it counts")
        section = self.sections.setdefault("", {}) if self.section is None else self.section
        section[line.name.lower()] = self.last = line

    def _doubt(self, number: int, text: str) -> None:
        self.doubts.add(f"{self.file}:{number}", text)


def _value(line: _Line, where: str, options: Options) -> Value:
    text = "".join(line.parts)
    if text == '""':
        return ""
    if QUOTED.fullmatch(text) and not SECRETS.search(line.name.lower()):
        options.doubts.add(where, f"{line.name}: to btmon the quotes were a part of the value; they are left out")
        text = text[1:-1]
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if "%(" in text:
        options.doubts.add(where, f'{line.name}: btmon replaced what begins with "%("; it is taken as it is written')
    return _without_comment(line.name, text, where, options)


def _without_comment(name: str, text: str, where: str, options: Options) -> Value:
    found = MARK.search(text)
    if found is None:
        return text
    mark = found["mark"]
    if SECRETS.search(name.lower()):
        options.doubts.add(
            where, f"{name}: to btmon {mark} began no comment, so all of it is the value; see that it is"
        )
        return text
    options.doubts.add(
        where, f"{name}: to btmon {mark} began no comment but was part of the value; what follows {mark} is left out"
    )
    text = MARK.sub("", text)
    return text.lower() == "true" if text.lower() in {"true", "false"} else text
