# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of btmon's options as btcore writes them: durations, numbers, paths and maps."""

import re
from pathlib import Path

from btmon_migrate.given import Options
from btmon_migrate.toml import Table

UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def duration(seconds: float) -> str:
    """Return a number of seconds as a duration, in the largest unit that is exact: 120 is "2m"."""
    if seconds != int(seconds):
        return f"{round(seconds * 1000)}ms"
    for size, unit in UNITS:
        if seconds and seconds % size == 0:
            return f"{int(seconds) // size}{unit}"
    return "0s"


def seconds(options: Options, name: str) -> float | None:
    """Return an option's seconds; None if it was not given. What is no number becomes a doubt."""
    text = options.text(name)
    if not text:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d{1,6})?", text.strip()):
        return float(text)
    options.doubts.add(options.where(name), f"{name} = {text}: expected a number of seconds; it is left out")
    return None


def number(options: Options, name: str, default: int) -> int:
    """Return an option's whole number, or btmon's default. What is no number becomes a doubt."""
    text = options.text(name)
    if not text:
        return default
    if re.fullmatch(r"\d{1,9}", text.strip()):
        return int(text)
    options.doubts.add(options.where(name), f"{name} = {text}: expected a whole number; {default} is written")
    return default


def carry(options: Options, table: Table, names: dict[str, str]) -> None:
    """Set what was given as a text, under btcore's names."""
    for name, setting in names.items():
        if text := options.text(name):
            table.set(setting, text)


def carry_seconds(options: Options, table: Table, names: dict[str, str]) -> None:
    """Set what was given in seconds, under btcore's names. 0 becomes a doubt, but for what is gathered: at once."""
    for name, setting in names.items():
        value = seconds(options, name)
        if value is None:
            continue
        if round(value * 1000) or setting == "flush_interval":
            table.set(setting, duration(value))
        else:
            text = options.text(name)
            options.doubts.add(options.where(name), f"{name} = {text}: expected more than 0 seconds; it is left out")


def path(options: Options, table: Table, name: str, setting: str, default: str) -> None:
    """Set a file or directory. A relative one was where btmon was started, which no file tells: a doubt."""
    text = options.text(name, default)
    table.set(setting, text)
    if not Path(text).expanduser().is_absolute():
        options.doubts.add(
            options.where(name) or name,
            f"{name} = {text} was in the directory in which btmon was started; here it is beside site.toml: write the"
            " whole path",
        )


def pairs(options: Options, name: str) -> dict[str, str]:
    """Return a map `key,value,key,value`; of two equal keys the last counts."""
    return {key: fields[0] for key, fields in groups(options, name, 2).items()}


def groups(options: Options, name: str, size: int) -> dict[str, list[str]]:
    """Return a map of so many items for each channel, by the channel. An incomplete end is left out, as in btmon."""
    given = options.get(name)
    if given is None:
        return {}
    items = options.text(name).split(",")
    found: dict[str, list[str]] = {}
    for start in range(0, len(items) - size + 1, size):
        key, *fields = items[start : start + size]
        if key != key.strip():
            options.doubts.add(
                given.where, f'{name}: btmon never found "{key}", for the blank before or behind it; it does now'
            )
        if key.strip():
            found[key.strip()] = [field.strip() for field in fields]
    if [item for item in items[len(items) - len(items) % size :] if item.strip()]:
        options.doubts.add(
            given.where, f"{name}: {size} items belong together, and some are left over at the end, as in btmon"
        )
    return found
