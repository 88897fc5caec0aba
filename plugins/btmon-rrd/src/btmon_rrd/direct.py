# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that this program writes by itself, with RRDtool's Python binding, which is imported only here.

The binding is compiled when it is installed, so it may be missing: `problem` says what helps.
"""

import importlib
import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from btcore import Retry, Stop
from btmon_rrd.feed import FileState
from btmon_rrd.store import EXISTS, Outdated, Updates, outcome, parse_info

INSTALL = "apt install librrd-dev python3-dev gcc && pip install rrdtool"
"""The one line that helps on Debian, where the binding is missing."""

ADVICE = f'{INSTALL}; or set `daemon`, such as "unix:/run/rrdcached.sock", which needs no binding'


def binding_problem() -> str:
    """Describe that the binding is missing, or return "". Imports nothing."""
    there = importlib.util.find_spec("rrdtool") is not None
    return "" if there else f"RRDtool's Python binding is not installed: {ADVICE}"


def load_binding() -> Any:  # noqa: ANN401 - a module without types
    """Import the binding. Raises Stop."""
    if problem := binding_problem():
        raise Stop(problem)
    try:
        return importlib.import_module("rrdtool")
    except ImportError as error:
        raise Stop(f"RRDtool's Python binding cannot be imported ({error}): {ADVICE}") from None


@attrs.define
class DirectStore:
    """Updates files through the binding."""

    directory: Path
    _binding: Any = None

    def open(self) -> None:
        """Import the binding and create the directory. Raises Stop."""
        self._binding = load_binding()
        self._make_directory()

    def close(self) -> None:
        """End; every update is in its file already."""

    def state(self, path: str) -> FileState | None:
        """Return how far a file is; None if there is none. Raises Retry or Stop."""
        if not os.path.exists(path):  # noqa: PTH110 - quicker than a Path for each of a hundred files
            return None
        try:
            info: Mapping[str, object] = self._call("info", path, path)
        except Outdated:
            return None
        return parse_info(path, info)

    def create(self, path: str, start: int, step: int, definitions: Sequence[str]) -> None:
        """Create a file, unless it exists. Raises Retry or Stop."""
        self._make_directory()
        options = ("--step", str(step), "--start", str(start), "--no-overwrite")
        try:
            self._call("create", path, path, *options, *definitions)
        except Outdated as error:
            raise Stop(f"{path} cannot be created ({error})") from None
        except FileExistsError:
            return

    def update(self, updates: Updates) -> set[str]:
        """Update each file with all its points. Raises Retry or Stop."""
        outdated = set()
        for path, points in updates.items():
            try:
                self._call("update", path, path, *points.split())
            except Outdated:
                outdated.add(path)
        return outdated

    def _make_directory(self) -> None:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise directory_problem(self.directory, error) from error

    def _call(self, name: str, path: str, *arguments: str) -> Any:  # noqa: ANN401 - as the binding answers
        try:
            return getattr(self._binding, name)(*arguments)
        except (self._binding.OperationalError, self._binding.ProgrammingError) as error:
            if EXISTS in str(error):
                raise FileExistsError from None
            raise outcome(path, str(error)) from error


def directory_problem(directory: Path, error: OSError) -> Exception:
    """Return what an error means for the directory of the files: Stop where it is a file, or below one."""
    reason = error.strerror or str(error)
    if isinstance(error, NotADirectoryError) or directory.is_file():
        return Stop(f"{directory} is no directory ({reason}): correct `dir`")
    if isinstance(error, FileExistsError | FileNotFoundError):
        return Retry(f"the directory {directory} cannot be made ({reason}): mount its disk, or correct `dir`")
    return outcome(str(directory), reason)
