# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads one table of the configuration: its settings, and the plugin instance with them.

Every mistake in the table is added to the findings, none is raised. Which tables exist belongs to `load.py`, but for
those of decoders, which need none in the file.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar

from btcore.classes import frozen
from btcore.config.problems import Problems
from btcore.config.toml import Key
from btcore.discovery import Installed, needed_decoders
from btcore.errors import Problem, is_interrupt
from btcore.renamed_settings import RENAMED, renamed, renamed_value
from btcore.text import describe_error, nearest
from btcore.values.constraints import error_text, validation_problem
from btcore.values.convert import check_choice, convert
from btcore.values.describe import Setting, settings_of
from btcore.values.invalid_value import ConversionContext, InvalidValue

Values = dict[str, Any]

T = TypeVar("T")

MAX_PROBLEMS = 1000
"""The most problems that are taken of one table's `check`."""

BRULTECH = "brultech"
"""The built-in decoder."""


@frozen
class Reader:
    """Reads the tables of one file."""

    findings: Problems
    context: ConversionContext

    def settings(self, wanted: Iterable[Setting], table: Mapping[str, object], path: Key) -> Values:
        """Return the values of a table's settings; report what is wrong or missing."""
        values: Values = {}
        for entry in wanted:
            key_path = (*path, entry.name)
            if entry.name in table:
                self._setting(entry, table[entry.name], key_path, values)
            elif entry.required:
                about = f"{entry.help} ({entry.type})"
                if path not in self.findings.document.incomplete:
                    self.findings.add(key_path, f"a required setting is missing: {about}")
            elif isinstance(entry.default, Path):
                values[entry.name] = self.context.directory / entry.default
        return values

    def unknown(self, table: Mapping[str, object], known: Sequence[str], path: Key, elsewhere: Sequence[str]) -> None:
        """Report the keys of a table that are not among the `known` ones; `elsewhere` are the keys of the top level."""
        for name in table:
            if name in known:
                continue
            hint = renamed(name, table, known) or nearest(name, known)
            if RENAMED.get(name, name) in elsewhere:
                present = renamed(name, {name: table[name]}, elsewhere)
                hint = f"{present}; it belongs at the top of the file, before the first [table]"
            self.findings.add((*path, name), f"unknown setting{hint or _listed(known)}")

    def instance(
        self,
        plugin: Installed,
        cls: type,
        own: Iterable[Setting],
        table: Mapping[str, object],
        path: Key,
        **known: object,
    ) -> object | None:
        """Create the plugin's instance from its table, and let it check itself; None if it cannot be created.

        `known` has the arguments that its check can take.
        """
        before = len(self.findings.problems)
        values = self.settings(own, table, path)
        if len(self.findings.problems) > before or path in self.findings.document.incomplete:
            return None
        try:
            made: object = cls(**values)
        except ValueError as error:
            self.findings.add_redacted(path, f"the {plugin} does not accept these settings: {error_text(error)}")
            return None
        except BaseException as error:  # noqa: BLE001 - a plugin's code: reported as its mistake, without a traceback
            self._fault(plugin, "when it was created", error, path)
            return None
        self._check(plugin, made, path, known)
        return made

    def nested(self, name: str, cls: type[T], data: Mapping[str, object]) -> T | None:
        """Return a table of the top level as an instance of a class with settings.

        None where there is no such table, or where it has mistakes, which are added to the findings.
        """
        if name not in data:
            return None
        try:
            made: T = convert(data[name], cls, self.context)
        except InvalidValue as error:
            for problem in error.problems:
                self.findings.add((name, *problem.path), problem.message)
            return None
        return made

    def _setting(self, entry: Setting, given: object, key_path: Key, values: Values) -> None:
        try:
            value = convert(given, entry.annotation, self.context)
            while self.context.warnings:
                self.findings.warn(key_path, self.context.warnings.pop(0))
            check_choice(value, entry.choices)
        except InvalidValue as error:
            for problem in error.problems:
                self.findings.add(key_path + problem.path, problem.message + renamed_value(entry.name, given))
            return
        if wrong := validation_problem(entry.field, entry.annotation, value):
            self.findings.add_redacted(key_path, wrong)
        else:
            values[entry.name] = value

    def _check(self, plugin: Installed, made: object, path: Key, known: Mapping[str, object]) -> None:
        try:
            check = getattr(made, "check", None)
            if not callable(check):
                return
            wanted = _parameters(check)
            found = check(**{name: value for name, value in known.items() if name in wanted}) or ()
            for problem in islice(found, MAX_PROBLEMS):
                self._note(problem, path)
        except BaseException as error:  # noqa: BLE001 - as above
            self._fault(plugin, "while it checked its settings", error, path)

    def _note(self, problem: object, path: Key) -> None:
        if not isinstance(problem, Problem):
            raise TypeError(f"check() yielded a {type(problem).__name__}, not a Problem")
        note = self.findings.warn_redacted if problem.warning else self.findings.add_redacted
        note((*path, problem.key) if problem.key else path, problem.message)

    def _fault(self, plugin: Installed, when: str, error: BaseException, path: Key) -> None:
        if is_interrupt(error):
            raise error
        why = f"{type(error).__name__}: {error_text(error)}"
        self.findings.add_redacted(path, f"the {plugin} failed {when} ({why}); this is a mistake in the plugin")


def _parameters(function: Any) -> Iterable[str]:  # noqa: ANN401 - whatever can be called
    plain = getattr(function, "__func__", None)
    if isinstance(plain, FunctionType) and not hasattr(plain, "__wrapped__"):
        code = plain.__code__
        return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    import inspect  # noqa: PLC0415 - a plain method is read without it

    return inspect.signature(function).parameters


def readable_settings(plugin: Installed, cls: type, core: Sequence[str]) -> tuple[tuple[Setting, ...], str]:
    """Return the settings of a plugin class, and what is wrong with their declarations, or ""."""
    try:
        own = settings_of(cls)
    except BaseException as error:
        if is_interrupt(error):
            raise
        return (), f"the {plugin} declares settings that cannot be read ({describe_error(error)})"
    taken = [entry.name for entry in own if entry.name in core]
    if taken:
        return own, f"the {plugin} declares settings that belong to the core: {', '.join(taken)}; it must rename them"
    return own, ""


def _listed(known: Sequence[str]) -> str:
    return f"; the settings are {', '.join(known)}" if known else "; it has no settings"


def decoder_tables(written: Mapping[str, Any], sources: Iterable[type]) -> dict[str, Any]:
    """Return all tables of decoders by their names: an empty one for each decoder that the file has no table of.

    `written` are those of the file, `sources` the plugin classes of its sources.
    """
    used = {used_plugin(name, table) for name, table in written.items()}
    first: dict[str, Any] = {} if BRULTECH in used else {BRULTECH: {}}
    needed = dict.fromkeys(name for cls in sources for name in needed_decoders(cls))
    return {**first, **written, **{name: {} for name in needed if name not in used | set(written)}}


def used_plugin(name: str, table: object) -> object:
    """Return the name of a table's plugin."""
    return table.get("use", name) if isinstance(table, dict) else None
