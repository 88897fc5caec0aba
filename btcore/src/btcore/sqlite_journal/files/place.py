# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the file of the SQLite journal is, and who may read it.

What is in the file does not belong here.
"""

import logging
import os
from contextlib import suppress
from pathlib import Path

from btcore.journal.opening import JournalOptions, wrong_url

FILE_NAME = "journal.db"
"""The file in the state directory, where the URL names none."""

SLASHES = "///"

log = logging.getLogger("btcore")


def file_of(options: JournalOptions) -> Path:
    """Return the file that a URL names, as SQLAlchemy reads it. A relative path is relative to the state directory.

    Raises ConfigurationError for what is no such URL.
    """
    if not options.rest:
        return options.state / FILE_NAME
    name = options.rest.removeprefix(SLASHES)
    if name == options.rest or not name or "?" in name:
        raise wrong_url("expected sqlite:///FILE, or sqlite:////DIRECTORY/FILE for an absolute path")
    file = options.state / name
    if not file.parent.is_dir():
        hint = "" if name.startswith("/") else f"; an absolute path has four slashes: sqlite:////{name}"
        raise wrong_url(f"there is no directory {file.parent}{hint}")
    return file


def make_private(file: Path) -> None:
    """Make a file that only its owner may read, unless there is one."""
    with suppress(OSError):  # it is there, or cannot be made: then SQLite raises
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def warn_if_readable(file: Path) -> None:
    """Warn if every user can read the journal: the consumption of a household is private."""
    if file.stat().st_mode & file.parent.stat().st_mode & 0o005:
        log.warning("every user of this computer can read %s: run chmod 700 %s", file, file.parent)
