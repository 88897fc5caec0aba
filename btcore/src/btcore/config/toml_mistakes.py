# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages for common TOML mistakes, by the line and the column at which the parser stopped.

A message repeats only what looks like the name of a setting: anything else may be a secret. Finding the mistakes
belongs to `toml.py`. Pure.
"""

import re
import unicodedata
from collections.abc import Callable

from btcore.classes import frozen
from btcore.values.references import ESCAPE

QUOTES = "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a\u2032\u2033"
"""Typographic quotation marks, which word processors and telephones write instead of straight ones."""

INVISIBLE = "\u00a0\u00ad\u200b\u200c\u200d\u2060\ufeff\u1680\u2000-\u200a\u202f\u205f\u3000"
"""Characters that look like a space, or like nothing."""

MAX_LINE = 400
"""The most characters of a line that is examined; people do not write longer ones."""

NAME = r"""[A-Za-z0-9_.-]+|"[^"]*"|'[^']*'"""
TEXTS = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')


@frozen
class Line:
    """A line in which the parser stopped: the text before the column, the rest, and the parser's message.

    `begins`: a statement begins with the line; it is not inside a list or a text of several lines.
    """

    before: str
    rest: str
    parser_message: str
    begins: bool = True

    @property
    def text(self) -> str:
        """The entire line."""
        return self.before + self.rest

    @property
    def stripped(self) -> str:
        """The line without its comment and with quoted texts emptied."""
        return TEXTS.sub('""', self.text).partition("#")[0].strip()

    @property
    def name(self) -> str:
        """The name of the setting at the beginning of the line, else `name`."""
        found = re.match(r"\s*([a-z][a-z_]{0,30})\b\s*\S", self.text)
        return found[1] if found and self.begins else "name"

    @property
    def value(self) -> str:
        """What follows the first =, with quoted texts emptied."""
        return self.stripped.partition("=")[2].strip()


def describe_mistake(line: Line) -> str:
    """Return the message for a common mistake, or ""."""
    return next((words for check in CHECKS if (words := check(line))), "") if len(line.text) <= MAX_LINE else ""


def lookalike_character(text: str) -> str:
    """Return the message for characters that only look like TOML's, or ""."""
    line = Line(text, "", "")
    return (_invisible(line) or _quotes(line)) if len(text) <= MAX_LINE else ""


def _invisible(line: Line) -> str:
    found = re.match(rf"[{INVISIBLE}]", line.rest) or re.search(rf"[{INVISIBLE}]", line.stripped)
    if not found:
        return ""
    name = unicodedata.name(found[0], "character").lower()
    return f"the {name} (U+{ord(found[0]):04X}) here looks like a space but is not; replace it with a space"


def _quotes(line: Line) -> str:
    if not re.search(rf"[{QUOTES}]", line.stripped):
        return ""
    return "found typographic quotes, as a word processor makes them; use straight quotes, \" or '"


def _comment(line: Line) -> str:
    return "a comment begins with #" if re.match(r"\s*(//|;|--|/\*)", line.text) else ""


def _line_end(line: Line) -> str:
    return (
        "a lone carriage return does not end a line; save the file with LF or CRLF line ends"
        if "\r" in line.text
        else ""
    )


def _header(line: Line) -> str:
    if re.match(r"\[.*\]\s*[^\s\]]", line.stripped) and line.parser_message.startswith("Expected newline"):
        return "write what follows the table's name on a line of its own"
    found = re.match(r"\s*(\[\[?)\s*([^\[\]#]*?)\s*(\]*)\s*(#.*)?$", line.text)
    if not found or "=" in line.stripped:
        return ""
    opened, name, closed = found[1], found[2], found[3]
    if len(closed) < len(opened):
        return f"the {']' * len(opened)} after the table's name is missing: {opened}{name}{']' * len(opened)}"
    if len(closed) > len(opened):
        return f"there is a ] too many: {opened}{name}{']' * len(opened)}"
    return (
        "the name of a table is written [sink.NAME], with a dot, and in quotes where it is more than letters, digits,"
        ' _ and -: [sink."my roof"]'
    )


