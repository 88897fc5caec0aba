# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings as the text of a site.toml, for `btcore init` and `btcore plugins NAME`.

In the text, `# ` with a space begins a comment; `#` without a space begins a setting that is switched off, with its
default or an example.
"""

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin

import tomli

from btcore.settings import ChannelRef, Duration, Secret, Serial
from btcore.text import plain as plain_text
from btcore.text import quoted
from btcore.values.describe import Setting, plain_value, settings_of, toml_key, toml_text
from btcore.values.nested import is_table

WIDTH = 100


def table(
    kind: str,
    name: str,
    settings: Iterable[Setting],
    *,
    about: str = "",
    active: bool = True,
    values: Mapping[str, object] = MappingProxyType({}),
) -> str:
    """Write a table with all settings of a plugin; if it is not active, each line begins with `#`.

    Settings that have a value among `values` are on, with that value; `use` among them is the plugin.
    """
    header = f"[{kind}.{toml_key(name)}]"
    lines = [*comment(about), header if active else f"#{header}"]
    lines += [f"use = {toml_text(values['use'])}"] if "use" in values else []
    for entry in settings:
        lines += _set(entry, values[entry.name]) if entry.name in values else _lines(entry, name, active=active)
    return "\n".join(lines) + "\n"


def setting(entry: Setting, values: Mapping[str, object] = MappingProxyType({})) -> Iterable[str]:
    """Write a setting of the top level, switched off, or on with its value among some."""
    return _set(entry, values[entry.name]) if entry.name in values else _lines(entry, "", active=False)


def comment(text: str) -> list[str]:
    """Write a text as lines of comments."""
    return [f"# {line}" for line in textwrap.wrap(plain_text(text), WIDTH)]


def setting_comments(settings: Iterable[Setting]) -> Iterator[str]:
    """Write settings as comments, each with its help: those that every table of a kind can have."""
    for entry in settings:
        yield from comment(f"{entry.help} ({entry.type_and_choices})")
        yield f"#   {_assigned(entry, '')}"


def example_value(entry: Setting, name: str) -> str:
    """Return an example value of a setting as TOML. `name` is the table's, for the variable of a secret."""
    if entry.example:
        return _example(entry)
    if entry.choices and get_origin(entry.annotation) is not Literal:
        first = toml_text(entry.choices[0])
        return f"[{first}]" if get_origin(entry.annotation) in (list, tuple) else first
    return _invented(entry.annotation, f"{name}_{entry.name}".upper().replace("-", "_"))


def _example(entry: Setting) -> str:
    """Return an example as TOML: it is a plain value or TOML; for a secret, the name of a variable."""
    if (entry.example[0] in "\"'{[" or entry.annotation in (int, float, bool)) and _is_toml(entry.example):
        return entry.example
    text = quoted(entry.example)
    return f"{{ env = {text} }}" if "secret" in entry.type else text


def _is_toml(text: str) -> bool:
    """Whether a text is a single TOML value on one line; otherwise it could add settings."""
    try:
        return text == plain_text(text) and list(tomli.loads(f"x = {text}")) == ["x"]
    except tomli.TOMLDecodeError:
        return False


def _set(entry: Setting, value: object) -> list[str]:
    return [*comment(f"{entry.help} ({entry.type_and_choices})"), f"{toml_key(entry.name)} = {toml_text(value)}"]


def _lines(entry: Setting, name: str, *, active: bool) -> Iterator[str]:
    yield from comment(f"{entry.help} ({entry.type_and_choices})")
    if entry.required:
        yield ("" if active else "#") + _assigned(entry, name)
    else:
        yield ("#" if _has_default(entry) or entry.example else "# ") + _assigned(entry, name)


def _assigned(entry: Setting, name: str) -> str:
    value = toml_text(entry.plain_default) if _has_default(entry) else example_value(entry, name)
    return f"{toml_key(entry.name)} = {value}"


def _has_default(entry: Setting) -> bool:
    return entry.plain_default is not None and not isinstance(entry.default, Secret)


def _invented(annotation: Any, variable: str) -> str:  # noqa: ANN401 - types are values here
    plain_values = {str: "text", int: 1, float: 1.0, bool: False, Duration: "1m", Path: "a-file"}
    plain_values |= {ChannelRef: "ch1", Serial: "399999"}
    if annotation is Secret:
        return f"{{ env = {quoted(variable)} }}"
    if annotation in plain_values:
        return toml_text(plain_values[annotation])
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return toml_text(plain_value(arguments[0]))
    if origin in (list, tuple):
        return f"[{_invented(arguments[0], variable)}]"
    if origin is dict or is_table(annotation):
        key = "399999" if origin is dict and arguments[0] == Serial else "ch1"
        inside = [f"{key} = {_invented(arguments[1], variable)}"] if origin is dict else _within(annotation, variable)
        return f"{{ {', '.join(inside)} }}"
    inner = [argument for argument in arguments if argument is not type(None)]
    return _invented(inner[0], variable)


def _within(table: type, variable: str) -> list[str]:
    return [_assigned(entry, variable) for entry in settings_of(table)]
