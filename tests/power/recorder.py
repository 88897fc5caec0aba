# SPDX-License-Identifier: GPL-3.0-or-later
"""The recorder (`recorder.c`): how it is compiled and loaded, and what a program that is recorded asks of it."""

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

from power.operations import Operation, operations_in

SOURCE = Path(__file__).with_name("recorder.c")

MISSING = "" if shutil.which("gcc") else "gcc is missing: apt-get install gcc"
"""Why nothing can be recorded on this computer; "" where it can be."""

FAILING_FOREVER = -1


def compile_recorder(folder: Path) -> Path:
    """Compile it into a folder; return the file to be preloaded."""
    library = folder / "recorder.so"
    flags = ("-O1", "-Wall", "-Werror", "-shared", "-fPIC")
    subprocess.run(["gcc", *flags, "-o", str(library), str(SOURCE), "-ldl", "-lpthread"], check=True)
    return library


def environment_with(library: Path) -> dict[str, str]:
    """Return the environment of a program that is to be recorded."""
    return {**os.environ, "LD_PRELOAD": str(library)}


class Recorder:
    """Records what this process does to one directory. It was loaded before the process began."""

    def __init__(self) -> None:
        """Find it. Raises AttributeError where it was not loaded."""
        self._library = ctypes.CDLL(None)
        self._library.recorder_fail.argtypes = [ctypes.c_char_p] * 2 + [ctypes.c_long] * 2 + [ctypes.c_int]
        self._log = Path()

    def begin(self, folder: Path, log: Path) -> None:
        """Begin to record what is done to files in a folder; `log` is a file elsewhere."""
        self._log = log
        self.watch(folder)
        self._library.recorder_begin(os.fsencode(log))

    def watch(self, folder: Path) -> None:
        """Look at another folder from now on, which has the same files."""
        self._library.recorder_watch(os.fsencode(folder))

    def mark(self, text: str) -> None:
        """Write something of one's own between what is recorded."""
        self._library.recorder_mark(text.encode())

    def end(self) -> list[Operation]:
        """End; return what was recorded."""
        self._library.recorder_end()
        self._library.recorder_watch(b"")
        return list(operations_in(self._log.read_bytes()))

    def fail(self, call: str, suffix: str, error: int, *, skipped: int = 0, times: int = FAILING_FOREVER) -> None:
        """Let calls fail on files whose name ends so: `open`, `read`, `write`, `truncate`, `sync`, `rename`, `unlink`.

        `skipped` calls still work before that.
        """
        self._library.recorder_fail(call.encode(), suffix.encode(), skipped, times, error)

    def heal(self) -> None:
        """Let nothing fail any more."""
        self.fail("", "", 0, times=0)
