# SPDX-License-Identifier: GPL-3.0-or-later
"""The start and the end of the process: safe standard files, and an exit that does not hang."""

import atexit
import io
import os
import sys
from contextlib import suppress
from threading import Thread
from typing import NoReturn

EXIT_TIMEOUT = 2.0
"""Seconds for the last work of the process: writing what is buffered, and the exit functions of libraries."""


def open_standard_files() -> None:
    """Make standard files safe to use.

    Those that are closed are opened on the null device: else the next file that is opened gets the number, and with it
    what is written to stderr. Standard output escapes characters that its encoding does not have.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - for as long as the process lives
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def share_allocations() -> None:
    """Let all threads allocate from one pool, where the C library is glibc; before any thread is started.

    By itself it has a pool for each thread, which keeps 0.3 MB for each sink. Nothing waits for another: what is small
    is Python's own, or kept by glibc for its thread.
    """
    with suppress(AttributeError, ImportError, OSError, TypeError):  # a module of Python's own, which may change
        # a run alone goes on for so long; and `ctypes`, which is made of this, takes another 0.1 to 0.3 MB
        import _ctypes  # noqa: PLC0415

        library = _ctypes.dlopen(None, 0)  # type: ignore[arg-type] # all that is loaded
        _ctypes.call_function(_ctypes.dlsym(library, "mallopt"), (_M_ARENA_MAX, 1))


_M_ARENA_MAX = -8
"""The number of a setting in glibc's <malloc.h>; no other C library has it."""


def exit_process(code: int) -> NoReturn:
    """End the process with this exit code, even if a thread hangs or stdout or stderr is blocked.

    Python's own exit would wait for them, or abort.
    """
    try:
        last = Thread(target=_finish, daemon=True)
        last.start()
        last.join(EXIT_TIMEOUT)
    finally:
        os._exit(code)


def _finish() -> None:
    atexit._run_exitfuncs()  # noqa: SLF001 - there is no other name for it; the log's flush is one of them
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
