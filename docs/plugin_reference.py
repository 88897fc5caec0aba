# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes docs/reference/plugins.md from the code: `python docs/plugin_reference.py`. A test says when that is due.

What is written comes from docstrings, fields and signatures; the examples are those of plugin_examples.py.
"""

import inspect
import re
import typing
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import attrs
import tomli

import btcore
import btcore.testing
from btcore import ChannelRef, Duration, Secret, Serial
from btcore.decode.brultech import Brultech
from btcore.hookspecs import Hooks
from btcore.values.channels import known_channels
from btcore.values.convert import convert, type_name
from btcore.values.invalid_value import ConversionContext, InvalidValue

DOCS = Path(__file__).parent
PAGE = DOCS / "reference" / "plugins.md"
EXAMPLES = DOCS / "plugin_examples.py"
GUIDE = DOCS / "writing-a-plugin.md"

RECORDS = (
    *("Chunk", "Packet", "Incomplete", "Damaged", "Piece", "Reading", "SourceCheckpoint", "Sample", "Batch"),
    *("Format", "Channel", "Context", "Delivery", "Problem", "Claim", "Finding", "DiagnosisContext", "Discovered"),
)
ANSWERS = ("Retry", "Reject", "Stop")

TYPES: Mapping[str, tuple[Any, str, str, str]] = {
    "str": (str, "text", '"panel"', "7.5"),
    "int": (int, "a whole number, of at most 64 bits", "8083", '"8083"'),
    "float": (float, "a number", "0.5", '"half"'),
    "bool": (bool, "true or false", "true", "1"),
    "Duration": (Duration, "seconds, as a float; written with its unit: ms, s, m, h, d", '"5m"', "300"),
    "Secret": (Secret, "a text that nothing shows; only `reveal()` returns it", '{ env = "KEY" }', '{ env = "NO_SUCH" }'),
    "date": (date, "a day, as TOML writes it, or as text", "2026-06-21", "7.5"),
    "Path": (Path, "a path; a relative one is beside the configuration", '"energy.db"', "5"),
    "Serial": (Serial, "a meter's serial number, or its name in `[meters]`; text to the plugin", '"01000777"', '""'),
    "ChannelRef": (ChannelRef, "a channel or label of a meter, or of any; or a name of `[channels]`", '"312345_ch1"', '"312345_ch99"'),
    'Literal["fast", "slow"]': (typing.Literal["fast", "slow"], "one of these", '"fast"', '"quick"'),
    "list[int]": (list[int], "a list of any type; `tuple[X, ...]` too", "[1, 2]", '[1, "2"]'),
    "dict[Serial, Secret]": (dict[Serial, Secret], "a table; its keys are `str`, `Serial` or `ChannelRef`", '{ "312345" = { env = "KEY" } }', '{ "312345" = 5.5 }'),
    "str | None": (str | None, "a type, or nothing: with `default=None`", '"panel"', "false"),
}  # fmt: skip
"""The types of settings: what each is, a value as a site.toml has it, and one that is refused."""


def examples() -> dict[str, str]:
    """Return the examples by name, without the indentation of what they stand in."""
    parts = re.split(r"^( *)# The example of (\S+)\n", EXAMPLES.read_text("utf-8"), flags=re.MULTILINE)
    found: dict[str, str] = {}
    for indent, name, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        lines = []
        for line in text.splitlines():
            if line.strip() and not line.startswith(indent):
                break
            lines.append(line.removeprefix(indent))
        example = "\n".join(lines).partition("\n\n\n")[0].strip()  # what comes after belongs to nothing that is shown
        found[name] = example.replace("\n\n@hookimpl", "\n\n\n@hookimpl")  # as the formatter has it at the margin
    return found


def page() -> str:
    """Return the page."""
    shown = examples()
    lines = [
        "# Reference for plugin authors",
        "",
        "Written by `python docs/plugin_reference.py` from the code.",
        "The guide is [writing-a-plugin.md](../writing-a-plugin.md), the way in the [tutorial](../tutorial.md).",
        "",
        "A plugin is a class with `@plugin(api=1)`; its settings are fields with `setting(...)`, its hooks are methods with `@hookimpl`.",
        "",
        *_example(shown["plugin"]),
        *_hooks(shown),
        *_records(shown),
        *_answers(shown),
        *_types(),
        *_testing(),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _example(text: str) -> list[str]:
    return ["```python", text, "```", ""]


def _text(of: object) -> list[str]:
    """Return a docstring as paragraphs."""
    return [*(inspect.getdoc(of) or "").splitlines(), ""]


def _plain(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    text = text.replace("typing.Annotated[str, 'serial number']", "Serial")
    text = re.sub(r"\b(?:btcore|collections|threading|typing|datetime|pathlib|logging|types)\.(?:\w+\.)*", "", text)
    text = re.sub(r"^Optional\[(.*)\]$", r"\1 | None", text)  # as Python writes it from 3.14 on
    return re.sub(r"'([A-Z]\w*)'", r"\1", text)


def _signature(function: Any, name: str = "") -> str:
    found = inspect.signature(function)
    given = [one for key, one in found.parameters.items() if key != "self"]
    shown = str(found.replace(parameters=given, return_annotation=inspect.Signature.empty)).replace("NOTHING", "...")
    returns = "" if found.return_annotation is inspect.Signature.empty else f" -> {_plain(found.return_annotation)}"
    return f"{name or function.__name__}{_plain(shown)}{returns}"


def _hooks(shown: Mapping[str, str]) -> Iterator[str]:
    yield from ("## Hooks", "", "What the core calls, and when.", "")
    for name, hook in vars(Hooks).items():
        if not name.startswith("_"):
            yield from (f"### {name}", "", f"`{_signature(hook)}`", "", *_text(hook), *_example(shown[name]))


def _records(shown: Mapping[str, str]) -> Iterator[str]:
    yield from ("## Records", "", "What a plugin is given, and what it makes. None of them can be changed.", "")
    for cls in (getattr(btcore, name) for name in RECORDS):
        yield from (f"### {cls.__name__}", "", *_text(cls), *_fields(cls), *_example(shown.get(cls.__name__, "")))


def _fields(cls: type) -> Iterator[str]:
    known = described(cls.__name__)
    rows = [*_attributes(cls), *_methods(cls)]
    if rows:
        yield from ("| name | type | is |", "|---|---|---|")
    for name, kind, text in rows:
        cells = (
            f"`{name}`",
            f"`{kind}`",
            text if text and not text.startswith("default") else _joined(known.get(name), text),
        )
        yield "| " + " | ".join(cell.replace("\\|", "|").replace("|", "\\|") for cell in cells) + " |"
    yield ""


def _joined(*texts: str | None) -> str:
    return "; ".join(text for text in texts if text)


def described(cls: str) -> dict[str, str]:
    """Return what the guide says of the fields of a class, in the table under its name."""
    begin = rf"(?:\*\*`{cls}`\*\*|\| field of `{cls}` \|)"
    found = re.search(rf"^{begin}(.*?)(?=^\*\*|^#|^```)", GUIDE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| (`.+?) \| (.+) \|$", found[1] if found else "", re.MULTILINE)
    links = [
        (
            names,
            re.sub(
                r"\]\((#|numbers)", lambda one: f"](../{'writing-a-plugin.md' if one[1] == '#' else ''}{one[1]}", text
            ),
        )
        for names, text in rows
    ]
    return {name.partition("(")[0]: text for names, text in links for name in re.findall(r"`([^`]+)`", names)}


def _attributes(cls: type) -> Iterator[tuple[str, str, str]]:
    for field in attrs.fields(cls):
        if not field.name.startswith("_") and field.init:
            default = "" if field.default is attrs.NOTHING else _default(field.default)
            yield field.name, _plain(field.type), _joined(str(field.metadata.get("help", "")), default)


def _default(value: object) -> str:
    if isinstance(value, str | int | float | bool | None | tuple):
        return f"default: `{value!r}`"
    return ""


def _methods(cls: type) -> Iterator[tuple[str, str, str]]:
    for name, value in vars(cls).items():
        first = (inspect.getdoc(value) or "").split("\n")[0]
        if name.startswith("_"):
            continue
        if isinstance(value, property) and value.fget:
            yield name, _plain(inspect.signature(value.fget).return_annotation), first
        elif inspect.isfunction(value):
            given, _, returned = _signature(value).partition(" -> ")
            yield given, returned, first


def _answers(shown: Mapping[str, str]) -> Iterator[str]:
    yield from ("## What a sink raises", "", "Any `OSError` counts as `Retry`; any other exception is a bug.", "")
    for cls in (getattr(btcore, name) for name in ANSWERS):
        yield from (f"### {cls.__name__}", "", f"`{_signature(cls.__init__, cls.__name__)}`", "", *_text(cls))
        yield from _example(shown[cls.__name__])


def _types() -> Iterator[str]:
    yield from (
        "## Types of settings",
        "",
        "Each with a value as a site.toml has it, and with one that is refused, and why.",
        "",
    )
    for name, (annotation, what, good, bad) in TYPES.items():
        yield from (f"### {name}", "", f"In a listing: {type_name(annotation)}. {what[0].upper()}{what[1:]}.", "")
        yield from ("```toml", f"key = {good}", f"# key = {bad}", f"#   {refusal(annotation, bad)}", "```", "")


def converted(annotation: Any, value: str) -> object:
    """Return a value of a site.toml as the plugin gets it. Raises InvalidValue."""
    labels = known_channels([Brultech]).labels
    return convert(tomli.loads(f"key = {value}")["key"], annotation, ConversionContext(Path("/srv"), labels=labels))


def refusal(annotation: Any, value: str) -> str:
    """Return why a value is refused."""
    try:
        converted(annotation, value)
    except InvalidValue as error:
        return str(error)
    raise AssertionError(f"{value} is not refused")


def _testing() -> Iterator[str]:
    yield from ("## btcore.testing", "", "What tests of a plugin import; `pip install 'btcore[testing]'`.", "")
    for name in btcore.testing.__all__:
        found = getattr(btcore.testing, name)
        signature = _signature(found.__init__, name) if inspect.isclass(found) else _signature(found)
        yield from (f"### {name}", "", f"`{signature.removesuffix(' -> None')}`", "", *_text(found))


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
