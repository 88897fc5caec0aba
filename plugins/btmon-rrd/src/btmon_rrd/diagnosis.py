# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with RRD files: RRDtool is missing, rrdcached does not answer, the directory, or single files.

Nothing is made, and nothing is stored.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from btcore import Finding, Retry, Stop
from btmon_rrd.archive import read_file
from btmon_rrd.direct import ADVICE, binding_problem
from btmon_rrd.rrdcached import Address, connect
from btmon_rrd.store import FileProblem

RIGHTS = "Let the user that runs btcore (or rrdcached's user, where `daemon` is set) use the directory and its files"


def diagnose(folder: Path, daemon: Address | None, timeout: float, *, is_written: bool) -> Iterator[Finding]:
    """Yield what is wrong with a directory that is written, or read."""
    if daemon is not None:
        yield from _daemon(daemon, timeout)
    elif is_written and (problem := binding_problem()):
        yield Finding("rrdtool-missing", problem, ADVICE)
    if not is_written and binding_problem() and shutil.which("rrdtool") is None:
        yield Finding("rrdtool-missing", "RRD files are read by RRDtool, which is not installed", "apt install rrdtool")
        return
    yield from _directory(folder, is_written=is_written and daemon is None)
    yield from _files(folder)


def _daemon(address: Address, timeout: float) -> Iterator[Finding]:
    try:
        with closing(connect(address, timeout)) as connection:
            answer = connection.command("PING")
    except Retry as error:
        yield Finding("unreachable", str(error), "Start rrdcached, let this user use its socket, or correct `daemon`")
        return
    if answer.failed:
        yield Finding(
            "unreachable", f"rrdcached at {address} refuses PING: {answer.text}", "Allow PING with its option -P"
        )


def _directory(folder: Path, *, is_written: bool) -> Iterator[Finding]:
    """Yield what is wrong with a directory; one that is written is made if the one above it may be written."""
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    wanted = os.R_OK | os.X_OK | (os.W_OK if is_written else 0)
    if not there.is_dir():
        yield Finding("rrd-directory", f"{there} is no directory", "Correct `dir`")
    elif there != folder and not is_written:
        yield Finding("rrd-directory", f"there is no directory {folder}", "Mount its disk, or correct `dir`")
    elif not os.access(there, wanted):
        yield Finding("rrd-rights", f"this user may not {'write' if is_written else 'read'} {there}", RIGHTS)


def _files(folder: Path) -> Iterator[Finding]:
    for path in sorted(folder.glob("*.rrd")):
        try:
            read_file(path)
        except FileProblem as error:
            yield Finding("rrd-file", str(error), "Move it away, or restore it: all other files are used")
        except (Retry, Stop):
            return  # no file can be read, for a reason that is found above
