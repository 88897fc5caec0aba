# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads RRD files: what a file is, and the rows of an archive. By RRDtool's binding, else by its program.

What becomes of the rows is `history.py`'s.
"""

import importlib
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from math import isnan
from pathlib import Path
from typing import Any

import attrs

from btcore import Number, Stop
from btmon_rrd.direct import INSTALL
from btmon_rrd.layout import Archive
from btmon_rrd.store import FileProblem, Outdated, outcome, parse_info

AVERAGES = re.compile(r"rra\[(\d+)\]\.cf")

Rows = Mapping[int, float]
"""What is known of a number, by the second at which its row ends."""


@attrs.frozen
class File:
    """One file: its step, its archives of averages, the finest first, and how far it is.

    `value` is the counter at its last update, None if that is not known; `pending` is what it has risen by since the
    last complete row.
    """

    path: Path
    step: int
    archives: tuple[Archive, ...]
    last: int
    kind: str
    value: Number
    pending: float

    @property
    def end(self) -> int:
        """The second at which its last complete row of one step ends."""
        return self.last // self.step * self.step

    @property
    def is_counter(self) -> bool:
        """Whether its rows are by how much a counter rose in a second."""
        return self.kind not in ("GAUGE", "ABSOLUTE")


def read_file(path: Path) -> File | None:
    """Return what a file is; None if it was deleted. Raises Retry or Stop, FileProblem where it is this file alone."""
    try:
        info = _info(str(path))
    except Outdated:
        return None
    try:
        return _file(path, info)
    except (KeyError, ValueError, OverflowError) as error:
        raise FileProblem(f"{path} is damaged: what RRDtool tells of it has no sense ({error})") from None


def _file(path: Path, info: Mapping[str, object]) -> File:
    """Return a file as RRDtool describes it. Raises FileProblem, KeyError, ValueError or OverflowError."""
    state = parse_info(str(path), info)
    pending = next((float(str(value)) for key, value in info.items() if re.fullmatch(r"ds\[.+\]\.value", key)), 0.0)
    averages = [found[1] for found in map(AVERAGES.match, info) if found and str(info[found[0]]) == "AVERAGE"]
    archives = {_archive(info, index) for index in averages}
    if int(str(info["step"])) < 1 or any(one.steps < 1 or one.rows < 1 for one in archives):
        raise ValueError("steps of no length")
    return File(
        path,
        int(str(info["step"])),
        tuple(sorted(archives, key=lambda one: one.steps)),
        state.last,
        state.kind,
        state.value,
        0.0 if isnan(pending) else pending,
    )


def _archive(info: Mapping[str, object], index: str) -> Archive:
    return Archive(int(str(info[f"rra[{index}].pdp_per_row"])), int(str(info[f"rra[{index}].rows"])))


def read_rows(path: Path, seconds: int, start: int, end: int) -> Rows | None:
    """Return the rows of so many seconds that end after `start`, the last at `end`; None if a file has none so long.

    Raises Retry or Stop.
    """
    options = ("AVERAGE", "--resolution", str(seconds), "--start", str(start), "--end", str(end - 1))
    try:
        step, rows = _by_binding(str(path), options) if _has_binding() else _by_program(str(path), options)
    except Outdated:
        return {}
    return {time: value for time, value in rows.items() if start < time <= end} if step == seconds else None


@lru_cache(maxsize=1)
def _has_binding() -> bool:
    return importlib.util.find_spec("rrdtool") is not None


def _info(path: str) -> Mapping[str, object]:
    if not _has_binding():
        lines = (line.partition(" = ") for line in _run("info", path).splitlines())
        return {key: value.strip('"') for key, _, value in lines}
    info: Mapping[str, object] = _call("info", path)
    return {key: "NaN" if value is None else value for key, value in info.items()}


def _by_binding(path: str, options: tuple[str, ...]) -> tuple[int, dict[int, float]]:
    (first, last, step), _, rows = _call("fetch", path, *options)
    times = range(first + step, last + step + 1, step)
    return step, {time: value for time, (value,) in zip(times, rows, strict=False) if value is not None}


def _call(name: str, path: str, *arguments: str) -> Any:  # noqa: ANN401 - as the binding answers
    binding: Any = importlib.import_module("rrdtool")
    try:
        return getattr(binding, name)(path, *arguments)
    except (binding.OperationalError, binding.ProgrammingError) as error:
        raise outcome(path, str(error)) from error


def _by_program(path: str, options: tuple[str, ...]) -> tuple[int, dict[int, float]]:
    found = (line.partition(":") for line in _run("fetch", path, *options).splitlines())
    rows = [(int(time), float(value)) for time, colon, value in found if colon]
    step = rows[1][0] - rows[0][0] if len(rows) > 1 else int(options[2])
    return step, {time: value for time, value in rows if not isnan(value)}


def _run(name: str, path: str, *arguments: str) -> str:
    program = shutil.which("rrdtool")
    if program is None:
        raise Stop(f"RRD files are read by RRDtool, which is not installed: apt install rrdtool; or {INSTALL}")
    done = subprocess.run([program, name, path, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    if done.returncode:
        raise outcome(path, done.stderr.removeprefix("ERROR: ").strip())
    return done.stdout
