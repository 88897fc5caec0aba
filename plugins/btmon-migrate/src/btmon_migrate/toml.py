# SPDX-License-Identifier: GPL-3.0-or-later
"""The site.toml that is written: tables with their settings and remarks, some of them switched off."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import attrs

WIDTH = 100

NOT_COMPLETE = "Switched off, as it is not complete: fill it in, then remove the # of each line."

Toml: TypeAlias = "str | int | float | bool | Sequence[Toml] | Mapping[str, Toml] | SecretText"
"""What a setting can be."""


@attrs.frozen
class SecretText:
    """A password or key. `file` is where it is kept, once it is kept in a file of its own."""

    text: str = attrs.field(repr=False)
    file: str = ""


@attrs.define
class Table:
    """A table: `header` without brackets, "" for the settings above all tables."""

    header: str
    settings: dict[str, Toml] = attrs.field(factory=dict)
    remarks: dict[str, str] = attrs.field(factory=dict)
    """What stands behind a setting, by its name."""
    about: list[str] = attrs.field(factory=list)
    """What stands above the table, a paragraph each."""
    is_active: bool = True
    plugin: str = ""

    def set(self, name: str, value: Toml, remark: str = "") -> None:
        """Set a setting, with a remark behind it."""
        self.settings[name] = value
        if remark:
            self.remarks[name] = remark

    def switch_off(self, why: str) -> None:
        """Have it written as comments, with the reason above it."""
        self.is_active = False
        if why not in self.about:
            self.about.append(why)

    def lines(self) -> Iterator[str]:
        """Write it, line by line."""
        for paragraph in self.about:
            yield from comment(paragraph)
        off = "" if self.is_active else "#"
        if self.header:
            yield f"{off}[{self.header}]"
        for name, value in self.settings.items():
            yield f"{off}{self._line(name, value)}"

    def _line(self, name: str, value: Toml) -> str:
        remark = self.remarks.get(name)
        return f"{key(name)} = {to_toml(value)}" + (f"  # {remark}" if remark else "")


def comment(text: str) -> Iterator[str]:
    """Write a text as lines of comments."""
    yield from (f"# {line}" for line in textwrap.wrap(" ".join(text.split()), WIDTH))


def key(name: str) -> str:
    """Write a key, in quotes where it needs them."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def to_toml(value: Toml) -> str:
    """Write a value on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, SecretText):
        return f"{{ file = {_text(value.file)} }}" if value.file else _text(value.text)
    if isinstance(value, Mapping):
        inside = ", ".join(f"{key(name)} = {to_toml(one)}" for name, one in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    return f"[{', '.join(to_toml(one) for one in value)}]"


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
