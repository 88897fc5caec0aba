"""The edges of the process: its standard files when it begins, and its end, which waits for nobody."""

import atexit
import io
import os
import sys
from contextlib import suppress
from threading import Thread
from typing import NoReturn

EXIT_TIMEOUT = 2.0
"""Seconds that the last work of the process may take: what is still to be written, and what libraries do at the end."""


def open_standard_files() -> None:
    """Make standard files safe to use.

    Of those that are closed, each is opened on nowhere: else the next file that is opened gets the number, and with it
    what is meant for stderr. Standard output writes what it has no character for as an escape, in place of failing.
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


def exit_process(code: int) -> NoReturn:
    """End the process with this exit code, also where a thread hangs or nobody reads what is still to be written.

    Python's own end would wait for such threads and readers, or abort.
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