def _half_header(line: Line) -> str:
    found = re.fullmatch(r"([\w.-]+)\]", line.stripped)
    return f"the [ before the table's name is missing: [{found[1]}]" if found else ""


def _colon(line: Line) -> str:
    if re.match(rf"\s*({NAME})\s*:", line.text):
        return f"a setting is written with =, not with a colon: {line.name} = ..."
    is_within = line.rest.startswith(":") and "{" in line.before
    return "inside { }, a setting is written with =, not with a colon: { env = ... }" if is_within else ""


def _equals(line: Line) -> str:
    if re.match(rf"\s*({NAME})\s*(==|=>|->|<-)", line.text):
        return f"a setting is written with a single =: {line.name} = ..."
    return "the name before the = is missing" if line.stripped.startswith("=") else ""


def _no_equals(line: Line) -> str:
    if not line.parser_message.startswith("Expected '='"):
        return ""
    if "=" not in line.stripped:
        return f"the = is missing: a setting is written {line.name} = ..."
    if re.match(rf"\s*({NAME})\s+\S", line.text):
        return f"the name before the = contains a space; write an = after {line.name}, or a _ in place of the space"
    return "a name with other characters than letters, digits, _ and - must be in quotes"


def _nothing(line: Line) -> str:
    return "the value after the = is missing" if re.fullmatch(rf"({NAME})\s*=", line.stripped) else ""


def _unknown_word(line: Line) -> str:
    word = line.value.rstrip(",;").lower()
    if word in {"true", "false"}:
        return f"write {word} in lower case, without quotes"
    if word in {"yes", "no", "on", "off"}:
        return "write true or false, without quotes"
    return "TOML has no such value; leave the setting out" if word in {"none", "null", "nil", "nul"} else ""


def _escape(line: Line) -> str:
    return ESCAPE if line.parser_message.startswith(("Unescaped '\\'", "Invalid hex value")) else ""


def _unclosed(line: Line) -> str:
    if line.parser_message.startswith("Unclosed array"):
        return "a comma between two values of the list is missing, or the ] after the last one"
    return (
        "the closing quote of this text is missing" if line.parser_message.startswith("Illegal character '\\n'") else ""
    )


def _several(line: Line) -> str:
    if re.search(r"[,;]$", line.stripped) and "=" in line.stripped and "[" not in line.stripped:
        return f"remove the {line.stripped[-1]} at the end"
    if re.match(r'"",\s*""', line.value):
        return f"a list of values must be in [ ]: {line.name} = [..., ...]"
    return ""


def _number(line: Line) -> str:
    value = line.value
    if re.fullmatch(r"[\d.]+\s*[a-z]+", value):
        return 'a duration must be in quotes: "30s", "5m"'
    if re.fullmatch(r"0[\d_]+", value):
        return "a number that starts with 0, such as the serial number of a GEM, must be in quotes"
    if re.fullmatch(r"\d+,\d+", value):
        return "a number cannot contain a comma; write a decimal point, or leave the comma out"
    return ""


def _text(line: Line) -> str:
    if re.search(r"\s[\w.-]+\s*=", line.value):
        return "write each setting on a line of its own"
    if line.value.startswith('""') and line.value != '""':
        more = "put the entire text in quotes, and use single quotes if it contains double ones"
        return f"there is more after the closing quote; {more}"
    is_value = line.parser_message.startswith(("Invalid value", "Expected newline")) and "=" in line.stripped
    return f'text must be in quotes: {line.name} = "..."' if is_value else ""


CHECKS: tuple[Callable[[Line], str], ...] = (
    *(_invisible, _quotes, _line_end, _comment, _header, _half_header, _colon, _equals, _no_equals, _nothing),
    *(_unknown_word, _escape, _unclosed, _several, _number, _text),
)
"""In order of precedence: an earlier mistake explains the later ones."""
