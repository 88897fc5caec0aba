# SPDX-License-Identifier: GPL-3.0-or-later
"""A configuration file, read as btmon read it.

Section names mean nothing. `;` after a blank begins a comment, `#` does so only at the beginning of a line. A line that
begins with a blank goes on from the line before. `true` and `false` are values of their own, in any case. Of two equal
names in one section the last counts, of two in different sections the first.
"""

import re
from collections.abc import Iterator

import attrs

from btmon_migrate.given import Options, Value

SECTION = re.compile(r"\[(?P<name>[^\]]+)\]")
ASSIGNED = re.compile(r"(?P<name>[^:=\s][^:=]*?)\s*[:=]\s*(?P<value>.*)$")
COMMENT = re.compile(r"\s;.*$")
HASH = re.compile(r"\s+#.*$")
SECRETS = re.compile(r"_(passwd|pass|password|token|tokens|api_key)$")
"""Names of options whose value may well have a # in it."""


@attrs.define
class _Line:
    name: str
    parts: list[str]
    number: int


def read_ini(text: str, file: str, options: Options) -> None:
    """Add what a configuration file says. What btmon would not have understood becomes a doubt."""
    for section in _sections(text, file, options):
        for line in section.values():
            where = f"{file}:{line.number}"
            options.add(line.name, _value(line, where, options), where)


def _sections(text: str, file: str, options: Options) -> Iterator[dict[str, _Line]]:
    sections: dict[str, dict[str, _Line]] = {}
    section: dict[str, _Line] | None = None
    last: _Line | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line[0] in "#;" or line.split(None, 1)[0].lower() == "rem":
            continue
        if line[0].isspace() and last is not None:
            last.parts.append(line.strip())
        elif header := SECTION.match(line):
            section, last = sections.setdefault(header["name"], {}), None
        elif (found := ASSIGNED.match(line)) and section is not None:
            last = _Line(found["name"].strip(), [COMMENT.sub("", found["value"]).strip()], number)
            section[last.name.lower()] = last
        else:
            options.doubts.add(f"{file}:{number}", _why_not(line, section))
            last = None
    yield from sections.values()


def _why_not(line: str, section: dict[str, _Line] | None) -> str:
    if section is None and ASSIGNED.match(line):
        return "it stands before the first [section], where btmon took no options; it is left out"
    return "expected [section] or name = value, which btmon ended at; it is left out"


def _value(line: _Line, where: str, options: Options) -> Value:
    text = "".join(line.parts)
    if text == '""':
        return ""
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if "%(" in text and not SECRETS.search(line.name.lower()):
        options.doubts.add(where, f'{line.name}: btmon replaced what begins with "%("; it is taken as it is written')
    return _without_comment(line.name, text, where, options)


def _without_comment(name: str, text: str, where: str, options: Options) -> Value:
    if not HASH.search(text):
        return text
    if SECRETS.search(name.lower()):
        options.doubts.add(where, f"{name}: to btmon # began no comment, so all of it is the value; see that it is")
        return text
    options.doubts.add(
        where, f"{name}: to btmon # began no comment but was part of the value; what follows # is left out"
    )
    text = HASH.sub("", text)
    return text.lower() == "true" if text.lower() in {"true", "false"} else text
