# SPDX-License-Identifier: GPL-3.0-or-later
"""Has RRDtool draw: by its Python binding where that is installed, else by its program.

What is drawn is in `panels.py`.
"""

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from btmon_rrd.curves import GraphError

CANNOT = "RRDtool cannot draw this: "

SIZE = re.compile(r"\d+x\d+")

INSTALL = "RRDtool draws the graphs, and is not installed: apt install rrdtool"


def measure(arguments: Sequence[str]) -> list[str]:
    """Return what the PRINTs of a graph print, without drawing it. Raises GraphError."""
    return _graph(os.devnull, arguments)


def draw(arguments: Sequence[str]) -> bytes:
    """Return a graph as a PNG. Raises GraphError."""
    with TemporaryDirectory(prefix="btcore-graph-") as folder:
        file = Path(folder) / "graph.png"
        _graph(str(file), arguments)
        return file.read_bytes()


def shown_time(options: Sequence[str]) -> tuple[int, int]:
    """Return the seconds between which a graph with these options is. Raises GraphError."""
    lines = _graph(os.devnull, [*options, "HRULE:0#000000"], "graphv")
    found = dict(line.split(" = ", 1) for line in lines)
    return int(found["graph_start"]), int(found["graph_end"])


def _graph(file: str, arguments: Sequence[str], command: str = "graph") -> list[str]:
    """Return the lines that a command of RRDtool prints, but for the size of the picture. Raises GraphError."""
    if has_binding():
        return _by_binding(file, arguments, command)
    program = shutil.which("rrdtool")
    if program is None:
        raise GraphError(INSTALL)
    done = subprocess.run([program, command, file, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    if done.returncode:
        raise _failure(done.stderr.strip().removeprefix("ERROR: "))
    return [line for line in done.stdout.splitlines() if not SIZE.fullmatch(line)]


def _failure(error: str) -> GraphError:
    if "should be less than end" in error:
        return GraphError("the end of the picture is not after its beginning: --from must be earlier than --to")
    return GraphError(CANNOT + error)


def has_binding() -> bool:
    """Whether RRDtool's Python binding is installed. Imports nothing."""
    return importlib.util.find_spec("rrdtool") is not None


def _by_binding(file: str, arguments: Sequence[str], command: str) -> list[str]:
    binding: Any = importlib.import_module("rrdtool")
    try:
        answer = getattr(binding, command)(file, *arguments)
    except (binding.OperationalError, binding.ProgrammingError) as error:
        raise _failure(str(error)) from None
    if isinstance(answer, dict):
        return [f"{key} = {value}" for key, value in answer.items()]
    _width, _height, printed = answer
    return list(printed or ())
